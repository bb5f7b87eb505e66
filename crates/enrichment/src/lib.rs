//! The classify and chain stages: what they remember, their snapshots, and the loop that drives
//! them over the log.
//!
//! `hits.raw` → [`ClassifyStage`] → `hits.classified` → [`ChainStage`] → `visits`, `events`,
//! `shares`, `edges`, `cascades`, `spreads`, `models`, `surges`, `calibrations`. What cannot be used
//! goes to `dead-letters`. [`run`] recovers a stage and drives it over the local log,
//! [`run_replica`] as one of many over Kafka; outputs and offsets are the same however the input was cut into batches
//! and however often the stage was restarted.
//!
//! What this crate is not: it judges nothing (`grapevine-inference` does), it does not know what
//! a user agent or a link says (`grapevine-signals`), and it knows no brokers (`grapevine-log`).
#![forbid(unsafe_code)]

mod calibrating;
mod chain;
mod classify;
mod driver;
mod outputs;
mod passage;
mod replica;
mod snapshot;
mod stage;
mod states;
mod watermarks;

pub use chain::ChainStage;
pub use classify::{ClassifyStage, RESERVED_PROPERTIES};
pub use driver::{Driver, RunError, StopSignal, counts, lag, run, snapshot_offset};
pub use outputs::{Outputs, Rejection};
pub use replica::{RETENTION, RETENTION_MIN, ReplicaOptions, drive, run_replica};
pub use snapshot::{InLog, SavedStateError, SavedStates};
pub use stage::Stage;
pub use states::{StateStore, StoredStates, packing};
pub use watermarks::Merged;

/// Consumer name of [`ClassifyStage`]; it reads [`grapevine_event::topic::HITS_RAW`].
pub const CLASSIFY: &str = "classify";
/// Consumer name of [`ChainStage`]; it reads [`grapevine_event::topic::HITS_CLASSIFIED`].
pub const CHAIN: &str = "chain";
