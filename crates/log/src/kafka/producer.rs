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

/// Between two looks at what became of the records.
const LOOK: Duration = Duration::from_micros(200);
/// How long the first record of a batch waits for others, milliseconds: a sender waits for its answer,
/// and those who send meanwhile are in the next append.
const LINGER_MS: &str = "0.2";

/// Appends records, each once, with every in-sync replica's word (`acks=all`, idempotent).
///
/// For many threads; appends are one at a time.
pub struct Producer {
    connection: Connection,
    producer: std::sync::Mutex<BaseProducer<ClientCalls>>,
    partitions: Partitions,
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
        Ok(Producer {
            connection: connection.clone(),
            producer: std::sync::Mutex::new(client(connection)?),
            partitions,
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
    /// may be on the log then: what must count once needs an id that tells. [`LogError::Registry`]
    /// where the schemas are not registered yet; a commit with positions or values is refused.
    pub fn append(&self, commit: &Commit, patience: Duration) -> Result<(), LogError> {
        self.append_while(commit, patience, || true)
    }

    /// The same as long as `wanted` says so: for a thread that may be told to end meanwhile.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub fn append_while(
        &self,
        commit: &Commit,
        patience: Duration,
        wanted: impl Fn() -> bool,
    ) -> Result<(), LogError> {
        if !commit.positions.is_empty() || !commit.values.is_empty() {
            return Err(LogError::Unsupported(
                "positions and values in what is only appended".to_owned(),
            ));
        }
        let mut producer = self
            .producer
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let began = Instant::now();
        let deadline = began + patience;
        let context = producer.client().context();
        context.take_undelivered();
        let (frames, mut room) = (self.connection.frames(), Vec::new());
        let sent = spread(commit, &self.partitions, |topic, partition, record| {
            let record = framed(frames.map(Arc::as_ref), topic, record, &mut room)?;
            enqueue(&producer, topic, partition, record, deadline)
        });
        if sent.is_ok() {
            while producer.in_flight_count() > 0 && Instant::now() < deadline && wanted() {
                look_after(&producer);
            }
        }
        let left = producer.in_flight_count();
        if left > 0 {
            use rdkafka::producer::PurgeConfig;
            // Nobody waits for them any more: they must not turn up behind what is sent next.
            producer.purge(PurgeConfig::default().queue().inflight());
            while producer.in_flight_count() > 0 {
                look_after(&producer);
            }
        }
        let undelivered = context.take_undelivered();
        if left == 0 && undelivered.is_none() {
            return sent;
        }
        // A client that was told of a partition without a leader may never send to it again
        // (librdkafka 2.12.1, its issue 5430): the next try has one of its own.
        *producer = client(&self.connection).map_err(|error| LogError::Away(error.to_string()))?;
        sent?;
        Err(LogError::Away(match undelivered {
            Some(error) if left == 0 => error.to_string(),
            _ => format!(
                "{left} records were not acknowledged within {:.1} s",
                began.elapsed().as_secs_f32()
            ),
        }))
    }
}

fn client(connection: &Connection) -> Result<BaseProducer<ClientCalls>, ConnectionError> {
    (connection.producer_lingering(LINGER_MS))
        .create_with_context(ClientCalls::new(connection.token_file()))
        .map_err(refused)
}

/// A record as it goes on its topic; `room` is what it may be written into. Nothing is asked.
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
    framed.map_err(|error| LogError::Registry(error.to_string()))
}

/// Lets the client tell what it has to, and waits a moment. The binding's own way of waiting (0.39) never
/// returns before its time is over, and spins for the last millisecond of it.
pub(super) fn look_after(producer: &BaseProducer<ClientCalls>) {
    producer.poll(Duration::ZERO);
    std::thread::sleep(LOOK);
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
        look_after(producer);
    }
}
