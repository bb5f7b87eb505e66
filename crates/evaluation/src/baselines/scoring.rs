//! What every baseline is put through: the hidden edges of cascades, one after the other.

use grapevine_inference::causes::Range;

use super::lags::Lags;
use crate::cascades::Cascade;
use crate::drive::Tokens;
use crate::measures::{CascadeScore, EdgeScore, Measures, measure, virality};

/// A way to weigh the causes of a node.
pub(super) trait Weigh: Send + Sync {
    /// Writes the weight of every earlier node, the root first. Weights are no less than 0, and
    /// their sum is above it.
    fn weigh(&self, seen: &Seen<'_>, weights: &mut [f64]);

    /// Whether it goes by the expected children of nodes, which then are kept.
    fn expects(&self) -> bool {
        false
    }

    /// Whether it names one cause and leaves nothing to any other.
    fn is_sure(&self) -> bool {
        false
    }
}

/// What a baseline may look at.
pub(super) struct Seen<'a> {
    pub(super) cascade: &'a Cascade,
    /// Its place among those that are scored.
    pub(super) number: usize,
    /// The node whose causes are weighed.
    pub(super) node: usize,
    /// Bins of the delays of all earlier nodes.
    pub(super) lags: Lags,
    /// Certain children by node.
    pub(super) children: Vec<u32>,
    /// Nodes but the root that have certain children.
    pub(super) spreaders: Vec<usize>,
    /// Certain edges, and those of them that are of the root.
    pub(super) certain: f64,
    pub(super) certain_outside: f64,
    /// Expected children by node, where the method asks for them: the probabilities of hidden edges,
    /// and 1 for each certain one.
    pub(super) expected: Vec<f64>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(cascade: &'a Cascade) -> Self {
        Seen {
            cascade,
            number: 0,
            node: 0,
            lags: Lags::new(),
            children: vec![0; cascade.parents.len()],
            spreaders: Vec::new(),
            certain: 0.0,
            certain_outside: 0.0,
            expected: vec![0.0; cascade.parents.len()],
        }
    }

    /// Looks at a node, which is later than the one before.
    pub(super) fn look_at(&mut self, node: usize) {
        self.node = node;
        self.lags.advance(&self.cascade.times, node);
    }

    /// Learns of a certain edge.
    pub(super) fn reveal(&mut self, parent: usize) {
        self.certain += 1.0;
        if parent == 0 {
            self.certain_outside += 1.0;
            return;
        }
        if self.children[parent] == 0 {
            self.spreaders.push(parent);
        }
        self.children[parent] += 1;
    }

    /// Seconds from an earlier node to the one looked at.
    pub(super) fn seconds_since(&self, from: usize) -> f64 {
        (self.cascade.times[self.node] - self.cascade.times[from]) as f64 / 1_000.0
    }

    /// Bin of the delay since the root.
    pub(super) fn bin_of_root(&self) -> usize {
        self.lags
            .bin(self.cascade.times[self.node] - self.cascade.times[0])
    }
}

/// Scores a method over the hidden edges of cascades.
pub(super) fn run(cascades: &[Cascade], tokens: Tokens, method: &dyn Weigh) -> Measures {
    let mut edges = Vec::new();
    let mut scores = Vec::new();
    let mut weights = Vec::new();
    let draw = Tokens {
        rate: 0.0,
        seed: tokens.seed ^ 0x7472_6565,
    };
    for (number, cascade) in cascades.iter().enumerate() {
        let mut seen = Seen::new(cascade);
        seen.number = number;
        let mut hidden = Vec::new();
        let mut tree = cascade.parents.clone();
        for (node, drawn_parent) in tree.iter_mut().enumerate().skip(1) {
            let parent = cascade.parents[node] as usize;
            if tokens.reveal(number, node) {
                seen.reveal(parent);
                seen.expected[parent] += 1.0;
                continue;
            }
            seen.look_at(node);
            weights.resize(node, 0.0);
            method.weigh(&seen, &mut weights);
            let total = total(&weights);
            hidden.push(score(&weights, total, parent));
            *drawn_parent = drawn(&weights, total * draw.dice(number, node)) as u32;
            if method.expects() {
                for (expected, weight) in seen.expected.iter_mut().zip(&weights) {
                    *expected += weight / total;
                }
            }
        }
        let nothing = Range {
            low: f64::NAN,
            likely: f64::NAN,
            high: f64::NAN,
        };
        let virality = Range {
            likely: virality(&tree),
            ..nothing
        };
        scores.push(CascadeScore::new(cascade, &hidden, nothing, virality));
        edges.extend(hidden);
    }
    Measures {
        reproduction_coverage: None,
        reproduction_width: None,
        virality_coverage: None,
        virality_width: None,
        ..measure(&edges, &scores)
    }
}

