//! A partition of the log as its writer uses it, in either home.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use grapevine_event::topic::DEAD_LETTERS;
use grapevine_log::{Batch, Commit, Durability, LogError, Partition, Position};
use grapevine_metrics::PartitionLag;
use tokio::task::spawn_blocking;

use crate::CONSUMER_STAGE;
use crate::error::SinkError;
use crate::rows::Table;
use crate::stop::Stop;

/// Bytes that one read of the log asks for.
const READ_BYTES: usize = 1024 * 1024;
/// How often a partition says how far ClickHouse is behind it: on Kafka that is a question to the broker.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// Pause before a commit that was given up is made again.
const PAUSE: Duration = Duration::from_millis(100);

/// What a writer and the thread that gathers for it share. Clones are one.
#[derive(Debug)]
pub(crate) struct Input<P> {
    partition: Arc<P>,
    table: &'static Table,
    /// The last read: what a closed batch leaves of it is where the next one begins.
    read: Arc<Mutex<Option<Batch>>>,
    /// When the lag was told last.
    lag_told: Arc<Mutex<Option<Instant>>>,
}

impl<P> Clone for Input<P> {
    fn clone(&self) -> Self {
        Input {
            partition: Arc::clone(&self.partition),
            table: self.table,
            read: Arc::clone(&self.read),
            lag_told: Arc::clone(&self.lag_told),
        }
    }
}

impl<P: Partition + 'static> Input<P> {
    /// A partition of the topic that feeds the table.
    pub(crate) fn new(partition: Arc<P>, table: &'static Table) -> Input<P> {
        Input {
            partition,
            table,
            read: Arc::default(),
            lag_told: Arc::default(),
        }
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    /// Number of the partition.
    pub(crate) fn number(&self) -> i32 {
        self.partition.partition()
    }

    /// Where the sink stands: everything below the offset is in ClickHouse, the metadata is a
    /// [`Standing`](crate::plan::Standing).
    pub(crate) fn position(&self) -> Result<Position, LogError> {
        self.partition.position()
    }

    /// Says now and then how many records are not known to be in ClickHouse. Nothing depends on it, so
    /// brokers that do not answer are left to whoever reads.
    pub(crate) fn tell_lag(&self) {
        let mut told = self.lag_told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| told.elapsed() < LAG_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        if let (Ok(end), Ok(position)) = (self.partition.end(), self.partition.position()) {
            PartitionLag {
                consumer: CONSUMER_STAGE,
                topic: self.table.topic,
                partition: self.number(),
                records: end.saturating_sub(position.offset),
            }
            .emit();
        }
    }

    /// Asks the log whether the sink still stands there.
    pub(crate) async fn confirm(&self) -> Result<(), SinkError> {
        let partition = Arc::clone(&self.partition);
        match spawn_blocking(move || partition.confirm()).await {
            Ok(confirmed) => Ok(confirmed?),
            Err(error) => Err(SinkError::Task(error.to_string())),
        }
    }

    /// Hands `take` the records from offset `from` on, in order, until it wants no more or what was
    /// read is used up; waits up to `patience` for the first. The record that `take` refuses is
    /// not taken.
    pub(crate) fn read(
        &self,
        from: u64,
        patience: Duration,
        mut take: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), LogError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let covers = |batch: &Batch| (batch.first_offset()..batch.next_offset()).contains(&from);
        if !read.as_ref().is_some_and(covers) {
            // The old one's memory goes before the new one's comes.
            *read = None;
            let batch = self.partition.read_waiting(from, READ_BYTES, patience)?;
            *read = Some(batch);
        }
        for (offset, record) in read.iter().flatten() {
            if offset >= from && !take(offset, record) {
                break;
            }
        }
        Ok(())
    }

    /// Moves the position from `from` and appends the dead letters, both or neither; again and
    /// again where the log gives a transaction up, for then nothing of it is there.
    ///
    /// # Errors
    /// The log's own.
    pub(crate) async fn commit(
        &self,
        from: u64,
        to: Position,
        letters: Vec<Vec<u8>>,
        durability: Durability,
        stop: &Stop,
    ) -> Result<(), SinkError> {
        let letters = Arc::new(letters);
        loop {
            let (partition, letters, to) = (
                Arc::clone(&self.partition),
                Arc::clone(&letters),
                to.clone(),
            );
            let span = tracing::Span::current();
            let done = spawn_blocking(move || {
                let _within = span.enter();
                let mut commit = Commit::default();
                for letter in letters.iter() {
                    commit.append(DEAD_LETTERS, letter);
                }
                partition.commit(&mut commit, from, to, durability)
            });
            match done.await {
                Ok(Err(LogError::Aborted(reason))) => {
                    let topic = self.table.topic;
                    let partition = self.number();
                    tracing::warn!(topic, partition, reason, "commit was given up: again");
                    if stop.pause(PAUSE).await {
                        return Err(LogError::Aborted(reason).into());
                    }
                }
                Ok(done) => return Ok(done?),
                Err(error) => return Err(SinkError::Task(error.to_string())),
            }
        }
    }
}
