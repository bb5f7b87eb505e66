//! A stage as one of many replicas on Kafka: a thread for each partition that the group gives it.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use grapevine_log::kafka::{Connection, Group, KafkaPartition, Membership, topics};
use grapevine_log::{LogError, Partition};
use grapevine_metrics::PartitionLeft;

use crate::driver::{
    Driver, PATIENCE, READ_BYTES_MAX, RunError, SNAPSHOT_RECORDS_IDLE, StopSignal,
};
use crate::outputs::Outputs;
use crate::stage::Stage;
use crate::states::StateStore;

mod waits;

use waits::{Ready, Recovery, Waits};

/// Pause before work that was given up is done again: what it was given up for may pass.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two tries to load a state while its store is away: this, then twice as long each, up to
/// the second. A try may itself last as long as the store's client is patient.
const AWAY_FIRST: Duration = Duration::from_secs(1);
const AWAY_MAX: Duration = Duration::from_secs(30);

/// Between two looks at threads that are ending.
const LOOK: Duration = Duration::from_millis(10);
/// How long workers may take to end once nobody waits for their commits any more.
const ENDING: Duration = Duration::from_millis(300);
/// Between two tries to join again: this, then twice as long each, up to the second. A membership
/// that lasted longer than that begins anew.
const REJOIN_FIRST: Duration = Duration::from_millis(500);
const REJOIN_MAX: Duration = Duration::from_secs(10);

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
    /// Told whether the replica could do its work now, whenever that changes: its group has taken it
    /// in, and the state of each partition that it was given is there. A replica that was given none
    /// could. `Err` says what it waits for.
    pub ready: Ready,
}

/// Runs a stage as a replica until it is told to stop. `new` makes the stage with nothing
/// remembered; each partition has its own. Where the brokers go away, or the client goes deaf, it
/// joins its group again.
///
/// # Errors
/// What ended it: brokers that are away at the start, and a partition whose work cannot go on,
/// which ends the whole replica, so that a supervisor sees it.
pub fn run_replica<S, F>(
    options: &ReplicaOptions,
    new: F,
    stop: &StopSignal,
) -> Result<(), RunError>
where
    S: Stage + 'static,
    F: Fn() -> S + Clone + Send + 'static,
{
    let waits = Waits::new(&options.ready);
    let Some(mut group) = join_group::<S>(options, stop)? else {
        return Ok(());
    };
    let mut pause = REJOIN_FIRST;
    loop {
        let began = Instant::now();
        let outcome = take_part(options, &new, (&group, &waits), stop);
        if stop.is_stopped() {
            group.leave_for_good();
        } else {
            group.leave();
        }
        tracing::info!(stage = S::NAME, "left the group");
        let reason = match outcome {
            Err(RunError::Log {
                source: LogError::Away(reason),
                ..
            }) if stop.is_stopped() => {
                tracing::warn!(
                    stage = S::NAME,
                    reason,
                    "stopped while kafka is away: what is not committed is done again after the next start"
                );
                return Ok(());
            }
            Err(RunError::Log {
                source: LogError::Away(reason),
                ..
            }) => reason,
            ended => {
                // The other stages of the process end with it.
                stop.stop();
                return ended;
            }
        };
        if began.elapsed() > REJOIN_MAX {
            pause = REJOIN_FIRST;
        }
        waits.outside(&format!("joining its group again: {reason}"));
        group = loop {
            tracing::warn!(
                stage = S::NAME,
                reason,
                pause_ms = pause.as_millis(),
                "kafka is away: nothing is lost, joining again"
            );
            wait(pause, || stop.is_stopped());
            if stop.is_stopped() {
                return Ok(());
            }
            pause = (pause * 2).min(REJOIN_MAX);
            match join_group::<S>(options, stop) {
                Ok(Some(group)) => break group,
                Ok(None) => return Ok(()),
                Err(RunError::Log {
                    source: LogError::Away(_),
                    ..
                }) => {}
                Err(error) => {
                    stop.stop();
                    return Err(error);
                }
            }
        };
    }
}

