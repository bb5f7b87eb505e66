//! The parts of a web address, as browsers split it, and its path in normal form.

use std::borrow::Cow;

use crate::error::LinkError;
use crate::escape::{Part, push_normal};
use crate::origins::lower;

/// Bytes of a link that are accepted. Browsers stop far earlier; data in URLs does not.
pub const LINK_BYTES_MAX: usize = 65_536;

/// Longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// An http or https address, split.
#[derive(Debug, PartialEq)]
pub(crate) struct Address<'a> {
    /// Lower case, punycode, without `www.` and final dot.
    pub(crate) host: Cow<'a, str>,
    /// Any but 80 and 443.
    pub(crate) port: Option<u16>,
    /// As sent, from its first slash, or empty.
    pub(crate) path: &'a str,
}

/// Page, query and fragment of a link as sent, without their `?` and `#`. The page is what
/// [`split`] takes.
pub(crate) fn parts(url: &str) -> Result<(&str, &str, &str), LinkError> {
    if url.len() > LINK_BYTES_MAX {
        return Err(LinkError::TooLong(url.len()));
    }
    let url = url.trim_matches(|c: char| c <= ' ');
    if url.is_empty() {
        return Err(LinkError::Empty);
    }
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (page, tail) = url.split_at(end);
    let (query, fragment) = tail.split_once('#').unwrap_or((tail, ""));
    Ok((page, query.strip_prefix('?').unwrap_or_default(), fragment))
}

/// Splits the address of a page as the URL standard does for http: backslashes are slashes,
/// user names are dropped. Tabs and line ends, which the standard drops, are escaped instead.
pub(crate) fn split(page: &str) -> Result<Address<'_>, LinkError> {
    let rest = after_scheme(page)?.trim_start_matches(['/', '\\']);
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (name, port) = split_port(authority)?;
    Ok(Address {
        host: host(name)?,
        port,
        path,
    })
}

fn after_scheme(url: &str) -> Result<&str, LinkError> {
    if url.starts_with("//") {
        return Ok(url);
    }
    let end = url.find([':', '/', '\\']).ok_or(LinkError::NotAbsolute)?;
    let (scheme, rest) = url.split_at(end);
    let Some(rest) = rest.strip_prefix(':') else {
        return Err(LinkError::NotAbsolute);
    };
    if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") {
        return Ok(rest);
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-');
    // `example.com:8080/a` is a host, not a scheme.
    if !scheme.is_empty() && scheme.bytes().all(word) {
        Err(LinkError::Scheme)
    } else {
        Err(LinkError::NotAbsolute)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), LinkError> {
    let Some((name, port)) = authority.rsplit_once(':') else {
        return Ok((authority, None));
    };
    if authority.starts_with('[') && authority.ends_with(']') {
        return Ok((authority, None));
    }
    if port.is_empty() {
        return Ok((name, None));
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(LinkError::Port);
    }
    match port.parse::<u16>() {
        Ok(80 | 443) => Ok((name, None)),
        Ok(port) => Ok((name, Some(port))),
        Err(_) => Err(LinkError::Port),
    }
}

fn host(name: &str) -> Result<Cow<'_, str>, LinkError> {
    let host = match is_simple(name) {
        true => lower(name),
        // International, numeric, escaped or bracketed: the URL standard's own rules.
        false => match url::Host::parse(name) {
            Ok(host) => Cow::Owned(host.to_string()),
            Err(_) => return Err(LinkError::Host),
        },
    };
    let host = match host {
        Cow::Borrowed(text) => Cow::Borrowed(bare(text)),
        Cow::Owned(text) if bare(&text).len() == text.len() => Cow::Owned(text),
        // Without its final dots a name may turn out to be a number, or a broken one.
        Cow::Owned(text)
            if url::Host::parse(bare(&text)).is_ok_and(|h| h.to_string() == bare(&text)) =>
        {
            Cow::Owned(bare(&text).to_owned())
        }
        Cow::Owned(_) => return Err(LinkError::Host),
    };
    if host.is_empty() || host.len() > HOST_BYTES_MAX || host.starts_with('.') {
        return Err(LinkError::Host);
    }
    Ok(host)
}

/// Without final dots and leading `www.`, unless nothing with a dot would be left.
fn bare(host: &str) -> &str {
    let mut host = host.trim_end_matches('.');
    while let Some(rest) = host.strip_prefix("www.") {
        if !rest.contains('.') {
            break;
        }
        host = rest;
    }
    host
}

