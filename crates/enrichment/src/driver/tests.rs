use std::path::Path;

use grapevine_event::topic;
use grapevine_inference::StateError;
use grapevine_log::Commit;

use super::*;
use crate::states::{StateStore, StoredStates};

pub(crate) const RECORDS: u64 = 3;
/// Somebody waits.
const WANTED: &dyn Fn() -> bool = &|| false;

/// A stage that remembers how many records there were. Each has a name of its own, and so metrics
/// of its own: tests run side by side.
macro_rules! counting {
    ($stage:ident, $name:literal) => {
        pub(crate) struct $stage(pub(crate) u64);

        impl Stage for $stage {
            const NAME: &'static str = $name;
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
    };
}

counting!(Counting, "counting");
counting!(Few, "few");

pub(crate) fn fed(directory: &Path) -> Log {
    let log = Log::open(&directory.join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    for _ in 0..RECORDS {
        commit.append(topic::HITS_RAW, b"one");
    }
    log.commit(&commit, Durability::Durable).expect("commits");
    log
}

pub(crate) fn input<S: Stage>(log: &Log) -> LocalPartition<&Log> {
    LocalPartition::new(log, S::NAME, S::INPUT)
}

type Tested<'l, S> = Driver<S, LocalPartition<&'l Log>, StoredStates>;

/// As on Kafka, where states lie outside of the log.
fn recovered<S: Stage>(
    stage: S,
    log: &Log,
    states: StoredStates,
) -> Result<Tested<'_, S>, RunError> {
    let outputs = Outputs::new(S::NAME, S::INPUT);
    Driver::recover(stage, outputs, input::<S>(log), states).map_err(|(error, _)| error)
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
    let fresh = recovered(Counting(0), &log, states()).map(|driver| driver.offset());
    assert_eq!(fresh.expect("begins"), 0);

    assert!(states().after_commit(2, &2_u64.to_le_bytes()));
    let refused = |at: u64| {
        let error = recovered(Counting(0), &log, states())
            .err()
            .expect("refused");
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
        let set = input::<Counting>(&log).commit(&mut nothing, from, to, Durability::Durable);
        set.expect("commits");
    };
    set(0, 1);
    refused(1);
    set(1, RECORDS);
    let driver = recovered(Counting(0), &log, states()).expect("goes on where it stood");
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
    let mut driver = recovered(Counting(0), &log, states()).expect("begins");
    let taken = driver.step(READ_BYTES_MAX, usize::MAX, Duration::ZERO);
    assert_eq!(taken.expect("steps"), 3);

    // A file where the folder would be.
    let obstacle = place.join(Counting::NAME);
    std::fs::write(&obstacle, b"").expect("writes");
    driver.save_after(1).expect("goes on");
    told(0, 1);
    driver.save_after(1).expect("goes on");
    told(0, 1);
    let pause = |driver: &Tested<'_, Counting>| driver.held_off.map(|(_, pause)| pause);
    assert_eq!(pause(&driver), Some(SAVE_AGAIN));
    driver.held_off = Some((Instant::now(), SAVE_AGAIN_MAX / 2 + SAVE_AGAIN));
    driver.save_after(1).expect("goes on");
    told(0, 2);
    assert_eq!(pause(&driver), Some(SAVE_AGAIN_MAX));

    std::fs::remove_file(&obstacle).expect("removes");
    driver.save_after(1).expect("goes on");
    assert!(states().newest(RECORDS, WANTED).expect("reads").is_none());
    driver.save_last().expect("saves");
    told(1, 2);
    let newest = states().newest(RECORDS, WANTED).expect("reads");
    assert_eq!(newest, Some((RECORDS, RECORDS.to_le_bytes().to_vec())));
    driver.save_last().expect("has nothing to do");
    told(1, 2);
}

/// As if the hour were over.
fn an_hour_later(driver: &mut Tested<'_, Few>) {
    driver.save_by = driver.save_by.map(|by| by - SAVE_WITHIN);
}

fn step(driver: &mut Tested<'_, Few>) {
    let taken = driver.step(READ_BYTES_MAX, 1, Duration::ZERO);
    assert_eq!(taken.expect("steps"), 1);
}

#[test]
fn few_records_are_saved_within_the_hour_and_the_input_may_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let store = store(&directory.path().join("states"));
    let states = || store.of(Few::NAME, 0);
    let saved = || {
        let newest = states().newest(RECORDS, WANTED).expect("reads");
        newest.map(|(offset, _)| offset)
    };
    let mut driver = recovered(Few(0), &log, states()).expect("begins");
    step(&mut driver);
    driver.save_after(SNAPSHOT_RECORDS_IDLE).expect("goes on");
    assert_eq!(saved(), None, "it is not due");
    an_hour_later(&mut driver);
    step(&mut driver);
    assert_eq!(saved(), Some(2), "as records keep coming");
    step(&mut driver);
    assert_eq!(saved(), Some(2), "a save begins the hour anew");
    an_hour_later(&mut driver);
    driver.save_after(SNAPSHOT_RECORDS_IDLE).expect("saves");
    assert_eq!(saved(), Some(RECORDS), "where no more come");
    assert!(driver.save_by.is_none(), "nothing waits");
    drop(driver);

    // Killed, and away for longer than the input is kept.
    log.trim(Few::INPUT, RECORDS).expect("trims");
    let driver = recovered(Few(0), &log, states()).expect("begins from what was saved");
    assert_eq!((driver.offset(), driver.stage.0), (RECORDS, RECORDS));
}

#[test]
fn who_is_killed_every_hour_saves_what_was_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let store = store(&directory.path().join("states"));
    let states = || store.of(Few::NAME, 0);
    let mut driver = recovered(Few(0), &log, states()).expect("begins");
    step(&mut driver);
    drop(driver);
    assert!(states().newest(RECORDS, WANTED).expect("reads").is_none());
    let mut driver = recovered(Few(0), &log, states()).expect("replays");
    driver.save_after(SNAPSHOT_RECORDS_IDLE).expect("saves");
    let newest = states().newest(RECORDS, WANTED).expect("reads");
    assert_eq!(newest, Some((1, 1_u64.to_le_bytes().to_vec())));
}
