//! How a content spreads: figures of epidemiology, of what is known by a moment.

use serde::Serialize;

use super::features::lower_bound;
use super::ranges::{Range, gamma_quantile, normal_quantile};
use super::state::{SETTLED_AFTER, Spread};
use super::weights::Weights;

/// Prior of the present branching ratio: so many children of so many readers, weak.
const PRIOR_CHILDREN: f64 = 0.6;
const PRIOR_READERS: f64 = 2.0;
/// Least expected edges between readers that a generation time is given from.
const EDGES_MIN: f32 = 3.0;

/// How a content spreads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Expected children of a reader, those included that are still to come: the branching ratio R.
    pub reproduction: Range,
    /// The same of the newest 96 arrivals and the time since: the instantaneous R of Cori et al.
    /// 2013. None before the second arrival.
    pub reproduction_now: Option<Range>,
    /// Seconds from a reader's arrival to that of a reader who came from him. None where fewer than
    /// three such edges are expected.
    pub generation_time: Option<Quartiles>,
    /// Seconds from the busiest time to the half of all arrivals after it (as bitly counted in
    /// 2011), the expected descendants included that are still to come. None where that half has
    /// not come yet.
    pub half_life: Option<Range>,
    /// Arrivals by shares, for each arrival so far: K = i · c, shares made by a visitor times
    /// arrivals that a share brings.
    pub k_factor: Range,
    /// Acts of sharing that were seen, for each arrival: the seen part of i.
    pub acts_per_arrival: f64,
    /// Arrivals that one from outside leads to in the end, itself included: 1 / (1 − R). None where
    /// R may be 1 or more.
    pub amplification: Option<Range>,
    /// Seconds in which arrivals double, from R and the delays that the weights know (Wallinga and
    /// Lipsitch 2007). None unless R is surely above 1.
    pub doubling_time: Option<Range>,
}

/// Quartiles of a duration, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quartiles {
    /// A quarter is shorter.
    pub low: f64,
    /// Half is shorter.
    pub median: f64,
    /// A quarter is longer.
    pub high: f64,
}

/// Arrivals that one from outside leads to in the end, itself included. None where R may be 1 or
/// more.
pub(crate) fn amplification(reproduction: Range) -> Option<Range> {
    (reproduction.high < 1.0).then(|| reproduction.map(|r| 1.0 / (1.0 - r)))
}

/// Seconds in which arrivals double at `reproduction`. None unless it is surely above 1.
pub(crate) fn doubling_time(reproduction: Range, weights: &Weights) -> Option<Range> {
    let time = |r| weights.doubling_time(r);
    (reproduction.low > 1.0).then(|| Range {
        low: time(reproduction.high),
        likely: time(reproduction.likely),
        high: time(reproduction.low),
    })
}

impl Spread {
    /// How the content spreads, as known by `now` (milliseconds since 1970 UTC). Reads the state
    /// once; changes nothing.
    pub fn metrics(&self, now: i64, weights: &Weights) -> Metrics {
        let reproduction = self.reproduction(now, weights);
        let now = self.seconds(now);
        let arrivals = f64::from(self.arrivals.max(1));
        Metrics {
            reproduction,
            reproduction_now: self.within_window(now, weights),
            generation_time: self.generation_time(now),
            half_life: self.half_life(now, reproduction, weights),
            k_factor: self.sums.shared(),
            acts_per_arrival: f64::from(self.acts.count) / arrivals,
            amplification: amplification(reproduction),
            doubling_time: doubling_time(reproduction, weights),
        }
    }

    /// Expected children of one reader so far, corrected for those still to come by `now`
    /// (milliseconds since 1970 UTC): branching ratio with the 10–90 % range of its Gamma posterior.
    pub fn reproduction(&self, now: i64, weights: &Weights) -> Range {
        let now = self.seconds(now);
        let exposure = self.over_readers(true, |time| {
            f64::from(weights.arrived_within(now as f32 - time))
        });
        self.sums.reproduction(exposure)
    }

    /// [`Metrics::reproduction_now`] alone, at `now` (milliseconds since 1970 UTC).
    pub(crate) fn reproduction_now(&self, now: i64, weights: &Weights) -> Option<Range> {
        self.within_window(self.seconds(now), weights)
    }

