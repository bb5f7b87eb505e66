//! The bytes on the wire: ClickHouse's compressed blocks, HTTP's content encodings, and the one
//! block that clickhouse-go must be answered in its own protocol revision.

mod blocks;
mod encoding;
mod handshake;

pub use blocks::{BLOCK_BYTES_MAX, BlockReader, BlockWriter};
pub(crate) use encoding::{Bounded, Decoder, Encoder, Encoding};
pub(crate) use handshake::{is_handshake, native_handshake};
