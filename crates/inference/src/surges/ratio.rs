//! The test: is a count more than a rate that is known only so well explains?
//!
//! A rate is believed to be Gamma distributed, so counts are negative binomial. Against it stands
//! the same rate times a factor; the likelihood ratios of several factors are averaged. That is the
//! negative-binomial form of the generalised likelihood-ratio chart of Höhle and Paul (2008, *Count
//! data regression charts for the monitoring of surveillance time series*, CSDA 52:4357), made a
//! mixture as in Robbins (1970, Ann. Math. Stat. 41:1397) so that it may be looked at after every
//! visit: under the belief its mean is 1 at any time, and by Ville's inequality it ever exceeds A
//! with a probability of at most 1/A. Restarted wherever nothing speaks for a rise, it is a CUSUM
//! (Page 1954; Lorden 1971), whose last restart is the likeliest moment of change.
//!
//! Counts are sums of P(dark). The ratio is convex in the count, so by Jensen's inequality the one
//! of the expected count is no more than the expected one of the true count: the bound holds as
//! far as the probabilities are calibrated.

/// Factors by which the rate may have risen, evenly weighted. The first decides where a run starts
/// anew: it takes a count of more than 3 / ln 4 = 2.2 times the expected one to go on.
const FACTORS: [f64; 5] = [4.0, 8.0, 16.0, 32.0, 64.0];

/// What is believed of a rate: Gamma with this shape and rate, mean `shape / rate`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    /// Above 0; the count that the belief is worth.
    pub(super) shape: f64,
    /// Above 0; the exposure that the belief is worth.
    pub(super) rate: f64,
}

impl Belief {
    pub(super) fn mean(&self) -> f64 {
        self.shape / self.rate
    }

    /// Natural logarithm of the likelihood ratio of `factor` times the rate against the rate, for
    /// a count in an exposure. Concave in the factor's logarithm and 0 at factor 1.
    fn log_ratio(&self, count: f64, exposure: f64, factor: f64) -> f64 {
        let grown = (self.rate + factor * exposure) / (self.rate + exposure);
        count * factor.ln() - (self.shape + count) * grown.ln()
    }

    /// Whether anything speaks for a rise to four times the rate or more.
    pub(super) fn is_exceeded(&self, count: f64, exposure: f64) -> bool {
        self.log_ratio(count, exposure, FACTORS[0]) > 0.0
    }

    /// Natural logarithm of the mean of the likelihood ratios; finite for finite arguments.
    pub(super) fn evidence(&self, count: f64, exposure: f64) -> f64 {
        let ratios = FACTORS.map(|factor| self.log_ratio(count, exposure, factor));
        let largest = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = ratios.iter().map(|ratio| (ratio - largest).exp()).sum();
        largest + (sum / FACTORS.len() as f64).ln()
    }

    /// Expected count in an exposure, and its 90 % quantile (normal approximation of the negative
    /// binomial, scatter multiplied by `dispersion`).
    pub(super) fn expects(&self, exposure: f64, dispersion: f64) -> (f64, f64) {
        /// 90 % quantile of the standard normal.
        const QUANTILE: f64 = 1.281_551_565_545;
        let mean = self.mean() * exposure;
        let variance = dispersion * mean + mean * mean / self.shape;
        (mean, mean + QUANTILE * variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// P(count = n) of the negative binomial with that belief.
    fn masses(belief: Belief, exposure: f64, count: usize) -> Vec<f64> {
        let part = exposure / (belief.rate + exposure);
        let mut mass = (belief.rate / (belief.rate + exposure)).powf(belief.shape);
        (0..count)
            .map(|n| {
                let this = mass;
                mass *= part * (n as f64 + belief.shape) / (n as f64 + 1.0);
                this
            })
            .collect()
    }

    #[test]
    fn under_the_belief_the_ratio_is_one_on_average() {
        let belief = Belief {
            shape: 3.0,
            rate: 2.0,
        };
        for exposure in [0.1, 1.0] {
            let mean: f64 = masses(belief, exposure, 3_000)
                .iter()
                .enumerate()
                .map(|(count, mass)| (mass.ln() + belief.evidence(count as f64, exposure)).exp())
                .sum();
            assert!((mean - 1.0).abs() < 1e-6, "{exposure}: {mean}");
        }
    }

    #[test]
    fn what_is_well_known_is_refuted_sooner() {
        let known = Belief {
            shape: 500.0,
            rate: 500.0,
        };
        let guessed = Belief {
            shape: 0.5,
            rate: 0.5,
        };
        let [known, guessed] = [known, guessed].map(|belief| belief.evidence(40.0, 4.0));
        assert!(known > 40.0 && guessed < 6.0, "{known} {guessed}");
    }

    proptest! {
        #[test]
        fn evidence_rises_with_the_count_and_falls_with_the_exposure(
            shape in 0.1f64..1e4, rate in 0.01f64..1e4, count in 0f64..1e5, exposure in 0f64..1e5,
        ) {
            let belief = Belief { shape, rate };
            let here = belief.evidence(count, exposure);
            prop_assert!(here.is_finite());
            prop_assert!(belief.evidence(count + 1.0, exposure) >= here - 1e-6);
            if !belief.is_exceeded(count, exposure) {
                // Concavity: where four times is not likelier, nothing above is.
                prop_assert!(here <= 1e-6);
            }
        }
    }
}
