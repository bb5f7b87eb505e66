//! ClickHouse's engine in a process of its own, so that it can be killed.

use std::path::{Path, PathBuf};

use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, Limits, Role, ServerOptions, cache_dir,
};

/// The account that everything is done by.
pub(crate) const USER: &str = "owner";
/// Its password. The server listens on loopback for the time of a test.
pub(crate) const PASSWORD: &str = "crash";

/// Serves the store in `dir` until the process ends.
///
/// # Errors
/// No engine to be had, a store that cannot be opened, an address that is taken.
pub fn serve(dir: &Path, address: &str) -> Result<(), Box<dyn std::error::Error>> {
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
    let _server = EmbeddedServer::start(library, dir, listener, options)?;
    loop {
        std::thread::park();
    }
}

/// Asks the server.
#[derive(Debug)]
pub(crate) struct Asked {
    url: String,
    http: reqwest::blocking::Client,
}

impl Asked {
    pub(crate) fn new(url: String) -> Asked {
        let http = reqwest::blocking::Client::builder()
            .timeout(std::time::Duration::from_secs(120))
            .build()
            .expect("a client");
        Asked { url, http }
    }

    /// The lines of an answer, each as its fields. `settings` is part of the address: `&name=value`.
    pub(crate) fn rows_with(&self, sql: &str, settings: &str) -> Result<Vec<Vec<String>>, String> {
        let answer = self
            .http
            .post(format!(
                "{}/?default_format=TabSeparated{settings}",
                self.url
            ))
            .basic_auth(USER, Some(PASSWORD))
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

    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.rows_with(sql, "")
    }

    /// The one number of an answer.
    pub(crate) fn number(&self, sql: &str) -> Result<u64, String> {
        let rows = self.rows(sql)?;
        let number = rows.first().and_then(|row| row.first()?.parse().ok());
        number.ok_or_else(|| format!("{sql}: {rows:?} is no number"))
    }
}
