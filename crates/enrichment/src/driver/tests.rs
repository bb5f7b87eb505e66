use std::path::Path;

use grapevine_event::topic;
use grapevine_inference::StateError;
use grapevine_log::Commit;

use super::*;
use crate::states::{StateStore, StoredStates};

const RECORDS: u64 = 3;

/// Remembers how many records there were.
struct Counting(u64);

impl Stage for Counting {
    const NAME: &'static str = "counting";
    const INPUT: &'static str = topic::HITS_RAW;

    fn process(&mut self, _: u64, _: &[u8], _: &mut Outputs) {
        self.0 += 1;
    }

    fn snapshot(&self) -> Result<Vec<u8>, StateError> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        let short = |_| StateError::Damaged("no number".to_owned());
        let bytes: [u8; 8] = snapshot.try_into().map_err(short)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }

    fn entries(&self) -> usize {
        1
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

fn fed(directory: &Path) -> Log {
    let log = Log::open(&directory.join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    for _ in 0..RECORDS {
        commit.append(Counting::INPUT, b"one");
    }
    log.commit(&commit, Durability::Durable).expect("commits");
    log
}

fn input(log: &Log) -> LocalPartition<&Log> {
    LocalPartition::new(log, Counting::NAME, Counting::INPUT)
}

type Tested<'l> = Driver<Counting, LocalPartition<&'l Log>, StoredStates>;

/// As on Kafka, where states lie outside of the log.
fn recovered(log: &Log, states: StoredStates) -> Result<Tested<'_>, RunError> {
    let outputs = Outputs::new(Counting::NAME, Counting::INPUT);
    Driver::recover(Counting(0), outputs, input(log), states).map_err(|(error, _)| error)
}

fn store(place: &Path) -> StateStore {
    StateStore::open(place.to_str().expect("a path")).expect("opens")
}

#[test]
fn offsets_that_are_gone_are_told_from_a_group_that_never_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let store = store(&directory.path().join("states"));
    let states = || store.of(Counting::NAME, 0);
    let fresh = recovered(&log, states()).map(|driver| driver.offset());
    assert_eq!(fresh.expect("begins"), 0);

    assert!(states().after_commit(2, &2_u64.to_le_bytes()));
    let refused = |at: u64| {
        let error = recovered(&log, states()).err().expect("refused");
        let said = error.to_string();
        assert!(
            matches!(error, RunError::Forgotten { saved: 2, first, .. } if first == at),
            "{said}"
        );
        assert!(said.contains("offsets.retention.minutes"), "{said}");
    };
    refused(0);
    // Whoever sets offsets by hand leaves no metadata.
    let set = |from: u64, offset: u64| {
        let to = Position {
            offset,
            metadata: Vec::new(),
        };
        let mut nothing = Commit::default();
        let set = input(&log).commit(&mut nothing, from, to, Durability::Durable);
        set.expect("commits");
    };
    set(0, 1);
    refused(1);
    set(1, RECORDS);
    let driver = recovered(&log, states()).expect("goes on where it stood");
    assert_eq!((driver.offset(), driver.stage.0), (RECORDS, RECORDS));
}

#[test]
fn a_store_that_refuses_is_counted_and_left_alone_for_a_while() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let place = directory.path().join("states");
    let store = store(&place);
    let told = |saved: u64, failed: u64| {
        let text = grapevine_metrics::render();
        let of = |name: &str| -> u64 {
            let series = format!("{name}{{stage=\"counting\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&series));
            value.map_or(0, |value| value.parse::<u64>().expect("a number"))
        };
        let found = (
            of("grapevine_state_snapshots_total"),
            of("grapevine_state_snapshots_failed_total"),
        );
        assert_eq!(found, (saved, failed));
    };
    let states = || store.of(Counting::NAME, 0);
    let mut driver = recovered(&log, states()).expect("begins");
    let taken = driver.step(READ_BYTES_MAX, usize::MAX, Duration::ZERO);
    assert_eq!(taken.expect("steps"), 3);

    // A file where the folder would be.
    let obstacle = place.join(Counting::NAME);
    std::fs::write(&obstacle, b"").expect("writes");
    driver.save_after(1).expect("goes on");
    told(0, 1);
    driver.save_after(1).expect("goes on");
    told(0, 1);
    let pause = |driver: &Tested<'_>| driver.held_off.map(|(_, pause)| pause);
    assert_eq!(pause(&driver), Some(SAVE_AGAIN));
    driver.held_off = Some((Instant::now(), SAVE_AGAIN_MAX / 2 + SAVE_AGAIN));
    driver.save_after(1).expect("goes on");
    told(0, 2);
    assert_eq!(pause(&driver), Some(SAVE_AGAIN_MAX));

    std::fs::remove_file(&obstacle).expect("removes");
    driver.save_after(1).expect("goes on");
    assert!(states().newest(RECORDS).expect("reads").is_none());
    driver.save_last().expect("saves");
    told(1, 2);
    let newest = states().newest(RECORDS).expect("reads");
    assert_eq!(newest, Some((RECORDS, RECORDS.to_le_bytes().to_vec())));
    driver.save_last().expect("has nothing to do");
    told(1, 2);
}
