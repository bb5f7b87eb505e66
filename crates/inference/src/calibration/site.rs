//! The counts of one site, and the measures that follow from them.

use std::borrow::Cow;

use grapevine_event::Calibration;
use serde::{Deserialize, Serialize};

use super::learning::{Learned, Seen, believe, learn};
use super::owners::Owners;
use super::tokens::{OwnTokens, TokenLaw};
use super::{Marked, PrivateReaders, TokenOwner};
use crate::model::{Model, Range};

/// Bins of what the facts say, each half a unit of log-odds wide, around 0.
pub(super) const FACT_BINS: usize = 24;
const FACT_BIN_WIDTH: f64 = 0.5;
/// Bins of the reliability curve, each a tenth of P(private) wide.
pub(super) const SCORE_BINS: usize = 10;
/// Landings with a token, elsewhere than on fronts, before anything is learned: one link found in an old
/// mail, or forged, makes no site that marks its links.
const TOKENS_MIN: f64 = 2.0;
/// The same before a record says what was learned from them: from fewer it is a guess.
const TOKENS_SHOWN_MIN: f64 = 20.0;
/// New landings before anything is learned anew.
const NEWS_MIN: f64 = 20.0;
/// Everything is halved when so many landings were counted, so that a site that changes is noticed.
const LANDINGS_MAX: f64 = 65_536.0;
/// What was learned is learned anew when this part of all landings is new.
const NEWS: f64 = 0.125;
/// Arrivals by private apps that name themselves before their part says anything.
const NAMED_MIN: f64 = 20.0;

/// Landings by what their facts say.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) landings: f64,
    pub(super) tokens: f64,
    /// Sum of the log-odds, others of late not looked at.
    pub(super) log_odds: f64,
}

/// Landings by what was predicted of them before their token was looked at.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Scored {
    landings: f64,
    /// Those that carry a token elsewhere than on fronts, by how many others came by private links of late.
    tokens: [f64; PrivateReaders::ALL.len()],
    /// The same of fronts.
    tokens_fronts: f64,
    predicted: f64,
    predicted_squared: f64,
    /// Sum of what was predicted of those with a token.
    predicted_with_token: f64,
    /// Those that nobody passed on, as was predicted: elsewhere than on fronts.
    not_private: f64,
    /// The same of fronts.
    not_private_fronts: f64,
}

/// What is remembered of one site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Site {
    name: String,
    /// Of landings elsewhere than on fronts.
    facts: [Facts; FACT_BINS],
    scored: [Scored; SCORE_BINS],
    /// Sum of how little is known of them without others who came of late, p (1 - p), and of what these add to their
    /// log-odds times that.
    unknown: f64,
    company: f64,
    /// Of the same, those that are private, as was predicted, by how many others came by private links of late.
    private: [f64; PrivateReaders::ALL.len()],
    /// Of landings elsewhere than on fronts, those that have no id of the site's.
    without_id: f64,
    /// Landings by a token that is known to be the reader's own.
    again: f64,
    /// Sum over tokens of the square of their landings.
    squares: f64,
    known: f64,
    known_with_token: f64,
    /// All visits of people, and those by private apps that name themselves.
    visits: f64,
    named: f64,
    owners: Owners,
    learned: Option<Learned>,
    /// Landings that were counted since something was learned.
    news: f64,
    changed: bool,
}

impl Site {
    pub(super) fn new(name: &str) -> Site {
        Site {
            name: name.to_owned(),
            facts: [Facts::default(); FACT_BINS],
            scored: [Scored::default(); SCORE_BINS],
            unknown: 0.0,
            company: 0.0,
            private: [0.0; PrivateReaders::ALL.len()],
            without_id: 0.0,
            again: 0.0,
            squares: 0.0,
            known: 0.0,
            known_with_token: 0.0,
            visits: 0.0,
            named: 0.0,
            owners: Owners::default(),
            learned: None,
            news: 0.0,
            changed: false,
        }
    }

