mod company;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Model, Weight, from_bytes, to_bytes};

const SITE: &str = "example.org";

/// One arrival of a generated history.
#[derive(Clone, Debug)]
struct Step {
    visitor: Option<i64>,
    content: usize,
    /// Token of an earlier step, by number; a number beyond it was never given.
    token: Option<usize>,
    shares: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        prop::option::weighted(0.9, 0i64..14),
        0usize..2,
        prop::option::weighted(0.7, any::<prop::sample::Index>()),
        prop::bool::weighted(0.8),
    );
    prop::collection::vec(step, 1..70).prop_map(|raw| {
        let step = |(at, (visitor, content, token, shares)): (usize, _)| {
            let token: Option<prop::sample::Index> = token;
            Step {
                visitor,
                content,
                token: token.map(|token| token.index(at + 2)),
                shares,
            }
        };
        raw.into_iter().enumerate().map(step).collect()
    })
}

fn visit(at: usize) -> Id {
    Id::builder("test").number(at as u64).finish()
}

fn content(of: usize) -> String {
    format!("https://example.org/{of}")
}

fn arrive(chains: &mut Chains, at: usize, step: &Step) -> Place {
    let (content, given) = (content(step.content), format!("t{at}"));
    let incoming = step.token.map(|token| format!("t{token}"));
    let arrival = Arrival {
        site: SITE,
        content: &content,
        visit: visit(at),
        visitor: step.visitor,
        time: at as i64 * 1_000,
        app: if at.is_multiple_of(2) { "whatsapp" } else { "" },
        incoming_token: incoming.as_deref(),
        share_token: step.shares.then_some(given.as_str()),
        network: None,
    };
    chains.arrive(&arrival, &passed_on(1.0))
}

/// A landing whose token was passed on with that probability.
fn passed_on(sure: f32) -> Judgement {
    Judgement {
        outside: false,
        decided: true,
        way_known: true,
        traceless: false,
        private: true,
        dark: [0.5; 3],
        passed_on: [sure; 3],
        device: 0,
    }
}

/// The same rules, slow and plain: a list of nodes with parents.
#[derive(Default)]
struct Plain {
    nodes: Vec<PlainNode>,
    tokens: BTreeMap<usize, usize>,
}

struct PlainNode {
    at: usize,
    content: usize,
    visitor: Option<i64>,
    parent: Option<usize>,
}

impl Plain {
    fn arrive(&mut self, at: usize, step: &Step) -> (Option<usize>, bool) {
        let same = |node: &PlainNode| {
            node.content == step.content && step.visitor.is_some() && node.visitor == step.visitor
        };
        // The latest node of a reader without a kept one cannot exist: nodes are per reader.
        if let Some(own) = self.nodes.iter().position(same) {
            if step.shares {
                self.tokens.insert(at, own);
            }
            return (None, true);
        }
        let owner = step
            .token
            .and_then(|token| self.tokens.get(&token).copied());
        let parent = owner.filter(|owner| self.nodes[*owner].content == step.content);
        if parent.is_some() || step.shares {
            self.nodes.push(PlainNode {
                at,
                content: step.content,
                visitor: step.visitor,
                parent,
            });
            if step.shares {
                self.tokens.insert(at, self.nodes.len() - 1);
            }
        }
        (parent, false)
    }

    fn path(&self, node: usize) -> Vec<usize> {
        let mut path = vec![node];
        while let Some(parent) = self.nodes[path[path.len() - 1]].parent {
            path.push(parent);
        }
        path
    }

    fn root(&self, node: usize) -> usize {
        *self.path(node).last().expect("has itself")
    }

    /// Size, breadth and mean distance of all pairs, by comparing every path with every other.
    fn tree(&self, root: usize) -> (i64, Vec<i64>, f64) {
        let members: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.root(*node) == root)
            .collect();
        let mut breadth = Vec::new();
        for member in &members {
            let generation = self.path(*member).len() - 1;
            breadth.resize(breadth.len().max(generation + 1), 0);
            breadth[generation] += 1;
        }
        let (mut distances, mut pairs) = (0, 0);
        for (at, one) in members.iter().enumerate() {
            for other in &members[at + 1..] {
                let (one, other) = (self.path(*one), self.path(*other));
                let common = one
                    .iter()
                    .rev()
                    .zip(other.iter().rev())
                    .take_while(|(a, b)| a == b)
                    .count();
                distances += one.len() + other.len() - 2 * common;
                pairs += 1;
            }
        }
        (
            members.len() as i64,
            breadth,
            distances as f64 / f64::from(pairs),
        )
    }
}

