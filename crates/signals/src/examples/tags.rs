//! Campaign entries: words of campaign tags.

use super::{FIX_EXAMPLE, FIX_WORD, Missed, missed};
use crate::Signals;
use crate::campaigns::{CampaignRule, deciding_row};

/// Source and medium as links carry them; empty where there is none.
#[derive(Debug)]
pub(super) struct Tags {
    pub(super) source: String,
    pub(super) medium: String,
}

/// The campaign tags of a query such as `utm_source=fb&utm_medium=social`; `None` for any other text.
pub(super) fn read(signals: &Signals, query: &str) -> Option<Tags> {
    let url = format!("https://site.example/?{query}");
    let campaign = signals.link(&url).ok()?.campaign;
    let own = |value: Option<std::borrow::Cow<'_, str>>| value.unwrap_or_default().into_owned();
    let tagged = campaign.source.is_some() || campaign.medium.is_some();
    tagged.then(|| Tags {
        source: own(campaign.source),
        medium: own(campaign.medium),
    })
}

/// Tries each word alone, and the examples.
pub(super) fn campaign(signals: &Signals, row: &CampaignRule) -> Result<(), Missed> {
    let is_it = |text: &str, source: &str, medium: &str, fix| {
        let deciding = deciding_row(signals, source, medium);
        if deciding == Some(row.id.as_str()) {
            return Ok(());
        }
        let by = match deciding {
            Some(id) => format!("what campaign `{id}` takes"),
            None => "what no campaign takes".to_owned(),
        };
        let found = signals.campaign(source, medium).category;
        let got = format!("{by}: {found:?} and not {:?}", row.category);
        Err(missed(text, got, fix))
    };
    for medium in &row.mediums {
        is_it(medium, "", medium, FIX_WORD)?;
    }
    for start in &row.medium_starts {
        let medium = format!("{start}-x");
        is_it(&medium, "", &medium, FIX_WORD)?;
    }
    for end in &row.medium_ends {
        let medium = format!("x-{end}");
        is_it(&medium, "", &medium, FIX_WORD)?;
    }
    for source in &row.sources {
        is_it(source, source, "", FIX_WORD)?;
    }
    for example in &row.examples {
        match read(signals, example) {
            Some(tags) => is_it(example, &tags.source, &tags.medium, FIX_EXAMPLE)?,
            None => {
                let got = "no query with `utm_source` or `utm_medium`".to_owned();
                return Err(missed(example, got, FIX_EXAMPLE));
            }
        }
    }
    Ok(())
}
