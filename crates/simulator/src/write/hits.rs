//! Hits of the native API, one JSON object a line.

use std::io::{self, Write};
use std::net::IpAddr;

use grapevine_event::HitKind;
use serde::Serialize;

use crate::event::{Event, EventKind, Headers};

/// What a sender of hits adds to what page script knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HitOptions {
    /// Send `address`. Collectors accept it with the server key only.
    pub addresses: bool,
    /// Send `headers` of page requests by people, as a sender on the server sees them. Those of
    /// previews and robots, which only a server sees, are always sent.
    pub headers: bool,
}

impl Default for HitOptions {
    /// Everything: what a sender on the server can tell.
    fn default() -> Self {
        HitOptions {
            addresses: true,
            headers: true,
        }
    }
}

#[derive(Serialize)]
struct Hit<'a> {
    site: &'a str,
    url: String,
    r#type: HitKind,
    time: i64,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<&'a str>,
    /// Empty rather than absent: a collector would put the sender's own in its place.
    user_agent: &'a str,
    language: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<HitHeaders<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct HitHeaders<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_fetch_site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_fetch_mode: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_fetch_dest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_fetch_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_ch_ua: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x_requested_with: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<&'a str>,
}

impl<'a> HitHeaders<'a> {
    fn of(headers: &'a Headers) -> Option<Self> {
        let any = headers != &Headers::default();
        any.then_some(HitHeaders {
            sec_fetch_site: headers.sec_fetch_site,
            sec_fetch_mode: headers.sec_fetch_mode,
            sec_fetch_dest: headers.sec_fetch_dest,
            sec_fetch_user: headers.sec_fetch_user,
            sec_ch_ua: headers.sec_ch_ua.as_deref(),
            x_requested_with: headers.x_requested_with,
            sec_purpose: headers.sec_purpose,
            range: headers.range,
        })
    }
}

impl<'a> Hit<'a> {
    fn of(event: &'a Event, site: &'a str, options: HitOptions) -> Option<Self> {
        if !event.is_hit() {
            return None;
        }
        let request = &event.request;
        let client = event.client.as_ref();
        let mut url = format!("https://{site}{}", request.target);
        if let Some(fragment) = client.and_then(|client| client.fragment.as_deref()) {
            url.push('#');
            url.push_str(fragment);
        }
        let kind = client.map_or(HitKind::PageView, |client| client.kind);
        let is_page = event.kind == EventKind::Page;
        let send_headers = is_page && (client.is_none() || options.headers);
        Some(Hit {
            site,
            url,
            r#type: kind,
            time: event.time + event.clock_ms,
            id: event.hit_id(),
            visitor: client.map(|client| &*client.visitor),
            referrer: request.referrer.as_deref().filter(|_| is_page),
            user_agent: request.user_agent.as_deref().unwrap_or(""),
            language: request.language.as_deref().unwrap_or(""),
            title: client.map(|client| &*client.title),
            token: client.and_then(|client| client.token.as_deref()),
            app: client.and_then(|client| client.app),
            name: (kind == HitKind::Conversion).then_some("subscribe"),
            value: client.and_then(|client| client.seconds),
            status: client.is_none().then_some(request.status),
            headers: if send_headers {
                HitHeaders::of(&request.headers)
            } else {
                None
            },
            address: options.addresses.then_some(request.address),
        })
    }
}

/// The hits of a simulation as JSON, one string each: page script's for people, the server's for
/// previews, scanners and robots. Assets, redirects and readers without script give none.
pub fn hits<'a>(
    events: impl Iterator<Item = Event> + 'a,
    site: &'a str,
    options: HitOptions,
) -> impl Iterator<Item = serde_json::Result<String>> + 'a {
    events.filter_map(move |event| {
        Hit::of(&event, site, options).map(|hit| serde_json::to_string(&hit))
    })
}

/// Writes the hit of one event and a line feed; `false` where the event sends none.
///
/// # Errors
/// Those of `out`.
pub fn write_hit(
    out: &mut impl Write,
    event: &Event,
    site: &str,
    options: HitOptions,
) -> io::Result<bool> {
    let Some(hit) = Hit::of(event, site, options) else {
        return Ok(false);
    };
    serde_json::to_writer(&mut *out, &hit)?;
    out.write_all(b"\n")?;
    Ok(true)
}

/// Writes all hits as NDJSON; gives their number.
///
/// # Errors
/// Those of `out`.
pub fn write_hits(
    out: &mut impl Write,
    events: impl Iterator<Item = Event>,
    site: &str,
    options: HitOptions,
) -> io::Result<u64> {
    let mut count = 0;
    for event in events {
        count += u64::from(write_hit(out, &event, site, options)?);
    }
    Ok(count)
}
