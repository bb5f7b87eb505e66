//! The microservices on Apache Kafka and ClickHouse, all of them killed at seeded moments:
//! `crash`, as docs/crash-tests.md says how to run it for longer.

use std::process::{Command, Output, Stdio};

fn crash(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("runs")
}

#[test]
fn every_acknowledged_hit_is_there_once_whatever_was_killed() {
    let output = crash(&["--seed", "4", "--kills", "24"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "seed 4 did not hold: {shown}");
    for part in ["collect", "enrich", "sink", "broker", "clickhouse"] {
        let kills = shown.lines().find(|line| line.starts_with("kills"));
        assert!(kills.is_some_and(|line| line.contains(part)), "{shown}");
    }
}
