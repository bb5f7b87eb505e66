//! The sink on Apache Kafka: replicas of one group share the partitions of every topic.
//!
//! What is in flight where, and what happens to it when a partition moves:
//!
//! - Records that were read and not planned: given up; the next owner reads them again.
//! - A batch being inserted: its writer may finish and acknowledge it within the grace of the
//!   [`Membership`]. If it cannot, the plan stands in the group's offsets, and the next owner
//!   finishes it by asking ClickHouse what is there.
//! - A commit of an owner that lost the partition: refused by the log, which knows what this
//!   replica holds, and by the broker, because the group's generation has moved on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use clickhouse::Client;
use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{Connection, Group, KafkaPartition, Membership};
use grapevine_log::{LogError, Partition};
use grapevine_metrics::PartitionLeft;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::error::SinkError;
use crate::input::Input;
use crate::rows::TABLES;
use crate::stop::Stop;
use crate::writer::{self, Shared};
use crate::{CONSUMER_STAGE, Options, startup};

/// How often it is looked at which partitions are wanted back.
const LOOK: Duration = Duration::from_millis(50);
/// First pause before the group is joined again; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// Bytes that the client reads ahead for all partitions together, and bounds of what it reads for
/// one: it counts by partition.
const READ_AHEAD_KIB: u32 = 64 * 1024;
const READ_AHEAD_KIB_MIN: u32 = 256;
const READ_AHEAD_KIB_MAX: u32 = 8 * 1024;

/// Kafka, as a replica of the sink takes part in it.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Where the brokers are. [`read_ahead_kib`] says how far ahead it should read.
    pub connection: Connection,
    /// Group and name; the topics are the sink's own, whatever is written there.
    pub membership: Membership,
    /// How many partitions each topic has.
    pub partitions: Partitions,
    /// Kept at whether the group has taken this replica in, be it that it holds nothing.
    pub is_joined: watch::Sender<bool>,
}

/// How far ahead the client may read for each partition, KiB, so that all of them together stay
/// within some 64 MiB: librdkafka's `queued.max.messages.kbytes`.
///
/// # Errors
/// A topic whose partitions are not known.
pub fn read_ahead_kib(partitions: &Partitions) -> Result<u32, SinkError> {
    let mut all = 0;
    for table in &TABLES {
        all += u32::try_from(partitions.of(table.topic)?).unwrap_or(1);
    }
    Ok((READ_AHEAD_KIB / all.max(1)).clamp(READ_AHEAD_KIB_MIN, READ_AHEAD_KIB_MAX))
}

/// Makes every table remember as many inserts as the writers of its topic's partitions need, where
/// it remembers fewer and keeps the number itself.
///
/// # Errors
/// A topic whose partitions are not known; ClickHouse's own.
pub async fn widen_windows(
    client: &Client,
    partitions: &Partitions,
    options: &Options,
) -> Result<(), SinkError> {
    let client = client.clone().with_database("default");
    for table in TABLES.iter().filter(|table| !table.idempotent) {
        let writers = u64::try_from(partitions.of(table.topic)?).unwrap_or(1);
        startup::widen(&client, table, writers, options).await?;
    }
    Ok(())
}

/// Writes the partitions that the group gives to this replica until `stop` turns true or its
/// sender is gone. The database must have been [`migrate`](crate::migrate)d.
///
/// Kafka and ClickHouse may be away for as long as they like, at the start too: the sink waits,
/// holding at most [`Options::memory_bytes_max`] of rows, and goes on.
///
/// # Errors
/// What needs somebody to do something; see [`SinkError`].
///
/// # Panics
/// Outside a tokio runtime with time and I/O.
pub async fn run_replica(
    replica: Replica,
    client: Client,
    options: Options,
    mut stop: watch::Receiver<bool>,
) -> Result<(), SinkError> {
    let stopping = Stop::new();
    let turned = stopping.clone();
    let stopper = tokio::spawn(async move {
        // An error means that the sender is gone.
        let _ = stop.wait_for(|stop| *stop).await;
        turned.turn();
    });
    let mut pauses = Pauses::up_to(options.pause_max);
    let shared = Shared::new(client, options, 1);
    let outcome = loop {
        if stopping.is_turned() {
            break Ok(());
        }
        match take_part(&replica, &shared, &stopping, &mut pauses).await {
            Err(SinkError::Log(LogError::Away(reason))) if stopping.is_turned() => {
                tracing::warn!(
                    reason,
                    "stopped while kafka is away: what is planned and not acknowledged is asked for after the next start"
                );
                break Ok(());
            }
            Err(SinkError::Log(LogError::Away(reason))) => {
                let pause = pauses.another();
                let pause_ms = pause.as_millis();
                tracing::warn!(
                    reason,
                    pause_ms,
                    "kafka is away: nothing is lost, joining again"
                );
                stopping.pause(pause).await;
            }
            ended => break ended,
        }
    };
    stopper.abort();
    outcome
}

