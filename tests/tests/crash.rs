//! `kill -9` of the real process at seeded random moments: every row and every aggregate must be
//! as if nothing had happened.
//!
//! `GRAPEVINE_KILLS` sets how many kills each test makes; docs/crash-tests.md says what 500 showed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use grapevine_tests::{Local, Moments, answer, command, contents, fixed_pseudonyms, query};
use serde_json::json;

fn kills(default: u64) -> u64 {
    match std::env::var("GRAPEVINE_KILLS") {
        Ok(text) => text.parse().expect("GRAPEVINE_KILLS is a number"),
        Err(_) => default,
    }
}

/// A simulated access log of about `requests` lines.
fn simulated_log(dir: &Path, requests: u64, seed: u64) -> String {
    let path = dir.join("access.log").display().to_string();
    answer(
        dir,
        &[
            "simulate",
            "--requests",
            &requests.to_string(),
            "--seed",
            &seed.to_string(),
            "--out",
            &path,
        ],
    );
    path
}

#[test]
fn an_import_killed_again_and_again_gives_the_rows_of_an_undisturbed_one() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = simulated_log(dir.path(), 60_000, 3);
    let (undisturbed, killed) = (dir.path().join("undisturbed"), dir.path().join("killed"));
    for data_dir in [&undisturbed, &killed] {
        fixed_pseudonyms(data_dir);
    }
    let started = std::time::Instant::now();
    answer(
        &undisturbed,
        &["import", "--quiet", "--site", "news.example", &log],
    );
    let whole = started.elapsed();

    let mut moments = Moments::new(11);
    for _ in 0..kills(10) {
        let mut import = command(&killed)
            .args(["import", "--quiet", "--site", "news.example", &log])
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        // From before the engine is up to after the last line was read.
        let after = moments.below(u64::try_from(whole.as_millis()).expect("short"));
        std::thread::sleep(Duration::from_millis(after));
        import.kill().expect("kills");
        import.wait().expect("gone");
    }
    answer(
        &killed,
        &["import", "--quiet", "--site", "news.example", &log],
    );
    let expected = contents(&undisturbed);
    assert!(
        expected
            .lines()
            .next()
            .expect("rows")
            .split('\t')
            .nth(1)
            .expect("count")
            != "0",
        "{expected}"
    );
    assert_eq!(contents(&killed), expected);

    // And once more changes nothing.
    answer(
        &killed,
        &["import", "--quiet", "--site", "news.example", &log],
    );
    assert_eq!(contents(&killed), expected);
}

#[test]
fn hits_sent_while_the_process_is_killed_are_there_once_each() {
    const BATCH: u64 = 50;
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("client");
    let hits = |batch: u64| -> String {
        let hit = |number: u64| {
            json!({
                "site": "news.example",
                "url": format!("https://news.example/2026/article-{}", number % 40),
                "id": format!("hit-{number}"),
                "visitor": format!("reader-{number}"),
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            })
            .to_string()
        };
        (batch * BATCH..(batch + 1) * BATCH)
            .map(hit)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let mut moments = Moments::new(5);
    let mut acknowledged = BTreeSet::new();
    let mut batch = 0;
    for _ in 0..kills(8) {
        let local = Local::start(&data_dir);
        let url = format!("{}/v1/hits", local.collector);
        let deadline = std::time::Instant::now() + Duration::from_millis(100 + moments.below(2000));
        let (client, mut next) = (client.clone(), batch);
        let sender = std::thread::spawn(move || {
            // Sends until the process is gone; an unanswered batch is sent again to the next one.
            while let Ok(answer) = client.post(&url).body(hits(next)).send() {
                match answer.status().as_u16() {
                    200 => next += 1,
                    // The stages have fallen behind, killed as often as they are: nothing of it
                    // was taken.
                    503 => std::thread::sleep(Duration::from_millis(100)),
                    other => panic!("{other}: {:?}", answer.text()),
                }
            }
            next
        });
        std::thread::sleep(deadline.saturating_duration_since(std::time::Instant::now()));
        local.kill();
        let reached = sender.join().expect("sender");
        acknowledged.extend(batch..reached);
        batch = reached;
    }
    assert!(
        acknowledged.len() > 10,
        "hits got through between the kills: {}",
        acknowledged.len()
    );
    // The batch under way at the last kill comes again, as a client's retry would.
    let local = Local::start(&data_dir);
    let url = format!("{}/v1/hits", local.collector);
    while client
        .post(&url)
        .body(hits(batch))
        .send()
        .expect("sent")
        .status()
        != 200
    {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");

    let sent = (batch + 1) * BATCH;
    let rows = query(
        &data_dir,
        "SELECT count(), uniqExact(visit_id), uniqExact(visitor) FROM grapevine.visits",
    );
    assert_eq!(rows.trim(), format!("{sent}\t{sent}\t{sent}"));
    let hours = "SELECT sum(visits) FROM (SELECT count() AS visits FROM grapevine.visits GROUP BY toStartOfHour(time), channel, app)";
    for projections in [0, 1] {
        let sum = query(
            &data_dir,
            &format!("{hours} SETTINGS optimize_use_projections = {projections}"),
        );
        assert_eq!(sum.trim(), sent.to_string(), "projections {projections}");
    }
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.dead_letters").trim(),
        "0"
    );
}
