//! Records framed for a schema registry with the Confluent-compatible interface.
//!
//! On a topic a framed record is a zero byte, the schema's id in the registry (4 bytes, big
//! endian), and the Avro datum. In the process a record is in single-object encoding (`C3 01`, the
//! schema's fingerprint, the same datum). [`Frames`] turns one into the other by changing the head
//! alone.
//!
//! - Schemas are looked up under their full names (`grapevine.Hit`), since a topic holds several,
//!   and registered where they are not there.
//! - An id is asked for once, and remembered.
//! - A registry that is away is an error to wait on ([`RegistryError::is_away`]). An id that it does not know,
//!   or whose schema is none of ours, leaves the message as it was, and decoding says so: that is a
//!   dead letter.
//! - A message in single-object encoding passes, so that a topic may hold both.
#![forbid(unsafe_code)]

mod client;
mod frames;

pub use client::{Client, Credentials, RegistryError};
pub use frames::Frames;
