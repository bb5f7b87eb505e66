//! A body taken apart into hits.

use serde::de::{Deserializer as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

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

/// One object after the other, as lines or as one object over several lines.
fn objects(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let mut hits = Vec::new();
    let mut rest = body.trim_ascii_start();
    while !rest.is_empty() {
        if hits.len() == HITS_MAX {
            return Err(BodyError::TooMany);
        }
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        let length = match values.next() {
            Some(Ok(value)) => value.get().len(),
            // What is broken ends with its line.
            _ => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
        };
        hits.push(rest[..length].trim_ascii_end());
        rest = rest[length..].trim_ascii_start();
    }
    Ok(hits)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(body: Vec<u8>) {
            let _ = split(&body);
            let _ = split(&[b"{".as_slice(), &body].concat());
            let _ = split(&[b"[".as_slice(), &body].concat());
        }
    }
}
