//! One hit, field by field.

use std::fmt;

use grapevine_event::{HitKind, URL_BYTES_MAX};
use serde_json::Value;

use super::object::{Fields, Given, Shallow};
use super::{
    FIELDS_MAX, FieldError, ID_BYTES_MAX, LANGUAGE_BYTES_MAX, NAME_BYTES_MAX, NativeHit,
    PROP_NAME_BYTES_MAX, PROP_VALUE_BYTES_MAX, PROPS_MAX, PageHeaders, TITLE_BYTES_MAX,
    TOKEN_BYTES_MAX, USER_AGENT_BYTES_MAX, start,
};
use crate::site::Site;

const KNOWN: &str = "site, url, type, time, id, visitor, referrer, user_agent, language, title, \
                     token, app, name, value, props, status, headers, address";

/// Longest part of a text that an error repeats, bytes.
const REPEATED_BYTES_MAX: usize = 64;

/// Reads one hit from its JSON object.
///
/// # Errors
/// Every field that is wrong, each with what is wrong and how to mend it.
pub fn parse(bytes: &[u8]) -> Result<NativeHit, Vec<FieldError>> {
    let not_an_object = |why: &dyn fmt::Display| {
        let error = format!("not a JSON object: {why}");
        vec![FieldError::new("", error)]
    };
    // The parser's own words would repeat all of a text.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(not_an_object(&"each hit starts with {"));
    }
    let fields = serde_json::from_slice(bytes).map_err(|error| not_an_object(&error))?;
    Draft::default().build(fields)
}

/// Reads one hit from the parameters of a query; numbers are written as text there.
///
/// # Errors
/// Those of [`parse`].
pub fn from_query(
    parameters: impl IntoIterator<Item = (String, String)>,
) -> Result<NativeHit, Vec<FieldError>> {
    let typed = |(name, text): (String, String)| {
        let number = match name.as_str() {
            "value" | "status" => text.parse().ok(),
            "time" => text.parse::<i64>().ok().map(Into::into),
            _ => None,
        };
        let value = number.map_or(Value::String(text), Value::Number);
        let entries = Fields::none();
        (name, Given { value, entries })
    };
    let first: Vec<_> = parameters.into_iter().map(typed).collect();
    let count = first.len();
    Draft::default().build(Fields { first, count })
}

#[derive(Default)]
struct Draft {
    site: Option<Site>,
    url: Option<String>,
    kind: Option<HitKind>,
    time_ms: Option<i64>,
    id: Option<String>,
    visitor: Option<String>,
    referrer: Option<String>,
    user_agent: Option<String>,
    language: Option<String>,
    title: Option<String>,
    token: Option<String>,
    app: Option<String>,
    name: Option<String>,
    value: Option<f64>,
    props: Vec<(String, String)>,
    status: Option<u16>,
    headers: PageHeaders,
    address: Option<std::net::IpAddr>,
}

