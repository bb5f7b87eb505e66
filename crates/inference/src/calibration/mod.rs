//! What a site's own share tokens say of its landings without referrer.
//!
//! A token is a label that costs nothing: whoever arrives with one was sent a link, or is its owner who
//! comes back ([`tokens`]). Of privately passed links a part, the survival, arrives with its token, so
//! that among landings that look the same, and could carry one, P(token) = survival · P(private), own
//! tokens apart. Two things follow. Where the predicted P(private) is off for a whole site, the number of tokens says by how much: a site's own
//! intercept ([`Learned`]). And the reliability of P(private) shows in the running pipeline, up to
//! the survival ([`Calibrations::take_changed`]).
//!
//! The survival is seen where the way of a link is known without its token: arrivals from private
//! apps that name themselves, and previews that a sharer's own device fetches. Where neither is
//! seen, survival and intercept can only be known together, and the ranges say so.
//!
//! How much of a site's traffic comes by private apps that name themselves says something too, before
//! any token does: where many come so, more of the landings without referrer are private than
//! elsewhere. How much more is fitted (`named_*` of the model's `[site]`).
//!
//! Landings by one token are one share's, and no independent labels: tokens that bring many make what
//! is learned weigh less, as much as they do.
//!
//! The label is never a feature: a landing is scored as if its token were missing, by what was
//! learned from landings before it. Nor are others' labels: that many came to a content by private links of
//! late is mostly known by their tokens, so that among landings where nobody did, links without tokens are many, and
//! a site would seem less private than it is. So a site learns from what is said of landings but for that
//! ([`Marked::alone`]), with what it adds on the average added to all alike (`company_worth` of the model's
//! `[site]`). And a link loses its token more often where nobody came by a private link of late than beside many who
//! did (`survival_beside_*`, [`TokenLaw::beside`]). How many came without a trace is known without tokens, and stays
//! in: by others of late this module means those of known ways.
//!
//! Anybody can make up a token. Where visits are given theirs, nothing is learned from those that nobody was seen to be
//! given ([`TokenOwner`]).

mod learning;
mod owners;
mod site;
mod solve;
mod tokens;

use grapevine_event::Calibration;
use serde::{Deserialize, Serialize};

use crate::clock::key;
use crate::model::Model;
use crate::recent::Recent;
pub use learning::Learned;
pub use owners::TokenOwner;
use site::Site;
pub use tokens::{TokenLaw, tell_token_of_nobody};
pub(crate) use tokens::{dark_or_own, what_it_says};

/// Sites remembered: about 2 MB.
const SITES_MAX: u32 = 1_024;
/// Tokens whose landings are counted: about 1 MB.
const TOKENS_COUNTED_MAX: u32 = 32_768;

/// How many others came to a content by private links of late, each of whom counts half after 12 h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrivateReaders {
    /// Nobody, as far as is known.
    #[default]
    None,
    /// A few: what evidence calls `one_private_reader` and `few_private_readers`.
    Few,
    /// More: `many_private_readers`.
    Many,
}

impl PrivateReaders {
    /// Every one.
    pub(crate) const ALL: [PrivateReaders; 3] = [
        PrivateReaders::None,
        PrivateReaders::Few,
        PrivateReaders::Many,
    ];
}

/// A landing without referrer that could carry a token.
#[derive(Clone, Copy, Debug)]
pub struct Marked<'t> {
    /// What everything but the token says of a private link, log-odds.
    pub log_odds: f64,
    /// Of these, what others say who came to the content of late by known ways.
    pub company: f64,
    /// How many of those came by private links.
    pub private_readers: PrivateReaders,
    /// Whether it is a home page or a section's front, to which hardly anybody comes back by his token.
    pub front: bool,
    /// Its token, where it has one that is not known to be the reader's own.
    pub token: Option<&'t str>,
    /// Whose that is.
    pub owner: TokenOwner,
    /// Whether the reader has an id that the site keeps, by which own tokens are recognised.
    pub with_id: bool,
}

