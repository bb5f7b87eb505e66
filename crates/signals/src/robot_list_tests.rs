//! The vendored list against itself: `isbot-samples.tsv` holds, for every pattern, texts that
//! JavaScript's own engine says it matches; `isbot-verdicts.tsv` what the package says of whole
//! user agents. Both were made with the package; `refresh-robots` renews the verdicts.

use std::collections::BTreeSet;

use crate::Signals;

const LIST: &str = include_str!("../data/robots-isbot.toml");
const SAMPLES: &str = include_str!("../tests/data/isbot-samples.tsv");
const VERDICTS: &str = include_str!("../tests/data/isbot-verdicts.tsv");

fn vendored() -> Vec<String> {
    let list: toml::Table = toml::from_str(LIST).unwrap();
    let patterns = list["patterns"].as_array().unwrap();
    patterns
        .iter()
        .map(|p| p.as_str().unwrap().to_owned())
        .collect()
}

/// Ids of all vendored patterns that hold for a text.
fn held(signals: &Signals, text: &str) -> Vec<String> {
    let first = signals.fetchers.len() + signals.robots.len() + signals.in_app.len();
    let row = |entry: u32| signals.unnamed.get((entry as usize).checked_sub(first)?);
    let from_list = |robot: &&crate::Robot| robot.source.starts_with("npm package isbot");
    let entries = signals.matcher.every(text);
    entries
        .into_iter()
        .filter_map(row)
        .filter(from_list)
        .map(|r| r.id.clone())
        .collect()
}

#[test]
fn no_pattern_of_the_list_is_lost() {
    let signals = Signals::builtin();
    let patterns: BTreeSet<_> = vendored().into_iter().collect();
    let mut sampled = BTreeSet::new();
    for row in SAMPLES.lines() {
        let (pattern, sample) = row.split_once('\t').unwrap();
        let held = held(&signals, sample);
        assert!(
            held.iter().any(|p| p == pattern),
            "{pattern} does not find {sample:?}: {held:?}"
        );
        sampled.insert(pattern.to_owned());
    }
    let without: Vec<_> = patterns.difference(&sampled).collect();
    assert!(
        without.is_empty(),
        "add a row to isbot-samples.tsv for {without:?}"
    );
    let loaded: BTreeSet<_> = signals.unnamed.iter().map(|r| r.id.clone()).collect();
    assert!(patterns.is_subset(&loaded));
}

#[test]
fn every_rewrite_still_rewrites_something() {
    let patterns: BTreeSet<_> = vendored().into_iter().collect();
    let signals = Signals::builtin();
    for robot in &signals.unnamed {
        if robot.source.starts_with("npm package isbot") {
            assert!(
                patterns.contains(&robot.id),
                "{} is no longer in the list",
                robot.id
            );
        }
    }
}

#[test]
fn whole_user_agents_get_the_verdict_of_the_package() {
    let signals = Signals::builtin();
    let mut wrong = Vec::new();
    for row in VERDICTS.lines() {
        let (verdict, agent) = row.split_once('\t').unwrap();
        let held = held(&signals, agent);
        if held.is_empty() != (verdict == "person") {
            wrong.push(format!("{verdict} by the package, here {held:?}: {agent}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(VERDICTS.lines().count() > 300);
}

#[test]
fn the_name_of_a_pattern_found_is_the_evidence() {
    let signals = Signals::builtin();
    let agent = signals.agent("Mozilla/5.0 (compatible; SomethingNobodyKnows crawler)");
    assert_eq!(agent.robot().map(|r| r.name.as_str()), Some("crawl"));
}
