//! Fitting the weights of the grey rest on simulated sites, held to what is published.
//!
//! Regression of the three rivals on the facts that the product itself found, by the product's own
//! formula, every site counting the same, with a normal penalty around each published figure as wide
//! as its published range. Ranges are moved along with the likely value and keep at least their
//! published width: simulated truth may widen them, not narrow them, since it is no site's truth.

use grapevine_event::Method;
use grapevine_inference::{Model, Range, Weight, against_typed, evidence};

use super::company::survival_beside;
use super::deciding::deciding;
use super::known_way::survival_to_known;
use super::needs::site_law;
use super::own_tokens::own_tokens_law;
use super::pipeline::{Judged, Outcome};
use super::rivals::{Case, Figures, History, Prior, regress, sigmoid};

/// What one site counts, in visits.
pub(super) const SITE_VISITS: f64 = 300.0;
/// Narrowest penalty, in log-odds.
pub(super) const WIDTH_MIN: f64 = 0.15;
/// Penalty of the search column, in log-odds: nothing says how wide its figures are.
const SEARCH_WIDTH: f64 = 0.7;
/// A published range is taken for one of 90 %.
pub(super) const QUANTILE: f64 = 1.645;
/// Part of sites whose range should hold the true part.
const HELD: f64 = 0.9;
pub(super) const STEPS: usize = 30;
const OF_PRIVATE_READERS: [&str; 3] = [
    evidence::ONE_PRIVATE_READER,
    evidence::FEW_PRIVATE_READERS,
    evidence::MANY_PRIVATE_READERS,
];

const OF_TRACELESS_READERS: [&str; 5] = [
    evidence::FEW_TRACELESS_READERS,
    evidence::SOME_TRACELESS_READERS,
    evidence::MANY_TRACELESS_READERS,
    evidence::CROWD,
    evidence::LARGE_CROWD,
];

const OF_PUBLIC_READERS: [&str; 2] = [evidence::SOME_PUBLIC_READERS, evidence::MANY_PUBLIC_READERS];

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

/// The model that sites to fit on are driven with: weights as published, and facts that decide as they are in
/// use. These say who counts as one of the readers of late, in the fit as later.
///
/// # Errors
/// None as long as the shipped model is one.
pub fn driving_model() -> Result<Model, FitError> {
    let model = Model::builtin();
    let mut text = Model::builtin_text().to_owned();
    for (name, weight) in named(&model) {
        let dark = weight.published;
        text = with_weight(&text, &name, dark, weight.published_search);
    }
    Ok(Model::parse(&text)?)
}

/// Fits a model on sites that were driven with [`driving_model`]: `sites` without tokens, `marked`
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
    let model = driving_model()?;
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
    let prior = Prior {
        figures: Figures {
            dark: against_typed_each(&weights, &|weight| {
                (weight.published.likely, weight.published_search)
            }),
            search: weights
                .iter()
                .map(|(_, weight)| weight.published_search)
                .collect(),
        },
        dark_width: published
            .iter()
            .map(|range| ((range.high - range.low) / 2.0 / QUANTILE).max(WIDTH_MIN))
            .collect(),
        search_width: SEARCH_WIDTH,
    };
    let found = regress(&cases, &prior, SITE_VISITS);
    let search: Vec<f64> = found.search.iter().copied().map(rounded).collect();
    // Back to what a fact adds against both rivals, nothing else being known.
    let dark: Vec<f64> = found
        .dark
        .iter()
        .enumerate()
        .map(|(at, dark)| rounded(dark - from_rivals(&weights, at, &search)))
        .collect();
    let figures = Figures {
        dark: dark
            .iter()
            .enumerate()
            .map(|(at, dark)| dark + from_rivals(&weights, at, &search))
            .collect(),
        search: search.clone(),
    };
    let law = site_law(sites, &cases, &figures, |at, part| {
        alone(&weights[at].0, part)
    });
    let wider = widening(&cases, &figures, &published);
    let mut text = Model::builtin_text().to_owned();
    for (at, (name, _)) in weights.iter().enumerate() {
        let range = moved(published[at], dark[at], wider);
        text = with_weight(&text, name, range, search[at]);
    }
    for fact in deciding(&model) {
        let outcomes = match fact.name.starts_with("token") {
            true => marked,
            false => sites,
        };
        // Of an app whose posts or messages are not simulated nothing can be learned.
        let range = match fact.is_simulated() {
            true => fact.fitted(outcomes),
            false => fact.published,
        };
        text = with_line(&text, fact.table, &fact.name, &as_text(range));
    }
    let [named_part, named_slope, named_spread] = law.named;
    for (key, figure, digits) in [
        ("intercept_spread", law.intercept_spread, 2),
        ("slope_spread", law.slope_spread, 2),
        ("named_part", named_part, 4),
        ("named_slope", named_slope, 2),
        ("named_spread", named_spread, 2),
        ("company_worth", law.company.worth, 2),
        ("company_spread", law.company.spread, 2),
    ] {
        text = with_line(&text, "site", key, &format!("{figure:.digits$}"));
    }
    if let Some(own) = own_tokens_law(marked) {
        for (key, figure) in [
            ("own_to_again", own.to_again),
            ("own_part", own.part),
            ("own_spread", own.spread),
        ] {
            text = with_line(&text, "site", key, &format!("{figure:.2}"));
        }
    }
    if let Some(ratio) = survival_to_known(marked) {
        text = with_line(&text, "site", "survival_to_known", &format!("{ratio:.2}"));
    }
    if let Some([few, many]) = survival_beside(marked) {
        for (key, figure) in [("survival_beside_few", few), ("survival_beside_many", many)] {
            text = with_line(&text, "site", key, &format!("{figure:.2}"));
        }
    }
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

