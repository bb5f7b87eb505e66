//! Events a second, alone and written.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grapevine_simulator::{HitOptions, LogFormat, Scenario, simulate, write_hit, write_log_line};

fn benches(criterion: &mut Criterion) {
    let mut scenario = Scenario::default().scaled(0.05);
    scenario.days = 4.0;
    scenario.bursts.clear();
    let count = simulate(&scenario).map_or(0, Iterator::count) as u64;
    let mut group = criterion.benchmark_group("simulate");
    group
        .throughput(Throughput::Elements(count))
        .sample_size(20);
    group.bench_function("events", |bencher| {
        bencher.iter(|| simulate(&scenario).map_or(0, |events| events.map(black_box).count()));
    });
    group.bench_function("combined log", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for event in simulate(&scenario).into_iter().flatten() {
                let _ = write_log_line(&mut out, &event, "news.example", LogFormat::Combined);
            }
            out.len()
        });
    });
    group.bench_function("hits", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for event in simulate(&scenario).into_iter().flatten() {
                let _ = write_hit(&mut out, &event, "news.example", HitOptions::default());
            }
            out.len()
        });
    });
    group.finish();
}

criterion_group!(simulating, benches);
criterion_main!(simulating);
