//! The sink against the real engine behind its HTTP server.
//!
//! The engine is opened once a process and its database has one name, so that the tests of this
//! binary take turns and each starts from an empty database.
#![recursion_limit = "256"] // `json!` takes a step for every field of the longest record.

mod damage;
#[path = "../../../embedded/tests/support/server.rs"]
#[allow(dead_code, reason = "the tests of the embedded crate use the rest")]
mod embedded;
mod faults;
mod generate;
mod kafka;
mod kill;
mod proxy;
mod replay;
mod rows;
mod schema;
mod server;
mod start;
