//! What a hit allocates in the stages, once everything that is remembered is known.

use std::sync::Arc;

use grapevine_enrichment::{ClassifyStage, Outputs, Stage};
use grapevine_event::{Hit, Id, Protocol, VisitorBasis};
use grapevine_inference::{Classifier, Model};
use grapevine_signals::Signals;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const READERS: i64 = 500;

/// Hit number `at` of one of 500 readers, at a time of its own.
fn hit(at: i64, url: &str) -> Vec<u8> {
    numbered(at as u64, at, url)
}

fn numbered(number: u64, at: i64, url: &str) -> Vec<u8> {
    let hit = Hit {
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
            Id::builder("allocations").number(number).finish(),
            "example.org",
            1_760_000_000_000 + at * 10_000,
            url,
        )
    };
    let mut record = Vec::new();
    hit.encode(&mut record).expect("encodes");
    record
}

/// Allocations a record, over `records` that follow `before`.
fn counted<S: Stage>(stage: &mut S, before: &[Vec<u8>], records: &[Vec<u8>]) -> f64 {
    let mut out = Outputs::new(S::NAME, S::INPUT);
    for (offset, record) in before.iter().chain(records).enumerate() {
        stage.process(offset as u64, record, &mut out);
    }
    out.clear();
    let counted = allocation_counter::measure(|| {
        for (offset, record) in records.iter().enumerate() {
            stage.process(offset as u64, record, &mut out);
        }
    });
    counted.count_total as f64 / records.len() as f64
}

#[test]
fn a_landing_allocates_the_list_of_its_evidence_and_a_later_page_view_nothing() {
    let url = |at: i64| {
        format!(
            "https://example.org/politics/2026/11/a-story-of-a-town-{}",
            at % 40
        )
    };
    let hits =
        |from: i64, to: i64| -> Vec<Vec<u8>> { (from..to).map(|at| hit(at, &url(at))).collect() };
    let classifier = Arc::new(Classifier::new(
        Arc::new(Signals::builtin()),
        Model::builtin(),
    ));
    let mut classify = ClassifyStage::new(classifier);
    let landings = counted(&mut classify, &hits(0, 4_000), &hits(4_000, 8_000));
    assert!(landings <= 1.01, "{landings} allocations a landing");
    // The same page views again, as quickly as a reload: no landing, so no evidence.
    let reload = |ids_from: u64| -> Vec<Vec<u8>> {
        let reload = |at: i64| numbered(ids_from + at as u64, at, &url(at));
        (7_500..8_000).map(reload).collect()
    };
    let reloads = counted(&mut classify, &reload(1 << 20), &reload(1 << 21));
    assert!(reloads <= 0.01, "{reloads} allocations a later page view");
    // The parameters of a content are part of its address, which is then put together.
    let with_query = |from: i64, to: i64| -> Vec<Vec<u8>> {
        (from..to)
            .map(|at| hit(at, &format!("{}?id={}&page=2", url(at), at % 40)))
            .collect()
    };
    let before = with_query(8_000, 12_000);
    let landings = counted(&mut classify, &before, &with_query(12_000, 16_000));
    assert!(
        landings <= 2.01,
        "{landings} allocations a landing with a query"
    );
}
