//! The request line within a line.

use std::borrow::Cow;

use super::text;

/// Longest method that is taken for one, bytes. The longest registered one has 17.
const METHOD_BYTES_MAX: usize = 20;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Nothing: `""` or `"-"`, a connection that was given up.
    Empty,
    /// No HTTP request line: a TLS handshake on a plain port, and other noise.
    Malformed(Cow<'a, str>),
    /// A request line.
    Line {
        /// `GET` and so on, as sent.
        method: &'a str,
        /// Path and query, a whole address, or `*`.
        target: Cow<'a, str>,
        /// `HTTP/1.1` and so on; none in HTTP/0.9.
        version: Option<&'a str>,
    },
}

impl<'a> Request<'a> {
    /// Reads the quoted field, escapes as they are.
    pub(super) fn read(field: &'a [u8]) -> Request<'a> {
        if field.is_empty() || field == b"-" {
            return Request::Empty;
        }
        Request::line(field).unwrap_or_else(|| Request::Malformed(text::decode(field)))
    }

    fn line(field: &'a [u8]) -> Option<Request<'a>> {
        let space = memchr::memchr(b' ', field.get(..field.len().min(METHOD_BYTES_MAX + 1))?)?;
        let in_method = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
        let method = &field[..space];
        if method.is_empty() || !method.iter().all(in_method) {
            return None;
        }
        let rest = &field[space + 1..];
        let (target, version) = match memchr::memrchr(b' ', rest) {
            Some(last) if rest[last + 1..].starts_with(b"HTTP/") => {
                (&rest[..last], std::str::from_utf8(&rest[last + 1..]).ok())
            }
            _ => (rest, None),
        };
        if target.is_empty() {
            return None;
        }
        Some(Request::Line {
            method: std::str::from_utf8(method).ok()?,
            target: text::decode(target),
            version,
        })
    }
}
