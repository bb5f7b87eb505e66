//! The weights of all causes of one arrival.

use wide::bytemuck::cast;
use wide::{f32x4, i32x4, u32x4};

use super::candidate::{CERTAIN_MAX, Candidate, Known, NO_SPREADER, Spreader};
use super::features::{
    BINS, CandidateBins, ChangingBins, EVEN, OutsideBins, Table, UNKNOWN, amount, amount_bins,
    count_bins, ratio, ratio_of_bins,
};
use super::laws::{Likeness, MarkLaws};
use super::pool::{BLOCKS_MAX, Block};
use super::scratch::{PART, Scratch, sum_of};
use super::state::{PACE, Spread};
use super::tokens::TokenLaw;
use super::weights::Weights;

/// Limit of the logarithm of the outside's weight.
const OUTSIDE_LOG_MAX: f64 = 40.0;
/// Beta prior of the outside's share among certain edges, as counts of both kinds.
const SHARE_PRIOR: [f32; 2] = [3.2, 1.3];
/// How likely somebody who has shared shares once more, beside a reader of whom nothing is known.
const SHARED_AGAIN: f32 = 2.0;

/// One arrival as its causes see it, with everything that is known by now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) ordinal: u32,
    pub(super) time: u32,
    /// Certain edges by now, the arrival's own aside.
    pub(super) certain: u32,
    /// Certain edges of these that came from outside.
    certain_outside: u32,
    /// Near and wide decayed counts: from outside, all.
    near: [f32; 2],
    wide: [f32; 2],
    /// Bin of the mean gap of the 10 arrivals before.
    pace: u8,
    /// Newest arrival.
    newest: u32,
    pub(super) likeness: Likeness,
    /// Added to the log-odds of the outside.
    pub(super) outside_log_odds: f64,
    /// Where it came by a share, the probability that this share's others have a token.
    lost_alone: f32,
}

impl Moment {
    /// The arrival truly came without a token, on a site where tokens are lost by that law.
    pub(super) fn without_token(self, law: TokenLaw) -> Moment {
        Moment {
            lost_alone: law.lost_alone(),
            ..self
        }
    }
}

impl Spread {
    /// An arrival of that ordinal, time and likeness, with everything up to the `newest` arrival.
    /// Its token is taken for lost alone ([`Moment::without_token`]).
    pub(super) fn moment(
        &self,
        ordinal: u32,
        time: u32,
        newest: u32,
        likeness: Likeness,
        outside_log_odds: f64,
        weights: &Weights,
    ) -> Moment {
        let settled = self.settled().min(ordinal - 1);
        let [near, wide] = weights.decay(ordinal - settled - 1);
        let mut near = self.near.map(|count| count * near);
        let mut wide = self.wide.map(|count| count * wide);
        let (mut certain, mut certain_outside) = (self.certain, self.certain_outside);
        let (older, newer) = self.pending.as_slices();
        let pending = [(1, older), (1 + older.len() as u32, newer)];
        for (first, pending) in pending {
            let known = (settled + first..).zip(pending);
            for (other, pending) in known.filter(|(_, pending)| pending.is_known()) {
                let outside = pending.known() == Known::Outside;
                if other == ordinal {
                    certain -= 1;
                    certain_outside -= u32::from(outside);
                    continue;
                }
                let outside = f32::from(u8::from(outside));
                let [nearby, widely] = weights.decay(ordinal.abs_diff(other));
                near = [near[0] + nearby * outside, near[1] + nearby];
                wide = [wide[0] + widely * outside, wide[1] + widely];
            }
        }
        Moment {
            ordinal,
            time,
            certain,
            certain_outside,
            near,
            wide,
            pace: self.gap_bin(ordinal, time, PACE),
            newest,
            likeness,
            outside_log_odds,
            lost_alone: 1.0,
        }
    }

