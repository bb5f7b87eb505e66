//! A body taken apart into hits.

use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::nested::Nested;

/// Most hits of one request.
pub const HITS_MAX: usize = 10_000;

/// Why a body holds no hits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// Nothing there.
    #[error("the body is empty: send a JSON object, an array of objects, or one object a line")]
    Empty,
    /// Neither an object nor an array.
    #[error(
        "the body does not start with {{ or [: send a JSON object, an array of objects, or one object a line"
    )]
    NotJson,
    /// An array that is no JSON.
    #[error("the array is not valid JSON: {0}")]
    BrokenArray(String),
    /// More hits than a request may have.
    #[error("more than {HITS_MAX} hits in one request: send them in several")]
    TooMany,
}

/// The hits of a body, each as its own bytes. A line of one-a-line JSON that is broken is given
/// as it stands, for its own error; an array that is broken is an error as a whole.
///
/// # Errors
/// Empty, no JSON, too many hits.
pub fn split(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(BodyError::Empty),
        Some(b'[') => array(body),
        Some(b'{') => objects(body),
        Some(_) => Err(BodyError::NotJson),
    }
}

fn array(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Option<Vec<&'de [u8]>>;

        fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("an array of hits")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut hits = Vec::new();
            while let Some(hit) = items.next_element::<&'de RawValue>()? {
                if hits.len() == HITS_MAX {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                hits.push(hit.get().as_bytes());
            }
            Ok(Some(hits))
        }
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let broken = |error: serde_json::Error| BodyError::BrokenArray(error.to_string());
    let hits = json.deserialize_seq(Items).map_err(broken)?;
    json.end().map_err(broken)?;
    match hits {
        None => Err(BodyError::TooMany),
        Some(hits) if hits.is_empty() => Err(BodyError::Empty),
        Some(hits) => Ok(hits),
    }
}

/// One object after the other, as lines or as one object over several lines. Every byte is read
/// once where nothing is broken, and a fixed number of times where something is.
fn objects(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let mut hits = Vec::new();
    let mut values = Values {
        body,
        readable: 0,
        nested: Nested::default(),
    };
    let next = |from: usize| body.len() - body[from..].trim_ascii_start().len();
    let mut at = next(0);
    while at < body.len() {
        if hits.len() == HITS_MAX {
            return Err(BodyError::TooMany);
        }
        let end = values.end(at).unwrap_or_else(|| {
            // What is broken ends with its line.
            memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |length| at + length)
        });
        hits.push(body[at..end].trim_ascii_end());
        at = next(end);
    }
    Ok(hits)
}

/// Values of a body, asked for from its beginning to its end: where one ends, else where its line
/// does.
struct Values<'a> {
    body: &'a [u8],
    /// Up to here the body is known to be UTF-8, from the last object or array on that was read. One
    /// with other bytes in it is broken, so that none need be read beyond.
    readable: usize,
    /// The last one that broke off.
    nested: Nested,
}

impl Values<'_> {
    /// The end of the value that begins at `start`, which is no space; `None` where it is broken.
    fn end(&mut self, start: usize) -> Option<usize> {
        let rest = &self.body[start..];
        if !matches!(rest.first(), Some(b'{' | b'[')) {
            // None of these goes beyond its line.
            return Some(start + length(rest)?);
        }
        if self.nested.knows(start) {
            return self.nested.end(start);
        }
        if start >= self.readable {
            let length = match std::str::from_utf8(rest) {
                Ok(_) => rest.len(),
                Err(error) => error.valid_up_to(),
            };
            self.readable = start + length;
        }
        let text = &self.body[..self.readable];
        let length = length(&text[start..]);
        if length.is_none() {
            self.nested = Nested::read(text, start);
        }
        Some(start + length?)
    }
}

