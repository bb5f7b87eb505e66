//! The last stage: ClickHouse's tables, their migrations, and the writer that puts every record
//! of the output topics into them exactly once.
//!
//! The same code speaks to any ClickHouse over HTTP; in `grapevine local` that is the embedded
//! engine on loopback. What a record means is not this crate's business, nor where ClickHouse
//! runs or who may read it.
//!
//! How exactly once comes about, for each topic:
//!
//! 1. A run of records is read and encoded into frozen blocks, one for each month that it touches:
//!    the month is ClickHouse's partition, and one block into one partition is there whole or not
//!    at all.
//! 2. One durable commit to the log acknowledges the batch before and says what this one is: where
//!    it ends, how many rows each block has, by which version of the encoder.
//! 3. Each block goes in one insert with a token and every setting that this rests on.
//! 4. Unless the answer to the first attempt says that it is there, ClickHouse is asked for the
//!    rows by their offsets, and the same bytes are sent again where they are not. So after every
//!    start, too, and before a first attempt that comes late.
//!
//! Aggregates are projections inside the parts of the rows that they sum up, so they cannot differ
//! from them. [`audit`] proves all of it from the outside.
#![forbid(unsafe_code)]

mod audit;
mod batch;
mod budget;
mod copies;
mod error;
mod input;
mod insert;
mod migrate;
mod month;
mod native;
mod plan;
mod presence;
mod recount;
mod replay;
mod replica;
mod rows;
mod settings;
#[cfg(test)]
mod stand_in;
mod startup;
mod stop;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use grapevine_log::{LocalPartition, Log, LogError};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use audit::{
    Audit, Compared, Depth, KafkaView, LogView, Problem, Repair, TopicAudit, audit, repair,
};
pub use error::SinkError;
pub use migrate::{migrate, migrate_when_there, set_group_size_min};
pub use replay::{Filter, Found, REPLAY, Replay, add_table, replay_on_kafka};
pub use replica::{Replica, read_ahead_kib, run_replica, widen_windows};

use input::Input;
use rows::TABLES;
use stop::Stop;
use writer::Shared;

/// Name under which the sink commits its positions to the log.
pub const CONSUMER: &str = "sink";
/// Stage that the sink's own dead letters name.
pub(crate) const CONSUMER_STAGE: &str = "sink";
/// Database that holds all tables and views.
pub const DATABASE: &str = "grapevine";

/// Topics that the sink reads, in the order of the data flow.
pub fn topics() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.topic)
}

/// How batches close and how long the sink waits. The defaults suit a laptop and a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// A batch closes at this many rows, 1 to 1 000 000.
    pub batch_rows_max: usize,
    /// A batch closes at about this many bytes of rows. Two batches a partition may be in memory. A
    /// block must reach ClickHouse as one: the embedded server takes 64 MiB so.
    pub batch_bytes_max: usize,
    /// All partitions together hold no more bytes of rows than this, the copy that is made of a
    /// batch when it closes included (of one at a time): batches close early, and no more is read,
    /// while it is used up. Batches that were planned before a start cannot close early: as many are
    /// read at once as would fit if each were as large as
    /// [`batch_bytes_max`](Self::batch_bytes_max). One record for each partition may go beyond, and
    /// so does a planned batch that is larger than that. Not counted are what each partition keeps
    /// of its last read (1 MiB or one record), and that buffers grow by doubling.
    pub memory_bytes_max: usize,
    /// A batch closes this long after its first record, full or not. While the one before it is
    /// being inserted it goes on growing.
    pub linger: Duration,
    /// A batch of what stages found (edges, states, models) closes this long after its first record
    /// at the latest, and [`linger`](Self::linger) after its last: such rows are of hours, and each insert
    /// costs ClickHouse about the same whatever it holds.
    pub findings_linger: Duration,
    /// Longest wait for ClickHouse's answer to one request.
    pub answer_max: Duration,
    /// Longest pause between attempts while ClickHouse is away.
    pub pause_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            batch_rows_max: 131_072,
            batch_bytes_max: 48 * 1024 * 1024,
            memory_bytes_max: 256 * 1024 * 1024,
            linger: Duration::from_millis(500),
            findings_linger: Duration::from_secs(3),
            answer_max: Duration::from_secs(120),
            pause_max: Duration::from_secs(10),
        }
    }
}

/// Where the sink stands in one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicPosition {
    /// Topic.
    pub topic: &'static str,
    /// Everything below is in ClickHouse.
    pub committed: u64,
    /// Offset that the next record of the topic will have.
    pub end: u64,
}

impl TopicPosition {
    /// Records that are not known to be in ClickHouse yet.
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.committed)
    }
}

/// Where the sink stands in every topic. It has drained the log where every lag is 0.
///
/// # Errors
/// The log's own.
pub fn positions(log: &Log) -> Result<Vec<TopicPosition>, LogError> {
    topics()
        .map(|topic| {
            Ok(TopicPosition {
                topic,
                committed: log.position(CONSUMER, topic)?.offset,
                end: log.end(topic)?,
            })
        })
        .collect()
}

/// Records that are not known to be in ClickHouse yet, of all topics.
///
/// # Errors
/// The log's own.
pub fn lag(log: &Log) -> Result<u64, LogError> {
    Ok(positions(log)?.iter().map(TopicPosition::lag).sum())
}

/// Writes every topic into its table until `stop` turns true or its sender is gone. The database
/// must have been [`migrate`]d.
///
/// ClickHouse may be away for as long as it likes, at the start too: the sink waits, holding at
/// most two batches a topic and [`Options::memory_bytes_max`] in all, and goes on. On stopping, inserts under way are finished; what is
/// planned and not certain to be there is finished by the next start.
///
/// # Errors
/// What needs somebody to do something; see [`SinkError`]. All topics stop then.
///
/// # Panics
/// Outside a tokio runtime with time and I/O.
pub async fn run(
    log: Arc<Log>,
    client: Client,
    options: Options,
    mut stop: watch::Receiver<bool>,
) -> Result<(), SinkError> {
    let shared = Shared {
        // Every offset below a position is a row here or has its dead letter: the audit knows.
        recounts: false,
        ..Shared::new(client, options, 1)
    };
    let stopping = Stop::new();
    let mut tasks = JoinSet::new();
    for table in &TABLES {
        let partition = LocalPartition::new(Arc::clone(&log), CONSUMER, table.topic);
        let input = Input::new(Arc::new(partition), table);
        tasks.spawn(writer::write(input, shared.clone(), stopping.clone()));
    }
    let mut outcome = Ok(());
    loop {
        tokio::select! {
            // An error means that the sender is gone.
            _ = stop.wait_for(|stop| *stop), if !stopping.is_turned() => stopping.turn(),
            ended = tasks.join_next() => {
                let ended = match ended {
                    None => return outcome,
                    Some(ended) => ended.unwrap_or_else(|error| Err(SinkError::Task(error.to_string()))),
                };
                if let Err(error) = ended {
                    stopping.turn();
                    if outcome.is_ok() {
                        outcome = Err(error);
                    }
                }
            }
        }
    }
}
