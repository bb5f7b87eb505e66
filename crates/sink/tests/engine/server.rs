//! A ClickHouse on loopback and a log, fresh for each test.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::{Client, Compression};
use grapevine_embedded::Limits;
use grapevine_log::Log;
use grapevine_sink::Options;
use tokio::sync::watch;

use crate::embedded::{OWNER, Server};

/// RUST_LOG says what to show.
pub(crate) fn show_log() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
}

pub(crate) fn client_of(address: SocketAddr) -> Client {
    Client::default()
        .with_url(format!("http://{address}"))
        .with_user(OWNER.0)
        .with_password(OWNER.1)
        .with_compression(Compression::None)
}

/// The turn of one test: a server, an empty store and an empty log.
pub(crate) struct Turn {
    pub(crate) server: Server,
    pub(crate) log: Arc<Log>,
    directory: tempfile::TempDir,
}

impl Turn {
    pub(crate) fn take() -> Turn {
        let directory = tempfile::tempdir().expect("temporary directory");
        Turn::with(Server::start(Limits::default()), directory)
    }

    /// A turn on what a killed process left in a directory.
    pub(crate) fn take_in(directory: tempfile::TempDir) -> Turn {
        let server = Server::start_on(&directory.path().join("clickhouse"));
        Turn::with(server, directory)
    }

    fn with(server: Server, directory: tempfile::TempDir) -> Turn {
        show_log();
        let log = Log::open(&directory.path().join("log.redb")).expect("log");
        Turn {
            server,
            log: Arc::new(log),
            directory,
        }
    }

    pub(crate) fn client(&self) -> Client {
        client_of(self.server.address)
    }

    /// Another log by that number, empty at first.
    pub(crate) fn log_of(&self, number: u64) -> Arc<Log> {
        let path = self.directory.path().join(format!("another-{number}.redb"));
        Arc::new(Log::open(&path).expect("log"))
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Runtime::new()
        .expect("runtime")
        .block_on(future)
}

/// Batches small enough that a test sees many, and short waits.
pub(crate) fn quick() -> Options {
    Options {
        batch_rows_max: 200,
        batch_bytes_max: 1 << 20,
        linger: Duration::from_millis(20),
        findings_linger: Duration::from_millis(60),
        answer_max: Duration::from_secs(10),
        pause_max: Duration::from_millis(200),
        ..Options::default()
    }
}

/// Runs the sink until it has drained the log, then stops it.
pub(crate) async fn drain(
    log: &Arc<Log>,
    client: &Client,
    options: Options,
) -> Result<(), grapevine_sink::SinkError> {
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(grapevine_sink::run(
        Arc::clone(log),
        client.clone(),
        options,
        stopped,
    ));
    while grapevine_sink::lag(log).expect("log") > 0 && !running.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send_replace(true);
    running.await.expect("the sink does not panic")
}
