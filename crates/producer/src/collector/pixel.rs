//! `GET /v1/pixel.gif`: one hit by the parameters of a picture's address.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use grapevine_event::Protocol;

use super::appender::AppendError;
use super::counts::add;
use super::intake::Intake;
use super::sender::Sender;
use super::{Collector, answer, hits};
use crate::native;

/// One transparent pixel, GIF89a: header, screen of 1 x 1 with two colours, the first of them
/// transparent, and an image of one pixel of it.
const PIXEL: &[u8] = &[
    b'G', b'I', b'F', b'8', b'9', b'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x21,
    0xF9, 4, 1, 0, 0, 0, 0, 0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3B,
];

pub(super) async fn take(State(collector): State<Collector>, request: Request) -> Response {
    // Checkers of links ask so; nobody has opened anything.
    if request.method() == Method::HEAD {
        return picture();
    }
    if collector.0.paused.load(Ordering::Relaxed) {
        add(&collector.0.counters.put_off, 1);
        return answer::put_off(&AppendError::Paused);
    }
    let (parts, _) = request.into_parts();
    let sender = Sender::of(&parts, &collector.0.config);
    let query = parts.uri.query().unwrap_or_default();
    let mut parameters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        // An empty parameter is how templates write an absent one.
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if !parameters.iter().any(|(name, _)| name == "url")
        && let Some(page) = &sender.referrer
    {
        parameters.push(("url".to_owned(), page.clone()));
    }
    let mut intake = Intake::new(&collector.0, &sender, Protocol::Pixel);
    // The dead letter of a wrong hit has the same form as any other, so that it can be mended.
    let sent: serde_json::Map<_, _> = parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let sent = serde_json::to_vec(&sent).unwrap_or_default();
    if let Err(unread) = intake.take(0, native::from_query(parameters), &sent) {
        return hits::not_taken(&collector, unread);
    }
    let response = hits::store(&collector, hits::Taken::of(intake, None)).await;
    if response.status() == StatusCode::OK {
        picture()
    } else {
        response
    }
}

fn picture() -> Response {
    let mut response = Response::new(Body::from(PIXEL));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    answer::no_store(response)
}
