//! How well visits are classified, measured against what is true.
//!
//! [`simulated`] makes a site, [`drive`] puts its hits or its access log through the product's own
//! collector or importer and both stages, [`measure`] scores every visit, beside simple methods.
//! [`fit_visits`] fits the weights that are shipped. Simulated truth is not a site's truth: it shows
//! that the method finds what is there, under behaviour that is assumed.

mod fitting;
mod measures;
mod pipeline;
mod rivals;
mod simulated;
mod tokens;
mod truth;

pub use fitting::{FitError, fit_visits, published_model};
pub use measures::{Baseline, Fit, Found, Group, Point, VisitMeasures, ece_of_sites, measure};
pub use pipeline::{DriveError, Judged, Outcome, Via, drive};
pub use simulated::{SimulatedSite, scaled_to, simulated};
pub use truth::{Truth, TruthError, read_truth, token_rate};
