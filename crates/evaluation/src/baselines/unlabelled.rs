//! The two-type Hawkes process fitted to times alone, by expectation and maximisation: what comes of
//! not having labels.

use super::kernels::Kernels;
use super::labels::Teach;
use super::lags::{BINS, ByBin, Lags, middle};
use super::laws::{Density, Lomax};
use crate::cascades::Cascade;

/// Cascades that are looked at.
const CASCADES: usize = 600;
/// Rounds.
const ROUNDS: usize = 25;

/// Fits to the times of the cascades; their edges are not looked at.
pub(super) fn fitted(teacher: &dyn Teach) -> Kernels {
    let mut cascades = teacher.cascades();
    cascades.truncate(CASCADES);
    let nodes: usize = cascades.iter().map(|cascade| cascade.times.len() - 1).sum();
    let start: ByBin = std::array::from_fn(|bin| Lomax::COLD.density(middle(bin)));
    let mut weights = [start.map(|at| 10.0 * at), start];
    for _ in 0..ROUNDS {
        let expected = expected(&cascades, &weights);
        let number = [cascades.len(), nodes];
        weights = std::array::from_fn(|which| {
            let counts = &expected[which];
            let mean = counts.iter().sum::<f64>() / number[which].max(1) as f64;
            Density::of(counts).density.map(|at| mean * at)
        });
    }
    Kernels::of_two_types(weights)
}

/// Expected edges of the root and of others, by bin of delay. All of a bin weigh the same, so only
/// their number counts.
fn expected(cascades: &[&Cascade], weights: &[ByBin; 2]) -> [ByBin; 2] {
    let mut sums = [[0.0; BINS]; 2];
    for cascade in cascades {
        let mut lags = Lags::new();
        for node in 1..cascade.times.len() {
            lags.advance(&cascade.times, node);
            let root = lags.bin(cascade.times[node] - cascade.times[0]);
            // The root lies in a range as well, the farthest.
            let others = |bin: usize, count: usize| {
                (count - usize::from(bin == root)) as f64 * weights[1][bin]
            };
            let ranges = || lags.ranges(node).filter(|(_, range)| !range.is_empty());
            let total = weights[0][root]
                + ranges()
                    .map(|(bin, range)| others(bin, range.len()))
                    .sum::<f64>();
            if total <= 0.0 {
                continue;
            }
            sums[0][root] += weights[0][root] / total;
            for (bin, range) in ranges() {
                sums[1][bin] += others(bin, range.len()) / total;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labelled;
    use super::super::scoring::tests::{cascade, close, probabilities};
    use super::*;
    use crate::drive::Tokens;

    #[test]
    fn expected_edges_by_hand() {
        let mut weights = [[0.0; BINS]; 2];
        weights[0] = [2.0; BINS];
        weights[1][1] = 1.0;
        weights[1][2] = 3.0;
        weights[1][3] = 5.0;
        let found = expected(&[&cascade()], &weights);
        // Node 2 is 1 s after node 1 (bin 1); node 3 is 3 s after node 1 (bin 3), 2 s after node 2 (bin 2).
        close(&found[0][1..4], &[1.0, 2.0 / 3.0, 2.0 / 10.0]);
        close(&found[1][1..4], &[1.0 / 3.0, 3.0 / 10.0, 5.0 / 10.0]);
    }

    #[test]
    fn edges_make_no_difference() {
        let tokens = Tokens { rate: 0.0, seed: 1 };
        let mut other = cascade();
        other.parents = vec![0, 0, 1, 2];
        let [found, same] = [[cascade()], [other]].map(|cascades| {
            let labelled = Labelled {
                cascades: &cascades,
                tokens,
            };
            probabilities(&fitted(&labelled), &cascade(), &[])
        });
        assert_eq!(found, same);
    }
}
