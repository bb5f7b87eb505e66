//! False alarms and delays of surges on simulated sites whose parameters are drawn: the figures of
//! `docs/surges.md`.
//!
//! `cargo run --release -p grapevine-enrichment --example surges [SITES]` simulates that many sites
//! (default 12) without bursts, and again with twelve bursts of several kinds; every second site
//! gives no share tokens. Access logs go through importer and stages; the surges are read from the
//! topic.

#![expect(clippy::print_stdout, reason = "prints the table of a page")]

mod site;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use grapevine_event::{Record, SurgeState};
use grapevine_signals::Signals;
use grapevine_simulator::{Burst, BurstKind, Scenario};

use site::{Failure, SURGES, Truth, path_of, processed, simulated};

const HOUR_MS: i64 = 3_600_000;
const DAYS: f64 = 14.0;
/// Kinds and mean landings of bursts, one every 25 hours; each site begins elsewhere in the list.
const BURSTS: [(BurstKind, f64); 12] = [
    (BurstKind::Rumour, 50.0),
    (BurstKind::Rumour, 150.0),
    (BurstKind::Rumour, 500.0),
    (BurstKind::PublicPost, 1_000.0),
    (BurstKind::Rumour, 50.0),
    (BurstKind::Rumour, 150.0),
    (BurstKind::News, 1_000.0),
    (BurstKind::Rumour, 50.0),
    (BurstKind::Rumour, 500.0),
    (BurstKind::PublicLink, 1_000.0),
    (BurstKind::Rumour, 150.0),
    (BurstKind::News, 1_000.0),
];

fn main() -> Result<(), Failure> {
    let sites: u64 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 12,
    };
    let signals = Arc::new(Signals::builtin());
    let mut bursts: BTreeMap<String, Found> = BTreeMap::new();
    for with_bursts in [false, true] {
        let (mut others, mut rises) = (0, 0);
        for seed in 0..sites {
            let scenario = drawn(seed, with_bursts);
            let (lines, truth) = simulated(&scenario)?;
            let alarms = alarms(lines, &scenario, &signals)?;
            let claimed = judge(&scenario, &truth, &alarms, &mut bursts);
            for (number, alarm) in alarms.iter().enumerate() {
                if !claimed.contains(&number) {
                    others += 1;
                    rises += u32::from(rose(&truth, alarm));
                }
            }
        }
        let days = sites as f64 * DAYS;
        println!(
            "{sites} sites of {DAYS} days, {}: {others} surges beside those of bursts, {:.2} a site \
             and day; {} of them did not rise in truth, {:.2} a site and day",
            if with_bursts {
                "12 bursts each"
            } else {
                "without bursts"
            },
            f64::from(others) / days,
            others - rises,
            f64::from(others - rises) / days,
        );
    }
    for (name, found) in &mut bursts {
        println!(
            "{name}: {} of {} raised; minutes from the first private arrival {}; private arrivals \
             until then {}; minutes from the first to the stated beginning {}",
            found.minutes.len(),
            found.all,
            spread(&mut found.minutes),
            spread(&mut found.arrivals),
            spread(&mut found.onsets),
        );
    }
    Ok(())
}

fn drawn(seed: u64, with_bursts: bool) -> Scenario {
    let mut scenario = Scenario::drawn(1_000 + seed);
    scenario.days = DAYS;
    // What is not asked for here only costs time.
    scenario.reading.assets = 0;
    if seed % 2 == 1 {
        scenario.tokens.attached = 0.0;
    }
    scenario.bursts.clear();
    if with_bursts {
        for number in 0..BURSTS.len() {
            let (kind, landings) = BURSTS[(number + 5 * seed as usize) % BURSTS.len()];
            scenario.bursts.push(Burst {
                at_hours: 36.0 + 25.0 * number as f64,
                kind,
                landings,
                rise_hours: 0.33,
                decay_hours: 3.0,
                reproduction: 0.5,
            });
        }
    }
    scenario
}