fn reload(chains: &Chains) -> Chains {
    let bytes = to_bytes(1, chains).expect("writes");
    let again: Chains = from_bytes(1, &bytes).expect("reads");
    assert_eq!(to_bytes(1, &again).expect("writes"), bytes);
    again
}

proptest! {
    #[test]
    fn trees_agree_with_brute_force(steps in steps(), reload_at in 0usize..70) {
        let mut chains = Chains::default();
        let mut plain = Plain::default();
        for (at, step) in steps.iter().enumerate() {
            if at == reload_at {
                chains = reload(&chains);
            }
            let place = arrive(&mut chains, at, step);
            let (parent, returned) = plain.arrive(at, step);
            let expected = match parent {
                Some(parent) => {
                    let above = plain.nodes[parent].at;
                    let app = chains.forest.app(if above.is_multiple_of(2) { "whatsapp" } else { "" });
                    Cause::Parent {
                        visit: visit(above),
                        lag_ms: (at - above) as i64 * 1_000,
                        app,
                    }
                }
                None if returned && step.token.is_some() => Cause::Return,
                None if returned || step.token.is_none() => Cause::Unknown,
                None if step.shares => Cause::SomeShare,
                None => Cause::AnyShare,
            };
            prop_assert_eq!(place.cause, expected, "step {}", at);
            let (root, generation) = match parent {
                Some(parent) => (plain.nodes[plain.root(parent)].at, plain.path(parent).len()),
                None => (at, 0),
            };
            prop_assert_eq!(place.cascade, visit(root));
            prop_assert_eq!(usize::from(place.generation), generation);
        }
        let mut found = BTreeMap::new();
        chains.take_changed(&mut |cascade| {
            let figures = (cascade.size, cascade.breadth.clone(), cascade.structural_virality, cascade.depth, cascade.reproduction_number);
            found.insert(cascade.cascade_id, figures);
        });
        let roots: Vec<usize> = (0..plain.nodes.len())
            .filter(|node| plain.nodes.iter().any(|child| child.parent == Some(*node)) && plain.nodes[*node].parent.is_none())
            .collect();
        prop_assert_eq!(found.len(), roots.len());
        for root in roots {
            let (size, breadth, virality) = plain.tree(root);
            let (found_size, found_breadth, found_virality, depth, reproduction) = &found[&visit(plain.nodes[root].at)];
            prop_assert_eq!(*found_size, size);
            prop_assert_eq!(found_breadth, &breadth);
            prop_assert_eq!(*depth as usize, breadth.len() - 1);
            prop_assert_eq!(*reproduction, Some((size - 1) as f64 / size as f64));
            // Whole numbers divided by whole numbers: the same to the last bit.
            prop_assert_eq!(*found_virality, Some(virality));
        }
        let mut again = 0;
        chains.take_changed(&mut |_| again += 1);
        prop_assert_eq!(again, 0);
    }

    #[test]
    fn little_room_gives_no_wrong_size(steps in steps(), room in 1u32..9) {
        let mut chains = Chains {
            forest: Forest::new(room, room, room, room.div_ceil(3)),
            ..Chains::default()
        };
        let mut sizes: BTreeMap<Id, i64> = BTreeMap::new();
        for (at, step) in steps.iter().enumerate() {
            arrive(&mut chains, at, step);
            chains.take_changed(&mut |cascade| {
                let breadth: i64 = cascade.breadth.iter().sum();
                assert_eq!(breadth, cascade.size);
                assert!(cascade.structural_virality.is_none_or(f64::is_finite));
                let before = sizes.insert(cascade.cascade_id, cascade.size);
                assert!(before.is_none_or(|before| before < cascade.size), "a tree shrank");
            });
            prop_assert!(chains.forest.entries() <= 4 * room as usize);
        }
    }
}

