//! Private sharing with a known truth: visits, chains, and the headers real apps send.
//!
//! A [`Scenario`] says what a site publishes, who reads it and how readers pass links on;
//! [`simulate`] turns it into [`Event`]s in order of time, each with the request a web server sees,
//! what page script knows, and what really happened. [`write_log_line`], [`write_hit`] and
//! [`TruthWriter`] put them on file, and [`TruthSummary`] says in numbers what is true.
//!
//! The same scenario and seed give the same bytes on every run and platform: all draws come from
//! ChaCha8, logarithms and powers are made of IEEE basic operations, and times are whole
//! milliseconds.
//!
//! It is no load generator and no network client: sending is the caller's, from [`hits`]. It does
//! not model what nobody has measured: where the behaviour of an app is not established, values
//! are drawn evenly, so that nothing can be learned from an invention. Addresses are of test and
//! documentation ranges, never of the real services.

#![forbid(unsafe_code)]

mod agent;
mod app;
mod arithmetic;
mod arrivals;
mod catalogue;
mod delivery;
mod dice;
mod event;
mod in_app;
mod link;
mod opening;
mod passing;
mod person;
mod preview;
mod reading;
mod robots;
mod scenario;
mod seat;
mod simulation;
mod sites;
mod summary;
mod unread;
mod write;

pub use app::{App, Network};
pub use delivery::{Delivered, deliver};
pub use event::{Actor, Cause, Client, Event, EventKind, Headers, Request, Truth};
pub use scenario::{
    AppBehaviour, Arrivals, Audience, Burst, BurstKind, Channels, Content, Delivery, DrawnLaw,
    DrawnRange, NetworkBehaviour, Openings, Problem, Reading, Robots, Scenario, ScenarioError,
    Sharing, TokenPlace, Tokens,
};
pub use simulation::{Simulation, simulate};
pub use sites::{Sites, simulate_sites};
pub use summary::{CascadeSize, TruthSummary};
pub use write::{
    CascadeWriter, HitOptions, LogFormat, TruthFormat, TruthWriter, hits, write_access_log,
    write_hit, write_hits, write_log_line, write_truth,
};
