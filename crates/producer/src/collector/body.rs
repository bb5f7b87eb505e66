//! Bodies, bounded: as sent, unpacked, and in time.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;

use super::BODY_BYTES_MAX;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a body is not taken.
#[derive(Debug)]
pub(super) struct BodyRefused {
    pub(super) status: StatusCode,
    pub(super) error: String,
}

fn refuse(status: StatusCode, error: impl Into<String>) -> BodyRefused {
    BodyRefused {
        status,
        error: error.into(),
    }
}

/// Reads a body as it was sent.
pub(super) async fn read(body: Body) -> Result<Bytes, BodyRefused> {
    let late = |_| {
        refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive within 30 seconds: send it again",
        )
    };
    tokio::time::timeout(PATIENCE, collect(body))
        .await
        .map_err(late)?
}

async fn collect(mut body: Body) -> Result<Bytes, BodyRefused> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            refuse(
                StatusCode::BAD_REQUEST,
                format!("the body broke off: {error}; send it again"),
            )
        })?;
        if let Some(data) = frame.data_ref() {
            if whole.len() + data.len() > BODY_BYTES_MAX {
                return Err(too_large("has"));
            }
            whole.extend_from_slice(data);
        }
    }
    Ok(whole.into())
}

/// Unpacks a body that is packed, whatever its headers say of it.
pub(super) fn unpack(headers: &HeaderMap, body: Bytes) -> Result<Bytes, BodyRefused> {
    if body.starts_with(&[0x1F, 0x8B]) {
        let mut unpacked = Vec::new();
        let bound = BODY_BYTES_MAX as u64 + 1;
        flate2::read::MultiGzDecoder::new(&*body)
            .take(bound)
            .read_to_end(&mut unpacked)
            .map_err(|error| {
                refuse(
                    StatusCode::BAD_REQUEST,
                    format!("the body is damaged gzip: {error}"),
                )
            })?;
        if unpacked.len() > BODY_BYTES_MAX {
            return Err(too_large("unpacks to"));
        }
        return Ok(unpacked.into());
    }
    // A proxy may have unpacked the body and left the header: what is JSON is taken as it is.
    let is_text = body
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_none_or(|byte| matches!(byte, b'{' | b'[' | 0xEF));
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.as_bytes());
    match encoding {
        None | Some(b"" | b"identity") => Ok(body),
        Some(_) if is_text => Ok(body),
        Some(b"gzip" | b"x-gzip") => Err(refuse(
            StatusCode::BAD_REQUEST,
            "the body is not gzip, though Content-Encoding says so",
        )),
        Some(other) => Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "Content-Encoding {} is not taken: send gzip or plain",
                other.escape_ascii()
            ),
        )),
    }
}

fn too_large(how: &str) -> BodyRefused {
    let error = format!(
        "the body {how} more than {BODY_BYTES_MAX} bytes: send the hits in several requests"
    );
    refuse(StatusCode::PAYLOAD_TOO_LARGE, error)
}