#[test]
fn a_star_and_a_chain_have_their_known_virality() {
    let virality = |parent_of: &dyn Fn(usize) -> usize, visits: usize| {
        let mut chains = Chains::default();
        for at in 0..visits {
            let token = (at > 0).then(|| parent_of(at));
            let step = Step {
                visitor: Some(at as i64),
                content: 0,
                token,
                shares: true,
            };
            arrive(&mut chains, at, &step);
        }
        let mut found = None;
        chains.take_changed(&mut |cascade| found = cascade.structural_virality);
        found.expect("one tree")
    };
    let visits = 200;
    let n = visits as f64;
    assert_eq!(virality(&|_| 0, visits), 2.0 * (n - 1.0) / n);
    assert_eq!(virality(&|at| at - 1, visits), (n + 1.0) / 3.0);
}

#[test]
fn a_chain_of_endless_depth_starts_anew_in_bounds() {
    let mut chains = Chains::default();
    let mut deepest = 0;
    for at in 0..2_500usize {
        let token = at.checked_sub(1);
        let step = Step {
            visitor: None,
            content: 0,
            token,
            shares: true,
        };
        deepest = deepest.max(arrive(&mut chains, at, &step).generation);
    }
    assert_eq!(deepest, 1_000);
}

#[test]
fn forged_and_foreign_tokens_are_a_share_without_parent() {
    let mut chains = Chains::default();
    let owner = Step {
        visitor: Some(1),
        content: 0,
        token: None,
        shares: true,
    };
    arrive(&mut chains, 0, &owner);
    let foreign = Step {
        visitor: Some(2),
        content: 1,
        token: Some(0),
        shares: true,
    };
    assert_eq!(arrive(&mut chains, 1, &foreign).cause, Cause::SomeShare);
    let forged = Step {
        visitor: Some(3),
        content: 0,
        token: Some(77),
        shares: true,
    };
    assert_eq!(arrive(&mut chains, 2, &forged).cause, Cause::SomeShare);
    let own = Step {
        visitor: Some(1),
        content: 0,
        token: Some(0),
        shares: true,
    };
    assert_eq!(arrive(&mut chains, 3, &own).cause, Cause::Return);
    let elsewhere = Arrival {
        site: "example.com",
        content: "https://example.org/0",
        visit: visit(9),
        visitor: Some(9),
        time: 0,
        app: "",
        incoming_token: Some("t0"),
        share_token: None,
        network: None,
    };
    let other_site = chains.arrive(&elsewhere, &passed_on(1.0));
    // A visit without a token of its own: nobody's is known there.
    assert_eq!(other_site.cause, Cause::AnyShare);
}

#[test]
fn who_more_likely_came_by_an_own_token_begins_a_cascade() {
    let mut chains = Chains::default();
    let owner = Step {
        visitor: Some(1),
        content: 0,
        token: None,
        shares: true,
    };
    arrive(&mut chains, 0, &owner);
    let child = Arrival {
        site: SITE,
        content: "https://example.org/0",
        visit: visit(1),
        visitor: Some(2),
        time: 5_000,
        app: "",
        incoming_token: Some("t0"),
        share_token: Some("t1"),
        network: None,
    };
    let place = chains.arrive(&child, &passed_on(0.4));
    let parent = matches!(place.cause, Cause::Parent { visit: owner, .. } if owner == visit(0));
    assert!(parent, "{place:?}");
    assert_eq!((place.cascade, place.generation), (visit(1), 0));
    assert_eq!(chains.changed(), 0, "no tree has grown");
    // His own children are below him.
    let below = Step {
        visitor: Some(3),
        content: 0,
        token: Some(1),
        shares: true,
    };
    let place = arrive(&mut chains, 2, &below);
    assert_eq!((place.cascade, place.generation), (visit(1), 1));
}

