//! The stages: steps, commits, state, snapshots, dead letters.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::facts::FACTS;
use crate::registrar::{Histograms, Registrar, seconds};

/// A stage processed records and committed what followed.
#[derive(Clone, Copy, Debug)]
pub struct StepDone {
    /// `classify` or `chain`.
    pub stage: &'static str,
    /// Records that came in.
    pub records: u64,
    /// Time to process them.
    pub processing: Duration,
    /// Time to commit outputs and position.
    pub committing: Duration,
}

impl StepDone {
    /// Counts it.
    pub fn emit(self) {
        let metrics = &FACTS.stage;
        let label = Stage { stage: self.stage };
        metrics.records.get_or_create(&label).inc_by(self.records);
        // There before the first failure, or an alert would not see that one as an increase.
        drop(metrics.snapshots_failed.get_or_create(&label));
        for (part, took) in [("process", self.processing), ("commit", self.committing)] {
            let label = Part {
                stage: self.stage,
                part,
            };
            metrics
                .step
                .get_or_create(&label)
                .observe(took.as_secs_f64());
        }
    }
}

/// How a commit of outputs and position ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitEnd {
    /// Both are in the log.
    Committed,
    /// Neither is; the work is done again.
    Aborted,
}

/// A commit of one partition ended. On Kafka several may share a transaction.
#[derive(Clone, Copy, Debug)]
pub struct CommitEnded {
    /// Who wrote: `classify`, `chain` or `sink`.
    pub stage: &'static str,
    /// How.
    pub end: CommitEnd,
}

impl CommitEnded {
    /// Counts it, and logs an aborted one.
    pub fn emit(self) {
        let end = match self.end {
            CommitEnd::Committed => "committed",
            CommitEnd::Aborted => {
                tracing::warn!(stage = self.stage, "commit aborted: its work is done again");
                "aborted"
            }
        };
        let label = Ended {
            stage: self.stage,
            end,
        };
        FACTS.stage.commits.get_or_create(&label).inc();
    }
}

/// Records that could not be processed are dead letters now.
#[derive(Clone, Copy, Debug)]
pub struct Buried {
    /// Where it failed: `collect`, `classify`, `chain`, `sink`.
    pub stage: &'static str,
    /// Short fixed name of the reason.
    pub reason: &'static str,
    /// How many.
    pub letters: u64,
}

impl Buried {
    /// Counts them. Whoever writes a letter logs its detail.
    pub fn emit(self) {
        let label = Reason {
            stage: self.stage,
            reason: self.reason,
        };
        FACTS
            .stage
            .letters
            .get_or_create(&label)
            .inc_by(self.letters);
    }
}

/// How much a stage remembers of one partition.
#[derive(Clone, Copy, Debug)]
pub struct StateSize {
    /// `classify` or `chain`.
    pub stage: &'static str,
    /// Partition of its input.
    pub partition: i32,
    /// Things remembered: visitors, contents, visits.
    pub entries: u64,
}

impl StateSize {
    /// Sets the gauge.
    pub fn emit(self) {
        let label = StagePartition {
            stage: self.stage,
            partition: self.partition,
        };
        let entries = i64::try_from(self.entries).unwrap_or(i64::MAX);
        FACTS.stage.entries.get_or_create(&label).set(entries);
    }
}

/// What a stage counted of one partition since its state began: what it left out, joined or could not tell.
#[derive(Clone, Copy, Debug)]
pub struct StateCounted {
    /// `classify` or `chain`.
    pub stage: &'static str,
    /// Partition of its input.
    pub partition: i32,
    /// Short fixed name of what was counted.
    pub what: &'static str,
    /// How many.
    pub count: u64,
}

impl StateCounted {
    /// Sets the gauge.
    pub fn emit(self) {
        let label = Counted {
            stage: self.stage,
            partition: self.partition,
            what: self.what,
        };
        let count = i64::try_from(self.count).unwrap_or(i64::MAX);
        FACTS.stage.counted.get_or_create(&label).set(count);
    }
}

/// A stage saved its state of one partition.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotSaved {
    /// `classify` or `chain`.
    pub stage: &'static str,
    /// Partition of its input.
    pub partition: i32,
    /// Offset that it covers.
    pub offset: u64,
    /// Size of the snapshot.
    pub bytes: u64,
}

