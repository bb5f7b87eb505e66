//! The microservices on Apache Kafka and ClickHouse, all of them killed at seeded moments:
//! `crash`, as docs/crash-tests.md says how to run it for longer.

use std::process::{Command, Stdio};

/// Runs it, which must hold; what it showed.
fn crash(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Not the broker: a lone one that is killed between deciding a transaction and telling its partitions
/// forgets to tell them (docs/crash-tests.md).
#[test]
fn every_acknowledged_hit_is_there_once_whatever_was_killed() {
    let parts = ["collect", "enrich", "sink", "clickhouse"];
    let mut arguments = vec!["--brokers", "1", "--seed", "4", "--kills", "16"];
    for part in parts {
        arguments.extend(["--only", part]);
    }
    let shown = crash(&arguments);
    let kills = shown.lines().find(|line| line.starts_with("kills"));
    for part in parts {
        assert!(kills.is_some_and(|line| line.contains(part)), "{shown}");
    }
}

/// Each broker leads a third of the partitions: whichever is killed, others take over.
#[test]
fn nothing_is_lost_when_one_broker_of_three_is_killed() {
    let shown = crash(&[
        "--seed",
        "3",
        "--kills",
        "4",
        "--brokers",
        "3",
        "--only",
        "broker",
    ]);
    assert!(shown.contains("broker 4"), "{shown}");
}
