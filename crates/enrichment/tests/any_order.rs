//! Legal orders. Hits of one visitor come in order, those of several lie among each other as they may: the
//! classify stage says the same of each (previews aside, of which the first sight of an act is told).
//!
//! The order of moments does not matter to the chain stage: where records of `hits.classified` change places within the five
//! seconds that things are held for, as the tasks that write them may let them, it finds the same
//! of chains, of what spreads and of surges.
//!
//! One visitor's records stay in order, as they come through one task. What a landing says of itself is given:
//! how far that hangs on the order is told in `judged_in_any_order.rs`.

mod support;

use std::collections::BTreeMap;

use grapevine_enrichment::{ChainStage, ClassifyStage, Outputs, Stage};
use grapevine_event::{
    AddressOf, Channel, Device, Heartbeat, Hit, HitKind, Id, Method, Property, Protocol, Record,
    Share, ShareKind, SurgeState, Visit, VisitEvent, VisitorBasis, topic,
};
use grapevine_inference::chains::HOLD_MS;
use proptest::prelude::*;

const T0: i64 = 1_760_000_000_000;
const HOUR: i64 = 3_600_000;
/// When the rush begins, after two quiet days.
const RUSH: i64 = T0 + 48 * HOUR;
/// No record comes as late as this after its time.
const LATE_MAX: i64 = HOLD_MS;
const CONTENTS: [&str; 3] = [
    "https://example.org/a-rumour",
    "https://example.org/b",
    "https://example.org/c",
];

/// What happens next, so many milliseconds later.
#[derive(Clone, Debug)]
struct Step {
    after: i64,
    content: usize,
    reader: Reader,
    /// What the reader came by, of those who came before on that content, counted back.
    by_token_of: Option<usize>,
    gives_token: bool,
    kind: Kind,
    late: i64,
}

#[derive(Clone, Debug)]
enum Reader {
    New,
    /// One of four who come again and again.
    Known(u8),
    Nameless,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Grey,
    Searched,
    /// In the browser of an app that shows messages.
    Named,
    Robot,
    /// By the token of nobody who was ever seen.
    Forged,
    /// Somebody who never landed copies the address, with a token of its own.
    Copy,
    /// One who landed before is given one more token.
    Gift,
    /// The collector says what time it is.
    Heartbeat,
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![12 => 0i64..3_000, 3 => 3_000i64..90_000, 1 => HOUR..8 * HOUR];
    let reader = prop_oneof![
        6 => Just(Reader::New),
        1 => (0u8..4).prop_map(Reader::Known),
        1 => Just(Reader::Nameless),
    ];
    let kind = prop_oneof![
        8 => Just(Kind::Grey),
        2 => Just(Kind::Searched),
        2 => Just(Kind::Named),
        1 => Just(Kind::Robot),
        1 => Just(Kind::Forged),
        1 => Just(Kind::Copy),
        2 => Just(Kind::Gift),
        2 => Just(Kind::Heartbeat),
    ];
    let token = (
        prop::option::weighted(0.5, 0usize..6),
        prop::bool::weighted(0.8),
    );
    let content = prop_oneof![4 => Just(0usize), 1 => 1usize..3];
    (after, content, reader, token, kind, 0..LATE_MAX).prop_map(
        |(after, content, reader, (by_token_of, gives_token), kind, late)| Step {
            after,
            content,
            reader,
            by_token_of,
            gives_token,
            kind,
            late,
        },
    )
}

fn id(number: usize) -> Id {
    Id::builder("any order").number(number as u64).finish()
}

/// A landing of that number.
fn landing<'a>(number: usize, time: i64, content: &'a str, kind: Kind) -> Visit<'a> {
    let (channel, method, dark) = match kind {
        Kind::Searched => (Channel::Search, Method::Referrer, 0.004),
        Kind::Named => (Channel::DarkSocial, Method::InAppBrowser, 0.97),
        Kind::Robot => (Channel::Bot, Method::Agent, 0.0),
        _ => (
            Channel::DarkSocial,
            Method::Prior,
            0.2 + 0.1 * (number % 7) as f32,
        ),
    };
    Visit {
        visit_id: id(number),
        site: "example.org",
        time,
        visitor: Some(number as i64 + 100),
        visitor_basis: VisitorBasis::Client,
        returning: false,
        network: Some((number as i64).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)),
        content: content.into(),
        title: None,
        referrer_host: None,
        campaign_source: None,
        campaign_medium: None,
        campaign_name: None,
        device: Device::Mobile,
        system: "iOS",
        browser: "Safari",
        language: None,
        conventional_channel: Channel::Direct,
        channel,
        app: ["unknown", "whatsapp", "telegram"][number % 3].into(),
        method,
        dark_probability: dark,
        dark_probability_low: dark * 0.7,
        dark_probability_high: (dark * 1.3).min(1.0),
        dark_search_probability: 0.0,
        evidence: Vec::new(),
        model_version: "1".into(),
        robot: None,
        incoming_token: None,
        share_token: None,
        cascade_id: None,
        generation: None,
    }
}

