//! What the weights look at: every quantity as the number of a bin of its table.
//!
//! Amounts (delays, ranks, counts) fall into half-octave bins of 1 + x, read off the bits of the
//! floating-point number; ratios into half-octave bins around one. A weight is the product of one
//! factor a table, so scoring a candidate takes no logarithm and no exponential.

use serde::{Deserialize, Serialize};
use wide::bytemuck::cast;
use wide::{f32x4, i32x4, u32x4};

/// Bins a table.
pub(super) const BINS: usize = 64;
/// The bin of what is not known yet, or does not apply.
pub(super) const UNKNOWN: u8 = 63;
/// Bin of a ratio of one.
pub(super) const EVEN: u8 = 31;

/// Half-octave bin of 1 + `amount`: 0 for [1, 1.5), 1 for [1.5, 2), 2 for [2, 3) and so on.
/// `amount` is not negative.
#[inline]
pub(super) fn amount(amount: f32) -> u8 {
    ((amount + 1.0).to_bits() >> 22).saturating_sub(254).min(62) as u8
}

/// The bins that [`amount`] has for four counts, each below 2³¹, without its limits, which cost a third of the time
/// of the loops that ask most. Of a number below 0 it is anything, in any of its bits.
#[inline]
pub(super) fn count_bins(counts: i32x4) -> u32x4 {
    amount_bins(f32x4::from_i32x4(counts))
}

/// The same of amounts.
#[inline]
pub(super) fn amount_bins(amounts: f32x4) -> u32x4 {
    let bits: u32x4 = cast(amounts + f32x4::ONE);
    (bits >> 22) - u32x4::splat(254)
}

/// The bins of a candidate that change with the child, a byte each, so that what asks for several
/// tables computes them once. The byte of the pace is [`LATER`] and more where the candidate cannot
/// be the cause; the others are anything then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChangingBins([u8; 4]);

/// In the byte of a pace: the candidate came later than the child.
pub(super) const LATER: u8 = 0x80;
/// Bits before the byte of a pace.
const PACE_PLACE: u32 = 24;

impl ChangingBins {
    /// Of a delay, a rank, an exposure and a pace, each below [`BINS`].
    #[inline]
    pub(super) fn new(delay: u8, rank: u8, exposure: u8, pace: u8) -> Self {
        ChangingBins([delay, rank, exposure, pace])
    }

    /// The same of four candidates. Those came later where `negative` is below 0; what has more bits than those of
    /// the pace in `packed` is left out.
    #[inline]
    pub(super) fn of_four(
        delay: u32x4,
        rank: u32x4,
        exposure: u32x4,
        packed: u32x4,
        negative: i32x4,
    ) -> [Self; 4] {
        let pace = (packed << PACE_PLACE) & u32x4::splat((BINS as u32 - 1) << PACE_PLACE);
        let later = cast::<_, u32x4>(negative) & u32x4::splat(u32::from(LATER) << PACE_PLACE);
        let bins: u32x4 = delay | (rank << 8u32) | (exposure << 16u32) | pace | later;
        bins.to_array().map(|bins| ChangingBins(bins.to_le_bytes()))
    }

    #[inline]
    pub(super) fn delay(self) -> usize {
        usize::from(self.0[0])
    }

    #[inline]
    pub(super) fn rank(self) -> usize {
        usize::from(self.0[1])
    }

    #[inline]
    pub(super) fn exposure(self) -> usize {
        usize::from(self.0[2])
    }

    #[inline]
    pub(super) fn pace(self) -> usize {
        usize::from(self.0[3])
    }
}

/// Least amount of a bin of [`amount`].
pub(super) fn lower_bound(bin: u8) -> f64 {
    let octave = 2f64.powi(i32::from(bin / 2));
    octave * (1.0 + f64::from(bin % 2) / 2.0) - 1.0
}

/// Half-octave bin of a ratio of positive numbers, limited to 2¹⁵ either way.
pub(super) fn ratio(numerator: f32, denominator: f32) -> u8 {
    let bits = (numerator / denominator).to_bits() >> 22;
    (bits as i32 - 254 + i32::from(EVEN)).clamp(0, 62) as u8
}

/// The bin of the ratio of two amounts that are given by their bins.
#[inline]
pub(super) fn ratio_of_bins(numerator: u8, denominator: u8) -> u8 {
    (i32::from(numerator) - i32::from(denominator) + i32::from(EVEN)).clamp(0, 62) as u8
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $key:literal,)+) => {
        /// The tables of weights.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub(super) enum Table { $($(#[$doc])* $name,)+ }

        impl Table {
            /// Every table, in the order of the enumeration.
            pub(super) const ALL: &[Table] = &[$(Table::$name,)+];

            /// Name in the data file.
            pub(super) fn key(self) -> &'static str {
                match self { $(Table::$name => $key,)+ }
            }
        }
    };
}

