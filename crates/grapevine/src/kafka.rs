//! What the sink's commands need of Kafka: its topics, a connection that fits its memory.

use std::sync::Arc;

use grapevine_log::kafka::Connection;
use grapevine_log::kafka::topics::{self, Partitions, TopicsError};

use grapevine_registry::Frames;

use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::{KafkaSettings, Settings};

/// Name of the service in groups and transactional ids.
pub const SINK: &str = "sink";

/// How many partitions each of the sink's topics has by the settings.
pub fn sink_partitions(kafka: &KafkaSettings) -> Partitions {
    grapevine_sink::topics()
        .map(|topic| (topic.to_owned(), kafka.partitions))
        .collect()
}

/// The sink's connection, and the topics, made or checked. Waits for brokers that are away.
///
/// # Errors
/// Settings that are wrong, brokers that stay away, topics that are not as they have to be.
pub async fn connected(
    settings: &Settings,
    frames: Option<Arc<Frames>>,
) -> Result<(Connection, Partitions), Failure> {
    let kafka = settings.kafka.clone();
    kafka.check()?;
    let ahead = grapevine_sink::read_ahead_kib(&sink_partitions(&kafka));
    let connection = kafka.connection_reading_ahead(ahead.ends(ExitKind::Software)?)?;
    let connection = connection.framed(frames);
    let ensured = tokio::task::spawn_blocking(move || {
        let partitions = topics::ensure(&connection, &kafka.wishes(), kafka.creation())?;
        Ok((connection, partitions))
    });
    let ensured: Result<_, TopicsError> = ensured.await.ends(ExitKind::Software)?;
    ensured.map_err(|error| {
        let kind = match &error {
            TopicsError::Away { .. } => ExitKind::Unavailable,
            _ => ExitKind::Config,
        };
        Failure::of(kind, error)
    })
}
