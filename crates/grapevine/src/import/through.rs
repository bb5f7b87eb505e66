//! An import through a running `grapevine local`: the file is sent there as it lies here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::StreamExt;
use grapevine_producer::Site;
use grapevine_producer::import::ImportSummary;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::endpoint::Refusal;
use super::is_stdin;
use super::progress::ProgressLine;
use crate::exit::{Ends, ExitKind, Failure};
use crate::standard_input;

/// Bytes read and sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

pub(super) struct Through {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Through {
    pub(super) fn new(collector: &str, key: &str) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .ends(ExitKind::Software)?;
        Ok(Through {
            client,
            url: format!("http://{collector}/v1/import"),
            key: key.to_owned(),
        })
    }

    pub(super) async fn import(
        &self,
        site: &Site,
        file: &Path,
        line: &ProgressLine,
        stopped: &Arc<AtomicBool>,
    ) -> Result<ImportSummary, Failure> {
        let (reader, total): (Box<dyn AsyncRead + Send + Unpin>, _) = if is_stdin(file) {
            let reader = standard_input::reader().ends(ExitKind::NoInput)?;
            (Box::new(tokio::fs::File::from_std(reader)), None)
        } else {
            let open = tokio::fs::File::open(file).await.ends(ExitKind::NoInput)?;
            let total = open.metadata().await.ends(ExitKind::NoInput)?.len();
            (Box::new(open), Some(total))
        };
        let (line, sent, stopped) = (line.clone(), AtomicU64::new(0), Arc::clone(stopped));
        let chunks = ReaderStream::with_capacity(reader, CHUNK_BYTES).take_while(move |chunk| {
            let bytes = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            let before = sent.fetch_add(bytes, Ordering::Relaxed);
            line.show_bytes(before + bytes, total);
            // What was sent is kept, and the same command goes on from there.
            std::future::ready(!stopped.load(Ordering::Relaxed))
        });
        let name = file.to_string_lossy();
        let request = self
            .client
            .post(&self.url)
            .query(&[("site", site.to_string().as_str()), ("name", name.as_ref())])
            .bearer_auth(&self.key)
            .body(reqwest::Body::wrap_stream(chunks));
        let answer = request.send().await.ends(ExitKind::Unavailable)?;
        let status = answer.status();
        let text = answer.bytes().await.ends(ExitKind::Unavailable)?;
        if status.is_success() {
            return serde_json::from_slice(&text).ends(ExitKind::Software);
        }
        match serde_json::from_slice::<Refusal>(&text) {
            Ok(refusal) => Err(Failure::told(refusal.exit, refusal.error)),
            Err(_) => {
                let start: String = String::from_utf8_lossy(&text).chars().take(300).collect();
                Err(Failure::new(
                    ExitKind::Unavailable,
                    format!("{} answered {status}: {start}", self.url),
                ))
            }
        }
    }
}
