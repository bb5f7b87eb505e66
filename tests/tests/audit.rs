//! `grapevine audit` and `grapevine replay` on a data directory, as a user would run them.

use std::path::{Path, PathBuf};

use grapevine_tests::{answer, query, run};
use serde_json::Value;

fn imported(dir: &Path) -> PathBuf {
    let data_dir = dir.join("data");
    let file = dir.join("access.log");
    let file = file.display().to_string();
    let simulate = [
        "simulate",
        "--requests",
        "3000",
        "--seed",
        "4",
        "--out",
        &file,
    ];
    answer(&data_dir, &simulate);
    let import = ["import", "--quiet", "--site", "news.example", &file];
    answer(&data_dir, &import);
    data_dir
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
