//! False alarms and delays of surges on simulated sites whose parameters are drawn: the figures of
//! `docs/surges.md`.
//!
//! `cargo run --release -p grapevine-enrichment --example surges [SITES]` simulates that many sites
//! (default 12) without bursts, and then with bursts of each kind. Their access logs go through
//! importer and classify stage; what comes of them goes to the surges as the chain stage feeds them.

#![expect(clippy::print_stdout, reason = "prints the table of a page")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use grapevine_enrichment::{ClassifyStage, StopSignal, run};
use grapevine_event::{Channel, Method, Record, SurgeState, Visit, topic};
use grapevine_inference::surges::{Landing, Surges};
use grapevine_inference::{Classifier, Clock, Model};
use grapevine_log::Log;
use grapevine_producer::import::{ImportOptions, Importer, Next, Source};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::{Site, TrustedProxies};
use grapevine_signals::Signals;
use grapevine_simulator::{Burst, BurstKind, LogFormat, Scenario, simulate, write_log_line};

type Failure = Box<dyn std::error::Error>;

const HOUR_MS: i64 = 3_600_000;
const DAYS: f64 = 14.0;
/// Hours after the start at which bursts begin.
const STARTS: [f64; 5] = [57.0, 109.0, 162.0, 219.0, 273.0];

fn main() -> Result<(), Failure> {
    let sites: u64 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 12,
    };
    let signals = Arc::new(Signals::builtin());
    let mut quiet = Tally::default();
    for seed in 0..sites {
        quiet.add(&outcome(&drawn(seed, &[]), &signals)?);
    }
    let days = sites as f64 * DAYS;
    println!("{sites} sites of {DAYS} days without bursts");
    println!(
        "  {} contents of 10 visits or more, {:.0} content-days; {} surges: {:.2} a 1,000 contents, \
         {:.3} a 1,000 content-days, {:.3} a site and day",
        quiet.contents,
        quiet.content_days,
        quiet.raised,
        1_000.0 * quiet.raised as f64 / quiet.contents as f64,
        1_000.0 * quiet.raised as f64 / quiet.content_days,
        quiet.raised as f64 / days,
    );
    println!(
        "  {} of them rose in truth: six private arrivals or more in the hour before, four times the \
         content's mean hour or more",
        quiet.true_rises
    );
    for (name, kind, landings) in [
        ("rumours of 50 arrivals", BurstKind::Rumour, 50.0),
        ("rumours of 150 arrivals", BurstKind::Rumour, 150.0),
        ("rumours of 500 arrivals", BurstKind::Rumour, 500.0),
        ("public posts of 1,000", BurstKind::PublicPost, 1_000.0),
        ("public links of 1,000", BurstKind::PublicLink, 1_000.0),
        ("news of 1,000", BurstKind::News, 1_000.0),
    ] {
        let bursts = STARTS.map(|at_hours| Burst {
            at_hours,
            kind,
            landings,
            rise_hours: 0.33,
            decay_hours: 3.0,
            reproduction: 0.5,
        });
        let mut tally = Tally::default();
        for seed in 0..sites {
            tally.add(&outcome(&drawn(seed, &bursts), &signals)?);
        }
        tally.print(name);
    }
    Ok(())
}

fn drawn(seed: u64, bursts: &[Burst]) -> Scenario {
    let mut scenario = Scenario::drawn(1_000 + seed);
    scenario.days = DAYS;
    scenario.bursts = bursts.to_vec();
    // What is not asked for here only costs time.
    scenario.reading.assets = 0;
    scenario
}

/// A surge that was raised.
struct Alarm {
    path: String,
    started: i64,
    raised: i64,
}

/// A burst: the times of the private arrivals on its content, and its alarm.
struct Seen {
    arrivals: Vec<i64>,
    alarm: Option<(i64, i64)>,
}

/// What one site gave.
#[derive(Default)]
struct Outcome {
    contents: u64,
    content_days: f64,
    raised: u64,
    true_rises: u64,
    bursts: Vec<Seen>,
}

#[derive(Default)]
struct Tally {
    contents: u64,
    content_days: f64,
    raised: u64,
    true_rises: u64,
    bursts: usize,
    found: u64,
    minutes: Vec<f64>,
    arrivals: Vec<f64>,
    onset_errors: Vec<f64>,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.contents += outcome.contents;
        self.content_days += outcome.content_days;
        self.raised += outcome.raised;
        self.true_rises += outcome.true_rises;
        self.bursts += outcome.bursts.len();
        let minutes = |ms: i64| ms as f64 / 60_000.0;
        for Seen { arrivals, alarm } in &outcome.bursts {
            let (Some(first), Some((started, raised))) = (arrivals.first(), alarm) else {
                continue;
            };
            self.found += 1;
            self.minutes.push(minutes(raised - first));
            self.onset_errors.push(minutes(started - first));
            let before = arrivals.partition_point(|time| time <= raised);
            self.arrivals.push(before as f64);
        }
    }

    fn print(&mut self, name: &str) {
        println!(
            "{name}: {} of {} raised; {} other surges, a rumour's own readers' included",
            self.found,
            self.bursts,
            self.raised.saturating_sub(self.found)
        );
        for (what, values) in [
            ("minutes from the first private arrival", &mut self.minutes),
            ("private arrivals until then", &mut self.arrivals),
            (
                "minutes from the first to the stated beginning",
                &mut self.onset_errors,
            ),
        ] {
            values.sort_by(f64::total_cmp);
            let last = values.len().saturating_sub(1) as f64;
            let [low, middle, high] = [0.1, 0.5, 0.9].map(|part| {
                let at = (last * part).round() as usize;
                values.get(at).copied().unwrap_or(f64::NAN)
            });
            println!("  {what}: {middle:.0} (10 % {low:.0}, 90 % {high:.0})");
        }
    }
}

