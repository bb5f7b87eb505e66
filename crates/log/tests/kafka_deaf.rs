//! A broker that its controller shut out for a moment, and clients that heard of partitions without
//! a leader.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grapevine_kafka_testing::Cluster;
use grapevine_log::kafka::topics::{self, Creation, Wish};
use grapevine_log::kafka::{Connection, Producer};
use grapevine_log::{Commit, LogError};

/// Longest wait for something that has to come. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// A broker that is silent for so long is shut out.
const SESSION: Duration = Duration::from_millis(1_500);
/// How often it is, and how long it works before the next time.
const PAUSES: u32 = 6;
const CALM: Duration = Duration::from_secs(3);

/// Appends for as long as it takes, as a collector does.
fn append(producer: &Producer, number: u32) {
    let mut commit = Commit::default();
    for record in 0..30 {
        commit.append("out", format!("{number} {record}").as_bytes());
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match producer.append(&commit, Duration::from_secs(2)) {
            Ok(()) => return,
            Err(LogError::Away(reason)) => {
                assert!(Instant::now() < deadline, "batch {number}: {reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Without a client of its own for the next try, the producer sends nothing any more after some of
/// these pauses (librdkafka's issue 5430).
#[test]
fn a_broker_that_was_shut_out_is_written_to_again() {
    let mut cluster = Cluster::builder()
        .property(
            "broker.session.timeout.ms",
            &SESSION.as_millis().to_string(),
        )
        .start()
        .expect("a cluster");
    let connection = Connection::new(&cluster.bootstrap(), BTreeMap::new(), None);
    let connection = connection.expect("a connection");
    let wish = Wish {
        name: "out",
        partitions: Some(3),
        retention: Duration::from_secs(7 * 86_400),
        retention_min: Duration::from_secs(86_400),
    };
    let creation = Creation {
        allowed: true,
        replication: Some(1),
        partitions: 3,
    };
    let partitions = topics::ensure(&connection, &[wish], creation).expect("topics");
    let producer = Producer::new(&connection, partitions).expect("a producer");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Without a break, so that the broker hears of records while it is shut out.
        scope.spawn(|| {
            for number in 0.. {
                append(&producer, number);
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..PAUSES {
            std::thread::sleep(CALM);
            cluster.pause(0);
            std::thread::sleep(2 * SESSION);
            cluster.resume(0);
        }
        over.store(true, Ordering::Relaxed);
    });
}
