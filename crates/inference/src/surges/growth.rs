//! How fast a rate doubles, from the times of visits.
//!
//! For a Poisson process whose rate grows as e^(rt) over a span T, the mean time of the visits is
//! all that the visits say about r (Cox and Lewis 1966, *The Statistical Analysis of Series of
//! Events*, §3.3): with x = rT the mean fraction of the span is 1/(1 − e^−x) − 1/x, and the Fisher
//! information of x is n times the variance of the fraction, 1/x² − e^x/(e^x − 1)².

use serde::{Deserialize, Serialize};

use super::excess::NORMAL_90;

/// Sums over visits since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Growth {
    since: i64,
    weight: f64,
    /// Sum of weight times milliseconds since then.
    moment: f64,
}

/// Time in which the rate doubles, milliseconds: likely, and the ends of the 80 % range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Doubling {
    pub(super) likely: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Fewer expected visits say nothing of growth.
const WEIGHT_MIN: f64 = 8.0;

impl Growth {
    pub(super) fn since(time: i64) -> Growth {
        Growth {
            since: time,
            weight: 0.0,
            moment: 0.0,
        }
    }

    pub(super) fn add(&mut self, time: i64, weight: f64) {
        self.weight += weight;
        self.moment += weight * time.saturating_sub(self.since).max(0) as f64;
    }

    /// The doubling time up to `now`; `None` where the 10 % end of the rate of growth is not above
    /// 0. One visit counts as 1/`dispersion` of one.
    pub(super) fn doubling(&self, now: i64, dispersion: f64) -> Option<Doubling> {
        let span = now.saturating_sub(self.since) as f64;
        if self.weight < WEIGHT_MIN || span <= 0.0 {
            return None;
        }
        let fraction = (self.moment / self.weight / span).clamp(0.0, 1.0);
        let growth = solve(fraction);
        let error = (variance(growth) * self.weight / dispersion).sqrt().recip();
        let low = growth - NORMAL_90 * error;
        let doubling = |growth: f64| span * std::f64::consts::LN_2 / growth;
        (low > 0.0).then(|| Doubling {
            likely: doubling(growth),
            low: doubling(growth + NORMAL_90 * error),
            high: doubling(low),
        })
    }
}

/// Growth over the span beyond which doubling times differ by less than their errors.
const GROWTH_MAX: f64 = 200.0;

/// The mean fraction of the span at growth x.
fn mean(x: f64) -> f64 {
    if x.abs() < 1e-3 {
        0.5 + x / 12.0
    } else {
        1.0 / (1.0 - (-x).exp()) - 1.0 / x
    }
}

/// The variance of the fraction at growth x.
fn variance(x: f64) -> f64 {
    if x.abs() < 1e-2 {
        1.0 / 12.0 - x * x / 240.0
    } else {
        // e^x / (e^x − 1)² = 1 / (4 sinh²(x/2)).
        1.0 / (x * x) - 0.25 / (x / 2.0).sinh().powi(2)
    }
}

/// The growth whose mean fraction this is, by bisection: the mean rises with growth.
fn solve(fraction: f64) -> f64 {
    let (mut low, mut high) = (-GROWTH_MAX, GROWTH_MAX);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if mean(middle) < fraction {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_doubling_time_of_an_exponential_is_found() {
        // 400 visits at the quantiles of a rate that doubles every 600 s over 3,600 s.
        let rate = std::f64::consts::LN_2 / 600.0;
        let mut growth = Growth::since(0);
        for at in 0..400 {
            let part = (f64::from(at) + 0.5) / 400.0;
            let time = (1.0 + part * ((rate * 3_600.0).exp() - 1.0)).ln() / rate;
            growth.add((time * 1_000.0) as i64, 1.0);
        }
        let doubling = growth.doubling(3_600_000, 1.0).expect("it grows");
        assert!(
            (doubling.likely / 600_000.0 - 1.0).abs() < 0.01,
            "{doubling:?}"
        );
        assert!(doubling.low < 600_000.0 && doubling.high > 600_000.0);
        let clustered = growth.doubling(3_600_000, 9.0).expect("it grows");
        assert!(clustered.low < doubling.low && clustered.high > doubling.high);
    }

    #[test]
    fn a_steady_or_a_falling_rate_does_not_double() {
        for power in [1.0, 2.0] {
            let mut growth = Growth::since(0);
            for at in 0..400 {
                let part = (f64::from(at) + 0.5) / 400.0;
                growth.add((3_600_000.0 * part.powf(power)) as i64, 1.0);
            }
            assert_eq!(growth.doubling(3_600_000, 1.0), None, "{power}");
        }
    }

    proptest! {
        #[test]
        fn any_times_give_no_doubling_or_a_finite_one_in_its_range(
            times in proptest::collection::vec(-1_000i64..10_000_000, 0..60),
            now in 0i64..10_000_000, dispersion in 1f64..20.0,
        ) {
            let mut growth = Growth::since(0);
            for time in times {
                growth.add(time, 0.7);
            }
            if let Some(doubling) = growth.doubling(now, dispersion) {
                prop_assert!(doubling.low > 0.0 && doubling.high.is_finite());
                prop_assert!((doubling.low..=doubling.high).contains(&doubling.likely));
            }
        }

        #[test]
        fn growth_is_the_inverse_of_the_mean(x in -80f64..80.0) {
            prop_assert!((solve(mean(x)) - x).abs() < 1e-3 * x.abs().max(1.0));
            prop_assert!(variance(x) > 0.0);
        }
    }
}
