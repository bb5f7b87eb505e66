//! Acts of sharing that were seen, as causes of their own: previews that messengers fetched,
//! copies, share buttons.
//!
//! An act breeds arrivals for about an hour. Measured on a public log of a link shortener, 2012:
//! clicks without a referrer came 28 times as often within a minute of a preview as at random
//! times, 6.4 times as often within ten minutes and 3.7 times within an hour. These excesses have
//! one arrival as their sum where arrivals come 3.5 hours apart ([`QUIET`]), so an act is taken to
//! breed one, in that rhythm, whatever else comes: on a busy content it explains little, on a
//! quiet one it explains at most what was measured. How many it really breeds is learned from
//! certain edges, for each of the three spans of time ([`ActLaw`]).
//!
//! Who shared is certain or a guess: readers from before the act, the likelier the shorter ago and
//! the more their marks are the act's. Where a reader's act is a cause, his unseen shares count
//! only as far as they are likelier: one path is never counted twice.

use serde::{Deserialize, Serialize};

use super::arrival::Act;
use super::candidate::{Candidate, more};
use super::laws::Likeness;
use super::marks::Marks;

/// Acts kept of a content, the newest. An arrival settles 96 arrivals later, so that acts are seen to
/// the end where there are no more than one for four arrivals.
pub const ACTS_MAX: usize = 24;
/// Sharers kept of an act.
pub(super) const SHARERS_MAX: usize = 3;
/// Ends of the three spans after an act, seconds.
const SPANS: [u32; 3] = [60, 600, 3_600];
/// By how much the rate of arrivals exceeds that at random times, in each span.
const EXCESS: [f64; 3] = [27.0, 5.4, 2.7];
/// Mean gap between arrivals, in seconds, at which these excesses sum to one arrival.
const QUIET: f64 = 27.0 * 60.0 + 5.4 * 540.0 + 2.7 * 3_000.0;
/// Arrivals by acts that the measured excesses weigh as much as.
const PRIOR_ARRIVALS: f64 = 5.0;
/// Fixed point of the sums.
const ONE: f64 = (1u64 << 20) as f64;
/// Readers share after a time that falls off with this scale, seconds: our reading of how long a
/// page is read.
const DWELL: f64 = 600.0;
/// How likely it is that the sharer never visited, beside a reader of this moment.
const STRANGER: f64 = 1.0;
/// Probability that sharer and act have the same network and device where both are known.
const SAME: f64 = 0.95;
/// Steps of a sharer's probability.
const STEPS: f64 = 255.0;

/// One act: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    key: [u32; 2],
    /// Seconds since the content's start.
    time: u32,
    network: u16,
    channel: u8,
    device: u8,
    slots: [u8; SHARERS_MAX],
    /// Probability of each, in 255ths; 0 where there is none.
    probabilities: [u8; SHARERS_MAX],
    /// Whether the link carried a token.
    marked: bool,
}

impl Kept {
    fn key(&self) -> u64 {
        u64::from(self.key[0]) | u64::from(self.key[1]) << 32
    }

    fn marks(&self) -> Marks {
        Marks {
            channel: self.channel,
            network: self.network,
            device: self.device,
        }
    }

    /// Slot and probability of those who may have shared.
    fn sharers(&self) -> impl Iterator<Item = (u8, f64)> + use<> {
        let sharers = self.slots.into_iter().zip(self.probabilities);
        sharers
            .filter(|(_, probability)| *probability > 0)
            .map(|(slot, probability)| (slot, f64::from(probability) / STEPS))
    }
}

/// The newest acts of a content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Acts {
    kept: Vec<Kept>,
    /// All that there were.
    pub(super) count: u32,
}

/// An act as it may have caused an arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bred {
    /// Which span of time after the act it is.
    span: usize,
    /// The act's weight where all other causes have the sum of one.
    pub(super) weight: f64,
}

impl Acts {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn key(&self, at: usize) -> u64 {
        self.kept[at].key()
    }

    /// Slot and probability of those who may have shared.
    pub(super) fn sharers(&self, at: usize) -> impl Iterator<Item = (u8, f64)> + use<> {
        self.kept[at].sharers()
    }

    pub(super) fn bytes(&self) -> usize {
        self.kept.capacity() * std::mem::size_of::<Kept>()
    }

