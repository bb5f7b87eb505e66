//! A server on the real engine, for the tests of this crate and of those that write to it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, Limits, Role, ServerOptions, cache_dir,
};

pub(crate) const OWNER: (&str, &str) = ("default", "owner secret");
pub(crate) const READER: (&str, &str) = ("reader", "reader secret");

/// The engine: `GRAPEVINE_ENGINE`, else the cache, where it is fetched once.
pub(crate) fn library() -> EngineLibrary {
    let path = std::env::var_os("GRAPEVINE_ENGINE").map(PathBuf::from);
    let cache = cache_dir().expect("HOME is set");
    EngineLibrary::obtain(path.as_deref(), &cache, |_| ()).expect("the engine")
}

/// The store of this process: the engine's threads are confined to the first one for good.
fn store() -> &'static Path {
    static STORE: OnceLock<PathBuf> = OnceLock::new();
    STORE.get_or_init(|| {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        directory.expect("temporary directory").keep()
    })
}

fn empty(directory: &Path) {
    for entry in fs::read_dir(directory).expect("directory") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            fs::remove_dir_all(path).expect("removes");
        } else {
            fs::remove_file(path).expect("removes");
        }
    }
}

/// The turn of one server: a process has one engine at a time.
struct Turn;

static TAKEN: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = FREE.wait_while(taken, |taken| *taken);
        *waited.unwrap_or_else(PoisonError::into_inner) = true;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}

/// A running server; the engine is closed when it is dropped, as it must be before the process
/// exits.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    // Closed before the turn is given on.
    _server: EmbeddedServer,
    _turn: Turn,
}

impl Server {
    /// On an empty store, once no other server of this process is there.
    pub(crate) fn start(limits: Limits) -> Server {
        let turn = Turn::take();
        empty(store());
        Server::serve(turn, store(), limits)
    }

    /// On what a killed process left in a directory, which is moved away from there.
    pub(crate) fn start_on(left: &Path) -> Server {
        let turn = Turn::take();
        empty(store());
        for entry in fs::read_dir(left).expect("directory") {
            let entry = entry.expect("entry");
            fs::rename(entry.path(), store().join(entry.file_name())).expect("moves");
        }
        Server::serve(turn, store(), Limits::default())
    }

    /// In that directory, the only one of this process.
    pub(crate) fn start_in(directory: &Path) -> Server {
        Server::serve(Turn::take(), directory, Limits::default())
    }

    fn serve(turn: Turn, store: &Path, limits: Limits) -> Server {
        let accounts =
            [(OWNER, Role::Owner), (READER, Role::Reader)].map(|((name, password), role)| {
                Account {
                    name: name.to_owned(),
                    password: password.to_owned(),
                    role,
                }
            });
        let options = ServerOptions {
            accounts: Accounts::new(accounts.to_vec()).expect("accounts"),
            allowed_hosts: vec!["analytics.example".to_owned()],
            allowed_origins: vec!["https://bi.example".to_owned()],
            limits,
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = EmbeddedServer::start(library(), store, listener, options);
        let server = server.expect("the engine opens");
        Server {
            address: server.address(),
            _server: server,
            _turn: turn,
        }
    }
}
