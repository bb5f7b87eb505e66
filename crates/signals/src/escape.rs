//! Percent-encoding, read and brought to one form.

use std::borrow::Cow;

/// A query value as its sender meant it, as [`push_decoded`] has it. Borrows where nothing is escaped.
pub(crate) fn decode(value: &str) -> Cow<'_, str> {
    if !has_escapes(value) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    push_decoded(&mut text, value);
    Cow::Owned(text)
}

/// Whether a query value may mean another text than it is.
pub(crate) fn has_escapes(value: &str) -> bool {
    value.bytes().any(|b| b == b'%' || b == b'+')
}

/// Appends a query value as its sender meant it: `+` is a space, escapes are undone, bytes that are no
/// UTF-8 become U+FFFD.
pub(crate) fn push_decoded(out: &mut String, value: &str) {
    let bytes = value.as_bytes();
    let mut plain = std::mem::take(out).into_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (byte, width) = match bytes[at] {
            b'+' => (b' ', 1),
            b'%' => escaped(&bytes[at..]).map_or((b'%', 1), |b| (b, 3)),
            byte => (byte, 1),
        };
        plain.push(byte);
        at += width;
    }
    *out = match String::from_utf8(plain) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    };
}

/// Which characters stand for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// One segment of a path.
    Segment,
    /// A key or value of a query: `+` means a space.
    Query,
}

/// Appends `text` in the one form that all spellings of it share: escapes in upper case, only
/// where needed (RFC 3986, 6.2.2).
pub(crate) fn push_normal(out: &mut String, text: &str, part: Part) {
    let bytes = text.as_bytes();
    let Some(first_odd) = bytes.iter().position(|b| !is_plain(*b, part)) else {
        out.push_str(text);
        return;
    };
    // What is plain is ASCII, so the cut is at a character.
    out.push_str(&text[..first_odd]);
    let mut at = first_odd;
    while at < bytes.len() {
        let byte = bytes[at];
        let (meant, width) = match byte {
            b'%' => escaped(&bytes[at..]).map_or((b'%', 1), |b| (b, 3)),
            b'+' if part == Part::Query => (b' ', 1),
            _ => (byte, 1),
        };
        let bare = if width == 3 {
            is_unreserved(meant)
        } else {
            is_plain(meant, part)
        };
        if bare {
            out.push(char::from(meant));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(meant >> 4)]));
            out.push(char::from(HEX[usize::from(meant & 15)]));
        }
        at += width;
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn escaped(bytes: &[u8]) -> Option<u8> {
    let high = char::from(*bytes.get(1)?).to_digit(16)?;
    let low = char::from(*bytes.get(2)?).to_digit(16)?;
    Some((high * 16 + low) as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_plain(byte: u8, part: Part) -> bool {
    is_unreserved(byte)
        || match part {
            Part::Segment => {
                matches!(
                    byte,
                    b'!' | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b','
                        | b';'
                        | b'='
                        | b':'
                        | b'@'
                )
            }
            Part::Query => matches!(
                byte,
                b'!' | b'$'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b','
                    | b';'
                    | b':'
                    | b'@'
                    | b'/'
                    | b'?'
                    | b'='
            ),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str, part: Part) -> String {
        let mut out = String::new();
        push_normal(&mut out, text, part);
        out
    }

    #[test]
    fn all_spellings_share_one_form() {
        assert_eq!(normal("%7euser", Part::Segment), "~user");
        assert_eq!(normal("a%2fb", Part::Segment), "a%2Fb");
        assert_eq!(normal("100%", Part::Segment), "100%25");
        assert_eq!(normal("100%25", Part::Segment), "100%25");
        assert_eq!(normal("é", Part::Segment), "%C3%A9");
        assert_eq!(normal("a+b", Part::Segment), "a+b");
        assert_eq!(normal("a+b%20c d", Part::Query), "a%20b%20c%20d");
    }

    #[test]
    fn decodes_what_senders_mean() {
        assert_eq!(decode("plain"), "plain");
        assert!(matches!(decode("plain"), Cow::Borrowed(_)));
        assert_eq!(decode("a+b%26c%"), "a b&c%");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }
}
