//! The loop that drives a stage over the log: read, process, commit outputs and position at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use grapevine_log::{Durability, LocalPartition, Log, LogError, Partition, Position};
use grapevine_metrics::{
    CommitEnd, CommitEnded, PartitionLag, SnapshotFailed, SnapshotSaved, StateReplayed, StateSize,
    StepDone,
};
use thiserror::Error;

use crate::outputs::Outputs;
use crate::snapshot::{InLog, SavedStateError, SavedStates, counts_key, offset_of, snapshot_key};
use crate::stage::Stage;

/// Unpacked bytes that one read asks for: some ten thousand hits.
pub(crate) const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an idle stage waits for a record before it looks at its [`StopSignal`] again.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// How often a stage says how far it is behind: on Kafka that is a question to the broker.
const LAG_EVERY: Duration = Duration::from_secs(1);
/// Records between two snapshots at least: what a restart has to replay, some seconds.
const SNAPSHOT_RECORDS_MIN: u64 = 500_000;
/// Records between two snapshots for each thing remembered, so that the cost of snapshots stays
/// a small part of the cost of processing, whatever the state's size.
const SNAPSHOT_RECORDS_PER_ENTRY: u64 = 2;
/// An idle stage saves itself after this many records.
pub(crate) const SNAPSHOT_RECORDS_IDLE: u64 = 10_000;
/// After a save that failed: this until the next try, then twice as long each, up to the second. A
/// try may hold its partition up for some ten seconds; when a state is saved changes no output.
const SAVE_AGAIN: Duration = Duration::from_secs(60);
const SAVE_AGAIN_MAX: Duration = Duration::from_secs(300);

/// Why a stage ended. The log is as the last commit left it: starting again goes on from there.
#[derive(Debug, Error)]
pub enum RunError {
    /// The log failed.
    #[error("stage {stage}: {source}")]
    Log {
        /// The stage.
        stage: &'static str,
        /// What the log says.
        #[source]
        source: LogError,
    },
    /// The saved state cannot be used.
    #[error("stage {stage}: its saved state cannot be used: {source}")]
    Saved {
        /// The stage.
        stage: &'static str,
        /// Why not.
        #[source]
        source: SavedStateError,
    },
    /// The input between the saved state and the committed offset is gone.
    #[error(
        "stage {stage}, partition {partition}: its saved state covers offset {saved}, and the input is kept from offset {first} only: what lies between is needed. Bring back a newer saved state, or give the input topic a longer retention; to go on without what was remembered, delete the saved states of the stage and set the group's offsets anew to where they stand (kafka-consumer-groups --reset-offsets): without a group it would begin with what was counted already"
    )]
    Trimmed {
        /// The stage.
        stage: &'static str,
        /// Partition of its input.
        partition: i32,
        /// Offset that the saved state covers; 0 where there is none.
        saved: u64,
        /// First offset kept.
        first: u64,
    },
    /// Nothing is committed, and yet there is a saved state: offsets that were committed are gone.
    /// An offset that was set by hand is believed where it is not below that state.
    #[error(
        "stage {stage}, partition {partition}: a saved state covers offset {saved}, and the consumer group has no offset of its own, so that it would begin at {first}: the group was deleted, had no members for offsets.retention.minutes, or was set back. What was processed would be counted twice. Set the group's offset of every partition to where it stood (kafka-consumer-groups --reset-offsets): that is {saved} here where the last replica was stopped, more where it was killed; or, to start anew, delete groups, saved states, the output topics and the tables that they went to (docs/kafka.md)"
    )]
    Forgotten {
        /// The stage.
        stage: &'static str,
        /// Partition of its input.
        partition: i32,
        /// Offset that the newest saved state covers.
        saved: u64,
        /// Where it would begin.
        first: u64,
    },
    /// A thread panicked: a defect.
    #[error("the thread of partition {partition} panicked")]
    Panicked {
        /// The partition.
        partition: i32,
    },
    /// The input ends before the committed offset.
    #[error(
        "stage {stage}: its input ends at offset {end}, and {committed} is committed: the log is not the one that was read"
    )]
    Behind {
        /// The stage.
        stage: &'static str,
        /// Where the input ends.
        end: u64,
        /// Offset that is committed.
        committed: u64,
    },
    /// The saved state is of a later offset than the log knows.
    #[error(
        "stage {stage}: its saved state covers offset {snapshot}, the log stands at {committed}: the log is not the one it was saved with"
    )]
    Ahead {
        /// The stage.
        stage: &'static str,
        /// Offset that the snapshot covers.
        snapshot: u64,
        /// Offset that is committed.
        committed: u64,
    },
}

