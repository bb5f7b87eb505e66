//! Appending without reading: collectors, importers, replay.

use std::sync::Arc;
use std::time::{Duration, Instant};

use grapevine_registry::Frames;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::connection::{Connection, ConnectionError, refused};
use super::context::ClientCalls;
use super::spread::{Partitions, spread};
use crate::commit::Commit;
use crate::error::LogError;

/// How long one look for delivery reports lasts.
const LOOK: Duration = Duration::from_millis(1);

/// Appends records, each once, with every in-sync replica's word (`acks=all`, idempotent).
///
/// For many threads; appends are one at a time.
pub struct Producer {
    producer: std::sync::Mutex<BaseProducer<ClientCalls>>,
    partitions: Partitions,
    frames: Option<Arc<Frames>>,
}

impl Producer {
    /// A producer for topics whose partitions are known.
    ///
    /// # Errors
    /// Settings that librdkafka refuses.
    pub fn new(
        connection: &Connection,
        partitions: Partitions,
    ) -> Result<Producer, ConnectionError> {
        let context = ClientCalls::new(connection.token_file());
        let producer = (connection.producer())
            .create_with_context(context)
            .map_err(refused)?;
        Ok(Producer {
            producer: std::sync::Mutex::new(producer),
            partitions,
            frames: connection.frames(),
        })
    }

    /// How many partitions the topics have.
    pub fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// Appends the records of a commit and returns once the brokers have all of them. Records of
    /// one key keep their order.
    ///
    /// # Errors
    /// [`LogError::Away`] where the brokers did not take all of it within `patience`. Some of it
    /// may be on the log then: what must count once needs an id that tells. A commit with positions
    /// or values is refused.
    pub fn append(&self, commit: &Commit, patience: Duration) -> Result<(), LogError> {
        if !commit.positions.is_empty() || !commit.values.is_empty() {
            return Err(LogError::Unsupported(
                "positions and values in what is only appended".to_owned(),
            ));
        }
        let producer = self
            .producer
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let deadline = Instant::now() + patience;
        let context = producer.client().context();
        context.take_undelivered();
        let mut room = Vec::new();
        let sent = spread(commit, &self.partitions, |topic, partition, record| {
            let record = framed(self.frames.as_deref(), topic, record, &mut room)?;
            enqueue(&producer, topic, partition, record, deadline)
        });
        if sent.is_ok() {
            while producer.in_flight_count() > 0 && Instant::now() < deadline {
                producer.poll(LOOK);
            }
        }
        let left = producer.in_flight_count();
        if left > 0 {
            use rdkafka::producer::PurgeConfig;
            // Nobody waits for them any more: they must not turn up behind what is sent next.
            producer.purge(PurgeConfig::default().queue().inflight());
            while producer.in_flight_count() > 0 {
                producer.poll(LOOK);
            }
            context.take_undelivered();
            sent?;
            return Err(LogError::Away(format!(
                "{left} records were not acknowledged within {} s",
                patience.as_secs_f32()
            )));
        }
        sent?;
        match context.take_undelivered() {
            None => Ok(()),
            Some(error) => Err(LogError::Away(error.to_string())),
        }
    }
}

/// A record as it goes on its topic; `room` is what it may be written into.
pub(super) fn framed<'a>(
    frames: Option<&Frames>,
    topic: &str,
    record: &'a [u8],
    room: &'a mut Vec<u8>,
) -> Result<&'a [u8], LogError> {
    let Some(frames) = frames else {
        return Ok(record);
    };
    let framed = frames.frame(topic, record, room);
    framed.map_err(|error| LogError::Away(error.to_string()))
}

/// Puts one record into the client's buffer, waiting for room.
pub(super) fn enqueue(
    producer: &BaseProducer<ClientCalls>,
    topic: &str,
    partition: i32,
    record: &[u8],
    deadline: Instant,
) -> Result<(), LogError> {
    loop {
        let message = BaseRecord::<(), [u8]>::to(topic)
            .partition(partition)
            .payload(record);
        let Err((error, _)) = producer.send(message) else {
            return Ok(());
        };
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        if error != full || Instant::now() >= deadline {
            return Err(match error {
                error if error == full => LogError::Away("no room to buffer records".to_owned()),
                error => LogError::kafka("producing", error),
            });
        }
        producer.poll(LOOK);
    }
}
