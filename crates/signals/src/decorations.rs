//! What is added to addresses: share tokens, click ids, share marks, campaign tags.

use hashbrown::HashMap;
use serde::Deserialize;

use crate::escape::decode;
use crate::fact::Surface;

/// What a decoration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// Grapevine's own share token.
    ShareToken,
    /// The visit left a platform by a click.
    ClickId,
    /// An app or site marks links that are shared from it.
    ShareMark,
    /// `utm_source` and its like: who built the link says so. Re-shared links keep it.
    CampaignSource,
    /// `utm_medium` and its like.
    CampaignMedium,
    /// `utm_campaign` and its like.
    CampaignName,
    /// `utm_content` and its like.
    CampaignContent,
    /// `utm_term` and its like.
    CampaignTerm,
    /// `utm_id` and its like.
    CampaignId,
    /// The same of a system that sends mails and nothing else: the link was sent out in a mail.
    MailId,
    /// A mark of mails of the site, most of them the recipient's id. A second reader with the same
    /// one may have been sent the mail on, or be the recipient on another device: nothing follows.
    Recipient,
    /// Measures something, and says nothing of the visit's origin.
    Tracking,
    /// A session id.
    Session,
    /// Part of the content after all: keeps the parameter, for overrides.
    Content,
}

/// Where in an address a decoration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The query.
    #[default]
    Query,
    /// The fragment, which only a page's script can see.
    Fragment,
    /// The query or the fragment.
    Both,
}

/// What a value must look like to be a decoration's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The name of a host below a public suffix, such as `example.org`.
    Host,
}

/// A query parameter, or an item of the fragment, that is no part of the content's address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoration {
    /// Stable name of the entry; the parameter's name unless given.
    #[serde(default)]
    pub id: String,
    /// The parameter's name in lower case; a final `*` stands for any rest.
    pub name: String,
    /// What it says.
    pub says: Says,
    /// The [`crate::Origin`] it comes from, or empty.
    #[serde(default)]
    pub app: String,
    /// Whether it proves an advertisement. `fbclid` does not: organic clicks carry it too.
    #[serde(default)]
    pub paid: bool,
    /// Whether the link was shared privately, where the mark tells.
    #[serde(default = "unknown_surface")]
    pub surface: Surface,
    /// Only on these hosts and below; empty for everywhere.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Only with these values in lower case; empty for any.
    #[serde(default)]
    pub values: Vec<String>,
    /// Only with values of this form; `None` for any.
    #[serde(default)]
    pub form: Option<Form>,
    /// Where it stands.
    #[serde(default, rename = "in")]
    pub place: Place,
    /// What a reader of the evidence should know.
    #[serde(default)]
    pub note: String,
    /// Where the fact is from.
    pub source: String,
    /// When the source was current.
    pub date: String,
    /// Links that carry it, and of which it must be read.
    #[serde(default)]
    pub examples: Vec<String>,
}

fn unknown_surface() -> Surface {
    Surface::Unknown
}

/// Decorations by name.
#[derive(Debug, Default)]
pub(crate) struct DecorationIndex {
    entries: Vec<Decoration>,
    names: HashMap<Box<str>, Vec<u32>>,
    prefixes: Vec<(Box<str>, u32)>,
}

/// Longest parameter name that can be a decoration's.
const NAME_BYTES_MAX: usize = 64;
/// Longest name of a host (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 253;

impl DecorationIndex {
    pub(crate) fn new(entries: Vec<Decoration>) -> Result<Self, (String, String)> {
        let mut index = DecorationIndex::default();
        for (at, entry) in entries.iter().enumerate() {
            let stem = entry.name.strip_suffix('*').unwrap_or(&entry.name);
            if stem.is_empty() || stem.len() > NAME_BYTES_MAX || stem.contains('*') {
                let problem = format!(
                    "`name` is `{}`, no name with at most a final `*`",
                    entry.name
                );
                return Err((entry.id.clone(), problem));
            }
            let folded: Box<str> = stem.to_ascii_lowercase().into();
            if entry.name.ends_with('*') {
                index.prefixes.push((folded, at as u32));
            } else {
                index.names.entry(folded).or_default().push(at as u32);
            }
        }
        // Entries that ask for a host or a value come first, whatever order the files have.
        let general = |at: &u32| {
            let entry = &entries[*at as usize];
            let any_value = entry.values.is_empty() && entry.form.is_none();
            (any_value, entry.hosts.is_empty())
        };
        for candidates in index.names.values_mut() {
            candidates.sort_by_key(general);
        }
        index
            .prefixes
            .sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        index.entries = entries;
        Ok(index)
    }

    /// The decoration that a parameter is, on `host`.
    pub(crate) fn find(
        &self,
        host: &str,
        name: &str,
        value: &str,
        place: Place,
    ) -> Option<&Decoration> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut buffer = [0; NAME_BYTES_MAX];
        let folded = fold(name, &mut buffer)?;
        if let Some(candidates) = self.names.get(folded) {
            for at in candidates {
                let entry = &self.entries[*at as usize];
                if entry.applies(host, value, place) {
                    return Some(entry);
                }
            }
        }
        let by_prefix = |(prefix, at): &(Box<str>, u32)| {
            let entry = &self.entries[*at as usize];
            (folded.starts_with(&**prefix) && entry.applies(host, value, place)).then_some(entry)
        };
        self.prefixes.iter().find_map(by_prefix)
    }

    pub(crate) fn entries(&self) -> &[Decoration] {
        &self.entries
    }
}

impl Decoration {
    fn applies(&self, host: &str, value: &str, place: Place) -> bool {
        (self.place == Place::Both || self.place == place)
            && (self.hosts.is_empty() || self.hosts.iter().any(|h| is_below(host, h)))
            && self.has_value(value)
    }

    /// Whether a value as it stands in an address is one of this entry's. Escapes are undone first:
    /// a canonical address has none where none is needed, and must read the same.
    fn has_value(&self, value: &str) -> bool {
        if self.values.is_empty() && self.form.is_none() {
            return true;
        }
        let value = decode(value);
        let listed = self.values.iter().any(|v| v.eq_ignore_ascii_case(&value));
        (self.values.is_empty() || listed) && self.form.is_none_or(|form| form.holds(&value))
    }
}

impl Form {
    fn holds(self, value: &str) -> bool {
        match self {
            Form::Host => is_host_name(value),
        }
    }
}

/// A name with a label before a public suffix that is known.
fn is_host_name(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if value.len() > HOST_BYTES_MAX
        || !value.bytes().all(plain)
        || value.split('.').any(str::is_empty)
    {
        return false;
    }
    let name = value.to_ascii_lowercase();
    let suffix = psl::suffix(name.as_bytes());
    suffix.is_some_and(|s| s.is_known() && s.as_bytes().len() < name.len())
}

fn is_below(host: &str, parent: &str) -> bool {
    match host.strip_suffix(parent) {
        Some(rest) => rest.is_empty() || rest.ends_with('.'),
        None => false,
    }
}

fn fold<'b>(name: &str, buffer: &'b mut [u8; NAME_BYTES_MAX]) -> Option<&'b str> {
    let target = &mut buffer[..name.len()];
    target.copy_from_slice(name.as_bytes());
    target.make_ascii_lowercase();
    std::str::from_utf8(target).ok()
}
