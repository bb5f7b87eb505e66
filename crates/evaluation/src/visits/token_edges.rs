//! How well the edges of tokens say whether they were passed on, or are the reader's own.

use serde::Serialize;

/// Bins of the stated probability, each a tenth wide.
const BINS: usize = 10;

/// Landings whose token the product took for somebody's, held against the truth. Of none every figure is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TokenEdges {
    /// Landings.
    pub landings: usize,
    /// Mean stated probability that the token was passed on.
    pub stated: Option<f64>,
    /// Part of which it was.
    pub passed_on: Option<f64>,
    /// Of those passed on by a reader whose visit came too, the part that the token's owner sent himself. The others sent
    /// the token of an earlier link: they forwarded a message, or their page gave them none.
    pub sent_by_owner: Option<f64>,
    /// Expected calibration error, ten bins.
    pub ece: Option<f64>,
}

/// One site's, by the stated probability.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    bins: [Bin; BINS],
    /// Of those passed on by a reader whose visit came too, how many the owner sent, and all.
    sent_by_owner: [usize; 2],
}

/// What is true of a landing by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrueToken {
    /// It is the reader's own.
    Own,
    /// It was passed on, by somebody whose visit did not come.
    PassedOn,
    /// It was passed on by its owner.
    ByOwner,
    /// It was passed on by another, whose visit came too.
    ByAnother,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    landings: usize,
    stated: f64,
    passed_on: usize,
}

impl Counts {
    pub(super) fn add(&mut self, stated: f64, truth: TrueToken) {
        let bin = &mut self.bins[((stated * BINS as f64) as usize).min(BINS - 1)];
        bin.landings += 1;
        bin.stated += stated;
        bin.passed_on += usize::from(truth != TrueToken::Own);
        let [by_owner, known] = &mut self.sent_by_owner;
        *by_owner += usize::from(truth == TrueToken::ByOwner);
        *known += usize::from(matches!(truth, TrueToken::ByOwner | TrueToken::ByAnother));
    }

    /// All sites together.
    pub(super) fn measured(all: impl Iterator<Item = Counts>) -> TokenEdges {
        let Counts {
            bins,
            sent_by_owner: [by_owner, known],
        } = all.fold(Counts::default(), |mut sums, site| {
            for (sum, part) in sums.sent_by_owner.iter_mut().zip(site.sent_by_owner) {
                *sum += part;
            }
            for (sum, bin) in sums.bins.iter_mut().zip(site.bins) {
                sum.landings += bin.landings;
                sum.stated += bin.stated;
                sum.passed_on += bin.passed_on;
            }
            sums
        });
        let landings = bins.iter().map(|bin| bin.landings).sum::<usize>();
        let mean = |sum: f64| (landings > 0).then(|| sum / landings as f64);
        TokenEdges {
            landings,
            stated: mean(bins.iter().map(|bin| bin.stated).sum()),
            passed_on: mean(bins.iter().map(|bin| bin.passed_on as f64).sum()),
            sent_by_owner: (known > 0).then(|| by_owner as f64 / known as f64),
            ece: mean(
                bins.iter()
                    .map(|bin| (bin.stated - bin.passed_on as f64).abs())
                    .sum(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stated_is_held_against_what_was_passed_on() {
        let mut one = Counts::default();
        let mut other = Counts::default();
        for number in 0..10 {
            one.add(0.9, [TrueToken::ByOwner, TrueToken::Own][number / 9]);
            other.add(0.3, [TrueToken::ByAnother, TrueToken::Own][number / 5]);
        }
        let found = Counts::measured([one, other].into_iter());
        assert_eq!(found.landings, 20);
        let close = |found: Option<f64>, expected: f64| {
            assert!(
                (found.expect("counted") - expected).abs() < 1e-9,
                "{found:?}"
            );
        };
        close(found.stated, 0.6);
        close(found.passed_on, 0.7);
        close(found.ece, 0.1);
        close(found.sent_by_owner, 9.0 / 14.0);
        let none = Counts::measured(std::iter::empty());
        assert_eq!((none.ece, none.sent_by_owner), (None, None));
        other.add(1.0, TrueToken::PassedOn);
        assert_eq!(other.bins[BINS - 1].landings, 1);
    }
}
