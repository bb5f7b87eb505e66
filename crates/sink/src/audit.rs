//! Is everything in ClickHouse once? Rows and aggregates against the log's own positions.

use clickhouse::{Client, Row};
use grapevine_event::topic::DEAD_LETTERS;
use grapevine_log::{Log, PARTITION};
use serde::Deserialize;

use crate::error::SinkError;
use crate::plan::Plan;
use crate::rows::{TABLES, Table};
use crate::{CONSUMER, DATABASE};

/// What ClickHouse holds of one topic's partition, against what the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicAudit {
    /// Topic.
    pub topic: &'static str,
    /// Table that it feeds.
    pub table: &'static str,
    /// Partition.
    pub partition: i32,
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
    /// Records below `committed` that gave no row, and have a dead letter each.
    pub buried: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Acknowledged records without a row.
    Missing {
        /// Topic.
        topic: &'static str,
        /// How many.
        records: u64,
    },
    /// Rows beyond the first of an offset.
    Double {
        /// Topic.
        topic: &'static str,
        /// How many.
        rows: u64,
    },
    /// Rows at offsets that were never planned.
    Unplanned {
        /// Topic.
        topic: &'static str,
        /// Largest such offset.
        offset: u64,
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
            Problem::Missing { topic, records } => {
                write!(
                    out,
                    "{records} acknowledged records of topic {topic} have no row"
                )
            }
            Problem::Double { topic, rows } => {
                write!(out, "{rows} rows of topic {topic} are there more than once")
            }
            Problem::Unplanned { topic, offset } => write!(
                out,
                "topic {topic} has rows up to offset {offset} that were never planned"
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

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Every topic, in the order of the data flow.
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
/// Counts offsets exactly, with a bitmap a topic: about two bytes of ClickHouse's memory a row.
///
/// # Errors
/// The log's or ClickHouse's own.
pub async fn audit(log: &Log, client: &Client) -> Result<Audit, SinkError> {
    let mut audit = Audit::default();
    for table in &TABLES {
        let topic = topic(log, client, table).await?;
        audit.problems.extend(judge(table, &topic));
        audit.topics.push(topic);
    }
    for balance in BALANCES {
        let groups = unbalanced(client, balance).await?;
        if groups > 0 {
            audit.problems.push(Problem::Unbalanced {
                table: balance.table,
                projection: balance.projection,
                groups,
            });
        }
    }
    Ok(audit)
}

#[derive(Row, Deserialize)]
struct Found {
    rows: u64,
    offsets: u64,
    first: u64,
    last: u64,
    acknowledged: u64,
}

async fn topic(log: &Log, client: &Client, table: &'static Table) -> Result<TopicAudit, SinkError> {
    // Position first: what is acknowledged now is in ClickHouse now.
    let position = log.position(CONSUMER, table.topic)?;
    let found = client
        .query(&format!(
            "SELECT count() AS rows, groupBitmap(offset) AS offsets, min(offset) AS first, \
             max(offset) AS last, groupBitmapIf(offset, offset < ?) AS acknowledged \
             FROM {DATABASE}.{} WHERE topic = ? AND partition = ?",
            table.name
        ))
        .bind(position.offset)
        .bind(table.topic)
        .bind(PARTITION)
        .fetch_one::<Found>()
        .await
        .map_err(SinkError::ClickHouse)?;
    let planned = planned(log, table, position.offset)?;
    let buried = buried(client, table, position.offset).await?;
    Ok(TopicAudit {
        topic: table.topic,
        table: table.name,
        partition: PARTITION,
        end: log.end(table.topic)?,
        committed: position.offset,
        planned,
        rows: found.rows,
        offsets: found.offsets,
        first: (found.rows > 0).then_some(found.first),
        last: (found.rows > 0).then_some(found.last),
        acknowledged: found.acknowledged,
        buried,
    })
}

/// Where the newest plan ends, read after the rows were counted: none of them can be beyond it.
fn planned(log: &Log, table: &Table, committed: u64) -> Result<u64, SinkError> {
    let position = log.position(CONSUMER, table.topic)?;
    let plan = Plan::from_metadata(&position.metadata);
    Ok(plan.map_or(position.offset, |plan| plan.end).max(committed))
}

async fn buried(client: &Client, table: &Table, committed: u64) -> Result<u64, SinkError> {
    client
        .query(&format!(
            "SELECT uniqExact(source_position) FROM {DATABASE}.dead_letters \
             WHERE stage = 'sink' AND source = ? AND source_partition = ? AND source_position < ? \
             AND topic = ?"
        ))
        .bind(table.topic)
        .bind(PARTITION)
        .bind(committed)
        .bind(DEAD_LETTERS)
        .fetch_one::<u64>()
        .await
        .map_err(SinkError::ClickHouse)
}

fn judge(table: &Table, found: &TopicAudit) -> Vec<Problem> {
    let topic = found.topic;
    let mut problems = Vec::new();
    if let Some(offset) = found.last
        && offset >= found.planned
    {
        problems.push(Problem::Unplanned { topic, offset });
    }
    if table.idempotent {
        // Older rows are replaced when parts merge; the newest is always kept.
        let newest_is_there = found.last.is_some_and(|last| last + 1 >= found.committed);
        if found.committed > found.buried && found.buried == 0 && !newest_is_there {
            problems.push(Problem::Missing { topic, records: 1 });
        }
        return problems;
    }
    let accounted = found.acknowledged + found.buried;
    if accounted < found.committed {
        problems.push(Problem::Missing {
            topic,
            records: found.committed - accounted,
        });
    }
    if found.rows > found.offsets {
        problems.push(Problem::Double {
            topic,
            rows: found.rows - found.offsets,
        });
    }
    problems
}

/// Sums that a projection keeps, and the groups that it keeps them by.
struct Balance {
    table: &'static str,
    projection: &'static str,
    keys: &'static str,
    /// Aggregates, all of them numbers.
    sums: &'static [&'static str],
}

const VISIT_SUMS: &[&str] = &[
    "count()",
    "uniq(visitor)",
    "countIf(visitor_basis = 'none')",
    "sum(dark_probability)",
    "sum(dark_probability_low)",
    "sum(dark_probability_high)",
    "sum(dark_probability * (1 - dark_probability))",
    "sum(dark_search_probability)",
];
const PRESENCE_SUMS: &[&str] = &["count()", "min(offset)", "max(offset)"];
const PRESENCE_KEYS: &str = "topic, partition, toYYYYMM(time)";

const fn presence(table: &'static str) -> Balance {
    Balance {
        table,
        projection: "presence",
        keys: PRESENCE_KEYS,
        sums: PRESENCE_SUMS,
    }
}

const BALANCES: &[Balance] = &[
    Balance {
        table: "visits",
        projection: "by_hour",
        keys: "site, toStartOfHour(time), conventional_channel, channel, app, method",
        sums: VISIT_SUMS,
    },
    Balance {
        table: "visits",
        projection: "by_content",
        keys: "site, content, toDate(time), conventional_channel, channel",
        sums: VISIT_SUMS,
    },
    Balance {
        table: "events",
        projection: "by_hour",
        keys: "site, toStartOfHour(time), kind, name",
        sums: &["count()", "sum(value)", "uniq(visit_id)"],
    },
    Balance {
        table: "shares",
        projection: "by_hour",
        keys: "site, toStartOfHour(time), kind, app, private",
        sums: &["count()", "sum(probability)"],
    },
    Balance {
        table: "edges",
        projection: "by_transition",
        keys: "site, toDate(time), method, parent_kind, parent_app, child_app",
        sums: &[
            "sum(sign)",
            "sumIf(sign, ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000')) = toUUID('00000000-0000-0000-0000-000000000000'))",
            "sum(probability * sign)",
        ],
    },
    presence("visits"),
    presence("events"),
    presence("shares"),
    presence("edges"),
    presence("chain_models"),
    presence("dead_letters"),
];

/// Groups whose sums differ between projection and rows. Sums of floats are compared to a part in
/// a million: their last digits depend on the order of addition.
async fn unbalanced(client: &Client, balance: &Balance) -> Result<u64, SinkError> {
    let keys: Vec<String> = (0..balance.keys.split(", ").count())
        .map(|index| format!("k{index}"))
        .collect();
    let named_keys: Vec<String> = balance
        .keys
        .split(", ")
        .zip(&keys)
        .map(|(expression, name)| format!("{expression} AS {name}"))
        .collect();
    let sums: Vec<String> = balance
        .sums
        .iter()
        .enumerate()
        .map(|(index, sum)| format!("toFloat64(ifNull({sum}, 0)) AS s{index}"))
        .collect();
    // A setting inside a query does not keep the planner from projections; a condition on a column
    // that they do not group by does.
    let side = |from_rows: u8| {
        format!(
            "SELECT {from_rows} AS from_rows, {}, {} FROM {DATABASE}.{} {} GROUP BY {}",
            named_keys.join(", "),
            sums.join(", "),
            balance.table,
            if from_rows == 1 {
                "WHERE NOT ignore(offset)"
            } else {
                ""
            },
            keys.join(", "),
        )
    };
    let differs: Vec<String> = (0..balance.sums.len())
        .map(|index| {
            format!("abs(sumIf(s{index}, from_rows = 1) - sumIf(s{index}, from_rows = 0)) > 1e-6 * (1 + abs(max(s{index})))")
        })
        .collect();
    let sql = format!(
        "SELECT count() FROM (SELECT 1 FROM (SELECT * FROM ({}) UNION ALL SELECT * FROM ({})) \
         GROUP BY {} HAVING count() != 2 OR {})",
        side(0),
        side(1),
        keys.join(", "),
        differs.join(" OR "),
    );
    client
        .query(&sql)
        .fetch_one::<u64>()
        .await
        .map_err(SinkError::ClickHouse)
}
