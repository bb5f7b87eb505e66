//! `grapevine audit` and `grapevine replay` on a data directory, as a user would run them.

use std::path::{Path, PathBuf};

use grapevine_tests::{answer, query, run};
use serde_json::Value;

fn imported(dir: &Path) -> PathBuf {
    let data_dir = dir.join("data");
    import(&data_dir, "4");
    data_dir
}

/// Imports the simulated log of a seed.
fn import(data_dir: &Path, seed: &str) {
    let file = data_dir.with_extension(format!("{seed}.log"));
    let file = file.display().to_string();
    let simulate = [
        "simulate",
        "--requests",
        "3000",
        "--seed",
        seed,
        "--out",
        &file,
    ];
    answer(data_dir, &simulate);
    let import = ["import", "--quiet", "--site", "news.example", &file];
    answer(data_dir, &import);
}

/// What an audit says, and its exit code.
fn audited(data_dir: &Path, arguments: &[&str]) -> (Value, i32) {
    let mut all = vec!["audit", "--format", "json"];
    all.extend(arguments);
    let output = run(data_dir, &all);
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {said}");
    });
    (json, output.status.code().unwrap_or(-1))
}

#[test]
fn damage_is_seen_and_mended_and_the_exit_code_says_so() {
    let dir = tempfile::tempdir().expect("tempdir");
    let output = run(&dir.path().join("nothing"), &["audit"]);
    assert_eq!(output.status.code(), Some(66), "there is nothing to audit");

    let data_dir = imported(dir.path());
    let (clean, code) = audited(&data_dir, &["--deep"]);
    assert_eq!((code, &clean["clean"]), (0, &Value::Bool(true)), "{clean}");
    let visits = query(&data_dir, "SELECT count() FROM grapevine.visits");
    let text = answer(&data_dir, &["audit"]);
    assert!(text.contains("all is well"), "{text}");
    assert!(text.contains(visits.trim()), "{text}");

    query(
        &data_dir,
        "ALTER TABLE grapevine.visits DELETE WHERE offset IN (3, 5) SETTINGS mutations_sync = 2",
    );
    query(
        &data_dir,
        "INSERT INTO grapevine.visits SELECT * FROM grapevine.visits WHERE offset = 7",
    );
    let (damaged, code) = audited(&data_dir, &[]);
    assert_eq!(code, 65, "{damaged}");
    let problems = damaged["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{damaged}");
    assert_eq!(problems[0]["problem"], "missing");
    assert_eq!(problems[0]["records"], 2);
    assert_eq!(problems[1]["problem"], "double");

    let (mended, code) = audited(&data_dir, &["--repair"]);
    assert_eq!(code, 0, "{mended}");
    assert_eq!(mended["repair"]["inserted"], 2, "{mended}");
    assert_eq!(mended["repair"]["removed"], 1, "{mended}");
    let (clean, code) = audited(&data_dir, &["--deep"]);
    assert_eq!(code, 0, "{clean}");
    assert_eq!(
        query(&data_dir, "SELECT count() FROM grapevine.visits"),
        visits
    );
}

/// As a disk would that brings back a part of last week: the projection is not of its rows.
#[test]
fn an_aggregate_that_is_not_of_its_rows_is_seen_and_mended() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = imported(dir.path());
    let largest = || {
        let sql = "SELECT path FROM system.parts WHERE database = 'grapevine' AND table = 'visits' \
                   AND active ORDER BY rows DESC LIMIT 1";
        PathBuf::from(query(&data_dir, sql).trim()).join("by_hour.proj")
    };
    let kept = dir.path().join("kept");
    let copy = |from: &Path, to: &Path| {
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .args([from, to])
            .status();
        assert!(copied.expect("cp runs").success());
    };
    copy(&largest(), &kept);
    import(&data_dir, "5");
    query(&data_dir, "OPTIMIZE TABLE grapevine.visits FINAL");
    let damaged = largest();
    let hours = "SELECT sum(visits), round(sum(dark), 3) FROM grapevine.visits_by_hour";
    let right = query(&data_dir, hours);
    std::fs::remove_dir_all(&damaged).expect("was there");
    copy(&kept, &damaged);
    assert_ne!(
        query(&data_dir, hours),
        right,
        "the view says something else"
    );

    let (found, code) = audited(&data_dir, &[]);
    assert_eq!(code, 65, "{found}");
    let problems = found["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 1, "{found}");
    assert_eq!(problems[0]["problem"], "unbalanced");
    assert_eq!(problems[0]["projection"], "by_hour");
    let (mended, code) = audited(&data_dir, &["--repair"]);
    assert_eq!(code, 0, "{mended}");
    assert_eq!(mended["repair"]["rebuilt"][0], "visits.by_hour");
    assert_eq!(query(&data_dir, hours), right);
}

#[test]
fn letters_that_cannot_go_back_are_said() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = imported(dir.path());
    let file = dir.path().join("broken.log");
    std::fs::write(&file, "this is no line of an access log\n").expect("writes");
    let file = file.display().to_string();
    answer(
        &data_dir,
        &["import", "--quiet", "--site", "news.example", &file],
    );
    for arguments in [
        &["replay", "--dry-run"][..],
        &["replay"],
        &["replay", "--stage", "import"],
    ] {
        let said = answer(&data_dir, arguments);
        assert!(said.contains("nothing"), "{said}");
        assert!(
            said.contains("1 cannot go back: a line of a log file"),
            "{said}"
        );
    }
    let said = answer(&data_dir, &["replay", "--stage", "sink"]);
    assert!(!said.contains("cannot"), "{said}");
    let output = run(&data_dir, &["replay", "--from", "yesterday"]);
    assert_eq!(output.status.code(), Some(64));
}