/// Pauses before the group is joined again.
#[derive(Debug)]
struct Pauses {
    next: Duration,
    max: Duration,
}

impl Pauses {
    fn up_to(max: Duration) -> Pauses {
        Pauses {
            next: PAUSE_FIRST.min(max),
            max,
        }
    }

    /// One more: twice as long as the one before.
    fn another(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause
    }

    /// A membership lasted so long. After one that was longer than any pause they begin anew: what
    /// ended it is another matter than what was before.
    fn was_member(&mut self, lasted: Duration) {
        if lasted > self.max {
            *self = Pauses::up_to(self.max);
        }
    }
}

/// One membership of the group, from joining to leaving.
async fn take_part(
    replica: &Replica,
    shared: &Shared,
    stopping: &Stop,
    pauses: &mut Pauses,
) -> Result<(), SinkError> {
    let Replica {
        connection,
        membership,
        partitions,
        is_joined,
    } = replica.clone();
    let grace = membership.grace;
    let membership = Membership {
        topics: crate::topics().collect(),
        ..membership
    };
    let joining = spawn_blocking(move || Group::join(&connection, &membership, partitions));
    let group = tokio::select! {
        joined = joining => Arc::new(joined.map_err(task)??),
        // Nothing is held yet. Whoever waits for the brokers ends with the process.
        () = stopping.turned() => return Ok(()),
    };
    let joined = Instant::now();
    let (sender, given) = mpsc::channel(1);
    let handed = Arc::new(AtomicBool::new(false));
    let hand = spawn_blocking({
        let (group, handed) = (Arc::clone(&group), Arc::clone(&handed));
        move || {
            hand_on(&group, &sender, &handed, &is_joined);
            is_joined.send_replace(false);
        }
    });
    let outcome = Members::new(replica, shared, stopping, given)
        .write(grace)
        .await;
    pauses.was_member(joined.elapsed());
    handed.store(true, Ordering::Relaxed);
    hand.await.map_err(task)?;
    let for_good = stopping.is_turned();
    let left = spawn_blocking(move || {
        // The thread that handed partitions on has ended: this is the only one.
        match Arc::into_inner(group) {
            Some(group) if for_good => group.leave_for_good(),
            Some(group) => group.leave(),
            None => {}
        }
    });
    left.await.map_err(task)?;
    outcome
}

fn task(error: tokio::task::JoinError) -> SinkError {
    SinkError::Task(error.to_string())
}

type Given = Result<KafkaPartition, LogError>;

/// Waits for partitions on a thread of its own, until told or until nobody wants them.
fn hand_on(
    group: &Group,
    given: &mpsc::Sender<Given>,
    handed: &AtomicBool,
    is_joined: &watch::Sender<bool>,
) {
    while !handed.load(Ordering::Relaxed) && !given.is_closed() {
        // Before it is looked at what was given: what came with joining is handed on first.
        let is = group.is_joined();
        let next = match group.next_given(LOOK) {
            Ok(None) => {
                is_joined.send_if_modified(|was| std::mem::replace(was, is) != is);
                continue;
            }
            Ok(Some(partition)) => Ok(partition),
            Err(error) => Err(error),
        };
        let over = next.is_err();
        if given.blocking_send(next).is_err() || over {
            return;
        }
    }
}

/// The writers of one membership.
struct Members<'a> {
    replica: &'a Replica,
    shared: &'a Shared,
    stopping: &'a Stop,
    given: mpsc::Receiver<Given>,
    writers: JoinSet<Result<(), SinkError>>,
    /// What is held, and the signal to its writer. The writer drops it, and so gives it back.
    held: Vec<(Weak<KafkaPartition>, Stop)>,
}

impl<'a> Members<'a> {
    fn new(
        replica: &'a Replica,
        shared: &'a Shared,
        stopping: &'a Stop,
        given: mpsc::Receiver<Given>,
    ) -> Self {
        Members {
            replica,
            shared,
            stopping,
            given,
            writers: JoinSet::new(),
            held: Vec::new(),
        }
    }

    /// Writes what is given, until told to stop or until something fails; then lets writers finish
    /// within the grace.
    async fn write(mut self, grace: Duration) -> Result<(), SinkError> {
        let mut outcome = self.serve().await;
        for (_, stop) in &self.held {
            stop.turn();
        }
        let all = async {
            while let Some(ended) = self.writers.join_next().await {
                let ended = ending(ended);
                if outcome.is_ok() {
                    outcome = ended;
                }
            }
        };
        if timeout(grace, all).await.is_err() {
            tracing::warn!(
                "batches are still under way: their plans stand, the next owner finishes them"
            );
            self.writers.shutdown().await;
        }
        outcome
    }

