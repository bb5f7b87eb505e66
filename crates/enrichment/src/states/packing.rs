//! The bytes of a saved state in its store: `GVST`, the format (u32 LE), the offset that it covers
//! (u64 LE), the first 16 bytes of the BLAKE3 hash of what follows, then the state, compressed with
//! LZ4 behind its length (u32 LE).

use grapevine_inference::StateError;

const MAGIC: [u8; 4] = *b"GVST";
const FORMAT: u32 = 1;
const HASH_BYTES: usize = 16;
const HEADER_BYTES: usize = 4 + 4 + 8 + HASH_BYTES;
/// LZ4 makes no more than so many bytes of one.
const EXPANSION_MAX: usize = 255;

/// The bytes of the state that covers an offset.
pub fn pack(offset: u64, state: &[u8]) -> Vec<u8> {
    sealed(offset, &lz4_flex::compress_prepend_size(state))
}

fn sealed(offset: u64, packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + packed.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&blake3::hash(packed).as_bytes()[..HASH_BYTES]);
    bytes.extend_from_slice(packed);
    bytes
}

/// The state that [`pack`] made these bytes of, for the same offset.
///
/// # Errors
/// Bytes of a newer format, of another offset, or that are not those that were written.
pub fn unpack(bytes: &[u8], offset: u64) -> Result<Vec<u8>, StateError> {
    let damaged = |what: &str| StateError::Damaged(what.to_owned());
    let Some((header, packed)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged("it is shorter than its header"));
    };
    let (magic, rest) = header.split_at(MAGIC.len());
    let (format, rest) = rest.split_at(4);
    let (named, hash) = rest.split_at(8);
    if magic != MAGIC {
        return Err(damaged("it does not start as a saved state does"));
    }
    let found = format.try_into().map_or(u32::MAX, u32::from_le_bytes);
    if found > FORMAT {
        return Err(StateError::Newer {
            found,
            known: FORMAT,
        });
    }
    if found < FORMAT {
        return Err(StateError::Damaged(format!("format {found} never existed")));
    }
    if named != offset.to_le_bytes() {
        return Err(damaged("it is of another offset than its name says"));
    }
    if hash != &blake3::hash(packed).as_bytes()[..HASH_BYTES] {
        return Err(damaged("its bytes are not those that were written"));
    }
    let unreadable = |error: lz4_flex::block::DecompressError| damaged(&error.to_string());
    let (length, packed) = lz4_flex::block::uncompressed_size(packed).map_err(unreadable)?;
    // So much memory is taken before a byte is read.
    if length > packed.len().saturating_mul(EXPANSION_MAX) {
        return Err(damaged("it says that it is longer than its bytes can be"));
    }
    lz4_flex::block::decompress(packed, length).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[test]
    fn a_state_of_another_version_or_offset_is_refused() {
        let bytes = pack(7, b"state");
        assert_eq!(unpack(&bytes, 7).as_deref(), Ok(&b"state"[..]));
        let of_format = |format: u8| {
            let mut bytes = bytes.clone();
            bytes[MAGIC.len()] = format;
            unpack(&bytes, 7)
        };
        let newer = StateError::Newer {
            found: 9,
            known: FORMAT,
        };
        assert_eq!(of_format(9), Err(newer));
        let never = of_format(0).expect_err("refused").to_string();
        assert!(never.contains("never existed"), "{never}");
        let other = unpack(&bytes, 8).expect_err("refused").to_string();
        assert!(other.contains("another offset"), "{other}");
    }

    #[test]
    fn a_length_that_cannot_be_takes_no_memory() {
        // 4 GB of five bytes.
        let packed = [&u32::MAX.to_le_bytes()[..], &b"\x10a\x01\x00\x00"[..]].concat();
        let error = unpack(&sealed(7, &packed), 7).expect_err("refused");
        assert!(error.to_string().contains("longer than"), "{error}");
        // As small as LZ4 makes anything.
        let even = vec![0; 1 << 20];
        assert_eq!(unpack(&pack(7, &even), 7), Ok(even));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_saved_state(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            offset in any::<u64>(),
        ) {
            prop_assert!(unpack(&bytes, offset).is_err());
            // Those that begin as one does.
            prop_assert!(unpack(&[&MAGIC[..], &bytes[..]].concat(), offset).is_err());
        }

        #[test]
        fn what_was_packed_is_read_until_one_bit_is_another(
            state in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                prop::collection::vec(0u8..2, 0..3_000),
            ],
            offset in any::<u64>(),
            at in any::<Index>(),
            bit in 0u8..8,
        ) {
            let mut bytes = pack(offset, &state);
            let read = unpack(&bytes, offset);
            prop_assert_eq!(read.as_ref(), Ok(&state));
            let at = at.index(bytes.len());
            prop_assert!(unpack(&bytes[..at], offset).is_err(), "cut at {}", at);
            bytes[at] ^= 1 << bit;
            prop_assert!(unpack(&bytes, offset).is_err(), "bit {} of byte {}", bit, at);
        }

        #[test]
        fn what_lz4_makes_of_arbitrary_bytes_is_an_error_or_bounded(
            length in prop_oneof![0u32..500, any::<u32>()],
            packed in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let packed = [&length.to_le_bytes()[..], &packed[..]].concat();
            if let Ok(state) = unpack(&sealed(7, &packed), 7) {
                prop_assert!(state.len() <= length as usize);
                let read = unpack(&pack(7, &state), 7);
                prop_assert_eq!(read.as_ref(), Ok(&state));
            }
        }
    }
}
