//! The one partition of a topic of the local home.

use std::ops::Deref;
use std::time::Duration;

use super::store::Log;
use crate::PARTITION;
use crate::batch::Batch;
use crate::commit::{Commit, Durability, Position};
use crate::error::LogError;
use crate::partition::Partition;

/// A topic of the local home, as one consumer sees it. `L` is a [`Log`] borrowed or shared.
#[derive(Clone, Debug)]
pub struct LocalPartition<L> {
    log: L,
    consumer: &'static str,
    topic: &'static str,
}

impl<L: Deref<Target = Log>> LocalPartition<L> {
    /// The topic as `consumer` sees it.
    pub fn new(log: L, consumer: &'static str, topic: &'static str) -> Self {
        LocalPartition {
            log,
            consumer,
            topic,
        }
    }

    /// The log that it is of.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl<L: Deref<Target = Log> + Send + Sync> Partition for LocalPartition<L> {
    fn topic(&self) -> &str {
        self.topic
    }

    fn partition(&self) -> i32 {
        PARTITION
    }

    fn position(&self) -> Result<Position, LogError> {
        self.log.position(self.consumer, self.topic)
    }

    fn end(&self) -> Result<u64, LogError> {
        self.log.end(self.topic)
    }

    fn read(&self, offset: u64, bytes_max: usize) -> Result<Batch, LogError> {
        self.log.read(self.topic, offset, bytes_max)
    }

    fn read_waiting(
        &self,
        offset: u64,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Batch, LogError> {
        (self.log).read_waiting(self.topic, offset, bytes_max, patience)
    }

    fn commit(
        &self,
        commit: &mut Commit,
        from: u64,
        to: Position,
        durability: Durability,
    ) -> Result<(), LogError> {
        commit.advance(self.consumer, self.topic, from, to);
        self.log.commit(commit, durability).map(|_| ())
    }

    fn confirm(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn wanted_back(&self) -> bool {
        false
    }
}
