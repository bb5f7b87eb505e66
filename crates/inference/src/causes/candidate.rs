//! Who may have caused an arrival, and what is kept of each: 32 bytes.

use serde::{Deserialize, Serialize};
use wide::bytemuck::cast;
use wide::{i32x4, u32x4};

use super::features::UNKNOWN;
use super::marks::Marks;

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
/// Had left and is back: where it came from is no longer known.
const BACK: u8 = 3;

/// Certain edges that are told apart in a candidate's count.
pub(super) const CERTAIN_MAX: u32 = 0xFF_FFFF;
/// Steps of a kept probability.
const STEPS: f64 = 255.0;
/// Bits of a bin.
const BIN: u32 = 6;

/// An arrival that later ones may have come from. What the bins follow from lies together, so that it is read as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[repr(C)]
pub(super) struct Candidate {
    /// Which arrival it was, from 1.
    pub(super) ordinal: u32,
    /// Seconds since the content's start.
    pub(super) time: u32,
    /// Certain edges up to and including its own, and above 24 bits its probability of the outside.
    certain_and_outside: u32,
    /// From below: bin of the mean gap of the 10 arrivals before, its origin (2 bits), bins of its
    /// three bursts, its device.
    packed: u32,
    /// Key in two halves, so that the whole takes no padding.
    key: [u32; 2],
    /// Product of the factors that do not depend on the child.
    pub(super) standing: f32,
    /// Network, as 16 bits of its pseudonym; 0 where unknown.
    network: u16,
    /// Channel or app, by number; 0 where unknown.
    channel: u8,
    /// Index of its certain children, or [`NO_SPREADER`].
    pub(super) spreader: u8,
}

impl Candidate {
    pub(super) fn new(key: u64, ordinal: u32, time: u32) -> Self {
        let mut candidate = Candidate {
            key: [key as u32, (key >> 32) as u32],
            ordinal,
            time,
            standing: 1.0,
            certain_and_outside: 0,
            packed: 0,
            network: 0,
            channel: 0,
            spreader: NO_SPREADER,
        };
        (0..3).for_each(|burst| candidate.set_burst(burst, UNKNOWN));
        candidate
    }

    /// Ordinal, time, and the bits of certain edges and of the pace, of four.
    #[inline]
    pub(super) fn changing(four: &[Candidate; 4]) -> [u32x4; 4] {
        let of = |one: &Candidate| {
            let changing = [one.ordinal, one.time, one.certain_and_outside, one.packed];
            u32x4::new(changing)
        };
        u32x4::transpose([of(&four[0]), of(&four[1]), of(&four[2]), of(&four[3])])
    }

    pub(super) fn key(&self) -> u64 {
        u64::from(self.key[0]) | u64::from(self.key[1]) << 32
    }

    /// Bin of the mean gap of the 10 arrivals before.
    #[inline]
    pub(super) fn pace(&self) -> u8 {
        (self.packed & 63) as u8
    }

    pub(super) fn set_pace(&mut self, pace: u8) {
        self.set_bits(0, BIN, u32::from(pace.min(63)));
    }

    /// Where it came from for certain.
    pub(super) fn origin(&self) -> u8 {
        match (self.packed >> BIN & 3) as u8 {
            BACK => ORIGIN_UNKNOWN,
            origin => origin,
        }
    }

    /// True where it had left and is back.
    pub(super) fn is_back(&self) -> bool {
        self.packed >> BIN & 3 == u32::from(BACK)
    }

    pub(super) fn set_back(&mut self) {
        self.set_bits(BIN, 2, u32::from(BACK));
    }

    pub(super) fn set_origin(&mut self, origin: u8) {
        self.set_bits(BIN, 2, u32::from(origin));
    }

    /// Bins of its bursts.
    pub(super) fn bursts(&self) -> [u8; 3] {
        [0, 1, 2].map(|burst| (self.packed >> burst_place(burst) & 63) as u8)
    }

    pub(super) fn set_burst(&mut self, burst: usize, bin: u8) {
        self.set_bits(burst_place(burst), BIN, u32::from(bin));
    }

    /// Marks.
    #[inline]
    pub(super) fn marks(&self) -> Marks {
        Marks {
            channel: self.channel,
            network: self.network,
            device: (self.packed >> burst_place(3)) as u8,
        }
    }

    pub(super) fn set_marks(&mut self, marks: Marks) {
        self.channel = marks.channel;
        self.network = marks.network;
        self.set_bits(burst_place(3), BIN, u32::from(marks.folded_device()));
    }

    /// Certain edges up to and including its own.
    #[inline]
    pub(super) fn certain_before(&self) -> u32 {
        self.certain_and_outside & CERTAIN_MAX
    }

    pub(super) fn set_certain_before(&mut self, certain: u32) {
        self.certain_and_outside =
            self.certain_and_outside & !CERTAIN_MAX | certain.min(CERTAIN_MAX);
    }

