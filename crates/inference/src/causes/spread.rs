//! What is kept of one content's spreading, and how an arrival changes it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Spreader, more};
use super::features::amount;
use super::keeping::{Known, Pending, standing};
use super::marks::{Likeness, MarkLaws, Marks};
use super::pool::Pool;
use super::posterior::{Cause, Posterior, Settled};
use super::scoring::{Moment, Scratch};
use super::sums::{Range, Shape, Sums};
use super::trees::{Below, TREES_MAX, Tree, TreeDraws, dice, middle_of};
use super::weights::Weights;

/// Arrivals that an arrival waits for before its causes are settled: what comes after tells who
/// had set off a burst, and later tokens who shares.
pub const SETTLED_AFTER: usize = 96;
/// Arrivals over which a candidate's pace is taken.
const PACE: u32 = 10;
/// Times kept: a settling arrival looks back 64, a burst twice that.
const TIMES_MAX: usize = SETTLED_AFTER + 66;

/// An arrival on a content: one reader's first visit.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Names it; unique among the content's arrivals.
    pub key: u64,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// Its cause, where that is certain.
    pub certain: Option<Certain>,
    /// What it may have in common with its parent.
    pub marks: Marks,
    /// Added to the log-odds of the outside: what referrer, channel and hour say.
    pub outside_log_odds: f64,
    /// Probability that a share token survives in its channel, from 0 to 1. A token-less arrival is
    /// the less likely a share for it: the weight of the outside is divided by one less it. 0
    /// where tokens are lost without regard to anything.
    pub token_survival: f64,
}

impl Arrival {
    /// An arrival of which only the time is known.
    pub fn new(key: u64, time: i64) -> Self {
        Arrival {
            key,
            time,
            certain: None,
            marks: Marks::default(),
            outside_log_odds: 0.0,
            token_survival: 0.0,
        }
    }
}

/// A cause that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certain {
    /// The outside world: search, another site, the publisher's own post.
    Outside,
    /// An earlier arrival's share.
    Share {
        /// The earlier arrival.
        key: u64,
        /// Its event time, milliseconds since 1970 UTC.
        time: i64,
    },
}

/// State of one content: bounded, deterministic, and the same after replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub(super) seed: u64,
    pub(super) start: i64,
    pub(super) arrivals: u32,
    pub(super) certain: u32,
    pub(super) certain_outside: u32,
    /// Decayed counts of certain edges up to the last settled: from outside, all.
    pub(super) near: [f32; 2],
    pub(super) wide: [f32; 2],
    /// Seconds since start of the newest arrivals; the content's start stands for arrival 0.
    pub(super) times: VecDeque<u32>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) spreaders: Vec<Spreader>,
    pub(super) pool: Pool,
    pub(super) pending: VecDeque<Pending>,
    pub(super) trees: Vec<Tree>,
    pub(super) sums: Sums,
}

