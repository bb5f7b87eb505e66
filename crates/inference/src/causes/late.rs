//! Causes that become certain late: a token that was seen, or proved, after the arrival it names.

use super::arrival::Certain;
use super::candidate::Known;
use super::draws::dice;
use super::keeping::standing;
use super::laws::MarkLaws;
use super::scratch::Scratch;
use super::state::Spread;
use super::streaming::spread_after;
use super::trees::Below;
use super::weights::Weights;

/// What became of a late certain cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The arrival is not settled: it is as if it had always been certain, for it and for all that
    /// settle from now on.
    Pending,
    /// It had been settled: its subtree has moved in the sampled trees, and sums and counts are
    /// corrected. What was said of its causes no longer holds.
    Moved,
    /// Its cause was certain before; nothing changed.
    Known,
    /// The arrival is not kept one by one any more, or never came: nothing changed.
    Gone,
    /// The named parent is the arrival itself, or came later: nothing changed.
    Impossible,
}

impl Spread {
    /// An arrival's cause is certain by now. Costs as much as an arrival.
    ///
    /// The probability that a settled arrival had been counted with is kept to 1/510, and that of
    /// its range is taken as of now: sums are corrected to that.
    pub fn correct(
        &mut self,
        key: u64,
        certain: Certain,
        weights: &Weights,
        laws: &MarkLaws,
        scratch: &mut Scratch,
    ) -> Late {
        let found = self.candidates.iter().position(|known| known.key() == key);
        let Some(slot) = found.map(|slot| slot as u8) else {
            return Late::Gone;
        };
        let child = self.candidates[usize::from(slot)];
        if child.is_back() {
            return Late::Gone;
        }
        if Known::Nothing.origin() != child.origin() {
            return Late::Known;
        }
        let parent = match certain {
            Certain::Outside => None,
            Certain::Share { key: own, .. } if own == key => return Late::Impossible,
            Certain::Share { key, .. } => {
                let kept = self.candidates.iter().position(|known| known.key() == key);
                let later = |slot: usize| self.candidates[slot].ordinal >= child.ordinal;
                if kept.is_some_and(later) {
                    return Late::Impossible;
                }
                kept.map(|slot| slot as u8)
            }
        };
        if child.ordinal > self.settled() {
            self.becomes_certain(slot, certain, parent, weights, laws, scratch);
            return Late::Pending;
        }
        self.moves(slot, certain, parent, weights, laws);
        Late::Moved
    }

    /// An arrival that is not settled becomes certain; `parent` is the slot where it is kept.
    fn becomes_certain(
        &mut self,
        slot: u8,
        certain: Certain,
        parent: Option<u8>,
        weights: &Weights,
        laws: &MarkLaws,
        scratch: &mut Scratch,
    ) {
        let ordinal = self.candidates[usize::from(slot)].ordinal;
        let known = match (certain, parent) {
            (Certain::Outside, _) => Known::Outside,
            (Certain::Share { .. }, Some(parent)) => {
                let earlier = self.candidates[usize::from(parent)].ordinal;
                Known::Share(parent, earlier)
            }
            (Certain::Share { key, time, .. }, None) => {
                // Somebody has to leave for him: who is the least likely cause of what comes now.
                let newest = self.times.back().copied().unwrap_or_default();
                let next = self.arrivals.saturating_add(1);
                let likeness = laws.likeness(Default::default());
                let moment = self.moment(next, newest, next, likeness, 0.0, weights);
                self.weigh(&moment, weights, laws, scratch);
                let time = self.seconds(time);
                self.take_back(key, time, ordinal - 1, weights, scratch)
            }
        };
        let at = (ordinal - self.settled() - 1) as usize;
        self.pending[at].set_known(known);
        self.count_certain(slot, known, certain.outside(), weights);
    }

    /// A settled arrival becomes certain.
    fn moves(
        &mut self,
        slot: u8,
        certain: Certain,
        parent: Option<u8>,
        weights: &Weights,
        laws: &MarkLaws,
    ) {
        let child = self.candidates[usize::from(slot)];
        let spread = spread_after(self.certain, weights, laws);
        let outside = certain.outside();
        self.sums.correct(child.outside(), spread, outside);
        let (known, below, from) = match (certain, parent) {
            (Certain::Outside, _) => (Known::Outside, Below::Root, None),
            (Certain::Share { .. }, Some(parent)) => {
                let candidate = &self.candidates[usize::from(parent)];
                let known = Known::Share(parent, candidate.ordinal);
                (known, Below::Slot(parent), Some(candidate.time))
            }
            (Certain::Share { time, .. }, None) => {
                let time = self.seconds(time);
                let generation = self.pool.generation_at(time);
                // Whoever it was, no slot is his: the number of none.
                (Known::Share(slot, 0), Below::Gone(generation), Some(time))
            }
        };
        let trees = self.trees.len();
        let each = 1.0 / trees as f32;
        let mut deeper = 0.0;
        for (number, tree) in self.trees.iter_mut().enumerate() {
            if let Some(above) = tree.parent(slot) {
                let before = self.candidates[usize::from(above)].time;
                self.sums
                    .take_delay(child.time.saturating_sub(before), each);
            }
            let (below, from) = match dice(self.seed, child.ordinal, number) < outside {
                true => (Below::Root, None),
                false => (below, from),
            };
            deeper += tree.move_to(slot, below) as f64 * tree.size(slot) as f64;
            if let Some(from) = from {
                self.sums.add_delay(child.time.saturating_sub(from), each);
            }
        }
        self.sums.add_generation(deeper / trees as f64);
        self.count_certain(slot, known, outside, weights);
        let [near, wide] = weights.decay(self.settled() - child.ordinal + 1);
        let outside = f32::from(u8::from(known == Known::Outside));
        self.near = [self.near[0] + near * outside, self.near[1] + near];
        self.wide = [self.wide[0] + wide * outside, self.wide[1] + wide];
        self.pool.certain_since(child.ordinal);
    }

    /// Counts an arrival that is kept as certain, in itself, its parent, and those that came since.
    fn count_certain(&mut self, slot: u8, known: Known, outside: f64, weights: &Weights) {
        let ordinal = self.candidates[usize::from(slot)].ordinal;
        self.certain += 1;
        self.certain_outside += u32::from(known == Known::Outside);
        if let Known::Share(parent, earlier) = known
            && earlier > 0
        {
            self.child_of(parent, ordinal);
        }
        for candidate in &mut self.candidates {
            if candidate.ordinal >= ordinal {
                candidate.set_certain_before(candidate.certain_before() + 1);
            }
        }
        let child = &mut self.candidates[usize::from(slot)];
        child.set_origin(known.origin());
        child.set_outside(outside);
        child.standing = standing(child, weights);
    }
}
