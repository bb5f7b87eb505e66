//! The collector: hits over HTTP, acknowledged when they are durable.
//!
//! | route | takes | answers |
//! | --- | --- | --- |
//! | `POST /v1/hits` | hits as JSON object, array, or one a line; plain or gzip; any `Content-Type` | 200 `{"accepted":n}`, 422 with the errors by hit and field |
//! | `GET /v1/pixel.gif?site=…&url=…` | one hit by its fields; the page's address falls back to `Referer` | a transparent picture |
//! | `GET /health/live` | | 200 while the process answers |
//! | `GET /health/ready` | | 200 while hits are taken and will be, else 503 with the reason |
//!
//! Where some hits of a request are good and some are not, the good ones are taken and durable,
//! the others answered by index with every wrong field, and kept as dead letters without
//! addresses and reader ids. Sending the whole request again would count good hits without an
//! `id` twice; send the mended ones only.
//!
//! Limits: [`BODY_BYTES_MAX`] sent and unpacked, [`crate::native::HITS_MAX`] hits a request, those
//! of the fields (`native`), and [`REQUEST_RECORDS_BYTES_MAX`] of what the hits of a request
//! become. All bodies together have [`BODIES_BYTES_MAX`], and their records [`RECORDS_BYTES_MAX`]:
//! who finds no room is put off with 503 and `Retry-After`, small requests never. A hit's `time`
//! may lie ten minutes ahead and seven days back; further off, and for `address`, the server key is
//! needed.
//!
//! Errors are JSON with `error`; CORS headers are on every answer, errors included, because a
//! tracker that cannot read an answer sends again.
//!
//! The caller binds the listener and says when to stop. [`serve`] serves [`router`] on it, bounds
//! how long heads may take, and tells the handlers the peer's address: without that hits have no
//! address-made visitor.

mod answer;
mod appender;
mod body;
mod budget;
mod connections;
mod cors;
mod counts;
mod draining;
mod health;
mod hits;
mod intake;
mod letter;
mod outbox;
mod pixel;
mod records;
mod sender;
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use grapevine_log::Log;
use thiserror::Error;

use crate::proxies::TrustedProxies;
use crate::pseudonym::Pseudonyms;
use crate::site::Site;
use crate::spool::Spool;

pub use appender::AppenderThread;
pub use connections::serve;
pub use counts::Counts;
pub use outbox::{Connect, OutboxState};

use appender::{Appender, Home};
use budget::Budget;
use counts::Counters;
use outbox::Outbox;

/// Largest body, bytes, as sent and unpacked.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Memory for the bodies of all requests at once, bytes, as sent and unpacked. Sixteen of the
/// largest fit; with their records ([`RECORDS_BYTES_MAX`]) and those in Kafka's client (128 MiB) it
/// leaves most of the gibibyte of a collector's container.
pub const BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most bytes of records, hits and dead letters, that one request may become. A hit that names
/// neither user agent nor language has those of the request, as it has other headers: ten thousand
/// short hits in some kilobytes of gzip may repeat sixteen kilobytes each. The largest body with
/// the most hits becomes less than this where the headers have 2 KiB; browsers send 500 bytes.
pub const REQUEST_RECORDS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Memory for the records of all requests at once, bytes, until they are durable. As much as for
/// bodies, since ordinary hits take no more room as records than as JSON.
pub const RECORDS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How far ahead of the clock a hit's time may lie without the server key, milliseconds.
pub const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;
/// How far back, milliseconds.
pub const BACK_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;

/// Milliseconds since 1970 UTC, now.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What a collector goes by.
#[derive(Clone)]
pub struct CollectorConfig {
    /// Whoever sends `Authorization: Bearer KEY` may say `address` and any `time`.
    pub server_key: Option<String>,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: TrustedProxies,
    /// Whether `DNT: 1` is an opt-out. `Sec-GPC: 1` always is.
    pub honour_dnt: bool,
    /// Sites taken; empty: any.
    pub sites: Vec<Site>,
    /// Memory for the bodies of all requests at once, bytes; small bodies are taken beside it.
    pub bodies_bytes_max: usize,
    /// The clock of receipt.
    pub clock: Clock,
    /// Whether it writes heartbeats. They come by the pace of the machine, so whoever feeds it by a clock
    /// of his own and wants the same log each time writes his own.
    pub heartbeats: bool,
}

