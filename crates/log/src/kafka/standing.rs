//! Whether a replica is in its group.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;

use super::group::GroupCalls;

/// How long one question to the group's coordinator may take.
const ASK: Duration = Duration::from_secs(2);
/// How long after its answer a coordinator may take to deal something out: the heartbeat of a member
/// where nobody changed it (`group.consumer.heartbeat.interval.ms`).
const SETTLED: Duration = Duration::from_secs(5);
/// Between two looks, and how soon a stop is seen.
const LOOK: Duration = Duration::from_millis(200);

/// Whether a replica is in its group.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<Place>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The group has not been heard yet.
    #[default]
    Outside,
    /// It has said what this replica holds, be that nothing.
    Inside,
    /// Partitions were lost, and nothing was heard since.
    Lost(Instant),
}

impl Standing {
    /// The group has dealt.
    pub(super) fn dealt(&self) {
        *self.place() = Place::Inside;
    }

    /// Partitions were lost: the group goes on without this replica.
    pub(super) fn lost(&self) {
        *self.place() = Place::Lost(Instant::now());
    }

    /// Whether the replica is in the group.
    pub(super) fn is_inside(&self) -> bool {
        *self.place() == Place::Inside
    }

    /// Whether partitions were lost, and nothing was heard of the group for longer than `patience`.
    /// Said once.
    pub(super) fn is_unheard(&self, patience: Duration) -> bool {
        let mut place = self.place();
        let is_unheard = matches!(*place, Place::Lost(since) if since.elapsed() > patience);
        if is_unheard {
            *place = Place::Outside;
        }
        is_unheard
    }

    /// Asks the group's coordinator until it has answered, and waits whether it deals something out
    /// then; until `stop`. For the protocol in which the coordinator deals by itself: a member that is
    /// to hold nothing is told nothing (librdkafka 2.12.1 calls nobody for an assignment that stays
    /// empty), so the answer has to do.
    pub(super) fn watch(
        &self,
        consumer: &Weak<BaseConsumer<GroupCalls>>,
        topic: &str,
        stop: &AtomicBool,
    ) {
        let mut asked = TopicPartitionList::with_capacity(1);
        asked.add_partition(topic, 0);
        let mut answered: Option<Instant> = None;
        while !stop.load(Ordering::Acquire) {
            if !self.is_outside() {
                answered = None;
            } else if let Some(since) = answered {
                if since.elapsed() >= SETTLED {
                    self.taken_in();
                }
            } else {
                // Held only for the question: who leaves the group waits for nobody here.
                let Some(consumer) = consumer.upgrade() else {
                    return;
                };
                let answer = consumer.committed_offsets(asked.clone(), ASK);
                answered = is_answered(&answer).then(Instant::now);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn is_outside(&self) -> bool {
        *self.place() == Place::Outside
    }

    /// The coordinator has answered. What was lost meanwhile stays so until something is dealt.
    fn taken_in(&self) {
        let mut place = self.place();
        if *place == Place::Outside {
            *place = Place::Inside;
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_answered(answer: &KafkaResult<TopicPartitionList>) -> bool {
    answer.as_ref().is_ok_and(|offsets| {
        let offsets = offsets.elements();
        offsets.iter().all(|offset| offset.error().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn inside_is_who_was_dealt_to_and_has_not_lost_it() {
        let standing = Standing::default();
        assert!(!standing.is_inside());
        standing.dealt();
        assert!(standing.is_inside());
        standing.lost();
        assert!(!standing.is_inside());
        standing.dealt();
        assert!(standing.is_inside());
    }

    #[test]
    fn a_loss_that_nothing_follows_is_said_once() {
        let standing = Standing::default();
        assert!(!standing.is_unheard(Duration::ZERO), "nothing is lost");
        standing.lost();
        assert!(!standing.is_unheard(LONG));
        std::thread::sleep(Duration::from_millis(2));
        assert!(standing.is_unheard(Duration::ZERO));
        assert!(!standing.is_unheard(Duration::ZERO));
        assert!(!standing.is_inside());
    }

    #[test]
    fn an_answer_takes_in_who_is_outside_and_gives_nothing_back_that_was_lost() {
        let standing = Standing::default();
        standing.taken_in();
        assert!(standing.is_inside());
        standing.lost();
        standing.taken_in();
        assert!(!standing.is_inside());
    }
}
