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
    /// 90 % quantile.
    pub high: f64,
}

impl Range {
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
