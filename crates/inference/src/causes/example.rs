//! What was seen of one arrival, to learn from.

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::features::{CandidateBins, OutsideBins};

/// What was seen of one arrival, without its cause.
#[derive(Clone, Debug, Default)]
pub struct Example {
    pub(super) outside: OutsideBins,
    pub(super) outside_offset: f32,
    pub(super) causes: Vec<(Cause, u32)>,
    pub(super) rows: Vec<Row>,
    /// Readers whose seen acts are likelier causes than their unseen ones: they say nothing of
    /// the weights, which are of unseen shares.
    pub(super) seen: Vec<u64>,
}

/// One cause, as the weights see it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) bins: CandidateBins,
    /// Logarithm of what the weight is multiplied with besides.
    pub(super) offset: f32,
}

impl Row {
    /// Where its weights are.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        self.bins.places().into_iter().map(usize::from)
    }
}

/// What was seen of one arrival, and its cause.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lesson {
    pub(super) outside: OutsideBins,
    pub(super) outside_offset: f32,
    pub(super) rows: Vec<Row>,
    /// Row of the cause; the outside where there is none.
    pub(super) truth: Option<usize>,
}

impl Example {
    /// The example with its cause: the outside where `parent` is none, else the reader of that key
    /// and ordinal. None where that reader could not have been the cause by an unseen share.
    pub fn lesson(&self, parent: Option<(u64, u32)>) -> Option<Lesson> {
        let truth = match parent {
            None => None,
            Some((key, _)) if self.seen.contains(&key) => return None,
            Some((key, ordinal)) => {
                let kept = |(cause, _): &(Cause, u32)| *cause == Cause::Reader(key);
                let gone = |(cause, last): &(Cause, u32)| {
                    matches!(cause, Cause::Gone(_)) && ordinal <= *last
                };
                let kept = self.causes.iter().position(kept);
                Some(kept.or_else(|| self.causes.iter().position(gone))?)
            }
        };
        Some(Lesson {
            outside: self.outside,
            outside_offset: self.outside_offset,
            rows: self.rows.clone(),
            truth,
        })
    }
}
