//! Fields as text: escapes undone where there are any.

use std::borrow::Cow;

/// A line without its line end.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A logged header: `-` is what servers write for an absent one.
pub(super) fn header(field: &[u8]) -> Option<Cow<'_, str>> {
    (field != b"-").then(|| decode(field))
}

/// `name:port` taken apart.
pub(super) fn port(word: &[u8]) -> Option<(&[u8], u16)> {
    let colon = memchr::memrchr(b':', word)?;
    let digits = &word[colon + 1..];
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let port = plain
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()?;
    Some((&word[..colon], port))
}

/// Undoes `\xHH` (nginx in upper case, Apache in lower) and Apache's `\" \\ \b \n \r \t \v`.
/// Bytes that are no UTF-8 become U+FFFD; a backslash that escapes nothing stays.
pub(super) fn decode(field: &[u8]) -> Cow<'_, str> {
    let mut next = memchr::memchr(b'\\', field);
    if next.is_none() {
        return String::from_utf8_lossy(field);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some(backslash) = next {
        bytes.extend_from_slice(&rest[..backslash]);
        let (decoded, length) = unescape(&rest[backslash + 1..]);
        bytes.push(decoded);
        rest = &rest[backslash + 1 + length..];
        next = memchr::memchr(b'\\', rest);
    }
    bytes.extend_from_slice(rest);
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// The byte that a backslash and what follows it stand for, and how much of that belongs to it.
fn unescape(after: &[u8]) -> (u8, usize) {
    match after {
        [b'x', high, low, ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => (high * 16 + low, 3),
            _ => (b'\\', 0),
        },
        [escaped @ (b'"' | b'\\'), ..] => (*escaped, 1),
        [b'b', ..] => (0x08, 1),
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'v', ..] => (0x0B, 1),
        _ => (b'\\', 0),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| value.try_into().ok())
}
