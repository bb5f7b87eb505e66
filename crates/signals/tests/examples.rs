//! Every entry of the data is found by its own examples, read by the product's public interface. The files are read
//! here once more, so that an entry without an example fails, and what it says is held against what is read.

use std::path::Path;

use grapevine_signals::{
    AgentKind, CampaignCategory, OriginCategory, ReferrerKind, Resource, Signals,
};
use toml::{Table, Value};
use url::Url;

/// The list of isbot, which is none of entries: `src/robot_list_tests.rs` has samples of each pattern.
const LIST: &str = "robots-isbot.toml";

/// A row as it stands in a file.
struct Entry {
    table: String,
    keys: Table,
}

impl Entry {
    fn text(&self, key: &str) -> &str {
        self.keys
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn texts(&self, key: &str) -> Vec<&str> {
        let list = self.keys.get(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Its name in failures.
    fn place(&self) -> String {
        let id = match self.text("id") {
            "" => self.text("name"),
            id => id,
        };
        format!("{} `{id}`", self.table)
    }
}

fn entries() -> Vec<Entry> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let mut files: Vec<_> = std::fs::read_dir(data)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|ending| ending == "toml"))
        .filter(|file| file.file_name().is_some_and(|name| name != LIST))
        .collect();
    files.sort();
    let mut entries = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for (table, rows) in toml::from_str::<Table>(&text).unwrap() {
            for row in rows.as_array().unwrap() {
                entries.push(Entry {
                    table: table.clone(),
                    keys: row.as_table().unwrap().clone(),
                });
            }
        }
    }
    entries
}