fn trimmed(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

fn outcome(scenario: &Scenario, signals: &Arc<Signals>) -> Result<Outcome, Failure> {
    let mut lines = Vec::new();
    // Times of true private arrivals, and number and first time of all, by path.
    let mut dark: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut visits: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for event in simulate(scenario)? {
        write_log_line(&mut lines, &event, &scenario.site, LogFormat::Combined)?;
        if !event.is_landing() {
            continue;
        }
        let content = trimmed(&event.truth.content);
        if event.truth.channel == Channel::DarkSocial {
            dark.entry(content.clone()).or_default().push(event.time);
        }
        visits.entry(content).or_insert((0, event.time)).0 += 1;
    }
    let start = scenario.start.as_millisecond();
    let end = start + (scenario.days * 24.0 * HOUR_MS as f64) as i64;
    let alarms = alarms(lines, scenario, signals)?;
    let mut outcome = Outcome {
        raised: alarms.len() as u64,
        ..Outcome::default()
    };
    for (count, first) in visits.values() {
        if *count >= 10 {
            outcome.contents += 1;
            outcome.content_days += (end - first) as f64 / (24.0 * HOUR_MS as f64);
        }
    }
    for alarm in &alarms {
        let times = dark.get(&alarm.path).map_or(&[][..], Vec::as_slice);
        let at = alarm.raised;
        let hour = times
            .iter()
            .filter(|time| (at - HOUR_MS..=at).contains(time))
            .count() as f64;
        let before = times.partition_point(|time| *time < at - HOUR_MS) as f64;
        let first = visits.get(&alarm.path).map_or(start, |known| known.1);
        let hours = ((at - first) as f64 / HOUR_MS as f64).max(1.0);
        outcome.true_rises += u64::from(hour >= 6.0 && hour >= 4.0 * before / hours);
    }
    // The content of a burst is the one with most private arrivals while it lasts.
    let mut claimed = BTreeSet::new();
    for burst in &scenario.bursts {
        let begin = start + (burst.at_hours * HOUR_MS as f64) as i64;
        let within = |time: &&i64| (begin..begin + 12 * HOUR_MS).contains(*time);
        let busiest = dark
            .iter()
            .filter(|(path, _)| !claimed.contains(*path))
            .map(|(path, times)| (times.iter().filter(within).count(), path))
            .max();
        let Some((count, path)) = busiest.filter(|(count, _)| *count >= 20) else {
            continue;
        };
        claimed.insert(path);
        let mut arrivals = Vec::with_capacity(count);
        arrivals.extend(dark[path].iter().filter(within));
        let alarm = alarms.iter().find(|alarm| {
            alarm.path == *path && (begin..begin + 24 * HOUR_MS).contains(&alarm.raised)
        });
        outcome.bursts.push(Seen {
            arrivals,
            alarm: alarm.map(|alarm| (alarm.started, alarm.raised)),
        });
    }
    Ok(outcome)
}

fn alarms(
    lines: Vec<u8>,
    scenario: &Scenario,
    signals: &Arc<Signals>,
) -> Result<Vec<Alarm>, Failure> {
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
    run(ClassifyStage::new(classifier), &log, &stop)?;
    let mut surges = Surges::default();
    let mut readers = HashSet::new();
    let mut alarms = Vec::new();
    let batch = log.read(topic::HITS_CLASSIFIED, 0, usize::MAX)?;
    for (_, record) in batch.iter() {
        let Record::Visit(visit) = Record::decode(record)? else {
            continue;
        };
        if visit.channel == Channel::Bot || comes_back(&mut readers, &visit) {
            continue;
        }
        let landing = Landing {
            clock: Clock::Imported,
            site: visit.site,
            content: &visit.content,
            time: visit.time,
            dark: [
                visit.dark_probability_low,
                visit.dark_probability,
                visit.dark_probability_high,
            ],
            decided: visit.method != Method::Prior,
            app: match visit.channel {
                Channel::DarkSocial => &visit.app,
                _ => "",
            },
            network: visit.network,
            chained: false,
        };
        surges.visit(&landing, &mut |surge| {
            if surge.state == SurgeState::Raised {
                let url = surge.content.as_ref();
                let path = url.split_once("//").map_or(url, |(_, rest)| rest);
                let path = path.find('/').map_or("", |at| &path[at..]);
                alarms.push(Alarm {
                    path: trimmed(path),
                    started: surge.started,
                    raised: surge.updated,
                });
            }
        });
    }
    Ok(alarms)
}

/// Whether this reader has been on this content before, as the chain stage knows.
fn comes_back(readers: &mut HashSet<(i64, String)>, visit: &Visit<'_>) -> bool {
    visit
        .visitor
        .is_some_and(|visitor| !readers.insert((visitor, visit.content.to_string())))
}
