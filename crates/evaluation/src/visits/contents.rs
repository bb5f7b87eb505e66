//! Contents of a simulated site as cascades, and the methods of cascade files on them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::baselines::{Content, Said, Sender, Told, of_contents};
use crate::cascades::Cascade;
use crate::measures::mean;

use super::lineage::{Traced, TrueCause};
use super::parents::{MethodScores, PROBABILITY_MIN, ParentScores, scores_of};
use super::simple_trees::SimpleScore;
use super::spreads::{Case, SpreadScore, SpreadScores, Spreads, figure};
use super::stated::{Causes, Owner};

/// Contents of one site, by address.
pub(super) type Contents = BTreeMap<String, SiteContent>;

/// A content as a cascade, and what the product is told besides.
#[derive(Clone, Debug)]
pub(super) struct SiteContent {
    /// Told is what tokens tell.
    content: Content,
    /// Nodes of which a fact told that they came from outside.
    by_fact: Vec<usize>,
}

/// A content while it grows.
#[derive(Default)]
struct Growing {
    times: Vec<i64>,
    senders: Vec<Option<Sender>>,
    told: Vec<Option<Told>>,
    again: Vec<(usize, usize)>,
    by_fact: Vec<usize>,
    /// First node by person.
    nodes: HashMap<u64, usize>,
}

impl Growing {
    fn add(
        &mut self,
        traced: &Traced<'_>,
        causes: Option<&Causes>,
        persons: &HashMap<[u8; 16], u64>,
    ) {
        if self.times.is_empty() {
            // The root, as old as the first reader.
            self.times.push(traced.landing.time);
            self.senders.push(None);
            self.told.push(None);
        }
        let node = self.times.len();
        let sender = match traced.cause {
            TrueCause::Outside => Some(Sender::Outside),
            TrueCause::Reader {
                person,
                public: false,
            } => {
                let sender = self.nodes.get(&person);
                Some(sender.map_or(Sender::Stranger, |node| Sender::Node(*node)))
            }
            TrueCause::Unseen { public: false, .. } => Some(Sender::Stranger),
            // No single cause is the right one.
            TrueCause::Reader { .. } | TrueCause::Unseen { .. } | TrueCause::NoReader => None,
        };
        let told = causes
            .filter(|causes| causes.proven())
            .and_then(|causes| Some((causes.by_token?, causes.owner)))
            .map(|(sure, owner)| match owner {
                Owner::Reader(visit) => {
                    let person = persons.get(&visit);
                    match person.and_then(|person| self.nodes.get(person)) {
                        Some(node) => Told::By(*node, sure),
                        None => Told::ByStranger(sure),
                    }
                }
                Owner::Stranger => Told::ByStranger(sure),
                Owner::None | Owner::Anybody => Told::ByAnybody(sure),
            });
        if causes.is_none() {
            self.by_fact.push(node);
        }
        self.times.push(traced.landing.time);
        self.senders.push(sender);
        self.told.push(told);
        if let Some(person) = traced.truth.person {
            let first = *self.nodes.entry(person).or_insert(node);
            if first != node {
                self.again.push((node, first));
            }
        }
    }

    fn grown(self, name: &str) -> SiteContent {
        let parents = self.senders.iter().map(|sender| match sender {
            Some(Sender::Node(node)) => *node as u32,
            Some(Sender::Outside | Sender::Stranger) | None => 0,
        });
        let started = self.times[0];
        SiteContent {
            content: Content {
                cascade: Cascade {
                    name: name.to_owned(),
                    times: self.times.iter().map(|time| time - started).collect(),
                    parents: parents.collect(),
                },
                senders: self.senders,
                told: self.told,
                again: self.again,
            },
            by_fact: self.by_fact,
        }
    }
}

impl SiteContent {
    /// The same where facts are told, too. Only whose cause has to be inferred is scored.
    fn told_facts(&self) -> Content {
        let mut content = self.content.clone();
        for node in &self.by_fact {
            content.told[*node] = Some(Told::Outside);
        }
        for (sender, told) in content.senders.iter_mut().zip(&content.told) {
            if told.is_some() {
                *sender = None;
            }
        }
        content
    }
}

/// Makes cascades of the readers of a site, as the product takes landings for readers: the root is
/// nobody, and whom no reader sent hangs below it.
pub(super) fn contents(traced: &[Traced<'_>], stated: &HashMap<[u8; 16], Causes>) -> Contents {
    let persons: HashMap<[u8; 16], u64> = (traced.iter())
        .filter_map(|traced| Some((traced.landing.visit, traced.truth.person?)))
        .collect();
    let mut growing: BTreeMap<&str, Growing> = BTreeMap::new();
    for traced in traced.iter().filter(|traced| traced.is_reader) {
        let content = growing.entry(&traced.landing.content).or_default();
        content.add(traced, stated.get(&traced.landing.visit), &persons);
    }
    let grown = growing.into_iter();
    grown
        .map(|(name, content)| (name.to_owned(), content.grown(name)))
        .collect()
}

/// How well a method has the causes of readers, and R and virality of contents.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ContentScores {
    /// Causes of readers.
    pub parents: ParentScores,
    /// Log-loss of these causes, were at most three readers of .01 and more named and the others pooled in
    /// equal parts, as the product does; `None` of no readers.
    pub log_loss_naming_few: Option<f64>,
    /// R, by content.
    pub reproduction: SimpleScore,
    /// Structural virality, by content; distances are relative to the true one.
    pub virality: SimpleScore,
}

/// A method on the readers and the contents that the product is scored on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ContentMethod {
    /// Its name.
    pub name: &'static str,
    /// All readers; the method is told what tokens tell. Of the product what it states.
    pub told_tokens: ContentScores,
    /// Readers whose cause had to be inferred; the method is told besides which of the others facts say
    /// came from outside.
    pub told_facts: ContentScores,
}

