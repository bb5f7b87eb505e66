//! Looking at topics and at where a group stands, without taking part in it.

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Message, TopicPartitionList};

use super::connection::{Connection, ConnectionError, TRANSACTION_TIMEOUT_MS, refused};
use super::context::ClientCalls;
use super::opener::Opener;
use crate::commit::Position;
use crate::error::LogError;

/// How long the brokers may take to answer.
const ASK: Duration = Duration::from_secs(30);
/// How long they may take to say where a group stands. They say nothing while a transaction that
/// moves it is open, and one that a killed replica left open ends after its own time, looked for
/// every 10 s (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
const STANDING: Duration = Duration::from_millis(TRANSACTION_TIMEOUT_MS as u64 + 10_000 + 20_000);
/// How long a read may hear nothing before it gives up.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Between two questions to a group that is being moved, or to a topic with an open transaction.
const AGAIN: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(100);

/// Reads records and positions of a group that it is no member of: for audit and replay.
pub struct Onlooker {
    consumer: BaseConsumer<ClientCalls>,
    /// What is read is what the consumer is assigned to: one read at a time.
    reading: Mutex<()>,
    opener: Opener,
    connection: Connection,
}

impl fmt::Debug for Onlooker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Onlooker").finish_non_exhaustive()
    }
}

impl Onlooker {
    /// Looks at a group.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn new(connection: &Connection, group: &str) -> Result<Onlooker, ConnectionError> {
        let mut config = connection.consumer();
        config.set("group.id", group);
        Ok(Onlooker {
            consumer: looking(connection, &config)?,
            reading: Mutex::new(()),
            opener: Opener::new(connection.frames()),
            connection: connection.clone(),
        })
    }

    /// Offsets of a partition that the brokers still hold: from the first kept to the one that
    /// follows the last that can be read.
    ///
    /// # Errors
    /// Brokers that are away, a topic that is not there.
    pub fn kept(&self, topic: &str, partition: i32) -> Result<Range<u64>, LogError> {
        let bounds = self.consumer.fetch_watermarks(topic, partition, ASK);
        let (first, end) = bounds.map_err(|error| asked("asking for the bounds", error))?;
        Ok(u64::try_from(first).unwrap_or_default()..u64::try_from(end).unwrap_or_default())
    }

    /// Waits until every record that these partitions of a topic had when this was asked can be
    /// read or never will be: an open transaction hides what was committed behind it. One that a
    /// killed replica left open ends within a minute.
    ///
    /// # Errors
    /// Brokers that are away, a topic that is not there, a transaction that stays open.
    pub fn settled(&self, topic: &str, partitions: Range<i32>) -> Result<(), LogError> {
        let mut config = self.connection.consumer();
        config.set("isolation.level", "read_uncommitted");
        let ahead = looking(&self.connection, &config)
            .map_err(|error| LogError::Away(format!("looking at {topic}: {error}")))?;
        let deadline = Instant::now() + STANDING;
        for partition in partitions {
            let bounds = ahead.fetch_watermarks(topic, partition, ASK);
            let (_, written) = bounds.map_err(|error| asked("asking for the end", error))?;
            let written = u64::try_from(written).unwrap_or_default();
            while self.kept(topic, partition)?.end < written {
                if Instant::now() > deadline {
                    return Err(LogError::Away(format!(
                        "a transaction on partition {partition} of {topic} has been open for more \
                         than {} s: what was committed behind it cannot be read until it ends",
                        STANDING.as_secs()
                    )));
                }
                std::thread::sleep(AGAIN);
            }
        }
        Ok(())
    }

    /// Where the group stands; `None` where it never committed.
    ///
    /// Waits for a transaction that moves the group, which a killed replica may have left open: up
    /// to a minute.
    ///
    /// # Errors
    /// Brokers that are away, a group that may not be looked at.
    pub fn position(&self, topic: &str, partition: i32) -> Result<Option<Position>, LogError> {
        const DOING: &str = "asking where the group stands";
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, partition);
        // A group whose coordinator has just been made or moved is asked for again.
        let deadline = Instant::now() + STANDING;
        let found = loop {
            match self.consumer.committed_offsets(list.clone(), STANDING) {
                Ok(found) => break found,
                Err(error) if moving(&error) && Instant::now() < deadline => {
                    std::thread::sleep(AGAIN);
                }
                Err(error) => return Err(asked(DOING, error)),
            }
        };
        let elements = found.elements();
        let Some(element) = elements.first() else {
            return Ok(None);
        };
        element.error().map_err(|error| asked(DOING, error))?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(Position {
                offset: u64::try_from(offset).unwrap_or_default(),
                metadata: element.metadata().as_bytes().to_vec(),
            }),
            _ => None,
        })
    }

    /// Hands `take` every committed record that is kept in a range of offsets, in order.
    ///
    /// # Errors
    /// Brokers that are away or become silent, a schema registry that does.
    pub fn read(
        &self,
        topic: &str,
        partition: i32,
        range: Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), LogError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.kept(topic, partition)?;
        let range = range.start.max(kept.start)..range.end.min(kept.end);
        if range.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(1);
        let start = Offset::Offset(i64::try_from(range.start).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, partition, start)
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| asked("starting to read", error))?;
        let read = self.read_assigned(&range, take);
        let ended = self.consumer.unassign();
        read.and(ended.map_err(|error| asked("ending to read", error)))
    }

    fn read_assigned(
        &self,
        range: &Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), LogError> {
        let mut heard = Instant::now();
        let mut room = Vec::new();
        loop {
            match self.consumer.poll(POLL) {
                // Nothing that can be read is left.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                    return Err(LogError::kafka("reading", error));
                }
                Some(Err(error)) => tracing::debug!(%error, "reading goes on"),
                Some(Ok(message)) => {
                    let offset = u64::try_from(message.offset()).unwrap_or_default();
                    if offset < range.end {
                        let message = message.payload().unwrap_or_default();
                        take(offset, self.opener.record(message, &mut room, SILENCE_MAX)?);
                    }
                    heard = Instant::now();
                    if offset + 1 >= range.end {
                        return Ok(());
                    }
                }
                None => {}
            }
            if heard.elapsed() > SILENCE_MAX {
                return Err(LogError::Away(format!(
                    "nothing was heard for {} s",
                    SILENCE_MAX.as_secs()
                )));
            }
        }
    }
}

/// A consumer that is asked for this and that.
fn looking(
    connection: &Connection,
    config: &ClientConfig,
) -> Result<BaseConsumer<ClientCalls>, ConnectionError> {
    let context = ClientCalls::new(connection.token_file());
    let consumer: BaseConsumer<ClientCalls> =
        config.create_with_context(context).map_err(refused)?;
    // Tokens come by polling.
    let _ = consumer.poll(Duration::from_millis(10));
    Ok(consumer)
}

/// A question that was not answered may be asked again.
fn asked(doing: &'static str, error: KafkaError) -> LogError {
    use rdkafka::error::RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, OperationTimedOut, RequestTimedOut, Resolve,
    };
    match error.rdkafka_error_code() {
        Some(
            AllBrokersDown | BrokerTransportFailure | OperationTimedOut | RequestTimedOut | Resolve,
        ) => LogError::Away(format!("{doing}: {error}")),
        _ => LogError::kafka(doing, error),
    }
}

/// True where the group's coordinator is being found.
fn moving(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}
