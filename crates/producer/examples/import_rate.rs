//! How fast importing alone is: `cargo run --release --example import_rate -p grapevine-producer
//! -- LOG [TIMES]` imports a log, TIMES over in one stream, into a log of its own, and writes
//! what became of the lines and how many a second.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use grapevine_log::Log;
use grapevine_producer::Site;
use grapevine_producer::TrustedProxies;
use grapevine_producer::import::{ImportOptions, Importer, Next, Source};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_signals::Signals;

/// The year 2100.
const LATEST_MS: i64 = 4_102_444_800_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name a log")?;
    let times: usize = arguments.next().map_or(Ok(1), |times| times.parse())?;
    let directory = tempfile::tempdir()?;
    let log = Arc::new(Log::open(&directory.path().join("log.redb"))?);
    let importer = Importer::new(log, Arc::new(Signals::builtin()), Pseudonyms::new(&[1; 32]));
    let options = ImportOptions {
        site: Site::parse("example.com")?,
        trusted_proxies: TrustedProxies::default(),
        latest_ms: LATEST_MS,
    };
    let source = if times == 1 {
        Source::open(Path::new(&path))?
    } else {
        let mut content = Vec::new();
        std::fs::File::open(&path)?.read_to_end(&mut content)?;
        Source::new(
            &path,
            Repeated {
                content,
                at: 0,
                times,
            },
        )
    };
    let started = Instant::now();
    let summary = importer.import(source, &options, &mut |_| Next::GoOn)?;
    let seconds = started.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &summary)?;
    let rate = summary.lines as f64 / seconds;
    writeln!(
        out,
        "\n{} lines in {seconds:.2} s: {rate:.0} lines/s",
        summary.lines
    )?;
    Ok(())
}

struct Repeated {
    content: Vec<u8>,
    at: usize,
    times: usize,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.content.len() && self.times > 1 {
            self.at = 0;
            self.times -= 1;
        }
        let read = (&self.content[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}
