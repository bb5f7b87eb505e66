//! ClickHouse's engine, embedded in this process, behind ClickHouse's own HTTP interface.
//!
//! What it is for: a machine without a ClickHouse server gets one inside the process. The engine
//! comes as a shared library ([`EngineLibrary`]), is opened on one data directory ([`Engine`]),
//! may be queried directly ([`Connection`]) and is served to ordinary ClickHouse clients over
//! HTTP ([`EmbeddedServer`]) with an owner's and a reader's account.
//!
//! What it is not: a cluster, a native-protocol (TCP) server, or a place for Grapevine's own
//! tables. It knows nothing of visits, sinks or logs.
//!
//! Five layers keep a caller away from files and hosts of the machine, because the engine as it
//! comes lets anybody read both:
//!
//! 1. the engine runs with grants that hold no source (file, URL, S3, remote …) and with the
//!    settings that carry paths or expressions made constant ([`bootstrap`]);
//! 2. its `default` database, which falls back to reading *files named like a table*, is
//!    replaced by a plain one on every start ([`bootstrap`]);
//! 3. every statement is parsed by the engine itself and checked against lists of what each
//!    account may use ([`guard`]) before it runs;
//! 4. a reader's connection is `readonly = 2` besides;
//! 5. the kernel holds the engine's threads to its data directory, and from the network
//!    ([`EmbeddedServer`]).
//!
//! Unsafe code lives in the module `library` only.

#![deny(unsafe_code)]

pub mod accounts;
pub mod bootstrap;
mod confine;
mod engine;
mod error;
mod fetch;
pub mod guard;
#[allow(unsafe_code)]
mod library;
mod pipe;
mod running;
pub mod server;
mod sql;
pub mod wire;

pub use accounts::{Account, Accounts, Role};
pub use engine::{ChunkStream, Connection, Engine, Params, QueryResult, QueryStats};
pub use error::{EngineError, QueryError};
pub use fetch::{ENGINE_SHA256, ENGINE_VERSION, FetchProgress, cache_dir};
pub use library::{EngineLibrary, bound_heap};
pub use running::EmbeddedServer;
pub use server::{Limits, ServerOptions};
