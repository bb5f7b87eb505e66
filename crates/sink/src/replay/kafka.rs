//! Letters of a Kafka home.

use std::time::{Duration, Instant};

use grapevine_event::topic;
use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{Connection, Group, KafkaPartition, Membership};
use grapevine_log::{Durability, LogError, Partition, Position};

use super::window::Batch;
use super::{Found, Place, REPLAY, Replay};
use crate::audit::{KafkaView, LogView};
use crate::error::SinkError;

/// How long the group may take to give the replay its seat.
const SEAT_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// How often a commit is made that the brokers give up, at most.
const TRIES: u32 = 10;
/// Pause before a commit is made again: twice as long each time, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// Sends the letters of a Kafka home back: every one that the topic of dead letters still holds.
/// With `dry_run` it says what it would send.
///
/// One process at a time does this: a second one that starts takes over, and what the first had
/// not committed is not there.
///
/// # Errors
/// Kafka's own; another process that took over. Letters that went until then have their marks: the
/// next run sends the rest.
pub fn replay_on_kafka(
    connection: &Connection,
    sink: Membership,
    partitions: Partitions,
    view: &KafkaView,
    mut replay: Replay,
    dry_run: bool,
) -> Result<Found, SinkError> {
    let membership = Membership {
        group: format!("{}.{REPLAY}", sink.group),
        replica: REPLAY.to_owned(),
        topics: vec![topic::DEAD_LETTERS],
        ..sink
    };
    let count = partitions.of(topic::DEAD_LETTERS)?;
    // Whoever was at it before is fenced first: its marks are there by now, or never will be.
    let seat = match dry_run {
        true => None,
        false => Some(Seat::take(connection, &membership, partitions)?),
    };
    // A mark behind another's open transaction would not be seen, and its letter be sent again.
    view.settled(topic::DEAD_LETTERS, 0..count)?;
    for partition in 0..count {
        let kept = view.kept(topic::DEAD_LETTERS, partition)?;
        view.records(
            topic::DEAD_LETTERS,
            partition,
            kept,
            &mut |offset, record| {
                replay.add(Place { partition, offset }, record);
            },
        )?;
    }
    let found = replay.found();
    match seat {
        None => Ok(found),
        Some(seat) => {
            let sent = seat.send(replay, view, found);
            seat.leave();
            sent
        }
    }
}

/// The one member of the replay's group, for the sake of its transactions.
struct Seat {
    group: Group,
    partition: KafkaPartition,
}

impl Seat {
    fn take(
        connection: &Connection,
        membership: &Membership,
        partitions: Partitions,
    ) -> Result<Seat, SinkError> {
        let group = Group::join(connection, membership, partitions)?;
        let deadline = Instant::now() + SEAT_MAX;
        loop {
            match group.next_given(LOOK) {
                Ok(Some(partition)) => return Ok(Seat { group, partition }),
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => {
                    group.leave();
                    return Err(LogError::Away("the group gives no partition".to_owned()).into());
                }
                Err(error) => {
                    group.leave();
                    return Err(error.into());
                }
            }
        }
    }

    /// Sends what was found, and says what of it went.
    fn send(
        &self,
        mut replay: Replay,
        view: &KafkaView,
        mut found: Found,
    ) -> Result<Found, SinkError> {
        while let Some(mut window) = replay.next_window() {
            for (partition, range) in window.ranges() {
                view.records(topic::DEAD_LETTERS, partition, range, &mut |_, record| {
                    window.take(record);
                })?;
            }
            window.gone().for_each(|source| found.lost(source));
            for batch in window.into_batches() {
                until_done(PAUSE, || self.commit(&batch))?;
            }
        }
        Ok(found)
    }

    /// Makes one commit. The offset stays: what was sent is told by marks.
    fn commit(&self, batch: &Batch) -> Result<(), SinkError> {
        let Position { offset, metadata } = self.partition.position()?;
        let to = Position {
            offset,
            metadata: batch.metadata(&metadata),
        };
        // Made anew each time: what is left of one that was given up is not to be relied on.
        let mut commit = batch.commit()?;
        (self.partition).commit(&mut commit, offset, to, Durability::Durable)?;
        Ok(())
    }

    fn leave(self) {
        let Seat { group, partition } = self;
        drop(partition);
        // Partitions that came later are given back unused.
        while let Ok(Some(unused)) = group.next_given(Duration::ZERO) {
            drop(unused);
        }
        group.leave();
    }
}

/// Makes a commit again that was given up, of which nothing is on the log.
fn until_done(
    mut pause: Duration,
    mut commit: impl FnMut() -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let mut left = TRIES - 1;
    loop {
        match commit() {
            Err(SinkError::Log(LogError::Aborted(reason))) if left > 0 => {
                tracing::warn!(reason, left, "a commit of letters was given up: again");
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MAX);
                left -= 1;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_was_given_up_is_made_again_and_not_for_ever() {
        let aborted = || SinkError::Log(LogError::Aborted("by the test".to_owned()));
        for (aborts, tries, comes_through) in [(0, 1, true), (3, 4, true), (TRIES, TRIES, false)] {
            let mut tried = 0;
            let outcome = until_done(Duration::ZERO, || {
                tried += 1;
                match tried > aborts {
                    true => Ok(()),
                    false => Err(aborted()),
                }
            });
            assert_eq!((tried, outcome.is_ok()), (tries, comes_through));
        }
    }

    #[test]
    fn what_is_no_abort_is_told_at_once() {
        let mut tried = 0;
        let outcome = until_done(Duration::ZERO, || {
            tried += 1;
            Err(LogError::Away("by the test".to_owned()).into())
        });
        let away = matches!(outcome, Err(SinkError::Log(LogError::Away(_))));
        assert!(away, "{outcome:?}");
        assert_eq!(tried, 1);
    }
}
