//! A stage as one of many replicas on Kafka: a thread for each partition that the group gives it.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Pause before work that was given up is done again: what it was given up for may pass.
const PAUSE: Duration = Duration::from_millis(200);

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

/// Who is told whether a replica could do its work now.
type Ready = Arc<dyn Fn(Result<(), String>) + Send + Sync>;

/// What a replica waits for, and who is told of it. Clones are one.
#[derive(Clone)]
struct Waits {
    ready: Ready,
    state: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// Why the group does not have it; `None` where it has.
    outside: Option<String>,
    /// Partitions that it was given and whose state is being made.
    recovering: BTreeSet<i32>,
    /// What was told last.
    told: Option<Result<(), String>>,
}

impl Waits {
    fn new(ready: &Ready) -> Waits {
        let waits = Waits {
            ready: Arc::clone(ready),
            state: Arc::default(),
        };
        waits.outside("joining its group");
        waits
    }

    /// The group does not have it, and why.
    fn outside(&self, why: &str) {
        self.change(|waiting| waiting.outside = Some(why.to_owned()));
    }

    /// The group has it, and nothing that it was given waits to be taken.
    fn inside(&self) {
        self.change(|waiting| waiting.outside = None);
    }

    /// The state of a partition is being made, or no longer.
    fn recovering(&self, partition: i32, is: bool) {
        self.change(|waiting| {
            match is {
                true => waiting.recovering.insert(partition),
                false => waiting.recovering.remove(&partition),
            };
        });
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        let answer = match (&waiting.outside, waiting.recovering.is_empty()) {
            (Some(why), _) => Err(why.clone()),
            (None, true) => Ok(()),
            (None, false) => Err(format!(
                "making the state anew of partitions {:?}",
                waiting.recovering
            )),
        };
        if waiting.told.as_ref() != Some(&answer) {
            // Within the lock, so that what is told last is what is.
            (self.ready)(answer.clone());
            waiting.told = Some(answer);
        }
    }
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
            wait(pause, stop);
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

fn wait(pause: Duration, stop: &StopSignal) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.is_stopped() {
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
    waits.recovering(number, true);
    let told = waits.clone();
    let thread = std::thread::Builder::new()
        .name(format!("{}-{number}", S::NAME))
        .spawn(move || {
            let recovering = |is| told.recovering(number, is);
            let ended = drive_telling(&new, partition, &states, marks, &stop, &recovering);
            recovering(false);
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
            waits.recovering(number, false);
            Err(RunError::Log {
                stage: S::NAME,
                source: LogError::Away(format!("no thread for partition {number}: {error}")),
            })
        }
    }
}

/// Works on one partition until it is wanted back, or the replica stops: recovers the stage from its
/// saved state, then reads, processes and commits. `marks_heartbeats` as in [`ReplicaOptions`].
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

/// The same, telling `recovering` whether the stage's state is being made.
fn drive_telling<S: Stage, P: Partition>(
    new: &impl Fn() -> S,
    mut partition: P,
    states: &StateStore,
    marks_heartbeats: bool,
    stop: &StopSignal,
    recovering: &dyn Fn(bool),
) -> Result<(), RunError> {
    let number = partition.partition();
    loop {
        recovering(true);
        // Nothing is begun, or nothing of what was begun is committed.
        if stop.is_stopped() {
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
            Err((error, _)) => return Err(error),
        };
        recovering(false);
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
/// its input: a stage saves itself every half million records, or when it ends.
pub const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);
/// How long records are kept in topics that Grapevine makes.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

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
            waits.recovering(3, true);
            waits.recovering(7, true);
            waits.inside();
            waits.recovering(3, false);
            waits.recovering(7, false);
            // A transaction was given up: the state is made anew.
            waits.recovering(7, true);
            waits.recovering(7, false);
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
}
