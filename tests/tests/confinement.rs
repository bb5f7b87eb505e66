//! The engine's threads in the real process, as the kernel sees them.

use std::fs;

use grapevine_tests::{Local, query};

/// Threads of Grapevine's own, which read logs, fetch the engine and listen: by the first 15 bytes
/// of their names, which is what the kernel keeps.
const OURS: &[&str] = &[
    "grapevine",
    "tokio-rt-worker",
    "classify",
    "chain",
    "collector",
];

#[test]
fn every_thread_of_the_engine_is_confined_and_no_other() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start(&data_dir);
    // Sorting, grouping and merging start what threads there are.
    let sql = "SELECT number % 10 AS k, count() FROM numbers_mt(3000000) GROUP BY k ORDER BY k";
    assert_eq!(query(&data_dir, sql).lines().count(), 10);
    query(&data_dir, "OPTIMIZE TABLE grapevine.visits FINAL");

    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", local.process())).expect("a Linux process") {
        let task = task.expect("task").path();
        // A thread may end meanwhile.
        let (Ok(name), Ok(status)) = (
            fs::read_to_string(task.join("comm")),
            fs::read_to_string(task.join("status")),
        ) else {
            continue;
        };
        // Landlock comes with this bit, and nothing else here sets it.
        threads.push((name.trim().to_owned(), status.contains("NoNewPrivs:\t1")));
    }
    let (_, said) = local.interrupt();
    if said.contains("cannot confine the engine") {
        return;
    }
    assert!(threads.len() > 15, "{threads:?}");
    for (name, confined) in &threads {
        assert_eq!(!confined, OURS.contains(&name.as_str()), "{name}");
    }
}
