//! The log against a model of it: vectors and maps.

use std::collections::BTreeMap;

use grapevine_log::{Commit, Durability, Log, LogError, Position};
use proptest::prelude::*;

const TOPICS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    Append {
        topic: usize,
        records: Vec<Vec<u8>>,
        durability: Durability,
    },
    Advance {
        to: u64,
    },
    Put {
        key: u8,
        value: Option<Vec<u8>>,
    },
    Trim {
        topic: usize,
        offset: u64,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..20);
    let durability = prop_oneof![Just(Durability::Durable), Just(Durability::Replayable)];
    prop_oneof![
        6 => (0..2usize, records, durability).prop_map(|(topic, records, durability)| Step::Append { topic, records, durability }),
        2 => (0..50u64).prop_map(|to| Step::Advance { to }),
        2 => (any::<u8>(), any::<Option<Vec<u8>>>()).prop_map(|(key, value)| Step::Put { key, value }),
        1 => (0..2usize, 0..60u64).prop_map(|(topic, offset)| Step::Trim { topic, offset }),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_log_is_what_was_committed(steps in prop::collection::vec(step(), 1..40), read_bytes in 1..5000usize) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("log.redb");
        let mut log = Log::open(&path).expect("opens");
        let mut topics = [Vec::<Vec<u8>>::new(), Vec::new()];
        let mut trimmed = [0u64; 2];
        let mut position = Position::default();
        let mut values = BTreeMap::<u8, Vec<u8>>::new();
        let mut commit = Commit::default();
        for step in steps {
            commit.clear();
            match step {
                Step::Append { topic, records, durability } => {
                    for record in &records {
                        commit.append(TOPICS[topic], record);
                    }
                    let committed = log.commit(&commit, durability).expect("commits");
                    prop_assert_eq!(committed.first_offsets[TOPICS[topic]], topics[topic].len() as u64);
                    topics[topic].extend(records);
                }
                Step::Advance { to } => {
                    let to = Position { offset: to, metadata: to.to_string().into_bytes() };
                    commit.advance("stage", "a", position.offset, to.clone());
                    log.commit(&commit, Durability::Durable).expect("commits");
                    position = to;
                }
                Step::Put { key, value } => {
                    match value {
                        Some(value) => { commit.put(&[b'v', key], value.clone()); values.insert(key, value); }
                        None => { commit.remove(&[b'v', key]); values.remove(&key); }
                    }
                    log.commit(&commit, Durability::Replayable).expect("commits");
                }
                Step::Trim { topic, offset } => {
                    log.trim(TOPICS[topic], offset).expect("trims");
                    trimmed[topic] = trimmed[topic].max(offset.min(topics[topic].len() as u64));
                }
                Step::Reopen => {
                    drop(log);
                    log = Log::open(&path).expect("opens again");
                }
            }
        }
        for (index, topic) in TOPICS.into_iter().enumerate() {
            prop_assert_eq!(log.end(topic).expect("end"), topics[index].len() as u64);
            let mut offset = trimmed[index];
            while offset < topics[index].len() as u64 {
                let batch = log.read(topic, offset, read_bytes).expect("reads");
                prop_assert!(!batch.is_empty());
                for (at, record) in &batch {
                    prop_assert_eq!(at, offset);
                    prop_assert_eq!(record, topics[index][at as usize].as_slice());
                    offset += 1;
                }
                prop_assert_eq!(batch.next_offset(), offset);
            }
            prop_assert!(log.read(topic, offset, read_bytes).expect("reads the end").is_empty());
        }
        prop_assert_eq!(log.position("stage", "a").expect("position"), position);
        let stored = log.values_below(b"v").expect("values");
        let expected: Vec<_> = values.into_iter().map(|(key, value)| (vec![b'v', key], value)).collect();
        prop_assert_eq!(stored, expected);
    }
}

#[test]
fn a_consumer_that_stands_elsewhere_is_fenced_and_nothing_is_appended() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = Log::open(&dir.path().join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    commit.append("out", b"once");
    commit.advance(
        "stage",
        "in",
        0,
        Position {
            offset: 5,
            metadata: Vec::new(),
        },
    );
    log.commit(&commit, Durability::Durable).expect("first");
    let again = log.commit(&commit, Durability::Durable);
    assert!(
        matches!(
            again,
            Err(LogError::Fenced {
                expected: 0,
                found: 5,
                ..
            })
        ),
        "{again:?}"
    );
    assert_eq!(log.end("out").expect("end"), 1);
}

#[test]
fn what_was_trimmed_is_said_to_be() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = Log::open(&dir.path().join("log.redb")).expect("opens");
    for _ in 0..4 {
        let mut commit = Commit::default();
        commit.append("t", b"1");
        commit.append("t", b"2");
        log.commit(&commit, Durability::Durable).expect("commits");
    }
    log.trim("t", 5).expect("trims whole blocks below 5");
    let read = log.read("t", 1, 10);
    assert!(
        matches!(
            read,
            Err(LogError::Trimmed {
                asked: 1,
                first: 4,
                ..
            })
        ),
        "{read:?}"
    );
    assert_eq!(log.read("t", 4, 10).expect("kept").first_offset(), 4);
    log.trim("t", 8).expect("trims all");
    assert!(matches!(
        log.read("t", 6, 10),
        Err(LogError::Trimmed {
            asked: 6,
            first: 8,
            ..
        })
    ));
    assert!(log.read("t", 8, 10).expect("the end").is_empty());
}

#[test]
fn a_second_process_and_a_newer_format_are_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("log.redb");
    let log = Log::open(&path).expect("opens");
    assert!(matches!(Log::open(&path), Err(LogError::InUse(_))));
    let mut commit = Commit::default();
    commit.put(b"format", 99u32.to_le_bytes().to_vec());
    log.commit(&commit, Durability::Durable).expect("commits");
    drop(log);
    assert!(matches!(
        Log::open(&path),
        Err(LogError::Newer { found: 99, .. })
    ));
}

#[test]
fn a_record_over_the_limit_is_refused_whole() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = Log::open(&dir.path().join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    commit.append("t", b"small");
    commit.append("t", &vec![0; grapevine_log::RECORD_BYTES_MAX + 1]);
    assert!(matches!(
        log.commit(&commit, Durability::Durable),
        Err(LogError::TooLarge(_))
    ));
    assert_eq!(log.end("t").expect("end"), 0);
}

#[test]
fn a_reader_that_waits_is_woken() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = Log::open(&dir.path().join("log.redb")).expect("opens");
    let patience = std::time::Duration::from_secs(60);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            log.read_waiting("t", 0, 100, patience)
                .expect("reads")
                .len()
        });
        let mut commit = Commit::default();
        commit.append("t", b"record");
        log.commit(&commit, Durability::Durable).expect("commits");
        assert_eq!(reader.join().expect("joins"), 1);
    });
}
