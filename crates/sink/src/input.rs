//! A partition of the log as its writer uses it, in either home.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grapevine_event::topic::DEAD_LETTERS;
use grapevine_log::{Batch, Commit, Durability, LogError, Partition, Position};
use grapevine_metrics::{CommitEnd, CommitEnded, PartitionLag};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

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
}

impl<P> Clone for Input<P> {
    fn clone(&self) -> Self {
        Input {
            partition: Arc::clone(&self.partition),
            table: self.table,
            read: Arc::clone(&self.read),
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

    /// Says now and then how many records are not known to be in ClickHouse, for as long as it is
    /// polled: from the moment that the partition is held, whatever its writer waits for. Nothing
    /// depends on it, so brokers that do not answer are left to whoever reads.
    pub(crate) async fn tell_lag(&self) -> Infallible {
        let mut look = interval(LAG_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let partition = Arc::clone(&self.partition);
            let asked = spawn_blocking(move || lag(&*partition)).await;
            // Told here and not by the thread: an answer that comes when the partition is given
            // away already would leave its lag behind.
            if let Ok(Ok(records)) = asked {
                PartitionLag {
                    consumer: CONSUMER_STAGE,
                    topic: self.table.topic,
                    partition: self.number(),
                    records,
                }
                .emit();
            }
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

    /// Reads the partition from offset `from` on, past what [`read`](Self::read) keeps: empty only
    /// where nothing is there.
    pub(crate) fn read_once(&self, from: u64) -> Result<Batch, LogError> {
        self.partition.read(from, READ_BYTES)
    }

    /// Moves the position from `from` and appends the dead letters, both or neither; again and
    /// again where the log gives a transaction up, for then nothing of it is there. Counts each
    /// that ended.
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
                    ended(CommitEnd::Aborted);
                    let topic = self.table.topic;
                    let partition = self.number();
                    tracing::info!(topic, partition, reason, "commit was given up: again");
                    if stop.pause(PAUSE).await {
                        return Err(LogError::Aborted(reason).into());
                    }
                }
                Ok(Ok(())) => {
                    ended(CommitEnd::Committed);
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(error) => return Err(SinkError::Task(error.to_string())),
            }
        }
    }
}

/// Records that are not known to be in ClickHouse.
fn lag(partition: &impl Partition) -> Result<u64, LogError> {
    let end = partition.end()?;
    Ok(end.saturating_sub(partition.position()?.offset))
}

fn ended(end: CommitEnd) {
    CommitEnded {
        stage: CONSUMER_STAGE,
        end,
    }
    .emit();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::rows::TABLES;
    use crate::stand_in::{Reluctant, told};

    #[tokio::test]
    async fn each_transaction_counts_by_how_it_ended() {
        let directory = tempfile::tempdir().expect("directory");
        let [.., letters] = &TABLES;
        let partition = Arc::new(Reluctant {
            aborts: AtomicU32::new(2),
            ..Reluctant::of(directory.path(), letters.topic, 1)
        });
        let input = Input::new(Arc::clone(&partition), letters);
        let counted = |end: &str| {
            let series = format!("grapevine_commits_total{{stage=\"sink\",end=\"{end}\"}}");
            told(&series).unwrap_or_default()
        };
        let (aborted, committed) = (counted("aborted"), counted("committed"));
        let to = Position {
            offset: 1,
            metadata: Vec::new(),
        };
        let stop = Stop::new();
        let commit = input.commit(0, to, Vec::new(), Durability::Durable, &stop);
        commit.await.expect("commits in the end");
        assert_eq!(partition.aborts.load(Ordering::Relaxed), 0);
        assert_eq!(input.position().expect("position").offset, 1);
        // Others count here too; only this one is given up.
        assert_eq!(counted("aborted"), aborted + 2.0);
        assert!(counted("committed") > committed);
    }
}
