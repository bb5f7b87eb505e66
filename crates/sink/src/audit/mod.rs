//! Is everything in ClickHouse once? Rows and aggregates against the log's own positions.
//!
//! A position counts how many rows the records below it gave, in the same commit that moves it.
//! So an audit knows how many different offsets a partition must have in ClickHouse without
//! reading the log, whatever marks of its own Kafka keeps between the records. Where the count is
//! not right, [`repair`] compares offset by offset with what the log still holds; where there is
//! none, as after an offset was set by hand, [`audit`] itself does, and says what is left in doubt.

mod balance;
mod fill;
mod gaps;
mod repair;
mod view;

use std::collections::BTreeMap;

use clickhouse::{Client, Row};
use grapevine_event::topic::DEAD_LETTERS;
use serde::{Deserialize, Serialize};

use crate::error::SinkError;
use crate::plan::Standing;
use crate::rows::{TABLES, Table};
use crate::{CONSUMER_STAGE, DATABASE, startup};

pub use repair::{Repair, repair};
pub use view::{KafkaView, LogView};

/// What ClickHouse holds of one topic's partition, against what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicAudit {
    /// Topic.
    pub topic: &'static str,
    /// Table that it feeds.
    pub table: &'static str,
    /// Partition.
    pub partition: i32,
    /// First offset that the log still holds.
    pub kept: u64,
    /// Offset that the next record of the topic will have.
    pub end: u64,
    /// Everything below is acknowledged.
    pub committed: u64,
    /// End of the batch being inserted, or `committed`.
    pub planned: u64,
    /// Rows.
    pub rows: u64,
    /// Different offsets among them.
    pub offsets: u64,
    /// Smallest offset; `None` without rows.
    pub first: Option<u64>,
    /// Largest offset; `None` without rows.
    pub last: Option<u64>,
    /// Different offsets below `committed`.
    pub acknowledged: u64,
    /// How many there must be; `None` where the position has no count, on a log whose offsets have
    /// gaps: it was set by hand, or is of a version that did not count.
    pub expected: Option<u64>,
    /// What the log says in place of `expected`; `None` where that is known, and of tables of which
    /// the newest row stays.
    pub compared: Option<Compared>,
}

/// A partition held against the log record by record, because nobody knows how many rows it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// First offset that was compared: of those before it the log holds nothing any more.
    pub from: u64,
    /// Acknowledged records from there on that give a row, and have none.
    pub missing: u64,
    /// Offsets from there on that have a row, and no record that gives one.
    pub surplus: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// Acknowledged records without a row.
    Missing {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// How many.
        records: u64,
    },
    /// Rows beyond the first of an offset.
    Double {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// How many.
        rows: u64,
    },
    /// Rows at offsets that no record gave one for, below what is acknowledged.
    Surplus {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// How many.
        rows: u64,
    },
    /// Rows at offsets that were never planned.
    Unplanned {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// Largest such offset.
        offset: u64,
    },
    /// Acknowledged rows of which neither a count nor the log says whether they are all there.
    Uncounted {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// Offset below which that is so.
        below: u64,
    },
    /// A projection's sums differ from those of the rows.
    Unbalanced {
        /// Table.
        table: &'static str,
        /// Projection.
        projection: &'static str,
        /// Groups that differ.
        groups: u64,
    },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Missing {
                topic,
                partition,
                records,
            } => write!(
                out,
                "{records} acknowledged records of topic {topic}, partition {partition}, have no row"
            ),
            Problem::Double {
                topic,
                partition,
                rows,
            } => write!(
                out,
                "{rows} rows of topic {topic}, partition {partition}, are there more than once"
            ),
            Problem::Surplus {
                topic,
                partition,
                rows,
            } => write!(
                out,
                "{rows} rows of topic {topic}, partition {partition}, are at offsets that gave none"
            ),
            Problem::Unplanned {
                topic,
                partition,
                offset,
            } => write!(
                out,
                "topic {topic}, partition {partition}, has rows up to offset {offset} that were never planned"
            ),
            Problem::Uncounted {
                topic,
                partition,
                below,
            } => write!(
                out,
                "topic {topic}, partition {partition}: whether every row below offset {below} is there cannot be told, because the sink's position has no count of them, as one that was set by hand, and the log does not say it either; start the sink again: it counts anew"
            ),
            Problem::Unbalanced {
                table,
                projection,
                groups,
            } => write!(
                out,
                "{groups} groups of projection {projection} of table {table} differ from its rows"
            ),
        }
    }
}

/// How closely aggregates are compared with their rows. Rows are counted one by one either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Sums by site and day or by the first of their keys: one pass over a few narrow columns.
    #[default]
    Totals,
    /// Every group by all of its keys, distinct counts too: as costly as computing them anew.
    Groups,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Every partition of every topic, in the order of the data flow.
    pub topics: Vec<TopicAudit>,
    /// Everything that is wrong; empty where all is well.
    pub problems: Vec<Problem>,
}

