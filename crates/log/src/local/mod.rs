//! The local home: topics, committed offsets and small values in one `redb` file (copy-on-write
//! B-trees, checksummed commits). Records are kept in blocks of many, compressed with LZ4. Every
//! topic has one partition, number 0.

mod block;
mod file;
mod partition;
mod store;

pub use block::BlockError;
pub(crate) use block::Unpacked;
pub use partition::LocalPartition;
pub(crate) use store::FORMAT;
pub use store::Log;
