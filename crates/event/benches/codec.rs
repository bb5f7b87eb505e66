//! Avro on the hot path: a hit of an ordinary page view, in and out, beside the library that
//! looks each field up in its schema.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grapevine_event::{Hit, Id, Record, RecordType, VisitorBasis};
use std::hint::black_box;

fn codec(criterion: &mut Criterion) {
    let mut hit = Hit::page_view(
        Id([9; 16]),
        "news.example.org",
        1_795_000_000_000,
        "https://news.example.org/2026/11/city/how-the-old-harbour-became-the-new-centre?utm_source=x",
    );
    hit.visitor = Some(0x1234_5678_9abc_def0);
    hit.visitor_basis = VisitorBasis::Address;
    hit.network = Some(77);
    hit.user_agent = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
    hit.language = Some("de-DE,de;q=0.9,en;q=0.8");
    hit.fetch_site = Some("none");
    hit.fetch_mode = Some("navigate");
    let mut bytes = Vec::new();
    hit.encode(&mut bytes).expect("encodes");
    let mut group = criterion.benchmark_group("avro");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hit_encode", |bench| {
        bench.iter(|| {
            bytes.clear();
            black_box(&hit).encode(&mut bytes).expect("encodes");
        });
    });
    group.bench_function("hit_decode_borrowed", |bench| {
        bench.iter(|| Record::decode(black_box(&bytes)).is_ok());
    });
    let schema: serde_avro_fast::Schema = RecordType::Hit.text().json.parse().expect("parses");
    let mut config = serde_avro_fast::ser::SerializerConfig::new(&schema);
    group.bench_function("hit_encode_by_schema", |bench| {
        bench.iter(|| {
            bytes.clear();
            serde_avro_fast::to_datum(black_box(&hit), &mut bytes, &mut config).map(|_| ())
        });
    });
    group.bench_function("hit_decode_by_schema", |bench| {
        bench.iter(|| {
            serde_avro_fast::from_datum_slice::<Hit<'_>>(black_box(&bytes), &schema).is_ok()
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
