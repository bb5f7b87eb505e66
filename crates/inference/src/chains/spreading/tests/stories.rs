//! Short histories with known facts, hostile ones among them.

use super::*;

#[test]
fn a_grey_reader_shortly_after_one_of_his_network_is_his() {
    let mut world = World::default();
    for number in 0..60 {
        let mut landing = Landing::new(number, CONTENTS[0], T0 + number as i64 * 600_000);
        landing.network = Some(1_000 + number as i64);
        landing.outside = number % 2 == 0;
        world.land(&landing);
    }
    let mut child = Landing::new(60, CONTENTS[0], T0 + 60 * 600_000);
    (child.network, child.dark) = (Some(1_055), 0.95);
    world.land(&child);
    world.end();
    let edges = world.found.of(visit(60));
    let named = edges.iter().filter(|edge| edge.parent_visit.is_some());
    let likeliest = named
        .max_by(|a, b| a.probability.total_cmp(&b.probability))
        .expect("has causes");
    assert_eq!(likeliest.parent_visit, Some(visit(55)), "{edges:?}");
    assert_eq!(likeliest.lag_ms, Some(5 * 600_000));
    assert_eq!(likeliest.method, EdgeMethod::Inferred);
    assert!(
        edges
            .iter()
            .any(|edge| edge.parent_kind == ParentKind::Outside)
    );
}

#[test]
fn an_act_that_was_seen_is_a_cause_of_its_own() {
    let mut world = World::default();
    for number in 0..6 {
        let mut landing = Landing::new(number, CONTENTS[0], T0 + number as i64 * 4 * HOUR);
        landing.outside = true;
        world.land(&landing);
    }
    let time = T0 + 30 * HOUR;
    world.preview(1, CONTENTS[0], time, None);
    let mut child = Landing::new(9, CONTENTS[0], time + 30_000);
    (child.app, child.dark) = ("whatsapp", 0.97);
    world.land(&child);
    world.end();
    let edges = world.found.of(visit(9));
    let seen: f32 = edges
        .iter()
        .filter(|edge| edge.method == EdgeMethod::Preview)
        .map(|edge| edge.probability)
        .sum();
    assert!(seen > 0.3, "{edges:?}");
    let act = edges
        .iter()
        .find(|edge| edge.parent_kind == ParentKind::Act);
    if let Some(act) = act {
        assert_eq!((act.lag_ms, &*act.parent_app), (Some(30_000), "whatsapp"));
    }
    let spread = world.found.spreads.last().expect("written");
    assert_eq!((spread.arrivals, spread.shares), (7, 1));
}

#[test]
fn forged_foreign_and_own_tokens_have_a_defined_result() {
    let mut world = World::default();
    let mut owner = Landing::new(1, CONTENTS[0], T0);
    owner.given = Some("own");
    world.land(&owner);
    // Forged: a share of somebody never seen.
    let mut forged = Landing::new(2, CONTENTS[0], T0 + HOUR);
    (forged.token, forged.given) = (Some("forged"), Some("forger"));
    assert_eq!(world.land(&forged).cause, Cause::SomeShare);
    // Of another content: the same.
    let mut foreign = Landing::new(3, CONTENTS[1], T0 + HOUR);
    (foreign.token, foreign.given) = (Some("own"), Some("foreigner"));
    assert_eq!(world.land(&foreign).cause, Cause::SomeShare);
    // One's own: a return, and no reader.
    let mut back = Landing::new(4, CONTENTS[0], T0 + 2 * HOUR);
    (back.visitor, back.token) = (Some(1), Some("own"));
    assert_eq!(world.land(&back).cause, Cause::Return);
    // A circle: who was passed a link passes it back.
    let mut child = Landing::new(5, CONTENTS[0], T0 + 3 * HOUR);
    (child.token, child.given) = (Some("own"), Some("child"));
    world.land(&child);
    let mut circle = Landing::new(6, CONTENTS[0], T0 + 4 * HOUR);
    (circle.visitor, circle.token) = (Some(1), Some("child"));
    world.land(&circle);
    world.end();
    let kinds = |number| -> Vec<(ParentKind, Option<Id>)> {
        let edges = world.found.of(visit(number));
        edges
            .iter()
            .map(|edge| (edge.parent_kind, edge.parent_visit))
            .collect()
    };
    assert_eq!(kinds(2), [(ParentKind::Unknown, None)]);
    assert_eq!(kinds(3), [(ParentKind::Unknown, None)]);
    assert_eq!(kinds(4), []);
    assert_eq!(kinds(5), [(ParentKind::Visitor, Some(visit(1)))]);
    assert_eq!(kinds(6), [], "nobody is below himself");
    let of_first = |spread: &&grapevine_event::Spread<'_>| spread.content == CONTENTS[0];
    let spread = world.found.spreads.iter().rfind(of_first).expect("written");
    assert_eq!(
        (spread.arrivals, spread.certain_shares, spread.tokens),
        (3, 1, 2)
    );
}

