//! From `hits.raw` to rows in ClickHouse, through all stages.

use std::time::Instant;

use super::hits::Hits;
use super::processes::Used;
use super::scrape::Scrape;
use super::world::World;
use super::{Failed, Report, rows};

/// Hits that wait in `hits.raw`; then stages and sink start.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Hits, 1 or more.
    pub hits: u64,
    /// What they are drawn from.
    pub seed: u64,
    /// Partitions of every topic, 1 or more.
    pub partitions: i32,
    /// The stages write in transactions, as they do; else in none.
    pub guarantee: bool,
}

impl Pipeline {
    /// Runs it.
    ///
    /// # Errors
    /// What is missing on this machine, a service that ends, rows that do not come or come twice.
    pub fn run(&self) -> Result<Report, Failed> {
        let world = World::with_clickhouse(self.partitions)?;
        let hits = Hits {
            seed: self.seed,
            stream: 0,
        };
        world.fill(hits, 0..self.hits, 1)?;
        let before = world.used();
        let start = Instant::now();
        let mut sink = world.up("sink", &[])?;
        let mut enrich = match self.guarantee {
            true => world.up("enrich", &[])?,
            false => world.up_loose()?,
        };
        let came = rows::wait(
            &world.asked(),
            hits.rows(self.hits),
            &mut [&mut sink, &mut enrich],
        )?;
        let seconds = (came.last - start).as_secs_f64();
        let flowing = (came.last - came.first).as_secs_f64();
        let standing = world.used();
        let mut used: Vec<(&str, Used)> = (before.iter().zip(standing))
            .map(|((name, before), (_, after))| (*name, after - *before))
            .collect();
        used.push(("enrich", enrich.used()));
        used.push(("sink", sink.used()));
        let stages = self.guarantee.then(|| enrich.told()).transpose()?;
        let writer = sink.told()?;
        let letters = world
            .asked()
            .number("SELECT count() FROM grapevine.dead_letters")
            .map_err(Failed)?;
        if letters > 0 {
            return Err(Failed(format!("{letters} hits became dead letters")));
        }
        match self.guarantee {
            true => enrich.stop()?,
            false => enrich.kill(),
        }
        sink.stop()?;

        let count = self.hits as f64;
        let mut report = Report::new(
            format!(
                "pipeline, seed {}: {} hits in hits.raw, {} partitions; every hit is one row, once",
                self.seed, self.hits, self.partitions
            ),
            &["process", "CPU, s", "share", "CPU a hit, us", "peak, MB"],
        );
        report.say(format!(
            "{seconds:.2} s from the start of the services to the last row: {:.0} hits/s; \
             {flowing:.2} s from the first rows on: {:.0} hits/s",
            count / seconds,
            count / flowing.max(f64::EPSILON)
        ));
        match stages {
            Some(stages) => ["classify", "chain"]
                .map(|stage| of_stage(&stages, stage))
                .into_iter()
                .for_each(|said| report.say(said)),
            None => report.say("the stages wrote without transactions".to_owned()),
        }
        report.say(of_sink(&writer));
        let all: f64 = used.iter().map(|(_, used)| used.cpu).sum();
        for (name, used) in &used {
            report.row([
                (*name).to_owned(),
                format!("{:.2}", used.cpu),
                format!("{:.0} %", 100.0 * used.cpu / all),
                format!("{:.1}", used.cpu * 1e6 / count),
                format!("{:.0}", used.memory as f64 / 1e6),
            ]);
        }
        report.row([
            "all".to_owned(),
            format!("{all:.2}"),
            "100 %".to_owned(),
            format!("{:.1}", all * 1e6 / count),
            String::new(),
        ]);
        Ok(report)
    }
}

/// What the threads of a stage did with their time, all partitions together.
fn of_stage(told: &Scrape, stage: &str) -> String {
    let stage_label = format!("stage=\"{stage}\"");
    let of = |metric: &str, part: &str| {
        let part = format!("part=\"{part}\"");
        told.sum(metric, &[&stage_label, &part])
    };
    const SUM: &str = "grapevine_stage_step_seconds_sum";
    format!(
        "{stage}: {:.0} records; its threads processed for {:.2} s and were in {:.0} commits for {:.2} s",
        told.sum("grapevine_stage_records_total", &[&stage_label]),
        of(SUM, "process"),
        of("grapevine_stage_step_seconds_count", "commit"),
        of(SUM, "commit")
    )
}

fn of_sink(told: &Scrape) -> String {
    format!(
        "sink: {:.0} rows of all tables in {:.0} inserts, which took {:.2} s one after the other",
        told.sum("grapevine_sink_rows_total", &[]),
        told.sum("grapevine_sink_insert_seconds_count", &[]),
        told.sum("grapevine_sink_insert_seconds_sum", &[])
    )
}
