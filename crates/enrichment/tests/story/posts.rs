//! Links that were posted in public: the record of a content says that one was, by how its readers came or how
//! many they are.

use grapevine_event::*;

use crate::world::{MINUTE, T0, URL, World, read};

const GIVEN: &str = "story0000000000000001";
const PASSED_ON: &str =
    "https://example.org/politics/the-long-story-of-a-small-town?gv=story0000000000000001";
const IN_WHATSAPP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]";
const DAY: i64 = 24 * 60 * MINUTE;

/// What the last record of the content says of its links.
#[derive(Debug, PartialEq)]
struct Said {
    broadcast: bool,
    largest: i64,
    probability: f64,
    arrivals: [f64; 3],
    certain: i64,
}

/// One reader is given a token, by which so many others come, one every so many milliseconds.
fn said(children: i64, every: i64, came: impl Fn(&mut Hit<'static>)) -> Said {
    let mut world = World::new();
    let sharer = world.hit(1, T0, |hit| hit.share_token = Some(GIVEN));
    let mut brought = Vec::new();
    for child in 0..children {
        brought.push(
            world.hit(1_000 + child, T0 + MINUTE + child * every, |hit| {
                hit.url = PASSED_ON;
                came(hit);
            }),
        );
    }
    world.heartbeat("import", T0 + MINUTE + children * every + DAY);
    world.drain();
    read!(world, topic::EDGES, Edge, edge_bytes, edges);
    let of_sharer = edges.iter().filter(|edge| {
        edge.method == EdgeMethod::Token && edge.parent_visit == Some(sharer) && edge.sign == 1
    });
    let mut found: Vec<Id> = of_sharer.map(|edge| edge.child_visit).collect();
    found.sort_unstable();
    brought.sort_unstable();
    assert_eq!(found, brought, "everybody hangs below the token's owner");
    read!(world, topic::SPREADS, Spread, bytes, spreads);
    let last = spreads.last().expect("a record");
    assert_eq!(last.content, URL);
    let known = |value: Option<f64>| value.expect("told where a token names a reader");
    Said {
        broadcast: last.broadcast,
        largest: last.largest_broadcast,
        probability: known(last.broadcast_probability),
        arrivals: [
            last.broadcast_arrivals_low,
            last.broadcast_arrivals,
            last.broadcast_arrivals_high,
        ]
        .map(known),
        certain: last.certain_shares,
    }
}

fn in_whatsapp(hit: &mut Hit<'static>) {
    hit.user_agent = IN_WHATSAPP;
}

fn from_a_post(hit: &mut Hit<'static>) {
    hit.referrer = Some("https://t.co/abcdef");
}

#[test]
fn a_link_with_more_than_fifty_children_is_a_broadcast_however_they_came() {
    // Over weeks, by a messenger: nothing but their number speaks for a post.
    let [fifty, more] = [50, 51].map(|children| said(children, DAY / 2, in_whatsapp));
    assert_eq!((fifty.broadcast, fifty.largest), (false, 50));
    assert_eq!((more.broadcast, more.largest), (true, 51));
    assert!(fifty.probability < 0.05 && more.probability < 0.05);
    assert_eq!((fifty.certain, more.certain), (50, 51));
}

#[test]
fn a_link_whose_children_come_from_public_places_is_a_broadcast_and_one_in_messages_is_none() {
    let posted = said(5, 60 * MINUTE, from_a_post);
    assert!(posted.broadcast && posted.probability > 0.95, "{posted:?}");
    assert_eq!((posted.largest, posted.certain), (5, 5));
    let [low, likely, high] = posted.arrivals;
    assert!(
        4.0 < likely && low <= likely && likely <= high && high <= 5.0,
        "{posted:?}"
    );
    let sent = said(5, 60 * MINUTE, in_whatsapp);
    assert!(!sent.broadcast && sent.probability < 0.05, "{sent:?}");
    assert_eq!((sent.largest, sent.certain), (5, 5));
    assert!(sent.arrivals[1] < 0.5, "{sent:?}");
}