/// To two places; 0 without a sign.
fn rounded(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0 + 0.0
}

/// What must be added to a weight's `dark` to be against a typed address alone: the prior's first.
/// What the content's history says counts against both rivals as it is.
fn from_rivals(weights: &[(String, Weight)], at: usize, search: &[f64]) -> f64 {
    match (at, is_history(&weights[at].0)) {
        (0, _) => against_typed(0.0, search[0], 0.0) + std::f64::consts::LN_2,
        (_, true) => 0.0,
        (_, false) => against_typed(0.0, search[at], search[0]),
    }
}

fn against_typed_each(
    weights: &[(String, Weight)],
    of: &dyn Fn(&Weight) -> (f64, f64),
) -> Vec<f64> {
    let search: Vec<f64> = weights.iter().map(|(_, weight)| of(weight).1).collect();
    let dark = weights.iter().enumerate();
    dark.map(|(at, (_, weight))| of(weight).0 + from_rivals(weights, at, &search))
        .collect()
}

/// Whether the chain stage adds it, which knows a content's history.
fn is_history(table: &str) -> bool {
    let name = table.strip_prefix("weight.").unwrap_or_default();
    name.starts_with("preview_")
        || [
            evidence::FRESH_CONTENT,
            evidence::OLD_CONTENT,
            evidence::READ_BEFORE,
        ]
        .contains(&name)
        || OF_TRACELESS_READERS.contains(&name)
        || is_company(table)
}

/// Whether it says what others who came of late by a known way say.
fn is_company(table: &str) -> bool {
    let name = table.strip_prefix("weight.").unwrap_or_default();
    OF_PRIVATE_READERS.contains(&name) || OF_PUBLIC_READERS.contains(&name)
}

/// How much of a weight counts where others who came of late by a known way are not looked at, of which so much did:
/// those without a trace count whole, half of whom is lost beside private links.
fn alone(table: &str, part: f64) -> f64 {
    let name = table.strip_prefix("weight.").unwrap_or_default();
    if is_company(table) {
        0.0
    } else if OF_TRACELESS_READERS.contains(&name) {
        1.0
    } else {
        part
    }
}

/// The prior first, then every weight, by the name of its table.
fn named(model: &Model) -> Vec<(String, Weight)> {
    let mut named = vec![("prior".to_owned(), model.prior().clone())];
    let weights = model.weights().into_iter();
    named.extend(weights.map(|(name, weight)| (format!("weight.{name}"), weight.clone())));
    named
}