    /// Takes an act in; the oldest leaves where there are too many. `sharers` are slots with their
    /// probabilities, likeliest first.
    pub(super) fn take_in(&mut self, kept: &Act, time: u32, sharers: &[(u8, f64)]) {
        let Act {
            key, marks, marked, ..
        } = *kept;
        self.count = self.count.saturating_add(1);
        if self.kept.len() == ACTS_MAX {
            let oldest = self.kept.iter().enumerate();
            let oldest = oldest.min_by_key(|(at, act)| (act.time, *at));
            if let Some((at, _)) = oldest {
                self.kept.remove(at);
            }
        }
        if self.kept.len() == self.kept.capacity() {
            self.kept.reserve_exact(more(self.kept.len(), ACTS_MAX));
        }
        let mut act = Kept {
            key: [key as u32, (key >> 32) as u32],
            time,
            network: marks.network,
            channel: marks.channel,
            device: marks.folded_device(),
            slots: [0; SHARERS_MAX],
            probabilities: [0; SHARERS_MAX],
            marked,
        };
        for (at, (slot, probability)) in sharers.iter().take(SHARERS_MAX).enumerate() {
            act.slots[at] = *slot;
            act.probabilities[at] = (probability * STEPS).round() as u8;
        }
        self.kept.push(act);
    }

    /// True where an act of that key is kept.
    pub(super) fn has(&self, key: u64) -> bool {
        self.kept.iter().any(|act| act.key() == key)
    }

    /// The candidate of a slot leaves: who shared is no longer known.
    pub(super) fn forget_slot(&mut self, slot: u8) {
        for act in &mut self.kept {
            for (sharer, probability) in act.slots.iter().zip(&mut act.probabilities) {
                if *sharer == slot {
                    *probability = 0;
                }
            }
        }
    }

    /// Whether the link carried a token.
    pub(super) fn is_marked(&self, at: usize) -> bool {
        self.kept[at].marked
    }

    /// How an act may have caused an arrival of that time and likeness, where arrivals come `gap`
    /// seconds apart. None where it cannot have.
    pub(super) fn bred(
        &self,
        at: usize,
        time: u32,
        gap: f64,
        likeness: &Likeness,
        law: &ActLaw,
    ) -> Option<Bred> {
        let act = &self.kept[at];
        let (span, excess) = excess(act.time, time, gap)?;
        let weight = excess * law.bred(span) * f64::from(likeness.of(act.marks()));
        Some(Bred { span, weight })
    }
}

/// Which span of time after an act an arrival falls into, and by how much its rate exceeds the
/// usual one there.
fn excess(act: u32, arrival: u32, gap: f64) -> Option<(usize, f64)> {
    let after = arrival.checked_sub(act)?;
    let span = SPANS.iter().position(|end| after < *end)?;
    Some((span, EXCESS[span] * (gap / QUIET).clamp(0.0, 1.0)))
}

/// Who may have shared in an act, likeliest first: slot and probability. `candidates` are those
/// that are kept; `same` the share of arrivals that have the act's network and device.
pub(super) fn sharers(
    candidates: &[Candidate],
    time: u32,
    marks: Marks,
    network_share: f64,
    device_share: f64,
) -> [(u8, f64); SHARERS_MAX] {
    let ratio = |act: u16, reader: u16, share: f64| match (act, reader) {
        (0, _) | (_, 0) => 1.0,
        (act, reader) if act == reader => (SAME / share).min(super::marks::RATIO_MAX),
        _ => 1.0 - SAME,
    };
    let mut best = [(0u8, 0.0f64); SHARERS_MAX];
    let mut total = STRANGER;
    for (slot, candidate) in (0u8..=u8::MAX).zip(candidates) {
        let Some(before) = time.checked_sub(candidate.time) else {
            continue;
        };
        let known = candidate.marks();
        let weight = (-f64::from(before) / DWELL).exp()
            * ratio(marks.network, known.network, network_share)
            * ratio(
                u16::from(marks.folded_device()),
                u16::from(known.device),
                device_share,
            );
        total += weight;
        let place = best.iter().position(|(_, better)| weight > *better);
        if let Some(place) = place {
            best[place..].rotate_right(1);
            best[place] = (slot, weight);
        }
    }
    best.map(|(slot, weight)| (slot, weight / total))
}

/// What acts of sharing breed, learned from certain edges. Counts only, so that two of them add
/// up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActLaw {
    /// Certain arrivals from the sharers of acts, by span after the act, times 2²⁰.
    taken: [u64; SPANS.len()],
    /// What was expected of them, times 2²⁰.
    expected: [u64; SPANS.len()],
}

