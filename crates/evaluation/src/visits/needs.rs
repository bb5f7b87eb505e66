//! What simulated sites need beside the weights: by how much they differ, and what tells of it.

use super::company::{CompanyLaw, Needed, company_law};
use super::fitting::STEPS;
use super::pipeline::Outcome;
use super::rivals::{Case, Figures, sigmoid};

/// What is believed of a site before it has told, as the model's `[site]` has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteLaw {
    /// Standard deviation of what is needed between sites, and of what facts are worth.
    pub(super) intercept_spread: f64,
    pub(super) slope_spread: f64,
    /// Part of visits by private apps that name themselves where nothing is needed, what is needed for each unit of
    /// its logarithm, and what is left of the spread then.
    pub(super) named: [f64; 3],
    /// What others who came of late make up for.
    pub(super) company: CompanyLaw,
}

/// The law of `sites`, whose landings without deciding fact are `cases`; `alone` says how much of a weight, by number
/// and how much of it did, counts where others who came of late by a known way are not looked at.
pub(super) fn site_law(
    sites: &[Outcome],
    cases: &[Vec<Case>],
    figures: &Figures,
    alone: impl Fn(usize, f64) -> f64,
) -> SiteLaw {
    let needs: Vec<Need> = cases.iter().map(|site| need_of(site, figures)).collect();
    let needed = cases.iter().map(|site| needed(site, figures, &alone));
    let company = company_law(&needed.collect::<Vec<_>>());
    let each = |of: fn(&Need) -> (f64, f64)| needs.iter().map(of).collect::<Vec<_>>();
    SiteLaw {
        intercept_spread: spread(&each(|need| (need.intercept, need.intercept_noise)), 0.2),
        slope_spread: spread(&each(|need| (need.slope, need.slope_noise)), 0.05),
        named: named_law(sites, &needs),
        company,
    }
}

/// What a site needs, of landings elsewhere than on fronts, where others who came of late by a known way are not
/// looked at, and where they are.
fn needed(site: &[Case], figures: &Figures, alone: &impl Fn(usize, f64) -> f64) -> Needed {
    let beside: Vec<Case> = site.iter().filter(|case| !case.front).cloned().collect();
    let cases: Vec<Case> = beside
        .iter()
        .map(|case| case.where_history(alone))
        .collect();
    let alone = need_of(&cases, figures).intercept;
    let [mut unknown, mut company] = [0.0; 2];
    for (whole, without) in beside.iter().zip(&cases) {
        let said = figures.private(without);
        let private = sigmoid(said + alone);
        unknown += private * (1.0 - private);
        company += private * (1.0 - private) * (figures.private(whole) - said);
    }
    Needed {
        alone,
        beside: need_of(&beside, figures).intercept,
        company: company / unknown.max(1e-9),
    }
}

/// What each site would need for itself: an intercept, and a slope of what its facts say around their
/// mean, with the variance of both by sampling.
struct Need {
    intercept: f64,
    intercept_noise: f64,
    slope: f64,
    slope_noise: f64,
}

fn need_of(site: &[Case], figures: &Figures) -> Need {
    let said: Vec<f64> = site.iter().map(|case| figures.private(case)).collect();
    let intercept = |mean: f64, with_slope: bool| {
        let mut found = [0.0; 2];
        let mut information = [1.0, 0.0, 1.0];
        for _ in 0..STEPS {
            let mut up = [0.0; 2];
            information = [1e-3, 0.0, 1e-3];
            for (case, said) in site.iter().zip(&said) {
                let off = if with_slope { said - mean } else { 0.0 };
                let p = sigmoid(said + found[0] + found[1] * off);
                let pull = f64::from(u8::from(case.dark)) - p;
                let bend = p * (1.0 - p);
                up[0] += pull;
                up[1] += pull * off;
                information[0] += bend;
                information[1] += bend * off;
                information[2] += bend * off * off;
            }
            let [a, b, c] = information;
            let determinant = a * c - b * b;
            found[0] += ((c * up[0] - b * up[1]) / determinant).clamp(-1.0, 1.0);
            found[1] += ((a * up[1] - b * up[0]) / determinant).clamp(-0.5, 0.5);
        }
        (found, information)
    };
    let mean = said.iter().sum::<f64>() / said.len().max(1) as f64;
    let (alone, information) = intercept(mean, false);
    let (both, [a, b, c]) = intercept(mean, true);
    Need {
        intercept: alone[0],
        intercept_noise: 1.0 / information[0],
        slope: both[1],
        slope_noise: a / (a * c - b * b),
    }
}

/// Standard deviation around 0, which is where a site starts, sampling noise taken off.
fn spread(found: &[(f64, f64)], least: f64) -> f64 {
    let square: f64 = found
        .iter()
        .map(|(figure, noise)| figure * figure - noise)
        .sum();
    (square / found.len().max(1) as f64)
        .max(0.0)
        .sqrt()
        .max(least)
}

/// How the intercepts of sites hang on the part of their visits that comes by private apps that name
/// themselves: that part where none is needed, the slope on its logarithm, and what is left of the
/// spread.
fn named_law(sites: &[Outcome], needs: &[Need]) -> [f64; 3] {
    let part = |site: &Outcome| {
        let named = site.visits.iter().filter(|visit| visit.names_private_app());
        ((named.count() + 1) as f64 / (site.visits.len() + 10) as f64).ln()
    };
    let pairs: Vec<(f64, &Need)> = sites.iter().map(part).zip(needs).collect();
    let count = pairs.len().max(1) as f64;
    let mean = |of: &dyn Fn(&(f64, &Need)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let middle = mean(&|(part, _)| *part);
    let needed = mean(&|(_, need)| need.intercept);
    let wide = mean(&|(part, _)| (part - middle).powi(2)).max(1e-6);
    let together = mean(&|(part, need)| (part - middle) * (need.intercept - needed));
    // Held as one site of a spread of 1 that says 0 would.
    let slope = (together / (wide + 1.0 / count)).clamp(0.05, 3.0);
    let left: Vec<(f64, f64)> = pairs
        .iter()
        .map(|(part, need)| {
            let off = need.intercept - needed - slope * (part - middle);
            (off, need.intercept_noise)
        })
        .collect();
    let part = (middle - needed / slope).exp().clamp(0.002, 0.9);
    [part, slope, spread(&left, 0.1)]
}
