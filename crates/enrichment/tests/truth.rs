//! The range that is stated, against what the simulator knows to be true: access logs of whole
//! scenarios through importer and both stages, summed as a report sums them.
//!
//! The scenarios here are not those that the model is fitted on; the test holds the ranges wide enough.

#![expect(clippy::print_stdout, reason = "the rows of a table, for the page")]

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use grapevine_enrichment::{ChainStage, ClassifyStage, StopSignal, run};
use grapevine_event::{Channel, Record, topic};
use grapevine_inference::{Classifier, Model};
use grapevine_log::Log;
use grapevine_producer::import::{ImportOptions, Importer, Next, Source};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::{Site, TrustedProxies};
use grapevine_signals::Signals;
use grapevine_simulator::{
    Cause, Event, LogFormat, Scenario, TokenPlace, TruthSummary, simulate, write_log_line,
};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// Makes about 40,000 requests of the scenarios. A fixed factor, since a target needs pilots.
const FACTOR: f64 = 0.055;

fn signals() -> Arc<Signals> {
    static SIGNALS: OnceLock<Arc<Signals>> = OnceLock::new();
    SIGNALS.get_or_init(|| Arc::new(Signals::builtin())).clone()
}

/// Sums over visits, as a report makes them, and the true number where it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    visits: f64,
    low: f64,
    expected: f64,
    high: f64,
    dark: f64,
}

impl Sums {
    fn add(&mut self, [low, expected, high]: [f32; 3], dark: f64) {
        self.visits += 1.0;
        self.low += f64::from(low);
        self.expected += f64::from(expected);
        self.high += f64::from(high);
        self.dark += dark;
    }

    /// Parts of the visits: low, expected, high.
    fn parts(&self) -> [f64; 3] {
        [self.low, self.expected, self.high].map(|sum| 100.0 * sum / self.visits)
    }
}

/// What was found and what is true of one scenario, in percent.
struct Outcome {
    /// Of what ordinary analytics books as direct.
    direct: [f64; 3],
    direct_true: f64,
    /// Of what the simulator says looks direct; it does not count links with a click id.
    looking_direct_true: f64,
    /// Of all visits.
    all: [f64; 3],
    all_true: f64,
    /// Visits per true landing.
    visits: f64,
    /// Standard error of a half among so many visits booked as direct, by chance alone.
    chance: f64,
    /// Readers who came from earlier readers, of all whose causes are settled.
    chained: [f64; 3],
    /// Those who did, of all landings that are no return: in private, and at all.
    chained_true: [f64; 2],
}

