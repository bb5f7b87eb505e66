//! A site's own tokens through both stages: what is learned, when it is written, and that a label is
//! never a feature of itself.

mod support;

use grapevine_enrichment::{StopSignal, run};
use grapevine_event::*;
use grapevine_inference::chains::HOLD_MS;
use grapevine_log::{Commit, Durability, Log};
use support::{IPHONE, chain, classifier, classify};

const T0: i64 = 1_760_000_000_000;
/// Between two landings: longer than one waits for the owner of its token.
const APART: i64 = HOLD_MS + 1_000;

/// Marks of WhatsApp's own browser, and of LINE's.
const WHATSAPP: &str = "[WAiOS/2.26.31]";
const LINE: &str = "Safari Line/15.9.1";

/// Landings of readers of their own: every `with_token`th carries a token, every tenth comes in
/// WhatsApp's browser, where half of the links have one.
fn landings(count: u64, with_token: u64) -> Vec<Vec<u8>> {
    landings_in(WHATSAPP, count, with_token)
}

/// The same in the browser of another app.
fn landings_in(app: &str, count: u64, with_token: u64) -> Vec<Vec<u8>> {
    let in_app = format!("{IPHONE} {app}");
    let landing = |at: u64| {
        let known = at.is_multiple_of(10);
        let marked = match known {
            true => at.is_multiple_of(20),
            false => at.is_multiple_of(with_token),
        };
        let token = if marked {
            format!("?gv=tok{at}")
        } else {
            String::new()
        };
        let url = format!(
            "https://example.org/politics/a-long-story-{}{token}",
            at % 9
        );
        landing_at(at, if known { &in_app } else { IPHONE }, &url)
    };
    (0..count).map(landing).collect()
}

/// A landing of a reader of its own.
fn landing_at(at: u64, user_agent: &str, url: &str) -> Vec<u8> {
    let hit = Hit {
        protocol: Protocol::Native,
        visitor: Some(at as i64),
        visitor_basis: VisitorBasis::Client,
        network: Some(at as i64),
        user_agent,
        ..Hit::page_view(
            Id::builder("calibration").number(at).finish(),
            "example.org",
            T0 + at as i64 * APART,
            url,
        )
    };
    let mut record = Vec::new();
    hit.encode(&mut record).expect("encodes");
    record
}

/// Runs both stages; the log afterwards.
fn world(records: &[Vec<u8>]) -> (tempfile::TempDir, Log) {
    let directory = tempfile::tempdir().expect("a directory");
    let log = Log::open(&directory.path().join("log.redb")).expect("opens");
    let mut commit = Commit::default();
    for record in records {
        commit.append(topic::HITS_RAW, record);
    }
    let heartbeat = Heartbeat {
        event_time: T0 + records.len() as i64 * APART,
        source: "import/access.log",
    };
    let mut end = Vec::new();
    heartbeat.encode(&mut end).expect("encodes");
    commit.append(topic::HITS_RAW, &end);
    log.commit(&commit, Durability::Durable).expect("commits");
    let stop = StopSignal::new();
    stop.drain();
    run(classify(), &log, &stop).expect("runs");
    run(chain(), &log, &stop).expect("runs");
    (directory, log)
}

/// Model version, P(private link) and the evidence with what it adds to a private link and to dark
/// search, of a visit.
type Judged = (String, f32, Vec<(String, [f32; 2])>);

fn visits(log: &Log) -> Vec<Judged> {
    let batch = log.read(topic::VISITS, 0, usize::MAX).expect("reads");
    let visit = |(_, bytes): (u64, &[u8])| {
        let Record::Visit(visit) = Record::decode(bytes).expect("decodes") else {
            panic!("no visit");
        };
        let facts = visit.evidence.iter();
        let facts = facts.map(|fact| {
            let search = fact.search_log_odds.expect("said of each fact");
            (fact.name.to_owned(), [fact.log_odds, search])
        });
        (
            visit.model_version.into_owned(),
            visit.dark_probability,
            facts.collect(),
        )
    };
    batch.iter().map(visit).collect()
}

fn fact(facts: &[(String, [f32; 2])], name: &str) -> Option<f32> {
    of_both(facts, name).map(|[private, _]| private)
}

fn of_both(facts: &[(String, [f32; 2])], name: &str) -> Option<[f32; 2]> {
    let found = facts.iter().find(|(known, _)| known == name);
    found.map(|(_, log_odds)| *log_odds)
}

