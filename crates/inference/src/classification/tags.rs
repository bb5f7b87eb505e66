//! What was hung onto a link when it was sent out: campaign tags and the marks of mail systems. They
//! say where a chain began, not its last hop.

use grapevine_event::{Channel, Method};
use grapevine_signals::{CampaignCategory, CampaignClass, OriginCategory, ReferrerKind};

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
    pub(super) fn campaign<'a>(&'a self, landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
        let facts = &self.model().fact;
        let dark = match landing.without_referrer() {
            true => facts.campaign_without_referrer,
            false => facts.public_referrer,
        };
        let tags = tags(landing);
        if let Some(mark) = landing.link.mailed_by() {
            let judged = Classification::certain(Channel::Mail, &mark.app, Method::Campaign, dark);
            let of_mail = format!("{} is put on by a system that sends mails", mark.name);
            let detail = match tags.is_empty() {
                true => format!("{of_mail}; a copied link keeps it"),
                false => format!("tagged {tags}, and {of_mail}; a copied link keeps its tags"),
            };
            return Some(judged.because(evidence::CAMPAIGN, detail));
        }
        let class = self.campaign_class(landing)?;
        let app = class.origin.map_or("", |origin| origin.id.as_str());
        let (channel, app, dark, detail) = match class.category {
            CampaignCategory::Messenger => {
                let app = if app.is_empty() { "unknown" } else { app };
                let detail = format!("tagged as made for a messenger: {tags}");
                (Channel::DarkSocial, app, facts.campaign_messenger, detail)
            }
            CampaignCategory::Channel => {
                let detail = format!("tagged as posted in a public channel: {tags}");
                (Channel::Social, app, dark, detail)
            }
            // Whoever sends mails out tags their links; a reader who mails one on passes its tags on.
            CampaignCategory::Other if self.in_mail(landing) => {
                let tagged = facts.campaign_without_referrer;
                let high = tagged.high.max(facts.mail_referrer.low);
                let dark = Range { high, ..tagged };
                let detail =
                    format!("tagged {tags} and opened in a mail: sent out by a site, or passed on");
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
                let detail = format!("tagged {tags}; a copied link keeps its tags");
                (channel, app, dark, detail)
            }
        };
        let judged = Classification::certain(channel, app, Method::Campaign, dark);
        Some(judged.because(evidence::CAMPAIGN, detail))
    }

    /// Says where the chain began, where tags, marks or a click id travelled along with a passed link.
    pub(super) fn with_origin_of_chain<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        judged: Classification<'a>,
    ) -> Classification<'a> {
        if judged.channel != Channel::DarkSocial || judged.method == Method::Campaign {
            return judged;
        }
        let judged = match self.campaign_category(landing) {
            Some(category) => judged.because(evidence::CAMPAIGN, began(landing, category)),
            None => judged,
        };
        let ids = &landing.link.click_ids;
        let id = ids.iter().find(|id| id.paid).or_else(|| ids.first());
        match id {
            Some(id) if judged.method != Method::ClickId => {
                let detail = match id.paid {
                    true => format!("{}: the chain began in an advertisement", id.name),
                    // Meta's apps put theirs on when a link is opened, so it may be the last hop's own.
                    false => format!(
                        "{} of {}: put on there, now or earlier on the way",
                        id.name,
                        self.name_of(&id.app)
                    ),
                };
                judged.because(evidence::CLICK_ID, detail)
            }
            _ => judged,
        }
    }
}

fn began(landing: &Landing<'_, '_>, category: CampaignCategory) -> String {
    let began = match category {
        CampaignCategory::Mail => "the chain began in a mail",
        CampaignCategory::Paid => "the chain began in an advertisement",
        CampaignCategory::Channel => "the chain began in a public channel",
        _ => "the chain began in a campaign",
    };
    let tags = tags(landing);
    match landing.link.mailed_by() {
        Some(mark) if tags.is_empty() => format!("{}: {began}", mark.name),
        _ => format!("tagged {tags}: {began}"),
    }
}

/// The tags in words: who, by what means and for what, or whatever else there is. Empty only where
/// nothing is tagged.
fn tags(landing: &Landing<'_, '_>) -> String {
    let campaign = &landing.link.campaign;
    let first = [&campaign.source, &campaign.medium, &campaign.name];
    let words: Vec<&str> = first.iter().filter_map(|part| part.as_deref()).collect();
    if !words.is_empty() {
        return words.join(" / ");
    }
    let rest = [
        ("id", &campaign.id),
        ("content", &campaign.content),
        ("term", &campaign.term),
    ];
    let named = rest
        .iter()
        .filter_map(|(name, part)| Some(format!("{name} {}", part.as_deref()?)));
    named.collect::<Vec<String>>().join(" / ")
}
