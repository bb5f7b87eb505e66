//! What one user agent, referrer and link costs, on mixes as a news site sees them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grapevine_signals::Signals;

const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

const AGENTS: &[&str] = &[
    DESKTOP,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 393.1.0.36.70 (iPhone15,3; iOS 18_5; de_DE; de; scale=3.00; 1290x2796; IABMV/1; 750000000) Safari/604.1",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "WhatsApp/2.24.20.83 A",
    "curl/8.5.0",
];

const REFERRERS: &[&str] = &[
    "",
    "https://www.google.com/",
    "https://www.google.co.uk/",
    "https://news.example.com/2026/11/some-article",
    "https://l.facebook.com/",
    "android-app://com.google.android.gm/",
    "https://outlook.live.com/",
];

const LINKS: &[&str] = &[
    "https://www.example.com/2026/11/23/a-rumour-about-the-bridge-and-what-is-known",
    "https://example.com/",
    "https://www.example.com/news/article.html?id=4711&fbclid=IwAR0abcdefghijklmnopqrstuvwxyz0123456789",
    "http://example.com/a/b/?utm_source=newsletter&utm_medium=email&utm_campaign=2026-11#gv=Ab3dE6gH",
    "https://example.com/%7euser/../caf%c3%a9/index.html?b=2&a=1",
];

fn bench(c: &mut Criterion) {
    let signals = Signals::builtin();
    c.bench_function("builtin", |b| b.iter(Signals::builtin));
    c.bench_function("agent/desktop", |b| {
        b.iter(|| black_box(signals.agent(black_box(DESKTOP))))
    });
    let mut group = c.benchmark_group("mix");
    group.throughput(Throughput::Elements(AGENTS.len() as u64));
    group.bench_function("agents", |b| {
        b.iter(|| {
            AGENTS.iter().for_each(|a| {
                black_box(signals.agent(black_box(a)));
            })
        })
    });
    group.throughput(Throughput::Elements(REFERRERS.len() as u64));
    group.bench_function("referrers", |b| {
        b.iter(|| {
            REFERRERS
                .iter()
                .for_each(|r| drop(black_box(signals.referrer(black_box(r)))))
        })
    });
    group.throughput(Throughput::Elements(LINKS.len() as u64));
    group.bench_function("links", |b| {
        b.iter(|| {
            LINKS
                .iter()
                .for_each(|l| drop(black_box(signals.link(black_box(l)))))
        })
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
