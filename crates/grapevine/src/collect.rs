//! `grapevine collect`: takes hits over HTTP and puts them on Kafka, as one of many replicas.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use grapevine_log::kafka::topics::{self, TopicsError};
use grapevine_log::kafka::{Connection, Producer};
use grapevine_producer::collector::{self, Collector, CollectorConfig, Connect};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::spool::{Spool, SpoolError};
use tokio::sync::watch;

use crate::data_directory::DataDirectory;
use crate::exit::{Ends, ExitKind, Failure};
use crate::operations::Service;
use crate::settings::{KafkaSettings, Settings};
use crate::{engine, local, pipeline, registry};

/// How long a start waits for Kafka before it takes hits into the spool.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// How long one later try may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command.
///
/// # Errors
/// A port or data directory in use, a spool that is damaged, topics that are not as they have to
/// be. Kafka being away is none: hits wait in the spool.
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    let service = Service::start("collect", &settings.operations).await?;
    service
        .health
        .ask("collector", || Err("it does not listen yet".to_owned()));
    let listener = engine::listen(
        settings.collector.listen,
        "the collector",
        "--collector-listen",
    )
    .await?;
    let config = local::collector_config(settings)?;
    let grace = settings.operations.grace_seconds;
    let drain_time = settings.collector.drain(grace)?;
    settings.kafka.check()?;
    let frames = registry::frames(settings).await?;
    registry::watch(&service.health, frames.as_ref());
    let connection = settings.kafka.connection()?.framed(frames.clone());
    let directory = pipeline::hold(settings)?;
    let key = pseudonym_key(settings, &directory)?;
    let server_key = match &settings.collector.server_key {
        Some(key) => key.reveal().to_owned(),
        None => directory.secrets().ends(ExitKind::InputOutput)?.server_key,
    };
    let spool = open_spool(&directory, settings.collector.spool_bytes_max)?;
    let connect = connect(connection, settings.kafka.clone()).await?;
    let config = CollectorConfig {
        server_key: Some(server_key),
        ..config
    };
    let (collector, appender) =
        Collector::start_on_kafka(connect, spool, Pseudonyms::new(&key), config)
            .ends(ExitKind::Unavailable)?;
    let address = listener.local_addr().ends(ExitKind::Software)?;
    let (stop_serving, mut told) = watch::channel(false);
    let routes = collector::router(collector.clone());
    let server = tokio::spawn(collector::serve(listener, routes, async move {
        // A dropped sender means the same.
        let _ = told.wait_for(|stop| *stop).await;
    }));
    let taking = collector.clone();
    let trouble = move || taking.trouble().map_or(Ok(()), Err);
    service.health.ask("collector", trouble);
    // Told to stop before it was ready, it was routed nothing.
    let is_routed = !service.shutdown.is_asked();
    announce(address, &settings.kafka.brokers);

    // Until the registry has answered hits wait in the spool.
    let registering = async {
        match registry::registered(frames.as_ref()).await {
            Ok(()) => std::future::pending().await,
            Err(failure) => failure,
        }
    };
    let outcome = tokio::select! {
        () = service.shutdown.asked() => Ok(()),
        failure = registering => Err(failure),
    };
    service.shutdown.ask();
    if is_routed && outcome.is_ok() {
        drain(&collector, drain_time).await;
    }
    // It holds the collector, which has to be gone for its threads to end.
    service.health.ask("collector", || Ok(()));
    // It is gone only where it failed, which its task says.
    let _ = stop_serving.send(true);
    let closing = async {
        server.await.ends(ExitKind::Software)?;
        let counts = collector.counts();
        drop(collector);
        tokio::task::spawn_blocking(move || appender.join())
            .await
            .ends(ExitKind::Software)?;
        tracing::info!(?counts, "collector ended");
        Ok::<(), Failure>(())
    };
    tokio::select! {
        closed = closing => closed?,
        () = service.overdue() => tracing::warn!(
            "requests or kafka are still waited for: what was acknowledged is in kafka or in the spool"
        ),
    }
    outcome
}

