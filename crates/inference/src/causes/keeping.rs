//! Which candidates a content keeps, who takes the place of whom, and what is kept of certain
//! children.

use wide::f32x4;

use super::arrival::Certain;
use super::candidate::{
    CANDIDATES_MAX, Candidate, Known, NO_SPREADER, SPREADERS_MAX, Spreader, more,
};
use super::features::{Table, amount, ratio};
use super::pool::Leaving;
use super::scratch::{PART, Scratch};
use super::state::{SETTLED_AFTER, Spread};
use super::trees::{FULL_UNTIL, TREES_LARGE};
use super::weights::Weights;

/// Arrivals that a burst is looked for in.
const BURSTS: [u32; 3] = [4, 16, 64];
const BURST_TABLES: [Table; 3] = [Table::Burst4, Table::Burst16, Table::Burst64];

/// There is always somebody who may leave.
const _: () = assert!(SPREADERS_MAX + SETTLED_AFTER + 1 < CANDIDATES_MAX);

impl Spread {
    /// The candidate of a certain cause, taken back in where it had left.
    pub(super) fn known(
        &mut self,
        certain: Option<Certain>,
        weights: &Weights,
        scratch: &Scratch,
    ) -> Known {
        let (key, time) = match certain {
            None => return Known::Nothing,
            Some(Certain::Outside) => return Known::Outside,
            Some(Certain::Share { key, time, .. }) => (key, self.seconds(time)),
        };
        let found = self.candidates.iter().position(|known| known.key() == key);
        match found {
            Some(slot) => Known::Share(slot as u8, self.candidates[slot].ordinal),
            None => self.take_back(key, time, u32::MAX, weights, scratch),
        }
    }

    /// Takes a reader back in that had left, as a mean member of the block that is nearest in time,
    /// of at most that ordinal.
    pub(super) fn take_back(
        &mut self,
        key: u64,
        time: u32,
        ordinal_max: u32,
        weights: &Weights,
        scratch: &Scratch,
    ) -> Known {
        let slot = self.free_slot(scratch);
        let gone = self.pool.let_go_by_time(time);
        let ordinal = gone.map_or(0, |block| block.ordinal.round() as u32);
        let ordinal = ordinal.min(ordinal_max);
        let mut candidate = Candidate::new(key, ordinal, time);
        candidate.set_certain_before(gone.map_or(0, |block| block.certain_before.round() as u32));
        candidate.set_pace(gone.map_or(0, |block| block.pace.round() as u8));
        candidate.set_back();
        candidate.standing = standing(&candidate, weights);
        let generation = gone.map_or(1.0, |block| block.generation.round());
        self.place(slot, candidate);
        for tree in &mut self.trees {
            let before = tree.bytes();
            tree.take_back(slot, generation as u8);
            // His slot may lie far beyond those that are hung, and room that is made for many at once is
            // up to twice what they take: a copy has as much as it holds.
            if tree.bytes() > before {
                *tree = tree.clone();
            }
        }
        Known::Share(slot, ordinal)
    }

    pub(super) fn place(&mut self, slot: u8, candidate: Candidate) {
        match self.candidates.get_mut(usize::from(slot)) {
            Some(place) => *place = candidate,
            None => {
                if self.candidates.len() == self.candidates.capacity() {
                    let grown = more(self.candidates.len(), CANDIDATES_MAX);
                    self.candidates.reserve_exact(grown);
                }
                self.candidates.push(candidate);
            }
        }
        if self.candidates.len() > FULL_UNTIL {
            self.trees.truncate(TREES_LARGE);
            self.trees.shrink_to_fit();
        }
    }

    /// A slot for one more candidate: where there is none, that of the least weight leaves, the
    /// earlier one on a tie. Who is not settled or has certain children stays.
    pub(super) fn free_slot(&mut self, scratch: &Scratch) -> u8 {
        if self.candidates.len() < CANDIDATES_MAX {
            return self.candidates.len() as u8;
        }
        let slot = self.least(scratch);
        self.leave(slot);
        slot
    }

    /// Who is to leave, of as many as are kept at most: nobody who is not settled, and no spreader.
    fn least(&self, scratch: &Scratch) -> u8 {
        let mut weights = scratch.candidates;
        for spreader in &self.spreaders {
            weights[usize::from(spreader.slot)] = f32::INFINITY;
        }
        for pending in &self.pending {
            weights[usize::from(pending.slot)] = f32::INFINITY;
        }
        let parts = weights.as_chunks::<PART>().0;
        let mut leasts = [f32x4::splat(f32::INFINITY); CANDIDATES_MAX / PART];
        for (least, part) in leasts.iter_mut().zip(parts) {
            for four in part.as_chunks::<4>().0 {
                *least = f32x4::new(*four).fast_min(*least);
            }
        }
        let of_lane = |least: f32x4| least.to_array().into_iter().fold(f32::INFINITY, f32::min);
        let least = leasts
            .iter()
            .copied()
            .reduce(f32x4::fast_min)
            .map_or(0.0, of_lane);
        let equal = (0..CANDIDATES_MAX)
            .step_by(PART)
            .zip(leasts)
            .filter(|(_, of_part)| of_part.simd_eq(f32x4::splat(least)).any())
            .flat_map(|(from, _)| from..from + PART)
            .filter(|slot| weights[*slot] == least);
        equal
            .min_by_key(|slot| self.candidates[*slot].ordinal)
            .unwrap_or_default() as u8
    }

