//! How a content spreads: figures of epidemiology, of what is known by a moment.

use serde::Serialize;

use super::features::lower_bound;
use super::ranges::{Range, gamma_quantile, normal_quantile};
use super::state::{SETTLED_AFTER, Spread};
use super::sums::{PRIOR_CHILDREN, PRIOR_READERS};
use super::weights::Weights;

/// Prior of the part of a rise's private readers whom a reader of the content sent, Gamma of this
/// shape and rate. Set on simulated rumours (`docs/surges.md`).
const READERS_PART: [f64; 2] = [1.0, 1.0];
/// Tokens among the newest readers from which on they say what part readers sent: fewer may be those
/// of a site that hardly marks its links.
const TOKENS_MIN: f64 = 3.0;
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
    /// not come yet. Not in its range: which time was the busiest, and more readers from outside than
    /// come in one and a half more doublings of the age as they did in the last.
    pub half_life: Option<Range>,
    /// Arrivals by shares, for each arrival so far: K = i · c, shares made by a visitor times
    /// arrivals that a share brings. Of settled arrivals.
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

/// Doublings of a content's age for which the outside may still bring as many readers as with the last:
/// set on simulated sites (docs/chains.md).
const DOUBLINGS_LATER: f64 = 1.5;

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

/// The newest readers, and those who could have brought them.
struct Newest {
    /// Expected readers whom a share brought.
    shared: f64,
    /// Readers of whom no fact says that they came from outside: so many at the most.
    undecided: f64,
    /// Reach of their number for what is not known of the content.
    unknown: f64,
    /// Readers who could have brought them, a prior included.
    readers: f64,
}

impl Newest {
    fn reproduction(&self) -> Range {
        let children = self.shared + PRIOR_CHILDREN;
        let reach = |share: f64| self.reach(children, share);
        Range {
            low: (children - reach(0.1)).max(0.0) / self.readers,
            likely: children / self.readers,
            high: (children + reach(0.9)) / self.readers,
        }
    }

    /// How far the number of children is known, towards a quantile of its Gamma posterior.
    fn reach(&self, children: f64, share: f64) -> f64 {
        (children - gamma_quantile(children, share)).hypot(self.unknown)
    }

    /// The same where only a part of those whom a share brought was sent by a reader. The part is
    /// believed to be Gamma distributed, at most 1; of readers' shares the part `survival` shows a
    /// token, and `tokens` did.
    fn in_rise(&self, tokens: f64, survival: f64) -> Range {
        let [shape, rate] = READERS_PART;
        let (shape, rate) = match tokens < TOKENS_MIN {
            true => (shape, rate),
            false => (shape + tokens, rate + survival * self.shared),
        };
        let part = |share: f64| (gamma_quantile(shape, share) / rate).min(1.0);
        let likely = part(0.5);
        let children = likely * self.shared + PRIOR_CHILDREN;
        // In a rise a visit is likelier to be a private one than its own evidence says.
        let [least, most] = [part(0.1) * self.shared, part(0.9) * self.undecided];
        let below = (children - least).hypot(self.reach(children, 0.1));
        let above = (most - children).max(0.0).hypot(self.reach(children, 0.9));
        Range {
            low: (children - below).max(0.0) / self.readers,
            likely: children / self.readers,
            high: (children + above) / self.readers,
        }
    }
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

    /// [`Metrics::reproduction_now`] of a content in a rise, at `now` (milliseconds since 1970 UTC):
    /// who came in private may have been sent the link by somebody who never read it here. `tokens`
    /// is how many of the newest readers came by one, `survival` the part of readers' links that
    /// arrive with one, 0 where there are none.
    pub(crate) fn reproduction_in_rise(
        &self,
        now: i64,
        weights: &Weights,
        tokens: u32,
        survival: f64,
    ) -> Option<Range> {
        let newest = self.newest(self.seconds(now), weights)?;
        Some(newest.in_rise(f64::from(tokens), survival))
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
        let newest = self.newest(now, weights)?;
        Some(newest.reproduction())
    }

