//! What the services tell about their own work: one type for each fact, and the metrics that count
//! them. `docs/metrics.md` is the inventory for readers; a test holds it to the code.
//!
//! A crate that does something worth counting makes the fact and calls its `emit`; it never touches
//! a counter. So a metric has one home, one name and one set of labels, and a log line and a count
//! of the same thing cannot drift apart.
//!
//! Labels are closed sets: `&'static str` and partition numbers, so that no record can make a series.
//! Names carry their units; counters end in `_total`, times are in seconds, sizes in bytes.
//!
//! Built on `prometheus-client`: histograms are buckets that are counted at once, so that memory is the
//! same whether anybody scrapes or not, and labels are types. Facts are told per batch or request, never
//! per hit, and cost some ten nanoseconds each.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "this crate is their one home")]

mod facts;
mod registrar;

pub use facts::collect::{
    HitsTaken, RequestAnswered, RequestEnd, SpoolDrained, SpoolFilled, SpoolState,
};
pub use facts::consume::{PartitionLag, PartitionLeft};
pub use facts::process::Started;
pub use facts::sink::{
    BatchInserted, ClickHouseRetried, RetryReason, RowsVisible, TokenWithoutRows,
};
pub use facts::stage::{
    Buried, CommitEnd, CommitEnded, SnapshotFailed, SnapshotSaved, StateCounted, StateReplayed,
    StateSize, StepDone,
};

/// Media type of [`render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that was told so far, as OpenMetrics text.
pub fn render() -> String {
    facts::render()
}

/// Name of every metric, without the `_total` of counters, in the order of the inventory.
pub fn names() -> Vec<&'static str> {
    facts::names()
}