/// Tries every example of every entry of a table, and fails with all that are wrong.
fn each_example(table: &str, is_wrong: impl Fn(&Entry, &str) -> Option<String>) {
    let entries: Vec<_> = entries().into_iter().filter(|e| e.table == table).collect();
    assert!(!entries.is_empty(), "{table}");
    let mut wrong = Vec::new();
    for entry in &entries {
        for example in entry.texts("examples") {
            if let Some(got) = is_wrong(entry, example) {
                wrong.push(format!("{}: {example:?}: {got}", entry.place()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn unless(is_right: bool, got: impl std::fmt::Debug) -> Option<String> {
    (!is_right).then(|| format!("{got:?}"))
}

/// A word of the data as the types of the crate are called.
fn typed<T: serde::de::DeserializeOwned>(word: &str) -> T {
    Value::from(word).try_into().unwrap()
}

#[test]
fn every_entry_has_an_example_and_none_twice() {
    let entries = entries();
    assert!(entries.len() > 800, "{} entries", entries.len());
    for entry in &entries {
        let mut examples = entry.texts("examples");
        assert!(!examples.is_empty(), "{} has no example", entry.place());
        let all = examples.len();
        examples.sort_unstable();
        examples.dedup();
        assert_eq!(examples.len(), all, "{} has one twice", entry.place());
    }
}

#[test]
fn what_a_visit_from_an_origin_brings_leads_to_it() {
    let signals = Signals::builtin();
    each_example("origin", |entry, example| {
        let referrer = signals.referrer(example);
        let (found, kind) = if example.contains("://") && !example.contains(' ') {
            (referrer.origin(), category_of(referrer.kind))
        } else if example.starts_with("utm_") {
            let (source, medium) = tags(&signals, example);
            let found = signals.campaign(&source, &medium).origin;
            (found, found.map(|origin| origin.category))
        } else {
            let agent = signals.agent(example);
            let app = match agent.kind {
                AgentKind::PreviewFetcher(fetcher) => Some(fetcher.app.as_str()),
                _ => agent.in_app.map(|in_app| in_app.app.as_str()),
            };
            let found = app.and_then(|app| signals.origin(app));
            (found, found.map(|origin| origin.category))
        };
        let is_it = found.is_some_and(|origin| {
            origin.id == entry.text("id") && origin.surface.as_str() == entry.text("surface")
        });
        let of_kind = kind == Some(typed(entry.text("category")));
        unless(is_it && of_kind, (found.map(|origin| &origin.id), kind))
    });
}

fn category_of(kind: ReferrerKind<'_>) -> Option<OriginCategory> {
    match kind {
        ReferrerKind::None | ReferrerKind::Malformed | ReferrerKind::Referral => None,
        ReferrerKind::Search(_) => Some(OriginCategory::Search),
        ReferrerKind::Social(_) => Some(OriginCategory::Social),
        ReferrerKind::PrivateApp(_) => Some(OriginCategory::Messenger),
        ReferrerKind::WebMail(_) => Some(OriginCategory::Mail),
        ReferrerKind::MailProtection(_) => Some(OriginCategory::MailProtection),
        ReferrerKind::Assistant(_) => Some(OriginCategory::Assistant),
        ReferrerKind::Video(_) => Some(OriginCategory::Video),
        ReferrerKind::Aggregator(_) => Some(OriginCategory::Aggregator),
        ReferrerKind::Document(_) => Some(OriginCategory::Document),
        ReferrerKind::Browser(_) => Some(OriginCategory::Browser),
        ReferrerKind::Spam(_) => Some(OriginCategory::Spam),
    }
}

/// Source and medium of a query; empty where there is none.
fn tags(signals: &Signals, query: &str) -> (String, String) {
    let url = format!("https://example.org/?{query}");
    let campaign = signals.link(&url).unwrap().campaign;
    let own = |value: Option<std::borrow::Cow<'_, str>>| value.unwrap_or_default().into_owned();
    (own(campaign.source), own(campaign.medium))
}

#[test]
fn campaign_tags_say_the_category_of_their_row() {
    let signals = Signals::builtin();
    each_example("campaign", |entry, example| {
        let (source, medium) = tags(&signals, example);
        let words = ["mediums", "medium_starts", "medium_ends", "sources"];
        let mut of_row = words.into_iter().flat_map(|key| entry.texts(key));
        let named = of_row.any(|word| {
            source == word || medium == word || medium.starts_with(word) || medium.ends_with(word)
        });
        let category = signals.campaign(&source, &medium).category;
        let wanted: CampaignCategory = typed(entry.text("category"));
        unless(named && category == wanted, (category, source, medium))
    });
}

/// Each link carries one decoration, and what it becomes is what is left without that.
#[test]
fn a_link_with_a_decoration_says_it_and_becomes_the_link_without_it() {
    let signals = Signals::builtin();
    each_example("decoration", |entry, example| {
        let (bare, value) = without(example, entry.text("name"));
        let link = signals.link(example).unwrap();
        let Some(value) = value else {
            return Some("it does not carry the decoration".to_owned());
        };
        let row = signals.decorations().iter().find(|row| {
            let id = entry.text("id");
            row.id
                == if id.is_empty() {
                    entry.text("name")
                } else {
                    id
                }
        });
        let row = row.unwrap();
        let is_row = |found: &grapevine_signals::Decoration| found.id == row.id;
        let campaign = &link.campaign;
        let mut others = link.click_ids.iter().count() + link.share_marks.iter().count();
        others += usize::from(link.share_token.is_some()) + usize::from(link.recipient.is_some());
        let said = match entry.text("says") {
            "share-token" => link.share_token.as_deref() == Some(&value),
            "click-id" => {
                let mut ids = link.click_ids.iter();
                ids.any(|found| is_row(found) && found.app == entry.text("app"))
                    && link.is_paid_click() == row.paid
            }
            "share-mark" => link.share_marks.iter().any(|mark| {
                is_row(mark.decoration)
                    && mark.value == value
                    && mark.decoration.app == entry.text("app")
                    && mark.decoration.surface == row.surface
            }),
            "recipient" => {
                let mark = link.recipient.as_ref();
                mark.is_some_and(|mark| is_row(mark.decoration) && mark.value == value)
                    && link.mailed_by().is_some_and(is_row)
            }
            "mail-id" => {
                link.mailed_by().is_some_and(is_row) && campaign.id.as_deref() == Some(&value)
            }
            "campaign-source" => campaign.source.as_deref() == Some(&value),
            "campaign-medium" => campaign.medium.as_deref() == Some(&value),
            "campaign-name" => campaign.name.as_deref() == Some(&value),
            "campaign-content" => campaign.content.as_deref() == Some(&value),
            "campaign-term" => campaign.term.as_deref() == Some(&value),
            "campaign-id" => campaign.id.as_deref() == Some(&value),
            "tracking" | "session" => campaign.is_empty() && others == 0,
            other => panic!("{other}"),
        };
        let marks = matches!(
            entry.text("says"),
            "share-token" | "click-id" | "share-mark" | "recipient"
        );
        let alone = others == usize::from(marks);
        unless(said && alone && link.canonical == bare, (&link, bare))
    });
}

/// What is left of a link without a decoration and its fragment, in the canonical form, and the value
/// that the decoration had.
fn without(link: &str, name: &str) -> (String, Option<String>) {
    let url = Url::parse(link).unwrap();
    let is_named = |key: &str| {
        let key = key.to_lowercase();
        match name.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == name,
        }
    };
    let mut value = None;
    let mut keep = |item: &str| {
        let mut pairs = url::form_urlencoded::parse(item.as_bytes());
        let Some((key, found)) = pairs.next() else {
            return false;
        };
        if is_named(&key) {
            value = Some(found.into_owned());
        }
        !is_named(&key)
    };
    let segments: Vec<String> = url
        .path()
        .trim_matches('/')
        .split('/')
        .map(|segment| {
            let mut items = segment.split(';');
            let first = items.next().unwrap_or_default();
            items
                .filter(|item| keep(item))
                .fold(first.to_owned(), |segment, item| {
                    format!("{segment};{item}")
                })
        })
        .collect();
    let mut left: Vec<&str> = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|item| keep(item))
        .collect();
    left.sort_unstable();
    for item in url.fragment().unwrap_or_default().split('&') {
        keep(item);
    }
    let host = url.host_str().unwrap().trim_start_matches("www.");
    let query = if left.is_empty() {
        String::new()
    } else {
        format!("?{}", left.join("&"))
    };
    (
        format!("https://{host}/{}{query}", segments.join("/")),
        value,
    )
}

#[test]
fn links_to_pages_are_read_as_the_names_say() {
    let signals = Signals::builtin();
    each_example("page", |entry, example| {
        let link = signals.link(example).unwrap();
        let found = signals.resource(link.path());
        let right = match entry.text("kind") {
            "index" => {
                let above = Url::parse(example).unwrap().join(".").unwrap();
                let above = above.path().trim_end_matches('/');
                found == Resource::Page && link.path().trim_end_matches('/') == above
            }
            "section" => found == Resource::Page && link.shape.is_section_front,
            "asset-extension" | "asset-prefix" => found == Resource::Asset,
            "document-extension" => found == Resource::Document,
            "feed-extension" | "feed-name" => found == Resource::Feed,
            "machine-prefix" => found == Resource::Machine,
            other => panic!("{other}"),
        };
        unless(right, (found, link.canonical))
    });
}

#[test]
fn user_agents_are_of_their_family() {
    let signals = Signals::builtin();
    each_example("platform", |entry, example| {
        let agent = signals.agent(example);
        let found = match entry.text("kind") {
            "os" => agent.os,
            "browser" => agent.browser,
            other => panic!("{other}"),
        };
        unless(found == entry.text("id"), (agent.os, agent.browser))
    });
}
