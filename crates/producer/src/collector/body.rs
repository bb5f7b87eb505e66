//! Bodies, bounded: as sent, unpacked, in time, and all of them together.

use std::io::Cursor;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt;

use super::BODY_BYTES_MAX;
use super::budget::{Budget, Buffer, NoRoom};

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the rest of a body that is not taken may still come. Who is cut off while sending may
/// not see the answer.
const LINGER: Duration = Duration::from_secs(1);
/// What is unpacked, and taken apart, where the request is served: some tenths of a millisecond.
/// More goes to a thread of its own, so that others need not wait; for less that hop costs more
/// than the work.
pub(super) const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Why a body, or the hits in it, are not taken.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is wrong, and will be.
    Refused {
        /// What is answered.
        status: StatusCode,
        /// In words, with what to do.
        error: String,
    },
    /// Others take all the memory that there is: it may be sent again.
    NoRoom,
}

impl From<NoRoom> for Unread {
    fn from(_: NoRoom) -> Self {
        Unread::NoRoom
    }
}

pub(super) fn refuse(status: StatusCode, error: impl Into<String>) -> Unread {
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

/// A body of which all was sent.
#[derive(Debug)]
pub(super) enum Unpacking {
    /// Unpacked.
    Done(Buffer),
    /// More of it is packed than is unpacked where a request is served.
    UnderWay(Box<Gunzip>),
}

impl Unpacking {
    /// Unpacks the rest.
    pub(super) fn finish(self, budget: &Budget) -> Result<Buffer, Unread> {
        match self {
            Unpacking::Done(body) => Ok(body),
            Unpacking::UnderWay(gunzip) => gunzip.finish(budget),
        }
    }
}

/// Begins to unpack a body that is packed, whatever its headers say of it. How much is packed says
/// nothing of how much comes out, up to a thousand times as much, so what counts is what has come
/// out. Members without content give nothing and cost time all the same: who sends more than
/// [`INLINE_BYTES_MAX`] of packed bytes is not unpacked here at all.
pub(super) fn unpack(
    headers: &HeaderMap,
    body: Buffer,
    budget: &Budget,
) -> Result<Unpacking, Unread> {
    if body.starts_with(&[0x1F, 0x8B]) {
        let is_small = body.len() <= INLINE_BYTES_MAX;
        let mut gunzip = Gunzip::new(body);
        if is_small && gunzip.unpack_to(INLINE_BYTES_MAX, budget)? {
            return Ok(Unpacking::Done(gunzip.unpacked));
        }
        return Ok(Unpacking::UnderWay(Box::new(gunzip)));
    }
    plain(headers, body).map(Unpacking::Done)
}

/// A body that is not packed as it stands, where its headers do not say that it is something else.
fn plain(headers: &HeaderMap, body: Buffer) -> Result<Buffer, Unread> {
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

/// A packed body, and as much of it as was unpacked.
#[derive(Debug)]
pub(super) struct Gunzip {
    decoder: MultiGzDecoder<Cursor<Buffer>>,
    unpacked: Buffer,
}

impl Gunzip {
    fn new(packed: Buffer) -> Gunzip {
        Gunzip {
            decoder: MultiGzDecoder::new(Cursor::new(packed)),
            unpacked: Buffer::default(),
        }
    }

    /// Unpacks until all is there or at least `bytes` are; true where all is.
    fn unpack_to(&mut self, bytes: usize, budget: &Budget) -> Result<bool, Unread> {
        while self.unpacked.len() < bytes {
            self.unpacked.reserve(1, BODY_BYTES_MAX + 1, budget)?;
            let ended = self.unpacked.fill(&mut self.decoder).map_err(|error| {
                refuse(
                    StatusCode::BAD_REQUEST,
                    format!("the body is damaged gzip: {error}"),
                )
            })?;
            if self.unpacked.len() > BODY_BYTES_MAX {
                return Err(too_large("unpacks to"));
            }
            if ended {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finish(mut self, budget: &Budget) -> Result<Buffer, Unread> {
        // One byte more than may be there is found out on the way.
        self.unpack_to(BODY_BYTES_MAX + 1, budget)?;
        Ok(self.unpacked)
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

    /// All that is unpacked of a body.
    fn unpacked(body: Buffer, budget: &Budget) -> Result<Buffer, Unread> {
        unpack(&HeaderMap::new(), body, budget)?.finish(budget)
    }

    #[tokio::test]
    async fn what_is_unpacked_counts_with_what_was_sent() {
        let text = vec![b' '; 1 << 20];
        let packed = packed(&text);
        let budget = Budget::new(AMPLE);
        let body = sent(packed.clone(), &budget).await.unwrap();
        assert_eq!(budget.left(), AMPLE, "{} bytes are free", body.len());
        let whole = unpacked(body, &budget).unwrap();
        assert_eq!(&whole[..], text);
        assert!(budget.left() <= AMPLE - (1 << 20) + 8 * 1024);
        drop(whole);
        assert_eq!(budget.left(), AMPLE);

        let budget = Budget::new(1 << 19);
        let body = sent(packed, &budget).await.unwrap();
        let none = unpacked(body, &budget);
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
        let whole = unpacked(body, &budget).unwrap();
        assert_eq!(whole.len(), BODY_BYTES_MAX);
        let more = vec![b' '; BODY_BYTES_MAX + 1];
        let body = sent(packed(&more), &budget).await.unwrap();
        for refused in [unpacked(body, &budget), sent(more, &budget).await] {
            let is_too_large = matches!(
                refused,
                Err(Unread::Refused { status, .. }) if status == StatusCode::PAYLOAD_TOO_LARGE
            );
            assert!(is_too_large);
        }
    }

    #[tokio::test]
    async fn only_what_is_little_is_unpacked_where_the_request_is_served() {
        let budget = Budget::new(AMPLE);
        let begun = async |packed: Vec<u8>| {
            let body = sent(packed, &budget).await.unwrap();
            unpack(&HeaderMap::new(), body, &budget).unwrap()
        };
        let little = begun(packed(&[b' '; INLINE_BYTES_MAX - 1])).await;
        assert!(matches!(little, Unpacking::Done(body) if body.len() == INLINE_BYTES_MAX - 1));
        // A few kilobytes, of which eight megabytes come out.
        let much = packed(&vec![b' '; BODY_BYTES_MAX]);
        assert!(much.len() < INLINE_BYTES_MAX);
        let much = begun(much).await;
        assert!(matches!(much, Unpacking::UnderWay(_)));
        let held = AMPLE - budget.left();
        assert!(held <= INLINE_BYTES_MAX, "{held} bytes of it are unpacked");
        assert_eq!(much.finish(&budget).unwrap().len(), BODY_BYTES_MAX);
        // Nothing comes out of all these.
        let empty = packed(b"");
        let empty = empty.repeat(INLINE_BYTES_MAX / empty.len() + 1);
        let empty = begun(empty).await;
        assert!(matches!(empty, Unpacking::UnderWay(_)));
        assert!(empty.finish(&budget).unwrap().is_empty());
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
            let whole = unpacked(body, &budget).unwrap();
            prop_assert_eq!(&whole[..], text);
            drop(whole);
            prop_assert_eq!(budget.left(), AMPLE);
        }
    }
}
