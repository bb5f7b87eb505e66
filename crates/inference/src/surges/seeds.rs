//! Who began a rise, as far as was seen: its first readers and the acts of sharing before them.

use grapevine_event::{Id, SeedKind};
use serde::{Deserialize, Serialize};

use super::site::HOUR_MS;

/// Seeds that are named; whoever answers a rumour looks at the first.
const SEEDS_MAX: usize = 6;
/// Acts that are kept while nothing rises, so that readers have room.
const ACTS_MAX: usize = 3;
/// P(dark social) from which on a reader may have begun it.
const DARK_MIN: f64 = 0.5;
/// A preview is fetched before the readers come, so acts of this long before a rise count.
const BEFORE_MS: i64 = HOUR_MS;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seed {
    pub(super) kind: SeedKind,
    pub(super) id: Id,
    pub(super) time: i64,
    /// Number of the app; `None` for an unknown one.
    pub(super) app: Option<u16>,
    /// P(dark social), or that the act was one.
    pub(super) probability: f64,
}

/// The first of a rise; while nothing rises, the acts of the last hour. 48 bytes each, kept where a
/// content once had any, so that nothing is allocated a hit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Seeds(Vec<Seed>);

impl Seeds {
    /// Nothing rises at `time`: readers began nothing, and old acts did not either.
    pub(super) fn begin(&mut self, time: i64) {
        let recent = |seed: &Seed| time.saturating_sub(seed.time) <= BEFORE_MS;
        self.0
            .retain(|seed| seed.kind == SeedKind::Share && recent(seed));
    }

    /// An act or a reader of a rise, which keeps the first, or an act while nothing rises, which
    /// leaves the newest.
    pub(super) fn add(&mut self, seed: Seed, rising: bool) {
        if seed.kind == SeedKind::Visit && seed.probability < DARK_MIN {
            return;
        }
        if rising && self.0.len() >= SEEDS_MAX {
            return;
        }
        if !rising && self.0.len() >= ACTS_MAX {
            self.0.remove(0);
        }
        if self.0.capacity() == 0 {
            self.0.reserve_exact(SEEDS_MAX);
        }
        self.0.push(seed);
    }

    /// Earliest first.
    pub(super) fn in_order(&self) -> Vec<Seed> {
        let mut seeds = self.0.clone();
        seeds.sort_by_key(|seed| (seed.time, seed.id));
        seeds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(kind: SeedKind, time: i64) -> Seed {
        Seed {
            kind,
            id: Id::builder("seed").number(time as u64).finish(),
            time,
            app: None,
            probability: 0.9,
        }
    }

    #[test]
    fn a_rise_keeps_its_first_and_calm_the_acts_of_an_hour() {
        let mut seeds = Seeds::default();
        for minute in 0..20 {
            seeds.add(seed(SeedKind::Share, minute * 60_000), false);
        }
        let times = |seeds: &Seeds| -> Vec<i64> {
            let minutes = seeds.in_order();
            minutes.iter().map(|seed| seed.time / 60_000).collect()
        };
        assert_eq!(times(&seeds), [17, 18, 19]);
        seeds.begin(18 * 60_000 + BEFORE_MS);
        assert_eq!(times(&seeds), [18, 19]);
        for minute in 80..90 {
            seeds.add(seed(SeedKind::Visit, minute * 60_000), true);
        }
        assert_eq!(times(&seeds), [18, 19, 80, 81, 82, 83]);
        seeds.begin(90 * 60_000);
        assert_eq!(times(&seeds), [] as [i64; 0]);
        let open = Seed {
            probability: 0.4,
            ..seed(SeedKind::Visit, 1)
        };
        seeds.add(open, true);
        assert_eq!(times(&seeds), [] as [i64; 0]);
    }
}
