//! Cuts a content into batches of lines, with bounded memory, hashing along.

use std::io::{self, ErrorKind, Read};

use super::LINE_BYTES_MAX;
use super::ledger::{Checkpoint, hasher_after};

/// How much is read at once, bytes.
const READ_BYTES: usize = 256 * 1024;

/// A line of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its bytes without the line end, cut at [`LINE_BYTES_MAX`].
    pub(super) bytes: &'a [u8],
    /// Its length without the line end, before cutting.
    pub(super) length: u64,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    kept: usize,
    length: u64,
}

/// Lines after a checkpoint.
pub(super) struct Lines {
    at: Checkpoint,
    /// Where a read goes first, so that a short one costs no more than it brings.
    chunk: Vec<u8>,
    /// Whole lines, then what is read beyond them.
    buffer: Vec<u8>,
    /// End of the last whole line in `buffer`.
    end: usize,
    /// Up to where `buffer` was searched for a line end.
    searched: usize,
    /// Bytes of the line under way that are no longer in `buffer`.
    dropped: u64,
    /// The checkpoint after the whole lines, where the hash had to go on past them.
    before_dropped: Checkpoint,
    spans: Vec<Span>,
    /// Length of the whole lines, bytes, cut ones in full.
    bytes: u64,
    hasher: blake3::Hasher,
    hashed: usize,
    sum: flate2::Crc,
    summed: usize,
    sums: Vec<u32>,
}

impl Lines {
    pub(super) fn after(at: Checkpoint) -> Lines {
        Lines {
            at,
            chunk: vec![0; READ_BYTES],
            buffer: Vec::with_capacity(READ_BYTES),
            end: 0,
            searched: 0,
            dropped: 0,
            before_dropped: at,
            spans: Vec::new(),
            bytes: 0,
            hasher: hasher_after(&at),
            hashed: 0,
            sum: flate2::Crc::new(),
            summed: 0,
            sums: Vec::new(),
        }
    }

    /// Forgets the whole lines and starts anew after a checkpoint, with what is read beyond them.
    pub(super) fn restart(&mut self, at: Checkpoint) {
        self.at = at;
        self.buffer.drain(..self.end);
        self.searched -= self.end;
        self.end = 0;
        self.spans.clear();
        self.bytes = 0;
        self.hasher = hasher_after(&at);
        self.hashed = 0;
        self.sum.reset();
        self.summed = 0;
        self.sums.clear();
    }

    /// The checkpoint that they follow.
    pub(super) fn at(&self) -> &Checkpoint {
        &self.at
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Length of all whole lines with their line ends, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// CRC-32 of the lines up to each.
    pub(super) fn sums(&self) -> &[u32] {
        &self.sums
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.spans.iter().map(|span| self.line(span))
    }

    /// The last whole line.
    pub(super) fn last(&self) -> Option<Line<'_>> {
        self.spans.last().map(|span| self.line(span))
    }

