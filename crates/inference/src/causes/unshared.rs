//! Contents that nobody passes on.
//!
//! Most contents that people open are never passed on by any of them (Goel, Watts and Goldstein 2012
//! count 70 to 95 % of cascades that are a single node, and 1 to 4 % beyond one degree), and no sum of
//! probabilities can say so: where each reader has come from an earlier one with some probability, a
//! little spreading is stated of a content that has none. So a content's R, and the shape of its trees,
//! are believed to be those of the weights, or with some probability nothing at all: every reader
//! came from outside.
//!
//! That probability follows from how many readers there are and from the content's own certain edges;
//! one between readers rules it out. How common such contents are differs between sites more than
//! anything else about them, so it is learned: the likelihood of a grid of possible sites, from
//! certain edges alone, each by what those before it and the content's readers by then had said. Sums
//! commute, so edges of different contents may come in any order.

use serde::{Deserialize, Serialize};

use super::state::Spread;

/// Possible sites: logarithm of the odds that nobody passes on a content of [`READERS`], one apart.
const SITES: usize = 15;
/// The least of them.
const RAREST: f64 = -10.0;
/// Readers of a content that the grid is of.
const READERS: f64 = 100.0;
/// By how much the logarithm of the odds falls with that of the readers. A logistic regression over
/// Twitter16, Weibo and the sample of casflow, each with odds of its own, finds .9 to 1.05; 1 to 1.5
/// hold the true R of all three alike.
const FALLS_WITH_READERS: f64 = 1.25;
/// What is believed of a site of which nothing is known: mean and standard deviation. The same
/// regression finds the three at -6 (none of 409), -3.3 (27 of 1 694) and .5 (19 of 30).
const BETWEEN_SITES: [f64; 2] = [-3.0, 2.0];
/// Gamma law of how often readers' shares are the cause of an edge on contents that are passed on:
/// shape and rate. With it c certain edges from outside and none between readers multiply the odds
/// by (1 + c / rate)^shape, as the same regression finds (exponent 1.3 to 1.4 at rate 2).
const SHARES: [f64; 2] = [1.35, 2.0];

/// How common contents are on a site that nobody passes on, by what its certain edges have shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnsharedLaw {
    /// Logarithm of the likelihood of each possible site, the greatest 0.
    log_likelihood: [f64; SITES],
}

impl Default for UnsharedLaw {
    /// No certain edge yet.
    fn default() -> Self {
        UnsharedLaw {
            log_likelihood: [0.0; SITES],
        }
    }
}

impl UnsharedLaw {
    /// Counts a certain edge of a content of so many readers; `before` it were so many, all from
    /// outside. What follows the first edge between readers says no more: nothing is left to learn
    /// of that content.
    pub(super) fn count(&mut self, readers: u32, before: u32, from_outside: bool) {
        let shared = 1.0 - none_shared(before.saturating_add(1)) / none_shared(before);
        self.learn(readers, before, |unshared| match from_outside {
            true => 1.0 - (1.0 - unshared) * shared,
            false => (1.0 - unshared) * shared,
        });
    }

    /// Counts a content all of whose edges are known.
    pub fn count_whole(&mut self, readers: u32, unshared: bool) {
        self.learn(readers, 0, |probability| match unshared {
            true => probability,
            false => 1.0 - probability,
        });
    }

    /// Multiplies by a likelihood that follows from the probability that such a content is one that
    /// nobody passes on.
    fn learn(&mut self, readers: u32, from_outside: u32, likelihood: impl Fn(f64) -> f64) {
        let sites = by_site(readers, from_outside);
        let mut greatest = f64::NEG_INFINITY;
        for (log, unshared) in self.log_likelihood.iter_mut().zip(sites) {
            *log += likelihood(unshared).max(f64::MIN_POSITIVE).ln();
            greatest = greatest.max(*log);
        }
        for log in &mut self.log_likelihood {
            *log -= greatest;
        }
    }

