//! Sampled trees: possible worlds of who came from whom, for shape and its uncertainty.
//!
//! Each tree hangs every arrival below one cause drawn from its posterior. Structural virality,
//! the mean distance of all pairs of nodes (Goel, Anderson, Hofman and Watts 2015), needs
//! W = n P − Q, with P the sum of depths and Q the sum of squared subtree sizes, root aside; a new
//! leaf changes them along its ancestors only. The root is the outside world's one broadcast, so
//! who came from outside has depth 1.
//!
//! A tree remembers the kept candidates only. Who leaves passes its children on to its own parent;
//! what it had added to P and Q stays, and ancestors that left grow in Q with the highest kept
//! node below them.

use serde::{Deserialize, Serialize};

use super::candidate::{CANDIDATES_MAX, more};
use super::pool::Block;
use super::scoring::Scratch;

/// Trees of a content of at most [`FULL_UNTIL`] candidates.
pub(super) const TREES_MAX: usize = 16;
/// Trees of a content that has grown: memory is what they cost.
pub(super) const TREES_LARGE: usize = 3;
/// Candidates up to which all trees are kept.
pub(super) const FULL_UNTIL: usize = 64;

/// Where a new node hangs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Below {
    /// Below the root.
    Root,
    /// Below the candidate of a slot.
    Slot(u8),
    /// Below a candidate that is no longer kept, of this depth.
    Gone(u8),
}

/// One tree over the slots of the candidates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    /// Nodes, root included once there is any.
    nodes: u64,
    depth_sum: u64,
    squares: u64,
    depth_max: u8,
    /// Slot of the parent; a slot's own number for the root.
    parents: Vec<u8>,
    depths: Vec<u8>,
    /// Subtree sizes, 24 bits each, least significant first.
    sizes: Vec<[u8; 3]>,
}

impl Tree {
    /// Hangs a new leaf and gives its depth. Its slot is free or the next new one.
    pub(super) fn hang(&mut self, slot: u8, below: Below) -> u8 {
        let at = usize::from(slot);
        self.make_room(slot);
        let (parent, depth) = match below {
            Below::Root => (slot, 1),
            Below::Slot(parent) => {
                let depth = self.depths[usize::from(parent)].saturating_add(1);
                (parent, depth)
            }
            Below::Gone(depth) => (slot, depth.saturating_add(1)),
        };
        self.parents[at] = parent;
        self.depths[at] = depth;
        self.sizes[at] = [1, 0, 0];
        self.nodes = self.nodes.max(1) + 1;
        self.depth_sum += u64::from(depth);
        self.squares += 1;
        self.depth_max = self.depth_max.max(depth);
        let mut child = slot;
        while self.parents[usize::from(child)] != child {
            let up = self.parents[usize::from(child)];
            let here = usize::from(up);
            let size = size_of(self.sizes[here]);
            // Ancestors between that left grow as the node below them does.
            let between =
                u64::from(self.depths[usize::from(child)].saturating_sub(self.depths[here]))
                    .saturating_sub(1);
            if between > 0 {
                let below = size_of(self.sizes[usize::from(child)]);
                self.squares += between * (2 * below + 1);
            }
            self.squares += 2 * size + 1;
            self.sizes[here] = bytes_of(size + 1);
            child = up;
        }
        depth
    }

    /// A candidate that had left is back, of this depth.
    pub(super) fn take_back(&mut self, slot: u8, depth: u8) {
        self.make_room(slot);
        let at = usize::from(slot);
        self.parents[at] = slot;
        self.depths[at] = depth.max(1);
        self.sizes[at] = [1, 0, 0];
    }

    fn make_room(&mut self, slot: u8) {
        if self.parents.len() == self.parents.capacity() {
            let more = more(self.parents.len(), CANDIDATES_MAX);
            self.parents.reserve_exact(more);
            self.depths.reserve_exact(more);
            self.sizes.reserve_exact(more);
        }
        while self.parents.len() <= usize::from(slot) {
            self.parents.push(self.parents.len() as u8);
            self.depths.push(1);
            self.sizes.push([1, 0, 0]);
        }
    }

