//! Mends what an audit found: what is missing from the log, what is double and out of balance
//! in ClickHouse itself.
//!
//! Nothing here disturbs a running sink: only what is acknowledged is touched, and no writer
//! touches that again.
//!
//! - A missing row is written again from its record, which the log must still hold.
//! - A double row goes by `OPTIMIZE … DEDUPLICATE BY` topic, partition, offset and what the
//!   table is sorted by, of its month: a merge, which is there whole or not at all, so that no moment has neither copy.
//! - A projection that differs is thrown away and computed from the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;
use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use crate::audit::gaps;
use crate::audit::view::LogView;
use crate::audit::{Audit, Problem};
use crate::error::SinkError;
use crate::insert::Inserter;
use crate::month::Month;
use crate::rows::{Rows, TABLES, Table};
use crate::settings::Settings;
use crate::{DATABASE, Options, startup};

/// Rows of one insert of a repair.
const ROWS_MAX: usize = 100_000;

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// Rows written again from the log.
    pub inserted: u64,
    /// Rows removed because they were there more than once.
    pub removed: u64,
    /// Projections computed anew, as `table.projection`.
    pub rebuilt: Vec<String>,
    /// What cannot be mended here, in words.
    pub left: Vec<String>,
}

/// Mends what the audit found, as far as it can be. Audit again to see what is left; what a
/// failed request may have done is seen then, too, and mended by another repair.
///
/// # Errors
/// The log's or ClickHouse's own.
pub async fn repair<V: LogView>(
    log: &V,
    client: &Client,
    audit: &Audit,
) -> Result<Repair, SinkError> {
    let mut done = Repair::default();
    // Doubles first: rows that are missing are counted by different offsets.
    let doubled: BTreeSet<&'static str> = audit
        .problems
        .iter()
        .filter_map(|problem| match problem {
            Problem::Double { topic, .. } => Some(*topic),
            _ => None,
        })
        .collect();
    for table in TABLES.iter().filter(|table| doubled.contains(table.topic)) {
        done.removed += remove_doubles(client, table).await?;
    }
    for problem in &audit.problems {
        match problem {
            Problem::Double { .. } => {}
            Problem::Missing {
                topic,
                partition,
                records,
            } => {
                let inserted = fill(log, client, audit, topic, *partition, &mut done).await?;
                if inserted < *records {
                    done.left.push(format!(
                        "{} records of topic {topic}, partition {partition}, that are missing are no longer on the log",
                        records - inserted
                    ));
                }
            }
            Problem::Unbalanced {
                table, projection, ..
            } => {
                rebuild(client, table, projection).await?;
                done.rebuilt.push(format!("{table}.{projection}"));
            }
            Problem::Surplus { .. } | Problem::Unplanned { .. } => done.left.push(format!(
                "{problem}: the sink did not write them, so only you can say whether to keep them"
            )),
        }
    }
    Ok(done)
}

/// Writes the missing rows of a partition again; how many.
async fn fill<V: LogView>(
    log: &V,
    client: &Client,
    audit: &Audit,
    topic: &str,
    partition: i32,
    done: &mut Repair,
) -> Result<u64, SinkError> {
    let found = audit
        .topics
        .iter()
        .find(|found| found.topic == topic && found.partition == partition);
    let table = TABLES.iter().find(|table| table.topic == topic);
    let (Some(found), Some(table)) = (found, table) else {
        return Ok(0);
    };
    let gaps = gaps::find(log, client, table, partition, found.committed).await?;
    if !gaps.surplus.is_empty() {
        done.left.push(format!(
            "{} rows of topic {topic}, partition {partition}, are at offsets without a record: the first at {}",
            gaps.surplus.len(),
            gaps.surplus.first().copied().unwrap_or(0)
        ));
    }
    let (Some(first), Some(last)) = (gaps.missing.first(), gaps.missing.last()) else {
        return Ok(0);
    };
    let mut blocks = Blocks::new(table, partition);
    log.records(
        topic,
        partition,
        *first..*last + 1,
        &mut |offset, record| {
            if gaps.missing.contains(&offset) {
                blocks.push(offset, record);
            }
        },
    )?;
    let options = Options::default();
    let inserter = Inserter {
        client: client.clone().with_database("default"),
        settings: Settings::agreed(client).await?,
        copies: startup::copies(client, table).await?,
        answer_max: options.answer_max,
        pause_max: options.pause_max,
    };
    // Deleted rows left their tokens behind: these must be others.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let run = now.map_or(0, |since| since.as_nanos());
    let mut inserted = 0;
    for (number, (month, rows, block)) in blocks.freeze().into_iter().enumerate() {
        let token = format!("repair/{topic}/{partition}/{month}/{run}/{number}");
        inserter
            .put(table, &block, token)
            .await
            .map_err(SinkError::ClickHouse)?;
        inserted += rows;
        done.inserted += rows;
    }
    tracing::info!(topic, partition, rows = inserted, "missing rows are back");
    Ok(inserted)
}