    /// The bins of the outside world.
    pub(super) fn outside_bins(&self, moment: &Moment) -> OutsideBins {
        let ordinal = moment.ordinal;
        let gap_of = |back: u32| self.gap(ordinal, moment.time, back);
        let gap = |back: u32| amount(gap_of(back));
        let overall = moment.time as f32 / ordinal as f32;
        let ahead = moment.newest.min(ordinal + 20);
        let after = match ahead > ordinal {
            true => {
                let span = self.time_of(ahead).saturating_sub(moment.time);
                amount(span as f32 / (ahead - ordinal) as f32)
            }
            false => UNKNOWN,
        };
        let odds = |[outside, all]: [f32; 2]| {
            let shares = (all - outside).max(0.0);
            ratio(outside + SHARE_PRIOR[0], shares + SHARE_PRIOR[1])
        };
        [
            amount(ordinal as f32),
            amount(moment.time as f32),
            gap(1),
            gap(5),
            gap(20),
            gap(64),
            amount(overall),
            ratio(gap_of(20) + 1.0, overall + 1.0),
            after,
            odds([moment.certain_outside as f32, moment.certain as f32]),
            odds(moment.near),
            odds(moment.wide),
            amount(moment.certain as f32),
            ratio(1.0 + moment.certain as f32, 1.0 + ordinal as f32),
        ]
    }

    /// The bins of a candidate; none where it cannot be the cause.
    pub(super) fn candidate_bins(
        &self,
        candidate: &Candidate,
        moment: &Moment,
    ) -> Option<CandidateBins> {
        if candidate.ordinal >= moment.ordinal || candidate.time > moment.time {
            return None;
        }
        let spreader = match candidate.spreader {
            NO_SPREADER => None,
            at => self.spreaders.get(usize::from(at)),
        };
        let spreader = spreader.filter(|spreader| spreader.children > 0);
        let nearest_child = spreader.map_or(UNKNOWN, |spreader| {
            amount(nearest_child(spreader, moment.ordinal) as f32)
        });
        let since = moment.certain.saturating_sub(candidate.certain_before());
        Some(CandidateBins {
            proven: spreader.is_some(),
            delay: amount((moment.time - candidate.time) as f32),
            rank: amount((moment.ordinal - candidate.ordinal) as f32),
            exposure: amount(since as f32),
            nearest_child,
            children: spreader.map_or(UNKNOWN, |spreader| amount(f32::from(spreader.children))),
            ordinal: amount(candidate.ordinal as f32),
            bursts: candidate.bursts(),
            pace: ratio_of_bins(candidate.pace(), moment.pace),
            origin: candidate.origin(),
        })
    }

    /// The bins of a block, as of a mean member without burst.
    pub(super) fn block_bins(&self, block: &Block, moment: &Moment) -> CandidateBins {
        let bins = changing_bins(block, moment);
        CandidateBins {
            proven: false,
            delay: bins.delay() as u8,
            rank: bins.rank() as u8,
            exposure: bins.exposure() as u8,
            nearest_child: UNKNOWN,
            children: UNKNOWN,
            ordinal: amount(block.ordinal),
            bursts: [EVEN; 3],
            pace: bins.pace() as u8,
            origin: 0,
        }
    }

    /// Finds the bins of every candidate that change with the child, four at a time.
    fn bin(&self, moment: &Moment, scratch: &mut Scratch) {
        let limited = |count: u32| i32x4::splat(count.min(i32::MAX as u32) as i32);
        let ordinal = limited(moment.ordinal);
        let time = limited(moment.time);
        let certain = limited(moment.certain);
        let bins_of = |four: &[Candidate; 4]| {
            let [ordinals, times, certain_and_outside, packed] = Candidate::changing(four);
            let delay = time - cast::<_, i32x4>(times);
            let rank = ordinal - cast::<_, i32x4>(ordinals);
            let before = cast::<_, i32x4>(certain_and_outside & u32x4::splat(CERTAIN_MAX));
            let since = certain - before;
            let ahead: u32x4 = cast(since >> 31);
            ChangingBins::of_four(
                count_bins(delay),
                count_bins(rank),
                !ahead & count_bins(since),
                packed,
                delay | (rank - i32x4::ONE),
            )
        };
        let places = scratch.bins.as_chunks_mut::<4>().0;
        let (fours, rest) = self.candidates.as_chunks::<4>();
        for (bins, four) in places.iter_mut().zip(fours) {
            *bins = bins_of(four);
        }
        if !rest.is_empty() {
            places[fours.len()] = bins_of(&filled(rest));
        }
        // None is 0, which is nobody's ordinal: as far away as can be.
        let away = |child: i32x4| {
            let none = child.simd_eq(i32x4::ZERO) & i32x4::splat(i32::MIN);
            f32x4::from_i32x4(ordinal - (child | none)).abs()
        };
        let bins_of = |four: &[Spreader; 4]| {
            let [newest, before, after, children] = Spreader::changing(four);
            let settled = away(before).fast_min(away(after));
            let nearest = settled.fast_min(f32x4::from_i32x4(ordinal - newest).abs());
            let bins: u32x4 = amount_bins(nearest) | (count_bins(children) << 8u32);
            bins.to_array()
        };
        let places = scratch.spreaders.as_chunks_mut::<4>().0;
        let (fours, rest) = self.spreaders.as_chunks::<4>();
        for (bins, four) in places.iter_mut().zip(fours) {
            *bins = bins_of(four);
        }
        if !rest.is_empty() {
            places[fours.len()] = bins_of(&filled(rest));
        }
    }

