//! Tokens that nobody here was seen to be given: cut, of another site or content, made up; and the reader's own.

use grapevine_event::*;
use grapevine_inference::evidence;

use crate::world::{MINUTE, T0, URL, World, read};

/// From one visit of a reader to his next.
const LATER: i64 = 120 * MINUTE;

/// What must come of a link's token.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// It says nothing: the visit is judged as any other without a trace.
    Ignored,
    /// A share of somebody who was not seen; it may say nothing.
    OfNobody,
    /// A share of the reader who was given it.
    OfOwner,
    /// Its reader came back.
    Again,
    /// The owner of what was passed on to him is brought back by one of his own children.
    Circle,
}

#[test]
fn every_kind_of_token_has_a_defined_result() {
    let mut world = World::new();
    let mut told = Vec::new();
    let anna = world.hit(1, T0, |hit| hit.share_token = Some("tokenofanna"));
    world.hit(2, T0, |hit| {
        (hit.url, hit.site) = ("https://example.net/a/story-of-another-site", "example.net");
        hit.share_token = Some("tokenelsewhere");
    });
    world.hit(3, T0, |hit| {
        (hit.url, hit.share_token) = (
            "https://example.org/another/story-of-this-site",
            Some("tokenofother"),
        );
    });
    let landings = [
        ("bert", 4, "tokenofanna", "tokenofbert", Comes::OfOwner),
        ("cut", 5, "token%3Cof", "tokenofcut", Comes::Ignored),
        ("site", 6, "tokenelsewhere", "tokenofsite", Comes::OfNobody),
        ("content", 7, "tokenofother", "tokenofcont", Comes::OfNobody),
        ("made up", 8, "nevergiven", "tokenofmade", Comes::OfNobody),
        ("again", 1, "tokenofanna", "tokenofanna2", Comes::Again),
        ("circle", 1, "tokenofbert", "tokenofanna3", Comes::Circle),
    ];
    for (at, (what, reader, token, given, comes)) in (1..).zip(landings) {
        let url: &'static str = format!("{URL}?gv={token}").leak();
        let visit = world.hit(reader, T0 + at * LATER, |hit| {
            (hit.url, hit.share_token) = (url, Some(given));
        });
        told.push((what, visit, comes));
    }
    world.heartbeat("collector", T0 + 20 * LATER);
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    read!(world, topic::EDGES, Edge, edge_bytes, edges);
    for (what, id, comes) in told {
        let visit = visits.iter().find(|visit| visit.visit_id == id);
        let visit = visit.expect("a visit");
        let fact = |name: &str| visit.evidence.iter().find(|fact| fact.name == name);
        let by_token: Vec<_> = edges
            .iter()
            .filter(|edge| edge.child_visit == id && edge.method == EdgeMethod::Token)
            .map(|edge| (edge.parent_kind, edge.parent_visit, edge.probability))
            .collect();
        let sum: f32 = by_token.iter().map(|(.., probability)| probability).sum();
        let dark = visit.dark_probability;
        let [low, high] = [visit.dark_probability_low, visit.dark_probability_high];
        assert!(low <= dark && dark <= high, "{what}: {visit:?}");
        let of_nobody = fact(evidence::TOKEN)
            .is_some_and(|token| token.detail.contains("nobody here was seen to be given"));
        assert_eq!(of_nobody, comes == Comes::OfNobody, "{what}: {visit:?}");
        match comes {
            Comes::Ignored => {
                assert!(fact(evidence::TOKEN_BROKEN).is_some(), "{what}: {visit:?}");
                assert_eq!((visit.method, by_token.len()), (Method::Prior, 0), "{what}");
            }
            Comes::OfNobody => {
                let rest = fact(evidence::WITHOUT_TOKEN).expect("said").log_odds;
                let without = 1.0 / (1.0 + (-rest).exp());
                assert!(low <= without + 1e-6, "{what}: {low} {without}");
                assert!(high > without, "{what}: {high} {without}");
                let shared = match visit.channel {
                    Channel::DarkSocial => true,
                    Channel::Direct => false,
                    other => panic!("{what}: {other:?}"),
                };
                assert_eq!(
                    (visit.method, shared),
                    (Method::Token, dark >= 0.5),
                    "{what}"
                );
                let [(kind, parent, _), (own, nobody, _)] = by_token[..] else {
                    panic!("{what}: {by_token:?}");
                };
                let kinds = (ParentKind::Unknown, ParentKind::Outside);
                assert_eq!(((kind, own), parent, nobody), (kinds, None, None), "{what}");
                assert!((sum - 1.0).abs() < 1e-6, "{what}: {by_token:?}");
            }
            Comes::OfOwner => {
                let (kind, parent, _) = by_token[0];
                assert_eq!((kind, parent), (ParentKind::Visitor, Some(anna)), "{what}");
                assert_eq!(visit.channel, Channel::DarkSocial, "{what}");
            }
            Comes::Again => {
                assert!(fact(evidence::TOKEN_AGAIN).is_some(), "{what}: {visit:?}");
                assert_eq!(
                    (visit.channel, by_token.len()),
                    (Channel::Direct, 0),
                    "{what}"
                );
                assert!(dark < 0.1, "{what}: {dark}");
            }
            Comes::Circle => {
                assert_eq!((visit.method, by_token.len()), (Method::Token, 0), "{what}");
            }
        }
    }
}

/// Where visits are given no tokens, as in an access log, nobody's token is known, and nothing is said of that.
#[test]
fn where_visits_are_given_no_tokens_nobody_is_asked_whose_one_is() {
    let mut world = World::new();
    let passed = [T0, T0 + MINUTE].map(|time| {
        let reader = time / MINUTE;
        world.hit(reader, time, |hit| {
            hit.url = "https://example.org/politics/the-long-story-of-a-small-town?gv=nevergiven";
        })
    });
    world.heartbeat("import/access.log", T0 + LATER);
    world.drain();
    read!(world, topic::VISITS, Visit, bytes, visits);
    assert_eq!(visits.len(), passed.len());
    for visit in visits {
        let token = visit
            .evidence
            .iter()
            .find(|fact| fact.name == evidence::TOKEN);
        let detail = &token.expect("a token decided").detail;
        assert_eq!(detail, "the link carries a reader's share token");
    }
}
