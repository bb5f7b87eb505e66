//! The embedded engine and its HTTP interface, as this command runs them.

use std::net::SocketAddr;
use std::path::Path;

use clickhouse::Client;
use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, FetchProgress, Limits, Role, ServerOptions,
};
use tokio::net::TcpListener;

use crate::data_directory::Secrets;
use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;

/// Name of the account that may do everything the server allows.
pub const OWNER: &str = "owner";
/// Name of the account that may only read tables.
pub const READER: &str = "reader";

/// A client of a ClickHouse HTTP interface on this machine.
pub fn client(address: &str, user: &str, password: &str) -> Client {
    Client::default()
        .with_url(format!("http://{address}"))
        .with_user(user)
        .with_password(password)
}

/// Binds a port, saying what to do where it is taken.
///
/// # Errors
/// The port is in use, or is not ours to take.
pub async fn listen(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let fix = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("another program uses it; stop that, or choose another with {flag}")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 need a privilege; choose another with {flag}")
            }
            _ => format!("choose another with {flag}"),
        };
        Failure::new(
            ExitKind::Unavailable,
            format!("{what} cannot listen on {address}: {error}; {fix}"),
        )
    })
}

/// Loads the engine, fetching it where it is not there yet; says on standard error what takes time.
///
/// # Errors
/// No engine to be had, or a file that is none.
pub async fn load(settings: &Settings) -> Result<EngineLibrary, Failure> {
    let path = settings.engine.clone();
    let cache = settings.cache_dir()?;
    tokio::task::spawn_blocking(move || {
        let progress = FetchLine::new();
        let library = EngineLibrary::obtain(path.as_deref(), &cache, |step| progress.show(step));
        progress.finish();
        library
    })
    .await
    .ends(ExitKind::Software)?
    .ends(ExitKind::Unavailable)
}

/// One line of progress while the engine is fetched; nothing where it is there already.
struct FetchLine {
    bar: indicatif::ProgressBar,
}

impl FetchLine {
    fn new() -> Self {
        FetchLine {
            bar: indicatif::ProgressBar::new_spinner(),
        }
    }

    fn show(&self, step: FetchProgress) {
        match step {
            FetchProgress::Waiting => self
                .bar
                .set_message("another process is fetching the engine; waiting for it"),
            FetchProgress::Downloading => self
                .bar
                .set_message("fetching ClickHouse's engine with npm (150 MB, once)"),
            FetchProgress::Unpacking { done, total } => {
                let part = done.saturating_mul(100) / total.max(1);
                self.bar
                    .set_message(format!("unpacking and checking the engine: {part} %"));
            }
            _ => {}
        }
        self.bar.tick();
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The engine on one data directory, served over HTTP.
#[derive(Debug)]
pub struct RunningEngine {
    /// Where it listens.
    pub address: SocketAddr,
    server: EmbeddedServer,
}

impl RunningEngine {
    /// Opens the store and serves it.
    ///
    /// # Errors
    /// The store cannot be opened, or accounts that cannot be served.
    pub async fn start(
        library: EngineLibrary,
        store: &Path,
        listener: TcpListener,
        secrets: &Secrets,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let account = |name: &str, password: &str, role| Account {
            name: name.to_owned(),
            password: password.to_owned(),
            role,
        };
        let accounts = Accounts::new(vec![
            account(OWNER, &secrets.owner_password, Role::Owner),
            account(READER, &secrets.reader_password, Role::Reader),
        ])
        .ends(ExitKind::Config)?;
        let options = ServerOptions {
            accounts,
            allowed_hosts: settings.clickhouse.allowed_hosts.clone(),
            allowed_origins: settings.clickhouse.allowed_origins.clone(),
            limits: Limits::default(),
        };
        // It is served by threads of the engine's own.
        let listener = listener.into_std().ends(ExitKind::Software)?;
        let store = store.to_owned();
        let server = tokio::task::spawn_blocking(move || {
            EmbeddedServer::start(library, &store, listener, options)
        })
        .await
        .ends(ExitKind::Software)?
        .ends(ExitKind::Unavailable)?;
        Ok(RunningEngine {
            address: server.address(),
            server,
        })
    }

    /// Lets running queries end and closes the store.
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn stop(self) -> Result<(), Failure> {
        tokio::task::spawn_blocking(move || self.server.stop())
            .await
            .ends(ExitKind::Software)?
            .ends(ExitKind::InputOutput)
    }
}
