//! `grapevine sink`: from Kafka's topics into ClickHouse, until told to stop.

use grapevine_sink::{Options, Replica, migrate_when_there, run_replica, widen_windows};
use tokio::sync::watch;

use crate::cli::SinkArgs;
use crate::exit::{Ends, ExitKind, Failure};
use crate::pipeline::sink_ends;
use crate::settings::Settings;
use crate::{kafka, local, warehouse};

/// Runs the command.
///
/// # Errors
/// Settings that are wrong, topics or tables that are not as they have to be, and what stops the
/// sink. ClickHouse and Kafka that are away are waited for.
pub async fn run(arguments: &SinkArgs, settings: &Settings) -> Result<(), Failure> {
    let client = warehouse::client(&settings.clickhouse)?;
    let options = Options::default();
    let (stop, stopped) = watch::channel(false);
    let asked = tokio::spawn(async move {
        let asked = local::stop_asked().await;
        // The sink ended by itself where nobody listens.
        let _ = stop.send(true);
        asked
    });
    let partitions = settings.kafka.sink_partitions();
    let migrated = migrate_when_there(&client, &options, stopped.clone()).await;
    if !sink_ends(migrated)? {
        return Ok(());
    }
    sink_ends(widen_windows(&client, &partitions, &options).await)?;
    if arguments.migrate_only {
        return Ok(());
    }
    if settings.kafka.replica.is_empty() {
        return Err(Failure::new(
            ExitKind::Config,
            "this replica has no name: give kafka.replica in the configuration or GRAPEVINE_KAFKA__REPLICA, the same after a restart and of no other replica",
        ));
    }
    let connection = settings.kafka.sink_connection()?;
    let membership = settings.kafka.sink_membership()?;
    let partitions = {
        let (kafka, connection) = (settings.kafka.clone(), connection.clone());
        tokio::task::spawn_blocking(move || kafka::ensure_topics(&kafka, &connection))
            .await
            .ends(ExitKind::Software)??
    };
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
    let ended = sink_ends(run_replica(replica, client, options, stopped).await);
    asked.abort();
    tracing::info!("sink ended");
    ended
}
