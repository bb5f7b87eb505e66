//! A ClickHouse on loopback and a log, fresh for each test.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clickhouse::{Client, Compression};
use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, Limits, Role, ServerOptions, cache_dir,
};
use grapevine_log::Log;
use grapevine_sink::Options;
use tokio::sync::watch;

const OWNER: &str = "default";
const PASSWORD: &str = "owner's secret";

/// The engine: `GRAPEVINE_ENGINE`, else the cache, where it is fetched once.
fn library() -> EngineLibrary {
    let path = std::env::var_os("GRAPEVINE_ENGINE").map(PathBuf::from);
    let cache = cache_dir().expect("HOME is set");
    EngineLibrary::obtain(path.as_deref(), &cache, |_| ()).expect("the engine")
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _server: EmbeddedServer,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Server {
        // RUST_LOG says what to show.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let owner = Account {
            name: OWNER.to_owned(),
            password: PASSWORD.to_owned(),
            role: Role::Owner,
        };
        let options = ServerOptions {
            accounts: Accounts::new(vec![owner]).expect("accounts"),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            limits: Limits::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server =
            EmbeddedServer::start(library(), data, listener, options).expect("the engine opens");
        Server {
            address: server.address(),
            _server: server,
        }
    }

    pub(crate) fn client(&self) -> Client {
        client_of(self.address)
    }
}

pub(crate) fn client_of(address: SocketAddr) -> Client {
    Client::default()
        .with_url(format!("http://{address}"))
        .with_user(OWNER)
        .with_password(PASSWORD)
        .with_compression(Compression::None)
}

/// The turn of one test: a server, an empty store and an empty log.
pub(crate) struct Turn {
    pub(crate) server: Server,
    pub(crate) log: Arc<Log>,
    directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Turn {
    pub(crate) fn take() -> Turn {
        Turn::take_in(tempfile::tempdir().expect("temporary directory"))
    }

    /// A turn on what is in a directory already.
    pub(crate) fn take_in(directory: tempfile::TempDir) -> Turn {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let log = Log::open(&directory.path().join("log.redb")).expect("log");
        Turn {
            server: Server::start(&directory.path().join("clickhouse")),
            log: Arc::new(log),
            directory,
            _turn: turn,
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.server.client()
    }

    /// Another, empty log.
    pub(crate) fn other_log(&self) -> Arc<Log> {
        Arc::new(Log::open(&self.directory.path().join("another.redb")).expect("log"))
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
        answer_max: Duration::from_secs(10),
        pause_max: Duration::from_millis(200),
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
