//! A line read, and a line from bytes to an encoded hit.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grapevine_producer::access_log;
use grapevine_producer::pseudonym::{Origin, Pseudonyms};

const COMBINED: &[u8] = br#"203.0.113.77 - - [17/May/2015:10:05:03 +0000] "GET /presentations/logstash-monitorama-2013/?utm_source=newsletter&utm_medium=email HTTP/1.1" 200 203023 "https://www.example.com/presentations/" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36""#;
const ESCAPED: &[u8] = br#"www.example.com:443 2001:db8::77 - - [17/May/2015:10:05:03 +0200] "GET /caf\xC3\xA9?q=\x22a\x22 HTTP/2.0" 200 203023 "-" "Mozilla/5.0 \"odd\" (X11)" "198.51.100.1""#;
const GARBAGE: &[u8] = br#"203.0.113.77 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03" 400 157 "-" "-""#;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("access_log");
    group.throughput(Throughput::Elements(1));
    for (name, line) in [
        ("combined", COMBINED),
        ("escaped", ESCAPED),
        ("garbage", GARBAGE),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| access_log::parse(black_box(line)));
        });
    }
    group.finish();
}

fn pseudonyms(criterion: &mut Criterion) {
    let day = Pseudonyms::new(&[7; 32]).of_day(0);
    let origin = Origin::Address([203, 0, 113, 77].into());
    let agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 Safari/537.36";
    criterion.bench_function("pseudonyms/visitor_and_network", |bencher| {
        bencher.iter(|| {
            let visitor = day.visitor("example.com", black_box(origin), black_box(agent));
            (visitor, day.network("example.com", black_box(origin)))
        });
    });
}

criterion_group!(benches, parse, pseudonyms);
criterion_main!(benches);
