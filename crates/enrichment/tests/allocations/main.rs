//! What a hit allocates in the stages, once everything that is remembered is known.

mod decided;

use std::sync::Arc;

use grapevine_enrichment::{ChainStage, ClassifyStage, Outputs, Stage};
use grapevine_event::{Hit, Id, Protocol, Record, Visit, VisitorBasis, topic};
use grapevine_inference::{Classifier, Model};
use grapevine_signals::Signals;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const READERS: i64 = 500;
/// Allocations of a reader who returns, in the chain stage.
const RETURN_MAX: f64 = 0.01;
/// And of one who is new to the content.
const READER_MAX: f64 = 0.22;

/// Hit number `at` of one of 500 readers, at a time of its own.
fn hit(at: i64, url: &str) -> Vec<u8> {
    changed(at, url, |_| {})
}

fn changed(at: i64, url: &str, change: impl FnOnce(&mut Hit<'_>)) -> Vec<u8> {
    let mut hit = Hit {
        protocol: Protocol::Native,
        visitor: Some(at % READERS),
        visitor_basis: VisitorBasis::Client,
        network: Some(at % READERS),
        user_agent: IPHONE,
        language: Some("de-AT"),
        status: Some(200),
        fetch_site: Some("none"),
        fetch_mode: Some("navigate"),
        fetch_dest: Some("document"),
        ..Hit::page_view(
            Id::builder("allocations").number(at as u64).finish(),
            "example.org",
            1_760_000_000_000 + at * 10_000,
            url,
        )
    };
    change(&mut hit);
    let mut record = Vec::new();
    hit.encode(&mut record).expect("encodes");
    record
}

/// Allocations a record over `records` that come after those `before`, and what came of them.
fn counted<S: Stage>(stage: &mut S, before: &[Vec<u8>], records: &[Vec<u8>]) -> (f64, Outputs) {
    let mut out = Outputs::new(S::NAME, S::INPUT);
    for (offset, record) in before.iter().enumerate() {
        stage.process(offset as u64, record, &mut out);
    }
    out.clear();
    let counted = allocation_counter::measure(|| {
        for (offset, record) in records.iter().enumerate() {
            stage.process(offset as u64, record, &mut out);
        }
    });
    (counted.count_total as f64 / records.len() as f64, out)
}

/// What the classify stage passed on.
fn passed_on(out: &Outputs) -> Vec<Vec<u8>> {
    let records = out.records();
    let classified = records.filter(|(topic, _)| *topic == topic::HITS_CLASSIFIED);
    classified.map(|(_, record)| record.to_vec()).collect()
}

fn visits(records: &[Vec<u8>]) -> impl Iterator<Item = Visit<'_>> {
    records
        .iter()
        .filter_map(|record| match Record::decode(record) {
            Ok(Record::Visit(visit)) => Some(visit),
            _ => None,
        })
}

fn classifier() -> Arc<Classifier> {
    Arc::new(Classifier::new(
        Arc::new(Signals::builtin()),
        Model::builtin(),
    ))
}

fn url(at: i64) -> String {
    format!(
        "https://example.org/politics/2026/11/a-story-of-a-town-{}",
        at % 40
    )
}

#[test]
fn a_landing_allocates_nothing_with_parameters_or_without() {
    let hits =
        |from: i64, to: i64| -> Vec<Vec<u8>> { (from..to).map(|at| hit(at, &url(at))).collect() };
    let mut classify = ClassifyStage::new(classifier());
    let (landings, out) = counted(&mut classify, &hits(0, 4_000), &hits(4_000, 8_000));
    assert!(landings <= 0.01, "{landings} allocations a landing");
    assert_eq!(visits(&passed_on(&out)).count(), 4_000);
    // The same page views again, as quickly as a reload, with ids of their own.
    let reload = |ids_from: u64| -> Vec<Vec<u8>> {
        let id = |at: i64| Id::builder("reload").number(ids_from + at as u64).finish();
        let reload = |at: i64| changed(at, &url(at), |hit| hit.hit_id = id(at));
        (7_500..8_000).map(reload).collect()
    };
    let (reloads, out) = counted(&mut classify, &reload(1 << 20), &reload(1 << 21));
    assert!(reloads <= 0.01, "{reloads} allocations a later page view");
    let records = passed_on(&out);
    assert_eq!((records.len(), visits(&records).count()), (500, 0));
    // The parameters of a content are part of its address, which is then put together, in order.
    let with_query = |from: i64, to: i64| -> Vec<Vec<u8>> {
        (from..to)
            .map(|at| hit(at, &format!("{}?page=2&id={}", url(at), at % 40)))
            .collect()
    };
    let before = with_query(8_000, 12_000);
    let (landings, out) = counted(&mut classify, &before, &with_query(12_000, 16_000));
    assert!(
        landings <= 0.01,
        "{landings} allocations a landing with a query"
    );
    assert_eq!(visits(&passed_on(&out)).count(), 4_000);
}

/// Landings as the classify stage passes them on.
fn landings(change: impl Fn(&mut Hit<'_>, i64)) -> Vec<Vec<u8>> {
    let hits: Vec<Vec<u8>> = (0..12_000)
        .map(|at| changed(at, &url(at), |hit| change(hit, at)))
        .collect();
    let (_, out) = counted(&mut ClassifyStage::new(classifier()), &[], &hits);
    let records = passed_on(&out);
    assert_eq!(visits(&records).count(), 12_000);
    records
}

/// What a record is read into, what is held for five seconds of event time, and what is said of it take the
/// room of those before. What is counted is told a second time, so that nothing falls due by time: the
/// minute's records of calibration are no hit's.
#[test]
fn a_return_allocates_nothing() {
    let records = landings(|_, _| {});
    let mut chain = ChainStage::new(classifier());
    let (returns, _) = counted(&mut chain, &records, &records[8_000..]);
    assert!(returns <= RETURN_MAX, "{returns} allocations a return");
}

/// A new reader is remembered in tables and trees that grow now and then, and brings a record of how the
/// content spreads as it does. All come within a few minutes, so that what falls due by time is little.
#[test]
fn a_new_reader_allocates_now_and_then() {
    let records = landings(|hit, at| {
        hit.visitor = Some(at);
        hit.event_time = 1_760_000_000_000 + at * 20;
        hit.received_time = hit.event_time;
    });
    let (before, new) = records.split_at(8_000);
    let mut chain = ChainStage::new(classifier());
    let (readers, out) = counted(&mut chain, before, new);
    assert!(readers <= READER_MAX, "{readers} allocations a new reader");
    let edges = out.records().filter(|(topic, _)| *topic == topic::EDGES);
    assert!(edges.count() >= 3_000, "each of them has causes");
}