/// A token may be the reader's own, come back on another device: what is said of him and of the content is
/// as probable as that it was passed on.
#[test]
fn a_token_that_may_be_the_readers_own_is_a_share_as_probably_as_it_was_passed_on() {
    let of = |passed_on: f32| {
        let mut world = World::default();
        let mut owner = Landing::new(1, CONTENTS[0], T0);
        (owner.given, owner.outside) = (Some("owner"), true);
        world.land(&owner);
        let mut places = Vec::new();
        for number in 2..42 {
            let mut child = Landing::new(number, CONTENTS[0], T0 + number as i64 * 60_000);
            (child.token, child.passed_on) = (Some("owner"), passed_on);
            places.push(world.land(&child));
        }
        world.end();
        for sum in world.found.sums().values() {
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
        let said: Vec<_> = world.found.of(visit(2));
        let said: Vec<_> = said
            .iter()
            .map(|edge| (edge.method, edge.parent_visit, edge.probability))
            .collect();
        assert_eq!(said[0], (EdgeMethod::Token, Some(visit(1)), passed_on));
        if passed_on < 1.0 {
            let own = (EdgeMethod::Token, None, 1.0 - passed_on);
            assert_eq!(said[1..], [own], "nobody else is named");
        }
        let spread = world.found.spreads.last().expect("written").clone();
        (places[0], spread)
    };
    let (place, sure) = of(1.0);
    assert_eq!((place.generation, place.cascade), (1, visit(1)));
    assert!((sure.chain_arrivals - 40.0).abs() < 0.2, "{sure:?}");
    assert_eq!((sure.certain_shares, sure.tokens), (40, 40));
    let (place, likely) = of(0.8);
    assert_eq!((place.generation, place.cascade), (1, visit(1)));
    assert!((likely.chain_arrivals - 32.0).abs() < 0.2, "{likely:?}");
    assert_eq!((likely.certain_shares, likely.tokens), (40, 40));
    assert!(likely.chain_arrivals_low < 32.0 && likely.chain_arrivals_high > 32.0);
    let (place, unlikely) = of(0.2);
    assert_eq!((place.generation, place.cascade), (0, visit(2)));
    assert_eq!((unlikely.certain_shares, unlikely.tokens), (0, 0));
    assert!(unlikely.chain_arrivals < 16.0, "{unlikely:?}");
    // The rest are told as nobody's readers, so fewer are brought by each.
    for pair in [&sure, &likely, &unlikely].windows(2) {
        assert!(pair[0].reproduction > pair[1].reproduction);
    }
}

/// Nobody may have passed a small content on, unless its readers' visits or a token say that somebody did.
#[test]
fn ranges_begin_at_none_where_nobody_may_have_passed_a_content_on() {
    let of = |private: u64, by_token: bool, readers: u64| {
        let mut world = World::default();
        for number in 0..readers {
            let mut landing = Landing::new(number, CONTENTS[0], T0 + number as i64 * 600_000);
            landing.dark = if number < private { 0.97 } else { 0.3 };
            landing.given = (number == 0).then_some("first");
            landing.token = (by_token && number == 1).then_some("first");
            world.land(&landing);
        }
        world.end();
        world.found.spreads.last().expect("written").clone()
    };
    let begins_at_none = |spread: &grapevine_event::Spread<'_>| {
        let n = spread.settled as f64;
        let none = [
            spread.reproduction_low == 0.0,
            spread.reproduction_now_low == Some(0.0),
            spread.k_factor_low == Some(0.0),
            spread.depth_low == 1.0,
            (spread.structural_virality_low)
                .is_some_and(|low| (low - 2.0 * n / (n + 1.0)).abs() < 1e-9),
        ];
        assert!(none == [none[0]; 5], "{none:?} {spread:?}");
        none[0]
    };
    let grey = of(0, false, 40);
    assert!(begins_at_none(&grey));
    assert!(grey.reproduction > 0.1 && grey.structural_virality > grey.structural_virality_low);
    assert!(
        grey.chain_arrivals_low > 0.0,
        "over a site's contents these are summed: {grey:?}"
    );
    let by_facts = of(8, false, 40);
    assert!(!begins_at_none(&by_facts), "{by_facts:?}");
    assert!(!begins_at_none(&of(0, true, 40)), "one came from another");
    assert!(!begins_at_none(&of(0, false, 400)), "so many seldom are");
}

