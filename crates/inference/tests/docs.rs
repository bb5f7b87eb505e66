//! `docs/classification.md` and the code list the same names, weights and figures.

use grapevine_inference::{Model, Range, evidence};

const PAGE: &str = include_str!("../../../docs/classification.md");

/// Rows of the table below a heading: their cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = PAGE
        .split(heading)
        .nth(1)
        .expect("the page has the heading");
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        let inner = row.trim_matches('|').split('|');
        inner.map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn the_page_lists_the_evidence_of_the_code() {
    let listed = table("## Evidence");
    let known: Vec<Vec<String>> = evidence::NAMES
        .iter()
        .map(|(name, words)| vec![(*name).to_owned(), (*words).to_owned()])
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn the_page_shows_the_weights_of_the_model() {
    let listed = table("## Weights");
    let model = Model::builtin();
    let known: Vec<Vec<String>> = model
        .weights()
        .iter()
        .map(|(name, weight)| {
            vec![
                (*name).to_owned(),
                log_odds(weight.dark),
                format!("{:.2}", weight.search),
                log_odds(weight.published),
                format!("{:.2}", weight.published_search),
                weight.source.clone(),
            ]
        })
        .collect();
    assert_eq!(listed, known);
    let prior = model.prior();
    for figure in [log_odds(prior.dark), log_odds(prior.published)] {
        assert!(PAGE.contains(&figure), "prior {figure}");
    }
    assert!(PAGE.contains(&prior.source));
}

fn log_odds(range: Range) -> String {
    format!(
        "{:.2} ({:.2} to {:.2})",
        range.likely, range.low, range.high
    )
}

#[test]
fn the_page_shows_the_probabilities_where_facts_decide() {
    let row = |(name, range, published): (&str, Range, Range)| {
        vec![
            name.to_owned(),
            format!("{} ({} to {})", range.likely, range.low, range.high),
            format!("{}", published.likely),
        ]
    };
    let model = Model::builtin();
    let facts: Vec<Vec<String>> = model.facts().into_iter().map(row).collect();
    assert_eq!(
        table("## Probabilities of a private link where a fact decides"),
        facts
    );
    let mut apps: Vec<Vec<String>> = model.surfaces().into_iter().map(row).collect();
    let mut listed = table("For apps with posts and messages");
    apps.sort();
    listed.sort();
    assert_eq!(listed, apps);
    let without = model.surfaces_without_referrer();
    let without: Vec<Vec<String>> = without.into_iter().map(row).collect();
    assert_eq!(table("shows a landing **without referrer**"), without);
}

#[test]
fn the_page_names_the_model_version() {
    assert!(PAGE.contains(Model::builtin().version()));
}
