//! The bars that inference has to clear, and whether it does.

use std::fmt;

use grapevine_evaluation::{CopiedMarks, Measures, Setting, Tokens};

/// Shares of tokens that the bars are of.
pub(crate) const RATES: [f64; 4] = [0.0, 0.01, 0.05, 0.2];

/// Which edges carry tokens, and marks that are made up as the bar of marks has them.
pub(crate) fn setting(rate: f64, seed: u64, marked: bool) -> Setting {
    Setting {
        tokens: Tokens { rate, seed },
        marks: marked.then_some(CopiedMarks {
            channel: 0.5,
            network: 0.3,
            seed,
        }),
    }
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    Below(f64),
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
}

impl Limit {
    /// How far a figure is beyond; 0 or less where it is met.
    fn missed_by(self, figure: f64) -> f64 {
        match self {
            Limit::Below(limit) | Limit::AtMost(limit) => figure - limit,
            Limit::AtLeast(limit) => limit - figure,
            Limit::Between(low, high) => (low - figure).max(figure - high),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Below(limit) => write!(out, "< {limit:.3}"),
            Limit::AtMost(limit) => write!(out, "≤ {limit:.3}"),
            Limit::AtLeast(limit) => write!(out, "≥ {limit:.3}"),
            Limit::Between(low, high) => write!(out, "{low:.2} to {high:.2}"),
        }
    }
}

/// A figure that is held against a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) limit: Limit,
    pub(crate) figure: f64,
}

impl Bar {
    pub(crate) fn is_met(&self) -> bool {
        match self.limit {
            Limit::Below(limit) => self.figure < limit,
            limit => limit.missed_by(self.figure) <= 0.0,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.is_met() { "met" } else { "missed" };
        let Bar {
            name,
            limit,
            figure,
        } = self;
        write!(out, "{name} {limit}: {figure:.3} {said}")
    }
}

/// The bars at one share of tokens; those of a fitted conditional logit where one is given. It is
/// fitted to the labels that the inference learned from, and scored on the same hidden edges.
pub(crate) fn bars(found: &Measures, logit: Option<&Measures>, rate: f64) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut bar = |name, limit, figure: Option<f64>| {
        // What nothing counts for is met by nothing.
        let figure = figure.unwrap_or(f64::NAN);
        bars.push(Bar {
            name,
            limit,
            figure,
        });
    };
    if let Some(logit) = logit {
        let loss = logit.log_loss.expect("hidden edges");
        bar("log-loss", Limit::AtMost(loss + 0.02), found.log_loss);
        bar("log-loss, the logit's", Limit::Below(loss), found.log_loss);
        let error = logit.reproduction_mae.expect("cascades");
        bar("|R error|", Limit::AtMost(error), found.reproduction_mae);
        bar("ECE", Limit::AtMost(0.05), found.ece);
    }
    let off = if rate < 0.05 { 0.05 } else { 0.02 };
    let near = Limit::Between(-off, off);
    bar("bias of pooled R", near, found.reproduction_bias);
    let held = Limit::Between(0.75, 0.85);
    bar("ranges of R", held, found.reproduction_coverage);
    bar("ranges of virality", held, found.virality_coverage);
    bars
}
