//! Writes missing rows again, holding no more of them than a batch of the sink has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;
use clickhouse::Client;

use crate::audit::view::LogView;
use crate::batch::ROW_BYTES;
use crate::error::SinkError;
use crate::insert::Inserter;
use crate::month::Month;
use crate::rows::{Rows, Table};
use crate::settings::{BLOCK_ROWS_MAX, Settings};
use crate::{Options, startup};

/// Writes missing rows of one partition. What it has inserted is there, whatever comes after.
pub(super) struct Filler {
    held: Held,
    inserter: Inserter,
    /// Tells the tokens of this repair from those of any other: deleted rows left theirs behind.
    repair: u128,
    /// Blocks so far.
    blocks: u64,
    /// Rows inserted so far.
    inserted: u64,
}

impl Filler {
    /// Holds up to [`Options::batch_rows_max`] rows and about [`Options::batch_bytes_max`] bytes
    /// of them before it inserts.
    pub(super) async fn new(
        client: &Client,
        table: &'static Table,
        partition: i32,
        options: &Options,
    ) -> Result<Filler, SinkError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(Filler {
            held: Held {
                table,
                partition,
                rows_max: options.batch_rows_max.clamp(1, BLOCK_ROWS_MAX),
                bytes_max: options.batch_bytes_max.max(1),
                months: BTreeMap::new(),
                rows: 0,
                bytes: 0,
            },
            inserter: Inserter {
                client: client.clone().with_database("default"),
                settings: Settings::agreed(client).await?,
                copies: startup::copies(client, table).await?,
                answer_max: options.answer_max,
                pause_max: options.pause_max,
            },
            repair: now.map_or(0, |since| since.as_nanos()),
            blocks: 0,
            inserted: 0,
        })
    }

    /// Takes the records at these offsets, and inserts their rows whenever it holds enough.
    pub(super) async fn fill<V: LogView>(
        &mut self,
        log: &V,
        missing: &BTreeSet<u64>,
    ) -> Result<(), SinkError> {
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else {
            return Ok(());
        };
        let (topic, partition) = (self.held.table.topic, self.held.partition);
        let (mut from, end) = (*first, *last + 1);
        // How far one read goes: what it reads after enough is held, is read again.
        let mut reach = end - from;
        while from < end {
            let to = end.min(from.saturating_add(reach));
            let mut next = to;
            let held = &mut self.held;
            log.records(topic, partition, from..to, &mut |offset, record| {
                if next == to && missing.contains(&offset) && !held.push(offset, record) {
                    next = offset;
                }
            })?;
            if self.held.is_full() {
                self.insert().await?;
            }
            if next < to {
                reach = (next - from).max(1).saturating_mul(2);
            }
            from = next;
        }
        Ok(())
    }

    /// Inserts what it still holds; how many rows it has inserted in all.
    pub(super) async fn finish(mut self) -> Result<u64, SinkError> {
        self.insert().await?;
        Ok(self.inserted)
    }

    /// Inserts what is held, a block for each month.
    async fn insert(&mut self) -> Result<(), SinkError> {
        let (table, partition) = (self.held.table, self.held.partition);
        if self.held.months.is_empty() {
            return Ok(());
        }
        for (month, rows) in self.held.take() {
            let block = Bytes::from(rows.freeze(table.columns().count()));
            let count = rows.count() as u64;
            drop(rows);
            let token = format!(
                "repair/{}/{partition}/{month}/{}/{}",
                table.topic, self.repair, self.blocks
            );
            self.blocks += 1;
            self.inserter
                .put(table, &block, token)
                .await
                .map_err(SinkError::ClickHouse)?;
            self.inserted += count;
        }
        tracing::info!(
            topic = table.topic,
            partition,
            rows = self.inserted,
            "missing rows are back"
        );
        Ok(())
    }
}

/// Rows of one partition that wait to be inserted, by month.
struct Held {
    table: &'static Table,
    partition: i32,
    rows_max: usize,
    bytes_max: usize,
    months: BTreeMap<Month, Rows>,
    rows: usize,
    bytes: usize,
}

impl Held {
    fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= self.bytes_max
    }

    /// Takes the row of a record, where it gives one. False where no more is to be held.
    fn push(&mut self, offset: u64, record: &[u8]) -> bool {
        if self.is_full() {
            return false;
        }
        let Ok(row) = self.table.decode(record) else {
            return true;
        };
        if !self.months.contains_key(&row.month)
            && let Some(rows) = Rows::starting_with(&row)
        {
            self.months.insert(row.month, rows);
        }
        if let Some(rows) = self.months.get_mut(&row.month) {
            rows.push(&row, self.table.topic, self.partition, offset);
            self.rows += 1;
            self.bytes += record.len() + ROW_BYTES;
        }
        true
    }

    fn take(&mut self) -> BTreeMap<Month, Rows> {
        (self.rows, self.bytes) = (0, 0);
        std::mem::take(&mut self.months)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::TABLES;
    use crate::stand_in::letter_of;

    fn held(rows_max: usize, bytes_max: usize) -> Held {
        let [.., letters] = &TABLES;
        Held {
            table: letters,
            partition: 0,
            rows_max,
            bytes_max,
            months: BTreeMap::new(),
            rows: 0,
            bytes: 0,
        }
    }

    fn counts(held: &mut Held) -> Vec<usize> {
        held.take().values().map(Rows::count).collect()
    }

    #[test]
    fn no_more_is_held_than_allowed() {
        let (march, april) = (letter_of(1_709_251_200_000), letter_of(1_711_929_600_000));
        let mut by_rows = held(3, usize::MAX);
        for start in [0, 10] {
            assert!(by_rows.push(start, &march));
            assert!(by_rows.push(start + 1, b"gives no row"));
            assert!(by_rows.push(start + 2, &april));
            assert!(!by_rows.is_full());
            assert!(by_rows.push(start + 3, &march));
            assert!(by_rows.is_full());
            assert!(!by_rows.push(start + 4, &march), "that is one too many");
            assert_eq!(counts(&mut by_rows), [2, 1]);
        }
        // A record of any size is taken where nothing else is held.
        let mut by_bytes = held(100, 1);
        for offset in 0..2 {
            assert!(by_bytes.push(offset, &march));
            assert!(!by_bytes.push(offset + 10, &march));
            assert_eq!(counts(&mut by_bytes), [1]);
        }
    }
}
