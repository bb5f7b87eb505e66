//! False alarms and delays of surges, and how often the R that they state holds, on simulated sites
//! whose parameters are drawn: the tables of `docs/surges.md`.
//!
//! `cargo run --release -p grapevine-enrichment --example surges [SITES [FIRST]]` simulates that many
//! sites (default 12) without bursts, again with fifteen bursts of several kinds, and again with fifteen messages
//! that the site itself sends without tags; every second site gives no share tokens. FIRST is the seed of the first (default 1000; 1000 to 1009 were looked
//! at while settings were chosen). Access logs go through importer and stages; the surges are read
//! from the topic.

#![expect(clippy::print_stdout, reason = "prints the tables of a page")]

mod reproduction;
mod site;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use grapevine_event::{Record, SurgeState, topic};
use grapevine_inference::surges::has_few_signs;
use grapevine_signals::Signals;
use grapevine_simulator::{Burst, BurstKind, Scenario};

use reproduction::Held;
use site::{Failure, Truth, path_of, processed, simulated};

const HOUR_MS: i64 = 3_600_000;
const DAYS: f64 = 14.0;
/// Kinds and mean landings of bursts, one every 19 hours; each site begins elsewhere in the list.
const BURSTS: [(BurstKind, f64); 15] = [
    (BurstKind::Rumour, 50.0),
    (BurstKind::Rumour, 100.0),
    (BurstKind::Rumour, 500.0),
    (BurstKind::PublicPost, 1_000.0),
    (BurstKind::Rumour, 20.0),
    (BurstKind::Rumour, 200.0),
    (BurstKind::Rumour, 50.0),
    (BurstKind::News, 1_000.0),
    (BurstKind::Rumour, 100.0),
    (BurstKind::Rumour, 20.0),
    (BurstKind::Rumour, 500.0),
    (BurstKind::PublicLink, 1_000.0),
    (BurstKind::Rumour, 200.0),
    (BurstKind::Rumour, 50.0),
    (BurstKind::Rumour, 100.0),
];
/// Mean landings of what a site sends without tags, in turn.
const SENT: [f64; 3] = [50.0, 200.0, 1_000.0];

/// What a site's attention is made of besides its usual days.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Besides {
    Nothing,
    Bursts,
    Sent,
}

/// Readers of a content from which on the R of its spread is looked at.
const READERS_MIN: i64 = 50;
/// What readers of a burst's article bring, in turn.
const REPRODUCTION: [f64; 3] = [0.3, 0.5, 0.7];

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u64| match arguments.next() {
        Some(text) => text.parse::<u64>(),
        None => Ok(usual),
    };
    let (sites, first) = (number(12)?, number(1_000)?);
    let signals = Arc::new(Signals::builtin());
    let mut bursts: BTreeMap<(String, u64), Found> = BTreeMap::new();
    let mut ratios: BTreeMap<(&str, bool), Held> = BTreeMap::new();
    for besides in [Besides::Nothing, Besides::Bursts, Besides::Sent] {
        let (mut others, mut rises) = (0, 0);
        for number in 0..sites {
            let scenario = drawn(first, number, besides);
            let with_tokens = scenario.tokens.attached > 0.0;
            let (lines, truth) = simulated(&scenario)?;
            let (alarms, stated) = found(lines, &scenario, &signals)?;
            let spreads = ratios.entry(("spreads", with_tokens)).or_default();
            for (path, time, stated) in stated {
                if let Some(truth) = truth.spreading.now(&path, time) {
                    spreads.count(stated, truth);
                }
            }
            let claimed = judge(&scenario, &truth, &alarms, &mut bursts);
            for (number, alarm) in alarms.iter().enumerate() {
                let of_burst = claimed.contains(&number);
                if !of_burst {
                    others += 1;
                    rises += u32::from(rose(&truth, alarm));
                }
                let kind = if of_burst {
                    "surges of bursts"
                } else {
                    "other surges"
                };
                let held = ratios.entry((kind, with_tokens)).or_default();
                for (time, stated) in &alarm.ratios {
                    if let Some(truth) = truth.spreading.now(&alarm.path, *time) {
                        held.count(*stated, truth);
                    }
                }
            }
        }
        let days = sites as f64 * DAYS;
        println!(
            "{sites} sites of {DAYS} days, {}: {others} surges beside those of bursts, {:.2} a site \
             and day; {} of them did not rise in truth, {:.2} a site and day",
            match besides {
                Besides::Nothing => "without bursts",
                Besides::Bursts => "15 bursts each",
                Besides::Sent => "15 messages each sent without tags",
            },
            f64::from(others) / days,
            others - rises,
            f64::from(others - rises) / days,
        );
    }
    println!(
        "\n| bursts | raised within a day | minutes after the first private arrival, median (10 to 90 %) \
         | private arrivals until then | minutes from the first to the stated beginning | with few signs |\n\
         | --- | --- | --- | --- | --- | --- |"
    );
    for ((kind, landings), found) in &mut bursts {
        println!(
            "| {kind} of {landings} | {} of {} | {} | {} | {} | {} |",
            found.minutes.len(),
            found.all,
            spread(&mut found.minutes),
            spread(&mut found.arrivals),
            spread(&mut found.onsets),
            found.few_signs,
        );
    }
    println!(
        "\n| R now of | records | range holds true R, % | stated too high, % | too low, % | median R stated \
         | median width | median true R |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for ((kind, with_tokens), held) in &mut ratios {
        println!(
            "| {kind}, {} tokens | {} |",
            if *with_tokens { "with" } else { "no" },
            held.row()
        );
    }
    Ok(())
}