#[test]
fn a_site_is_judged_by_its_own_tokens_once_there_are_enough() {
    let (_directory, log) = world(&landings(2_000, 4));
    let visits = visits(&log);
    let (version, _, first_facts) = &visits[1];
    assert!(!version.contains("+site.") && fact(first_facts, "no_token").is_none());
    let (version, late, facts) = &visits[1_999];
    assert!(
        version.starts_with(classifier().version()) && version.contains("+site."),
        "{version}"
    );
    let missing = fact(facts, "no_token").expect("said");
    // Of links of known way half keep their token, of the others, most of them private, a quarter.
    let between = 0.5f32.ln()..0.75f32.ln() + 0.05;
    assert!(between.contains(&missing), "{missing}");
    assert!(fact(facts, "site").is_some());
    let sum: f32 = facts.iter().map(|(_, [private, _])| private).sum();
    let p = 1.0 / (1.0 + (-sum).exp());
    assert!((p - late).abs() < 1e-3, "evidence adds up: {p} {late}");
    // A link without a token is less likely private than where the site has none.
    let (_directory, log) = world(&landings(2_000, u64::MAX));
    let (_, unmarked, without) = &self::visits(&log)[1_999];
    assert!(fact(without, "no_token").is_none());
    assert!(late < unmarked, "{late} {unmarked}");
    let others = fact(facts, "many_private_readers");
    assert!(
        others > Some(1.0),
        "WhatsApp has brought others: {others:?}"
    );
}

/// A home page everybody opens: others say nothing of whoever comes there next, by a token or without.
#[test]
fn of_a_front_page_others_of_late_say_nothing() {
    let in_app = format!("{IPHONE} {WHATSAPP}");
    let landing = |at: u64, agent: &str, path: &str| {
        landing_at(at, agent, &format!("https://example.org/{path}"))
    };
    let mut records = Vec::new();
    let mut told = Vec::new();
    for (path, says) in [
        ("", false),
        ("politics", false),
        ("politics/a-long-story-to-read", true),
    ] {
        for _ in 0..6 {
            records.push(landing(records.len() as u64, &in_app, path));
        }
        for token in ["", "?gv=token-of-nobody"] {
            told.push((records.len(), says));
            let path = format!("{path}{token}");
            records.push(landing(records.len() as u64, IPHONE, &path));
        }
    }
    let (_directory, log) = world(&records);
    let visits = visits(&log);
    for (at, says) in told {
        let facts = &visits[at].2;
        match fact(facts, "without_token") {
            None => assert_eq!(
                fact(facts, "many_private_readers").is_some(),
                says,
                "{facts:?}"
            ),
            // A token decided, and they are in the rest of what is known: what remains of a front is less than
            // they would leave of it.
            Some(rest) => {
                assert_eq!(rest > 0.0, says, "{facts:?}");
                // It is told beside what it is a part of.
                assert_eq!(fact(facts, "many_private_readers").is_some(), says);
                assert!(says || rest < -4.0, "{facts:?}");
            }
        }
    }
}

/// An address and browser that come again are most probably the same reader; of a reader with an id the stage before
/// has said so.
#[test]
fn who_read_it_before_is_told_so_where_the_site_keeps_no_id() {
    let url = "https://example.org/politics/a-long-story-to-read";
    let visit = |number: u64, hours: i64, visitor: i64, basis: VisitorBasis| {
        let hit = Hit {
            visitor: Some(visitor),
            visitor_basis: basis,
            user_agent: IPHONE,
            ..Hit::page_view(
                Id::builder("again").number(number).finish(),
                "example.org",
                T0 + hours * 3_600_000,
                url,
            )
        };
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        record
    };
    let (address, id) = (VisitorBasis::Address, VisitorBasis::Client);
    let (_directory, log) = world(&[
        visit(0, 0, 1, address),
        visit(1, 1, 2, id),
        visit(2, 2, 1, address),
        visit(3, 3, 2, id),
    ]);
    let told: Vec<bool> = visits(&log)
        .iter()
        .map(|visit| fact(&visit.2, "read_before").is_some())
        .collect();
    assert_eq!(told, [false, false, true, false]);
    // Others of late say nothing of either who comes again.
    let of_others = |visit: &Judged| {
        let mut facts = visit.2.iter();
        facts.any(|(name, _)| name.ends_with("_traceless_readers"))
    };
    let told: Vec<bool> = visits(&log).iter().map(of_others).collect();
    assert_eq!(told, [false, true, false, false]);
}