    /// Weighs every candidate as one without certain child: the loop that everything waits for.
    fn weigh_unproven<const MARKS: bool>(
        &self,
        moment: &Moment,
        weights: &Weights,
        scratch: &mut Scratch,
    ) {
        let delay = weights.table_by_byte(Table::Delay);
        let rank = weights.table_by_byte(Table::Rank);
        let exposure = weights.table_by_byte(Table::Exposure);
        let pace = &scratch.paces;
        let unproven = weights.table(Table::NearestChild)[usize::from(UNKNOWN)]
            * weights.table(Table::Children)[usize::from(UNKNOWN)];
        let likeness = &moment.likeness;
        let places = scratch.candidates.iter_mut().zip(&scratch.bins);
        for ((weight, bins), candidate) in places.zip(&self.candidates) {
            *weight = candidate.standing
                * delay[bins.delay()]
                * rank[bins.rank()]
                * exposure[bins.exposure()]
                * pace[bins.pace()]
                * unproven;
            if MARKS {
                *weight *= likeness.of(candidate.marks());
            }
        }
    }

    /// Weighs those with certain children, as such: each as somebody of whose share the others have
    /// a token, and as somebody who shared once more.
    fn weigh_proven<const MARKS: bool>(
        &self,
        moment: &Moment,
        weights: &Weights,
        scratch: &mut Scratch,
    ) {
        let delay = weights.table_by_byte(Table::ProvenDelay);
        let rank = weights.table_by_byte(Table::ProvenRank);
        let exposure = weights.table_by_byte(Table::ProvenExposure);
        let nearest = weights.table_by_byte(Table::NearestChild);
        let children = weights.table_by_byte(Table::Children);
        let alone = moment.lost_alone;
        let again = (1.0 - alone) * SHARED_AGAIN;
        for (spreader, places) in self.spreaders.iter().zip(&scratch.spreaders) {
            if spreader.children == 0 {
                continue;
            }
            let slot = usize::from(spreader.slot);
            let candidate = &self.candidates[slot];
            let bins = scratch.bins[slot];
            let mut proven = candidate.standing
                * delay[bins.delay()]
                * rank[bins.rank()]
                * exposure[bins.exposure()]
                * nearest[usize::from(*places as u8)]
                * children[usize::from((*places >> 8) as u8)]
                * scratch.paces[bins.pace()];
            if MARKS {
                proven *= moment.likeness.of(candidate.marks());
            }
            scratch.candidates[slot] = alone * proven + again * scratch.candidates[slot];
        }
    }

    /// Weighs who is no longer kept one by one.
    fn weigh_blocks(&self, moment: &Moment, weights: &Weights, scratch: &mut Scratch) {
        let delay = weights.table_by_byte(Table::Delay);
        let rank = weights.table_by_byte(Table::Rank);
        let exposure = weights.table_by_byte(Table::Exposure);
        let pace = weights.table(Table::Pace);
        let nearest = weights.table(Table::NearestChild)[usize::from(UNKNOWN)];
        let children = weights.table(Table::Children)[usize::from(UNKNOWN)];
        let blocks = self.pool.blocks();
        let mut bins = [ChangingBins::default(); BLOCKS_MAX];
        for (bins, block) in bins.iter_mut().zip(blocks) {
            *bins = changing_bins(block, moment);
        }
        for ((weight, block), bins) in scratch.blocks.iter_mut().zip(blocks).zip(bins) {
            // Marks of the pool's are not kept: on average they say nothing.
            *weight = block.standing
                * delay[bins.delay()]
                * rank[bins.rank()]
                * exposure[bins.exposure()]
                * pace[bins.pace()]
                * nearest
                * children;
        }
    }

