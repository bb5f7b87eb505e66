//! What is kept of one content's spreading.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::acts::Acts;
use super::ages::Ages;
use super::candidate::{Candidate, Pending, Spreader};
use super::features::amount;
use super::pool::Pool;
use super::sums::Sums;
use super::trees::{TREES_MAX, Tree};

/// Arrivals that an arrival waits for before its causes are settled: what comes after tells who
/// had set off a burst, and later tokens who shares.
pub const SETTLED_AFTER: usize = 96;
/// Arrivals over which a candidate's pace is taken.
pub(super) const PACE: u32 = 10;
/// Times kept: a settling arrival looks back 64, a burst twice that.
pub(super) const TIMES_MAX: usize = SETTLED_AFTER + 66;

/// Strangers make at most this part of the shares that are not seen.
const STRANGERS_MAX: f64 = 0.95;

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
    pub(super) acts: Acts,
    pub(super) pending: VecDeque<Pending>,
    pub(super) trees: Vec<Tree>,
    pub(super) sums: Sums,
    pub(super) ages: Ages,
    /// See [`Spread::expect_strangers`].
    pub(super) strangers: f64,
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
            acts: Acts::default(),
            pending: VecDeque::new(),
            trees: vec![Tree::default(); TREES_MAX],
            sums: Sums::default(),
            ages: Ages::default(),
            strangers: 0.0,
        }
    }

    /// Arrivals so far.
    pub fn arrivals(&self) -> u32 {
        self.arrivals
    }

    /// Certain edges so far.
    pub fn certain(&self) -> u32 {
        self.certain
    }

    /// Says what part of the shares that are not seen is made by people who are no arrivals of this
    /// content, from 0 to 1: who came to it from another page of the site, or was never seen. Holds
    /// for what is considered and settled from now on; 0 until then, and for what is no number.
    pub fn expect_strangers(&mut self, part: f64) {
        self.strangers = match part.is_nan() {
            true => 0.0,
            false => part.clamp(0.0, STRANGERS_MAX),
        };
    }

    /// Acts of sharing so far.
    pub fn acts(&self) -> u32 {
        self.acts.count
    }

    /// Bytes that the state takes in memory.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Spread>()
            + self.times.capacity() * std::mem::size_of::<u32>()
            + self.candidates.capacity() * std::mem::size_of::<Candidate>()
            + self.spreaders.capacity() * std::mem::size_of::<Spreader>()
            + self.pending.capacity() * std::mem::size_of::<Pending>()
            + self.pool.bytes()
            + self.acts.bytes()
            + self.trees.iter().map(Tree::bytes).sum::<usize>()
            + self.sums.bytes()
            + self.ages.bytes()
    }

    /// Arrivals whose causes are settled: those with the smallest ordinals.
    pub fn settled(&self) -> u32 {
        self.arrivals - self.pending.len() as u32
    }

    /// Seconds since start of a time, at most 2³¹ - 1: 68 years.
    pub(super) fn seconds(&self, time: i64) -> u32 {
        let seconds = time.saturating_sub(self.start).max(0) / 1_000;
        seconds.min(i64::from(i32::MAX)) as u32
    }

    /// Seconds since start of an arrival; of the oldest that is kept where it is older.
    pub(super) fn time_of(&self, ordinal: u32) -> u32 {
        let newer = self.arrivals.saturating_sub(ordinal) as usize;
        let at = (self.times.len() - 1).saturating_sub(newer);
        self.times[at]
    }

    /// Mean gap in seconds of the `back` arrivals before one of that ordinal and time.
    pub(super) fn gap(&self, ordinal: u32, time: u32, back: u32) -> f32 {
        let from = ordinal.saturating_sub(back);
        let span = time.saturating_sub(self.time_of(from));
        span as f32 / (ordinal - from).max(1) as f32
    }

    /// Its bin.
    pub(super) fn gap_bin(&self, ordinal: u32, time: u32, back: u32) -> u8 {
        amount(self.gap(ordinal, time, back))
    }
}
