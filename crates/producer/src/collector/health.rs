//! Whether the collector lives and takes hits.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::outbox::OutboxState;
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

/// Hits are taken; where some wait in the spool, how many bytes and why.
fn ready_with(outbox: Option<OutboxState>) -> serde_json::Value {
    match outbox {
        Some(state) if state.spooled_bytes > 0 => json!({
            "status": "ready",
            "spooled_bytes": state.spooled_bytes,
            "spooled_because": state.trouble,
        }),
        _ => json!({"status": "ready"}),
    }
}

pub(super) async fn ready(State(collector): State<Collector>) -> Response {
    let reason = match collector.is_draining() {
        true => Some("stopping: hits are taken for a moment more, send elsewhere".to_owned()),
        false => collector.trouble(),
    };
    answer::no_store(match reason {
        None => Json(ready_with(collector.0.appender.outbox())).into_response(),
        Some(reason) => {
            let body = Json(json!({"status": "not ready", "error": reason}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    })
}
