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
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::data_directory::Endpoint;
use crate::engine;
use crate::exit::{Ends, ExitKind, Failure};
use crate::import::{self, ImportEndpoint};
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
    // Both ports before anything slow: they are the likeliest to be wrong.
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
    let server = tokio::spawn(
        axum::serve(
            listener,
            routes.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(async move {
            // A dropped sender means the same.
            let _ = told.wait_for(|stop| *stop).await;
        })
        .into_future(),
    );
    let brake = tokio::spawn(brake(collector.clone(), Arc::clone(pipeline.log())));
    announce(&pipeline, address)?;

    let outcome = tokio::select! {
        stop = stop_asked() => stop,
        failure = pipeline.failure() => Err(failure),
    };
    tracing::info!("stopping: finishing what was taken");
    pipeline.directory().withdraw();
    stopped.store(true, Ordering::Relaxed);
    brake.abort();
    // It is gone only where it failed, which its task says.
    let _ = stop_serving.send(true);
    server
        .await
        .ends(ExitKind::Software)?
        .ends(ExitKind::InputOutput)?;
    let counts = collector.counts();
    drop(collector);
    // Aborted above: what is waited for is that its clone of the collector is gone.
    let _ = brake.await;
    tokio::task::spawn_blocking(move || appender.join())
        .await
        .ends(ExitKind::Software)?;
    tracing::info!(?counts, "collector ended");
    let ended = pipeline.stop().await;
    outcome.and(ended)
}

fn collector_config(settings: &Settings) -> Result<CollectorConfig, Failure> {
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

/// Waits for Ctrl-C or the supervisor's SIGTERM. A second one ends at once: everything
/// acknowledged is durable anyhow.
pub(crate) async fn stop_asked() -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).ends(ExitKind::Software)?;
    let mut terminate = signal(SignalKind::terminate()).ends(ExitKind::Software)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(i32::from(ExitKind::Interrupted.code()));
    });
    Ok(())
}

/// Says to the other commands, and to the user, where everything is.
fn announce(pipeline: &Pipeline, collector: SocketAddr) -> Result<(), Failure> {
    let clickhouse = pipeline.clickhouse_address();
    let path = pipeline.directory().path().display();
    let text = format!(
        "collector   http://{collector}/v1/hits\n\
         clickhouse  http://{clickhouse}  (accounts owner and reader, passwords in {path}/accounts.toml)\n\
         data        {path}\n\
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
    };
    pipeline
        .directory()
        .announce(&endpoint)
        .ends(ExitKind::InputOutput)
}
