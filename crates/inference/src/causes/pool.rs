//! The candidates that are no longer kept one by one: counted in blocks of neighbouring arrivals.
//!
//! A block knows how many it holds and their mean standing, arrival and time, so its weight is
//! that of its members up to what delay and rank vary inside it; what is lost is only which of
//! them it was. Blocks are merged where they are narrowest for their age, so that their widths grow
//! with age as the bins of the tables do. (A sum of exponentials would be exact for a completely
//! monotone delay law without ranks; the learned one is neither, and blocks carry both.)

use serde::{Deserialize, Serialize};

use super::candidate::more;

/// Blocks kept of a content.
pub(super) const BLOCKS_MAX: usize = 16;

/// Candidates that left, from neighbouring arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    /// Greatest ordinal; the smallest is one more than the block before's.
    pub(super) last: u32,
    pub(super) count: u32,
    /// Sum of the factors that do not change with the child.
    pub(super) standing: f32,
    /// Mean ordinal.
    pub(super) ordinal: f32,
    /// Mean time, seconds since the content's start.
    pub(super) time: f32,
    /// Mean of the certain edges before the member.
    pub(super) certain_before: f32,
    /// Mean bin of the gap before the member.
    pub(super) pace: f32,
    /// Mean generation.
    pub(super) generation: f32,
}

/// Blocks by ordinal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pool {
    blocks: Vec<Block>,
}

/// A candidate on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    pub(super) ordinal: u32,
    pub(super) time: u32,
    pub(super) standing: f32,
    pub(super) certain_before: u32,
    pub(super) pace: u8,
    pub(super) generation: f32,
}

impl Pool {
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.capacity() * std::mem::size_of::<Block>()
    }

    /// The block that would hold an ordinal.
    pub(super) fn block_of(&self, ordinal: u32) -> Option<usize> {
        let at = self.blocks.partition_point(|block| block.last < ordinal);
        (at < self.blocks.len()).then_some(at)
    }

    /// Takes a candidate in; `newest` is the ordinal of the newest arrival.
    pub(super) fn take_in(&mut self, leaving: &Leaving, newest: u32) {
        let one = Block {
            last: leaving.ordinal,
            count: 1,
            standing: leaving.standing,
            ordinal: leaving.ordinal as f32,
            time: leaving.time as f32,
            certain_before: leaving.certain_before as f32,
            pace: f32::from(leaving.pace),
            generation: leaving.generation,
        };
        match self.block_of(leaving.ordinal) {
            Some(at) => self.blocks[at] = merged(&self.blocks[at], &one),
            None => {
                if self.blocks.capacity() == self.blocks.len() {
                    self.blocks
                        .reserve_exact(more(self.blocks.len(), BLOCKS_MAX + 1));
                }
                self.blocks.push(one);
            }
        }
        if self.blocks.len() > BLOCKS_MAX {
            self.merge_narrowest(newest);
        }
    }

    /// Lets one member of that time go, as a mean member of the block that is nearest in time.
    pub(super) fn let_go_by_time(&mut self, time: u32) -> Option<Block> {
        let time = time as f32;
        let occupied = self
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, block)| block.count > 0);
        let (at, block) = occupied
            .min_by(|(_, a), (_, b)| (a.time - time).abs().total_cmp(&(b.time - time).abs()))?;
        let block = *block;
        let standing = block.standing / block.count as f32;
        let left = &mut self.blocks[at];
        left.count -= 1;
        left.standing = (block.standing - standing).max(0.0);
        if left.count == 0 {
            left.standing = 0.0;
        }
        Some(Block {
            count: 1,
            standing,
            ..block
        })
    }

    /// Mean generation of the block that is nearest in time; 1 where there is none.
    pub(super) fn generation_at(&self, time: u32) -> u8 {
        let time = time as f32;
        let occupied = self.blocks.iter().filter(|block| block.count > 0);
        let nearest =
            occupied.min_by(|a, b| (a.time - time).abs().total_cmp(&(b.time - time).abs()));
        nearest.map_or(1, |block| block.generation.round() as u8)
    }

    /// One more edge is certain, from that ordinal on.
    pub(super) fn certain_since(&mut self, ordinal: u32) {
        for block in &mut self.blocks {
            if block.ordinal >= ordinal as f32 {
                block.certain_before += 1.0;
            }
        }
    }

    /// Merges the two neighbours that span the least for their age, the older on a tie.
    fn merge_narrowest(&mut self, newest: u32) {
        let mut start = 0;
        let mut best = (f32::INFINITY, 0);
        for (at, pair) in self.blocks.windows(2).enumerate() {
            let span = (pair[1].last - start) as f32;
            let age = newest.saturating_sub(pair[1].last) as f32 + 1.0;
            if span / age < best.0 {
                best = (span / age, at);
            }
            start = pair[0].last;
        }
        let at = best.1;
        self.blocks[at + 1] = merged(&self.blocks[at], &self.blocks[at + 1]);
        self.blocks.remove(at);
    }
}

fn merged(one: &Block, other: &Block) -> Block {
    let count = one.count + other.count;
    let (a, b) = (one.count as f32, other.count as f32);
    let mean = |x: f32, y: f32| (x * a + y * b) / (a + b).max(1.0);
    Block {
        last: one.last.max(other.last),
        count,
        standing: one.standing + other.standing,
        ordinal: mean(one.ordinal, other.ordinal),
        time: mean(one.time, other.time),
        certain_before: mean(one.certain_before, other.certain_before),
        pace: mean(one.pace, other.pace),
        generation: mean(one.generation, other.generation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(ordinal: u32) -> Leaving {
        Leaving {
            ordinal,
            time: ordinal * 10,
            standing: 0.5,
            certain_before: 0,
            pace: 4,
            generation: 1.0,
        }
    }

    #[test]
    fn nothing_is_lost_and_widths_grow_with_age() {
        let mut pool = Pool::default();
        for ordinal in 1..=5_000 {
            pool.take_in(&leaving(ordinal), ordinal + 200);
        }
        let blocks = pool.blocks();
        assert!(blocks.len() <= BLOCKS_MAX);
        assert_eq!(blocks.iter().map(|block| block.count).sum::<u32>(), 5_000);
        let standing: f32 = blocks.iter().map(|block| block.standing).sum();
        assert!((standing - 2_500.0).abs() < 0.5, "{standing}");
        assert!(
            blocks[0].count > 4 * blocks[blocks.len() - 1].count,
            "{blocks:?}"
        );
        for pair in blocks.windows(2) {
            assert!(pair[0].last < pair[1].last && pair[0].ordinal < pair[1].ordinal);
        }
    }

    #[test]
    fn one_that_goes_takes_its_share_along() {
        let mut pool = Pool::default();
        pool.take_in(&leaving(3), 4);
        pool.take_in(&leaving(1), 4);
        let gone = pool.let_go_by_time(10).expect("it is there");
        assert_eq!((gone.count, gone.standing), (1, 0.5));
        assert_eq!(pool.blocks()[0].count, 1);
        assert!(pool.let_go_by_time(0).is_some() && pool.let_go_by_time(0).is_none());
    }
}
