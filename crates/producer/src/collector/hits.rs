//! `POST /v1/hits`.

use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use grapevine_event::Protocol;
use grapevine_metrics::{Buried, HitsTaken};

use super::appender::AppendError;
use super::body::Unread;
use super::budget::Buffer;
use super::counts::add;
use super::intake::Intake;
use super::sender::Sender;
use super::{Collector, answer, body};
use crate::native::{self, FieldError};

/// Bodies above this are taken apart on a thread of their own, so that others need not wait.
const INLINE_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn take(State(collector): State<Collector>, request: Request) -> Response {
    let inner = &collector.0;
    if inner.paused.load(Ordering::Relaxed) {
        add(&inner.counters.put_off, 1);
        return answer::put_off(&AppendError::Paused);
    }
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&parts, &inner.config);
    let read = body::read(body, &inner.bodies).await;
    let unpacked = read.and_then(|body| body::unpack(&parts.headers, body, &inner.bodies));
    let body = match unpacked {
        Ok(body) => body,
        Err(Unread::NoRoom) => {
            add(&inner.counters.put_off, 1);
            return answer::put_off(&AppendError::NoRoom);
        }
        Err(Unread::Refused { status, error }) => {
            add(&inner.counters.refused, 1);
            return answer::refused(status, &error);
        }
    };
    let for_intake = collector.clone();
    // The body is gone once its records are there: they are counted where they wait.
    let records = move |body: Buffer| intake(&for_intake, &sender, &body);
    let taken = if body.len() > INLINE_BYTES_MAX {
        match tokio::task::spawn_blocking(move || records(body)).await {
            Ok(taken) => taken,
            Err(_) => return answer::put_off(&AppendError::Closed),
        }
    } else {
        records(body)
    };
    store(&collector, taken).await
}

/// Everything of a request that is ready to be stored and answered.
pub(super) struct Taken {
    records: super::records::Records,
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
            accepted: intake.accepted,
            opted_out: intake.opted_out,
            rejected: intake.rejected,
            rejections: intake.rejections,
            letters: intake.letters,
            refused,
        }
    }
}

fn intake(collector: &Collector, sender: &Sender, body: &[u8]) -> Taken {
    let mut intake = Intake::new(&collector.0, sender, Protocol::Native);
    let refused = match native::split(body) {
        Ok(hits) => {
            for (index, hit) in hits.into_iter().enumerate() {
                intake.take(index, native::parse(hit), hit);
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
    Taken::of(intake, refused)
}

/// Stores and answers.
pub(super) async fn store(collector: &Collector, taken: Taken) -> Response {
    let counters = &collector.0.counters;
    let answered = collector.0.appender.append(taken.records).await;
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
