//! A stage as one of many replicas on Kafka: a thread for each partition that the group gives it.

use std::thread::JoinHandle;
use std::time::Duration;

use grapevine_log::kafka::{Connection, Group, KafkaPartition, Membership, topics};
use grapevine_log::{LogError, Partition as _};

use crate::driver::{
    Driver, PATIENCE, READ_BYTES_MAX, RunError, SNAPSHOT_RECORDS_IDLE, StopSignal,
};
use crate::outputs::Outputs;
use crate::stage::Stage;
use crate::states::StateStore;

/// Pause before work that was given up is done again: what it was given up for may pass.
const PAUSE: Duration = Duration::from_millis(200);

/// What a replica works with.
#[derive(Clone)]
pub struct ReplicaOptions {
    /// Where the brokers are.
    pub connection: Connection,
    /// What it joins as; its topics are those of the stage.
    pub membership: Membership,
    /// Partitions of every topic that the stage reads or writes.
    pub partitions: topics::Partitions,
    /// Where states are saved.
    pub states: StateStore,
    /// Heartbeats that it passes on name the partition that they came through. For the stage
    /// before a shuffle.
    pub marks_heartbeats: bool,
}

/// Runs a stage as a replica until it is told to stop. `new` makes the stage with nothing
/// remembered; each partition has its own.
///
/// # Errors
/// What ended it: a partition whose work cannot go on ends the whole replica, so that a supervisor
/// sees it.
pub fn run_replica<S, F>(
    options: &ReplicaOptions,
    new: F,
    stop: &StopSignal,
) -> Result<(), RunError>
where
    S: Stage,
    F: Fn() -> S + Clone + Send + 'static,
{
    let failed = |source| RunError::Log {
        stage: S::NAME,
        source,
    };
    let membership = Membership {
        topics: vec![S::INPUT],
        ..options.membership.clone()
    };
    let group = Group::join(&options.connection, &membership, options.partitions.clone())
        .map_err(failed)?;
    tracing::info!(
        stage = S::NAME,
        replica = membership.replica,
        "joined the group"
    );
    let mut workers: Vec<Worker> = Vec::new();
    let mut outcome = Ok(());
    while !stop.is_stopped() && outcome.is_ok() {
        match group.next_given(PATIENCE) {
            Ok(None) => {}
            Ok(Some(partition)) => {
                let number = partition.partition();
                // An older holder of the same partition is on its way out: one at a time.
                join(
                    &mut workers,
                    |worker| worker.partition == number,
                    &mut outcome,
                );
                tracing::info!(stage = S::NAME, partition = number, "given");
                match work(options, new.clone(), partition, stop) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            Err(source) => outcome = Err(failed(source)),
        }
        join(
            &mut workers,
            |worker| worker.thread.is_finished(),
            &mut outcome,
        );
    }
    stop.stop();
    join(&mut workers, |_| true, &mut outcome);
    group.leave();
    tracing::info!(stage = S::NAME, "left the group");
    outcome
}

/// The thread that works on one partition.
struct Worker {
    partition: i32,
    thread: JoinHandle<Result<(), RunError>>,
}

/// Joins the workers that `which` picks; the first thing that one failed of is kept.
fn join(
    workers: &mut Vec<Worker>,
    which: impl Fn(&Worker) -> bool,
    outcome: &mut Result<(), RunError>,
) {
    let mut at = 0;
    while at < workers.len() {
        if !which(&workers[at]) {
            at += 1;
            continue;
        }
        let worker = workers.swap_remove(at);
        let partition = worker.partition;
        let ended = worker.thread.join();
        let ended = ended.unwrap_or(Err(RunError::Panicked { partition }));
        if let Err(error) = ended {
            tracing::error!(%error, partition, "partition ended");
            if outcome.is_ok() {
                *outcome = Err(error);
            }
        }
    }
}

fn work<S, F>(
    options: &ReplicaOptions,
    new: F,
    partition: KafkaPartition,
    stop: &StopSignal,
) -> Result<Worker, RunError>
where
    S: Stage,
    F: Fn() -> S + Send + 'static,
{
    let number = partition.partition();
    let (states, stop) = (options.states.clone(), stop.clone());
    let marks = options.marks_heartbeats;
    let thread = std::thread::Builder::new()
        .name(format!("{}-{number}", S::NAME))
        .spawn(move || {
            let ended = drive(&new, partition, &states, marks, &stop);
            match ended {
                // It belongs to somebody else now, who goes on from the last commit.
                Err(RunError::Log {
                    source: LogError::Revoked { .. },
                    ..
                }) => {
                    tracing::info!(stage = S::NAME, partition = number, "given up");
                    Ok(())
                }
                ended => ended,
            }
        });
    match thread {
        Ok(thread) => Ok(Worker {
            partition: number,
            thread,
        }),
        Err(error) => Err(RunError::Log {
            stage: S::NAME,
            source: LogError::Away(format!("no thread for partition {number}: {error}")),
        }),
    }
}

/// Works on one partition until it is wanted back, or the replica stops.
fn drive<S: Stage>(
    new: &impl Fn() -> S,
    mut partition: KafkaPartition,
    states: &StateStore,
    marks_heartbeats: bool,
    stop: &StopSignal,
) -> Result<(), RunError> {
    let number = partition.partition();
    loop {
        let mut outputs = Outputs::of_partition(S::NAME, S::INPUT, number);
        if marks_heartbeats {
            outputs.mark_heartbeats();
        }
        let recovered = Driver::recover(new(), outputs, partition, states.of(S::NAME, number));
        let mut driver = match recovered {
            Ok(driver) => driver,
            Err((error, back)) if again(&error) && !stop.is_stopped() => {
                tracing::warn!(%error, "recovering again");
                partition = back;
                std::thread::sleep(PAUSE);
                continue;
            }
            Err((error, _)) => return Err(error),
        };
        loop {
            if stop.is_stopped() || driver.wanted_back() {
                driver.save_after(1)?;
                tracing::info!(
                    stage = S::NAME,
                    partition = number,
                    offset = driver.offset(),
                    "partition ended"
                );
                return Ok(());
            }
            match driver.step(READ_BYTES_MAX, usize::MAX, PATIENCE) {
                Ok(0) => driver.save_after(SNAPSHOT_RECORDS_IDLE)?,
                Ok(_) => {}
                // The state is ahead of the log: it is made anew from what is committed.
                Err(error) if again(&error) => {
                    tracing::warn!(stage = S::NAME, partition = number, %error, "doing it again");
                    partition = driver.into_partition();
                    std::thread::sleep(PAUSE);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// True where doing the work again from the last commit is the answer.
fn again(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Log {
            source: LogError::Aborted(_),
            ..
        }
    )
}

/// How long records of the topics between the stages must be kept at least, for a restart to find
/// its input: a stage saves itself every half million records, or when it ends.
pub const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
/// How long records are kept in topics that Grapevine makes.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
