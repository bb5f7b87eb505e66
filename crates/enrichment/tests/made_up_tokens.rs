//! Thousands of visits by tokens that nobody was given: what a site learns from them, what its other visits are stated
//! by, and that other sites do not move.

mod support;

use grapevine_enrichment::{StopSignal, run};
use grapevine_event::*;
use grapevine_inference::chains::HOLD_MS;
use grapevine_inference::{COLLECTOR, evidence};
use grapevine_log::{Commit, Durability, Log};
use support::{IPHONE, chain, classify};

const T0: i64 = 1_760_000_000_000;
/// Between two landings of a site: longer than one waits for the owner of its token.
const APART: i64 = HOLD_MS + 1_000;
/// Honest landings of each site.
const LANDINGS: u64 = 1_500;
/// One in so many of them comes by the token of an earlier one.
const BY_TOKEN: u64 = 5;
const SITES: [&str; 2] = ["attacked.example", "other.example"];

fn landing(
    site: &str,
    what: &'static str,
    number: u64,
    time: i64,
    url: &str,
    given: &str,
) -> Vec<u8> {
    let id = Id::builder(what).bytes(site.as_bytes()).number(number);
    let reader = i64::from_le_bytes(id.finish().0[..8].try_into().expect("eight bytes"));
    let hit = Hit {
        protocol: Protocol::Native,
        visitor: Some(reader),
        visitor_basis: VisitorBasis::Client,
        network: Some(reader),
        user_agent: IPHONE,
        share_token: Some(given),
        ..Hit::page_view(
            Id::builder(what)
                .bytes(site.as_bytes())
                .number(number)
                .finish(),
            site,
            time,
            url,
        )
    };
    let mut record = Vec::new();
    hit.encode(&mut record).expect("encodes");
    record
}

/// Honest landings of two sites, and so many by tokens that nobody was given on the first, spread over the same time.
fn hits(made_up: u64) -> Vec<Vec<u8>> {
    let mut hits = Vec::new();
    for number in 0..LANDINGS {
        let time = T0 + number as i64 * APART;
        for site in SITES {
            let content = format!("https://{site}/politics/a-long-story-{}", number % 9);
            let url = match number.is_multiple_of(BY_TOKEN) && number >= 9 {
                true => format!("{content}?gv=given{}", number - 9),
                false => content,
            };
            let given = format!("given{number}");
            hits.push((time, landing(site, "honest", number, time, &url, &given)));
        }
    }
    for number in 0..made_up {
        let time = T0 + (number * LANDINGS * APART as u64 / made_up) as i64 + 1;
        let site = SITES[0];
        let url = format!("https://{site}/politics/a-story-of-its-own-{number}?gv=madeup{number}");
        let given = format!("afterwards{number}");
        hits.push((time, landing(site, "made up", number, time, &url, &given)));
    }
    hits.sort_by_key(|(time, _)| *time);
    hits.into_iter().map(|(_, hit)| hit).collect()
}

/// What both stages made of them.
fn world(hits: &[Vec<u8>]) -> (tempfile::TempDir, Log) {
    let directory = tempfile::tempdir().expect("a directory");
    let log = Log::open(&directory.path().join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    let heartbeat = |event_time: i64| {
        let mut record = Vec::new();
        let source = COLLECTOR;
        let heartbeat = Heartbeat { event_time, source };
        heartbeat.encode(&mut record).expect("encodes");
        record
    };
    commit.append(topic::HITS_RAW, &heartbeat(T0));
    for hit in hits {
        commit.append(topic::HITS_RAW, hit);
    }
    let end = T0 + LANDINGS as i64 * APART + 600_000;
    commit.append(topic::HITS_RAW, &heartbeat(end));
    log.commit(&commit, Durability::Durable).expect("commits");
    let stop = StopSignal::new();
    stop.drain();
    run(classify(), &log, &stop).expect("runs");
    run(chain(), &log, &stop).expect("runs");
    (directory, log)
}

/// What a site last learned: landings and tokens that count, survival, intercept.
fn learned(log: &Log, site: &str) -> (i64, i64, f64, f64) {
    let batch = log.read(topic::CALIBRATIONS, 0, usize::MAX).expect("reads");
    let mut last = None;
    for (_, bytes) in batch.iter() {
        let Record::Calibration(record) = Record::decode(bytes).expect("decodes") else {
            panic!("no calibration");
        };
        if record.site == site {
            let survival = record.token_survival.unwrap_or_default();
            let intercept = record.intercept.unwrap_or_default();
            last = Some((record.landings, record.tokens, survival, intercept));
        }
    }
    last.expect("a record")
}

/// All that is said of a site's honest visits.
fn stated(log: &Log, site: &str) -> Vec<Vec<u8>> {
    let batch = log.read(topic::VISITS, 0, usize::MAX).expect("reads");
    let mut all = Vec::new();
    for (_, bytes) in batch.iter() {
        let Record::Visit(visit) = Record::decode(bytes).expect("decodes") else {
            panic!("no visit");
        };
        let token = visit.incoming_token.as_deref();
        if visit.site == site && !token.is_some_and(|token| token.starts_with("madeup")) {
            all.push(bytes.to_vec());
        }
    }
    all
}

/// They go to contents that nobody else reads, where they are no company of others.
#[test]
fn thousands_of_made_up_tokens_teach_nothing_to_their_site_nor_to_another() {
    let (_before, before) = world(&hits(0));
    let (_after, after) = world(&hits(5_000));
    for site in SITES {
        let (landings, tokens, survival, _) = learned(&before, site);
        assert_eq!(
            (landings as u64, tokens as u64),
            (LANDINGS, LANDINGS / BY_TOKEN - 2)
        );
        assert!(survival > 0.1, "something is learned: {survival}");
        assert_eq!(learned(&before, site), learned(&after, site), "{site}");
        let honest = stated(&before, site);
        assert_eq!(honest.len() as u64, LANDINGS);
        assert!(honest == stated(&after, site), "{site}: not a bit");
    }
}

#[test]
fn each_made_up_token_says_that_nobody_was_given_it() {
    let (_directory, log) = world(&hits(300));
    let batch = log.read(topic::VISITS, 0, usize::MAX).expect("reads");
    let mut of_nobody = 0;
    for (_, bytes) in batch.iter() {
        let Record::Visit(visit) = Record::decode(bytes).expect("decodes") else {
            panic!("no visit");
        };
        let token = visit
            .evidence
            .iter()
            .find(|fact| fact.name == evidence::TOKEN);
        let said = token.is_some_and(|token| token.detail.contains("nobody here was seen"));
        let made_up = visit.incoming_token.as_deref();
        let made_up = made_up.is_some_and(|token| token.starts_with("madeup"));
        assert_eq!(said, made_up, "{visit:?}");
        of_nobody += u32::from(said);
    }
    assert_eq!(of_nobody, 300);
    let counts = grapevine_enrichment::counts(&log, "chain").expect("reads");
    assert_eq!(counts["tokens_unknown"], 300);
}
