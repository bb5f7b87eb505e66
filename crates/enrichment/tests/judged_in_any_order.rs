//! What is said of a landing, and the order of moments: hits that change places within five seconds, each visitor's own
//! aside, go through both stages, and the rows of visits are held against each other.
//!
//! They are the same to the byte where no act of sharing came within moments before the landing, and the site has
//! taught nothing yet. These two count as they were known when the landing was judged; what is not judged is the same
//! whatever came.

mod support;

use std::collections::BTreeMap;

use grapevine_enrichment::{ChainStage, ClassifyStage, Outputs, Stage};
use grapevine_event::{
    Channel, Heartbeat, Hit, HitKind, Id, Protocol, Record, Visit, VisitorBasis,
};
use grapevine_inference::COLLECTOR;
use grapevine_inference::chains::HOLD_MS;
use proptest::prelude::*;

const T0: i64 = 1_760_000_000_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// No hit comes as late as this after its time.
const LATE_MAX: i64 = HOLD_MS;
/// A fetch made while a message is written is told as an act so much later, and then comes late besides: who lands
/// within this time of an act may be judged without it.
const MOMENTS: i64 = 3 * SECOND + LATE_MAX;
/// A service that fetches again within two minutes shares once, and which of the fetches is told depends on the order.
const SERVICE_AGAIN: i64 = 120 * SECOND + LATE_MAX;
/// No site is quiet for longer than this.
const QUIET_MAX: i64 = 6 * HOUR;
/// Fewer landings teach nothing, nor do fewer arrivals by apps that name themselves.
const TEACHES_FROM: usize = 20;
/// The last is not read before two weeks have gone, so that it is fresh then.
const CONTENTS: [&str; 4] = [
    "https://example.org/politics/the-long-story-of-a-small-town",
    "https://example.org/politics/the-long-story-of-a-large-town",
    "https://example.org/",
    "https://example.org/politics/what-happened-to-the-town-at-last",
];
const IN_WHATSAPP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]";
const DEVICE: &str = "WhatsApp/2.24.20.83 A";
const SERVICE: &str = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";
/// Networks of readers, whom a device that fetches a preview may be near.
const NETWORKS: i64 = 5;

/// What happens next, so many milliseconds later.
#[derive(Clone, Debug)]
struct Step {
    after: i64,
    content: usize,
    /// One of a few who come again and again, or somebody new.
    visitor: Option<i64>,
    /// What a link carries, of the tokens given on that content, counted back.
    token: Option<usize>,
    gives: bool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Grey,
    Searched,
    /// In the browser of an app that names itself.
    Named,
    /// One who landed before presses a share button, and is given a token.
    Press,
    /// The sharer's own device fetches a preview while a message is written.
    Device,
    /// A service fetches one for a message that was sent.
    Service,
    /// The collector says what time it is.
    Heartbeat,
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![
        10 => 0..4 * SECOND,
        4 => 4 * SECOND..90 * SECOND,
        1 => HOUR..8 * HOUR,
        1 => DAY..8 * DAY,
    ];
    let kind = prop_oneof![
        8 => Just(Kind::Grey),
        2 => Just(Kind::Searched),
        2 => Just(Kind::Named),
        2 => Just(Kind::Press),
        2 => Just(Kind::Device),
        1 => Just(Kind::Service),
        2 => Just(Kind::Heartbeat),
    ];
    (
        after,
        prop_oneof![3 => Just(0usize), 1 => 1usize..3, 1 => Just(3usize)],
        prop::option::weighted(0.2, 0i64..6),
        prop::option::weighted(0.4, 0usize..5),
        prop::bool::weighted(0.7),
        kind,
    )
        .prop_map(|(after, content, visitor, token, gives, kind)| Step {
            after,
            content,
            visitor,
            token,
            gives,
            kind,
        })
}

/// What is left out of a history.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LeftOut {
    /// Nothing.
    Nothing,
    /// Landings within moments of an act on their content, and what teaches.
    WhatCountsAsItCame,
}

/// A hit or heartbeat, its event time, and whose it is; nobody's comes in time.
struct Told {
    time: i64,
    whose: Option<i64>,
    record: Vec<u8>,
}

