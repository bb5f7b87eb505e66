//! From the start of the stages until they process anew, against how much they remember.

use std::time::{Duration, Instant};

use super::hits::Hits;
use super::world::{PATIENCE, Service, World, newest_bytes, wait_until};
use super::{Failed, Report};

const RECORDS: &str = "grapevine_stage_records_total";
const ENTRIES: &str = "grapevine_state_entries";
/// Hits that wait for the start.
const WAITING: u64 = 1_000;
/// Both stages have nothing left to do once they have done nothing for so long.
const QUIET: Duration = Duration::from_secs(4);
/// Between two looks: what times are exact to.
const LOOK: Duration = Duration::from_millis(20);

/// States of growing size, each recovered after a stop in peace and after a kill.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Hits behind each state, growing.
    pub hits: Vec<u64>,
    /// What they are drawn from.
    pub seed: u64,
    /// Partitions of every topic, 1 or more.
    pub partitions: i32,
}

/// One recovery.
struct Recovered {
    seconds: f64,
    entries: f64,
    /// Of saved states.
    bytes: u64,
    /// Records that were read again.
    replayed: f64,
}

impl Recovery {
    /// Runs it.
    ///
    /// # Errors
    /// What is missing on this machine, stages that end or do not go on.
    pub fn run(&self) -> Result<Report, Failed> {
        let world = World::start(self.partitions)?;
        let hits = Hits {
            seed: self.seed,
            stream: 0,
        };
        let mut recovered = Vec::new();
        let mut filled = 0;
        for size in &self.hits {
            world.fill(hits, filled..*size.max(&(filled + 1)), 1)?;
            filled = *size.max(&(filled + 1));
            let mut enrich = world.up("enrich", &[])?;
            settle(&mut enrich)?;
            enrich.stop()?;

            world.fill(hits, filled..filled + WAITING, 1)?;
            filled += WAITING;
            let (found, mut enrich) = self.recover(&world)?;
            recovered.push((*size, "stopped in peace", found));

            let more = (*size / 2).max(WAITING);
            let taken = enrich.told()?.sum(RECORDS, &[]);
            world.fill(hits, filled..filled + more, 1)?;
            filled += more;
            // In the midst of it: half of what classify will have taken alone.
            wait_until("the stages are in the midst of it", || {
                enrich.lives()?;
                Ok(enrich.told()?.sum(RECORDS, &[]) >= taken + more as f64 / 2.0)
            })?;
            enrich.kill();
            world.fill(hits, filled..filled + WAITING, 1)?;
            filled += WAITING;
            let (found, mut enrich) = self.recover(&world)?;
            recovered.push((*size, "kill -9 at work", found));
            settle(&mut enrich)?;
            enrich.stop()?;
        }
        let mut report = Report::new(
            format!(
                "recovery, seed {}, {} partitions: until every partition of both stages has committed something new",
                self.seed, self.partitions
            ),
            &[
                "hits before",
                "ended by",
                "s",
                "entries",
                "saved states, MB",
                "records replayed",
            ],
        );
        for (size, ended, found) in recovered {
            report.row([
                size.to_string(),
                ended.to_owned(),
                format!("{:.2}", found.seconds),
                format!("{:.0}", found.entries),
                format!("{:.2}", found.bytes as f64 / 1e6),
                format!("{:.0}", found.replayed),
            ]);
        }
        Ok(report)
    }

    /// Starts the stages and waits until every partition of both has committed something.
    fn recover(&self, world: &World) -> Result<(Recovered, Service), Failed> {
        let bytes = newest_bytes(&world.states())?;
        let all = 2 * usize::try_from(self.partitions).unwrap_or(1);
        let start = Instant::now();
        let mut enrich = world.up("enrich", &[])?;
        // A partition says how much it remembers with its first commit.
        wait_until("every partition goes on", || {
            enrich.lives()?;
            Ok((enrich.scrape()).is_some_and(|told| told.series(ENTRIES) >= all))
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let told = enrich.told()?;
        let recovered = Recovered {
            seconds,
            entries: told.sum(ENTRIES, &[]),
            bytes,
            replayed: told.sum("grapevine_state_replayed_records_total", &[]),
        };
        Ok((recovered, enrich))
    }
}

/// Waits until both stages have worked, and then have had nothing to do for a while.
fn settle(enrich: &mut Service) -> Result<(), Failed> {
    let deadline = Instant::now() + PATIENCE;
    let (mut seen, mut moved) = (0.0, Instant::now());
    while seen == 0.0 || moved.elapsed() < QUIET {
        enrich.lives()?;
        let found = (enrich.scrape()).map_or(0.0, |told| {
            let of = |stage: &str| told.sum(RECORDS, &[stage]);
            let (classify, chain) = (of("stage=\"classify\""), of("stage=\"chain\""));
            if classify > 0.0 && chain > 0.0 {
                classify + chain
            } else {
                0.0
            }
        });
        if found != seen {
            (seen, moved) = (found, Instant::now());
        }
        if Instant::now() > deadline {
            return Err(Failed(format!(
                "the stages are at it for {} s",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