/// An access log knows nobody's token: one that comes says that a link was passed on, and not that
/// whoever passed it on was never seen.
#[test]
fn a_token_where_nobody_has_one_may_be_any_readers() {
    let mut world = World::default();
    for number in 0..8 {
        let time = T0 + number as i64 * 60_000;
        world.land(&Landing::new(number, CONTENTS[0], time));
    }
    let mut child = Landing::new(9, CONTENTS[0], T0 + HOUR);
    (child.token, child.dark) = (Some("anybody's"), 0.05);
    assert_eq!(world.land(&child).cause, Cause::AnyShare);
    world.end();
    let of = |kind| -> f32 {
        let edges = world.found.of(visit(9)).into_iter();
        let of_kind = edges.filter(|edge| edge.parent_kind == kind);
        of_kind.map(|edge| edge.probability).sum()
    };
    assert!(
        of(ParentKind::Outside) < 1e-3,
        "a token says that it is a share"
    );
    let [readers, strangers] = [ParentKind::Visitor, ParentKind::Unknown].map(of);
    assert!(
        readers > strangers && strangers > 0.1,
        "{readers} {strangers}"
    );
    assert!((world.found.sums()[&visit(9)] - 1.0).abs() < 1e-6);
    let spread = world.found.spreads.last().expect("written");
    assert_eq!(spread.certain_shares, 0);
}

#[test]
fn a_token_whose_owner_is_told_later_takes_back_what_was_said() {
    for held in [true, false] {
        let mut world = World::default();
        for number in 0..4 {
            world.land(&Landing::new(
                number,
                CONTENTS[0],
                T0 + number as i64 * 60_000,
            ));
        }
        let mut child = Landing::new(7, CONTENTS[0], T0 + HOUR);
        (child.token, child.given) = (Some("later"), Some("child"));
        assert_eq!(world.land(&child).cause, Cause::SomeShare);
        if !held {
            world.end();
        }
        world.give(CONTENTS[0], 2, T0 + HOUR + 2_000, "later");
        world.end();
        let edges = world.found.of(visit(7));
        let said: Vec<_> = edges
            .iter()
            .map(|edge| (edge.parent_kind, edge.parent_visit, edge.sign))
            .collect();
        let owner = Some(visit(2));
        assert_eq!(
            said,
            [
                (ParentKind::Unknown, None, 1),
                (ParentKind::Unknown, None, -1),
                (ParentKind::Visitor, owner, 1)
            ]
        );
        assert!((world.found.sums()[&visit(7)] - 1.0).abs() < 1e-9);
        let spread = world.found.spreads.last().expect("written");
        assert_eq!(spread.certain_shares, 1, "{held}");
        assert_eq!(world.chains.not_followed().late_tokens, 0);
    }
    // More likely his own than passed on: whose it is is said, and nothing is proven.
    let mut world = World::default();
    for number in 0..4 {
        let time = T0 + number as i64 * 60_000;
        world.land(&Landing::new(number, CONTENTS[0], time));
    }
    let mut child = Landing::new(7, CONTENTS[0], T0 + HOUR);
    (child.token, child.given, child.passed_on) = (Some("later"), Some("child"), 0.25);
    world.land(&child);
    world.end();
    world.give(CONTENTS[0], 2, T0 + HOUR + 2_000, "later");
    world.end();
    let said: Vec<_> = world.found.of(visit(7));
    let said: Vec<_> = said
        .iter()
        .map(|edge| (edge.parent_kind, edge.probability, edge.sign))
        .collect();
    assert_eq!(
        said,
        [
            (ParentKind::Unknown, 0.25, 1),
            (ParentKind::Outside, 0.75, 1),
            (ParentKind::Unknown, 0.25, -1),
            (ParentKind::Visitor, 0.25, 1)
        ]
    );
    assert_eq!(
        world.found.spreads.last().expect("written").certain_shares,
        0
    );
    assert_eq!(world.chains.not_followed().late_tokens, 0);
    // His own token: nothing is proven.
    let mut world = World::default();
    let mut child = Landing::new(7, CONTENTS[0], T0);
    (child.token, child.given) = (Some("mine"), Some("child"));
    world.land(&child);
    world.give(CONTENTS[0], 7, T0 + 60_000, "mine");
    world.end();
    assert_eq!(world.found.sums().get(&visit(7)), Some(&1.0));
}