/// Waits so long, or until it is to end.
fn wait(pause: Duration, is_over: impl Fn() -> bool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !is_over() {
        std::thread::sleep(PATIENCE.min(pause));
    }
}

fn failed<S: Stage>(source: LogError) -> RunError {
    RunError::Log {
        stage: S::NAME,
        source,
    }
}

/// Joins, on a thread that is left to itself where the replica is told to stop before the brokers answer:
/// `None` then. It ends with the process, and holds nothing.
fn join_group<S: Stage>(
    options: &ReplicaOptions,
    stop: &StopSignal,
) -> Result<Option<Group>, RunError> {
    let membership = Membership {
        topics: vec![S::INPUT],
        ..options.membership.clone()
    };
    let replica = membership.replica.clone();
    let (connection, partitions) = (options.connection.clone(), options.partitions.clone());
    let (told, joined) = sync_channel(1);
    std::thread::Builder::new()
        .name(format!("{}-joins", S::NAME))
        .spawn(move || {
            // Nobody listens where it is to stop.
            let _ = told.send(Group::join(&connection, &membership, partitions));
        })
        .map_err(|error| failed::<S>(LogError::Away(format!("no thread: {error}"))))?;
    let group = loop {
        match joined.recv_timeout(PATIENCE) {
            Ok(group) => break group.map_err(failed::<S>)?,
            Err(RecvTimeoutError::Timeout) if stop.is_stopped() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let ended = "the thread that joins the group has ended".to_owned();
                return Err(failed::<S>(LogError::Away(ended)));
            }
        }
    };
    tracing::info!(stage = S::NAME, replica, "joined the group");
    Ok(Some(group))
}