/// Sums and maxima are taken in so many parts, which the processor works on side by side.
const LANES: usize = 8;

/// Sum of weights.
pub(super) fn total(weights: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = weights.as_chunks::<LANES>();
    for chunk in chunks {
        for (sum, weight) in sums.iter_mut().zip(chunk) {
            *sum += weight;
        }
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

pub(super) fn greatest(weights: &[f64]) -> f64 {
    let mut greatest = [0.0f64; LANES];
    let (chunks, rest) = weights.as_chunks::<LANES>();
    for chunk in chunks {
        for (greatest, weight) in greatest.iter_mut().zip(chunk) {
            *greatest = if *weight > *greatest {
                *weight
            } else {
                *greatest
            };
        }
    }
    greatest.iter().chain(rest).copied().fold(0.0, f64::max)
}

pub(super) fn count(weights: &[f64], counts: impl Fn(f64) -> bool) -> f64 {
    let counted = weights.iter().map(|weight| u32::from(counts(*weight)));
    f64::from(counted.sum::<u32>())
}

fn score(weights: &[f64], total: f64, parent: usize) -> EdgeScore {
    let truth = weights[parent];
    let greatest = greatest(weights);
    // The later of equally likely ones.
    let best = weights.iter().rposition(|weight| *weight == greatest);
    let greater = count(weights, |weight| weight > truth);
    let equal = count(weights, |weight| weight == truth);
    EdgeScore {
        truth: truth / total,
        rank: 1.0 + greater + (equal - 1.0) / 2.0,
        best: greatest / total,
        best_is_right: best == Some(parent),
        outside: weights[0] / total,
        from_outside: parent == 0,
    }
}

/// The node that an amount of weight falls on.
pub(super) fn drawn(weights: &[f64], amount: f64) -> usize {
    let mut left = amount;
    for (node, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return node;
        }
    }
    weights.len() - 1
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Root at 0 s; node 1 at 1 s and node 2 at 2 s of the root; node 3 at 4 s of node 1.
    pub(crate) fn cascade() -> Cascade {
        Cascade {
            name: "a".to_owned(),
            times: vec![0, 1_000, 2_000, 4_000],
            parents: vec![0, 0, 0, 1],
        }
    }

    /// Probabilities of the causes of the nodes of a cascade, one list by node from node 1 on.
    /// Nothing is certain but the edges of `known`.
    pub(crate) fn probabilities(
        method: &dyn Weigh,
        cascade: &Cascade,
        known: &[usize],
    ) -> Vec<Vec<f64>> {
        let mut seen = Seen::new(cascade);
        let mut found = Vec::new();
        for node in 1..cascade.parents.len() {
            seen.look_at(node);
            let mut weights = vec![f64::NAN; node];
            method.weigh(&seen, &mut weights);
            let total = total(&weights);
            let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let parent = cascade.parents[node] as usize;
            if known.contains(&node) {
                seen.reveal(parent);
                seen.expected[parent] += 1.0;
            } else {
                for (expected, share) in seen.expected.iter_mut().zip(&shares) {
                    *expected += share;
                }
            }
            found.push(shares);
        }
        found
    }

    /// Fails unless two lists are equal but for rounding.
    pub(crate) fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-9, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn ranks_are_the_middle_of_equals_and_the_best_the_latest() {
        let weights = [3.0, 1.0, 3.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.5, 3.0, 1.0];
        let total = total(&weights);
        close(&[total], &[weights.iter().sum()]);
        let found = score(&weights, total, 4);
        close(&[found.rank, found.best], &[1.0 + 4.0 + 1.5, 3.0 / total]);
        assert!(!found.best_is_right);
        assert!(score(&weights, total, 9).best_is_right);
        assert!(!score(&weights, total, 2).best_is_right);
    }

    #[test]
    fn draws_fall_on_nodes_by_their_weight() {
        let weights = [1.0, 0.0, 2.0];
        let drawn = [0.0, 0.9, 1.0, 2.9, 3.0].map(|amount| drawn(&weights, amount));
        assert_eq!(drawn, [0, 0, 2, 2, 2]);
    }
}