#[test]
fn nobody_is_his_own_parent_though_clocks_disagree() {
    let mut world = World::default();
    world.land(&Landing::new(1, CONTENTS[0], T0));
    let mut parent = Landing::new(2, CONTENTS[0], T0 + 2_000);
    parent.given = Some("early");
    world.land(&parent);
    // By its own clock the child comes before who passed the link on.
    let mut child = Landing::new(3, CONTENTS[0], T0 + 1_000);
    child.token = Some("early");
    assert!(matches!(world.land(&child).cause, Cause::Parent { .. }));
    world.end();
    for edge in &world.found.edges {
        assert_ne!(edge.parent_visit, Some(edge.child_visit), "{edge:?}");
    }
    assert_eq!(world.found.of(visit(3))[0].parent_visit, Some(visit(2)));
    assert!((world.found.sums()[&visit(2)] - 1.0).abs() < 1e-6);
}

#[test]
fn a_clock_gone_wrong_settles_nobody_else() {
    let mut world = World::default();
    for number in 0..20 {
        world.land(&Landing::new(
            number,
            CONTENTS[0],
            T0 + number as i64 * 1_000,
        ));
    }
    world.land(&Landing::new(20, CONTENTS[1], T0 + 70 * 365 * 24 * HOUR));
    world.land(&Landing::new(21, CONTENTS[1], i64::MIN));
    let mut closed = world.found.spreads.iter().filter(|spread| spread.closed);
    assert!(
        closed.all(|spread| spread.content != CONTENTS[0]),
        "a day may pass, not a lifetime"
    );
    world.land(&Landing::new(22, CONTENTS[0], T0 + 30_000));
    world.end();
    let spread = world
        .found
        .spreads
        .iter()
        .rfind(|spread| spread.content == CONTENTS[0]);
    assert_eq!(spread.expect("written").settled, 21);
}

#[test]
fn a_rush_of_readers_stays_within_bounds() {
    let mut world = World::default();
    for number in 0..120_000u64 {
        let time = T0 + (number / 2) as i64;
        world.land(&Landing::new(number, CONTENTS[0], time));
        // Nothing that is found is kept.
        if number % 1_000 == 0 {
            world.found.edges.clear();
        }
    }
    world.end();
    let spread = world.found.spreads.last().expect("written");
    assert_eq!((spread.arrivals, spread.settled), (120_000, 120_000));
    assert!(
        world.found.spreads.len() < 150,
        "{}",
        world.found.spreads.len()
    );
    let (_, followed) = world.chains.spreading.contents[1].oldest().expect("there");
    assert!(bytes_of(followed) <= 16 * 1_024, "{}", bytes_of(followed));
}

