//! What a site teaches about all of its contents: its laws, its own weights, how often tokens
//! survive, and what a visit's own evidence is worth beside the times.

use serde::{Deserialize, Serialize};

use super::learned::Learned;
use super::scores::Scores;
use super::strangers::Strangers;
use crate::causes::{MarkLaws, Weights};

/// Prior of the odds of the outside that the weights alone give: those of published cascades, with
/// the weight of 45 arrivals.
const ODDS_PRIOR: [f64; 2] = [32.0, 13.0];
/// Arrivals after which an older one counts by 1/e.
const ODDS_MEMORY: f64 = 4_096.0;
/// What one unit of the balance's log-odds moves before anything is inferred, visits.
const BALANCE_PRIOR: f64 = 20.0;
/// Where the balance starts, log-odds: simulated sites come to about as much (`grapevine evaluate
/// visits --drawn`).
const BALANCE_START: f64 = -0.8;
/// The balance at most, log-odds.
const BALANCE_MAX: f64 = 3.0;
/// Weight of an even day in each hour's counts, arrivals an hour.
const HOUR_PRIOR: f64 = 8.0;
/// Probabilities are kept this far from 0 and 1 where odds are made of them.
const SURE: f64 = 1e-4;
/// Prior of a token's survival where a site gives any: one of four (our reading), …
const SURVIVAL_PRIOR: [f64; 2] = [1.0, 3.0];
/// … and what it is at most, since some share sheets drop everything.
const SURVIVAL_MAX: f64 = 0.95;
/// Tokens given by a button or a copy before their return says something.
const GIVEN_MIN: u32 = 20;

/// A site's profile. Bounded: the laws at 110 kB, lessons at 600 kB while they are collected.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Site {
    pub(super) name: Box<str>,
    pub(super) laws: MarkLaws,
    pub(super) learned: Learned,
    pub(super) scores: Scores,
    /// Scored edges when the last record was written.
    pub(super) scored_written: u64,
    /// Event time of the last certain edge.
    pub(super) last: i64,
    /// Added to the log-odds of the outside, so that what is inferred sums to what the evidence does.
    balance: f64,
    /// Decayed sum of p (1 − p) over what was inferred: what a unit of log-odds moves.
    moved: f64,
    /// Decayed sums of P(outside) and P(share) as the weights alone give them.
    odds: [f64; 2],
    /// Decayed sums over arrivals whose cause no fact tells: 1 − P(passed on), P(passed on).
    evidence: [f64; 2],
    /// Arrivals by hour of the day, UTC: from outside for certain, by a token.
    hours: [[u32; 24]; 2],
    /// Arrivals by a share: proven with the parent, and expected of all others.
    proven: f64,
    expected: f64,
    /// True once any token was given or has arrived.
    gives_tokens: bool,
    previews: u32,
    previews_with_token: u32,
    given: u32,
    returned: u32,
    pub(super) strangers: Strangers,
}

impl Site {
    pub(super) fn new(name: &str) -> Site {
        Site {
            name: name.into(),
            laws: MarkLaws::default(),
            learned: Learned::default(),
            scores: Scores::default(),
            scored_written: 0,
            last: 0,
            balance: BALANCE_START,
            moved: 0.0,
            odds: ODDS_PRIOR,
            evidence: ODDS_PRIOR,
            hours: [[0; 24]; 2],
            proven: 0.0,
            expected: 0.0,
            gives_tokens: false,
            previews: 0,
            previews_with_token: 0,
            given: 0,
            returned: 0,
            strangers: Strangers::default(),
        }
    }

    pub(super) fn weights(&self) -> &Weights {
        self.learned.weights()
    }

    /// What a visit's own evidence adds to the log-odds of the outside: those of its probability of
    /// having been passed on, against those that the weights give to the site's mean arrival, and the
    /// balance of both. So the mean of what is inferred is the mean of the evidence, and times, marks
    /// and tokens say which visits and whose. That it came without a token is in its evidence.
    pub(super) fn outside_log_odds(&self, dark: f64, time: i64) -> f64 {
        let dark = dark.clamp(SURE, 1.0 - SURE);
        let evidence = ((1.0 - dark) / dark).ln() - self.mean_log_odds();
        evidence + self.balance + self.hour_log_ratio(time)
    }

    /// Log-odds of the outside that the weights alone give to the site's mean arrival.
    pub(super) fn mean_log_odds(&self) -> f64 {
        let [outside, shared] = self.odds;
        (outside / shared).ln()
    }

    /// What is added to the log-odds of the outside so that what is inferred sums to what the
    /// evidence does, from −3 to 3.
    pub(super) fn balanced_by(&self) -> f64 {
        self.balance
    }

    /// Arrivals by hour of the day, UTC, from midnight on: from outside for certain, by a token.
    pub(super) fn hours(&self) -> [Vec<i64>; 2] {
        self.hours
            .map(|counts| counts.into_iter().map(i64::from).collect())
    }