impl Draft {
    fn build(mut self, fields: Fields<Given>) -> Result<NativeHit, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let fields = fields.within(FIELDS_MAX);
        let fields = fields.map_err(|error| vec![FieldError::new("", error)])?;
        let mut given = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            if seen.contains(&name.as_str()) {
                errors.push(FieldError::new(name, "given more than once: send it once"));
                continue;
            }
            seen.push(name);
            // A null is how scripts write an absent field.
            if !value.value.is_null() {
                given.push((name, value));
            }
        }
        for (name, value) in given {
            if let Err(error) = self.field(name, value, &mut errors) {
                errors.push(FieldError::new(name, error));
            }
        }
        let wrong = |field: &str, errors: &[FieldError]| errors.iter().any(|e| e.field == field);
        if self.site.is_none() && !wrong("site", &errors) {
            errors.push(FieldError::new(
                "site",
                "missing: say which site, such as \"example.com\"",
            ));
        }
        if self.url.is_none() && !wrong("url", &errors) {
            errors.push(FieldError::new(
                "url",
                "missing: send the page's address, such as location.href",
            ));
        }
        match (self.site, self.url) {
            (Some(site), Some(url)) if errors.is_empty() => Ok(NativeHit {
                site,
                url,
                kind: self.kind.unwrap_or(HitKind::PageView),
                time_ms: self.time_ms,
                id: self.id,
                visitor: self.visitor,
                referrer: self.referrer,
                user_agent: self.user_agent,
                language: self.language,
                title: self.title,
                token: self.token,
                app: self.app,
                name: self.name,
                value: self.value,
                props: self.props,
                status: self.status,
                headers: self.headers,
                address: self.address,
            }),
            _ => Err(errors),
        }
    }

    fn field(
        &mut self,
        name: &str,
        given: &Given,
        errors: &mut Vec<FieldError>,
    ) -> Result<(), String> {
        let value = &given.value;
        match name {
            "site" => self.site = Some(Site::parse(text(value)?).map_err(|e| e.to_string())?),
            "url" => self.url = Some(page_url(text(value)?)?),
            "type" => self.kind = Some(kind(text(value)?)?),
            "time" => self.time_ms = Some(time(value)?),
            "id" => self.id = Some(id(text(value)?)?),
            "visitor" => self.visitor = Some(id(text(value)?)?),
            "referrer" => {
                let referrer = at_most(text(value)?, URL_BYTES_MAX)?;
                self.referrer = Some(referrer).filter(|referrer| !referrer.is_empty());
            }
            "user_agent" => self.user_agent = Some(at_most(text(value)?, USER_AGENT_BYTES_MAX)?),
            "language" => self.language = Some(at_most(text(value)?, LANGUAGE_BYTES_MAX)?),
            "title" => self.title = Some(at_most(text(value)?, TITLE_BYTES_MAX)?),
            "token" => self.token = Some(token(text(value)?)?),
            "app" => self.app = Some(app(text(value)?)?),
            "name" => self.name = Some(at_most(text(value)?, NAME_BYTES_MAX)?),
            "value" => self.value = Some(finite(value)?),
            "props" => self.props = props(given, errors)?,
            "status" => self.status = Some(status(value)?),
            "headers" => self.headers = headers(given, errors)?,
            "address" => self.address = Some(address(text(value)?)?),
            _ => {
                return Err(format!(
                    "unknown field: the fields are {KNOWN}; put your own into props"
                ));
            }
        }
        Ok(())
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("is {}: send a text in quotes", kind_of(value)))
}

fn at_most(text: &str, bytes_max: usize) -> Result<String, String> {
    if text.len() > bytes_max {
        return Err(format!(
            "has {} bytes: at most {bytes_max} are taken",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

fn page_url(url: &str) -> Result<String, String> {
    let url = at_most(url, URL_BYTES_MAX)?;
    if url.chars().any(char::is_control) {
        return Err(
            "has control characters: send the page's address as location.href has it".to_owned(),
        );
    }
    let parsed = url::Url::parse(&url).map_err(|error| {
        format!(
            "is no absolute address ({error}): send all of it, such as https://example.com/page"
        )
    })?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!(
            "is of scheme {}: only http and https pages are counted",
            parsed.scheme()
        ));
    }
    Ok(url)
}

fn kind(name: &str) -> Result<HitKind, String> {
    HitKind::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = HitKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!(
            "{:?} is no type of hit: the types are {}",
            start(name, REPEATED_BYTES_MAX),
            names.join(", ")
        )
    })
}

fn time(value: &Value) -> Result<i64, String> {
    const FIX: &str = "send milliseconds since 1970, or RFC 3339 such as \"2026-01-31T12:00:00Z\"";
    let time_ms = match value {
        Value::Number(number) => number
            .as_i64()
            .ok_or_else(|| format!("is no whole number: {FIX}"))?,
        Value::String(text) => {
            let time: jiff::Timestamp = text.parse().map_err(|_| {
                let text = start(text, REPEATED_BYTES_MAX);
                format!("{text:?} is no time: {FIX}")
            })?;
            time.as_millisecond()
        }
        _ => return Err(format!("is {}: {FIX}", kind_of(value))),
    };
    Ok(time_ms)
}

fn id(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty: leave it out, or send 1 to 128 bytes".to_owned());
    }
    at_most(text, ID_BYTES_MAX)
}

fn token(text: &str) -> Result<String, String> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX || !text.bytes().all(in_token) {
        return Err(format!(
            "is no share token: send 1 to {TOKEN_BYTES_MAX} of A-Z a-z 0-9 _ -"
        ));
    }
    Ok(text.to_owned())
}

fn app(text: &str) -> Result<String, String> {
    let in_app = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX || !text.bytes().all(in_app) {
        return Err(format!(
            "is no name of an app: send 1 to {TOKEN_BYTES_MAX} of a-z 0-9 _, such as \"telegram\""
        ));
    }
    Ok(text.to_owned())
}

fn finite(value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("is {}: send a finite number", kind_of(value)))
}