impl SnapshotSaved {
    /// Counts and logs it.
    pub fn emit(self) {
        let SnapshotSaved {
            stage,
            partition,
            offset,
            bytes,
        } = self;
        tracing::debug!(stage, partition, offset, bytes, "state saved");
        let metrics = &FACTS.stage;
        metrics.snapshots.get_or_create(&Stage { stage }).inc();
        let label = StagePartition { stage, partition };
        metrics
            .snapshot_bytes
            .get_or_create(&label)
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// A stage could not save its state of one partition: the next start replays more.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotFailed {
    /// `classify` or `chain`.
    pub stage: &'static str,
}

impl SnapshotFailed {
    /// Counts it.
    pub fn emit(self) {
        let label = Stage { stage: self.stage };
        FACTS.stage.snapshots_failed.get_or_create(&label).inc();
    }
}

/// A stage read input again that was processed before, to have its state back.
#[derive(Clone, Copy, Debug)]
pub struct StateReplayed {
    /// `classify` or `chain`.
    pub stage: &'static str,
    /// Partition of its input.
    pub partition: i32,
    /// Records read again.
    pub records: u64,
    /// How long loading and replay took.
    pub took: Duration,
}

impl StateReplayed {
    /// Counts and logs it.
    pub fn emit(self) {
        let StateReplayed {
            stage,
            partition,
            records,
            took,
        } = self;
        tracing::info!(
            stage,
            partition,
            records,
            took_ms = took.as_millis(),
            "state is back"
        );
        let metrics = &FACTS.stage;
        metrics
            .replayed
            .get_or_create(&Stage { stage })
            .inc_by(records);
        metrics
            .recovery
            .get_or_create(&Stage { stage })
            .observe(took.as_secs_f64());
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Part {
    stage: &'static str,
    part: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    stage: &'static str,
    end: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    stage: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StagePartition {
    stage: &'static str,
    partition: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Counted {
    stage: &'static str,
    partition: i32,
    what: &'static str,
}

pub(crate) struct Metrics {
    records: Family<Stage, Counter>,
    step: Histograms<Part>,
    commits: Family<Ended, Counter>,
    letters: Family<Reason, Counter>,
    entries: Family<StagePartition, Gauge>,
    counted: Family<Counted, Gauge>,
    snapshots: Family<Stage, Counter>,
    snapshots_failed: Family<Stage, Counter>,
    snapshot_bytes: Family<StagePartition, Gauge>,
    replayed: Family<Stage, Counter>,
    recovery: Histograms<Stage>,
}

impl Metrics {
    pub(crate) fn new(registrar: &mut Registrar) -> Metrics {
        Metrics {
            records: registrar.counter(
                "grapevine_stage_records",
                "Records that a stage processed and committed",
            ),
            step: registrar.histogram(
                "grapevine_stage_step_seconds",
                "Time of one step of a stage by part: process, commit",
                seconds,
            ),
            commits: registrar.counter(
                "grapevine_commits",
                "Commits of a partition's outputs and position, by stage and end: committed, aborted (done again)",
            ),
            letters: registrar.counter(
                "grapevine_dead_letters",
                "Dead letters written, by stage and reason",
            ),
            entries: registrar.gauge(
                "grapevine_state_entries",
                "Things that a stage remembers of a partition",
            ),
            counted: registrar.gauge(
                "grapevine_state_counted",
                "What a stage left out, joined or could not tell of a partition since its state began, by what",
            ),
            snapshots: registrar.counter(
                "grapevine_state_snapshots",
                "Snapshots of state saved",
            ),
            snapshots_failed: registrar.counter(
                "grapevine_state_snapshots_failed",
                "Snapshots of state that could not be saved",
            ),
            snapshot_bytes: registrar.gauge(
                "grapevine_state_snapshot_bytes",
                "Size of the newest snapshot of a partition's state",
            ),
            replayed: registrar.counter(
                "grapevine_state_replayed_records",
                "Records read again to have state back after a start or a rebalance",
            ),
            recovery: registrar.histogram(
                "grapevine_state_recovery_seconds",
                "Time to have the state of a partition back: load the snapshot, replay the input since",
                seconds,
            ),
        }
    }
}
