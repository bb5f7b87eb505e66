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

/// Trees of a content of at most [`FULL_UNTIL`] candidates.
pub(super) const TREES_MAX: usize = 16;
/// Trees of a content that has grown: memory is what they cost.
pub(super) const TREES_LARGE: usize = 2;
/// Candidates up to which all trees are kept.
pub(super) const FULL_UNTIL: usize = 64;

/// Nodes of a subtree that are counted: 8.4 million.
const SIZE_MAX: u64 = 0x7F_FFFF;
/// In the last byte of a node's size: it hangs right below its kept parent, nobody between them left.
const RIGHT_BELOW: u8 = 0x80;

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

/// A kept candidate in one tree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    /// Slot of the parent; its own for the root.
    parent: u8,
    depth: u8,
    /// Subtree size, 23 bits, least significant first, and [`RIGHT_BELOW`].
    size: [u8; 3],
}

impl Node {
    fn leaf(parent: u8, depth: u8) -> Self {
        Node {
            parent,
            depth,
            size: [1, 0, 0],
        }
    }

    fn size(&self) -> u64 {
        let [low, middle, high] = self.size;
        let high = high & !RIGHT_BELOW;
        u64::from(low) | u64::from(middle) << 8 | u64::from(high) << 16
    }

    /// Subtrees of [`SIZE_MAX`] nodes stop growing.
    fn set_size(&mut self, size: u64) {
        let size = size.min(SIZE_MAX);
        let high = (size >> 16) as u8 | self.size[2] & RIGHT_BELOW;
        self.size = [size as u8, (size >> 8) as u8, high];
    }

    /// Hangs it elsewhere; `right_below` is whether nobody between it and that parent left.
    fn set_parent(&mut self, parent: u8, right_below: bool) {
        self.parent = parent;
        let flag = u8::from(right_below) * RIGHT_BELOW;
        self.size[2] = self.size[2] & !RIGHT_BELOW | flag;
    }
}

/// One tree over the slots of the candidates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    /// Nodes, root included once there is any.
    count: u64,
    depth_sum: u64,
    squares: u64,
    /// Greatest depth of those that left.
    deepest_gone: u8,
    nodes: Vec<Node>,
}

impl Tree {
    /// Hangs a new leaf and gives its depth. Its slot is free or the next new one.
    pub(super) fn hang(&mut self, slot: u8, below: Below) -> u8 {
        self.make_room(slot);
        let (parent, depth) = self.place(slot, below);
        let mut leaf = Node::leaf(parent, depth);
        leaf.set_parent(parent, parent != slot);
        self.nodes[usize::from(slot)] = leaf;
        self.count = self.count.max(1) + 1;
        self.depth_sum += u64::from(depth);
        self.squares += 1;
        self.grow_above(slot, 1);
        depth
    }

    /// Moves a kept candidate with all that hangs below it, and gives by how many generations it
    /// is deeper. Where it goes must not be below itself. Of those in its subtree that left, the
    /// depths move in the sums only.
    pub(super) fn move_to(&mut self, slot: u8, below: Below) -> i64 {
        let at = usize::from(slot);
        let before = self.nodes[at];
        let size = before.size();
        self.shrink_above(slot, size);
        let (parent, depth) = self.place(slot, below);
        let deeper = i64::from(depth) - i64::from(before.depth);
        for other in 0..self.nodes.len() {
            if other != at && self.is_below(other as u8, slot) {
                let moved = i64::from(self.nodes[other].depth) + deeper;
                self.nodes[other].depth = moved.clamp(1, 255) as u8;
            }
        }
        self.nodes[at].set_parent(parent, parent != slot);
        self.nodes[at].depth = depth;
        self.grow_above(slot, size);
        let shift = deeper.saturating_mul(size as i64);
        self.depth_sum = self.depth_sum.saturating_add_signed(shift);
        deeper
    }

    fn place(&self, slot: u8, below: Below) -> (u8, u8) {
        match below {
            Below::Root => (slot, 1),
            Below::Slot(parent) => {
                let depth = self.nodes[usize::from(parent)].depth.saturating_add(1);
                (parent, depth)
            }
            Below::Gone(depth) => (slot, depth.saturating_add(1)),
        }
    }

    /// Kept ancestors of a slot, nearest first: the ancestor, the kept node below it, and how many
    /// between them left.
    fn ancestor(&self, child: u8) -> Option<(usize, u64)> {
        let parent = self.nodes[usize::from(child)].parent;
        if parent == child {
            return None;
        }
        let here = usize::from(parent);
        let between = self.nodes[usize::from(child)]
            .depth
            .saturating_sub(self.nodes[here].depth);
        Some((here, u64::from(between).saturating_sub(1)))
    }

