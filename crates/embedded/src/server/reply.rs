//! The answer to one query: headers once enough is known, then chunks with back-pressure.

use std::io;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::status::http_status;
use crate::engine::QueryStats;
use crate::error::QueryError;
use crate::wire::{Encoder, Encoding};

/// Chunks on their way to a slow client before the query has to wait: with chunks of about 1 MiB
/// this bounds a reply's memory.
pub(crate) const CHUNKS_WAITING: usize = 4;
/// Without `buffer_size` so much is held back before the headers go, so that an error early on
/// still gets its status and a small result its summary.
const HOLD_BYTES: usize = 1 << 20;
/// `wait_end_of_query` and `buffer_size` hold no more than this; a longer result begins to flow.
pub(crate) const HOLD_BYTES_MAX: usize = 64 << 20;

/// Status and headers of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// The client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// How an answer is to be given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyOptions {
    pub(crate) encoding: Encoding,
    pub(crate) blocks: bool,
    pub(crate) wait_end: bool,
    pub(crate) buffer_size: Option<usize>,
}

/// An answer being made on a blocking thread.
pub(crate) struct Reply {
    head: Option<oneshot::Sender<Head>>,
    chunks: mpsc::Sender<io::Result<Bytes>>,
    headers: HeaderMap,
    options: ReplyOptions,
    encoder: Option<Encoder>,
    held: Vec<Bytes>,
    held_bytes: usize,
    hold: usize,
    tag: String,
    version: String,
}

impl Reply {
    pub(crate) fn new(
        head: oneshot::Sender<Head>,
        chunks: mpsc::Sender<io::Result<Bytes>>,
        options: ReplyOptions,
        mut headers: HeaderMap,
        version: &str,
    ) -> Self {
        let hold = match (options.wait_end, options.buffer_size) {
            (true, _) => HOLD_BYTES_MAX,
            (false, Some(size)) => size.min(HOLD_BYTES_MAX),
            (false, None) => HOLD_BYTES,
        };
        // Sixteen characters nobody could have put into a table beforehand.
        let tag = uuid::Uuid::new_v4().simple().to_string()[..16].to_owned();
        set(&mut headers, "x-clickhouse-exception-tag", &tag);
        Reply {
            head: Some(head),
            chunks,
            headers,
            options,
            encoder: None,
            held: Vec::new(),
            held_bytes: 0,
            hold,
            tag,
            version: version.to_owned(),
        }
    }

    /// Names the format the result comes in.
    pub(crate) fn set_format(&mut self, format: &str) {
        set(&mut self.headers, "x-clickhouse-format", format);
        set(
            &mut self.headers,
            header::CONTENT_TYPE.as_str(),
            content_type(format),
        );
    }

    /// Adds a piece of the result. Blocks while the client is slow.
    pub(crate) fn push(&mut self, data: Bytes) -> Result<(), Gone> {
        if data.is_empty() {
            return Ok(());
        }
        if self.head.is_none() {
            return self.send(data);
        }
        self.held_bytes += data.len();
        self.held.push(data);
        if self.held_bytes > self.hold {
            self.flush(QueryStats::default())
        } else {
            Ok(())
        }
    }

    /// Sends the headers and what was held back.
    fn flush(&mut self, stats: QueryStats) -> Result<(), Gone> {
        let Some(head) = self.head.take() else {
            return Ok(());
        };
        set(&mut self.headers, "x-clickhouse-summary", &summary(stats));
        if let (Some(name), false) = (self.options.encoding.name(), self.options.blocks) {
            set(&mut self.headers, header::CONTENT_ENCODING.as_str(), name);
        }
        let headers = std::mem::take(&mut self.headers);
        head.send(Head {
            status: StatusCode::OK,
            headers,
        })
        .map_err(|_| Gone)?;
        for data in std::mem::take(&mut self.held) {
            self.send(data)?;
        }
        Ok(())
    }

    fn encoder(&mut self) -> Result<&mut Encoder, Gone> {
        if self.encoder.is_none() {
            let encoder = Encoder::new(self.options.encoding, self.options.blocks);
            self.encoder = Some(encoder.map_err(|_| Gone)?);
        }
        self.encoder.as_mut().ok_or(Gone)
    }

    fn send(&mut self, data: Bytes) -> Result<(), Gone> {
        let encoded = self.encoder()?.encode(data).map_err(|_| Gone)?;
        self.send_encoded(encoded)
    }

    fn send_encoded(&mut self, encoded: Bytes) -> Result<(), Gone> {
        if encoded.is_empty() {
            return Ok(());
        }
        self.chunks.blocking_send(Ok(encoded)).map_err(|_| Gone)
    }

