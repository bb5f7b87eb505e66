//! What is learned of weights, and from which arrivals.

use super::super::features::BINS;
use super::*;

/// Makes a lesson of an example and its parent's key and ordinal, if any.
type Teach<'t> = dyn FnMut(&Example, Option<(u64, u32)>) -> Option<Lesson> + 't;

/// What every certain arrival of cascades teaches.
fn lessons(
    of: &dyn Fn(u64) -> History,
    seeds: std::ops::Range<u64>,
    teach: &mut Teach<'_>,
) -> Vec<Lesson> {
    let (weights, laws) = (Weights::builtin(), MarkLaws::default());
    let mut lessons = Vec::new();
    for seed in seeds {
        let history = of(seed);
        let mut scratch = Scratch::with_examples();
        let mut spread = Spread::new(seed, 0);
        for node in 1..history.times.len() {
            let arrival = arrival(&history, node);
            spread.consider(&arrival, &weights, &laws, &mut scratch);
            spread.admit(&arrival, &weights, &scratch);
            while let Some(one) = spread.settle(false, &weights, &laws, &mut scratch) {
                let parent = history.parents[one.key as usize];
                let parent = (parent > 0).then_some((parent as u64, parent as u32));
                if one.certain.is_some() {
                    lessons.extend(teach(one.posterior.example().expect("kept"), parent));
                }
            }
        }
    }
    lessons
}

fn learn(taught: &[Lesson]) -> Weights {
    let of = ["t", "test"].map(str::to_owned);
    let [version, fitted] = of;
    Weights::builtin().learn(taught, Holding::default(), version, fitted)
}

/// Mean of -ln P(true cause) of what is not certain.
fn loss(of: &dyn Fn(u64) -> History, weights: &Weights) -> f64 {
    let (mut loss, mut scored) = (0.0, 0.0);
    for seed in 200..206 {
        let history = of(seed);
        let (_, settled) = stream(&history, weights);
        for node in (1..history.times.len()).filter(|node| !history.certain[*node]) {
            let (outside, readers) = &settled[node - 1];
            let truth = match history.parents[node] {
                0 => *outside,
                parent => readers[parent],
            };
            loss -= truth.max(1e-12).ln();
            scored += 1.0;
        }
    }
    loss / scored
}

#[test]
fn certain_edges_teach_and_guesses_do_not() {
    let of = |seed| cascade(seed, 400, 0.4, 0.1);
    let taught = lessons(&of, 100..125, &mut Example::lesson);
    let learned = learn(&taught);
    assert_eq!(learned, learn(&taught), "the same lessons teach the same");
    let (before, after) = (loss(&of, &Weights::builtin()), loss(&of, &learned));
    assert!(after < before - 0.02, "{before} {after}");
    assert_eq!(learn(&[]), Weights::builtin());
}

/// A cascade in which each reader's link keeps its token or has none: all whom he sends come with
/// one, or nobody does. Who comes from outside is known half of the time.
fn by_links(seed: u64) -> History {
    let mut history = cascade(seed, 400, 0.6, 0.0);
    for node in 1..history.parents.len() {
        let (of, below) = match history.parents[node] {
            0 => (node, 0.5),
            parent => (parent, 0.4),
        };
        history.certain[node] = dice(seed, of as u32, 40) < below;
    }
    history
}

#[test]
fn tokens_do_not_make_who_has_brought_some_the_parent_of_the_others() {
    let mut first = |example: &Example, parent: Option<(u64, u32)>| example.first_return(parent?);
    let all = learn(&lessons(&by_links, 100..125, &mut Example::lesson));
    let taught = lessons(&by_links, 100..125, &mut first);
    assert!(taught.len() > 250, "{}", taught.len());
    let first = learn(&taught);
    // Delays are one law, whoever has certain children.
    let changed = |table: Table| {
        let at = table as usize * BINS;
        first.logs[at + 4] - Weights::builtin().logs[at + 4]
    };
    assert!(changed(Table::Delay).abs() > 0.01);
    assert!((changed(Table::Delay) - changed(Table::ProvenDelay)).abs() < 1e-9);
    // Who it was, of those who came by a reader: whoever has certain children has no other.
    let by_whom = |weights: &Weights| {
        let (mut loss, mut scored) = (0.0, 0.0);
        for seed in 200..206 {
            let history = by_links(seed);
            let (_, settled) = stream(&history, weights);
            for node in 1..history.parents.len() {
                let parent = history.parents[node];
                if parent > 0 && !history.certain[node] {
                    let (outside, readers) = &settled[node - 1];
                    loss -= (readers[parent] / (1.0 - outside)).max(1e-12).ln();
                    scored += 1.0;
                }
            }
        }
        loss / scored
    };
    let [shipped, all, first] = [&Weights::builtin(), &all, &first].map(by_whom);
    assert!(all > shipped + 0.5, "{shipped} {all}");
    assert!(first < shipped + 0.1, "{shipped} {first}");
}

#[test]
fn a_first_return_is_a_choice_among_readers_who_had_brought_nobody() {
    let mut seen = std::collections::BTreeSet::new();
    let teach = |example: &Example, parent: Option<(u64, u32)>| {
        let parent = parent?;
        let first = example.first_return(parent);
        let all = example.lesson(Some(parent)).expect("no act was seen");
        let truth = all.rows[all.truth.expect("a reader")];
        let open = all.rows.len() - example.brought.len();
        assert_eq!(
            first.is_some(),
            open > 1 && !example.brought.contains(&all.truth.expect("a reader"))
        );
        if let Some(first) = &first {
            assert!(first.outside.is_none() && first.rows.len() == open);
            assert!(first.rows.iter().all(|row| !row.bins.proven));
            let chosen = first.rows[first.truth.expect("a reader")];
            assert_eq!(chosen.bins, truth.bins.without_children());
        }
        first.map(|first| (parent, first))
    };
    for seed in 100..110 {
        let mut teach = |example: &Example, parent: Option<(u64, u32)>| {
            let (parent, first) = teach(example, parent)?;
            // Who is kept teaches once.
            assert!(seen.insert((seed, parent)), "{seed} {parent:?}");
            Some(first)
        };
        lessons(&by_links, seed..seed + 1, &mut teach);
    }
    assert!(seen.len() > 100, "{}", seen.len());
}

#[test]
fn delays_of_certain_edges_move_what_was_believed_and_none_leave_it() {
    let shipped = Weights::builtin();
    assert_eq!(shipped.with_delays([]), shipped);
    let moved = shipped.with_delays([7; 100]);
    let total: f64 = moved.delays.iter().sum();
    // 100 seen beside what was believed, which weighs as much as 200.
    assert!((total - 300.0).abs() < 0.1, "{total}");
    let believed = shipped.delays[7] / shipped.delays.iter().sum::<f64>();
    assert!((moved.delays[7] - (100.0 + 200.0 * believed)).abs() < 1e-3);
    assert_eq!(moved.logs, shipped.logs);
}
