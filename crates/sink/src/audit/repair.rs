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

use std::collections::BTreeSet;

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use crate::audit::fill::Filler;
use crate::audit::gaps;
use crate::audit::view::LogView;
use crate::audit::{Audit, Problem, TopicAudit};
use crate::error::SinkError;
use crate::rows::{TABLES, Table};
use crate::{DATABASE, Options};

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
/// Missing rows go in as they are read, by the batch of `options`, of which no more than one is in
/// memory. So one that is cut off has put in what came before, and the next goes on with the rest.
///
/// # Errors
/// The log's or ClickHouse's own.
pub async fn repair<V: LogView>(
    log: &V,
    client: &Client,
    audit: &Audit,
    options: &Options,
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
                let of =
                    |found: &&TopicAudit| (found.topic, found.partition) == (*topic, *partition);
                let inserted = match audit.topics.iter().find(of) {
                    Some(found) => fill(log, client, found, options, &mut done).await?,
                    None => 0,
                };
                done.inserted += inserted;
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
            Problem::Uncounted { .. } => done.left.push(problem.to_string()),
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
    found: &TopicAudit,
    options: &Options,
    done: &mut Repair,
) -> Result<u64, SinkError> {
    let (topic, partition) = (found.topic, found.partition);
    let Some(table) = TABLES.iter().find(|table| table.topic == topic) else {
        return Ok(0);
    };
    let held = gaps::held(log, table, partition, found.committed)?;
    let mut filler = Filler::new(client, table, partition, options).await?;
    let (mut surplus, mut first) = (0, None);
    for run in gaps::suspects(client, table, partition, held).await? {
        let gaps = gaps::compare(log, client, table, partition, run).await?;
        surplus += gaps.surplus.len();
        first = first.or(gaps.surplus.first().copied());
        filler.fill(log, &gaps.missing).await?;
    }
    if let Some(first) = first {
        done.left.push(format!(
            "{surplus} rows of topic {topic}, partition {partition}, are at offsets without a record: the first at {first}"
        ));
    }
    filler.finish().await
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
        let merged = merge(client, table, month, &columns).await;
        // Whatever came of it: the table is not to go on with a setting that only this needs.
        let reset = format!(
            "ALTER TABLE {DATABASE}.{} RESET SETTING deduplicate_merge_projection_mode",
            table.name
        );
        let reset = execute(client, &reset).await;
        if let (Err(_), Err(error)) = (&merged, &reset) {
            tracing::warn!(
                table = table.name,
                %error,
                "deduplicate_merge_projection_mode stays on rebuild: merges cost more"
            );
        }
        merged.and(reset)?;
        tracing::info!(table = table.name, month, rows, "double rows are gone");
        removed += rows;
    }
    Ok(removed)
}

/// Merges a month into one part without its double rows.
async fn merge(client: &Client, table: &Table, month: u32, columns: &str) -> Result<(), SinkError> {
    // Its projections must be computed from what is left, not merged.
    let rebuild = format!(
        "ALTER TABLE {DATABASE}.{} MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'",
        table.name
    );
    execute(client, &rebuild).await?;
    let optimize = format!(
        "OPTIMIZE TABLE {DATABASE}.{} PARTITION {month} FINAL DEDUPLICATE BY {columns}",
        table.name
    );
    execute(client, &optimize).await
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