    fn line(&self, span: &Span) -> Line<'_> {
        let bytes = &self.buffer[span.start..span.start + span.kept];
        Line {
            bytes,
            length: span.length,
        }
    }

    /// The checkpoint after the whole lines.
    pub(super) fn next(&mut self) -> Checkpoint {
        if self.dropped > 0 {
            return self.before_dropped;
        }
        self.hasher.update(&self.buffer[self.hashed..self.end]);
        self.hashed = self.end;
        *self.hasher.finalize().as_bytes()
    }

    /// What the content ends with after its last line end.
    pub(super) fn rest(&self) -> Line<'_> {
        let kept = &self.buffer[self.end..];
        Line {
            bytes: kept,
            length: kept.len() as u64 + self.dropped,
        }
    }

    /// CRC-32 as it would be if the rest were a whole line.
    pub(super) fn sum_with_rest(&self) -> u32 {
        let mut rest = flate2::Crc::new();
        rest.update(&self.buffer[self.end..]);
        rest.update(b"\n");
        let mut sum = flate2::Crc::new();
        sum.combine(&self.sum);
        sum.combine(&rest);
        sum.sum()
    }

    /// Reads on until one more line is whole; `false` at the end of the content.
    pub(super) fn pull(&mut self, reader: &mut dyn Read) -> io::Result<bool> {
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                self.close_line(self.searched + found);
                return Ok(true);
            }
            if self.buffer.len() - self.end > LINE_BYTES_MAX {
                self.shorten(self.buffer.len());
            }
            self.searched = self.buffer.len();
            if self.read(reader)? == 0 {
                return Ok(false);
            }
        }
    }

    fn read(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        loop {
            match reader.read(&mut self.chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.buffer.extend_from_slice(&self.chunk[..read]);
                    return Ok(read);
                }
            }
        }
    }

    /// Takes the line that ends with the line feed at `feed`.
    fn close_line(&mut self, feed: usize) {
        let start = self.end;
        let whole = (feed - start) as u64 + self.dropped;
        self.bytes += whole + 1;
        let span = if whole > LINE_BYTES_MAX as u64 {
            self.shorten(feed + 1);
            self.end = start + LINE_BYTES_MAX;
            Span {
                start,
                kept: LINE_BYTES_MAX,
                length: whole,
            }
        } else {
            let line = &self.buffer[start..feed];
            let kept = line.strip_suffix(b"\r").unwrap_or(line).len();
            self.end = feed + 1;
            self.sum.update(&self.buffer[self.summed..self.end]);
            self.summed = self.end;
            Span {
                start,
                kept,
                length: kept as u64,
            }
        };
        self.searched = self.end;
        self.dropped = 0;
        self.sums.push(self.sum.sum());
        self.spans.push(span);
    }

    /// Hashes up to `until`, then removes what of it is past the longest beginning of the line
    /// under way that is kept.
    fn shorten(&mut self, until: usize) {
        let keep = self.end + LINE_BYTES_MAX;
        if self.dropped == 0 {
            self.before_dropped = self.next();
        }
        self.hasher.update(&self.buffer[self.hashed..until]);
        self.sum.update(&self.buffer[self.summed..until]);
        self.buffer.drain(keep..until);
        self.dropped += (until - keep) as u64;
        (self.hashed, self.summed) = (keep, keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives what it holds in pieces of the sizes given, over and over.
    struct Pieces<'a> {
        content: &'a [u8],
        sizes: Vec<usize>,
        turn: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.sizes[self.turn % self.sizes.len()].min(buffer.len());
            self.turn += 1;
            let read = size.min(self.content.len());
            buffer[..read].copy_from_slice(&self.content[..read]);
            self.content = &self.content[read..];
            Ok(read)
        }
    }

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn lines_hashes_and_sums_do_not_depend_on_how_the_content_arrives(
            lengths in proptest::collection::vec(
                prop_oneof![4 => 0_usize..200, 1 => LINE_BYTES_MAX - 2..LINE_BYTES_MAX + 3, 1 => 100_000_usize..300_000],
                0..8,
            ),
            rest in prop_oneof![0_usize..50, Just(LINE_BYTES_MAX + 5)],
            sizes in proptest::collection::vec(500_usize..300_000, 1..5),
            batch in 1_usize..5,
        ) {
            let mut content = Vec::new();
            for (index, length) in lengths.iter().enumerate() {
                content.extend((0..*length).map(|at| b'a' + ((at + index) % 23) as u8));
                content.extend_from_slice(if length % 3 == 0 { b"\r\n" } else { b"\n" });
            }
            content.resize(content.len() + rest, b'z');
            let mut reader = Pieces { content: &content, sizes, turn: 0 };
            let start = [7; 32];
            let mut lines = Lines::after(start);
            let mut taken: Vec<(Vec<u8>, u64)> = Vec::new();
            let (mut batch_start, mut read) = (0, 0);
            let mut expected_at = start;
            loop {
                let more = lines.pull(&mut reader).unwrap();
                if lines.len() == batch || !more {
                    let bytes = usize::try_from(lines.bytes()).unwrap();
                    let part = &content[batch_start..batch_start + bytes];
                    taken.extend(lines.iter().map(|line| (line.bytes.to_vec(), line.length)));
                    if !lines.is_empty() {
                        prop_assert_eq!(lines.sums().last().copied(), Some(crc(part)));
                    }
                    if !more && rest <= LINE_BYTES_MAX {
                        prop_assert_eq!(lines.rest().bytes, &content[batch_start + bytes..]);
                        let whole = [&content[batch_start..], b"\n"].concat();
                        prop_assert_eq!(lines.sum_with_rest(), crc(&whole));
                    }
                    let next = lines.next();
                    expected_at = super::super::ledger::hash_after(&expected_at, part);
                    prop_assert_eq!(next, expected_at);
                    batch_start += bytes;
                    if !more {
                        prop_assert_eq!(lines.rest().length, rest as u64);
                        break;
                    }
                    lines.restart(next);
                }
                read += 1;
                prop_assert!(lines.buffer.len() <= 4 * (READ_BYTES + batch * LINE_BYTES_MAX), "memory is bounded");
            }
            prop_assert!(read >= lengths.len());
            let expected: Vec<(Vec<u8>, u64)> = content
                .split_inclusive(|byte| *byte == b'\n')
                .filter_map(|line| line.strip_suffix(b"\n"))
                .map(|line| {
                    if line.len() > LINE_BYTES_MAX {
                        (line[..LINE_BYTES_MAX].to_vec(), line.len() as u64)
                    } else {
                        let line = line.strip_suffix(b"\r").unwrap_or(line);
                        (line.to_vec(), line.len() as u64)
                    }
                })
                .collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
