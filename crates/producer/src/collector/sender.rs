//! Who sends a request, and what they may say.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use super::CollectorConfig;
use crate::native::{LANGUAGE_BYTES_MAX, PROP_VALUE_BYTES_MAX, USER_AGENT_BYTES_MAX};

/// What the request itself says of the reader. The address ends here: it goes into pseudonyms.
#[derive(Debug)]
pub(super) struct Sender {
    /// The reader's address, where it is the reader who asks.
    pub(super) address: Option<IpAddr>,
    /// Whether the server key came along.
    pub(super) has_key: bool,
    /// A key came along, and it is not the server key.
    pub(super) has_wrong_key: bool,
    pub(super) opted_out: bool,
    pub(super) user_agent: String,
    pub(super) language: Option<String>,
    pub(super) referrer: Option<String>,
    pub(super) client_hints: Option<String>,
    pub(super) requested_with: Option<String>,
    pub(super) purpose: Option<String>,
    pub(super) received_ms: i64,
}

impl Sender {
    pub(super) fn of(parts: &Parts, config: &CollectorConfig) -> Sender {
        let headers = &parts.headers;
        let offered = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let has_key = match (offered, &config.server_key) {
            (Some(offered), Some(key)) => bool::from(offered.ct_eq(key.as_bytes())),
            _ => false,
        };
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        // Who has the key is a server: its own address is nobody's.
        let address = peer.filter(|_| !has_key).map(|peer| {
            let forwarded = headers.get_all("x-forwarded-for").iter();
            let values: Vec<&str> = forwarded
                .map(|value| value.to_str().unwrap_or(""))
                .collect();
            config.trusted_proxies.reader(peer, values.into_iter())
        });
        let says = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
        let purposes = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
        Sender {
            address,
            has_key,
            has_wrong_key: offered.is_some() && !has_key,
            opted_out: says("sec-gpc", "1") || (config.honour_dnt && says("dnt", "1")),
            user_agent: text(headers, "user-agent", USER_AGENT_BYTES_MAX).unwrap_or_default(),
            language: text(headers, "accept-language", LANGUAGE_BYTES_MAX),
            referrer: text(headers, "referer", grapevine_event::URL_BYTES_MAX),
            client_hints: text(headers, "sec-ch-ua", PROP_VALUE_BYTES_MAX),
            // jQuery's word for itself is no app.
            requested_with: text(headers, "x-requested-with", PROP_VALUE_BYTES_MAX)
                .filter(|app| app != "XMLHttpRequest"),
            purpose: purposes
                .iter()
                .find_map(|name| text(headers, name, PROP_VALUE_BYTES_MAX)),
            received_ms: (config.clock)(),
        }
    }
}

/// A header as text, cut; none where absent or empty.
fn text(headers: &HeaderMap, name: &str, bytes_max: usize) -> Option<String> {
    let mut text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned();
    text.truncate(text.floor_char_boundary(bytes_max));
    Some(text).filter(|text| !text.is_empty())
}
