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

#[test]
fn every_acknowledged_hit_is_there_once_whatever_was_killed() {
    let shown = crash(&["--seed", "4", "--kills", "24"]);
    let kills = shown.lines().find(|line| line.starts_with("kills"));
    for part in ["collect", "enrich", "sink", "broker", "clickhouse"] {
        assert!(kills.is_some_and(|line| line.contains(part)), "{shown}");
    }
}