/// Rows of one partition in blocks of one month each.
struct Blocks {
    table: &'static Table,
    partition: i32,
    growing: BTreeMap<Month, Rows>,
    frozen: Vec<(Month, u64, Bytes)>,
}

impl Blocks {
    fn new(table: &'static Table, partition: i32) -> Blocks {
        Blocks {
            table,
            partition,
            growing: BTreeMap::new(),
            frozen: Vec::new(),
        }
    }

    fn push(&mut self, offset: u64, record: &[u8]) {
        let Ok(row) = self.table.decode(record) else {
            return;
        };
        if !self.growing.contains_key(&row.month)
            && let Some(rows) = Rows::starting_with(&row)
        {
            self.growing.insert(row.month, rows);
        }
        let Some(rows) = self.growing.get_mut(&row.month) else {
            return;
        };
        rows.push(&row, self.table.topic, self.partition, offset);
        if rows.count() >= ROWS_MAX {
            self.close(row.month);
        }
    }

    fn close(&mut self, month: Month) {
        if let Some(rows) = self.growing.remove(&month) {
            let block = Bytes::from(rows.freeze(self.table.columns().count()));
            self.frozen.push((month, rows.count() as u64, block));
        }
    }

    fn freeze(mut self) -> Vec<(Month, u64, Bytes)> {
        let months: Vec<Month> = self.growing.keys().copied().collect();
        for month in months {
            self.close(month);
        }
        self.frozen
    }
}

#[derive(Row, Deserialize)]
struct Doubled {
    month: u32,
    rows: u64,
}

/// Leaves one row an offset; how many went.
async fn remove_doubles(client: &Client, table: &Table) -> Result<u64, SinkError> {
    let months = client
        .query(&format!(
            "SELECT month, sum(more) AS rows FROM (\
             SELECT toYYYYMM({time}) AS month, toUInt64(count() - groupBitmap(offset)) AS more \
             FROM {DATABASE}.{name} WHERE topic = ? GROUP BY month, partition) \
             GROUP BY month HAVING rows > 0 ORDER BY month",
            time = table.time,
            name = table.name,
        ))
        .bind(table.topic)
        .fetch_all::<Doubled>()
        .await
        .map_err(SinkError::ClickHouse)?;
    if months.is_empty() {
        return Ok(0);
    }
    // The engine wants those that it sorts by among them; they are the same in both copies.
    let columns = client
        .query(
            "SELECT arrayStringConcat(groupArray(name), ', ') FROM system.columns \
             WHERE database = ? AND table = ? AND (is_in_sorting_key OR is_in_primary_key \
             OR is_in_partition_key OR name IN ('topic', 'partition', 'offset'))",
        )
        .bind(DATABASE)
        .bind(table.name)
        .fetch_one::<String>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let mut removed = 0;
    for Doubled { month, rows } in months {
        // Its projections must be computed from what is left, not merged.
        for statement in [
            format!(
                "ALTER TABLE {DATABASE}.{} MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'",
                table.name
            ),
            format!(
                "OPTIMIZE TABLE {DATABASE}.{} PARTITION {month} FINAL DEDUPLICATE BY {columns}",
                table.name
            ),
            format!(
                "ALTER TABLE {DATABASE}.{} RESET SETTING deduplicate_merge_projection_mode",
                table.name
            ),
        ] {
            execute(client, &statement).await?;
        }
        tracing::info!(table = table.name, month, rows, "double rows are gone");
        removed += rows;
    }
    Ok(removed)
}

async fn rebuild(client: &Client, table: &str, projection: &str) -> Result<(), SinkError> {
    for verb in ["CLEAR", "MATERIALIZE"] {
        let statement = format!("ALTER TABLE {DATABASE}.{table} {verb} PROJECTION {projection}");
        execute(client, &statement).await?;
    }
    tracing::info!(table, projection, "projection is computed anew");
    Ok(())
}

async fn execute(client: &Client, statement: &str) -> Result<(), SinkError> {
    client
        .query(statement)
        .with_setting("mutations_sync", "2")
        .with_setting("alter_sync", "2")
        .with_setting("optimize_throw_if_noop", "1")
        .execute()
        .await
        .map_err(SinkError::ClickHouse)
}