    /// Sum over readers of a function of their time, those that are not kept by their blocks.
    fn over_readers(&self, settled_only: bool, of: impl Fn(f32) -> f64) -> f64 {
        let until = match settled_only {
            true => self.settled(),
            false => u32::MAX,
        };
        let kept = self.candidates.iter();
        let kept = kept.filter(|candidate| candidate.ordinal <= until);
        let kept: f64 = kept.map(|candidate| of(candidate.time as f32)).sum();
        let blocks = self.pool.blocks().iter();
        kept + blocks
            .map(|block| f64::from(block.count) * of(block.time))
            .sum::<f64>()
    }

    fn within_window(&self, now: u32, weights: &Weights) -> Option<Range> {
        if self.arrivals < 2 {
            return None;
        }
        let before = self.arrivals.saturating_sub(SETTLED_AFTER as u32);
        let (from, now) = (self.time_of(before) as f32, now as f32);
        let (mut shared, mut variance) = (0.0, 0.0);
        for candidate in self.candidates.iter().filter(|one| one.ordinal > before) {
            let outside = candidate.outside();
            shared += 1.0 - outside;
            variance += outside * (1.0 - outside);
        }
        let within = |age: f32| f64::from(weights.arrived_within(age));
        let exposure = self.over_readers(false, |time| match now >= time {
            true if time >= from => within(now - time),
            true => (within(now - time) - within(from - time)).max(0.0),
            false => 0.0,
        });
        let readers = exposure + PRIOR_READERS;
        let children = shared + PRIOR_CHILDREN;
        let unknown = weights.departure(f64::from(self.certain)) * variance;
        let unknown = unknown * normal_quantile(0.9);
        let reach = |share: f64| (children - gamma_quantile(children, share)).hypot(unknown);
        Some(Range {
            low: (children - reach(0.1)).max(0.0) / readers,
            likely: children / readers,
            high: (children + reach(0.9)) / readers,
        })
    }

    /// Each delay counts for the readers that were not yet there long enough to show it: one over
    /// the share of readers that were.
    fn generation_time(&self, now: u32) -> Option<Quartiles> {
        let delays = self.sums.delays();
        if delays.iter().sum::<f32>() < EDGES_MIN {
            return None;
        }
        let readers = self.over_readers(true, |_| 1.0);
        let corrected: Vec<f64> = (0u8..)
            .zip(delays)
            .map(|(bin, count)| {
                let delay = lower_bound(bin) as f32;
                let seen =
                    self.over_readers(true, |time| f64::from(u8::from(now as f32 - time >= delay)));
                f64::from(*count) * readers / seen.max(1.0)
            })
            .collect();
        let total: f64 = corrected.iter().sum();
        let quantile = |share: f64| {
            let mut left = share * total;
            for (bin, count) in (0u8..).zip(&corrected) {
                if left <= *count && *count > 0.0 {
                    // Evenly in the logarithm of one plus the delay.
                    let (from, to) = (lower_bound(bin) + 1.0, lower_bound(bin + 1) + 1.0);
                    return from * (to / from).powf(left / count) - 1.0;
                }
                left -= count;
            }
            lower_bound(corrected.len() as u8)
        };
        Some(Quartiles {
            low: quantile(0.25),
            median: quantile(0.5),
            high: quantile(0.75),
        })
    }

    fn half_life(&self, now: u32, reproduction: Range, weights: &Weights) -> Option<Range> {
        let peak = self.ages.peak()?;
        let unborn = self.over_readers(false, |time| {
            1.0 - f64::from(weights.arrived_within(now as f32 - time))
        });
        // Children still to come, and theirs.
        let future = |r: f64| match r < 1.0 {
            true => r * unborn / (1.0 - r),
            false => f64::INFINITY,
        };
        let [_, likely, _] = self.ages.half_life(peak, future(reproduction.likely))?;
        let soonest = self.ages.half_life(peak, future(reproduction.low));
        let latest = self.ages.half_life(peak, future(reproduction.high));
        Some(Range {
            low: soonest.map_or(likely, |[low, ..]| low.min(likely)),
            likely,
            // It may not have come yet.
            high: match latest {
                Some([.., high]) => high.max(likely),
                None => f64::from(now).max(likely),
            },
        })
    }
}
