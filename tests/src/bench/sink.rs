//! The sink alone: visits that wait in their topic become rows.

use std::borrow::Cow;
use std::time::Instant;

use grapevine_event::{Channel, Device, Evidence, Id, Method, Visit, VisitorBasis, topic};
use grapevine_log::{Commit, Key};

use super::world::{START_MS, World};
use super::{Failed, Report, rows};
use crate::Moments;

/// Three visits a second: half a million are two days.
const BETWEEN_MS: i64 = 333;
const CONTENTS: u64 = 3_000;
/// Visits of one append.
const APPEND: u64 = 10_000;

/// Visits that wait in their topic; then the sink starts.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Visits, 1 or more.
    pub rows: u64,
    /// What they are drawn from.
    pub seed: u64,
    /// Partitions of every topic, 1 or more.
    pub partitions: i32,
}

impl Sink {
    /// Runs it.
    ///
    /// # Errors
    /// What is missing on this machine, a sink that ends, rows that do not come or come twice.
    pub fn run(&self) -> Result<Report, Failed> {
        let world = World::with_clickhouse(self.partitions)?;
        self.fill(&world)?;
        let before = world.used();
        let start = Instant::now();
        let mut sink = world.up("sink", &[])?;
        let came = rows::wait(&world.asked(), [self.rows, 0, 0], &mut [&mut sink])?;
        let seconds = (came.last - start).as_secs_f64();
        let flowing = (came.last - came.first).as_secs_f64();
        let used = sink.used();
        let standing = world.used();
        let told = sink.told()?;
        sink.stop()?;

        let count = self.rows as f64;
        let mut report = Report::new(
            format!(
                "sink, seed {}: {} visits in their topic, {} partitions; every visit is one row, once",
                self.seed, self.rows, self.partitions
            ),
            &[
                "process",
                "CPU, s",
                "CPU a row, us",
                "rows/s/vCPU",
                "peak, MB",
            ],
        );
        report.say(format!(
            "{seconds:.2} s from the start of the sink to the last row: {:.0} rows/s; {flowing:.2} s from \
             the first rows on: {:.0} rows/s; {:.0} inserts",
            count / seconds,
            count / flowing.max(f64::EPSILON),
            told.sum("grapevine_sink_insert_seconds_count", &[])
        ));
        let mut all = vec![("sink", used)];
        let standing = before.iter().zip(standing);
        all.extend(standing.map(|((name, before), (_, after))| (*name, after - *before)));
        for (name, used) in all {
            report.row([
                name.to_owned(),
                format!("{:.2}", used.cpu),
                format!("{:.2}", used.cpu * 1e6 / count),
                format!("{:.0}", count / used.cpu.max(f64::EPSILON)),
                format!("{:.0}", used.memory as f64 / 1e6),
            ]);
        }
        Ok(report)
    }

    /// Puts the visits into their topic.
    ///
    /// # Errors
    /// The broker does not take them.
    pub(super) fn fill(&self, world: &World) -> Result<(), Failed> {
        let contents: Vec<String> = (0..CONTENTS)
            .map(|number| {
                format!("example.org/2024/03/story-{number}-about-something-worth-passing-on")
            })
            .collect();
        let mut dice = Moments::new(self.seed);
        let mut commit = Commit::default();
        for number in 0..self.rows {
            let content = &contents[usize::try_from(dice.below(CONTENTS)).unwrap_or(0)];
            append(&mut commit, number, content, &mut dice)
                .map_err(|error| Failed(error.to_string()))?;
            if (number + 1).is_multiple_of(APPEND) || number + 1 == self.rows {
                world.append(&commit)?;
                commit.clear();
            }
        }
        Ok(())
    }
}

fn append(
    commit: &mut Commit,
    number: u64,
    content: &str,
    dice: &mut Moments,
) -> Result<(), grapevine_event::CodecError> {
    let dark = dice.below(3) == 0;
    let reader = i64::try_from(dice.below(1 << 24)).ok();
    let id = Id::builder("bench").number(number).finish();
    let visit = Visit {
        visit_id: id,
        site: "example.org",
        time: START_MS + i64::try_from(number).unwrap_or(0) * BETWEEN_MS,
        visitor: reader,
        visitor_basis: VisitorBasis::Address,
        returning: dice.below(5) == 0,
        network: reader.map(|reader| reader >> 4),
        content: Cow::Borrowed(content),
        title: None,
        referrer_host: (!dark).then_some(Cow::Borrowed("www.google.com")),
        campaign_source: None,
        campaign_medium: None,
        campaign_name: None,
        device: Device::Mobile,
        system: "Android",
        browser: "Chrome Mobile",
        language: Some(Cow::Borrowed("de-at")),
        conventional_channel: if dark {
            Channel::Direct
        } else {
            Channel::Search
        },
        channel: if dark {
            Channel::DarkSocial
        } else {
            Channel::Search
        },
        app: Cow::Borrowed(if dark { "whatsapp" } else { "google" }),
        method: if dark {
            Method::Prior
        } else {
            Method::Referrer
        },
        dark_probability: if dark { 0.81 } else { 0.01 },
        dark_probability_low: 0.005,
        dark_probability_high: 0.9,
        dark_search_probability: 0.02,
        evidence: vec![
            Evidence {
                name: "deep_path",
                detail: Cow::Borrowed("62-character path"),
                log_odds: 1.4,
                search_log_odds: Some(1.7),
            },
            Evidence {
                name: "mobile",
                detail: Cow::Borrowed("phone"),
                log_odds: 0.4,
                search_log_odds: Some(-0.3),
            },
        ],
        model_version: Cow::Borrowed("priors-1"),
        robot: None,
        incoming_token: None,
        share_token: None,
        cascade_id: Some(id),
        generation: Some(0),
    };
    let key = Key::new(visit.site, content.as_bytes());
    commit.append_keyed(topic::VISITS, key, |out| visit.encode(out))
}