fn case(visit: &Judged, weights: &[(String, Weight)]) -> Case {
    let mut facts = vec![0];
    let mut history: Vec<History> = Vec::new();
    for (name, log_odds) in &visit.facts {
        if *name == evidence::PREVIEW_BEFORE {
            history.extend(whole_or_half("preview_", *log_odds, weights));
        } else if OF_PRIVATE_READERS.contains(name) || OF_TRACELESS_READERS.contains(name) {
            history.extend(whole_or_half(name, *log_odds, weights));
        } else if let Some(at) = weights
            .iter()
            .position(|(table, _)| table.strip_prefix("weight.") == Some(weight_of(name, visit)))
        {
            match is_history(&weights[at].0) {
                true => history.push((at, 1.0)),
                false => facts.push(at),
            }
        }
    }
    Case {
        facts,
        history,
        front: !visit.deep,
        dark: visit.truth.is_dark(),
        search: visit.truth.is_search(),
    }
}

/// The weight of a fact, which has its name but where phones and computers differ.
fn weight_of(name: &'static str, visit: &Judged) -> &'static str {
    let is_phone = || {
        visit
            .facts
            .iter()
            .any(|(fact, _)| *fact == evidence::MOBILE)
    };
    match name {
        evidence::FETCH_CROSS_SITE if is_phone() => "fetch_cross_site_mobile",
        _ => name,
    }
}

/// Which of the weights that begin like this it was: whole, or half, as where the app that fetched a preview may
/// have posted the link, where others' private links stand beside an act, or others without a trace beside private
/// links.
fn whole_or_half(begin: &str, log_odds: f64, weights: &[(String, Weight)]) -> Option<History> {
    let all = weights.iter().enumerate();
    let possible = all.filter(|(_, (table, _))| {
        let name = table.strip_prefix("weight.");
        name.is_some_and(|name| name.starts_with(begin))
    });
    possible
        .flat_map(|(at, (_, weight))| [(at, 1.0, weight), (at, 0.5, weight)])
        .find(|(_, part, weight)| (weight.dark.likely * part - log_odds).abs() < 1e-3)
        .map(|(at, part, _)| (at, part))
}

fn as_text(range: Range) -> String {
    let Range { low, likely, high } = range;
    format!("[{low:?}, {likely:?}, {high:?}]")
}

/// How many times the published widths hold the true part of [`HELD`] of the sites; at least once.
fn widening(sites: &[Vec<Case>], figures: &Figures, published: &[Range]) -> f64 {
    let holds = |site: &[Case], wider: f64| {
        let [mut low, mut high, mut truth] = [0.0; 3];
        for case in site {
            let likely = figures.private(case);
            let [mut below, mut above] = [0.0; 2];
            for (at, part) in case.counted() {
                let range = published[at];
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
                token_of: None,
                person: None,
                visit: None,
                parent: None,
            },
            time: 0,
            content: String::new(),
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
            if *name != "mobile" && !is_history(&format!("weight.{name}")) {
                // Without any search among the visits it is against a typed address that a fact
                // keeps what it says.
                let [found, as_published] = [
                    against_typed(fitted.dark.likely, fitted.search, prior.search),
                    against_typed(
                        fitted.published.likely,
                        fitted.published_search,
                        prior.published_search,
                    ),
                ];
                assert!(
                    (found - as_published).abs() < 0.02,
                    "{name}: {found} {as_published}"
                );
            }
        }
    }

    #[test]
    fn surfaces_of_apps_with_both_sides_follow_the_visits_inside_the_published_range() {
        let model = driving_model().expect("a model");
        let mut sites = sites();
        for (app, used, _) in model.surfaces() {
            for site in &mut sites {
                // Two of three in private.
                for at in 0..300 {
                    let channel = match at % 3 {
                        0 => Channel::Social,
                        _ => Channel::DarkSocial,
                    };
                    site.visits.push(Judged {
                        app: app.to_owned(),
                        method: Method::Referrer,
                        dark: [used.low, used.likely, used.high],
                        ..visit(&[], channel)
                    });
                }
            }
        }
        let text = fit_visits(&sites, &[], "test.1", "made up sites").expect("fits");
        let fitted = Model::parse(&text).expect("a model");
        let both = [
            "telegram",
            "discord",
            "instagram",
            "linkedin",
            "twitter",
            "tiktok",
        ];
        for (app, likely, published) in fitted.surfaces() {
            let wanted = match both.contains(&app) {
                true => (2.0f64 / 3.0).clamp(published.low, published.high),
                false => published.likely,
            };
            let found = likely.likely;
            assert!((found - wanted).abs() < 0.02, "{app}: {found}, {wanted}");
            assert_eq!([likely.low, likely.high], [published.low, published.high]);
        }
    }

    #[test]
    fn what_a_missing_referrer_says_is_fitted_by_itself() {
        let model = driving_model().expect("a model");
        let mut sites = sites();
        let published = model.surfaces_without_referrer();
        for (app, used, _) in &published {
            for visits in sites.iter_mut().map(|site| &mut site.visits) {
                // Half in private.
                visits.extend((0..300).map(|at| Judged {
                    app: (*app).to_owned(),
                    method: Method::InAppBrowser,
                    dark: [used.low, used.likely, used.high],
                    ..visit(&[], [Channel::Social, Channel::DarkSocial][at % 2])
                }));
            }
        }
        let text = fit_visits(&sites, &[], "test.1", "made up sites").expect("fits");
        let fitted = Model::parse(&text).expect("a model");
        for (app, found, published) in fitted.surfaces_without_referrer() {
            let wanted = 0.5f64.clamp(published.low, published.high);
            assert!((found.likely - wanted).abs() < 0.02, "{app}: {found:?}");
        }
        assert!(!published.is_empty());
    }

    #[test]
    fn a_hidden_page_has_a_weight_of_its_own_on_phones() {
        let model = driving_model().expect("a model");
        let weights = named(&model);
        let hidden = ("fetch_cross_site", 0.2);
        for (facts, name) in [
            (vec![hidden, ("desktop", 0.1)], "weight.fetch_cross_site"),
            (
                vec![hidden, ("mobile", 0.1)],
                "weight.fetch_cross_site_mobile",
            ),
        ] {
            let found = case(&visit(&facts, Channel::Direct), &weights).facts;
            assert!(found.iter().any(|at| weights[*at].0 == name), "{name}");
            assert_eq!(found.len(), 3, "the prior and two facts");
        }
    }

    #[test]
    fn a_preview_is_told_by_what_it_added() {
        let model = driving_model().expect("a model");
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
                    whole_or_half("preview_", likely * part, &weights),
                    Some((place, part)),
                    "{name}"
                );
            }
        }
        assert_eq!(whole_or_half("preview_", 0.01, &weights), None);
    }

    #[test]
    fn others_private_links_are_told_from_half_of_them_beside_an_act() {
        let model = driving_model().expect("a model");
        let weights = named(&model);
        for name in OF_PRIVATE_READERS {
            let table = format!("weight.{name}");
            let place = weights.iter().position(|(known, _)| *known == table);
            let place = place.expect("there");
            assert!(is_history(&table));
            let likely = weights[place].1.dark.likely;
            for part in [1.0, 0.5] {
                assert_eq!(
                    whole_or_half(name, likely * part, &weights),
                    Some((place, part)),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn the_same_visits_give_the_same_text() {
        let fitted = || fit_visits(&sites(), &[], "test.1", "made up sites").expect("fits");
        assert_eq!(fitted(), fitted());
        assert!(fit_visits(&[], &[], "v", "nothing").is_err());
    }

    /// What halves those without a trace is told by tokens, so that without it they count whole.
    #[test]
    fn without_others_of_known_ways_those_without_a_trace_count_whole() {
        let model = Model::builtin();
        let weights = named(&model);
        let log_odds = |name: &str| {
            let weight = model
                .weights()
                .into_iter()
                .find(|(known, _)| *known == name);
            weight.expect("there").1.dark.likely
        };
        let many = "many_traceless_readers";
        let one = "one_private_reader";
        let facts = [(many, log_odds(many) / 2.0), (one, log_odds(one))];
        let case = case(&visit(&facts, Channel::Direct), &weights);
        let parts =
            |case: &Case| -> Vec<f64> { case.history.iter().map(|(_, part)| *part).collect() };
        assert_eq!(parts(&case), [0.5, 1.0]);
        let alone = case.where_history(&|at, part| alone(&weights[at].0, part));
        assert_eq!(parts(&alone), [1.0, 0.0]);
    }
}
