//! What the collector tells those who run it of its requests.

use std::time::Instant;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use grapevine_metrics::{RequestAnswered, RequestEnd};

/// Counts a request for hits by how it ended and how long it took.
pub(super) async fn request(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let answer = next.run(request).await;
    RequestAnswered {
        end: end_of(answer.status()),
        took: started.elapsed(),
    }
    .emit();
    answer
}

fn end_of(status: StatusCode) -> RequestEnd {
    match status {
        // 422: some hits of it are wrong, the others are durable.
        StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY => RequestEnd::Taken,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => RequestEnd::PutOff,
        _ => RequestEnd::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_the_request_ended() {
        for (status, end) in [
            (200, RequestEnd::Taken),
            (422, RequestEnd::Taken),
            (503, RequestEnd::PutOff),
            (507, RequestEnd::PutOff),
            (400, RequestEnd::Refused),
            (413, RequestEnd::Refused),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(end_of(status), end, "{status}");
        }
    }
}
