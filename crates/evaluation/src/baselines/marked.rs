//! A method that also sees made-up marks, and knows what they are worth.

use grapevine_inference::causes::Marks;

use super::scoring::{Seen, Weigh};
use crate::cascades::Cascade;
use crate::copied::CopiedMarks;

/// A method whose weights of readers are multiplied by the exact ratio of the probabilities of the
/// node's marks as a child's of theirs and as anybody's.
pub(super) struct Marked<M> {
    method: M,
    law: CopiedMarks,
    /// Marks by cascade and node.
    marks: Vec<Vec<Marks>>,
}

impl<M: Weigh> Marked<M> {
    pub(super) fn new(method: M, law: CopiedMarks, cascades: &[Cascade]) -> Self {
        let marks = cascades.iter().enumerate();
        Marked {
            method,
            law,
            marks: marks
                .map(|(number, cascade)| law.of(number, cascade))
                .collect(),
        }
    }
}

impl<M: Weigh> Weigh for Marked<M> {
    fn weigh(&self, seen: &Seen<'_>, weights: &mut [f64]) {
        self.method.weigh(seen, weights);
        let marks = &self.marks[seen.number];
        let ratio = self.law.ratio_of(marks[seen.node]);
        for (weight, reader) in weights.iter_mut().zip(marks).skip(1) {
            *weight *= ratio(*reader);
        }
    }

    fn expects(&self) -> bool {
        self.method.expects()
    }
}
