//! The streaming posterior against a batch recomputation from the whole history, and what must
//! hold of it whatever comes.

use proptest::prelude::*;

use super::draws::dice;
use super::features::{CandidateBins, Table, UNKNOWN, amount, ratio, ratio_of_bins};
use super::*;

mod acts;
mod figures;
mod hostile;
mod late;
mod lessons;
mod tokens;

/// A content's history, in seconds; node 0 is its start.
struct History {
    times: Vec<u32>,
    parents: Vec<usize>,
    certain: Vec<bool>,
    /// P(it is the cause) of a share that is told.
    sure: f64,
}

/// A branching cascade: arrivals from outside whose pace decays, children with Lomax delays.
fn cascade(seed: u64, nodes: usize, sharing: f64, tokens: f64) -> History {
    let draw = |node: usize, what: usize| dice(seed, node as u32, what);
    let lomax = |share: f64, scale: f64| scale * ((1.0 - share).powf(-2.0) - 1.0);
    let mut events: Vec<(f64, Option<usize>)> = Vec::new();
    let mut time = 0.0;
    for node in 0..nodes {
        time += -(1.0 - draw(node, 0)).ln() * (2.0 + time / 300.0);
        events.push((time, None));
    }
    // Children, also of children: few readers have most of them.
    let mut at = 0;
    while at < events.len() && events.len() < 4 * nodes {
        let active = draw(at, 1) < 0.15;
        let children = if active {
            (sharing / 0.15 * 2.0 * draw(at, 2)).round()
        } else {
            0.0
        };
        for child in 0..children as usize {
            let delay = lomax(draw(at, 10 + child) * 0.98, 60.0);
            events.push((events[at].0 + delay, Some(at)));
        }
        at += 1;
    }
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by(|a, b| events[*a].0.total_cmp(&events[*b].0).then(a.cmp(b)));
    order.truncate(nodes);
    let mut number = vec![usize::MAX; events.len()];
    let mut history = History {
        times: vec![0],
        parents: vec![0],
        certain: vec![false],
        sure: 1.0,
    };
    for (at, event) in order.into_iter().enumerate() {
        number[event] = at + 1;
        history.times.push(events[event].0 as u32);
        let parent = events[event].1.map_or(0, |parent| number[parent]);
        history.parents.push(parent);
        history.certain.push(draw(at, 3) < tokens);
    }
    history
}

fn arrival(history: &History, node: usize) -> Arrival {
    let time = |node: usize| i64::from(history.times[node]) * 1_000;
    let mut arrival = Arrival::new(node as u64, time(node));
    if history.certain[node] {
        arrival.certain = Some(match history.parents[node] {
            0 => Certain::Outside,
            parent => Certain::Share {
                key: parent as u64,
                time: time(parent),
                sure: history.sure,
            },
        });
    }
    arrival
}

/// Probabilities of one arrival: the outside, and each earlier node.
type Causes = (f64, Vec<f64>);

/// Streams a history; gives state and settled probabilities, those of a block spread evenly.
fn stream(history: &History, weights: &Weights) -> (Spread, Vec<Causes>) {
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(7, 0);
    let mut settled = Vec::new();
    let nodes = history.times.len();
    for node in 1..=nodes {
        let closed = node == nodes;
        if !closed {
            let arrival = arrival(history, node);
            spread.consider(&arrival, weights, &laws, &mut scratch);
            spread.admit(&arrival, weights, &scratch);
        }
        while let Some(one) = spread.settle(closed, weights, &laws, &mut scratch) {
            let posterior = one.posterior;
            let mut readers = vec![f64::NAN; posterior.ordinal() as usize];
            for (key, _, probability) in posterior.readers() {
                readers[key as usize] = probability;
            }
            let mut from = 1;
            for block in posterior.pooled() {
                for reader in &mut readers[from..=block.last as usize] {
                    if reader.is_nan() {
                        *reader = block.probability / f64::from(block.count.max(1));
                    }
                }
                from = block.last as usize + 1;
            }
            settled.push((posterior.outside(), readers));
        }
    }
    (spread, settled)
}

