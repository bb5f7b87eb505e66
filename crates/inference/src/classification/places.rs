//! Places that a referrer names: messengers, mail, networks, documents, other sites.

use grapevine_event::{Channel, Method};
use grapevine_signals::{ReferrerKind, Surface};

use super::apps::audience;
use super::facts::{NONE, hearsay, unsaid};
use super::{Classification, Classifier, Landing};
use crate::evidence;

impl Classifier {
    /// A messenger, a team chat or a mail program as referrer; nothing where the mail is one that a
    /// site sent out.
    pub(super) fn private_referrer<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
    ) -> Option<Classification<'a>> {
        match landing.referrer.kind {
            ReferrerKind::PrivateApp(origin) => {
                let surface = self.surface_here(landing, &origin.id, origin.surface);
                let method = Method::Referrer;
                let judged = self.by_surface(&origin.id, surface, method, Channel::Social);
                let places = match surface {
                    Surface::Private => audience(surface, &origin.public_too),
                    Surface::Public | Surface::Unknown => ", which has public places too".into(),
                };
                let detail = format!("referrer of {}{places}{}", origin.name, hearsay(origin));
                Some(judged.because(evidence::PRIVATE_REFERRER, detail))
            }
            _ if self.sent_out(landing) => None,
            _ => self.mail_referrer(landing),
        }
    }

    /// Any mail as referrer, also one that a site sent out.
    pub(super) fn mail_referrer<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
    ) -> Option<Classification<'a>> {
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
        let detail = format!("referrer of {}{newsletter}{}", origin.name, hearsay(origin));
        let dark = self.model().fact.mail_referrer;
        let judged = Classification::certain(Channel::DarkSocial, "mail", Method::Referrer, dark);
        Some(judged.because(evidence::MAIL_REFERRER, detail))
    }

    /// Search, networks, documents, assistants, other sites.
    pub(super) fn public_referrer<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
    ) -> Option<Classification<'a>> {
        let some_public = self.model().fact.public_referrer;
        let method = Method::Referrer;
        let (judged, unknown) = match landing.referrer.kind {
            ReferrerKind::Search(origin) => {
                let channel = Channel::Search;
                let judged = Classification::certain(channel, &origin.id, method, NONE);
                (judged, "")
            }
            ReferrerKind::Assistant(origin) => {
                let channel = Channel::Assistant;
                let judged = Classification::certain(channel, &origin.id, method, NONE);
                (judged, "")
            }
            ReferrerKind::Social(origin) | ReferrerKind::Video(origin) => {
                let surface = origin.surface;
                let judged = self.by_surface(&origin.id, surface, method, Channel::Social);
                (judged, unsaid(surface))
            }
            ReferrerKind::Document(origin) => {
                let surface = origin.surface;
                let judged = self.by_surface(&origin.id, surface, method, Channel::Referral);
                let unknown = match surface {
                    Surface::Unknown => "; for members only or for anybody, it does not say",
                    Surface::Private | Surface::Public => "",
                };
                (judged, unknown)
            }
            ReferrerKind::Aggregator(origin) => {
                let channel = Channel::Referral;
                let judged = Classification::certain(channel, &origin.id, method, some_public);
                (judged, "")
            }
            ReferrerKind::Referral => {
                let channel = Channel::Referral;
                let judged = Classification::certain(channel, "", method, some_public);
                (judged, "")
            }
            _ => return None,
        };
        let detail = match landing.referrer.origin() {
            Some(origin) => format!("referrer of {}{unknown}{}", origin.name, hearsay(origin)),
            None => match landing.referrer.package {
                Some(package) => format!("opened from the app {package}"),
                None => format!("referrer {}", landing.referrer.host),
            },
        };
        Some(judged.because(evidence::PUBLIC_REFERRER, detail))
    }
}
