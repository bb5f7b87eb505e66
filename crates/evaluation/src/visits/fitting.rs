//! Fitting the weights of the grey rest on simulated sites, held to what is published.
//!
//! Logistic regression of "privately passed" on the facts that the product itself found, every site
//! counting the same, with a normal penalty around each published figure as wide as its published
//! range; the same again for search against typed among the others. Ranges are moved along with the
//! likely value and keep at least their published width: simulated truth may widen them, not
//! narrow them, since it is no site's truth.

use grapevine_event::Method;
use grapevine_inference::{Model, Range, evidence};

use super::pipeline::{Judged, Outcome};

/// What one site counts, in visits.
const SITE_VISITS: f64 = 300.0;
/// Narrowest penalty, in log-odds.
const WIDTH_MIN: f64 = 0.15;
/// Penalty of the search column, in log-odds: nothing says how wide its figures are.
const SEARCH_WIDTH: f64 = 0.7;
/// A published range is taken for one of 90 %.
const QUANTILE: f64 = 1.645;
/// Part of sites whose range should hold the true part.
const HELD: f64 = 0.9;
const STEPS: usize = 30;

/// One landing that no fact decided.
struct Case {
    /// Number of the weight and how much of it counts.
    facts: Vec<(usize, f64)>,
    dark: bool,
    search: bool,
}

/// Why no weights can be fitted.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Not enough landings.
    #[error("{0} landings without any deciding fact are too few to fit on: simulate more sites")]
    TooFew(usize),
    /// The fitted text is no model.
    #[error("the fitted model is none: {0}")]
    Model(#[from] grapevine_inference::ModelError),
}

/// The model with every figure as published: what sites to fit on are driven with.
///
/// # Errors
/// None as long as the shipped model is one.
pub fn published_model() -> Result<Model, FitError> {
    let model = Model::builtin();
    let mut text = Model::builtin_text().to_owned();
    for (name, weight) in named(&model) {
        let dark = weight.published;
        text = with_weight(&text, &name, dark, weight.published_search);
    }
    for fact in deciding(&model) {
        text = with_line(&text, fact.table, &fact.name, &as_text(fact.published));
    }
    Ok(Model::parse(&text)?)
}

/// Fits a model on sites that were driven with [`published_model`]: `sites` without tokens, `marked`
/// with them, which only the probabilities where tokens decide are fitted on. `from` says in words
/// what the sites are. Gives the text of the model.
///
/// # Errors
/// Too few landings.
pub fn fit_visits(
    sites: &[Outcome],
    marked: &[Outcome],
    version: &str,
    from: &str,
) -> Result<String, FitError> {
    let model = published_model()?;
    let weights = named(&model);
    let cases: Vec<Vec<Case>> = sites
        .iter()
        .map(|site| {
            let grey = site.visits.iter();
            let grey = grey.filter(|visit| visit.method == Method::Prior);
            grey.map(|visit| case(visit, &weights)).collect()
        })
        .collect();
    let landings: usize = cases.iter().map(Vec::len).sum();
    if landings < 1_000 {
        return Err(FitError::TooFew(landings));
    }
    let published: Vec<Range> = weights.iter().map(|(_, weight)| weight.published).collect();
    let centre: Vec<f64> = published.iter().map(|range| range.likely).collect();
    let width: Vec<f64> = published
        .iter()
        .map(|range| ((range.high - range.low) / 2.0 / QUANTILE).max(WIDTH_MIN))
        .collect();
    let dark = regress(&cases, &centre, &width, &|_| true, &|case| case.dark);
    let centre: Vec<f64> = weights
        .iter()
        .map(|(_, weight)| weight.published_search)
        .collect();
    let wide = vec![SEARCH_WIDTH; weights.len()];
    let search = regress(&cases, &centre, &wide, &|case| !case.dark, &|case| {
        case.search
    });
    let dark: Vec<f64> = dark.into_iter().map(rounded).collect();
    let spread = spread_of(&cases, &dark);
    let wider = widening(&cases, &dark, &published);
    let mut text = Model::builtin_text().to_owned();
    for (at, (name, _)) in weights.iter().enumerate() {
        let range = moved(published[at], dark[at], wider);
        text = with_weight(&text, name, range, rounded(search[at]));
    }
    for fact in deciding(&model) {
        let outcomes = match fact.name.starts_with("token") {
            true => marked,
            false => sites,
        };
        let range = fact.fitted(outcomes);
        text = with_line(&text, fact.table, &fact.name, &as_text(range));
    }
    text = with_line(&text, "site", "intercept_spread", &format!("{spread:.2}"));
    text = with_line(&text, "", "version", &format!("{version:?}"));
    let fitted = format!(
        "{landings} landings without any deciding fact of {from}; each site counts the same, each \
         figure is held to the published one by its range; ranges are the published ones, moved, \
         {wider:.2} times as wide"
    );
    text = with_line(&text, "", "fitted", &format!("{fitted:?}"));
    Model::parse(&text)?;
    Ok(text)
}

fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

/// The prior first, then every weight, by the name of its table.
fn named(model: &Model) -> Vec<(String, grapevine_inference::Weight)> {
    let mut named = vec![("prior".to_owned(), model.prior().clone())];
    let weights = model.weights().into_iter();
    named.extend(weights.map(|(name, weight)| (format!("weight.{name}"), weight.clone())));
    named
}

fn case(visit: &Judged, weights: &[(String, grapevine_inference::Weight)]) -> Case {
    let mut facts = vec![(0, 1.0)];
    for (name, log_odds) in &visit.facts {
        if *name == evidence::PREVIEW_BEFORE {
            facts.extend(preview(*log_odds, weights));
        } else if let Some(at) = weights
            .iter()
            .position(|(table, _)| table.strip_prefix("weight.") == Some(name))
        {
            facts.push((at, 1.0));
        }
    }
    Case {
        facts,
        dark: visit.truth.is_dark(),
        search: visit.truth.is_search(),
    }
}

/// Which of the weights of previews it was: whole, or half where the app may have posted it.
fn preview(
    log_odds: f64,
    weights: &[(String, grapevine_inference::Weight)],
) -> Option<(usize, f64)> {
    let previews = weights.iter().enumerate();
    let previews = previews.filter(|(_, (name, _))| name.starts_with("weight.preview_"));
    previews
        .flat_map(|(at, (_, weight))| [(at, 1.0, weight), (at, 0.5, weight)])
        .find(|(_, part, weight)| (weight.dark.likely * part - log_odds).abs() < 1e-3)
        .map(|(at, part, _)| (at, part))
}

/// A probability that is used where a fact decides.
struct Deciding {
    table: &'static str,
    name: String,
    published: Range,
}

fn deciding(model: &Model) -> Vec<Deciding> {
    let facts = model.facts().into_iter();
    let facts = facts.map(|(name, _, published)| Deciding {
        table: "fact",
        name: name.to_owned(),
        published,
    });
    let surfaces = model.surfaces().into_iter();
    let surfaces = surfaces.map(|(app, _, published)| Deciding {
        table: "surface",
        name: app.to_owned(),
        published,
    });
    facts.chain(surfaces).collect()
}

impl Deciding {
    /// Whether it gave a visit its probability: by what decided, and by the figure.
    fn decided(&self, visit: &Judged) -> bool {
        let same = (visit.dark[1] - self.published.likely).abs() < 1e-6;
        let app = matches!(
            visit.method,
            Method::InAppBrowser | Method::RequestedWith | Method::Client | Method::Referrer
        );
        let of_surface = self.table == "surface" && visit.app == self.name;
        same && match (self.name.as_str(), visit.method) {
            _ if self.table == "surface" => app && of_surface,
            ("token" | "token_without_id" | "token_private", Method::Token) => true,
            ("token_again" | "token_public", Method::Token) => true,
            (
                "share_mark_private" | "share_mark_public" | "share_mark_unknown",
                Method::ShareMark,
            ) => true,
            ("private_app" | "public_app" | "unknown_surface", _) => app,
            ("mail_referrer" | "public_referrer", Method::Referrer) => true,
            ("click_id" | "paid_without_referrer", Method::ClickId) => true,
            ("campaign_without_referrer" | "campaign_messenger", Method::Campaign) => true,
            _ => false,
        }
    }

