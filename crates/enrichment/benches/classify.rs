//! What a hit costs in the stages, Avro in and out, without the log's own work.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grapevine_enrichment::{ChainStage, ClassifyStage, Driver, Outputs, Stage};
use grapevine_event::{Hit, Id, Protocol, Record, VisitorBasis, topic};
use grapevine_inference::{Classifier, Model, VisitorContext};
use grapevine_log::{Commit, Durability, Log};
use grapevine_signals::Signals;

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
];
const REFERRERS: [&str; 4] = [
    "",
    "",
    "https://www.google.com/",
    "https://www.example.org/news",
];
const HITS: usize = 20_000;
/// Milliseconds between two hits: the same visitors come again in a next round, hours later, for a visit of
/// their own.
const BETWEEN_MS: i64 = 500;

/// Hits of one round; half of them are landings, of which a quarter comes from a search engine, a quarter
/// from within the site, and the other half from nowhere that is known.
fn hits(round: i64) -> Vec<Vec<u8>> {
    let hit = |at: usize| {
        let url = format!(
            "https://www.example.org/news/2026/11/a-story-of-some-length-{}?utm_x=1",
            at % 700
        );
        let referrer = REFERRERS[at / 3 % REFERRERS.len()];
        let hit = Hit {
            protocol: Protocol::Native,
            visitor: Some((at / 2) as i64 * 7_919),
            visitor_basis: VisitorBasis::Client,
            network: Some(at as i64),
            referrer: Some(referrer).filter(|referrer| !referrer.is_empty()),
            user_agent: AGENTS[at % AGENTS.len()],
            language: Some("de-AT,de;q=0.8"),
            status: Some(200),
            fetch_site: Some("none"),
            fetch_mode: Some("navigate"),
            fetch_dest: Some("document"),
            ..Hit::page_view(
                Id::builder("bench")
                    .number(round as u64)
                    .number(at as u64)
                    .finish(),
                "example.org",
                1_760_000_000_000 + (round * HITS as i64 + at as i64) * BETWEEN_MS,
                &url,
            )
        };
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        record
    };
    (0..HITS).map(hit).collect()
}

fn classifier() -> Arc<Classifier> {
    Arc::new(Classifier::new(
        Arc::new(Signals::builtin()),
        Model::builtin(),
    ))
}

/// One hit judged, by step.
fn judge(criterion: &mut Criterion) {
    let hits = hits(0);
    let classifier = classifier();
    let mut group = criterion.benchmark_group("hit");
    group.throughput(Throughput::Elements(1));
    let mut at = 0;
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % hits.len();
            black_box(Record::decode(&hits[at]).expect("decodes"));
        });
    });
    let visitor = VisitorContext {
        returning: false,
        basis: VisitorBasis::Client,
        token_again: false,
    };
    group.bench_function("decode, signals", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % hits.len();
            let Ok(Record::Hit(hit)) = Record::decode(&hits[at]) else {
                return;
            };
            let signals = classifier.signals();
            black_box(signals.agent(hit.user_agent));
            black_box(signals.referrer(hit.referrer.unwrap_or_default()));
            black_box(signals.link(hit.url).expect("an address"));
        });
    });
    group.bench_function("decode, signals, classify", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % hits.len();
            let Ok(Record::Hit(hit)) = Record::decode(&hits[at]) else {
                return;
            };
            let signals = classifier.signals();
            let agent = signals.agent(hit.user_agent);
            let referrer = signals.referrer(hit.referrer.unwrap_or_default());
            let link = signals.link(hit.url).expect("an address");
            black_box(classifier.classify(&hit, &agent, &referrer, &link, &visitor));
        });
    });
    let mut stage = ClassifyStage::new(classifier.clone());
    let mut out = Outputs::new(ClassifyStage::NAME, ClassifyStage::INPUT);
    let mut rounds = 0;
    let mut offset = 0;
    group.bench_function("classify stage, Avro in and out", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut took = Duration::ZERO;
            let mut left = usize::try_from(iterations).unwrap_or(usize::MAX);
            while left > 0 {
                let round = {
                    rounds += 1;
                    self::hits(rounds)
                };
                let started = Instant::now();
                for hit in round.iter().take(left) {
                    stage.process(offset, hit, &mut out);
                    offset += 1;
                    if offset.is_multiple_of(1_000) {
                        out.clear();
                    }
                }
                took += started.elapsed();
                left = left.saturating_sub(round.len());
            }
            took
        });
    });
    group.finish();
}

/// Both stages over a log in a temporary directory, its reads and commits included.
fn stages(criterion: &mut Criterion) {
    let hits = hits(0);
    let classifier = classifier();
    let directory = tempfile::tempdir().expect("a directory");
    let mut logs = 0;
    let mut filled = || {
        logs += 1;
        let log = Log::open(&directory.path().join(format!("{logs}.redb"))).expect("opens");
        let mut commit = Commit::default();
        hits.iter()
            .for_each(|hit| commit.append(topic::HITS_RAW, hit));
        log.commit(&commit, Durability::Replayable)
            .expect("commits");
        log
    };
    let mut group = criterion.benchmark_group("stage");
    group.sample_size(20);
    group.throughput(Throughput::Elements(HITS as u64));
    group.bench_function("classify", |bencher| {
        bencher.iter_batched(
            &mut filled,
            |log| {
                let mut driver =
                    Driver::open(ClassifyStage::new(classifier.clone()), &log).expect("opens");
                while driver
                    .step(4 << 20, usize::MAX, Duration::ZERO)
                    .expect("steps")
                    > 0
                {}
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("chain", |bencher| {
        bencher.iter_batched(
            || {
                let log = filled();
                let mut driver =
                    Driver::open(ClassifyStage::new(classifier.clone()), &log).expect("opens");
                while driver
                    .step(4 << 20, usize::MAX, Duration::ZERO)
                    .expect("steps")
                    > 0
                {}
                log
            },
            |log| {
                let mut driver =
                    Driver::open(ChainStage::new(classifier.clone()), &log).expect("opens");
                while driver
                    .step(4 << 20, usize::MAX, Duration::ZERO)
                    .expect("steps")
                    > 0
                {}
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, judge, stages);
criterion_main!(benches);
