//! A receiver of spans that speaks OTLP over HTTP, as protobuf.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::TestingError;
use crate::http::{HttpServer, Response};

/// Takes spans until it is dropped, and keeps every request's body: an `ExportTraceServiceRequest`.
#[derive(Debug)]
pub struct SpanReceiver {
    server: HttpServer,
    taken: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl SpanReceiver {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// No port, no thread.
    pub fn start() -> Result<SpanReceiver, TestingError> {
        let taken = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&taken);
        let protobuf = "application/x-protobuf";
        let server = HttpServer::start(protobuf, move |request| {
            let status = match (&*request.path, request.header("content-type")) {
                ("/v1/traces", asked) if asked == protobuf => {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push(request.body);
                    "200 OK"
                }
                ("/v1/traces", _) => "415 Unsupported Media Type",
                _ => "404 Not Found",
            };
            // An empty ExportTraceServiceResponse.
            let body = Vec::new();
            Response { status, body }
        })?;
        Ok(SpanReceiver { server, taken })
    }

    /// The endpoint that senders are told.
    pub fn endpoint(&self) -> String {
        self.server.url()
    }

    /// The requests so far.
    pub fn taken(&self) -> Vec<Vec<u8>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.clone()
    }
}