    /// The published range with the likely value that the sites ask for, held to the published one
    /// by its range and inside it.
    fn fitted(&self, sites: &[Outcome]) -> Range {
        let logit = |p: f64| {
            let p = p.clamp(0.005, 0.995);
            (p / (1.0 - p)).ln()
        };
        let Range { low, likely, high } = self.published;
        let width = ((logit(high) - logit(low)) / 2.0 / QUANTILE).max(WIDTH_MIN);
        let mut counts = Vec::new();
        for site in sites {
            let visits = site.visits.iter().filter(|visit| self.decided(visit));
            let (all, dark) = visits.fold((0.0, 0.0), |(all, dark), visit| {
                (all + 1.0, dark + f64::from(u8::from(visit.truth.is_dark())))
            });
            let weight = SITE_VISITS / site.visits.len().max(1) as f64;
            counts.push((weight * all, weight * dark));
        }
        let mut figure = logit(likely);
        for _ in 0..STEPS {
            let precision = width.powi(-2);
            let mut slope = (logit(likely) - figure) * precision;
            let mut bend = precision;
            let p = sigmoid(figure);
            for (all, dark) in &counts {
                slope += dark - all * p;
                bend += all * p * (1.0 - p);
            }
            figure += (slope / bend).clamp(-1.0, 1.0);
        }
        let fitted = (sigmoid(figure) * 1_000.0).round() / 1_000.0;
        // The simulator knows Instagram and its like from their messages only: that must not turn
        // their posts into messages.
        let high_of_surface = match self.table == "surface" || self.name == "unknown_surface" {
            true if likely < 0.5 => high.min(0.45),
            _ => high,
        };
        Range {
            low,
            likely: fitted.clamp(low, high_of_surface),
            high,
        }
    }
}

fn as_text(range: Range) -> String {
    let Range { low, likely, high } = range;
    format!("[{low:?}, {likely:?}, {high:?}]")
}

fn log_odds(case: &Case, figures: &[f64]) -> f64 {
    let facts = case.facts.iter();
    facts.map(|(at, part)| part * figures[*at]).sum()
}

fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds.clamp(-30.0, 30.0)).exp())
}

/// Newton's method on the penalised likelihood.
fn regress(
    sites: &[Vec<Case>],
    centre: &[f64],
    width: &[f64],
    counts: &dyn Fn(&Case) -> bool,
    label: &dyn Fn(&Case) -> bool,
) -> Vec<f64> {
    let size = centre.len();
    let mut figures = centre.to_vec();
    for _ in 0..STEPS {
        let mut slope = vec![0.0; size];
        let mut curve = vec![vec![0.0; size]; size];
        for at in 0..size {
            let precision = width[at].powi(-2);
            slope[at] = (centre[at] - figures[at]) * precision;
            curve[at][at] = precision;
        }
        for site in sites {
            let cases: Vec<&Case> = site.iter().filter(|case| counts(case)).collect();
            let weight = SITE_VISITS / cases.len().max(1) as f64;
            for case in cases {
                let p = sigmoid(log_odds(case, &figures));
                let off = weight * (f64::from(u8::from(label(case))) - p);
                let bend = weight * p * (1.0 - p);
                for (one, part) in &case.facts {
                    slope[*one] += off * part;
                    for (other, other_part) in &case.facts {
                        curve[*one][*other] += bend * part * other_part;
                    }
                }
            }
        }
        let step = solved(curve, slope);
        let largest = step.iter().fold(0.0f64, |most, step| most.max(step.abs()));
        for (figure, step) in figures.iter_mut().zip(&step) {
            *figure += step.clamp(-1.0, 1.0);
        }
        if largest < 1e-6 {
            break;
        }
    }
    figures
}