/// Length of the JSON value that a text begins with; `None` where it begins with none.
pub(super) fn length(text: &[u8]) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
    let value = values.next()?.ok()?;
    Some(value.get().len())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::sample::select;

    use super::*;
    use crate::collector::BODY_BYTES_MAX;

    fn texts(body: &str) -> Result<Vec<String>, BodyError> {
        let hits = split(body.as_bytes())?;
        Ok(hits
            .iter()
            .map(|hit| String::from_utf8_lossy(hit).into_owned())
            .collect())
    }

    #[test]
    fn takes_object_array_and_lines() {
        assert_eq!(texts(" {\"a\":\n1} ").unwrap(), ["{\"a\":\n1}"]);
        assert_eq!(
            texts("[{\"a\":1}, 2,{}]").unwrap(),
            ["{\"a\":1}", "2", "{}"]
        );
        assert_eq!(
            texts("{\"a\":1}\r\n\n{\"b\":2}\n").unwrap(),
            ["{\"a\":1}", "{\"b\":2}"]
        );
        assert_eq!(
            texts("{\"a\":1}\n{\"b\":\n{\"c\":3}").unwrap(),
            ["{\"a\":1}", "{\"b\":", "{\"c\":3}"]
        );
    }

    #[test]
    fn says_what_is_no_body() {
        assert_eq!(split(b" \n"), Err(BodyError::Empty));
        assert_eq!(split(b"[]"), Err(BodyError::Empty));
        assert_eq!(split(b"a=b"), Err(BodyError::NotJson));
        assert!(matches!(split(b"[{},"), Err(BodyError::BrokenArray(_))));
        assert!(matches!(split(b"[{}] x"), Err(BodyError::BrokenArray(_))));
        let many = |count| format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(
            split(many(HITS_MAX).as_bytes()).map(|hits| hits.len()),
            Ok(HITS_MAX)
        );
        assert_eq!(
            split(many(HITS_MAX + 1).as_bytes()),
            Err(BodyError::TooMany)
        );
        let lines = "{}\n".repeat(HITS_MAX + 1);
        assert_eq!(split(lines.as_bytes()), Err(BodyError::TooMany));
    }

    /// What [`objects`] is to say: every value, and what is broken by its line, read from the text
    /// each time.
    fn plainly(body: &[u8]) -> Vec<&[u8]> {
        let mut hits = Vec::new();
        let mut rest = body.trim_ascii_start();
        while !rest.is_empty() {
            let line = || memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let length = length(rest).unwrap_or_else(line);
            hits.push(rest[..length].trim_ascii_end());
            rest = rest[length..].trim_ascii_start();
        }
        hits
    }

    /// Whole and broken values, what stands between them, and bytes that are no UTF-8.
    const PIECES: &[&[u8]] = &[
        b"{",
        b"{",
        b"{\"a\":",
        b"{\"a\":",
        b"[",
        b"[",
        b"}",
        b"}",
        b"]",
        b"]",
        b",",
        b",",
        b":",
        b"\n",
        b"\n",
        b"\n",
        b" ",
        b"\r\n",
        b"\x0C",
        b"\"b\"",
        b"\"b\":",
        b"\"",
        b"\\",
        b"\\u00",
        b"1",
        b"-0.5e3",
        b"01",
        b"true",
        b"nul",
        b"\"\xC3\xA4\"",
        b"\"\xFF\"",
        b"\xC3",
    ];

    #[test]
    fn what_is_broken_hides_nothing_that_is_whole_within() {
        for body in [
            "{\"a\":\n{\"b\":\n{\"c\":3}\n{\"d\":4}",
            "{\"a\":[\n{\"b\":2},\n[\n{\"c\":\n3}],\n{\"d\":[\n]},\n",
            "{\"a\":1,\n\"b\":{\"c\":1},\n\"d\"\n{\"e\":[]}",
            "{\"a\":[[\n[1],\n[2]],[\n[3\n",
        ] {
            let body = body.as_bytes();
            assert_eq!(objects(body).unwrap(), plainly(body));
        }
        // No value with other than UTF-8 in it is whole, however deep.
        let body = b"{\"a\":[\n{\"b\":\"\xFF\"},\n{\"c\":1},\n{\"d\":\n[\"\xFF\"]}]}\n{\"e\":1}";
        assert_eq!(objects(body).unwrap(), plainly(body));
    }

    /// Every line opens an object and none closes it: a reader that begins anew with every line reads
    /// forty gigabytes here.
    #[test]
    fn the_largest_body_of_lines_that_open_an_object_is_taken() {
        for opening in ["{\"a\":", "{\"\u{e4}\":[", "{"] {
            let length = BODY_BYTES_MAX / HITS_MAX;
            let line = format!("{opening}{}\n", " ".repeat(length - opening.len() - 1));
            let mut body = line.repeat(HITS_MAX);
            body.push_str(&" ".repeat(BODY_BYTES_MAX - body.len()));
            let hits = split(body.as_bytes()).unwrap();
            assert_eq!(hits, vec![opening.as_bytes(); HITS_MAX]);
        }
        for opening in ["{\n", "{\"a\":\n"] {
            let body = opening.repeat(BODY_BYTES_MAX / opening.len());
            assert_eq!(split(body.as_bytes()), Err(BodyError::TooMany));
        }
    }

    /// The same where each of them is closed, and only then something is broken.
    #[test]
    fn the_largest_body_of_lines_that_break_in_the_end_is_taken() {
        let depth = HITS_MAX / 2;
        let opening = "{\"a\":";
        let padding = " ".repeat(BODY_BYTES_MAX / depth - opening.len() - 2);
        for broken in [b"1 1".as_slice(), b"\"\xFF\"", b""] {
            let mut body = format!("{opening}{padding}\n").repeat(depth).into_bytes();
            body.extend(broken);
            body.extend(vec![b'}'; depth]);
            assert!(body.len() <= BODY_BYTES_MAX);
            let hits = split(&body).unwrap();
            assert_eq!(hits[..depth], vec![opening.as_bytes(); depth]);
            assert!(hits.len() <= depth + 3, "{broken:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_as_if_every_line_were_read_by_itself(
            pieces in vec(select(PIECES), 0..60),
        ) {
            let mut body = b"{".to_vec();
            body.extend(pieces.concat());
            proptest::prop_assert_eq!(objects(&body).unwrap(), plainly(&body));
            let body = pieces.concat();
            proptest::prop_assert_eq!(objects(&body).unwrap(), plainly(&body));
        }

        #[test]
        fn any_bytes_are_taken(body: Vec<u8>) {
            let _ = split(&body);
            let _ = split(&[b"{".as_slice(), &body].concat());
            let _ = split(&[b"[".as_slice(), &body].concat());
        }
    }
}
