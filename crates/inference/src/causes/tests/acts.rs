//! Acts of sharing as causes.

use super::super::acts::SHARERS_MAX;
use super::*;

struct Site {
    weights: Weights,
    laws: MarkLaws,
    scratch: Scratch,
    spread: Spread,
}

impl Site {
    fn new() -> Self {
        Site {
            weights: Weights::builtin(),
            laws: MarkLaws::default(),
            scratch: Scratch::default(),
            spread: Spread::new(3, 0),
        }
    }

    /// Probability of the outside, of each reader's unseen share, and the acts.
    fn consider(&mut self, arrival: &Arrival) -> (f64, Vec<(u64, f64)>, Vec<ByAct>) {
        let (weights, laws) = (&self.weights, &self.laws);
        let posterior = self
            .spread
            .consider(arrival, weights, laws, &mut self.scratch);
        let readers = posterior.readers().map(|(key, _, p)| (key, p)).collect();
        (posterior.outside(), readers, posterior.acts().collect())
    }

    fn arrive(&mut self, arrival: &Arrival) {
        self.consider(arrival);
        self.spread.admit(arrival, &self.weights, &self.scratch);
        self.settle(false);
    }

    fn settle(&mut self, closed: bool) {
        let (weights, laws) = (&self.weights, &mut self.laws);
        while let Some(settled) = self.spread.settle(closed, weights, laws, &mut self.scratch) {
            laws.learn(&settled);
        }
    }
}

fn at(key: u64, seconds: i64) -> Arrival {
    Arrival::new(key, seconds * 1_000)
}

fn act(key: u64, seconds: i64, sharer: Option<u64>) -> Act {
    Act {
        key,
        time: seconds * 1_000,
        marks: Marks::default(),
        sharer,
        marked: false,
    }
}

#[test]
fn an_arrival_after_an_act_on_a_quiet_content_comes_from_it() {
    let mut site = Site::new();
    for number in 1..=5u64 {
        site.arrive(&at(number, number as i64 * 20_000));
    }
    let before = site.consider(&at(9, 100_300));
    assert!(before.2.is_empty());
    site.spread.share(&act(70, 100_200, Some(5)), &site.laws);
    assert_eq!(site.spread.acts(), 1);
    // The same act told twice counts once.
    site.spread.share(&act(70, 100_200, Some(5)), &site.laws);
    assert_eq!(site.spread.acts(), 1);
    for (second, excess) in [(100_230, 27.0), (100_500, 5.4), (101_200, 2.7)] {
        let (outside, readers, acts) = site.consider(&at(9, second));
        let [by] = acts[..] else { panic!("{acts:?}") };
        assert_eq!((by.key, by.sharers[0]), (70, Some((5, 1.0))));
        let all = outside + readers.iter().map(|(_, p)| p).sum::<f64>() + by.probability;
        assert!((all - 1.0).abs() < 1e-6, "{all}");
        // One path is not counted twice: what the sharer's unseen shares lose, the act has.
        assert!(by.probability >= excess / (1.0 + excess) - 1e-6, "{by:?}");
        let sharer = readers.iter().find(|(key, _)| *key == 5).expect("kept");
        assert!(sharer.1 < 0.05, "{sharer:?}");
    }
    let hours_later = site.consider(&at(9, 104_000));
    assert!(hours_later.2.is_empty());
    assert_eq!(site.consider(&at(9, 100_100)).2, []);
}

#[test]
fn whoever_is_likelier_to_have_shared_seen_or_unseen_counts_once() {
    let mut site = Site::new();
    for number in 1..=5u64 {
        site.arrive(&at(number, number as i64 * 20_000));
    }
    let child = at(9, 100_400);
    let (outside, readers, _) = site.consider(&child);
    let of = |readers: &[(u64, f64)]| readers.iter().find(|(key, _)| *key == 5).expect("kept").1;
    let unseen = of(&readers) / outside;
    site.spread.share(&act(70, 100_200, None), &site.laws);
    let (outside, readers, acts) = site.consider(&child);
    let [by] = acts[..] else { panic!("{acts:?}") };
    let (key, probability) = by.sharers[0].expect("a guess");
    assert_eq!(key, 5);
    assert!(probability < 0.9, "somebody else may have shared: {by:?}");
    let seen = by.probability * probability / outside;
    let both = of(&readers) / outside + seen;
    assert!(
        (both - unseen.max(seen)).abs() < 0.02 * both,
        "{both} {unseen} {seen}"
    );
}

