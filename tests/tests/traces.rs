//! Spans of the real services, taken by a receiver that speaks OTLP over HTTP.

use std::collections::{BTreeMap, BTreeSet};

use grapevine_kafka_testing::SpanReceiver;
use grapevine_tests::trio::{Trio, ended_well};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match attribute(attributes, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

fn number(attributes: &[KeyValue], key: &str) -> i64 {
    match attribute(attributes, key) {
        Some(Value::IntValue(number)) => *number,
        // The bridge between the two kinds of spans writes unsigned numbers as text.
        Some(Value::StringValue(text)) => text.parse().expect("a number"),
        other => panic!("{key} is {other:?}"),
    }
}

/// Spans by service.
fn spans(receiver: &SpanReceiver) -> BTreeMap<String, Vec<Span>> {
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for body in receiver.taken() {
        let request = ExportTraceServiceRequest::decode(&*body).expect("decodes");
        for resource in &request.resource_spans {
            let of = resource.resource.as_ref().expect("a resource");
            let found = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans
                .entry(text(&of.attributes, "service.name"))
                .or_default()
                .extend(found.cloned());
        }
    }
    spans
}

/// The spans of a name, of which there must be some, each below one of `parent` where it is given.
#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str, parent: Option<&str>) -> Vec<&'a Span> {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert!(!found.is_empty(), "no {name} among {names:?}");
    for span in &found {
        match parent {
            None => assert!(span.parent_span_id.is_empty(), "{name} has a parent"),
            Some(parent) => {
                let above = spans.iter().any(|above| {
                    above.name == parent
                        && (&above.trace_id, &above.span_id)
                            == (&span.trace_id, &span.parent_span_id)
                });
                assert!(above, "{name} is below no {parent}");
            }
        }
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    found
}

/// Every transaction names by links the spans whose commits it holds.
#[track_caller]
fn linked(spans: &[Span], to: &str) {
    let mut links = 0;
    for transaction in named(spans, "transaction", None) {
        let commits = number(&transaction.attributes, "commits");
        assert_eq!(transaction.links.len() as i64, commits);
        for link in &transaction.links {
            let is_it =
                |span: &&Span| (&span.trace_id, &span.span_id) == (&link.trace_id, &link.span_id);
            links += spans
                .iter()
                .filter(|span| span.name == to)
                .filter(is_it)
                .count();
        }
    }
    assert!(links > 0, "no transaction is linked to {to}");
}

#[test]
fn the_services_send_what_they_do_by_batch_transaction_and_insert() {
    let receiver = SpanReceiver::start().expect("a receiver");
    let endpoint = receiver.endpoint();

    let trio = Trio::new();
    let _clickhouse = trio.serve_clickhouse();
    let traced = [("GRAPEVINE_OPERATIONS__OTLP_ENDPOINT", endpoint.as_str())];
    let services = ["collect", "enrich", "sink"].map(|service| trio.start(service, &traced));
    trio.send(r#"{"site":"example.org","url":"https://example.org/a-story","visitor":"one"}"#);
    trio.wait_for("SELECT count() FROM grapevine.visits", 1);
    services.into_iter().for_each(ended_well);

    let spans = spans(&receiver);
    let of = |service: &str| -> &[Span] {
        let services: Vec<&String> = spans.keys().collect();
        spans
            .get(service)
            .unwrap_or_else(|| panic!("{service} is none of {services:?}"))
    };
    let collect = of("grapevine-collect");
    let append = named(collect, "append", None);
    assert!(number(&append[0].attributes, "requests") >= 1);
    assert!(number(&append[0].attributes, "bytes") > 0);
    // Straight to Kafka, or through the spool where it was not there yet.
    let produced = collect.iter().any(|span| span.name == "produce");
    let drained = collect.iter().any(|span| span.name == "drain");
    assert!(produced || drained);

    let enrich = of("grapevine-enrich");
    let steps = named(enrich, "step", None);
    for stage in ["classify", "chain"] {
        let step = steps
            .iter()
            .find(|step| text(&step.attributes, "stage") == stage);
        let step = step.unwrap_or_else(|| panic!("no step of {stage}"));
        assert!(number(&step.attributes, "to") > number(&step.attributes, "from"));
    }
    named(enrich, "commit", Some("step"));
    linked(enrich, "commit");

    let sink = of("grapevine-sink");
    let batches = named(sink, "batch", None);
    // A batch may hold nothing but Kafka's marks.
    let rows = (batches.iter())
        .filter(|batch| text(&batch.attributes, "topic") == "visits")
        .map(|batch| number(&batch.attributes, "rows"));
    assert_eq!(rows.sum::<i64>(), 1);
    named(sink, "plan", Some("batch"));
    let inserts = named(sink, "insert", Some("batch"));
    assert!(
        inserts
            .iter()
            .any(|insert| text(&insert.attributes, "table") == "visits")
    );
    named(sink, "acknowledge", None);
    linked(sink, "plan");
}