/// Whether lower case is all that a host name needs.
fn is_simple(name: &str) -> bool {
    let bytes = name.as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let has_puny = bytes.windows(4).any(|w| w.eq_ignore_ascii_case(b"xn--"));
    let last = name
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .unwrap_or_default();
    // A last label that begins with a digit makes the whole an IPv4 address, or nothing.
    bytes.iter().all(plain) && !has_puny && !last.starts_with(|c: char| c.is_ascii_digit())
}

/// Appends the path in normal form, without final slash: dot segments resolved, empty segments
/// dropped, escapes in one form. `is_session` tells names of `;name=value` that are dropped.
pub(crate) fn push_path(out: &mut String, path: &str, is_session: impl Fn(&str) -> bool) {
    let floor = out.len();
    for segment in path.split(['/', '\\']) {
        if segment.is_empty() {
            continue;
        }
        let start = out.len();
        out.push('/');
        match segment.contains(';') {
            true => push_without_sessions(out, segment, &is_session),
            false => push_normal(out, segment, Part::Segment),
        }
        match &out[start + 1..] {
            "" | "." => out.truncate(start),
            ".." => {
                out.truncate(start);
                let parent = out[floor..].rfind('/').map_or(floor, |at| floor + at);
                out.truncate(parent);
            }
            _ => {}
        }
    }
}

fn push_without_sessions(out: &mut String, segment: &str, is_session: impl Fn(&str) -> bool) {
    let mut items = segment.split(';');
    push_normal(out, items.next().unwrap_or_default(), Part::Segment);
    for item in items {
        let name = item.split_once('=').map_or(item, |(name, _)| name);
        if !is_session(name) {
            out.push(';');
            push_normal(out, item, Part::Segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_host(url: &str) -> Result<String, LinkError> {
        let (page, _, _) = parts(url)?;
        split(page).map(|a| a.host.into_owned())
    }

    #[test]
    fn hosts_get_one_form() {
        assert_eq!(
            split_host("HTTP://WWW.Example.COM.:80").as_deref(),
            Ok("example.com")
        );
        assert_eq!(
            split_host("https://user:pw@example.com/").as_deref(),
            Ok("example.com")
        );
        assert_eq!(
            split_host("https://bücher.example/").as_deref(),
            Ok("xn--bcher-kva.example")
        );
        assert_eq!(split_host("https://www.com/").as_deref(), Ok("www.com"));
        assert_eq!(split_host("https://0x7f.1/").as_deref(), Ok("127.0.0.1"));
        assert_eq!(split_host("https://[::1]:8080/").as_deref(), Ok("[::1]"));
        assert_eq!(
            split_host("https:\\\\example.com\\a").as_deref(),
            Ok("example.com")
        );
        assert_eq!(split_host("//example.com/a").as_deref(), Ok("example.com"));
    }

    #[test]
    fn what_is_no_page_is_refused_by_name() {
        assert_eq!(split_host(" "), Err(LinkError::Empty));
        assert_eq!(split_host("/path"), Err(LinkError::NotAbsolute));
        assert_eq!(split_host("example.com/a"), Err(LinkError::NotAbsolute));
        assert_eq!(
            split_host("example.com:8080/a"),
            Err(LinkError::NotAbsolute)
        );
        assert_eq!(split_host("javascript:alert(1)"), Err(LinkError::Scheme));
        assert_eq!(split_host("file:///etc/passwd"), Err(LinkError::Scheme));
        assert_eq!(split_host("https://"), Err(LinkError::Host));
        assert_eq!(split_host("https://a b/"), Err(LinkError::Host));
        assert_eq!(split_host("https://a:99999/"), Err(LinkError::Port));
        assert_eq!(split_host("https://a:x/"), Err(LinkError::Port));
        let long = format!("https://a.example/{}", "x".repeat(LINK_BYTES_MAX));
        assert_eq!(split_host(&long), Err(LinkError::TooLong(long.len())));
    }

    #[test]
    fn paths_get_one_form() {
        let path = |text: &str| {
            let mut out = String::from("h");
            push_path(&mut out, text, |name| {
                name.eq_ignore_ascii_case("jsessionid")
            });
            out
        };
        assert_eq!(path("//a/./b//../c/"), "h/a/c");
        assert_eq!(path("/a/%2e%2E/b"), "h/b");
        assert_eq!(path("/../.."), "h");
        assert_eq!(path("\\a\\b"), "h/a/b");
        assert_eq!(path("/a;jsessionid=17/b;v=2"), "h/a/b;v=2");
        assert_eq!(path("/.;jsessionid=17"), "h");
    }
}
