//! One landing: channel, app, probability of a privately passed link, and why.

mod apps;
mod conventional;
mod decision;
mod facts;
mod machines;
mod odds;
mod places;
mod room;
mod tags;
mod wording;

use std::borrow::Cow;
use std::fmt::{Arguments, Write};

use grapevine_event::{Channel, Evidence, Hit, Method, VisitorBasis};
use grapevine_signals::{Agent, Link, Referrer, ReferrerKind, Signals, Texts};

use crate::model::Model;
use wording::Wording;

pub use odds::against_typed;
pub(crate) use odds::{add_to_odds, most_probable, replace_prior_by};
pub use room::Room;

/// What is known of the visitor from earlier hits.
#[derive(Clone, Copy, Debug)]
pub struct VisitorContext {
    /// This pseudonym was seen on this site before.
    pub returning: bool,
    /// What the pseudonym is made from: only one that the site keeps says anything of days.
    pub basis: VisitorBasis,
    /// The link's token is one that this visitor was given here, or came with before: the link
    /// was opened again.
    pub token_again: bool,
}

/// What a landing is judged to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification<'a> {
    /// What ordinary analytics would book (rules of GA4 and Matomo).
    pub conventional_channel: Channel,
    /// The most probable channel.
    pub channel: Channel,
    /// Carrier inside dark social, network, engine or assistant elsewhere; `unknown` where
    /// nothing tells, empty where it does not apply.
    pub app: &'a str,
    /// What decided.
    pub method: Method,
    /// P(privately passed link), 0 to 1.
    pub dark_probability: f32,
    /// The same under the low end of what is known; at most `dark_probability`.
    pub dark_probability_low: f32,
    /// The same under the high end; at least `dark_probability`.
    pub dark_probability_high: f32,
    /// P(search engine that left no referrer), 0 to 1; with `dark_probability` at most 1.
    pub dark_search_probability: f32,
    /// Why, strongest first; names from [`crate::evidence::NAMES`].
    pub evidence: Vec<Evidence<'a>>,
    /// Name of the robot where the channel is bot.
    pub robot: Option<&'a str>,
}

/// Judges landings by the catalogue of signals and a model.
#[derive(Debug)]
pub struct Classifier {
    signals: std::sync::Arc<Signals>,
    model: Model,
    version: String,
    wording: Wording,
}

impl Classifier {
    /// A classifier; its version is the model's and the catalogue's, with the fingerprint of a
    /// user's own entries where there are any: `2026.1+2026-11-23+own.0701c24e`.
    pub fn new(signals: std::sync::Arc<Signals>, model: Model) -> Classifier {
        let version = format!("{}+{}", model.version(), signals.version());
        Classifier {
            signals,
            model,
            version,
            wording: Wording::default(),
        }
    }

    /// The catalogue.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Version of model and signal data together, as written into visits.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Judges a landing. Facts that decide are tried in the order that `docs/classification.md`
    /// states; where none does, log-odds add up.
    pub fn classify<'a>(
        &'a self,
        hit: &Hit<'a>,
        agent: &Agent<'a>,
        referrer: &Referrer<'a>,
        link: &Link<'a>,
        visitor: &VisitorContext,
    ) -> Classification<'a> {
        let landing = Landing::new(hit, agent, referrer, link, visitor, None);
        self.judge(&landing, Vec::new())
    }

    /// As [`Classifier::classify`], in room that is used again for the next landing.
    pub fn classify_in<'a>(
        &'a self,
        room: &'a mut Room,
        hit: &Hit<'a>,
        agent: &Agent<'a>,
        referrer: &Referrer<'a>,
        link: &Link<'a>,
        visitor: &VisitorContext,
    ) -> Classification<'a> {
        let list = std::mem::take(&mut room.evidence);
        room.texts.clear();
        let landing = Landing::new(hit, agent, referrer, link, visitor, Some(&room.texts));
        self.judge(&landing, list)
    }

    fn judge<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        list: Vec<Evidence<'a>>,
    ) -> Classification<'a> {
        let mut judged = self.decide(landing, list);
        judged.conventional_channel = if judged.channel == Channel::Bot {
            Channel::Bot
        } else {
            self.conventional(landing)
        };
        put_in_order(&mut judged.evidence, judged.method);
        judged
    }
}

/// Everything about one landing.
struct Landing<'l, 'a> {
    hit: &'l Hit<'a>,
    agent: &'l Agent<'a>,
    referrer: &'l Referrer<'a>,
    link: &'l Link<'a>,
    visitor: &'l VisitorContext,
    internal: bool,
    /// Room for what is said of it; none where that is allocated.
    texts: Option<&'a Texts>,
}

impl<'l, 'a> Landing<'l, 'a> {
    fn new(
        hit: &'l Hit<'a>,
        agent: &'l Agent<'a>,
        referrer: &'l Referrer<'a>,
        link: &'l Link<'a>,
        visitor: &'l VisitorContext,
        texts: Option<&'a Texts>,
    ) -> Self {
        Landing {
            hit,
            agent,
            referrer,
            link,
            visitor,
            internal: is_internal(hit.site, link, referrer),
            texts,
        }
    }

    /// What is said of the landing, put together.
    fn say(&self, words: Arguments<'_>) -> Cow<'a, str> {
        Texts::put(self.texts, |text| {
            // A string takes whatever is written.
            let _ = text.write_fmt(words);
        })
    }

    /// True where the referrer names no place at all.
    fn without_referrer(&self) -> bool {
        matches!(
            self.referrer.kind,
            ReferrerKind::None | ReferrerKind::Malformed | ReferrerKind::Browser(_)
        )
    }
}

/// True where the referrer is the site itself: its host is the landing's own (`www.` apart), or
/// the site's name or below it.
pub fn is_internal(site: &str, link: &Link<'_>, referrer: &Referrer<'_>) -> bool {
    let bare = |host: &str| -> usize { if host.starts_with("www.") { 4 } else { 0 } };
    let host = referrer.host.as_ref();
    if host.is_empty() {
        return false;
    }
    let host = &host[bare(host)..];
    let own = link.host();
    let own = own.rsplit_once(':').map_or(own, |(name, _)| name);
    let site = &site[bare(site)..];
    let below = |parent: &str| {
        host.strip_suffix(parent)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    host == &own[bare(own)..] || (site.contains('.') && below(site))
}

/// Where a fact decided: facts without weight, the deciding one and what is noted beside it, first, in
/// the order they were found; then by size. Where none did, a fact without weight is a note that adds
/// nothing, and comes last.
pub(crate) fn put_in_order(evidence: &mut [Evidence<'_>], method: Method) {
    let decided = method != Method::Prior;
    let rank = |evidence: &Evidence<'_>| match decided && evidence.log_odds == 0.0 {
        true => f32::INFINITY,
        false => evidence.log_odds.abs(),
    };
    evidence.sort_by(|one, other| rank(other).total_cmp(&rank(one)));
}
