//! The one place where metrics are made.

use std::hash::Hash;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A histogram for each set of labels.
pub(crate) type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Registers metrics and remembers their names.
#[derive(Default)]
pub(crate) struct Registrar {
    registry: Registry,
    names: Vec<&'static str>,
}

impl Registrar {
    /// A count that only grows; `_total` is added to its name.
    pub(crate) fn counter<L>(&mut self, name: &'static str, help: &str) -> Family<L, Counter>
    where
        L: Label,
    {
        let family = Family::<L, Counter>::default();
        self.names.push(name);
        self.registry.register(name, help, family.clone());
        family
    }

    /// A value that goes up and down.
    pub(crate) fn gauge<L>(&mut self, name: &'static str, help: &str) -> Family<L, Gauge>
    where
        L: Label,
    {
        let family = Family::<L, Gauge>::default();
        self.names.push(name);
        self.registry.register(name, help, family.clone());
        family
    }

    /// A distribution over the buckets that `make` gives.
    pub(crate) fn histogram<L>(
        &mut self,
        name: &'static str,
        help: &str,
        make: fn() -> Histogram,
    ) -> Histograms<L>
    where
        L: Label,
    {
        let family = Histograms::<L>::new_with_constructor(make);
        self.names.push(name);
        self.registry.register(name, help, family.clone());
        family
    }

    /// What was registered.
    pub(crate) fn finish(self) -> (Registry, Vec<&'static str>) {
        (self.registry, self.names)
    }
}

/// A set of labels.
pub(crate) trait Label:
    Clone + Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static
{
}

impl<T> Label for T where
    T: Clone + Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static
{
}

/// Times of one act, 1 ms to 60 s.
pub(crate) fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ])
}

/// Times from an event to its row: fine around a second, which is the promise, and up to an hour,
/// which is an outage. What is older is an import.
pub(crate) fn seconds_to_row() -> Histogram {
    Histogram::new([
        0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
    ])
}

/// Rows of a batch, up to the largest that a sink makes.
pub(crate) fn rows() -> Histogram {
    Histogram::new([
        1.0,
        10.0,
        100.0,
        1_000.0,
        5_000.0,
        10_000.0,
        25_000.0,
        50_000.0,
        100_000.0,
        250_000.0,
        1_000_000.0,
    ])
}

/// Bytes of a batch, 1 KiB to 64 MiB.
pub(crate) fn bytes() -> Histogram {
    let kib = 1024.0;
    Histogram::new([
        kib,
        16.0 * kib,
        128.0 * kib,
        1024.0 * kib,
        4096.0 * kib,
        16_384.0 * kib,
        32_768.0 * kib,
        65_536.0 * kib,
    ])
}

/// No labels: one series for the process.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Whole {}
