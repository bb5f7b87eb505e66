//! `docs/classification.md` and the code list the same names, weights and figures.

use grapevine_inference::{Model, evidence};

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
            let dark = weight.dark;
            let range = format!("{:.2} ({:.2} to {:.2})", dark.likely, dark.low, dark.high);
            vec![
                (*name).to_owned(),
                range,
                format!("{:.2}", weight.search),
                weight.source.clone(),
            ]
        })
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn the_page_names_the_model_version() {
    assert!(PAGE.contains(Model::builtin().version()));
}
