//! When a content was read: arrivals by its age, in bins of a quarter of an octave.

use serde::{Deserialize, Serialize};

/// Ages up to this count as one bin, seconds.
const FIRST: u32 = 64;
/// Bins: up to 136 years.
const BINS: usize = 4 * 27;

/// Arrivals by age. Memory is what ages were seen: 250 bytes at a month.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ages {
    counts: Vec<u32>,
}

/// The busiest bin, and what came after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    at: usize,
    /// Arrivals in the later bins.
    pub(super) after: f64,
}

impl Peak {
    /// Age in the middle of the bin, seconds.
    pub(super) fn middle(&self) -> f64 {
        (start(self.at) + end(self.at)) / 2.0
    }
}

impl Ages {
    pub(super) fn add(&mut self, age: u32) {
        let bin = bin(age);
        if self.counts.len() <= bin {
            self.counts.reserve_exact(bin + 1 - self.counts.len());
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] = self.counts[bin].saturating_add(1);
    }

    /// The bin with the most arrivals a second, one arrival less in each so that a lone one makes no
    /// peak; the earliest on a tie. None before the second arrival.
    pub(super) fn peak(&self) -> Option<Peak> {
        let mut best = (0.0, None);
        for (at, count) in self.counts.iter().enumerate() {
            let rate = (f64::from(*count) - 1.0) / (end(at) - start(at));
            if rate > best.0 {
                best = (rate, Some(at));
            }
        }
        let at = best.1?;
        let later = self.counts[at + 1..].iter();
        Some(Peak {
            at,
            after: later.map(|count| f64::from(*count)).sum(),
        })
    }

    /// Seconds from the middle of the peak to the later arrival of that rank, from 0 before the first
    /// to [`Peak::after`]: the shortest and the longest that the bins leave open, and between them
    /// what an even spread within bins says. None beyond the last.
    pub(super) fn later(&self, peak: Peak, rank: f64) -> Option<[f64; 3]> {
        if peak.after < 1.0 || rank > peak.after {
            return None;
        }
        let rank = rank.max(0.0);
        let mut seen = 0.0;
        for (at, count) in self.counts.iter().enumerate().skip(peak.at + 1) {
            let count = f64::from(*count);
            if count > 0.0 && seen + count >= rank {
                let within = start(at) + (end(at) - start(at)) * (rank - seen) / count;
                return Some([
                    start(at) - end(peak.at),
                    within - peak.middle(),
                    end(at) - start(peak.at),
                ]);
            }
            seen += count;
        }
        None
    }

    /// Arrivals of that age and more, by whole bins.
    pub(super) fn since(&self, age: f64) -> f64 {
        let bins = self.counts.iter().enumerate();
        let late = bins.filter(|(at, _)| start(*at) >= age);
        late.map(|(_, count)| f64::from(*count)).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.counts.capacity() * std::mem::size_of::<u32>()
    }
}

/// Bin of an age: quarters of an octave, the first one up to [`FIRST`].
fn bin(age: u32) -> usize {
    if age < FIRST {
        return 0;
    }
    // The two bits below the highest are the quarter, by equal widths.
    let octave = age.ilog2();
    let quarter = age >> (octave - 2) & 3;
    (4 * (octave - FIRST.ilog2()) + quarter) as usize + 1
}

/// First age of a bin, seconds.
fn start(bin: usize) -> f64 {
    match bin.min(BINS) {
        0 => 0.0,
        bin => {
            let (octave, quarter) = ((bin - 1) / 4, (bin - 1) % 4);
            f64::from(FIRST) * 2f64.powi(octave as i32) * (1.0 + quarter as f64 / 4.0)
        }
    }
}

/// First age after a bin.
fn end(bin: usize) -> f64 {
    start(bin + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_age_lies_in_its_bin(age: u32) {
            let at = bin(age);
            prop_assert!(at < BINS, "{}", at);
            prop_assert!(start(at) <= f64::from(age) && f64::from(age) < end(at));
        }

        #[test]
        fn the_half_life_is_that_of_the_list(ages in prop::collection::vec(0u32..2_000_000, 2..200)) {
            let mut counted = Ages::default();
            ages.iter().for_each(|age| counted.add(*age));
            let Some(peak) = counted.peak() else { return Ok(()) };
            let mut later: Vec<f64> = ages.iter().map(|age| f64::from(*age)).collect();
            later.retain(|age| *age >= end(peak.at));
            later.sort_by(f64::total_cmp);
            prop_assert_eq!(later.len() as f64, peak.after);
            let Some([low, likely, high]) = counted.later(peak, peak.after / 2.0) else {
                prop_assert!(later.is_empty());
                return Ok(());
            };
            let half = later[later.len().div_ceil(2) - 1];
            prop_assert!(low <= half - start(peak.at) && half - end(peak.at) <= high);
            prop_assert!(low <= likely && likely <= high);
            // A later one came later.
            if let Some([_, longer, _]) = counted.later(peak, peak.after / 2.0 + 0.5) {
                prop_assert!(longer >= likely);
            }
            prop_assert!(counted.later(peak, -1.0).is_some_and(|[_, first, _]| first <= likely));
            prop_assert_eq!(counted.later(peak, 1e9), None);
        }
    }
}
