//! The facts by who tells them, and the metrics that they count into.

pub(crate) mod collect;
pub(crate) mod consume;
pub(crate) mod process;
pub(crate) mod sink;
pub(crate) mod stage;

use std::sync::LazyLock;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::registrar::Registrar;

struct Facts {
    registry: Registry,
    names: Vec<&'static str>,
    collect: collect::Metrics,
    consume: consume::Metrics,
    process: process::Metrics,
    sink: sink::Metrics,
    stage: stage::Metrics,
}

static FACTS: LazyLock<Facts> = LazyLock::new(|| {
    let mut registrar = Registrar::default();
    let process = process::Metrics::new(&mut registrar);
    let collect = collect::Metrics::new(&mut registrar);
    let consume = consume::Metrics::new(&mut registrar);
    let stage = stage::Metrics::new(&mut registrar);
    let sink = sink::Metrics::new(&mut registrar);
    let (registry, names) = registrar.finish();
    Facts {
        registry,
        names,
        collect,
        consume,
        process,
        sink,
        stage,
    }
});

pub(crate) fn render() -> String {
    FACTS.process.refresh();
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &FACTS.registry) {
        // A string takes every write: only a defect of an encoder comes here.
        tracing::error!(%error, "metrics cannot be written");
    }
    text
}

pub(crate) fn names() -> Vec<&'static str> {
    FACTS.names.clone()
}
