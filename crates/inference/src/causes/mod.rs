//! The causes of an arrival: a posterior over earlier readers and the outside world, streaming and
//! in bounded memory.
//!
//! [`Spread`] is the state of one content. Every [`Arrival`] is considered and admitted, and settled
//! once [`SETTLED_AFTER`] more have come: what follows an arrival tells who had set off a burst, and
//! tokens that come later tell who shares. Its causes are a [`Posterior`], never one parent. The
//! [`Weights`] are a data file, learned from certain edges alone; [`Shape`] and the reproduction
//! number come with ranges. docs/chains.md has the model and how well it does.
//!
//! Tokens, readers and returns are [`crate::chains`]; this module is told what is certain. It does
//! no I/O, reads no clock, and draws only numbers that follow from the content's seed.

mod candidate;
mod features;
mod keeping;
mod lbfgs;
mod learning;
mod marks;
mod pool;
mod posterior;
mod scoring;
mod spread;
mod sums;
mod trees;
mod weights;

pub use candidate::CANDIDATES_MAX;
pub use learning::{Example, Holding, Lesson};
pub use marks::{MarkLaw, MarkLaws, Marks};
pub use posterior::{Cause, Pooled, Posterior, Settled};
pub use scoring::Scratch;
pub use spread::{Arrival, Certain, SETTLED_AFTER, Spread};
pub use sums::{Range, Shape};
pub use weights::{Dispersion, Weights, WeightsError};

#[cfg(test)]
mod tests;
