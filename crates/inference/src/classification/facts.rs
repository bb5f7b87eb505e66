//! Facts that decide, in the order that they are tried. `docs/classification.md` states the same
//! order; its reasons stand there.

use grapevine_event::{Channel, Evidence, Method, Protocol, VisitorBasis};
use grapevine_signals::headers::asks_for_head_only;
use grapevine_signals::{
    AgentKind, CampaignCategory, Certainty, Origin, OriginCategory, ReferrerKind, Surface,
};

use super::{Classification, Classifier, Landing};
use crate::evidence;
use crate::model::Range;

const NONE: Range = Range {
    low: 0.0,
    likely: 0.0,
    high: 0.0,
};

impl Classifier {
    pub(super) fn decide<'a>(&'a self, landing: &Landing<'_, 'a>) -> Classification<'a> {
        let judged = None
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
        match judged {
            Some(judged) => {
                let judged = self.with_origin_of_chain(landing, judged);
                self.with_rest_of_token(landing, judged)
            }
            None => self.weigh(landing),
        }
    }

    /// A token that decides alone: says what the rest of the visit would have said, which is what
    /// the site's tokens calibrate. Nothing of it comes from the token.
    fn with_rest_of_token<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        mut judged: Classification<'a>,
    ) -> Classification<'a> {
        if judged.method != Method::Token || landing.visitor.token_again || landing.internal {
            return judged;
        }
        let another_fact = None
            .or_else(|| self.share_mark(landing))
            .or_else(|| self.named_app(landing))
            .or_else(|| self.private_referrer(landing))
            .or_else(|| self.paid(landing))
            .or_else(|| self.campaign(landing))
            .or_else(|| self.public_referrer(landing))
            .or_else(|| self.unknown_share_mark(landing))
            .or_else(|| self.click_id(landing));
        if another_fact.is_none() {
            judged.evidence.push(Evidence {
                name: evidence::WITHOUT_TOKEN,
                detail: "what the rest of the visit says by itself".into(),
                log_odds: self.log_odds(landing) as f32,
            });
        }
        judged
    }

    /// A landing that came with others, faster than a person opens links.
    pub fn scanner(&self) -> Classification<'_> {
        let dark = self.model().fact.burst;
        let judged = Classification::certain(Channel::Bot, "", Method::Agent, dark);
        let detail = "one visitor opened three pages or more within two seconds, none from a page or known to be \
                      by a person's act: a scanner of mail links, or a browser that restores its tabs";
        let mut judged = judged.because(evidence::BURST, detail);
        judged.robot = Some("unnamed scanner of links");
        judged
    }

    /// A share token: somebody passed the link on. Whether in private is another question where
    /// the last hop shows a public place.
    fn token<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        landing.link.share_token.as_ref()?;
        if landing.visitor.token_again {
            return None;
        }
        let because = |judged: Classification<'a>| {
            judged.because(evidence::TOKEN, "the link carries a reader's share token")
        };
        if let Some(named) = self.named_app(landing) {
            let dark = match named.channel {
                Channel::DarkSocial => self.model().fact.token_private,
                Channel::Search => self.model().fact.token_public,
                _ => self.token_of_unknown_surface(named.app),
            };
            let channel = match named.channel {
                Channel::Search => Channel::Search,
                _ => dark_or(Channel::Social, dark),
            };
            let mut judged = because(Classification::certain(
                channel,
                named.app,
                Method::Token,
                dark,
            ));
            judged.evidence.extend(named.evidence);
            return Some(judged);
        }
        if let Some(private) = self.private_referrer(landing) {
            let dark = self.model().fact.token_private;
            let channel = Channel::DarkSocial;
            let mut judged = because(Classification::certain(
                channel,
                private.app,
                Method::Token,
                dark,
            ));
            judged.evidence.extend(private.evidence);
            return Some(judged);
        }
        if !landing.internal
            && let Some(public) = self.public_referrer(landing)
        {
            let dark = match landing.referrer.origin().map(|origin| origin.surface) {
                Some(Surface::Unknown) => self.token_of_unknown_surface(public.app),
                _ => self.model().fact.token_public,
            };
            let channel = dark_or(public.channel, dark);
            let mut judged = because(Classification::certain(
                channel,
                public.app,
                Method::Token,
                dark,
            ));
            judged.evidence.extend(public.evidence);
            return Some(judged);
        }
        let facts = &self.model().fact;
        let dark = match landing.visitor.basis {
            VisitorBasis::Client => facts.token,
            VisitorBasis::Address | VisitorBasis::None => facts.token_without_id,
        };
        let judged = Classification::certain(Channel::DarkSocial, "unknown", Method::Token, dark);
        Some(because(judged))
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
    fn token_again<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        landing.link.share_token.as_ref()?;
        let dark = self.model().fact.token_again;
        let judged = Classification::certain(Channel::Direct, "", Method::Token, dark);
        let detail = "a token that this reader was given or came with before: opened again";
        Some(judged.because(evidence::TOKEN_AGAIN, detail))
    }

    /// A mark that says in which audience the link was shared, as WeChat's does.
    fn share_mark<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
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
            let detail = format!(
                "{} wrote {}={} into the link: shared {audience}",
                self.name_of(app),
                mark.decoration.name,
                mark.value
            );
            let judged = Classification::certain(channel, app, Method::ShareMark, dark);
            Some(judged.because(evidence::SHARE_MARK, detail))
        })
    }

    fn unknown_share_mark<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let mark = landing.link.share_marks.first()?;
        let dark = self.model().fact.share_mark_unknown;
        let app = match mark.decoration.app.as_str() {
            "" => "unknown",
            app => app,
        };
        let detail = format!(
            "{} marked the link as shared ({}); in private or in public it does not say",
            self.name_of(app),
            mark.decoration.name
        );
        let channel = dark_or(Channel::Social, dark);
        let judged = Classification::certain(channel, app, Method::ShareMark, dark);
        Some(judged.because(evidence::SHARE_MARK, detail))
    }

    /// An app that names itself: by package, by its browser's user agent, or to the page's script.
    fn named_app<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let package = landing.hit.requested_with;
        if let Some(origin) = package.and_then(|package| self.signals().package(package)) {
            let unknown = unsaid(origin.surface);
            let detail = format!(
                "{} named itself in X-Requested-With{unknown}{}",
                origin.name,
                hearsay(origin)
            );
            let method = Method::RequestedWith;
            let judged = self.in_app(origin, origin.surface, method)?;
            return Some(judged.because(evidence::REQUESTED_WITH, detail));
        }
        if let Some(browser) = landing.agent.in_app {
            let method = Method::InAppBrowser;
            let judged = match self.signals().origin(&browser.app) {
                Some(origin) => self.in_app(origin, browser.surface, method)?,
                None => self.by_surface(&browser.app, browser.surface, method),
            };
            let unknown = unsaid(browser.surface);
            let detail = format!(
                "opened in the browser of {}{unknown}{}",
                browser.name,
                doubt(browser.certainty)
            );
            return Some(judged.because(evidence::IN_APP_BROWSER, detail));
        }
        let app = landing.hit.app.filter(|app| !app.is_empty())?;
        let origin = self.signals().origin(app)?;
        let judged = self.in_app(origin, origin.surface, Method::Client)?;
        let unknown = unsaid(origin.surface);
        let detail = format!(
            "the page's script saw the browser of {}{unknown}",
            origin.name
        );
        Some(judged.because(evidence::CLIENT, detail))
    }

    /// What follows from being inside an app; nothing from a browser's own package.
    fn in_app<'a>(
        &'a self,
        origin: &'a Origin,
        surface: Surface,
        method: Method,
    ) -> Option<Classification<'a>> {
        let elsewhere = |channel| {
            let dark = self.model().unknown_surface(&origin.id);
            Some(Classification::certain(channel, &origin.id, method, dark))
        };
        match origin.category {
            OriginCategory::Browser | OriginCategory::Spam => None,
            OriginCategory::Search => elsewhere(Channel::Search),
            OriginCategory::Assistant => Some(Classification::certain(
                Channel::Assistant,
                &origin.id,
                method,
                NONE,
            )),
            OriginCategory::Mail | OriginCategory::MailProtection => {
                let dark = self.model().fact.mail_referrer;
                Some(Classification::certain(
                    Channel::DarkSocial,
                    "mail",
                    method,
                    dark,
                ))
            }
            OriginCategory::Aggregator => {
                let dark = self.model().fact.public_referrer;
                Some(Classification::certain(
                    Channel::Referral,
                    &origin.id,
                    method,
                    dark,
                ))
            }
            OriginCategory::Social | OriginCategory::Messenger | OriginCategory::Video => {
                Some(self.by_surface(&origin.id, surface, method))
            }
        }
    }

    fn by_surface<'a>(
        &'a self,
        app: &'a str,
        surface: Surface,
        method: Method,
    ) -> Classification<'a> {
        let dark = match surface {
            Surface::Private => self.model().fact.private_app,
            Surface::Public => self.model().fact.public_app,
            Surface::Unknown => self.model().unknown_surface(app),
        };
        Classification::certain(dark_or(Channel::Social, dark), app, method, dark)
    }

    /// A messenger, a team chat or a mail program as referrer.
    fn private_referrer<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        match landing.referrer.kind {
            ReferrerKind::PrivateApp(origin) => {
                let judged = self.by_surface(&origin.id, origin.surface, Method::Referrer);
                let places = match origin.surface {
                    Surface::Private => "",
                    Surface::Public | Surface::Unknown => ", which has public places too",
                };
                let detail = format!("referrer of {}{places}{}", origin.name, hearsay(origin));
                Some(judged.because(evidence::PRIVATE_REFERRER, detail))
            }
            ReferrerKind::WebMail(origin) | ReferrerKind::MailProtection(origin) => {
                if self.campaign_category(landing) == Some(CampaignCategory::Mail) {
                    return None;
                }
                let dark = self.model().fact.mail_referrer;
                let detail = format!(
                    "referrer of {}; an untagged newsletter looks the same{}",
                    origin.name,
                    hearsay(origin)
                );
                let judged =
                    Classification::certain(Channel::DarkSocial, "mail", Method::Referrer, dark);
                Some(judged.because(evidence::MAIL_REFERRER, detail))
            }
            _ => None,
        }
    }

    fn campaign_category(&self, landing: &Landing<'_, '_>) -> Option<CampaignCategory> {
        let campaign = &landing.link.campaign;
        if campaign.is_empty() {
            return None;
        }
        let source = campaign.source.as_deref().unwrap_or_default();
        let medium = campaign.medium.as_deref().unwrap_or_default();
        Some(self.signals().campaign(source, medium).category)
    }

    /// A paid click. Without referrer the id may have travelled along with a copied link.
    fn paid<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let id = landing.link.click_ids.iter().find(|id| id.paid)?;
        let (dark, detail) = match landing.without_referrer() {
            true => (
                self.model().fact.paid_without_referrer,
                format!("{} marks a paid click; a copied link keeps it", id.name),
            ),
            false => (NONE, format!("{} marks a paid click", id.name)),
        };
        let judged = Classification::certain(Channel::Paid, &id.app, Method::ClickId, dark);
        Some(judged.because(evidence::CLICK_ID, detail))
    }

    /// Campaign tags, or the id of a mail's recipient.
    fn campaign<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let link = landing.link;
        let facts = &self.model().fact;
        let dark = match landing.without_referrer() {
            true => facts.campaign_without_referrer,
            false => facts.public_referrer,
        };
        let Some(category) = self.campaign_category(landing) else {
            let recipient = link.recipient.as_ref()?;
            let app = recipient.decoration.app.as_str();
            let judged = Classification::certain(Channel::Mail, app, Method::Campaign, dark);
            let detail = "the link carries the recipient of a mail of the site";
            return Some(judged.because(evidence::CAMPAIGN, detail));
        };
        let source = link.campaign.source.as_deref().unwrap_or_default();
        let medium = link.campaign.medium.as_deref().unwrap_or_default();
        let origin = self.signals().campaign(source, medium).origin;
        let app = origin.map_or("", |origin| origin.id.as_str());
        let channel = match category {
            CampaignCategory::Messenger => {
                let dark = facts.campaign_messenger;
                let app = if app.is_empty() { "unknown" } else { app };
                let detail = format!("tagged as made for a messenger: {}", tags(landing));
                let channel = Channel::DarkSocial;
                let judged = Classification::certain(channel, app, Method::Campaign, dark);
                return Some(judged.because(evidence::CAMPAIGN, detail));
            }
            CampaignCategory::Mail => Channel::Mail,
            CampaignCategory::Paid => Channel::Paid,
            CampaignCategory::Social => Channel::Social,
            CampaignCategory::Search => Channel::Search,
            CampaignCategory::Assistant => Channel::Assistant,
            CampaignCategory::Referral => Channel::Referral,
            _ => Channel::Campaign,
        };
        let judged = Classification::certain(channel, app, Method::Campaign, dark);
        let detail = format!("tagged {}; a copied link keeps its tags", tags(landing));
        Some(judged.because(evidence::CAMPAIGN, detail))
    }

    /// Search, networks, assistants, other sites.
    fn public_referrer<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let some_public = self.model().fact.public_referrer;
        let (channel, app, dark) = match landing.referrer.kind {
            ReferrerKind::Search(origin) => (Channel::Search, origin.id.as_str(), NONE),
            ReferrerKind::Assistant(origin) => (Channel::Assistant, origin.id.as_str(), NONE),
            ReferrerKind::Social(origin) | ReferrerKind::Video(origin) => {
                let dark = match origin.surface {
                    Surface::Public => self.model().fact.public_app,
                    Surface::Private => self.model().fact.private_app,
                    Surface::Unknown => self.model().unknown_surface(&origin.id),
                };
                (dark_or(Channel::Social, dark), origin.id.as_str(), dark)
            }
            ReferrerKind::Aggregator(origin) => {
                (Channel::Referral, origin.id.as_str(), some_public)
            }
            ReferrerKind::Referral => (Channel::Referral, "", some_public),
            _ => return None,
        };
        let detail = match landing.referrer.origin() {
            Some(origin) => {
                let unknown = match landing.referrer.kind {
                    ReferrerKind::Social(_) | ReferrerKind::Video(_) => unsaid(origin.surface),
                    _ => "",
                };
                format!("referrer of {}{unknown}{}", origin.name, hearsay(origin))
            }
            None => match landing.referrer.package {
                Some(package) => format!("opened from the app {package}"),
                None => format!("referrer {}", landing.referrer.host),
            },
        };
        let judged = Classification::certain(channel, app, Method::Referrer, dark);
        Some(judged.because(evidence::PUBLIC_REFERRER, detail))
    }

    /// A click id without referrer: the visit left a platform, by post or by message; or a search
    /// engine's result, and lost its referrer on the way or was copied along with its id.
    fn click_id<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let id = landing.link.click_ids.first()?;
        let (facts, name) = (&self.model().fact, self.name_of(&id.app));
        let origin = self.signals().origin(&id.app);
        let is_search = origin.is_some_and(|origin| origin.category == OriginCategory::Search);
        let (channel, dark, detail) = if is_search {
            let detail = format!(
                "{} marks a result of {name}; a copied link keeps it",
                id.name
            );
            (Channel::Search, facts.campaign_without_referrer, detail)
        } else {
            let detail = format!(
                "{} of {name} without referrer: organic or paid, post or message, it does not say",
                id.name
            );
            let dark = facts.click_id;
            (dark_or(Channel::Social, dark), dark, detail)
        };
        let judged = Classification::certain(channel, &id.app, Method::ClickId, dark);
        Some(judged.because(evidence::CLICK_ID, detail))
    }

    /// Says where the chain began, where campaign tags travelled along with a passed link.
    fn with_origin_of_chain<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        judged: Classification<'a>,
    ) -> Classification<'a> {
        let decided_by_tags = judged.method == Method::Campaign;
        if judged.channel != Channel::DarkSocial
            || decided_by_tags
            || landing.link.campaign.is_empty()
        {
            return judged;
        }
        let began = match self.campaign_category(landing) {
            Some(CampaignCategory::Mail) => "the chain began in a mail",
            Some(CampaignCategory::Paid) => "the chain began in an advertisement",
            _ => "the chain began in a campaign",
        };
        let detail = format!("tagged {}: {began}", tags(landing));
        judged.because(evidence::CAMPAIGN, detail)
    }

    fn name_of<'a>(&'a self, app: &'a str) -> &'a str {
        match self.signals().origin(app) {
            Some(origin) => &origin.name,
            None if app.is_empty() => "an app",
            None => app,
        }
    }
}