/// Solves a symmetric positive definite system by Gaussian elimination.
fn solved(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        let head = rows[pivot].clone();
        for below in pivot + 1..size {
            let factor = rows[below][pivot] / head[pivot];
            for (value, above) in rows[below].iter_mut().zip(&head) {
                *value -= factor * above;
            }
            right[below] -= factor * right[pivot];
        }
    }
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size)
            .map(|next| rows[at][next] * right[next])
            .sum();
        right[at] = (right[at] - known) / rows[at][at];
    }
    right
}

/// Standard deviation between sites of the intercept that each would need for itself, sampling
/// noise taken off.
fn spread_of(sites: &[Vec<Case>], figures: &[f64]) -> f64 {
    let mut intercepts = Vec::new();
    for site in sites {
        let mut intercept = 0.0;
        let mut information = 1.0;
        for _ in 0..STEPS {
            let (mut slope, mut bend) = (0.0, 1e-3);
            for case in site {
                let p = sigmoid(log_odds(case, figures) + intercept);
                slope += f64::from(u8::from(case.dark)) - p;
                bend += p * (1.0 - p);
            }
            information = bend;
            intercept += (slope / bend).clamp(-1.0, 1.0);
        }
        intercepts.push((intercept, 1.0 / information));
    }
    let count = intercepts.len().max(1) as f64;
    // Around 0, which is where a site starts, not around their mean.
    let square: f64 = intercepts.iter().map(|(b, noise)| b * b - noise).sum();
    (square / count).max(0.01).sqrt().max(0.2)
}

/// How many times the published widths hold the true part of [`HELD`] of the sites; at least once.
fn widening(sites: &[Vec<Case>], figures: &[f64], published: &[Range]) -> f64 {
    let holds = |site: &[Case], wider: f64| {
        let [mut low, mut high, mut truth] = [0.0; 3];
        for case in site {
            let likely = log_odds(case, figures);
            let [mut below, mut above] = [0.0; 2];
            for (at, part) in &case.facts {
                let range = published[*at];
                below += (part * wider * (range.likely - range.low)).powi(2);
                above += (part * wider * (range.high - range.likely)).powi(2);
            }
            low += sigmoid(likely - below.sqrt());
            high += sigmoid(likely + above.sqrt());
            truth += f64::from(u8::from(case.dark));
        }
        low <= truth && truth <= high
    };
    let steps = (0..=40).map(|step| 1.0 + 0.05 * f64::from(step));
    let enough = |wider: &f64| {
        let held = sites.iter().filter(|site| holds(site, *wider)).count();
        held as f64 >= HELD * sites.len() as f64
    };
    steps.clone().find(enough).unwrap_or(3.0)
}

/// A published range around another likely value.
fn moved(published: Range, likely: f64, wider: f64) -> Range {
    Range {
        low: rounded(likely - wider * (published.likely - published.low)),
        likely,
        high: rounded(likely + wider * (published.high - published.likely)),
    }
}

fn with_weight(text: &str, table: &str, dark: Range, search: f64) -> String {
    let Range { low, likely, high } = dark;
    let text = with_line(
        text,
        table,
        "dark",
        &format!("[{low:?}, {likely:?}, {high:?}]"),
    );
    with_line(&text, table, "search", &format!("{search:?}"))
}

