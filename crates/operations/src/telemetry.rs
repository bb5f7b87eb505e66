//! Logs on standard error, and spans to an OpenTelemetry receiver where one is configured.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::traces::{Exporting, Traces};

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub struct Logging<'a> {
    /// A level such as `info`, or `target=level`, with commas between.
    pub filter: &'a str,
    /// One JSON object a line.
    pub json: bool,
}

/// Why nothing is logged.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter cannot be understood.
    #[error("log filter {filter}: {reason}; write a level such as info, or target=level")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Where spans go cannot be used.
    #[error("operations.otlp_endpoint {endpoint}: {reason}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Something else in this process logs already.
    #[error("logging: {0}")]
    Started(String),
}

/// Logs and traces of this process; dropping it sends the spans that wait.
#[derive(Debug)]
pub struct Telemetry {
    exporting: Option<Exporting>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(exporting) = self.exporting.take() {
            exporting.finish();
        }
    }
}

/// Starts logging, and sending spans where `traces` says so. Keep what it gives until the process
/// ends, and drop it while `runtime` still runs: that sends the requests.
///
/// # Errors
/// A filter or an endpoint that cannot be used, or a second start.
pub fn start(
    logging: Logging<'_>,
    traces: Option<&Traces>,
    runtime: &tokio::runtime::Handle,
) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(logging.filter).map_err(|error| TelemetryError::Filter {
        filter: logging.filter.to_owned(),
        reason: error.to_string(),
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if logging.json {
        lines.json().with_filter(filter).boxed()
    } else {
        lines.with_filter(filter).boxed()
    };
    let exporting = traces
        .map(|traces| Exporting::start(traces, runtime))
        .transpose()?;
    let spans = exporting.as_ref().map(Exporting::layer);
    tracing_subscriber::registry()
        .with(lines)
        .with(spans)
        .try_init()
        .map_err(|error| TelemetryError::Started(error.to_string()))?;
    Ok(Telemetry { exporting })
}
