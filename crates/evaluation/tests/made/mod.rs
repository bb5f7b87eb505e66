//! Cascades that are made here, with their truth.

use std::ops::Range;

use grapevine_evaluation::Cascade;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Broadcasts that die down, and readers of whom one in ten shares, with delays of a power law.
pub(crate) fn cascades(seed: u64, count: usize) -> Vec<Cascade> {
    cascades_of(seed, count, 60..360)
}

/// The same of so many readers by the broadcast.
pub(crate) fn cascades_of(seed: u64, count: usize, readers: Range<usize>) -> Vec<Cascade> {
    let mut dice = Dice(seed);
    (0..count)
        .map(|number| {
            let nodes = readers.start + (dice.unit() * readers.len() as f64) as usize;
            let sharing = dice.unit();
            let mut events: Vec<(f64, Option<usize>)> = Vec::new();
            let mut time = 0.0;
            for _ in 0..nodes {
                time += -(1.0 - dice.unit()).ln() * (5.0 + time / 100.0);
                events.push((time, None));
            }
            let mut at = 0;
            while at < events.len() && events.len() < 3 * nodes {
                if dice.unit() < 0.1 {
                    for _ in 0..(10.0 * sharing * dice.unit()) as usize {
                        let delay = 300.0 * ((1.0 - 0.98 * dice.unit()).powi(-2) - 1.0);
                        events.push((events[at].0 + delay, Some(at)));
                    }
                }
                at += 1;
            }
            let mut order: Vec<usize> = (0..events.len()).collect();
            order.sort_by(|a, b| events[*a].0.total_cmp(&events[*b].0).then(a.cmp(b)));
            let mut numbers = vec![0; events.len()];
            let mut cascade = Cascade {
                name: number.to_string(),
                times: vec![0],
                parents: vec![0],
            };
            for (at, event) in order.into_iter().enumerate() {
                numbers[event] = at as u32 + 1;
                cascade.times.push((events[event].0 * 1_000.0) as i64);
                let parent = events[event].1.map_or(0, |parent| numbers[parent]);
                cascade.parents.push(parent);
            }
            cascade
        })
        .collect()
}
