//! Figures of a content against a batch recomputation from the whole history.

use std::collections::BTreeMap;

use super::super::features::lower_bound;
use super::super::ranges::{gamma_quantile, normal_quantile};
use super::super::sums::{PRIOR_CHILDREN, PRIOR_READERS};
use super::*;

/// What became of one arrival.
#[derive(Clone, Debug, Default)]
struct Fate {
    /// P(outside) on arrival, and once settled.
    outside: f64,
    settled: Option<f64>,
    /// Certain edges by then, its own aside.
    certain: u32,
    /// Its parent in each tree that there was when it was settled; none from outside.
    parents: Vec<Option<usize>>,
}

/// Streams the first `nodes` of a history; after `cut` of them the state is one that was saved and
/// read back.
fn followed(history: &History, nodes: usize, cut: usize, closed: bool) -> (Spread, Vec<Fate>) {
    let (weights, laws) = (Weights::builtin(), MarkLaws::default());
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(7, 0);
    let mut fates = vec![Fate::default(); nodes + 1];
    for node in 1..=nodes {
        let arrival = arrival(history, node);
        let posterior = spread.consider(&arrival, &weights, &laws, &mut scratch);
        fates[node].outside = posterior.outside();
        spread.admit(&arrival, &weights, &scratch);
        while let Some(settled) =
            spread.settle(closed && node == nodes, &weights, &laws, &mut scratch)
        {
            let (key, outside) = (settled.key as usize, settled.posterior.outside());
            let known = |other: &usize| history.certain[*other] && *other != key;
            fates[key].settled = Some(outside);
            fates[key].certain = (1..=node).filter(known).count() as u32;
            // While everybody is kept a slot is an arrival.
            let above = |tree: &super::super::trees::Tree| {
                let parent = tree.parent((key - 1) as u8);
                parent.map(|slot| usize::from(slot) + 1)
            };
            fates[key].parents = spread.trees.iter().map(above).collect();
        }
        if node == cut {
            let bytes = crate::to_bytes(1, &spread).expect("serialises");
            spread = crate::from_bytes(1, &bytes).expect("reads back");
        }
    }
    (spread, fates)
}

/// P(outside) of a node, where that is certain.
fn told(history: &History, node: usize) -> Option<f64> {
    let outside = match history.parents[node] {
        0 => 1.0,
        _ => 1.0 - history.sure,
    };
    history.certain[node].then_some(outside)
}

fn close(found: f64, expected: f64, within: f64) -> bool {
    (found - expected).abs() <= within * (1.0 + expected.abs())
}

/// Expected chain arrivals: likely, and where the content is more and less from outside than is
/// known; and the variance of their number.
fn chained(
    history: &History,
    fates: &[Fate],
    settled: usize,
    weights: &Weights,
) -> ([f64; 3], f64) {
    let laws = MarkLaws::default();
    let (mut sums, mut variance) = ([0.0; 3], 0.0);
    for (node, fate) in fates.iter().enumerate().take(settled + 1).skip(1) {
        let from = |shift: f64| match (told(history, node), fate.settled) {
            (Some(outside), _) => 1.0 - outside,
            (None, Some(outside)) => 1.0 / (1.0 + outside / (1.0 - outside) * shift.exp()),
            (None, None) => panic!("{node} is not settled"),
        };
        let content = weights.departure(f64::from(fate.certain));
        let departure = content.hypot(laws.outside.deviation(fate.certain));
        let shift = departure * normal_quantile(0.9);
        for (sum, shift) in sums.iter_mut().zip([shift, 0.0, -shift]) {
            *sum += from(shift);
        }
        variance += from(0.0) * (1.0 - from(0.0));
    }
    (sums, variance)
}