tables! {
    /// Of the outside world: arrivals so far.
    OutsideArrivals = "outside_arrivals",
    /// Seconds since the content's start.
    OutsideAge = "outside_age",
    /// Mean gap to the arrival before, seconds.
    OutsideGap1 = "outside_gap_1",
    /// Mean gap of the 5 arrivals before.
    OutsideGap5 = "outside_gap_5",
    /// Mean gap of the 20 arrivals before.
    OutsideGap20 = "outside_gap_20",
    /// Mean gap of the 64 arrivals before.
    OutsideGap64 = "outside_gap_64",
    /// Mean gap of all arrivals so far.
    OutsideGapAll = "outside_gap_all",
    /// Mean gap of the 20 arrivals before to that of all.
    OutsideGapRatio = "outside_gap_ratio",
    /// Mean gap of the up to 20 arrivals after.
    OutsideGapAfter = "outside_gap_after",
    /// Odds of the outside among certain edges.
    OutsideShare = "outside_share",
    /// The same, weighted by nearness: e-fold in 30 arrivals.
    OutsideShareNear = "outside_share_near",
    /// The same, e-fold in 200 arrivals.
    OutsideShareWide = "outside_share_wide",
    /// Certain edges so far.
    OutsideCertain = "outside_certain",
    /// Certain edges to arrivals.
    OutsideCertainRate = "outside_certain_rate",
    /// Of a candidate without certain child: delay, seconds.
    Delay = "delay",
    /// Arrivals from the candidate to the child.
    Rank = "rank",
    /// Certain edges since the candidate's arrival.
    Exposure = "exposure",
    /// The same three of a candidate with certain children.
    ProvenDelay = "proven_delay",
    /// See [`Table::Rank`].
    ProvenRank = "proven_rank",
    /// See [`Table::Exposure`].
    ProvenExposure = "proven_exposure",
    /// Arrivals to the nearest certain child.
    NearestChild = "nearest_child",
    /// Certain children.
    Children = "children",
    /// Which arrival the candidate was.
    Ordinal = "ordinal",
    /// Pace of the 4 arrivals after the candidate to that of the 4 before.
    Burst4 = "burst_4",
    /// The same of 16.
    Burst16 = "burst_16",
    /// The same of 64.
    Burst64 = "burst_64",
    /// Gap before the candidate to the gap before the child, of 10 arrivals.
    Pace = "pace",
    /// Where the candidate itself came from: 0 unknown, 1 outside, 2 a share, both for certain.
    Origin = "origin",
}

/// Tables of the outside world come first.
pub(super) const OUTSIDE_TABLES: usize = Table::Delay as usize;
/// Features of one candidate.
pub(super) const CANDIDATE_FEATURES: usize = 11;
/// Of these, the last make up a candidate's standing: they do not change with the child.
pub(super) const STANDING_FEATURES: usize = 5;

/// The bins of the outside world at one arrival, in the order of its tables.
pub(super) type OutsideBins = [u8; OUTSIDE_TABLES];

/// The bins of one candidate at one arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CandidateBins {
    pub(super) proven: bool,
    pub(super) delay: u8,
    pub(super) rank: u8,
    pub(super) exposure: u8,
    pub(super) nearest_child: u8,
    pub(super) children: u8,
    pub(super) ordinal: u8,
    pub(super) bursts: [u8; 3],
    pub(super) pace: u8,
    pub(super) origin: u8,
}

impl CandidateBins {
    /// The same of a candidate who has no certain child.
    pub(super) fn without_children(self) -> Self {
        CandidateBins {
            proven: false,
            nearest_child: UNKNOWN,
            children: UNKNOWN,
            ..self
        }
    }

    /// Where in the list of all weights those of the candidate's standing are.
    pub(super) fn standing_places(&self) -> [u16; STANDING_FEATURES] {
        *self.places().last_chunk().expect("fewer than all")
    }

    /// Where in the list of all weights the candidate's are.
    pub(super) fn places(&self) -> [u16; CANDIDATE_FEATURES] {
        let at = |table: Table, bin: u8| (table as usize * BINS + usize::from(bin)) as u16;
        let (delay, rank, exposure) = match self.proven {
            false => (Table::Delay, Table::Rank, Table::Exposure),
            true => (Table::ProvenDelay, Table::ProvenRank, Table::ProvenExposure),
        };
        [
            at(delay, self.delay),
            at(rank, self.rank),
            at(exposure, self.exposure),
            at(Table::NearestChild, self.nearest_child),
            at(Table::Children, self.children),
            at(Table::Pace, self.pace),
            at(Table::Ordinal, self.ordinal),
            at(Table::Burst4, self.bursts[0]),
            at(Table::Burst16, self.bursts[1]),
            at(Table::Burst64, self.bursts[2]),
            at(Table::Origin, self.origin),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_fall_into_half_octaves() {
        let expected = [
            (0.0, 0),
            (0.4, 0),
            (0.5, 1),
            (1.0, 2),
            (2.0, 3),
            (3.0, 4),
            (7.0, 6),
        ];
        for (value, bin) in expected {
            assert_eq!(amount(value), bin, "{value}");
        }
        assert_eq!(amount(f32::MAX), 62);
        for bin in 0..50 {
            assert_eq!(amount(lower_bound(bin) as f32 * 1.0001 + 0.0001), bin);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_count_has_the_bin_of_its_amount(octave in 0u32..31, within: u32) {
            let count = (1u32 << octave) | within & ((1 << octave) - 1);
            for count in [0, 1, count, i32::MAX as u32] {
                let bins = count_bins(i32x4::splat(count as i32)).to_array();
                proptest::prop_assert_eq!(bins, [u32::from(amount(count as f32)); 4]);
            }
        }
    }

    #[test]
    fn ratios_are_symmetric_in_octaves_and_limited() {
        assert_eq!(ratio(3.0, 3.0), 31);
        assert_eq!(ratio(4.0, 1.0), 35);
        assert_eq!(ratio(1.0, 4.0), 27);
        assert_eq!(ratio(1e30, 1.0), 62);
        assert_eq!(ratio(1.0, 1e30), 0);
        assert_eq!(ratio_of_bins(amount(15.0), amount(3.0)), ratio(16.0, 4.0));
    }
}
