//! How much more, or less, comes from outside on a site than the weights know.
//!
//! Sites differ, and the shipped weights stand between those that they were fitted on. A shift of
//! the outside's log-odds is learned from certain edges, each scored as if its token were missing:
//! a logistic regression with one coefficient, updated one label at a time (the extended Kalman
//! filter of West, Harrison and Migon 1985 for a binomial with logit link, without drift). On a
//! content with tokens of its own these say more than the site's do, so the shift fades with their
//! number.

use serde::{Deserialize, Serialize};

/// Standard deviation between sites of the outside's log-odds: published sets of cascades differ by
/// about this much.
const BETWEEN_SITES: f64 = 0.4;
/// Certain edges on a content after which half of the shift remains.
const HALVED_BY: f64 = 8.0;
/// Labels of one content tell of that content too: each counts one over one plus so much for every
/// label before it.
const TOGETHER: f64 = 0.15;
/// Information is bounded, so that a site that changes is followed.
const INFORMATION_MAX: f64 = 2_000.0;

/// The shift of a site, with its uncertainty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideLaw {
    shift: f64,
    information: f64,
}

impl Default for OutsideLaw {
    /// No label yet.
    fn default() -> Self {
        OutsideLaw {
            shift: 0.0,
            information: 1.0 / (BETWEEN_SITES * BETWEEN_SITES),
        }
    }
}

impl OutsideLaw {
    /// Added to the log-odds of the outside on a content with so many certain edges.
    pub(super) fn shift(&self, certain: u32) -> f64 {
        self.shift * fading(certain)
    }

    /// Shift of the outside's log-odds on a content without certain edges.
    pub fn log_odds(&self) -> f64 {
        self.shift
    }

    /// Its standard deviation, in the same log-odds.
    pub fn deviation(&self) -> f64 {
        self.information.sqrt().recip()
    }

    /// Counts a certain cause: `outside` was its probability as if the token were missing, on a
    /// content with so many certain edges besides.
    pub(super) fn count(&mut self, outside: f64, from_outside: bool, certain: u32) {
        let fading = fading(certain);
        let counts = 1.0 / (1.0 + TOGETHER * f64::from(certain));
        let variance = (outside * (1.0 - outside)).max(0.0);
        self.information =
            (self.information + counts * fading * fading * variance).min(INFORMATION_MAX);
        let missed = f64::from(u8::from(from_outside)) - outside;
        self.shift += counts * fading * missed / self.information;
        self.shift = self.shift.clamp(-5.0, 5.0);
    }
}

fn fading(certain: u32) -> f64 {
    1.0 / (1.0 + f64::from(certain) / HALVED_BY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_found_and_fades_where_a_content_speaks_for_itself() {
        let mut law = OutsideLaw::default();
        assert_eq!(law.shift(0), 0.0);
        assert!((law.deviation() - BETWEEN_SITES).abs() < 1e-12);
        // Three of four come from outside where one in two was expected.
        let mut random = 1u64;
        for _ in 0..4_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let from_outside = !(random >> 33).is_multiple_of(4);
            let expected = 1.0 / (1.0 + (-law.shift(0)).exp());
            law.count(expected, from_outside, 0);
        }
        assert!((law.log_odds() - 3f64.ln()).abs() < 0.15, "{law:?}");
        assert!(law.deviation() < 0.1);
        assert!(law.shift(80) < 0.1 * law.shift(0) + 1e-9);
    }

    #[test]
    fn one_content_with_many_tokens_does_not_decide_for_the_site() {
        let mut law = OutsideLaw::default();
        for certain in 0..10_000 {
            law.count(0.5, true, certain);
        }
        assert!(law.deviation() > 0.3, "{law:?}");
        assert!(law.log_odds() < 0.6, "{law:?}");
    }
}
