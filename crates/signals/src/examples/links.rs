//! Decorations and pages: links and what is read of them.

use std::borrow::Cow;

use super::{FIX_EXAMPLE, FIX_WORD, Missed, missed};
use crate::Signals;
use crate::address;
use crate::decorations::{Decoration, Form, Place, Says};
use crate::escape::decode;
use crate::link::Link;
use crate::pages::{PageRule, PageRuleKind, Resource};

/// Tries the name on each host with each value, and the examples.
pub(super) fn decoration(signals: &Signals, row: &Decoration) -> Result<(), Missed> {
    let name = row.name.replace('*', "x");
    let any = match row.form {
        Some(Form::Host) => "example.org",
        None => "v",
    };
    let signs: &[char] = match row.place {
        Place::Query => &['?'],
        Place::Fragment => &['#'],
        Place::Both => &['?', '#'],
    };
    for host in or_one(&row.hosts, "site.example") {
        for value in or_one(&row.values, any) {
            for sign in signs {
                let url = format!("https://{host}/a{sign}{name}={value}");
                reads(signals, row, &url, FIX_WORD)?;
            }
        }
    }
    row.examples
        .iter()
        .try_for_each(|example| reads(signals, row, example, FIX_EXAMPLE))
}

fn or_one<'a>(texts: &'a [String], one: &'a str) -> Vec<&'a str> {
    match texts {
        [] => vec![one],
        texts => texts.iter().map(String::as_str).collect(),
    }
}

/// Whether the link says what the entry says, by this very entry, and its address is without it.
fn reads(signals: &Signals, row: &Decoration, url: &str, fix: &'static str) -> Result<(), Missed> {
    let Ok(link) = signals.link(url) else {
        return Err(missed(url, "no address of a page".to_owned(), fix));
    };
    let host = link.host_name();
    let items = items(url);
    let found = |item: &Item<'_>| item.decoration(signals, host);
    let is_own = |item: &&Item<'_>| found(item).is_some_and(|other| other.id == row.id);
    let Some(own) = items.iter().find(is_own) else {
        let mut named = items.iter().filter(|item| item.is_named(row));
        let got = match named.find_map(found) {
            Some(other) => format!("what decoration `{}` takes", other.id),
            None => format!("read as {} with nothing of that in it", link.canonical),
        };
        return Err(missed(url, got, fix));
    };
    let left = items_of_query(&link.canonical);
    let kept = left.iter().any(|item| is_own(&item));
    // Fragments are no part of a content whatever they hold.
    let is_kept = row.says == Says::Content && own.part == Part::Query;
    match says(&link, row, &decode(own.value)) && kept == is_kept {
        true => Ok(()),
        false => {
            let got = format!("read as {} with nothing of that in it", link.canonical);
            Err(missed(url, got, fix))
        }
    }
}

fn says(link: &Link<'_>, row: &Decoration, value: &str) -> bool {
    let campaign = &link.campaign;
    let is_value = |found: &Option<Cow<'_, str>>| found.as_deref() == Some(value);
    match row.says {
        Says::ShareToken => is_value(&link.share_token),
        Says::ClickId => link.click_ids.iter().any(|found| found.id == row.id),
        Says::ShareMark => {
            let mut marks = link.share_marks.iter();
            marks.any(|mark| mark.decoration.id == row.id && mark.value == value)
        }
        Says::CampaignSource => is_value(&campaign.source),
        Says::CampaignMedium => is_value(&campaign.medium),
        Says::CampaignName => is_value(&campaign.name),
        Says::CampaignContent => is_value(&campaign.content),
        Says::CampaignTerm => is_value(&campaign.term),
        Says::CampaignId => is_value(&campaign.id),
        Says::MailId => {
            is_value(&campaign.id) && link.mailed_by().is_some_and(|found| found.id == row.id)
        }
        Says::Recipient => link
            .recipient
            .as_ref()
            .is_some_and(|mark| mark.decoration.id == row.id && mark.value == value),
        Says::Tracking | Says::Session | Says::Content => true,
    }
}

/// Which part of a link an item stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Behind a `;` of the path, where only sessions are looked for.
    Path,
    Query,
    Fragment,
}

/// A name with its value, as it stands in a link.
#[derive(Debug)]
struct Item<'u> {
    part: Part,
    name: Cow<'u, str>,
    value: &'u str,
}

