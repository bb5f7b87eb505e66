//! A server on threads of its own, which the kernel confines to the store.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::{fs, io, thread};

use tokio::sync::oneshot;

use crate::confine::{Confinement, confine_this_thread};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::library::EngineLibrary;
use crate::server::{ServerOptions, serve};

/// ClickHouse's engine on one data directory, served over HTTP until it is stopped or dropped.
///
/// Everything that runs in the engine runs on threads that reach the data directory and no other
/// file, host or program (the module `confine` has the details), unless the kernel cannot do
/// that, which is logged.
#[derive(Debug)]
pub struct EmbeddedServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl EmbeddedServer {
    /// Opens (or creates) the store in `data_dir` and serves it on `listener`. Returns once it
    /// answers; takes about 0.3 s and blocks meanwhile.
    ///
    /// # Errors
    /// Those of [`Engine::open`], a listener or threads that the system does not give, and a store
    /// other than the first that this process served: threads are confined for good.
    pub fn start(
        library: EngineLibrary,
        data_dir: &Path,
        listener: TcpListener,
        options: ServerOptions,
    ) -> Result<EmbeddedServer, EngineError> {
        let data_dir = data_dir.to_owned();
        let (started, answer) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("clickhouse".to_owned())
            .spawn(move || {
                let opened = open(library, &data_dir, listener);
                let (engine, listener, runtime, address) = match opened {
                    Ok(opened) => opened,
                    Err(error) => {
                        // It is waited for.
                        let _ = started.send(Err(error));
                        return Ok(());
                    }
                };
                let _ = started.send(Ok(address));
                runtime.block_on(serve(engine, options, listener, async {
                    // A dropped sender means the same.
                    let _ = stopped.await;
                }))
            })
            .map_err(EngineError::Thread)?;
        let address = answer.recv().unwrap_or_else(|_| {
            let reason = "the engine's thread panicked";
            Err(EngineError::Thread(io::Error::other(reason)))
        })?;
        Ok(EmbeddedServer {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets running queries end, within [`crate::Limits::drain_time_max`], and closes the store.
    /// Blocks until that is done.
    ///
    /// # Errors
    /// Those of the listener.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let panicked = |_| Err(io::Error::other("the engine's thread panicked"));
        thread.join().unwrap_or_else(panicked)
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.end();
    }
}

type Opened = (
    Engine,
    tokio::net::TcpListener,
    tokio::runtime::Runtime,
    SocketAddr,
);

/// The store that the engine's threads were confined to: they outlive it, and no thread is ever
/// confined to less.
static CONFINED_TO: Mutex<Option<PathBuf>> = Mutex::new(None);

fn confine(data_dir: &Path) -> Result<(), EngineError> {
    let mut confined_to = CONFINED_TO.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = fs::canonicalize(data_dir).map_err(|source| EngineError::Io {
        what: "cannot open",
        path: data_dir.to_owned(),
        source,
    })?;
    if let Some(other) = confined_to.as_ref().filter(|other| **other != directory) {
        return Err(EngineError::ConfinedElsewhere {
            path: other.clone(),
        });
    }
    match confine_this_thread(data_dir)? {
        Confinement::Whole => tracing::debug!("the engine is confined to its store"),
        Confinement::Files => tracing::info!(
            "this kernel keeps the engine from other files, but not from the network (Linux 6.7 does): statements are checked all the same"
        ),
        Confinement::Nothing => {
            tracing::warn!(
                "this kernel cannot confine the engine to its store (Landlock of Linux 5.19 can): statements are checked all the same"
            );
            return Ok(());
        }
    }
    *confined_to = Some(directory);
    Ok(())
}

/// Confines this thread, then opens the engine and starts the threads that will call it.
fn open(
    library: EngineLibrary,
    data_dir: &Path,
    listener: TcpListener,
) -> Result<Opened, EngineError> {
    // What does not exist cannot be allowed.
    fs::create_dir_all(data_dir).map_err(|source| EngineError::Io {
        what: "cannot create",
        path: data_dir.to_owned(),
        source,
    })?;
    confine(data_dir)?;
    let engine = Engine::open(&library, data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("clickhouse-http")
        .enable_all()
        .build()
        .map_err(EngineError::Thread)?;
    let listener = {
        let _entered = runtime.enter();
        listener
            .set_nonblocking(true)
            .and_then(|()| tokio::net::TcpListener::from_std(listener))
            .map_err(EngineError::Thread)?
    };
    let address = listener.local_addr().map_err(EngineError::Thread)?;
    Ok((engine, listener, runtime, address))
}
