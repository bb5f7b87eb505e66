//! A log, hits put into it, and both stages run over it.

use grapevine_enrichment::{CHAIN, CLASSIFY, StopSignal, lag, run};
use grapevine_event::*;
use grapevine_log::{Commit, Durability, Log};

use crate::support::{IPHONE, chain, classify};

/// The story.
pub(crate) const URL: &str = "https://example.org/politics/the-long-story-of-a-small-town";
/// Its first moment, milliseconds.
pub(crate) const T0: i64 = 1_760_000_000_000;
/// Milliseconds.
pub(crate) const MINUTE: i64 = 60_000;

/// A log and the hits put into it.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) log: Log,
    pub(crate) hits: u64,
}

impl World {
    pub(crate) fn new() -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let log = Log::open(&directory.path().join("log.redb")).expect("opens");
        World {
            directory,
            log,
            hits: 0,
        }
    }

    pub(crate) fn append(&mut self, record: &[u8]) {
        let mut commit = Commit::default();
        commit.append(topic::HITS_RAW, record);
        self.log
            .commit(&commit, Durability::Durable)
            .expect("commits");
    }

    /// Appends a page view by a reader, changed as told; returns its id.
    pub(crate) fn hit(
        &mut self,
        visitor: i64,
        time: i64,
        change: impl Fn(&mut Hit<'static>),
    ) -> Id {
        self.hits += 1;
        let id = Id::builder("story").number(self.hits).finish();
        let mut hit = Hit {
            protocol: Protocol::Native,
            visitor: Some(visitor),
            visitor_basis: VisitorBasis::Client,
            network: Some(visitor),
            user_agent: IPHONE,
            ..Hit::page_view(id, "example.org", time, URL)
        };
        change(&mut hit);
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        self.append(&record);
        id
    }

    pub(crate) fn heartbeat(&mut self, source: &str, time: i64) {
        let mut record = Vec::new();
        let heartbeat = Heartbeat {
            event_time: time,
            source,
        };
        heartbeat.encode(&mut record).expect("encodes");
        self.append(&record);
    }

    /// Runs both stages to the end of their input, as the product does.
    pub(crate) fn drain(&self) {
        for stage in [CLASSIFY, CHAIN] {
            let stop = StopSignal::new();
            stop.drain();
            if stage == CLASSIFY {
                run(classify(), &self.log, &stop).expect("runs");
            } else {
                run(chain(), &self.log, &stop).expect("runs");
            }
        }
        assert_eq!(lag(&self.log, CLASSIFY, topic::HITS_RAW).expect("reads"), 0);
        assert_eq!(
            lag(&self.log, CHAIN, topic::HITS_CLASSIFIED).expect("reads"),
            0
        );
    }

    pub(crate) fn topic(&self, topic: &str) -> Vec<Vec<u8>> {
        let batch = self.log.read(topic, 0, usize::MAX).expect("reads");
        batch.iter().map(|(_, record)| record.to_vec()).collect()
    }
}

/// The records of a topic, all of one kind.
macro_rules! read {
    ($world:expr, $topic:expr, $kind:ident, $records:ident, $decoded:ident) => {
        let $records = $world.topic($topic);
        let $decoded: Vec<_> = $records
            .iter()
            .map(|record| match Record::decode(record).expect("decodes") {
                Record::$kind(decoded) => decoded,
                other => panic!("{other:?} on {}", $topic),
            })
            .collect();
    };
}
pub(crate) use read;
