//! The microservices under constant load, killed at seeded moments, and the judgement of what they
//! leave: every acknowledged hit once, in its row and in every aggregate.
//!
//! Real processes all through: `grapevine collect`, `enrich` and `sink`, Apache Kafka, ClickHouse's
//! engine. A seed gives hits and faults; what the processes are doing at that moment is theirs.

mod faults;
mod hits;
mod judgement;
mod load;
mod services;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use grapevine_event::topic;
use grapevine_log::Commit;
use grapevine_log::kafka::{Connection, Producer};

pub use faults::KINDS;

use faults::{Faults, wait};
use load::Load;
use services::{PARTITIONS, Part, Services};

/// Longest wait for something that has to come. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(240);
/// Longest wait for a record of the test's own; without it there is one less.
const GARBAGE_PATIENCE: Duration = Duration::from_secs(5);

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What hits and faults are drawn from.
    pub seed: u64,
    /// Kills to be made at least; pauses, joins and leaves come besides.
    pub kills: u64,
    /// Kinds of parts that are killed, of [`KINDS`]; all of them where empty.
    pub only: Vec<&'static str>,
    /// Brokers; of three, topics have three copies, of which two must be in step.
    pub brokers: usize,
    /// The groups' protocol is that of KIP-848.
    pub consumer_protocol: bool,
    /// A schema registry is there, and records are framed for it. It is not killed: it would come
    /// back empty.
    pub registry: bool,
}

/// Why a run failed.
#[derive(Debug)]
pub struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed(error.to_string())
    }
}

impl From<grapevine_kafka_testing::TestingError> for Failed {
    fn from(error: grapevine_kafka_testing::TestingError) -> Failed {
        Failed(error.to_string())
    }
}

/// What a run that held showed.
#[derive(Debug)]
pub struct Shown {
    seconds: u64,
    acknowledged: u64,
    requests: u64,
    rows: BTreeMap<&'static str, u64>,
    repeated: u64,
    kills: BTreeMap<&'static str, u64>,
    pauses: BTreeMap<&'static str, u64>,
    joins: u64,
    leaves: u64,
    given: usize,
    ended: Vec<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = |counts: &BTreeMap<&'static str, u64>| {
            let all: Vec<String> = (counts.iter())
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            all.join(", ")
        };
        let kills: u64 = self.kills.values().sum();
        writeln!(out, "time          {} s", self.seconds)?;
        writeln!(
            out,
            "acknowledged  {} hits, by {} requests",
            self.acknowledged, self.requests
        )?;
        writeln!(out, "rows          {}", counts(&self.rows))?;
        writeln!(
            out,
            "repeated      {} copies of hits without an id in hits.raw, which count no more",
            self.repeated
        )?;
        writeln!(out, "kills         {kills}: {}", counts(&self.kills))?;
        writeln!(out, "pauses        {}", counts(&self.pauses))?;
        writeln!(
            out,
            "replicas      {} joined, {} left in peace; partitions given {} times",
            self.joins, self.leaves, self.given
        )?;
        writeln!(
            out,
            "ended         {} processes by themselves",
            self.ended.len()
        )?;
        for words in &self.ended {
            writeln!(out, "  {}", words.replace('\n', "\n    "))?;
        }
        write!(
            out,
            "every acknowledged hit is there once, every aggregate agrees; damage by hand was seen"
        )
    }
}

/// Runs the plan, telling `tell` how far it is.
///
/// # Errors
/// What did not hold, with the seed, the log of faults, and where the processes' logs are.
pub fn run(plan: &Plan, tell: &mut dyn Write) -> Result<Shown, Failed> {
    let home = tempfile::Builder::new()
        .prefix(&format!("grapevine-crash-{}-", plan.seed))
        .tempdir()?;
    let path = home.path().to_owned();
    let mut faults = Faults::new(plan);
    let outcome = attempt(plan, path.clone(), &mut faults, tell);
    if let Err(Failed(reason)) = outcome {
        // Kept for whoever looks for the cause.
        let _ = home.keep();
        return Err(Failed(format!(
            "seed {}, after {} kills:\n{}\n\n{reason}\n\nwhat the processes said, and their data: {}",
            plan.seed,
            faults.done.kills(),
            faults.done.log.join("\n"),
            path.display()
        )));
    }
    outcome
}

fn attempt(
    plan: &Plan,
    home: PathBuf,
    faults: &mut Faults,
    tell: &mut dyn Write,
) -> Result<Shown, Failed> {
    let began = Instant::now();
    let mut services = Services::start(plan, &home)?;
    let load = Load::start(&services.collector_url(), services.server_key(), plan.seed);
    load.wait_for_more(100, PATIENCE)?;
    let garbage = garbage(&services)?;
    while faults.done.kills() < plan.kills {
        let calm = faults.calm();
        wait(&mut services, calm)?;
        let mut commit = Commit::default();
        commit.append(topic::HITS_RAW, format!("no record {calm:?}").as_bytes());
        // Whether it is there is asked of Kafka in the end.
        let _ = garbage.append(&commit, GARBAGE_PATIENCE);
        faults.strike(&mut services)?;
        let last = faults.done.log.last().map_or("", String::as_str);
        let _ = writeln!(
            tell,
            "{last}; {} kills, {} hits acknowledged",
            faults.done.kills(),
            load.acknowledged()
        );
    }
    Faults::peace(&mut services)?;
    // Taken again, and so is time: heartbeats follow hits.
    load.wait_for_more(400, PATIENCE)?;
    let acknowledged = load.end()?;
    let _ = writeln!(tell, "quiet: {} hits to be found", acknowledged.count());
    if let Err(failed) = judgement::wait_until_right(&mut services, &acknowledged) {
        return Err(judgement::keep(&services, &home, failed));
    }
    for part in [
        Part::Collect,
        Part::Enrich(1),
        Part::Enrich(2),
        Part::Sink(1),
        Part::Sink(2),
    ] {
        services.stop(part)?;
    }
    // Nothing writes any more: this is what stays.
    let judged = judgement::judge(&services, &acknowledged)?;
    judgement::audited(&services)?;
    judgement::sees_damage(&services, &acknowledged)?;
    if services.said("panicked")? > 0 {
        return Err(Failed("a process panicked".to_owned()));
    }
    Ok(Shown {
        seconds: began.elapsed().as_secs(),
        acknowledged: acknowledged.count(),
        requests: acknowledged.requests,
        rows: judged.rows,
        repeated: judged.repeated,
        kills: std::mem::take(&mut faults.done.kills),
        pauses: std::mem::take(&mut faults.done.pauses),
        joins: faults.done.joins,
        leaves: faults.done.leaves,
        given: services.said(" given ")? + services.said("partition comes")?,
        ended: std::mem::take(&mut services.ended),
    })
}

/// Appends what nobody can decode, beside the collector.
fn garbage(services: &Services) -> Result<Producer, Failed> {
    let wrong = |error: &dyn fmt::Display| Failed(error.to_string());
    let connection = Connection::new(&services.cluster.bootstrap(), BTreeMap::new(), None)
        .map_err(|error| wrong(&error))?;
    let partitions = topic::ALL.map(|name| (name.to_owned(), PARTITIONS));
    let partitions = partitions.into_iter().collect();
    Producer::new(&connection, partitions).map_err(|error| wrong(&error))
}
