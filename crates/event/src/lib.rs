//! The vocabulary of Grapevine and its Avro contracts.
//!
//! Everything on a topic is one of these records, written as the schema in `schemas/*.avsc` says.
//! A record borrows its text from the bytes it was decoded from, so that a stage can read a hit
//! and write what it made of it without owning anything in between.
//!
//! This crate knows nothing of logs, files, Kafka or ClickHouse, and it does not judge: what a hit
//! means is the business of `grapevine-signals` and `grapevine-inference`.
#![forbid(unsafe_code)]

mod codec;
mod datum;
pub mod frame;
mod id;
mod record;
mod released;
mod schema;
mod vocabulary;

pub use codec::{CodecError, Record};
pub use id::{Id, IdBuilder};
pub use record::{
    Calibration, Cascade, ChainModel, DeadLetter, Edge, Evidence, Heartbeat, Hit, Property, Share,
    Spread, Surge, SurgeApp, SurgeSeed, Visit, VisitEvent,
};
pub use schema::{RecordType, SchemaText};
pub use vocabulary::{
    AddressOf, Channel, Device, EdgeMethod, HitKind, Method, ParentKind, Protocol, SeedKind,
    ShareKind, SurgeState, VisitorBasis,
};

/// Names of the topics, the same in every home of the log.
pub mod topic {
    /// Hits as producers took them, keyed by site and visitor.
    pub const HITS_RAW: &str = "hits.raw";
    /// Visits, visit events and shares after classification, keyed by site and content.
    pub const HITS_CLASSIFIED: &str = "hits.classified";
    /// Visits with their place in a cascade.
    pub const VISITS: &str = "visits";
    /// Later hits of visits.
    pub const EVENTS: &str = "events";
    /// Observed acts of passing a link on.
    pub const SHARES: &str = "shares";
    /// Who came from whose share.
    pub const EDGES: &str = "edges";
    /// Trees of edges, newest by offset wins.
    pub const CASCADES: &str = "cascades";
    /// How contents spread, newest by offset wins.
    pub const SPREADS: &str = "spreads";
    /// Weights of causes in force, and how well they do.
    pub const MODELS: &str = "models";
    /// Contents that spread in the dark faster than their baseline, newest by offset wins.
    pub const SURGES: &str = "surges";
    /// How well probabilities fit each site's own tokens, newest by offset wins.
    pub const CALIBRATIONS: &str = "calibrations";
    /// What could not be decoded or processed.
    pub const DEAD_LETTERS: &str = "dead-letters";

    /// Every topic, in the order of the data flow.
    pub const ALL: [&str; 12] = [
        HITS_RAW,
        HITS_CLASSIFIED,
        VISITS,
        EVENTS,
        SHARES,
        EDGES,
        CASCADES,
        SPREADS,
        MODELS,
        SURGES,
        CALIBRATIONS,
        DEAD_LETTERS,
    ];
}

/// Longest page address or referrer that a hit may carry, bytes.
pub const URL_BYTES_MAX: usize = 65_536;
/// Longest payload kept in a dead letter, bytes; the rest is cut and its length kept.
pub const DEAD_LETTER_BYTES_MAX: usize = 65_536;
