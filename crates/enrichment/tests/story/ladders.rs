//! Links that are typed, through both stages: apps that fetch at every keystroke make a ladder of ever longer
//! addresses, which is one act of sharing of the whole address.

use grapevine_event::*;

use crate::world::{MINUTE, T0, URL, World, read};

/// A link as somebody passes it on: with the token of the visit that it is passed on from, and a mark.
const LINK: &str = "https://example.org/politics/the-long-story-of-a-small-town?page=2&gv=story0000000000000001&id=4&fbclid=x";
/// The same without the mark, which some apps cut off.
const UNMARKED: &str = "https://example.org/politics/the-long-story-of-a-small-town?page=2&gv=story0000000000000001&id=4";
/// The content that it leads to.
const PAGE: &str = "https://example.org/politics/the-long-story-of-a-small-town?id=4&page=2";
/// The site, which nobody types into a message a letter at a time without its host.
const HOST_BYTES: usize = "https://example.org/".len();
const GIVEN: &str = "story0000000000000001";
const DESK: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0";
/// Milliseconds from one keystroke to the next.
const KEYSTROKE: i64 = 60;
/// Network of whoever types, unless said otherwise.
const HOME: i64 = 7;

/// A fetcher that fetches while a message is written: its user agent, its app, and the evidence that a landing on its
/// user's network has 40 s later, if any.
type Fetcher = (&'static str, &'static str, Option<&'static str>);

const FETCHERS: [Fetcher; 7] = [
    (
        "WhatsApp/2.24.20.83 A",
        "whatsapp",
        Some("WhatsApp fetched this link 40 s before from the same network"),
    ),
    (
        "WhatsApp/2",
        "signal",
        Some("Signal fetched this link 40 s before from the same network"),
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "imessage",
        Some("iMessage fetched this link 40 s before from the same network"),
    ),
    (
        "Mozilla/5.0 (compatible; KeybaseBot; +https://keybase.io)",
        "keybase",
        Some("Keybase fetched this link 40 s before from the same network"),
    ),
    // From servers of their own: whose network it is says nothing.
    (
        "TelegramBot (like TwitterBot)",
        "telegram",
        Some("Telegram fetched this link 40 s before"),
    ),
    (
        "ViberUrlDownloader",
        "viber",
        Some("Viber fetched this link 40 s before"),
    ),
    // Its posts are public.
    (
        "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
        "bluesky",
        None,
    ),
];

/// Fetches every prefix of an address, the last keystroke at that time.
fn typed(world: &mut World, agent: &'static str, network: i64, link: &'static str, until: i64) {
    typed_from(world, agent, &[network], link, until);
}

/// The same from one of those networks after the other.
fn typed_from(
    world: &mut World,
    agent: &'static str,
    networks: &[i64],
    link: &'static str,
    until: i64,
) {
    for end in HOST_BYTES..=link.len() {
        let before = (link.len() - end) as i64 * KEYSTROKE;
        let network = networks[end % networks.len()];
        world.hit(network + 1_000, until - before, |hit| {
            (hit.user_agent, hit.network) = (agent, Some(network));
            hit.url = &link[..end];
        });
    }
}

/// A reader without a token, referrer or app, who lands on a page 40 s after the first moment.
fn grey_landing(world: &mut World, visitor: i64, url: &'static str) -> Id {
    world.hit(visitor, T0 + 40_000, |hit| {
        (hit.network, hit.user_agent, hit.url) = (Some(HOME), DESK, url);
    })
}

fn acts<'a>(shares: &'a [Share<'a>]) -> Vec<(&'a str, &'a str, i64)> {
    shares
        .iter()
        .map(|share| (share.app.as_ref(), share.content.as_ref(), share.time - T0))
        .collect()
}

/// One act of `URL` in the app of a fetcher, and of the one visit, `landed`, what is said of it.
fn assert_one_act_before(world: &World, landed: Id, (agent, app, said): Fetcher) {
    read!(world, topic::SHARES, Share, share_bytes, shares);
    assert_eq!(acts(&shares), [(app, URL, 0)], "{agent}");
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    assert_eq!((visits.len(), visits[0].visit_id), (1, landed));
    let mut facts = visits[0].evidence.iter();
    let fact = facts.find(|fact| fact.name == "preview_before");
    assert_eq!(fact.map(|fact| fact.detail.as_ref()), said, "{agent}");
}

#[test]
fn a_typed_link_is_one_act_of_the_whole_address_in_every_app_that_fetches_meanwhile() {
    for (agent, app, said) in FETCHERS {
        let mut world = World::new();
        typed(&mut world, agent, HOME, URL, T0);
        let landed = grey_landing(&mut world, 1, URL);
        world.drain();
        assert_one_act_before(&world, landed, (agent, app, said));
    }
}

/// A service takes whichever of its servers is free for each keystroke.
#[test]
fn a_link_that_a_service_fetches_from_several_addresses_is_one_act() {
    let by_servers = FETCHERS.into_iter();
    let by_servers = by_servers.filter(|(_, app, _)| ["telegram", "bluesky"].contains(app));
    for (agent, app, said) in by_servers {
        let mut world = World::new();
        typed_from(&mut world, agent, &[HOME, 8, 9], URL, T0);
        let landed = grey_landing(&mut world, 1, URL);
        world.heartbeat("import", T0 + 24 * 60 * MINUTE);
        world.drain();
        assert_one_act_before(&world, landed, (agent, app, said));
        read!(world, topic::SPREADS, Spread, bytes, spreads);
        assert!(spreads.iter().all(|spread| spread.shares == 1), "{agent}");
    }
}

/// Two read the page, and `link` is typed by whoever lives where the next reader lands by `url`: one act, of that token,
/// which is evidence of that landing. `judge` is given the visit of the first and that one.
fn after_typing(
    [link, url]: [&'static str; 2],
    token: Option<&str>,
    judge: impl Fn(&World, [Id; 2]),
) {
    let mut world = World::new();
    let sharer = world.hit(1, T0 - 5 * MINUTE, |hit| {
        (hit.url, hit.share_token) = (PAGE, Some(GIVEN));
    });
    world.hit(2, T0 - MINUTE, |hit| hit.url = PAGE);
    typed(&mut world, "WhatsApp/2", HOME, link, T0);
    let child = grey_landing(&mut world, 3, url);
    world.heartbeat("import", T0 + 24 * 60 * MINUTE);
    world.drain();
    read!(world, topic::SHARES, Share, share_bytes, shares);
    assert_eq!(acts(&shares), [("signal", PAGE, 0)]);
    assert_eq!(
        (shares[0].token.as_deref(), shares[0].sharer_visit),
        (token, token.map(|_| sharer))
    );
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let landed = visits.iter().find(|visit| visit.visit_id == child);
    let mut facts = landed.expect("a visit").evidence.iter();
    assert!(facts.any(|fact| fact.name == "preview_before"));
    judge(&world, [sharer, child]);
}

/// Steps of the way are longer than the content: its parameters come in another order, marks are cut off, and
/// `?g` is no token yet.
#[test]
fn a_typed_link_with_a_token_names_its_sharer_and_who_comes_by_it() {
    after_typing([LINK, UNMARKED], Some(GIVEN), |world, [sharer, child]| {
        read!(world, topic::EDGES, Edge, bytes, edges);
        let mut by_token = edges
            .iter()
            .filter(|edge| edge.child_visit == child && edge.method == EdgeMethod::Token);
        let edge = by_token.next().expect("an edge by the token");
        assert_eq!(edge.parent_visit, Some(sharer));
        assert!(edge.probability > 0.9, "{}", edge.probability);
    });
}

#[test]
fn a_typed_link_without_a_token_is_one_possible_cause_of_who_comes_next() {
    after_typing([PAGE, PAGE], None, |world, [_, child]| {
        read!(world, topic::EDGES, Edge, bytes, edges);
        let by_acts: Vec<_> = edges
            .iter()
            .filter(|edge| edge.child_visit == child && edge.method == EdgeMethod::Preview)
            .collect();
        let [edge] = by_acts[..] else {
            panic!("one act: {by_acts:#?}");
        };
        let act = (
            edge.parent_kind,
            edge.parent_visit,
            edge.parent_app.as_ref(),
            edge.lag_ms,
        );
        assert_eq!(act, (ParentKind::Act, None, "signal", Some(40_000)));
        assert!(edge.probability > 0.1, "{}", edge.probability);
    });
}

#[test]
fn two_people_who_type_at_the_same_time_are_two_acts() {
    const OTHER: &str = "https://example.org/politics/the-long-story-of-a-large-town";
    let typed_together = |agent: &'static str, networks: [i64; 2], links: [&'static str; 2]| {
        let mut world = World::new();
        let mut steps: Vec<(i64, usize, usize)> = Vec::new();
        for (who, link) in links.iter().enumerate() {
            for end in HOST_BYTES..=link.len() {
                let before = (link.len() - end) as i64 * KEYSTROKE;
                steps.push((who as i64 * KEYSTROKE / 2 - before, who, end));
            }
        }
        steps.sort_unstable();
        for (after, who, end) in steps {
            world.hit(networks[who] + 1_000, T0 + after, |hit| {
                (hit.user_agent, hit.network) = (agent, Some(networks[who]));
                hit.url = &links[who][..end];
            });
        }
        world.heartbeat("collector", T0 + MINUTE);
        world.drain();
        read!(world, topic::SHARES, Share, share_bytes, shares);
        let mut found: Vec<(String, Option<i64>)> = shares
            .iter()
            .map(|share| (share.content.to_string(), share.network))
            .collect();
        found.sort_unstable();
        found
    };
    let act = |content: &str, network: i64| (content.to_owned(), Some(network));
    // One link from two homes, …
    assert_eq!(
        typed_together("WhatsApp/2", [7, 8], [URL, URL]),
        [act(URL, 7), act(URL, 8)]
    );
    // … and two links that begin alike through one server of an app, …
    assert_eq!(
        typed_together("TelegramBot (like TwitterBot)", [9, 9], [URL, OTHER]),
        [act(OTHER, 9), act(URL, 9)]
    );
    // … or through two of them.
    assert_eq!(
        typed_together("TelegramBot (like TwitterBot)", [9, 10], [URL, OTHER]),
        [act(OTHER, 10), act(URL, 9)]
    );
}
