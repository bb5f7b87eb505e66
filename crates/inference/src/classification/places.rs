//! Places that a referrer names: messengers, mail, networks, documents, other sites.

use grapevine_event::{Channel, Method};
use grapevine_signals::{ReferrerKind, Surface};

use super::apps::{Audience, audience};
use super::decision::{Decision, Verdict};
use super::facts::{NONE, hearsay, unsaid};
use super::{Classifier, Landing};
use crate::evidence;

impl Classifier {
    /// A messenger, a team chat or a mail program as referrer; nothing where the mail is one that a
    /// site sent out.
    pub(super) fn private_referrer<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
    ) -> Option<Decision<'a>> {
        match landing.referrer.kind {
            ReferrerKind::PrivateApp(origin) => {
                let surface = self.surface_here(landing, &origin.id, origin.surface);
                let method = Method::Referrer;
                let verdict = self.by_surface(&origin.id, surface, method, Channel::Social);
                let places = match surface {
                    Surface::Private => audience(surface, &origin.public_too),
                    Surface::Public | Surface::Unknown => {
                        Audience::Said(", which has public places too")
                    }
                };
                let (name, hearsay) = (&origin.name, hearsay(origin));
                let detail = landing.say(format_args!("referrer of {name}{places}{hearsay}"));
                Some(verdict.because(evidence::PRIVATE_REFERRER, detail))
            }
            _ if self.sent_out(landing) => None,
            _ => self.mail_referrer(landing),
        }
    }

    /// Any mail as referrer, also one that a site sent out.
    pub(super) fn mail_referrer<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let (ReferrerKind::WebMail(origin) | ReferrerKind::MailProtection(origin)) =
            landing.referrer.kind
        else {
            return None;
        };
        let link = landing.link;
        let newsletter = match link.campaign.is_empty() && link.mailed_by().is_none() {
            true => "; an untagged newsletter looks the same",
            false => "",
        };
        let (name, hearsay) = (&origin.name, hearsay(origin));
        let detail = landing.say(format_args!("referrer of {name}{newsletter}{hearsay}"));
        let dark = self.model().fact.mail_referrer;
        let verdict = Verdict::new(Channel::DarkSocial, "mail", Method::Referrer, dark);
        Some(verdict.because(evidence::MAIL_REFERRER, detail))
    }

    /// Search, networks, documents, assistants, other sites.
    pub(super) fn public_referrer<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let some_public = self.model().fact.public_referrer;
        let method = Method::Referrer;
        let (verdict, unknown) = match landing.referrer.kind {
            ReferrerKind::Search(origin) => {
                let channel = Channel::Search;
                let verdict = Verdict::new(channel, &origin.id, method, NONE);
                (verdict, "")
            }
            ReferrerKind::Assistant(origin) => {
                let channel = Channel::Assistant;
                let verdict = Verdict::new(channel, &origin.id, method, NONE);
                (verdict, "")
            }
            ReferrerKind::Social(origin) | ReferrerKind::Video(origin) => {
                let surface = origin.surface;
                let verdict = self.by_surface(&origin.id, surface, method, Channel::Social);
                (verdict, unsaid(surface))
            }
            ReferrerKind::Document(origin) => {
                let surface = origin.surface;
                let verdict = self.by_surface(&origin.id, surface, method, Channel::Referral);
                let unknown = match surface {
                    Surface::Unknown => "; for members only or for anybody, it does not say",
                    Surface::Private | Surface::Public => "",
                };
                (verdict, unknown)
            }
            ReferrerKind::Aggregator(origin) => {
                let channel = Channel::Referral;
                let verdict = Verdict::new(channel, &origin.id, method, some_public);
                (verdict, "")
            }
            ReferrerKind::Referral => {
                let channel = Channel::Referral;
                let verdict = Verdict::new(channel, "", method, some_public);
                (verdict, "")
            }
            _ => return None,
        };
        let detail = match landing.referrer.origin() {
            Some(origin) => {
                let (name, hearsay) = (&origin.name, hearsay(origin));
                landing.say(format_args!("referrer of {name}{unknown}{hearsay}"))
            }
            None => match landing.referrer.package {
                Some(package) => landing.say(format_args!("opened from the app {package}")),
                None => landing.say(format_args!("referrer {}", landing.referrer.host)),
            },
        };
        Some(verdict.because(evidence::PUBLIC_REFERRER, detail))
    }
}