impl Spread {
    /// A content that nobody has arrived on. `start` is when it could first be shared, in
    /// milliseconds since 1970 UTC: its publication, or the first arrival's time where that is not
    /// known. The sampled trees follow from `seed`, which should follow from the content's name.
    pub fn new(seed: u64, start: i64) -> Self {
        Spread {
            seed,
            start,
            arrivals: 0,
            certain: 0,
            certain_outside: 0,
            near: [0.0; 2],
            wide: [0.0; 2],
            times: VecDeque::from([0]),
            candidates: Vec::new(),
            spreaders: Vec::new(),
            pool: Pool::default(),
            pending: VecDeque::new(),
            trees: vec![Tree::default(); TREES_MAX],
            sums: Sums::default(),
        }
    }

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
        let log_odds = outside_log_odds(arrival);
        let moment = self.moment(ordinal, time, ordinal, likeness, log_odds, weights);
        self.weigh(&moment, weights, scratch);
        self.note(&moment, None, weights, scratch);
        Posterior::of(self, scratch, ordinal)
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
        self.arrivals = ordinal;
        self.certain += u32::from(known != Known::Nothing);
        self.certain_outside += u32::from(known == Known::Outside);
        let mut candidate = Candidate::new(arrival.key, ordinal, time);
        candidate.network = arrival.marks.network;
        candidate.channel = arrival.marks.channel;
        if self.pending.len() == self.pending.capacity() {
            let grown = more(self.pending.len(), SETTLED_AFTER + 1);
            self.pending.reserve_exact(grown);
        }
        let pending = Pending::new(slot, known, outside_log_odds(arrival));
        candidate.set_pace_and_origin(pace, pending.origin);
        candidate.certain_before = self.certain;
        candidate.standing = standing(&candidate, weights);
        self.place(slot, candidate);
        self.pending.push_back(pending);
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
        let marks = Marks {
            channel: candidate.channel,
            network: candidate.network,
        };
        // Its own token is held back, so that what it proves cannot vouch for itself.
        let parent = self.parent_of(front.known());
        let kept = parent.and_then(|slot| self.hold_back(slot, ordinal));
        let moment = self.moment(
            ordinal,
            candidate.time,
            self.arrivals,
            laws.likeness(marks),
            f64::from(front.outside_log_odds),
            weights,
        );
        self.weigh(&moment, weights, scratch);
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
        self.count(front, ordinal, parent, &moment, weights, scratch);
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
        let posterior = Posterior::of(self, scratch, ordinal);
        Some(Settled {
            key,
            certain,
            posterior,
        })
    }

    /// Arrivals so far.
    pub fn arrivals(&self) -> u32 {
        self.arrivals
    }

    /// Certain edges so far.
    pub fn certain(&self) -> u32 {
        self.certain
    }

    /// What is known of the content's spreading, of the settled arrivals.
    pub fn shape(&self, weights: &Weights) -> Shape {
        self.sums.shape(&self.trees, weights)
    }

    /// Expected children of one reader so far, corrected for those still to come by `now`
    /// (milliseconds since 1970 UTC): branching ratio with the 10–90 % range of its Gamma posterior.
    pub fn reproduction(&self, now: i64, weights: &Weights) -> Range {
        let now = self.seconds(now);
        let settled = self.settled();
        let within = |time: f32| f64::from(weights.arrived_within(now as f32 - time));
        let kept = self.candidates.iter();
        let kept = kept.filter(|candidate| candidate.ordinal <= settled);
        let exposure = kept
            .map(|candidate| within(candidate.time as f32))
            .sum::<f64>()
            + self
                .pool
                .blocks()
                .iter()
                .map(|block| f64::from(block.count) * within(block.time))
                .sum::<f64>();
        self.sums.reproduction(exposure)
    }

    /// Bytes that the state takes in memory.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Spread>()
            + self.times.capacity() * std::mem::size_of::<u32>()
            + self.candidates.capacity() * std::mem::size_of::<Candidate>()
            + self.spreaders.capacity() * std::mem::size_of::<Spreader>()
            + self.pending.capacity() * std::mem::size_of::<Pending>()
            + self.pool.bytes()
            + self.trees.iter().map(Tree::bytes).sum::<usize>()
    }

    pub(super) fn settled(&self) -> u32 {
        self.arrivals - self.pending.len() as u32
    }

    pub(super) fn seconds(&self, time: i64) -> u32 {
        let seconds = time.saturating_sub(self.start).max(0) / 1_000;
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    /// Seconds since start of an arrival; of the oldest that is kept where it is older.
    pub(super) fn time_of(&self, ordinal: u32) -> u32 {
        let newer = self.arrivals.saturating_sub(ordinal) as usize;
        let at = (self.times.len() - 1).saturating_sub(newer);
        self.times[at]
    }

    /// Bin of the mean gap of the arrivals before one.
    fn gap_bin(&self, ordinal: u32, time: u32, back: u32) -> u8 {
        let from = ordinal.saturating_sub(back);
        let span = time.saturating_sub(self.time_of(from));
        amount(span as f32 / (ordinal - from).max(1) as f32)
    }

    fn moment(
        &self,
        ordinal: u32,
        time: u32,
        newest: u32,
        likeness: Likeness,
        outside_log_odds: f64,
        weights: &Weights,
    ) -> Moment {
        let settled = self.settled().min(ordinal - 1);
        let [near, wide] = weights.decay(ordinal - settled - 1);
        let mut near = self.near.map(|count| count * near);
        let mut wide = self.wide.map(|count| count * wide);
        let (mut certain, mut certain_outside) = (self.certain, self.certain_outside);
        for (other, pending) in (settled + 1..).zip(&self.pending) {
            let outside = match pending.known() {
                Known::Nothing => continue,
                Known::Outside => 1.0,
                Known::Share(..) => 0.0,
            };
            if other == ordinal {
                certain -= 1;
                certain_outside -= u32::from(pending.known() == Known::Outside);
                continue;
            }
            let [nearby, widely] = weights.decay(ordinal.abs_diff(other));
            near = [near[0] + nearby * outside, near[1] + nearby];
            wide = [wide[0] + widely * outside, wide[1] + widely];
        }
        Moment {
            ordinal,
            time,
            certain,
            certain_outside,
            near,
            wide,
            pace: self.gap_bin(ordinal, time, PACE),
            newest,
            likeness,
            outside_log_odds,
        }
    }

    /// Counts a settled arrival into sums and trees.
    fn count(
        &mut self,
        front: Pending,
        ordinal: u32,
        parent: Option<u8>,
        moment: &Moment,
        weights: &Weights,
        scratch: &Scratch,
    ) {
        let spread = weights.dispersion().after(f64::from(moment.certain));
        match front.known() {
            Known::Nothing => self.sums.add(scratch, spread),
            Known::Outside => self.sums.add_certain(true),
            Known::Share(..) => self.sums.add_certain(false),
        }
        let draws = TreeDraws::of(scratch, self.candidates.len(), self.pool.blocks());
        let trees = self.trees.len();
        let mut depths = 0.0;
        for (number, tree) in self.trees.iter_mut().enumerate() {
            let below = match (front.known(), parent) {
                (Known::Nothing, _) => {
                    let shift = spread * middle_of(number, trees);
                    let outside = scratch.outside_shifted(shift);
                    draws.draw(outside, dice(self.seed, ordinal, number))
                }
                (Known::Outside, _) => Below::Root,
                (Known::Share(..), Some(slot)) => Below::Slot(slot),
                (Known::Share(..), None) => Below::Gone(1),
            };
            depths += f64::from(tree.hang(front.slot, below));
        }
        self.sums.add_depth(depths / trees as f64);
    }
}

/// Log-odds that an arrival adds to those of the outside.
fn outside_log_odds(arrival: &Arrival) -> f64 {
    let survival = match arrival.token_survival.is_nan() {
        true => 0.0,
        false => arrival.token_survival.clamp(0.0, 0.999),
    };
    let log_odds = match arrival.outside_log_odds.is_nan() {
        true => 0.0,
        false => arrival.outside_log_odds.clamp(-30.0, 30.0),
    };
    log_odds - (1.0 - survival).ln()
}