impl std::fmt::Debug for CollectorConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CollectorConfig")
            .field("server_key", &self.server_key.as_ref().map(|_| "(secret)"))
            .field("trusted_proxies", &self.trusted_proxies)
            .field("honour_dnt", &self.honour_dnt)
            .field("sites", &self.sites)
            .field("bodies_bytes_max", &self.bodies_bytes_max)
            .field("heartbeats", &self.heartbeats)
            .finish_non_exhaustive()
    }
}

impl Default for CollectorConfig {
    /// No server key, no proxies, DNT honoured, any site, [`BODIES_BYTES_MAX`], the system's clock,
    /// heartbeats.
    fn default() -> Self {
        CollectorConfig {
            server_key: None,
            trusted_proxies: TrustedProxies::default(),
            honour_dnt: true,
            sites: Vec::new(),
            bodies_bytes_max: BODIES_BYTES_MAX,
            clock: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
            heartbeats: true,
        }
    }
}

/// Why a collector cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for hit ids: {0}")]
    Random(getrandom::Error),
    /// The system gives no thread.
    #[error("cannot start the collector's writing thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// A running collector. Clones share it.
#[derive(Clone, Debug)]
pub struct Collector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: CollectorConfig,
    pseudonyms: Pseudonyms,
    appender: Appender,
    counters: Counters,
    bodies: Budget,
    records: Budget,
    paused: AtomicBool,
    draining: AtomicBool,
    /// Tells the hits of this run, which have no id of their own, from those of any other.
    run: [u8; 16],
    ids_given: AtomicU64,
}

impl Collector {
    /// Starts the thread that writes to a local log. It ends, everything written, when the last
    /// clone of the collector (and of its [`router`]) is gone; then [`AppenderThread::join`]
    /// returns.
    ///
    /// # Errors
    /// No random bytes, no thread.
    pub fn start(
        log: Arc<Log>,
        pseudonyms: Pseudonyms,
        config: CollectorConfig,
    ) -> Result<(Collector, AppenderThread), StartError> {
        Collector::start_at(Home::local(log), pseudonyms, config)
    }

    /// Starts the threads that write to Kafka, through `spool` while it is away. A hit is
    /// acknowledged once every in-sync replica has it or it is in the spool. They end as those of
    /// [`start`](Self::start) do; what is left in the spool then waits for the next start.
    ///
    /// # Errors
    /// No random bytes, no thread.
    pub fn start_on_kafka(
        connect: Connect,
        spool: Spool,
        pseudonyms: Pseudonyms,
        config: CollectorConfig,
    ) -> Result<(Collector, AppenderThread), StartError> {
        let outbox = Outbox::start(spool, connect).map_err(StartError::Thread)?;
        Collector::start_at(Home::Kafka(outbox), pseudonyms, config)
    }

    fn start_at(
        home: Home,
        pseudonyms: Pseudonyms,
        config: CollectorConfig,
    ) -> Result<(Collector, AppenderThread), StartError> {
        let mut run = [0; 16];
        getrandom::fill(&mut run).map_err(StartError::Random)?;
        let beats = config.heartbeats.then(|| config.clock.clone());
        let (appender, thread) = Appender::start(home, beats).map_err(StartError::Thread)?;
        let inner = Inner {
            bodies: Budget::new(config.bodies_bytes_max),
            records: Budget::new(RECORDS_BYTES_MAX),
            config,
            pseudonyms,
            appender,
            counters: Counters::default(),
            paused: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            run,
            ids_given: AtomicU64::new(0),
        };
        Ok((Collector(Arc::new(inner)), thread))
    }

    /// Answers 503 with `Retry-After` to hits until [`resume`](Self::resume): for when the stages
    /// behind have to catch up.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::Relaxed);
    }

    /// Takes hits again.
    pub fn resume(&self) {
        self.0.paused.store(false, Ordering::Relaxed);
    }

    /// What waits in the spool, and why; none at a local log.
    pub fn outbox(&self) -> Option<OutboxState> {
        self.0.appender.outbox()
    }

    /// What was taken and what was not, since the start.
    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }
}

/// The collector's routes.
pub fn router(collector: Collector) -> Router {
    Router::new()
        .route("/v1/hits", post(hits::take))
        .route("/v1/pixel.gif", get(pixel::take))
        .route_layer(middleware::from_fn(told::request))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::not_allowed)
        .layer(middleware::from_fn(cors::allow))
        .layer(middleware::from_fn_with_state(
            collector.clone(),
            draining::close,
        ))
        .with_state(collector)
}
