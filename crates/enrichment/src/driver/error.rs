//! Why a stage ends.

use grapevine_log::LogError;
use thiserror::Error;

use crate::snapshot::SavedStateError;

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

impl RunError {
    /// True where the states are away, and may be there again by themselves.
    pub(crate) fn is_of_states_away(&self) -> bool {
        matches!(self, RunError::Saved { source, .. } if source.is_away())
    }
}
