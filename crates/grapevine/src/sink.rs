//! `grapevine sink`: from Kafka's topics into ClickHouse, until told to stop.

use std::time::Duration;

use clickhouse::Client;
use grapevine_log::kafka::topics::Partitions;
use grapevine_sink::{
    Options, Replica, SinkError, migrate_when_there, run_replica, set_group_size_min,
};
use tokio::sync::watch;

use crate::cli::SinkArgs;
use crate::exit::Failure;
use crate::operations::Service;
use crate::pipeline::sink_ends;
use crate::settings::Settings;
use crate::{kafka, reachable, registry, warehouse};

/// Pause before a ClickHouse that went away between two questions is asked again.
const AGAIN: Duration = Duration::from_secs(1);

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
    let group_size_min = settings.clickhouse.group_size_min()?;
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
    let made = tables_made(
        &client,
        &expected,
        group_size_min,
        &options,
        stopped.clone(),
    );
    if !sink_ends(made.await)? {
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
    let (is_joined, joined) = watch::channel(false);
    service.health.ask("group", move || match *joined.borrow() {
        true => Ok(()),
        false => Err("waiting for its group to take it in".to_owned()),
    });
    let replica = Replica {
        connection,
        membership,
        partitions,
        is_joined,
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

/// Makes the tables what this version needs, and the smallest group of the `bi_…` views what is
/// configured, waiting for a ClickHouse that is away. False where `stopped` turns true, or its sender is
/// gone, before.
async fn tables_made(
    client: &Client,
    partitions: &Partitions,
    group_size_min: Option<u32>,
    options: &Options,
    mut stopped: watch::Receiver<bool>,
) -> Result<bool, SinkError> {
    loop {
        if !migrate_when_there(client, partitions, options, stopped.clone()).await? {
            return Ok(false);
        }
        let Some(readers) = group_size_min else {
            return Ok(true);
        };
        let error = match set_group_size_min(client, readers).await {
            Err(SinkError::ClickHouse(error)) => error,
            set => return set.map(|()| true),
        };
        // It went away since: the migrations wait until it is there, and do nothing twice.
        tracing::warn!(%error, "clickhouse is not there: trying again");
        if tokio::time::timeout(AGAIN, stopped.wait_for(|stop| *stop))
            .await
            .is_ok()
        {
            return Ok(false);
        }
    }
}
