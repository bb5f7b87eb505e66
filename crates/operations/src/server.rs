//! Health and metrics over HTTP.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::connections::{self, HEAD_PATIENCE};
use crate::health::Health;

/// The routes of the crate's table.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// The running server. It answers until it is dropped, so that probes are answered while the
/// service stops.
#[derive(Debug)]
pub struct OperationsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl OperationsServer {
    /// Serves on a bound port, over HTTP/1. A connection on which no whole request head comes for 75
    /// seconds is closed.
    ///
    /// # Errors
    /// The port has no address.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O.
    pub fn start(listener: TcpListener, health: Health) -> io::Result<OperationsServer> {
        let address = listener.local_addr()?;
        let routes = router(health);
        let task = tokio::spawn(connections::serve(HEAD_PATIENCE, listener, routes));
        tracing::info!(%address, "health and metrics");
        Ok(OperationsServer { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for OperationsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn live(State(health): State<Health>) -> Response {
    let ended = health.ended();
    if ended.is_empty() {
        answer(StatusCode::OK, json!({"status": "live"}))
    } else {
        let body = json!({
            "status": "not live",
            "ended": ended,
            "error": "parts of the service ended unasked: restart it; nothing acknowledged is lost",
        });
        answer(StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let readiness = health.ready();
    let conditions: Map<String, Value> = readiness
        .conditions
        .into_iter()
        .map(|(name, answer)| {
            (
                name.to_owned(),
                answer.err().map_or(json!("ok"), Value::from),
            )
        })
        .collect();
    let (code, status) = if readiness.is_ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    answer(code, json!({"status": status, "conditions": conditions}))
}

async fn metrics() -> Response {
    let headers = [(header::CONTENT_TYPE, grapevine_metrics::CONTENT_TYPE)];
    (headers, grapevine_metrics::render()).into_response()
}

fn answer(code: StatusCode, body: Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (code, headers, body.to_string()).into_response()
}
