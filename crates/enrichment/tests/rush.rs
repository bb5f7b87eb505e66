//! A rush of readers on one content within a minute, through the chain stage: bounded memory, every
//! visit taken, and one surge.
//!
//! A million: `GRAPEVINE_READERS=1000000 cargo test --release -p grapevine-enrichment --test rush --
//! --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures, for the page")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use grapevine_enrichment::{ChainStage, Outputs, Stage, StopSignal, run};
use grapevine_event::{
    Channel, Device, EdgeMethod, Heartbeat, Id, Method, ParentKind, Record, SurgeState, Visit,
    VisitorBasis, topic,
};
use grapevine_inference::{Classifier, Model};
use grapevine_log::{Commit, Durability, Log};
use grapevine_signals::Signals;

const HOUR_MS: i64 = 3_600_000;
const START: i64 = 1_760_000_000_000;
const RUSH: i64 = START + 48 * HOUR_MS;
const MINUTE_MS: u64 = 60_000;
/// Visits before and after the rush: one every ten minutes.
const QUIET: u64 = 6;

/// Numbers of quiet visits begin here.
const QUIET_FIRST: u64 = 1 << 32;

/// The visit of that number: of the rush every tenth found it by search, of the quiet ones four of five;
/// every twentieth of the rush came by the token of somebody before, and each page gives a token.
fn visit(number: u64, time: i64, content: &str) -> Vec<u8> {
    let searched = match number < QUIET_FIRST {
        true => number.is_multiple_of(10),
        false => !number.is_multiple_of(5),
    };
    let token = format!("t{number:07}");
    let by_token = number % 20 == 3 && (41..QUIET_FIRST).contains(&number);
    let incoming = by_token.then(|| Cow::Owned(format!("t{:07}", number - 37)));
    let (channel, method, dark) = match (&incoming, searched) {
        (Some(_), _) => (Channel::DarkSocial, Method::Token, 0.93),
        (None, true) => (Channel::Search, Method::Referrer, 0.004),
        (None, false) => (Channel::DarkSocial, Method::Prior, 0.6),
    };
    let visit = Visit {
        visit_id: Id::builder("rush").number(number).finish(),
        site: "example.org",
        time,
        visitor: Some(number as i64),
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
        app: "unknown".into(),
        method,
        dark_probability: dark,
        dark_probability_low: dark * 0.7,
        dark_probability_high: (dark * 1.3).min(1.0),
        dark_search_probability: 0.0,
        evidence: Vec::new(),
        model_version: "1".into(),
        robot: None,
        incoming_token: incoming,
        share_token: Some(&token),
        cascade_id: None,
        generation: None,
    };
    let mut record = Vec::new();
    visit.encode(&mut record).expect("encodes");
    record
}

/// Two quiet days of the site, `readers` on one content within a minute, a quiet day, the end. The rate of a
/// million readers in one hour is forgotten after fourteen.
fn records(readers: u64) -> impl Iterator<Item = Vec<u8>> {
    let quiet = |from: i64, hours: u64, first: u64| {
        (0..hours * QUIET).map(move |at| {
            let content = format!("https://example.org/{}", at % 7);
            let time = from + (at * 60 / QUIET * MINUTE_MS) as i64;
            visit(first + at, time, &content)
        })
    };
    let rush = (1..=readers).map(move |number| {
        let time = RUSH + (number * MINUTE_MS / readers) as i64;
        visit(number, time, "https://example.org/a-rumour")
    });
    let end = std::iter::once_with(|| {
        let mut record = Vec::new();
        let heartbeat = Heartbeat {
            event_time: RUSH + 24 * HOUR_MS,
            source: "import",
        };
        heartbeat.encode(&mut record).expect("encodes");
        record
    });
    quiet(START, 48, QUIET_FIRST)
        .chain(rush)
        .chain(quiet(RUSH + HOUR_MS, 23, 2 * QUIET_FIRST))
        .chain(end)
}

fn stage() -> ChainStage {
    let signals = Arc::new(Signals::builtin());
    ChainStage::new(Arc::new(Classifier::new(signals, Model::builtin())))
}

/// Most bytes that the stage holds at a time, its outputs being taken every 500 records, and what
/// its saved state takes.
fn memory(readers: u64) -> [u64; 2] {
    let mut stage = stage();
    let mut out = Outputs::new(ChainStage::NAME, ChainStage::INPUT);
    let mut saved = 0;
    let held = allocation_counter::measure(|| {
        for (offset, record) in records(readers).enumerate() {
            stage.process(offset as u64, &record, &mut out);
            if offset % 500 == 0 {
                out.clear();
            }
        }
        out.clear();
        allocation_counter::opt_out(|| {
            saved = stage.snapshot().expect("saves").len() as u64;
        });
    });
    [held.bytes_max, saved]
}

