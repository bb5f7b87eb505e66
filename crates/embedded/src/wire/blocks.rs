//! ClickHouse's own compressed blocks, as `compress=1` and `decompress=1` carry them.
//!
//! A block is: 16 bytes CityHash128 (version 1.0.2, the two halves in little-endian order) of
//! everything after it; one byte method; `u32` size of what follows the hash (these nine bytes
//! included); `u32` size of the data; the compressed data. From ClickHouse's
//! `src/Compression/CompressedReadBufferBase.cpp` and `ICompressionCodec.cpp`.

use std::io::{self, Read, Write};

use cityhash_rs::cityhash_102_128;

/// The largest block read or made, compressed or not: bounds what a few bytes can be made to
/// expand to. ClickHouse's clients send 1 MiB at most.
pub const BLOCK_BYTES_MAX: usize = 64 << 20;
const HASH_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const NONE: u8 = 0x02;
const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;

/// The checksum as it stands on the wire: the high half of the number first, each half little-endian.
fn checksum(bytes: &[u8]) -> [u8; HASH_BYTES] {
    cityhash_102_128(bytes).rotate_left(64).to_le_bytes()
}

/// Reads compressed blocks as one stream of data.
#[derive(Debug)]
pub struct BlockReader<R> {
    from: R,
    data: Vec<u8>,
    at: usize,
}

impl<R: Read> BlockReader<R> {
    /// Reads blocks from `from`.
    pub fn new(from: R) -> Self {
        BlockReader {
            from,
            data: Vec::new(),
            at: 0,
        }
    }

    /// Reads the next block; `false` at the end of input.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut head = [0; HASH_BYTES + HEADER_BYTES];
        let first = loop {
            match self.from.read(&mut head[..1]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if first == 0 {
            return Ok(false);
        }
        self.from.read_exact(&mut head[1..])?;
        let (hash, header) = head.split_at(HASH_BYTES);
        let size = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let (compressed, expanded) = (size(1), size(5));
        if !(HEADER_BYTES..=BLOCK_BYTES_MAX).contains(&compressed) || expanded > BLOCK_BYTES_MAX {
            return Err(invalid(format!(
                "a compressed block of {compressed} bytes holding {expanded} is over the limit of {BLOCK_BYTES_MAX} or no block at all"
            )));
        }
        let mut block = vec![0; compressed];
        block[..HEADER_BYTES].copy_from_slice(header);
        self.from.read_exact(&mut block[HEADER_BYTES..])?;
        if checksum(&block) != hash {
            return Err(invalid("the checksum of a compressed block does not match"));
        }
        let payload = &block[HEADER_BYTES..];
        let data = match header[0] {
            NONE => payload.to_vec(),
            LZ4 => lz4_flex::block::decompress(payload, expanded).map_err(invalid)?,
            ZSTD => zstd::bulk::decompress(payload, expanded)?,
            other => return Err(invalid(format!("unknown compression method {other:#04x}"))),
        };
        if data.len() != expanded {
            return Err(invalid(
                "a compressed block holds less or more than it says",
            ));
        }
        self.data = data;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.data.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = into.len().min(self.data.len() - self.at);
        into[..count].copy_from_slice(&self.data[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn invalid(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

/// Writes each buffer it is given as LZ4 blocks of 1 MiB at most.
#[derive(Debug, Default)]
pub struct BlockWriter {
    block: Vec<u8>,
}

impl BlockWriter {
    /// Appends `data`, compressed, to `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&mut self, data: &[u8], out: &mut impl Write) -> io::Result<()> {
        for part in data.chunks(1 << 20) {
            let room = lz4_flex::block::get_maximum_output_size(part.len());
            self.block.clear();
            self.block.resize(HEADER_BYTES + room, 0);
            let count = lz4_flex::block::compress_into(part, &mut self.block[HEADER_BYTES..])
                .map_err(invalid)?;
            self.block.truncate(HEADER_BYTES + count);
            self.block[0] = LZ4;
            // Both sizes are below 2 MiB.
            self.block[1..5].copy_from_slice(&((HEADER_BYTES + count) as u32).to_le_bytes());
            self.block[5..9].copy_from_slice(&(part.len() as u32).to_le_bytes());
            out.write_all(&checksum(&self.block))?;
            out.write_all(&self.block)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        BlockReader::new(bytes).read_to_end(&mut data).map(|_| data)
    }

    fn block(method: u8, payload: &[u8], expanded: u32) -> Vec<u8> {
        let mut block = vec![method];
        block.extend((payload.len() as u32 + 9).to_le_bytes());
        block.extend(expanded.to_le_bytes());
        block.extend(payload);
        [checksum(&block).to_vec(), block].concat()
    }

    #[test]
    fn every_method_is_read() {
        let data = b"grapevine ".repeat(50);
        let lz4 = block(LZ4, &lz4_flex::block::compress(&data), 500);
        let zstd = block(
            ZSTD,
            &zstd::bulk::compress(&data, 1).expect("compress"),
            500,
        );
        let none = block(NONE, &data, 500);
        let all = [lz4, zstd, none].concat();
        assert_eq!(read(&all).expect("blocks"), data.repeat(3));
    }

    #[test]
    fn damage_is_noticed() {
        let good = block(NONE, b"abc", 3);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad).is_err(), "byte {at}");
            if at > 0 {
                assert!(read(&good[..at]).is_err(), "cut at {at}");
            }
        }
        assert!(read(&block(NONE, b"abc", 4)).is_err());
        assert!(read(&block(0x91, b"abc", 3)).is_err());
        // A bomb: a few bytes that say they expand to 4 GiB.
        assert!(read(&block(LZ4, b"abc", u32::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(data in proptest::collection::vec(any::<u8>(), 0..5000), parts in 1usize..4) {
            let mut bytes = Vec::new();
            let mut writer = BlockWriter::default();
            for part in data.chunks(data.len() / parts + 1) {
                writer.write(part, &mut bytes).expect("memory");
            }
            prop_assert_eq!(read(&bytes).expect("own blocks"), data);
        }

        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&data);
        }

        #[test]
        fn any_payload_is_read_or_refused_and_so_is_what_follows(
            method in prop_oneof![Just(NONE), Just(LZ4), Just(ZSTD), any::<u8>()],
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            expanded in 0u32..2000,
        ) {
            let good = block(NONE, b"abc", 3);
            let bytes = [good.clone(), block(method, &payload, expanded), good].concat();
            let mut reader = BlockReader::new(bytes.as_slice());
            let mut data = Vec::new();
            // A caller may read on after an error.
            let (first, second) = (reader.read_to_end(&mut data), reader.read_to_end(&mut data));
            prop_assert!(data.starts_with(b"abc"));
            prop_assert!(data.ends_with(b"abc") && second.is_ok(), "{first:?} {second:?}");
        }
    }
}
