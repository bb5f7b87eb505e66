//! What a share token says of how a landing came about.
//!
//! It came with a link that somebody passed on, or the reader's own came back: from history, a bookmark
//! or an open tab, and is not recognised because the reader has another device or a new id, or the
//! site keeps none. Of landings that are passed on in private with probability p, the part ρ p / π has
//! a token that was passed on, where ρ is the survival and π the part of passed-on tokens that came in
//! private (some that came in public lose their referrer), and the part ω (1 - p) an own one. So
//!
//! P(private | token) = π · (ρ p / π) / (ρ p / π + ω (1 - p)).
//!
//! Home pages and sections' fronts, which people open by their plain address, are left out of what is learned:
//! on simulated sites half of what nobody passed on arrives there, and none of it by an own token. How many do
//! on true ones nobody has measured: fewer than elsewhere, `own_on_fronts` of the model says, in a wide range
//! ([`TokenLaw::on_fronts`]).
//!
//! Of tokens that nobody was seen to be given, where visits are given tokens, more are readers' own
//! ([`TokenLaw::of`]); and they may be made up, so that the low end of the range goes down to what the rest of the
//! visit says.
//!
//! On a site whose readers copy tagged addresses ω hardly counts. Where few links keep their token, as
//! when a browser shares the canonical address, most tokens that come are readers' own.

use grapevine_event::{Channel, Evidence, Visit, VisitorBasis};

use super::site::sigmoid;
use super::{PrivateReaders, TokenOwner};
use crate::evidence;
use crate::model::{Model, Range};

/// Own tokens that are recognised before any was.
const AGAIN_BEFORE: f64 = 1.0;

/// How many times as often as others tokens of nobody are readers' own: more often than that on simulated sites whose
/// state began midway, no more often where the memory for tokens is too small. Between them, our reading
/// (`docs/classification.md`).
const OWN_OF_NOBODY: Range = Range {
    low: 1.0,
    likely: 6.0,
    high: 32.0,
};

/// What a site shows of tokens that are readers' own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnTokens {
    /// Landings by a token that the reader was given or came with before, by an id of the site.
    pub(super) again: f64,
    /// Part of the landings that have no id of the site's, which would tell.
    pub(super) without_id: f64,
}

impl OwnTokens {
    /// Part of `not_private` landings that are expected to come by an own token which is not
    /// recognised; above 0, below 1.
    pub(super) fn expected(&self, not_private: f64, model: &Model) -> f64 {
        let site = &model.site;
        let with_id = site.own_to_again * (self.again + AGAIN_BEFORE) / not_private.max(1.0);
        let part = site.own_part * self.without_id + with_id * (1.0 - self.without_id);
        part.clamp(1e-4, 0.8)
    }
}

/// What a token says on a site.
#[derive(Clone, Copy, Debug)]
pub struct TokenLaw {
    /// Part of privately passed links that arrive with their token: of all, or beside those of [`TokenLaw::beside`].
    pub(crate) survival: f64,
    /// The same beside nobody who came by a private link of late; `None` before a site has told.
    pub(crate) alone: Option<f64>,
    /// Part of landings elsewhere than on fronts that nobody passed on which come by the reader's own token.
    pub(crate) own: Range,
    /// How far below what the rest of a visit says its true log-odds may be.
    pub(crate) below: f64,
    /// How far above.
    pub(crate) above: f64,
}

impl TokenLaw {
    /// What is usual before a site has told: of readers with an id that the site keeps, or without.
    pub fn usual(basis: VisitorBasis, model: &Model) -> TokenLaw {
        let site = &model.site;
        let likely = match basis {
            // Those who are recognised are told apart.
            VisitorBasis::Client => site.own_part * site.own_to_again / (1.0 + site.own_to_again),
            VisitorBasis::Address | VisitorBasis::None => site.own_part,
        };
        let reach = (1.645 * site.own_spread).exp();
        let prior = model.prior.dark;
        TokenLaw {
            survival: site.survival,
            alone: None,
            own: Range {
                low: likely / reach,
                likely,
                high: (likely * reach).min(1.0),
            },
            below: prior.likely - prior.low,
            above: prior.high - prior.likely,
        }
    }

    /// The same beside so many who came by private links of late; as it is before a site has told.
    #[must_use]
    pub fn beside(self, private_readers: PrivateReaders, model: &Model) -> TokenLaw {
        let beside = |alone| model.site.survival_beside(alone, private_readers);
        TokenLaw {
            survival: self.alone.map_or(self.survival, beside),
            ..self
        }
    }