/// Asks a running stage to end. Clones are one signal.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<AtomicU8>);

// 0, the default, is going on.
const DRAINING: u8 = 1;
const STOPPED: u8 = 2;

impl StopSignal {
    /// A signal that says: go on.
    pub fn new() -> Self {
        StopSignal::default()
    }

    /// Ends the stage once its input is used up. Stop the stages in the order of the data flow.
    pub fn drain(&self) {
        self.0.fetch_max(DRAINING, Ordering::Relaxed);
    }

    /// Ends the stage after the batch at hand.
    pub fn stop(&self) {
        self.0.fetch_max(STOPPED, Ordering::Relaxed);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    /// True once the stage is to end after the batch at hand.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state() == STOPPED
    }
}

/// Runs a stage until it is told to stop: recovers its state, then processes what comes. On the
/// way out the state is saved, so that the next start replays nothing.
///
/// Commits are [`Durability::Replayable`]; a crash may undo the latest of them, and processing
/// the same input again gives the same bytes at the same offsets.
///
/// # Errors
/// The log's own, and saved state that cannot be used.
pub fn run<S: Stage>(stage: S, log: &Log, stop: &StopSignal) -> Result<(), RunError> {
    let mut driver = Driver::open(stage, log)?;
    loop {
        let state = stop.state();
        if state == STOPPED {
            break;
        }
        let taken = driver.step(READ_BYTES_MAX, usize::MAX, PATIENCE)?;
        if taken == 0 {
            if state == DRAINING {
                break;
            }
            driver.save_after(SNAPSHOT_RECORDS_IDLE)?;
        }
    }
    driver.save_last()?;
    tracing::info!(stage = S::NAME, offset = driver.offset(), "stage ended");
    Ok(())
}

/// How many records a consumer is behind the end of its input.
///
/// # Errors
/// Those of the log.
pub fn lag(log: &Log, consumer: &str, input: &str) -> Result<u64, LogError> {
    let offset = log.position(consumer, input)?.offset;
    Ok(log.end(input)?.saturating_sub(offset))
}

/// What a stage left out or could not use since the beginning of the log, by name.
///
/// # Errors
/// Those of the log.
pub fn counts(log: &Log, consumer: &str) -> Result<BTreeMap<String, u64>, LogError> {
    let value = log.value(counts_key(consumer).as_bytes())?;
    let text = String::from_utf8(value.unwrap_or_default()).unwrap_or_default();
    let parse = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// Offset that a stage's saved state covers: its input is needed from there on. 0 where nothing
/// is saved.
///
/// # Errors
/// Those of the log.
pub fn snapshot_offset(log: &Log, consumer: &str) -> Result<u64, LogError> {
    // Asked every few seconds, of a state of many megabytes.
    let saved = log.value_with(snapshot_key(consumer).as_bytes(), offset_of)?;
    Ok(saved.flatten().unwrap_or_default())
}

/// A stage with its place in a partition.
pub struct Driver<S, P, K> {
    partition: P,
    saved_states: K,
    stage: S,
    outputs: Outputs,
    /// Next offset to process; everything before it is committed.
    offset: u64,
    /// Records processed since the state was saved.
    since_saved: u64,
    /// Where the last save failed: when the next may be tried, and the pause before that.
    held_off: Option<(Instant, Duration)>,
    /// When the lag was told last.
    lag_told: Option<Instant>,
}

impl<'l, S: Stage> Driver<S, LocalPartition<&'l Log>, InLog<'l>> {
    /// Recovers the stage in the local log.
    ///
    /// # Errors
    /// The log's own, and saved state that cannot be used.
    pub fn open(stage: S, log: &'l Log) -> Result<Self, RunError> {
        let partition = LocalPartition::new(log, S::NAME, S::INPUT);
        let outputs = Outputs::new(S::NAME, S::INPUT);
        Driver::recover(stage, outputs, partition, InLog::new(log, S::NAME))
            .map_err(|(error, _)| error)
    }
}

impl<S: Stage, P: Partition, K: SavedStates> Driver<S, P, K> {
    /// Recovers the stage: newest saved state, then the input up to the committed offset again,
    /// without emitting.
    ///
    /// # Errors
    /// The log's own, saved state that cannot be used, and input that is no longer kept; with the
    /// partition, to be given back.
    pub(crate) fn recover(
        stage: S,
        outputs: Outputs,
        partition: P,
        saved_states: K,
    ) -> Result<Self, (RunError, P)> {
        let mut driver = Driver {
            partition,
            saved_states,
            stage,
            outputs,
            offset: 0,
            since_saved: 0,
            held_off: None,
            lag_told: None,
        };
        match driver.catch_up() {
            Ok(()) => Ok(driver),
            Err(error) => Err((error, driver.partition)),
        }
    }