#[test]
fn records_are_written_as_time_goes_on_and_at_the_end() {
    let (_directory, log) = world(&landings(600, 4));
    let batch = log.read(topic::CALIBRATIONS, 0, usize::MAX).expect("reads");
    let records: Vec<Calibration<'_>> = batch
        .iter()
        .map(|(_, bytes)| match Record::decode(bytes).expect("decodes") {
            Record::Calibration(calibration) => calibration,
            other => panic!("{other:?}"),
        })
        .collect();
    // An hour of landings: one record a minute or so, and one at the end.
    assert!((53..=61).contains(&records.len()), "{}", records.len());
    assert!(records.is_sorted_by_key(|record| record.landings));
    let last = records.last().expect("a record");
    assert_eq!(last.landings, 540, "all but those in the app's own browser");
    assert_eq!(last.known, 60);
    assert_eq!(last.known_with_token, 30);
    assert_eq!(last.time, T0 + 599 * APART);
    assert!(last.ece.is_some() && last.brier.is_some());
    assert_eq!(last.bin_landings.iter().sum::<i64>(), last.landings);
    assert!(last.model_version.contains("+site."));
}

#[test]
fn an_app_with_posts_is_no_witness_of_tokens() {
    // LINE shows news and messages: with a token it is most probably a message, without one it may be either.
    let (_directory, log) = world(&landings_in(LINE, 600, 4));
    let batch = log.read(topic::VISITS, 0, usize::MAX).expect("reads");
    let named = batch.iter().filter(|(_, bytes)| {
        let Ok(Record::Visit(visit)) = Record::decode(bytes) else {
            panic!("no visit");
        };
        visit.app == "line" && visit.method == Method::Token && visit.dark_probability > 0.9
    });
    assert_eq!(named.count(), 30, "as private as links of a messenger");
    let batch = log.read(topic::CALIBRATIONS, 0, usize::MAX).expect("reads");
    let (_, last) = batch.iter().last().expect("a record");
    let Ok(Record::Calibration(last)) = Record::decode(last) else {
        panic!("no calibration");
    };
    assert_eq!((last.known, last.known_with_token), (0, 0));
}

#[test]
fn the_label_is_no_feature_of_itself() {
    let with = landings(1_000, 4);
    // The same landings, but the token of one of them is missing.
    let mut without = with.clone();
    without[904].clone_from(&landings(1_000, 1_000_000)[904]);
    let (_one, with) = world(&with);
    let (_other, without) = world(&without);
    let (with, without) = (visits(&with), visits(&without));
    let rest = of_both(&with[904].2, "without_token");
    let [rest, rest_search] = rest.expect("a token decided");
    let facts = &without[904].2;
    let sum: f32 = facts.iter().map(|(_, [private, _])| private).sum();
    let blind = sum - fact(facts, "no_token").expect("none");
    assert!((rest - blind).abs() < 1e-4, "{rest} {blind}");
    let search: f32 = facts.iter().map(|(_, [_, search])| search).sum();
    assert!(
        (rest_search - search).abs() < 1e-4,
        "{rest_search} {search}"
    );
    assert_eq!(with[..904], without[..904]);
}

/// Tokens that come back to a home page say nothing of how often they come back to stories, recognised or not.
#[test]
fn own_tokens_on_a_front_page_teach_nothing() {
    // Forty readers come to the home page by a token; who comes by it two hours later is the same, or another.
    let dark = |again: bool| {
        let readers = 5_000u64;
        let visit = |second: bool, number: u64| {
            let visitor = match second && !again {
                true => readers + 1_000 + number,
                false => readers + number,
            };
            let hours = if second { 1 } else { 3 };
            let url = format!("https://example.org/?gv=home{number}");
            let hit = Hit {
                visitor: Some(visitor as i64),
                visitor_basis: VisitorBasis::Client,
                user_agent: IPHONE,
                ..Hit::page_view(
                    Id::builder("again")
                        .number(number)
                        .number(u64::from(second))
                        .finish(),
                    "example.org",
                    T0 - hours * 3_600_000 + number as i64 * APART,
                    &url,
                )
            };
            let mut record = Vec::new();
            hit.encode(&mut record).expect("encodes");
            record
        };
        let home = [false, true]
            .into_iter()
            .flat_map(|second| (0..40).map(move |number| (second, number)));
        let mut records: Vec<Vec<u8>> =
            home.map(|(second, number)| visit(second, number)).collect();
        records.extend(landings(600, 4));
        let (_directory, log) = world(&records);
        let visits = visits(&log);
        let recognised = visits
            .iter()
            .filter(|visit| fact(&visit.2, "token_again").is_some());
        assert_eq!(recognised.count(), if again { 40 } else { 0 });
        let by_token = visits
            .iter()
            .rev()
            .find(|visit| fact(&visit.2, "without_token").is_some());
        by_token.expect("a token decided").1
    };
    // They are landings like others in that a site learns anew now and then, which moves a figure a little.
    let [recognised, not] = [true, false].map(dark);
    assert!((recognised - not).abs() < 0.01, "{recognised} {not}");
}