    /// Weighs every cause of an arrival.
    pub(super) fn weigh(
        &self,
        moment: &Moment,
        weights: &Weights,
        laws: &MarkLaws,
        scratch: &mut Scratch,
    ) {
        self.bin(moment, scratch);
        scratch.paces[..BINS].copy_from_slice(weights.paces(moment.pace));
        match moment.likeness.says_nothing() {
            true => {
                self.weigh_unproven::<false>(moment, weights, scratch);
                self.weigh_proven::<false>(moment, weights, scratch);
            }
            false => {
                self.weigh_unproven::<true>(moment, weights, scratch);
                self.weigh_proven::<true>(moment, weights, scratch);
            }
        }
        self.weigh_blocks(moment, weights, scratch);
        let bins = self.outside_bins(moment);
        let log: f64 = Table::ALL
            .iter()
            .zip(bins)
            .map(|(table, bin)| weights.log(*table, bin))
            .sum();
        scratch.shift = laws.outside.shift(moment.certain);
        let log = log + moment.outside_log_odds + scratch.shift;
        scratch.outside = log.clamp(-OUTSIDE_LOG_MAX, OUTSIDE_LOG_MAX).exp();
        self.sum(scratch);
        if !self.acts.is_empty() {
            self.weigh_acts(moment, laws, scratch);
        }
    }

    /// Sums the weights of candidates and blocks.
    fn sum(&self, scratch: &mut Scratch) {
        let kept = self.candidates.len();
        let parts = kept.div_ceil(PART);
        scratch.candidates[kept..parts * PART].fill(0.0);
        let weights = scratch.candidates.chunks_exact(PART);
        for (part, weights) in scratch.parts.iter_mut().zip(weights).take(parts) {
            *part = sum_of(weights);
        }
        let pooled = scratch.blocks.iter().take(self.pool.blocks().len());
        let shares = scratch.parts.iter().take(parts).sum::<f32>() + pooled.sum::<f32>();
        scratch.shares = f64::from(shares);
        scratch.by_acts = 0.0;
    }

    /// Weighs the acts of sharing beside everything else, and takes from each sharer what his acts
    /// explain: a path counts once, as seen or as unseen, whichever is likelier.
    fn weigh_acts(&self, moment: &Moment, laws: &MarkLaws, scratch: &mut Scratch) {
        let gap = f64::from(self.gap(moment.ordinal, moment.time, PACE));
        let rest = scratch.outside + scratch.shares;
        let mut acts = 0.0;
        for at in 0..self.acts.len() {
            let likeness = &moment.likeness;
            let bred = self.acts.bred(at, moment.time, gap, likeness, &laws.acts);
            scratch.bred[at] = bred;
            let alone = match self.acts.is_marked(at) {
                true => f64::from(moment.lost_alone),
                false => 1.0,
            };
            let weight = bred.map_or(0.0, |bred| bred.weight * alone * rest);
            scratch.acts[at] = weight as f32;
            acts += f64::from(scratch.acts[at]);
            if weight <= 0.0 {
                continue;
            }
            for (slot, probability) in self.acts.sharers(at) {
                let slot = usize::from(slot);
                if self.candidates[slot].ordinal >= moment.ordinal {
                    continue;
                }
                let seen = (weight * probability) as f32;
                let unseen = &mut scratch.candidates[slot];
                *unseen = (*unseen - seen).max(0.0);
                scratch.sum_part(slot);
            }
        }
        let parts = self.candidates.len().div_ceil(PART);
        let pooled = scratch.blocks.iter().take(self.pool.blocks().len());
        let shares = scratch.parts.iter().take(parts).sum::<f32>() + pooled.sum::<f32>();
        scratch.shares = f64::from(shares) + acts;
        scratch.by_acts = acts;
    }
}

