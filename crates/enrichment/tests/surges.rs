//! A rumour in private chats, from the access log to the topic: raised within minutes, with the app,
//! followed, and over.

use std::sync::Arc;

use grapevine_enrichment::{ChainStage, ClassifyStage, StopSignal, run};
use grapevine_event::{Record, SurgeState, topic};
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

#[test]
fn a_rumour_reaches_the_topic() {
    let mut scenario = Scenario {
        days: 4.0,
        ..Scenario::default()
    };
    scenario.arrivals.per_day = 2_000.0;
    scenario.content.archive = 60;
    scenario.reading.assets = 0;
    scenario.robots = Scenario::default().scaled(0.1).robots;
    scenario.apps.retain(|app, _| *app == App::Telegram);
    scenario.bursts = vec![Burst {
        at_hours: 60.0,
        kind: BurstKind::Rumour,
        landings: 300.0,
        rise_hours: 0.25,
        decay_hours: 2.0,
        reproduction: 0.3,
    }];
    let mut lines = Vec::new();
    let mut rumour = None;
    for event in simulate(&scenario).expect("a valid scenario") {
        write_log_line(&mut lines, &event, &scenario.site, LogFormat::Combined).expect("writes");
        if event.truth.cause == Cause::Message && event.request.status == 200 {
            rumour.get_or_insert((event.truth.content.clone(), event.time));
        }
    }
    let (content, first) = rumour.expect("a rumour");

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
    run(ChainStage::new(classifier.clone()), &log, &stop).expect("runs");

    let batch = log.read(topic::SURGES, 0, usize::MAX).expect("reads");
    let mut states = Vec::new();
    for (_, record) in batch.iter() {
        let Record::Surge(surge) = Record::decode(record).expect("decodes") else {
            panic!("no surge on {}", topic::SURGES);
        };
        assert!(
            surge.content.contains(content.trim_end_matches('/')),
            "{surge:?}"
        );
        assert_eq!(surge.model_version, classifier.model().version());
        if surge.state == SurgeState::Raised {
            assert!(surge.updated - first < 2 * HOUR_MS, "{surge:?} {first}");
            assert!((surge.started - first).abs() < HOUR_MS, "{surge:?} {first}");
            assert!(surge.dark > 3.0 * surge.baseline && surge.false_alarm < 1e-6);
            assert!(surge.dark_low < surge.dark && surge.dark < surge.dark_high);
            assert!(surge.networks >= 5);
            // Telegram names itself to some; the rest is not known.
            let apps: Vec<&str> = surge.apps.iter().map(|share| share.app).collect();
            assert!(
                apps.iter().all(|app| ["telegram", "unknown"].contains(app)),
                "{apps:?}"
            );
        }
        states.push(surge.state);
    }
    assert_eq!(states.first(), Some(&SurgeState::Raised));
    assert_eq!(states.last(), Some(&SurgeState::Over), "{states:?}");
    let raised = states.iter().filter(|state| **state == SurgeState::Raised);
    assert_eq!(raised.count(), 1, "{states:?}");
}
