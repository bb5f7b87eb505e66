//! Drawing one cause from the posterior, for the sampled trees.

use super::candidate::{CANDIDATES_MAX, ORIGIN_SHARE};
use super::scratch::{PART, Scratch};
use super::state::Spread;
use super::trees::{Below, Tree};

/// Shape of the gamma law of how many children readers have, set by the structural virality of trees against
/// the true ones, of .03, .1, .3, 1 and ∞: simulated sites and Twitter16 without tokens would have less, Weibo
/// with tokens more (docs/chains.md).
const CHILDREN_SHAPE: f32 = 0.1;

/// A cause that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drawn {
    pub(super) below: Below,
    /// Time of the earlier reader, seconds since the content's start; none for the root.
    pub(super) from: Option<u32>,
}

/// From outside, or from a share of somebody who is no reader: nobody above is known.
pub(super) const ROOT: Drawn = Drawn {
    below: Below::Root,
    from: None,
};

impl Spread {
    /// The cause of the arrival of that ordinal, in a tree as it has grown so far, that a number from 0
    /// to 1 falls on, where the outside's probability is `outside`. `scratch` is as [`Spread::gather`]
    /// left it.
    pub(super) fn draw(
        &self,
        tree: &Tree,
        scratch: &Scratch,
        ordinal: u32,
        outside: f64,
        dice: f64,
    ) -> Drawn {
        if dice < outside || scratch.shares <= 0.0 {
            return ROOT;
        }
        let left = (dice - outside) / (1.0 - outside).max(1e-12);
        let left = left * scratch.shares;
        let unseen = scratch.shares - scratch.by_acts;
        let by_strangers = self.strangers * unseen;
        if left < by_strangers {
            return ROOT;
        }
        let left = match left < unseen {
            true => (left - by_strangers) / (1.0 - self.strangers),
            false => left,
        };
        let left = match left < unseen {
            true => match self.gathered(tree, scratch, left / unseen.max(1e-30)) {
                Ok(slot) => return self.by_slot(slot),
                Err(alone) => alone * unseen,
            },
            false => left,
        };
        let mut left = left as f32;
        let parts = self.candidates.len().div_ceil(PART);
        for (part, sum) in scratch.parts.iter().take(parts).enumerate() {
            if left >= *sum {
                left -= sum;
                continue;
            }
            let from = part * PART;
            let to = (from + PART).min(self.candidates.len());
            for slot in from..to {
                left -= scratch.candidates[slot];
                if left < 0.0 {
                    return self.by_slot(slot as u8);
                }
            }
        }
        for (block, weight) in self.pool.blocks().iter().zip(&scratch.blocks) {
            left -= weight;
            if left < 0.0 && block.count > 0 {
                return Drawn {
                    below: Below::Gone(block.generation.round() as u8),
                    from: Some(block.time as u32),
                };
            }
        }
        for (act, weight) in scratch.acts.iter().take(self.acts.len()).enumerate() {
            left -= weight;
            if left < 0.0 && *weight > 0.0 {
                let within = f64::from(1.0 + left / weight);
                return self.sharer_of(act, ordinal, within);
            }
        }
        // Rounding alone comes here: the likeliest reader, or the outside where there is none.
        let kept = scratch.candidates.iter().take(self.candidates.len());
        let likeliest = kept.enumerate().filter(|(_, weight)| **weight > 0.0);
        likeliest
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(ROOT, |(slot, _)| self.by_slot(slot as u8))
    }

    /// Children gather below few: who has sent some readers is the likelier to have sent more. Drawn each
    /// by itself they would hang below more sharers than there are, in deeper trees. So a reader whom
    /// tokens give c children and a tree n more weighs (k + c + n) / (k + c) times as much for the next,
    /// as is expected of him where readers' rates of children follow a gamma law of shape k (Pólya's
    /// urn). What the c tell is in his weight already.
    ///
    /// The slot that a number from 0 to 1 falls on by that, or the number among weights alone.
    fn gathered(&self, tree: &Tree, scratch: &Scratch, dice: f64) -> Result<u8, f64> {
        let mut sharers = [0; CANDIDATES_MAX];
        let found = tree.parents(&scratch.drawn, &mut sharers);
        let weight = |sharer: &u8| scratch.gathering[usize::from(*sharer)];
        let more: f32 = sharers[..found].iter().map(weight).sum();
        let more = f64::from(more);
        let alone = scratch.shares - scratch.by_acts;
        let part = alone / (alone + more).max(1e-30);
        if dice < part || more <= 0.0 {
            return Err(dice / part);
        }
        let mut left = ((dice - part) / (1.0 - part) * more) as f32;
        let mut last = 0;
        let sharers = sharers[..found].iter();
        for sharer in sharers.filter(|sharer| weight(sharer) > 0.0) {
            left -= weight(sharer);
            last = *sharer;
            if left < 0.0 {
                break;
            }
        }
        Ok(last)
    }

    /// Finds what each child that a tree gives a reader adds to his weight, for [`Spread::draw`].
    pub(super) fn gather(&self, scratch: &mut Scratch) {
        for (more, weight) in scratch.gathering.iter_mut().zip(&scratch.candidates) {
            *more = weight * (1.0 / CHILDREN_SHAPE);
        }
        for spreader in &self.spreaders {
            let slot = usize::from(spreader.slot);
            let by_tokens = CHILDREN_SHAPE + f32::from(spreader.children);
            scratch.gathering[slot] = scratch.candidates[slot] / by_tokens;
        }
        for (drawn, candidate) in scratch.drawn.iter_mut().zip(&self.candidates) {
            *drawn = candidate.origin() != ORIGIN_SHARE;
        }
    }

    fn by_slot(&self, slot: u8) -> Drawn {
        Drawn {
            below: Below::Slot(slot),
            from: Some(self.candidates[usize::from(slot)].time),
        }
    }

    /// Who shared in an act, by a number from 0 to 1.
    fn sharer_of(&self, act: usize, ordinal: u32, mut dice: f64) -> Drawn {
        for (slot, probability) in self.acts.sharers(act) {
            dice -= probability;
            if dice < 0.0 && self.candidates[usize::from(slot)].ordinal < ordinal {
                return self.by_slot(slot);
            }
        }
        ROOT
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
