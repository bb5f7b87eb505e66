//! Spans, taken by a receiver that speaks OTLP over HTTP as the specification has it.

use grapevine_kafka_testing::SpanReceiver;
use grapevine_operations::{Logging, Traces, start};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[test]
fn spans_arrive_with_their_parent_fields_and_service() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    let receiver = SpanReceiver::start().expect("a receiver");
    let endpoint = receiver.endpoint();
    let logging = Logging {
        filter: "error",
        json: false,
    };
    let traces = Traces {
        endpoint,
        service: "sink",
        version: "1.2.3",
    };
    let telemetry = start(logging, Some(&traces), runtime.handle()).expect("starts");
    tracing::info_span!(target: "grapevine_sink", "batch", topic = "visits").in_scope(|| {
        tracing::info_span!(target: "grapevine_sink", "insert", rows = 7_u64)
            .in_scope(|| tracing::info!(target: "grapevine_sink", "sent"));
        tracing::info_span!(target: "hyper", "not ours").in_scope(|| {});
        tracing::debug_span!(target: "grapevine_sink", "too fine").in_scope(|| {});
    });
    // Sends what waits.
    drop(telemetry);

    let decode = |body: Vec<u8>| ExportTraceServiceRequest::decode(&*body).expect("decodes");
    let taken: Vec<_> = receiver.taken().into_iter().map(decode).collect();
    let resource = taken[0].resource_spans[0]
        .resource
        .as_ref()
        .expect("resource");
    assert_eq!(
        text(&resource.attributes, "service.name"),
        Some("grapevine-sink")
    );
    assert_eq!(text(&resource.attributes, "service.version"), Some("1.2.3"));
    let spans: Vec<_> = taken
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .collect();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["batch", "insert"]);
    let of = |name: &str| *spans.iter().find(|span| span.name == name).expect(name);
    assert_eq!(of("insert").parent_span_id, of("batch").span_id);
    assert_eq!(of("insert").trace_id, of("batch").trace_id);
    assert_eq!(text(&of("batch").attributes, "topic"), Some("visits"));
    assert_eq!(of("insert").events[0].name, "sent");
}

#[test]
fn an_endpoint_that_wants_tls_is_refused_with_what_to_do() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let logging = Logging {
        filter: "error",
        json: false,
    };
    let traces = Traces {
        endpoint: "https://collector.example:4318".to_owned(),
        service: "sink",
        version: "1.2.3",
    };
    let refused = start(logging, Some(&traces), runtime.handle()).expect_err("refused");
    let said = refused.to_string();
    assert!(
        said.contains("http://") && said.contains("collector"),
        "{said}"
    );
}