    /// Moves the balance by what was inferred of a visit, against its own evidence: a step of
    /// Newton's in the sum of both, so that it is found fast and then stands still. The first
    /// reader of a content has nobody to come from, whatever his evidence says; others are the
    /// likelier to have been sent for it.
    pub(super) fn balance(&mut self, dark: f64, shared: f64) {
        self.moved = self.moved * (1.0 - 1.0 / ODDS_MEMORY) + shared * (1.0 - shared);
        let step = (shared - dark.clamp(0.0, 1.0)) / (self.moved + BALANCE_PRIOR);
        if step.is_finite() {
            self.balance = (self.balance + step).clamp(-BALANCE_MAX, BALANCE_MAX);
        }
    }

    /// Counts the P(passed on) of an arrival whose cause no fact tells, and says by how much what its visit
    /// shows moves the logarithm of the odds that it came from outside for certain: ln P(shown | outside) /
    /// P(shown) of a mean arrival of the site.
    pub(super) fn shown(&mut self, passed_on: f64) -> f64 {
        let passed_on = passed_on.clamp(0.0, 1.0);
        let [outside, shared] = self.evidence;
        let mean = outside / (outside + shared);
        let kept = 1.0 - 1.0 / ODDS_MEMORY;
        self.evidence = [outside * kept + 1.0 - passed_on, shared * kept + passed_on];
        ((1.0 - passed_on).max(SURE) / mean.max(SURE)).ln()
    }

    /// ln P(hour | outside) / P(hour | shared).
    fn hour_log_ratio(&self, time: i64) -> f64 {
        let hour = hour_of(time);
        let share = |counts: &[u32; 24]| {
            let all: f64 = counts.iter().copied().map(f64::from).sum();
            (f64::from(counts[hour]) + HOUR_PRIOR) / (all + 24.0 * HOUR_PRIOR)
        };
        let [outside, shared] = &self.hours;
        (share(outside) / share(shared)).ln()
    }

    /// Counts the odds of the outside that an arrival was given, `added` to its log-odds.
    pub(super) fn count_odds(&mut self, outside: f64, added: f64) {
        let shared = (1.0 - outside).max(1e-15);
        // Odds without what was added.
        let alone = outside / shared * (-added).exp();
        let outside = if alone.is_finite() {
            alone / (1.0 + alone)
        } else {
            1.0
        };
        let kept = 1.0 - 1.0 / ODDS_MEMORY;
        let [of_outside, of_shares] = self.odds;
        self.odds = [
            of_outside * kept + outside,
            (of_shares * kept + 1.0 - outside).max(1e-6),
        ];
    }

    /// Counts a cause that is known: the outside or a share, and where its sharer is known, how probably
    /// it is his.
    pub(super) fn count_known(&mut self, time: i64, outside: bool, parent: Option<f64>) {
        let counts = &mut self.hours[usize::from(!outside)];
        let hour = hour_of(time);
        counts[hour] = counts[hour].saturating_add(1);
        if !outside {
            self.gives_tokens = true;
            self.proven += parent.unwrap_or_default();
        }
    }

    /// Counts the expected share of an arrival whose sharer is not known.
    pub(super) fn count_expected(&mut self, shared: f64) {
        self.expected += shared.clamp(0.0, 1.0);
    }

    /// Part of the arrivals by shares that are proven with their parent. As many of those that
    /// came from outside for certain may be told to the weights as such, or labels would hang on
    /// the cause.
    pub(super) fn proven_part(&self) -> f64 {
        let all = self.proven + self.expected;
        if all > 0.0 { self.proven / all } else { 0.0 }
    }

    /// A token was given.
    pub(super) fn gave_token(&mut self) {
        self.gives_tokens = true;
    }

    /// A preview was fetched.
    pub(super) fn previewed(&mut self, with_token: bool) {
        self.previews = self.previews.saturating_add(1);
        self.previews_with_token = self
            .previews_with_token
            .saturating_add(u32::from(with_token));
        self.gives_tokens |= with_token;
    }

    /// A button or a copy gave a token.
    pub(super) fn gave(&mut self) {
        self.given = self.given.saturating_add(1);
    }

    /// One of these came back for the first time.
    pub(super) fn came_back(&mut self) {
        self.returned = self.returned.saturating_add(1);
    }

    /// Probability that a shared link still carries its token (chains: 3.5): by the previews that
    /// were fetched with one, and no less than the part of tokens given by buttons and copies that
    /// came back. 0 on a site that gives none.
    pub(super) fn token_survival(&self) -> f64 {
        if !self.gives_tokens {
            return 0.0;
        }
        let [with, without] = SURVIVAL_PRIOR;
        let by_previews = (f64::from(self.previews_with_token) + with)
            / (f64::from(self.previews) + with + without);
        let came_back = match self.given >= GIVEN_MIN {
            true => f64::from(self.returned) / f64::from(self.given),
            false => 0.0,
        };
        by_previews.max(came_back).min(SURVIVAL_MAX)
    }
}

