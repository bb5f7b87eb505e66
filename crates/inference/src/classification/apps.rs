//! Apps that name themselves: by package, by the mark of their own browser, or to the page's script.

use std::fmt;

use grapevine_event::{Channel, Method};
use grapevine_signals::{CampaignCategory, Origin, OriginCategory, Surface};

use super::decision::{Decision, Verdict};
use super::facts::{NONE, dark_or, doubt, hearsay, unsaid};
use super::{Classifier, Landing};
use crate::evidence;
use crate::model::Range;

impl Classifier {
    pub(super) fn named_app<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let package = landing.hit.requested_with;
        if let Some(origin) = package.and_then(|package| self.signals().package(package)) {
            let surface = self.surface_here(landing, &origin.id, origin.surface);
            let verdict = self.in_app(landing, origin, surface, Method::RequestedWith)?;
            let detail = landing.say(format_args!(
                "{} named itself in X-Requested-With{}{}",
                origin.name,
                self.audience(landing, &origin.id, surface, &origin.public_too),
                hearsay(origin)
            ));
            return Some(verdict.because(evidence::REQUESTED_WITH, detail));
        }
        if let Some(browser) = landing.agent.in_app {
            let method = Method::InAppBrowser;
            let surface = self.surface_here(landing, &browser.app, browser.surface);
            let verdict = match self.signals().origin(&browser.app) {
                Some(origin) => self.in_app(landing, origin, surface, method)?,
                None => self.by_browser(landing, &browser.app, surface, method),
            };
            let detail = landing.say(format_args!(
                "opened in the browser of {}{}{}",
                browser.name,
                self.audience(landing, &browser.app, surface, &browser.public_too),
                doubt(browser.certainty)
            ));
            return Some(verdict.because(evidence::IN_APP_BROWSER, detail));
        }
        let app = landing.hit.app.filter(|app| !app.is_empty())?;
        let origin = self.signals().origin(app)?;
        let surface = self.surface_here(landing, &origin.id, origin.surface);
        let verdict = self.in_app(landing, origin, surface, Method::Client)?;
        let detail = landing.say(format_args!(
            "the page's script saw the browser of {}{}",
            origin.name,
            self.audience(landing, &origin.id, surface, &origin.public_too)
        ));
        Some(verdict.because(evidence::CLIENT, detail))
    }

    /// What follows from being inside an app; nothing from a browser's own package, nor from a mail
    /// program that shows what a site sent out.
    fn in_app<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        origin: &'a Origin,
        surface: Surface,
        method: Method,
    ) -> Option<Verdict<'a>> {
        match origin.category {
            OriginCategory::Browser | OriginCategory::Spam => None,
            OriginCategory::Search => {
                let dark = self.model().unknown_surface(&origin.id);
                let channel = Channel::Search;
                Some(Verdict::new(channel, &origin.id, method, dark))
            }
            OriginCategory::Assistant => {
                Some(Verdict::new(Channel::Assistant, &origin.id, method, NONE))
            }
            OriginCategory::Mail | OriginCategory::MailProtection => {
                if self.sent_out(landing) {
                    return None;
                }
                let dark = self.model().fact.mail_referrer;
                Some(Verdict::new(Channel::DarkSocial, "mail", method, dark))
            }
            OriginCategory::Aggregator => {
                let dark = self.model().fact.public_referrer;
                Some(Verdict::new(Channel::Referral, &origin.id, method, dark))
            }
            OriginCategory::Document => {
                Some(self.by_surface(&origin.id, surface, method, Channel::Referral))
            }
            OriginCategory::Social | OriginCategory::Messenger | OriginCategory::Video => {
                Some(self.by_browser(landing, &origin.id, surface, method))
            }
        }
    }

    /// What follows from an app's own browser, and from whether a referrer came along.
    fn by_browser<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        app: &'a str,
        surface: Surface,
        method: Method,
    ) -> Verdict<'a> {
        match self.lost_referrer(landing, app, surface) {
            Some(dark) => Verdict::new(dark_or(Channel::Social, dark), app, method, dark),
            None => self.by_surface(app, surface, method, Channel::Social),
        }
    }

    /// What a missing referrer says in the browser of an app that has posts and messages; `None` where
    /// it came along or says nothing.
    fn lost_referrer(
        &self,
        landing: &Landing<'_, '_>,
        app: &str,
        surface: Surface,
    ) -> Option<Range> {
        match surface {
            Surface::Unknown if landing.without_referrer() => {
                self.model().unknown_surface_without_referrer(app)
            }
            _ => None,
        }
    }

    /// What is said of who sees a link in an app's own browser.
    fn audience<'a>(
        &self,
        landing: &Landing<'_, '_>,
        app: &str,
        surface: Surface,
        public_too: &'a str,
    ) -> Audience<'a> {
        match self.lost_referrer(landing, app, surface) {
            Some(_) => Audience::Said(
                "; messages or posts, it does not say, but posts would have kept their \
                 referrer more often",
            ),
            None => audience(surface, public_too),
        }
    }

    /// What follows from who sees a link there; `public` is the channel where strangers do.
    pub(super) fn by_surface<'a>(
        &'a self,
        app: &'a str,
        surface: Surface,
        method: Method,
        public: Channel,
    ) -> Verdict<'a> {
        let dark = match surface {
            Surface::Private => self.model().fact.private_app,
            Surface::Public => self.model().fact.public_app,
            Surface::Unknown => self.model().unknown_surface(app),
        };
        Verdict::new(dark_or(public, dark), app, method, dark)
    }

    /// Who sees a link in a private app. One that is tagged as posted in a public channel of that very
    /// app is such a post, or one that was passed on inside the app: neither is stated.
    pub(super) fn surface_here(
        &self,
        landing: &Landing<'_, '_>,
        app: &str,
        surface: Surface,
    ) -> Surface {
        let posted = self.campaign_class(landing).is_some_and(|class| {
            class.category == CampaignCategory::Channel
                && class.origin.is_some_and(|origin| origin.id == app)
        });
        match surface {
            Surface::Private if posted => Surface::Unknown,
            _ => surface,
        }
    }
}

/// What is said of who sees a link in an app.
pub(super) enum Audience<'a> {
    Said(&'static str),
    /// Private, with public places that open alike.
    PublicToo(&'a str),
}

impl fmt::Display for Audience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Audience::Said(words) => f.write_str(words),
            Audience::PublicToo(places) => {
                write!(f, "; {places} open alike, and how many is not known")
            }
        }
    }
}

/// What is said of who sees a link in an app: nothing where it is known and private throughout.
pub(super) fn audience(surface: Surface, public_too: &str) -> Audience<'_> {
    match surface {
        Surface::Private if !public_too.is_empty() => Audience::PublicToo(public_too),
        _ => Audience::Said(unsaid(surface)),
    }
}
