//! Are the rows there? Asked of ClickHouse by topic, partition and offset, which every row carries.

use clickhouse::error::Result;
use clickhouse::{Client, Row};
use serde::Deserialize;

use crate::DATABASE;
use crate::month::Month;
use crate::rows::Table;

#[derive(Row, Deserialize)]
struct Newest {
    month: u32,
    offset: u64,
}

/// Largest offset of a topic's partition in its table, in one month or in all; `None` where there
/// is no row. Answered by the projection `presence` alone.
///
/// The month is compared here and not in the query: the engine would turn the condition into one
/// on the time itself, which the projection does not hold.
pub(crate) async fn newest(
    client: &Client,
    table: &Table,
    partition: i32,
    month: Option<Month>,
) -> Result<Option<u64>> {
    // Idempotent tables have no such projection and are asked as a whole only.
    let by = match table.idempotent {
        true => "toUInt32(0)".to_owned(),
        false => format!("toYYYYMM({})", table.time),
    };
    let sql = format!(
        "SELECT {by} AS month, max(offset) AS offset FROM {DATABASE}.{name} \
         WHERE topic = ? AND partition = ? GROUP BY topic, partition, month",
        name = table.name,
    );
    let found = client
        .query(&sql)
        .bind(table.topic)
        .bind(partition)
        .fetch_all::<Newest>()
        .await?;
    let wanted = month.map(Month::number);
    let offsets = found
        .into_iter()
        .filter(|newest| wanted.is_none_or(|month| newest.month == month))
        .map(|newest| newest.offset);
    Ok(offsets.max())
}

/// How many rows of a topic's partition with offsets from `start` to before `end` are in a month.
///
/// Batches go in by offset, so nothing at or above `start` means that none of this one is there:
/// the projection answers that. Only where something is are the rows counted one by one.
pub(crate) async fn rows(
    client: &Client,
    table: &Table,
    partition: i32,
    (start, end): (u64, u64),
    month: Month,
) -> Result<u64> {
    let newest = newest(client, table, partition, Some(month)).await?;
    if newest.is_none_or(|newest| newest < start) {
        return Ok(0);
    }
    let sql = format!(
        "SELECT count() FROM {DATABASE}.{name} WHERE topic = ? AND partition = ? \
         AND offset >= ? AND offset < ? AND {time} >= toDateTime64('{first}', 3, 'UTC') \
         AND {time} < toDateTime64('{after}', 3, 'UTC')",
        name = table.name,
        time = table.time,
        first = month.first_day(),
        after = month.next().first_day(),
    );
    client
        .query(&sql)
        .bind(table.topic)
        .bind(partition)
        .bind(start)
        .bind(end)
        .fetch_one::<u64>()
        .await
}