fn outcome(scenario: &Scenario) -> Outcome {
    let mut lines = Vec::new();
    let mut truth = TruthSummary::default();
    // By second and path: good enough to say where the visits of a row come from.
    let mut dark = HashMap::new();
    let (mut readers, mut private, mut chained) = (0, 0, 0);
    let simulation = simulate(scenario).expect("a valid scenario");
    for event in simulation {
        truth.add(&event);
        write_log_line(&mut lines, &event, &scenario.site, LogFormat::Combined).expect("writes");
        if event.is_landing() && event.truth.cause != Cause::Return {
            let shared = event.truth.cause == Cause::Share;
            let in_private = shared && event.truth.channel == Channel::DarkSocial;
            readers += 1;
            chained += u64::from(shared);
            private += u64::from(in_private);
        }
        if event.is_visit() {
            dark.insert(place(&event), event.truth.channel);
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let log = Arc::new(Log::open(&directory.path().join("log.redb")).expect("opens"));
    let importer = Importer::new(log.clone(), signals(), Pseudonyms::new(&[7; 32]));
    let options = ImportOptions {
        site: Site::parse(&scenario.site).expect("a site"),
        trusted_proxies: TrustedProxies::default(),
        latest_ms: i64::MAX,
    };
    let source = Source::new("access.log", std::io::Cursor::new(lines));
    importer
        .import(source, &options, &mut |_| Next::GoOn)
        .expect("imports");
    let classifier = Arc::new(Classifier::new(signals(), Model::builtin()));
    let stop = StopSignal::new();
    stop.drain();
    run(ClassifyStage::new(classifier.clone()), &log, &stop).expect("runs");
    run(ChainStage::new(classifier), &log, &stop).expect("runs");

    let (mut all, mut direct) = (Sums::default(), Sums::default());
    let batch = log.read(topic::VISITS, 0, usize::MAX).expect("reads");
    for (_, record) in batch.iter() {
        let Record::Visit(visit) = Record::decode(record).expect("decodes") else {
            panic!("no visit on {}", topic::VISITS);
        };
        if visit.channel == Channel::Bot {
            continue;
        }
        let range = [
            visit.dark_probability_low,
            visit.dark_probability,
            visit.dark_probability_high,
        ];
        let path = visit.content.split('?').next().unwrap_or_default();
        let path = path.split_once("//").map_or(path, |(_, rest)| rest);
        let path = path.split_once('/').map_or("", |(_, path)| path);
        let path = path.trim_end_matches('/');
        let channel = dark.get(&(visit.time / 1000, path.to_owned()));
        let is_dark = f64::from(u8::from(channel == Some(&Channel::DarkSocial)));
        all.add(range, is_dark);
        if visit.conventional_channel == Channel::Direct {
            direct.add(range, is_dark);
        }
    }
    let mut newest = HashMap::new();
    let batch = log.read(topic::SPREADS, 0, usize::MAX).expect("reads");
    for (_, record) in batch.iter() {
        let Record::Spread(spread) = Record::decode(record).expect("decodes") else {
            panic!("no spread on {}", topic::SPREADS);
        };
        let shares = [
            spread.chain_arrivals_low,
            spread.chain_arrivals,
            spread.chain_arrivals_high,
        ];
        let key = (spread.content.to_string(), spread.started);
        newest.insert(key, (spread.settled, spread.arrivals, shares));
    }
    let (mut settled, mut sums) = (0, [0.0; 3]);
    for (of_one, arrivals, shares) in newest.values() {
        assert_eq!(
            of_one, arrivals,
            "an import that has ended waits for nothing"
        );
        settled += of_one;
        for (sum, share) in sums.iter_mut().zip(shares) {
            *sum += share;
        }
    }
    let dark_landings = truth.landings_by_channel.get(&Channel::DarkSocial);
    let part = |some: u64, of: u64| 100.0 * some as f64 / of as f64;
    Outcome {
        direct: direct.parts(),
        direct_true: 100.0 * direct.dark / direct.visits,
        looking_direct_true: part(truth.direct_looking_dark, truth.direct_looking),
        all: all.parts(),
        all_true: part(dark_landings.copied().unwrap_or_default(), truth.landings),
        visits: all.visits / truth.landings as f64,
        chance: 100.0 * 0.5 / direct.visits.sqrt(),
        chained: sums.map(|sum| 100.0 * sum / settled as f64),
        chained_true: [part(private, readers), part(chained, readers)],
    }
}

/// Second and path of a page view, without leading slash and query.
fn place(event: &Event) -> (i64, String) {
    let target = event.request.target.split('?').next().unwrap_or_default();
    let path = target.trim_matches('/');
    (event.time / 1000, path.to_owned())
}

fn holds(name: &str, scenario: &Scenario) {
    let mut missed = Vec::new();
    for seed in SEEDS {
        let scenario = Scenario {
            seed,
            ..scenario.scaled(FACTOR)
        };
        let found = outcome(&scenario);
        for (what, [low, expected, high], truth) in [
            ("direct", found.direct, found.direct_true),
            ("all", found.all, found.all_true),
        ] {
            println!(
                "| {name} | {seed} | {what} | {expected:.1} ({low:.1} to {high:.1}) | {truth:.1} |"
            );
            // What is stated is what was to be expected: the truth is one draw of it.
            let [low, high] = [low - found.chance, high + found.chance];
            if !(low..=high).contains(&truth) {
                missed.push(format!("{name}, seed {seed}, {what}: {truth:.1} %"));
            }
        }
        let [low, expected, high] = found.chained;
        let [private, chained] = found.chained_true;
        println!(
            "| {name} | {seed} | chained | {expected:.1} ({low:.1} to {high:.1}) | {private:.1} in private, {chained:.1} |"
        );
        // Public posts of readers count as the outside: the truth lies between the two.
        if !(low..=high).contains(&private) && !(low..=high).contains(&chained) {
            missed.push(format!(
                "{name}, seed {seed}, chained: {private:.1} to {chained:.1} %"
            ));
        }
        let [low, _, high] = found.direct;
        if !(low..=high).contains(&found.looking_direct_true) {
            missed.push(format!(
                "{name}, seed {seed}, direct as the simulator counts"
            ));
        }
        assert!(
            (0.95..=1.05).contains(&found.visits),
            "{name}, seed {seed}: {:.3} visits for each true landing",
            found.visits
        );
    }
    assert!(missed.is_empty(), "outside the range: {missed:?}");
}

fn without_tokens(mut scenario: Scenario) -> Scenario {
    scenario.tokens.place = TokenPlace::None;
    scenario
}

#[test]
fn a_site_with_marked_links() {
    holds("marked links", &Scenario::default());
}

#[test]
fn a_site_without_marked_links() {
    holds("no marks", &without_tokens(Scenario::default()));
}

#[test]
fn a_site_whose_articles_spread_far_in_private() {
    holds("demo", &Scenario::demo());
}

#[test]
fn the_same_without_marked_links() {
    holds("demo, no marks", &without_tokens(Scenario::demo()));
}
