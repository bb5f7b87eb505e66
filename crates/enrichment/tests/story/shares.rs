//! Acts of sharing: what a fetch tells of a landing, and when two are one.

use grapevine_enrichment::{CHAIN, StopSignal, counts, run};
use grapevine_event::*;
use grapevine_log::{Commit, Durability};

use crate::support::{chain, classify};
use crate::world::{T0, World, read};

#[test]
fn a_preview_before_a_grey_landing_makes_it_darker() {
    let visit = |fetched: bool| {
        let mut world = World::new();
        if fetched {
            world.hit(7, T0, |hit| hit.user_agent = "WhatsApp/2.24.20.83 A");
        }
        world.hit(1, T0 + 40_000, |hit| {
            (hit.network, hit.user_agent) = (
                Some(7),
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
            );
        });
        world.drain();
        read!(world, topic::VISITS, Visit, visit_bytes, visits);
        let facts = visits[0].evidence.iter();
        let sum: f32 = facts.clone().map(|fact| fact.log_odds).sum();
        let search: Option<f32> = facts.clone().map(|fact| fact.search_log_odds).sum();
        let search = search.expect("said of each fact");
        let by_search = visits[0].dark_search_probability;
        let found = (by_search / (1.0 - visits[0].dark_probability - by_search)).ln();
        assert!((search - found).abs() < 1e-2, "{search} {found}");
        let words = facts
            .map(|fact| fact.detail.to_string())
            .collect::<Vec<_>>();
        (visits[0].dark_probability, visits[0].channel, sum, words)
    };
    let (before, _, _, _) = visit(false);
    let (after, channel, sum, words) = visit(true);
    assert!(after > 0.9 && before < 0.6, "{before} {after}");
    assert_eq!(channel, Channel::DarkSocial);
    assert_eq!(
        words[0],
        "WhatsApp fetched this link 40 s before from the same network"
    );
    assert!(
        (after - 1.0 / (1.0 + (-sum).exp())).abs() < 1e-3,
        "log-odds still add up"
    );
}

/// Two partitions of the classify stage, each with its own memory, before one of the chain stage: as
/// on Kafka, where readers and fetchers are spread by who they are and contents by their address.
#[test]
fn one_act_that_two_partitions_saw_is_one_share() {
    let fetch = |network: i64, agent: &'static str, after: i64| {
        move |hit: &mut Hit<'static>| {
            (hit.visitor, hit.user_agent) = (Some(network), agent);
            hit.network = Some(network);
            hit.event_time = T0 + after;
        }
    };
    let copy = |after: i64| {
        move |hit: &mut Hit<'static>| {
            (hit.kind, hit.visitor) = (HitKind::Copy, Some(77));
            hit.event_time = T0 + after;
        }
    };
    let mut worlds = [World::new(), World::new()];
    // A service from two of its addresses, a copy that is reported by two ways, and another act of each.
    worlds[0].hit(
        1,
        T0,
        fetch(
            1,
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            0,
        ),
    );
    worlds[0].hits += 10;
    worlds[0].hit(77, T0, copy(1_000));
    worlds[1].hits += 100;
    worlds[1].hit(
        2,
        T0,
        fetch(
            2,
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            900,
        ),
    );
    worlds[1].hit(77, T0, copy(1_900));
    worlds[1].hit(
        2,
        T0,
        fetch(
            2,
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            300_000,
        ),
    );
    worlds[1].hit(77, T0, copy(400_000));
    let stop = StopSignal::new();
    stop.drain();
    let chained = World::new();
    for world in &worlds {
        run(classify(), &world.log, &stop).expect("runs");
        let mut commit = Commit::default();
        for record in world.topic(topic::HITS_CLASSIFIED) {
            commit.append(topic::HITS_CLASSIFIED, &record);
        }
        chained
            .log
            .commit(&commit, Durability::Durable)
            .expect("commits");
    }
    assert_eq!(chained.topic(topic::HITS_CLASSIFIED).len(), 6);
    run(chain(), &chained.log, &stop).expect("runs");
    read!(chained, topic::SHARES, Share, share_bytes, shares);
    let acts: Vec<_> = shares
        .iter()
        .map(|share| (share.kind, share.time - T0))
        .collect();
    let [preview, copied] = [ShareKind::Preview, ShareKind::Copy];
    assert_eq!(
        acts,
        [
            (preview, 0),
            (copied, 1_000),
            (preview, 300_000),
            (copied, 400_000)
        ]
    );
    assert_eq!(
        counts(&chained.log, CHAIN).expect("reads")["shares_joined"],
        2
    );
}