/// The product as scored, then every method of cascade files, over several sites together. Contents
/// teach and are scored in turn, by their order.
pub(super) fn measure(
    sites: &[(&Contents, &Spreads)],
    product: &MethodScores,
    spreads: &SpreadScores,
) -> Vec<ContentMethod> {
    let all: Vec<&SiteContent> = sites.iter().flat_map(|(all, _)| all.values()).collect();
    let scored: Vec<HashMap<&str, &SpreadScore>> = (sites.iter())
        .map(|(_, spreads)| {
            let scored = spreads.scored.iter();
            scored
                .map(|score| (score.content.as_str(), score))
                .collect()
        })
        .collect();
    // Where the product's figures of a content are scored, these are.
    let scores: Vec<Option<&SpreadScore>> = sites
        .iter()
        .zip(&scored)
        .flat_map(|((all, _), scored)| all.keys().map(|name| scored.get(name.as_str()).copied()))
        .collect();
    let told_tokens: Vec<&Content> = all.iter().map(|site| &site.content).collect();
    let told_facts: Vec<Content> = all.iter().map(|site| site.told_facts()).collect();
    let told_facts: Vec<&Content> = told_facts.iter().collect();
    let of_product = |parents: ParentScores| ContentScores {
        parents,
        log_loss_naming_few: parents.log_loss,
        reproduction: SimpleScore::of(spreads.reproduction),
        virality: SimpleScore::of(spreads.virality),
    };
    let product = ContentMethod {
        name: product.name,
        told_tokens: of_product(product.all),
        told_facts: of_product(product.inferred),
    };
    let methods = of_contents(&told_tokens)
        .into_iter()
        .zip(of_contents(&told_facts));
    let methods = methods.map(|((name, by_tokens), (_, by_facts))| ContentMethod {
        name,
        told_tokens: scored_by(&by_tokens, &scores),
        told_facts: scored_by(&by_facts, &scores),
    });
    std::iter::once(product).chain(methods).collect()
}

fn scored_by(said: &[Said], scores: &[Option<&SpreadScore>]) -> ContentScores {
    let pairs = || said.iter().zip(scores);
    let stated = |figure: Option<f64>| figure.map(|figure| [figure; 3]);
    let reproduction: Vec<Case> = pairs()
        .filter_map(|(said, score)| {
            let score = (*score)?;
            Some((stated(said.reproduction)?, score.true_reproduction))
        })
        .collect();
    let virality: Vec<Case> = pairs()
        .filter_map(|(said, score)| {
            // The contents of which the product states it.
            let score = score.filter(|score| score.virality.is_some())?;
            Some((stated(said.virality)?, score.true_virality))
        })
        .collect();
    let naming_few = said.iter().flat_map(|said| &said.naming_few);
    ContentScores {
        parents: scores_of(said.iter().flat_map(|said| said.edges.iter().copied())),
        log_loss_naming_few: mean(naming_few.map(|truth| -truth.max(PROBABILITY_MIN).ln())),
        reproduction: SimpleScore::of(figure(&reproduction, false)),
        virality: SimpleScore::of(figure(&virality, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lineage::tests::{landing, row};
    use super::super::lineage::trace;
    use super::*;

    #[test]
    fn readers_are_nodes_and_the_root_is_as_old_as_the_first() {
        let mut rows = vec![
            row(1, "search", None),
            row(2, "share", Some(1)),
            row(3, "share", Some(99)),
            row(4, "search", None),
            row(5, "share", Some(1)),
            row(6, "share", Some(2)),
            row(7, "return", None),
        ];
        // 4 is 1 under another name, 5 came by 1's public post, 7 is 2 by the same name.
        rows[3].person = Some(1);
        rows[4].channel = grapevine_event::Channel::Social;
        rows[6].person = Some(2);
        let mut landings: Vec<_> = (1..=7).map(|visit| landing(visit, visit as i64)).collect();
        landings[6].visitor = Some(2);
        let traced = trace(landings.iter().zip(&rows), &rows);
        let by_token = |sure: f64, owner| Causes {
            by_token: Some(sure),
            owner,
            ..Causes::default()
        };
        let stated = HashMap::from([
            ([2; 16], by_token(0.75, Owner::Reader([1; 16]))),
            ([3; 16], by_token(0.75, Owner::Stranger)),
            // More likely the reader's own.
            ([4; 16], by_token(0.25, Owner::Reader([1; 16]))),
            // Read elsewhere only.
            ([5; 16], by_token(0.75, Owner::Reader([99; 16]))),
            ([6; 16], by_token(0.75, Owner::Anybody)),
        ]);
        let found = contents(&traced, &stated);
        let found = &found[&landings[0].content];
        let content = &found.content;
        assert_eq!(content.cascade.times, [0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(content.cascade.parents, [0, 0, 1, 0, 0, 0, 2]);
        let senders = [
            None,
            Some(Sender::Outside),
            Some(Sender::Node(1)),
            Some(Sender::Stranger),
            None,
            None,
            Some(Sender::Node(2)),
        ];
        assert_eq!(content.senders, senders);
        let told = [
            None,
            None,
            Some(Told::By(1, 0.75)),
            Some(Told::ByStranger(0.75)),
            None,
            Some(Told::ByStranger(0.75)),
            Some(Told::ByAnybody(0.75)),
        ];
        assert_eq!(content.told, told);
        assert_eq!(content.again, [(4, 1)]);
        assert_eq!(found.by_fact, [1]);
        let with_facts = found.told_facts();
        assert_eq!(with_facts.told[1], Some(Told::Outside));
        assert_eq!(
            with_facts.senders, [None; 7],
            "all that has one cause is told"
        );
    }
}
