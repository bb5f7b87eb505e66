//! `POST /v1/hits`.

use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grapevine_event::Protocol;
use grapevine_metrics::{Buried, HitsTaken};

use super::appender::AppendError;
use super::body::{INLINE_BYTES_MAX, Unpacking, Unread};
use super::budget::Share;
use super::counts::add;
use super::intake::Intake;
use super::sender::Sender;
use super::{Collector, answer, body};
use crate::native::{self, FieldError};

pub(super) async fn take(State(collector): State<Collector>, request: Request) -> Response {
    let inner = &collector.0;
    if inner.paused.load(Ordering::Relaxed) {
        add(&inner.counters.put_off, 1);
        return answer::put_off(&AppendError::Paused);
    }
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&parts, &inner.config);
    let read = body::read(body, &inner.bodies).await;
    let unpacking = read.and_then(|body| body::unpack(&parts.headers, body, &inner.bodies));
    // The body is gone once its records are there.
    let taken = match unpacking {
        Ok(Unpacking::Done(body)) if body.len() <= INLINE_BYTES_MAX => {
            intake(&collector, &sender, &body)
        }
        Ok(large) => {
            let collector = collector.clone();
            let work = move || {
                let body = large.finish(&collector.0.bodies)?;
                intake(&collector, &sender, &body)
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(taken) => taken,
                Err(_) => return answer::put_off(&AppendError::Closed),
            }
        }
        Err(unread) => Err(unread),
    };
    match taken {
        Ok(taken) => store(&collector, taken).await,
        Err(unread) => not_taken(&collector, unread),
    }
}

/// Answers a request of which nothing is stored.
pub(super) fn not_taken(collector: &Collector, unread: Unread) -> Response {
    let counters = &collector.0.counters;
    match unread {
        Unread::NoRoom => {
            add(&counters.put_off, 1);
            answer::put_off(&AppendError::NoRoom)
        }
        Unread::Refused { status, error } => {
            add(&counters.refused, 1);
            answer::refused(status, &error)
        }
    }
}

/// Everything of a request that is ready to be stored and answered.
pub(super) struct Taken {
    records: super::records::Records,
    /// The memory of the records, until they are durable.
    share: Share,
    accepted: usize,
    opted_out: usize,
    rejected: usize,
    rejections: Vec<answer::Rejection>,
    letters: Vec<&'static str>,
    /// The request as a whole was no hits.
    refused: Option<(StatusCode, String)>,
}

impl Taken {
    pub(super) fn of(intake: Intake<'_>, refused: Option<(StatusCode, String)>) -> Taken {
        Taken {
            records: intake.records,
            share: intake.share,
            accepted: intake.accepted,
            opted_out: intake.opted_out,
            rejected: intake.rejected,
            rejections: intake.rejections,
            letters: intake.letters,
            refused,
        }
    }
}

fn intake(collector: &Collector, sender: &Sender, body: &[u8]) -> Result<Taken, Unread> {
    let mut intake = Intake::new(&collector.0, sender, Protocol::Native);
    let refused = match native::split(body) {
        Ok(hits) => {
            for (index, hit) in hits.into_iter().enumerate() {
                intake.take(index, native::parse(hit), hit)?;
            }
            None
        }
        Err(error) => {
            let status = match error {
                native::BodyError::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::BAD_REQUEST,
            };
            // What was sent is kept for whoever looks for lost hits, an empty body is nothing.
            if !matches!(error, native::BodyError::Empty | native::BodyError::TooMany) {
                intake.reject(0, vec![FieldError::new("", error.to_string())], body);
            }
            Some((status, error.to_string()))
        }
    };
    Ok(Taken::of(intake, refused))
}

