//! One simulated site: what is true of it, and what importer and both stages make of its log.

use std::collections::BTreeMap;
use std::sync::Arc;

use grapevine_enrichment::{ChainStage, ClassifyStage, StopSignal, run};
use grapevine_event::{Channel, Record};
use grapevine_inference::{Classifier, Model};
use grapevine_log::Log;
use grapevine_producer::import::{ImportOptions, Importer, Next, Source};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::{Site, TrustedProxies};
use grapevine_signals::Signals;
use grapevine_simulator::{Cause, LogFormat, Scenario, simulate, write_log_line};

use crate::reproduction::{Readers, Spreading};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// What is true of a simulated site. Contents are named by path, without a slash at the end.
pub(crate) struct Truth {
    /// Times of private arrivals, in order.
    pub(crate) dark: BTreeMap<String, Vec<i64>>,
    /// Times of all other arrivals, in order.
    pub(crate) open: BTreeMap<String, Vec<i64>>,
    /// Content of each burst that has begun, in the order of the scenario.
    pub(crate) bursts: Vec<Option<String>>,
    /// Who brought whom.
    pub(crate) spreading: Spreading,
}

/// Simulates a site; gives its access log and the truth.
pub(crate) fn simulated(scenario: &Scenario) -> Result<(Vec<u8>, Truth), Failure> {
    let mut lines = Vec::new();
    let mut dark: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut open: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut readers = Readers::default();
    let mut simulation = simulate(scenario)?;
    for event in simulation.by_ref() {
        write_log_line(&mut lines, &event, &scenario.site, LogFormat::Combined)?;
        if !event.is_landing() {
            continue;
        }
        let content = trimmed(&event.truth.content).to_owned();
        let times = match event.truth.channel {
            Channel::DarkSocial => &mut dark,
            _ => &mut open,
        };
        if event.truth.cause != Cause::Return {
            readers.came(&content, &event);
        }
        times.entry(content).or_default().push(event.time);
    }
    let bursts = simulation.burst_contents();
    let truth = Truth {
        dark,
        open,
        bursts: bursts
            .map(|path| path.map(|path| trimmed(&path).to_owned()))
            .collect(),
        spreading: readers.spreading(),
    };
    Ok((lines, truth))
}

/// Puts a log through importer and stages; shows the records of topics.
pub(crate) fn processed(
    lines: Vec<u8>,
    scenario: &Scenario,
    signals: &Arc<Signals>,
    topics: &[&'static str],
    see: &mut dyn FnMut(Record<'_>),
) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let log = Arc::new(Log::open(&directory.path().join("log.redb"))?);
    let importer = Importer::new(log.clone(), signals.clone(), Pseudonyms::new(&[7; 32]));
    let options = ImportOptions {
        site: Site::parse(&scenario.site)?,
        trusted_proxies: TrustedProxies::default(),
        latest_ms: i64::MAX,
    };
    let source = Source::new("access.log", std::io::Cursor::new(lines));
    importer.import(source, &options, &mut |_| Next::GoOn)?;
    let classifier = Arc::new(Classifier::new(signals.clone(), Model::builtin()));
    let stop = StopSignal::new();
    stop.drain();
    run(ClassifyStage::new(classifier.clone()), &log, &stop)?;
    run(ChainStage::new(classifier), &log, &stop)?;
    for topic in topics {
        let batch = log.read(topic, 0, usize::MAX)?;
        for (_, record) in batch.iter() {
            see(Record::decode(record)?);
        }
    }
    Ok(())
}

/// The path of a canonical URL, as [`Truth`] names contents.
pub(crate) fn path_of(url: &str) -> &str {
    let path = url.split_once("//").map_or(url, |(_, rest)| rest);
    trimmed(path.find('/').map_or("", |at| &path[at..]))
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}
