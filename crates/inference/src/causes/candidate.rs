//! Who may have caused an arrival, and what is kept of each: 32 bytes.

use serde::{Deserialize, Serialize};

use super::features::UNKNOWN;

/// Candidates kept of a content. A slot's number is a byte.
pub const CANDIDATES_MAX: usize = 256;
/// A candidate that is no spreader.
pub(super) const NO_SPREADER: u8 = u8::MAX;
/// Spreaders kept of a content.
pub(super) const SPREADERS_MAX: usize = 80;

/// Where a candidate itself came from, as far as it is certain.
pub(super) const ORIGIN_UNKNOWN: u8 = 0;
pub(super) const ORIGIN_OUTSIDE: u8 = 1;
pub(super) const ORIGIN_SHARE: u8 = 2;

/// An arrival that later ones may have come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Candidate {
    /// Key in two halves, so that the whole takes no padding.
    key: [u32; 2],
    /// Which arrival it was, from 1.
    pub(super) ordinal: u32,
    /// Seconds since the content's start.
    pub(super) time: u32,
    /// Product of the factors that do not depend on the child.
    pub(super) standing: f32,
    /// Certain edges up to and including its own.
    pub(super) certain_before: u32,
    /// Network, as 16 bits of its pseudonym; 0 where unknown.
    pub(super) network: u16,
    /// Channel or app, by number; 0 where unknown.
    pub(super) channel: u8,
    /// Bin of the mean gap of the 10 arrivals before, and above it its origin.
    pace_and_origin: u8,
    pub(super) bursts: [u8; 3],
    /// Index of its certain children, or [`NO_SPREADER`].
    pub(super) spreader: u8,
}

impl Candidate {
    pub(super) fn new(key: u64, ordinal: u32, time: u32) -> Self {
        Candidate {
            key: [key as u32, (key >> 32) as u32],
            ordinal,
            time,
            standing: 1.0,
            certain_before: 0,
            network: 0,
            channel: 0,
            pace_and_origin: 0,
            bursts: [UNKNOWN; 3],
            spreader: NO_SPREADER,
        }
    }

    /// Bin of the mean gap of the 10 arrivals before.
    #[inline]
    pub(super) fn pace(&self) -> u8 {
        self.pace_and_origin & 63
    }

    /// Where it came from for certain.
    pub(super) fn origin(&self) -> u8 {
        self.pace_and_origin >> 6
    }

    pub(super) fn set_pace_and_origin(&mut self, pace: u8, origin: u8) {
        self.pace_and_origin = pace.min(63) | origin << 6;
    }

    pub(super) fn key(&self) -> u64 {
        u64::from(self.key[0]) | u64::from(self.key[1]) << 32
    }
}

/// The certain children of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spreader {
    pub(super) slot: u8,
    pub(super) children: u16,
    /// Ordinal of the newest child.
    pub(super) newest: u32,
    /// Ordinal of the newest settled child, or 0.
    pub(super) before: u32,
    /// Ordinal of the oldest child that is not settled, or 0.
    pub(super) after: u32,
}

/// By how much a list of that length grows that never exceeds `limit`: by half, so that memory is
/// what is used, also of contents that few read.
pub(super) fn more(length: usize, limit: usize) -> usize {
    (length / 2 + 4).min(limit.saturating_sub(length)).max(1)
}
