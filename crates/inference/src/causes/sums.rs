//! What the probabilities of a content's settled arrivals add up to.

use serde::{Deserialize, Serialize};

use super::scoring::Scratch;
use super::trees::{Tree, normal_quantile};
use super::weights::Weights;

/// Prior of the branching ratio: so many children of so many readers. Weak: R .3 as the median of
/// published cascades.
const PRIOR_CHILDREN: f64 = 0.6;
const PRIOR_READERS: f64 = 2.0;

/// A figure with the range that should hold it in 80 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// 10 % quantile.
    pub low: f64,
    /// Best estimate.
    pub likely: f64,
    /// 90 % quantile.
    pub high: f64,
}

/// The shape of a content's spreading.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Settled arrivals.
    pub arrivals: u64,
    /// Share of arrivals that came from an earlier reader: of a finished spreading its
    /// reproduction number.
    pub shared: Range,
    /// Structural virality: mean distance of all pairs, with the outside as root.
    pub virality: Range,
    /// Mean generation; who came from outside is of the first.
    pub generation: f64,
    /// Deepest generation.
    pub depth: Range,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    settled: u64,
    /// Expected arrivals from earlier readers.
    shared: f64,
    /// The same where the content is more, and less, from outside than the weights know.
    shared_low: f64,
    shared_high: f64,
    variance: f64,
    depths: f64,
}

impl Sums {
    pub(super) fn add(&mut self, scratch: &Scratch, spread: f64) {
        let shift = spread * normal_quantile(0.9);
        let outside = scratch.outside_shifted(0.0);
        self.settled += 1;
        self.shared += 1.0 - outside;
        self.shared_low += 1.0 - scratch.outside_shifted(shift);
        self.shared_high += 1.0 - scratch.outside_shifted(-shift);
        self.variance += outside * (1.0 - outside);
    }

    pub(super) fn add_certain(&mut self, outside: bool) {
        let shared = if outside { 0.0 } else { 1.0 };
        self.settled += 1;
        self.shared += shared;
        self.shared_low += shared;
        self.shared_high += shared;
    }

    pub(super) fn add_depth(&mut self, depth: f64) {
        self.depths += depth;
    }

    /// Branching ratio where the readers have lived so long, in readers whose children have all
    /// come.
    pub(super) fn reproduction(&self, exposure: f64) -> Range {
        let children = self.shared + PRIOR_CHILDREN;
        let readers = (exposure + PRIOR_READERS).max(f64::MIN_POSITIVE);
        let ratio = |count: f64| (count.max(0.0) + PRIOR_CHILDREN) / readers;
        // Gamma posterior of the count by Wilson and Hilferty's cube, widened by what is not known
        // of the content.
        let cube = |z: f64| {
            let third = 1.0 / (9.0 * children);
            children * (1.0 - third + z * third.sqrt()).max(0.0).powi(3) - PRIOR_CHILDREN
        };
        let z = normal_quantile(0.9);
        let below = (self.shared - cube(-z)).hypot(self.shared - self.shared_low);
        let above = (cube(z) - self.shared).hypot(self.shared_high - self.shared);
        Range {
            low: ratio(self.shared - below),
            likely: ratio(self.shared),
            high: ratio(self.shared + above),
        }
    }

    pub(super) fn shape(&self, trees: &[Tree], weights: &Weights) -> Shape {
        let settled = self.settled.max(1) as f64;
        let z = normal_quantile(0.9);
        let chance = z * self.variance.sqrt();
        let below = chance.hypot(self.shared - self.shared_low);
        let above = chance.hypot(self.shared_high - self.shared);
        let viralities = trees.iter().map(Tree::virality);
        let dispersion = weights.dispersion();
        let depths = trees.iter().map(|tree| f64::from(tree.depth_max()));
        Shape {
            arrivals: self.settled,
            shared: Range {
                low: ((self.shared - below) / settled).clamp(0.0, 1.0),
                likely: self.shared / settled,
                high: ((self.shared + above) / settled).clamp(0.0, 1.0),
            },
            virality: range_of(
                viralities,
                1.0,
                dispersion.virality,
                dispersion.virality_floor,
            ),
            generation: self.depths / settled,
            depth: range_of(depths, 0.0, 1.0, 0.0),
        }
    }
}

/// Mean and 10–90 % range of a figure of sampled trees that is at least `least`: on the scale of
/// its logarithm above that, the spread between trees times `widen` and with `floor`.
fn range_of(
    figures: impl Iterator<Item = f64> + Clone,
    least: f64,
    widen: f64,
    floor: f64,
) -> Range {
    let count = figures.clone().count().max(1) as f64;
    let mean = figures.clone().sum::<f64>() / count;
    let above = (mean - least).max(1e-6);
    let logs = figures.map(|figure| ((figure - least).max(1e-6) / above).ln());
    let middle = logs.clone().sum::<f64>() / count;
    let squares = logs.map(|log| (log - middle) * (log - middle)).sum::<f64>();
    let between = widen * (squares / (count - 1.0).max(1.0)).sqrt();
    let reach = (normal_quantile(0.9) * between.hypot(floor))
        .min(20.0)
        .exp();
    Range {
        low: mean.min(least + above / reach),
        likely: mean,
        high: mean.max(least + above * reach),
    }
}
