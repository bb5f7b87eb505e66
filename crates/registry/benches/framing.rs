//! What a schema registry costs a record on its way: its head changed, in and out. Nothing is asked.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grapevine_event::{Hit, Id, topic};
use grapevine_kafka_testing::{HttpServer, Response};
use grapevine_registry::{Client, Credentials, Frames, Opened};

/// Answers every registration with the next id, which is all that is asked of a registry here.
fn registry() -> HttpServer {
    let next = AtomicU32::new(1);
    let answer = move |_| Response {
        status: "200 OK",
        body: format!("{{\"id\":{}}}", next.fetch_add(1, Ordering::Relaxed)).into_bytes(),
    };
    HttpServer::start("application/json", answer).expect("a server")
}

fn framing(criterion: &mut Criterion) {
    let registry = registry();
    let client = Client::new(&registry.url(), Credentials::None, None).expect("a client");
    let frames = Frames::new(client);
    frames.register().expect("registered");
    let mut record = Vec::new();
    let id = Id::builder("bench").number(1).finish();
    let mut hit = Hit::page_view(
        id,
        "example.org",
        1_760_000_000_000,
        "https://example.org/politics/the-long-story-of-a-small-town?gv=tok1",
    );
    hit.user_agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
    hit.referrer = Some("https://www.example.org/front-page");
    hit.encode(&mut record).expect("encodes");
    let mut framed = Vec::new();
    let framed = frames
        .frame(topic::HITS_RAW, &record, &mut framed)
        .expect("framed")
        .to_vec();
    assert_ne!(framed, record);

    let mut group = criterion.benchmark_group("framing");
    group.throughput(Throughput::Elements(1));
    let mut room = Vec::new();
    group.bench_function("frame", |bencher| {
        bencher.iter(|| {
            let framed = frames.frame(topic::HITS_RAW, black_box(&record), &mut room);
            framed.map(<[u8]>::len)
        });
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| match frames.open(black_box(&framed)) {
            Opened::Record(head, datum) => (head[0], datum.len()),
            other => panic!("{other:?}"),
        });
    });
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
