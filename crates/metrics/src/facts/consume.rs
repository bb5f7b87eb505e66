//! Whoever reads a partition: how far behind its end.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::facts::FACTS;
use crate::registrar::Registrar;

/// How far a consumer is behind the end of a partition that it owns.
#[derive(Clone, Copy, Debug)]
pub struct PartitionLag {
    /// `classify`, `chain` or `sink`.
    pub consumer: &'static str,
    /// Topic.
    pub topic: &'static str,
    /// Partition.
    pub partition: i32,
    /// Offsets between the committed position and the end. On Kafka the marks of transactions
    /// have offsets too, so a few remain where every record is processed.
    pub records: u64,
}

impl PartitionLag {
    /// Sets the gauge.
    pub fn emit(self) {
        let label = Consumed {
            consumer: self.consumer,
            topic: self.topic,
            partition: self.partition,
        };
        let records = i64::try_from(self.records).unwrap_or(i64::MAX);
        FACTS.consume.lag.get_or_create(&label).set(records);
    }
}

/// A consumer owns a partition no more: another replica tells its lag now.
#[derive(Clone, Copy, Debug)]
pub struct PartitionLeft {
    /// `classify`, `chain` or `sink`.
    pub consumer: &'static str,
    /// Topic.
    pub topic: &'static str,
    /// Partition.
    pub partition: i32,
}

impl PartitionLeft {
    /// Takes the series away and logs it.
    pub fn emit(self) {
        let PartitionLeft {
            consumer,
            topic,
            partition,
        } = self;
        tracing::info!(consumer, topic, partition, "partition left");
        let label = Consumed {
            consumer,
            topic,
            partition,
        };
        FACTS.consume.lag.remove(&label);
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Consumed {
    consumer: &'static str,
    topic: &'static str,
    partition: i32,
}

pub(crate) struct Metrics {
    lag: Family<Consumed, Gauge>,
}

impl Metrics {
    pub(crate) fn new(registrar: &mut Registrar) -> Metrics {
        Metrics {
            lag: registrar.gauge(
                "grapevine_consumer_lag_records",
                "Offsets from a consumer's committed position to the end of a partition that it owns",
            ),
        }
    }
}