/// The last of a list that is looked at by fours, and as many of nobody as it takes.
fn filled<T: Copy + Default>(rest: &[T]) -> [T; 4] {
    let mut four = [T::default(); 4];
    four[..rest.len()].copy_from_slice(rest);
    four
}

/// The bins of a block that change with the child; that of the pace is its ratio's to the child's.
#[inline]
fn changing_bins(block: &Block, moment: &Moment) -> ChangingBins {
    let bin = |count: f32| amount(count.max(0.0));
    let pace = rounded(block.pace);
    ChangingBins::new(
        bin(moment.time as f32 - block.time),
        bin((moment.ordinal as f32 - block.ordinal).max(1.0)),
        bin(moment.certain as f32 - block.certain_before),
        ratio_of_bins(pace, moment.pace),
    )
}

/// [`f32::round`] of a mean of bins, without the call that it is where no instruction rounds so.
#[inline]
fn rounded(bin: f32) -> u8 {
    let below = bin as u8;
    below.saturating_add(u8::from(bin - f32::from(below) >= 0.5))
}

/// Arrivals between that ordinal and the nearest certain child that is known of a spreader.
#[inline]
fn nearest_child(spreader: &Spreader, ordinal: u32) -> u32 {
    // None is 0, which is nobody's ordinal.
    let away = |child: u32| match child {
        0 => i32::MAX as u32,
        child => ordinal.abs_diff(child),
    };
    let settled = away(spreader.before).min(away(spreader.after));
    settled.min(ordinal.abs_diff(spreader.newest))
}

#[cfg(test)]
mod tests {
    use super::super::arrival::{Arrival, Certain};
    use super::super::features::LATER;
    use super::*;

    #[test]
    fn bins_are_those_of_each_candidate_by_itself() {
        let (weights, laws) = (Weights::builtin(), MarkLaws::default());
        let mut scratch = Scratch::default();
        let mut spread = Spread::new(3, 0);
        let (mut later, mut earlier) = (0, 0);
        for number in 1..=600u64 {
            // Some out of order, every 6th from one of few who share.
            let time = number * number * 100 + number * 7_919 % 90_000;
            let mut arrival = Arrival::new(number, time as i64);
            arrival.certain = number.is_multiple_of(6).then_some(Certain::Share {
                key: number / 50 * 40 + 1,
                time: 0,
                sure: 1.0,
            });
            spread.consider(&arrival, &weights, &laws, &mut scratch);
            spread.admit(&arrival, &weights, &scratch);
            while spread
                .settle(false, &weights, &laws, &mut scratch)
                .is_some()
            {}
            let seconds = spread.seconds(time as i64 - 50_000);
            let ordinal = number.saturating_sub(20).max(1) as u32;
            let likeness = laws.likeness(Default::default());
            let moment = spread.moment(ordinal, seconds, number as u32, likeness, 0.0, &weights);
            spread.bin(&moment, &mut scratch);
            for (candidate, bins) in spread.candidates.iter().zip(scratch.bins) {
                let Some(alone) = spread.candidate_bins(candidate, &moment) else {
                    later += 1;
                    assert!(bins.pace() >= usize::from(LATER));
                    continue;
                };
                earlier += 1;
                let expected = [alone.delay, alone.rank, alone.exposure, candidate.pace()];
                let found = [bins.delay(), bins.rank(), bins.exposure(), bins.pace()];
                assert_eq!(found, expected.map(usize::from));
            }
            for (spreader, places) in spread.spreaders.iter().zip(scratch.spreaders) {
                let candidate = &spread.candidates[usize::from(spreader.slot)];
                if let Some(alone) = spread.candidate_bins(candidate, &moment) {
                    let expected = [alone.nearest_child, alone.children].map(u32::from);
                    assert_eq!([places & 0xFF, places >> 8], expected);
                }
            }
        }
        assert!(later > 5_000 && earlier > 50_000, "{later} {earlier}");
    }

    #[test]
    fn bins_are_rounded_as_numbers_are() {
        let halves = (0..=127).map(|half: u8| f32::from(half) / 2.0);
        for bin in halves.flat_map(|bin| [bin.next_down(), bin, bin.next_up()]) {
            assert_eq!(rounded(bin), bin.round() as u8, "{bin}");
        }
    }
}
