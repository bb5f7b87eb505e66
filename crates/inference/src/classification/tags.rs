//! What was hung onto a link when it was sent out: campaign tags and the marks of mail systems. They
//! say where a chain began, not its last hop.

use std::borrow::Cow;
use std::fmt;

use grapevine_event::{Channel, Method};
use grapevine_signals::{Campaign, CampaignCategory, CampaignClass, OriginCategory, ReferrerKind};

use super::decision::{Decision, Verdict, fact};
use super::{Classification, Classifier, Landing};
use crate::evidence;
use crate::model::Range;

impl Classifier {
    /// What the tags say by their words; `None` where there are none.
    pub(super) fn campaign_class<'a>(
        &'a self,
        landing: &Landing<'_, '_>,
    ) -> Option<CampaignClass<'a>> {
        let campaign = &landing.link.campaign;
        if campaign.is_empty() {
            return None;
        }
        let source = campaign.source.as_deref().unwrap_or_default();
        let medium = campaign.medium.as_deref().unwrap_or_default();
        Some(self.signals().campaign(source, medium))
    }

    /// By what means the link was sent out. A mail system puts its marks on when it sends, after
    /// whatever else was tagged, so they count before the words.
    fn campaign_category(&self, landing: &Landing<'_, '_>) -> Option<CampaignCategory> {
        match landing.link.mailed_by() {
            Some(_) => Some(CampaignCategory::Mail),
            None => self.campaign_class(landing).map(|class| class.category),
        }
    }

    /// Whether a link that is opened in a mail is one that a site sent out: tagged as a mail's, or by
    /// words that name no other means. A click id tells that it was somewhere else before.
    pub(super) fn sent_out(&self, landing: &Landing<'_, '_>) -> bool {
        match self.campaign_category(landing) {
            Some(CampaignCategory::Mail) => true,
            Some(CampaignCategory::Other) => landing.link.click_ids.is_empty(),
            _ => false,
        }
    }

    /// Whether the last hop is a mail, by its referrer or by the program's package.
    fn in_mail(&self, landing: &Landing<'_, '_>) -> bool {
        let package = landing.hit.requested_with;
        let program = package.and_then(|package| self.signals().package(package));
        matches!(
            landing.referrer.kind,
            ReferrerKind::WebMail(_) | ReferrerKind::MailProtection(_)
        ) || program.is_some_and(|origin| origin.category == OriginCategory::Mail)
    }

    /// Campaign tags, or the mark of a mail system.
    pub(super) fn campaign<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
        let facts = &self.model().fact;
        let dark = match landing.without_referrer() {
            true => facts.campaign_without_referrer,
            false => facts.public_referrer,
        };
        let tags = Tags(&landing.link.campaign);
        if let Some(mark) = landing.link.mailed_by() {
            let verdict = Verdict::new(Channel::Mail, &mark.app, Method::Campaign, dark);
            let name = &mark.name;
            let detail = match landing.link.campaign.is_empty() {
                true => landing.say(format_args!(
                    "{name} is put on by a system that sends mails; a copied link keeps it"
                )),
                false => landing.say(format_args!(
                    "tagged {tags}, and {name} is put on by a system that sends mails; a copied link keeps its tags"
                )),
            };
            return Some(verdict.because(evidence::CAMPAIGN, detail));
        }
        let class = self.campaign_class(landing)?;
        let app = class.origin.map_or("", |origin| origin.id.as_str());
        let (channel, app, dark, detail) = match class.category {
            CampaignCategory::Messenger => {
                let app = if app.is_empty() { "unknown" } else { app };
                let detail = landing.say(format_args!("tagged as made for a messenger: {tags}"));
                (Channel::DarkSocial, app, facts.campaign_messenger, detail)
            }
            CampaignCategory::Channel => {
                let detail =
                    landing.say(format_args!("tagged as posted in a public channel: {tags}"));
                (Channel::Social, app, dark, detail)
            }
            // Whoever sends mails out tags their links; a reader who mails one on passes its tags on.
            CampaignCategory::Other if self.in_mail(landing) => {
                let tagged = facts.campaign_without_referrer;
                let high = tagged.high.max(facts.mail_referrer.low);
                let dark = Range { high, ..tagged };
                let detail = landing.say(format_args!(
                    "tagged {tags} and opened in a mail: sent out by a site, or passed on"
                ));
                (Channel::Mail, app, dark, detail)
            }
            category => {
                let channel = match category {
                    CampaignCategory::Mail => Channel::Mail,
                    CampaignCategory::Paid => Channel::Paid,
                    CampaignCategory::Social => Channel::Social,
                    CampaignCategory::Search => Channel::Search,
                    CampaignCategory::Assistant => Channel::Assistant,
                    CampaignCategory::Referral => Channel::Referral,
                    _ => Channel::Campaign,
                };
                let detail =
                    landing.say(format_args!("tagged {tags}; a copied link keeps its tags"));
                (channel, app, dark, detail)
            }
        };
        let verdict = Verdict::new(channel, app, Method::Campaign, dark);
        Some(verdict.because(evidence::CAMPAIGN, detail))
    }

    /// Says where the chain began, where tags, marks or a click id travelled along with a passed link.
    pub(super) fn add_origin_of_chain<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        judged: &mut Classification<'a>,
    ) {
        if judged.channel != Channel::DarkSocial || judged.method == Method::Campaign {
            return;
        }
        if let Some(category) = self.campaign_category(landing) {
            let began = fact(evidence::CAMPAIGN, began(landing, category));
            judged.evidence.push(began);
        }
        let ids = &landing.link.click_ids;
        let id = ids.iter().find(|id| id.paid).or_else(|| ids.first());
        if let Some(id) = id
            && judged.method != Method::ClickId
        {
            let name = &id.name;
            let detail = match id.paid {
                true => landing.say(format_args!("{name}: the chain began in an advertisement")),
                // Meta's apps put theirs on when a link is opened, so it may be the last hop's own.
                false => landing.say(format_args!(
                    "{name} of {}: put on there, now or earlier on the way",
                    self.name_of(&id.app)
                )),
            };
            judged.evidence.push(fact(evidence::CLICK_ID, detail));
        }
    }
}

fn began<'a>(landing: &Landing<'_, 'a>, category: CampaignCategory) -> Cow<'a, str> {
    let began = match category {
        CampaignCategory::Mail => "the chain began in a mail",
        CampaignCategory::Paid => "the chain began in an advertisement",
        CampaignCategory::Channel => "the chain began in a public channel",
        _ => "the chain began in a campaign",
    };
    let campaign = &landing.link.campaign;
    match landing.link.mailed_by() {
        Some(mark) if campaign.is_empty() => landing.say(format_args!("{}: {began}", mark.name)),
        _ => landing.say(format_args!("tagged {}: {began}", Tags(campaign))),
    }
}

/// The tags in words: who, by what means and for what, or whatever else there is.
struct Tags<'l>(&'l Campaign<'l>);

impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let campaign = self.0;
        let first = [&campaign.source, &campaign.medium, &campaign.name];
        let rest = [
            ("id ", &campaign.id),
            ("content ", &campaign.content),
            ("term ", &campaign.term),
        ];
        let has_first = first.iter().any(|part| part.is_some());
        let first = first.map(|part| ("", part));
        let mut between = "";
        for (name, part) in if has_first { first } else { rest } {
            if let Some(part) = part {
                write!(f, "{between}{name}{part}")?;
                between = " / ";
            }
        }
        Ok(())
    }
}
