//! Saved state as bytes: a format number, then postcard.
//!
//! Maps are written in the order of their use, never of a hash, so equal histories give equal
//! bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why saved state cannot be written or used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StateError {
    /// Written by a newer version.
    #[error(
        "saved state has format {found}, this version knows up to {known}: use a newer grapevine"
    )]
    Newer {
        /// Format found.
        found: u32,
        /// Newest format known.
        known: u32,
    },
    /// The bytes are no state of its format.
    #[error("saved state is damaged: {0}")]
    Damaged(String),
    /// The state cannot be written.
    #[error("state cannot be written: {0}")]
    Unwritable(String),
}

/// Writes state.
///
/// # Errors
/// A state that postcard cannot hold, which would be a defect.
pub fn to_bytes<T: Serialize>(format: u32, state: &T) -> Result<Vec<u8>, StateError> {
    let unwritable = |error: postcard::Error| StateError::Unwritable(error.to_string());
    postcard::to_extend(state, format.to_le_bytes().to_vec()).map_err(unwritable)
}

/// Format of saved state; none where the bytes are too short to say.
pub fn format_of(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Reads state of exactly this format.
///
/// # Errors
/// A newer format, or bytes that are no such state.
pub fn from_bytes<T: DeserializeOwned>(format: u32, bytes: &[u8]) -> Result<T, StateError> {
    let Some((found, rest)) = bytes.split_first_chunk() else {
        return Err(StateError::Damaged(format!(
            "{} bytes are too short",
            bytes.len()
        )));
    };
    let found = u32::from_le_bytes(*found);
    if found > format {
        return Err(StateError::Newer {
            found,
            known: format,
        });
    }
    if found < format {
        return Err(StateError::Damaged(format!("format {found} never existed")));
    }
    match postcard::take_from_bytes(rest) {
        Ok((state, [])) => Ok(state),
        Ok((_, left)) => Err(StateError::Damaged(format!(
            "{} bytes are left over",
            left.len()
        ))),
        Err(error) => Err(StateError::Damaged(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_damaged_and_long_state_is_refused() {
        let bytes = to_bytes(3, &vec![1u64, 2]).expect("writes");
        assert_eq!(from_bytes::<Vec<u64>>(3, &bytes), Ok(vec![1, 2]));
        let newer = StateError::Newer { found: 3, known: 2 };
        assert_eq!(from_bytes::<Vec<u64>>(2, &bytes), Err(newer));
        let short = from_bytes::<Vec<u64>>(3, &bytes[..bytes.len() - 1]);
        assert!(matches!(short, Err(StateError::Damaged(_))));
        let long = [bytes.as_slice(), &[0]].concat();
        let long = from_bytes::<Vec<u64>>(3, &long);
        assert!(matches!(long, Err(StateError::Damaged(_))));
        assert!(matches!(
            from_bytes::<u8>(3, &[1]),
            Err(StateError::Damaged(_))
        ));
    }
}