/// A record with its event time and by how much it comes late.
struct Told {
    time: i64,
    late: i64,
    record: Vec<u8>,
}

fn heartbeat(event_time: i64, source: &str) -> Vec<u8> {
    let mut record = Vec::new();
    let heartbeat = Heartbeat { event_time, source };
    heartbeat.encode(&mut record).expect("encodes");
    record
}

/// Two quiet days, then what the steps say, in the order of event time. Heartbeats only where the site is live.
fn history(steps: &[Step], live: bool) -> Vec<Told> {
    let mut told = Vec::new();
    let mut tell = |time: i64, late: i64, record: Vec<u8>| told.push(Told { time, late, record });
    if live {
        tell(T0, 0, heartbeat(T0, "collector"));
    }
    for hour in 0..48 {
        for at in 0..6 {
            let number = 10_000 + hour * 6 + at;
            let time = T0 + hour as i64 * HOUR + at as i64 * 600_000;
            let kind = if at % 3 == 0 {
                Kind::Grey
            } else {
                Kind::Searched
            };
            let visit = landing(number, time, CONTENTS[number % 3], kind);
            let mut record = Vec::new();
            visit.encode(&mut record).expect("encodes");
            tell(time, 0, record);
        }
    }
    // Tokens of each content with the time from which on they can have been passed on.
    let mut tokens: [Vec<String>; 3] = Default::default();
    // Who landed on each content: number, pseudonym, how late what he does comes.
    let mut landed: [Vec<(usize, Option<i64>, i64)>; 3] = Default::default();
    // When something happened on each content that may be the evidence of what else does.
    let mut newest = [0i64; 3];
    let mut acted = [0i64; 3];
    let mut time = RUSH;
    for (number, step) in steps.iter().enumerate() {
        time += step.after;
        let content = CONTENTS[step.content];
        let known = &mut tokens[step.content];
        let mut record = Vec::new();
        if step.kind == Kind::Heartbeat {
            if live {
                tell(time, step.late, heartbeat(time, "collector"));
            }
            continue;
        }
        if step.kind == Kind::Gift {
            let here = landed[step.content].iter().rev();
            let Some(&(sharer, visitor, late)) = here.clone().nth(step.by_token_of.unwrap_or(0))
            else {
                continue;
            };
            let token = format!("g{number:05}");
            let mut props = vec![Property {
                name: "grapevine.share_token",
                value: token.as_str().into(),
            }];
            props.extend(visitor.map(|visitor| Property {
                name: "grapevine.visitor",
                value: visitor.to_string().into(),
            }));
            let event = VisitEvent {
                event_id: id(number),
                visit_id: Some(id(sharer)),
                site: "example.org",
                time,
                kind: HitKind::PageView,
                content: content.into(),
                name: None,
                value: None,
                props,
            };
            event.encode(&mut record).expect("encodes");
            // Behind his landing, as it comes through the same task.
            tell(time, late, record);
            known.push(token);
            continue;
        }
        if step.kind == Kind::Copy {
            // An act is evidence of who lands after it: none is within moments of one.
            if time - newest[step.content] < LATE_MAX {
                continue;
            }
            acted[step.content] = time;
            let token = format!("c{number:05}");
            let share = Share {
                share_id: id(number),
                site: "example.org",
                time,
                content: content.into(),
                kind: ShareKind::Copy,
                app: "".into(),
                private: None,
                probability: 0.6,
                address_of: AddressOf::Sender,
                network: None,
                visitor: Some(number as i64 + 100),
                sharer_visit: Some(id(number + 20_000)),
                token: Some(token.as_str().into()),
            };
            share.encode(&mut record).expect("encodes");
            tell(time, step.late, record);
            known.push(token);
            continue;
        }
        if time - acted[step.content] < LATE_MAX {
            continue;
        }
        newest[step.content] = time;
        let mut visit = landing(number, time, content, step.kind);
        let mut late = step.late;
        match step.reader {
            Reader::New => {}
            Reader::Known(who) => {
                visit.visitor = Some(i64::from(who));
                late = i64::from(who) * 1_200;
            }
            Reader::Nameless => visit.visitor = None,
        }
        let token = match step.kind {
            Kind::Forged => Some(format!("f{number:05}")),
            _ => step
                .by_token_of
                .and_then(|back| known.iter().rev().nth(back).cloned()),
        };
        if let (Some(token), true) = (&token, step.kind != Kind::Searched) {
            // A fact decides, so that no token teaches what grey landings are.
            (visit.channel, visit.method) = match step.kind {
                Kind::Robot | Kind::Named => (visit.channel, visit.method),
                _ => (Channel::DarkSocial, Method::Referrer),
            };
            visit.incoming_token = Some(token.as_str().into());
        }
        let given = format!("t{number:05}");
        if step.gives_token && step.kind != Kind::Robot {
            visit.share_token = Some(&given);
        }
        visit.encode(&mut record).expect("encodes");
        tell(time, late, record);
        if step.kind != Kind::Robot {
            landed[step.content].push((number, visit.visitor, late));
        }
        if visit.share_token.is_some() {
            known.push(given);
        }
    }
    told
}

