//! The Avro datum of a record, written and read in the order of the Rust type.
//!
//! A record's struct *is* its schema: same fields, same order, `Option` for a union with null
//! first, `enum` for an enum of the same symbols, [`Id`](crate::Id) for `fixed(16)`. Tests hold
//! each to its `.avsc`, so nothing has to be looked up in a schema for each field of each record
//! (`cargo bench -p grapevine-event` has the library that does so beside this: it is a second
//! judge in the tests). Only what the records need is here, and only the version of the schema
//! that this build was compiled with.
//!
//! <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>

mod reader;
mod visit;
mod writer;

use std::fmt;

use thiserror::Error;

pub(crate) use reader::read;
pub(crate) use visit::read_visit;
pub(crate) use writer::write;

/// The only `fixed` of the schemas, by the name that [`Id`](crate::Id) gives to serde.
pub(crate) const FIXED_NAME: &str = "Id";
/// Its bytes.
pub(crate) const FIXED_BYTES: usize = 16;

/// Why a datum cannot be read or written.
#[derive(Debug, Error)]
pub(crate) enum DatumError {
    #[error("ends in the middle of a value")]
    Ended,
    #[error("a number is longer than its type allows")]
    NumberTooLong,
    #[error("a length is negative or beyond the end")]
    BadLength,
    #[error("{0} is no boolean")]
    BadBoolean(u8),
    #[error("branch {0} of a union of two")]
    BadBranch(i64),
    #[error("text is no UTF-8")]
    NotUtf8,
    #[error("a value of type {0}, which no record has")]
    Unsupported(&'static str),
    #[error("{0}")]
    Type(String),
}

impl serde::de::Error for DatumError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DatumError::Type(message.to_string())
    }
}

impl serde::ser::Error for DatumError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DatumError::Type(message.to_string())
    }
}
