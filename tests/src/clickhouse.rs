//! ClickHouse's engine over HTTP, with one account that may do everything: in this process, or in
//! one of its own, so that it can be killed.

use std::error::Error;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, Limits, Role, ServerOptions, cache_dir,
};

use crate::stages::PATIENCE;

/// How long to wait before asking again.
const AGAIN: Duration = Duration::from_millis(100);
/// The account that everything is done by.
pub const USER: &str = "owner";
/// Its password. The server listens on loopback for the time of a test.
pub const PASSWORD: &str = "007";

/// Serves the store in `dir` on an address of this machine until it is dropped.
///
/// # Errors
/// No engine to be had, a store that cannot be opened, an address that is taken.
pub fn start(dir: &Path, address: impl ToSocketAddrs) -> Result<EmbeddedServer, Box<dyn Error>> {
    let path = std::env::var_os("GRAPEVINE_ENGINE").map(PathBuf::from);
    let cache = cache_dir().ok_or("set HOME or GRAPEVINE_CACHE")?;
    let library = EngineLibrary::obtain(path.as_deref(), &cache, |_| ())?;
    let options = ServerOptions {
        accounts: Accounts::new(vec![Account {
            name: USER.to_owned(),
            password: PASSWORD.to_owned(),
            role: Role::Owner,
        }])?,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: Limits::default(),
    };
    let listener = std::net::TcpListener::bind(address)?;
    Ok(EmbeddedServer::start(library, dir, listener, options)?)
}

/// The same until the process ends.
///
/// # Errors
/// Those of [`start`].
pub fn serve(dir: &Path, address: &str) -> Result<(), Box<dyn Error>> {
    let _server = start(dir, address)?;
    loop {
        std::thread::park();
    }
}

/// Asks the server.
#[derive(Debug)]
pub struct Asked {
    url: String,
    password: String,
    http: reqwest::blocking::Client,
}

impl Asked {
    /// Asks the server at `http://ADDRESS`.
    ///
    /// # Panics
    /// The system gives no client.
    pub fn new(url: String) -> Asked {
        Asked::with_password(url, PASSWORD)
    }

    /// The same where the owner has a password of its own, as with `grapevine local`.
    ///
    /// # Panics
    /// The system gives no client.
    pub fn with_password(url: String, password: &str) -> Asked {
        let http = reqwest::blocking::Client::builder()
            .timeout(std::time::Duration::from_secs(120))
            .build()
            .expect("a client");
        Asked {
            url,
            password: password.to_owned(),
            http,
        }
    }

    /// The lines of an answer, each as its fields. `settings` is part of the address: `&name=value`.
    ///
    /// # Errors
    /// It does not answer, or refuses; with its words.
    pub fn rows_with(&self, sql: &str, settings: &str) -> Result<Vec<Vec<String>>, String> {
        let answer = self
            .http
            .post(format!(
                "{}/?default_format=TabSeparated{settings}",
                self.url
            ))
            .basic_auth(USER, Some(&self.password))
            .body(sql.to_owned())
            .send()
            .map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{sql}: {status}: {text}"));
        }
        let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(text.lines().map(fields).collect())
    }

    /// The lines of an answer, each as its fields.
    ///
    /// # Errors
    /// Those of [`rows_with`](Self::rows_with).
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.rows_with(sql, "")
    }

    /// The one number of an answer.
    ///
    /// # Errors
    /// Those of [`rows_with`](Self::rows_with), and an answer that is no number.
    pub fn number(&self, sql: &str) -> Result<u64, String> {
        let rows = self.rows(sql)?;
        let number = rows.first().and_then(|row| row.first()?.parse().ok());
        number.ok_or_else(|| format!("{sql}: {rows:?} is no number"))
    }

    /// Waits until a question is answered so; fails where it is not in time.
    #[track_caller]
    pub fn wait_for(&self, sql: &str, wanted: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.number(sql);
            if found == Ok(wanted) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{sql} is {found:?}, not {wanted}"
            );
            std::thread::sleep(AGAIN);
        }
    }
}
