//! The inventory in `docs/metrics.md` is what the code tells, name by name and label by label.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grapevine_metrics::{
    BatchInserted, Buried, ClickHouseRetried, CommitEnd, CommitEnded, HitsTaken, PartitionLag,
    PartitionLeft, RequestAnswered, RequestEnd, RetryReason, RowsVisible, SnapshotFailed,
    SnapshotSaved, SpoolDrained, SpoolFilled, SpoolState, Started, StateCounted, StateReplayed,
    StateSize, StepDone, TokenWithoutRows, names, render,
};

const TOOK: Duration = Duration::from_millis(20);

fn tell_everything() {
    Started {
        service: "local",
        version: "0.0.0",
    }
    .emit();
    for end in [RequestEnd::Taken, RequestEnd::Refused, RequestEnd::PutOff] {
        RequestAnswered { end, took: TOOK }.emit();
    }
    HitsTaken {
        accepted: 3,
        opted_out: 1,
        rejected: 2,
    }
    .emit();
    SpoolState { bytes: 500 }.emit();
    SpoolFilled { bytes: 900 }.emit();
    SpoolDrained { bytes: 400 }.emit();
    for partition in [0, 1] {
        PartitionLag {
            consumer: "sink",
            topic: "visits",
            partition,
            records: 17,
        }
        .emit();
    }
    StepDone {
        stage: "classify",
        records: 6,
        processing: TOOK,
        committing: TOOK,
    }
    .emit();
    for stage in ["classify", "sink"] {
        for end in [CommitEnd::Committed, CommitEnd::Aborted] {
            CommitEnded { stage, end }.emit();
        }
    }
    Buried {
        stage: "classify",
        reason: "undecodable",
        letters: 1,
    }
    .emit();
    StateSize {
        stage: "chain",
        partition: 1,
        entries: 9,
    }
    .emit();
    StateCounted {
        stage: "chain",
        partition: 1,
        what: "tokens_unknown",
        count: 4,
    }
    .emit();
    SnapshotSaved {
        stage: "chain",
        partition: 1,
        offset: 12,
        bytes: 1234,
    }
    .emit();
    SnapshotFailed { stage: "chain" }.emit();
    StateReplayed {
        stage: "chain",
        partition: 1,
        records: 8,
        took: TOOK,
    }
    .emit();
    BatchInserted {
        table: "visits",
        rows: 7,
        bytes: 700,
        took: TOOK,
    }
    .emit();
    RowsVisible {
        table: "visits",
        event_times_ms: &[1_000, 2_000, 9_000],
        now_ms: 2_700,
    }
    .emit();
    for reason in [RetryReason::Unreachable, RetryReason::Refused] {
        ClickHouseRetried {
            table: "visits",
            reason,
        }
        .emit();
    }
    TokenWithoutRows { table: "visits" }.emit();
}

/// A metric as the rendered text has it: type, labels, meaning.
#[derive(Debug, Default)]
struct Found {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
    has_samples: bool,
}

fn found(text: &str) -> BTreeMap<String, Found> {
    let mut metrics: BTreeMap<String, Found> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        {
            metrics.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            metrics.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("name");
            let base = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .find_map(|ending| name.strip_suffix(ending))
                .filter(|base| metrics.contains_key(*base))
                .unwrap_or(name);
            let metric = metrics.get_mut(base).expect("described before its samples");
            metric.has_samples = true;
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            for label in labels.map_or("", |(labels, _)| labels).split(',') {
                let name = label.split('=').next().unwrap_or_default();
                if !name.is_empty() && name != "le" {
                    metric.labels.insert(name.to_owned());
                }
            }
        }
    }
    metrics
}

#[test]
fn the_docs_are_the_inventory() {
    tell_everything();
    let text = render();
    let metrics = found(&text);
    for name in names() {
        assert!(
            metrics.get(name).is_some_and(|metric| metric.has_samples),
            "{name} is told by no fact of this test"
        );
    }
    let page = include_str!("../../../docs/metrics.md");
    let in_docs: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `grapevine_"))
        .collect();
    let of_code: BTreeSet<String> = metrics
        .iter()
        .map(|(name, metric)| {
            let total = if metric.kind == "counter" {
                "_total"
            } else {
                ""
            };
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let help = metric.help.trim_end_matches('.');
            format!(
                "| `{name}{total}` | {} | {} | {help} |",
                metric.kind,
                labels.join(", ")
            )
        })
        .collect();
    let of_code: BTreeSet<&str> = of_code.iter().map(String::as_str).collect();
    let missing: Vec<_> = of_code.difference(&in_docs).copied().collect();
    let surplus: Vec<_> = in_docs.difference(&of_code).copied().collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "docs/metrics.md lacks:\n{}\nand has what no code tells:\n{}",
        missing.join("\n"),
        surplus.join("\n")
    );
}

#[test]
fn a_row_counts_by_its_age_and_none_is_younger_than_nothing() {
    RowsVisible {
        table: "shares",
        event_times_ms: &[1_000, 2_000, 9_000],
        now_ms: 2_700,
    }
    .emit();
    let text = render();
    for line in [
        // 9 000 is ahead of the clock: no age.
        "grapevine_event_to_row_seconds_bucket{le=\"0.1\",table=\"shares\"} 1",
        "grapevine_event_to_row_seconds_bucket{le=\"0.75\",table=\"shares\"} 2",
        "grapevine_event_to_row_seconds_bucket{le=\"2.0\",table=\"shares\"} 3",
        "grapevine_event_to_row_seconds_count{table=\"shares\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn who_leaves_a_partition_takes_its_lag_along() {
    let series = "grapevine_consumer_lag_records{consumer=\"chain\",topic=\"hits.classified\",partition=\"3\"} 5";
    let lag = PartitionLag {
        consumer: "chain",
        topic: "hits.classified",
        partition: 3,
        records: 5,
    };
    lag.emit();
    assert!(render().contains(series));
    PartitionLeft {
        consumer: "chain",
        topic: "hits.classified",
        partition: 3,
    }
    .emit();
    assert!(!render().contains("partition=\"3\""));
}
