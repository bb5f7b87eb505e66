//! Facts that decide, in the order that they are tried. `docs/classification.md` states the same
//! order; its reasons stand there.

use std::fmt;

use grapevine_event::{Channel, Evidence, Method};
use grapevine_signals::{Certainty, Origin, OriginCategory, Surface};

use super::decision::{Decision, Verdict, fact};
use super::machines::{bot, robot};
use super::{Classification, Classifier, Landing, Room};
use crate::calibration::{TokenLaw, dark_or_own, what_it_says};
use crate::evidence;
use crate::model::Range;

/// Nobody passed the link on.
pub(super) const NONE: Range = Range {
    low: 0.0,
    likely: 0.0,
    high: 0.0,
};

impl Classifier {
    /// Judges by the first fact that decides, or else by log-odds, with the evidence in an empty `list`.
    pub(super) fn decide<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        list: Vec<Evidence<'a>>,
    ) -> Classification<'a> {
        let decision = None
            .or_else(|| robot(landing))
            .or_else(|| self.token(landing))
            .or_else(|| internal(landing))
            .or_else(|| self.share_mark(landing))
            .or_else(|| self.named_app(landing))
            .or_else(|| self.private_referrer(landing))
            .or_else(|| self.paid(landing))
            .or_else(|| self.campaign(landing))
            .or_else(|| self.public_referrer(landing))
            .or_else(|| self.unknown_share_mark(landing))
            .or_else(|| self.click_id(landing))
            .or_else(|| self.token_again(landing));
        match decision {
            Some(decision) => {
                let mut judged = decision.judged(list);
                add_share_marks(landing, &mut judged);
                self.add_origin_of_chain(landing, &mut judged);
                self.add_rest_of_token(landing, &mut judged);
                judged
            }
            None => self.weigh(landing, list),
        }
    }

    /// A token that decides alone: says what the rest of the visit would have said, which the site's
    /// tokens calibrate, and which tells a link that was passed on from a reader's own.
    fn add_rest_of_token<'a>(&'a self, landing: &Landing<'_, 'a>, judged: &mut Classification<'a>) {
        // Whatever would decide without the token stands beside it: its last hop, a mark, tags, a click id.
        let [token] = judged.evidence.as_mut_slice() else {
            return;
        };
        if token.name != evidence::TOKEN || landing.internal {
            return;
        }
        let [private, search] = self.log_odds(landing, &mut judged.evidence);
        let law = TokenLaw::usual(landing.visitor.basis, self.model());
        let shape = landing.link.shape;
        let law = match shape.is_home || shape.is_section_front {
            true => law.on_fronts(self.model()),
            false => law,
        };
        let dark = law.private(private, self.model());
        (judged.channel, judged.app) = dark_or_own(dark);
        judged.dark_probability = dark.likely as f32;
        judged.dark_probability_low = dark.low as f32;
        judged.dark_probability_high = dark.high as f32;
        judged.evidence.clear();
        judged
            .evidence
            .push(fact(evidence::TOKEN, what_it_says(dark)));
        judged.evidence.push(Evidence {
            name: evidence::WITHOUT_TOKEN,
            detail: "what the rest of the visit says by itself".into(),
            log_odds: private as f32,
            search_log_odds: Some(search as f32),
        });
    }

    /// A landing that came with others, faster than a person opens links.
    pub fn scanner<'a>(&self, room: &'a mut Room) -> Classification<'a> {
        let verdict = bot(
            "unnamed scanner of links",
            "",
            Method::Agent,
            self.model().fact.burst,
        );
        let detail = "one visitor opened three pages or more within two seconds, none from a page or known to be \
                      by a person's act: a scanner of mail links, or a browser that restores its tabs";
        let list = std::mem::take(&mut room.evidence);
        verdict.because(evidence::BURST, detail).judged(list)
    }

    /// A share token: somebody passed the link on. Whether in private is another question where
    /// the last hop shows a public place.
    fn token<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        landing.link.share_token.as_ref()?;
        if landing.visitor.token_again {
            return None;
        }
        let because = |channel, app, dark| {
            let verdict = Verdict::new(channel, app, Method::Token, dark);
            verdict.because(evidence::TOKEN, "the link carries a reader's share token")
        };
        let facts = &self.model().fact;
        let last_hop = None
            .or_else(|| self.named_app(landing))
            .or_else(|| self.private_referrer(landing))
            .or_else(|| self.mail_referrer(landing));
        // A mark of the app that opened the link says which of its places it was opened in; one of
        // another app was copied along.
        let mark = self.share_mark(landing).filter(|mark| {
            let opened_in = last_hop.as_ref();
            opened_in.is_none_or(|last_hop| last_hop.verdict.app == mark.verdict.app)
        });
        let is_marked = mark.is_some();
        if let Some(Decision { verdict, why, .. }) = mark.or(last_hop) {
            let dark = match verdict.channel {
                Channel::DarkSocial => facts.token_private,
                Channel::Search => facts.token_public,
                _ if is_marked => facts.token_public,
                _ => self.token_of_unknown_surface(verdict.app),
            };
            let channel = match verdict.channel {
                Channel::Search => Channel::Search,
                _ => dark_or(Channel::Social, dark),
            };
            return Some(Decision {
                last_hop: Some(why),
                ..because(channel, verdict.app, dark)
            });
        }
        if !landing.internal
            && let Some(Decision { verdict, why, .. }) = self.public_referrer(landing)
        {
            let dark = match landing.referrer.origin().map(|origin| origin.surface) {
                Some(Surface::Unknown) => self.token_of_unknown_surface(verdict.app),
                _ if verdict.channel == Channel::DarkSocial => facts.token_private,
                _ => facts.token_public,
            };
            return Some(Decision {
                last_hop: Some(why),
                ..because(dark_or(verdict.channel, dark), verdict.app, dark)
            });
        }
        Some(because(Channel::DarkSocial, "unknown", facts.token))
    }

    /// A token in an app with posts and messages. It rules out the site's own posts, not those of
    /// readers: between what is known of the app and what is known of shares.
    fn token_of_unknown_surface(&self, app: &str) -> Range {
        let share = self.model().fact.token_unknown_surface;
        let surface = self.model().unknown_surface(app);
        Range {
            low: surface.low.min(share.low),
            likely: f64::midpoint(surface.likely, share.likely),
            high: surface.high.max(share.high),
        }
    }

    /// The same reader with the same token: opened again from history, an open tab or the
    /// message, which is no new share.
    fn token_again<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        landing.link.share_token.as_ref()?;
        let dark = self.model().fact.token_again;
        let verdict = Verdict::new(Channel::Direct, "", Method::Token, dark);
        let detail = "a token that this reader was given or came with before: opened again";
        Some(verdict.because(evidence::TOKEN_AGAIN, detail))
    }

    /// A mark that says in which audience the link was shared, as WeChat's does.
    fn share_mark<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let facts = &self.model().fact;
        landing.link.share_marks.iter().find_map(|mark| {
            let (channel, dark, audience) = match mark.decoration.surface {
                Surface::Private => (
                    Channel::DarkSocial,
                    facts.share_mark_private,
                    "in a private message",
                ),
                Surface::Public => (Channel::Social, facts.share_mark_public, "in public"),
                Surface::Unknown => return None,
            };
            let app = mark.decoration.app.as_str();
            let note = mark.decoration.note.as_str();
            let [before, after] = match note {
                "" => ["", ""],
                _ => [" (", ")"],
            };
            let detail = landing.say(format_args!(
                "{} wrote {}={} into the link: shared {audience}{before}{note}{after}",
                self.name_of(app),
                mark.decoration.name,
                mark.value
            ));
            let verdict = Verdict::new(channel, app, Method::ShareMark, dark);
            Some(verdict.because(evidence::SHARE_MARK, detail))
        })
    }

    fn unknown_share_mark<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let mark = landing.link.share_marks.first()?;
        let dark = self.model().fact.share_mark_unknown;
        let app = match mark.decoration.app.as_str() {
            "" => "unknown",
            app => app,
        };
        let detail = landing.say(format_args!(
            "{} marked the link as shared ({}); in private or in public it does not say",
            self.name_of(app),
            mark.decoration.name
        ));
        let channel = dark_or(Channel::Social, dark);
        let verdict = Verdict::new(channel, app, Method::ShareMark, dark);
        Some(verdict.because(evidence::SHARE_MARK, detail))
    }

    /// A paid click. Without referrer the id may have travelled along with a copied link.
    fn paid<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let id = landing.link.click_ids.iter().find(|id| id.paid)?;
        let (dark, detail) = match landing.without_referrer() {
            true => (
                self.model().fact.paid_without_referrer,
                landing.say(format_args!(
                    "{} marks a paid click; a copied link keeps it",
                    id.name
                )),
            ),
            false => (
                NONE,
                landing.say(format_args!("{} marks a paid click", id.name)),
            ),
        };
        let verdict = Verdict::new(Channel::Paid, &id.app, Method::ClickId, dark);
        Some(verdict.because(evidence::CLICK_ID, detail))
    }

    /// A click id without referrer: the visit left a platform, by post or by message; or a search
    /// engine's result, and lost its referrer on the way or was copied along with its id.
    fn click_id<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let id = landing.link.click_ids.first()?;
        let (facts, name) = (&self.model().fact, self.name_of(&id.app));
        let origin = self.signals().origin(&id.app);
        let is_search = origin.is_some_and(|origin| origin.category == OriginCategory::Search);
        let (channel, dark, detail) = if is_search {
            let detail = landing.say(format_args!(
                "{} marks a result of {name}; a copied link keeps it",
                id.name
            ));
            (Channel::Search, facts.campaign_without_referrer, detail)
        } else {
            let detail = landing.say(format_args!(
                "{} of {name} without referrer: organic or paid, post or message, it does not say",
                id.name
            ));
            let dark = facts.click_id;
            (dark_or(Channel::Social, dark), dark, detail)
        };
        let verdict = Verdict::new(channel, &id.app, Method::ClickId, dark);
        Some(verdict.because(evidence::CLICK_ID, detail))
    }

    pub(super) fn name_of<'a>(&'a self, app: &'a str) -> &'a str {
        match self.signals().origin(app) {
            Some(origin) => &origin.name,
            None if app.is_empty() => "an app",
            None => app,
        }
    }
}

