//! A log that contents are imported into, and what is on it.

use std::io::{Cursor, Write};

use grapevine_event::{DeadLetter, Heartbeat, Hit, Record, topic};
use tempfile::TempDir;

use super::super::*;

pub(super) const SMALL: Limits = Limits {
    batch_lines_max: 5,
    batch_bytes_max: 700,
};
pub(super) const YEAR_2100_MS: i64 = 4_102_444_800_000;

pub(super) struct Home {
    pub(super) directory: TempDir,
    signals: Arc<Signals>,
    limits: Limits,
}

impl Home {
    pub(super) fn new(limits: Limits) -> Home {
        thread_local! {
            static SIGNALS: Arc<Signals> = Arc::new(Signals::builtin());
        }
        let directory = tempfile::tempdir().unwrap();
        Home {
            directory,
            signals: SIGNALS.with(Clone::clone),
            limits,
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("log.redb")
    }

    pub(super) fn log(&self) -> Arc<Log> {
        Arc::new(Log::open(&self.path()).unwrap())
    }

    pub(super) fn importer(&self, log: &Arc<Log>) -> Importer {
        let mut importer =
            Importer::new(log.clone(), self.signals.clone(), Pseudonyms::new(&[1; 32]));
        importer.limits = self.limits;
        importer
    }

    pub(super) fn import(&self, content: &[u8]) -> Result<ImportSummary, ImportError> {
        self.import_until(content, u64::MAX)
    }

    /// Imports until so many batches are committed, then goes on with the file as a kill at that
    /// moment would have left it.
    pub(super) fn import_until(
        &self,
        content: &[u8],
        batches_max: u64,
    ) -> Result<ImportSummary, ImportError> {
        let log = self.log();
        let mut commits = 0;
        let mut records = log.end(topic::HITS_RAW).unwrap() + log.end(topic::DEAD_LETTERS).unwrap();
        let summary = self
            .importer(&log)
            .import(source(content), &options(), &mut |_| {
                let now = log.end(topic::HITS_RAW).unwrap() + log.end(topic::DEAD_LETTERS).unwrap();
                commits += u64::from(now != records);
                records = now;
                if commits >= batches_max {
                    std::fs::copy(self.path(), self.image()).unwrap();
                    Next::Stop
                } else {
                    Next::GoOn
                }
            });
        wait_until_alone(log);
        if self.image().exists() {
            std::fs::rename(self.image(), self.path()).unwrap();
        }
        summary
    }

    fn image(&self) -> std::path::PathBuf {
        self.directory.path().join("killed.redb")
    }

    pub(super) fn hits(&self) -> Vec<Seen> {
        let log = self.log();
        let records = log.read(topic::HITS_RAW, 0, usize::MAX).unwrap();
        records
            .iter()
            .filter_map(|(_, record)| match Record::decode(record).unwrap() {
                Record::Hit(hit) => Some(Seen::of(&hit)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn heartbeats(&self) -> Vec<i64> {
        let log = self.log();
        let records = log.read(topic::HITS_RAW, 0, usize::MAX).unwrap();
        records
            .iter()
            .filter_map(|(_, record)| match Record::decode(record).unwrap() {
                Record::Heartbeat(Heartbeat { event_time, .. }) => Some(event_time),
                _ => None,
            })
            .collect()
    }

    pub(super) fn letters(&self, mut see: impl FnMut(&DeadLetter<'_>)) -> usize {
        let log = self.log();
        let records = log.read(topic::DEAD_LETTERS, 0, usize::MAX).unwrap();
        for (_, record) in &records {
            match Record::decode(record).unwrap() {
                Record::DeadLetter(letter) => see(&letter),
                other => panic!("{other:?}"),
            }
        }
        records.len()
    }
}

/// A stopped import's thread ends by itself, and holds the log until then.
pub(super) fn wait_until_alone(log: Arc<Log>) {
    let mut log = log;
    loop {
        match Arc::try_unwrap(log) {
            Ok(_) => return,
            Err(shared) => log = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What of a hit does not depend on how the content was cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) id: grapevine_event::Id,
    pub(super) url: String,
    pub(super) time: i64,
    pub(super) visitor: Option<i64>,
    pub(super) user_agent: String,
}

impl Seen {
    fn of(hit: &Hit<'_>) -> Seen {
        Seen {
            id: hit.hit_id,
            url: hit.url.to_owned(),
            time: hit.event_time,
            visitor: hit.visitor,
            user_agent: hit.user_agent.to_owned(),
        }
    }
}

pub(super) fn options() -> ImportOptions {
    ImportOptions {
        site: Site::parse("example.com").unwrap(),
        trusted_proxies: TrustedProxies::default(),
        latest_ms: YEAR_2100_MS,
    }
}

pub(super) fn source(content: &[u8]) -> Source {
    Source::new("access.log", Cursor::new(content.to_vec()))
}

pub(super) fn gzip(content: &[u8], members: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let size = content.len().div_ceil(members).max(1);
    for part in content.chunks(size) {
        let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    packed
}

pub(super) fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

pub(super) fn line(number: usize, path: &str) -> String {
    format!(
        "192.0.2.{} - - [10/Oct/2020:13:{:02}:{:02} +0000] \"GET {path} HTTP/1.1\" 200 12 \"-\" \
         \"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\"\n",
        number % 250,
        number / 60 % 60,
        number % 60,
    )
}

pub(super) fn pages(numbers: std::ops::Range<usize>) -> String {
    numbers
        .map(|number| line(number, &format!("/page/{number}")))
        .collect()
}
