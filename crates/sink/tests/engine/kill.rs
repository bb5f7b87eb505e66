//! `kill -9` of engine and sink together, at seeded moments.
//!
//! The child is this test binary again, running the test named by [`CHILD`] with a directory in
//! its environment: it opens log and engine, appends records and drains them for ever.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use grapevine_log::{Commit, Durability, Log};
use grapevine_sink::{Depth, Options, audit, lag, migrate, topics};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

use crate::embedded::Server;
use crate::generate::Generator;
use crate::server::{Turn, block_on, client_of, drain, quick, show_log};

const CHILD: &str = "kill::appends_and_sinks_until_killed";
const DIRECTORY: &str = "GRAPEVINE_SINK_KILL_DIRECTORY";
const SEED: &str = "GRAPEVINE_SINK_KILL_SEED";

/// Records that wait for the sink at most.
const BACKLOG_MAX: u64 = 1_500;

fn options() -> Options {
    Options {
        batch_rows_max: 150,
        linger: Duration::from_millis(3),
        ..quick()
    }
}

#[test]
fn appends_and_sinks_until_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = Path::new(&directory);
    let seed: u64 = std::env::var(SEED).expect("seed").parse().expect("number");
    let log = std::sync::Arc::new(Log::open(&directory.join("log.redb")).expect("log"));
    show_log();
    let server = Server::start_in(&directory.join("clickhouse"));
    block_on(async {
        migrate(&client_of(server.address)).await.expect("migrates");
        std::fs::write(directory.join("ready"), b"").expect("says so");
        let (_stop, stopped) = watch::channel(false);
        let sink = tokio::spawn(grapevine_sink::run(
            std::sync::Arc::clone(&log),
            client_of(server.address),
            options(),
            stopped,
        ));
        let mut generator = Generator::new(seed);
        while !sink.is_finished() {
            let mut commit = Commit::default();
            for topic in topics() {
                for _ in 0..generator.number(120) {
                    generator.append(topic, &mut commit, 45);
                }
            }
            // As stages do: only the sink's own plans make it durable.
            log.commit(&commit, Durability::Replayable)
                .expect("commits");
            tokio::time::sleep(Duration::from_millis(generator.number(15))).await;
            // What is left over is drained at the end, in batches as small as these.
            while lag(&log).expect("log") > BACKLOG_MAX && !sink.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let error = sink.await.expect("no panic").expect_err("nobody stops it");
        std::fs::write(directory.join("error"), error.to_string()).expect("says so");
        std::process::abort();
    });
}

/// Where the children's log lines go, one after the other.
fn said(directory: &Path) -> std::fs::File {
    let path = directory.join("said");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    file.expect("a file for what the child says")
}

/// What was said from byte `from` on.
fn said_since(directory: &Path, from: u64) -> String {
    let mut file = std::fs::File::open(directory.join("said")).expect("said");
    file.seek(SeekFrom::Start(from)).expect("seeks");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    text
}

fn times(said: &str, what: &str) -> usize {
    said.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn nothing_is_lost_or_double_after_kills() {
    let kills: u64 = std::env::var("GRAPEVINE_SINK_KILLS")
        .ok()
        .map_or(20, |kills| kills.parse().expect("a number of kills"));
    // On the file system of the stores, to which it is moved in the end.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("directory");
    let mut dice = ChaCha8Rng::seed_from_u64(17);
    for seed in 0..kills {
        let ready = directory.path().join("ready");
        let _ = std::fs::remove_file(&ready);
        let before = said(directory.path()).metadata().expect("said").len();
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .env(SEED, seed.to_string())
            .env("RUST_LOG", "grapevine_sink=debug")
            .stdout(said(directory.path()))
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        while !ready.exists() {
            assert_eq!(
                child.try_wait().expect("child"),
                None,
                "kill {seed}: child is up"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        // One in four dies while it finishes what the last one had planned; the others after so
        // many batches of their own, at any moment of the next.
        let batches = match dice.random_ratio(1, 4) {
            true => 0,
            false => dice.random_range(1..12),
        };
        while times(
            &said_since(directory.path(), before),
            "batch is in clickhouse",
        ) < batches
        {
            assert_eq!(
                child.try_wait().expect("child"),
                None,
                "kill {seed}: child goes on"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(dice.random_range(0..60)));
        child.kill().expect("kills");
        child.wait().expect("child");
        let error = std::fs::read_to_string(directory.path().join("error")).unwrap_or_default();
        assert_eq!(error, "", "kill {seed}");
    }
    let said = said_since(directory.path(), 0);
    let (finished, swallowed) = (
        times(&said, "finishing the batch planned before"),
        times(&said, "token without rows"),
    );
    // Without it the kills would have hit nothing.
    assert!(
        finished as u64 > kills / 2,
        "{finished} batches were under way"
    );
    let turn = Turn::take_in(directory);
    block_on(async {
        let client = turn.client();
        drain(&turn.log, &client, options()).await.expect("drains");
        let audit = audit(&turn.log, &client, Depth::Groups)
            .await
            .expect("audits");
        assert!(audit.is_clean(), "{:?}", audit.problems);
        for topic in &audit.topics {
            assert_eq!(topic.committed, topic.end, "{topic:?}");
            assert_eq!(
                topic.last.map(|last| last + 1),
                Some(topic.end),
                "{topic:?}"
            );
        }
        let rows: u64 = audit.topics.iter().map(|topic| topic.rows).sum();
        assert!(rows > kills * 100, "{rows} rows");
        tracing::info!(kills, rows, finished, swallowed, "every row once");
    });
}