/// Quantile of the delays of edges, each counted for the readers who were there long enough to show
/// it, evenly within bins by the logarithm of one plus the delay.
fn delay_quantile(edges: &[(u32, f64)], ages: &[u32], share: f64) -> f64 {
    let mut bins = BTreeMap::<u8, f64>::new();
    for (delay, part) in edges {
        let bin = amount(*delay as f32);
        let seen = ages
            .iter()
            .filter(|age| f64::from(**age) >= lower_bound(bin));
        let factor = ages.len() as f64 / (seen.count() as f64).max(1.0);
        *bins.entry(bin).or_default() += part * factor;
    }
    let total: f64 = bins.values().sum();
    let mut below = 0.0;
    for (bin, count) in &bins {
        if *count > 0.0 && below + count >= share * total - 1e-9 {
            let (from, to) = (lower_bound(*bin) + 1.0, lower_bound(bin + 1) + 1.0);
            return from * (to / from).powf((share * total - below) / count) - 1.0;
        }
        below += count;
    }
    panic!("nothing there");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn figures_equal_a_batch_recomputation(
        seed in 0u64..1 << 40,
        nodes in 1usize..=CANDIDATES_MAX,
        (sharing, tokens) in (0.05..0.9f64, prop_oneof![Just(0.0), Just(1.0), 0.02..0.8f64]),
        // As they are kept, to 1/255.
        sure in prop_oneof![Just(1.0), Just(204.0 / 255.0)],
        cut in 0usize..=CANDIDATES_MAX,
        later in prop_oneof![Just(0u32), 1u32..10_000, Just(100_000_000)],
        closed: bool,
    ) {
        let weights = Weights::builtin();
        let history = History { sure, ..cascade(seed, nodes, sharing, tokens) };
        let (spread, fates) = followed(&history, nodes, cut, closed);
        let settled = spread.settled() as usize;
        prop_assert_eq!(settled, if closed { nodes } else { nodes.saturating_sub(SETTLED_AFTER) });
        let now = history.times[nodes] + later;
        let (shape, metrics) = (spread.shape(&weights), spread.metrics(i64::from(now) * 1_000, &weights));
        let z = normal_quantile(0.9);
        let within = |age: u32| f64::from(weights.arrived_within(age as f32));

        // R, censored: each reader counts by the children that should have come by now.
        let ([fewest, likely, most], variance) = chained(&history, &fates, settled, &weights);
        let exposure: f64 = history.times[1..=settled].iter().map(|time| within(now - time)).sum();
        let readers = exposure + PRIOR_READERS;
        let ratio = |count: f64| (count.max(0.0) + PRIOR_CHILDREN) / readers;
        let gamma = |share: f64| gamma_quantile(likely + PRIOR_CHILDREN, share) - PRIOR_CHILDREN;
        let below = (likely - gamma(0.1)).hypot(likely - fewest);
        let above = (gamma(0.9) - likely).hypot(most - likely);
        let found = metrics.reproduction;
        prop_assert!(close(found.likely, ratio(likely), 1e-9), "{found:?} {}", ratio(likely));
        prop_assert!(close(found.low, ratio(likely - below), 1e-6), "{found:?}");
        prop_assert!(close(found.high, ratio(likely + above), 1e-6), "{found:?}");

        // k-factor: the same arrivals for each reader so far.
        if settled > 0 {
            let count = settled as f64;
            let chance = z * variance.sqrt();
            let low = (likely - chance.hypot(likely - fewest)) / count;
            let high = (likely + chance.hypot(most - likely)) / count;
            let found = metrics.k_factor;
            prop_assert!(close(found.likely, likely / count, 1e-9), "{found:?}");
            prop_assert!(close(found.low, low.clamp(0.0, 1.0), 1e-6), "{found:?}");
            prop_assert!(close(found.high, high.clamp(0.0, 1.0), 1e-6), "{found:?}");
        }

        // R now: of the newest 96, by causes as they look by now, kept to 1/510.
        if nodes > 1 {
            let before = nodes.saturating_sub(SETTLED_AFTER);
            let from = history.times[before];
            let (mut shared, mut varies) = (0.0, 0.0);
            for (node, fate) in fates.iter().enumerate().skip(before + 1) {
                let outside = fate.settled.unwrap_or(fate.outside);
                let outside = told(&history, node).unwrap_or((outside * 255.0).round() / 255.0);
                shared += 1.0 - outside;
                varies += outside * (1.0 - outside);
            }
            let exposure: f64 = history.times[1..=nodes]
                .iter()
                .map(|time| match *time >= from {
                    true => within(now - time),
                    false => (within(now - time) - within(from - time)).max(0.0),
                })
                .sum();
            let known = (1..=nodes).filter(|node| history.certain[*node]).count();
            let unknown = weights.departure(known as f64) * varies * z;
            let (children, readers) = (shared + PRIOR_CHILDREN, exposure + PRIOR_READERS);
            let reach = |share: f64| (children - gamma_quantile(children, share)).hypot(unknown);
            let found = metrics.reproduction_now.expect("two arrivals");
            prop_assert!(close(found.likely, children / readers, 1e-9), "{found:?}");
            prop_assert!(close(found.low, (children - reach(0.1)).max(0.0) / readers, 1e-6), "{found:?}");
            prop_assert!(close(found.high, (children + reach(0.9)) / readers, 1e-6), "{found:?}");
        }

        // Generations, breadth and depth, from the sampled trees as each arrival was hung.
        let trees = fates[1..=settled].iter().map(|fate| fate.parents.len());
        let trees = trees.chain([spread.trees.len()]).max().expect("some");
        let (mut edges, mut breadth, mut generations) = (Vec::new(), BTreeMap::new(), 0.0);
        let mut depths = vec![vec![0usize; settled + 1]; trees];
        for (node, fate) in fates.iter().enumerate().take(settled + 1).skip(1) {
            let each = 1.0 / fate.parents.len() as f64;
            for (tree, parent) in fate.parents.iter().enumerate() {
                let depth = parent.map_or(0, |parent| depths[tree][parent]) + 1;
                depths[tree][node] = depth;
                *breadth.entry(depth.min(16)).or_insert(0.0) += each;
                generations += depth as f64 * each;
                if let Some(parent) = parent {
                    edges.push((history.times[node] - history.times[*parent], each));
                }
            }
        }
        prop_assert_eq!(shape.breadth.len(), breadth.keys().max().copied().unwrap_or(0));
        for (at, found) in shape.breadth.iter().enumerate() {
            let expected = breadth.get(&(at + 1)).copied().unwrap_or(0.0);
            prop_assert!(close(*found, expected, 1e-4), "{} {:?} {:?}", at, shape, breadth);
        }
        prop_assert!(close(shape.generation * settled as f64, generations, 1e-9));
        let kept = spread.trees.len();
        let mut deepest = 0.0;
        for (number, tree) in spread.trees.iter().enumerate() {
            let of = |node: usize| fates[node].parents[number];
            let mut sizes = vec![1u64; settled + 1];
            for node in (1..=settled).rev() {
                prop_assert_eq!(u64::from(tree.depth((node - 1) as u8)), depths[number][node] as u64);
                prop_assert_eq!(tree.size((node - 1) as u8), sizes[node]);
                if let Some(parent) = of(node) {
                    sizes[parent] += sizes[node];
                }
            }
            deepest += depths[number].iter().max().copied().unwrap_or(0) as f64 / kept as f64;
        }
        // Its mean is kept above nothing, so that it has a logarithm.
        prop_assert!(close(shape.depth.likely, deepest, 2e-6), "{:?} {}", shape.depth, deepest);

        // Generation time, corrected for readers too young to show a long one.
        let expected: f64 = edges.iter().map(|(_, part)| part).sum();
        let ages: Vec<u32> = history.times[1..=settled].iter().map(|time| now - time).collect();
        match metrics.generation_time {
            None => prop_assert!(expected < 3.001, "{}", expected),
            Some(found) => {
                prop_assert!(expected > 2.999, "{}", expected);
                for (found, share) in [(found.low, 0.25), (found.median, 0.5), (found.high, 0.75)] {
                    // Parts are summed in single precision, by which a quantile at a bin's edge may
                    // fall on its other side: it lies between those of shares a little apart.
                    let [from, to] = [-1e-4, 1e-4].map(|off| delay_quantile(&edges, &ages, share + off));
                    let rounding = 1e-6 * (1.0 + found);
                    prop_assert!(from - rounding <= found && found <= to + rounding, "{share}: {from} {found} {to}");
                }
            }
        }
    }
}