/// The history as it happened.
fn history(steps: &[Step], live: bool, left_out: LeftOut) -> Vec<Told> {
    let mut told = Vec::new();
    let beat = |time: i64| Told {
        time,
        whose: None,
        record: heartbeat(time, COLLECTOR),
    };
    if live {
        told.push(beat(T0));
    }
    let strict = left_out == LeftOut::WhatCountsAsItCame;
    let quiet: i64 = steps.iter().map(|step| step.after / QUIET_MAX).sum();
    let landings = steps.len() + quiet as usize;
    let mut time = T0;
    let mut given: [Vec<String>; 4] = Default::default();
    let mut landed: Vec<i64> = Vec::new();
    let mut named = 0;
    let mut acted = [0i64; 4];
    let mut served = [0i64; 4];
    for (number, step) in steps.iter().enumerate() {
        // One hit moves event time by a day at most: somebody opens the front page every few hours.
        for quarter in 1..=step.after / QUIET_MAX {
            told.push(opened(number, time + quarter * QUIET_MAX, live));
        }
        time += step.after;
        let at = match step.content {
            3 if time < T0 + 14 * DAY => 0,
            content => content,
        };
        let known = given[at].iter().rev();
        let mut token = step.token.and_then(|back| known.clone().nth(back));
        let (kind, own) = (step.kind, number as i64 + 100);
        let (visitor, user_agent) = match kind {
            Kind::Heartbeat => {
                if live {
                    told.push(beat(time));
                }
                continue;
            }
            Kind::Press => match landed.iter().rev().nth(step.token.unwrap_or(0)) {
                Some(visitor) => (*visitor, support::IPHONE),
                None => continue,
            },
            Kind::Device => (own, DEVICE),
            Kind::Service => (10_000, SERVICE),
            Kind::Named => (step.visitor.unwrap_or(own), IN_WHATSAPP),
            Kind::Grey | Kind::Searched => (step.visitor.unwrap_or(own), support::IPHONE),
        };
        let lands = matches!(kind, Kind::Grey | Kind::Searched | Kind::Named);
        if strict {
            let too_near = lands && time - acted[at] <= MOMENTS;
            let again = kind == Kind::Service && time - served[at] <= SERVICE_AGAIN;
            if too_near || again || kind == Kind::Named && named + 1 == TEACHES_FROM {
                continue;
            }
            // A token alone is what is learned from; of who names an app, or comes by search, that decides.
            if kind == Kind::Grey && landings >= TEACHES_FROM {
                token = None;
            }
        }
        named += usize::from(kind == Kind::Named);
        match kind {
            Kind::Press | Kind::Device => acted[at] = time,
            Kind::Service => (acted[at], served[at]) = (time, time),
            _ => {}
        }
        let url = match token.filter(|_| kind != Kind::Press) {
            Some(token) => format!("{}?gv={token}", CONTENTS[at]),
            None => CONTENTS[at].to_owned(),
        };
        let gift = format!("given{number:015}");
        let gives = kind == Kind::Press || lands && step.gives;
        let hit = Hit {
            kind: match kind {
                Kind::Press => HitKind::Share,
                _ => HitKind::PageView,
            },
            protocol: match live {
                true => Protocol::Native,
                false => Protocol::Log,
            },
            visitor: Some(visitor),
            visitor_basis: VisitorBasis::Client,
            network: Some(visitor % NETWORKS),
            user_agent,
            referrer: (kind == Kind::Searched).then_some("https://www.google.com/"),
            share_token: gives.then_some(gift.as_str()),
            ..Hit::page_view(id(number), "example.org", time, &url)
        };
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        told.push(Told {
            time,
            whose: Some(visitor),
            record,
        });
        if lands {
            landed.push(visitor);
        }
        if gives {
            given[at].push(gift);
        }
    }
    told
}

/// Somebody opens the front page in a quiet time before a step.
fn opened(before: usize, time: i64, live: bool) -> Told {
    let visitor = 100_000 + time / SECOND;
    let hit = Hit {
        protocol: match live {
            true => Protocol::Native,
            false => Protocol::Log,
        },
        visitor: Some(visitor),
        visitor_basis: VisitorBasis::Client,
        user_agent: support::IPHONE,
        ..Hit::page_view(
            Id::builder("opened")
                .number(before as u64)
                .number(time as u64)
                .finish(),
            "example.org",
            time,
            CONTENTS[2],
        )
    };
    let mut record = Vec::new();
    hit.encode(&mut record).expect("encodes");
    Told {
        time,
        whose: Some(visitor),
        record,
    }
}

fn id(number: usize) -> Id {
    Id::builder("judged").number(number as u64).finish()
}

fn heartbeat(event_time: i64, source: &str) -> Vec<u8> {
    let mut record = Vec::new();
    let heartbeat = Heartbeat { event_time, source };
    heartbeat.encode(&mut record).expect("encodes");
    record
}

/// The records of a history in the order in which they come, each visitor's own in order.
fn in_order(told: &[Told], late: impl Fn(i64) -> i64) -> Vec<&[u8]> {
    let mut order: Vec<&Told> = told.iter().collect();
    order.sort_by_key(|told| told.time + told.whose.map_or(0, &late));
    order.iter().map(|told| told.record.as_slice()).collect()
}

/// Rows of visits that both stages make of records, one stage behind the other, until nothing waits.
fn visits(records: &[&[u8]]) -> BTreeMap<Id, Vec<u8>> {
    let mut classify = support::classify();
    let mut chain = support::chain();
    let mut classified = Outputs::new(ClassifyStage::NAME, ClassifyStage::INPUT);
    let mut out = Outputs::new(ChainStage::NAME, ChainStage::INPUT);
    let end = T0 + 10_000 * DAY;
    let ends = ["import", COLLECTOR].map(|source| heartbeat(end, source));
    let records = records
        .iter()
        .copied()
        .chain(ends.iter().map(Vec::as_slice));
    for (offset, record) in (0..).zip(records) {
        classify.process(offset, record, &mut classified);
    }
    for (offset, (_, record)) in (0..).zip(classified.records()) {
        chain.process(offset, record, &mut out);
    }
    let mut visits = BTreeMap::new();
    for (_, record) in out.records() {
        if let Ok(Record::Visit(visit)) = Record::decode(record) {
            visits.insert(visit.visit_id, record.to_vec());
        }
    }
    visits
}

