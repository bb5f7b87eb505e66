//! How well causes are inferred: certain edges, each scored as if its token were missing.
//!
//! They are easier than what is inferred: of two who came by one link the token of either tells of the
//! other, while who comes without a token seldom has such a sibling. So that they are right more often
//! than is said is as it should be, and only the contrary raises an alarm.

use serde::{Deserialize, Serialize};

/// Bins of the reliability curve, of equal width.
pub(super) const BINS: usize = 15;
/// Least probability that a true cause is scored with: one that was never thought of costs 13.8.
const LEAST: f64 = 1e-6;
/// Scored edges before an alarm can be raised.
const ALARM_SCORED_MIN: u64 = 200;
/// How much less often causes are right than is said, beyond chance, that raises it (chains: 3.6).
const ALARM_ERROR: f64 = 0.05;

/// Sums over scored edges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Scores {
    scored: u64,
    log_loss: f64,
    squares: f64,
    right: u64,
    bins: [Bin; BINS],
}

/// Edges whose likeliest cause had a probability within one fifteenth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bin {
    count: u64,
    predicted: f64,
    right: u64,
}

impl Scores {
    /// Counts an edge: the probability of its true cause, that of the likeliest one, and whether
    /// they are the same.
    pub(super) fn add(&mut self, truth: f64, best: f64, right: bool) {
        let best = best.clamp(0.0, 1.0);
        self.scored += 1;
        self.log_loss -= truth.clamp(LEAST, 1.0).ln();
        self.squares += (f64::from(u8::from(right)) - best).powi(2);
        self.right += u64::from(right);
        let bin = &mut self.bins[((best * BINS as f64) as usize).min(BINS - 1)];
        bin.count += 1;
        bin.predicted += best;
        bin.right += u64::from(right);
    }

    pub(super) fn scored(&self) -> u64 {
        self.scored
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.scored > 0).then(|| sum / self.scored as f64)
    }

    /// Mean of −ln p(true cause), nats.
    pub(super) fn log_loss(&self) -> Option<f64> {
        self.mean(self.log_loss)
    }

    /// Mean squared error of the likeliest cause's probability.
    pub(super) fn brier(&self) -> Option<f64> {
        self.mean(self.squares)
    }

    /// Part of the edges whose likeliest cause was the true one.
    pub(super) fn top1(&self) -> Option<f64> {
        self.mean(self.right as f64)
    }

    /// Expected calibration error: mean distance of predicted and observed over the bins, by
    /// their edges.
    pub(super) fn calibration_error(&self) -> Option<f64> {
        let missed = self.bins.iter().map(|bin| bin.predicted - bin.right as f64);
        self.mean(missed.map(f64::abs).sum())
    }

    /// The part of that error by bins that are right less often than is said.
    fn overstated(&self) -> f64 {
        let over = |bin: &Bin| (bin.predicted - bin.right as f64).max(0.0);
        self.bins.iter().map(over).sum::<f64>() / self.scored.max(1) as f64
    }

    /// What that part would be by chance alone, were every probability right: half of the mean
    /// absolute deviation of a binomial share, by its normal law.
    fn overstated_by_chance(&self) -> f64 {
        let deviation = |bin: &Bin| {
            let count = bin.count.max(1) as f64;
            let share = bin.predicted / count;
            (count * share * (1.0 - share).max(0.0) / (2.0 * std::f64::consts::PI)).sqrt()
        };
        self.bins.iter().map(deviation).sum::<f64>() / self.scored.max(1) as f64
    }

    /// True where causes are right less often than is said, by more than a twentieth beyond chance.
    pub(super) fn alarm(&self) -> bool {
        self.scored >= ALARM_SCORED_MIN
            && self.overstated() - self.overstated_by_chance() > ALARM_ERROR
    }

    /// Of each bin: edges, mean probability, part that was right.
    pub(super) fn reliability(&self) -> (Vec<i64>, Vec<f64>, Vec<f64>) {
        let part = |sum: f64, bin: &Bin| match bin.count {
            0 => 0.0,
            count => sum / count as f64,
        };
        let bins = self.bins.iter();
        (
            bins.clone()
                .map(|bin| i64::try_from(bin.count).unwrap_or(i64::MAX))
                .collect(),
            bins.clone().map(|bin| part(bin.predicted, bin)).collect(),
            bins.map(|bin| part(bin.right as f64, bin)).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(right_of: impl Fn(u32) -> bool) -> Scores {
        let mut scores = Scores::default();
        for number in 0..1_000 {
            let right = right_of(number);
            scores.add(if right { 0.8 } else { 0.1 }, 0.8, right);
        }
        scores
    }

    #[test]
    fn what_is_right_as_often_as_it_says_raises_no_alarm() {
        let honest = scores(|number| number % 5 != 0);
        assert!(honest.calibration_error().expect("scored") < 1e-9);
        assert!(!honest.alarm());
        assert_eq!(honest.top1(), Some(0.8));
        assert!((honest.brier().expect("scored") - 0.16).abs() < 1e-9);
        let loss = -(0.8 * 0.8f64.ln() + 0.2 * 0.1f64.ln());
        assert!((honest.log_loss().expect("scored") - loss).abs() < 1e-9);
        let (counts, predicted, observed) = honest.reliability();
        assert_eq!((counts.len(), counts[12]), (BINS, 1_000));
        assert!((predicted[12] - 0.8).abs() < 1e-9 && (observed[12] - 0.8).abs() < 1e-9);
    }

    #[test]
    fn what_is_right_more_often_than_it_says_raises_none() {
        let modest = scores(|_| true);
        assert!((modest.calibration_error().expect("scored") - 0.2).abs() < 1e-9);
        assert!(!modest.alarm());
    }

    #[test]
    fn what_is_wrong_too_often_raises_one_once_there_are_enough() {
        let boastful = scores(|number| number % 2 == 0);
        assert!((boastful.calibration_error().expect("scored") - 0.3).abs() < 1e-9);
        assert!(boastful.alarm());
        let mut few = Scores::default();
        for _ in 0..50 {
            few.add(0.1, 0.9, false);
        }
        assert!(!few.alarm());
        assert_eq!(Scores::default().calibration_error(), None);
        // A cause that was never thought of costs much, not infinitely much.
        few.add(0.0, 2.0, false);
        assert!(few.log_loss().expect("scored").is_finite());
    }
}
