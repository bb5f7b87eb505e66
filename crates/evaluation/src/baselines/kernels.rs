//! Methods that weigh a cause by its delay, and by how much it has been shared from so far.

use super::lags::{BINS, ByBin, middle};
use super::laws::{Density, Lomax};
use super::scoring::{Seen, Weigh};

/// Weight by bin of delay, one table for the root and one for all others; where sharing counts,
/// times (an offset + expected children so far).
pub(super) struct Kernels {
    root: ByBin,
    others: ByBin,
    /// Offsets of the root and of others.
    sharing: Option<[f64; 2]>,
}

/// How many children a node has: negative binomial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Offspring {
    /// Mean.
    pub(super) mean: f64,
    /// Dispersion k: the variance is mean + mean² / k.
    pub(super) dispersion: f64,
}

impl Kernels {
    fn of(weights: ByBin) -> Self {
        Kernels::of_two_types([weights; 2])
    }

    /// Everybody the same.
    pub(super) fn uniform() -> Self {
        Kernels::of([1.0; BINS])
    }

    /// In proportion to e^(−delay / mean), seconds.
    pub(super) fn exponential(mean: f64) -> Self {
        Kernels::of(std::array::from_fn(|bin| (-middle(bin) / mean).exp()))
    }

    /// In proportion to a power law of the delay.
    pub(super) fn power_law(law: Lomax) -> Self {
        Kernels::of(std::array::from_fn(|bin| law.density(middle(bin))))
    }

    /// The same, in proportion to 1 + expected children so far (preferential attachment).
    pub(super) fn preferential(self) -> Self {
        Kernels {
            sharing: Some([1.0; 2]),
            ..self
        }
    }

    /// Weights of the root and of all others.
    pub(super) fn of_two_types(weights: [ByBin; 2]) -> Self {
        // Never nothing at all: somebody must have been the cause.
        let [root, others] = weights.map(|weights| weights.map(|weight| weight + 1e-300));
        Kernels {
            root,
            others,
            sharing: None,
        }
    }

    /// Hawkes process of two types: the root and all others each have their mean number of children
    /// and their density of delays.
    pub(super) fn hawkes(means: [f64; 2], densities: [&Density; 2]) -> Self {
        Kernels::of_two_types(std::array::from_fn(|which| {
            densities[which].density.map(|at| means[which] * at)
        }))
    }

    /// The same with a productivity of its own for each node, of which its children so far tell: a
    /// gamma prior with the offspring's dispersion, so that it is expected to be
    /// (k + children) / (k / mean + G(age)).
    pub(super) fn gamma_poisson(offspring: [Offspring; 2], densities: [&Density; 2]) -> Self {
        let table = |which: usize| -> ByBin {
            let Offspring { mean, dispersion } = offspring[which];
            let density = densities[which];
            std::array::from_fn(|bin| {
                density.density[bin] / (dispersion / mean + density.below[bin])
            })
        };
        Kernels {
            root: table(0),
            others: table(1),
            sharing: Some(offspring.map(|offspring| offspring.dispersion)),
        }
    }
}

impl Weigh for Kernels {
    fn weigh(&self, seen: &Seen<'_>, weights: &mut [f64]) {
        for (bin, nodes) in seen.lags.ranges(seen.node) {
            weights[nodes].fill(self.others[bin]);
        }
        weights[0] = self.root[seen.bin_of_root()];
        if let Some([root, others]) = self.sharing {
            weights[0] *= root + seen.expected[0];
            for (weight, expected) in weights.iter_mut().zip(&seen.expected).skip(1) {
                *weight *= others + expected;
            }
        }
    }

    fn expects(&self) -> bool {
        self.sharing.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scoring::tests::{cascade, close, probabilities};
    use super::*;

    /// Delays of node 3 are 4, 3 and 2 s, in bins 3 (2.375 to 4.0625 s), 3 and 2 (1.25 to 2.375 s).
    const MIDDLES: [f64; 2] = [(2.375 + 4.062_5) / 2.0, (1.25 + 2.375) / 2.0];

    fn shares<const N: usize>(weights: [f64; N]) -> [f64; N] {
        weights.map(|weight| weight / weights.iter().sum::<f64>())
    }

    #[test]
    fn uniform_is_the_same_for_all() {
        let found = probabilities(&Kernels::uniform(), &cascade(), &[]);
        close(&found[2], &[1.0 / 3.0; 3]);
    }

    #[test]
    fn exponential_and_power_law_go_by_the_delay() {
        let found = probabilities(&Kernels::exponential(2.0), &cascade(), &[]);
        let [far, near] = MIDDLES.map(|delay| (-delay / 2.0).exp());
        close(&found[2], &shares([far, far, near]));
        let law = Lomax {
            exponent: 0.5,
            scale: 10.0,
        };
        let found = probabilities(&Kernels::power_law(law), &cascade(), &[]);
        let [far, near] = MIDDLES.map(|delay| (1.0 + delay / 10.0).powf(-1.5));
        close(&found[2], &shares([far, far, near]));
    }

    #[test]
    fn preferential_counts_expected_and_certain_children() {
        let found = probabilities(&Kernels::uniform().preferential(), &cascade(), &[]);
        // Node 1 is the root's for certain, so node 2 is of the root by 2 : 1.
        close(&found[1], &[2.0 / 3.0, 1.0 / 3.0]);
        // Then the root has 1 + 2/3 expected children, node 1 has 1/3.
        close(&found[2], &shares([2.0 + 2.0 / 3.0, 1.0 + 1.0 / 3.0, 1.0]));
        let found = probabilities(&Kernels::uniform().preferential(), &cascade(), &[1, 2]);
        close(&found[2], &shares([3.0, 1.0, 1.0]));
    }

    fn densities() -> [Density; 2] {
        let mut counts = [[0.0; BINS]; 2];
        counts[0][3] = 6.0;
        counts[0][4] = 2.0;
        counts[1][2] = 1.0;
        counts[1][3] = 1.0;
        counts.map(|counts| Density::of(&counts))
    }

    #[test]
    fn hawkes_has_a_kernel_for_the_root_and_one_for_others() {
        let [root, others] = densities();
        let method = Kernels::hawkes([5.0, 0.5], [&root, &others]);
        let found = probabilities(&method, &cascade(), &[]);
        let weights = [
            5.0 * root.density[3],
            0.5 * others.density[3],
            0.5 * others.density[2],
        ];
        close(&found[2], &shares(weights));
    }

    #[test]
    fn gamma_poisson_believes_more_of_who_has_children() {
        let [root, others] = densities();
        let offspring =
            [(5.0, 2.0), (0.5, 0.1)].map(|(mean, dispersion)| Offspring { mean, dispersion });
        let method = Kernels::gamma_poisson(offspring, [&root, &others]);
        let mut cascade = cascade();
        // Node 2 is certainly of node 1.
        cascade.parents[2] = 1;
        let found = probabilities(&method, &cascade, &[1, 2]);
        let weights = [
            root.density[3] * (2.0 + 1.0) / (2.0 / 5.0 + root.below[3]),
            others.density[3] * (0.1 + 1.0) / (0.1 / 0.5 + others.below[3]),
            others.density[2] * 0.1 / (0.1 / 0.5 + others.below[2]),
        ];
        close(&found[2], &shares(weights));
    }
}
