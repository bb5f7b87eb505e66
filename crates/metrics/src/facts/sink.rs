//! The sink: batches, rows and what ClickHouse answered.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::facts::FACTS;
use crate::registrar::{Histograms, Registrar, bytes, rows, seconds, seconds_to_row};

/// A block of rows is in ClickHouse.
#[derive(Clone, Copy, Debug)]
pub struct BatchInserted {
    /// Table.
    pub table: &'static str,
    /// Rows of the block.
    pub rows: u64,
    /// Bytes of the block as sent.
    pub bytes: u64,
    /// From the first attempt to certainty.
    pub took: Duration,
}

impl BatchInserted {
    /// Counts it.
    pub fn emit(self) {
        let metrics = &FACTS.sink;
        let label = Table { table: self.table };
        metrics.rows.get_or_create(&label).inc_by(self.rows);
        // Counts far below 2^53: exact as numbers of this kind.
        metrics
            .batch_rows
            .get_or_create(&label)
            .observe(self.rows as f64);
        metrics
            .batch_bytes
            .get_or_create(&label)
            .observe(self.bytes as f64);
        metrics
            .insert
            .get_or_create(&label)
            .observe(self.took.as_secs_f64());
    }
}

/// Rows can be queried now, so long after what they tell of.
#[derive(Clone, Copy, Debug)]
pub struct RowsVisible<'a> {
    /// Table.
    pub table: &'static str,
    /// Event times of the rows, milliseconds since 1970 UTC.
    pub event_times_ms: &'a [i64],
    /// The time now, milliseconds since 1970 UTC.
    pub now_ms: i64,
}

impl RowsVisible<'_> {
    /// Counts every row.
    pub fn emit(self) {
        let histogram = FACTS
            .sink
            .to_row
            .get_or_create_owned(&Table { table: self.table });
        for time in self.event_times_ms {
            // A clock ahead of ours is no latency below nothing.
            let late_ms = self.now_ms.saturating_sub(*time).max(0);
            histogram.observe(late_ms as f64 / 1000.0);
        }
    }
}

/// Why something is asked of ClickHouse again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// No answer: away, or too slow.
    Unreachable,
    /// An answer that says no, for a reason that may pass.
    Refused,
}

/// ClickHouse did not do as asked, and is asked again.
#[derive(Clone, Copy, Debug)]
pub struct ClickHouseRetried {
    /// Table.
    pub table: &'static str,
    /// Why.
    pub reason: RetryReason,
}

impl ClickHouseRetried {
    /// Counts it. Whoever waits logs what ClickHouse said.
    pub fn emit(self) {
        let reason = match self.reason {
            RetryReason::Unreachable => "unreachable",
            RetryReason::Refused => "refused",
        };
        let label = Retry {
            table: self.table,
            reason,
        };
        FACTS.sink.retries.get_or_create(&label).inc();
    }
}

/// A kill left a deduplication token without its rows: they are sent under another.
#[derive(Clone, Copy, Debug)]
pub struct TokenWithoutRows {
    /// Table.
    pub table: &'static str,
}

impl TokenWithoutRows {
    /// Counts it.
    pub fn emit(self) {
        FACTS
            .sink
            .tokens
            .get_or_create(&Table { table: self.table })
            .inc();
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Table {
    table: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Retry {
    table: &'static str,
    reason: &'static str,
}

pub(crate) struct Metrics {
    rows: Family<Table, Counter>,
    batch_rows: Histograms<Table>,
    batch_bytes: Histograms<Table>,
    insert: Histograms<Table>,
    to_row: Histograms<Table>,
    retries: Family<Retry, Counter>,
    tokens: Family<Table, Counter>,
}

impl Metrics {
    pub(crate) fn new(registrar: &mut Registrar) -> Metrics {
        Metrics {
            rows: registrar.counter(
                "grapevine_sink_rows",
                "Rows that are certain to be in ClickHouse",
            ),
            batch_rows: registrar.histogram(
                "grapevine_sink_batch_rows",
                "Rows of one insert",
                rows,
            ),
            batch_bytes: registrar.histogram(
                "grapevine_sink_batch_bytes",
                "Bytes of one insert as sent",
                bytes,
            ),
            insert: registrar.histogram(
                "grapevine_sink_insert_seconds",
                "Time of one insert, from the first attempt to certainty",
                seconds,
            ),
            to_row: registrar.histogram(
                "grapevine_event_to_row_seconds",
                "Time from an event to its row being there to query; imports of old logs are beyond the last bucket",
                seconds_to_row,
            ),
            retries: registrar.counter(
                "grapevine_clickhouse_retries",
                "Times that ClickHouse was asked again, by reason: unreachable, refused",
            ),
            tokens: registrar.counter(
                "grapevine_clickhouse_tokens_without_rows",
                "Deduplication tokens that a kill of ClickHouse left without rows, found and mended",
            ),
        }
    }
}
