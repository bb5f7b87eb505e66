//! Referrers: which place a page was opened from.

use std::borrow::Cow;

use crate::Signals;
use crate::escape::decode;
use crate::origins::{Origin, OriginCategory, lower};

/// What a referrer says. Whether it is the site's own is for the caller to decide, who knows
/// the site's hosts: compare [`Referrer::host`].
#[derive(Debug, Clone, Copy)]
pub enum ReferrerKind<'a> {
    /// No referrer: typed, bookmarked, opened from an app, or withheld.
    None,
    /// Something that is no address, such as free text; treat it like no referrer.
    Malformed,
    /// A search engine.
    Search(&'a Origin),
    /// A network with posts and profiles; see [`Origin::surface`] for those with messages too.
    Social(&'a Origin),
    /// A messenger or team chat: a privately passed link.
    PrivateApp(&'a Origin),
    /// A mail service or program.
    WebMail(&'a Origin),
    /// A mail link service: a mail, but from which program is not known.
    MailProtection(&'a Origin),
    /// An AI assistant.
    Assistant(&'a Origin),
    /// A video or audio service.
    Video(&'a Origin),
    /// A news reader or link collection.
    Aggregator(&'a Origin),
    /// A document, board or wiki.
    Document(&'a Origin),
    /// A browser's own package: says nothing; treat it like no referrer.
    Browser(&'a Origin),
    /// A forged visit.
    Spam(&'a Origin),
    /// Any other site or app.
    Referral,
}

/// A referrer, read.
#[derive(Debug, Clone)]
pub struct Referrer<'a> {
    /// What it says.
    pub kind: ReferrerKind<'a>,
    /// The host in lower case without final dot and port; empty where there is none.
    pub host: Cow<'a, str>,
    /// The package of an `android-app://` or `ios-app://` referrer. Set by the app that opened
    /// the link, so it can be forged.
    pub package: Option<&'a str>,
    /// Whether more than the origin is told: browsers' default policy sends no path across
    /// sites.
    pub has_path: bool,
}

impl<'a> Referrer<'a> {
    /// The known place, whatever its kind.
    pub fn origin(&self) -> Option<&'a Origin> {
        use ReferrerKind::*;
        match self.kind {
            Search(o) | Social(o) | PrivateApp(o) | WebMail(o) | MailProtection(o)
            | Assistant(o) | Video(o) | Aggregator(o) | Document(o) | Browser(o) | Spam(o) => {
                Some(o)
            }
            None | Malformed | Referral => Option::None,
        }
    }

    fn bare(kind: ReferrerKind<'a>) -> Self {
        Referrer {
            kind,
            host: Cow::Borrowed(""),
            package: None,
            has_path: false,
        }
    }
}

/// The parts of an address that a referrer needs.
struct Parts<'a> {
    host: &'a str,
    path: &'a str,
    query: &'a str,
}

/// Bytes of a referrer that are looked at; browsers cut theirs to 4,096.
const REFERRER_BYTES_MAX: usize = 8192;

pub(crate) fn read<'a>(signals: &'a Signals, referrer: &'a str) -> Referrer<'a> {
    let text = referrer.trim();
    if text.is_empty() || text == "-" {
        return Referrer::bare(ReferrerKind::None);
    }
    if let Some(rest) = app_scheme(text) {
        let package = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if package.is_empty() || !package.bytes().all(is_package_byte) {
            return Referrer::bare(ReferrerKind::Malformed);
        }
        let kind = signals
            .package(package)
            .map_or(ReferrerKind::Referral, kind_of);
        return Referrer {
            package: Some(package),
            ..Referrer::bare(kind)
        };
    }
    let Some(parts) = split(text) else {
        return Referrer::bare(ReferrerKind::Malformed);
    };
    let host = lower(parts.host);
    let kind = signals
        .origin_of_host(&host)
        .map_or(ReferrerKind::Referral, kind_of);
    let has_path = parts.path.len() > 1 || !parts.query.is_empty();
    Referrer {
        kind,
        host,
        package: None,
        has_path,
    }
}

/// Where a shim address leads.
pub(crate) fn unwrap_shim<'a>(signals: &'a Signals, url: &'a str) -> Option<Cow<'a, str>> {
    let parts = split(url.trim())?;
    let shim = signals.shim_of_host(&lower(parts.host))?;
    if !parts.path.starts_with(shim.path.as_str()) {
        return None;
    }
    for wanted in &shim.parameters {
        for pair in parts.query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if key == wanted {
                let address = decode(value);
                let lead = address.get(..8).unwrap_or(&address);
                let web = lead.to_ascii_lowercase();
                if web.starts_with("http://") || web.starts_with("https://") {
                    return Some(address);
                }
            }
        }
    }
    None
}

fn kind_of(origin: &Origin) -> ReferrerKind<'_> {
    match origin.category {
        OriginCategory::Search => ReferrerKind::Search(origin),
        OriginCategory::Social => ReferrerKind::Social(origin),
        OriginCategory::Messenger => ReferrerKind::PrivateApp(origin),
        OriginCategory::Mail => ReferrerKind::WebMail(origin),
        OriginCategory::MailProtection => ReferrerKind::MailProtection(origin),
        OriginCategory::Assistant => ReferrerKind::Assistant(origin),
        OriginCategory::Video => ReferrerKind::Video(origin),
        OriginCategory::Aggregator => ReferrerKind::Aggregator(origin),
        OriginCategory::Document => ReferrerKind::Document(origin),
        OriginCategory::Browser => ReferrerKind::Browser(origin),
        OriginCategory::Spam => ReferrerKind::Spam(origin),
    }
}

fn app_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let known = ["android-app", "ios-app"]
        .iter()
        .any(|s| scheme.eq_ignore_ascii_case(s));
    known.then_some(rest)
}

fn is_package_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// Splits an address; a host without scheme is accepted when it can be nothing else.
fn split(text: &str) -> Option<Parts<'_>> {
    let text = match text.char_indices().nth(REFERRER_BYTES_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    };
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return None;
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
            let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
            web.then_some(rest)?
        }
        _ => text.strip_prefix("//").unwrap_or(text),
    };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let ipv6 = host.starts_with('[') && host.ends_with(']');
    let schemeless = rest.len() == text.len();
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_') || b >= 0x80;
    if host.is_empty()
        || host.len() > 253
        || (schemeless && !host.contains('.'))
        || !(ipv6 || host.bytes().all(valid))
    {
        return None;
    }
    let tail = tail.split('#').next().unwrap_or_default();
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    Some(Parts { host, path, query })
}
