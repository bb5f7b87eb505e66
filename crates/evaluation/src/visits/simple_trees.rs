//! Trees that simple methods make of any content, which know no more of it than how many read it.

use serde::Serialize;

use super::spreads::FigureScore;

/// The tree of one simple method, by its number of readers. The root is nobody and a node of its own.
pub(super) struct SimpleTree {
    pub(super) name: &'static str,
    /// Share of readers whom readers sent.
    pub(super) reproduction: fn(f64) -> f64,
    /// Mean distance of all pairs of nodes.
    pub(super) virality: fn(f64) -> f64,
}

/// Every reader from outside, which is a star, and every reader from the one before, which is a path.
pub(super) const SIMPLE_TREES: [SimpleTree; 2] = [
    SimpleTree {
        name: "always root",
        reproduction: |_| 0.0,
        virality: |readers| 2.0 * readers / (readers + 1.0),
    },
    SimpleTree {
        name: "most recent reader",
        reproduction: |readers| 1.0 - 1.0 / readers,
        virality: |readers| (readers + 2.0) / 3.0,
    },
];

/// How well a simple method has one figure of contents, which it has no range of. Of no contents
/// every mean is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SimpleScore {
    /// Mean of the figure.
    pub stated: Option<f64>,
    /// Mean distance to the true one, in private.
    pub error_private: Option<f64>,
    /// Mean distance to that of all links.
    pub error_all: Option<f64>,
}

impl SimpleScore {
    /// What counts of a score whose ranges have no width.
    pub(super) fn of(score: FigureScore) -> Self {
        SimpleScore {
            stated: score.stated,
            error_private: score.error_private,
            error_all: score.error_all,
        }
    }
}

/// A simple method on the contents of which the product's figures are scored. It sees no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpreadBaseline {
    /// Its name.
    pub name: &'static str,
    /// R, by content.
    pub reproduction: SimpleScore,
    /// Structural virality, by content; distances are relative to the true one.
    pub virality: SimpleScore,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::virality;

    #[test]
    fn figures_are_those_of_a_star_and_of_a_path() {
        let [star, path] = SIMPLE_TREES;
        for readers in [1u32, 2, 7, 20] {
            let count = f64::from(readers);
            let close = |found: f64, by_tree: f64| {
                assert!(
                    (found - by_tree).abs() < 1e-12,
                    "{readers}: {found} {by_tree}"
                );
            };
            let parents = vec![0u32; readers as usize + 1];
            close((star.virality)(count), virality(&parents));
            close((star.reproduction)(count), 0.0);
            let parents: Vec<u32> = (0..=readers).map(|node| node.saturating_sub(1)).collect();
            close((path.virality)(count), virality(&parents));
            let from_readers = parents.iter().filter(|parent| **parent > 0).count();
            close((path.reproduction)(count), from_readers as f64 / count);
        }
    }
}
