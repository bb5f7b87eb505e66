//! What campaign tags say: mail, advertisement, messenger, and so on.

use hashbrown::HashMap;
use serde::Deserialize;

use crate::Signals;
use crate::origins::{Origin, OriginCategory, lower};

/// The means by which a tagged link was sent out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CampaignCategory {
    /// A newsletter or another mail of the site.
    Mail,
    /// A paid advertisement of any kind.
    Paid,
    /// A post of the site, or a share button of a public network.
    Social,
    /// A messenger: a share button, or a message of the site.
    Messenger,
    /// A public channel of a messenger, which anybody may follow.
    Channel,
    /// A text message.
    Sms,
    /// A push notification.
    Push,
    /// Unpaid search, tagged by the searching site.
    Search,
    /// An AI assistant, which tags its own links.
    Assistant,
    /// A partner paid by result.
    Affiliate,
    /// A feed.
    Feed,
    /// A printed code.
    Print,
    /// A video, podcast or radio.
    Media,
    /// A link on another site, tagged by agreement.
    Referral,
    /// Tagged, but by no word that is known.
    Other,
}

/// A row of `campaigns.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignRule {
    pub(crate) id: String,
    pub(crate) category: CampaignCategory,
    /// `utm_medium` is one of these.
    #[serde(default)]
    pub(crate) mediums: Vec<String>,
    /// `utm_medium` ends so.
    #[serde(default)]
    pub(crate) medium_ends: Vec<String>,
    /// `utm_medium` begins so.
    #[serde(default)]
    pub(crate) medium_starts: Vec<String>,
    /// `utm_source` is one of these, when the medium says nothing.
    #[serde(default)]
    pub(crate) sources: Vec<String>,
    #[expect(
        dead_code,
        reason = "for the reader of the data; its presence is checked"
    )]
    pub(crate) source: String,
    #[expect(
        dead_code,
        reason = "for the reader of the data; its presence is checked"
    )]
    pub(crate) date: String,
}

/// What the tags of a link say.
#[derive(Debug, Clone, Copy)]
pub struct CampaignClass<'s> {
    /// By what means the link was sent out, at the beginning of its way: a re-shared link
    /// keeps its tags.
    pub category: CampaignCategory,
    /// The place the source names, if it is known.
    pub origin: Option<&'s Origin>,
}

#[derive(Debug, Default)]
pub(crate) struct CampaignIndex {
    mediums: HashMap<Box<str>, CampaignCategory>,
    sources: HashMap<Box<str>, CampaignCategory>,
    starts: Vec<(Box<str>, CampaignCategory)>,
    ends: Vec<(Box<str>, CampaignCategory)>,
}

impl CampaignIndex {
    pub(crate) fn new(rules: &[CampaignRule]) -> Self {
        let mut index = CampaignIndex::default();
        let folded = |text: &String| -> Box<str> { text.to_ascii_lowercase().into() };
        for rule in rules {
            for medium in &rule.mediums {
                index.mediums.entry(folded(medium)).or_insert(rule.category);
            }
            for source in &rule.sources {
                index.sources.entry(folded(source)).or_insert(rule.category);
            }
            index.starts.extend(
                rule.medium_starts
                    .iter()
                    .map(|t| (folded(t), rule.category)),
            );
            index
                .ends
                .extend(rule.medium_ends.iter().map(|t| (folded(t), rule.category)));
        }
        index
    }

    fn medium(&self, medium: &str) -> Option<CampaignCategory> {
        if let Some(category) = self.mediums.get(medium) {
            return Some(*category);
        }
        let starts = self
            .starts
            .iter()
            .find(|(text, _)| medium.starts_with(&**text));
        let ends = || self.ends.iter().find(|(text, _)| medium.ends_with(&**text));
        starts.or_else(ends).map(|(_, category)| *category)
    }
}

/// The medium decides, unless it is a plain word for social and the source is a messenger, or a word
/// for a messenger's channel and the source is none; then the source, by the table, by a place's id
/// or alias, or by its host.
pub(crate) fn classify<'s>(signals: &'s Signals, source: &str, medium: &str) -> CampaignClass<'s> {
    let (source, medium) = (source.trim(), medium.trim());
    let (source, medium) = (lower(source), lower(medium));
    let origin = signals.origin_of_campaign(&source);
    let by_medium = signals.campaigns().medium(&medium);
    let by_source = || match origin.map(|o| o.category)? {
        OriginCategory::Search => Some(CampaignCategory::Search),
        OriginCategory::Social => Some(CampaignCategory::Social),
        OriginCategory::Messenger => Some(CampaignCategory::Messenger),
        OriginCategory::Mail => Some(CampaignCategory::Mail),
        OriginCategory::Assistant => Some(CampaignCategory::Assistant),
        OriginCategory::Video => Some(CampaignCategory::Media),
        _ => None,
    };
    let messenger = origin.is_some_and(|o| o.category == OriginCategory::Messenger);
    let by_medium = match by_medium {
        Some(CampaignCategory::Channel) if !messenger && !source.is_empty() => None,
        by_medium => by_medium,
    };
    let category = match by_medium {
        Some(CampaignCategory::Social | CampaignCategory::Referral) => match messenger {
            true => Some(CampaignCategory::Messenger),
            false => by_medium,
        },
        Some(category) => Some(category),
        None => signals
            .campaigns()
            .sources
            .get(&*source)
            .copied()
            .or_else(by_source),
    };
    CampaignClass {
        category: category.unwrap_or(CampaignCategory::Other),
        origin,
    }
}
