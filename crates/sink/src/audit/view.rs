//! The log as an audit sees it: from the outside, holding no partition.

use std::ops::Range;
use std::sync::Arc;

use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{Connection, Onlooker};
use grapevine_log::{Log, LogError, PARTITION, Position};

use crate::CONSUMER;
use crate::error::SinkError;

/// Bytes that one read of the local log asks for.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// What an audit and a repair ask of the log, in either home.
pub trait LogView: Send + Sync {
    /// Partitions of a topic, in order; none where there is no such topic.
    ///
    /// # Errors
    /// The log's own.
    fn partitions(&self, topic: &str) -> Result<Vec<i32>, SinkError>;

    /// Offsets that the log still holds: from the first kept to where the next record goes.
    ///
    /// # Errors
    /// The log's own.
    fn kept(&self, topic: &str, partition: i32) -> Result<Range<u64>, SinkError>;

    /// Where the sink stands.
    ///
    /// # Errors
    /// The log's own.
    fn position(&self, topic: &str, partition: i32) -> Result<Position, SinkError>;

    /// Hands `take` every record that is kept in a range of offsets, in order.
    ///
    /// # Errors
    /// The log's own.
    fn records(
        &self,
        topic: &str,
        partition: i32,
        range: Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), SinkError>;

    /// True where every offset is a record.
    fn is_gapless(&self) -> bool;
}

impl LogView for Log {
    fn partitions(&self, _topic: &str) -> Result<Vec<i32>, SinkError> {
        Ok(vec![PARTITION])
    }

    fn kept(&self, topic: &str, _partition: i32) -> Result<Range<u64>, SinkError> {
        let end = self.end(topic)?;
        match self.read(topic, 0, 1) {
            Err(LogError::Trimmed { first, .. }) => Ok(first.min(end)..end),
            read => read.map(|_| 0..end).map_err(SinkError::Log),
        }
    }

    fn position(&self, topic: &str, _partition: i32) -> Result<Position, SinkError> {
        Ok(Log::position(self, CONSUMER, topic)?)
    }

    fn records(
        &self,
        topic: &str,
        partition: i32,
        range: Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), SinkError> {
        let kept = self.kept(topic, partition)?;
        let (mut from, end) = (range.start.max(kept.start), range.end.min(kept.end));
        while from < end {
            let records = self.read(topic, from, READ_BYTES)?;
            if records.is_empty() {
                return Ok(());
            }
            for (offset, record) in records.iter().take_while(|(offset, _)| *offset < end) {
                take(offset, record);
            }
            from = records.next_offset();
        }
        Ok(())
    }

    fn is_gapless(&self) -> bool {
        true
    }
}

/// Kafka, with the sink's group.
#[derive(Debug)]
pub struct KafkaView {
    onlooker: Onlooker,
    partitions: Partitions,
}

impl KafkaView {
    /// Looks at the group that the sink's replicas are members of. Connects when first asked.
    ///
    /// # Errors
    /// Settings that the client refuses.
    pub fn new(
        connection: &Connection,
        group: &str,
        partitions: Partitions,
    ) -> Result<KafkaView, SinkError> {
        Ok(KafkaView {
            onlooker: Onlooker::new(connection, group)?,
            partitions,
        })
    }

    /// Waits until no open transaction hides what these partitions of a topic have by now.
    ///
    /// # Errors
    /// Brokers that are away, a transaction that stays open.
    pub fn settled(&self, topic: &str, partitions: Range<i32>) -> Result<(), SinkError> {
        Ok(self.onlooker.settled(topic, partitions)?)
    }
}

impl LogView for KafkaView {
    fn partitions(&self, topic: &str) -> Result<Vec<i32>, SinkError> {
        Ok((0..self.partitions.of(topic)?).collect())
    }

    fn kept(&self, topic: &str, partition: i32) -> Result<Range<u64>, SinkError> {
        Ok(self.onlooker.kept(topic, partition)?)
    }

    fn position(&self, topic: &str, partition: i32) -> Result<Position, SinkError> {
        let position = self.onlooker.position(topic, partition)?;
        Ok(position.unwrap_or_default())
    }

    fn records(
        &self,
        topic: &str,
        partition: i32,
        range: Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), SinkError> {
        Ok(self.onlooker.read(topic, partition, range, take)?)
    }

    fn is_gapless(&self) -> bool {
        false
    }
}

impl<V: LogView> LogView for Arc<V> {
    fn partitions(&self, topic: &str) -> Result<Vec<i32>, SinkError> {
        V::partitions(self, topic)
    }

    fn kept(&self, topic: &str, partition: i32) -> Result<Range<u64>, SinkError> {
        V::kept(self, topic, partition)
    }

    fn position(&self, topic: &str, partition: i32) -> Result<Position, SinkError> {
        V::position(self, topic, partition)
    }

    fn records(
        &self,
        topic: &str,
        partition: i32,
        range: Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), SinkError> {
        V::records(self, topic, partition, range, take)
    }

    fn is_gapless(&self) -> bool {
        V::is_gapless(self)
    }
}