impl Audit {
    /// True where nothing is missing, double or out of balance.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Compares rows, aggregates and the log. Right at any time for what is acknowledged: a batch that
/// is on its way is neither missing nor double.
///
/// Counts offsets exactly, with a bitmap a partition: at most two bytes of ClickHouse's memory a
/// row, far less where offsets follow each other. Reads the log only where a position has no count.
///
/// # Errors
/// The log's or ClickHouse's own.
pub async fn audit<V: LogView>(log: &V, client: &Client, depth: Depth) -> Result<Audit, SinkError> {
    let mut audit = Audit::default();
    for table in &TABLES {
        let copies = startup::copies(client, table).await?;
        let caught_up = copies.catch_up(client, table).await;
        caught_up.map_err(SinkError::ClickHouse)?;
        for mut topic in topic(log, client, table).await? {
            if topic.expected.is_none() && !table.idempotent {
                topic.compared = Some(compared(log, client, table, &topic).await?);
            }
            audit.problems.extend(judge(table, &topic));
            audit.topics.push(topic);
        }
    }
    audit
        .problems
        .extend(balance::problems(client, depth).await?);
    Ok(audit)
}

/// What ClickHouse holds of one partition.
#[derive(Default, Row, Deserialize)]
struct Found {
    partition: i32,
    rows: u64,
    offsets: u64,
    first: u64,
    last: u64,
    /// Different offsets that are not acknowledged.
    beyond: u64,
}

async fn topic<V: LogView>(
    log: &V,
    client: &Client,
    table: &'static Table,
) -> Result<Vec<TopicAudit>, SinkError> {
    // Positions first: what is acknowledged now is in ClickHouse now.
    let mut stands = BTreeMap::new();
    for partition in log.partitions(table.topic)? {
        stands.insert(partition, log.position(table.topic, partition)?);
    }
    let partitions: Vec<i32> = stands.keys().copied().collect();
    let committed: Vec<u64> = stands.values().map(|position| position.offset).collect();
    let found = client
        .query(&format!(
            "SELECT partition, count() AS rows, groupBitmap(offset) AS offsets, \
             min(offset) AS first, max(offset) AS last, \
             groupBitmapIf(offset, offset >= transform(partition, {partitions}, \
             {committed}, toUInt64(0))) AS beyond \
             FROM {DATABASE}.{} WHERE topic = ? GROUP BY partition",
            table.name,
            partitions = array(&partitions, "Int32"),
            committed = array(&committed, "UInt64"),
        ))
        .bind(table.topic)
        .fetch_all::<Found>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let mut found: BTreeMap<i32, Found> = found
        .into_iter()
        .map(|found| (found.partition, found))
        .collect();
    // A partition that the log does not have is nobody's: all of its rows are unplanned.
    for partition in found.keys() {
        stands.entry(*partition).or_default();
    }
    let mut audits = Vec::new();
    for (partition, position) in stands {
        let found = found.remove(&partition).unwrap_or_default();
        let standing = Standing::of(&position);
        let expected = match standing.and_then(|standing| standing.before) {
            Some(before) => Some(before),
            None if log.is_gapless() => {
                let buried = buried(client, table, partition, position.offset).await?;
                Some(position.offset.saturating_sub(buried))
            }
            None => None,
        };
        let known = partitions.contains(&partition);
        let kept = match known {
            true => log.kept(table.topic, partition)?,
            false => 0..0,
        };
        audits.push(TopicAudit {
            topic: table.topic,
            table: table.name,
            partition,
            kept: kept.start,
            end: kept.end,
            committed: position.offset,
            planned: match known {
                true => planned(log, table, partition, position.offset)?,
                false => 0,
            },
            rows: found.rows,
            offsets: found.offsets,
            first: (found.rows > 0).then_some(found.first),
            last: (found.rows > 0).then_some(found.last),
            acknowledged: found.offsets.saturating_sub(found.beyond),
            expected,
            compared: None,
        });
    }
    Ok(audits)
}

/// Numbers as an array of ClickHouse's.
fn array<T: ToString>(numbers: &[T], of: &str) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("CAST([{}], 'Array({of})')", numbers.join(","))
}

/// Where the newest plan ends, read after the rows were counted: none of them can be beyond it.
fn planned<V: LogView>(
    log: &V,
    table: &Table,
    partition: i32,
    committed: u64,
) -> Result<u64, SinkError> {
    let position = log.position(table.topic, partition)?;
    let plan = Standing::of(&position).and_then(|standing| standing.plan);
    Ok(plan.map_or(position.offset, |plan| plan.end).max(committed))
}

/// Records below `committed` that gave no row, by their dead letters.
async fn buried(
    client: &Client,
    table: &Table,
    partition: i32,
    committed: u64,
) -> Result<u64, SinkError> {
    client
        .query(&format!(
            "SELECT uniqExact(source_position) FROM {DATABASE}.dead_letters \
             WHERE stage = ? AND source = ? AND source_partition = ? AND source_position < ? \
             AND topic = ?"
        ))
        .bind(CONSUMER_STAGE)
        .bind(table.topic)
        .bind(partition)
        .bind(committed)
        .bind(DEAD_LETTERS)
        .fetch_one::<u64>()
        .await
        .map_err(SinkError::ClickHouse)
}

