//! Survival, intercept and slope from counts: the posterior over them, on a grid of survivals.
//!
//! A landing has a token with probability q = ρ p / π + ω (1 - p) ([`super::tokens`]), p = σ(f + c + b + s (f -
//! mean)) where f is what the facts say but for others who came of late by known ways, and c what these add on
//! the average. For one survival ρ, the intercept b, the slope s and ln ω have the likelihood Π q^t (1 -
//! q)^(n-t) over the bins, and normal priors; their mode by Fisher scoring, their width by Laplace's
//! approximation. ρ has a Beta law: what is believed before, and the links whose way is known. The slope keeps
//! facts that are worth less on a site than the model says from being taken for another survival; ω, that
//! tokens of readers who come back are taken for links passed on.

use std::sync::Arc;

use grapevine_event::{Evidence, Visit};
use serde::{Deserialize, Serialize};

use super::PrivateReaders;
use super::site::{FACT_BINS, Facts, sigmoid};
use super::solve::solved;
use super::tokens::{OwnTokens, TokenLaw};
use crate::classification::{add_to_odds, most_probable, replace_prior_by};
use crate::evidence;
use crate::model::{Model, Range, Weight};

/// Survivals that are tried.
const GRID: usize = 25;
/// Standard deviations of what is believed of the survival that the grid reaches to each side.
const GRID_REACH: f64 = 2.6;
/// Links of known way count as this many at the most: apps that name themselves, and those that
/// fetch previews, lose tokens as the others do, but not exactly so. Our reading.
const KNOWN_MAX: f64 = 400.0;
/// Landings that one share brings are not independent of each other: their number counts as many
/// times less as a landing's token has landings, at least this. Our reading.
const DESIGN_EFFECT_MIN: f64 = 2.0;
/// Arrivals by named apps that what is usual elsewhere is worth.
const NAMED_WORTH: f64 = 10.0;
/// Normal quantile of a 90 % range.
const QUANTILE: f64 = 1.645;
const INTERCEPT_MAX: f64 = 4.0;
/// Facts stay worth something, and not more than thrice what the model says.
const SLOPES: [f64; 2] = [-0.9, 2.0];
/// Natural logarithm of the part of landings that nobody passed on which come by an own token.
const LOG_OWN: [f64; 2] = [-12.0, -0.1];
/// Part of the landings on either side of those that what facts are worth is taken to be learned from.
const REACH_BEYOND: f64 = 0.05;
const STEPS: usize = 15;

/// What is known of a site's tokens.
pub(super) struct Seen<'s> {
    pub(super) facts: &'s [Facts; FACT_BINS],
    /// What others who came of late add to the log-odds of a private link, on the average over landings by how
    /// little is known without.
    pub(super) company: f64,
    /// Private landings, as was predicted, by how many others came by private links of late.
    pub(super) private: [f64; PrivateReaders::ALL.len()],
    /// What tells of readers' own tokens.
    pub(super) own: OwnTokens,
    pub(super) known: f64,
    pub(super) known_with_token: f64,
    /// Landings that the token of a landing has, on average over landings; 0 where none has one.
    pub(super) landings_a_token: f64,
    /// Visits of people.
    pub(super) visits: f64,
    /// Of those, by private apps that name themselves; `None` where they are too few to say anything.
    pub(super) named: Option<f64>,
}

impl Seen<'_> {
    fn tokens(&self) -> f64 {
        self.facts.iter().map(|facts| facts.tokens).sum()
    }

    fn design_effect(&self) -> f64 {
        self.landings_a_token.max(DESIGN_EFFECT_MIN)
    }

    /// Mean and standard deviation of the intercept before any token is looked at.
    fn before_tokens(&self, model: &Model) -> [f64; 2] {
        let site = &model.site;
        let Some(named) = self.named else {
            return [0.0, site.intercept_spread];
        };
        let worth = NAMED_WORTH / site.named_part;
        let part = (named + NAMED_WORTH) / (self.visits.max(named) + worth);
        let mean = site.named_slope * (part / site.named_part).ln();
        let unknown = worth / (self.visits + worth);
        let [known, all] = [site.named_spread, site.intercept_spread].map(|spread| spread * spread);
        let variance = known + (all - known).max(0.0) * unknown;
        [mean.clamp(-INTERCEPT_MAX, INTERCEPT_MAX), variance.sqrt()]
    }
}