fn status(value: &Value) -> Result<u16, String> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
    status
        .filter(|status| (100..=599).contains(status))
        .ok_or_else(|| "is no HTTP status: send a whole number from 100 to 599".to_owned())
}

fn address(text: &str) -> Result<std::net::IpAddr, String> {
    // What was sent is not repeated: it may be somebody's address with a mistake in it.
    text.parse()
        .map_err(|_| "is no IP address: send one such as 192.0.2.1 or 2001:db8::1".to_owned())
}

fn props(given: &Given, errors: &mut Vec<FieldError>) -> Result<Vec<(String, String)>, String> {
    let (value, entries) = (&given.value, &given.entries);
    if !value.is_object() {
        return Err(format!(
            "is {}: send an object of names and values",
            kind_of(value)
        ));
    }
    let entries = entries.within(PROPS_MAX)?;
    let mut props = Vec::with_capacity(entries.len());
    for (name, Shallow(value)) in entries {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => at_most(text, PROP_VALUE_BYTES_MAX),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(yes) => Ok(yes.to_string()),
            _ => Err(format!(
                "is {}: send a text, a number or a boolean",
                kind_of(value)
            )),
        };
        let checked = at_most(name, PROP_NAME_BYTES_MAX).and_then(|name| Ok((name, text?)));
        match checked {
            Ok(prop) => props.push(prop),
            Err(error) => errors.push(FieldError::new(&format!("props.{name}"), error)),
        }
    }
    Ok(props)
}