/// Holds what is acknowledged of a partition against the log, as far back as that goes.
async fn compared<V: LogView>(
    log: &V,
    client: &Client,
    table: &Table,
    found: &TopicAudit,
) -> Result<Compared, SinkError> {
    let held = gaps::held(log, table, found.partition, found.committed)?;
    let mut compared = Compared {
        from: held.start,
        missing: 0,
        surplus: 0,
    };
    for run in gaps::runs(held) {
        let gaps = gaps::compare(log, client, table, found.partition, run).await?;
        compared.missing += gaps.missing.len() as u64;
        compared.surplus += gaps.surplus.len() as u64;
    }
    Ok(compared)
}

fn judge(table: &Table, found: &TopicAudit) -> Vec<Problem> {
    let (topic, partition) = (found.topic, found.partition);
    let mut problems = Vec::new();
    if let Some(offset) = found.last
        && offset >= found.planned
    {
        problems.push(Problem::Unplanned {
            topic,
            partition,
            offset,
        });
    }
    if table.idempotent {
        // Older rows are replaced when parts merge; the newest is always kept. Where the newest
        // record gave no row, the largest offset says nothing.
        match found.expected {
            Some(expected) if expected > 0 && found.acknowledged == 0 => {
                problems.push(Problem::Missing {
                    topic,
                    partition,
                    records: 1,
                });
            }
            None if found.acknowledged == 0 => {
                problems.extend(uncounted(found, found.committed));
            }
            _ => {}
        }
        return problems;
    }
    let (missing, surplus) = match (found.expected, found.compared) {
        (Some(expected), _) => (
            expected.saturating_sub(found.acknowledged),
            found.acknowledged.saturating_sub(expected),
        ),
        (None, Some(compared)) => (compared.missing, compared.surplus),
        (None, None) => (0, 0),
    };
    if missing > 0 {
        problems.push(Problem::Missing {
            topic,
            partition,
            records: missing,
        });
    }
    if surplus > 0 {
        problems.push(Problem::Surplus {
            topic,
            partition,
            rows: surplus,
        });
    }
    if found.expected.is_none() {
        let below = found
            .compared
            .map_or(found.committed, |compared| compared.from);
        problems.extend(uncounted(found, below));
    }
    if found.rows > found.offsets {
        problems.push(Problem::Double {
            topic,
            partition,
            rows: found.rows - found.offsets,
        });
    }
    problems
}

/// What cannot be told of the rows below an offset; nothing where none can be there.
fn uncounted(found: &TopicAudit, below: u64) -> Option<Problem> {
    (below > 0).then_some(Problem::Uncounted {
        topic: found.topic,
        partition: found.partition,
        below,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition of which 100 is acknowledged, and 90 offsets of it have a row.
    fn found(table: &Table, expected: Option<u64>, compared: Option<Compared>) -> TopicAudit {
        TopicAudit {
            topic: table.topic,
            table: table.name,
            partition: 1,
            kept: 0,
            end: 100,
            committed: 100,
            planned: 100,
            rows: 90,
            offsets: 90,
            first: Some(0),
            last: Some(99),
            acknowledged: 90,
            expected,
            compared,
        }
    }

    #[test]
    fn what_nobody_counted_is_never_well_by_itself() {
        let [visits, ..] = &TABLES;
        let (topic, partition) = (visits.topic, 1);
        let uncounted = |below| Problem::Uncounted {
            topic,
            partition,
            below,
        };
        let compared = |from, missing, surplus| {
            Some(Compared {
                from,
                missing,
                surplus,
            })
        };
        let judged = |expected, compared| judge(visits, &found(visits, expected, compared));
        assert!(judged(Some(90), None).is_empty());
        assert_eq!(judged(None, None), [uncounted(100)]);
        // The log holds all of it: that is as good as a count.
        assert!(judged(None, compared(0, 0, 0)).is_empty());
        assert_eq!(judged(None, compared(60, 0, 0)), [uncounted(60)]);
        assert_eq!(
            judged(None, compared(60, 2, 3)),
            [
                Problem::Missing {
                    topic,
                    partition,
                    records: 2
                },
                Problem::Surplus {
                    topic,
                    partition,
                    rows: 3
                },
                uncounted(60),
            ]
        );
        let said = uncounted(60).to_string();
        assert!(
            said.contains("below offset 60") && said.contains("start the sink again"),
            "{said}"
        );
    }

    #[test]
    fn tables_of_newest_rows_are_in_doubt_only_without_any() {
        let replaced = TABLES.iter().find(|table| table.idempotent);
        let replaced = replaced.expect("one of them");
        let judged = |expected, acknowledged| {
            let found = TopicAudit {
                acknowledged,
                ..found(replaced, expected, None)
            };
            judge(replaced, &found).len()
        };
        assert_eq!(judged(None, 90), 0);
        assert_eq!(judged(None, 0), 1);
        assert_eq!(judged(Some(0), 0), 0);
        assert_eq!(judged(Some(7), 0), 1);
        assert_eq!(judged(Some(7), 90), 0);
    }
}
