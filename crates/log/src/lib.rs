//! The log that the stages read and append to, in its local home: one file, no server.
//!
//! The log is a set of topics. A topic is a sequence of records, each with an offset. A stage
//! reads a batch, works out what follows from it, and [`commit`](Log::commit)s outputs, its new
//! input offset and any small values of its own in **one** transaction: after a crash at any
//! moment either all of it is there or none. That is the whole contract, and Kafka's transactions
//! keep the same one.
//!
//! Records are kept in blocks of many, compressed with LZ4, in a `redb` file (copy-on-write
//! B-trees, checksummed commits). What a record means is not this crate's business.
//!
//! In this home every topic has one partition, number 0.
#![forbid(unsafe_code)]

mod batch;
mod block;
mod store;

pub use batch::{Batch, RecordIter};
pub use block::BlockError;
pub use store::{Commit, Committed, Durability, KeyValue, Log, LogError, Position};

/// The partition of every topic in the local home.
pub const PARTITION: i32 = 0;
/// Largest record that the log takes, bytes.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
