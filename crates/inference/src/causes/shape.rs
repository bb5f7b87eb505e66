//! The shape of a content's spreading, from its sampled trees.

use super::ranges::{Range, normal_quantile};
use super::state::Spread;
use super::trees::Tree;
use super::weights::Weights;

/// Added to virality above a star's before its logarithm is taken, so that a star has one.
const ABOVE_STAR: f64 = 0.04;

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

impl Spread {
    /// What is known of the content's spreading, of the settled arrivals.
    pub fn shape(&self, weights: &Weights) -> Shape {
        let depths = self.trees.iter().map(|tree| f64::from(tree.depth_max()));
        let settled = self.sums.settled as f64;
        let certain = f64::from(self.certain).min(settled);
        let spread = weights.dispersion().of_virality(settled, certain);
        Shape {
            arrivals: self.sums.settled,
            shared: self.sums.shared(),
            virality: self.virality(spread),
            generation: self.sums.generation(),
            depth: depth_of(depths),
            breadth: self.sums.breadth().iter().copied().map(f64::from).collect(),
        }
    }

    /// Mean of the sampled trees. Its range is lognormal above the virality of a star, which is the
    /// least that so many nodes have: on that scale contents of all sites are off by about the same.
    fn virality(&self, spread: f64) -> Range {
        let viralities = self.trees.iter().map(Tree::virality);
        let likely = viralities.sum::<f64>() / self.trees.len().max(1) as f64;
        let nodes = self.sums.settled as f64 + 1.0;
        let star = 2.0 * (nodes - 1.0) / nodes;
        // The likely one is the mean, which lies above the middle.
        let middle = ((likely - star).max(0.0) + ABOVE_STAR).ln() - spread * spread / 2.0;
        let at = |z: f64| star + ((middle + z * spread).exp() - ABOVE_STAR).max(0.0);
        let z = normal_quantile(0.9);
        Range {
            low: at(-z).min(likely),
            likely,
            high: at(z).max(likely),
        }
    }
}

/// Mean and 10–90 % range of the sampled trees' depths, on a logarithmic scale.
fn depth_of(depths: impl Iterator<Item = f64> + Clone) -> Range {
    let count = depths.clone().count().max(1) as f64;
    let mean = (depths.clone().sum::<f64>() / count).max(1e-6);
    let logs = depths.map(|depth| (depth.max(1e-6) / mean).ln());
    let middle = logs.clone().sum::<f64>() / count;
    let squares = logs.map(|log| (log - middle) * (log - middle)).sum::<f64>();
    let between = (squares / (count - 1.0).max(1.0)).sqrt();
    let reach = (normal_quantile(0.9) * between).min(20.0).exp();
    Range {
        low: mean / reach,
        likely: mean,
        high: mean * reach,
    }
}