    fn catch_up(&mut self) -> Result<(), RunError> {
        let position = self.partition.position().map_err(failed::<S>)?;
        let committed = position.offset;
        let unusable = |source| RunError::Saved {
            stage: S::NAME,
            source,
        };
        if position.metadata.is_empty()
            && let Some(saved) = self.saved_states.beyond(committed).map_err(unusable)?
        {
            // Whoever holds the partition by now may have saved it.
            if self.partition.wanted_back() {
                return Err(self.revoked());
            }
            return Err(RunError::Forgotten {
                stage: S::NAME,
                partition: self.partition.partition(),
                saved,
                first: committed,
            });
        }
        let newest = self.saved_states.newest(committed).map_err(unusable)?;
        if let Some((covered, state)) = newest {
            if covered > committed {
                return Err(RunError::Ahead {
                    stage: S::NAME,
                    snapshot: covered,
                    committed,
                });
            }
            let restored = self.stage.restore(&state);
            restored.map_err(|source| unusable(source.into()))?;
            self.offset = covered;
        } else if !K::IN_COMMIT && position.metadata.is_empty() {
            // Never committed: it starts with the first record that is kept.
            self.offset = committed;
        }
        self.replay(committed)
    }

    fn revoked(&self) -> RunError {
        failed::<S>(LogError::Revoked {
            topic: S::INPUT.to_owned(),
            partition: self.partition.partition(),
        })
    }

    fn replay(&mut self, committed: u64) -> Result<(), RunError> {
        if self.offset >= committed {
            return Ok(());
        }
        let started = Instant::now();
        let from = self.offset;
        tracing::info!(
            stage = S::NAME,
            partition = self.partition.partition(),
            from,
            to = committed,
            "replaying"
        );
        self.outputs.mute(true);
        let mut processed = 0;
        while self.offset < committed {
            if self.partition.wanted_back() {
                return Err(self.revoked());
            }
            let batch = self
                .partition
                .read(self.offset, READ_BYTES_MAX)
                .map_err(|error| self.unreplayable(error))?;
            if batch.is_empty() {
                let end = self.offset;
                return Err(RunError::Behind {
                    stage: S::NAME,
                    end,
                    committed,
                });
            }
            for (offset, record) in batch.iter().take_while(|(offset, _)| *offset < committed) {
                self.outputs.begin(offset);
                self.stage.process(offset, record, &mut self.outputs);
                self.since_saved += 1;
                processed += 1;
            }
            self.offset = batch.next_offset().min(committed);
        }
        self.outputs.mute(false);
        StateReplayed {
            stage: S::NAME,
            partition: self.partition.partition(),
            records: processed,
            took: started.elapsed(),
        }
        .emit();
        Ok(())
    }

    /// Why input could not be read again.
    fn unreplayable(&self, error: LogError) -> RunError {
        match error {
            LogError::Trimmed { first, .. } => RunError::Trimmed {
                stage: S::NAME,
                partition: self.partition.partition(),
                saved: self.offset,
                first,
            },
            error => failed::<S>(error),
        }
    }

    /// The partition, to be read from another state.
    pub(crate) fn into_partition(self) -> P {
        self.partition
    }

    /// Next offset to process.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The partition is wanted back.
    pub(crate) fn wanted_back(&self) -> bool {
        self.partition.wanted_back()
    }

    /// Reads about `bytes_max` unpacked bytes, waiting up to `patience` for the first record,
    /// processes at most `records_max` of them, and commits. Returns how many were processed.
    ///
    /// # Errors
    /// The log's own. Nothing of the step is then in the log, and the driver must be opened
    /// anew: its state is ahead of it.
    pub fn step(
        &mut self,
        bytes_max: usize,
        records_max: usize,
        patience: Duration,
    ) -> Result<usize, RunError> {
        self.tell_lag();
        let batch = self
            .partition
            .read_waiting(self.offset, bytes_max, patience)
            .map_err(failed::<S>)?;
        if batch.is_empty() {
            return Ok(0);
        }
        let span = tracing::info_span!(
            "step",
            stage = S::NAME,
            topic = S::INPUT,
            partition = self.partition.partition(),
            from = self.offset,
            to = tracing::field::Empty,
        );
        let _within = span.enter();
        let started = Instant::now();
        let mut taken = 0;
        let mut reached = self.offset;
        for (offset, record) in batch.iter().take(records_max) {
            self.outputs.begin(offset);
            self.stage.process(offset, record, &mut self.outputs);
            taken += 1;
            reached = offset + 1;
        }
        if taken == 0 {
            return Ok(0);
        }
        span.record("to", reached);
        self.since_saved += taken as u64;
        let due =
            SNAPSHOT_RECORDS_MIN.max(self.stage.entries() as u64 * SNAPSHOT_RECORDS_PER_ENTRY);
        let processed = Instant::now();
        self.commit(reached, self.since_saved >= due && self.may_save())?;
        StepDone {
            stage: S::NAME,
            records: taken as u64,
            processing: processed - started,
            committing: processed.elapsed(),
        }
        .emit();
        StateSize {
            stage: S::NAME,
            partition: self.partition.partition(),
            entries: self.stage.entries() as u64,
        }
        .emit();
        Ok(taken)
    }

