//! Whether the collector lives and takes hits.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Collector, answer};

impl Collector {
    /// Why no hits are taken now, if none are.
    pub fn trouble(&self) -> Option<String> {
        if self.0.paused.load(Ordering::Relaxed) {
            return Some("paused: the stages behind are catching up".to_owned());
        }
        self.0.appender.trouble()
    }
}

pub(super) async fn live() -> Response {
    answer::no_store(Json(json!({"status": "live"})).into_response())
}

pub(super) async fn ready(State(collector): State<Collector>) -> Response {
    let reason = collector.trouble();
    answer::no_store(match reason {
        None => Json(json!({"status": "ready"})).into_response(),
        Some(reason) => {
            let body = Json(json!({"status": "not ready", "error": reason}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    })
}
