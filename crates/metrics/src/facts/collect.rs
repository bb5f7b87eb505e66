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
    /// Records that wait for the log.
    pub records: u64,
    /// Their bytes on disk.
    pub bytes: u64,
}

impl SpoolState {
    /// Sets the gauges.
    pub fn emit(self) {
        let set = |gauge: &Family<Whole, Gauge>, value: u64| {
            gauge
                .get_or_create(&Whole {})
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&FACTS.collect.spool_records, self.records);
        set(&FACTS.collect.spool_bytes, self.bytes);
    }
}

/// Records went from the spool to the log.
#[derive(Clone, Copy, Debug)]
pub struct SpoolDrained {
    /// How many.
    pub records: u64,
}

impl SpoolDrained {
    /// Counts and logs it.
    pub fn emit(self) {
        tracing::debug!(records = self.records, "spool drained to the log");
        FACTS
            .collect
            .drained
            .get_or_create(&Whole {})
            .inc_by(self.records);
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
    spool_records: Family<Whole, Gauge>,
    spool_bytes: Family<Whole, Gauge>,
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
            spool_records: registrar.gauge(
                "grapevine_spool_records",
                "Records in the spool, waiting for the log",
            ),
            spool_bytes: registrar.gauge(
                "grapevine_spool_bytes",
                "Size of the spool on disk",
            ),
            drained: registrar.counter(
                "grapevine_spool_drained_records",
                "Records that went from the spool to the log",
            ),
        }
    }
}