/// What a site's own tokens say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    #[serde(with = "shared")]
    version: Arc<str>,
    intercept: [f64; 3],
    slope: f64,
    /// Log-odds of the mean landing, of which `intercept` is; others of late not looked at, as in `reach`.
    mean: f64,
    /// Log-odds of most landings that `slope` was learned from: the least and the most.
    reach: [f64; 2],
    /// `None` where the site's links carry no tokens.
    survival: Option<[f64; 3]>,
    /// The same beside nobody who came by a private link of late.
    survival_alone: Option<[f64; 3]>,
    /// Part of landings that nobody passed on which come by the reader's own token; `None` likewise.
    own: Option<[f64; 3]>,
}

impl Learned {
    /// Version of model, signals and of what was learned, as written into visits.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// What the site adds to the log-odds of a private link where the facts say `alone`
    /// ([`Marked::alone`](super::Marked::alone)). What facts are worth was learned between the log-odds of
    /// landings that were seen, and is not drawn on beyond: home pages, of which nothing was learned, are far
    /// below.
    pub fn adds(&self, alone: f64) -> f64 {
        let [least, most] = self.reach;
        self.intercept[1] + self.slope * (alone.clamp(least, most) - self.mean)
    }

    /// What the site adds to the log-odds of its mean landing, -4 to 4, with its 90 % range.
    pub fn intercept(&self) -> Range {
        Range::from(self.intercept)
    }

    /// What facts are worth on the site against the model, less 1.
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// Part of privately passed links that arrive with their token, with its 90 % range; above 0,
    /// below 1; `None` where the site's links carry none.
    pub fn survival(&self) -> Option<Range> {
        self.survival.map(Range::from)
    }

    /// Puts what the site's tokens say into the judgement of a visit without one, which was made
    /// by log-odds: by facts that say `alone` ([`Marked::alone`](super::Marked::alone)), beside so many who
    /// came by private links; `None` where others are not looked at, as on a front.
    pub fn apply(
        &self,
        visit: &mut Visit<'_>,
        alone: f64,
        private_readers: Option<PrivateReaders>,
        model: &Model,
    ) {
        let before = [
            visit.dark_probability_low,
            visit.dark_probability,
            visit.dark_probability_high,
            visit.dark_search_probability,
        ];
        let adds = self.adds(alone);
        let [low, likely, high] = self.intercept;
        let site = Range {
            low: adds - (likely - low),
            likely: adds,
            high: adds + (high - likely),
        };
        let after = replace_prior_by(before, model, site);
        let missing = self.missing_token(private_readers, model);
        let after = match &missing {
            Some(missing) => add_to_odds(after, missing),
            None => after,
        };
        let [low, likely, high, search] = after;
        visit.dark_probability_low = low;
        visit.dark_probability = likely;
        visit.dark_probability_high = high;
        visit.dark_search_probability = search;
        let (channel, app) = most_probable(after);
        visit.channel = channel;
        visit.app = app.into();
        visit.evidence.push(Evidence {
            name: evidence::SITE,
            detail: match missing {
                Some(_) => "links with a token on this site, against what is expected elsewhere",
                None => "arrivals by private apps on this site, against what is usual elsewhere",
            }
            .into(),
            log_odds: adds as f32,
            search_log_odds: Some(0.0),
        });
        if let Some(missing) = missing {
            visit.evidence.push(Evidence {
                name: evidence::NO_TOKEN,
                detail: "no share token, although this site's links carry them".into(),
                log_odds: missing.dark.likely as f32,
                search_log_odds: Some(missing.search as f32),
            });
        }
    }

    /// What a missing token adds beside so many who came by private links of late, `None` where others are not looked
    /// at; nothing where the site's links carry none.
    pub(super) fn missing_token(
        &self,
        private_readers: Option<PrivateReaders>,
        model: &Model,
    ) -> Option<Weight> {
        let beside = |readers| move |alone: f64| model.site.survival_beside(alone, readers);
        let survival = match private_readers {
            Some(readers) => self.survival_alone?.map(beside(readers)),
            None => self.survival?,
        };
        Some(missing_token(survival))
    }

    /// What a token says on this site; `None` where its links carry none.
    pub fn token_law(&self) -> Option<TokenLaw> {
        let [_, survival, _] = self.survival?;
        let [_, alone, _] = self.survival_alone?;
        let own = Range::from(self.own?);
        let [low, likely, high] = self.intercept;
        Some(TokenLaw {
            survival,
            alone: Some(alone),
            own,
            below: likely - low,
            above: high - likely,
        })
    }
}

