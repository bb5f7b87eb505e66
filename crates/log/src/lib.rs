//! The log that the stages read and append to, in two homes: a local file, or Apache Kafka.
//!
//! The log is a set of topics. A topic has partitions, a partition is a sequence of records, each
//! with an offset. A consumer reads a batch, works out what follows from it, and commits outputs
//! and its new input offset in **one** transaction: after a crash at any moment either all of it
//! is there or none. That is the whole contract, and [`Partition`] is its form.
//!
//! - [`Log`] is the local home, a `redb` file: one partition a topic, no server. Commits may set
//!   small values besides.
//! - [`kafka`] is the home for many replicas: a [`kafka::Group`] hands out partitions, and takes
//!   them back.
//!
//! Producers that read nothing append with [`Log::commit`] or [`kafka::Producer`]; the same
//! [`Commit`] says what and to which partition.
//!
//! What a record means is not this crate's business.
// Denied, not forbidden: two calls into librdkafka are not in its bindings (`kafka::member`, `kafka::token`).
#![deny(unsafe_code)]

mod batch;
mod commit;
mod error;
pub mod kafka;
mod key;
mod local;
mod partition;

pub use batch::{Batch, RecordIter};
pub use commit::{Commit, Committed, Durability, KeyValue, Position};
pub use error::LogError;
pub use key::Key;
pub use local::{BlockError, LocalPartition, Log};
pub use partition::Partition;

/// The partition of every topic in the local home.
pub const PARTITION: i32 = 0;
/// Largest record that the log takes, bytes.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
