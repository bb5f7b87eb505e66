//! What the probabilities of a content's settled arrivals add up to.

use serde::{Deserialize, Serialize};

use super::features::{BINS, amount};
use super::ranges::{Range, gamma_quantile, normal_quantile};
use super::scratch::Scratch;

/// Children of the weak prior of a branching ratio, over all time or now; of [`PRIOR_READERS`]: R .3,
/// the median of published cascades.
pub const PRIOR_CHILDREN: f64 = 0.6;
/// Readers that [`PRIOR_CHILDREN`] are of.
pub const PRIOR_READERS: f64 = 2.0;

/// Generations that are counted one by one; the last counts all beyond.
const GENERATIONS_MAX: usize = 16;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) settled: u64,
    /// Expected arrivals from earlier readers.
    shared: f64,
    /// The same where the content is more, and less, from outside than the weights know.
    shared_low: f64,
    shared_high: f64,
    variance: f64,
    /// Sum of generations, mean of the sampled trees.
    generations: f64,
    /// Expected edges between readers by bin of their delay, as long as there are any; means of the
    /// sampled trees.
    delays: Vec<f32>,
    /// Expected arrivals by generation, from the first, as long as there are any; means of the
    /// sampled trees as each arrival was settled.
    breadth: Vec<f32>,
}

impl Sums {
    pub(super) fn add(&mut self, scratch: &Scratch, spread: f64) {
        let shift = spread * normal_quantile(0.9);
        let outside = scratch.outside_alone();
        self.settled += 1;
        self.shared += 1.0 - outside;
        self.shared_low += 1.0 - scratch.outside_shifted(shift);
        self.shared_high += 1.0 - scratch.outside_shifted(-shift);
        self.variance += outside * (1.0 - outside);
    }

    /// An arrival whose cause is told, with its probability of the outside.
    pub(super) fn add_told(&mut self, outside: f64) {
        self.settled += 1;
        let shared = 1.0 - outside;
        self.shared += shared;
        self.shared_low += shared;
        self.shared_high += shared;
        self.variance += outside * shared;
    }

    /// An arrival that had been counted with this probability of the outside has `told` by now.
    pub(super) fn correct(&mut self, outside: f64, spread: f64, told: f64) {
        let shift = spread * normal_quantile(0.9);
        let shared = |shift: f64| {
            let odds = outside / (1.0 - outside).max(1e-12) * shift.exp();
            1.0 / (1.0 + odds)
        };
        let most = self.settled as f64;
        let corrected = |sum: f64, counted: f64| (sum + 1.0 - told - counted).clamp(0.0, most);
        self.shared = corrected(self.shared, 1.0 - outside);
        self.shared_low = corrected(self.shared_low, shared(shift));
        self.shared_high = corrected(self.shared_high, shared(-shift));
        let variance = told * (1.0 - told) - outside * (1.0 - outside);
        self.variance = (self.variance + variance).max(0.0);
    }

    pub(super) fn add_generation(&mut self, generation: f64) {
        self.generations += generation;
    }

    /// Counts a part of an arrival of that generation, from 1.
    pub(super) fn add_breadth(&mut self, generation: u8, part: f32) {
        let at = usize::from(generation.max(1) - 1).min(GENERATIONS_MAX - 1);
        if self.breadth.len() <= at {
            self.breadth.reserve_exact(at + 1 - self.breadth.len());
            self.breadth.resize(at + 1, 0.0);
        }
        self.breadth[at] += part;
    }

    pub(super) fn breadth(&self) -> &[f32] {
        &self.breadth
    }

    /// Counts a part of an edge between readers with that delay in seconds.
    pub(super) fn add_delay(&mut self, delay: u32, part: f32) {
        let bin = usize::from(amount(delay as f32)).min(BINS - 1);
        if self.delays.len() <= bin {
            self.delays.reserve_exact(bin + 1 - self.delays.len());
            self.delays.resize(bin + 1, 0.0);
        }
        self.delays[bin] += part;
    }

    /// Takes such a part back, as it was counted.
    pub(super) fn take_delay(&mut self, delay: u32, part: f32) {
        let bin = usize::from(amount(delay as f32));
        if let Some(sum) = self.delays.get_mut(bin) {
            *sum = (*sum - part).max(0.0);
        }
    }

    pub(super) fn delays(&self) -> &[f32] {
        &self.delays
    }

    /// Mean generation; 0 before the first arrival.
    pub(super) fn generation(&self) -> f64 {
        self.generations / self.settled.max(1) as f64
    }

    /// Branching ratio where the readers have lived so long, in readers whose children have all
    /// come.
    pub(super) fn reproduction(&self, exposure: f64) -> Range {
        let shared = Range {
            low: self.shared_low,
            likely: self.shared,
            high: self.shared_high,
        };
        reproduction(shared, exposure)
    }

    /// Share of arrivals that came from earlier readers.
    pub(super) fn shared(&self) -> Range {
        let settled = self.settled.max(1) as f64;
        let chance = normal_quantile(0.9) * self.variance.sqrt();
        let below = chance.hypot(self.shared - self.shared_low);
        let above = chance.hypot(self.shared_high - self.shared);
        Range {
            low: ((self.shared - below) / settled).clamp(0.0, 1.0),
            likely: self.shared / settled,
            high: ((self.shared + above) / settled).clamp(0.0, 1.0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        (self.delays.capacity() + self.breadth.capacity()) * std::mem::size_of::<f32>()
    }
}

/// Branching ratio where `shared` readers came by links that others passed on, of readers who count
/// each by the part of its children that should have come by now, `exposure` together: the gamma
/// posterior of that count under the prior, widened by the range of `shared`, which is taken for
/// independent of it.
pub fn reproduction(shared: Range, exposure: f64) -> Range {
    let readers = (exposure + PRIOR_READERS).max(f64::MIN_POSITIVE);
    let ratio = |count: f64| (count.max(0.0) + PRIOR_CHILDREN) / readers;
    let quantile = |share| gamma_quantile(shared.likely + PRIOR_CHILDREN, share) - PRIOR_CHILDREN;
    let below = (shared.likely - quantile(0.1)).hypot(shared.likely - shared.low);
    let above = (quantile(0.9) - shared.likely).hypot(shared.high - shared.likely);
    Range {
        low: ratio(shared.likely - below),
        likely: ratio(shared.likely),
        high: ratio(shared.likely + above),
    }
}
