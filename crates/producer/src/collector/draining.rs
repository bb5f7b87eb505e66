//! A collector that is to end and still takes hits, until those who route them go elsewhere.

use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Collector;

impl Collector {
    /// From now on `/health/ready` answers that it stops, and every answer ends its connection, so
    /// that nobody sends on one that is closed soon. Hits are taken as before: the caller ends
    /// that, by closing its listener.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }
}

/// Ends connections once the collector is to end.
pub(super) async fn close(
    State(collector): State<Collector>,
    request: Request,
    next: Next,
) -> Response {
    // Later versions have no such header.
    let is_http_1 = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    // Asked now: it may have begun while the request was under way.
    if is_http_1 && collector.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