fn hour_of(time: i64) -> usize {
    (time.div_euclid(3_600_000).rem_euclid(24)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_visit_is_judged_by_its_own_evidence() {
        let mut site = Site::new("s");
        site.balance = 0.0;
        // The weights see nine of ten from outside; a visit is dark with .4.
        for _ in 0..40_000 {
            site.count_odds(0.9, 0.0);
        }
        let added = site.outside_log_odds(0.4, 0);
        let judged = 9.0 * added.exp();
        assert!((judged - 0.6 / 0.4).abs() < 0.01, "{judged}");
        // What was added is taken out again before it is counted.
        let (outside, shared) = (judged / (1.0 + judged), 1.0 / (1.0 + judged));
        assert!((outside + shared - 1.0).abs() < 1e-12);
        let before = site.odds;
        for _ in 0..10_000 {
            site.count_odds(outside, added);
        }
        assert!((site.odds[0] / site.odds[1] - before[0] / before[1]).abs() < 0.05);
        assert!((site.mean_log_odds() - 9f64.ln()).abs() < 0.01);
        for (outside, added) in [(1.0, 700.0), (0.0, -700.0), (1.0, -700.0)] {
            site.count_odds(outside, added);
            assert!(site.outside_log_odds(1.0, 0).is_finite());
        }
    }

    #[test]
    fn what_is_inferred_sums_to_the_evidence() {
        let mut site = Site::new("s");
        let (mut inferred, mut evidence) = (0.0, 0.0);
        for number in 0..20_000 {
            let dark = [0.9, 0.1][number % 2];
            // A quarter are first readers, who have nobody to come from; of the others the weights are
            // off by one in log-odds.
            let shared = match number % 8 < 2 {
                true => 0.0,
                false => {
                    let odds = site.outside_log_odds(dark, 0) + (32.0f64 / 13.0).ln() + 1.0;
                    1.0 / (1.0 + odds.exp())
                }
            };
            site.balance(dark, shared);
            if number >= 10_000 {
                (inferred, evidence) = (inferred + shared, evidence + dark);
            }
        }
        assert!(
            (inferred / evidence - 1.0).abs() < 0.02,
            "{inferred} {evidence}"
        );
        site.balance(f64::NAN, 0.5);
        for _ in 0..100_000 {
            site.balance(1.0, 0.0);
        }
        assert!(site.balance >= -BALANCE_MAX && site.outside_log_odds(0.5, 0).is_finite());
    }

    #[test]
    fn hours_in_which_little_is_searched_are_hours_of_shares() {
        let mut site = Site::new("s");
        let night = 3 * 3_600_000;
        let noon = 12 * 3_600_000;
        assert_eq!(site.hour_log_ratio(night), 0.0);
        for number in 0..1_000 {
            site.count_known(if number % 10 == 0 { night } else { noon }, true, None);
            site.count_known(if number % 2 == 0 { night } else { noon }, false, Some(1.0));
        }
        let told = site.hours();
        assert_eq!([told[0][3], told[0][12]], [100, 900]);
        assert_eq!([told[1][3], told[1][12]], [500, 500]);
        assert!(site.hour_log_ratio(night) < -1.0);
        assert!(site.hour_log_ratio(noon) > 0.3);
        assert!(site.hour_log_ratio(-1).is_finite());
    }

    #[test]
    fn tokens_survive_as_often_as_previews_show_them() {
        let mut site = Site::new("s");
        assert_eq!(site.token_survival(), 0.0);
        site.gave_token();
        assert_eq!(site.token_survival(), 0.25);
        for number in 0..1_000 {
            site.previewed(number % 10 < 8);
        }
        assert!((site.token_survival() - 0.8).abs() < 0.01);
        let mut by_buttons = Site::new("s");
        by_buttons.gave_token();
        for number in 0..100 {
            by_buttons.gave();
            if number % 2 == 0 {
                by_buttons.came_back();
            }
        }
        assert_eq!(by_buttons.token_survival(), 0.5);
    }

    #[test]
    fn labels_from_outside_are_as_frequent_as_those_of_shares() {
        let mut site = Site::new("s");
        assert_eq!(site.proven_part(), 0.0);
        for number in 0..100 {
            match number % 4 == 0 {
                true => site.count_known(0, false, Some(1.0)),
                false => site.count_expected(1.0),
            }
            site.count_expected(0.25);
        }
        // 25 of 100 tokens, and 25 expected among those without.
        assert!((site.proven_part() - 0.2).abs() < 1e-9);
    }
}
