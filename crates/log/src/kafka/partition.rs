//! A partition of Kafka that this replica holds.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Message, TopicPartitionList};

use super::group::GroupCalls;
use super::lease::Lease;
use super::opener::{Closed, Opener};
use super::positions::only_a_marker_went;
use super::silence::{Silence, Verdict};
use super::transactions::Transactions;
use crate::batch::Batch;
use crate::commit::{Commit, Durability, Position};
use crate::error::LogError;
use crate::partition::Partition;

/// How long one wait for a record lasts before it is looked at whether the partition is still held.
const LOOK: Duration = Duration::from_millis(100);
/// How long the brokers may take to say what is there.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long one try to go elsewhere may take: a partition that was taken waits for it.
const SEEK_MAX: Duration = Duration::from_secs(5);
/// Pause before a partition that is not ready yet is asked again to go elsewhere.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a read that is to find what is there waits for the schema registry. Its holder looks
/// whether to stop in between.
const REGISTRY_MAX: Duration = Duration::from_secs(2);

/// A partition that this replica was given by its [`Group`](super::Group).
pub struct KafkaPartition {
    consumer: Arc<BaseConsumer<GroupCalls>>,
    topic: Arc<str>,
    partition: i32,
    reader: Mutex<Reader>,
    position: Mutex<Position>,
    lease: Arc<Lease>,
    transactions: Transactions,
    opener: Opener,
}

struct Reader {
    queue: PartitionQueue<GroupCalls>,
    /// Offset that the queue goes on from; `None` where that is not known.
    next: Option<u64>,
    /// The brokers said that there is nothing more, and nothing came since.
    at_end: bool,
    silence: Silence,
    /// A message that was taken out of the queue and cannot be opened yet.
    closed: Option<Closed>,
}

impl fmt::Debug for KafkaPartition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KafkaPartition")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl Drop for KafkaPartition {
    fn drop(&mut self) {
        let held = &self.consumer.context().held;
        held.release(&self.topic, self.partition, &self.lease);
    }
}

impl KafkaPartition {
    pub(super) fn new(
        (consumer, queue): (Arc<BaseConsumer<GroupCalls>>, PartitionQueue<GroupCalls>),
        (topic, partition): (Arc<str>, i32),
        position: Position,
        next: Option<u64>,
        lease: Arc<Lease>,
        transactions: Transactions,
        opener: Opener,
    ) -> KafkaPartition {
        KafkaPartition {
            consumer,
            topic,
            partition,
            reader: Mutex::new(Reader {
                queue,
                next,
                at_end: false,
                silence: Silence::new(Instant::now()),
                closed: None,
            }),
            position: Mutex::new(position),
            lease,
            transactions,
            opener,
        }
    }

    fn held(&self) -> Result<(), LogError> {
        if self.lease.is_revoked() {
            return Err(self.revoked());
        }
        Ok(())
    }

    fn revoked(&self) -> LogError {
        LogError::Revoked {
            topic: self.topic.to_string(),
            partition: self.partition,
        }
    }

    fn trimmed(&self, asked: u64, first: u64) -> LogError {
        LogError::Trimmed {
            topic: self.topic.to_string(),
            asked,
            first,
        }
    }

