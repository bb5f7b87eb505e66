//! Why a log cannot do what was asked.

use std::path::PathBuf;

use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::RECORD_BYTES_MAX;
use crate::local::{BlockError, FORMAT};

/// Why the log cannot do what was asked.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file is in use by another process.
    #[error("log {0} is in use by another process: stop it, or use another data directory")]
    InUse(PathBuf),
    /// The file was written by a newer version.
    #[error(
        "log {path} has format {found}, this version knows up to {FORMAT}: use a newer grapevine"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The disk is full.
    #[error(
        "no space left on the disk of log {0}: free some and start again, nothing stored is lost"
    )]
    DiskFull(PathBuf),
    /// The store failed.
    #[error("log {path}: {source}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What the store says.
        #[source]
        source: Box<redb::Error>,
    },
    /// A block is damaged.
    #[error("log topic {topic} is damaged at offset {offset}: {source}")]
    Block {
        /// Topic.
        topic: String,
        /// Offset of the block's first record.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: BlockError,
    },
    /// A record is larger than the log takes.
    #[error("a record of {0} bytes is larger than the {RECORD_BYTES_MAX} that the log takes")]
    TooLarge(usize),
    /// The committed offset is not the one that the commit goes on from.
    #[error(
        "{consumer} commits {topic} from offset {expected}, but stands at {found}: two of it are running"
    )]
    Fenced {
        /// Consumer name.
        consumer: String,
        /// Input topic.
        topic: String,
        /// Where the commit goes on from.
        expected: u64,
        /// Where the log has it.
        found: u64,
    },
    /// The records asked for are no longer kept.
    #[error("topic {topic} starts at offset {first}, offset {asked} is no longer kept")]
    Trimmed {
        /// Topic.
        topic: String,
        /// Offset asked for.
        asked: u64,
        /// First offset kept.
        first: u64,
    },
    /// The records asked for are not there yet, though they once were.
    #[error(
        "partition {partition} of topic {topic} ends at offset {end}, and offset {asked} is asked for: was the topic deleted and made anew? then the consumer group and the saved states have to go too"
    )]
    Beyond {
        /// Topic.
        topic: String,
        /// Number of the partition.
        partition: i32,
        /// Offset asked for.
        asked: u64,
        /// Offset that follows the last record.
        end: u64,
    },
    /// The transaction was given up; nothing of it is in the log.
    #[error("the transaction was given up, to be done again: {0}")]
    Aborted(String),
    /// The partition was given back, or taken away.
    #[error("partition {partition} of topic {topic} is held by another replica now")]
    Revoked {
        /// Topic.
        topic: String,
        /// Number of the partition.
        partition: i32,
    },
    /// Another process of the same name took over. To a client it looks the same where a broker was
    /// killed while a classic group was agreeing, and knows only an earlier life of this member.
    #[error(
        "another process is {id}, or a broker that was killed no longer knows this one: {reason}; give every replica a name of its own by kafka.replica, and start this one again"
    )]
    Ousted {
        /// Group and replica.
        id: String,
        /// What the broker says.
        reason: String,
    },
    /// The brokers let no transaction last as long as one of ours may.
    #[error(
        "kafka refuses transactions of {needed_ms} ms: set transaction.max.timeout.ms of every broker to {needed_ms} or more (900000 where nobody changed it)"
    )]
    TransactionTimeout {
        /// `transaction.timeout.ms` that is asked for.
        needed_ms: u32,
    },
    /// The brokers cannot be reached, or are not ready. Nothing is lost by trying again.
    #[error("kafka is away: {0}")]
    Away(String),
    /// The schema registry has not said what is needed of it. Nothing is lost by trying again.
    #[error("waiting for the schema registry: {0}")]
    Registry(String),
    /// The topic was not asked for at the start.
    #[error("topic {0} is none of those that were looked up at the start")]
    UnknownTopic(String),
    /// The home cannot do what the commit asks.
    #[error("this home of the log does not take {0}")]
    Unsupported(String),
    /// Kafka or its client failed for good.
    #[error("kafka, {doing}: {source}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// What the client says.
        #[source]
        source: Box<KafkaError>,
    },
}

impl LogError {
    pub(crate) fn kafka(doing: &'static str, source: KafkaError) -> LogError {
        LogError::Kafka {
            doing,
            source: Box::new(source),
        }
    }
}
