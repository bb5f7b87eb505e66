//! What a reader gets: records in order, with their offsets.

use crate::local::Unpacked;

/// A run of records of one partition, in order.
#[derive(Debug)]
pub struct Batch {
    first_offset: u64,
    next_offset: u64,
    records: Records,
}

#[derive(Debug)]
enum Records {
    /// Blocks of the local home: no gaps. The first `skip` records of the first block lie before
    /// `first_offset`.
    Blocks { blocks: Vec<Unpacked>, skip: usize },
    /// Records of Kafka, one after the other, with the offset of each and where it ends.
    Gathered {
        bytes: Vec<u8>,
        ends: Vec<(u64, usize)>,
    },
}

impl Batch {
    /// Blocks without gaps, of which `skip` records, fewer than the first block has, lie before
    /// `first_offset`.
    pub(crate) fn of_blocks(first_offset: u64, skip: usize, blocks: Vec<Unpacked>) -> Batch {
        let count = blocks.iter().map(Unpacked::count).sum::<usize>() - skip;
        Batch {
            first_offset,
            next_offset: first_offset + count as u64,
            records: Records::Blocks { blocks, skip },
        }
    }

    /// Nothing yet, to be [`push`](Self::push)ed to, from `first_offset` on.
    pub(crate) fn gathered(first_offset: u64) -> Batch {
        Batch {
            first_offset,
            next_offset: first_offset,
            records: Records::Gathered {
                bytes: Vec::new(),
                ends: Vec::new(),
            },
        }
    }

    /// Adds a record to a gathered batch. Offsets grow.
    pub(crate) fn push(&mut self, offset: u64, record: &[u8]) {
        if let Records::Gathered { bytes, ends } = &mut self.records {
            bytes.extend_from_slice(record);
            ends.push((offset, bytes.len()));
            self.next_offset = offset + 1;
        }
    }

    /// Adds a record of which the head is not in one piece with the rest.
    pub(crate) fn push_headed(&mut self, offset: u64, head: &[u8], rest: &[u8]) {
        if let Records::Gathered { bytes, .. } = &mut self.records {
            bytes.extend_from_slice(head);
        }
        self.push(offset, rest);
    }

    /// Bytes of the records of a gathered batch.
    pub(crate) fn gathered_bytes(&self) -> usize {
        match &self.records {
            Records::Blocks { .. } => 0,
            Records::Gathered { bytes, .. } => bytes.len(),
        }
    }

    /// Offset that was asked for: the first record has it or, where that offset holds none, a
    /// later one.
    pub fn first_offset(&self) -> u64 {
        self.first_offset
    }

    /// Where the next read goes on: past the last record.
    pub fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// How many records. Offsets may have gaps, so this is not how far the batch reaches.
    pub fn len(&self) -> usize {
        match &self.records {
            Records::Blocks { blocks, skip } => {
                blocks.iter().map(Unpacked::count).sum::<usize>() - skip
            }
            Records::Gathered { ends, .. } => ends.len(),
        }
    }

    /// True where there is nothing to read yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records with their offsets, in order.
    pub fn iter(&self) -> RecordIter<'_> {
        let mut iter = RecordIter {
            batch: self,
            block: 0,
            index: 0,
            start: 0,
            offset: self.first_offset,
        };
        if let Records::Blocks { blocks, skip } = &self.records {
            iter.start = blocks.first().map_or(0, Unpacked::records_start);
            for _ in 0..*skip {
                iter.step(blocks);
            }
            iter.offset = self.first_offset;
        }
        iter
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = (u64, &'a [u8]);
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Iterator over `(offset, record)`.
#[derive(Debug)]
pub struct RecordIter<'a> {
    batch: &'a Batch,
    block: usize,
    index: usize,
    start: usize,
    offset: u64,
}

impl<'a> RecordIter<'a> {
    fn step(&mut self, blocks: &'a [Unpacked]) -> Option<(u64, &'a [u8])> {
        loop {
            let block = blocks.get(self.block)?;
            if self.index < block.count() {
                let length = block.length(self.index);
                let record = block.slice(self.start, length);
                let offset = self.offset;
                self.index += 1;
                self.start += length;
                self.offset += 1;
                return Some((offset, record));
            }
            self.block += 1;
            self.index = 0;
            self.start = blocks.get(self.block).map_or(0, Unpacked::records_start);
        }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &self.batch.records {
            Records::Blocks { blocks, .. } => self.step(blocks),
            Records::Gathered { bytes, ends } => {
                let (offset, end) = *ends.get(self.index)?;
                let record = &bytes[self.start..end];
                self.index += 1;
                self.start = end;
                Some((offset, record))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gathered_batch_keeps_gaps_and_says_where_to_go_on() {
        let mut batch = Batch::gathered(5);
        assert!(batch.is_empty());
        assert_eq!(batch.next_offset(), 5);
        batch.push(5, b"ab");
        batch.push(7, b"");
        batch.push_headed(11, b"c", b"de");
        let read: Vec<_> = batch.iter().collect();
        assert_eq!(read, [(5, &b"ab"[..]), (7, b""), (11, b"cde")]);
        assert_eq!((batch.len(), batch.next_offset()), (3, 12));
    }
}
