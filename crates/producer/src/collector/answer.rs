//! Answers: JSON with `error`, never cached.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::appender::AppendError;
use crate::native::FieldError;

/// Seconds after which to try again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// After a full disk, which takes a person.
const RETRY_SECONDS_DISK: HeaderValue = HeaderValue::from_static("60");
/// Most field errors in one answer; the count says how many hits there were.
pub(super) const ERRORS_TOLD_MAX: usize = 1000;

#[derive(Serialize)]
struct Refused<'a> {
    accepted: u64,
    error: &'a str,
}

/// A request refused as a whole.
pub(super) fn refused(status: StatusCode, error: &str) -> Response {
    no_store((status, Json(Refused { accepted: 0, error })).into_response())
}

/// A request to be sent again.
pub(super) fn put_off(error: &AppendError) -> Response {
    let (status, retry) = match error {
        AppendError::DiskFull(_) => (StatusCode::INSUFFICIENT_STORAGE, RETRY_SECONDS_DISK),
        _ => (StatusCode::SERVICE_UNAVAILABLE, RETRY_SECONDS),
    };
    let mut response = refused(status, &error.to_string());
    response.headers_mut().insert(header::RETRY_AFTER, retry);
    response
}

/// A wrong field of one hit of a request.
#[derive(Debug, Serialize)]
pub(super) struct Rejection {
    /// Index of the hit in the request, from 0.
    pub(super) index: usize,
    #[serde(flatten)]
    pub(super) error: FieldError,
}

#[derive(Serialize)]
struct Taken {
    accepted: usize,
}

#[derive(Serialize)]
struct PartlyTaken<'a> {
    accepted: usize,
    error: String,
    rejected: &'a [Rejection],
}

/// Every hit that could be taken is durable. `rejections` are the first [`ERRORS_TOLD_MAX`].
pub(super) fn taken(accepted: usize, rejected_hits: usize, rejections: &[Rejection]) -> Response {
    if rejections.is_empty() {
        return no_store(Json(Taken { accepted }).into_response());
    }
    let error = format!(
        "{rejected_hits} of {} hits have wrong fields and were not taken: mend and send only these",
        accepted + rejected_hits
    );
    let body = Json(PartlyTaken {
        accepted,
        error,
        rejected: rejections,
    });
    no_store((StatusCode::UNPROCESSABLE_ENTITY, body).into_response())
}

pub(super) fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) async fn not_found(uri: Uri) -> Response {
    let routes = "POST /v1/hits, GET /v1/pixel.gif, GET /health/live, GET /health/ready";
    let error = format!("{} is not here: the routes are {routes}", uri.path());
    refused(StatusCode::NOT_FOUND, &error)
}

pub(super) async fn not_allowed(uri: Uri) -> Response {
    let takes = if uri.path() == "/v1/hits" {
        "POST"
    } else {
        "GET"
    };
    let error = format!("{} takes {takes} only", uri.path());
    refused(StatusCode::METHOD_NOT_ALLOWED, &error)
}