    async fn serve(&mut self) -> Result<(), SinkError> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.stopping.is_turned() {
            tokio::select! {
                given = self.given.recv() => match given {
                    Some(given) => self.take(given?)?,
                    None => return Err(LogError::Away("the group has ended".to_owned()).into()),
                },
                Some(ended) = self.writers.join_next() => ending(ended)?,
                _ = look.tick() => self.give_back(),
            }
        }
        Ok(())
    }

    fn take(&mut self, partition: KafkaPartition) -> Result<(), SinkError> {
        let table = TABLES.iter().find(|table| table.topic == partition.topic());
        let Some(table) = table else {
            return Ok(());
        };
        let position = match partition.position() {
            Ok(position) => position,
            Err(LogError::Revoked { topic, partition }) => {
                tracing::info!(topic, partition, "partition is gone before it came");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        tracing::info!(
            topic = table.topic,
            partition = partition.partition(),
            offset = position.offset,
            "partition comes"
        );
        let writers = self.replica.partitions.of(table.topic)?;
        let shared = Shared {
            writers: u64::try_from(writers).unwrap_or(1),
            ..self.shared.clone()
        };
        let stop = Stop::new();
        let partition = Arc::new(partition);
        self.held.push((Arc::downgrade(&partition), stop.clone()));
        let input = Input::new(partition, table);
        let leaving = Leaving(PartitionLeft {
            consumer: CONSUMER_STAGE,
            topic: table.topic,
            partition: input.number(),
        });
        self.writers.spawn(async move {
            let _leaving = leaving;
            writer::write(input, shared, stop).await
        });
        Ok(())
    }

    /// Asks the writers of partitions that are wanted elsewhere to finish.
    fn give_back(&mut self) {
        self.held.retain(|(held, stop)| {
            let Some(held) = held.upgrade() else {
                return false;
            };
            if held.wanted_back() && !stop.is_turned() {
                let (topic, partition) = (held.topic(), held.partition());
                tracing::info!(topic, partition, "partition is wanted back");
                stop.turn();
            }
            true
        });
    }
}

/// Tells that a partition is left, however its writer ends: one that is cut off would leave its lag
/// behind.
struct Leaving(PartitionLeft);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.emit();
    }
}

/// How a writer ended. One that lost its partition did what it could.
fn ending(ended: Result<Result<(), SinkError>, tokio::task::JoinError>) -> Result<(), SinkError> {
    match ended.map_err(task)? {
        Err(SinkError::Log(LogError::Revoked { topic, partition })) => {
            tracing::info!(
                topic,
                partition,
                "partition is gone: its next owner finishes"
            );
            Ok(())
        }
        // Given up because it was to stop.
        Err(SinkError::Log(LogError::Aborted(_))) => Ok(()),
        ended => ended,
    }
}

#[cfg(test)]
mod tests {
    use grapevine_metrics::PartitionLag;

    use super::*;
    use crate::stand_in::told;

    #[test]
    fn pauses_grow_with_each_blip_and_begin_anew_after_a_long_membership() {
        let max = Duration::from_secs(1);
        let mut pauses = Pauses::up_to(max);
        let mut after = |lasted| {
            pauses.was_member(lasted);
            pauses.another().as_millis()
        };
        let blip = Duration::from_millis(300);
        assert_eq!([(); 5].map(|()| after(blip)), [200, 400, 800, 1000, 1000]);
        assert_eq!(after(max * 60), 200);
        assert_eq!(after(blip), 400);
        // No longer than the longest, be that shorter than the first.
        assert_eq!(Pauses::up_to(blip / 3).another(), blip / 3);
    }

    #[tokio::test]
    async fn a_writer_that_is_cut_off_takes_its_lag_along() {
        let (consumer, topic, partition) = (CONSUMER_STAGE, TABLES[2].topic, 77);
        PartitionLag {
            consumer,
            topic,
            partition,
            records: 5,
        }
        .emit();
        let series = format!(
            "grapevine_consumer_lag_records{{consumer=\"sink\",topic=\"{topic}\",partition=\"77\"}}"
        );
        assert_eq!(told(&series), Some(5.0));
        let leaving = Leaving(PartitionLeft {
            consumer,
            topic,
            partition,
        });
        let mut writers = JoinSet::new();
        writers.spawn(async move {
            let _leaving = leaving;
            std::future::pending::<()>().await;
        });
        writers.shutdown().await;
        assert_eq!(told(&series), None);
    }
}