    /// Probability that nobody passed on a content of so many readers, of which so many certainly
    /// came from outside and none from another reader.
    pub fn probability(&self, readers: u32, from_outside: u32) -> f64 {
        let [mean, deviation] = BETWEEN_SITES;
        let sites = by_site(readers, from_outside);
        let (mut all, mut unshared) = (0.0, 0.0);
        for (number, (log, probability)) in self.log_likelihood.iter().zip(sites).enumerate() {
            let off = (RAREST + number as f64 - mean) / deviation;
            let weight = (log - off * off / 2.0).exp();
            all += weight;
            unshared += weight * probability;
        }
        // The likeliest site by the likelihood weighs more than nothing, so `all` is above 0.
        (unshared / all).clamp(0.0, 1.0)
    }
}

/// Probability that so many certain edges of a content that is passed on are all from outside.
fn none_shared(certain: u32) -> f64 {
    let [shape, rate] = SHARES;
    (1.0 + f64::from(certain) / rate).powf(-shape)
}

/// The same as [`UnsharedLaw::probability`] on each of the possible sites.
fn by_site(readers: u32, from_outside: u32) -> [f64; SITES] {
    let size = (f64::from(readers.max(1)) / READERS).powf(-FALLS_WITH_READERS);
    let mut odds = RAREST.exp() * size / none_shared(from_outside);
    [(); SITES].map(|()| {
        let probability = odds / (1.0 + odds);
        odds *= std::f64::consts::E;
        probability
    })
}

impl Spread {
    /// Probability that nobody passed the content on, by the site's law, its readers so far and its
    /// own certain edges. 0 where one is between readers, or there is none yet.
    pub fn unshared(&self, law: &UnsharedLaw) -> f64 {
        if self.arrivals == 0 || self.certain > self.certain_outside {
            return 0.0;
        }
        law.probability(self.arrivals, self.certain)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fewer_readers_and_the_more_from_outside_the_likelier() {
        let law = UnsharedLaw::default();
        let of = |readers, outside| law.probability(readers, outside);
        assert!(of(20, 0) > of(100, 0) && of(100, 0) > of(2_000, 0));
        assert!(of(100, 50) > of(100, 5) && of(100, 5) > of(100, 0));
        // Of a site of which nothing is known a small content may well be one, a large one hardly.
        assert!((0.1..0.5).contains(&of(60, 0)), "{}", of(60, 0));
        assert!(of(2_000, 0) < 0.05, "{}", of(2_000, 0));
        assert!(of(60, 40) > 0.5, "{}", of(60, 40));
    }

    #[test]
    fn a_site_is_learned_from_certain_edges_and_from_whole_contents() {
        let (mut still, mut busy) = (UnsharedLaw::default(), UnsharedLaw::default());
        for _ in 0..30 {
            for before in 0..10 {
                still.count(100, before, true);
            }
            busy.count(100, 0, true);
            busy.count(100, 1, false);
        }
        let before = UnsharedLaw::default().probability(100, 0);
        assert!(still.probability(100, 0) > 0.5, "{still:?}");
        assert!(busy.probability(100, 0) < before / 2.0, "{busy:?}");
        let mut whole = UnsharedLaw::default();
        for number in 0..30 {
            whole.count_whole(100, number % 3 > 0);
        }
        let found = whole.probability(100, 0);
        assert!((found - 2.0 / 3.0).abs() < 0.1, "{found}");
    }

    proptest! {
        #[test]
        fn it_is_a_probability_and_contents_come_in_any_order(
            edges in prop::collection::vec((any::<u32>(), 0u32..1_000_000, any::<bool>()), 0..40),
            readers in any::<u32>(),
            outside in any::<u32>(),
        ) {
            let learned = |edges: &mut dyn Iterator<Item = &(u32, u32, bool)>| {
                let mut law = UnsharedLaw::default();
                for (readers, before, from_outside) in edges {
                    law.count(*readers, *before, *from_outside);
                }
                law.probability(readers, outside)
            };
            let found = learned(&mut edges.iter());
            prop_assert!((0.0..=1.0).contains(&found), "{}", found);
            let backwards = learned(&mut edges.iter().rev());
            prop_assert!((found - backwards).abs() < 1e-6, "{} {}", found, backwards);
        }
    }
}