/// What a missing token adds, by Bayes' rule: odds times 1 - survival.
fn missing_token(survival: [f64; 3]) -> Weight {
    let [low, likely, high] = survival.map(|survival| (1.0 - survival).ln());
    let dark = Range {
        low: high,
        likely,
        high: low,
    };
    Weight {
        dark,
        search: 0.0,
        published: dark,
        published_search: 0.0,
        source: String::new(),
    }
}

/// What is believed of a site without tokens, by the part of its visits that come by private apps
/// that name themselves.
pub(super) fn believe(seen: &Seen<'_>, version: &str, model: &Model) -> Learned {
    let [mean, spread] = seen.before_tokens(model);
    let reach = QUANTILE * spread;
    Learned {
        version: format!("{version}+site.{:.0}", seen.visits).into(),
        intercept: [mean - reach, mean, mean + reach],
        slope: 0.0,
        mean: 0.0,
        reach: [0.0; 2],
        survival: None,
        survival_alone: None,
        own: None,
    }
}

/// Learns from what was seen; a function of nothing else.
pub(super) fn learn(seen: &Seen<'_>, version: &str, model: &Model) -> Learned {
    let landings: f64 = seen.facts.iter().map(|facts| facts.landings).sum();
    let (with, without) = survival_law(seen, model);
    let mean = with / (with + without);
    let width = GRID_REACH / ((with + without) * mean * (1.0 - mean)).sqrt();
    let logit = |p: f64| (p / (1.0 - p)).ln();
    // The part of landings that have a token is one that is possible, where all of them are private.
    let least = logit((0.7 * seen.tokens() / landings.max(1.0)).clamp(1e-4, 0.9));
    let low = (logit(mean) - width).min(least).max(-9.0);
    let high = (logit(mean) + width).min(7.0);
    let sum: f64 = seen.facts.iter().map(|facts| facts.log_odds).sum();
    let mean_landing = sum / landings.max(1.0);
    let mut points = [Point::default(); GRID];
    for (at, point) in points.iter_mut().enumerate() {
        let survival = sigmoid(low + (high - low) * at as f64 / (GRID - 1) as f64);
        // Beta(with, without), by the logit.
        let law = with * survival.ln() + without * (1.0 - survival).ln();
        *point = mode(seen, survival, mean_landing, model);
        point.log_weight += law;
    }
    let most = points.iter().map(|point| point.log_weight);
    let most = most.fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for point in &mut points {
        point.weight = (point.log_weight - most).exp();
        total += point.weight;
    }
    let mean = |of: &dyn Fn(&Point) -> f64| {
        let sum = points.iter().map(|point| point.weight * of(point));
        sum.sum::<f64>() / total
    };
    let likely = mean(&|point| point.intercept);
    let variance = mean(&|point| point.variance + (point.intercept - likely).powi(2))
        + (model.site.company_spread * seen.company).powi(2);
    let reach = QUANTILE * variance.sqrt();
    let survival = mean(&|point| point.survival);
    let own = mean(&|point| point.log_own);
    let own_variance = mean(&|point| point.own_variance + (point.log_own - own).powi(2));
    let own_reach = QUANTILE * own_variance.sqrt();
    let quantile = |part: f64| {
        let mut sum = 0.0;
        let found = points.iter().find(|point| {
            sum += point.weight / total;
            sum >= part
        });
        found.map_or(survival, |point| point.survival)
    };
    let survival = [
        quantile(0.05).min(survival),
        survival,
        quantile(0.95).max(survival),
    ];
    Learned {
        version: format!("{version}+site.{landings:.0}").into(),
        intercept: [likely - reach, likely, likely + reach],
        slope: mean(&|point| point.slope),
        mean: mean_landing,
        reach: reach_of(seen.facts, landings),
        survival: Some(survival),
        survival_alone: Some(survival.map(|all| model.site.survival_alone(all, seen.private))),
        own: Some([own - own_reach, own, own + own_reach].map(|own| own.exp().min(1.0))),
    }
}

/// Log-odds that all but a twentieth of the landings are above, and those that all but a twentieth are below.
fn reach_of(facts: &[Facts; FACT_BINS], landings: f64) -> [f64; 2] {
    fn end<'f>(bins: impl Iterator<Item = &'f Facts>, beyond: f64) -> f64 {
        let mut sum = 0.0;
        let mut filled = bins.filter(|facts| facts.landings > 0.0);
        let found = filled.find(|facts| {
            sum += facts.landings;
            sum >= beyond
        });
        found.map_or(0.0, |facts| facts.log_odds / facts.landings)
    }
    let beyond = REACH_BEYOND * landings;
    let least = end(facts.iter(), beyond);
    [least, end(facts.iter().rev(), beyond).max(least)]
}

