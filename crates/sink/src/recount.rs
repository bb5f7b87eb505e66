//! How many rows lie below a position that does not say: Kafka's own tools set an offset without
//! the count, and early versions had none.
//!
//! The log says it, as far back as it goes: what is missing from ClickHouse stays missing. Of older
//! records nobody knows better than ClickHouse what they gave, so that there its rows are taken as
//! they are.

use std::time::Duration;

use clickhouse::Client;
use grapevine_log::{LogError, Partition};
use tokio::task::spawn_blocking;

use crate::DATABASE;
use crate::error::SinkError;
use crate::input::Input;
use crate::insert::{endure, waiting};
use crate::rows::Table;
use crate::stop::Stop;

/// First pause when ClickHouse cannot be reached; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Pause before the schema registry is asked again.
const REGISTRY_PAUSE: Duration = Duration::from_millis(100);

/// What the log says of a partition below an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OfLog {
    /// First offset that it still holds; the offset itself where it holds nothing below it.
    from: u64,
    /// Records from there on that give a row.
    rows: u64,
}

/// Counts the rows that the records below `end` gave. `None` where the sink stops meanwhile.
///
/// Reads the log from its first record to `end`, a piece at a time, and waits for a ClickHouse or
/// a schema registry that is away.
///
/// # Errors
/// The log's own, and what ClickHouse refuses for good.
pub(crate) async fn recount<P: Partition + 'static>(
    input: &Input<P>,
    client: &Client,
    pause_max: Duration,
    end: u64,
    stop: &Stop,
) -> Result<Option<u64>, SinkError> {
    let (table, partition) = (input.table(), input.number());
    let (topic, from_input, stopping) = (table.topic, input.clone(), stop.clone());
    tracing::info!(
        topic,
        partition,
        offset = end,
        "position has no count of rows: counting anew"
    );
    let counted = spawn_blocking(move || of_log(&from_input, end, &stopping)).await;
    let Some(of_log) = counted.map_err(|error| SinkError::Task(error.to_string()))?? else {
        return Ok(None);
    };
    let mut pause = PAUSE_FIRST;
    let mut refusals = 0;
    let older = loop {
        match rows_below(client, table, partition, of_log.from).await {
            Ok(rows) => break rows,
            Err(error) => {
                endure(table, &error, &mut refusals)?;
                waiting(table, &error, pause, pause_max);
            }
        }
        if stop.pause(pause).await {
            return Ok(None);
        }
        pause = (pause * 2).min(pause_max);
    };
    if older > 0 {
        tracing::warn!(
            topic,
            partition,
            below = of_log.from,
            rows = older,
            "the log no longer holds what gave these rows: taken to be all of them"
        );
    }
    Ok(Some(older.saturating_add(of_log.rows)))
}

fn of_log<P: Partition + 'static>(
    input: &Input<P>,
    end: u64,
    stop: &Stop,
) -> Result<Option<OfLog>, LogError> {
    let mut counted = OfLog::default();
    let mut next = 0;
    while next < end {
        if stop.is_turned() {
            return Ok(None);
        }
        let records = match input.read_once(next) {
            Ok(records) => records,
            // At the start, or because records expire faster than they are read.
            Err(LogError::Trimmed { first, .. }) => {
                next = first.min(end);
                counted = OfLog {
                    from: next,
                    rows: 0,
                };
                continue;
            }
            Err(LogError::Registry(reason)) => {
                tracing::warn!(reason, "counting waits for the schema registry");
                std::thread::sleep(REGISTRY_PAUSE);
                continue;
            }
            Err(error) => return Err(error),
        };
        if records.is_empty() {
            // Marks of Kafka's own are all that is left.
            break;
        }
        let below = records.iter().take_while(|(offset, _)| *offset < end);
        let rows = below.filter(|(_, record)| input.table().decode(record).is_ok());
        counted.rows += rows.count() as u64;
        next = records.next_offset();
    }
    Ok(Some(counted))
}

/// Different offsets of a partition in its table, below one.
async fn rows_below(
    client: &Client,
    table: &Table,
    partition: i32,
    offset: u64,
) -> clickhouse::error::Result<u64> {
    if offset == 0 {
        return Ok(0);
    }
    let sql = format!(
        "SELECT groupBitmap(offset) FROM {DATABASE}.{} \
         WHERE topic = ? AND partition = ? AND offset < ?",
        table.name
    );
    client
        .query(&sql)
        .bind(table.topic)
        .bind(partition)
        .bind(offset)
        .fetch_one::<u64>()
        .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grapevine_log::{Commit, Durability, LocalPartition, Log};

    use super::*;
    use crate::CONSUMER;
    use crate::rows::TABLES;
    use crate::stand_in::letter;

    #[test]
    fn the_log_is_counted_from_its_first_record_to_the_position() {
        let directory = tempfile::tempdir().expect("directory");
        let log = Arc::new(Log::open(&directory.path().join("log.redb")).expect("log"));
        let [.., letters] = &TABLES;
        // Blocks of ten offsets, of which the fourth gives no row.
        for _ in 0..5 {
            let mut commit = Commit::default();
            for number in 0..10 {
                match number {
                    3 => commit.append(letters.topic, b"no letter"),
                    _ => commit.append(letters.topic, &letter()),
                }
            }
            log.commit(&commit, Durability::Durable).expect("commits");
        }
        let partition = LocalPartition::new(Arc::clone(&log), CONSUMER, letters.topic);
        let input = Input::new(Arc::new(partition), letters);
        let counted = |end| of_log(&input, end, &Stop::new()).expect("reads");
        let of = |from, rows| Some(OfLog { from, rows });
        assert_eq!(counted(0), of(0, 0));
        assert_eq!(counted(24), of(0, 21));
        assert_eq!(counted(50), of(0, 45));
        // A position behind the last record: what lies between is no record.
        assert_eq!(counted(60), of(0, 45));

        log.trim(letters.topic, 20).expect("trims");
        assert_eq!(counted(50), of(20, 27));
        assert_eq!(counted(20), of(20, 0));
        assert_eq!(counted(7), of(7, 0));

        let stopped = Stop::new();
        stopped.turn();
        let nothing = of_log(&input, 50, &stopped).expect("reads nothing");
        assert_eq!(nothing, None);
    }
}