fn decoded(record: &[u8]) -> Visit<'_> {
    let Ok(Record::Visit(visit)) = Record::decode(record) else {
        panic!("a visit");
    };
    visit
}

/// The first visit of which not the same is said, in words.
fn difference(one: &BTreeMap<Id, Vec<u8>>, other: &BTreeMap<Id, Vec<u8>>) -> Option<String> {
    if one.keys().ne(other.keys()) {
        return Some("other visits".to_owned());
    }
    let differs = one.iter().filter(|(id, record)| other[id] != **record);
    let (id, record) = differs.min_by_key(|(_, record)| decoded(record).time)?;
    let [said, others] = [record, &other[id]].map(|record| {
        let said = format!("{:#?}", decoded(record));
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let lines = said.iter().zip(&others).find(|(one, other)| one != other);
    Some(format!("visit {id:?}: {lines:?}"))
}

/// A visit without what is judged of it.
fn unjudged(record: &[u8]) -> Visit<'_> {
    let visit = decoded(record);
    let by_token = visit.incoming_token.is_some();
    Visit {
        channel: Channel::Direct,
        app: "".into(),
        dark_probability: 0.0,
        dark_probability_low: 0.0,
        dark_probability_high: 0.0,
        dark_search_probability: 0.0,
        evidence: Vec::new(),
        model_version: "".into(),
        // Whether a token was passed on is judged by the rest of its visit.
        cascade_id: visit.cascade_id.filter(|_| !by_token),
        generation: visit.generation.filter(|_| !by_token),
        ..visit
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Tokens given with a landing or by a button, links that carry them, acts of sharing and returns
    /// among them.
    #[test]
    fn the_order_of_moments_does_not_matter_to_what_is_said_of_a_landing(
        steps in prop_oneof![
            prop::collection::vec(step(), 1..TEACHES_FROM),
            prop::collection::vec(step(), TEACHES_FROM..150),
        ],
        live in any::<bool>(),
        late in prop::collection::vec(0..LATE_MAX, 256),
    ) {
        let told = history(&steps, live, LeftOut::WhatCountsAsItCame);
        let calm = visits(&in_order(&told, |_| 0));
        let mixed = visits(&in_order(&told, |visitor| late[visitor as usize % late.len()]));
        prop_assert_eq!(difference(&calm, &mixed), None);
    }

    #[test]
    fn what_is_not_judged_of_a_landing_is_the_same_whatever_came(
        steps in prop::collection::vec(step(), 1..120),
        live in any::<bool>(),
        late in prop::collection::vec(0..LATE_MAX, 256),
    ) {
        let told = history(&steps, live, LeftOut::Nothing);
        let calm = visits(&in_order(&told, |_| 0));
        let mixed = visits(&in_order(&told, |visitor| late[visitor as usize % late.len()]));
        prop_assert!(calm.keys().eq(mixed.keys()));
        for (visit, record) in &calm {
            prop_assert_eq!(unjudged(record), unjudged(&mixed[visit]));
        }
    }
}

/// The limit: an act within moments before a landing counts for it where it was told first, and not where it was not. A
/// fetch made while a message is written is told once nothing longer has followed for three seconds.
#[test]
fn an_act_counts_for_who_lands_moments_later_where_it_was_told_first() {
    let act_before = |agent: &str, after: i64, late: i64| {
        let mut told = Vec::new();
        // The last one lets time pass.
        for (number, (time, agent)) in [
            (T0, agent),
            (T0 + after, support::IPHONE),
            (T0 + HOUR, support::IPHONE),
        ]
        .into_iter()
        .enumerate()
        {
            let hit = Hit {
                protocol: Protocol::Native,
                visitor: Some(number as i64),
                visitor_basis: VisitorBasis::Client,
                user_agent: agent,
                ..Hit::page_view(id(number), "example.org", time, CONTENTS[0])
            };
            let mut record = Vec::new();
            hit.encode(&mut record).expect("encodes");
            told.push(Told {
                time,
                whose: Some(number as i64),
                record,
            });
        }
        let visits = visits(&in_order(&told, |visitor| match visitor {
            0 => late,
            _ => 0,
        }));
        let visit = decoded(&visits[&id(1)]);
        let mut facts = visit.evidence.iter();
        facts.any(|fact| fact.name == "preview_before")
    };
    for (agent, after, in_time, late) in [
        (SERVICE, 2 * SECOND, true, false),
        (SERVICE, LATE_MAX + SECOND, true, true),
        (DEVICE, 2 * SECOND, false, false),
        (DEVICE, 4 * SECOND, true, false),
        (DEVICE, MOMENTS + SECOND, true, true),
    ] {
        let found = [0, LATE_MAX - 1].map(|late| act_before(agent, after, late));
        assert_eq!(found, [in_time, late], "{agent} {after}");
    }
}