#[test]
fn a_token_given_later_or_elsewhere_leads_to_the_sharer() {
    let mut chains = Chains::default();
    let landing = Step {
        visitor: Some(1),
        content: 0,
        token: None,
        shares: true,
    };
    arrive(&mut chains, 0, &landing);
    let elsewhere = content(1);
    let gift = Gift {
        site: SITE,
        content: &elsewhere,
        visit: visit(0),
        visitor: Some(1),
        time: 500,
        token: "t5",
    };
    chains.give(&gift);
    chains.give(&Gift {
        token: "t6",
        ..gift
    });
    let child = |visitor, token| Step {
        visitor: Some(visitor),
        content: 1,
        token: Some(token),
        shares: false,
    };
    let first = arrive(&mut chains, 7, &child(2, 5));
    let second = arrive(&mut chains, 8, &child(3, 6));
    assert!(
        matches!(first.cause, Cause::Parent { visit: parent, lag_ms: 6_500, .. } if parent == visit(0))
    );
    assert_eq!(first.cascade, second.cascade);
    assert_ne!(
        first.cascade,
        visit(0),
        "the landing's content may have a cascade of that name"
    );
    assert_eq!(
        chains.share(&preview(&elsewhere, Some("t5"), 0)),
        Some(visit(0))
    );
    assert_eq!(chains.share(&preview(&content(0), Some("t5"), 0)), None);
}

fn preview<'a>(content: &'a str, token: Option<&'a str>, time: i64) -> Share<'a> {
    Share {
        share_id: Id::default(),
        site: SITE,
        time,
        content: content.into(),
        kind: grapevine_event::ShareKind::Preview,
        app: "whatsapp".into(),
        private: Some(true),
        probability: 0.8,
        address_of: grapevine_event::AddressOf::Sender,
        network: Some(7),
        visitor: None,
        sharer_visit: None,
        token: token.map(Into::into),
    }
}

/// What is said of a landing, but for how many left no trace, which is said of nearly every one.
fn hints(
    chains: &mut Chains,
    model: &Model,
    time: i64,
    network: Option<i64>,
) -> Vec<(String, f32)> {
    let content = content(0);
    let arrival = Arrival {
        site: SITE,
        content: &content,
        visit: visit(1),
        visitor: None,
        time,
        app: "",
        incoming_token: None,
        share_token: None,
        network,
    };
    let hints = chains.landing(&arrival, model);
    let names = |app: u16| chains.app_name(app).to_uppercase().into();
    let mut words = "of the landing before".to_owned();
    hints
        .evidence(&names, &mut words)
        .filter(|fact| !fact.name.ends_with("_traceless_readers"))
        .map(|fact| (fact.detail.into_owned(), fact.log_odds))
        .collect()
}

#[test]
fn a_preview_shortly_before_is_evidence_and_the_same_network_more() {
    let model = Model::builtin();
    let mut chains = Chains::default();
    chains.share(&preview(&content(0), None, 1_000_000));
    let weight = |seconds: i64, network| {
        let mut chains = chains.clone();
        hints(&mut chains, &model, 1_000_000 + seconds * 1_000, network)
    };
    let before =
        |words: &str, odds: f32| vec![(format!("WHATSAPP fetched this link {words}"), odds)];
    let likely = |weight: &Weight| weight.dark.likely as f32;
    let weights = &model.weight;
    assert_eq!(
        weight(40, Some(7)),
        before(
            "40 s before from the same network",
            likely(&weights.preview_same_network)
        )
    );
    let minute = likely(&weights.preview_minute);
    assert_eq!(weight(40, Some(8)), before("40 s before", minute));
    let ten_minutes = likely(&weights.preview_ten_minutes);
    assert_eq!(weight(300, None), before("5 min before", ten_minutes));
    let hour = likely(&weights.preview_hour);
    assert_eq!(weight(3_000, None), before("50 min before", hour));
    assert_eq!(weight(3_601, None), Vec::new());
    assert_eq!(weight(-1, None), Vec::new());
}

#[test]
fn a_public_preview_is_no_evidence_and_an_unknown_one_half() {
    let model = Model::builtin();
    let with = |private| {
        let mut chains = Chains::default();
        chains.share(&Share {
            private,
            ..preview(&content(0), None, 0)
        });
        hints(&mut chains, &model, 40_000, None)
            .first()
            .map(|hint| hint.1)
    };
    assert_eq!(with(Some(false)), None);
    let minute = model.weight.preview_minute.dark.likely;
    assert_eq!(with(None), Some((minute / 2.0) as f32));
}

