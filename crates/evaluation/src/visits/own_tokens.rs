//! How often readers' own tokens come back and are not recognised, on simulated sites.

use grapevine_event::Method;
use grapevine_inference::evidence;

use super::pipeline::{Judged, Outcome};

/// What a model says of readers' own tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OwnTokensLaw {
    /// Those that are not recognised, for each that is, where readers have an id that the site keeps.
    pub(super) to_again: f64,
    /// Part of landings elsewhere than on fronts that nobody passed on which come by one, where they have none.
    pub(super) part: f64,
    /// Standard deviation, between sites, of the logarithm of either.
    pub(super) spread: f64,
}

/// What one site has elsewhere than on home pages and sections' fronts.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    own: f64,
    again: f64,
    not_private: f64,
    with_id: bool,
}

/// The law of `marked` sites, which carry tokens; `None` where no site of either kind has an own token.
pub(super) fn own_tokens_law(marked: &[Outcome]) -> Option<OwnTokensLaw> {
    let sites: Vec<Counts> = marked.iter().map(|site| counts(&site.visits)).collect();
    let kind = |with_id: bool| sites.iter().filter(move |site| site.with_id == with_id);
    let sum = |with_id: bool, of: fn(&Counts) -> f64| kind(with_id).map(of).sum::<f64>();
    let again = sum(true, |site| site.again);
    let own = sum(true, |site| site.own);
    let without: Vec<&Counts> = kind(false).collect();
    if again == 0.0 || own == 0.0 || without.is_empty() {
        return None;
    }
    let to_again = own / again;
    // Half a case more on either side, so that none is no infinity.
    let log = |site: &Counts, expected: f64| ((site.own + 0.5) / (expected + 0.5)).ln();
    let logs: Vec<f64> = without
        .iter()
        .map(|site| log(site, site.not_private))
        .collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let offs = logs.iter().map(|log| log - mean).collect::<Vec<f64>>();
    let with_id = kind(true).map(|site| log(site, site.again * to_again));
    let offs: Vec<f64> = offs.into_iter().chain(with_id).collect();
    // Of it, the part that is chance alone (Poisson).
    let chance: f64 = sites.iter().map(|site| 1.0 / (site.own + 1.0)).sum();
    let square: f64 = offs.iter().map(|off| off * off).sum();
    let variance = (square - chance) / offs.len() as f64;
    Some(OwnTokensLaw {
        to_again,
        part: mean.exp(),
        spread: variance.max(0.0).sqrt().clamp(0.2, 2.0),
    })
}

fn counts(visits: &[Judged]) -> Counts {
    let mut counts = Counts::default();
    for visit in visits {
        let has = |name: &str| visit.facts.iter().any(|(fact, _)| *fact == name);
        counts.with_id |= has(evidence::NEW_VISITOR);
        let is_passed_on = visit.truth.cause == "share";
        let marked = visit.rest.is_some();
        let undecided = marked || visit.method == Method::Prior;
        let count = |is_so: bool| f64::from(u8::from(visit.deep && is_so));
        counts.again += count(has(evidence::TOKEN_AGAIN));
        counts.own += count(marked && !is_passed_on);
        counts.not_private += count(undecided && !visit.truth.is_dark());
    }
    counts
}