    /// Probability that it came from outside, as known last, within 1/510.
    pub(super) fn outside(&self) -> f64 {
        f64::from(self.certain_and_outside >> 24) / STEPS
    }

    pub(super) fn set_outside(&mut self, probability: f64) {
        let step = steps(probability) as u32;
        self.certain_and_outside = self.certain_and_outside & CERTAIN_MAX | step << 24;
    }

    fn set_bits(&mut self, place: u32, bits: u32, value: u32) {
        let mask = (1u32 << bits) - 1;
        self.packed = self.packed & !(mask << place) | (value & mask) << place;
    }
}

/// A probability as it is kept.
pub(super) fn kept(probability: f64) -> f64 {
    steps(probability) / STEPS
}

fn steps(probability: f64) -> f64 {
    (probability.clamp(0.0, 1.0) * STEPS).round()
}

/// First bit of a burst's bin; that of the fourth is the device's.
const fn burst_place(burst: usize) -> u32 {
    BIN + 2 + burst as u32 * BIN
}

/// The certain children of a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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

impl Spreader {
    /// Ordinals of the newest child, of the one before and of the one after, and how many there are, of four.
    #[inline]
    pub(super) fn changing(four: &[Spreader; 4]) -> [i32x4; 4] {
        let of = |one: &Spreader| {
            let changing = [one.newest, one.before, one.after, u32::from(one.children)];
            u32x4::new(changing)
        };
        let four = [of(&four[0]), of(&four[1]), of(&four[2]), of(&four[3])];
        u32x4::transpose(four).map(cast)
    }
}

/// What is certain of an arrival's cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Known {
    Nothing,
    Outside,
    /// Slot and ordinal of the parent.
    Share(u8, u32),
}

impl Known {
    /// The same as an origin.
    pub(super) fn origin(self) -> u8 {
        match self {
            Known::Nothing => ORIGIN_UNKNOWN,
            Known::Outside => ORIGIN_OUTSIDE,
            Known::Share(..) => ORIGIN_SHARE,
        }
    }
}

/// An arrival that is not settled: 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) outside_log_odds: f32,
    parent: u32,
    pub(super) slot: u8,
    parent_slot: u8,
    origin: u8,
}

impl Pending {
    pub(super) fn new(slot: u8, known: Known, outside_log_odds: f64) -> Self {
        let mut pending = Pending {
            outside_log_odds: outside_log_odds as f32,
            parent: 0,
            slot,
            parent_slot: 0,
            origin: ORIGIN_UNKNOWN,
        };
        pending.set_known(known);
        pending
    }

    pub(super) fn set_known(&mut self, known: Known) {
        self.origin = known.origin();
        if let Known::Share(slot, ordinal) = known {
            (self.parent_slot, self.parent) = (slot, ordinal);
        }
    }

    /// True where something is certain of its cause.
    #[inline]
    pub(super) fn is_known(&self) -> bool {
        self.origin != ORIGIN_UNKNOWN
    }

    pub(super) fn known(&self) -> Known {
        match self.origin {
            ORIGIN_UNKNOWN => Known::Nothing,
            ORIGIN_OUTSIDE => Known::Outside,
            _ => Known::Share(self.parent_slot, self.parent),
        }
    }
}

/// By how much a list of that length grows that never exceeds `limit`: by half, so that memory is
/// what is used, also of contents that few read.
pub(super) fn more(length: usize, limit: usize) -> usize {
    (length / 2 + 4).min(limit.saturating_sub(length)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const _: () = assert!(std::mem::size_of::<Candidate>() == 32);
    const _: () = assert!(std::mem::size_of::<Pending>() == 12);

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(
            key: u64,
            pace in 0u8..64,
            origin in 0u8..3,
            bursts in [0u8..64, 0u8..64, 0u8..64],
            marks in (any::<u8>(), any::<u16>(), any::<u8>()),
            certain: u32,
            outside in 0.0..=1.0f64,
        ) {
            let mut candidate = Candidate::new(key, 1, 2);
            prop_assert_eq!(candidate.bursts(), [UNKNOWN; 3]);
            let marks = Marks { channel: marks.0, network: marks.1, device: marks.2 };
            candidate.set_outside(outside);
            candidate.set_certain_before(certain);
            candidate.set_marks(marks);
            candidate.set_pace(pace);
            candidate.set_origin(origin);
            for (burst, bin) in bursts.into_iter().enumerate() {
                candidate.set_burst(burst, bin);
            }
            prop_assert_eq!(candidate.key(), key);
            prop_assert_eq!((candidate.pace(), candidate.origin()), (pace, origin));
            prop_assert_eq!(candidate.bursts(), bursts);
            prop_assert_eq!(candidate.certain_before(), certain.min(CERTAIN_MAX));
            prop_assert!((candidate.outside() - outside).abs() <= 0.5 / STEPS + 1e-12);
            let kept = Marks { device: marks.folded_device(), ..marks };
            prop_assert_eq!(candidate.marks(), kept);
        }
    }
}
