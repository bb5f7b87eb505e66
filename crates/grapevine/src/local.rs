//! `grapevine local`: collector, stages, sink and ClickHouse in one process, until Ctrl-C.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grapevine_log::Log;
use grapevine_producer::Site;
use grapevine_producer::collector::{self, Collector, CollectorConfig};
use grapevine_producer::pseudonym::Pseudonyms;
use tokio::sync::watch;

use crate::data_directory::Endpoint;
use crate::engine;
use crate::exit::{Ends, ExitKind, Failure};
use crate::import::{self, ImportEndpoint};
use crate::operations::Service;
use crate::pipeline::{self, Pipeline};
use crate::settings::Settings;

/// Records that any stage may be behind before the collector asks senders to wait.
const BACKLOG_RECORDS_MAX: u64 = 2_000_000;
/// How often the collector looks at the stages behind it.
const BACKLOG_EVERY: Duration = Duration::from_millis(200);

/// Runs the command.
///
/// # Errors
/// A port in use, a data directory in use, no engine, or a stage that fails.
pub async fn run(settings: &Settings) -> Result<(), Failure> {
    // Ports before anything slow: they are the likeliest to be wrong.
    let service = Service::start("local", &settings.operations).await?;
    let stages = service.health.condition("stages", "starting");
    let listener = engine::listen(
        settings.collector.listen,
        "the collector",
        "--collector-listen",
    )
    .await?;
    let config = collector_config(settings)?;
    let mut pipeline = Pipeline::start(settings, Some(settings.clickhouse.listen)).await?;
    let address = listener.local_addr().ends(ExitKind::Software)?;

    let key = pipeline
        .directory()
        .pseudonym_key()
        .ends(ExitKind::InputOutput)?;
    let config = CollectorConfig {
        server_key: Some(pipeline.secrets().server_key.clone()),
        ..config
    };
    let (collector, appender) =
        Collector::start(Arc::clone(pipeline.log()), Pseudonyms::new(&key), config)
            .ends(ExitKind::Unavailable)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let endpoint = ImportEndpoint {
        importer: import::importer(&pipeline)?,
        log: Arc::clone(pipeline.log()),
        settings: Arc::new(settings.clone()),
        server_key: pipeline.secrets().server_key.clone(),
        stopped: Arc::clone(&stopped),
    };
    let routes = collector::router(collector.clone()).merge(import::router(endpoint));
    let (stop_serving, mut told) = watch::channel(false);
    let server = tokio::spawn(collector::serve(listener, routes, async move {
        // A dropped sender means the same.
        let _ = told.wait_for(|stop| *stop).await;
    }));
    let brake = tokio::spawn(brake(collector.clone(), Arc::clone(pipeline.log())));
    let taking = collector.clone();
    service
        .health
        .ask("collector", move || taking.trouble().map_or(Ok(()), Err));
    announce(&pipeline, address, service.address())?;
    stages.met();

    let outcome = tokio::select! {
        () = service.shutdown.asked() => Ok(()),
        failure = pipeline.failure() => Err(failure),
    };
    if let Err(failure) = &outcome {
        stages.unmet(failure.to_string());
    }
    service.shutdown.ask();
    // It holds the collector, which has to be gone for its thread to end.
    service.health.ask("collector", || Ok(()));
    pipeline.directory().withdraw();
    stopped.store(true, Ordering::Relaxed);
    brake.abort();
    // It is gone only where it failed, which its task says.
    let _ = stop_serving.send(true);
    server.await.ends(ExitKind::Software)?;
    let counts = collector.counts();
    drop(collector);
    // Aborted above: what is waited for is that its clone of the collector is gone.
    let _ = brake.await;
    tokio::task::spawn_blocking(move || appender.join())
        .await
        .ends(ExitKind::Software)?;
    tracing::info!(?counts, "collector ended");
    let ended = pipeline.stop_within(service.work_left()).await;
    outcome.and(ended)
}

pub(crate) fn collector_config(settings: &Settings) -> Result<CollectorConfig, Failure> {
    let sites = settings
        .collector
        .sites
        .iter()
        .map(|site| Site::parse(site))
        .collect::<Result<_, _>>();
    Ok(CollectorConfig {
        trusted_proxies: settings.trusted_proxies()?,
        honour_dnt: settings.collector.honour_do_not_track,
        sites: sites.map_err(|error| {
            Failure::new(
                ExitKind::Config,
                format!("configuration: collector.sites: {error}"),
            )
        })?,
        ..CollectorConfig::default()
    })
}

/// Asks senders to wait while the stages have too much before them.
async fn brake(collector: Collector, log: Arc<Log>) {
    loop {
        tokio::time::sleep(BACKLOG_EVERY).await;
        let log = Arc::clone(&log);
        let behind = tokio::task::spawn_blocking(move || pipeline::backlog(&log)).await;
        // An error of the log ends the stages, which say so.
        if matches!(behind, Ok(Ok(records)) if records > BACKLOG_RECORDS_MAX) {
            collector.pause();
        } else {
            collector.resume();
        }
    }
}

/// Says to the other commands, and to the user, where everything is.
fn announce(
    pipeline: &Pipeline,
    collector: SocketAddr,
    operations: Option<SocketAddr>,
) -> Result<(), Failure> {
    let clickhouse = pipeline.clickhouse_address();
    let path = pipeline.directory().path().display();
    let health = operations.map_or_else(String::new, |address| {
        format!("metrics     http://{address}/metrics  (and /health/live, /health/ready)\n")
    });
    let text = format!(
        "collector   http://{collector}/v1/hits\n\
         clickhouse  http://{clickhouse}  (accounts owner and reader, passwords in {path}/accounts.toml)\n\
         data        {path}\n\
         {health}\
         Ctrl-C stops; nothing acknowledged is lost.\n"
    );
    let mut out = io::stdout().lock();
    // Standard output may be closed; the addresses are in the log as well.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    tracing::info!(%collector, %clickhouse, "listening");
    let endpoint = Endpoint {
        process: std::process::id(),
        clickhouse: clickhouse.to_string(),
        collector: collector.to_string(),
        operations: operations.map(|address| address.to_string()),
    };
    pipeline
        .directory()
        .announce(&endpoint)
        .ends(ExitKind::InputOutput)
}
