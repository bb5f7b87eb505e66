//! What follows from a record and is larger than the log takes: a dead letter, and the next record.

use std::path::Path;
use std::time::Duration;

use grapevine_enrichment::{Driver, Outputs, Stage};
use grapevine_event::{AddressOf, DEAD_LETTER_BYTES_MAX, Id, Record, Share, ShareKind, topic};
use grapevine_inference::StateError;
use grapevine_log::{Commit, Durability, Log, RECORD_BYTES_MAX};

const SITE: &str = "example.org";
const TIME: i64 = 1_760_000_000_000;

/// Makes of each record a share with a content as long as the record says.
struct Swelling;

impl Stage for Swelling {
    const NAME: &'static str = "swelling";
    const INPUT: &'static str = topic::HITS_RAW;

    fn process(&mut self, offset: u64, record: &[u8], out: &mut Outputs) {
        let text = std::str::from_utf8(record).expect("text");
        let content = "x".repeat(text.parse::<usize>().expect("a number"));
        out.share(topic::SHARES, &share(offset, &content));
    }

    fn snapshot(&self) -> Result<Vec<u8>, StateError> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), StateError> {
        Ok(())
    }

    fn entries(&self) -> usize {
        0
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

fn share(offset: u64, content: &str) -> Share<'_> {
    Share {
        share_id: id(offset),
        site: SITE,
        time: TIME,
        content: content.into(),
        kind: ShareKind::Copy,
        app: "unknown".into(),
        private: None,
        probability: 0.5,
        address_of: AddressOf::Unknown,
        network: None,
        visitor: None,
        sharer_visit: None,
        token: None,
    }
}

fn id(offset: u64) -> Id {
    Id::builder("swelling").number(offset).finish()
}

/// Bytes of the record with a content of that length.
fn bytes_of(length: usize) -> usize {
    let mut record = Vec::new();
    let encoded = share(0, &"x".repeat(length)).encode(&mut record);
    encoded.expect("fits its schema");
    record.len()
}

fn fed(directory: &Path, lengths: [usize; 3]) -> Log {
    let log = Log::open(&directory.join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    for length in lengths {
        commit.append(topic::HITS_RAW, length.to_string().as_bytes());
    }
    log.commit(&commit, Durability::Durable).expect("commits");
    log
}

#[test]
fn a_record_that_the_log_does_not_take_is_a_dead_letter_and_the_next_goes_on() {
    // Lengths of this size are written in as many bytes.
    let around = bytes_of(RECORD_BYTES_MAX / 2) - RECORD_BYTES_MAX / 2;
    let largest = RECORD_BYTES_MAX - around;
    assert_eq!(bytes_of(largest), RECORD_BYTES_MAX);
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path(), [largest, largest + 1, 10]);
    let mut driver = Driver::open(Swelling, &log).expect("opens");
    let taken = driver.step(1 << 20, usize::MAX, Duration::ZERO);
    assert_eq!(taken.expect("goes on"), 3);

    let shares = log.read(topic::SHARES, 0, 1 << 26).expect("reads");
    let mut written = Vec::new();
    for (_, record) in &shares {
        let Ok(Record::Share(share)) = Record::decode(record) else {
            panic!("the topic holds shares");
        };
        written.push((share.share_id, record.len()));
    }
    let expected = [(id(0), RECORD_BYTES_MAX), (id(2), bytes_of(10))];
    assert_eq!(written, expected);

    let letters = log.read(topic::DEAD_LETTERS, 0, 1 << 26).expect("reads");
    assert_eq!(letters.len(), 1);
    let record = letters.iter().next().map(|(_, record)| record.to_vec());
    let record = record.expect("is there");
    let Ok(Record::DeadLetter(letter)) = Record::decode(&record) else {
        panic!("the topic holds dead letters");
    };
    assert_eq!((letter.stage, letter.reason), ("swelling", "unwritable"));
    assert_eq!((letter.source, letter.position), (topic::HITS_RAW, 1));
    assert_eq!((letter.site, letter.time), (SITE, TIME));
    assert_eq!(letter.payload.len(), DEAD_LETTER_BYTES_MAX);
    assert_eq!(letter.payload_length as usize, RECORD_BYTES_MAX + 1);
    let sizes = [RECORD_BYTES_MAX + 1, RECORD_BYTES_MAX].map(|size| size.to_string());
    for says in [sizes[0].as_str(), sizes[1].as_str(), topic::SHARES] {
        assert!(letter.detail.contains(says), "{}", letter.detail);
    }
    drop(driver);

    // What was refused is behind it: it is not met again.
    let mut driver = Driver::open(Swelling, &log).expect("opens");
    let taken = driver.step(1 << 20, usize::MAX, Duration::ZERO);
    assert_eq!(taken.expect("has nothing to do"), 0);
}
