//! Bodies, bounded: as sent, unpacked, in time, and all of them together.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;

use super::BODY_BYTES_MAX;
use super::budget::{Budget, Buffer, NoRoom};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the rest of a body that is not taken may still come. Who is cut off while sending may
/// not see the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Why a body is not taken.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is wrong, and will be.
    Refused {
        /// What is answered.
        status: StatusCode,
        /// In words, with what to do.
        error: String,
    },
    /// Others take all the memory that there is for bodies: it may be sent again.
    NoRoom,
}

impl From<NoRoom> for Unread {
    fn from(_: NoRoom) -> Self {
        Unread::NoRoom
    }
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Unread {
    Unread::Refused {
        status,
        error: error.into(),
    }
}

/// Reads a body as it was sent.
pub(super) async fn read(body: Body, budget: &Budget) -> Result<Buffer, Unread> {
    read_within(PATIENCE, body, budget).await
}

async fn read_within(
    patience: Duration,
    mut body: Body,
    budget: &Budget,
) -> Result<Buffer, Unread> {
    let Ok(read) = tokio::time::timeout(patience, collect(&mut body, budget)).await else {
        return Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive within 30 seconds: send it again",
        ));
    };
    if read.is_err() {
        // However much is left, the answer goes out then.
        let _ = tokio::time::timeout(LINGER, pass(&mut body)).await;
    }
    read
}

/// Lets the rest of a body come, and keeps nothing of it.
async fn pass(body: &mut Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

async fn collect(body: &mut Body, budget: &Budget) -> Result<Buffer, Unread> {
    let announced = body.size_hint().upper();
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes_max = announced.map_or(BODY_BYTES_MAX, |bytes| bytes.min(BODY_BYTES_MAX));
    let mut whole = Buffer::default();
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
            whole.extend(data, bytes_max, budget)?;
        }
    }
    Ok(whole)
}

/// Unpacks a body that is packed, whatever its headers say of it.
pub(super) fn unpack(headers: &HeaderMap, body: Buffer, budget: &Budget) -> Result<Buffer, Unread> {
    if body.starts_with(&[0x1F, 0x8B]) {
        return gunzip(&body, budget);
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

fn gunzip(packed: &[u8], budget: &Budget) -> Result<Buffer, Unread> {
    let mut unpacked = Buffer::default();
    let mut decoder = flate2::read::MultiGzDecoder::new(packed);
    loop {
        unpacked.reserve(1, BODY_BYTES_MAX + 1, budget)?;
        let ended = unpacked.fill(&mut decoder).map_err(|error| {
            refuse(
                StatusCode::BAD_REQUEST,
                format!("the body is damaged gzip: {error}"),
            )
        })?;
        if unpacked.len() > BODY_BYTES_MAX {
            return Err(too_large("unpacks to"));
        }
        if ended {
            return Ok(unpacked);
        }
    }
}

fn too_large(how: &str) -> Unread {
    let error = format!(
        "the body {how} more than {BODY_BYTES_MAX} bytes: send the hits in several requests"
    );
    refuse(StatusCode::PAYLOAD_TOO_LARGE, error)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::Full;
    use proptest::prelude::*;

    use super::*;

    /// Room for every test that is not about its end.
    const AMPLE: usize = 4 * BODY_BYTES_MAX;

    fn packed(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    async fn sent(body: Vec<u8>, budget: &Budget) -> Result<Buffer, Unread> {
        read(Body::from(body), budget).await
    }

    #[tokio::test]
    async fn what_is_unpacked_counts_with_what_was_sent() {
        let text = vec![b' '; 1 << 20];
        let packed = packed(&text);
        let budget = Budget::new(AMPLE);
        let body = sent(packed.clone(), &budget).await.unwrap();
        assert_eq!(budget.left(), AMPLE, "{} bytes are free", body.len());
        let unpacked = unpack(&HeaderMap::new(), body, &budget).unwrap();
        assert_eq!(&unpacked[..], text);
        assert!(budget.left() <= AMPLE - (1 << 20) + 8 * 1024);
        drop(unpacked);
        assert_eq!(budget.left(), AMPLE);

        let budget = Budget::new(1 << 19);
        let body = sent(packed, &budget).await.unwrap();
        let none = unpack(&HeaderMap::new(), body, &budget);
        assert!(matches!(none, Err(Unread::NoRoom)), "{none:?}");
        assert_eq!(budget.left(), 1 << 19, "nothing of it stays");
    }

    #[tokio::test]
    async fn the_largest_body_is_taken_and_one_byte_more_is_not() {
        let budget = Budget::new(AMPLE);
        let largest = vec![b' '; BODY_BYTES_MAX];
        let body = sent(largest.clone(), &budget).await.unwrap();
        assert_eq!(body.len(), BODY_BYTES_MAX);
        let body = sent(packed(&largest), &budget).await.unwrap();
        let unpacked = unpack(&HeaderMap::new(), body, &budget).unwrap();
        assert_eq!(unpacked.len(), BODY_BYTES_MAX);
        let more = vec![b' '; BODY_BYTES_MAX + 1];
        let body = sent(packed(&more), &budget).await.unwrap();
        for refused in [
            unpack(&HeaderMap::new(), body, &budget),
            sent(more, &budget).await,
        ] {
            let is_too_large = matches!(
                refused,
                Err(Unread::Refused { status, .. }) if status == StatusCode::PAYLOAD_TOO_LARGE
            );
            assert!(is_too_large);
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_to_its_end_holds_nothing_for_long() {
        let budget = Budget::new(AMPLE);
        let part = Full::new(Bytes::from(vec![b' '; 100_000]));
        let stalled = Body::new(part.with_trailers(std::future::pending()));
        let reading = read_within(Duration::from_secs(1), stalled, &budget);
        tokio::pin!(reading);
        let early = tokio::time::timeout(Duration::from_millis(10), &mut reading).await;
        assert!(early.is_err(), "it is waited for");
        assert!(budget.left() < AMPLE - 90_000);
        let Err(Unread::Refused { status, .. }) = reading.await else {
            panic!("it never came to its end");
        };
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(budget.left(), AMPLE);
    }

    #[tokio::test]
    async fn who_finds_no_room_is_heard_out_before_the_answer() {
        let budget = Budget::new(50_000);
        let none = sent(vec![b' '; 100_000], &budget).await;
        assert!(matches!(none, Err(Unread::NoRoom)));
        let part = Full::new(Bytes::from(vec![b' '; 100_000]));
        let stalled = Body::new(part.with_trailers(std::future::pending()));
        // Not for the thirty seconds of a body that is taken.
        let answer = tokio::time::timeout(Duration::from_secs(15), read(stalled, &budget));
        assert!(matches!(answer.await, Ok(Err(Unread::NoRoom))));
        assert_eq!(budget.left(), 50_000);
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_whole(
            seed in prop::collection::vec(any::<u8>(), 1..400),
            times in 1..300_usize,
            members in 1..4_usize,
        ) {
            let budget = Budget::new(AMPLE);
            let text = seed.repeat(times);
            let mut body = Buffer::default();
            for part in text.chunks(text.len().div_ceil(members)) {
                body.extend(&packed(part), BODY_BYTES_MAX, &budget).unwrap();
            }
            let unpacked = unpack(&HeaderMap::new(), body, &budget).unwrap();
            prop_assert_eq!(&unpacked[..], text);
            drop(unpacked);
            prop_assert_eq!(budget.left(), AMPLE);
        }
    }
}
