//! Each benchmark of whole processes, so small that it says nothing of speed: that it runs, and that
//! every row is there once.

use std::process::{Command, Stdio};

/// Runs it, which must hold; its table, a line each row below the header.
fn bench(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--partitions", "2"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    let table = shown.lines().filter(|line| line.starts_with('|'));
    table.skip(2).map(str::to_owned).collect()
}

/// The number in a column of a row, from 0.
fn number(row: &str, column: usize) -> f64 {
    let cell = row.split('|').nth(column + 1).expect(row).trim();
    cell.parse().unwrap_or_else(|_| panic!("{cell:?} in {row}"))
}

#[test]
fn pipeline_says_where_the_time_goes() {
    for guarantee in ["on", "off"] {
        let rows = bench(&["pipeline", "--hits", "3000", "--guarantee", guarantee]);
        let names = ["broker", "ClickHouse", "enrich", "sink", "all"];
        assert_eq!(rows.len(), names.len(), "{rows:?}");
        for (row, name) in rows.iter().zip(names) {
            assert!(row.contains(name) && number(row, 1) > 0.0, "{row}");
        }
    }
}

#[test]
fn sink_is_timed_alone() {
    let rows = bench(&["sink", "--rows", "3000"]);
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[0].contains("sink") && number(&rows[0], 3) > 0.0);
}

#[test]
fn the_audit_is_timed_and_sees_a_row_that_is_gone() {
    let rows = bench(&["audit", "--rows", "30000"]);
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(rows.iter().all(|row| number(row, 1) > 0.0), "{rows:?}");
}

#[test]
fn latency_is_told_of_every_row() {
    let rows = bench(&[
        "latency",
        "--rate",
        "200",
        "--seconds",
        "3",
        "--warm-up",
        "1",
    ]);
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(number(&rows[0], 1) >= 400.0, "{}", rows[0]);
    for row in &rows {
        assert!(number(row, 2) <= number(row, 4), "{row}");
        assert!(number(row, 4) <= number(row, 5), "{row}");
    }
}

#[test]
fn collector_and_bare_endpoint_are_asked_in_turn() {
    let rows = bench(&[
        "collect",
        "--connections",
        "4",
        "--rounds",
        "2",
        "--seconds",
        "1",
    ]);
    assert_eq!(rows.len(), 2, "{rows:?}");
    for row in &rows {
        assert!(number(row, 1) > 0.0 && number(row, 2) > 0.0, "{row}");
    }
}

#[test]
fn recovery_is_timed_after_a_stop_and_after_a_kill() {
    let rows = bench(&["recovery", "--hits", "2000,6000"]);
    assert_eq!(rows.len(), 4, "{rows:?}");
    for row in &rows {
        assert!(number(row, 2) > 0.0 && number(row, 4) > 0.0, "{row}");
    }
    // What was remembered grows.
    assert!(number(&rows[0], 3) < number(&rows[2], 3), "{rows:?}");
}