fn headers(given: &Given, errors: &mut Vec<FieldError>) -> Result<PageHeaders, String> {
    let (value, entries) = (&given.value, &given.entries);
    if !value.is_object() {
        return Err(format!(
            "is {}: send an object of header names and values",
            kind_of(value)
        ));
    }
    let mut headers = PageHeaders::default();
    for (name, Shallow(value)) in entries.within(FIELDS_MAX)? {
        let place = match name.to_ascii_lowercase().as_str() {
            "sec-fetch-site" => &mut headers.fetch_site,
            "sec-fetch-mode" => &mut headers.fetch_mode,
            "sec-fetch-dest" => &mut headers.fetch_dest,
            "sec-fetch-user" => &mut headers.fetch_user,
            "sec-ch-ua" => &mut headers.client_hints,
            "x-requested-with" => &mut headers.requested_with,
            "sec-purpose" => &mut headers.purpose,
            "range" => &mut headers.range,
            _ => {
                let error = "is not taken: only sec-fetch-site, sec-fetch-mode, sec-fetch-dest, \
                             sec-fetch-user, sec-ch-ua, x-requested-with, sec-purpose and range are";
                errors.push(FieldError::new(&format!("headers.{name}"), error));
                continue;
            }
        };
        match value {
            Value::Null => {}
            value => match text(value).and_then(|text| at_most(text, PROP_VALUE_BYTES_MAX)) {
                Ok(text) => *place = Some(text).filter(|text| !text.is_empty()),
                Err(error) => errors.push(FieldError::new(&format!("headers.{name}"), error)),
            },
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(hit: Value) -> Vec<(String, String)> {
        let errors = parse(hit.to_string().as_bytes()).unwrap_err();
        errors
            .into_iter()
            .map(|error| (error.field, error.error))
            .collect()
    }

    #[test]
    fn reads_every_field() {
        let hit = parse(
            json!({
                "site": "Example.com", "url": "https://example.com/a?gv=T#x", "type": "conversion",
                "time": "2026-01-31T13:00:00+01:00", "id": "i", "visitor": "v", "referrer": "",
                "user_agent": "ua", "language": "de", "title": "Ä", "token": "aZ_-9",
                "app": "telegram", "name": "buy", "value": 1.5, "status": 200, "address": "::1",
                "props": "PROPS",
                "headers": {"Sec-Fetch-Site": "none", "range": "bytes=0-1"},
            })
            .to_string()
            .replace("\"PROPS\"", r#"{"b": "x", "a": 2, "c": true, "d": null}"#)
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(hit.site.as_str(), "example.com");
        assert_eq!(hit.kind, HitKind::Conversion);
        assert_eq!(hit.time_ms, Some(1_769_860_800_000));
        assert_eq!(hit.referrer, None);
        assert_eq!(hit.value, Some(1.5));
        assert_eq!(hit.status, Some(200));
        assert_eq!(hit.headers.fetch_site.as_deref(), Some("none"));
        assert_eq!(hit.headers.range.as_deref(), Some("bytes=0-1"));
        let mut props = hit.props.clone();
        props.sort();
        let expected = [("a", "2"), ("b", "x"), ("c", "true")];
        assert_eq!(
            props,
            expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
        assert_eq!(hit.address, Some("::1".parse().unwrap()));
    }

    #[test]
    fn every_wrong_field_is_named_with_its_fix() {
        let cases = [
            ("site", json!("a/b"), "only A-Z"),
            ("url", json!("/a"), "send all of it"),
            ("url", json!("ftp://a/"), "only http and https"),
            ("url", json!("https://a/\n"), "control characters"),
            (
                "url",
                json!(format!("https://a/{}", "x".repeat(URL_BYTES_MAX))),
                "at most 65536",
            ),
            ("type", json!("view"), "page_view, copy"),
            ("time", json!(1.5), "milliseconds"),
            ("time", json!("yesterday"), "RFC 3339"),
            ("id", json!(""), "leave it out"),
            ("id", json!("x".repeat(129)), "at most 128"),
            ("visitor", json!(7), "text in quotes"),
            ("title", json!("x".repeat(1025)), "at most 1024"),
            ("token", json!("a b"), "1 to 64"),
            ("app", json!("Telegram"), "such as \"telegram\""),
            ("value", json!("1"), "finite number"),
            ("status", json!(99), "100 to 599"),
            ("props", json!([]), "an object"),
            ("address", json!("192.0.2.300"), "such as 192.0.2.1"),
            ("headers", json!("x"), "an object"),
            ("uri", json!("x"), "unknown field"),
        ];
        for (field, value, words) in cases {
            let mut hit = json!({"site": "a.example", "url": "https://a.example/"});
            hit[field] = value;
            let errors = errors(hit);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(errors[0].0, field);
            assert!(errors[0].1.contains(words), "{errors:?}");
        }
    }

    #[test]
    fn several_errors_are_all_told() {
        let found = errors(json!({"props": {"a": {}}, "headers": {"cookie": "x"}, "x": 1}));
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields.len(), 5);
        for field in ["props.a", "headers.cookie", "x", "site", "url"] {
            assert!(fields.contains(&field), "{fields:?}");
        }
        let twice = parse(br#"{"site":"a","site":"b","url":"https://a/"}"#).unwrap_err();
        assert!(twice[0].error.contains("more than once"));
        let many: serde_json::Map<_, _> = (0..33).map(|at| (at.to_string(), json!(at))).collect();
        let found = errors(json!({"site": "a", "url": "https://a/", "props": many}));
        assert!(found[0].1.contains("at most 32"));
    }

    #[test]
    fn however_much_is_wrong_little_is_told() {
        let many: Vec<String> = (0..100_000).map(|at| format!("\"{at}\":[0]")).collect();
        let many = many.join(",");
        let long = "\u{7f}".repeat(1 << 20);
        for (sent, field, words) in [
            (format!("{{{many}}}"), "", "has 100000 entries: at most 64"),
            (
                format!("{{\"headers\":{{{many}}}}}"),
                "headers",
                "at most 64",
            ),
            (format!("{{\"type\":\"{long}\"}}"), "type", "no type of hit"),
            (format!("{{\"time\":\"{long}\"}}"), "time", "is no time"),
            (format!("{{\"{long}\":1}}"), "\u{7f}", "unknown field"),
            (format!("\"{long}\""), "", "starts with {"),
        ] {
            let errors = parse(sent.as_bytes()).unwrap_err();
            assert!(errors.len() <= 3, "{}", errors.len());
            let told = errors.iter().find(|told| told.field.starts_with(field));
            let told = told.expect(words);
            assert!(told.error.contains(words), "{}", told.error);
            let bytes = told.field.len() + told.error.len();
            assert!(bytes < 2048, "{bytes} bytes");
        }
    }

    #[test]
    fn a_query_gives_the_same_hit() {
        let pairs = [
            ("site", "a"),
            ("url", "https://a/"),
            ("value", "2.5"),
            ("time", "1000"),
            ("status", "200"),
        ];
        let pairs = pairs.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let json = br#"{"site":"a","url":"https://a/","value":2.5,"time":1000,"status":200}"#;
        assert_eq!(from_query(pairs), parse(json));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, name in ".{0,12}", value in ".{0,12}") {
            let _ = parse(&bytes);
            let _ = from_query([(name.clone(), value.clone())]);
            let _ = parse(json!({ name: value }).to_string().as_bytes());
        }
    }
}