    /// The candidate of a slot leaves; its children pass to its parent.
    pub(super) fn leave(&mut self, slot: u8) {
        let parent = self.parents[usize::from(slot)];
        for (child, below) in self.parents.iter_mut().enumerate() {
            if *below == slot {
                *below = if parent == slot { child as u8 } else { parent };
            }
        }
    }

    /// Depth of a candidate.
    pub(super) fn depth(&self, slot: u8) -> u8 {
        self.depths[usize::from(slot)]
    }

    /// Greatest depth.
    pub(super) fn depth_max(&self) -> u8 {
        self.depth_max
    }

    /// Mean distance of all pairs of nodes, root included; 0 with fewer than two nodes.
    pub(super) fn virality(&self) -> f64 {
        if self.nodes < 2 {
            return 0.0;
        }
        let n = self.nodes as f64;
        let distances = n * self.depth_sum as f64 - self.squares as f64;
        2.0 * distances / (n * (n - 1.0))
    }

    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of::<Tree>() + self.parents.capacity() * 2 + self.sizes.capacity() * 3
    }
}

/// A posterior made ready for drawing parents.
pub(super) struct TreeDraws<'a> {
    /// Cumulated weights of the candidates.
    cumulated: [f32; CANDIDATES_MAX],
    kept: usize,
    blocks: &'a [Block],
    scratch: &'a Scratch,
    shares: f32,
}

impl<'a> TreeDraws<'a> {
    pub(super) fn of(scratch: &'a Scratch, kept: usize, blocks: &'a [Block]) -> Self {
        let mut cumulated = [0.0; CANDIDATES_MAX];
        let mut sum = 0.0f32;
        for (cumulated, weight) in cumulated.iter_mut().zip(&scratch.candidates).take(kept) {
            sum += weight;
            *cumulated = sum;
        }
        let pooled = scratch.blocks.iter().take(blocks.len()).sum::<f32>();
        TreeDraws {
            cumulated,
            kept,
            blocks,
            scratch,
            shares: sum + pooled,
        }
    }

    /// The cause that a number from 0 to 1 falls on, where the outside's probability is `outside`.
    pub(super) fn draw(&self, outside: f64, dice: f64) -> Below {
        if dice < outside || self.shares <= 0.0 || self.kept == 0 {
            return Below::Root;
        }
        let left = ((dice - outside) / (1.0 - outside).max(1e-12)) as f32 * self.shares;
        let cumulated = &self.cumulated[..self.kept];
        let slot = cumulated.partition_point(|sum| *sum <= left);
        if slot < self.kept {
            return Below::Slot(slot as u8);
        }
        let mut left = left - cumulated[self.kept - 1];
        for (block, weight) in self.blocks.iter().zip(&self.scratch.blocks) {
            left -= weight;
            if left < 0.0 && block.count > 0 {
                return Below::Gone(block.generation.round() as u8);
            }
        }
        // Rounding alone comes here: the likeliest cause, or the outside where there is none.
        let likeliest = (0..self.kept).filter(|slot| self.scratch.candidates[*slot] > 0.0);
        likeliest
            .max_by(|a, b| self.scratch.candidates[*a].total_cmp(&self.scratch.candidates[*b]))
            .map_or(Below::Root, |slot| Below::Slot(slot as u8))
    }
}

