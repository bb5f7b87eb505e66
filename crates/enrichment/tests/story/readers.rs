//! What is a visit and what is none, and whose.

use std::time::Duration;

use grapevine_enrichment::{CLASSIFY, Driver, RESERVED_PROPERTIES, counts};
use grapevine_event::*;
use grapevine_log::Log;

use crate::support::classify;
use crate::world::{MINUTE, T0, World, read};

#[test]
fn sessions_split_at_gaps_and_arrivals_and_not_at_reloads() {
    let mut world = World::new();
    let google = |hit: &mut Hit<'static>| hit.referrer = Some("https://www.google.com/");
    let inside = |hit: &mut Hit<'static>| hit.referrer = Some("https://example.org/");
    let first = world.hit(1, T0, google);
    world.hit(1, T0 + MINUTE, google);
    world.hit(1, T0 + 2 * MINUTE, inside);
    world.hit(1, T0 + 25 * MINUTE, |hit| {
        (hit.kind, hit.name, hit.value) = (HitKind::Conversion, Some("subscribe"), Some(9.5));
        hit.props = vec![Property {
            name: RESERVED_PROPERTIES[0],
            value: "forged".into(),
        }];
    });
    world.hit(1, T0 + 50 * MINUTE, inside);
    let second = world.hit(1, T0 + 51 * MINUTE, |hit| {
        hit.referrer = Some("https://t.co/x")
    });
    let third = world.hit(1, T0 + 90 * MINUTE, |_| {});
    world.hit(1, T0 + 121 * MINUTE, |hit| hit.kind = HitKind::Engagement);
    let nobody = world.hit(0, T0 + 122 * MINUTE, |hit| hit.visitor = None);
    world.hit(0, T0 + 122 * MINUTE, |hit| {
        (hit.visitor, hit.referrer) = (None, Some("https://example.org/"));
    });
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let ids: Vec<_> = visits
        .iter()
        .map(|visit| (visit.visit_id, visit.returning))
        .collect();
    assert_eq!(
        ids,
        [
            (first, false),
            (second, true),
            (third, true),
            (nobody, false)
        ]
    );
    read!(world, topic::EVENTS, VisitEvent, event_bytes, events);
    let of: Vec<_> = events.iter().map(|event| event.visit_id).collect();
    assert_eq!(
        of,
        [
            Some(first),
            Some(first),
            Some(first),
            Some(first),
            None,
            None
        ]
    );
    assert_eq!(
        (events[2].name, events[2].value),
        (Some("subscribe"), Some(9.5))
    );
    assert!(events.iter().all(|event| event.props.is_empty()));
}

#[test]
fn what_is_no_visit_is_counted_and_what_is_broken_is_kept() {
    let mut world = World::new();
    let retry = world.hit(1, T0, |hit| hit.client_id_given = true);
    world.hit(1, T0, |hit| {
        (hit.client_id_given, hit.hit_id) = (true, retry)
    });
    // The collector's own id, from its spool once more.
    let spooled = world.hit(1, T0, |_| {});
    world.hit(1, T0, |hit| hit.hit_id = spooled);
    world.hit(2, T0, |hit| hit.purpose = Some("prefetch;prerender"));
    world.hit(3, T0, |hit| hit.status = Some(404));
    world.hit(4, T0, |hit| {
        (hit.protocol, hit.url) = (Protocol::Log, "https://example.org/style.css");
    });
    world.hit(5, T0 + 3_600_000, |hit| hit.received_time = T0);
    world.hit(6, T0, |hit| hit.url = "nonsense");
    world.hit(7, -5, |_| {});
    world.hit(8, i64::MAX, |hit| hit.received_time = i64::MAX);
    world.append(b"\xC3\x01garbage of some length");
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    assert_eq!(visits.len(), 2);
    assert_eq!(
        visits[1].time, T0,
        "a clock that runs ahead is not believed"
    );
    let counted = counts(&world.log, CLASSIFY).expect("reads");
    assert_eq!(counted["duplicates"], 2);
    for name in ["prefetches", "not_answered", "not_pages", "clocks_ahead"] {
        assert_eq!(counted[name], 1, "{name}");
    }
    assert_eq!(counted["dead_letters"], 4);
    read!(
        world,
        topic::DEAD_LETTERS,
        DeadLetter,
        letter_bytes,
        letters
    );
    let reasons: Vec<_> = letters
        .iter()
        .map(|letter| (letter.reason, letter.position))
        .collect();
    let late = "time_out_of_range";
    assert_eq!(
        reasons,
        [
            ("bad_url", 8),
            (late, 9),
            (late, 10),
            ("unknown_schema", 11)
        ]
    );
    assert_eq!(letters[3].payload, b"\xC3\x01garbage of some length");
    assert_eq!(
        (letters[0].source, letters[0].stage),
        (topic::HITS_RAW, "classify")
    );
    assert_eq!(letters[0].site, "example.org");
    let identities: std::collections::BTreeSet<Id> = letters.iter().map(|l| l.letter_id).collect();
    assert_eq!(identities.len(), 4);
}