/// What is said of an app that has posts and messages where nothing tells them apart.
fn unsaid(surface: Surface) -> &'static str {
    match surface {
        Surface::Unknown => "; messages or posts, it does not say",
        Surface::Private | Surface::Public => "",
    }
}

/// What is said of a mark where it is not known well that it is this app's.
fn doubt(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Documented | Certainty::Observed => "",
        Certainty::Inferred => "; that the mark is this app's is inferred",
        Certainty::Folklore => "; that the mark is this app's is hearsay",
    }
}

/// What is said of a host or package that is known from hearsay only. One that is inferred is below
/// the service's own domain, which needs no words.
fn hearsay(origin: &Origin) -> &'static str {
    match origin.certainty {
        Certainty::Documented | Certainty::Observed | Certainty::Inferred => "",
        Certainty::Folklore => "; that this names it is hearsay",
    }
}

/// The channel of something that may be private: dark social where that is more probable.
fn dark_or(public: Channel, dark: Range) -> Channel {
    match dark.likely >= 0.5 {
        true => Channel::DarkSocial,
        false => public,
    }
}

fn tags(landing: &Landing<'_, '_>) -> String {
    let campaign = &landing.link.campaign;
    let parts = [&campaign.source, &campaign.medium, &campaign.name];
    let words: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    words.join(" / ")
}