    fn newest(&self, now: u32, weights: &Weights) -> Option<Newest> {
        if self.arrivals < 2 {
            return None;
        }
        let before = self.arrivals.saturating_sub(SETTLED_AFTER as u32);
        let (from, now) = (self.time_of(before) as f32, now as f32);
        let (mut shared, mut undecided, mut variance) = (0.0, 0.0, 0.0);
        for candidate in self.candidates.iter().filter(|one| one.ordinal > before) {
            let outside = candidate.outside();
            shared += 1.0 - outside;
            undecided += f64::from(u8::from(outside < 1.0));
            variance += outside * (1.0 - outside);
        }
        let within = |age: f32| f64::from(weights.arrived_within(age));
        let exposure = self.over_readers(false, |time| match now >= time {
            true if time >= from => within(now - time),
            true => (within(now - time) - within(from - time)).max(0.0),
            false => 0.0,
        });
        let unknown = weights.departure(f64::from(self.certain)) * variance;
        Some(Newest {
            shared,
            undecided,
            unknown: unknown * normal_quantile(0.9),
            readers: exposure + PRIOR_READERS,
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

    /// The half-life is the median of the times of all later readers. Three things leave it open,
    /// taken for independent: how many there are, those still to come, and the width of bins.
    ///
    /// Of so many readers the number that come before the median varies as that of heads does, so
    /// the median lies between the readers of two ranks, whatever the law of their times (order
    /// statistics: Thompson 1936; David and Nagaraja 2003, 7.1). Readers whom readers bring come in
    /// clusters, by which the variance of a count grows to 1 / (1 − R)² (Hawkes and Oakes 1974).
    fn half_life(&self, now: u32, reproduction: Range, weights: &Weights) -> Option<Range> {
        let peak = self.ages.peak()?;
        let unborn = self.over_readers(false, |time| {
            1.0 - f64::from(weights.arrived_within(now as f32 - time))
        });
        // With the children still to come, and theirs.
        let all = |r: f64| match r < 1.0 {
            true => peak.after + r * unborn / (1.0 - r),
            false => f64::INFINITY,
        };
        let later = |rank: f64| self.ages.later(peak, rank);
        let half = all(reproduction.likely) / 2.0;
        let [soonest, likely, latest] = later(half)?;
        let clustered = 1.0 / (1.0 - reproduction.likely);
        let reach = normal_quantile(0.9) * (half / 2.0).sqrt() * clustered;
        // Of an even law the middle four fifths.
        let bins = 0.8 * (latest - soonest) / 2.0;
        let away = |rank: f64| later(rank).map(|[_, time, _]| (time - likely).abs());
        let below = [away(all(reproduction.low) / 2.0), away(half - reach)];
        // Interest that falls as one over the age brings as many from outside with each doubling of it as
        // came with the last.
        let outside = self.ages.since(f64::from(now) / 2.0);
        let most = (all(reproduction.high) + DOUBLINGS_LATER * outside) / 2.0;
        let above = [away(most), away(half + reach)];
        let sum = |parts: [Option<f64>; 2]| {
            let [one, other] = parts.map(Option::unwrap_or_default);
            one.hypot(other).hypot(bins)
        };
        // What has not come yet comes after all that has, as much later as so many take.
        let passed = match above.iter().all(Option::is_some) {
            true => 0.0,
            false => {
                let to_come = (most - peak.after).max(0.0) / outside.max(1e-9);
                let later = to_come.min(DOUBLINGS_LATER).exp2();
                f64::from(now) * later - peak.middle()
            }
        };
        Some(Range {
            low: (likely - sum(below)).max(0.0),
            likely: likely.max(0.0),
            high: (likely + sum(above)).max(passed).max(0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fifty expected children of twenty readers.
    fn newest() -> Newest {
        Newest {
            shared: 50.0,
            undecided: 60.0,
            unknown: 2.0,
            readers: 20.0,
        }
    }

    #[test]
    fn tokens_say_what_part_of_a_rise_readers_sent() {
        let all = newest().reproduction();
        let sure = newest().in_rise(30.0, 0.6);
        assert!((sure.likely / all.likely - 1.0).abs() < 0.1, "{sure:?}");
        assert!(sure.low > 0.7 * sure.likely, "{sure:?}");
        let few = newest().in_rise(3.0, 0.6);
        assert!(
            few.likely < all.likely / 3.0 && few.high < all.low,
            "{few:?}"
        );
        // Where there are no tokens, all of it or hardly any may be readers' shares.
        let unknown = newest().in_rise(0.0, 0.6);
        assert!(
            unknown.low < all.low / 3.0 && unknown.high > 0.9 * all.likely,
            "{unknown:?} {all:?}"
        );
        for range in [all, sure, few, unknown] {
            assert!(0.0 <= range.low && range.low < range.likely && range.likely < range.high);
        }
    }

    #[test]
    fn nobody_brings_nobody() {
        let nobody = Newest {
            shared: 0.0,
            undecided: 0.0,
            unknown: 0.0,
            readers: PRIOR_READERS,
        };
        let range = nobody.in_rise(0.0, 0.0);
        assert!(0.0 <= range.low && range.high.is_finite(), "{range:?}");
    }
}
