//! A constant share of everybody is from outside; who else it was goes by the delay.

use super::lags::ByBin;
use super::laws::Density;
use super::scoring::{Seen, Weigh, total};

/// Share of the root, and the density of all other delays as a histogram.
pub(super) struct RootShare {
    share: f64,
    others: ByBin,
}

impl RootShare {
    /// With a share from 0 to 1.
    pub(super) fn new(share: f64, others: &Density) -> Self {
        RootShare {
            share,
            others: others.density,
        }
    }
}

impl Weigh for RootShare {
    fn weigh(&self, seen: &Seen<'_>, weights: &mut [f64]) {
        for (bin, nodes) in seen.lags.ranges(seen.node) {
            weights[nodes].fill(self.others[bin]);
        }
        // The first one can be of nobody else.
        let (root, others) = weights.split_at_mut(1);
        root[0] = if others.is_empty() { 1.0 } else { self.share };
        let scale = (1.0 - self.share) / total(others);
        for weight in others {
            *weight *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lags::BINS;
    use super::super::scoring::tests::{cascade, close, probabilities};
    use super::*;

    #[test]
    fn the_root_has_its_share_and_the_rest_goes_by_delay() {
        let mut counts = [0.0; BINS];
        counts[2] = 1.0;
        counts[3] = 3.0;
        let density = Density::of(&counts);
        let found = probabilities(&RootShare::new(0.6, &density), &cascade(), &[]);
        close(&found[0], &[1.0]);
        close(&found[1], &[0.6, 0.4]);
        // Node 1 is 3 s before, node 2 is 2 s: bins of 1.6875 and 1.125 s.
        let [far, near] = [3.05 / 1.687_5, 1.05 / 1.125];
        let each = [far, near].map(|weight| 0.4 * weight / (far + near));
        close(&found[2], &[0.6, each[0], each[1]]);
    }
}