fn drawn(first: u64, seed: u64, besides: Besides) -> Scenario {
    let mut scenario = Scenario::drawn(first + seed);
    scenario.days = DAYS;
    // What is not asked for here only costs time.
    scenario.reading.assets = 0;
    if seed % 2 == 1 {
        scenario.tokens.attached = 0.0;
    }
    scenario.bursts = (0..BURSTS.len())
        .filter_map(|number| {
            let (kind, landings) = match besides {
                Besides::Nothing => return None,
                Besides::Bursts => BURSTS[(number + 4 * seed as usize) % BURSTS.len()],
                Besides::Sent => (BurstKind::Sent, SENT[number % SENT.len()]),
            };
            let is_sent = besides == Besides::Sent;
            Some(Burst {
                at_hours: 36.0 + 19.0 * number as f64,
                kind,
                landings,
                rise_hours: if is_sent { 0.0 } else { 0.33 },
                decay_hours: if is_sent { 0.5 } else { 3.0 },
                reproduction: REPRODUCTION[(number + seed as usize) % REPRODUCTION.len()],
            })
        })
        .collect();
    scenario
}

/// Bursts of one kind and size, and when those that were found were.
#[derive(Default)]
struct Found {
    all: usize,
    minutes: Vec<f64>,
    arrivals: Vec<f64>,
    onsets: Vec<f64>,
    few_signs: usize,
}

/// R now as a record of `spreads` states it: path of the content, time, low, likely and high.
type Stated = (String, i64, [f64; 3]);

/// A surge that was raised.
struct Alarm {
    path: String,
    started: i64,
    raised: i64,
    /// Whether its first record has few signs that people pass it on.
    few_signs: bool,
    /// R of its records, low, likely and high, with their times, while it went on.
    ratios: Vec<(i64, [f64; 3])>,
}

/// Counts which bursts were raised within a day; gives the numbers of their alarms.
fn judge(
    scenario: &Scenario,
    truth: &Truth,
    alarms: &[Alarm],
    bursts: &mut BTreeMap<(String, u64), Found>,
) -> HashSet<usize> {
    let mut claimed = HashSet::new();
    let start = scenario.start.as_millisecond();
    for (burst, path) in scenario.bursts.iter().zip(&truth.bursts) {
        let Some(path) = path else { continue };
        let found = bursts
            .entry((format!("{:?}", burst.kind), burst.landings as u64))
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
            found.few_signs += usize::from(alarm.few_signs);
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

fn found(
    lines: Vec<u8>,
    scenario: &Scenario,
    signals: &Arc<Signals>,
) -> Result<(Vec<Alarm>, Vec<Stated>), Failure> {
    let (mut alarms, mut stated) = (Vec::new(), Vec::new());
    let (mut known, mut readers) = (BTreeMap::new(), BTreeMap::new());
    let topics = [topic::SURGES, topic::SPREADS];
    processed(
        lines,
        scenario,
        signals,
        &topics,
        &mut |record| match record {
            Record::Surge(surge) => {
                if surge.state == SurgeState::Raised {
                    known.insert(surge.surge_id, alarms.len());
                    alarms.push(Alarm {
                        path: path_of(&surge.content).to_owned(),
                        started: surge.started,
                        raised: surge.updated,
                        few_signs: has_few_signs(surge.signs, surge.signs_usual),
                        ratios: Vec::new(),
                    });
                }
                let ratio = (
                    surge.reproduction_low,
                    surge.reproduction_number,
                    surge.reproduction_high,
                );
                if surge.state != SurgeState::Over
                    && let (Some(number), (Some(low), Some(likely), Some(high))) =
                        (known.get(&surge.surge_id), ratio)
                {
                    alarms[*number]
                        .ratios
                        .push((surge.updated, [low, likely, high]));
                }
            }
            Record::Spread(spread) => {
                let path = path_of(&spread.content).to_owned();
                let before = readers.insert(path.clone(), spread.arrivals);
                let ratio = (
                    spread.reproduction_now_low,
                    spread.reproduction_now,
                    spread.reproduction_now_high,
                );
                // A record that no new reader made be written is of a later moment.
                if spread.arrivals >= READERS_MIN
                    && before.is_none_or(|before| spread.arrivals > before)
                    && let (Some(low), Some(likely), Some(high)) = ratio
                {
                    stated.push((path, spread.updated, [low, likely, high]));
                }
            }
            _ => {}
        },
    )?;
    Ok((alarms, stated))
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