/// The same of one node from the whole history at once, nothing bounded.
fn batch(history: &History, node: usize, weights: &Weights) -> Causes {
    let times = &history.times;
    let newest = (node + SETTLED_AFTER).min(times.len() - 1);
    let certain = |other: usize| history.certain[other] && other != node;
    let gap = |node: usize, back: usize| {
        let from = node.saturating_sub(back);
        amount((times[node] - times[from]) as f32 / (node - from).max(1) as f32)
    };
    let (mut all, mut outside) = (0.0f32, 0.0f32);
    let (mut near, mut wide) = ([0.0f32; 2], [0.0f32; 2]);
    for other in (1..=newest).filter(|other| certain(*other)) {
        let out = f32::from(u8::from(history.parents[other] == 0));
        let distance = node.abs_diff(other) as f32;
        let [close, far] = [(-distance / 30.0).exp(), (-distance / 200.0).exp()];
        (all, outside) = (all + 1.0, outside + out);
        near = [near[0] + close * out, near[1] + close];
        wide = [wide[0] + far * out, wide[1] + far];
    }
    let mean_gap = |back: usize| {
        let from = node.saturating_sub(back);
        (times[node] - times[from]) as f32 / (node - from).max(1) as f32
    };
    let ahead = newest.min(node + 20);
    let odds = |outside: f32, all: f32| ratio(outside + 3.2, (all - outside).max(0.0) + 1.3);
    let bins = [
        amount(node as f32),
        amount(times[node] as f32),
        gap(node, 1),
        gap(node, 5),
        gap(node, 20),
        gap(node, 64),
        gap(node, node),
        ratio(mean_gap(20) + 1.0, mean_gap(node) + 1.0),
        match ahead > node {
            true => amount((times[ahead] - times[node]) as f32 / (ahead - node) as f32),
            false => UNKNOWN,
        },
        odds(outside, all),
        odds(near[0], near[1]),
        odds(wide[0], wide[1]),
        amount(all),
        ratio(1.0 + all, 1.0 + node as f32),
    ];
    let log = Table::ALL
        .iter()
        .zip(bins)
        .map(|(table, bin)| weights.log(*table, bin));
    let from_outside = log.sum::<f64>().exp();
    let mut readers = vec![f64::NAN];
    for reader in 1..node {
        let known = |from: usize, to: usize| (from..=to).filter(|other| certain(*other)).count();
        let own: Vec<usize> = (1..=newest)
            .filter(|other| certain(*other) && history.parents[*other] == reader)
            .collect();
        let burst = |span: usize| {
            if reader + span > newest {
                return UNKNOWN;
            }
            let from = reader.saturating_sub(span);
            let before = (times[reader] - times[from]) as f32 + 1.0;
            let after = (times[reader + span] - times[reader]) as f32 + 1.0;
            ratio(before / (reader - from) as f32, after / span as f32)
        };
        let nearest = own.iter().map(|child| child.abs_diff(node)).min();
        let origin = match (history.certain[reader], history.parents[reader]) {
            (false, _) => 0,
            (true, 0) => 1,
            (true, _) => 2,
        };
        let bins = CandidateBins {
            proven: !own.is_empty(),
            delay: amount((times[node] - times[reader]) as f32),
            rank: amount((node - reader) as f32),
            exposure: amount(known(reader + 1, newest) as f32),
            nearest_child: nearest.map_or(UNKNOWN, |nearest| amount(nearest as f32)),
            children: if own.is_empty() {
                UNKNOWN
            } else {
                amount(own.len() as f32)
            },
            ordinal: amount(reader as f32),
            bursts: [burst(4), burst(16), burst(64)],
            pace: ratio_of_bins(gap(reader, 10), gap(node, 10)),
            origin,
        };
        let logs = bins.places().map(|place| weights.logs[usize::from(place)]);
        readers.push(logs.iter().sum::<f64>().exp());
    }
    let total = from_outside + readers[1..].iter().sum::<f64>();
    readers[1..].iter_mut().for_each(|weight| *weight /= total);
    (from_outside / total, readers)
}

