//! Which clock a hit lives by.

use serde::{Deserialize, Serialize};

/// Which clock a hit lives by. An import of 2015 beside live hits of today must neither push out
/// nor disturb what is remembered of them, so each has state of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Clock {
    /// The collector's.
    Live,
    /// That of an imported log.
    Imported,
}

impl Clock {
    /// 0 for live, 1 for imported: where state is kept by clock.
    pub const fn index(self) -> usize {
        match self {
            Clock::Live => 0,
            Clock::Imported => 1,
        }
    }
}

/// Source of the heartbeats of the collector; an import's are named after its file.
pub const COLLECTOR: &str = "collector";

/// First 64 bits of the BLAKE3 hash of parts: a key that visitors cannot make collide.
pub fn key(domain: &'static str, parts: &[&[u8]]) -> u64 {
    let mut builder = grapevine_event::Id::builder(domain);
    for part in parts {
        builder.add_bytes(part);
    }
    short(builder.finish())
}

/// First 64 bits of an identity.
pub(crate) fn short(id: grapevine_event::Id) -> u64 {
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = id.0;
    u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}