/// What is said of an app that has posts and messages where nothing tells them apart.
pub(super) fn unsaid(surface: Surface) -> &'static str {
    match surface {
        Surface::Unknown => "; messages or posts, it does not say",
        Surface::Private | Surface::Public => "",
    }
}

/// What is said of a mark where it is not known well that it is this app's.
pub(super) fn doubt(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Documented | Certainty::Observed => "",
        Certainty::Inferred => "; that the mark is this app's is inferred",
        Certainty::Folklore => "; that the mark is this app's is hearsay",
    }
}

/// What is said of a host or package that is known from hearsay only. One that is inferred is below
/// the service's own domain, which needs no words.
pub(super) fn hearsay(origin: &Origin) -> &'static str {
    match origin.certainty {
        Certainty::Documented | Certainty::Observed | Certainty::Inferred => "",
        Certainty::Folklore => "; that this names it is hearsay",
    }
}

/// The channel of something that may be private: dark social where that is more probable.
pub(super) fn dark_or(public: Channel, dark: Range) -> Channel {
    match dark.likely >= 0.5 {
        true => Channel::DarkSocial,
        false => public,
    }
}

/// Says that an app or site marked the link as shared, where something else decided.
fn add_share_marks<'a>(landing: &Landing<'_, 'a>, judged: &mut Classification<'a>) {
    let marks = &landing.link.share_marks;
    let mut said = judged.evidence.iter();
    let is_said = said.any(|fact| fact.name == evidence::SHARE_MARK);
    let nobody = matches!(judged.channel, Channel::Bot | Channel::Internal);
    if marks.is_empty() || is_said || nobody {
        return;
    }
    let names = fmt::from_fn(|names| {
        for (at, mark) in marks.iter().enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(names, "{between}{}", mark.decoration.name)?;
        }
        Ok(())
    });
    let detail = landing.say(format_args!("the link is marked as shared ({names})"));
    judged.evidence.push(fact(evidence::SHARE_MARK, detail));
}

fn internal<'a>(landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
    if !landing.internal {
        return None;
    }
    let verdict = Verdict::new(Channel::Internal, "", Method::Referrer, NONE);
    let detail = "came from a page of the site itself";
    Some(verdict.because(evidence::INTERNAL_REFERRER, detail))
}