    /// All above a slot gain so many nodes. Ancestors between that left count as one node more than
    /// the kept one below them.
    fn grow_above(&mut self, slot: u8, by: u64) {
        let mut child = slot;
        // The subtree that moves or is new is no ancestor of itself.
        let mut before = 0;
        while let Some((here, between)) = self.ancestor(child) {
            let square = |size: u64| (size + by) * (size + by) - size * size;
            let size = self.nodes[here].size();
            self.squares += square(size) + between * square(before + 1);
            self.nodes[here].set_size(size + by);
            before = size;
            child = here as u8;
        }
    }

    /// The opposite of growing.
    fn shrink_above(&mut self, slot: u8, by: u64) {
        let mut child = slot;
        let mut after = 0;
        while let Some((here, between)) = self.ancestor(child) {
            let square = |size: u64| (size + by) * (size + by) - size * size;
            let size = self.nodes[here].size().saturating_sub(by).max(1);
            let gone = square(size) + between * square(after + 1);
            self.squares = self.squares.saturating_sub(gone);
            self.nodes[here].set_size(size);
            after = size;
            child = here as u8;
        }
    }

    /// True where `ancestor` is above a slot.
    fn is_below(&self, slot: u8, ancestor: u8) -> bool {
        let mut child = slot;
        // A path has at most as many steps as there are nodes.
        for _ in 0..self.nodes.len() {
            let parent = self.nodes[usize::from(child)].parent;
            if parent == ancestor {
                return child != parent;
            }
            if parent == child {
                return false;
            }
            child = parent;
        }
        false
    }

    /// A candidate that had left is back, of this depth.
    pub(super) fn take_back(&mut self, slot: u8, depth: u8) {
        self.make_room(slot);
        self.nodes[usize::from(slot)] = Node::leaf(slot, depth.max(1));
    }

    fn make_room(&mut self, slot: u8) {
        if self.nodes.len() == self.nodes.capacity() {
            let more = more(self.nodes.len(), CANDIDATES_MAX);
            self.nodes.reserve_exact(more);
        }
        while self.nodes.len() <= usize::from(slot) {
            self.nodes.push(Node::leaf(self.nodes.len() as u8, 1));
        }
    }

    /// The candidate of a slot leaves; its children pass to its parent.
    pub(super) fn leave(&mut self, slot: u8) {
        let gone = self.nodes[usize::from(slot)];
        self.deepest_gone = self.deepest_gone.max(gone.depth);
        // Nobody hangs below it: sizes are exact as long as there are fewer nodes than they count to.
        if gone.size() == 1 && self.count < SIZE_MAX {
            return;
        }
        for (child, node) in self.nodes.iter_mut().enumerate() {
            if node.parent == slot {
                let parent = match gone.parent == slot {
                    true => child as u8,
                    false => gone.parent,
                };
                node.set_parent(parent, false);
            }
        }
    }

    /// The kept candidates that have one of `among` right below them, in the order of those slots and once for each;
    /// gives how many.
    pub(super) fn parents(
        &self,
        among: &[bool; CANDIDATES_MAX],
        parents: &mut [u8; CANDIDATES_MAX],
    ) -> usize {
        let mut found = 0;
        // Who hangs where follows no pattern: a branch would be guessed wrong, and a place written in vain is not.
        for (node, among) in self.nodes.iter().zip(among) {
            parents[found % CANDIDATES_MAX] = node.parent;
            found += usize::from(u8::from(*among) & node.size[2] >> 7);
        }
        found
    }

    /// Slot of the nearest kept node above a candidate; none where that is the root.
    pub(super) fn parent(&self, slot: u8) -> Option<u8> {
        let parent = self.nodes[usize::from(slot)].parent;
        (parent != slot).then_some(parent)
    }

    /// Nodes of a candidate's subtree, itself included.
    pub(super) fn size(&self, slot: u8) -> u64 {
        self.nodes[usize::from(slot)].size()
    }

    /// Depth of a candidate.
    pub(super) fn depth(&self, slot: u8) -> u8 {
        self.nodes[usize::from(slot)].depth
    }

    /// Greatest depth; 0 before the first arrival.
    pub(super) fn depth_max(&self) -> u8 {
        let kept = self.nodes.iter().map(|node| node.depth).max();
        match self.count {
            0 => 0,
            _ => kept.unwrap_or_default().max(self.deepest_gone),
        }
    }

