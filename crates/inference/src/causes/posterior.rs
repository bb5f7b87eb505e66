//! Who may have been the cause of an arrival, and with what probability.

use super::acts::SHARERS_MAX;
use super::candidate::Candidate;
use super::cause::{ByAct, Cause, Pooled};
use super::example::Example;
use super::pool::Block;
use super::scratch::Scratch;
use super::state::Spread;

/// Probabilities of all causes of one arrival; they sum to one.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'a> {
    pub(super) spread: &'a Spread,
    pub(super) scratch: &'a Scratch,
    pub(super) ordinal: u32,
    /// Certain edges by then, the arrival's own aside.
    pub(super) certain: u32,
    scale: f64,
}

/// An arrival whose causes are settled.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The arrival.
    pub key: u64,
    /// Its cause, where that was told.
    pub certain: Option<Cause>,
    /// Probability that what was told is so, more than ½.
    pub sure: f64,
    /// Its causes as if its own token were missing: what is to be emitted where nothing is
    /// certain, and what is to be scored where something is.
    pub posterior: Posterior<'a>,
}

impl<'a> Posterior<'a> {
    pub(super) fn of(spread: &'a Spread, scratch: &'a Scratch, ordinal: u32, certain: u32) -> Self {
        Posterior {
            spread,
            scratch,
            ordinal,
            certain,
            scale: 1.0 / (scratch.outside + scratch.shares),
        }
    }

    /// What was seen of the arrival, to learn from; where the scratch keeps examples.
    pub fn example(&self) -> Option<&'a Example> {
        self.scratch.example()
    }

    /// Which arrival of the content it is, from 1.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Certain edges of the content by then, the arrival's own aside.
    pub fn certain(&self) -> u32 {
        self.certain
    }

    /// Probability of the outside world.
    pub fn outside(&self) -> f64 {
        self.scratch.outside * self.scale
    }

    /// Probability of a share that was not seen by somebody who is no arrival
    /// ([`Spread::expect_strangers`]).
    pub fn strangers(&self) -> f64 {
        let unseen = (self.scratch.shares - self.scratch.by_acts).max(0.0);
        self.spread.strangers * unseen * self.scale
    }

    /// What a weight of an arrival counts: strangers have a part of it.
    fn scale_of_readers(&self) -> f64 {
        self.scale * (1.0 - self.spread.strangers)
    }

    /// The earlier arrivals that are kept, by shares that were not seen: key, ordinal, probability;
    /// in no order.
    pub fn readers(&self) -> impl Iterator<Item = (u64, u32, f64)> + use<'a> {
        let (scale, ordinal) = (self.scale_of_readers(), self.ordinal);
        let kept = self.spread.candidates.iter();
        kept.zip(&self.scratch.candidates)
            .filter(move |(candidate, _)| candidate.ordinal < ordinal)
            .map(move |(candidate, weight): (&Candidate, &f32)| {
                (
                    candidate.key(),
                    candidate.ordinal,
                    f64::from(*weight) * scale,
                )
            })
    }

    /// The others, in order of arrival.
    pub fn pooled(&self) -> impl Iterator<Item = Pooled> + use<'a> {
        let scale = self.scale_of_readers();
        let blocks = self.spread.pool.blocks().iter();
        blocks
            .zip(&self.scratch.blocks)
            .map(move |(block, weight): (&Block, &f32)| Pooled {
                last: block.last,
                count: block.count,
                probability: f64::from(*weight) * scale,
            })
    }

    /// The acts of sharing that may have caused it, in order of arrival.
    pub fn acts(&self) -> impl Iterator<Item = ByAct> + use<'a> {
        let (spread, scratch) = (self.spread, self.scratch);
        let (scale, ordinal) = (self.scale, self.ordinal);
        let acts = scratch.acts.iter().take(spread.acts.len()).enumerate();
        acts.filter(|(_, weight)| **weight > 0.0)
            .map(move |(at, weight)| {
                let mut sharers = [None; SHARERS_MAX];
                let kept = spread.acts.sharers(at);
                let earlier = kept
                    .map(|(slot, probability)| (&spread.candidates[usize::from(slot)], probability))
                    .filter(|(candidate, _)| candidate.ordinal < ordinal);
                for (place, (candidate, probability)) in sharers.iter_mut().zip(earlier) {
                    *place = Some((candidate.key(), probability));
                }
                ByAct {
                    key: spread.acts.key(at),
                    probability: f64::from(*weight) * scale,
                    sharers,
                }
            })
    }

    /// The likeliest causes, likeliest first, at most `count`; the earlier arrival on a tie,
    /// strangers and acts last. Those that are not kept one by one are not among them.
    pub fn likeliest(&self, count: usize) -> Vec<(Cause, f64)> {
        let mut causes: Vec<(Cause, u32, f64)> = self
            .readers()
            .map(|(key, ordinal, probability)| (Cause::Reader(key), ordinal, probability))
            .collect();
        causes.push((Cause::Outside, 0, self.outside()));
        if self.strangers() > 0.0 {
            causes.push((Cause::Stranger, u32::MAX, self.strangers()));
        }
        let acts = self.acts();
        causes.extend(acts.map(|act| (Cause::Act(act.key), u32::MAX, act.probability)));
        causes.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
        causes.truncate(count);
        causes
            .into_iter()
            .map(|(cause, _, probability)| (cause, probability))
            .collect()
    }
}