    fn standing(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from `offset` on: waits for the first record until `patience` is over or, without
    /// one, until the brokers say that there is none.
    fn gather(
        &self,
        offset: u64,
        bytes_max: usize,
        patience: Option<Duration>,
    ) -> Result<Batch, LogError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.next != Some(offset) {
            self.seek(&mut reader, offset)?;
        }
        let deadline = Instant::now() + patience.unwrap_or(ANSWER_MAX);
        let asked_until = patience.map(|_| deadline);
        let mut batch = Batch::gathered(offset);
        if !self.reopen(&mut reader, &mut batch, asked_until)? {
            return Ok(batch);
        }
        while batch.gathered_bytes() < bytes_max.max(1) {
            let leave = self.lease.reading().ok_or_else(|| self.revoked())?;
            let wait = if batch.is_empty() {
                LOOK.min(whole_milliseconds(
                    deadline.saturating_duration_since(Instant::now()),
                ))
            } else {
                Duration::ZERO
            };
            let Reader { queue, closed, .. } = &mut *reader;
            // One at a time: librdkafka's call for many (2.12.1) remembers only the furthest place that it
            // ever gave, so that who goes back, and has partitions dealt out then, would miss records.
            let read = match queue.poll(wait) {
                None => None,
                Some(Ok(message)) => match u64::try_from(message.offset()) {
                    // A record that was read already may come a second time.
                    Ok(at) if at >= batch.next_offset() => {
                        let message = message.payload().unwrap_or_default();
                        *closed = self.opener.add(&mut batch, at, message);
                        Some(Ok(()))
                    }
                    _ => continue,
                },
                Some(Err(error)) => Some(Err(error)),
            };
            drop(leave);
            let came = matches!(read, Some(Ok(())));
            match read {
                Some(Ok(())) => {
                    reader.at_end = false;
                    reader.silence.broken(Instant::now());
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    reader.at_end = true;
                    reader.silence.at_end(Instant::now());
                    if !batch.is_empty() {
                        // It was the end when the client was there. Who processes slower than
                        // records come would get no further than from one such end to the next.
                        continue;
                    }
                }
                Some(Err(error)) => {
                    reader.next = None;
                    self.failed(offset, error)?;
                    if batch.is_empty() {
                        self.seek(&mut reader, offset)?;
                    } else {
                        break;
                    }
                }
                None => {}
            }
            if reader.closed.is_some() {
                if !batch.is_empty() {
                    break;
                }
                if !self.reopen(&mut reader, &mut batch, asked_until)? {
                    return Ok(batch);
                }
                continue;
            }
            if came {
                continue;
            }
            let waited = Instant::now() >= deadline;
            if !batch.is_empty() || (patience.is_some() && waited) {
                break;
            }
            if patience.is_none() {
                if reader.at_end {
                    break;
                }
                if waited {
                    return Err(LogError::Away(format!(
                        "nothing was heard of {} {} for {} s",
                        self.topic,
                        self.partition,
                        ANSWER_MAX.as_secs()
                    )));
                }
            }
        }
        if reader.next.is_some() {
            reader.next = Some(batch.next_offset());
        }
        if batch.is_empty() {
            self.doubt(&mut reader, offset)?;
        }
        Ok(batch)
    }

    /// Takes in the message that could not be opened, where there is one. False where it still
    /// cannot at `until`, or the partition is wanted back; without a time that is an error.
    fn reopen(
        &self,
        reader: &mut Reader,
        batch: &mut Batch,
        until: Option<Instant>,
    ) -> Result<bool, LogError> {
        let Some(closed) = reader.closed.take() else {
            return Ok(true);
        };
        let deadline = until.unwrap_or_else(|| Instant::now() + REGISTRY_MAX);
        let is_over = || self.lease.is_wanted_back();
        reader.closed = (self.opener).add_closed(batch, closed, deadline, is_over);
        // It is not the client that was silent: nobody listened to it.
        reader.silence.broken(Instant::now());
        self.held()?;
        match &reader.closed {
            None => Ok(true),
            Some(_) if until.is_some() => Ok(false),
            Some(closed) => Err(self.opener.why(closed)),
        }
    }

    /// Finds out whether there is nothing, or whether the client has gone deaf.
    fn doubt(&self, reader: &mut Reader, offset: u64) -> Result<(), LogError> {
        if !reader.silence.is_long(Instant::now()) {
            return Ok(());
        }
        // Brokers that do not answer are left to whoever waits for them.
        let Ok((_, end)) = self.bounds_within(SEEK_MAX) else {
            return Ok(());
        };
        match reader.silence.judge(Instant::now(), offset, end) {
            Verdict::Nothing => Ok(()),
            // A client that listens says at once what is there, or that it is at the end.
            Verdict::Ask => self.seek(reader, offset),
            Verdict::Deaf => Err(LogError::Away(format!(
                "the client gives nothing of {} {} from offset {offset} on, though it ends at {end}",
                self.topic, self.partition
            ))),
        }
    }

