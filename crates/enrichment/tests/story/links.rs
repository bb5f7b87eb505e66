//! Links that are passed on: chains, and what their edges name.

use std::sync::Arc;

use grapevine_enrichment::{CLASSIFY, StopSignal, run, snapshot_offset};
use grapevine_event::*;
use grapevine_inference::COLLECTOR;
use grapevine_inference::causes::Weights;

use crate::support::{chain, classify};
use crate::world::{MINUTE, T0, URL, World, read};

#[test]
fn a_token_that_its_reader_brings_again_is_no_new_share() {
    let mut world = World::new();
    let passed = "https://example.org/politics/the-long-story-of-a-small-town?gv=tok1";
    let own = "https://example.org/politics/the-long-story-of-a-small-town?gv=tok2";
    for (visitor, hours, url) in [(2, 0, passed), (2, 3, passed), (2, 6, own), (3, 7, own)] {
        world.hit(visitor, T0 + hours * 60 * MINUTE, |hit| {
            (hit.url, hit.share_token) = (url, Some(if visitor == 2 { "tok2" } else { "tok3" }));
        });
    }
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let channels: Vec<_> = visits.iter().map(|visit| visit.channel).collect();
    assert_eq!(
        channels,
        [
            Channel::DarkSocial,
            Channel::Direct,
            Channel::Direct,
            Channel::DarkSocial
        ]
    );
}

#[test]
fn a_link_passed_on_twice_is_a_chain() {
    let mut world = World::new();
    let first = world.hit(1, T0, |hit| hit.share_token = Some("tok1"));
    world.hit(9, T0 + MINUTE, |hit| {
        (hit.user_agent, hit.visitor) = ("WhatsApp/2.24.20.83 A", Some(1));
        hit.url = "https://example.org/politics/the-long-story-of-a-small-town?gv=tok1";
    });
    let second = world.hit(2, T0 + 3 * MINUTE, |hit| {
        hit.url = "https://example.org/politics/the-long-story-of-a-small-town?gv=tok1&fbclid=x";
        hit.share_token = Some("tok2");
    });
    let third = world.hit(3, T0 + 3 * MINUTE + 30_000, |hit| {
        hit.url = "https://example.org/politics/the-long-story-of-a-small-town?gv=tok2";
        hit.user_agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]";
    });
    world.heartbeat("collector", T0 + 10 * MINUTE);
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let place: Vec<_> = visits
        .iter()
        .map(|v| (v.visit_id, v.cascade_id, v.generation))
        .collect();
    assert_eq!(
        place,
        [
            (first, Some(first), Some(0)),
            (second, Some(first), Some(1)),
            (third, Some(first), Some(2))
        ]
    );
    assert_eq!(
        (visits[2].channel, visits[2].app.as_ref()),
        (Channel::DarkSocial, "whatsapp")
    );
    assert_eq!(visits[1].content, URL, "decorations are no content");
    read!(world, topic::EDGES, Edge, edge_bytes, edges);
    // What came before the first heartbeat is settled with it: the first reader came from outside.
    let (certain, inferred): (Vec<_>, Vec<_>) = edges
        .iter()
        .map(|e| (e.method, (e.child_visit, e.parent_visit, e.lag_ms)))
        .partition(|(method, _)| *method == EdgeMethod::Token);
    assert_eq!(inferred, [(EdgeMethod::Inferred, (first, None, None))]);
    let parents: Vec<_> = certain.into_iter().map(|(_, edge)| edge).collect();
    assert_eq!(
        parents,
        [
            (second, Some(first), Some(3 * MINUTE)),
            (third, Some(second), Some(30_000))
        ]
    );
    assert_eq!(edges[1].child_app, "whatsapp");
    read!(world, topic::CASCADES, Cascade, cascade_bytes, cascades);
    assert_eq!(cascades.len(), 1, "written once, not on every visit");
    assert_eq!((cascades[0].size, cascades[0].depth), (3, 2));
    assert_eq!(cascades[0].structural_virality, Some(4.0 / 3.0));
    read!(world, topic::SHARES, Share, share_bytes, shares);
    assert_eq!(shares.len(), 1);
    assert_eq!(
        shares[0].sharer_visit,
        Some(first),
        "the fetched link names the sharer"
    );
    assert_eq!(snapshot_offset(&world.log, CLASSIFY).expect("reads"), 5);
}

#[test]
fn inferred_edges_name_the_weights_that_are_deployed_also_after_a_restart() {
    let shipped = Weights::builtin();
    let line = format!("version = {:?}", shipped.version());
    let own = shipped.render().replace(&line, "version = \"ours-1\"");
    let own = Arc::new(Weights::parse(&own).expect("weights"));
    let mut world = World::new();
    let run_both = |world: &World| {
        let stop = StopSignal::new();
        stop.drain();
        run(classify(), &world.log, &stop).expect("runs");
        let chain = chain().with_weights(own.clone());
        run(chain, &world.log, &stop).expect("runs");
    };
    world.heartbeat(COLLECTOR, T0);
    for reader in 0..4 {
        world.hit(reader, T0 + reader * MINUTE, |_| {});
    }
    run_both(&world);
    // A stage that begins anew reads its state back first.
    for reader in 4..8 {
        world.hit(reader, T0 + reader * MINUTE, |_| {});
    }
    world.heartbeat(COLLECTOR, T0 + 24 * 60 * MINUTE);
    run_both(&world);
    let edges = world.topic(topic::EDGES);
    assert!(edges.len() >= 7, "{}", edges.len());
    for edge in &edges {
        let Ok(Record::Edge(edge)) = Record::decode(edge) else {
            panic!("an edge");
        };
        assert_eq!(edge.model_version, "ours-1");
    }
}
