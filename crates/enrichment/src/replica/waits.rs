//! What a replica waits for before it could do its work, for whoever asks whether it is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Who is told whether a replica could do its work now.
pub(super) type Ready = Arc<dyn Fn(Result<(), String>) + Send + Sync>;

/// How far the state of a partition is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// It is being made.
    Making,
    /// It waits for the store of saved states.
    StoreAway,
    /// It is there, or nobody waits for it any more.
    Over,
}

/// What a replica waits for, and who is told of it. Clones are one.
#[derive(Clone)]
pub(super) struct Waits {
    ready: Ready,
    state: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// Why the group does not have it; `None` where it has.
    outside: Option<String>,
    /// Partitions that it was given and whose state is being made, with how far that is.
    recovering: BTreeMap<i32, Recovery>,
    /// What was told last.
    told: Option<Result<(), String>>,
}

impl Waiting {
    fn answer(&self) -> Result<(), String> {
        if let Some(why) = &self.outside {
            return Err(why.clone());
        }
        if self.recovering.is_empty() {
            return Ok(());
        }
        let all: BTreeSet<i32> = self.recovering.keys().copied().collect();
        let mut why = format!("making the state anew of partitions {all:?}");
        let is_away = |(_, recovery): &(&i32, &Recovery)| **recovery == Recovery::StoreAway;
        let away = self.recovering.iter().filter(is_away);
        let away: BTreeSet<i32> = away.map(|(partition, _)| *partition).collect();
        if !away.is_empty() {
            // What it answers stands in the log only: some stores send back what they were asked.
            why.push_str(&format!(
                "; the store of states (kafka.states) is away for {away:?}, see the log"
            ));
        }
        Err(why)
    }
}

impl Waits {
    pub(super) fn new(ready: &Ready) -> Waits {
        let waits = Waits {
            ready: Arc::clone(ready),
            state: Arc::default(),
        };
        waits.outside("joining its group");
        waits
    }

    /// The group does not have it, and why.
    pub(super) fn outside(&self, why: &str) {
        self.change(|waiting| waiting.outside = Some(why.to_owned()));
    }

    /// The group has it, and nothing that it was given waits to be taken.
    pub(super) fn inside(&self) {
        self.change(|waiting| waiting.outside = None);
    }

    /// How far the state of a partition is being made.
    pub(super) fn recovering(&self, partition: i32, recovery: Recovery) {
        self.change(|waiting| {
            match recovery {
                Recovery::Over => waiting.recovering.remove(&partition),
                under_way => waiting.recovering.insert(partition, under_way),
            };
        });
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        let answer = waiting.answer();
        if waiting.told.as_ref() != Some(&answer) {
            // Within the lock, so that what is told last is what is.
            (self.ready)(answer.clone());
            waiting.told = Some(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a replica tells, in order.
    fn told(changes: impl FnOnce(&Waits)) -> Vec<Result<(), String>> {
        let told: Arc<Mutex<Vec<Result<(), String>>>> = Arc::default();
        let hears = Arc::clone(&told);
        let ready: Ready = Arc::new(move |answer| hears.lock().expect("whole").push(answer));
        changes(&Waits::new(&ready));
        let told = told.lock().expect("whole");
        told.clone()
    }

    #[test]
    fn who_was_given_nothing_is_ready_once_it_is_in_its_group() {
        let told = told(|waits| {
            waits.outside("waiting for its group to take it in");
            waits.inside();
            waits.inside();
        });
        assert_eq!(told.len(), 3, "each change once: {told:?}");
        assert!(told[0].is_err() && told[1].is_err());
        assert_eq!(told[2], Ok(()));
    }

    #[test]
    fn who_was_given_something_is_ready_once_all_of_it_has_its_state() {
        let told = told(|waits| {
            // Given before it is seen that the group has it.
            waits.recovering(3, Recovery::Making);
            waits.recovering(7, Recovery::Making);
            waits.inside();
            waits.recovering(3, Recovery::Over);
            waits.recovering(7, Recovery::Over);
            // A transaction was given up: the state is made anew.
            waits.recovering(7, Recovery::Making);
            waits.recovering(7, Recovery::Over);
            waits.outside("kafka is away");
            waits.inside();
        });
        let is_ready: Vec<bool> = told.iter().map(Result::is_ok).collect();
        assert_eq!(
            is_ready,
            [false, false, false, true, false, true, false, true],
            "{told:?}"
        );
        let both = told[1].as_ref().expect_err("not ready");
        assert!(both.contains('3') && both.contains('7'), "{both}");
    }

    #[test]
    fn a_store_that_is_away_is_said() {
        let told = told(|waits| {
            waits.inside();
            waits.recovering(3, Recovery::Making);
            waits.recovering(7, Recovery::Making);
            waits.recovering(7, Recovery::StoreAway);
            waits.recovering(7, Recovery::StoreAway);
            waits.recovering(3, Recovery::Over);
            waits.recovering(7, Recovery::Over);
        });
        let says_away = |answer: &Result<(), String>| match answer {
            Ok(()) => None,
            Err(why) => Some(why.contains("kafka.states")),
        };
        let away: Vec<Option<bool>> = told.iter().map(says_away).collect();
        let (not, yes) = (Some(false), Some(true));
        assert_eq!(away, [not, None, not, not, yes, yes, None], "{told:?}");
        let one = told[4].as_ref().expect_err("not ready");
        assert!(one.contains("{3, 7}") && one.contains("{7}"), "{one}");
    }
}
