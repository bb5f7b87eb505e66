//! The microservices on a cluster of three brokers and ClickHouse, all of them killed at seeded moments:
//! `crash`, as docs/crash-tests.md says how to run it for longer.

use std::process::{Command, Stdio};

/// Kills of one run: every kind of part twice at least.
const KILLS: &str = "10";

/// Runs it, which must hold; what it showed.
fn crash(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(["--brokers", "3", "--kills", KILLS])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Whatever may happen to a part has happened in this run: seeds are chosen so.
#[track_caller]
fn mixes_everything(shown: &str) {
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {shown}"))
    };
    for part in ["collect", "enrich", "sink", "broker", "clickhouse"] {
        assert!(line("kills").contains(part), "{part} was not: {shown}");
    }
    // A replica for longer than its session, and another part for a moment.
    assert!(line("pauses").contains(", "), "{shown}");
    assert!(!line("replicas").contains(" 0 joined"), "{shown}");
}

#[test]
fn every_acknowledged_hit_is_there_once_whatever_was_killed_and_records_are_framed() {
    mixes_everything(&crash(&["--seed", "1240", "--registry"]));
}

#[test]
fn every_acknowledged_hit_is_there_once_where_the_broker_deals_partitions() {
    mixes_everything(&crash(&["--seed", "109", "--protocol", "consumer"]));
}
