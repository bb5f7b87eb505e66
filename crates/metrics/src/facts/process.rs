//! The process itself.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::facts::FACTS;
use crate::registrar::{Registrar, Whole};

/// Bytes of a page in `/proc/self/statm`, on every Linux that Grapevine is built for.
const PAGE_BYTES: i64 = 4096;

/// A service has started. Tell it once.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Command: `local`, `collect`, `enrich`, `sink`.
    pub service: &'static str,
    /// Version of Grapevine.
    pub version: &'static str,
}

impl Started {
    /// Counts and logs it.
    pub fn emit(self) {
        let Started { service, version } = self;
        // No news where something went wrong right after: services say themselves when they are ready.
        tracing::debug!(service, version, "started");
        let metrics = &FACTS.process;
        metrics
            .build
            .get_or_create(&Build { service, version })
            .set(1);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = since.map_or(0, |since| since.as_secs());
        metrics
            .started
            .get_or_create(&Whole {})
            .set(i64::try_from(started).unwrap_or(i64::MAX));
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    service: &'static str,
    version: &'static str,
}

pub(crate) struct Metrics {
    build: Family<Build, Gauge>,
    started: Family<Whole, Gauge>,
    resident: Family<Whole, Gauge>,
}

impl Metrics {
    pub(crate) fn new(registrar: &mut Registrar) -> Metrics {
        Metrics {
            build: registrar.gauge(
                "grapevine_build",
                "Always 1; the labels say which service and version runs",
            ),
            started: registrar.gauge(
                "grapevine_started_seconds",
                "When the process started, seconds since 1970 UTC",
            ),
            resident: registrar.gauge(
                "grapevine_resident_memory_bytes",
                "Memory of the process that is in RAM",
            ),
        }
    }

    /// Reads what the kernel knows; where it does not tell, the last value stays.
    pub(crate) fn refresh(&self) {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<i64>().ok());
        if let Some(pages) = pages {
            self.resident
                .get_or_create(&Whole {})
                .set(pages.saturating_mul(PAGE_BYTES));
        }
    }
}