/// Stores and answers.
pub(super) async fn store(collector: &Collector, taken: Taken) -> Response {
    let counters = &collector.0.counters;
    let answered = collector.0.appender.append(taken.records).await;
    drop(taken.share);
    if let Err(error) = answered {
        add(&counters.put_off, 1);
        return answer::put_off(&error);
    }
    add(&counters.accepted, taken.accepted);
    add(&counters.opted_out, taken.opted_out);
    add(&counters.rejected, taken.rejected);
    HitsTaken {
        accepted: taken.accepted as u64,
        opted_out: taken.opted_out as u64,
        rejected: taken.rejected as u64,
    }
    .emit();
    for reason in taken.letters {
        Buried {
            stage: "collect",
            reason,
            letters: 1,
        }
        .emit();
    }
    if let Some((status, error)) = taken.refused {
        add(&counters.refused, 1);
        return answer::refused(status, &error);
    }
    answer::taken(taken.accepted, taken.rejected, &taken.rejections)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grapevine_log::Log;
    use tempfile::TempDir;

    use super::super::intake::RECORDS_FREE_BYTES;
    use super::super::{CollectorConfig, RECORDS_BYTES_MAX, REQUEST_RECORDS_BYTES_MAX};
    use super::*;
    use crate::pseudonym::Pseudonyms;

    fn collector() -> (TempDir, Collector) {
        let directory = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::open(&directory.path().join("log.redb")).unwrap());
        let pseudonyms = Pseudonyms::new(&[3; 32]);
        let (collector, _) = Collector::start(log, pseudonyms, CollectorConfig::default()).unwrap();
        (directory, collector)
    }

    /// Whose headers have so many bytes each.
    fn sender(bytes: usize) -> Sender {
        let header = || Some("x".repeat(bytes));
        Sender {
            address: None,
            has_key: false,
            has_wrong_key: false,
            opted_out: false,
            user_agent: "x".repeat(bytes),
            language: None,
            referrer: None,
            client_hints: header(),
            requested_with: header(),
            purpose: header(),
            received_ms: 1_790_000_000_000,
        }
    }

    fn body(hits: usize) -> String {
        "{\"site\":\"a\",\"url\":\"https://a/\"}\n".repeat(hits)
    }

    #[test]
    fn what_becomes_far_more_than_was_sent_is_refused_before_the_memory_is_spent() {
        let (_directory, collector) = collector();
        let many = body(native::HITS_MAX);
        // As browsers send them.
        let ordinary = intake(&collector, &sender(150), many.as_bytes());
        assert_eq!(ordinary.unwrap().accepted, native::HITS_MAX);
        let long = sender(4096);
        let refused = intake(&collector, &long, many.as_bytes());
        let Err(Unread::Refused { status, error }) = refused else {
            panic!("it is taken");
        };
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(error.contains("in several requests"), "{error}");
        let left = collector.0.records.left();
        assert_eq!(left, RECORDS_BYTES_MAX, "nothing of it stays");
        // In parts, as the answer says.
        let part = intake(&collector, &long, body(native::HITS_MAX / 10).as_bytes()).unwrap();
        assert!(part.records.bytes() <= REQUEST_RECORDS_BYTES_MAX);
        let left = collector.0.records.left();
        assert!(left + part.records.bytes() <= RECORDS_BYTES_MAX + RECORDS_FREE_BYTES);
        drop(part);
        assert_eq!(collector.0.records.left(), RECORDS_BYTES_MAX);
    }

    #[test]
    fn dead_letters_count_as_hits_do() {
        let (_directory, collector) = collector();
        // Every field is wrong, and told at length.
        let fields: Vec<String> = (0..60).map(|at| format!("\"{at}\":0")).collect();
        let wrong = format!("{{{}}}\n", fields.join(","));
        let refused = intake(&collector, &sender(0), wrong.repeat(9_000).as_bytes());
        let Err(Unread::Refused { status, .. }) = refused else {
            panic!("it is taken");
        };
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        let few = intake(&collector, &sender(0), wrong.repeat(100).as_bytes()).unwrap();
        assert_eq!((few.accepted, few.rejected), (0, 100));
    }

    #[test]
    fn one_wrong_hit_of_any_size_becomes_a_small_letter() {
        let (_directory, collector) = collector();
        let long = "x".repeat(1 << 20);
        let odd = "\u{7f}".repeat(1 << 20);
        let many: Vec<String> = (0..50_000).map(|at| format!("\"{at}\":0")).collect();
        for sent in [
            format!("{{\"{long}\":1}}"),
            format!("{{\"type\":\"{odd}\"}}"),
            format!("{{\"time\":\"{odd}\"}}"),
            format!("{{\"props\":{{\"{long}\":1}}}}"),
            format!("{{\"headers\":{{{}}}}}", many.join(",")),
            format!("{{{}}}", many.join(",")),
            format!("{{\"url\":[{}0]}}", "0,".repeat(1 << 20)),
            format!("[\"{odd}\"]"),
            format!("[[{}0]]", "0,".repeat(1 << 20)),
        ] {
            let taken = intake(&collector, &sender(0), sent.as_bytes()).unwrap();
            assert_eq!(taken.rejected, 1);
            let bytes = taken.records.bytes();
            assert!(bytes < 128 * 1024, "{bytes} of {}", &sent[..20]);
        }
    }

    #[test]
    fn while_others_have_all_the_memory_large_batches_are_put_off_and_small_ones_taken() {
        let (_directory, collector) = collector();
        let mut others = Share::default();
        let budget = &collector.0.records;
        others.hold(RECORDS_BYTES_MAX, budget).unwrap();
        let large = intake(&collector, &sender(150), body(5_000).as_bytes());
        assert!(matches!(large, Err(Unread::NoRoom)));
        let small = intake(&collector, &sender(150), body(20).as_bytes());
        assert_eq!(small.unwrap().accepted, 20);
        drop(others);
        let large = intake(&collector, &sender(150), body(5_000).as_bytes());
        assert!(large.is_ok());
    }
}
