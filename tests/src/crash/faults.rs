//! What happens to the services, and when: a function of the seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::services::{Part, Services};
use super::{Failed, PATIENCE, Plan};
use crate::Moments;

/// Longer than a session: who stands still for so long has lost its partitions.
const PAST_SESSION: Duration = Duration::from_secs(8);

/// What can be killed.
pub const KINDS: [&str; 5] = ["collect", "enrich", "sink", "broker", "clickhouse"];

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Kills by part.
    pub(super) kills: BTreeMap<&'static str, u64>,
    /// Pauses by part.
    pub(super) pauses: BTreeMap<&'static str, u64>,
    /// Second replicas that joined.
    pub(super) joins: u64,
    /// Second replicas that left in peace; those killed count as kills.
    pub(super) leaves: u64,
    /// One line for each fault, with the second of its beginning.
    pub(super) log: Vec<String>,
}

impl Done {
    pub(super) fn kills(&self) -> u64 {
        self.kills.values().sum()
    }
}

/// One fault.
#[derive(Debug)]
enum Fault {
    /// Killed together, and back after a while.
    Kill(Vec<Part>, Duration),
    Pause(Part, Duration),
    Join(Part),
    Leave(Part),
    /// Killed, and gone for good.
    Gone(Part),
}

/// Draws faults and makes them happen.
#[derive(Debug)]
pub(super) struct Faults {
    moments: Moments,
    brokers: u64,
    /// Kinds of parts that are killed.
    kinds: Vec<&'static str>,
    /// Those still to be killed before any is killed again.
    deck: Vec<&'static str>,
    began: Instant,
    pub(super) done: Done,
}

impl Faults {
    pub(super) fn new(plan: &Plan) -> Faults {
        Faults {
            moments: Moments::new(plan.seed),
            brokers: u64::try_from(plan.brokers).unwrap_or(1),
            kinds: match &plan.only[..] {
                [] => KINDS.to_vec(),
                only => only.to_vec(),
            },
            deck: Vec::new(),
            began: Instant::now(),
            done: Done::default(),
        }
    }

    fn milliseconds(&mut self, from: u64, below: u64) -> Duration {
        Duration::from_millis(from + self.moments.below(below - from))
    }

    /// How long nothing happens before the next fault.
    pub(super) fn calm(&mut self) -> Duration {
        self.milliseconds(500, 2_500)
    }

    /// The next part to be killed: each kind in turn, in a drawn order.
    fn victim(&mut self, second: [bool; 2]) -> Part {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.kinds);
        }
        let cards = u64::try_from(self.deck.len()).unwrap_or(1);
        let drawn = usize::try_from(self.moments.below(cards)).unwrap_or(0);
        let replica = 1 + u8::from(self.moments.below(2) == 1);
        let broker = usize::try_from(self.moments.below(self.brokers)).unwrap_or(0);
        match self.deck.swap_remove(drawn) {
            "collect" => Part::Collect,
            "enrich" => Part::Enrich(if second[0] { replica } else { 1 }),
            "sink" => Part::Sink(if second[1] { replica } else { 1 }),
            "broker" => Part::Broker(broker),
            _ => Part::ClickHouse,
        }
    }

    /// What comes next, where `second` says which second replicas run.
    fn draw(&mut self, second: [bool; 2]) -> Fault {
        let which = usize::from(self.moments.below(2) == 1);
        let other = [Part::Enrich(2), Part::Sink(2)][which];
        match self.moments.below(20) {
            0..10 => {
                let victim = self.victim(second);
                Fault::Kill(vec![victim], self.milliseconds(0, 1_500))
            }
            10..14 => {
                let mut victims = vec![self.victim(second)];
                let another = self.victim(second);
                // Of three brokers, two must be in step: one at a time.
                let both = |kind| victims[0].kind() == kind && another.kind() == kind;
                if !victims.contains(&another) && !both("broker") {
                    victims.push(another);
                }
                Fault::Kill(victims, self.milliseconds(0, 2_000))
            }
            14 => {
                let part = [Part::Enrich(1), Part::Sink(1)][which];
                Fault::Pause(part, PAST_SESSION)
            }
            15 => {
                let parts = [Part::Collect, Part::ClickHouse, Part::Broker(0)];
                let drawn = usize::try_from(self.moments.below(3)).unwrap_or(0);
                Fault::Pause(parts[drawn], self.milliseconds(500, 4_000))
            }
            _ if !second[which] => Fault::Join(other),
            16 | 17 => Fault::Leave(other),
            _ if !self.kinds.contains(&other.kind()) => Fault::Leave(other),
            _ => Fault::Gone(other),
        }
    }

    /// Makes the next fault happen, and waits until it is over.
    pub(super) fn strike(&mut self, services: &mut Services) -> Result<(), Failed> {
        let second = [Part::Enrich(2), Part::Sink(2)].map(|part| services.is_up(part));
        let fault = self.draw(second);
        let seconds = self.began.elapsed().as_secs_f32();
        self.done.log.push(format!("{seconds:8.2} s  {fault:?}"));
        match fault {
            Fault::Kill(parts, down) => {
                for part in &parts {
                    self.kill(services, *part);
                }
                std::thread::sleep(down);
                for part in &parts {
                    services.up(*part)?;
                }
                if self.brokers > 1 && parts.iter().any(|part| part.kind() == "broker") {
                    services.cluster.wait_until_ready()?;
                }
            }
            Fault::Pause(part, time) => {
                *self.done.pauses.entry(part.kind()).or_default() += 1;
                services.pause(part);
                std::thread::sleep(time);
                services.resume(part);
            }
            Fault::Join(part) => {
                self.done.joins += 1;
                services.up(part)?;
            }
            Fault::Leave(part) => {
                self.done.leaves += 1;
                services.stop(part)?;
            }
            Fault::Gone(part) => self.kill(services, part),
        }
        Ok(())
    }

    fn kill(&mut self, services: &mut Services, part: Part) {
        *self.done.kills.entry(part.kind()).or_default() += 1;
        services.kill(part);
    }

    /// Everything runs again, and stays so.
    pub(super) fn peace(services: &mut Services) -> Result<(), Failed> {
        services.cluster.wait_until_ready()?;
        services.wait_for_clickhouse()?;
        for part in [Part::Collect, Part::Enrich(1), Part::Sink(1)] {
            if !services.is_up(part) {
                return Err(Failed(format!("{part} does not run")));
            }
        }
        services.supervise()
    }
}

/// Waits, looking after the services, until `time` is over.
pub(super) fn wait(services: &mut Services, time: Duration) -> Result<(), Failed> {
    let until = Instant::now() + time.min(PATIENCE);
    while Instant::now() < until {
        services.supervise()?;
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
    Ok(())
}
