//! `[operations]`: health, metrics, traces and the graceful stop of a running service.

use std::net::SocketAddr;
use std::time::Duration;

use grapevine_metrics::Started;
use grapevine_operations::{Health, Logging, OperationsServer, Shutdown, Telemetry, Traces};
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::exit::{Ends, ExitKind, Failure};

/// Shares of what is left of the grace period that finishing work may take; the rest is for closing.
const WORK_OF_GRACE: (u32, u32) = (4, 5);

/// Share of the grace period after which a stop waits for nobody any more, so that the process ends
/// before its time is over.
const WAITING_OF_GRACE: (u32, u32) = (19, 20);

/// What is for those who run a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperationsSettings {
    /// Where `/health/live`, `/health/ready` and `/metrics` are served; nowhere unless told.
    pub listen: Option<SocketAddr>,
    /// What stopping may take, 1 to 3600 seconds; give the supervisor a little more.
    pub grace_seconds: u32,
    /// Base address of an OpenTelemetry receiver for traces, such as `http://127.0.0.1:4318`.
    pub otlp_endpoint: Option<String>,
}

impl Default for OperationsSettings {
    fn default() -> Self {
        OperationsSettings {
            listen: None,
            // Kubernetes kills after 30.
            grace_seconds: 25,
            otlp_endpoint: None,
        }
    }
}

impl OperationsSettings {
    /// The grace period.
    ///
    /// # Errors
    /// Out of its range.
    pub fn grace(&self) -> Result<Duration, Failure> {
        if (1..=3600).contains(&self.grace_seconds) {
            return Ok(Duration::from_secs(self.grace_seconds.into()));
        }
        Err(Failure::new(
            ExitKind::Config,
            format!(
                "configuration: operations.grace_seconds = {}: should be 1 to 3600",
                self.grace_seconds
            ),
        ))
    }
}

/// Starts logs, and traces where they are configured and `service` runs long enough to have some.
///
/// # Errors
/// A filter that cannot be understood (wrong arguments), an endpoint that cannot be used.
pub fn telemetry(
    logging: Logging<'_>,
    service: Option<&'static str>,
    settings: &OperationsSettings,
    runtime: &tokio::runtime::Handle,
) -> Result<Telemetry, Failure> {
    use grapevine_operations::TelemetryError;
    let traces = settings.otlp_endpoint.clone().zip(service);
    let traces = traces.map(|(endpoint, service)| Traces {
        endpoint,
        service,
        version: env!("CARGO_PKG_VERSION"),
    });
    grapevine_operations::start(logging, traces.as_ref(), runtime).map_err(|error| match error {
        TelemetryError::Filter { .. } => Failure::new(ExitKind::Usage, format!("--log: {error}")),
        TelemetryError::Endpoint { .. } => {
            Failure::new(ExitKind::Config, format!("configuration: {error}"))
        }
        TelemetryError::Started(_) => Failure::of(ExitKind::Software, error),
    })
}

/// A service as those who run it see it. Dropping it ends health and metrics.
#[derive(Debug)]
pub struct Service {
    /// Its conditions.
    pub health: Health,
    /// When it shall stop.
    pub shutdown: Shutdown,
    server: Option<OperationsServer>,
}

impl Service {
    /// Listens to signals, and serves health and metrics where that is configured. `name` is the
    /// command: `local`, `collect`, `enrich`, `sink`.
    ///
    /// # Errors
    /// The port is in use, or the grace period is out of range.
    pub async fn start(
        name: &'static str,
        settings: &OperationsSettings,
    ) -> Result<Service, Failure> {
        let health = Health::new();
        let shutdown = Shutdown::new(settings.grace()?, health.clone());
        let server = match settings.listen {
            None => None,
            Some(address) => {
                let what = "health and metrics";
                let listener = engine::listen(address, what, "operations.listen").await?;
                Some(OperationsServer::start(listener, health.clone()).ends(ExitKind::Software)?)
            }
        };
        shutdown
            .listen(ExitKind::Interrupted.code())
            .ends(ExitKind::Software)?;
        Started {
            service: name,
            version: env!("CARGO_PKG_VERSION"),
        }
        .emit();
        Ok(Service {
            health,
            shutdown,
            server,
        })
    }

    /// Where health and metrics are served, if they are.
    pub fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(OperationsServer::address)
    }

    /// Returns once a stop was asked for and its time is as good as over: what still waits for brokers then
    /// is left to the next start.
    pub async fn overdue(&self) {
        self.shutdown.asked().await;
        let (waiting, whole) = WAITING_OF_GRACE;
        tokio::time::sleep(self.shutdown.left() * waiting / whole).await;
    }

    /// How long finishing what was taken may take, so that closing still fits into the grace
    /// period.
    pub fn work_left(&self) -> Duration {
        let (work, whole) = WORK_OF_GRACE;
        self.shutdown.left() * work / whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_out_of_range_is_refused_by_name() {
        for (seconds, ok) in [(0, false), (1, true), (3600, true), (3601, false)] {
            let settings = OperationsSettings {
                grace_seconds: seconds,
                ..OperationsSettings::default()
            };
            let grace = settings.grace();
            assert_eq!(grace.is_ok(), ok, "{seconds}");
            if let Err(failure) = grace {
                assert!(failure.to_string().contains("operations.grace_seconds"));
            }
        }
    }
}