/// Nothing was fetched where a reader copied the address or pressed a button.
#[test]
fn an_act_on_the_page_is_told_as_what_it_was() {
    let model = Model::builtin();
    for kind in [ShareKind::Copy, ShareKind::Button] {
        let mut chains = Chains::default();
        chains.share(&Share {
            kind,
            ..preview(&content(0), None, 0)
        });
        let said = hints(&mut chains, &model, 40_000, Some(8));
        assert_eq!(
            said[0].0,
            "a reader copied this link or pressed a share button 40 s before"
        );
    }
}

#[test]
fn fresh_needs_a_history_and_old_needs_a_month() {
    let model = Model::builtin();
    let (hour, day) = (3_600_000, 86_400_000);
    let other = "https://example.org/other";
    let mut chains = Chains::default();
    let mut visit = |content: &str, time| {
        let arrival = Arrival {
            site: SITE,
            content,
            visit: visit(1),
            visitor: None,
            time,
            app: "",
            incoming_token: None,
            share_token: None,
            network: None,
        };
        let names: Vec<&str> = chains
            .landing(&arrival, &model)
            .iter()
            .map(|hint| hint.name)
            .filter(|name| *name != crate::evidence::FEW_TRACELESS_READERS)
            .collect();
        names
    };
    visit(other, 0);
    visit("https://example.org/early", hour);
    visit("https://example.org/early", hour);
    visit("https://example.org/early", hour);
    assert!(
        visit("https://example.org/early", 2 * hour).is_empty(),
        "the data merely starts here"
    );
    let new = "https://example.org/new";
    for passed in 0..3 {
        assert!(visit(new, 10 * day + passed * hour).is_empty());
    }
    assert_eq!(
        visit(new, 10 * day + 3 * hour),
        [crate::evidence::FRESH_CONTENT]
    );
    assert!(visit(new, 12 * day).is_empty());
    assert_eq!(visit(other, 31 * day), [crate::evidence::OLD_CONTENT]);
}

#[test]
fn an_import_of_another_year_leaves_what_is_live_alone() {
    let model = Model::builtin();
    let mut chains = Chains::default();
    let now = 1_760_000_000_000;
    chains.heartbeat(now, &mut |_| {});
    chains.share(&preview(&content(0), None, now));
    for at in 0..=CONTENTS_MAX {
        let content = format!("https://example.org/old/{at}");
        let arrival = Arrival {
            site: SITE,
            content: &content,
            visit: visit(1),
            visitor: None,
            time: 1_430_000_000_000,
            app: "",
            incoming_token: None,
            share_token: None,
            network: None,
        };
        chains.landing(&arrival, &model);
    }
    assert_eq!(hints(&mut chains, &model, now + 30_000, None).len(), 1);
}

/// Who has no name is not known again; a visit that is told twice would come from itself.
#[test]
fn a_visit_told_again_by_its_own_or_a_childs_token_is_a_return() {
    let nameless = |token: Option<usize>| Step {
        visitor: None,
        content: 0,
        token,
        shares: true,
    };
    let mut chains = Chains::default();
    arrive(&mut chains, 0, &nameless(None));
    let child = arrive(&mut chains, 1, &nameless(Some(0)));
    assert!(matches!(child.cause, Cause::Parent { .. }));
    let grandchild = arrive(&mut chains, 2, &nameless(Some(1)));
    assert_eq!(grandchild.generation, 2);
    for (again, token) in [(0, 0), (0, 2), (1, 1), (1, 2)] {
        let place = arrive(&mut chains, again, &nameless(Some(token)));
        assert_eq!(place.cause, Cause::Return, "{again} by {token}");
    }
    let later = arrive(&mut chains, 3, &nameless(Some(2)));
    assert_eq!((later.generation, later.cascade), (3, visit(0)));
}

proptest! {
    #[test]
    fn visits_told_again_and_again_make_no_circle(
        told in prop::collection::vec((0usize..6, prop::option::of(0usize..6), prop::option::of(0i64..2), any::<bool>()), 0..80),
    ) {
        let mut chains = Chains::default();
        for (at, token, visitor, shares) in told {
            let step = Step { visitor, content: 0, token, shares };
            let place = arrive(&mut chains, at, &step);
            prop_assert!(usize::from(place.generation) < 80);
        }
    }
}
