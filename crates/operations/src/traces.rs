//! Spans over OTLP: protobuf in HTTP requests, made by the HTTP client that the rest of the process
//! uses. Plain HTTP only: a collector of OpenTelemetry beside the service adds TLS and credentials, so
//! that this process needs no second TLS stack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Metadata;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::TelemetryError;

/// Longest wait for the receiver. Spans are for diagnosis: what it does not take is let go of.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Where spans go, and as whose.
#[derive(Clone, Debug)]
pub struct Traces {
    /// Base address of the receiver, such as `http://127.0.0.1:4318`; `/v1/traces` is added.
    pub endpoint: String,
    /// Command: `local`, `collect`, `enrich`, `sink`; the spans' service is `grapevine-` and this.
    pub service: &'static str,
    /// Version of Grapevine.
    pub version: &'static str,
}

/// Spans on their way.
#[derive(Debug)]
pub(crate) struct Exporting {
    provider: SdkTracerProvider,
}

impl Exporting {
    pub(crate) fn start(traces: &Traces, runtime: &Handle) -> Result<Exporting, TelemetryError> {
        let wrong = |reason: String| TelemetryError::Endpoint {
            endpoint: traces.endpoint.clone(),
            reason,
        };
        if !traces.endpoint.starts_with("http://") {
            return Err(wrong(
                "should start with http://; for TLS run an OpenTelemetry collector beside this service and let it pass the spans on".to_owned(),
            ));
        }
        let client = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender {
                client,
                runtime: runtime.clone(),
                failing: AtomicBool::new(false),
            })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!(
                "{}/v1/traces",
                traces.endpoint.trim_end_matches('/')
            ))
            .with_timeout(ANSWER_MAX)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name(format!("grapevine-{}", traces.service))
            .with_attribute(KeyValue::new("service.version", traces.version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Exporting { provider })
    }

    /// Takes the spans of Grapevine's own crates, level info and above.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = |metadata: &Metadata<'_>| {
            metadata.target().starts_with("grapevine") && *metadata.level() <= tracing::Level::INFO
        };
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("grapevine"))
            .with_threads(false)
            .with_location(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(ours))
    }

    /// Sends what waits.
    pub(crate) fn finish(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last spans may not have been sent");
        }
    }
}

/// Sends requests in the process's own runtime: the thread that collects spans has none.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    /// The last request failed: said once, not for every one.
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answer = self.runtime.spawn(async move {
            let (head, body) = request.into_parts();
            let answer = client
                .request(head.method, head.uri.to_string())
                .headers(head.headers)
                .body(body)
                .send()
                .await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let outcome = answer.await.map_err(HttpError::from).and_then(|answer| {
            let (status, body) = answer?;
            let mut response = Response::new(body);
            *response.status_mut() = status;
            Ok(response)
        });
        let trouble = match &outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.failing.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(error) if !was_failing => {
                tracing::warn!(%error, "spans are not taken: check operations.otlp_endpoint; the pipeline goes on without them");
            }
            None if was_failing => tracing::info!("spans are taken again"),
            _ => {}
        }
        outcome
    }
}
