//! How much more, or less, comes from outside on a site than the weights know.
//!
//! Sites differ, and the shipped weights stand between those that they were fitted on. A shift of
//! the outside's log-odds is learned from certain edges, each scored as if its token were missing:
//! a logistic regression updated one label at a time (the extended Kalman filter of West, Harrison
//! and Migon 1985 for a binomial with logit link, without drift). On a content with tokens of its
//! own these say much of what the site's say, so there is one shift for contents without any token
//! and one for those with many, mixed between. There is no factor on the log-odds beside them: it
//! would lower the calibration error on a foreign site, and raise the error of each content's R.

use serde::{Deserialize, Serialize};

/// Coefficients.
const SIZE: usize = 2;
/// Standard deviations between sites of the shift on contents without tokens, and with many.
/// Published sets of cascades differ by about this much.
const BETWEEN_SITES: [f64; SIZE] = [0.4, 0.25];
/// Certain edges on a content that mix the two shifts evenly.
const HALVED_BY: f64 = 8.0;
/// Labels of one content tell of that content too: each counts one over one plus so much for every
/// label before it.
const TOGETHER: f64 = 0.1;
/// Variances do not fall below this part of what they began as, so that a site that changes is
/// followed.
const KNOWN_BEST: f64 = 1e-3;

/// What is learned of a site, with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideLaw {
    coefficients: [f64; SIZE],
    covariance: [[f64; SIZE]; SIZE],
}

impl Default for OutsideLaw {
    /// No label yet.
    fn default() -> Self {
        let mut covariance = [[0.0; SIZE]; SIZE];
        for (at, deviation) in BETWEEN_SITES.into_iter().enumerate() {
            covariance[at][at] = deviation * deviation;
        }
        OutsideLaw {
            coefficients: [0.0; SIZE],
            covariance,
        }
    }
}

impl OutsideLaw {
    /// Added to the log-odds of the outside on a content with so many certain edges.
    pub fn shift(&self, certain: u32) -> f64 {
        dot(&self.coefficients, &mixture(certain))
    }

    /// Standard deviation of the shift.
    pub fn deviation(&self, certain: u32) -> f64 {
        let at = mixture(certain);
        dot(&self.times(&at), &at).max(0.0).sqrt()
    }

    /// Counts a certain cause: `outside` was its probability as if the token were missing, on a
    /// content with so many certain edges besides.
    pub(super) fn count(&mut self, outside: f64, from_outside: bool, certain: u32) {
        self.inform(outside, certain);
        let missed = f64::from(u8::from(from_outside)) - outside;
        let step = self.times(&mixture(certain));
        for (coefficient, step) in self.coefficients.iter_mut().zip(step) {
            *coefficient = (*coefficient + independent(certain) * missed * step).clamp(-5.0, 5.0);
        }
    }

    /// A certain cause of the site was seen that the weights have taken in: nothing shifts, but how
    /// the site differs from them is better known.
    pub fn inform(&mut self, outside: f64, certain: u32) {
        let information = outside * (1.0 - outside) * independent(certain);
        // Nor where it is no number.
        if information.is_nan() || information < 1e-9 {
            return;
        }
        let at = mixture(certain);
        let gain = self.times(&at);
        let scale = 1.0 / (1.0 / information + dot(&gain, &at));
        for (row, one) in self.covariance.iter_mut().zip(gain) {
            for (entry, other) in row.iter_mut().zip(gain) {
                *entry -= one * other * scale;
            }
        }
        for (at, deviation) in BETWEEN_SITES.into_iter().enumerate() {
            let least = deviation * deviation * KNOWN_BEST;
            self.covariance[at][at] = self.covariance[at][at].max(least);
        }
    }

    fn times(&self, mixture: &[f64; SIZE]) -> [f64; SIZE] {
        [0, 1].map(|row| dot(&self.covariance[row], mixture))
    }
}

fn dot(one: &[f64; SIZE], other: &[f64; SIZE]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// What a content with so many certain edges has of one without any, and of one with many.
fn mixture(certain: u32) -> [f64; SIZE] {
    let without = 1.0 / (1.0 + f64::from(certain) / HALVED_BY);
    [without, 1.0 - without]
}

/// What a label counts beside so many others of the same content.
fn independent(certain: u32) -> f64 {
    1.0 / (1.0 + TOGETHER * f64::from(certain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Learns from draws of which three of four come from outside.
    fn taught(certain: u32) -> OutsideLaw {
        let mut law = OutsideLaw::default();
        let mut random = 1u64;
        for _ in 0..6_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let expected = 1.0 / (1.0 + (-law.shift(certain)).exp());
            law.count(expected, !(random >> 33).is_multiple_of(4), certain);
        }
        law
    }

    #[test]
    fn the_shift_is_found_for_the_contents_that_show_it() {
        let law = OutsideLaw::default();
        assert_eq!(law.shift(0), 0.0);
        assert!((law.deviation(0) - BETWEEN_SITES[0]).abs() < 1e-12);
        let law = taught(0);
        assert!((law.shift(0) - 3f64.ln()).abs() < 0.15, "{law:?}");
        assert!(law.deviation(0) < 0.25, "{law:?}");
        assert!(law.shift(800) < 0.5 * law.shift(0) && law.deviation(800) > 0.2);
        let law = taught(80);
        assert!((law.shift(80) - 3f64.ln()).abs() < 0.3, "{law:?}");
        assert!(law.shift(0) < law.shift(80));
    }

    #[test]
    fn one_content_with_many_tokens_does_not_decide_for_the_site() {
        let mut law = OutsideLaw::default();
        for certain in 0..10_000 {
            law.count(0.5, true, certain);
        }
        assert!(law.deviation(0) > 0.3, "{law:?}");
        assert!(law.shift(0) < 0.8, "{law:?}");
    }

    #[test]
    fn certainties_leave_it_finite() {
        let mut law = OutsideLaw::default();
        for outside in [0.0, 1.0, 1e-300, f64::MIN_POSITIVE] {
            law.count(outside, true, 0);
            law.count(outside, false, u32::MAX);
        }
        assert!(
            law.shift(3).is_finite() && law.deviation(3) > 0.0,
            "{law:?}"
        );
    }
}