/// Records by topic.
type Found = BTreeMap<String, Vec<Vec<u8>>>;

/// What the stage writes in the end: what is one by one is in order of its bytes, of cascades the
/// last record of each, the rest as it came.
fn found(records: &[Vec<u8>]) -> Found {
    let mut stage = support::chain();
    let mut out = Outputs::new(ChainStage::NAME, ChainStage::INPUT);
    for (offset, record) in (0..).zip(records) {
        stage.process(offset, record, &mut out);
    }
    let mut written = Found::new();
    let mut cascades = BTreeMap::new();
    for (topic, record) in out.records() {
        let decoded = Record::decode(record).expect("decodes");
        match decoded {
            Record::Cascade(cascade) => {
                cascades.insert(cascade.cascade_id, record.to_vec());
            }
            // Counts of what was judged, written as it is.
            Record::Calibration(_) => {}
            _ => written
                .entry(topic.to_owned())
                .or_default()
                .push(record.to_vec()),
        }
    }
    written.insert(topic::CASCADES.to_owned(), cascades.into_values().collect());
    for (topic, records) in &mut written {
        let in_order = [
            topic::SPREADS,
            topic::MODELS,
            topic::SURGES,
            topic::CASCADES,
        ];
        if !in_order.contains(&topic.as_str()) {
            records.sort();
        }
    }
    written
}

/// Where two findings differ, in words.
fn difference(one: &Found, other: &Found) -> Option<String> {
    if one.keys().ne(other.keys()) {
        return Some(format!("topics {:?} and {:?}", one.keys(), other.keys()));
    }
    let (topic, records) = one
        .iter()
        .find(|(topic, records)| other[*topic] != **records)?;
    let others = &other[topic];
    let missing = |records: &[Vec<u8>], from: &[Vec<u8>]| {
        let missing = records.iter().find(|record| !from.contains(record));
        missing.map(|record| format!("{:?}", Record::decode(record)))
    };
    let counts = [records.len(), others.len()];
    let missing = [missing(records, others), missing(others, records)];
    Some(format!("{topic}, {counts:?} records, {missing:?}"))
}

/// The history's records, in the order in which they come, and its end.
fn in_order(told: &[Told], live: bool, comes: impl Fn(&Told) -> i64) -> Vec<Vec<u8>> {
    let mut order: Vec<usize> = (0..told.len()).collect();
    order.sort_by_key(|at| comes(&told[*at]));
    let mut records: Vec<Vec<u8>> = order
        .into_iter()
        .map(|at| told[at].record.clone())
        .collect();
    let end = told.last().map_or(T0, |told| told.time) + 48 * HOUR;
    let source = if live { "collector" } else { "import" };
    records.push(heartbeat(end, source));
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_moments_does_not_matter(
        steps in prop::collection::vec(step(), 20..160),
        live in any::<bool>(),
    ) {
        let told = history(&steps, live);
        let calm = found(&in_order(&told, live, |told| told.time));
        let mixed = found(&in_order(&told, live, |told| told.time + told.late));
        prop_assert_eq!(difference(&calm, &mixed), None);
    }
}

