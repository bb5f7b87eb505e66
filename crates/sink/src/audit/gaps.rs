//! Which acknowledged records have no row: the log's offsets against ClickHouse's, where the
//! log still holds them. One run of offsets at a time, so that memory does not grow with the damage.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use clickhouse::{Client, Row};
use serde::Deserialize;

use crate::DATABASE;
use crate::audit::view::LogView;
use crate::error::SinkError;
use crate::rows::Table;

/// Offsets that are looked at together. One with a row for each offset lacks none.
const RUN: u64 = 65_536;

/// What differs in one run of offsets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    /// Records that give a row, and have none.
    pub(super) missing: BTreeSet<u64>,
    /// Rows at offsets at which the log holds no record that gives one.
    pub(super) surplus: BTreeSet<u64>,
}

#[derive(Row, Deserialize)]
struct Run {
    run: u64,
    offsets: u64,
}

/// Acknowledged offsets that the log still holds: empty, at `committed`, where it holds none.
pub(super) fn held<V: LogView>(
    log: &V,
    table: &Table,
    partition: i32,
    committed: u64,
) -> Result<Range<u64>, SinkError> {
    let kept = log.kept(table.topic, partition)?;
    Ok(kept.start.min(committed)..committed)
}

/// A range of offsets as runs of at most [`RUN`], in order.
pub(super) fn runs(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut from = range.start;
    std::iter::from_fn(move || {
        let to = range.end.min((from / RUN + 1) * RUN);
        let run = from..to;
        from = to;
        (!run.is_empty()).then_some(run)
    })
}

/// The runs of a range in which ClickHouse does not have a row for every offset.
pub(super) async fn suspects(
    client: &Client,
    table: &Table,
    partition: i32,
    range: Range<u64>,
) -> Result<Vec<Range<u64>>, SinkError> {
    let counted = client
        .query(&format!(
            "SELECT intDiv(offset, {RUN}) AS run, groupBitmap(offset) AS offsets \
             FROM {DATABASE}.{} WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ? \
             GROUP BY run",
            table.name
        ))
        .bind(table.topic)
        .bind(partition)
        .bind(range.start)
        .bind(range.end)
        .fetch_all::<Run>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let counted: BTreeMap<u64, u64> = counted
        .into_iter()
        .map(|run| (run.run, run.offsets))
        .collect();
    let lacks = |run: &Range<u64>| {
        let rows = counted.get(&(run.start / RUN)).copied().unwrap_or(0);
        rows < run.end - run.start
    };
    Ok(runs(range).filter(lacks).collect())
}

/// Compares one run, offset by offset.
pub(super) async fn compare<V: LogView>(
    log: &V,
    client: &Client,
    table: &Table,
    partition: i32,
    run: Range<u64>,
) -> Result<Gaps, SinkError> {
    let rows = client
        .query(&format!(
            "SELECT DISTINCT offset FROM {DATABASE}.{} \
             WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?",
            table.name
        ))
        .bind(table.topic)
        .bind(partition)
        .bind(run.start)
        .bind(run.end)
        .fetch_all::<u64>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let mut rows: BTreeSet<u64> = rows.into_iter().collect();
    let mut missing = BTreeSet::new();
    log.records(table.topic, partition, run, &mut |offset, record| {
        if table.decode(record).is_ok() && !rows.remove(&offset) {
            missing.insert(offset);
        }
    })?;
    if !rows.is_empty() {
        // Records that expired meanwhile were not read: of their rows the log says nothing.
        let kept = log.kept(table.topic, partition)?;
        rows.retain(|offset| *offset >= kept.start);
    }
    Ok(Gaps {
        missing,
        surplus: rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_a_range_once_and_none_is_longer_than_one() {
        for range in [
            0..0,
            7..7,
            0..1,
            5..RUN,
            0..RUN,
            3..RUN + 1,
            70_000..400_000,
        ] {
            let mut next = range.start;
            for run in runs(range.clone()) {
                assert_eq!(run.start, next);
                assert!(run.end - run.start <= RUN && !run.is_empty(), "{run:?}");
                assert_eq!(run.start / RUN, (run.end - 1) / RUN, "{run:?}");
                next = run.end;
            }
            assert_eq!(next, range.end);
        }
    }
}