/// The text with another value of a key; comments and everything else stay. The key is there: the
/// model read it.
fn with_line(text: &str, table: &str, key: &str, value: &str) -> String {
    let mut current = String::new();
    let lines = text.lines().map(|line| {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            current = name.to_owned();
        }
        let found = current == table && line.starts_with(&format!("{key} = "));
        match found {
            true => format!("{key} = {value}\n"),
            false => format!("{line}\n"),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use grapevine_event::Channel;

    use super::super::truth::Truth;
    use super::*;

    fn visit(facts: &[(&'static str, f64)], channel: Channel) -> Judged {
        Judged {
            truth: Truth {
                id: String::new(),
                line: None,
                kind: "visit".to_owned(),
                landing: true,
                cause: String::new(),
                channel,
                app: String::new(),
            },
            time: 0,
            conventional: Channel::Direct,
            channel: Channel::Direct,
            app: String::new(),
            method: Method::Prior,
            dark: [0.0, 0.5, 1.0],
            search: 0.0,
            deep: true,
            facts: facts.to_vec(),
            rest: None,
        }
    }

    /// Sites in which a mobile landing is private with odds of 3, any other with odds of 1.
    fn sites() -> Vec<Outcome> {
        let mut visits = Vec::new();
        for at in 0..2_000 {
            let mobile = at % 2 == 0;
            let private = match mobile {
                true => at / 2 % 4 != 0,
                false => at / 2 % 2 == 0,
            };
            let channel = match private {
                true => Channel::DarkSocial,
                false => Channel::Direct,
            };
            let facts: &[(&str, f64)] = if mobile { &[("mobile", 0.2)] } else { &[] };
            visits.push(visit(facts, channel));
        }
        let site = Outcome {
            visits,
            ..Outcome::default()
        };
        vec![site; 30]
    }

    #[test]
    fn weights_follow_the_visits_and_the_published_figures_stay_visible() {
        let text = fit_visits(&sites(), &[], "test.1", "made up sites").expect("fits");
        let model = Model::parse(&text).expect("a model");
        assert_eq!(model.version(), "test.1");
        assert!(model.fitted().contains("60000 landings") && model.fitted().contains("made up"));
        let prior = model.prior();
        assert!(prior.dark.likely.abs() < 0.1, "{:?}", prior.dark);
        let weights = model.weights();
        let (_, mobile) = weights
            .iter()
            .find(|(name, _)| *name == "mobile")
            .expect("there");
        // Between the published .2 and what the visits say, ln 3, and nearer to the visits.
        assert!(
            (0.8..1.1).contains(&mobile.dark.likely),
            "{:?}",
            mobile.dark
        );
        let builtin = Model::builtin();
        for ((name, fitted), (_, shipped)) in weights.iter().zip(builtin.weights()) {
            assert_eq!(fitted.published, shipped.published, "{name}");
            let width = |range: Range| range.high - range.low;
            assert!(
                width(fitted.dark) >= width(fitted.published) - 0.011,
                "{name}"
            );
            if *name != "mobile" {
                assert!(
                    (fitted.dark.likely - fitted.published.likely).abs() < 0.01,
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_preview_is_told_by_what_it_added() {
        let model = published_model().expect("a model");
        let weights = named(&model);
        let at = |name: &str| {
            let table = format!("weight.{name}");
            weights.iter().position(|(known, _)| *known == table)
        };
        for name in [
            "preview_minute",
            "preview_ten_minutes",
            "preview_hour",
            "preview_same_network",
        ] {
            let place = at(name).expect("there");
            let likely = weights[place].1.dark.likely;
            for part in [1.0, 0.5] {
                assert_eq!(
                    preview(likely * part, &weights),
                    Some((place, part)),
                    "{name}"
                );
            }
        }
        assert_eq!(preview(0.01, &weights), None);
    }

    #[test]
    fn the_same_visits_give_the_same_text() {
        let fitted = || fit_visits(&sites(), &[], "test.1", "made up sites").expect("fits");
        assert_eq!(fitted(), fitted());
        assert!(fit_visits(&[], &[], "v", "nothing").is_err());
    }

    #[test]
    fn a_system_of_equations_is_solved() {
        let rows = vec![vec![4.0, 1.0], vec![1.0, 3.0]];
        let found = solved(rows, vec![1.0, 2.0]);
        assert!((found[0] - 1.0 / 11.0).abs() < 1e-12 && (found[1] - 7.0 / 11.0).abs() < 1e-12);
    }
}
