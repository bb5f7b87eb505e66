//! The shape of a content's spreading, from its sampled trees.

use super::ranges::{Range, normal_quantile};
use super::state::Spread;
use super::trees::Tree;
use super::weights::Weights;

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
        let viralities = self.trees.iter().map(Tree::virality);
        let dispersion = weights.dispersion();
        let depths = self.trees.iter().map(|tree| f64::from(tree.depth_max()));
        Shape {
            arrivals: self.sums.settled,
            shared: self.sums.shared(),
            virality: range_of(
                viralities,
                1.0,
                dispersion.virality,
                dispersion.virality_floor,
            ),
            generation: self.sums.generation(),
            depth: range_of(depths, 0.0, 1.0, 0.0),
            breadth: self.sums.breadth().iter().copied().map(f64::from).collect(),
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
