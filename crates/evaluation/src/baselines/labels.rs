//! What the labelled edges of other cascades teach.

use super::kernels::Offspring;
use super::lags::{BINS, ByBin, Lags};
use super::laws::{Density, Lomax, dispersion};
use crate::cascades::Cascade;
use crate::drive::Tokens;

/// Cascades to fit baselines on, and which of their edges are labels.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// The cascades; none of those that are scored.
    pub cascades: &'a [Cascade],
    /// Which edges are known. At rate 0 every edge is a label, and none is seen as known while it
    /// teaches: the best that times alone can do.
    pub tokens: Tokens,
}

/// Cascades that teach, and what of them does.
pub(super) trait Teach {
    /// The cascades.
    fn cascades(&self) -> Vec<&Cascade>;

    /// True where the edge of a node is a label.
    fn label(&self, cascade: usize, node: usize) -> bool;

    /// How many labels there are, about.
    fn labels(&self) -> f64;

    /// The parent of a node where it is known once the node was looked at; nothing is known before.
    fn known(&self, cascade: usize, node: usize) -> Option<usize>;

    /// What draws follow from.
    fn seed(&self) -> u64;
}

impl Labelled<'_> {
    /// True where nothing is known beforehand, so that every edge is a label.
    fn blind(&self) -> bool {
        self.tokens.rate <= 0.0
    }
}

impl Teach for Labelled<'_> {
    fn cascades(&self) -> Vec<&Cascade> {
        self.cascades.iter().collect()
    }

    fn label(&self, cascade: usize, node: usize) -> bool {
        self.blind() || self.tokens.reveal(cascade, node)
    }

    fn labels(&self) -> f64 {
        let nodes: usize = (self.cascades.iter())
            .map(|cascade| cascade.parents.len())
            .sum();
        match self.blind() {
            true => nodes as f64,
            false => nodes as f64 * self.tokens.rate,
        }
    }

    fn known(&self, cascade: usize, node: usize) -> Option<usize> {
        let known = !self.blind() && self.tokens.reveal(cascade, node);
        known.then(|| self.cascades[cascade].parents[node] as usize)
    }

    fn seed(&self) -> u64 {
        self.tokens.seed
    }
}

/// Laws that follow from labels.
pub(super) struct Laws {
    /// Mean delay, seconds, above 0.
    pub(super) mean_delay: f64,
    /// Power law of all delays.
    pub(super) power_law: Lomax,
    /// Delays of the root's children, and of all other edges.
    pub(super) delays: [Density; 2],
    /// Share of edges that are of the root, above 0 and below 1.
    pub(super) share: f64,
    /// Children of a root, and of any other node. Means follow from labels; dispersions, as in the
    /// published baselines, from whole trees, which is a small advantage.
    pub(super) offspring: [Offspring; 2],
}

impl Laws {
    /// None where there is no label.
    pub(super) fn of(teacher: &dyn Teach) -> Option<Self> {
        let cascades = teacher.cascades();
        let lags = Lags::new();
        let mut delays = Vec::new();
        let mut counts: [ByBin; 2] = [[0.0; BINS]; 2];
        let mut edges = 0usize;
        let mut trees = [MoreThan::default(), MoreThan::default()];
        for (number, cascade) in cascades.iter().enumerate() {
            let mut children = vec![0usize; cascade.parents.len()];
            for (node, parent) in cascade.parents.iter().enumerate().skip(1) {
                let parent = *parent as usize;
                edges += 1;
                children[parent] += 1;
                if teacher.label(number, node) {
                    let delay = cascade.times[node] - cascade.times[parent];
                    delays.push(delay as f64 / 1_000.0);
                    counts[usize::from(parent > 0)][lags.bin(delay)] += 1.0;
                }
            }
            for (node, children) in children.into_iter().enumerate() {
                trees[usize::from(node > 0)].add(children);
            }
        }
        if delays.is_empty() {
            return None;
        }
        let labels = delays.len() as f64;
        let of_root: f64 = counts[0].iter().sum();
        let each = edges as f64 / cascades.len() as f64;
        let means = [of_root / labels * each, 1.0 - of_root / labels];
        let [of_roots, of_others] = trees;
        Some(Laws {
            mean_delay: (delays.iter().sum::<f64>() / labels).max(1e-3),
            power_law: Lomax::fitted(&delays),
            delays: counts.map(|counts| Density::of(&counts)),
            share: (of_root + 0.5) / (labels + 1.0),
            offspring: [of_roots.offspring(means[0]), of_others.offspring(means[1])],
        })
    }
}

/// How many nodes have more than 0, 1, 2 … children.
#[derive(Default)]
struct MoreThan {
    counts: Vec<f64>,
    nodes: f64,
}

impl MoreThan {
    fn add(&mut self, children: usize) {
        self.nodes += 1.0;
        if self.counts.len() < children {
            self.counts.resize(children, 0.0);
        }
        for count in &mut self.counts[..children] {
            *count += 1.0;
        }
    }

    fn offspring(&self, mean: f64) -> Offspring {
        let own = self.counts.iter().sum::<f64>() / self.nodes.max(1.0);
        Offspring {
            mean: mean.max(1e-6),
            dispersion: dispersion(&self.counts, self.nodes, own.max(1e-6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scoring::tests::cascade;
    use super::*;

    #[test]
    fn laws_of_one_cascade_by_hand() {
        let cascades = [cascade()];
        let tokens = Tokens { rate: 0.0, seed: 1 };
        let labelled = Labelled {
            cascades: &cascades,
            tokens,
        };
        let laws = Laws::of(&labelled).expect("labels");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        // Delays 1 and 2 s of the root, 3 s of node 1.
        close(laws.mean_delay, 2.0);
        close(laws.share, 2.5 / 4.0);
        close(laws.offspring[0].mean, 2.0);
        close(laws.offspring[1].mean, 1.0 / 3.0);
        let total = 2.0 + 0.05 * BINS as f64;
        close(laws.delays[0].density[1], 1.05 / total / 0.75);
        close(laws.delays[1].density[3], 1.05 / (total - 1.0) / 1.687_5);
    }

    #[test]
    fn without_a_label_there_is_no_law() {
        let lone = Cascade {
            name: "a".to_owned(),
            times: vec![0],
            parents: vec![0],
        };
        let tokens = Tokens { rate: 0.0, seed: 1 };
        let labelled = Labelled {
            cascades: &[lone],
            tokens,
        };
        assert!(Laws::of(&labelled).is_none());
    }
}