#[test]
fn who_presses_twice_shared_once_and_is_known_by_either_token() {
    let mut world = World::new();
    let sharer = world.hit(1, T0, |_| {});
    for (after, token) in [
        (60_000, "first000000000000001"),
        (60_900, "second00000000000002"),
    ] {
        world.hit(1, T0 + after, |hit| {
            hit.kind = HitKind::Share;
            hit.share_token = Some(token);
        });
    }
    let child = world.hit(2, T0 + 120_000, |hit| {
        hit.url = "https://example.org/politics/the-long-story-of-a-small-town?gv=second00000000000002";
    });
    world.drain();
    assert_eq!(world.topic(topic::SHARES).len(), 1);
    read!(world, topic::EDGES, Edge, bytes, edges);
    let by_token: Vec<_> = edges
        .iter()
        .filter(|edge| edge.child_visit == child && edge.method == EdgeMethod::Token)
        .map(|edge| (edge.parent_visit, edge.parent_kind, edge.probability))
        .collect();
    let [(parent, _, passed_on), (None, ParentKind::Outside, own)] = by_token[..] else {
        panic!("the sharer, or an own token: {by_token:?}");
    };
    assert_eq!(parent, Some(sharer));
    assert!(passed_on > 0.9 && passed_on + own == 1.0, "{by_token:?}");
}

/// A token in a link that was found in a public place was passed on; on the home page, by somebody without an id,
/// it is more likely the reader's own, come back by a bookmark.
#[test]
fn a_tokens_edge_is_as_probable_as_that_it_was_passed_on() {
    const HOME: &str = "https://example.org/";
    const DESK: &str =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0";
    let mut world = World::new();
    let sharer = world.hit(1, T0, |hit| hit.share_token = Some("story0000000000000001"));
    let owner = world.hit(2, T0, |hit| {
        (hit.url, hit.share_token) = (HOME, Some("home00000000000000001"));
    });
    let posted = world.hit(3, T0 + 60_000, |hit| {
        hit.url =
            "https://example.org/politics/the-long-story-of-a-small-town?gv=story0000000000000001";
        hit.referrer = Some("https://t.co/abcdef");
    });
    let home = world.hit(4, T0 + 60_000, |hit| {
        hit.url = "https://example.org/?gv=home00000000000000001";
        (hit.visitor, hit.visitor_basis) = (None, VisitorBasis::None);
        (hit.user_agent, hit.network) = (DESK, Some(9));
        (hit.fetch_site, hit.fetch_mode, hit.fetch_dest) =
            (Some("none"), Some("navigate"), Some("document"));
    });
    world.drain();
    read!(world, topic::EDGES, Edge, bytes, edges);
    let of = |child: Id| -> Vec<_> {
        let edges = edges.iter().filter(|edge| edge.child_visit == child);
        edges
            .map(|edge| (edge.parent_visit, edge.parent_kind, edge.probability))
            .collect()
    };
    assert_eq!(of(posted), [(Some(sharer), ParentKind::Visitor, 1.0)]);
    let [
        (parent, ParentKind::Visitor, passed_on),
        (None, ParentKind::Outside, own),
    ] = of(home)[..]
    else {
        panic!("the owner, or an own token: {:?}", of(home));
    };
    assert_eq!(parent, Some(owner));
    assert!(
        passed_on < 0.5 && passed_on + own == 1.0,
        "{passed_on} {own}"
    );
    read!(world, topic::VISITS, Visit, visits, landings);
    let generation = |visit: Id| {
        let found = landings.iter().find(|landing| landing.visit_id == visit);
        found.expect("a visit").generation
    };
    assert_eq!((generation(posted), generation(home)), (Some(1), Some(0)));
}