#[test]
fn on_a_busy_content_an_act_explains_little() {
    let mut site = Site::new();
    for number in 1..=400u64 {
        site.arrive(&at(number, number as i64 * 2));
    }
    site.spread.share(&act(70, 790, None), &site.laws);
    let (_, _, acts) = site.consider(&at(900, 801));
    assert!(acts[0].probability < 0.01, "{acts:?}");
}

#[test]
fn the_app_of_the_act_and_of_the_arrival_should_agree() {
    let mut site = Site::new();
    for number in 0..1_000u64 {
        site.laws.arrived(Marks {
            channel: (number % 4) as u8 + 1,
            ..Marks::default()
        });
    }
    site.arrive(&at(1, 20_000));
    let marks = |channel| Marks {
        channel,
        ..Marks::default()
    };
    let seen = Act {
        marks: marks(2),
        ..act(70, 40_000, None)
    };
    site.spread.share(&seen, &site.laws);
    let by_channel = [2, 0, 3].map(|channel| {
        let arrival = Arrival {
            marks: marks(channel),
            ..at(9, 40_700)
        };
        site.consider(&arrival).2[0].probability
    });
    assert!(by_channel.is_sorted_by(|a, b| a > b), "{by_channel:?}");
}

#[test]
fn trees_hang_who_came_by_an_act_below_its_sharer() {
    let mut site = Site::new();
    site.arrive(&at(1, 40_000));
    site.spread.share(&act(70, 80_000, Some(1)), &site.laws);
    site.arrive(&at(2, 80_010));
    site.settle(true);
    let shape = site.spread.shape(&site.weights);
    assert!(shape.shared.likely > 0.4, "{shape:?}");
    assert!(shape.depth.likely > 1.5, "{shape:?}");
    let metrics = site.spread.metrics(90_000_000, &site.weights);
    assert_eq!(metrics.acts_per_arrival, 0.5);
}

#[test]
fn what_acts_breed_is_learned_from_certain_edges() {
    // One in five arrivals right after an act is from outside.
    let mut site = Site::new();
    let mut time = 20_000;
    for round in 0..600u64 {
        let sharer = 10 * round + 1;
        site.arrive(&at(sharer, time));
        site.spread
            .share(&act(sharer + 1, time + 100, Some(sharer)), &site.laws);
        let mut child = at(sharer + 2, time + 130);
        child.certain = Some(match round % 5 {
            0 => Certain::Outside,
            _ => Certain::Share {
                key: sharer,
                time: time * 1_000,
                sure: 1.0,
            },
        });
        site.arrive(&child);
        // Others come in between, so that acts are not too many.
        for other in 3..8 {
            site.arrive(&at(sharer + other, time + 4_000 * other as i64));
        }
        time += 40_000;
    }
    let bred = site.laws.acts.arrivals_per_act();
    assert!(bred < 0.999, "{bred}");
    let (_, _, acts) = site.consider(&at(99_999, time - 40_000 + 140));
    let newest = acts.last().expect("an act");
    assert!((0.6..0.93).contains(&newest.probability), "{newest:?}");
}

#[test]
fn state_with_acts_is_bounded_and_who_leaves_shares_no_more() {
    let mut site = Site::new();
    for number in 1..=2_000u64 {
        site.arrive(&at(number, number as i64 * 30));
        if number % 3 == 0 {
            let time = number as i64 * 30 + 1;
            site.spread
                .share(&act(1 << 40 | number, time, Some(number)), &site.laws);
        }
    }
    assert_eq!(site.spread.acts(), 666);
    let (_, _, acts) = site.consider(&at(5_000, 60_010));
    assert!(acts.len() <= ACTS_MAX && acts.len() > 8, "{}", acts.len());
    for by in acts {
        let sharers = by.sharers.iter().flatten();
        let sum: f64 = sharers.map(|(_, probability)| probability).sum();
        assert!(sum <= 1.0 + 1e-9 && by.sharers.len() == SHARERS_MAX);
    }
    let bytes = site.spread.bytes();
    assert!(bytes <= 16_384, "{bytes}");
}
