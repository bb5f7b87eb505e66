//! What the collector took and what not.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Hits taken and durable.
    pub accepted: u64,
    /// Hits with wrong fields: dead letters.
    pub rejected: u64,
    /// Of the hits taken: those whose reader opted out, which have no visitor and no network.
    pub opted_out: u64,
    /// Requests answered 503 or 507: to be sent again.
    pub put_off: u64,
    /// Requests refused as a whole: too large, no JSON.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) opted_out: AtomicU64,
    pub(super) put_off: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            accepted: of(&self.accepted),
            rejected: of(&self.rejected),
            opted_out: of(&self.opted_out),
            put_off: of(&self.put_off),
            refused: of(&self.refused),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
