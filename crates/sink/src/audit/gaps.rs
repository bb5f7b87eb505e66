//! Which acknowledged records have no row: the log's offsets against ClickHouse's, where the
//! log still holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use clickhouse::{Client, Row};
use serde::Deserialize;

use crate::DATABASE;
use crate::audit::view::LogView;
use crate::error::SinkError;
use crate::rows::Table;

/// Offsets that are looked at together. One with a row for each offset needs no look at the log.
const RUN: u64 = 65_536;

/// Acknowledged offsets of one partition whose record the log holds and whose row is not there.
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

/// Compares what the log still holds below `committed`, offset by offset, reading only where
/// ClickHouse does not have a row for every offset.
pub(super) async fn find<V: LogView>(
    log: &V,
    client: &Client,
    table: &Table,
    partition: i32,
    committed: u64,
) -> Result<Gaps, SinkError> {
    let kept = log.kept(table.topic, partition)?;
    let look = kept.start..committed.min(kept.end);
    let runs = client
        .query(&format!(
            "SELECT intDiv(offset, {RUN}) AS run, groupBitmap(offset) AS offsets \
             FROM {DATABASE}.{} WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ? \
             GROUP BY run",
            table.name
        ))
        .bind(table.topic)
        .bind(partition)
        .bind(look.start)
        .bind(look.end)
        .fetch_all::<Run>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let runs: BTreeMap<u64, u64> = runs.into_iter().map(|run| (run.run, run.offsets)).collect();
    let mut gaps = Gaps::default();
    let mut from = look.start;
    while from < look.end {
        let run = from / RUN;
        let part = from..look.end.min((run + 1) * RUN);
        if runs.get(&run).copied().unwrap_or(0) < part.end - part.start {
            compare(log, client, table, partition, part.clone(), &mut gaps).await?;
        }
        from = part.end;
    }
    Ok(gaps)
}

async fn compare<V: LogView>(
    log: &V,
    client: &Client,
    table: &Table,
    partition: i32,
    range: Range<u64>,
    gaps: &mut Gaps,
) -> Result<(), SinkError> {
    let rows = client
        .query(&format!(
            "SELECT DISTINCT offset FROM {DATABASE}.{} \
             WHERE topic = ? AND partition = ? AND offset >= ? AND offset < ?",
            table.name
        ))
        .bind(table.topic)
        .bind(partition)
        .bind(range.start)
        .bind(range.end)
        .fetch_all::<u64>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let mut rows: BTreeSet<u64> = rows.into_iter().collect();
    log.records(table.topic, partition, range, &mut |offset, record| {
        if table.decode(record).is_ok() && !rows.remove(&offset) {
            gaps.missing.insert(offset);
        }
    })?;
    gaps.surplus.extend(rows);
    Ok(())
}
