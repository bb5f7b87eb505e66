//! Whether a service lives, and whether it could do its work now.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a condition says: `Err` with the reason where it is not met.
type Answer = Result<(), String>;

/// The conditions of one service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By name, so that answers come in one order.
    conditions: BTreeMap<&'static str, Slot>,
    stopping: bool,
}

enum Slot {
    /// Told by whoever holds the [`Condition`].
    Told(Answer),
    /// Found out when somebody asks.
    Asked(Box<dyn Fn() -> Answer + Send + Sync>),
    /// Its holder is gone while the service should run.
    Ended,
}

impl fmt::Debug for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slot::Told(answer) => write!(out, "Told({answer:?})"),
            Slot::Asked(_) => out.write_str("Asked(..)"),
            Slot::Ended => out.write_str("Ended"),
        }
    }
}

/// What `/health/ready` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// There are conditions, every one is met, and the service does not stop.
    pub is_ready: bool,
    /// Each condition by name; the reason where it is not met.
    pub conditions: Vec<(&'static str, Answer)>,
}

impl Health {
    /// No conditions yet: not ready, as nobody has said what the service needs.
    pub fn new() -> Health {
        Health::default()
    }

    /// Adds a condition that is not met until its holder says so. Dropping it while the service is
    /// not stopping means that a part of the service died: the service is not live any more. A
    /// second condition of the same name takes the place of the first.
    pub fn condition(&self, name: &'static str, why_not_yet: &str) -> Condition {
        self.set(name, Slot::Told(Err(why_not_yet.to_owned())));
        Condition {
            health: self.clone(),
            name,
        }
    }

    /// Adds a condition that is found out whenever somebody asks. `check` must not block.
    pub fn ask(&self, name: &'static str, check: impl Fn() -> Answer + Send + Sync + 'static) {
        self.set(name, Slot::Asked(Box::new(check)));
    }

    /// The service stops: it is not ready from now on, and parts may end.
    pub fn stopping(&self) {
        self.state().stopping = true;
    }

    /// Whether the service could do its work now.
    pub fn ready(&self) -> Readiness {
        let state = self.state();
        let answer = |slot: &Slot| match slot {
            Slot::Told(answer) => answer.clone(),
            Slot::Asked(check) => check(),
            Slot::Ended if state.stopping => Err("ended: the service stops".to_owned()),
            Slot::Ended => Err("ended: the service has to be restarted".to_owned()),
        };
        let mut conditions: Vec<_> = state
            .conditions
            .iter()
            .map(|(name, slot)| (*name, answer(slot)))
            .collect();
        if state.stopping {
            conditions.push(("running", Err("the service stops".to_owned())));
        } else if conditions.is_empty() {
            conditions.push(("running", Err("starting".to_owned())));
        }
        Readiness {
            is_ready: conditions.iter().all(|(_, answer)| answer.is_ok()),
            conditions,
        }
    }

    /// The parts that ended though the service should run; none: it lives.
    pub fn ended(&self) -> Vec<&'static str> {
        let state = self.state();
        if state.stopping {
            return Vec::new();
        }
        let ended =
            |(name, slot): (&&'static str, &Slot)| matches!(slot, Slot::Ended).then_some(*name);
        state.conditions.iter().filter_map(ended).collect()
    }

    fn set(&self, name: &'static str, slot: Slot) {
        self.state().conditions.insert(name, slot);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one assignment: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One condition of readiness, held by the part of the service that knows.
#[derive(Debug)]
pub struct Condition {
    health: Health,
    name: &'static str,
}

impl Condition {
    /// It is met.
    pub fn met(&self) {
        self.health.set(self.name, Slot::Told(Ok(())));
    }

    /// It is not, and why, for whoever asks.
    pub fn unmet(&self, why: impl Into<String>) {
        self.health.set(self.name, Slot::Told(Err(why.into())));
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        self.health.set(self.name, Slot::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_condition_is_met() {
        let health = Health::new();
        assert!(!health.ready().is_ready, "nobody has said what is needed");
        assert_eq!(
            health.ready().conditions,
            [("running", Err("starting".to_owned()))]
        );
        let log = health.condition("log", "starting");
        health.ask("disk", || Ok(()));
        let starting = health.ready();
        assert!(!starting.is_ready);
        assert_eq!(
            starting.conditions,
            [("disk", Ok(())), ("log", Err("starting".to_owned()))]
        );
        log.met();
        assert!(health.ready().is_ready);
        log.unmet("no broker answers");
        assert!(!health.ready().is_ready);
        assert!(health.ended().is_empty(), "not ready is not dead");
    }

    #[test]
    fn a_part_that_ends_unasked_is_a_death_and_one_that_is_stopped_is_not() {
        let health = Health::new();
        let stage = health.condition("classify", "starting");
        stage.met();
        drop(stage);
        assert_eq!(health.ended(), ["classify"]);
        assert!(!health.ready().is_ready);

        let health = Health::new();
        let stage = health.condition("classify", "starting");
        stage.met();
        health.stopping();
        assert!(!health.ready().is_ready, "no more work, please");
        drop(stage);
        assert!(health.ended().is_empty());
    }
}
