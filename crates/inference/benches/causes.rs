//! One arrival on a content that has all the candidates it may keep: considered, admitted, and one
//! settled; and what the state of such a content takes.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use grapevine_inference::causes::{
    Arrival, CANDIDATES_MAX, Certain, MarkLaws, Scratch, Spread, Weights,
};

/// The `number`-th arrival: every 20th came by a token, of somebody 17 or 170 arrivals before.
fn arrival(number: u64) -> Arrival {
    // Gaps of 1 to 97 s, in no pattern that a branch predictor learns.
    let time = |number: u64| (number * 49 + number * number % 97) as i64 * 1_000;
    let mut arrival = Arrival::new(number, time(number));
    if number.is_multiple_of(20) && number > 200 {
        let parent = number - if number.is_multiple_of(40) { 17 } else { 170 };
        arrival.certain = Some(Certain::Share {
            key: parent,
            time: time(parent),
            sure: 1.0,
        });
    }
    arrival
}

fn step(
    spread: &mut Spread,
    arrival: &Arrival,
    weights: &Weights,
    laws: &MarkLaws,
    scratch: &mut Scratch,
) {
    black_box(spread.consider(arrival, weights, laws, scratch).outside());
    spread.admit(arrival, weights, scratch);
    while let Some(settled) = spread.settle(false, weights, laws, scratch) {
        black_box(settled.posterior.outside());
    }
}

fn update(bench: &mut Criterion) {
    let weights = Weights::builtin();
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(1, 0);
    let mut number = 0;
    for _ in 0..4 * CANDIDATES_MAX {
        number += 1;
        step(&mut spread, &arrival(number), &weights, &laws, &mut scratch);
    }
    bench.bench_function("chain update at 256 candidates", |bench| {
        bench.iter(|| {
            number += 1;
            step(&mut spread, &arrival(number), &weights, &laws, &mut scratch);
        });
    });
    // A size is no time: it is said once, on standard error, beside the figures.
    use std::io::Write as _;
    let _ = writeln!(
        std::io::stderr(),
        "state of that content: {} bytes",
        spread.bytes()
    );
}

criterion_group!(benches, update);
criterion_main!(benches);
