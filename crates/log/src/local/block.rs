//! A block: many records as one value.
//!
//! Layout: record count (u32 LE), length of the lengths-and-bytes part before compression
//! (u32 LE), then that part compressed with LZ4: for each record its length (u32 LE), then the
//! bytes of all records.

use thiserror::Error;

/// Why stored bytes are no block.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BlockError {
    /// Shorter than its header.
    #[error("block of {0} bytes is shorter than its header")]
    Short(usize),
    /// The compressed part does not unpack to the stated length.
    #[error("block does not unpack: {0}")]
    Compressed(String),
    /// The lengths of the records do not add up to the block.
    #[error("lengths of the {0} records in a block do not add up to its size")]
    Lengths(u32),
}

const HEADER_BYTES: usize = 8;

/// Packs records, given as their bytes one after the other and where each ends.
pub(crate) fn pack(bytes: &[u8], ends: &[usize], scratch: &mut Vec<u8>) -> Vec<u8> {
    scratch.clear();
    scratch.reserve(ends.len() * 4 + bytes.len());
    let mut start = 0;
    for &end in ends {
        let length = u32::try_from(end - start).unwrap_or(u32::MAX);
        scratch.extend_from_slice(&length.to_le_bytes());
        start = end;
    }
    scratch.extend_from_slice(bytes);
    let mut packed =
        vec![0; HEADER_BYTES + lz4_flex::block::get_maximum_output_size(scratch.len())];
    let count = u32::try_from(ends.len()).unwrap_or(u32::MAX);
    packed[..4].copy_from_slice(&count.to_le_bytes());
    let unpacked = u32::try_from(scratch.len()).unwrap_or(u32::MAX);
    packed[4..8].copy_from_slice(&unpacked.to_le_bytes());
    let written = lz4_flex::block::compress_into(scratch, &mut packed[HEADER_BYTES..])
        .expect("the output is as large as LZ4 says it must be at most");
    packed.truncate(HEADER_BYTES + written);
    packed
}

/// How many records a block holds.
pub(crate) fn count(block: &[u8]) -> Result<u32, BlockError> {
    block
        .first_chunk()
        .map(|count| u32::from_le_bytes(*count))
        .ok_or(BlockError::Short(block.len()))
}

/// An unpacked block.
#[derive(Debug)]
pub(crate) struct Unpacked {
    bytes: Vec<u8>,
    count: usize,
}

impl Unpacked {
    pub(crate) fn of(block: &[u8]) -> Result<Self, BlockError> {
        let Some((header, packed)) = block.split_first_chunk::<HEADER_BYTES>() else {
            return Err(BlockError::Short(block.len()));
        };
        let [c0, c1, c2, c3, u0, u1, u2, u3] = *header;
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        let length = u32::from_le_bytes([u0, u1, u2, u3]) as usize;
        let bytes = lz4_flex::block::decompress(packed, length)
            .map_err(|error| BlockError::Compressed(error.to_string()))?;
        let unpacked = Unpacked {
            bytes,
            count: count as usize,
        };
        let table = (unpacked.count)
            .checked_mul(4)
            .filter(|table| *table <= unpacked.bytes.len());
        let total = table.map(|table| {
            let records: usize = (0..unpacked.count)
                .map(|index| unpacked.length(index))
                .sum();
            table + records
        });
        if total != Some(unpacked.bytes.len()) {
            return Err(BlockError::Lengths(count));
        }
        Ok(unpacked)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Unpacked size.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Length of record `index`, which must be below `count`.
    pub(crate) fn length(&self, index: usize) -> usize {
        let at = index * 4;
        let [b0, b1, b2, b3] = [
            self.bytes[at],
            self.bytes[at + 1],
            self.bytes[at + 2],
            self.bytes[at + 3],
        ];
        u32::from_le_bytes([b0, b1, b2, b3]) as usize
    }

    /// Where the bytes of the first record start.
    pub(crate) fn records_start(&self) -> usize {
        self.count * 4
    }

    pub(crate) fn slice(&self, start: usize, length: usize) -> &[u8] {
        &self.bytes[start..start + length]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_survive_packing(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..50)) {
            let bytes: Vec<u8> = records.concat();
            let ends: Vec<usize> = records.iter().scan(0, |end, record| { *end += record.len(); Some(*end) }).collect();
            let packed = pack(&bytes, &ends, &mut Vec::new());
            prop_assert_eq!(count(&packed), Ok(u32::try_from(records.len()).expect("few")));
            let unpacked = Unpacked::of(&packed).expect("unpacks");
            let mut start = unpacked.records_start();
            for (index, record) in records.iter().enumerate() {
                prop_assert_eq!(unpacked.slice(start, unpacked.length(index)), record.as_slice());
                start += unpacked.length(index);
            }
        }

        #[test]
        fn damaged_blocks_never_panic(mut block in prop::collection::vec(any::<u8>(), 0..200)) {
            // Keeps the stated size small: the allocation is what the header says.
            if block.len() > 7 { block[6] = 0; block[7] = 0; }
            let _ = Unpacked::of(&block);
        }
    }
}