    pub(super) fn learned(&self) -> Option<&Learned> {
        self.learned.as_ref()
    }

    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// `label`: how many landings its token had before.
    pub(super) fn count(&mut self, landing: &Marked<'_>, label: Option<f64>, model: &Model) {
        let log_odds = match landing.log_odds.is_finite() {
            true => landing.log_odds.clamp(-12.0, 12.0),
            false => 0.0,
        };
        let alone = landing.alone();
        let before = label;
        let label = f64::from(u8::from(label.is_some()));
        self.news += 1.0;
        if !landing.front {
            self.without_id += f64::from(u8::from(!landing.with_id));
            self.squares += before.map_or(0.0, |before| 2.0 * before + 1.0);
            let bin = alone / FACT_BIN_WIDTH + FACT_BINS as f64 / 2.0;
            let facts = &mut self.facts[(bin.max(0.0) as usize).min(FACT_BINS - 1)];
            facts.landings += 1.0;
            facts.tokens += label;
            facts.log_odds += alone;
        }
        let learned = self.learned.as_ref();
        let added = learned.map_or(0.0, |learned| learned.adds(alone));
        let predicted = sigmoid(log_odds + added);
        let bin = (predicted * SCORE_BINS as f64) as usize;
        let readers = landing.private_readers as usize;
        if !landing.front {
            self.private[readers] += predicted;
            let company = model.site.company_worth * self.company_mean();
            let private = sigmoid(alone + company + added);
            let unknown = private * (1.0 - private);
            self.unknown += unknown;
            self.company += unknown * (log_odds - alone);
        }
        let scored = &mut self.scored[bin.min(SCORE_BINS - 1)];
        scored.landings += 1.0;
        scored.predicted += predicted;
        scored.predicted_squared += predicted * predicted;
        scored.predicted_with_token += label * predicted;
        match landing.front {
            true => {
                scored.tokens_fronts += label;
                scored.not_private_fronts += 1.0 - predicted;
            }
            false => {
                scored.tokens[readers] += label;
                scored.not_private += 1.0 - predicted;
            }
        }
        self.changed = true;
        if self.landings() >= LANDINGS_MAX {
            self.halve();
        }
    }

    pub(super) fn count_known(&mut self, token: bool) {
        self.known += 1.0;
        self.known_with_token += f64::from(u8::from(token));
        if self.known >= LANDINGS_MAX {
            self.known /= 2.0;
            self.known_with_token /= 2.0;
        }
    }

    pub(super) fn count_again(&mut self) {
        self.again += 1.0;
    }

    pub(super) fn count_visit(&mut self, named: bool) {
        self.visits += 1.0;
        self.named += f64::from(u8::from(named));
    }

    pub(super) fn count_given(&mut self, given_token: bool) {
        self.owners.visit(given_token);
    }

    /// Whose a token is, of which is known whether a visit was seen that was given it.
    pub(super) fn owner(&self, owner_seen: bool) -> TokenOwner {
        self.owners.of(owner_seen)
    }

    fn halve(&mut self) {
        self.without_id /= 2.0;
        self.unknown /= 2.0;
        self.company /= 2.0;
        self.private = self.private.map(|landings| landings / 2.0);
        self.again /= 2.0;
        self.squares /= 2.0;
        self.visits /= 2.0;
        self.named /= 2.0;
        self.owners.halve();
        for facts in &mut self.facts {
            facts.landings /= 2.0;
            facts.tokens /= 2.0;
            facts.log_odds /= 2.0;
        }
        for scored in &mut self.scored {
            scored.landings /= 2.0;
            scored.tokens = scored.tokens.map(|tokens| tokens / 2.0);
            scored.predicted /= 2.0;
            scored.predicted_squared /= 2.0;
            scored.predicted_with_token /= 2.0;
            scored.not_private /= 2.0;
            scored.tokens_fronts /= 2.0;
            scored.not_private_fronts /= 2.0;
        }
    }

    /// What others who came of late add to the log-odds of a landing, on the average by how little is known without.
    fn company_mean(&self) -> f64 {
        self.company / self.unknown.max(1e-9)
    }

    fn landings(&self) -> f64 {
        self.scored.iter().map(|bin| bin.landings).sum()
    }

