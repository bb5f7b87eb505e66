//! Which addresses are pages that people read, by the looks of their path.

use hashbrown::HashSet;
use serde::Deserialize;

/// What a path serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// A page, as far as one can tell.
    Page,
    /// A file that pages load: style, script, picture, font, media, icon.
    Asset,
    /// A file for download: no page, but something people pass on.
    Document,
    /// A feed.
    Feed,
    /// For machines: `robots.txt`, site maps, `.well-known`, interfaces.
    Machine,
}

/// Rows of `pages.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageRule {
    pub(crate) id: String,
    pub(crate) kind: PageRuleKind,
    pub(crate) names: Vec<String>,
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
    /// Links to pages that the names are meant for.
    #[serde(default)]
    pub(crate) examples: Vec<String>,
}

/// How the names of a [`PageRule`] are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PageRuleKind {
    /// File names that stand for their directory.
    Index,
    /// First segments that begin lists, not articles.
    Section,
    /// Extensions of files that pages load.
    AssetExtension,
    /// Extensions of files for download.
    DocumentExtension,
    /// Extensions of feeds.
    FeedExtension,
    /// Last segments of feeds.
    FeedName,
    /// Beginnings of paths for machines.
    MachinePrefix,
    /// Beginnings of paths of icons.
    AssetPrefix,
}

/// Names by kind.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    index: HashSet<Box<str>>,
    sections: HashSet<Box<str>>,
    assets: HashSet<Box<str>>,
    documents: HashSet<Box<str>>,
    feeds: HashSet<Box<str>>,
    feed_names: HashSet<Box<str>>,
    machine_prefixes: Vec<Box<str>>,
    asset_prefixes: Vec<Box<str>>,
}

/// Longest name in the sets: longer segments need no look.
const NAME_BYTES_MAX: usize = 32;

impl Pages {
    pub(crate) fn new(rules: &[PageRule]) -> Self {
        let mut pages = Pages::default();
        for rule in rules {
            for name in &rule.names {
                let name: Box<str> = name.to_ascii_lowercase().into();
                match rule.kind {
                    PageRuleKind::Index => drop(pages.index.insert(name)),
                    PageRuleKind::Section => drop(pages.sections.insert(name)),
                    PageRuleKind::AssetExtension => drop(pages.assets.insert(name)),
                    PageRuleKind::DocumentExtension => drop(pages.documents.insert(name)),
                    PageRuleKind::FeedExtension => drop(pages.feeds.insert(name)),
                    PageRuleKind::FeedName => drop(pages.feed_names.insert(name)),
                    PageRuleKind::MachinePrefix => pages.machine_prefixes.push(name),
                    PageRuleKind::AssetPrefix => pages.asset_prefixes.push(name),
                }
            }
        }
        pages
    }

    pub(crate) fn is_index(&self, segment: &str) -> bool {
        contains(&self.index, segment)
    }

    pub(crate) fn is_section(&self, segment: &str) -> bool {
        contains(&self.sections, segment)
    }

    /// What a path serves; anything from `?` or `#` on is ignored.
    pub(crate) fn resource(&self, path: &str) -> Resource {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let begins = |prefixes: &[Box<str>]| {
            prefixes.iter().any(|prefix| {
                let start = path.as_bytes().get(..prefix.len());
                start.is_some_and(|s| s.eq_ignore_ascii_case(prefix.as_bytes()))
            })
        };
        if begins(&self.machine_prefixes) {
            return Resource::Machine;
        }
        if begins(&self.asset_prefixes) {
            return Resource::Asset;
        }
        let last = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        if contains(&self.feed_names, last) {
            return Resource::Feed;
        }
        let Some((_, extension)) = last.rsplit_once('.') else {
            return Resource::Page;
        };
        if contains(&self.assets, extension) {
            Resource::Asset
        } else if contains(&self.documents, extension) {
            Resource::Document
        } else if contains(&self.feeds, extension) {
            Resource::Feed
        } else {
            Resource::Page
        }
    }
}

fn contains(set: &HashSet<Box<str>>, name: &str) -> bool {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return false;
    }
    let mut buffer = [0; NAME_BYTES_MAX];
    let folded = &mut buffer[..name.len()];
    folded.copy_from_slice(name.as_bytes());
    folded.make_ascii_lowercase();
    std::str::from_utf8(folded).is_ok_and(|name| set.contains(name))
}