#[test]
fn robots_have_visits_but_no_cascades() {
    let mut world = World::new();
    world.hit(1, T0, |hit| {
        hit.user_agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    });
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    assert_eq!(
        (visits[0].channel, visits[0].cascade_id),
        (Channel::Bot, None)
    );
    assert!(visits[0].robot.is_some());
}

#[test]
fn a_scanner_that_looks_like_a_reader_is_told_by_its_speed() {
    let mut world = World::new();
    let links = [
        "https://example.org/politics/the-long-story-of-a-small-town?utm_medium=email",
        "https://example.org/culture/another-long-story?utm_medium=email",
        "https://example.org/sports/a-third-long-story?utm_medium=email",
        "https://example.org/science/a-fourth-long-story",
    ];
    for (at, url) in (0..).zip(links) {
        world.hit(5, T0 + at * 300, |hit| {
            hit.url = url;
            (hit.visitor_basis, hit.status) = (VisitorBasis::Address, Some(200));
        });
    }
    // The reader, a while later, by a click of his own.
    world.hit(6, T0 + 5 * MINUTE, |hit| hit.url = links[0]);
    world.drain();
    read!(world, topic::VISITS, Visit, visit_bytes, visits);
    let channels: Vec<_> = visits.iter().map(|visit| visit.channel).collect();
    let [mail, bot] = [Channel::Mail, Channel::Bot];
    assert_eq!(channels, [mail, mail, bot, bot, mail]);
    for scanned in &visits[2..4] {
        assert_eq!(scanned.robot.as_deref(), Some("unnamed scanner of links"));
        assert_eq!(scanned.evidence[0].name, "burst");
        assert!(scanned.evidence[0].detail.contains("within two seconds"));
        assert!(scanned.dark_probability <= 0.05 && scanned.dark_probability_high >= 0.1);
        assert_eq!(scanned.cascade_id, None);
    }
}

#[test]
fn what_the_browser_loads_as_no_page_or_into_a_frame_is_no_landing() {
    let mut world = World::new();
    for (mode, dest) in [
        ("cors", "empty"),
        ("navigate", "iframe"),
        ("navigate", "document"),
    ] {
        world.hit(5, T0, |hit| {
            hit.fetch_site = Some("cross-site");
            (hit.fetch_mode, hit.fetch_dest) = (Some(mode), Some(dest));
        });
    }
    world.drain();
    assert_eq!(world.topic(topic::VISITS).len(), 1);
    let counted = counts(&world.log, CLASSIFY).expect("reads");
    assert_eq!(counted["not_pages"], 2);
}

#[test]
fn a_crash_in_the_determinism_test_really_loses_something() {
    // What is not durable is gone from a copy of the file: without that, crashing would prove
    // nothing.
    let mut world = World::new();
    world.hit(1, T0, |_| {});
    let mut driver = Driver::open(classify(), &world.log).expect("opens");
    driver
        .step(1 << 20, usize::MAX, Duration::ZERO)
        .expect("steps");
    assert_eq!(
        world
            .log
            .position(CLASSIFY, topic::HITS_RAW)
            .expect("reads")
            .offset,
        1
    );
    let copy = world.directory.path().join("copy.redb");
    std::fs::copy(world.directory.path().join("log.redb"), &copy).expect("copies");
    let crashed = Log::open(&copy).expect("opens");
    assert_eq!(
        crashed
            .position(CLASSIFY, topic::HITS_RAW)
            .expect("reads")
            .offset,
        0
    );
    assert_eq!(crashed.end(topic::HITS_RAW).expect("reads"), 1);
}