    /// Ends the answer.
    pub(crate) fn finish(mut self, stats: QueryStats) {
        let outcome = self.flush(stats).and_then(|()| self.close());
        if outcome.is_err() {
            tracing::debug!("the client went away before the end of its result");
        }
    }

    fn close(&mut self) -> Result<(), Gone> {
        match self.encoder.take() {
            Some(encoder) => {
                let rest = encoder.finish().map_err(|_| Gone)?;
                self.send_encoded(rest)
            }
            None => Ok(()),
        }
    }

    /// Ends the answer with an error: as its status while nothing was sent, else in the body in
    /// the form ClickHouse's clients look for, and with the connection cut so that the others see
    /// a broken result, too.
    pub(crate) fn fail(mut self, error: &QueryError) {
        if let Some(head) = self.head.take() {
            // Nobody listening means that the client is gone.
            let _ = head.send(error_head(error, self.headers));
            let _ = self
                .chunks
                .blocking_send(Ok(error_text(error, &self.version).into()));
            return;
        }
        let text = error_text(error, &self.version);
        let tag = &self.tag;
        let block = format!(
            "\r\n__exception__\r\n{tag}\r\n{text}{} {tag}\r\n__exception__\r\n",
            text.len()
        );
        if self.send(block.into()).and_then(|()| self.close()).is_ok() {
            let cut = io::Error::new(io::ErrorKind::ConnectionAborted, "the query failed");
            let _ = self.chunks.blocking_send(Err(cut));
        }
    }
}

/// The error as ClickHouse writes it, with a line end.
pub(crate) fn error_text(error: &QueryError, version: &str) -> String {
    format!("{error} (version {version})\n")
}

/// Status and headers of an answer that is an error from the start.
pub(crate) fn error_head(error: &QueryError, mut headers: HeaderMap) -> Head {
    set(
        &mut headers,
        "x-clickhouse-exception-code",
        &error.code.to_string(),
    );
    set(
        &mut headers,
        header::CONTENT_TYPE.as_str(),
        "text/plain; charset=UTF-8",
    );
    headers.remove("x-clickhouse-exception-tag");
    let status = http_status(error.code);
    if status == StatusCode::UNAUTHORIZED {
        set(
            &mut headers,
            header::WWW_AUTHENTICATE.as_str(),
            "Basic realm=\"ClickHouse server HTTP API\"",
        );
    }
    if error.code == crate::error::code::TOO_MANY_QUERIES.0 {
        set(&mut headers, header::RETRY_AFTER.as_str(), "1");
    }
    Head { status, headers }
}

/// Sets a header; a value no header can hold (a query id with a line end) is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

fn summary(stats: QueryStats) -> String {
    format!(
        "{{\"read_rows\":\"{}\",\"read_bytes\":\"{}\",\"written_rows\":\"{}\",\"written_bytes\":\"{}\",\
         \"total_rows_to_read\":\"0\",\"result_rows\":\"{}\",\"result_bytes\":\"{}\",\"elapsed_ns\":\"{}\"}}",
        stats.read_rows,
        stats.read_bytes,
        stats.written_rows,
        stats.written_bytes,
        stats.result_rows,
        stats.result_bytes,
        stats.elapsed.as_nanos(),
    )
}

fn content_type(format: &str) -> &'static str {
    match format {
        "TabSeparated"
        | "TSV"
        | "TabSeparatedWithNames"
        | "TSVWithNames"
        | "TabSeparatedWithNamesAndTypes"
        | "TSVWithNamesAndTypes"
        | "TabSeparatedRaw"
        | "TSVRaw" => "text/tab-separated-values; charset=UTF-8",
        "CSV" | "CSVWithNames" | "CSVWithNamesAndTypes" => "text/csv; charset=UTF-8; header=absent",
        "JSON"
        | "JSONCompact"
        | "JSONStrings"
        | "JSONColumns"
        | "JSONCompactColumns"
        | "JSONCompactStrings"
        | "JSONColumnsWithMetadata"
        | "JSONObjectEachRow" => "application/json; charset=UTF-8",
        "JSONEachRow" | "JSONLines" | "NDJSON" | "JSONCompactEachRow" | "JSONStringsEachRow" => {
            "application/x-ndjson; charset=UTF-8"
        }
        "XML" => "application/xml; charset=UTF-8",
        "Markdown" | "MD" => "text/markdown; charset=UTF-8",
        "Pretty" | "PrettyCompact" | "PrettySpace" | "Vertical" | "Values" | "TSKV" => {
            "text/plain; charset=UTF-8"
        }
        _ => "application/octet-stream",
    }
}
