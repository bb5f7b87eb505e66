//! Where visits come from: apps, services and sites, by host name and by Android package.

use std::borrow::Cow;

use hashbrown::HashMap;
use serde::Deserialize;

use crate::fact::{Certainty, Surface};

/// What kind of place an origin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginCategory {
    /// A search engine.
    Search,
    /// A network with posts and profiles.
    Social,
    /// A messenger or team chat.
    Messenger,
    /// A mail service or program.
    Mail,
    /// A service that rewrites the links of mails to test them at the click.
    MailProtection,
    /// An AI assistant.
    Assistant,
    /// A video or audio service.
    Video,
    /// A news reader or link collection.
    Aggregator,
    /// Documents, boards and wikis: some for their members only, some for anybody.
    Document,
    /// A browser or operating system: says nothing of the place.
    Browser,
    /// A site that forges visits to be seen in reports.
    Spam,
}

/// A place that visits come from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Stable name: the app or source written into records.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What kind of place it is.
    pub category: OriginCategory,
    /// Whether links there are seen by strangers.
    pub surface: Surface,
    /// How well the hosts and packages are known to be this place: `Inferred` where a host is known
    /// from the service's own domain only.
    pub certainty: Certainty,
    /// Host names. `a.b` means it and all below; `=a.b` only it; `a.*` with any public suffix;
    /// `=a.*` likewise without what is below; a `*` inside the first label stands for any text.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Android packages and iOS bundle ids.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Other names used in campaign sources, such as `fb`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Public places of a private app whose links open as those of messages do, in words; empty where
    /// none is known. In what part nobody has published: the evidence of a visit says so.
    #[serde(default)]
    pub public_too: String,
    /// What a reader of the evidence should know.
    #[serde(default)]
    pub note: String,
    /// Where the fact is from.
    pub source: String,
    /// When the source was current.
    pub date: String,
    /// What a visit from there brings and what must lead to this origin: a referrer, campaign tags
    /// (`utm_source=…`), or, where apps of others are all that is known of it, a user agent.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// A host whose pages only lead on to another address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shim {
    /// Stable name of the entry.
    pub id: String,
    /// Host names, written as in [`Origin::hosts`].
    pub hosts: Vec<String>,
    /// The path begins so.
    #[serde(default)]
    pub path: String,
    /// Query parameters that may carry the address, the likeliest first.
    pub parameters: Vec<String>,
    /// Where the fact is from.
    pub source: String,
    /// When the source was current.
    pub date: String,
    /// Shim addresses that must lead to an address.
    pub examples: Vec<String>,
}

/// Host names to entries, with parents, public suffixes and wildcards.
#[derive(Debug, Default)]
pub(crate) struct HostIndex {
    /// Whole names; the flag says whether names below count too.
    names: HashMap<Box<str>, (u32, bool)>,
    /// Names without their public suffix.
    stems: HashMap<Box<str>, (u32, bool)>,
    /// What stands before and after the wildcard.
    globs: Vec<(Box<str>, Box<str>, u32)>,
}

impl HostIndex {
    /// Adds a host as data files write it. The first entry to name a host keeps it.
    pub(crate) fn add(&mut self, host: &str, entry: u32) -> Result<(), String> {
        let (name, below) = match host.strip_prefix('=') {
            Some(name) => (name, false),
            None => (host, true),
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
        };
        if let Some(stem) = name.strip_suffix(".*") {
            if !plain(stem) {
                return Err(bad_host(host));
            }
            self.stems.entry(stem.into()).or_insert((entry, below));
        } else if let Some((before, after)) = name.split_once('*') {
            if !plain(after) || before.contains('.') || !after.contains('.') {
                return Err(bad_host(host));
            }
            self.globs.push((before.into(), after.into(), entry));
        } else if plain(name) {
            self.names.entry(name.into()).or_insert((entry, below));
        } else {
            return Err(bad_host(host));
        }
        Ok(())
    }