    fn tokens(&self) -> f64 {
        self.scored.iter().map(Scored::all_tokens).sum()
    }

    /// Those that something is learned from: elsewhere than on fronts.
    fn deep_landings(&self) -> f64 {
        self.facts.iter().map(|facts| facts.landings).sum()
    }

    fn deep_tokens(&self) -> f64 {
        self.facts.iter().map(|facts| facts.tokens).sum()
    }

    /// Learns from what was counted, where there is enough and enough of it is new.
    pub(super) fn learn_where_due(&mut self, version: &str, model: &Model) {
        if self.news < NEWS_MIN || self.news < NEWS * self.landings() {
            return;
        }
        self.news = 0.0;
        self.learned = self.would_learn(version, model);
    }

    fn would_learn(&self, version: &str, model: &Model) -> Option<Learned> {
        if self.deep_tokens() >= TOKENS_MIN {
            Some(learn(&self.seen(), version, model))
        } else if self.named >= NAMED_MIN {
            Some(believe(&self.seen(), version, model))
        } else {
            None
        }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            facts: &self.facts,
            company: self.company_mean(),
            private: self.private,
            own: OwnTokens {
                again: self.again,
                without_id: self.without_id / self.deep_landings().max(1.0),
            },
            known: self.known,
            known_with_token: self.known_with_token,
            landings_a_token: self.squares / self.deep_tokens().max(1.0),
            visits: self.visits,
            named: if self.named >= NAMED_MIN {
                Some(self.named)
            } else {
                None
            },
        }
    }

    /// The record as it stands.
    pub(super) fn take(
        &mut self,
        time: i64,
        version: &str,
        model: &Model,
        emit: &mut dyn FnMut(&Calibration<'_>),
    ) {
        self.changed = false;
        let tokens = self.tokens();
        // What would be learned now; landings are judged by it from the next time that enough of them are new.
        let now = self.would_learn(version, model);
        let is_shown = |learned: &&Learned| {
            learned.survival().is_none() || self.deep_tokens() >= TOKENS_SHOWN_MIN
        };
        let shown = now.as_ref().filter(is_shown);
        let survival = shown.and_then(Learned::survival);
        let intercept = shown.map(Learned::intercept);
        let private = model.token().likely;
        let law = shown.and_then(Learned::token_law);
        let own = law.map_or([0.0; 2], |law| {
            [law, law.on_fronts(model)].map(|law| law.own.likely)
        });
        let passed_on = self.passed_on(own, law, model);
        let measures = survival.map(|survival| self.measures(survival, &passed_on, private));
        emit(&Calibration {
            site: &self.name,
            time,
            model_version: match &now {
                Some(learned) => Cow::Borrowed(&**learned.version()),
                None => Cow::Borrowed(version),
            },
            landings: self.landings().round() as i64,
            tokens: tokens.round() as i64,
            known: self.known.round() as i64,
            known_with_token: self.known_with_token.round() as i64,
            token_survival: survival.map(|range| range.likely),
            token_survival_low: survival.map(|range| range.low),
            token_survival_high: survival.map(|range| range.high),
            intercept: intercept.map(|range| range.likely),
            intercept_low: intercept.map(|range| range.low),
            intercept_high: intercept.map(|range| range.high),
            slope: shown.map(Learned::slope),
            ece: measures.map(|[likely, ..]| likely),
            ece_low: measures.map(|[_, low, ..]| low),
            ece_high: measures.map(|[_, _, high, _]| high),
            brier: measures.map(|[.., brier]| brier),
            private_part: private,
            bin_landings: self.each(|bin| bin.landings.round() as i64),
            bin_tokens: passed_on
                .iter()
                .map(|tokens| tokens.round() as i64)
                .collect(),
            bin_predicted: self.each(|bin| bin.predicted / bin.landings.max(1.0)),
        });
    }

    /// Tokens of each bin that were passed on: as many in all, but each counts the more the more seldom links like
    /// its own keep theirs.
    fn passed_on(&self, own: [f64; 2], law: Option<TokenLaw>, model: &Model) -> Vec<f64> {
        let counted = self.each(|bin| bin.passed_on(own));
        let Some(law) = law else {
            return counted.iter().map(PassedOn::all).collect();
        };
        let kept = PrivateReaders::ALL.map(|readers| law.beside(readers, model).survival);
        let links = |bin: &PassedOn| {
            let each = bin.elsewhere.iter().zip(kept);
            let elsewhere: f64 = each.map(|(tokens, kept)| tokens / kept).sum();
            elsewhere + bin.fronts / law.survival
        };
        let tokens: f64 = counted.iter().map(PassedOn::all).sum();
        let all: f64 = counted.iter().map(links).sum();
        let kept_of_all = tokens / all.max(1e-9);
        let bins = counted.iter().zip(&self.scored);
        bins.map(|(tokens, bin)| (links(tokens) * kept_of_all).min(bin.landings))
            .collect()
    }

    fn each<T>(&self, of: impl Fn(&Scored) -> T) -> Vec<T> {
        self.scored.iter().map(of).collect()
    }

    /// ECE under the likely survival, the least and the most of it under those of its range, and the
    /// Brier score. `passed_on`: tokens of each bin that are not readers' own, of which the part
    /// `private` came in private.
    fn measures(&self, survival: Range, passed_on: &[f64], private: f64) -> [f64; 4] {
        let ece = |survival: f64| self.ece(passed_on, private / survival);
        let likely = ece(survival.likely);
        let ends = [ece(survival.low), ece(survival.high)];
        let low = ends.into_iter().fold(likely, f64::min);
        let high = ends.into_iter().fold(likely, f64::max);
        let brier = self.brier(passed_on, private / survival.likely);
        [likely, low, high, brier]
    }

    /// Expected calibration error of P(private): every token that was passed on stands for `weight`
    /// private links.
    fn ece(&self, passed_on: &[f64], weight: f64) -> f64 {
        let bins = self.scored.iter().zip(passed_on);
        let off = bins.map(|(bin, tokens)| (bin.predicted - tokens * weight).abs());
        off.sum::<f64>() / self.landings().max(1.0)
    }

    /// Brier score of P(private): (p - d)² = p² - 2pd + d, where d is seen in a part of the cases only, so
    /// every token that was passed on stands for `weight` of them.
    fn brier(&self, passed_on: &[f64], weight: f64) -> f64 {
        let of = |(bin, tokens): (&Scored, &f64)| {
            // Those of a bin are alike in what was predicted.
            let predicted = bin.predicted_with_token / bin.all_tokens().max(1e-9);
            bin.predicted_squared + weight * tokens * (1.0 - 2.0 * predicted)
        };
        let brier = self.scored.iter().zip(passed_on).map(of).sum::<f64>();
        (brier / self.landings().max(1.0)).clamp(0.0, 1.0)
    }
}

impl Scored {
    fn all_tokens(&self) -> f64 {
        self.tokens_fronts + self.tokens.iter().sum::<f64>()
    }

    /// Tokens that were passed on, where the part `own` of landings that are not private have one of the reader's own,
    /// and `on_fronts` of fronts.
    fn passed_on(&self, [own, on_fronts]: [f64; 2]) -> PassedOn {
        let tokens: f64 = self.tokens.iter().sum();
        let own_tokens = own * self.not_private;
        // Taken off once: in each kind by itself, what is below 0 would be lost to the others.
        let part = (tokens - own_tokens).max(0.0) / tokens.max(1e-9);
        let of_fronts = self.tokens_fronts - on_fronts * self.not_private_fronts;
        PassedOn {
            elsewhere: self.tokens.map(|tokens| part * tokens),
            fronts: of_fronts.max(0.0),
        }
    }
}

/// Tokens that were passed on.
struct PassedOn {
    /// By how many others came by private links of late.
    elsewhere: [f64; PrivateReaders::ALL.len()],
    /// Of fronts, where others are not looked at.
    fronts: f64,
}

impl PassedOn {
    fn all(&self) -> f64 {
        self.elsewhere.iter().sum::<f64>() + self.fronts
    }
}

pub(super) fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