#[test]
fn streaming_equals_batch_while_everybody_is_kept() {
    let weights = Weights::builtin();
    for (seed, tokens) in [(1, 0.0), (2, 0.1), (3, 0.6)] {
        let history = cascade(seed, CANDIDATES_MAX, 0.4, tokens);
        let (_, settled) = stream(&history, &weights);
        assert_eq!(settled.len(), history.times.len() - 1);
        for (at, (outside, readers)) in settled.iter().enumerate() {
            let (expected, others) = batch(&history, at + 1, &weights);
            assert!(
                (outside - expected).abs() < 1e-4,
                "{seed} {at}: {outside} {expected}"
            );
            for (reader, (found, expected)) in readers.iter().zip(&others).enumerate().skip(1) {
                // Sums of decayed counts may fall on the other side of a bin's edge; nothing else.
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{seed} {at} {reader}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn bounded_state_costs_less_than_two_hundredths_of_a_nat() {
    let weights = Weights::builtin();
    for (seed, tokens) in [(11, 0.0), (12, 0.05), (13, 0.2)] {
        let history = cascade(seed, 1_500, 0.4, tokens);
        let (_, settled) = stream(&history, &weights);
        let (mut bounded, mut unbounded, mut outside_off, mut scored) = (0.0, 0.0, 0.0, 0.0);
        for node in (1..history.times.len()).filter(|node| !history.certain[*node]) {
            let truth = |(outside, readers): &Causes| match history.parents[node] {
                0 => *outside,
                parent => readers[parent],
            };
            let expected = batch(&history, node, &weights);
            bounded -= truth(&settled[node - 1]).max(1e-12).ln();
            unbounded -= truth(&expected).max(1e-12).ln();
            outside_off += settled[node - 1].0 - expected.0;
            scored += 1.0;
        }
        let loss = (bounded - unbounded) / scored;
        assert!(loss < 0.02, "{seed}: {loss}");
        let bias: f64 = outside_off / scored;
        assert!(bias.abs() < 0.01, "{seed}: {bias}");
    }
}

#[test]
fn known_trees_have_their_exact_shape() {
    let weights = Weights::builtin();
    for seed in 1..6 {
        let mut history = cascade(seed, 200, 0.5, 1.0);
        history.certain = vec![true; history.times.len()];
        let (spread, _) = stream(&history, &weights);
        let shape = spread.shape(&weights);
        let nodes = history.parents.len();
        let mut sizes = vec![1u64; nodes];
        let mut depths = vec![0u64; nodes];
        for node in 1..nodes {
            depths[node] = depths[history.parents[node]] + 1;
        }
        let mut distances = 0.0;
        for node in (1..nodes).rev() {
            sizes[history.parents[node]] += sizes[node];
            distances += (sizes[node] * (nodes as u64 - sizes[node])) as f64;
        }
        let virality = 2.0 * distances / (nodes * (nodes - 1)) as f64;
        assert!((shape.virality.likely - virality).abs() < 1e-9);
        assert_eq!(
            shape.depth.likely,
            *depths.iter().max().expect("some") as f64
        );
        let mean = depths.iter().sum::<u64>() as f64 / (nodes - 1) as f64;
        assert!((shape.generation - mean).abs() < 1e-9);
        let shared = history.parents.iter().filter(|parent| **parent > 0).count();
        assert_eq!(shape.shared.likely, shared as f64 / (nodes - 1) as f64);
        assert_eq!(
            (shape.shared.low, shape.shared.high),
            (shape.shared.likely, shape.shared.likely)
        );
    }
}

#[test]
fn sums_are_those_of_the_settled_posteriors() {
    let weights = Weights::builtin();
    let history = cascade(21, 900, 0.4, 0.1);
    let (spread, settled) = stream(&history, &weights);
    let shared: f64 = (1..history.times.len())
        .map(
            |node| match (history.certain[node], history.parents[node]) {
                (true, 0) => 0.0,
                (true, _) => 1.0,
                (false, _) => 1.0 - settled[node - 1].0,
            },
        )
        .sum();
    let shape = spread.shape(&weights);
    assert_eq!(shape.arrivals, 900);
    assert!((shape.shared.likely - shared / 900.0).abs() < 1e-9);
    assert!(shape.shared.low < shape.shared.likely && shape.shared.likely < shape.shared.high);
    assert!(shape.virality.low < shape.virality.likely);
    // Children are still to come of readers of an hour ago: the ratio is greater than the share.
    let now = i64::from(history.times[900]) * 1_000;
    let young = spread.reproduction(now, &weights);
    let old = spread.reproduction(now + 10 * 365 * 86_400_000, &weights);
    assert!(young.likely > old.likely && old.low < old.likely && old.likely < old.high);
}

/// Sixty readers over a day, each from outside or each from the one before, none or half of them by
/// a token.
fn sixty(chained: bool, tokens: bool) -> History {
    let mut history = History {
        times: vec![0],
        parents: vec![0],
        certain: vec![false],
        sure: 1.0,
    };
    for node in 1..=60usize {
        let part = node as f64 / 60.0;
        history.times.push((part * part * 86_400.0) as u32);
        history.parents.push(if chained { node - 1 } else { 0 });
        history.certain.push(tokens && node % 2 == 0);
    }
    history
}

#[test]
fn a_small_content_that_nobody_passes_on_may_have_no_spreading() {
    let weights = Weights::builtin();
    let (star, _) = stream(&sixty(false, false), &weights);
    let sums = star.shape(&weights);
    assert!(
        sums.shared.low > 0.0,
        "single edges never say none: {sums:?}"
    );
    let unshared = star.unshared();
    let shape = star.shape_or_none(&weights, unshared);
    let least = 2.0 * 60.0 / 61.0;
    assert_eq!(shape.shared.low, 0.0, "{unshared} {shape:?}");
    assert!((shape.virality.low - least).abs() < 1e-9, "{shape:?}");
    assert_eq!(shape.depth.low, 1.0, "{shape:?}");
    assert!(shape.shared.likely < sums.shared.likely);
    assert!(shape.shared.high <= sums.shared.high, "{shape:?} {sums:?}");
    // Thirty that are certainly from outside say it nearly surely.
    let (told, _) = stream(&sixty(false, true), &weights);
    let told = told.shape_or_none(&weights, told.unshared());
    assert!(told.shared.likely < 0.5 * shape.shared.likely, "{told:?}");

    let (chain, _) = stream(&sixty(true, true), &weights);
    assert_eq!(chain.unshared(), 0.0);
    let shape = chain.shape_or_none(&weights, chain.unshared());
    assert_eq!(shape, chain.shape(&weights));
    assert!(shape.shared.low > 0.4, "{shape:?}");
}

#[test]
fn state_is_bounded_and_small() {
    let weights = Weights::builtin();
    let (spread, _) = stream(&cascade(31, 4_000, 0.4, 0.05), &weights);
    assert!(spread.bytes() <= 16_384, "{}", spread.bytes());
    let (spread, _) = stream(&cascade(32, 4_000, 0.6, 1.0), &weights);
    assert!(spread.bytes() <= 16_384, "{}", spread.bytes());
}

#[test]
fn a_token_of_who_is_not_kept_takes_no_room_that_is_not_used() {
    let weights = Weights::builtin();
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    // While the first are kept, while nobody has left yet, and once all places are taken.
    for unknown in [10, 62, 190, 240, 250, 700] {
        let mut spread = Spread::new(9, 0);
        for node in 1..=800u64 {
            let mut arrival = Arrival::new(node, node as i64 * 600_000);
            let key = match node == unknown {
                true => 1 << 50,
                false => node.saturating_sub(1 + node % 90).max(1),
            };
            arrival.certain = (node > 1).then_some(Certain::Share {
                key,
                time: 0,
                sure: 1.0,
            });
            spread.consider(&arrival, &weights, &laws, &mut scratch);
            spread.admit(&arrival, &weights, &scratch);
            while spread
                .settle(false, &weights, &laws, &mut scratch)
                .is_some()
            {}
            assert!(spread.bytes() <= 16_384, "{unknown}: {}", spread.bytes());
        }
    }
}

#[test]
fn who_had_left_is_back_when_a_token_names_him() {
    let weights = Weights::builtin();
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(1, 0);
    let mut admit = |spread: &mut Spread, arrival: Arrival| {
        spread.consider(&arrival, &weights, &laws, &mut scratch);
        spread.admit(&arrival, &weights, &scratch);
        while spread
            .settle(false, &weights, &laws, &mut scratch)
            .is_some()
        {}
    };
    for node in 1..=1_000u64 {
        admit(&mut spread, Arrival::new(node, node as i64 * 60_000));
    }
    let kept = |spread: &Spread| {
        spread
            .candidates
            .iter()
            .any(|candidate| candidate.key() == 2)
    };
    let gone =
        |spread: &Spread| -> u32 { spread.pool.blocks().iter().map(|block| block.count).sum() };
    assert!(!kept(&spread));
    assert_eq!(gone(&spread) as usize + CANDIDATES_MAX, 1_000);
    let mut child = Arrival::new(1_001, 1_001 * 60_000);
    child.certain = Some(Certain::Share {
        key: 2,
        time: 120_000,
        sure: 1.0,
    });
    admit(&mut spread, child);
    assert!(kept(&spread));
    assert_eq!(gone(&spread) as usize + CANDIDATES_MAX, 1_001);
}

#[derive(Clone, Debug)]
struct Wild {
    step: i64,
    cause: u8,
    parent: f64,
    marks: Marks,
    log_odds: f64,
    strangers: f64,
}

fn wild() -> impl Strategy<Value = Wild> {
    let log_odds = prop_oneof![4 => -3.0..3.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
    let step = prop_oneof![6 => 0i64..100_000, 1 => -50_000i64..0, 1 => Just(i64::MAX / 4)];
    (
        step,
        0u8..6,
        0.0..1.0f64,
        0u8..3,
        0u16..4,
        log_odds,
        -1.0..2.0f64,
    )
        .prop_map(
            |(step, cause, parent, channel, network, log_odds, strangers)| Wild {
                step,
                cause,
                parent,
                marks: Marks {
                    channel,
                    network,
                    device: channel,
                },
                log_odds,
                strangers,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_comes_probabilities_sum_to_one_and_replay_is_the_same(
        wild in prop::collection::vec(wild(), 1..700),
        cut in 0usize..700,
    ) {
        let weights = Weights::builtin();
        let laws = MarkLaws::default();
        let mut scratch = Scratch::default();
        let mut spread = Spread::new(5, 0);
        let mut replayed: Option<Spread> = None;
        let mut time = 0i64;
        for (at, wild) in wild.iter().enumerate() {
            time = time.saturating_add(wild.step);
            let mut arrival = Arrival::new(at as u64 + 1, time);
            arrival.marks = wild.marks;
            arrival.outside_log_odds = wild.log_odds;
            spread.expect_strangers(wild.strangers);
            arrival.certain = match wild.cause {
                0 => Some(Certain::Outside),
                // Also keys that nobody has, and one's own.
                1 => Some(Certain::Share {
                    key: (wild.parent * (at + 3) as f64) as u64,
                    time: 0,
                    sure: 1.0 - wild.parent / 2.0,
                }),
                _ => None,
            };
            let sum = |posterior: &Posterior<'_>| {
                let readers: Vec<f64> = posterior.readers().map(|(_, _, p)| p).collect();
                let pooled: Vec<f64> = posterior.pooled().map(|block| block.probability).collect();
                let all = readers.iter().chain(&pooled).chain([&0.0]).copied();
                assert!(all.clone().all(|p| (0.0..=1.0 + 1e-6).contains(&p)));
                posterior.outside() + posterior.strangers() + all.sum::<f64>()
            };
            let now = sum(&spread.consider(&arrival, &weights, &laws, &mut scratch));
            prop_assert!((now - 1.0).abs() < 1e-4, "{}", now);
            spread.admit(&arrival, &weights, &scratch);
            while let Some(settled) = spread.settle(false, &weights, &laws, &mut scratch) {
                let settled = sum(&settled.posterior);
                prop_assert!((settled - 1.0).abs() < 1e-4, "{}", settled);
            }
            if let Some(replayed) = &mut replayed {
                let mut scratch = Scratch::default();
                replayed.expect_strangers(wild.strangers);
                replayed.consider(&arrival, &weights, &laws, &mut scratch);
                replayed.admit(&arrival, &weights, &scratch);
                while replayed.settle(false, &weights, &laws, &mut scratch).is_some() {}
            }
            if at == cut {
                let bytes = crate::to_bytes(1, &spread).expect("serialises");
                replayed = Some(crate::from_bytes(1, &bytes).expect("reads back"));
            }
        }
        if let Some(replayed) = replayed {
            let bytes = |spread: &Spread| crate::to_bytes(1, spread).expect("serialises");
            prop_assert!(bytes(&replayed) == bytes(&spread));
        }
        let shape = spread.shape(&weights);
        for range in [shape.shared, shape.virality, shape.depth, spread.reproduction(time, &weights)] {
            prop_assert!(range.low <= range.likely && range.likely <= range.high, "{:?}", range);
            prop_assert!(range.low >= 0.0 && range.high.is_finite(), "{:?}", range);
        }
        let told = spread.unshared();
        prop_assert!((0.0..=1.0).contains(&told));
        let by_visits = [-1e9, -3.0, 0.0, 3.0, 1e9].map(|shown| spread.unshared_where_shown(shown));
        prop_assert!(by_visits.is_sorted() && by_visits[2] == told, "{:?}", by_visits);
        for unshared in [0.0, 0.04, 0.1, 0.5, 0.85, 1.0] {
            let either = spread.shape_or_none(&weights, unshared);
            for (range, of_trees) in [
                (either.shared, shape.shared),
                (either.virality, shape.virality),
                (either.depth, shape.depth),
            ] {
                prop_assert!(range.low <= range.likely, "{:?}", range);
                prop_assert!(range.likely <= range.high, "{:?}", range);
                prop_assert!(range.low >= 0.0, "{:?}", range);
                prop_assert!(range.high <= of_trees.high + 1e-9, "{:?} {:?}", range, of_trees);
            }
            let begun = shape.clone().or_none(unshared);
            let star = 2.0 * shape.arrivals as f64 / (shape.arrivals as f64 + 1.0);
            for (range, of_edges, least) in [
                (begun.shared, shape.shared, 0.0),
                (begun.virality, shape.virality, star),
                (begun.depth, shape.depth, 1.0),
            ] {
                prop_assert_eq!(range.likely, of_edges.likely);
                prop_assert!(range.likely <= range.high && range.high <= of_edges.high, "{:?}", range);
                let low = if unshared < 0.1 { of_edges.low } else { of_edges.low.min(least) };
                prop_assert_eq!(range.low, low);
            }
        }
        prop_assert!(spread.bytes() <= 16_384, "{}", spread.bytes());
    }
}

/// What is drawn for one reader after the other by himself hangs them below too many: in a true
/// spreading few readers have most of the children.
#[test]
fn children_gather_below_few_sharers() {
    const READERS: u64 = 60;
    let weights = Weights::flat();
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(7, 0);
    for reader in 1..=READERS {
        // All but the first were sent, each as likely by one reader as by another.
        let mut arrival = Arrival::new(reader, reader as i64 * 60_000);
        arrival.outside_log_odds = -30.0;
        spread.consider(&arrival, &weights, &laws, &mut scratch);
        spread.admit(&arrival, &weights, &scratch);
    }
    while spread.settle(true, &weights, &laws, &mut scratch).is_some() {}
    let mut sharers = 0;
    for tree in &spread.trees {
        let mut parents = [0; CANDIDATES_MAX];
        let children = tree.parents(&[true; CANDIDATES_MAX], &mut parents);
        assert!(children as u64 >= READERS - 2);
        let parents: std::collections::BTreeSet<u8> = parents[..children].iter().copied().collect();
        sharers += parents.len();
    }
    let mean = sharers as f64 / spread.trees.len() as f64;
    // Half of them where each is drawn by itself; by the urn of shape .1 about .1 ln(1 + 60 / .1 …).
    assert!((2.0..15.0).contains(&mean), "{mean}");
}
