//! What the collector pays for a request that goes to the spool: one entry written and synced, and a piece
//! taken out again. The disk's own time is most of it, so figures of two machines do not compare.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grapevine_producer::spool::Spool;
use tempfile::TempDir;

/// Bytes of one hit as it is encoded, about.
const HIT_BYTES: usize = 300;
/// Hits that wait together: one alone, and as many as a busy collector writes at once.
const HITS: [usize; 3] = [1, 100, 1_000];
const ROOM: u64 = 1 << 30;
/// Bytes that are taken out at once.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

fn empty() -> (TempDir, Spool) {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(directory.path(), ROOM).expect("opens");
    (directory, spool)
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spool/append");
    for hits in HITS {
        let entry = vec![7; hits * HIT_BYTES];
        group.throughput(Throughput::Elements(hits as u64));
        group.bench_function(format!("{hits} hits"), |bencher| {
            let (_directory, mut spool) = empty();
            bencher.iter(|| {
                spool.append(black_box(&entry)).expect("there is room");
                // Never full, however many times this runs.
                if spool.bytes() > ROOM / 2 {
                    while let Some(entries) = spool.next(PIECE_BYTES).expect("reads") {
                        spool.release(&entries).expect("lets go");
                    }
                }
            });
        });
    }
    group.finish();
}

fn take_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spool/take_out");
    let entry = vec![7; 100 * HIT_BYTES];
    let entries = PIECE_BYTES / entry.len();
    group.throughput(Throughput::Elements((entries * 100) as u64));
    group.bench_function("4 MiB", |bencher| {
        let filled = || {
            let (directory, mut spool) = empty();
            for _ in 0..entries {
                spool.append(&entry).expect("there is room");
            }
            (directory, spool)
        };
        let take = |(directory, mut spool): (TempDir, Spool)| {
            let taken = spool.next(PIECE_BYTES).expect("reads").expect("entries");
            spool.release(&taken).expect("lets go");
            (directory, spool, taken)
        };
        bencher.iter_batched(filled, take, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, append, take_out);
criterion_main!(benches);
