//! What every service has for those who run it: health, metrics over HTTP, logs, traces, and a
//! graceful stop.
//!
//! | route | answers |
//! | --- | --- |
//! | `GET /health/live` | 200 while every part of the service runs; 503 names the part that ended: restart it |
//! | `GET /health/ready` | 200 while it could do its work now; 503 says which condition is not met and why |
//! | `GET /metrics` | everything that `grapevine-metrics` counts, as OpenMetrics text |
//!
//! The port is for probes and scrapers, not for the world: it asks for no password, and answers
//! nothing about hits. Who sends no whole request head for 75 seconds is cut off, so that nobody holds
//! its connections for ever.
//!
//! Knows nothing of Kafka, ClickHouse or what a service does: a service names its [`Condition`]s, and
//! says when they are met.
#![forbid(unsafe_code)]

mod connections;
mod health;
mod lifecycle;
mod server;
mod telemetry;
mod traces;

pub use health::{Condition, Health, Readiness};
pub use lifecycle::Shutdown;
pub use server::{OperationsServer, router};
pub use telemetry::{Logging, Telemetry, TelemetryError, start};
pub use traces::Traces;
