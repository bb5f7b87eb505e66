//! A rumour in private chats, from the access log to the topic: raised with the visit that decides,
//! with the app, the networks and R, and over in the end; the same after a restart anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use grapevine_enrichment::{ChainStage, ClassifyStage, Driver, StopSignal, run};
use grapevine_event::{Record, Surge, SurgeState, topic};
use grapevine_inference::{Classifier, Model};
use grapevine_log::Log;
use grapevine_producer::import::{ImportOptions, Importer, Next, Source};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::{Site, TrustedProxies};
use grapevine_signals::Signals;
use grapevine_simulator::{
    App, Burst, BurstKind, Cause, LogFormat, Scenario, simulate, write_log_line,
};

const HOUR_MS: i64 = 3_600_000;

/// Four days of a site, with a rumour on the third or with none.
fn scenario(rumour: bool) -> Scenario {
    let mut scenario = Scenario {
        days: 4.0,
        ..Scenario::default()
    };
    scenario.arrivals.per_day = 2_000.0;
    scenario.content.archive = 60;
    scenario.reading.assets = 0;
    scenario.robots = Scenario::default().scaled(0.1).robots;
    scenario.apps.retain(|app, _| *app == App::Telegram);
    if rumour {
        scenario.bursts = vec![Burst {
            at_hours: 60.0,
            kind: BurstKind::Rumour,
            landings: 300.0,
            rise_hours: 0.25,
            decay_hours: 2.0,
            reproduction: 0.3,
        }];
    }
    scenario
}

/// A log whose hits are classified.
struct Played {
    directory: tempfile::TempDir,
    log: Arc<Log>,
    classifier: Arc<Classifier>,
    /// Private arrivals by content, event times.
    private: BTreeMap<String, Vec<i64>>,
}

fn played(scenario: &Scenario) -> Played {
    let mut lines = Vec::new();
    let mut private: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in simulate(scenario).expect("a valid scenario") {
        write_log_line(&mut lines, &event, &scenario.site, LogFormat::Combined).expect("writes");
        if event.truth.cause == Cause::Message && event.request.status == 200 {
            let content = event.truth.content.trim_end_matches('/').to_owned();
            private.entry(content).or_default().push(event.time);
        }
    }
    let signals = Arc::new(Signals::builtin());
    let directory = tempfile::tempdir().expect("a directory");
    let log = Arc::new(Log::open(&directory.path().join("log.redb")).expect("opens"));
    let importer = Importer::new(log.clone(), signals.clone(), Pseudonyms::new(&[7; 32]));
    let options = ImportOptions {
        site: Site::parse(&scenario.site).expect("a site"),
        trusted_proxies: TrustedProxies::default(),
        latest_ms: i64::MAX,
    };
    let source = Source::new("access.log", std::io::Cursor::new(lines));
    importer
        .import(source, &options, &mut |_| Next::GoOn)
        .expect("imports");
    let classifier = Arc::new(Classifier::new(signals, Model::builtin()));
    let stop = StopSignal::new();
    stop.drain();
    run(ClassifyStage::new(classifier.clone()), &log, &stop).expect("runs");
    Played {
        directory,
        log,
        classifier,
        private,
    }
}

fn chained(played: &Played) {
    let stop = StopSignal::new();
    stop.drain();
    run(
        ChainStage::new(played.classifier.clone()),
        &played.log,
        &stop,
    )
    .expect("runs");
}

fn records(log: &Log, topic: &str) -> Vec<Vec<u8>> {
    let batch = log.read(topic, 0, usize::MAX).expect("reads");
    batch.iter().map(|(_, record)| record.to_vec()).collect()
}

