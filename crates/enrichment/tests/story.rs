//! A short story with known facts through both stages, record by record.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use grapevine_enrichment::{
    CHAIN, CLASSIFY, ChainStage, ClassifyStage, Driver, RESERVED_PROPERTIES, StopSignal, counts,
    lag, run, snapshot_offset,
};
use grapevine_event::*;
use grapevine_inference::causes::Weights;
use grapevine_inference::{COLLECTOR, Classifier, Model};
use grapevine_log::{Commit, Durability, Log};
use grapevine_signals::Signals;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const URL: &str = "https://example.org/politics/the-long-story-of-a-small-town";
const T0: i64 = 1_760_000_000_000;
const MINUTE: i64 = 60_000;

fn classifier() -> Arc<Classifier> {
    static CLASSIFIER: OnceLock<Arc<Classifier>> = OnceLock::new();
    let build = || {
        Arc::new(Classifier::new(
            Arc::new(Signals::builtin()),
            Model::builtin(),
        ))
    };
    CLASSIFIER.get_or_init(build).clone()
}

/// A log and the hits put into it.
struct World {
    _directory: tempfile::TempDir,
    log: Log,
    hits: u64,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let log = Log::open(&directory.path().join("log.redb")).expect("opens");
        World {
            _directory: directory,
            log,
            hits: 0,
        }
    }

    fn append(&mut self, record: &[u8]) {
        let mut commit = Commit::default();
        commit.append(topic::HITS_RAW, record);
        self.log
            .commit(&commit, Durability::Durable)
            .expect("commits");
    }

    /// Appends a page view by a reader, changed as told; returns its id.
    fn hit(&mut self, visitor: i64, time: i64, change: impl Fn(&mut Hit<'static>)) -> Id {
        self.hits += 1;
        let id = Id::builder("story").number(self.hits).finish();
        let mut hit = Hit {
            protocol: Protocol::Native,
            visitor: Some(visitor),
            visitor_basis: VisitorBasis::Client,
            network: Some(visitor),
            user_agent: IPHONE,
            ..Hit::page_view(id, "example.org", time, URL)
        };
        change(&mut hit);
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        self.append(&record);
        id
    }

    fn heartbeat(&mut self, source: &str, time: i64) {
        let mut record = Vec::new();
        let heartbeat = Heartbeat {
            event_time: time,
            source,
        };
        heartbeat.encode(&mut record).expect("encodes");
        self.append(&record);
    }

    /// Runs both stages to the end of their input, as the product does.
    fn drain(&self) {
        for stage in [CLASSIFY, CHAIN] {
            let stop = StopSignal::new();
            stop.drain();
            if stage == CLASSIFY {
                run(ClassifyStage::new(classifier()), &self.log, &stop).expect("runs");
            } else {
                run(ChainStage::new(classifier()), &self.log, &stop).expect("runs");
            }
        }
        assert_eq!(lag(&self.log, CLASSIFY, topic::HITS_RAW).expect("reads"), 0);
        assert_eq!(
            lag(&self.log, CHAIN, topic::HITS_CLASSIFIED).expect("reads"),
            0
        );
    }

    fn topic(&self, topic: &str) -> Vec<Vec<u8>> {
        let batch = self.log.read(topic, 0, usize::MAX).expect("reads");
        batch.iter().map(|(_, record)| record.to_vec()).collect()
    }
}

macro_rules! read {
    ($world:expr, $topic:expr, $kind:ident, $records:ident, $decoded:ident) => {
        let $records = $world.topic($topic);
        let $decoded: Vec<_> = $records
            .iter()
            .map(|record| match Record::decode(record).expect("decodes") {
                Record::$kind(decoded) => decoded,
                other => panic!("{other:?} on {}", $topic),
            })
            .collect();
    };
}

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
    let parents: Vec<_> = edges
        .iter()
        .map(|e| (e.child_visit, e.parent_visit, e.lag_ms))
        .collect();
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
fn a_crash_in_the_determinism_test_really_loses_something() {
    // What is not durable is gone from a copy of the file: without that, crashing would prove
    // nothing.
    let mut world = World::new();
    world.hit(1, T0, |_| {});
    let mut driver = Driver::open(ClassifyStage::new(classifier()), &world.log).expect("opens");
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
    let copy = world._directory.path().join("copy.redb");
    std::fs::copy(world._directory.path().join("log.redb"), &copy).expect("copies");
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
        run(ClassifyStage::new(classifier()), &world.log, &stop).expect("runs");
        let chain = ChainStage::new(classifier()).with_weights(own.clone());
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
        run(ClassifyStage::new(classifier()), &world.log, &stop).expect("runs");
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
    run(ChainStage::new(classifier()), &chained.log, &stop).expect("runs");
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
    let certain: Vec<_> = edges
        .iter()
        .filter(|edge| edge.child_visit == child && edge.method == EdgeMethod::Token)
        .map(|edge| edge.parent_visit)
        .collect();
    assert_eq!(certain, [Some(sharer)]);
}