    /// Mean distance of all pairs of nodes, root included; 0 with fewer than two nodes.
    pub(super) fn virality(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let n = self.count as f64;
        let distances = n * self.depth_sum as f64 - self.squares as f64;
        2.0 * distances / (n * (n - 1.0))
    }

    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of::<Tree>() + self.nodes.capacity() * std::mem::size_of::<Node>()
    }
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
        fn a_moved_subtree_is_as_if_it_had_always_hung_there(
            picks in prop::collection::vec(0.0f64..1.0, 2..60),
            moves in prop::collection::vec((0.0f64..1.0, 0.0f64..1.0), 1..12),
        ) {
            let mut tree = Tree::default();
            let mut parents = Vec::new();
            let below = |parent: Option<usize>| {
                parent.map_or(Below::Root, |slot| Below::Slot(slot as u8))
            };
            for (node, pick) in picks.iter().enumerate() {
                let parent = ((pick * (node + 1) as f64) as usize).checked_sub(1);
                parents.push(parent);
                tree.hang(node as u8, below(parent));
            }
            for (who, whither) in moves {
                let node = (who * parents.len() as f64) as usize;
                // A parent came earlier.
                let parent = ((whither * (node + 1) as f64) as usize).checked_sub(1);
                let before = tree.depth(node as u8);
                let deeper = tree.move_to(node as u8, below(parent));
                prop_assert_eq!(i64::from(tree.depth(node as u8)) - i64::from(before), deeper);
                parents[node] = parent;
                let (virality, deepest) = brute_force(&parents);
                prop_assert!((tree.virality() - virality).abs() < 1e-9);
                prop_assert_eq!(tree.depth_max(), deepest);
            }
            let mut fresh = Tree::default();
            for (node, parent) in parents.iter().enumerate() {
                fresh.hang(node as u8, below(*parent));
            }
            prop_assert_eq!(tree, fresh);
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
                prop_assert_ne!(tree.nodes[usize::from(slot)].parent, leaver);
            }
        }
    }

    proptest! {
        /// Slots are used again, subtrees move and readers come back: whoever leaves, nobody is left
        /// below.
        #[test]
        fn nobody_hangs_below_who_has_left(
            steps in prop::collection::vec((0u8..4, 0.0f64..1.0, 0.0f64..1.0), 1..200),
        ) {
            let mut tree = Tree::default();
            // Earlier first: a parent came earlier.
            let mut kept: Vec<u8> = Vec::new();
            for (step, one, other) in steps {
                let below = |earlier: &[u8]| {
                    let at = (one * (earlier.len() + 1) as f64) as usize;
                    earlier.get(at).map_or(Below::Root, |slot| Below::Slot(*slot))
                };
                let at = (other * kept.len() as f64) as usize;
                match (step, kept.get(at).copied()) {
                    (0, Some(slot)) => {
                        tree.move_to(slot, below(&kept[..at]));
                    }
                    (1 | 2, Some(slot)) if kept.len() > 8 => {
                        kept.remove(at);
                        tree.leave(slot);
                        let mut others = kept.iter().map(|other| tree.parent(*other));
                        prop_assert!(others.all(|parent| parent != Some(slot)));
                        match step {
                            1 => {
                                tree.hang(slot, below(&kept));
                                kept.push(slot);
                            }
                            _ => {
                                tree.take_back(slot, 2);
                                kept.insert(0, slot);
                            }
                        }
                    }
                    _ if kept.len() < 40 => {
                        let slot = kept.len() as u8;
                        tree.hang(slot, below(&kept));
                        kept.push(slot);
                    }
                    _ => {}
                }
                // Those whose depth says that nobody between left, and no other.
                let mut among = [false; CANDIDATES_MAX];
                kept.iter().for_each(|slot| among[usize::from(*slot)] = slot % 3 != 0);
                let mut parents = [0; CANDIDATES_MAX];
                let found = tree.parents(&among, &mut parents);
                let next = |slot: &u8| {
                    let parent = tree.parent(*slot)?;
                    let right_below = tree.depth(*slot) == tree.depth(parent) + 1;
                    (right_below && among[usize::from(*slot)]).then_some(parent)
                };
                let mut slots = kept.clone();
                slots.sort_unstable();
                let expected: Vec<u8> = slots.iter().filter_map(next).collect();
                prop_assert_eq!(&parents[..found], expected);
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