/// A number from 0 to 1 that follows from content, arrival and tree alone (SplitMix64).
pub(super) fn dice(seed: u64, ordinal: u32, tree: usize) -> f64 {
    let mut bits = seed
        ^ u64::from(ordinal).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (tree as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
    for _ in 0..2 {
        bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
    }
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Middle of the `number`-th of `of` slices of equal mass of the normal law, so that trees stand
/// for the whole of what contents may be like.
pub(super) fn middle_of(number: usize, of: usize) -> f64 {
    normal_quantile((number as f64 + 0.5) / of as f64)
}

/// Quantile of the standard normal law, within 4.5e-4 (Abramowitz and Stegun 26.2.23).
pub(super) fn normal_quantile(share: f64) -> f64 {
    let tail = share.min(1.0 - share).max(1e-12);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below).copysign(share - 0.5)
}

fn size_of(bytes: [u8; 3]) -> u64 {
    let [low, middle, high] = bytes;
    u64::from(low) | u64::from(middle) << 8 | u64::from(high) << 16
}

/// Subtrees of more than 16.7 million nodes stop growing.
fn bytes_of(size: u64) -> [u8; 3] {
    let size = size.min(0xFF_FFFF);
    [size as u8, (size >> 8) as u8, (size >> 16) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mean pair distance, deepest node, by walking every pair.
    fn brute_force(parents: &[Option<usize>]) -> (f64, u8) {
        // Node 0 is the root; parents[i] is the parent of node i + 1, `None` the root.
        let n = parents.len() + 1;
        let parent = |node: usize| parents[node - 1].map_or(0, |above| above + 1);
        let path = |mut node: usize| {
            let mut path = vec![node];
            while node != 0 {
                node = parent(node);
                path.push(node);
            }
            path
        };
        let mut sum = 0;
        let mut deepest = 0;
        for a in 0..n {
            let from_a = path(a);
            deepest = deepest.max(from_a.len() - 1);
            for b in 0..a {
                let from_b = path(b);
                let meet = from_a
                    .iter()
                    .find(|node| from_b.contains(node))
                    .expect("root");
                let up = |path: &[usize]| path.iter().position(|node| node == meet).expect("met");
                sum += up(&from_a) + up(&from_b);
            }
        }
        (2.0 * sum as f64 / (n * (n - 1)) as f64, deepest as u8)
    }

    proptest! {
        #[test]
        fn virality_and_depth_equal_brute_force(picks in prop::collection::vec(0.0f64..1.0, 1..60)) {
            let mut tree = Tree::default();
            let mut parents = Vec::new();
            for (node, pick) in picks.iter().enumerate() {
                let above = (pick * (node + 1) as f64) as usize;
                let parent = above.checked_sub(1);
                parents.push(parent);
                let below = parent.map_or(Below::Root, |slot| Below::Slot(slot as u8));
                tree.hang(node as u8, below);
            }
            let (virality, deepest) = brute_force(&parents);
            prop_assert!((tree.virality() - virality).abs() < 1e-9);
            prop_assert_eq!(tree.depth_max(), deepest);
        }

        #[test]
        fn who_leaves_keeps_depths_and_its_place_in_the_sums(
            picks in prop::collection::vec(0.0f64..1.0, 3..40),
            leaver in 0usize..40,
        ) {
            let mut tree = Tree::default();
            for (node, pick) in picks.iter().enumerate() {
                let above = (pick * (node + 1) as f64) as usize;
                let below = above.checked_sub(1).map_or(Below::Root, |slot| Below::Slot(slot as u8));
                tree.hang(node as u8, below);
            }
            let before = tree.clone();
            let leaver = (leaver % picks.len()) as u8;
            tree.leave(leaver);
            prop_assert_eq!(tree.virality(), before.virality());
            for slot in (0..picks.len() as u8).filter(|slot| *slot != leaver) {
                prop_assert_eq!(tree.depth(slot), before.depth(slot));
                prop_assert_ne!(tree.parents[usize::from(slot)], leaver);
            }
        }
    }

    #[test]
    fn a_star_tends_to_two_and_a_chain_to_a_third_of_its_length() {
        let mut star = Tree::default();
        let mut chain = Tree::default();
        for slot in 0..99u8 {
            star.hang(slot, Below::Root);
            let below = slot.checked_sub(1).map_or(Below::Root, Below::Slot);
            chain.hang(slot, below);
        }
        assert!((star.virality() - 2.0 * 99.0 / 100.0).abs() < 1e-9);
        assert!((chain.virality() - 101.0 / 3.0).abs() < 1e-9);
    }
}
