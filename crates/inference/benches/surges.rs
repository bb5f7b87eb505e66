//! What a landing costs the surges: on quiet contents, on many, and while one is surging.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use grapevine_event::Id;
use grapevine_inference::Clock;
use grapevine_inference::surges::{Landing, Surges};

const HOUR_MS: i64 = 3_600_000;

fn landing(content: &str, time: i64, dark: f32, network: i64) -> Landing<'_> {
    Landing {
        clock: Clock::Imported,
        site: "news.example",
        content,
        visit: Id::default(),
        time,
        dark: [dark * 0.8, dark, dark],
        decided: dark < 0.5,
        app: "whatsapp",
        network: Some(network),
        chained: false,
    }
}

/// Two days of `contents`, a visit every second.
fn learned(names: &[String]) -> (Surges, i64) {
    let mut surges = Surges::default();
    let seconds = 48 * 3_600;
    for second in 0..seconds {
        let name = &names[(second * 7_919) as usize % names.len()];
        let dark = if second % 5 == 0 { 0.9 } else { 0.03 };
        surges.visit(&landing(name, second * 1_000, dark, second), &mut |_| {});
    }
    (surges, seconds * 1_000)
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("surges");
    for contents in [100, 20_000] {
        let names: Vec<String> = (0..contents)
            .map(|number| format!("https://news.example/2026/03/02/politics/story-{number}"))
            .collect();
        let (surges, start) = learned(&names);
        group.bench_function(
            format!("a landing on one of {contents} contents"),
            |bencher| {
                let mut surges = surges.clone();
                let mut second = 0i64;
                bencher.iter(|| {
                    second += 1;
                    let name = &names[(second * 7_919) as usize % names.len()];
                    let dark = if second % 5 == 0 { 0.9 } else { 0.03 };
                    let landing = landing(name, start + second * 1_000, dark, second);
                    surges.visit(black_box(&landing), &mut |surge| {
                        black_box(surge);
                    });
                });
            },
        );
        if contents == 100 {
            group.bench_function("a landing on a surging content", |bencher| {
                let mut surges = surges.clone();
                let mut time = start + HOUR_MS;
                bencher.iter(|| {
                    time += 100;
                    let landing = landing(&names[0], time, 0.9, time);
                    surges.visit(black_box(&landing), &mut |surge| {
                        black_box(surge);
                    });
                });
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
