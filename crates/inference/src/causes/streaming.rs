//! What a content does with an arrival and an act of sharing: weigh, keep, settle.

use super::acts::sharers;
use super::arrival::{Act, Arrival};
use super::candidate::{Candidate, Known, Pending, more};
use super::cause::Cause;
use super::draws::{Drawn, ROOT, dice};
use super::keeping::standing;
use super::laws::MarkLaws;
use super::posterior::{Posterior, Settled};
use super::ranges::middle_of;
use super::scoring::Moment;
use super::scratch::Scratch;
use super::state::{PACE, SETTLED_AFTER, Spread, TIMES_MAX};
use super::trees::Below;
use super::weights::Weights;

impl Spread {
    /// The causes of an arrival as they look now, its token aside, into `scratch`. Nothing changes
    /// until it is admitted.
    pub fn consider<'a>(
        &'a self,
        arrival: &Arrival,
        weights: &Weights,
        laws: &MarkLaws,
        scratch: &'a mut Scratch,
    ) -> Posterior<'a> {
        let ordinal = self.arrivals.saturating_add(1);
        let time = self.seconds(arrival.time);
        let likeness = laws.likeness(arrival.marks);
        let log_odds = arrival.added_log_odds();
        let moment = self.moment(ordinal, time, ordinal, likeness, log_odds, weights);
        let moment = match arrival.certain {
            Some(_) => moment,
            None => moment.without_token(laws.tokens),
        };
        self.weigh(&moment, weights, laws, scratch);
        self.note(&moment, None, weights, scratch);
        Posterior::of(self, scratch, ordinal, moment.certain)
    }

    /// Takes an arrival in; `scratch` is as [`Spread::consider`] left it. Afterwards
    /// [`Spread::settle`] is to be called until it has nothing more.
    ///
    /// A time before the content's start counts as the start. An arrival out of order is judged by
    /// its own time, against those that were before it.
    pub fn admit(&mut self, arrival: &Arrival, weights: &Weights, scratch: &Scratch) {
        let ordinal = self.arrivals.saturating_add(1);
        let time = self.seconds(arrival.time);
        let pace = self.gap_bin(ordinal, time, PACE);
        let known = self.known(arrival.certain, weights, scratch);
        if let Known::Share(parent, _) = known {
            self.child_of(parent, ordinal);
        }
        let slot = self.free_slot(scratch);
        let newest = self.times.back().copied().unwrap_or_default();
        if self.times.len() == TIMES_MAX {
            self.times.pop_front();
        }
        if self.times.len() == self.times.capacity() {
            self.times.reserve_exact(more(self.times.len(), TIMES_MAX));
        }
        self.times.push_back(newest.max(time));
        self.ages.add(time);
        self.arrivals = ordinal;
        self.certain += u32::from(known != Known::Nothing);
        self.certain_outside += u32::from(known == Known::Outside);
        let mut candidate = Candidate::new(arrival.key, ordinal, time);
        candidate.set_marks(arrival.marks);
        candidate.set_pace(pace);
        candidate.set_origin(known.origin());
        candidate.set_certain_before(self.certain);
        candidate.set_outside(match arrival.certain {
            None => scratch.outside_alone(),
            Some(certain) => certain.outside(),
        });
        candidate.standing = standing(&candidate, weights);
        if self.pending.len() == self.pending.capacity() {
            let grown = more(self.pending.len(), SETTLED_AFTER + 1);
            self.pending.reserve_exact(grown);
        }
        self.place(slot, candidate);
        self.pending
            .push_back(Pending::new(slot, known, arrival.added_log_odds()));
        self.finish_bursts(ordinal, weights);
    }

    /// Settles the causes of the oldest arrival that is not yet settled: once
    /// [`SETTLED_AFTER`] arrivals came after it, or at once where the content is `closed`. None where
    /// nothing is due.
    pub fn settle<'a>(
        &'a mut self,
        closed: bool,
        weights: &Weights,
        laws: &MarkLaws,
        scratch: &'a mut Scratch,
    ) -> Option<Settled<'a>> {
        if self.pending.len() <= SETTLED_AFTER && !closed {
            return None;
        }
        let front = *self.pending.front()?;
        let ordinal = self.settled() + 1;
        let candidate = self.candidates[usize::from(front.slot)];
        // Its own token is held back, so that what it proves cannot vouch for itself.
        let parent = self.parent_of(front.known());
        let kept = parent.and_then(|slot| self.hold_back(slot, ordinal));
        let moment = self.moment(
            ordinal,
            candidate.time,
            self.arrivals,
            laws.likeness(candidate.marks()),
            f64::from(front.outside_log_odds),
            weights,
        );
        let moment = match front.known() {
            Known::Nothing => moment.without_token(laws.tokens),
            _ => moment,
        };
        self.weigh(&moment, weights, laws, scratch);
        let gone = match (parent, &kept) {
            (Some(slot), Some((at, _))) if self.spreaders[*at].children == 0 => {
                self.count_as_gone(slot, scratch)
            }
            _ => None,
        };
        self.note(&moment, gone, weights, scratch);
        if let Some((at, spreader)) = kept {
            self.spreaders[at] = spreader;
        }
        let spread = spread_after(moment.certain, weights, laws);
        self.count(front, ordinal, parent, &moment, spread, scratch);
        self.pending.pop_front();
        if let Some(slot) = parent {
            self.child_settled(slot, ordinal);
        }
        let [near, wide] = weights.decay(1);
        let outside = f32::from(u8::from(front.known() == Known::Outside));
        let all = f32::from(u8::from(front.known() != Known::Nothing));
        self.near = [(self.near[0] + outside) * near, (self.near[1] + all) * near];
        self.wide = [(self.wide[0] + outside) * wide, (self.wide[1] + all) * wide];
        let certain = match front.known() {
            Known::Nothing => None,
            Known::Outside => Some(Cause::Outside),
            Known::Share(slot, ordinal) => Some(match parent {
                Some(_) => Cause::Reader(self.candidates[usize::from(slot)].key()),
                None => Cause::Gone(ordinal),
            }),
        };
        let key = candidate.key();
        let sure = match certain {
            Some(Cause::Outside) | None => 1.0,
            Some(_) => 1.0 - candidate.outside(),
        };
        let posterior = Posterior::of(self, scratch, ordinal, moment.certain);
        Some(Settled {
            key,
            certain,
            sure,
            posterior,
        })
    }

    /// Takes an act of sharing in: later arrivals may come from it. One of a key that is kept
    /// already changes nothing. A time before the content's start counts as the start.
    pub fn share(&mut self, act: &Act, laws: &MarkLaws) {
        if self.acts.has(act.key) {
            return;
        }
        let time = self.seconds(act.time);
        let certain = act.sharer.and_then(|key| {
            let slot = self.candidates.iter().position(|known| known.key() == key);
            slot.map(|slot| slot as u8)
        });
        let sharers = match (act.sharer, certain) {
            (Some(_), Some(slot)) => [(slot, 1.0), (0, 0.0), (0, 0.0)],
            // He is no longer kept, or never came.
            (Some(_), None) => [(0, 0.0); 3],
            (None, _) => {
                let network = laws.network.share(act.marks.network);
                let device = laws.device.share(u16::from(act.marks.folded_device()));
                sharers(&self.candidates, time, act.marks, network, device)
            }
        };
        self.acts.take_in(act, time, &sharers);
    }

    /// Counts a settled arrival into sums and trees; `spread` is how far the content may be from the
    /// weights, in log-odds of the outside.
    fn count(
        &mut self,
        front: Pending,
        ordinal: u32,
        parent: Option<u8>,
        moment: &Moment,
        spread: f64,
        scratch: &mut Scratch,
    ) {
        let slot = usize::from(front.slot);
        let told_outside = self.candidates[slot].outside();
        match front.known() {
            Known::Nothing => {
                self.sums.add(scratch, spread);
                self.gather(scratch);
            }
            Known::Outside | Known::Share(..) => self.sums.add_told(told_outside),
        }
        let trees = self.trees.len();
        let each = 1.0 / trees as f32;
        let mut generations = 0.0;
        for number in 0..trees {
            let dice = dice(self.seed, ordinal, number);
            let drawn = match front.known() {
                Known::Nothing => {
                    let outside = scratch.outside_shifted(spread * middle_of(number, trees));
                    self.draw(&self.trees[number], scratch, ordinal, outside, dice)
                }
                Known::Share(..) if dice < told_outside => ROOT,
                known => self.drawn_told(known, parent),
            };
            if let Some(from) = drawn.from {
                self.sums.add_delay(moment.time.saturating_sub(from), each);
            }
            let generation = self.trees[number].hang(front.slot, drawn.below);
            self.sums.add_breadth(generation, each);
            generations += f64::from(generation);
        }
        self.sums.add_generation(generations / trees as f64);
        if front.known() == Known::Nothing {
            self.candidates[slot].set_outside(scratch.outside_alone());
        }
    }

    /// A told cause as if it had been drawn; `parent` is the slot where it is still kept.
    pub(super) fn drawn_told(&self, known: Known, parent: Option<u8>) -> Drawn {
        match (known, parent) {
            (Known::Share(..), Some(slot)) => Drawn {
                below: Below::Slot(slot),
                from: Some(self.candidates[usize::from(slot)].time),
            },
            (Known::Share(..), None) => Drawn {
                below: Below::Gone(1),
                from: None,
            },
            _ => ROOT,
        }
    }
}

/// How far a content may be from what the weights say of the outside: standard deviation in
/// log-odds.
pub(super) fn spread_after(certain: u32, weights: &Weights, laws: &MarkLaws) -> f64 {
    let content = weights.departure(f64::from(certain));
    content.hypot(laws.outside.deviation(certain))
}