    pub(super) fn leave(&mut self, slot: u8) {
        let candidate = self.candidates[usize::from(slot)];
        let depths = self.trees.iter().map(|tree| f32::from(tree.depth(slot)));
        let generation = depths.sum::<f32>() / self.trees.len() as f32;
        self.pool.take_in(
            &Leaving {
                ordinal: candidate.ordinal,
                time: candidate.time,
                standing: candidate.standing,
                certain_before: candidate.certain_before(),
                pace: candidate.pace(),
                generation,
            },
            self.arrivals,
        );
        for tree in &mut self.trees {
            tree.leave(slot);
        }
        self.acts.forget_slot(slot);
        if candidate.spreader != NO_SPREADER {
            self.remove_spreader(usize::from(candidate.spreader));
        }
    }

    /// Slot of a certain parent, where it is still kept.
    pub(super) fn parent_of(&self, known: Known) -> Option<u8> {
        match known {
            Known::Share(slot, ordinal) => {
                let kept = self.candidates[usize::from(slot)].ordinal == ordinal;
                kept.then_some(slot)
            }
            _ => None,
        }
    }

    /// Counts a certain child, by its ordinal.
    pub(super) fn child_of(&mut self, parent: u8, child: u32) {
        let settled = self.settled();
        let at = self.candidates[usize::from(parent)].spreader;
        if let Some(spreader) = self.spreaders.get_mut(usize::from(at)) {
            spreader.children = spreader.children.saturating_add(1);
            spreader.newest = spreader.newest.max(child);
            if child <= settled {
                spreader.before = spreader.before.max(child);
            } else if spreader.after == 0 || child < spreader.after {
                spreader.after = child;
            }
            return;
        }
        if self.spreaders.len() == SPREADERS_MAX {
            self.forget_least_spreader();
        }
        if self.spreaders.len() < SPREADERS_MAX {
            self.candidates[usize::from(parent)].spreader = self.spreaders.len() as u8;
            if self.spreaders.len() == self.spreaders.capacity() {
                let grown = more(self.spreaders.len(), SPREADERS_MAX);
                self.spreaders.reserve_exact(grown);
            }
            self.spreaders.push(Spreader {
                slot: parent,
                children: 1,
                newest: child,
                before: if child <= settled { child } else { 0 },
                after: if child <= settled { 0 } else { child },
            });
        }
    }

    /// Forgets the children of whoever has the fewest, the longest ago on a tie; those with children
    /// that are not settled aside.
    pub(super) fn forget_least_spreader(&mut self) {
        let settled = self.spreaders.iter().enumerate();
        let settled = settled.filter(|(_, spreader)| spreader.after == 0);
        let least = settled.min_by_key(|(_, spreader)| (spreader.children, spreader.newest));
        if let Some((at, _)) = least {
            self.remove_spreader(at);
        }
    }

    pub(super) fn remove_spreader(&mut self, at: usize) {
        let gone = self.spreaders.swap_remove(at);
        self.candidates[usize::from(gone.slot)].spreader = NO_SPREADER;
        if let Some(moved) = self.spreaders.get(at) {
            self.candidates[usize::from(moved.slot)].spreader = at as u8;
        }
    }

    /// Leaves out one child of a spreader; gives what it was.
    pub(super) fn hold_back(&mut self, parent: u8, child: u32) -> Option<(usize, Spreader)> {
        let at = usize::from(self.candidates[usize::from(parent)].spreader);
        let spreader = *self.spreaders.get(at)?;
        let after = self.next_child(parent, child);
        let held = &mut self.spreaders[at];
        held.children = spreader.children.saturating_sub(1);
        held.after = after;
        if spreader.newest == child {
            held.newest = spreader.before;
        }
        Some((at, spreader))
    }