    /// The entry for a host in lower case, without a final dot. The most exact name wins.
    pub(crate) fn find(&self, host: &str) -> Option<u32> {
        let host = host.strip_prefix("www.").unwrap_or(host);
        if host.len() > 253 {
            return None;
        }
        if let Some(entry) = nearest(&self.names, host) {
            return Some(entry);
        }
        for (before, after, entry) in &self.globs {
            let long_enough = host.len() > before.len() + after.len();
            if long_enough && host.starts_with(&**before) && host.ends_with(&**after) {
                return Some(*entry);
            }
        }
        if self.stems.is_empty() {
            return None;
        }
        let suffix = psl::suffix(host.as_bytes())?;
        // Below a private suffix (a hosting service) anybody may take any name.
        if !suffix.is_known() || suffix.typ() != Some(psl::Type::Icann) {
            return None;
        }
        let stem = host.get(..host.len().checked_sub(suffix.as_bytes().len() + 1)?)?;
        nearest(&self.stems, stem)
    }
}

fn nearest(map: &HashMap<Box<str>, (u32, bool)>, name: &str) -> Option<u32> {
    if let Some((entry, _)) = map.get(name) {
        return Some(*entry);
    }
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        match map.get(parent) {
            Some((entry, true)) => return Some(*entry),
            _ => rest = parent,
        }
    }
    None
}

fn bad_host(host: &str) -> String {
    format!("`{host}` in `hosts` is not a host name in lower case, without scheme and path")
}

/// Lower case without copying, where there is none to change.
pub(crate) fn lower(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// Bytes of a text that [`lower_in`] needs no heap for: any package or campaign value that is kept.
pub(crate) const LOWER_BYTES: usize = 256;

/// The same in `room`, where it is large enough.
pub(crate) fn lower_in<'t>(text: &'t str, room: &'t mut [u8; LOWER_BYTES]) -> Cow<'t, str> {
    if !text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let Some(copy) = room.get_mut(..text.len()) else {
        return lower(text);
    };
    copy.copy_from_slice(text.as_bytes());
    copy.make_ascii_lowercase();
    std::str::from_utf8(copy).map_or_else(|_| lower(text), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(hosts: &[&str]) -> HostIndex {
        let mut index = HostIndex::default();
        for (entry, host) in hosts.iter().enumerate() {
            index.add(host, entry as u32).unwrap();
        }
        index
    }

    #[test]
    fn the_most_exact_host_wins() {
        let index = index(&["=google.*", "mail.google.com", "yandex.*", "mail.yandex.*"]);
        assert_eq!(index.find("www.google.co.uk"), Some(0));
        assert_eq!(index.find("google.com"), Some(0));
        assert_eq!(index.find("sites.google.com"), None);
        assert_eq!(index.find("mail.google.com"), Some(1));
        assert_eq!(index.find("m.mail.google.com"), Some(1));
        assert_eq!(index.find("ya.yandex.com.tr"), Some(2));
        assert_eq!(index.find("mail.yandex.kz"), Some(3));
    }

    #[test]
    fn a_name_below_a_hosting_service_is_nobody() {
        let index = index(&["=google.*"]);
        assert_eq!(index.find("google.github.io"), None);
        assert_eq!(index.find("google.blogspot.com"), None);
        assert_eq!(index.find("google.nosuchsuffix"), None);
    }

    #[test]
    fn wildcards_stand_inside_the_first_label() {
        let index = index(&["protect-*.mimecast.com", "safelinks.protection.outlook.com"]);
        assert_eq!(index.find("protect-eu.mimecast.com"), Some(0));
        assert_eq!(index.find("protect-.mimecast.com"), None);
        assert_eq!(
            index.find("nam02.safelinks.protection.outlook.com"),
            Some(1)
        );
        assert_eq!(index.find("outlook.com"), None);
    }

    #[test]
    fn bad_hosts_are_refused() {
        for host in ["https://a.b", "A.b", "", "a.b/c", "*", "a.*.b", "*.*"] {
            assert!(HostIndex::default().add(host, 0).is_err(), "{host}");
        }
    }
}
