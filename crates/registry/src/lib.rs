//! Records framed for a schema registry with the Confluent-compatible interface.
//!
//! On a topic a framed record is a zero byte, the schema's id in the registry (4 bytes, big
//! endian), and the Avro datum. In the process a record is in single-object encoding (`C3 01`, the
//! schema's fingerprint, the same datum). [`Frames`] turns one into the other by changing the head
//! alone, so everything past the log's edge is the same with a registry and without.
//!
//! - [`grapevine_event::frame`] is the layout. [`subjects`] says which schema is registered under
//!   which name.
//! - [`Client`] asks the registry. [`Frames`] remembers what it said: an id is asked for once.
//! - A registry that is away is an error to wait on ([`RegistryError::is_away`]). An id that it
//!   does not know, or whose schema is none of ours, leaves the message as it was, and decoding
//!   says so: that is a dead letter.
//! - A message in single-object encoding passes, so a topic may hold both.
#![forbid(unsafe_code)]

mod client;
mod frames;
pub mod subjects;

pub use client::{Client, Credentials, RegistryError};
pub use frames::{Frames, Opened};