impl ActLaw {
    /// Arrivals that an act breeds in a span, relative to what was measured elsewhere.
    fn bred(&self, span: usize) -> f64 {
        (self.taken[span] as f64 / ONE + PRIOR_ARRIVALS)
            / (self.expected[span] as f64 / ONE + PRIOR_ARRIVALS)
    }

    /// Arrivals that one act breeds within an hour.
    pub fn arrivals_per_act(&self) -> f64 {
        let widths = [60.0, 540.0, 3_000.0];
        (0..SPANS.len())
            .map(|span| EXCESS[span] * widths[span] / QUIET * self.bred(span))
            .sum()
    }

    /// Counts an arrival whose cause is certain: what was expected of an act (its probability
    /// relative to [`ActLaw::bred`]), and the share of the arrival that was its.
    pub(super) fn count(&mut self, bred: &Bred, expected: f64, taken: f64) {
        let fixed = |count: f64| (count.clamp(0.0, 1.0) * ONE) as u64;
        let relative = expected / self.bred(bred.span);
        self.expected[bred.span] = self.expected[bred.span].saturating_add(fixed(relative));
        self.taken[bred.span] = self.taken[bred.span].saturating_add(fixed(taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_breeds_one_arrival_on_a_content_however_busy() {
        assert!((ActLaw::default().arrivals_per_act() - 1.0).abs() < 1e-12);
        for gap in [10.0, 600.0, QUIET] {
            // Arrivals each second, of each the excess over the usual rate.
            let bred: f64 = (0..3_600)
                .filter_map(|second| excess(0, second, gap))
                .map(|(_, excess)| excess / gap)
                .sum();
            assert!((bred - 1.0).abs() < 1e-9, "{gap}: {bred}");
        }
        assert_eq!(excess(100, 99, 1.0), None);
        assert_eq!(excess(0, 3_600, 1.0), None);
        assert_eq!(excess(5, 5, f64::MAX), Some((0, 27.0)));
    }

    #[test]
    fn what_acts_breed_is_learned_and_starts_as_measured() {
        let mut law = ActLaw::default();
        let bred = Bred {
            span: 1,
            weight: 1.0,
        };
        for _ in 0..1_000 {
            // Half of what is expected comes.
            let expected = 0.2 * law.bred(1);
            law.count(&bred, expected, 0.1);
        }
        assert!((law.bred(1) - 0.5).abs() < 0.02, "{}", law.bred(1));
        assert_eq!(law.bred(0), 1.0);
    }

    #[test]
    fn the_sharer_is_a_recent_reader_of_the_same_network_or_nobody_known() {
        let mut candidates = Vec::new();
        for (at, (time, network)) in [(0, 1), (3_000, 2), (3_590, 3), (3_700, 2)]
            .iter()
            .enumerate()
        {
            let mut candidate = Candidate::new(at as u64, at as u32 + 1, *time);
            candidate.set_marks(Marks {
                network: *network,
                ..Marks::default()
            });
            candidates.push(candidate);
        }
        let marks = |network| Marks {
            network,
            ..Marks::default()
        };
        let found = sharers(&candidates, 3_600, marks(2), 0.01, 1.0);
        assert_eq!(found[0].0, 1, "{found:?}");
        assert!(found[0].1 > 0.8);
        // By time alone: the newest before the act, beside nobody known.
        let found = sharers(&candidates, 3_600, marks(0), 0.01, 1.0);
        assert_eq!(found[0].0, 2, "{found:?}");
        assert!((0.3..0.6).contains(&found[0].1), "{found:?}");
        let sum: f64 = found.iter().map(|(_, probability)| probability).sum();
        assert!(sum < 1.0);
        assert_eq!(
            sharers(&[], 5, marks(2), 0.01, 1.0),
            [(0, 0.0); SHARERS_MAX]
        );
    }

    #[test]
    fn the_newest_acts_are_kept() {
        let mut acts = Acts::default();
        for key in 0..40u64 {
            let act = Act {
                key,
                time: 0,
                marks: Marks::default(),
                sharer: None,
                marked: false,
            };
            acts.take_in(&act, key as u32, &[(3, 1.0)]);
        }
        assert_eq!((acts.len(), acts.count), (ACTS_MAX, 40));
        assert!(acts.has(39) && !acts.has(0));
        acts.forget_slot(3);
        assert_eq!(acts.sharers(0).count(), 0);
        assert!(acts.bytes() <= 24 * ACTS_MAX);
    }
}
