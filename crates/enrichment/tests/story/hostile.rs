//! What strangers send, down to the chains: addresses of any length and script, user agents of any bytes, clocks
//! that are ahead.

use grapevine_enrichment::{CHAIN, CLASSIFY, counts};
use grapevine_event::*;

use crate::world::{MINUTE, T0, URL, World, read};

const GIVEN: &str = "story0000000000000001";
const PASSED_ON: &str =
    "https://example.org/politics/the-long-story-of-a-small-town?gv=story0000000000000001";

/// Text that lives as long as the test does.
fn kept(text: String) -> &'static str {
    text.leak()
}

/// A sharer lands by one address and a reader by another: the reader's edge by the token, as parent and probability.
fn edge_of(world: &mut World, sharer_url: &'static str, reader_url: &'static str) -> Option<Id> {
    let sharer = world.hit(1, T0, |hit| {
        (hit.url, hit.share_token) = (sharer_url, Some(GIVEN));
    });
    let child = world.hit(2, T0 + MINUTE, |hit| {
        (hit.url, hit.share_token) = (reader_url, Some("child0000000000000001"));
    });
    world.heartbeat("import", T0 + 60 * MINUTE);
    world.drain();
    read!(world, topic::EDGES, Edge, bytes, edges);
    let by_token = edges
        .iter()
        .filter(|edge| edge.child_visit == child && edge.method == EdgeMethod::Token);
    let parents: Vec<_> = by_token.filter_map(|edge| edge.parent_visit).collect();
    assert!(parents.iter().all(|parent| *parent == sharer));
    parents.first().copied()
}

#[test]
fn an_address_of_64_kb_has_its_certain_edges_and_is_not_followed() {
    let long = kept(format!("https://example.org/{}", "a/".repeat(32_000)));
    let with_token = kept(format!("{long}?gv={GIVEN}"));
    let mut world = World::new();
    assert!(edge_of(&mut world, long, with_token).is_some());
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let place: Vec<_> = visits
        .iter()
        .map(|visit| (visit.content.len(), visit.generation))
        .collect();
    assert_eq!(
        place,
        [(long.len() - 1, Some(0)), (long.len() - 1, Some(1))],
        "of the address all but its last stroke"
    );
    read!(world, topic::CASCADES, Cascade, cascade_bytes, cascades);
    assert_eq!((cascades.len(), cascades[0].size), (1, 2));
    assert_eq!(world.topic(topic::SPREADS).len(), 0);
    let counted = counts(&world.log, CHAIN).expect("reads");
    assert_eq!((counted["long_contents"], counted["late_tokens"]), (2, 0));
    assert_eq!(world.topic(topic::DEAD_LETTERS).len(), 0);
}

/// A page in other letters is one page however it is spelled, and a token is of that page alone.
#[test]
fn spellings_of_one_address_are_one_content_and_a_lookalike_is_another() {
    const PLAIN: &str = "https://пример.example/статья";
    for (spelling, same) in [
        (
            "https://xn--e1afmkfd.example/%D1%81%D1%82%D0%B0%D1%82%D1%8C%D1%8F?gv=story0000000000000001",
            true,
        ),
        (
            "HTTPS://www.ПРИМЕР.EXAMPLE./статья?gv=story0000000000000001#top",
            true,
        ),
        // Its second letter is Latin.
        (
            "https://пpимер.example/статья?gv=story0000000000000001",
            false,
        ),
        (
            "https://пример.example/cтатья?gv=story0000000000000001",
            false,
        ),
    ] {
        let mut world = World::new();
        let parent = edge_of(&mut world, PLAIN, spelling);
        assert_eq!(parent.is_some(), same, "{spelling}");
        read!(world, topic::VISITS, Visit, visit_bytes, visits);
        let contents: std::collections::BTreeSet<_> =
            visits.iter().map(|visit| visit.content.as_ref()).collect();
        assert_eq!(contents.len(), if same { 1 } else { 2 }, "{spelling}");
        assert!(
            contents.iter().all(|content| content.is_ascii()),
            "{contents:?}"
        );
        assert_eq!(world.topic(topic::DEAD_LETTERS).len(), 0);
    }
}