/// What comes of it, from topic to topics.
fn found(readers: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let log = Arc::new(Log::open(&directory.path().join("log.redb")).expect("opens"));
    let mut commit = Commit::default();
    let mut visits = 0;
    for (number, record) in records(readers).enumerate() {
        commit.append(topic::HITS_CLASSIFIED, &record);
        visits += 1;
        if number % 10_000 == 9_999 {
            log.commit(&commit, Durability::Replayable)
                .expect("commits");
            commit.clear();
        }
    }
    log.commit(&commit, Durability::Replayable)
        .expect("commits");
    visits -= 1; // The heartbeat is none.
    let stop = StopSignal::new();
    stop.drain();
    let begun = Instant::now();
    run(stage(), &log, &stop).expect("runs");
    let took = begun.elapsed();

    let each = |name: &str, see: &mut dyn FnMut(Record<'_>)| {
        let mut offset = 0;
        loop {
            let batch = log.read(name, offset, 1 << 24).expect("reads");
            let Some((last, _)) = batch.iter().last() else {
                return;
            };
            for (_, record) in batch.iter() {
                see(Record::decode(record).expect("decodes"));
            }
            offset = last + 1;
        }
    };
    let (mut written, mut letters) = (0, 0);
    each(topic::VISITS, &mut |_| written += 1);
    each(topic::DEAD_LETTERS, &mut |_| letters += 1);
    assert_eq!((written, letters), (visits, 0));

    let (mut spreads, mut last) = (0, None);
    each(topic::SPREADS, &mut |record| {
        if let Record::Spread(spread) = record
            && spread.content.ends_with("a-rumour")
        {
            spreads += 1;
            let range = [
                spread.reproduction_low,
                spread.reproduction,
                spread.reproduction_high,
            ];
            last = Some((spread.arrivals, spread.settled, spread.tokens, range));
        }
    });
    let (arrivals, settled, tokens, [low, likely, high]) = last.expect("it is followed");
    let all = i64::try_from(readers).expect("few");
    assert_eq!((arrivals, settled), (all, all));
    assert!((tokens - all / 20).abs() <= 3, "{tokens}");
    assert!(0.0 < low && low < likely && likely < high && high.is_finite());
    assert!(spreads < 200, "a record for an eighth more: {spreads}");

    // Causes sum to 1 for whoever has any, and tokens to their number.
    let (mut sums, mut certain) = (BTreeMap::<Id, f64>::new(), 0);
    each(topic::EDGES, &mut |record| {
        if let Record::Edge(edge) = record {
            let sign = f64::from(edge.sign);
            *sums.entry(edge.child_visit).or_default() += f64::from(edge.probability) * sign;
            let by_token = edge.method == EdgeMethod::Token;
            certain += u64::from(by_token && edge.parent_kind != ParentKind::Outside);
        }
    });
    assert!(certain.abs_diff(readers / 20) <= 10, "{certain}");
    assert!(sums.values().all(|sum| (sum - 1.0).abs() < 1e-4));
    assert!(sums.len() as u64 > readers * 8 / 10, "{}", sums.len());

    let mut states = Vec::new();
    each(topic::SURGES, &mut |record| {
        if let Record::Surge(surge) = record
            && surge.content.ends_with("a-rumour")
        {
            states.push(surge.state);
        }
    });
    let [first, middle @ .., last] = &states[..] else {
        panic!("a rush is a surge: {states:?}");
    };
    assert_eq!((*first, *last), (SurgeState::Raised, SurgeState::Over));
    assert!(
        middle.iter().all(|state| *state == SurgeState::Updated) && middle.len() < 20,
        "{states:?}"
    );
    println!(
        "{readers} readers within a minute: {:.1} s ({:.1} µs each), {spreads} records of its spread, {} of its surge",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / visits as f64,
        states.len()
    );
}

/// What the tables of the stage take at most (see [`ChainStage`]), whatever comes.
const BYTES_MAX: u64 = 300 << 20;
/// What a rush of the usual size takes at most.
const FEW: u64 = 20_000;
const FEW_BYTES_MAX: u64 = 32 << 20;

#[test]
fn a_rush_within_a_minute() {
    let readers = std::env::var("GRAPEVINE_READERS").map_or(FEW, |text| {
        text.parse().expect("GRAPEVINE_READERS is a number")
    });
    let [held, saved] = memory(readers);
    println!("{readers} readers: {held} bytes at most, {saved} as a saved state");
    let most = if readers > FEW {
        BYTES_MAX
    } else {
        FEW_BYTES_MAX
    };
    assert!(held < most, "{held} bytes");
    found(readers);
}
