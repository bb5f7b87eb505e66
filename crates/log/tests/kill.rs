//! `kill -9` of a writing process: what was durable is there, and nothing is half there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use grapevine_log::{Commit, Durability, Log, Position};

const DIRECTORY: &str = "GRAPEVINE_LOG_KILL_TEST_DIRECTORY";

/// The child: appends inputs durably, works them off replayably, says what is durable.
fn write_for_ever(path: &std::path::Path) {
    let log = Log::open(path).expect("opens");
    let mut out = std::io::stdout();
    loop {
        let end = log.end("in").expect("end");
        let mut commit = Commit::default();
        for offset in end..end + 7 {
            commit.append("in", &offset.to_le_bytes().repeat(100));
        }
        log.commit(&commit, Durability::Durable).expect("durable");
        use std::io::Write;
        writeln!(out, "{}", end + 7)
            .and_then(|()| out.flush())
            .expect("said");
        let from = log.position("stage", "in").expect("position").offset;
        let batch = log.read("in", from, 4096).expect("reads");
        let mut outputs = Commit::default();
        for (_, record) in &batch {
            outputs.append("out", record);
        }
        let to = Position {
            offset: batch.next_offset(),
            metadata: Vec::new(),
        };
        outputs.advance("stage", "in", from, to);
        log.commit(&outputs, Durability::Replayable)
            .expect("replayable");
        log.trim("in", from).expect("trims");
    }
}

#[test]
fn a_kill_loses_nothing_durable_and_tears_nothing() {
    if let Some(path) = std::env::var_os(DIRECTORY) {
        write_for_ever(std::path::Path::new(&path));
    }
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("log.redb");
    for round in 0..15u64 {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args([
                "--exact",
                "a_kill_loses_nothing_durable_and_tears_nothing",
                "--nocapture",
            ])
            .env(DIRECTORY, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut acknowledged = 0;
        // Killed in the midst of work, after another number of rounds each time.
        for _ in 0..2 + round * 3 {
            let said = lines.find_map(|line| line.ok()?.trim().parse::<u64>().ok());
            acknowledged = said.expect("the child goes on until it is killed");
        }
        child.kill().expect("kills");
        acknowledged = lines
            .map_while(Result::ok)
            .filter_map(|line| line.parse().ok())
            .last()
            .unwrap_or(acknowledged);
        child.wait().expect("gone");

        let log = Log::open(&path).expect("opens after the kill");
        assert!(
            log.end("in").expect("end") >= acknowledged,
            "acknowledged {acknowledged}"
        );
        let position = log.position("stage", "in").expect("position").offset;
        assert_eq!(
            log.end("out").expect("end"),
            position,
            "outputs and position are one"
        );
        let mut offset = 0;
        while offset < position {
            let batch = log.read("out", offset, 1 << 20).expect("reads");
            for (at, record) in &batch {
                assert_eq!(record, at.to_le_bytes().repeat(100), "offset {at}");
            }
            offset = batch.next_offset();
        }
        assert_eq!(offset, position);
    }
}
