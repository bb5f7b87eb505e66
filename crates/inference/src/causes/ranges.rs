//! Figures with their ranges, and quantiles of the normal law.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Slices of the normal law whose middles are kept: a logarithm and a root each take as long as what
/// they are asked for.
const SLICES_KEPT: usize = 16;

/// Middles of the slices by how many there are.
static MIDDLES: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
    let of = |of: usize| (0..of).map(|number| middle(number, of)).collect();
    (0..=SLICES_KEPT).map(of).collect()
});

/// A figure with the range that should hold it in 80 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// 10 % quantile.
    pub low: f64,
    /// Best estimate.
    pub likely: f64,
    /// 90 % quantile; of a share the 80 % one where the range begins at 0 since nothing may have
    /// spread at all ([`super::Shape`]).
    pub high: f64,
}

/// With this probability at the least that a figure can be, its range begins there: an 80 % range
/// leaves out a tenth below.
pub(super) const LEAST_FROM: f64 = 0.1;

impl Range {
    /// The same where the figure is `least`, all that it can be at the least, with that probability, and
    /// what is likely has that in it already. From a tenth on it begins there and ends at the quantile
    /// `up_to` of both together, above what is likely taken for normal, but not below that.
    pub(super) fn or_least(self, least: f64, probability: f64, up_to: f64) -> Range {
        if probability < LEAST_FROM {
            return self;
        }
        let left = 1.0 - probability;
        let reach = match up_to - probability > left / 2.0 {
            true => normal_quantile((up_to - probability) / left) / normal_quantile(0.9),
            false => 0.0,
        };
        Range {
            low: least.min(self.low),
            likely: self.likely,
            high: self.likely + (self.high - self.likely) * reach.clamp(0.0, 1.0),
        }
    }

    /// The range of a number of which variance and greatest value are known.
    pub(crate) fn of_sum(likely: f64, variance: f64, most: f64) -> Range {
        let reach = normal_quantile(0.9) * variance.max(0.0).sqrt();
        Range {
            low: (likely - reach).max(0.0),
            likely,
            high: (likely + reach).min(most).max(likely),
        }
    }

    /// The range of a rising function of the figure.
    pub(crate) fn map(self, of: impl Fn(f64) -> f64) -> Range {
        Range {
            low: of(self.low),
            likely: of(self.likely),
            high: of(self.high),
        }
    }
}

/// What may be at the least that it can be, with a probability, and follows a law of its own
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OrLeast {
    /// The least that it can be.
    pub(super) least: f64,
    /// Probability that it is.
    pub(super) probability: f64,
    /// Quantile that the range goes up to where it begins at the least.
    pub(super) up_to: f64,
}

impl OrLeast {
    /// The range where the law's own is `otherwise`, and `quantile` gives its quantiles by those of the
    /// normal law. With more than a tenth at the least the range begins there.
    pub(super) fn range(self, otherwise: Range, quantile: impl Fn(f64) -> f64) -> Range {
        let OrLeast {
            least,
            probability,
            up_to,
        } = self;
        if probability <= 0.0 {
            return otherwise;
        }
        let left = (1.0 - probability).max(0.0);
        let likely = probability * least + left * otherwise.likely;
        let at = |share: f64| match share > probability {
            true => quantile(normal_quantile((share - probability) / left)).max(least),
            false => least,
        };
        let up_to = if probability < LEAST_FROM { 0.9 } else { up_to };
        Range {
            low: at(0.1).min(likely),
            likely,
            high: at(up_to).max(likely),
        }
    }
}

/// Middle of the `number`-th of `of` slices of equal mass of the normal law, so that trees stand
/// for the whole of what contents may be like.
pub(super) fn middle_of(number: usize, of: usize) -> f64 {
    let kept = MIDDLES.get(of).and_then(|middles| middles.get(number));
    kept.copied().unwrap_or_else(|| middle(number, of))
}

fn middle(number: usize, of: usize) -> f64 {
    normal_quantile((number as f64 + 0.5) / of as f64)
}

/// Quantile of the standard normal law, within 4.5e-4 (Abramowitz and Stegun 26.2.23).
pub(super) fn normal_quantile(share: f64) -> f64 {
    let tail = share.min(1.0 - share).max(1e-12);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below).copysign(share - 0.5)
}

/// Quantile of a gamma law of mean and variance `count` by Wilson and Hilferty's cube: of a count
/// that is known so well.
pub(super) fn gamma_quantile(count: f64, share: f64) -> f64 {
    let third = 1.0 / (9.0 * count.max(1e-6));
    let z = normal_quantile(share);
    count * (1.0 - third + z * third.sqrt()).max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn from_a_tenth_on_a_range_begins_at_the_least_and_what_is_likely_stays(
            steps in prop::array::uniform4(0.0f64..2.0),
            probability in 0.0f64..=1.0,
            up_to in prop::sample::select(vec![0.8, 0.9]),
        ) {
            let [least, below, likely, above] = steps;
            let low = least + below;
            let range = Range { low, likely: low + likely, high: low + likely + above };
            let found = range.or_least(least, probability, up_to);
            if probability < 0.1 {
                prop_assert_eq!(found, range);
            } else {
                prop_assert_eq!((found.low, found.likely), (least, range.likely));
                prop_assert!((range.likely..=range.high).contains(&found.high), "{:?}", found);
            }
            // What lies below already, by rounding, is not moved up.
            prop_assert!(range.or_least(low + 1.0, probability, up_to).low <= low);
            // The likelier the least is, the sooner it ends.
            let likelier = range.or_least(least, (probability + 0.05).min(1.0), up_to);
            prop_assert!(likelier.high <= found.high, "{:?} {:?}", likelier, found);
        }
    }
}
