//! What must be true of a table before the first row is written.

use std::time::Duration;

use clickhouse::{Client, Row};
use serde::Deserialize;

use crate::copies::Copies;
use crate::error::SinkError;
use crate::rows::Table;
use crate::{DATABASE, Options};

/// Fewest inserts that a table must remember.
const WINDOW_MIN: u64 = 100;
/// Batches of one writer are taken to be no closer to each other, however short they linger.
const BATCH_EVERY_MIN: Duration = Duration::from_millis(100);
/// Inserts that each batch is taken to make, one for each month that it touches: a stream's are of a
/// month or two.
const INSERTS_A_BATCH: u64 = 4;

/// Inserts that a table must remember: as many as its writers, one for each partition of its
/// topic, make while one request may still be on its way, which is as long as an answer is
/// waited for.
///
/// It is a number, not a time. Batches that are full before they have lingered, or of more months
/// (up to [`MONTHS_MAX`](crate::plan::MONTHS_MAX)), fill it sooner. So a writer sends nothing late
/// that it has not asked for; see [`insert`](crate::insert) for what is left.
pub(crate) fn window_needed(writers: u64, options: &Options) -> u64 {
    let between = options.linger.max(BATCH_EVERY_MIN);
    let batches = options
        .answer_max
        .as_millis()
        .div_ceil(between.as_millis().max(1));
    let inserts = u64::try_from(batches)
        .unwrap_or(u64::MAX)
        .saturating_mul(INSERTS_A_BATCH);
    writers.saturating_mul(inserts).max(WINDOW_MIN)
}

/// Makes a table remember as many inserts as so many writers need: never fewer than it does, and
/// only where the engine keeps the number in the table itself.
pub(crate) async fn widen(
    client: &Client,
    table: &Table,
    writers: u64,
    options: &Options,
) -> Result<(), SinkError> {
    let needed = window_needed(writers, options);
    let found = engine(client, table).await?;
    if found.engine != "MergeTree" || setting(&found.engine_full, PLAIN_WINDOW) >= needed {
        return Ok(());
    }
    tracing::info!(
        table = table.name,
        inserts = needed,
        "table remembers more inserts"
    );
    let alter = format!(
        "ALTER TABLE {DATABASE}.{} MODIFY SETTING non_replicated_deduplication_window = {needed}",
        table.name
    );
    let altered = client.query(&alter).execute().await;
    altered.map_err(SinkError::ClickHouse)
}

/// As `engine_full` of `system.tables` writes it.
const PLAIN_WINDOW: &str = " non_replicated_deduplication_window = ";
const REPLICATED_WINDOW: &str = " replicated_deduplication_window = ";

#[derive(Row, Deserialize)]
struct Engine {
    engine: String,
    engine_full: String,
}

async fn engine(client: &Client, table: &Table) -> Result<Engine, SinkError> {
    let found = client
        .query("SELECT engine, engine_full FROM system.tables WHERE database = ? AND name = ?")
        .bind(DATABASE)
        .bind(table.name)
        .fetch_optional::<Engine>()
        .await
        .map_err(SinkError::ClickHouse)?;
    found.ok_or(SinkError::MissingTable { table: table.name })
}

/// Who holds the rows of a table.
pub(crate) async fn copies(client: &Client, table: &Table) -> Result<Copies, SinkError> {
    Ok(Copies::of_engine(&engine(client, table).await?.engine))
}

/// Refuses a table that is missing, lacks a column, or remembers fewer than `window` inserts; says who
/// holds its rows.
pub(crate) async fn check(
    client: &Client,
    table: &Table,
    window: u64,
) -> Result<Copies, SinkError> {
    let found = engine(client, table).await?;
    check_engine(table, &found, window)?;
    let there: Vec<Column> = client
        .query("SELECT name, type FROM system.columns WHERE database = ? AND table = ?")
        .bind(DATABASE)
        .bind(table.name)
        .fetch_all()
        .await
        .map_err(SinkError::ClickHouse)?;
    check_columns(table, &there)?;
    Ok(Copies::of_engine(&found.engine))
}

#[derive(Row, Deserialize)]
struct Column {
    name: String,
    r#type: String,
}

/// A column of another type is refused, not left to the engine: it would convert, and cut or
/// replace values without a word.
fn check_columns(table: &Table, there: &[Column]) -> Result<(), SinkError> {
    let mut missing = Vec::new();
    for (name, sent) in table.columns().zip(table.types()) {
        let Some(found) = there.iter().find(|column| column.name == name) else {
            missing.push(name);
            continue;
        };
        if without_dictionaries(&found.r#type) != sent {
            return Err(SinkError::ChangedColumn {
                table: table.name,
                column: name,
                found: found.r#type.clone(),
                sent,
            });
        }
    }
    if !missing.is_empty() {
        return Err(SinkError::MissingColumns {
            table: table.name,
            columns: missing.join(", "),
        });
    }
    Ok(())
}

/// A type without its `LowCardinality(…)`: how values are kept, not which they are.
fn without_dictionaries(of_column: &str) -> String {
    const OPENING: &str = "LowCardinality(";
    let mut plain = String::with_capacity(of_column.len());
    let mut rest = of_column;
    // For each open parenthesis, whether it is one that is left out.
    let mut open = Vec::new();
    let mut quoted = false;
    while let Some(next) = rest.chars().next() {
        if !quoted && let Some(inner) = rest.strip_prefix(OPENING) {
            open.push(true);
            rest = inner;
            continue;
        }
        quoted ^= next == '\'';
        let left_out = match next {
            '(' if !quoted => {
                open.push(false);
                false
            }
            ')' if !quoted => open.pop().unwrap_or(false),
            _ => false,
        };
        if !left_out {
            plain.push(next);
        }
        rest = &rest[next.len_utf8()..];
    }
    plain
}

