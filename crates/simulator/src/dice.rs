//! Random draws from one seeded ChaCha8 stream, the same on every platform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::arithmetic::{exp, ln, pow};

/// A seeded source of draws.
#[derive(Clone, Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice of a seed; streams of the same seed are independent of one another.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Dice(random)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// True with that probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in 0..count; 0 where count is 0.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(count)) >> 64) as u64
    }

    /// Uniform in low..=high.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as u64) as i64
    }

    /// One of a slice that is not empty.
    pub(crate) fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// An index with probability proportional to its weight; the last where all are zero.
    pub(crate) fn pick(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
            last = index;
        }
        last
    }

    /// Exponentially distributed with that mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * ln(1.0 - self.unit())
    }

    /// Poisson distributed. Large means are a sum of parts of at most 16, so that `exp` never
    /// underflows and the draw is exact.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        let mut left = mean;
        let mut count = 0;
        while left > 0.0 {
            let part = left.min(16.0);
            left -= part;
            let limit = exp(-part);
            let mut product = self.unit();
            while product > limit {
                count += 1;
                product *= self.unit();
            }
        }
        count
    }

    /// Negative-binomial with that mean and dispersion `k` (variance mean + mean²/k), by inversion.
    pub(crate) fn negative_binomial(&mut self, mean: f64, k: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        let ratio = mean / (k + mean);
        let mut mass = pow(k / (k + mean), k);
        let mut left = self.unit();
        let mut count = 0u64;
        // The cap only stops the loop where rounding leaves the masses short of `left`.
        while left >= mass && count < 1_000_000 {
            left -= mass;
            mass *= ratio * (count as f64 + k) / (count as f64 + 1.0);
            count += 1;
        }
        count
    }

    /// Lomax distributed, P(X > x) = (1 + x/scale)^−theta, conditioned on X ≤ limit.
    pub(crate) fn lomax(&mut self, theta: f64, scale: f64, limit: f64) -> f64 {
        let below_limit = 1.0 - pow(1.0 + limit / scale, -theta);
        scale * (pow(1.0 - self.unit() * below_limit, -1.0 / theta) - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f64>();
        (mean, square / values.len() as f64)
    }

    #[test]
    fn poisson_has_its_mean_and_variance_also_when_large() {
        let mut dice = Dice::new(1, 0);
        for wanted in [0.3, 4.0, 50.0] {
            let draws: Vec<f64> = (0..20_000).map(|_| dice.poisson(wanted) as f64).collect();
            let (mean, variance) = mean_and_variance(&draws);
            // Five standard errors of the mean; the variance's is about √(2/n) of itself.
            assert!(
                (mean - wanted).abs() < 5.0 * (wanted / 20_000.0).sqrt(),
                "{wanted}: {mean}"
            );
            assert!(
                (variance / wanted - 1.0).abs() < 0.08,
                "{wanted}: {variance}"
            );
        }
        assert_eq!(dice.poisson(0.0), 0);
    }

    #[test]
    fn negative_binomial_has_its_mean_and_its_dispersion() {
        let mut dice = Dice::new(2, 0);
        for (wanted, k) in [(0.4, 0.3), (5.0, 0.5), (3.0, 4.0)] {
            let draws: Vec<f64> = (0..60_000)
                .map(|_| dice.negative_binomial(wanted, k) as f64)
                .collect();
            let (mean, variance) = mean_and_variance(&draws);
            let expected = wanted + wanted * wanted / k;
            assert!(
                (mean - wanted).abs() < 5.0 * (expected / 60_000.0).sqrt(),
                "{wanted}: {mean}"
            );
            assert!(
                (variance / expected - 1.0).abs() < 0.15,
                "{wanted} {k}: {variance}"
            );
        }
        assert_eq!(dice.negative_binomial(0.0, 1.0), 0);
    }

    #[test]
    fn lomax_has_its_quantiles_below_the_limit() {
        let mut dice = Dice::new(3, 0);
        let (theta, scale, limit) = (0.5, 900.0, 259_200.0);
        let mut draws: Vec<f64> = (0..20_000)
            .map(|_| dice.lomax(theta, scale, limit))
            .collect();
        draws.sort_by(f64::total_cmp);
        assert!(
            draws
                .iter()
                .all(|draw| (0.0..=limit * 1.000_001).contains(draw))
        );
        let cdf = |x: f64| 1.0 - (1.0 + x / scale).powf(-theta);
        for part in [0.1, 0.5, 0.9] {
            let at = draws[(20_000.0 * part) as usize];
            assert!((cdf(at) / cdf(limit) - part).abs() < 0.015, "{part}: {at}");
        }
    }

    #[test]
    fn picks_follow_their_weights() {
        let mut dice = Dice::new(4, 0);
        let mut counts = [0u32; 3];
        for _ in 0..10_000 {
            counts[dice.pick([1.0, 0.0, 3.0].into_iter())] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    }
}