/// Takes hits for a while more, though no longer ready: those who route them hear of the stop later
/// than this process does, and a page sends nothing again.
async fn drain(collector: &Collector, time: Duration) {
    collector.drain();
    if !time.is_zero() {
        tracing::info!(
            seconds = time.as_secs(),
            "taking hits until they are routed elsewhere; a second signal ends at once"
        );
        tokio::time::sleep(time).await;
    }
}

/// The key that makes the same pseudonym in every replica, from a file that they share, or this
/// replica's own.
fn pseudonym_key(settings: &Settings, directory: &DataDirectory) -> Result<[u8; 32], Failure> {
    match shared_pseudonym_key(settings)? {
        Some(key) => Ok(key),
        None => directory.pseudonym_key().ends(ExitKind::InputOutput),
    }
}

/// The key of the file that replicas share, where one is set.
///
/// # Errors
/// The file cannot be read, or holds no key.
pub fn shared_pseudonym_key(settings: &Settings) -> Result<Option<[u8; 32]>, Failure> {
    let Some(path) = &settings.collector.pseudonym_key_file else {
        return Ok(None);
    };
    read_key(path).map(Some).map_err(|reason| {
        Failure::new(
            ExitKind::Config,
            format!(
                "configuration: collector.pseudonym_key_file {}: {reason}; 32 random bytes make one: head -c 32 /dev/urandom",
                path.display()
            ),
        )
    })
}

fn read_key(path: &Path) -> Result<[u8; 32], String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let count = bytes.len();
    <[u8; 32]>::try_from(bytes).map_err(|_| format!("it has {count} bytes, a key has 32"))
}

fn open_spool(directory: &DataDirectory, bytes_max: u64) -> Result<Spool, Failure> {
    Spool::open(&directory.path().join("spool"), bytes_max).map_err(|error| {
        let kind = match &error {
            SpoolError::InUse(_) => ExitKind::InUse,
            SpoolError::Damaged { .. } => ExitKind::Data,
            SpoolError::Foreign(_) => ExitKind::Config,
            _ => ExitKind::InputOutput,
        };
        Failure::of(kind, error)
    })
}

/// Looks at the topics: what is wrong with them ends the start, brokers that are away do not.
async fn connect(connection: Connection, kafka: KafkaSettings) -> Result<Connect, Failure> {
    let look = {
        let (connection, kafka) = (connection.clone(), kafka.clone());
        move || produce(&connection, &kafka, FIRST_PATIENCE)
    };
    let mut first = match tokio::task::spawn_blocking(look)
        .await
        .ends(ExitKind::Software)?
    {
        Ok(producer) => Some(producer),
        Err(TopicsError::Away { .. }) => None,
        Err(error) => return Err(Failure::of(ExitKind::Config, error)),
    };
    Ok(Box::new(move || {
        first.take().map_or_else(
            || produce(&connection, &kafka, PATIENCE).map_err(|error| error.to_string()),
            Ok,
        )
    }))
}

fn produce(
    connection: &Connection,
    kafka: &KafkaSettings,
    patience: Duration,
) -> Result<Producer, TopicsError> {
    let partitions =
        topics::ensure_within(connection, &kafka.wishes(), kafka.creation(), patience)?;
    Ok(Producer::new(connection, partitions)?)
}

/// Says where it listens.
fn announce(collector: SocketAddr, brokers: &str) {
    let mut out = io::stdout().lock();
    // Standard output may be closed; the address is in the log as well.
    let _ = writeln!(out, "collector   http://{collector}/v1/hits").and_then(|()| out.flush());
    tracing::info!(%collector, brokers, "listening");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_length_is_refused() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("key");
        std::fs::write(&path, [7; 31]).expect("writes");
        let reason = read_key(&path).expect_err("refused");
        assert!(reason.contains("31 bytes"), "{reason}");
        std::fs::write(&path, [7; 32]).expect("writes");
        assert_eq!(read_key(&path), Ok([7; 32]));
        assert!(read_key(&directory.path().join("none")).is_err());
    }
}