fn check_engine(table: &Table, found: &Engine, window: u64) -> Result<(), SinkError> {
    let plain = found.engine.strip_prefix("Replicated");
    let family = plain.unwrap_or(&found.engine);
    let wanted = if table.idempotent {
        "ReplacingMergeTree"
    } else {
        "MergeTree"
    };
    if family != wanted {
        return Err(SinkError::WrongEngine {
            table: table.name,
            found: found.engine.clone(),
        });
    }
    // Replicated tables remember 10000 inserts by default, in Keeper, with the part.
    if table.idempotent
        || (plain.is_some()
            && !found
                .engine_full
                .contains("replicated_deduplication_window"))
    {
        return Ok(());
    }
    let name = match plain {
        Some(_) => REPLICATED_WINDOW,
        None => PLAIN_WINDOW,
    };
    let remembered = setting(&found.engine_full, name);
    if remembered < window {
        return Err(SinkError::NoWindow {
            table: table.name,
            found: remembered,
            needed: window,
        });
    }
    Ok(())
}

/// A number among the settings of a table's definition; 0 where it is not there.
fn setting(definition: &str, name: &str) -> u64 {
    let Some((_, rest)) = definition.split_once(name) else {
        return 0;
    };
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::TABLES;

    fn engine(full: &str) -> Engine {
        Engine {
            engine: full.split(['(', ' ']).next().unwrap_or_default().to_owned(),
            engine_full: full.to_owned(),
        }
    }

    #[test]
    fn a_dictionary_is_no_other_type() {
        for (of_column, plain) in [
            ("LowCardinality(String)", "String"),
            ("LowCardinality(Nullable(String))", "Nullable(String)"),
            ("Map(LowCardinality(String), String)", "Map(String, String)"),
            (
                "Array(Tuple(name LowCardinality(String), detail String))",
                "Array(Tuple(name String, detail String))",
            ),
            (
                "Enum8('LowCardinality(' = 0, ')' = 1)",
                "Enum8('LowCardinality(' = 0, ')' = 1)",
            ),
            ("DateTime64(3, 'UTC')", "DateTime64(3, 'UTC')"),
        ] {
            assert_eq!(without_dictionaries(of_column), plain);
        }
    }

    #[test]
    fn a_column_of_another_type_is_refused() {
        let [visits, ..] = &TABLES;
        let columns = |change: &dyn Fn(&mut Column)| -> Vec<Column> {
            let of = |(name, r#type): (&str, String)| Column {
                name: name.to_owned(),
                r#type,
            };
            let mut columns: Vec<Column> = visits.columns().zip(visits.types()).map(of).collect();
            columns.iter_mut().for_each(change);
            columns
        };
        assert!(check_columns(visits, &columns(&|_| {})).is_ok());
        let narrowed = |column: &mut Column| {
            if column.name == "title" {
                column.r#type = "Nullable(FixedString(1))".to_owned();
            }
        };
        assert!(matches!(
            check_columns(visits, &columns(&narrowed)),
            Err(SinkError::ChangedColumn {
                column: "title",
                ..
            })
        ));
    }

    #[test]
    fn more_writers_and_longer_waits_need_more_memory() {
        let options = Options::default();
        // The migrations make tables with 1000: enough for one writer.
        assert_eq!(window_needed(1, &options), 960);
        assert_eq!(window_needed(12, &options), 11_520);
        let hurried = Options {
            linger: Duration::ZERO,
            answer_max: Duration::from_secs(20),
            ..options
        };
        assert_eq!(window_needed(1, &hurried), 800);
        let fine = "MergeTree ORDER BY site SETTINGS non_replicated_deduplication_window = 1000";
        let [visits, ..] = &TABLES;
        assert!(check_engine(visits, &engine(fine), 1_000).is_ok());
        assert!(matches!(
            check_engine(visits, &engine(fine), 1_001),
            Err(SinkError::NoWindow { needed: 1_001, .. })
        ));
    }

    #[test]
    fn a_table_must_remember_inserts() {
        let [visits, ..] = &TABLES;
        let cascades = TABLES
            .iter()
            .find(|table| table.name == "cascade_states")
            .expect("is there");
        let fine = "MergeTree PARTITION BY toYYYYMM(time) ORDER BY site SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192";
        assert!(check_engine(visits, &engine(fine), 100).is_ok());
        for bad in [
            "MergeTree ORDER BY site SETTINGS index_granularity = 8192",
            "MergeTree ORDER BY site SETTINGS non_replicated_deduplication_window = 0",
            "ReplicatedMergeTree('/x', 'y') ORDER BY site SETTINGS replicated_deduplication_window = 0",
        ] {
            assert!(
                matches!(
                    check_engine(visits, &engine(bad), 100),
                    Err(SinkError::NoWindow { .. })
                ),
                "{bad}"
            );
        }
        assert!(
            check_engine(
                visits,
                &engine("ReplicatedMergeTree('/x', 'y') ORDER BY site"),
                100
            )
            .is_ok()
        );
        assert!(matches!(
            check_engine(visits, &engine("Log"), 100),
            Err(SinkError::WrongEngine { .. })
        ));
        assert!(
            check_engine(
                cascades,
                &engine("ReplacingMergeTree(offset) ORDER BY site"),
                100
            )
            .is_ok()
        );
        assert!(matches!(
            check_engine(cascades, &engine("MergeTree ORDER BY site"), 100),
            Err(SinkError::WrongEngine { .. })
        ));
    }
}
