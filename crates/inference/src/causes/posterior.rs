//! Who may have been the cause of an arrival, and with what probability.

use super::candidate::Candidate;
use super::learning::Example;
use super::pool::Block;
use super::scoring::Scratch;
use super::spread::Spread;

/// One cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The outside world.
    Outside,
    /// The earlier arrival of this key.
    Reader(u64),
    /// One of the earlier arrivals that are not kept one by one, up to this ordinal.
    Gone(u32),
}

/// Probabilities of all causes of one arrival; they sum to one.
#[derive(Clone, Copy, Debug)]
pub struct Posterior<'a> {
    spread: &'a Spread,
    scratch: &'a Scratch,
    ordinal: u32,
    scale: f64,
}

/// An arrival whose causes are settled.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// The arrival.
    pub key: u64,
    /// Its cause, where it is certain.
    pub certain: Option<Cause>,
    /// Its causes as if its own token were missing: what is to be emitted where nothing is
    /// certain, and what is to be scored where something is.
    pub posterior: Posterior<'a>,
}

/// Some earlier arrivals that are not kept one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooled {
    /// Greatest ordinal among them.
    pub last: u32,
    /// How many.
    pub count: u32,
    /// Probability that one of them is the cause.
    pub probability: f64,
}

impl<'a> Posterior<'a> {
    pub(super) fn of(spread: &'a Spread, scratch: &'a Scratch, ordinal: u32) -> Self {
        Posterior {
            spread,
            scratch,
            ordinal,
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

    /// Probability of the outside world.
    pub fn outside(&self) -> f64 {
        self.scratch.outside * self.scale
    }

    /// The earlier arrivals that are kept: key, ordinal, probability; in no order.
    pub fn readers(&self) -> impl Iterator<Item = (u64, u32, f64)> + use<'a> {
        let (scale, ordinal) = (self.scale, self.ordinal);
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
        let scale = self.scale;
        let blocks = self.spread.pool.blocks().iter();
        blocks
            .zip(&self.scratch.blocks)
            .map(move |(block, weight): (&Block, &f32)| Pooled {
                last: block.last,
                count: block.count,
                probability: f64::from(*weight) * scale,
            })
    }

    /// The likeliest causes, likeliest first, at most `count`; the earlier arrival on a tie. Those
    /// that are not kept count as one each.
    pub fn likeliest(&self, count: usize) -> Vec<(Cause, f64)> {
        let mut causes: Vec<(Cause, u32, f64)> = self
            .readers()
            .map(|(key, ordinal, probability)| (Cause::Reader(key), ordinal, probability))
            .collect();
        causes.push((Cause::Outside, 0, self.outside()));
        causes.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
        causes.truncate(count);
        causes
            .into_iter()
            .map(|(cause, _, probability)| (cause, probability))
            .collect()
    }
}