/// The property would hold of a stage that finds nothing: of this history it finds everything.
#[test]
fn a_rush_that_comes_mixed_up_is_found_whole() {
    let steps: Vec<Step> = (0..150)
        .map(|number| Step {
            after: 700,
            content: 0,
            reader: Reader::New,
            by_token_of: (number % 2 == 0).then_some(number % 5),
            gives_token: true,
            kind: Kind::Grey,
            late: (number as i64 * 997) % LATE_MAX,
        })
        .collect();
    for live in [false, true] {
        let told = history(&steps, live);
        let calm = found(&in_order(&told, live, |told| told.time));
        let mixed = in_order(&told, live, |told| told.time + told.late);
        assert_ne!(mixed, in_order(&told, live, |told| told.time));
        assert_eq!(difference(&calm, &found(&mixed)), None, "{live}");
        let surges = calm[topic::SURGES].iter();
        let raised = surges.filter(|record| match Record::decode(record) {
            Ok(Record::Surge(surge)) => surge.state == SurgeState::Raised,
            _ => false,
        });
        assert_eq!(raised.count(), 1);
        assert!(calm[topic::CASCADES].len() > 1 && calm[topic::EDGES].len() > 400);
        assert!(calm[topic::SPREADS].len() > 5);
    }
}

/// A hit of one of a few visitors.
#[derive(Clone, Debug)]
struct Said {
    visitor: i64,
    kind: HitKind,
    path: &'static str,
    token: Option<u8>,
    given: bool,
    referrer: &'static str,
    after: i64,
}

fn said() -> impl Strategy<Value = Said> {
    let kinds = prop_oneof![
        6 => Just(HitKind::PageView),
        1 => Just(HitKind::Copy),
        1 => Just(HitKind::Share),
        1 => Just(HitKind::Conversion),
    ];
    let paths = prop::sample::select(vec!["/", "/a", "/story/of-a-town", "/sport"]);
    let referrers = prop::sample::select(vec![
        "",
        "https://www.google.com/",
        "https://example.org/",
        "https://web.whatsapp.com/",
    ]);
    let after = prop_oneof![4 => 0i64..5_000, 2 => 5_000i64..900_000, 1 => 1_900_000i64..9_000_000];
    let token = prop::option::weighted(0.4, 0u8..12);
    (
        0i64..5,
        kinds,
        paths,
        token,
        any::<bool>(),
        referrers,
        after,
    )
        .prop_map(
            |(visitor, kind, path, token, given, referrer, after)| Said {
                visitor,
                kind,
                path,
                token,
                given,
                referrer,
                after,
            },
        )
}

/// What the classify stage writes of hits, in order of its bytes.
fn classified<'h>(hits: impl Iterator<Item = &'h Vec<u8>>) -> Vec<Vec<u8>> {
    let mut stage = support::classify();
    let mut out = Outputs::new(ClassifyStage::NAME, ClassifyStage::INPUT);
    for (offset, hit) in (0..).zip(hits) {
        stage.process(offset, hit, &mut out);
    }
    let mut written: Vec<Vec<u8>> = out.records().map(|(_, record)| record.to_vec()).collect();
    written.sort();
    written
}

proptest! {
    #[test]
    fn visitors_may_lie_among_each_other_as_they_like(
        hits in prop::collection::vec(said(), 1..80),
        behind in prop::array::uniform5(0i64..20_000_000),
    ) {
        let mut time = T0;
        let mut told: Vec<(i64, i64, Vec<u8>)> = Vec::new();
        for (number, said) in (0u64..).zip(&hits) {
            time += said.after;
            let token = said.token.map_or(String::new(), |token| format!("?gv=token{token}"));
            let url = format!("https://example.org{}{token}", said.path);
            let given = format!("token{}", number % 12);
            let hit = Hit {
                kind: said.kind,
                protocol: Protocol::Native,
                visitor: Some(said.visitor),
                visitor_basis: VisitorBasis::Client,
                network: Some(said.visitor * 7),
                user_agent: support::IPHONE,
                referrer: Some(said.referrer),
                share_token: said.given.then_some(given.as_str()),
                ..Hit::page_view(id(number as usize), "example.org", time, &url)
            };
            let mut record = Vec::new();
            hit.encode(&mut record).expect("encodes");
            told.push((time, said.visitor, record));
        }
        let calm = classified(told.iter().map(|(.., hit)| hit));
        told.sort_by_key(|(time, visitor, _)| time + behind[*visitor as usize]);
        let mixed = classified(told.iter().map(|(.., hit)| hit));
        prop_assert_eq!(calm, mixed);
    }
}
