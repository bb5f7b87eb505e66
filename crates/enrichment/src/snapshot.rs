//! A saved state in the log: the offset that it covers (u64 LE), then the stage's own bytes.
//!
//! It is committed together with the stage's position, so one slot is enough: the log cannot hold
//! a snapshot that is newer than the position beside it.

use grapevine_inference::StateError;

pub(crate) fn frame(offset: u64, state: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(8 + state.len());
    framed.extend_from_slice(&offset.to_le_bytes());
    framed.extend_from_slice(state);
    framed
}

pub(crate) fn offset_of(framed: &[u8]) -> Option<u64> {
    framed.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

pub(crate) fn unframe(framed: &[u8]) -> Result<(u64, &[u8]), StateError> {
    let short = || StateError::Damaged(format!("{} bytes are too short", framed.len()));
    let (offset, state) = framed.split_first_chunk().ok_or_else(short)?;
    Ok((u64::from_le_bytes(*offset), state))
}