    /// Says now and then how much of the input is not processed. Nothing depends on it, so brokers
    /// that do not answer are left to whoever reads.
    fn tell_lag(&mut self) {
        if self.lag_told.is_some_and(|told| told.elapsed() < LAG_EVERY) {
            return;
        }
        self.lag_told = Some(Instant::now());
        if let Ok(end) = self.partition.end() {
            PartitionLag {
                consumer: S::NAME,
                topic: S::INPUT,
                partition: self.partition.partition(),
                records: end.saturating_sub(self.offset),
            }
            .emit();
        }
    }

    /// Saves the state where at least `records` were processed since it was saved last, and where no
    /// try failed just now.
    ///
    /// # Errors
    /// The log's own.
    pub fn save_after(&mut self, records: u64) -> Result<(), RunError> {
        if self.since_saved < records || !self.may_save() {
            return Ok(());
        }
        self.save()
    }

    /// Saves the state on the way out, whether or not the try before failed: what is not saved is
    /// replayed.
    ///
    /// # Errors
    /// The log's own.
    pub(crate) fn save_last(&mut self) -> Result<(), RunError> {
        if self.since_saved == 0 {
            return Ok(());
        }
        self.save()
    }

    fn may_save(&self) -> bool {
        self.held_off
            .is_none_or(|(until, _)| Instant::now() >= until)
    }

    fn save(&mut self) -> Result<(), RunError> {
        if K::IN_COMMIT {
            return self.commit(self.offset, true);
        }
        let state = self.snapshot()?;
        self.kept(&state);
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>, RunError> {
        self.stage.snapshot().map_err(|source| RunError::Saved {
            stage: S::NAME,
            source: source.into(),
        })
    }

    fn kept(&mut self, state: &[u8]) {
        if !self.saved_states.after_commit(self.offset, state) {
            SnapshotFailed { stage: S::NAME }.emit();
            let pause = self
                .held_off
                .map_or(SAVE_AGAIN, |(_, pause)| (pause * 2).min(SAVE_AGAIN_MAX));
            self.held_off = Some((Instant::now() + pause, pause));
            return;
        }
        (self.since_saved, self.held_off) = (0, None);
        SnapshotSaved {
            stage: S::NAME,
            partition: self.partition.partition(),
            offset: self.offset,
            bytes: state.len() as u64,
        }
        .emit();
    }

    fn commit(&mut self, reached: u64, save: bool) -> Result<(), RunError> {
        let state = match save {
            true => Some(self.snapshot()?),
            false => None,
        };
        let commit = self.outputs.commit_mut();
        self.saved_states
            .with_commit(commit, reached, state.as_deref(), &self.stage.counts())
            .map_err(|source| RunError::Saved {
                stage: S::NAME,
                source,
            })?;
        let to = Position {
            offset: reached,
            // On Kafka it tells an offset that was committed from the first that is kept.
            metadata: match K::IN_COMMIT {
                true => Vec::new(),
                false => S::NAME.as_bytes().to_vec(),
            },
        };
        let committed = {
            let _within = tracing::info_span!("commit").entered();
            (self.partition).commit(commit, self.offset, to, Durability::Replayable)
        };
        match &committed {
            Ok(()) => commit_ended::<S>(CommitEnd::Committed),
            Err(LogError::Aborted(_)) => commit_ended::<S>(CommitEnd::Aborted),
            Err(_) => {}
        }
        committed.map_err(failed::<S>)?;
        commit.clear();
        self.offset = reached;
        if let Some(state) = state {
            self.kept(&state);
        }
        Ok(())
    }
}

fn commit_ended<S: Stage>(end: CommitEnd) {
    CommitEnded {
        stage: S::NAME,
        end,
    }
    .emit();
}

fn failed<S: Stage>(source: LogError) -> RunError {
    RunError::Log {
        stage: S::NAME,
        source,
    }
}

#[cfg(test)]
mod tests;
