//! The causes of an arrival: a posterior over earlier readers, acts of sharing that were seen, and
//! the outside world; streaming and in bounded memory.
//!
//! [`Spread`] is the state of one content. Every [`Arrival`] is considered and admitted, and settled
//! once [`SETTLED_AFTER`] more have come: what follows an arrival tells who had set off a burst, and
//! tokens that come later tell who shares. Every [`Act`] is taken in as it comes
//! ([`Spread::share`]). A cause that becomes certain later moves what it had been taken for
//! ([`Spread::correct`]). Causes are a [`Posterior`], never one parent. The [`Weights`] are a data
//! file, learned from certain edges alone, and what a site teaches besides is [`MarkLaws`];
//! [`Shape`] and [`Metrics`] come with ranges. docs/chains.md has the model and how well it does.
//!
//! Tokens, readers and returns are [`crate::chains`]; this module is told what is certain. It does
//! no I/O, reads no clock, and draws only numbers that follow from the content's seed.
//!
//! Imports go one way: what is told (`arrival`, `marks`, `cause`) and numbers (`features`,
//! `ranges`) ← what is kept (`candidate`, `pool`, `acts`, `trees`, `sums`, `ages`, then `state`) ←
//! what is made of it (`scoring`, `keeping`, `noting`, `draws`, `posterior`) ← what happens
//! (`streaming`, `late`, `metrics`, `unshared`, `waiting`).

mod acts;
mod ages;
mod arrival;
mod candidate;
mod cause;
mod draws;
mod example;
mod features;
mod keeping;
mod late;
mod laws;
mod lbfgs;
mod learning;
mod marks;
mod metrics;
mod noting;
mod outside;
mod pool;
mod posterior;
mod ranges;
mod scoring;
mod scratch;
mod shape;
mod state;
mod streaming;
mod sums;
mod teaching;
mod tokens;
mod trees;
mod unshared;
mod waiting;
mod weights;

pub use acts::{ACTS_MAX, ActLaw};
pub use arrival::{Act, Arrival, Certain};
pub use candidate::CANDIDATES_MAX;
pub use cause::{ByAct, Cause, Pooled};
pub use example::{Example, Lesson};
pub use late::Late;
pub use laws::MarkLaws;
pub use lbfgs::minimise;
pub use learning::Holding;
pub use marks::{MarkLaw, Marks};
pub use metrics::{Metrics, Quartiles};
pub(crate) use metrics::{amplification, doubling_time};
pub use outside::OutsideLaw;
pub use posterior::{Posterior, Settled};
pub use ranges::Range;
pub use scratch::Scratch;
pub use shape::Shape;
pub(crate) use shape::{depth_or_one, share_or_none, star_of, virality_or_star};
pub use state::{SETTLED_AFTER, Spread};
pub use sums::{PRIOR_CHILDREN, PRIOR_READERS, reproduction};
pub use tokens::TokenLaw;
pub use weights::{Dispersion, Weights, WeightsError};

#[cfg(test)]
mod tests;