/// Bursts of one kind and size, and when those that were found were.
#[derive(Default)]
struct Found {
    all: usize,
    minutes: Vec<f64>,
    arrivals: Vec<f64>,
    onsets: Vec<f64>,
}

/// A surge that was raised.
struct Alarm {
    path: String,
    started: i64,
    raised: i64,
}

/// Counts which bursts were raised within a day; gives the numbers of their alarms.
fn judge(
    scenario: &Scenario,
    truth: &Truth,
    alarms: &[Alarm],
    bursts: &mut BTreeMap<String, Found>,
) -> HashSet<usize> {
    let mut claimed = HashSet::new();
    let start = scenario.start.as_millisecond();
    for (burst, path) in scenario.bursts.iter().zip(&truth.bursts) {
        let Some(path) = path else { continue };
        let found = bursts
            .entry(format!("{:?} of {}", burst.kind, burst.landings))
            .or_default();
        found.all += 1;
        let begin = start + (burst.at_hours * HOUR_MS as f64) as i64;
        let within = begin..begin + 24 * HOUR_MS;
        let dark = truth.dark.get(path).map_or(&[][..], Vec::as_slice);
        let dark = &dark[dark.partition_point(|time| *time < begin)..];
        let alarm = alarms
            .iter()
            .position(|alarm| alarm.path == *path && within.contains(&alarm.raised));
        if let (Some(number), Some(first)) = (alarm, dark.first()) {
            claimed.insert(number);
            let alarm = &alarms[number];
            let minutes = |time: i64| (time - first) as f64 / 60_000.0;
            found.minutes.push(minutes(alarm.raised));
            found.onsets.push(minutes(alarm.started));
            let until = dark.partition_point(|time| *time <= alarm.raised);
            found.arrivals.push(until as f64);
        }
    }
    claimed
}

/// Whether in the hour before there were eight private arrivals or more, three times the content's
/// mean hour, and twice what the site has for as many others.
fn rose(truth: &Truth, alarm: &Alarm) -> bool {
    let hour = alarm.raised - HOUR_MS..alarm.raised + 1;
    let count = |times: &BTreeMap<String, Vec<i64>>| {
        let times = times.get(&alarm.path).map_or(&[][..], Vec::as_slice);
        let before = times.partition_point(|time| *time < hour.start) as f64;
        let within = times.iter().filter(|time| hour.contains(time)).count() as f64;
        (before, within)
    };
    let all =
        |times: &BTreeMap<String, Vec<i64>>| times.values().map(Vec::len).sum::<usize>() as f64;
    let ((before, dark), (_, open)) = (count(&truth.dark), count(&truth.open));
    let firsts = [&truth.dark, &truth.open].map(|times| times.get(&alarm.path)?.first().copied());
    let first = firsts.into_iter().flatten().min().unwrap_or(alarm.raised);
    let hours = ((alarm.raised - first) as f64 / HOUR_MS as f64).max(1.0);
    let usual = all(&truth.dark) / all(&truth.open).max(1.0);
    dark >= 8.0 && dark >= 3.0 * before / hours && dark >= 2.0 * usual * open
}

fn alarms(
    lines: Vec<u8>,
    scenario: &Scenario,
    signals: &Arc<Signals>,
) -> Result<Vec<Alarm>, Failure> {
    let mut alarms = Vec::new();
    processed(lines, scenario, signals, SURGES, &mut |record| {
        if let Record::Surge(surge) = record
            && surge.state == SurgeState::Raised
        {
            alarms.push(Alarm {
                path: path_of(&surge.content).to_owned(),
                started: surge.started,
                raised: surge.updated,
            });
        }
    })?;
    Ok(alarms)
}

/// Median, 10 and 90 %.
fn spread(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    let [low, middle, high] = [0.1, 0.5, 0.9].map(|part| {
        let at = (last * part).round() as usize;
        values.get(at).copied().unwrap_or(f64::NAN)
    });
    format!("{middle:.0} ({low:.0} to {high:.0})")
}
