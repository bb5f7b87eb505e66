use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use grapevine_kafka_testing::{HttpServer, Response};
use grapevine_log::{Batch, Commit, Durability, LocalPartition, Log, Position};

use super::*;
use crate::driver::tests::{Few, RECORDS, fed, input};

/// Longest wait for something that has to come. The machine may be busy.
const LONG: Duration = Duration::from_secs(60);
/// What a store answers that has no states.
const NO_STATES: &[u8] = b"<ListBucketResult></ListBucketResult>";

/// Whether it came to be so.
fn came(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// A store without states, and whether it is there.
fn store(is_there: &Arc<AtomicBool>) -> (HttpServer, StateStore) {
    let is_there = Arc::clone(is_there);
    let answer = move |_| match is_there.load(Ordering::Relaxed) {
        true => Response {
            status: "200 OK",
            body: NO_STATES.to_vec(),
        },
        false => Response {
            status: "503 Service Unavailable",
            body: Vec::new(),
        },
    };
    let server = HttpServer::start("application/xml", answer).expect("starts");
    let states = StateStore::of_server(&server.url());
    (server, states)
}

#[test]
fn a_store_that_is_away_is_waited_for_and_who_is_told_to_stop_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let is_there = Arc::new(AtomicBool::new(false));
    let (_server, states) = store(&is_there);
    let is_missed = AtomicBool::new(false);
    let work = |stop: &StopSignal| {
        let tells = |recovery: Recovery| match recovery {
            Recovery::StoreAway => is_missed.store(true, Ordering::Relaxed),
            Recovery::Making | Recovery::Over => {}
        };
        drive_telling(&|| Few(0), input::<Few>(&log), &states, false, stop, &tells)
    };
    let stands_at = || {
        let position = log.position(Few::NAME, Few::INPUT).expect("reads");
        position.offset
    };

    let stop = StopSignal::new();
    let (missed, ended) = std::thread::scope(|scope| {
        let working = scope.spawn(|| work(&stop));
        let missed = came(|| is_missed.load(Ordering::Relaxed));
        stop.stop();
        (missed, working.join().expect("whole"))
    });
    assert!(missed, "it is told that the store is away");
    ended.expect("a store that is away is no reason to end");
    assert_eq!(stands_at(), 0, "nothing is begun without a state");

    is_missed.store(false, Ordering::Relaxed);
    let stop = StopSignal::new();
    let (missed, done, ended) = std::thread::scope(|scope| {
        let working = scope.spawn(|| work(&stop));
        let missed = came(|| is_missed.load(Ordering::Relaxed));
        is_there.store(true, Ordering::Relaxed);
        let done = came(|| stands_at() == RECORDS);
        stop.stop();
        (missed, done, working.join().expect("whole"))
    });
    assert!(missed, "it is told again");
    assert!(done, "the work goes on");
    ended.expect("ends well");
}

#[test]
fn a_store_that_refuses_ends_the_work_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let answer = |_| Response {
        status: "403 Forbidden",
        body: Vec::new(),
    };
    let server = HttpServer::start("application/xml", answer).expect("starts");
    let states = StateStore::of_server(&server.url());
    let stop = StopSignal::new();
    let tells = |recovery: Recovery| {
        if recovery == Recovery::StoreAway {
            // It waits, which it should not: let it end.
            stop.stop();
        }
    };
    let ended = drive_telling(
        &|| Few(0),
        input::<Few>(&log),
        &states,
        false,
        &stop,
        &tells,
    );
    let error = ended.expect_err("refused");
    assert!(matches!(error, RunError::Saved { .. }), "{error}");
    assert!(error.to_string().contains("kafka.states"), "{error}");
}

/// A partition that is wanted back after so many looks.
struct Lent<'l> {
    partition: LocalPartition<&'l Log>,
    looks_left: AtomicU32,
}

impl Partition for Lent<'_> {
    fn topic(&self) -> &str {
        self.partition.topic()
    }

    fn partition(&self) -> i32 {
        self.partition.partition()
    }

    fn position(&self) -> Result<Position, LogError> {
        self.partition.position()
    }

    fn confirm(&self) -> Result<(), LogError> {
        self.partition.confirm()
    }

    fn end(&self) -> Result<u64, LogError> {
        self.partition.end()
    }

    fn read(&self, offset: u64, bytes_max: usize) -> Result<Batch, LogError> {
        self.partition.read(offset, bytes_max)
    }

    fn read_waiting(
        &self,
        offset: u64,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Batch, LogError> {
        self.partition.read_waiting(offset, bytes_max, patience)
    }

    fn commit(
        &self,
        commit: &mut Commit,
        from: u64,
        to: Position,
        durability: Durability,
    ) -> Result<(), LogError> {
        self.partition.commit(commit, from, to, durability)
    }

    fn wanted_back(&self) -> bool {
        let left = self.looks_left.load(Ordering::Relaxed);
        self.looks_left
            .store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }
}

#[test]
fn a_partition_that_is_wanted_back_waits_for_no_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fed(directory.path());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let states = StateStore::of_server(&format!("http://{address}"));
    let lent = Lent {
        partition: input::<Few>(&log),
        // Before it begins, and while it waits for an answer.
        looks_left: AtomicU32::new(3),
    };
    let started = Instant::now();
    let ended = drive(&|| Few(0), lent, &states, false, &StopSignal::new());
    assert!(
        matches!(
            ended,
            Err(RunError::Log {
                source: LogError::Revoked { .. },
                ..
            })
        ),
        "{ended:?}"
    );
    // Less than the 30 s of one request.
    assert!(started.elapsed() < Duration::from_secs(20));
}
