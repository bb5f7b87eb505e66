//! How well visits are classified, and the causes of readers inferred, measured against what is true.
//!
//! [`simulated`] makes a site, [`drive`] puts its hits or its access log through the product's own
//! collector or importer and both stages, [`measure`] scores every visit and [`measure_chains`] the
//! causes that the chain stage states, both beside simple methods.
//! [`fit_visits`] fits the weights that are shipped. Simulated truth is not a site's truth: it shows
//! that the method finds what is there, under behaviour that is assumed.

mod chains;
mod company;
mod contents;
mod deciding;
mod fitting;
mod found;
mod half_life;
mod known_way;
mod lineage;
mod measures;
mod needs;
mod own_tokens;
mod parents;
mod pipeline;
mod posted;
mod rivals;
mod simple_trees;
mod simulated;
mod spreads;
mod stated;
mod token_edges;
mod tokens;
mod truth;

pub use chains::{ChainMeasures, Chains, measure_chains};
pub use contents::{ContentMethod, ContentScores};
pub use fitting::{FitError, driving_model, fit_visits};
pub use found::Found;
pub use measures::{
    Baseline, Fit, Group, Point, VisitMeasures, WithinSites, ece_of_sites, ece_within_sites,
    measure,
};
pub use parents::{Apart, GroupScores, MethodScores, ParentScores};
pub use pipeline::{DriveError, Judged, Outcome, Via, drive};
pub use posted::PostedScores;
pub use simple_trees::{SimpleScore, SpreadBaseline};
pub use simulated::{SimulatedSite, scaled_to, simulated};
pub use spreads::{FigureScore, READERS_MIN, SpreadScores};
pub use token_edges::TokenEdges;
pub use truth::{Truth, TruthError, read_truth, token_rate};
