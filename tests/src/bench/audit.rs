//! `grapevine audit` as a command, on more rows than anybody waits for a sink to write.

use std::time::Instant;

use grapevine_event::topic;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::sink::Sink;
use super::world::World;
use super::{Failed, Report, rows};

/// Visits that the sink writes: every other row is a copy of one of them.
const WRITTEN: u64 = 10_000;
/// Rows of one statement: the engine's memory stays small, and no answer is waited for too long.
const COPIED: u64 = 5_000_000;
/// Milliseconds from a row to its copy's: the copies of a visit are days of one table.
const APART_MS: u64 = 25_000;
/// The group of the sink.
const GROUP: &str = "grapevine-sink";

/// Rows that the sink wrote, copied by ClickHouse itself until there are so many, each with an
/// offset of its own; then the sink is said to stand behind them, and the command is run.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Visits, in steps of 10 000.
    pub rows: u64,
    /// What they are drawn from.
    pub seed: u64,
    /// Partitions of every topic, 1 or more.
    pub partitions: i32,
}

impl Audit {
    /// Runs it.
    ///
    /// # Errors
    /// What is missing on this machine, rows that do not come, an audit that finds something where
    /// all is well or nothing where rows are missing.
    pub fn run(&self) -> Result<Report, Failed> {
        let times = (self.rows / WRITTEN).max(1);
        let count = times * WRITTEN;
        let world = World::with_clickhouse(self.partitions)?;
        let written = Sink {
            rows: WRITTEN,
            seed: self.seed,
            partitions: self.partitions,
        };
        written.fill(&world)?;
        // In a group of its own: the one that is asked is to have no member, who alone might commit.
        let mut sink = world.up_in(Some("writers"), "sink", &[])?;
        rows::wait(&world.asked(), [WRITTEN, 0, 0], &mut [&mut sink])?;
        sink.stop()?;
        let began = Instant::now();
        let ends = self.copy(&world, times)?;
        let copied = began.elapsed().as_secs_f64();
        stand(&world, &ends)?;

        let mut report = Report::new(
            format!(
                "audit, seed {}: {count} visits in {} partitions, of which the sink wrote {WRITTEN} and \
                 ClickHouse copied the others in {copied:.0} s",
                self.seed, self.partitions
            ),
            &["command", "seconds", "ClickHouse CPU, s"],
        );
        for (name, extra) in [
            ("grapevine audit", &[][..]),
            ("the same again", &[]),
            ("grapevine audit --deep", &["--deep"]),
        ] {
            let before = world.used()[1].1;
            let (seconds, _) = audit(&world, extra, 0)?;
            let used = world.used()[1].1 - before;
            report.row([
                name.to_owned(),
                format!("{seconds:.1}"),
                format!("{:.1}", used.cpu),
            ]);
        }
        // What it says is worth something only where it would have said so: one row more than there are.
        let more: Vec<u64> = ends.iter().map(|end| end + 1).collect();
        stand(&world, &more)?;
        let (seconds, said) = audit(&world, &[], 65)?;
        if !said.contains("have no row") {
            return Err(Failed(format!(
                "rows are missing and nobody says so:\n{said}"
            )));
        }
        report.row([
            "grapevine audit, a row of each partition missing".to_owned(),
            format!("{seconds:.1}"),
            String::new(),
        ]);
        Ok(report)
    }

    /// Copies what the sink wrote, and gives the offset behind the last row of each partition.
    fn copy(&self, world: &World, times: u64) -> Result<Vec<u64>, Failed> {
        let asked = world.asked();
        let counts: Vec<u64> = (0..self.partitions)
            .map(|partition| {
                let sql = format!(
                    "SELECT if(max(offset) + 1 = count(), count(), 0) FROM grapevine.visits \
                     WHERE partition = {partition}"
                );
                asked.number(&sql).map_err(Failed)
            })
            .collect::<Result<_, Failed>>()?;
        let numbers: Vec<String> = (0..self.partitions).map(|p| p.to_string()).collect();
        let sizes: Vec<String> = counts.iter().map(ToString::to_string).collect();
        let size = format!(
            "transform(partition, [{}], [{}], toUInt64(0))",
            numbers.join(","),
            sizes.join(",")
        );
        let each = (COPIED / WRITTEN).max(1);
        let mut from = 1;
        while from < times {
            let copies = each.min(times - from);
            let sql = format!(
                "INSERT INTO grapevine.visits SELECT * EXCEPT (copy) REPLACE (generateUUIDv4() AS visit_id, \
                 time + toIntervalMillisecond(copy * {APART_MS}) AS time, offset + copy * {size} AS offset) \
                 FROM (SELECT * FROM grapevine.visits WHERE offset < {size}) AS written \
                 CROSS JOIN (SELECT number + {from} AS copy FROM numbers({copies})) AS copies"
            );
            asked.rows(&sql).map_err(Failed)?;
            from += copies;
        }
        Ok(counts.into_iter().map(|count| count * times).collect())
    }
}

/// Says that the sink stands at these offsets of the partitions of `visits`, a row for each.
fn stand(world: &World, ends: &[u64]) -> Result<(), Failed> {
    let wrong = |error: &dyn std::fmt::Display| Failed(error.to_string());
    let consumer: BaseConsumer = world
        .client_config()
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .create()
        .map_err(|error| wrong(&error))?;
    let mut positions = TopicPartitionList::new();
    for (partition, end) in (0..).zip(ends) {
        let offset = i64::try_from(*end).map_err(|error| wrong(&error))?;
        let mut position = positions.add_partition(topic::VISITS, partition);
        position
            .set_offset(Offset::Offset(offset))
            .map_err(|error| wrong(&error))?;
        position.set_metadata(format!("done 2 before={end}"));
    }
    consumer
        .commit(&positions, CommitMode::Sync)
        .map_err(|error| wrong(&error))
}

/// Runs the command; its seconds, and what it said.
fn audit(world: &World, extra: &[&str], code: i32) -> Result<(f64, String), Failed> {
    let mut command = world.command("audit");
    command.args(extra);
    let began = Instant::now();
    let output = command.output()?;
    let seconds = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(ended) if ended == code => Ok((seconds, said)),
        ended => Err(Failed(format!(
            "the audit ended with {ended:?}:\n{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