    /// What an error in the place of a record means; well where reading goes on.
    fn failed(&self, offset: u64, error: KafkaError) -> Result<(), LogError> {
        match error {
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ) => {
                let (first, end) = self.bounds()?;
                Err(if offset > end {
                    LogError::Beyond {
                        topic: self.topic.to_string(),
                        partition: self.partition,
                        asked: offset,
                        end,
                    }
                } else {
                    self.trimmed(offset, first)
                })
            }
            KafkaError::MessageConsumptionFatal(_)
            | KafkaError::MessageConsumption(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                Err(LogError::kafka("reading", error))
            }
            error => {
                tracing::debug!(%error, topic = %self.topic, partition = self.partition, "reading goes on");
                Ok(())
            }
        }
    }

    /// Has the client go on from an offset. One that is kept no more is not tried: a client that was
    /// refused it goes nowhere else any more (librdkafka 2.12.1).
    fn seek(&self, reader: &mut Reader, offset: u64) -> Result<(), LogError> {
        let deadline = Instant::now() + ANSWER_MAX;
        reader.next = None;
        reader.closed = None;
        let to = match self.bounds_within(SEEK_MAX) {
            Ok((first, end)) if offset < first => {
                if first != end || !only_a_marker_went(&self.topic, offset, first) {
                    return Err(self.trimmed(offset, first));
                }
                first
            }
            // Brokers that do not answer are found out about by going there.
            _ => offset,
        };
        loop {
            let leave = self.lease.reading().ok_or_else(|| self.revoked())?;
            let mut place = TopicPartitionList::with_capacity(1);
            let raw = Offset::Offset(i64::try_from(to).unwrap_or(i64::MAX));
            place
                .add_partition_offset(&self.topic, self.partition, raw)
                .map_err(|error| LogError::kafka("seeking", error))?;
            let sought = self
                .consumer
                .seek_partitions(place, SEEK_MAX)
                .and_then(|sought| {
                    sought
                        .elements()
                        .first()
                        .map_or(Ok(()), |element| element.error())
                });
            drop(leave);
            match sought {
                Ok(()) => break,
                // Not started yet, or just being assigned.
                Err(error) if Instant::now() < deadline => {
                    tracing::trace!(%error, topic = %self.topic, partition = self.partition, "seeking again");
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(LogError::Away(format!("seeking: {error}"))),
            }
        }
        reader.next = Some(offset);
        reader.at_end = false;
        Ok(())
    }

    /// First offset kept, and the one that follows the last that can be read.
    fn bounds(&self) -> Result<(u64, u64), LogError> {
        self.bounds_within(ANSWER_MAX)
    }

    fn bounds_within(&self, patience: Duration) -> Result<(u64, u64), LogError> {
        let bounds = self
            .consumer
            .fetch_watermarks(&self.topic, self.partition, patience);
        let (first, end) = bounds.map_err(|error| LogError::kafka("asking for the end", error))?;
        Ok((
            u64::try_from(first).unwrap_or_default(),
            u64::try_from(end).unwrap_or_default(),
        ))
    }
}

/// The client waits by the millisecond, and cuts what is more: the last part of one would be asked
/// for again and again, without a wait, until it is over.
fn whole_milliseconds(wait: Duration) -> Duration {
    let up = wait.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(up).unwrap_or(u64::MAX))
}

impl Partition for KafkaPartition {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn position(&self) -> Result<Position, LogError> {
        self.held()?;
        Ok(self.standing().clone())
    }

    fn confirm(&self) -> Result<(), LogError> {
        self.held()?;
        let mut asked = TopicPartitionList::with_capacity(1);
        asked.add_partition(&self.topic, self.partition);
        let found = self.consumer.committed_offsets(asked, ANSWER_MAX);
        let found = found.map_err(|error| LogError::Away(error.to_string()))?;
        let standing = self.standing();
        let stands = found.elements().iter().all(|element| {
            let offset = match element.offset() {
                Offset::Offset(offset) => u64::try_from(offset).unwrap_or_default(),
                // Never committed: it stands at the first record that was kept.
                _ => return standing.metadata.is_empty(),
            };
            offset == standing.offset && element.metadata().as_bytes() == standing.metadata
        });
        match stands {
            true => Ok(()),
            false => Err(self.revoked()),
        }
    }

    fn end(&self) -> Result<u64, LogError> {
        // Asked to tell how far behind somebody is, who is not to stand still for it.
        self.bounds_within(SEEK_MAX).map(|(_, end)| end)
    }

    fn read(&self, offset: u64, bytes_max: usize) -> Result<Batch, LogError> {
        self.gather(offset, bytes_max, None)
    }

    fn read_waiting(
        &self,
        offset: u64,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Batch, LogError> {
        self.gather(offset, bytes_max, Some(patience))
    }

    fn commit(
        &self,
        commit: &mut Commit,
        from: u64,
        to: Position,
        _: Durability,
    ) -> Result<(), LogError> {
        self.held()?;
        let found = self.standing().offset;
        if found != from {
            return Err(LogError::Fenced {
                consumer: "this replica".to_owned(),
                topic: self.topic.to_string(),
                expected: from,
                found,
            });
        }
        let place = (&self.topic, self.partition);
        self.transactions
            .commit(place, &self.lease, commit, to.clone())?;
        *self.standing() = to;
        Ok(())
    }

    fn wanted_back(&self) -> bool {
        self.lease.is_wanted_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_is_a_whole_one() {
        let of = |nanos| whole_milliseconds(Duration::from_nanos(nanos)).as_millis();
        assert_eq!(
            [0, 1, 999_999, 1_000_000, 1_000_001].map(of),
            [0, 1, 1, 1, 2]
        );
    }
}
