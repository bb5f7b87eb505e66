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
//! anything else about them, and is not learned from a site's certain edges: a first edge or two from
//! outside are no sign of it where readers pass little on, and taken for one made R too low there. So
//! it is the mean over possible sites, which is worth most where a content has few certain edges.

use super::state::Spread;

/// Possible sites: logarithm of the odds that nobody passes on a content of [`READERS`], one apart.
const SITES: usize = 15;
/// The least of them.
const RAREST: f64 = -10.0;
/// Readers of a content that the odds are of.
const READERS: f64 = 100.0;
/// By how much the logarithm of the odds falls with that of the readers. A logistic regression over
/// Twitter16, Weibo and the sample of casflow, each with odds of its own, finds .9 to 1.05; 1 to 1.5
/// hold the true R of all three alike.
const FALLS_WITH_READERS: f64 = 1.25;
/// What is believed of sites: mean and standard deviation. The same regression finds the three at -6
/// (none of 409), -3.3 (27 of 1 694) and .5 (19 of 30).
const BETWEEN_SITES: [f64; 2] = [-3.0, 2.0];
/// Gamma law of how often readers' shares are the cause of an edge on contents that are passed on:
/// shape and rate. With it c certain edges from outside and none between readers multiply the odds
/// by (1 + c / rate)^shape, as the same regression finds (exponent 1.3 to 1.4 at rate 2).
const SHARES: [f64; 2] = [1.35, 2.0];
/// By so much at the most visits move the logarithm of the odds: no further than to what is as good as
/// certain, so that odds stay numbers.
const SHOWN_MAX: f64 = 50.0;

/// Probability that nobody passed on a content of so many readers, of which so many certainly came from
/// outside and none from another reader, where what else their visits show multiplies its odds by
/// `shown`.
fn unshared(readers: u32, from_outside: u32, shown: f64) -> f64 {
    let [mean, deviation] = BETWEEN_SITES;
    let size = (f64::from(readers.max(1)) / READERS).powf(-FALLS_WITH_READERS);
    let told = size / none_shared(from_outside) * shown;
    let (mut all, mut unshared) = (0.0, 0.0);
    for number in 0..SITES {
        let log_odds = RAREST + number as f64;
        let off = (log_odds - mean) / deviation;
        let weight = (-off * off / 2.0).exp();
        let odds = log_odds.exp() * told;
        all += weight;
        unshared += weight * odds / (1.0 + odds);
    }
    (unshared / all).clamp(0.0, 1.0)
}

/// Probability that so many certain edges of a content that is passed on are all from outside.
fn none_shared(certain: u32) -> f64 {
    let [shape, rate] = SHARES;
    (1.0 + f64::from(certain) / rate).powf(-shape)
}

impl Spread {
    /// Probability that nobody passed the content on, by its readers so far and its own certain edges. 0
    /// where one is between readers, or there is none yet.
    pub fn unshared(&self) -> f64 {
        self.unshared_where_shown(0.0)
    }

    /// The same where its readers' visits show more than times: `log_ratio` is the logarithm of how much
    /// likelier what they show is where all of them came from outside than where readers came by
    /// links passed on as often as on the site's other contents.
    pub fn unshared_where_shown(&self, log_ratio: f64) -> f64 {
        if self.arrivals == 0 || self.certain > self.certain_outside {
            return 0.0;
        }
        let shown = log_ratio.clamp(-SHOWN_MAX, SHOWN_MAX).exp();
        unshared(self.arrivals, self.certain, shown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fewer_readers_and_the_more_from_outside_the_likelier() {
        let of = |readers, from_outside| unshared(readers, from_outside, 1.0);
        assert!(of(20, 0) > of(100, 0) && of(100, 0) > of(2_000, 0));
        assert!(of(100, 50) > of(100, 5) && of(100, 5) > of(100, 0));
        // A small content may well be one, a large one hardly.
        assert!((0.1..0.5).contains(&of(60, 0)), "{}", of(60, 0));
        assert!(of(2_000, 0) < 0.05, "{}", of(2_000, 0));
        assert!(of(60, 40) > 0.5, "{}", of(60, 40));
    }

    proptest! {
        #[test]
        fn it_is_a_probability(
            readers in any::<u32>(),
            outside in any::<u32>(),
            shown in -SHOWN_MAX..SHOWN_MAX,
        ) {
            let found = unshared(readers, outside, shown.exp());
            prop_assert!((0.0..=1.0).contains(&found), "{}", found);
        }
    }
}
