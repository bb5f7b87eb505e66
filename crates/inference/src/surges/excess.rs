//! The test: is a count more than a rate that is known only so well explains?
//!
//! A rate is believed to be Gamma distributed, so counts are negative binomial. The evidence is the
//! logarithm of the ratio between the likelihood of the count under the mean that fits it best and
//! under the one that was believed, both of the belief's shape: the generalised likelihood-ratio
//! chart of Höhle and Paul (2008, *Count data regression charts for the monitoring of surveillance
//! time series*, CSDA 52:4357), one-sided. With d counted, m expected and shape s it is
//! d ln(d/m) − (d + s) ln((d + s)/(m + s)), and 0 where d ≤ m. Where the rate is known badly (s small)
//! it cannot grow beyond s (d/m − 1 − ln(d/m)), however much is counted.
//!
//! How much is unusual no formula says: contents rise for reasons that no level knows. So each site
//! learns how large the evidence becomes on its own contents ([`Peaks`]).

use serde::{Deserialize, Serialize};

/// 90 % quantile of the standard normal.
pub(super) const NORMAL_90: f64 = 1.281_551_565_545;

/// What is believed of a rate: Gamma with this shape and rate, mean `shape / rate`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    /// Above 0; the count that the belief is worth.
    pub(super) shape: f64,
    /// Above 0; the exposure that the belief is worth.
    pub(super) rate: f64,
}

/// Least expected count: fewer are not known to be fewer.
const EXPECTED_MIN: f64 = 0.05;

impl Belief {
    pub(super) fn mean(&self) -> f64 {
        self.shape / self.rate
    }

    /// Evidence of an excess, 0 or more; finite for finite arguments.
    pub(super) fn evidence(&self, count: f64, exposure: f64) -> f64 {
        let mean = (self.mean() * exposure).max(EXPECTED_MIN);
        if count <= mean {
            return 0.0;
        }
        let shape = self.shape;
        let ratio =
            count * (count / mean).ln() - (count + shape) * ((count + shape) / (mean + shape)).ln();
        ratio.max(0.0)
    }

    /// Expected count in an exposure, and its 90 % quantile (normal approximation of the negative
    /// binomial, scatter multiplied by `dispersion`).
    pub(super) fn expects(&self, exposure: f64, dispersion: f64) -> (f64, f64) {
        let mean = self.mean() * exposure;
        let variance = dispersion * mean + mean * mean / self.shape;
        (mean, mean + NORMAL_90 * variance.sqrt())
    }
}

/// Evidence below this is not looked at: everybody has it.
const LOW: f64 = 2.0;
/// Days and rises above [`LOW`] that are believed before any is seen, and how far above they are on
/// average (assumptions).
const PRIOR_DAYS: f64 = 1.0;
const PRIOR_RISES: f64 = 4.0;
const PRIOR_MEAN: f64 = 1.0;

/// How large the evidence of rises becomes on a site: their number a day, and an exponential law of
/// what is above [`LOW`] (peaks over a threshold, as in Siffer et al. 2017, *Anomaly Detection in
/// Streams with Extreme Value Theory*, KDD, with the tail's shape fixed at 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Peaks {
    days: f64,
    rises: f64,
    above: f64,
}

impl Peaks {
    /// Time goes on, and what was is forgotten.
    pub(super) fn pass(&mut self, days: f64, kept: f64) {
        self.days = (self.days + days) * kept;
        self.rises *= kept;
        self.above *= kept;
    }

    /// A rise is over, raised or not. What is beyond the bar counts as the bar: a rumour is not to
    /// hide the next.
    pub(super) fn add(&mut self, evidence: f64, bar: f64) {
        if evidence > LOW {
            self.rises += 1.0;
            self.above += evidence.min(bar) - LOW;
        }
    }

    fn mean(&self) -> f64 {
        (self.above + PRIOR_RISES * PRIOR_MEAN) / (self.rises + PRIOR_RISES)
    }

    /// Rises a day that show this evidence or more, by all that is known of the site.
    pub(super) fn a_day(&self, evidence: f64) -> f64 {
        let all = (self.rises + PRIOR_RISES) / (self.days + PRIOR_DAYS);
        all * (-(evidence - LOW).max(0.0) / self.mean()).exp()
    }

    /// The evidence that so many rises a day show.
    pub(super) fn evidence_of(&self, a_day: f64) -> f64 {
        LOW + self.mean() * (self.a_day(LOW) / a_day).ln().max(0.0)
    }
}
