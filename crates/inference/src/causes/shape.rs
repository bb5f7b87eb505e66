//! The shape of a content's spreading, from its sampled trees.

use super::ranges::{OrLeast, Range, normal_quantile};
use super::state::Spread;
use super::trees::Tree;
use super::weights::Weights;

/// Added to virality above a star's before its logarithm is taken, so that a star has one.
const ABOVE_STAR: f64 = 0.04;

/// Where a content may be one that nobody passes on, R goes from 0 up to this quantile: nothing lies
/// below, so from there it holds 80 of 100.
const REPRODUCTION_UP_TO: f64 = 0.8;
/// The same of virality, whose law is too short at its upper end: of 100 true ones 15 to 22 lie above
/// the 90 % quantile on Weibo.
const VIRALITY_UP_TO: f64 = 0.9;

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
    /// Expected arrivals by generation, from the first; the 16th counts all beyond. Causes that
    /// became certain after an arrival was settled do not move it here.
    pub breadth: Vec<f64>,
}

impl Shape {
    /// The same where nobody passed the content on with that probability, and what is likely has that in
    /// it already: from a tenth on ranges begin at no share, a star's virality and depth 1.
    pub fn or_none(self, unshared: f64) -> Shape {
        let readers = self.arrivals as f64;
        Shape {
            shared: share_or_none(self.shared, unshared),
            virality: virality_or_star(self.virality, readers, unshared),
            depth: depth_or_one(self.depth, unshared),
            ..self
        }
    }
}

/// Range of a share of readers who came from readers, or of R, as in [`Shape::or_none`].
pub(crate) fn share_or_none(share: Range, unshared: f64) -> Range {
    share.or_least(0.0, unshared, REPRODUCTION_UP_TO)
}

/// Range of the structural virality of so many readers, as in [`Shape::or_none`].
pub(crate) fn virality_or_star(virality: Range, readers: f64, unshared: f64) -> Range {
    virality.or_least(star_of(readers), unshared, VIRALITY_UP_TO)
}

/// Range of a depth, as in [`Shape::or_none`].
pub(crate) fn depth_or_one(depth: Range, unshared: f64) -> Range {
    depth.or_least(1.0, unshared, VIRALITY_UP_TO)
}

/// Structural virality where so many readers all hang below the root.
pub(crate) fn star_of(readers: f64) -> f64 {
    2.0 * readers / (readers + 1.0)
}

impl Spread {
    /// What is known of the content's spreading, of the settled arrivals, where it is one that is
    /// passed on.
    pub fn shape(&self, weights: &Weights) -> Shape {
        self.shape_or_none(weights, 0.0)
    }

    /// The same where with this probability ([`Spread::unshared`]) nobody passed it on: all of its
    /// readers came from outside, and each of the sampled trees is a star. The weights' own share is
    /// taken as that of contents that are passed on: hardly any of those that they were fitted on is
    /// not.
    pub fn shape_or_none(&self, weights: &Weights, unshared: f64) -> Shape {
        let depths = self.trees.iter().map(|tree| f64::from(tree.depth_max()));
        let settled = self.sums.settled as f64;
        let certain = f64::from(self.certain).min(settled);
        let spread = weights.dispersion().of_virality(settled, certain);
        // Nothing is settled, nothing is a star.
        let unshared = match self.sums.settled {
            0 => 0.0,
            _ => unshared.clamp(0.0, 1.0),
        };
        let left = 1.0 - unshared;
        let breadth = self.sums.breadth().iter().copied().map(f64::from);
        let mut breadth: Vec<f64> = breadth.map(|arrivals| left * arrivals).collect();
        if let Some(first) = breadth.first_mut() {
            *first += unshared * settled;
        }
        Shape {
            arrivals: self.sums.settled,
            shared: self.shared_or_none(unshared),
            virality: self.virality(spread, unshared),
            generation: unshared + left * self.sums.generation(),
            depth: depth_of(depths, unshared),
            breadth,
        }
    }

    /// Above its likeliest value the share's law is taken for normal, below for lognormal, so that it
    /// stays above 0.
    fn shared_or_none(&self, unshared: f64) -> Range {
        let shared = self.sums.shared();
        let or_none = OrLeast {
            least: 0.0,
            probability: unshared,
            up_to: REPRODUCTION_UP_TO,
        };
        let z = normal_quantile(0.9);
        or_none.range(shared, |at| match at < 0.0 {
            true if shared.likely <= 0.0 => 0.0,
            true => shared.likely * (shared.low / shared.likely).powf(-at / z),
            false => (shared.likely + (shared.high - shared.likely) * at / z).min(1.0),
        })
    }

    /// Mean of the sampled trees. Its range is lognormal above the virality of a star, which is the
    /// least that so many nodes have: on that scale contents of all sites are off by about the same.
    fn virality(&self, spread: f64, unshared: f64) -> Range {
        let viralities = self.trees.iter().map(Tree::virality);
        let likely = viralities.sum::<f64>() / self.trees.len().max(1) as f64;
        let star = star_of(self.sums.settled as f64);
        // The likely one is the mean, which lies above the middle.
        let middle = ((likely - star).max(0.0) + ABOVE_STAR).ln() - spread * spread / 2.0;
        let at = |z: f64| star + ((middle + z * spread).exp() - ABOVE_STAR).max(0.0);
        let z = normal_quantile(0.9);
        let of_trees = Range {
            low: at(-z).min(likely),
            likely,
            high: at(z).max(likely),
        };
        let or_star = OrLeast {
            least: star,
            probability: unshared,
            up_to: VIRALITY_UP_TO,
        };
        or_star.range(of_trees, at)
    }
}

/// Mean and 10–90 % range of the sampled trees' depths, on a logarithmic scale; with the probability
/// `unshared` they are all 1 deep.
fn depth_of(depths: impl Iterator<Item = f64> + Clone, unshared: f64) -> Range {
    let count = depths.clone().count().max(1) as f64;
    let mean = (depths.clone().sum::<f64>() / count).max(1e-6);
    let logs = depths.map(|depth| (depth.max(1e-6) / mean).ln());
    let middle = logs.clone().sum::<f64>() / count;
    let squares = logs.map(|log| (log - middle) * (log - middle)).sum::<f64>();
    let between = (squares / (count - 1.0).max(1.0)).sqrt();
    let reach = (normal_quantile(0.9) * between).min(20.0).exp();
    let of_trees = Range {
        low: mean / reach,
        likely: mean,
        high: mean * reach,
    };
    let or_one = OrLeast {
        least: 1.0,
        probability: unshared,
        up_to: VIRALITY_UP_TO,
    };
    let z = normal_quantile(0.9);
    or_one.range(of_trees, |at| mean * reach.powf(at / z))
}
