//! `grapevine sink`: from Kafka's topics into ClickHouse, until told to stop.

use grapevine_sink::{Options, Replica, migrate_when_there, run_replica};
use tokio::sync::watch;

use crate::cli::SinkArgs;
use crate::exit::Failure;
use crate::operations::Service;
use crate::pipeline::sink_ends;
use crate::settings::Settings;
use crate::{kafka, reachable, registry, warehouse};

/// Runs the command.
///
/// # Errors
/// Settings that are wrong, topics or tables that are not as they have to be, and what stops the
/// sink. ClickHouse and Kafka that are away are waited for.
pub async fn run(arguments: &SinkArgs, settings: &Settings) -> Result<(), Failure> {
    settings.check_replica()?;
    let service = Service::start("sink", &settings.operations).await?;
    let tables = service.health.condition("tables", "looking at ClickHouse");
    let frames = registry::frames(settings).await?;
    registry::watch(&service.health, frames.as_ref());
    let client = warehouse::client(&settings.clickhouse)?;
    let options = Options::default();
    let (stop, stopped) = watch::channel(false);
    let asked = tokio::spawn({
        let shutdown = service.shutdown.clone();
        async move {
            shutdown.asked().await;
            // The sink ended by itself where nobody listens.
            let _ = stop.send(true);
        }
    });
    let membership = settings.kafka.membership(kafka::SINK)?;
    let expected = kafka::sink_partitions(&settings.kafka);
    let migrated = migrate_when_there(&client, &expected, &options, stopped.clone()).await;
    if !sink_ends(migrated)? {
        return Ok(());
    }
    if arguments.migrate_only {
        return Ok(());
    }
    tables.met();
    let _kafka = reachable::kafka(&service.health, &settings.kafka.connection()?)?;
    let _clickhouse = reachable::clickhouse(&service.health, &client);
    let (connection, partitions) = tokio::select! {
        connected = kafka::connected(settings, frames.clone()) => connected?,
        () = service.shutdown.asked() => return Ok(()),
    };
    tokio::select! {
        registered = registry::registered(frames.as_ref()) => registered?,
        () = service.shutdown.asked() => return Ok(()),
    }
    let replica = Replica {
        connection,
        membership,
        partitions,
    };
    tracing::info!(
        group = replica.membership.group,
        replica = replica.membership.replica,
        "sink starts"
    );
    let ended = tokio::select! {
        ended = run_replica(replica, client, options, stopped) => sink_ends(ended),
        () = service.overdue() => {
            tracing::warn!("writers still wait for kafka: what is planned and not acknowledged is asked for after the next start");
            Ok(())
        }
    };
    asked.abort();
    tracing::info!("sink ended");
    ended
}