/// One membership of the group: works on what is given until told to stop, or until something
/// fails.
fn take_part<S, F>(
    options: &ReplicaOptions,
    new: &F,
    (group, waits): (&Group, &Waits),
    stop: &StopSignal,
) -> Result<(), RunError>
where
    S: Stage + 'static,
    F: Fn() -> S + Clone + Send + 'static,
{
    let leaving = StopSignal::new();
    let mut workers: Vec<Worker> = Vec::new();
    let mut outcome = Ok(());
    while !stop.is_stopped() && outcome.is_ok() {
        // Before it is looked at what was given: what came with joining is not overlooked.
        let is_joined = group.is_joined();
        match group.next_given(PATIENCE) {
            Ok(None) if is_joined => waits.inside(),
            Ok(None) => waits.outside("waiting for its group to take it in"),
            Ok(Some(partition)) => {
                let number = partition.partition();
                // An older holder of the same partition is on its way out: one at a time.
                join(
                    &mut workers,
                    |worker| worker.partition == number,
                    &mut outcome,
                );
                tracing::info!(stage = S::NAME, partition = number, "given");
                match work(options, new.clone(), (partition, waits), &leaving) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => outcome = outcome.and(Err(error)),
                }
            }
            Err(source) => outcome = Err(failed::<S>(source)),
        }
        join(
            &mut workers,
            |worker| worker.thread.is_finished(),
            &mut outcome,
        );
    }
    leaving.stop();
    let deadline = Instant::now() + options.membership.grace;
    let at_work = |workers: &[Worker]| workers.iter().any(|worker| !worker.thread.is_finished());
    while at_work(&workers) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    if at_work(&workers) {
        group.abandon_commits();
    }
    if !stop.is_stopped() {
        join(&mut workers, |_| true, &mut outcome);
        return outcome;
    }
    // The process ends, and with it whoever still waits for the brokers.
    let deadline = Instant::now() + ENDING;
    while at_work(&workers) && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    join(
        &mut workers,
        |worker| worker.thread.is_finished(),
        &mut outcome,
    );
    for worker in &workers {
        tracing::warn!(
            stage = S::NAME,
            partition = worker.partition,
            "still at work: its next owner goes on from the last commit"
        );
    }
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
    (partition, waits): (KafkaPartition, &Waits),
    stop: &StopSignal,
) -> Result<Worker, RunError>
where
    S: Stage + 'static,
    F: Fn() -> S + Send + 'static,
{
    let number = partition.partition();
    let (states, stop) = (options.states.clone(), stop.clone());
    let marks = options.marks_heartbeats;
    waits.recovering(number, Recovery::Making);
    let told = waits.clone();
    let thread = std::thread::Builder::new()
        .name(format!("{}-{number}", S::NAME))
        .spawn(move || {
            let recovering = |recovery| told.recovering(number, recovery);
            let ended = drive_telling(&new, partition, &states, marks, &stop, &recovering);
            recovering(Recovery::Over);
            PartitionLeft {
                consumer: S::NAME,
                topic: S::INPUT,
                partition: number,
            }
            .emit();
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
        Err(error) => {
            waits.recovering(number, Recovery::Over);
            Err(RunError::Log {
                stage: S::NAME,
                source: LogError::Away(format!("no thread for partition {number}: {error}")),
            })
        }
    }
}

/// Works on one partition until it is wanted back, or the replica stops: recovers the stage from its
/// saved state, then reads, processes and commits. `marks_heartbeats` as in [`ReplicaOptions`]. It
/// waits for a store of states that is away.
///
/// # Errors
/// What the work cannot go on for.
pub fn drive<S: Stage, P: Partition>(
    new: &impl Fn() -> S,
    partition: P,
    states: &StateStore,
    marks_heartbeats: bool,
    stop: &StopSignal,
) -> Result<(), RunError> {
    drive_telling(new, partition, states, marks_heartbeats, stop, &|_| {})
}

/// The same, telling `recovering` how far the stage's state is being made.
fn drive_telling<S: Stage, P: Partition>(
    new: &impl Fn() -> S,
    mut partition: P,
    states: &StateStore,
    marks_heartbeats: bool,
    stop: &StopSignal,
    recovering: &dyn Fn(Recovery),
) -> Result<(), RunError> {
    let number = partition.partition();
    let (mut recovery, mut away) = (Recovery::Making, AWAY_FIRST);
    loop {
        recovering(recovery);
        // Nothing is begun, or nothing of what was begun is committed.
        if stop.is_stopped() || partition.wanted_back() {
            return Ok(());
        }
        let mut outputs = Outputs::of_partition(S::NAME, S::INPUT, number);
        if marks_heartbeats {
            outputs.mark_heartbeats();
        }
        let recovered = Driver::recover(new(), outputs, partition, states.of(S::NAME, number));
        let mut driver = match recovered {
            Ok(driver) => driver,
            Err((error, back)) if again(&error) => {
                tracing::warn!(%error, "recovering again");
                partition = back;
                std::thread::sleep(PAUSE);
                continue;
            }
            // Ended here, each transaction that is given up while the store is away would take the
            // whole process with it.
            Err((error, back)) if error.is_of_states_away() => {
                tracing::warn!(
                    partition = number,
                    %error,
                    pause_ms = away.as_millis(),
                    "the store of states is away: trying again"
                );
                partition = back;
                recovery = Recovery::StoreAway;
                recovering(recovery);
                wait(away, || stop.is_stopped() || partition.wanted_back());
                away = (away * 2).min(AWAY_MAX);
                continue;
            }
            Err((error, _)) => return Err(error),
        };
        (recovery, away) = (Recovery::Making, AWAY_FIRST);
        recovering(Recovery::Over);
        loop {
            if stop.is_stopped() || driver.wanted_back() {
                driver.save_last()?;
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
            source: LogError::Aborted(_) | LogError::Registry(_),
            ..
        }
    )
}

/// How long records of the topics between the stages must be kept at least, for a restart to find
/// its input: what was processed is saved within the hour, so a replica that was killed may stay
/// away for the rest of the day.
pub const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
/// How long records are kept in topics that Grapevine makes.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests;