impl Marked<'_> {
    /// What everything but the token and others who came of late by known ways says, log-odds: -12 to 12.
    pub fn alone(&self) -> f64 {
        let alone = self.log_odds - self.company;
        match alone.is_finite() {
            true => alone.clamp(-12.0, 12.0),
            false => 0.0,
        }
    }
}

/// What is remembered of every site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calibrations {
    sites: Recent<Site>,
    /// Landings of each token.
    tokens: Recent<f32>,
}

impl Default for Calibrations {
    fn default() -> Self {
        Calibrations {
            sites: Recent::new(SITES_MAX),
            tokens: Recent::new(TOKENS_COUNTED_MAX),
        }
    }
}

impl Calibrations {
    /// Takes a landing without referrer that could carry a token; one by a token of nobody is left out. Gives
    /// what was learned from the site's earlier visits; `None` while that is nothing.
    pub fn landing(
        &mut self,
        site: &str,
        version: &str,
        landing: Marked<'_>,
        model: &Model,
    ) -> Option<&Learned> {
        let counts = landing.token.is_none() || landing.owner.teaches();
        let token = landing.token.filter(|_| counts);
        let label = token.map(|token| {
            let token = key("label", &[site.as_bytes(), token.as_bytes()]);
            let before = self.tokens.get(token).map_or(0.0, |landings| *landings);
            self.tokens.set(token, before + 1.0);
            f64::from(before)
        });
        let site = self.site(site);
        site.learn_where_due(version, model);
        if counts {
            site.count(&landing, label, model);
        }
        site.learned()
    }

    /// What was learned of a site; `None` while that is nothing.
    pub fn learned(&self, site: &str) -> Option<&Learned> {
        let key = key("calibration", &[site.as_bytes()]);
        self.sites.peek(key)?.learned()
    }

    /// Takes a landing elsewhere than on a front, by a token that the reader, known by an id of the site, was
    /// given or came with before.
    pub fn again(&mut self, site: &str) {
        self.site(site).count_again();
    }

    /// Takes any visit of a person; `named` says whether it came by a private app that names itself.
    pub fn visit(&mut self, site: &str, named: bool) {
        self.site(site).count_visit(named);
    }

    /// Takes any visit of a person, before anything else of it: `given_token` says whether it was given a token. Gives
    /// whose the token of its link is, of which is known whether a visit was seen that was given it.
    pub fn owner(&mut self, site: &str, given_token: bool, owner_seen: bool) -> TokenOwner {
        let site = self.site(site);
        site.count_given(given_token);
        site.owner(owner_seen)
    }

    /// Takes a link that is known to be passed on in private by something else than its token: whose token it
    /// carried, `None` where it carried none. One by a token of nobody is left out.
    pub fn known(&mut self, site: &str, token: Option<TokenOwner>) {
        if token.is_none_or(TokenOwner::teaches) {
            self.site(site).count_known(token.is_some());
        }
    }

    /// Gives a record of every site that changed since it was given last, in the order of use.
    pub fn take_changed(
        &mut self,
        time: i64,
        version: &str,
        model: &Model,
        emit: &mut dyn FnMut(&Calibration<'_>),
    ) {
        let keys: Vec<u64> = self
            .sites
            .iter()
            .filter_map(|(key, site)| site.changed().then_some(key))
            .collect();
        for key in keys {
            if let Some(site) = self.sites.peek_mut(key) {
                site.take(time, version, model, emit);
            }
        }
    }

    /// How many sites are remembered.
    pub fn entries(&self) -> usize {
        self.sites.len()
    }

    fn site(&mut self, name: &str) -> &mut Site {
        let key = key("calibration", &[name.as_bytes()]);
        if self.sites.peek(key).is_none() {
            self.sites.set(key, Site::new(name));
        }
        // Set just now, where it was not there.
        self.sites.get(key).expect("remembered")
    }
}

#[cfg(test)]
mod tests;
