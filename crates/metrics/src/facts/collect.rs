//! The collector: requests, hits, and the spool that holds them while the log is away.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::facts::FACTS;
use crate::registrar::{Histograms, Registrar, Whole, seconds};

/// How a request to the collector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// Its hits are durable, perhaps with wrong ones among them as dead letters.
    Taken,
    /// Refused as a whole: no JSON, too large, not allowed.
    Refused,
    /// To be sent again: 503 or 507.
    PutOff,
}

impl RequestEnd {
    fn name(self) -> &'static str {
        match self {
            RequestEnd::Taken => "taken",
            RequestEnd::Refused => "refused",
            RequestEnd::PutOff => "put_off",
        }
    }
}

/// The collector answered a request for hits.
#[derive(Clone, Copy, Debug)]
pub struct RequestAnswered {
    /// How.
    pub end: RequestEnd,
    /// From the whole head to the answer, the wait for durability included.
    pub took: Duration,
}

impl RequestAnswered {
    /// Counts it; requests are too many to log.
    pub fn emit(self) {
        let label = End {
            end: self.end.name(),
        };
        let metrics = &FACTS.collect;
        metrics.requests.get_or_create(&label).inc();
        metrics
            .took
            .get_or_create(&label)
            .observe(self.took.as_secs_f64());
    }
}

/// Hits of one request, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct HitsTaken {
    /// Durable.
    pub accepted: u64,
    /// Of the accepted: readers who opted out.
    pub opted_out: u64,
    /// Wrong fields: dead letters.
    pub rejected: u64,
}

impl HitsTaken {
    /// Counts them.
    pub fn emit(self) {
        for (outcome, count) in [
            ("accepted", self.accepted),
            ("opted_out", self.opted_out),
            ("rejected", self.rejected),
        ] {
            FACTS
                .collect
                .hits
                .get_or_create(&Outcome { outcome })
                .inc_by(count);
        }
    }
}

/// What the spool holds now.
#[derive(Clone, Copy, Debug)]
pub struct SpoolState {
    /// Bytes on disk that wait for the log.
    pub bytes: u64,
}

impl SpoolState {
    /// Sets the gauge.
    pub fn emit(self) {
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        FACTS.collect.spool.get_or_create(&Whole {}).set(bytes);
    }
}

/// Hits went into the spool because the log did not take them.
#[derive(Clone, Copy, Debug)]
pub struct SpoolFilled {
    /// Bytes of their records.
    pub bytes: u64,
}

impl SpoolFilled {
    /// Counts it. Whoever has the reason logs it, once.
    pub fn emit(self) {
        FACTS
            .collect
            .filled
            .get_or_create(&Whole {})
            .inc_by(self.bytes);
    }
}

/// Hits went from the spool to the log.
#[derive(Clone, Copy, Debug)]
pub struct SpoolDrained {
    /// Bytes of their records.
    pub bytes: u64,
}

impl SpoolDrained {
    /// Counts and logs it.
    pub fn emit(self) {
        tracing::debug!(bytes = self.bytes, "spool drained to the log");
        FACTS
            .collect
            .drained
            .get_or_create(&Whole {})
            .inc_by(self.bytes);
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct End {
    end: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

pub(crate) struct Metrics {
    requests: Family<End, Counter>,
    took: Histograms<End>,
    hits: Family<Outcome, Counter>,
    spool: Family<Whole, Gauge>,
    filled: Family<Whole, Counter>,
    drained: Family<Whole, Counter>,
}

impl Metrics {
    pub(crate) fn new(registrar: &mut Registrar) -> Metrics {
        Metrics {
            requests: registrar.counter(
                "grapevine_collector_requests",
                "Requests for hits by how they ended: taken, refused, put_off (to be sent again)",
            ),
            took: registrar.histogram(
                "grapevine_collector_request_seconds",
                "Time of a request for hits, the wait for durability included",
                seconds,
            ),
            hits: registrar.counter(
                "grapevine_collector_hits",
                "Hits by outcome: accepted and durable, opted_out among these, rejected as dead letters",
            ),
            spool: registrar.gauge(
                "grapevine_spool_bytes",
                "Bytes in the spool on disk, waiting for the log",
            ),
            filled: registrar.counter(
                "grapevine_spool_filled_bytes",
                "Bytes of records that went into the spool because the log did not take them",
            ),
            drained: registrar.counter(
                "grapevine_spool_drained_bytes",
                "Bytes of records that went from the spool to the log",
            ),
        }
    }
}