#[derive(Clone, Copy, Default)]
struct Point {
    survival: f64,
    intercept: f64,
    slope: f64,
    /// Of the intercept.
    variance: f64,
    log_own: f64,
    own_variance: f64,
    log_weight: f64,
    weight: f64,
}

/// The two figures of the Beta law of the survival.
fn survival_law(seen: &Seen<'_>, model: &Model) -> (f64, f64) {
    let site = &model.site;
    let counts = (KNOWN_MAX / seen.known.max(1.0)).min(1.0 / seen.design_effect());
    // Of as many links that are no better known than those without a deciding fact.
    let odds = (seen.known_with_token + 0.5) / (seen.known - seen.known_with_token + 0.5)
        * site.survival_to_known;
    let survived = odds / (1.0 + odds);
    let known = seen.known * counts;
    let with = site.survival * site.survival_weight + known * survived;
    let without = (1.0 - site.survival) * site.survival_weight + known * (1.0 - survived);
    (with.max(0.05), without.max(0.05))
}

/// The likeliest intercept, slope and part of own tokens for a survival, and how likely all of it is.
fn mode(seen: &Seen<'_>, survival: f64, mean: f64, model: &Model) -> Point {
    let [expected, spread] = seen.before_tokens(model);
    let design_effect = seen.design_effect();
    let passed_on = survival / model.token().likely;
    let company = model.site.company_worth * seen.company;
    let private_at = |facts: &Facts, intercept: f64, slope: f64| {
        let log_odds = facts.log_odds / facts.landings;
        let off = log_odds - mean;
        let p = sigmoid(log_odds + company + intercept + slope * off).clamp(1e-6, 1.0 - 1e-6);
        (p, off)
    };
    let filled = || seen.facts.iter().filter(|facts| facts.landings > 0.0);
    let not_private: f64 = filled()
        .map(|facts| facts.landings * (1.0 - private_at(facts, expected, 0.0).0))
        .sum();
    let log_own_expected = seen.own.expected(not_private, model).ln();
    let before = [expected, 0.0, log_own_expected];
    let precision = [
        spread.powi(-2),
        model.site.slope_spread.powi(-2),
        model.site.own_spread.powi(-2),
    ];
    let mut figures = before;
    let mut point = Point::default();
    for step in 0..=STEPS {
        // Gradient, information and log-likelihood.
        let mut up = [0.0; 3];
        let mut information = [[0.0; 3]; 3];
        let mut likelihood = 0.0;
        for at in 0..3 {
            let off = figures[at] - before[at];
            up[at] = -off * precision[at];
            information[at][at] = precision[at];
            likelihood -= off * off * precision[at] / 2.0;
        }
        let [intercept, slope, log_own] = figures;
        let own = log_own.exp();
        for facts in filled() {
            let landings = facts.landings / design_effect;
            let tokens = facts.tokens / design_effect;
            let (p, off) = private_at(facts, intercept, slope);
            let token = (passed_on * p + own * (1.0 - p)).clamp(1e-9, 1.0 - 1e-6);
            let by_private = (passed_on - own) * p * (1.0 - p);
            let by = [by_private, by_private * off, own * (1.0 - p)];
            let certainty = 1.0 / (token * (1.0 - token));
            for row in 0..3 {
                up[row] += (tokens - landings * token) * certainty * by[row];
                for column in 0..3 {
                    information[row][column] += landings * certainty * by[row] * by[column];
                }
            }
            likelihood += tokens * token.ln() + (landings - tokens) * (1.0 - token).ln();
        }
        let (move_by, variance, determinant) = solved(&information, &up);
        point = Point {
            survival,
            intercept,
            slope,
            variance: variance[0],
            log_own,
            own_variance: variance[2],
            log_weight: likelihood - determinant.ln() / 2.0,
            weight: 0.0,
        };
        if step < STEPS {
            let next = intercept + move_by[0].clamp(-1.0, 1.0);
            let next_slope = slope + move_by[1].clamp(-0.5, 0.5);
            let next_own = log_own + move_by[2].clamp(-1.0, 1.0);
            figures = [
                next.clamp(-INTERCEPT_MAX, INTERCEPT_MAX),
                next_slope.clamp(SLOPES[0], SLOPES[1]),
                next_own.clamp(LOG_OWN[0], LOG_OWN[1]),
            ];
        }
    }
    point
}

/// Shared text as text: visits borrow it without a copy of their own.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Arc::from)
    }
}
