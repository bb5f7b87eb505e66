//! Laws of delays and of numbers of children, fitted to what is known.

use super::lags::{ByBin, width};

/// A density of delays as a histogram.
pub(super) struct Density {
    /// Per second, by bin.
    pub(super) density: ByBin,
    /// Share of delays below the middle of each bin.
    pub(super) below: ByBin,
}

impl Density {
    /// From counts by bin; .05 more in each, so that nothing is impossible.
    pub(super) fn of(counts: &ByBin) -> Self {
        let total: f64 = counts.iter().map(|count| count + 0.05).sum();
        let shares = counts.map(|count| (count + 0.05) / total);
        let mut sum = 0.0;
        Density {
            density: std::array::from_fn(|bin| shares[bin] / width(bin)),
            below: shares.map(|share| {
                sum += share;
                sum - share / 2.0
            }),
        }
    }
}

/// Power law of delays (Lomax): (exponent / scale) (1 + delay / scale)^−(1 + exponent).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lomax {
    /// Above 0.
    pub(super) exponent: f64,
    /// Seconds, above 0.
    pub(super) scale: f64,
}

impl Lomax {
    /// What is believed of delays before anything is known.
    pub(super) const COLD: Lomax = Lomax {
        exponent: 0.5,
        scale: 900.0,
    };

    /// Density of a delay in seconds.
    pub(super) fn density(self, delay: f64) -> f64 {
        (self.exponent / self.scale) * (1.0 + delay / self.scale).powf(-1.0 - self.exponent)
    }

    /// The likeliest for delays in seconds, of which there is at least one. For a scale the likeliest
    /// exponent is 1 / mean ln(1 + delay / scale); the scale is searched, from 1 s to 3 years.
    pub(super) fn fitted(delays: &[f64]) -> Self {
        let exponent = |scale: f64| {
            let logs = delays.iter().map(|delay| (delay / scale).ln_1p());
            1.0 / (logs.sum::<f64>() / delays.len() as f64).max(1e-9)
        };
        let log_scale = argmax([0.0, 18.0], |log_scale| {
            let exponent = exponent(log_scale.exp());
            // (1 + exponent) · mean of the logs is 1 + 1 / exponent.
            exponent.ln() - log_scale - 1.0 - 1.0 / exponent
        });
        let scale = log_scale.exp();
        Lomax {
            exponent: exponent(scale),
            scale,
        }
    }
}

/// Likeliest dispersion of a negative binomial law with a mean above 0. `more_than` has the number of
/// nodes with more than 0, 1, 2 … children, of `nodes` nodes.
pub(super) fn dispersion(more_than: &[f64], nodes: f64, mean: f64) -> f64 {
    let children: f64 = more_than.iter().sum();
    // ln Γ(v + k) − ln Γ(k) is the sum of ln(k + i) over i below v.
    argmax([-8.0, 6.0], |log| {
        let k = log.exp();
        let products = more_than.iter().enumerate();
        let products = products.map(|(i, count)| count * (k + i as f64).ln());
        products.sum::<f64>()
            + nodes * k * (k / (k + mean)).ln()
            + children * (mean / (k + mean)).ln()
    })
    .exp()
}

/// Where a function with one maximum between two bounds has it, to a ten-thousandth (golden section).
fn argmax([mut from, mut to]: [f64; 2], value: impl Fn(f64) -> f64) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (to - golden * (to - from), from + golden * (to - from));
    let (mut at_low, mut at_high) = (value(low), value(high));
    while to - from > 1e-4 {
        if at_low < at_high {
            (from, low, at_low) = (low, high, at_high);
            high = from + golden * (to - from);
            at_high = value(high);
        } else {
            (to, high, at_high) = (high, low, at_low);
            low = to - golden * (to - from);
            at_low = value(low);
        }
    }
    (from + to) / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::lags::BINS;
    use super::*;

    #[test]
    fn a_density_sums_to_one() {
        let mut counts = [0.0; BINS];
        counts[1] = 3.0;
        counts[5] = 1.0;
        let found = Density::of(&counts);
        let sum: f64 = (0..BINS).map(|bin| found.density[bin] * width(bin)).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        let total = 4.0 + 0.05 * BINS as f64;
        assert!((found.density[1] - 3.05 / total / 0.75).abs() < 1e-12);
        assert!((found.below[1] - (0.05 + 3.05 / 2.0) / total).abs() < 1e-12);
    }

    #[test]
    fn a_power_law_is_found_again() {
        // Quantiles of exponent .5 and scale 1 000 s.
        let delays: Vec<f64> = (0..20_000)
            .map(|i| 1_000.0 * ((1.0 - (f64::from(i) + 0.5) / 20_000.0).powf(-2.0) - 1.0))
            .collect();
        let found = Lomax::fitted(&delays);
        assert!((found.exponent - 0.5).abs() < 0.01, "{found:?}");
        assert!((found.scale / 1_000.0 - 1.0).abs() < 0.03, "{found:?}");
        let degenerate = Lomax::fitted(&[0.0]);
        assert!(degenerate.density(0.0).is_finite(), "{degenerate:?}");
    }

    #[test]
    fn a_dispersion_is_found_again() {
        // Geometric with mean 1 (dispersion 1): half have none, a quarter one, and so on.
        let more_than: Vec<f64> = (1..40).map(|i| 1e6 * 0.5f64.powi(i)).collect();
        let found = dispersion(&more_than, 1e6, 1.0);
        assert!((found - 1.0).abs() < 1e-3, "{found}");
        // Less spread than Poisson: the least dispersed that is looked at.
        assert!(dispersion(&[100.0], 100.0, 1.0) > 300.0);
    }
}