fn robot<'a>(landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
    let (name, detail): (&str, String) = match landing.agent.kind {
        AgentKind::Robot(robot) | AgentKind::LibraryOrTool(robot) => (
            &robot.name,
            format!("user agent of {} ({})", robot.name, robot.purpose.as_str()),
        ),
        AgentKind::MailScanner(robot) => (
            &robot.name,
            format!("{} tests the links of mails", robot.name),
        ),
        AgentKind::PreviewFetcher(fetcher) => {
            let detail = format!(
                "{} fetches previews{}",
                fetcher.name,
                doubt(fetcher.certainty)
            );
            let judged = Classification::certain(Channel::Bot, &fetcher.app, Method::Agent, NONE);
            let mut judged = judged.because(evidence::PREVIEW_FETCHER, detail);
            judged.robot = Some(&fetcher.name);
            return Some(judged);
        }
        // Servers that report hits of their own may know no user agent; browsers always send one.
        AgentKind::Empty if landing.hit.protocol != Protocol::Native => (
            "no user agent",
            "no user agent: browsers send one".to_owned(),
        ),
        AgentKind::Person | AgentKind::Empty => {
            if let ReferrerKind::Spam(origin) = landing.referrer.kind {
                let detail = format!("referrer of {}, which forges visits", origin.name);
                let judged = Classification::certain(Channel::Bot, "", Method::Referrer, NONE);
                let mut judged = judged.because(evidence::SPAM_REFERRER, detail);
                judged.robot = Some(&origin.name);
                return Some(judged);
            }
            let range = landing
                .hit
                .range
                .filter(|range| asks_for_head_only(range))?;
            let detail = format!("asks for the beginning of the page only ({range})");
            let judged = Classification::certain(Channel::Bot, "", Method::Agent, NONE);
            let mut judged = judged.because(evidence::RANGE, detail);
            judged.robot = Some("unnamed preview fetcher");
            return Some(judged);
        }
    };
    let judged = Classification::certain(Channel::Bot, "", Method::Agent, NONE);
    let mut judged = judged.because(evidence::ROBOT, detail);
    judged.robot = Some(name);
    Some(judged)
}

fn internal<'a>(landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
    if !landing.internal {
        return None;
    }
    let judged = Classification::certain(Channel::Internal, "", Method::Referrer, NONE);
    let detail = "came from a page of the site itself";
    Some(judged.because(evidence::INTERNAL_REFERRER, detail))
}
