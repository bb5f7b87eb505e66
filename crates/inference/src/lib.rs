//! What a visit is and where it came from, concluded from facts: channel, probability of a
//! privately passed link with its evidence, observed share acts, and certain share chains.
//!
//! [`Classifier`] judges one landing. [`shares`] turns preview fetches into share acts.
//! [`chains`] follows share tokens from visit to visit, adds what is known of a content at the time of
//! a landing, and follows how each content spreads. [`calibration`] learns from a site's own tokens how
//! far its landings differ from what the model says. [`causes`] infers who passed a link on where no
//! token tells. [`surges`] tells of contents that spread in the dark faster than their baseline. All
//! figures come from data files.
//!
//! What this crate is not: it does no I/O, reads no clock, throws no dice, and its results depend
//! on no order of a hash map. Sessions, topics and snapshots are `grapevine-enrichment`; what a
//! single user agent, referrer or link says is `grapevine-signals`. How well chains are inferred is
//! measured in `grapevine-evaluation`.
#![forbid(unsafe_code)]

pub mod calibration;
pub mod causes;
pub mod chains;
mod classification;
mod clock;
pub mod evidence;
mod model;
mod recent;
pub mod shares;
mod state;
pub mod surges;

pub use classification::{
    Classification, Classifier, Room, VisitorContext, against_typed, is_internal,
};
pub use clock::{COLLECTOR, Clock, key};
pub use model::{Model, ModelError, Range, Weight};
pub use recent::Recent;
pub use state::{StateError, format_of, from_bytes, to_bytes};