/// The figures once more, of causes that are recomputed from the whole history as well: nothing that
/// streams is in them.
#[test]
fn reproduction_is_that_of_the_batch_posteriors() {
    let weights = Weights::builtin();
    for (seed, tokens) in [(1, 0.0), (2, 0.1), (3, 0.6), (4, 0.3)] {
        let history = cascade(seed, CANDIDATES_MAX, 0.4, tokens);
        let (spread, fates) = followed(&history, CANDIDATES_MAX, 100, true);
        let recomputed: Vec<Fate> = fates
            .iter()
            .enumerate()
            .map(|(node, fate)| Fate {
                settled: (node > 0).then(|| batch(&history, node, &weights).0),
                ..fate.clone()
            })
            .collect();
        let (found, _) = chained(&history, &fates, CANDIDATES_MAX, &weights);
        let (expected, _) = chained(&history, &recomputed, CANDIDATES_MAX, &weights);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (found - expected).abs() < 0.01,
                "{seed}: {found} {expected}"
            );
        }
        let share = spread.shape(&weights).shared.likely * CANDIDATES_MAX as f64;
        assert!(
            (share - expected[1]).abs() < 0.01,
            "{seed}: {share} {expected:?}"
        );
    }
}

/// Contents of a known law: how often the stated range holds its median.
#[test]
fn the_range_of_a_half_life_holds_that_of_the_law() {
    let weights = Weights::builtin();
    let mut held = [0, 0, 0];
    let mut scored = 0;
    for seed in 0..300u64 {
        // A rush in the first minute, then arrivals whose ages are exponential from there on.
        let count = [20, 60, 200][seed as usize % 3];
        let mean = 20_000.0;
        let mut times: Vec<u32> = (0..count)
            .map(|number| match number % 4 {
                0 => number % 64,
                _ => 64 + (-(1.0 - dice(seed, number, 0)).ln() * mean) as u32,
            })
            .collect();
        times.sort_unstable();
        let certain = Some(Certain::Outside);
        let mut scratch = Scratch::default();
        let laws = MarkLaws::default();
        let mut spread = Spread::new(seed, 0);
        for (key, time) in (1..).zip(&times) {
            let mut arrival = Arrival::new(key, i64::from(*time) * 1_000);
            // Nobody passes it on: nothing is still to come.
            arrival.certain = certain;
            spread.consider(&arrival, &weights, &laws, &mut scratch);
            spread.admit(&arrival, &weights, &scratch);
            while spread
                .settle(false, &weights, &laws, &mut scratch)
                .is_some()
            {}
        }
        while spread.settle(true, &weights, &laws, &mut scratch).is_some() {}
        let metrics = spread.metrics(i64::from(u32::MAX) * 1_000, &weights);
        let range = metrics.half_life.expect("all have come");
        // From the middle of the first minute.
        let truth = mean * std::f64::consts::LN_2 + 32.0;
        scored += 1;
        let place = match (range.low <= truth, truth <= range.high) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        };
        held[place] += 1;
        assert!(range.low > 0.0 && range.high < 6.0 * truth, "{range:?}");
    }
    let part = f64::from(held[1]) / f64::from(scored);
    assert!((0.76..0.93).contains(&part), "{held:?}");
    assert!(
        held[0] > 5 && held[2] > 5,
        "misses lie on both sides: {held:?}"
    );
}
