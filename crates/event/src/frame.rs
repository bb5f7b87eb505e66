//! The two heads that a record may have on a topic, and how one becomes the other.
//!
//! In single-object encoding it is `C3 01` and the schema's fingerprint (8 bytes); framed for a
//! schema registry it is a zero byte and the schema's id there (4 bytes, big endian). The datum
//! that follows is the same:
//! <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>

/// First byte of a framed message.
const MAGIC: u8 = 0;
/// That and the id, bytes.
pub const FRAME_BYTES: usize = 5;
/// First bytes of single-object encoding; the fingerprint follows.
const MARKER: [u8; 2] = [0xC3, 0x01];
/// Those and the fingerprint, bytes.
pub const HEAD_BYTES: usize = 10;

/// CRC-64-AVRO of a schema's canonical form, as it stands in a record.
pub type Fingerprint = [u8; 8];

/// The fingerprint and the datum of a record in single-object encoding; `None` of anything else.
pub fn of_single_object(record: &[u8]) -> Option<(Fingerprint, &[u8])> {
    let ([first, second, fingerprint @ ..], datum) = record.split_first_chunk::<HEAD_BYTES>()?;
    ([*first, *second] == MARKER).then_some((*fingerprint, datum))
}

/// The schema's id and the datum of a framed message; `None` of anything else.
pub fn of_framed(message: &[u8]) -> Option<(u32, &[u8])> {
    let ([magic, id @ ..], datum) = message.split_first_chunk::<FRAME_BYTES>()?;
    (*magic == MAGIC).then_some((u32::from_be_bytes(*id), datum))
}

/// What stands before the datum in a framed message.
pub fn framed_head(id: u32) -> [u8; FRAME_BYTES] {
    let [a, b, c, d] = id.to_be_bytes();
    [MAGIC, a, b, c, d]
}

/// What stands before the datum in single-object encoding.
pub fn single_object_head(fingerprint: Fingerprint) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..MARKER.len()].copy_from_slice(&MARKER);
    head[MARKER.len()..].copy_from_slice(&fingerprint);
    head
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(id: u32, fingerprint: Fingerprint, datum in vec(any::<u8>(), 0..64)) {
            let framed = [&framed_head(id)[..], &datum].concat();
            prop_assert_eq!(of_framed(&framed), Some((id, &datum[..])));
            prop_assert_eq!(of_single_object(&framed), None);
            let single = [&single_object_head(fingerprint)[..], &datum].concat();
            prop_assert_eq!(of_single_object(&single), Some((fingerprint, &datum[..])));
            prop_assert_eq!(of_framed(&single), None);
        }

        #[test]
        fn any_bytes_are_one_of_both_or_neither(bytes in vec(any::<u8>(), 0..24)) {
            let (framed, single) = (of_framed(&bytes), of_single_object(&bytes));
            prop_assert!(framed.is_none() || single.is_none());
            if let Some((id, datum)) = framed {
                prop_assert_eq!([&framed_head(id)[..], datum].concat(), bytes.clone());
            }
            if let Some((fingerprint, datum)) = single {
                prop_assert_eq!([&single_object_head(fingerprint)[..], datum].concat(), bytes);
            }
        }
    }

    #[test]
    fn what_is_shorter_than_a_head_has_none() {
        assert_eq!(of_framed(&[0, 0, 0, 1]), None);
        assert_eq!(of_framed(&[0, 0, 0, 1, 2]), Some((0x0102, &[][..])));
        assert_eq!(of_single_object(&[0xC3, 1, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