    /// A candidate may be kept only for the certain child that is held back: where it would have left
    /// otherwise, its weight goes to the block that it would be in. Gives slot and block.
    pub(super) fn count_as_gone(&self, slot: u8, scratch: &mut Scratch) -> Option<(u8, usize)> {
        let at = usize::from(slot);
        let block = self.pool.block_of(self.candidates[at].ordinal)?;
        let settled = self.settled();
        let kept = self.candidates.iter().zip(&scratch.candidates);
        let least = kept
            .filter(|(kept, _)| kept.spreader == NO_SPREADER && kept.ordinal <= settled)
            .map(|(_, weight)| *weight)
            .fold(f32::INFINITY, f32::min);
        // Who has been taken back is here for that child.
        if !self.candidates[at].is_back() && scratch.candidates[at] >= least {
            return None;
        }
        scratch.blocks[block] += scratch.candidates[at];
        scratch.candidates[at] = 0.0;
        scratch.sum_part(at);
        Some((slot, block))
    }

    pub(super) fn child_settled(&mut self, parent: u8, child: u32) {
        let after = self.next_child(parent, child);
        let at = usize::from(self.candidates[usize::from(parent)].spreader);
        if let Some(spreader) = self.spreaders.get_mut(at) {
            spreader.before = child;
            spreader.after = after;
        }
    }

    /// Ordinal of the oldest pending child after one, or 0.
    pub(super) fn next_child(&self, parent: u8, child: u32) -> u32 {
        let ordinal = self.candidates[usize::from(parent)].ordinal;
        let first = self.settled() + 1;
        (first..)
            .zip(&self.pending)
            .find(|(other, pending)| {
                *other > child && pending.known() == Known::Share(parent, ordinal)
            })
            .map_or(0, |(other, _)| other)
    }

    pub(super) fn finish_bursts(&mut self, newest: u32, weights: &Weights) {
        for (which, span) in BURSTS.into_iter().enumerate() {
            let back = span as usize + 1;
            let Some(at) = self.pending.len().checked_sub(back) else {
                continue;
            };
            let slot = usize::from(self.pending[at].slot);
            let ordinal = newest - span;
            let from = ordinal.saturating_sub(span);
            let middle = self.time_of(ordinal);
            let before = (middle - self.time_of(from)) as f32 + 1.0;
            let after = (self.time_of(newest) - middle) as f32 + 1.0;
            let bin = ratio(before / (ordinal - from) as f32, after / span as f32);
            let candidate = &mut self.candidates[slot];
            candidate.set_burst(which, bin);
            candidate.standing = standing(candidate, weights);
        }
    }
}

/// Product of the factors that do not depend on the child.
pub(super) fn standing(candidate: &Candidate, weights: &Weights) -> f32 {
    let of = |table: Table, bin: u8| weights.table(table)[usize::from(bin)];
    let bursts = BURST_TABLES.into_iter().zip(candidate.bursts());
    of(Table::Ordinal, amount(candidate.ordinal as f32))
        * of(Table::Origin, candidate.origin())
        * bursts.map(|(table, bin)| of(table, bin)).product::<f32>()
}

#[cfg(test)]
mod tests {
    use super::super::arrival::Arrival;
    use super::super::laws::MarkLaws;
    use super::*;

    #[test]
    fn who_leaves_is_the_least_of_the_settled_and_spreaders_last() {
        let (weights, laws) = (Weights::builtin(), MarkLaws::default());
        let mut scratch = Scratch::default();
        let mut spread = Spread::new(9, 0);
        for number in 1..=1_500u64 {
            // Out of order now and then: whoever came later weighs nothing, and ties.
            let late = if number.is_multiple_of(31) {
                number * 500
            } else {
                0
            };
            let mut arrival = Arrival::new(number, (number * 60_000 - late) as i64);
            arrival.certain = number.is_multiple_of(3).then_some(Certain::Share {
                key: number.saturating_sub(number * number % 211),
                time: 0,
                sure: 1.0,
            });
            spread.consider(&arrival, &weights, &laws, &mut scratch);
            let settled = spread.settled();
            let kept = spread
                .candidates
                .iter()
                .zip(&scratch.candidates)
                .enumerate();
            let free = kept.filter(|(_, (candidate, _))| candidate.ordinal <= settled);
            let expected = free.min_by(|(_, (one, a)), (_, (other, b))| {
                let spreads = |candidate: &Candidate| candidate.spreader != NO_SPREADER;
                let order = spreads(one).cmp(&spreads(other)).then(a.total_cmp(b));
                order.then(one.ordinal.cmp(&other.ordinal))
            });
            if spread.candidates.len() == CANDIDATES_MAX {
                let least = usize::from(spread.least(&scratch));
                assert_eq!(Some(least), expected.map(|(slot, _)| slot), "{number}");
            }
            spread.admit(&arrival, &weights, &scratch);
            while spread
                .settle(false, &weights, &laws, &mut scratch)
                .is_some()
            {}
        }
        assert_eq!(spread.spreaders.len(), SPREADERS_MAX);
    }
}
