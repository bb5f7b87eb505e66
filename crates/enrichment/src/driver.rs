//! The loop that drives a stage over the log: read, process, commit outputs and position at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use grapevine_inference::StateError;
use grapevine_log::{Durability, Log, LogError, PARTITION, Position};
use grapevine_metrics::{SnapshotSaved, StateReplayed, StateSize, StepDone};
use thiserror::Error;

use crate::outputs::Outputs;
use crate::snapshot;
use crate::stage::Stage;

/// Unpacked bytes that one read asks for: some ten thousand hits.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an idle stage waits for a record before it looks at its [`StopSignal`] again.
const PATIENCE: Duration = Duration::from_millis(100);
/// Records between two snapshots at least: what a restart has to replay, some seconds.
const SNAPSHOT_RECORDS_MIN: u64 = 500_000;
/// Records between two snapshots for each thing remembered, so that the cost of snapshots stays
/// a small part of the cost of processing, whatever the state's size.
const SNAPSHOT_RECORDS_PER_ENTRY: u64 = 2;
/// An idle stage saves itself after this many records.
const SNAPSHOT_RECORDS_IDLE: u64 = 10_000;

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
    State {
        /// The stage.
        stage: &'static str,
        /// Why not.
        #[source]
        source: StateError,
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
    driver.save_after(1)?;
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
    let saved = log.value_with(snapshot_key(consumer).as_bytes(), snapshot::offset_of)?;
    Ok(saved.flatten().unwrap_or_default())
}

fn snapshot_key(consumer: &str) -> String {
    format!("snapshot/{consumer}/0")
}

fn counts_key(consumer: &str) -> String {
    format!("counts/{consumer}/0")
}

/// A stage with its place in the log.
pub struct Driver<'l, S> {
    log: &'l Log,
    stage: S,
    outputs: Outputs,
    /// Next offset to process; everything before it is committed.
    offset: u64,
    /// Offset that the saved state covers.
    saved: u64,
}

impl<'l, S: Stage> Driver<'l, S> {
    /// Recovers the stage: newest snapshot, then the input up to the committed offset again,
    /// without emitting.
    ///
    /// # Errors
    /// The log's own, and saved state that cannot be used.
    pub fn open(mut stage: S, log: &'l Log) -> Result<Self, RunError> {
        let committed = log.position(S::NAME, S::INPUT).map_err(failed::<S>)?.offset;
        let stored = log
            .value(snapshot_key(S::NAME).as_bytes())
            .map_err(failed::<S>)?;
        let mut offset = 0;
        if let Some(stored) = stored {
            let unusable = |source| RunError::State {
                stage: S::NAME,
                source,
            };
            let (covered, state) = snapshot::unframe(&stored).map_err(unusable)?;
            if covered > committed {
                return Err(RunError::Ahead {
                    stage: S::NAME,
                    snapshot: covered,
                    committed,
                });
            }
            stage.restore(state).map_err(unusable)?;
            offset = covered;
        }
        let mut driver = Driver {
            log,
            stage,
            outputs: Outputs::new(S::NAME, S::INPUT),
            offset,
            saved: offset,
        };
        driver.replay(committed)?;
        Ok(driver)
    }

    fn replay(&mut self, committed: u64) -> Result<(), RunError> {
        if self.offset < committed {
            tracing::info!(
                stage = S::NAME,
                records = committed - self.offset,
                "replaying"
            );
        }
        let started = Instant::now();
        let from = self.offset;
        self.outputs.mute(true);
        while self.offset < committed {
            let batch = self
                .log
                .read(S::INPUT, self.offset, READ_BYTES_MAX)
                .map_err(failed::<S>)?;
            for (offset, record) in batch.iter().take_while(|(offset, _)| *offset < committed) {
                self.outputs.begin(offset);
                self.stage.process(offset, record, &mut self.outputs);
            }
            self.offset = batch.next_offset().min(committed);
        }
        self.outputs.mute(false);
        StateReplayed {
            stage: S::NAME,
            partition: PARTITION,
            records: self.offset - from,
            took: started.elapsed(),
        }
        .emit();
        Ok(())
    }

    /// Next offset to process.
    pub fn offset(&self) -> u64 {
        self.offset
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
        let batch = self
            .log
            .read_waiting(S::INPUT, self.offset, bytes_max, patience)
            .map_err(failed::<S>)?;
        if batch.is_empty() {
            return Ok(0);
        }
        let span = tracing::info_span!("step", stage = S::NAME, from = self.offset);
        let _within = span.enter();
        let started = Instant::now();
        let mut taken = 0;
        for (offset, record) in batch.iter().take(records_max) {
            self.outputs.begin(offset);
            self.stage.process(offset, record, &mut self.outputs);
            taken += 1;
        }
        if taken == 0 {
            return Ok(0);
        }
        let reached = self.offset + taken as u64;
        let due = SNAPSHOT_RECORDS_MIN
            .max(self.stage.entries() as u64 * SNAPSHOT_RECORDS_PER_ENTRY)
            .saturating_add(self.saved);
        let processed = Instant::now();
        self.commit(reached, reached >= due)?;
        StepDone {
            stage: S::NAME,
            records: taken as u64,
            processing: processed - started,
            committing: processed.elapsed(),
        }
        .emit();
        StateSize {
            stage: S::NAME,
            partition: PARTITION,
            entries: self.stage.entries() as u64,
        }
        .emit();
        Ok(taken)
    }

    /// Saves the state where at least `records` were processed since it was saved last.
    ///
    /// # Errors
    /// The log's own.
    pub fn save_after(&mut self, records: u64) -> Result<(), RunError> {
        if self.offset.saturating_sub(self.saved) < records {
            return Ok(());
        }
        self.commit(self.offset, true)
    }

    fn commit(&mut self, reached: u64, save: bool) -> Result<(), RunError> {
        let commit = self.outputs.commit_mut();
        let mut bytes = 0;
        if save {
            let state = self.stage.snapshot().map_err(|source| RunError::State {
                stage: S::NAME,
                source,
            })?;
            let framed = snapshot::frame(reached, &state);
            bytes = framed.len() as u64;
            commit.put(snapshot_key(S::NAME).as_bytes(), framed);
        }
        let mut counts = String::new();
        for (name, count) in self.stage.counts() {
            counts.push_str(&format!("{name} {count}\n"));
        }
        commit.put(counts_key(S::NAME).as_bytes(), counts.into_bytes());
        let to = Position {
            offset: reached,
            metadata: Vec::new(),
        };
        commit.advance(S::NAME, S::INPUT, self.offset, to);
        self.log
            .commit(commit, Durability::Replayable)
            .map_err(failed::<S>)?;
        commit.clear();
        self.offset = reached;
        if save {
            self.saved = reached;
            SnapshotSaved {
                stage: S::NAME,
                partition: PARTITION,
                offset: reached,
                bytes,
            }
            .emit();
        }
        Ok(())
    }
}

fn failed<S: Stage>(source: LogError) -> RunError {
    RunError::Log {
        stage: S::NAME,
        source,
    }
}
