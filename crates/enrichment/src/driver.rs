//! The loop that drives a stage over the log: read, process, commit outputs and position at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use grapevine_log::{Durability, LocalPartition, Log, LogError, Partition, Position};
use grapevine_metrics::{
    CommitEnd, CommitEnded, PartitionLag, SnapshotFailed, SnapshotSaved, StateCounted,
    StateReplayed, StateSize, StepDone,
};

use crate::outputs::Outputs;
use crate::snapshot::{InLog, SavedStateError, SavedStates, counts_key, offset_of, snapshot_key};
use crate::stage::Stage;

mod error;

pub use error::RunError;

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
/// Longest that something processed stays unsaved, however little it is. Until it is saved a
/// restart needs it from the input again, which may be kept for a day only
/// ([`RETENTION_MIN`](crate::RETENTION_MIN)): with an hour, a replica that was killed finds it for
/// 23 more, and one snapshot an hour costs next to nothing.
///
/// The clock decides when a state is saved, never what comes out: a snapshot changes nothing of its
/// stage, is named by the offset that it covers, and gives with the input behind it the state that
/// there would be without it. `tests/determinism.rs` holds outputs and states to it, byte by byte.
const SAVE_WITHIN: Duration = Duration::from_secs(3600);
/// After a save that failed: this until the next try, then twice as long each, up to the second. A
/// try may hold its partition up for some ten seconds; when a state is saved changes no output.
const SAVE_AGAIN: Duration = Duration::from_secs(60);
const SAVE_AGAIN_MAX: Duration = Duration::from_secs(300);

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
    /// When they have to be saved, however few they are; `None` where there are none.
    save_by: Option<Instant>,
    /// Longest that a record stays unsaved.
    save_within: Duration,
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
            save_by: None,
            save_within: SAVE_WITHIN,
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
        // Asked while a store that may not answer is waited for.
        let unwanted = || self.partition.wanted_back();
        let mut beyond = None;
        if position.metadata.is_empty() {
            let found = self.saved_states.beyond(committed, &unwanted);
            beyond = found.map_err(|source| self.unusable(source))?;
        }
        if let Some(saved) = beyond {
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
        let newest = self.saved_states.newest(committed, &unwanted);
        if let Some((covered, state)) = newest.map_err(|source| self.unusable(source))? {
            if covered > committed {
                return Err(RunError::Ahead {
                    stage: S::NAME,
                    snapshot: covered,
                    committed,
                });
            }
            let restored = self.stage.restore(&state);
            restored.map_err(|source| self.unusable(source.into()))?;
            self.offset = covered;
        } else if !K::IN_COMMIT && position.metadata.is_empty() {
            // Never committed: it starts with the first record that is kept.
            self.offset = committed;
        }
        self.replay(committed)
    }

    /// Why it cannot begin from a saved state; the state of a partition that is wanted back is
    /// somebody else's to use.
    fn unusable(&self, source: SavedStateError) -> RunError {
        if self.partition.wanted_back() {
            return self.revoked();
        }
        RunError::Saved {
            stage: S::NAME,
            source,
        }
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
        // For how long they have been unsaved is not known: replicas that are killed once an hour
        // would never save them.
        self.save_by = Some(Instant::now());
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
        (self.save_by).get_or_insert_with(|| Instant::now() + self.save_within);
        let due =
            SNAPSHOT_RECORDS_MIN.max(self.stage.entries() as u64 * SNAPSHOT_RECORDS_PER_ENTRY);
        let processed = Instant::now();
        self.commit(reached, self.is_due(due))?;
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
        for (what, count) in self.stage.counts() {
            StateCounted {
                stage: S::NAME,
                partition: self.partition.partition(),
                what,
                count,
            }
            .emit();
        }
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

    /// Has what is processed from now on saved within `bound`, instead of within the hour.
    pub fn save_within(&mut self, bound: Duration) {
        self.save_within = bound;
    }

    /// Saves the state where at least `records` were processed since it was saved last, or one has
    /// waited for too long, and where no try failed just now.
    ///
    /// # Errors
    /// The log's own.
    pub fn save_after(&mut self, records: u64) -> Result<(), RunError> {
        match self.is_due(records) {
            true => self.save(),
            false => Ok(()),
        }
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

    /// True where the state is to be saved now: `records` were processed since it was saved, or one
    /// of them has waited for too long; and no try failed just now.
    fn is_due(&self, records: u64) -> bool {
        let now = Instant::now();
        let is_late = self.save_by.is_some_and(|by| now >= by);
        let is_held_off = self.held_off.is_some_and(|(until, _)| now < until);
        (self.since_saved >= records || is_late) && !is_held_off
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
        (self.since_saved, self.save_by, self.held_off) = (0, None, None);
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
pub(crate) mod tests;
