//! The chain stage held against the truth: parents of readers, and how contents spread.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::contents::{self, ContentMethod, Contents};
use super::lineage::{Landing, trace};
use super::parents::{self, Apart, GroupScores, Judgements, MethodScores, Scored, SetApart};
use super::spreads::{self, SpreadScores, Spreads};
use super::stated::Stated;
use super::token_edges::{self, TokenEdges, TrueToken};
use super::truth::Truth;

/// What the chain stage stated of one site, judged.
#[derive(Clone, Debug, Default)]
pub struct Chains {
    judgements: Judgements,
    spreads: Spreads,
    contents: Contents,
    token_edges: token_edges::Counts,
    landings: usize,
}

/// Joins what the chain stage wrote with the truth, by visit. `truths` are those of the landings.
pub(super) fn judged<'a>(
    stated: &Stated,
    landings: &'a [Landing],
    truths: impl Iterator<Item = &'a Truth>,
    truth: &[Truth],
) -> Chains {
    let mut pairs: Vec<(&Landing, &Truth)> = landings.iter().zip(truths).collect();
    // As readers are taken in.
    pairs.sort_by_key(|(landing, _)| (landing.time, landing.visit));
    let traced = trace(pairs.into_iter(), truth);
    let causes = stated.causes();
    let mut token_edges = token_edges::Counts::default();
    let people = truth.iter().filter(|row| row.kind == "visit");
    let persons: HashMap<u64, u64> = people
        .filter_map(|row| Some((row.visit?, row.person?)))
        .collect();
    let landed = traced.iter().filter_map(|traced| traced.truth.visit);
    let landed: HashSet<u64> = landed.collect();
    for traced in &traced {
        let stated = causes.get(&traced.landing.visit);
        if let Some(stated) = stated.and_then(|causes| causes.by_token) {
            token_edges.add(stated, true_token(traced.truth, &persons, &landed));
        }
    }
    Chains {
        judgements: parents::judgements(&traced, &causes),
        token_edges,
        spreads: spreads::spreads(&traced, &stated.spreads),
        contents: contents::contents(&traced, &causes),
        landings: traced.len(),
    }
}

/// What is true of a landing by a token; `persons` by visit, `landed` are the visits that the product got.
fn true_token(row: &Truth, persons: &HashMap<u64, u64>, landed: &HashSet<u64>) -> TrueToken {
    let person = |visit: u64| persons.get(&visit).copied();
    let sender = row.parent.filter(|parent| landed.contains(parent));
    match (sender.and_then(person), row.token_of.and_then(person)) {
        _ if row.cause != "share" => TrueToken::Own,
        (Some(sender), Some(owner)) if sender == owner => TrueToken::ByOwner,
        (Some(_), Some(_)) => TrueToken::ByAnother,
        _ => TrueToken::PassedOn,
    }
}

/// How well parents and spreading are found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChainMeasures {
    /// Landings that are joined with their truth.
    pub landings: usize,
    /// The product's scores of parents, then those of simple methods.
    pub methods: Vec<MethodScores>,
    /// The product's scores by true channel and app.
    pub groups: Vec<GroupScores>,
    /// Readers by a reader's public post: the post's site and the reader are both right.
    pub by_post: Apart,
    /// Readers by a private share of somebody whose reading the product never got.
    pub by_unseen: Apart,
    /// The same person again, or a robot, taken for a reader.
    pub no_reader: Apart,
    /// Tokens that were taken for somebody's.
    pub token_edges: TokenEdges,
    /// R, share of chain arrivals and structural virality.
    pub spreads: SpreadScores,
    /// The product, then the methods that cascade files are scored with, on the same readers and
    /// contents.
    pub content_methods: Vec<ContentMethod>,
}

/// Measures what the chain stage stated of several sites together.
pub fn measure_chains<'a>(chains: impl IntoIterator<Item = &'a Chains>) -> ChainMeasures {
    let chains: Vec<&Chains> = chains.into_iter().collect();
    let scored: Vec<&Scored> = chains
        .iter()
        .flat_map(|chains| &chains.judgements.scored)
        .collect();
    let apart = |of: fn(&Judgements) -> SetApart| {
        SetApart::mean(chains.iter().map(|chains| of(&chains.judgements)))
    };
    let spreading: Vec<&Spreads> = chains.iter().map(|chains| &chains.spreads).collect();
    let methods = parents::methods(&scored);
    let spreads = spreads::measure(&spreading);
    let contents: Vec<(&Contents, &Spreads)> = (chains.iter())
        .map(|chains| (&chains.contents, &chains.spreads))
        .collect();
    ChainMeasures {
        landings: chains.iter().map(|chains| chains.landings).sum(),
        content_methods: contents::measure(&contents, &methods[0], &spreads),
        methods,
        groups: parents::groups(&scored),
        by_post: apart(|found| found.by_post),
        by_unseen: apart(|found| found.by_unseen),
        no_reader: apart(|found| found.no_reader),
        token_edges: token_edges::Counts::measured(chains.iter().map(|chains| chains.token_edges)),
        spreads,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lineage::tests::row;
    use super::*;

    /// Visit 1 shares with 2, who forwards the message to 3; 4's token came back to him; who sent 5 is not seen.
    #[test]
    fn a_forwarded_message_has_the_token_of_another_than_who_sent_it() {
        let by_token = |visit, cause, parent, token_of| Truth {
            token_of: Some(token_of),
            ..row(visit, cause, parent)
        };
        let rows = [
            row(1, "search", None),
            by_token(2, "share", Some(1), 1),
            by_token(3, "share", Some(2), 1),
            by_token(4, "return", None, 4),
            by_token(5, "share", Some(9), 1),
        ];
        let persons: HashMap<u64, u64> = [1, 2, 3, 4, 5, 9].map(|visit| (visit, visit)).into();
        let landed: HashSet<u64> = [1, 2, 3, 4, 5].into();
        let found: Vec<TrueToken> = rows[1..]
            .iter()
            .map(|row| true_token(row, &persons, &landed))
            .collect();
        assert_eq!(
            found,
            [
                TrueToken::ByOwner,
                TrueToken::ByAnother,
                TrueToken::Own,
                TrueToken::PassedOn
            ]
        );
    }
}
