//! What a dead letter keeps of a hit that was not taken.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::site::Site;

/// Fields that name a hit's reader.
const OF_THE_READER: [&str; 2] = ["address", "visitor"];
/// What stands in their place.
const REMOVED: &[u8] = b"\"[removed]\"";

/// A hit as sent, without what names its reader.
pub(super) struct Kept<'a> {
    /// Its bytes; those of something that is no JSON object as they stand.
    pub(super) payload: Cow<'a, [u8]>,
    /// The site that it names; empty where it names none.
    pub(super) site: String,
}

impl<'a> Kept<'a> {
    /// Reads a hit field by field: however large, it takes no more than its own bytes again.
    pub(super) fn of(sent: &'a [u8]) -> Kept<'a> {
        let mut json = serde_json::Deserializer::from_slice(sent);
        let fields = json.deserialize_map(Fields);
        let fields = fields.and_then(|fields| json.end().map(|()| fields));
        let Ok(fields) = fields else {
            return Kept {
                payload: Cow::Borrowed(sent),
                site: String::new(),
            };
        };
        Kept {
            payload: match fields.names_reader {
                true => Cow::Owned(fields.without_reader),
                false => Cow::Borrowed(sent),
            },
            site: fields
                .site
                .map_or_else(String::new, |site| site.to_string()),
        }
    }
}

struct Found {
    without_reader: Vec<u8>,
    names_reader: bool,
    site: Option<Site>,
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Found;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a hit")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found {
            without_reader: vec![b'{'],
            names_reader: false,
            site: None,
        };
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if name == "site" {
                let text = serde_json::from_str::<String>(value.get()).ok();
                found.site = text.and_then(|text| Site::parse(&text).ok());
            }
            let out = &mut found.without_reader;
            if out.len() > 1 {
                out.push(b',');
            }
            // Text is always JSON.
            serde_json::to_writer(&mut *out, &name).map_err(serde::de::Error::custom)?;
            out.push(b':');
            if OF_THE_READER.contains(&name.as_str()) {
                out.extend_from_slice(REMOVED);
                found.names_reader = true;
            } else {
                out.extend_from_slice(value.get().as_bytes());
            }
        }
        found.without_reader.push(b'}');
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(sent: &str) -> (String, String) {
        let kept = Kept::of(sent.as_bytes());
        let payload = String::from_utf8(kept.payload.into_owned()).unwrap();
        (payload, kept.site)
    }

    #[test]
    fn what_names_the_reader_is_gone_wherever_it_stands_and_the_rest_is_as_it_was() {
        let sent = r#" {"\u0076isitor": {"a": 1}, "z": [1, 2], "site":"A.example","address":"x",
            "visitor":"again", "props": {"b": 1, "a": "\n"}}"#;
        let (payload, site) = kept(sent);
        assert_eq!(
            payload,
            r#"{"visitor":"[removed]","z":[1, 2],"site":"A.example","address":"[removed]","visitor":"[removed]","props":{"b": 1, "a": "\n"}}"#
        );
        assert_eq!(site, "a.example");
    }

    #[test]
    fn what_names_no_reader_or_is_no_object_stays() {
        for (sent, site) in [
            (r#"{ "site": "a", "url": 1 }"#, "a"),
            (r#"{"site": "no site"}"#, ""),
            (r#"{"site": 4}"#, ""),
            ("{}", ""),
            ("4", ""),
            (r#"{"visitor": "#, ""),
        ] {
            assert_eq!(kept(sent), (sent.to_owned(), site.to_owned()));
        }
    }
}
