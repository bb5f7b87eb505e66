//! Causes that become certain late.

use super::*;

/// Streams a history of which some tokens are told so many arrivals late; closes it.
fn stream_late(
    history: &History,
    late: impl Fn(usize) -> Option<usize>,
    closed_first: bool,
    weights: &Weights,
) -> (Spread, Vec<Late>) {
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let mut spread = Spread::new(7, 0);
    let mut answers = Vec::new();
    let nodes = history.times.len();
    let mut told = vec![Vec::new(); 3 * nodes];
    for node in 1..nodes {
        let mut arrival = arrival(history, node);
        if let (Some(by), Some(certain)) = (late(node), arrival.certain) {
            arrival.certain = None;
            told[node + by].push((node, certain));
        }
        spread.consider(&arrival, weights, &laws, &mut scratch);
        spread.admit(&arrival, weights, &scratch);
        while spread.settle(false, weights, &laws, &mut scratch).is_some() {}
        for (node, certain) in std::mem::take(&mut told[node]) {
            let key = node as u64;
            answers.push(spread.correct(key, certain, weights, &laws, &mut scratch));
        }
    }
    let close = |spread: &mut Spread, scratch: &mut Scratch| {
        while spread.settle(true, weights, &laws, scratch).is_some() {}
    };
    if closed_first {
        close(&mut spread, &mut scratch);
    }
    for (node, certain) in told.into_iter().flatten() {
        let key = node as u64;
        answers.push(spread.correct(key, certain, weights, &laws, &mut scratch));
    }
    close(&mut spread, &mut scratch);
    (spread, answers)
}

#[test]
fn before_anything_settles_it_is_as_if_it_had_always_been_certain() {
    let weights = Weights::builtin();
    for seed in 1..6 {
        let history = cascade(seed, SETTLED_AFTER - 4, 0.5, 0.4);
        let (at_once, _) = stream(&history, &weights);
        let late = |node: usize| node.is_multiple_of(2).then_some(node % 45);
        let (late, answers) = stream_late(&history, late, false, &weights);
        assert!(answers.iter().all(|answer| *answer == Late::Pending));
        assert!(answers.len() > 5);
        // The order of the spreaders aside, in which nothing depends.
        let bare = |spread: &Spread| {
            let mut spread = spread.clone();
            spread.spreaders.sort_by_key(|spreader| spreader.slot);
            for candidate in &mut spread.candidates {
                candidate.spreader = 0;
            }
            spread
        };
        assert!(bare(&at_once) == bare(&late), "{seed}");
    }
}

#[test]
fn after_settling_trees_and_sums_are_those_of_the_known_tree() {
    // Every cause is certain in the end, half of them told when all had settled: trees, counts and
    // sums must be what they would have been.
    let weights = Weights::builtin();
    for (seed, sure) in (1..8).flat_map(|seed| [(seed, 1.0), (seed, 0.77)]) {
        let mut history = cascade(seed, 200, 0.5, 1.0);
        history.certain = vec![true; history.times.len()];
        history.sure = sure;
        let (known, _) = stream(&history, &weights);
        let late = |node: usize| (node % 2 == 1).then_some(300);
        let (late, answers) = stream_late(&history, late, true, &weights);
        assert!(answers.iter().all(|answer| *answer == Late::Moved));
        assert_eq!(answers.len(), 100);
        assert_eq!(late.trees, known.trees, "{seed}");
        assert_eq!(
            (late.certain, late.certain_outside),
            (known.certain, known.certain_outside)
        );
        let (late_shape, shape) = (late.shape(&weights), known.shape(&weights));
        assert_eq!(late_shape.virality, shape.virality);
        assert_eq!(late_shape.depth, shape.depth);
        assert!((late_shape.generation - shape.generation).abs() < 1e-9);
        // A settled probability is kept to 1/510.
        let off = (late_shape.shared.likely - shape.shared.likely).abs();
        assert!(off < 0.001, "{off}");
        let now = i64::from(history.times[200]) * 1_000;
        let quartiles = |spread: &Spread| spread.metrics(now, &weights).generation_time;
        let (found, expected) = (quartiles(&late), quartiles(&known));
        let (found, expected) = (found.expect("edges"), expected.expect("edges"));
        assert!((found.median - expected.median).abs() < 0.01 * expected.median);
        for (one, other) in late.candidates.iter().zip(&known.candidates) {
            assert_eq!(one.certain_before(), other.certain_before());
            assert_eq!(
                (one.origin(), one.outside()),
                (other.origin(), other.outside())
            );
        }
        for (one, other) in [(late.near, known.near), (late.wide, known.wide)] {
            assert!((one[0] - other[0]).abs() < 1e-3 && (one[1] - other[1]).abs() < 1e-3);
        }
    }
}

#[test]
fn what_cannot_be_corrected_changes_nothing() {
    let weights = Weights::builtin();
    let laws = MarkLaws::default();
    let mut scratch = Scratch::default();
    let (mut spread, _) = stream(&cascade(5, 900, 0.4, 0.1), &weights);
    let before = spread.clone();
    let kept = spread.candidates.clone();
    let unknown = kept.iter().find(|one| one.origin() == 0 && !one.is_back());
    let unknown = unknown.expect("one").key();
    let newest = kept
        .iter()
        .max_by_key(|one| one.ordinal)
        .expect("one")
        .key();
    let certain = kept
        .iter()
        .find(|one| one.origin() == 1)
        .expect("one")
        .key();
    let by = |key| Certain::Share {
        key,
        time: 0,
        sure: 1.0,
    };
    for (key, cause, expected) in [
        (1 << 50, Certain::Outside, Late::Gone),
        (certain, Certain::Outside, Late::Known),
        (unknown, by(unknown), Late::Impossible),
        (unknown, by(newest), Late::Impossible),
    ] {
        let answer = spread.correct(key, cause, &weights, &laws, &mut scratch);
        assert_eq!(answer, expected);
        assert_eq!(spread, before, "{expected:?}");
    }
    // A parent that is no longer kept is one all the same.
    let answer = spread.correct(unknown, by(1 << 50), &weights, &laws, &mut scratch);
    assert_eq!(answer, Late::Moved);
    assert_eq!(spread.certain, before.certain + 1);
}
