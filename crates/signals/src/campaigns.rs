//! What campaign tags say: mail, advertisement, messenger, and so on.

use hashbrown::HashMap;
use serde::Deserialize;

use crate::Signals;
use crate::origins::{LOWER_BYTES, Origin, OriginCategory, lower_in};

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
    /// Campaign tags as links carry them, of which the row must decide: `utm_source=…&utm_medium=…`.
    #[serde(default)]
    pub(crate) examples: Vec<String>,
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

/// A row, as far as it is needed once its words are in the index.
#[derive(Debug)]
struct Row {
    id: Box<str>,
    category: CampaignCategory,
}

/// Words of campaign tags, each with the position of its row.
#[derive(Debug, Default)]
pub(crate) struct CampaignIndex {
    rows: Vec<Row>,
    mediums: HashMap<Box<str>, usize>,
    sources: HashMap<Box<str>, usize>,
    /// In order of the rows.
    affixes: Vec<(Affix, Box<str>, usize)>,
}

/// Where in a medium a word stands that is only part of it.
#[derive(Debug, Clone, Copy)]
enum Affix {
    Start,
    End,
}

impl CampaignIndex {
    pub(crate) fn new(rules: &[CampaignRule]) -> Self {
        let mut index = CampaignIndex::default();
        let folded = |text: &String| -> Box<str> { text.to_ascii_lowercase().into() };
        for (at, rule) in rules.iter().enumerate() {
            for medium in &rule.mediums {
                index.mediums.entry(folded(medium)).or_insert(at);
            }
            for source in &rule.sources {
                index.sources.entry(folded(source)).or_insert(at);
            }
            let affix = |affix| move |text| (affix, folded(text), at);
            let starts = rule.medium_starts.iter().map(affix(Affix::Start));
            let ends = rule.medium_ends.iter().map(affix(Affix::End));
            index.affixes.extend(starts.chain(ends));
            index.rows.push(Row {
                id: rule.id.as_str().into(),
                category: rule.category,
            });
        }
        index
    }

    fn medium(&self, medium: &str) -> Option<&Row> {
        if let Some(at) = self.mediums.get(medium) {
            return self.rows.get(*at);
        }
        let holds = |(affix, text, _): &&(Affix, Box<str>, usize)| match affix {
            Affix::Start => medium.starts_with(&**text),
            Affix::End => medium.ends_with(&**text),
        };
        let (_, _, at) = self.affixes.iter().find(holds)?;
        self.rows.get(*at)
    }

    fn source(&self, source: &str) -> Option<&Row> {
        self.rows.get(*self.sources.get(source)?)
    }
}

/// The medium decides, by the row that has it whole, else by the first row that it begins or ends as,
/// unless it is a plain word for social and the source is a messenger, or a word for a messenger's
/// channel and the source is none; then the source, by the table, by a place's id or alias, or by its
/// host.
pub(crate) fn classify<'s>(signals: &'s Signals, source: &str, medium: &str) -> CampaignClass<'s> {
    decide(signals, source, medium).0
}

/// The id of the row whose words decide; `None` where the place that the source names does, or nothing.
pub(crate) fn deciding_row<'s>(
    signals: &'s Signals,
    source: &str,
    medium: &str,
) -> Option<&'s str> {
    decide(signals, source, medium).1
}

fn decide<'s>(
    signals: &'s Signals,
    source: &str,
    medium: &str,
) -> (CampaignClass<'s>, Option<&'s str>) {
    let mut room = [[0; LOWER_BYTES]; 2];
    let [of_source, of_medium] = &mut room;
    let source = lower_in(source.trim(), of_source);
    let medium = lower_in(medium.trim(), of_medium);
    let campaigns = signals.campaigns();
    let origin = signals.origin_of_campaign(&source);
    let messenger = origin.is_some_and(|o| o.category == OriginCategory::Messenger);
    let by_medium = campaigns
        .medium(&medium)
        .filter(|row| row.category != CampaignCategory::Channel || messenger || source.is_empty());
    let is_plain = |row: &Row| {
        matches!(
            row.category,
            CampaignCategory::Social | CampaignCategory::Referral
        )
    };
    if messenger && by_medium.is_some_and(is_plain) {
        let category = CampaignCategory::Messenger;
        return (CampaignClass { category, origin }, None);
    }
    let row = by_medium.or_else(|| campaigns.source(&source));
    let category = match row {
        Some(row) => Some(row.category),
        None => origin.and_then(|origin| of_place(origin.category)),
    };
    let category = category.unwrap_or(CampaignCategory::Other);
    (CampaignClass { category, origin }, row.map(|row| &*row.id))
}

/// What a source says that is a place's name.
fn of_place(place: OriginCategory) -> Option<CampaignCategory> {
    match place {
        OriginCategory::Search => Some(CampaignCategory::Search),
        OriginCategory::Social => Some(CampaignCategory::Social),
        OriginCategory::Messenger => Some(CampaignCategory::Messenger),
        OriginCategory::Mail => Some(CampaignCategory::Mail),
        OriginCategory::Assistant => Some(CampaignCategory::Assistant),
        OriginCategory::Video => Some(CampaignCategory::Media),
        _ => None,
    }
}
