//! How well share chains are inferred, measured on cascades whose true parents are known; and how
//! well visits are classified ([`visits`]).
//!
//! [`read`] takes a cascade file, [`evaluate`] hides its edges but for a share of tokens, drives
//! the product's own streaming inference ([`grapevine_inference::causes`]) over it and scores every
//! hidden edge; [`learn`] learns weights from the tokens of a file as the product would, and [`fit`]
//! makes the weights that are shipped. [`baselines()`] are the methods to beat.
//!
//! The root of a cascade (node 0) is the publisher's own broadcast, so its children came from
//! outside and it is no arrival itself. Nothing here is used in production.
#![forbid(unsafe_code)]

mod baselines;
mod cascades;
mod copied;
mod drive;
mod fit;
mod measures;
pub mod visits;

pub use baselines::{Baseline, Baselines, Labelled, baselines, conditional_logit};
pub use cascades::{Cascade, NODES_MAX, ReadError, read, read_from};
pub use copied::CopiedMarks;
pub use drive::{Evaluation, Setting, Tokens, evaluate};
pub use fit::{FitSource, fit, learn};
pub use measures::{CascadeScore, EdgeScore, Measures, measure};