#[test]
fn user_agents_of_any_bytes_are_rows_and_their_readers_are_in_chains() {
    let agents = [
        kept((0u8..32).map(char::from).collect()),
        kept("(".repeat(4_096)),
        kept("Mozilla/5.0 ".repeat(300)),
        "\u{202e}tobelgooG\u{0}\u{7}\u{1b}[31m\u{feff}",
        "'; DROP TABLE grapevine.visits; --",
        "\u{fffd}\u{fffd} caf\u{e9} \u{1f4a9}",
        "Mozilla/5.0 (iPhone; [FBAN/FBIOS;FBAV/;FBOP/80",
        // Nearly the name of one that fetches previews: a robot.
        "WhatsApp/2 (compatible; Evil)",
        "",
    ];
    let mut world = World::new();
    let sharer = world.hit(1, T0, |hit| hit.share_token = Some(GIVEN));
    let mut children = Vec::new();
    for (number, agent) in (1..).zip(agents) {
        let child = world.hit(number + 100, T0 + number * MINUTE, |hit| {
            (hit.url, hit.user_agent) = (PASSED_ON, agent);
        });
        children.push(child);
    }
    world.drain();
    assert_eq!(world.topic(topic::DEAD_LETTERS).len(), 0);
    assert_eq!(world.topic(topic::SHARES).len(), 0);
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let landed: Vec<Id> = visits[1..].iter().map(|visit| visit.visit_id).collect();
    assert_eq!(landed, children, "each is a row");
    read!(world, topic::EDGES, Edge, edge_bytes, edges);
    for visit in &visits[1..] {
        let by_token = edges.iter().any(|edge| {
            edge.child_visit == visit.visit_id
                && edge.method == EdgeMethod::Token
                && edge.parent_visit == Some(sharer)
        });
        // A robot is no reader, a person is.
        assert_eq!(by_token, visit.robot.is_none(), "{visit:?}");
    }
    let people = visits[1..].iter().filter(|visit| visit.robot.is_none());
    assert!(people.count() >= 4);
}

#[test]
fn a_clock_that_is_ahead_keeps_its_edge_and_one_far_ahead_is_not_believed() {
    let received = |ahead: i64| {
        let mut world = World::new();
        world.heartbeat("collector", T0);
        let sharer = world.hit(1, T0, |hit| {
            hit.event_time = T0 + ahead;
            (hit.received_time, hit.share_token) = (T0, Some(GIVEN));
        });
        let child = world.hit(2, T0 + MINUTE, |hit| hit.url = PASSED_ON);
        for minute in 2..30 {
            world.heartbeat("collector", T0 + minute * MINUTE);
        }
        world.drain();
        assert_eq!(world.topic(topic::DEAD_LETTERS).len(), 0);
        read!(world, topic::VISITS, Visit, visit_bytes, visits);
        assert_eq!((visits.len(), visits[0].content.as_ref()), (2, URL));
        read!(world, topic::EDGES, Edge, edge_bytes, edges);
        let mut of_child = edges
            .iter()
            .filter(|edge| edge.child_visit == child && edge.method == EdgeMethod::Token);
        let edge = of_child.next().expect("an edge by the token");
        assert_eq!(edge.parent_visit, Some(sharer));
        let ahead = counts(&world.log, CLASSIFY).expect("reads")["clocks_ahead"];
        (visits[0].time - T0, edge.lag_ms, ahead)
    };
    // Within ten minutes a clock is believed: the child came before its parent.
    assert_eq!(received(9 * MINUTE), (9 * MINUTE, Some(-8 * MINUTE), 0));
    // Beyond, the time of receipt counts.
    assert_eq!(received(11 * MINUTE), (0, Some(MINUTE), 1));
    assert_eq!(received(400 * 24 * 60 * MINUTE), (0, Some(MINUTE), 1));
}
