//! Input that no honest content has.

use super::*;

fn drive(arrivals: impl Iterator<Item = Arrival>) -> Spread {
    let weights = Weights::builtin();
    let mut laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(9, 1_000);
    let sane = |posterior: &Posterior<'_>| {
        let outside = posterior.outside();
        assert!((0.0..=1.0).contains(&outside), "{outside}");
        let likeliest = posterior.likeliest(3);
        assert!(
            likeliest
                .iter()
                .all(|(_, p)| (0.0..=1.0 + 1e-6).contains(p))
        );
    };
    for (number, arrival) in arrivals.enumerate() {
        spread.expect_strangers([f64::NAN, 2.0, -5.0, 0.3][number / 4 % 4]);
        let posterior = spread.consider(&arrival, &weights, &laws, &mut scratch);
        if number % 997 < 3 {
            sane(&posterior);
        }
        spread.admit(&arrival, &weights, &scratch);
        laws.arrived(arrival.marks);
        if number % 50 == 0 {
            let act = Act {
                key: arrival.key,
                time: arrival.time,
                marks: arrival.marks,
                sharer: (number % 100 == 0).then_some(arrival.key),
                marked: number % 100 == 0,
            };
            spread.share(&act, &laws);
        }
        while let Some(settled) = spread.settle(false, &weights, &laws, &mut scratch) {
            laws.learn(&settled);
        }
    }
    while let Some(settled) = spread.settle(true, &weights, &laws, &mut scratch) {
        sane(&settled.posterior);
        laws.learn(&settled);
    }
    assert!(spread.bytes() <= 16_384, "{}", spread.bytes());
    for now in [i64::MIN, 0, 1_000, 90_000_000, i64::MAX] {
        let metrics = spread.metrics(now, &weights);
        let ranges = [
            Some(metrics.reproduction),
            metrics.reproduction_now,
            metrics.half_life,
            Some(metrics.k_factor),
            metrics.amplification,
            metrics.doubling_time,
        ];
        for range in ranges.into_iter().flatten() {
            let Range { low, likely, high } = range;
            assert!(low <= likely && likely <= high, "{metrics:?}");
            assert!(low >= 0.0 && high.is_finite(), "{metrics:?}");
        }
        if let Some(quartiles) = metrics.generation_time {
            assert!(quartiles.low <= quartiles.median && quartiles.median <= quartiles.high);
            assert!(quartiles.low >= 0.0 && quartiles.high.is_finite());
        }
    }
    let shape = spread.shape(&weights);
    for Range { low, likely, high } in [shape.shared, shape.virality, shape.depth] {
        assert!(
            low <= likely && likely <= high && high.is_finite(),
            "{shape:?}"
        );
    }
    spread
}

#[test]
fn a_flood_within_a_minute_is_bounded_and_sane() {
    // A twentieth of a million here; what is kept does not grow after the first 256.
    let flood = (1..=50_000u64).map(|key| Arrival::new(key, 1_000 + key as i64 * 60_000 / 50_000));
    let spread = drive(flood);
    assert_eq!(spread.arrivals(), 50_000);
    let kept = spread.candidates.len() as u32;
    let gone: u32 = spread.pool.blocks().iter().map(|block| block.count).sum();
    assert_eq!(kept + gone, 50_000);
}

#[test]
fn times_may_be_equal_backwards_or_at_the_ends_of_time() {
    drive((1..=1_000u64).map(|key| Arrival::new(key, 5_000)));
    drive((1..=1_000u64).map(|key| Arrival::new(key, -(key as i64) * 3_600_000)));
    let ends = [i64::MIN, i64::MAX, 0, -1, i64::MAX - 1];
    drive((1..=1_000u64).map(|key| Arrival::new(key, ends[key as usize % 5])));
    // One clock is years ahead; those after it are judged by their own time.
    drive((1..=500u64).map(|key| {
        let ahead = if key == 250 { 10 * 365 * 86_400_000 } else { 0 };
        Arrival::new(key, key as i64 * 60_000 + ahead)
    }));
}

#[test]
fn keys_and_causes_may_be_anything() {
    drive((1..=1_500u64).map(|number| {
        let key = match number % 7 {
            0 => u64::MAX,
            1 => 0,
            _ => u64::MAX - number,
        };
        let mut arrival = Arrival::new(key, number as i64 * 1_000);
        arrival.marks = Marks {
            channel: (number % 256) as u8,
            network: (number * 7_919 % 65_536) as u16,
            device: (number * 31 % 256) as u8,
        };
        arrival.outside_log_odds = [f64::NAN, f64::INFINITY, -1e300, 0.0][number as usize % 4];
        arrival.certain = match number % 5 {
            0 => Some(Certain::Share {
                key,
                time: i64::MAX,
                sure: 1.0,
            }),
            1 => Some(Certain::Share {
                key: number,
                time: i64::MIN,
                sure: 1.0,
            }),
            2 => Some(Certain::Outside),
            _ => None,
        };
        arrival
    }));
}

#[test]
fn nobody_yet_has_no_figures() {
    let spread = drive(std::iter::empty());
    let metrics = spread.metrics(0, &Weights::builtin());
    assert_eq!(metrics.reproduction_now, None);
    assert_eq!(metrics.generation_time, None);
    assert_eq!(metrics.half_life, None);
}

#[test]
fn a_content_that_grows_doubles_and_one_that_dies_has_a_half_life() {
    let weights = Weights::builtin();
    // Arrivals ever slower: half of those after the peak come within a known time.
    let dying = drive((1..=400u64).map(|key| Arrival::new(key, 1_000 + (key * key * 10) as i64)));
    let metrics = dying.metrics(1_000 + 10 * 365 * 86_400_000, &weights);
    let half = metrics.half_life.expect("it has come");
    assert!(
        half.low < half.likely && half.likely < half.high,
        "{half:?}"
    );
    assert!((300.0..900.0).contains(&half.likely), "{half:?}");
    assert!(metrics.doubling_time.is_none());
    assert!(metrics.amplification.expect("R < 1").low >= 1.0);
    // Each certain reader has three certain children within the minute, so far.
    let growing = drive((1..=300u64).map(|key| {
        let mut arrival = Arrival::new(key, key.ilog2() as i64 * 60_000 + key as i64 * 10);
        arrival.certain = Some(match key / 3 {
            0 => Certain::Outside,
            parent => Certain::Share {
                key: parent,
                time: parent.ilog2() as i64 * 60_000 + parent as i64 * 10,
                sure: 1.0,
            },
        });
        arrival
    }));
    let metrics = growing.metrics(500_000, &weights);
    let doubling = metrics.doubling_time.expect("R is above 1");
    assert!(doubling.low <= doubling.likely && doubling.likely <= doubling.high);
    assert!(metrics.amplification.is_none());
    assert!(metrics.generation_time.expect("edges").median < 300.0);
}