    /// The same of home pages and sections' fronts, to which fewer come back by their own token. Others of late are
    /// not looked at there.
    #[must_use]
    pub fn on_fronts(self, model: &Model) -> TokenLaw {
        let part = model.site.own_on_fronts;
        TokenLaw {
            own: Range {
                low: self.own.low * part.low,
                likely: self.own.likely * part.likely,
                high: self.own.high * part.high,
            },
            ..self
        }
    }

    /// The same of a token of that owner.
    #[must_use]
    pub fn of(self, owner: TokenOwner) -> TokenLaw {
        let times = match owner {
            TokenOwner::Nobody => OWN_OF_NOBODY,
            TokenOwner::Seen | TokenOwner::Untold => return self,
        };
        TokenLaw {
            own: Range {
                low: self.own.low * times.low,
                likely: (self.own.likely * times.likely).min(1.0),
                high: (self.own.high * times.high).min(1.0),
            },
            ..self
        }
    }

    /// P(private link) of a landing with a token, of which everything else says `log_odds`: low, likely
    /// and high, each 0 to 1.
    pub fn private(&self, log_odds: f64, model: &Model) -> Range {
        let passed_on = model.token();
        let part = |log_odds: f64, own: f64| {
            let log_odds = if log_odds.is_nan() { 0.0 } else { log_odds };
            let private = sigmoid(log_odds.clamp(-12.0, 12.0));
            let token = self.survival / passed_on.likely * private;
            token / (token + own * (1.0 - private)).max(1e-12)
        };
        Range {
            low: passed_on.low * part(log_odds - self.below, self.own.high),
            likely: passed_on.likely * part(log_odds, self.own.likely),
            high: passed_on.high * part(log_odds + self.above, self.own.low),
        }
    }

    /// Judges a visit anew whose token decided, by what the rest of its evidence says and what the site
    /// adds to that, log-odds; one without such a rest stays as it is. A token of nobody may be made up, and say nothing.
    pub fn judge(&self, visit: &mut Visit<'_>, site_adds: f64, owner: TokenOwner, model: &Model) {
        let rest = |fact: &&mut Evidence<'_>| fact.name == evidence::WITHOUT_TOKEN;
        let Some(rest) = visit.evidence.iter_mut().find(rest) else {
            return;
        };
        rest.log_odds += site_adds as f32;
        let without = f64::from(rest.log_odds);
        let mut dark = self.of(owner).private(without, model);
        if owner == TokenOwner::Nobody {
            dark.low = dark.low.min(sigmoid(without));
        }
        visit.dark_probability_low = dark.low as f32;
        visit.dark_probability = dark.likely as f32;
        visit.dark_probability_high = dark.high as f32;
        let (channel, app) = dark_or_own(dark);
        visit.channel = channel;
        visit.app = app.into();
        let token = |fact: &&mut Evidence<'_>| fact.name == evidence::TOKEN;
        if let Some(token) = visit.evidence.iter_mut().find(token)
            && owner != TokenOwner::Nobody
        {
            token.detail = what_it_says(dark).into();
        }
    }
}

/// Says of a visit's token that nobody was seen to be given it, where it has one that is not known for the reader's own.
pub fn tell_token_of_nobody(visit: &mut Visit<'_>) {
    let token = |fact: &&mut Evidence<'_>| fact.name == evidence::TOKEN;
    if let Some(token) = visit.evidence.iter_mut().find(token) {
        token.detail = OF_NOBODY.into();
    }
}

/// What a token says, in words, that nobody was seen to be given.
const OF_NOBODY: &str = "the link carries a share token that nobody here was seen to be given: an old one, one of a \
                         visit that did not come, or made up";

/// What a token alone says, in words.
pub(crate) fn what_it_says(dark: Range) -> &'static str {
    match dark.likely >= 0.5 {
        true => "the link carries a reader's share token",
        false => {
            "the link carries a share token, more likely the reader's own that came back by history, a \
             bookmark or an open tab than one passed on in private"
        }
    }
}

/// Channel and app of a landing whose token decided: dark social where that is more probable than
/// that the token is the reader's own, or came in public.
pub(crate) fn dark_or_own(dark: Range) -> (Channel, &'static str) {
    match dark.likely >= 0.5 {
        true => (Channel::DarkSocial, "unknown"),
        false => (Channel::Direct, ""),
    }
}
