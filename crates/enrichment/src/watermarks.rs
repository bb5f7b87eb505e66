//! Time where a topic is written by many tasks: it has passed once it has for all of them.
//!
//! Each classify task passes a heartbeat on to every partition of `hits.classified`, marked with
//! its own partition of `hits.raw`. Whoever reads `hits.classified` gets as many as there are
//! tasks, and may take only the slowest for the time: a faster one says nothing of the hits that
//! another has not classified yet.

use std::collections::BTreeMap;

use grapevine_event::{Heartbeat, Record, RecordType};
use grapevine_inference::{COLLECTOR, StateError, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};

use crate::outputs::{Outputs, Rejection};
use crate::passage::unmark;
use crate::stage::Stage;

/// Format of the saved state.
const FORMAT: u32 = 1;
/// Imports that are under way at once, at most; the one whose name sorts first is forgotten, and
/// then is never known to be finished.
const SOURCES_MAX: usize = 4096;

/// A stage that gets heartbeats when they have come through every partition before it.
pub struct Merged<S> {
    stage: S,
    state: State,
    scratch: Vec<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    /// Partitions that heartbeats come through.
    partitions: u32,
    /// By source: the latest time by partition, and the time that was passed on.
    sources: BTreeMap<String, Source>,
    dead_letters: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Source {
    times: Vec<Option<i64>>,
    passed: Option<i64>,
}

impl State {
    /// Takes a heartbeat; the time that has passed now, where it went on.
    fn take(&mut self, source: &str, partition: usize, time: i64) -> Option<i64> {
        let partitions = self.partitions as usize;
        if partition >= partitions {
            return None;
        }
        if !self.sources.contains_key(source) {
            if self.sources.len() >= SOURCES_MAX {
                self.sources.pop_first();
            }
            let times = vec![None; partitions];
            let new = Source {
                times,
                passed: None,
            };
            self.sources.insert(source.to_owned(), new);
        }
        let known = self.sources.get_mut(source)?;
        let latest = known.times.get_mut(partition)?;
        *latest = Some(latest.map_or(time, |latest| latest.max(time)));
        let mut slowest = i64::MAX;
        for time in &known.times {
            slowest = slowest.min((*time)?);
        }
        let passed = known.passed.is_none_or(|passed| slowest > passed);
        known.passed = known.passed.max(Some(slowest));
        // An import that has come through everywhere says nothing more.
        if source != COLLECTOR && known.times.iter().all(|time| *time == Some(slowest)) {
            self.sources.remove(source);
        }
        passed.then_some(slowest)
    }
}

impl<S: Stage> Merged<S> {
    /// `partitions` is how many tasks write the input: the partitions of the topic before.
    pub fn new(stage: S, partitions: u32) -> Merged<S> {
        let state = State {
            partitions,
            sources: BTreeMap::new(),
            dead_letters: 0,
        };
        Merged {
            stage,
            state,
            scratch: Vec::new(),
        }
    }

    fn reject(&mut self, (reason, detail): (&'static str, &str), record: &[u8], out: &mut Outputs) {
        self.state.dead_letters += 1;
        out.reject(&Rejection {
            reason,
            detail,
            site: "",
            time: 0,
            payload: record,
        });
    }
}

impl<S: Stage> Stage for Merged<S> {
    const NAME: &'static str = S::NAME;
    const INPUT: &'static str = S::INPUT;

    fn process(&mut self, offset: u64, record: &[u8], out: &mut Outputs) {
        if !matches!(Record::kind_of(record), Ok(RecordType::Heartbeat)) {
            self.stage.process(offset, record, out);
            return;
        }
        let Ok(Record::Heartbeat(heartbeat)) = Record::decode(record) else {
            // The stage says what is wrong with it.
            self.stage.process(offset, record, out);
            return;
        };
        let Some((source, partition)) = unmark(heartbeat.source) else {
            let detail = format!(
                "heartbeat of {:?} does not say which partition of the topic before it came through",
                heartbeat.source
            );
            self.reject(("unmarked_heartbeat", &detail), record, out);
            return;
        };
        let time = self.state.take(source, partition, heartbeat.event_time);
        let Some(event_time) = time else {
            return;
        };
        let passed = Heartbeat { event_time, source };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        match passed.encode(&mut scratch) {
            Ok(()) => self.stage.process(offset, &scratch, out),
            Err(error) => self.reject(("unwritable", &error.to_string()), record, out),
        }
        self.scratch = scratch;
    }

    fn snapshot(&self) -> Result<Vec<u8>, StateError> {
        to_bytes(FORMAT, &(&self.state, self.stage.snapshot()?))
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        let (state, stage): (State, Vec<u8>) = from_bytes(FORMAT, snapshot)?;
        if state.partitions != self.state.partitions {
            return Err(StateError::Damaged(format!(
                "it is of a pipeline with {} partitions, this one has {}",
                state.partitions, self.state.partitions
            )));
        }
        self.stage.restore(&stage)?;
        self.state = state;
        Ok(())
    }

    fn entries(&self) -> usize {
        self.stage.entries() + self.state.sources.len()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut counts = self.stage.counts();
        counts.push(("heartbeats_unmarked", self.state.dead_letters));
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(partitions: u32) -> State {
        State {
            partitions,
            sources: BTreeMap::new(),
            dead_letters: 0,
        }
    }

    #[test]
    fn time_passes_with_the_slowest() {
        let mut state = state(3);
        assert_eq!(state.take(COLLECTOR, 0, 10), None);
        assert_eq!(state.take(COLLECTOR, 1, 30), None);
        assert_eq!(state.take(COLLECTOR, 2, 20), Some(10));
        assert_eq!(state.take(COLLECTOR, 0, 15), Some(15));
        assert_eq!(state.take(COLLECTOR, 0, 40), Some(20));
        assert_eq!(
            state.take(COLLECTOR, 1, 50),
            None,
            "the slowest is at 20 still"
        );
        assert_eq!(
            state.take(COLLECTOR, 7, 50),
            None,
            "there is no such partition"
        );
    }

    #[test]
    fn an_import_that_is_through_is_forgotten() {
        let mut state = state(2);
        assert_eq!(state.take("access.log", 0, 5), None);
        assert_eq!(state.take("access.log", 1, 5), Some(5));
        assert!(state.sources.is_empty());
    }

    proptest! {
        /// What is passed on is the least of the latest times, never twice, never backwards.
        #[test]
        fn passed_time_is_the_least_latest(beats in prop::collection::vec((0usize..3, 0i64..50), 0..60)) {
            let mut state = state(3);
            let mut latest = [None; 3];
            let mut passed = None;
            for (partition, time) in beats {
                latest[partition] = latest[partition].max(Some(time));
                let least = latest.iter().copied().min().flatten();
                let told = state.take(COLLECTOR, partition, time);
                let expected = least.filter(|least| passed.is_none_or(|passed| *least > passed));
                prop_assert_eq!(told, expected);
                passed = passed.max(told);
            }
        }
    }
}