/// What a followed content takes, the names of its readers aside, which are kept in one table.
fn bytes_of(followed: &Followed) -> usize {
    let texts = followed.site.len() + followed.content.len();
    let acts = followed.acts.capacity() * std::mem::size_of::<ActName>();
    // The state says its own size with what it points to.
    followed.spread.bytes() - std::mem::size_of::<crate::causes::Spread>()
        + std::mem::size_of::<Followed>()
        + texts
        + acts
}

#[test]
fn a_content_with_all_that_there_is_to_keep_takes_16_kilobytes() {
    let mut world = World::default();
    let token = |number: u64| format!("t{number}");
    for number in 0..3_000u64 {
        // A month, in gaps of all sizes.
        let time = T0 + (number * 600_000 + number % 7 * 90_000) as i64;
        let (given, incoming) = (token(number), token(number.saturating_sub(1 + number % 90)));
        let mut landing = Landing::new(number, CONTENTS[0], time);
        landing.given = Some(&given);
        landing.token = (number % 2 == 1).then_some(incoming.as_str());
        landing.app = APPS[(number % 3) as usize];
        landing.network = Some((number % 50) as i64);
        world.land(&landing);
        if number.is_multiple_of(5) {
            world.preview(number, CONTENTS[0], time + 1_000, Some(&given));
        }
    }
    let (_, followed) = world.chains.spreading.contents[1].oldest().expect("there");
    assert!(
        followed.certain_shares > 1_000,
        "{}",
        followed.certain_shares
    );
    assert_eq!(followed.acts.len(), crate::causes::ACTS_MAX);
    assert!(bytes_of(followed) <= 16 * 1_024, "{}", bytes_of(followed));
}

#[test]
fn addresses_of_any_kind_are_followed_or_counted() {
    let long = format!("https://example.org/{}", "a".repeat(65_000));
    let mut world = World::default();
    world.land(&Landing::new(1, &long, T0));
    for (number, content) in (2..).zip([
        "https://xn--e1afmkfd.example/\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}?q=\u{202e}",
        "",
        "\0\n",
    ]) {
        world.land(&Landing::new(number, content, T0 + number as i64));
        world.land(&Landing::new(
            number + 100,
            content,
            T0 + 60_000 + number as i64,
        ));
    }
    world.end();
    assert_eq!(world.chains.not_followed().long_contents, 1);
    assert_eq!(world.found.of(visit(1)), Vec::<&Edge<'_>>::new());
    assert_eq!(world.found.sums().len(), 6);
}

#[test]
fn a_quiet_content_settles_by_time_and_is_closed_in_the_end() {
    let mut world = World::default();
    world.chains.heartbeat(T0, &mut |_| {});
    for number in 0..3 {
        world.land(&Landing::new(
            number,
            CONTENTS[0],
            T0 + number as i64 * 60_000,
        ));
    }
    let at = |time: i64, world: &mut World| {
        let found = &mut world.found;
        world
            .chains
            .heartbeat(time, &mut |finding| found.take(finding));
        (!world.found.edges.is_empty(), world.found.spreads.len())
    };
    assert_eq!(at(T0 + SETTLE_MS - 60_000, &mut world), (false, 0));
    assert_eq!(at(T0 + SETTLE_MS + 3 * 60_000, &mut world), (true, 1));
    assert_eq!(world.found.spreads[0].settled, 3);
    at(T0 + 29 * 24 * HOUR, &mut world);
    assert!(!world.found.spreads.last().expect("written").closed);
    at(T0 + 33 * 24 * HOUR, &mut world);
    let spread = world.found.spreads.last().expect("written");
    assert!(spread.closed && world.found.spreads.len() == 2);
    world.land(&Landing::new(9, CONTENTS[0], T0 + 33 * 24 * HOUR));
    at(T0 + 34 * 24 * HOUR, &mut world);
    let spread = world.found.spreads.last().expect("written");
    assert_eq!(
        (spread.arrivals, spread.closed),
        (1, false),
        "it starts anew"
    );
}
