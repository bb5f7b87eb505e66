//! What was seen of one arrival, to learn from.

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::features::{BINS, CandidateBins, OutsideBins};

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
    /// Rows of readers of whom certain children had come and settled before.
    pub(super) brought: Vec<usize>,
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
    /// The outside, where it was one of the causes to choose from.
    pub(super) outside: Option<Outside>,
    pub(super) rows: Vec<Row>,
    /// Row of the cause; the outside where there is none.
    pub(super) truth: Option<usize>,
}

/// The outside, as the weights see it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Outside {
    pub(super) bins: OutsideBins,
    /// Logarithm of what the weight is multiplied with besides.
    pub(super) offset: f32,
}

impl Lesson {
    /// Bin of the delay after the reader who was the cause; none from outside.
    pub fn delay(&self) -> Option<u8> {
        self.truth.map(|row| self.rows[row].bins.delay)
    }
}

impl Outside {
    /// Where its weights are.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let tables = self.bins.into_iter().enumerate();
        tables.map(|(table, bin)| table * BINS + usize::from(bin))
    }
}

impl Example {
    /// The example with its cause, where chance alone says which causes are known: the outside
    /// where `parent` is none, else the reader of that key and ordinal. None where that reader could
    /// not have been the cause by an unseen share.
    pub fn lesson(&self, parent: Option<(u64, u32)>) -> Option<Lesson> {
        let truth = match parent {
            None => None,
            Some((key, ordinal)) => Some(self.row(key, ordinal)?),
        };
        Some(Lesson {
            outside: Some(Outside {
                bins: self.outside,
                offset: self.outside_offset,
            }),
            rows: self.rows.clone(),
            truth,
        })
    }

    /// The example of the first to come by the link of a reader, given by his key and ordinal: which
    /// reader it was, of those who had brought nobody yet. None where he had, is the only one who had
    /// not, or could not have been the cause by an unseen share.
    ///
    /// Which causes are known says much here. Whether there is a token depends on whether it was a
    /// share, so it says nothing of the outside. And the second to come by one link says nothing of
    /// those who come without a token, whose links have brought nobody by one: learned from these too,
    /// having certain children would be taken to make a reader their parent. Whom the content has
    /// forgotten as a sharer, since others have brought more of late, is taken to have brought nobody.
    pub fn first_return(&self, (key, ordinal): (u64, u32)) -> Option<Lesson> {
        let truth = self.row(key, ordinal)?;
        if self.brought.contains(&truth) {
            return None;
        }
        let open = |to: usize| {
            let rows = self.rows[..to].iter().enumerate();
            let open = rows.filter(|(at, _)| !self.brought.contains(at));
            open.map(|(_, row)| Row {
                bins: row.bins.without_children(),
                ..*row
            })
        };
        let mut rows = Vec::with_capacity(self.rows.len() - self.brought.len());
        rows.extend(open(self.rows.len()));
        // Of one there is nothing to choose.
        (rows.len() > 1).then(|| Lesson {
            outside: None,
            truth: Some(open(truth).count()),
            rows,
        })
    }

    /// Bin of the delay after the reader of that key and ordinal; none where he could not have been the
    /// cause by an unseen share.
    pub fn delay(&self, (key, ordinal): (u64, u32)) -> Option<u8> {
        let row = self.row(key, ordinal)?;
        Some(self.rows[row].bins.delay)
    }

    /// Row of a reader: his own, else that of those who left with him.
    fn row(&self, key: u64, ordinal: u32) -> Option<usize> {
        if self.seen.contains(&key) {
            return None;
        }
        let kept = |(cause, _): &(Cause, u32)| *cause == Cause::Reader(key);
        let gone =
            |(cause, last): &(Cause, u32)| matches!(cause, Cause::Gone(_)) && ordinal <= *last;
        let kept = self.causes.iter().position(kept);
        kept.or_else(|| self.causes.iter().position(gone))
    }
}