impl<'u> Item<'u> {
    fn new(part: Part, text: &'u str) -> Self {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Item {
            part,
            name: decode(name),
            value,
        }
    }

    fn decoration<'s>(&self, signals: &'s Signals, host: &str) -> Option<&'s Decoration> {
        let index = &signals.decorations;
        match self.part {
            Part::Path => index
                .find(host, &self.name, "", Place::Query)
                .filter(|found| found.says == Says::Session),
            Part::Query => index.find(host, &self.name, self.value, Place::Query),
            Part::Fragment => index.find(host, &self.name, self.value, Place::Fragment),
        }
    }

    /// Whether it has the name of an entry, whatever else that asks for.
    fn is_named(&self, row: &Decoration) -> bool {
        let name = self.name.to_ascii_lowercase();
        let wanted = row.name.to_ascii_lowercase();
        match wanted.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == wanted,
        }
    }
}

fn items(url: &str) -> Vec<Item<'_>> {
    let Ok((page, _, fragment)) = address::parts(url) else {
        return Vec::new();
    };
    let of_path = page
        .split('/')
        .flat_map(|segment| segment.split(';').skip(1));
    let of_fragment = fragment.split(['&', '?', ';']);
    let mut items = items_of_query(url);
    items.extend(of_path.map(|item| Item::new(Part::Path, item)));
    items.extend(of_fragment.map(|item| Item::new(Part::Fragment, item)));
    items
}

fn items_of_query(url: &str) -> Vec<Item<'_>> {
    let query = address::parts(url).map_or("", |(_, query, _)| query);
    let items = query.split('&').map(|item| Item::new(Part::Query, item));
    items.collect()
}

/// Tries each name as part of a path, and the examples.
pub(super) fn page(signals: &Signals, row: &PageRule) -> Result<(), Missed> {
    for name in &row.names {
        let Some(expected) = resource(row.kind) else {
            let known = match row.kind {
                PageRuleKind::Index => signals.pages.is_index(name),
                _ => signals.pages.is_section(name),
            };
            if known {
                continue;
            }
            let got = "longer than any name that is looked for".to_owned();
            return Err(missed(name, got, FIX_WORD));
        };
        let path = match row.kind {
            PageRuleKind::AssetPrefix | PageRuleKind::MachinePrefix => format!("{name}x"),
            PageRuleKind::FeedName => format!("/a/{name}"),
            _ => format!("/a/b.{name}"),
        };
        let found = signals.resource(&path);
        if found != expected {
            let got = format!("{found:?} by another entry, not {expected:?}");
            return Err(missed(&path, got, FIX_WORD));
        }
    }
    row.examples
        .iter()
        .try_for_each(|example| page_of(signals, row, example))
}

/// What paths with the names serve; `None` where the names stand in the paths of pages.
fn resource(kind: PageRuleKind) -> Option<Resource> {
    match kind {
        PageRuleKind::Index | PageRuleKind::Section => None,
        PageRuleKind::AssetExtension | PageRuleKind::AssetPrefix => Some(Resource::Asset),
        PageRuleKind::DocumentExtension => Some(Resource::Document),
        PageRuleKind::FeedExtension | PageRuleKind::FeedName => Some(Resource::Feed),
        PageRuleKind::MachinePrefix => Some(Resource::Machine),
    }
}

fn page_of(signals: &Signals, row: &PageRule, url: &str) -> Result<(), Missed> {
    let Ok(link) = signals.link(url) else {
        return Err(missed(url, "no address of a page".to_owned(), FIX_EXAMPLE));
    };
    let (page, ..) = address::parts(url).unwrap_or_default();
    let sent = page.rsplit('/').next().unwrap_or_default();
    let path = link.path();
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_one = |text: &str| row.names.iter().any(|name| name.eq_ignore_ascii_case(text));
    let extension = last.rsplit_once('.').map_or("", |(_, extension)| extension);
    let begins = |name: &String| {
        let start = path.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let by_name = match row.kind {
        PageRuleKind::Index => is_one(sent) && !is_one(last),
        PageRuleKind::Section => {
            is_one(path.split('/').nth(1).unwrap_or_default()) && link.shape.is_section_front
        }
        PageRuleKind::FeedName => is_one(last),
        PageRuleKind::AssetPrefix | PageRuleKind::MachinePrefix => row.names.iter().any(begins),
        PageRuleKind::AssetExtension
        | PageRuleKind::DocumentExtension
        | PageRuleKind::FeedExtension => is_one(extension),
    };
    let found = signals.resource(path);
    match by_name && found == resource(row.kind).unwrap_or(Resource::Page) {
        true => Ok(()),
        false => {
            let got = format!(
                "read as {}, {found:?}, by no name of this entry",
                link.canonical
            );
            Err(missed(url, got, FIX_EXAMPLE))
        }
    }
}