/// Every surge on the topic.
fn with_surges(log: &Log, see: &mut dyn FnMut(Surge<'_>)) {
    for record in records(log, topic::SURGES) {
        match Record::decode(&record).expect("decodes") {
            Record::Surge(surge) => see(surge),
            other => panic!("no surge on {}: {other:?}", topic::SURGES),
        }
    }
}

/// Contents and event times of all visits.
fn landings(log: &Log) -> BTreeSet<(String, i64)> {
    let visits = records(log, topic::VISITS);
    let landing = |record: &Vec<u8>| match Record::decode(record) {
        Ok(Record::Visit(visit)) => Some((visit.content.to_string(), visit.time)),
        _ => None,
    };
    visits.iter().filter_map(landing).collect()
}

#[test]
fn a_rumour_reaches_the_topic() {
    let played = played(&scenario(true));
    let (content, arrivals) = played
        .private
        .iter()
        .max_by_key(|(_, arrivals)| arrivals.len())
        .expect("a rumour");
    chained(&played);
    let landings = landings(&played.log);
    let mut states = Vec::new();
    with_surges(&played.log, &mut |surge| {
        if !surge.content.contains(content.as_str()) {
            // The site's own small cascades may be told of too (docs/surges.md).
            return;
        }
        // What was learned of the site by then is named after the model.
        let model = played.classifier.model().version();
        assert!(surge.model_version.starts_with(model), "{surge:?}");
        if surge.state == SurgeState::Raised {
            let before = |time| arrivals.iter().filter(|arrival| **arrival <= time).count();
            let since = before(surge.updated) - before(surge.started - HOUR_MS);
            println!(
                "raised {} min after its start, {since} private arrivals into the rise",
                (surge.updated - surge.started) / 60_000
            );
            // No clock was waited for: a visit of the content itself decided.
            assert!(
                landings.contains(&(surge.content.to_string(), surge.updated)),
                "{surge:?}"
            );
            assert!(surge.updated - surge.started < 2 * HOUR_MS, "{surge:?}");
            assert!((8..100).contains(&since), "{since} {surge:?}");
            assert!(surge.dark > 3.0 * surge.baseline, "{surge:?}");
            assert!(surge.false_alarm <= 0.5, "{surge:?}");
            assert!(surge.dark_low < surge.dark && surge.dark < surge.dark_high);
            assert!(surge.networks >= 5, "{surge:?}");
            // Telegram names itself to some; the rest is not known.
            let apps: Vec<&str> = surge.apps.iter().map(|share| share.app).collect();
            assert!(
                apps.iter().all(|app| ["telegram", "unknown"].contains(app)),
                "{apps:?}"
            );
        }
        let range = [
            surge.reproduction_low,
            surge.reproduction_number,
            surge.reproduction_high,
        ];
        let [Some(low), Some(likely), Some(high)] = range else {
            panic!("its readers are followed: {surge:?}");
        };
        assert!(0.0 <= low && low < likely && likely < high, "{surge:?}");
        states.push(surge.state);
    });
    assert_eq!(states.first(), Some(&SurgeState::Raised));
    assert_eq!(states.last(), Some(&SurgeState::Over), "{states:?}");
    let raised = states.iter().filter(|state| **state == SurgeState::Raised);
    assert_eq!(raised.count(), 1, "{states:?}");
}

#[test]
fn restarts_in_the_middle_of_a_rumour_change_no_byte_of_it() {
    let played = played(&scenario(true));
    played.log.flush().expect("flushes");
    let copy = played.directory.path().join("copy.redb");
    std::fs::copy(played.directory.path().join("log.redb"), &copy).expect("copies");
    let copy = Log::open(&copy).expect("opens the copy");
    chained(&played);
    // The copy's stage is started anew every few hundred records, half of the times from a state
    // that is older than its last output.
    for turn in 0.. {
        let stage = ChainStage::new(played.classifier.clone());
        let mut driver = Driver::open(stage, &copy).expect("opens");
        if turn % 2 == 0 {
            driver.save_after(1).expect("saves");
        }
        let taken = driver.step(1 << 20, 700, Duration::ZERO).expect("steps");
        if taken == 0 {
            break;
        }
    }
    let whole = records(&played.log, topic::SURGES);
    assert!(whole.len() > 2, "a rumour is raised, followed and over");
    assert_eq!(whole, records(&copy, topic::SURGES));
    assert_eq!(
        records(&played.log, topic::SPREADS),
        records(&copy, topic::SPREADS)
    );
}

#[test]
fn a_site_that_nobody_passes_on_is_told_nothing_of() {
    let mut flat = scenario(false);
    flat.sharing.reproduction = 0.0;
    let played = played(&flat);
    chained(&played);
    let landings = landings(&played.log).len();
    assert!(landings > 4_000, "people came: {landings}");
    with_surges(&played.log, &mut |surge| panic!("{surge:?}"));
}
