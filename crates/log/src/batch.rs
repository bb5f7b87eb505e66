//! What a reader gets: records in order, with their offsets.

use crate::block::Unpacked;

/// A run of consecutive records of one topic.
#[derive(Debug)]
pub struct Batch {
    pub(crate) first_offset: u64,
    /// Records of the first block that lie before `first_offset`.
    pub(crate) skip: usize,
    pub(crate) blocks: Vec<Unpacked>,
}

impl Batch {
    /// Offset of the first record.
    pub fn first_offset(&self) -> u64 {
        self.first_offset
    }

    /// Offset that follows the last record: where the next read goes on.
    pub fn next_offset(&self) -> u64 {
        self.first_offset + self.len() as u64
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(Unpacked::count).sum::<usize>() - self.skip
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
        iter.start = self.blocks.first().map_or(0, Unpacked::records_start);
        for _ in 0..self.skip {
            iter.step();
        }
        iter.offset = self.first_offset;
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
    fn step(&mut self) -> Option<&'a [u8]> {
        loop {
            let block = self.batch.blocks.get(self.block)?;
            if self.index < block.count() {
                let length = block.length(self.index);
                let record = block.slice(self.start, length);
                self.index += 1;
                self.start += length;
                self.offset += 1;
                return Some(record);
            }
            self.block += 1;
            self.index = 0;
            self.start = self
                .batch
                .blocks
                .get(self.block)
                .map_or(0, Unpacked::records_start);
        }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        self.step().map(|record| (offset, record))
    }
}
