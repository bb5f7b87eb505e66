//! Learning weights from cascades: as the product would, and for shipping.

use grapevine_inference::causes::{Holding, Lesson, MarkLaws, Scratch, Weights};

use crate::cascades::Cascade;
use crate::drive::{Moment, Tokens, parent_of, run};

/// Lessons that a fit looks at, at most.
const LESSONS_MAX: usize = 24_000;

/// Learns weights from the edges of cascades that carry a token, near the weights given. Without
/// any token there is no label, so at rate 0 every edge is one, and none is seen: the best that
/// times alone can do, as the published baselines have it.
pub fn learn(cascades: &[Cascade], tokens: Tokens, weights: &Weights, holding: Holding) -> Weights {
    let all = tokens.rate <= 0.0;
    let edges: usize = cascades.iter().map(|cascade| cascade.parents.len() - 1).sum();
    let labels = edges as f64 * if all { 1.0 } else { tokens.rate };
    let keep = Tokens {
        rate: (LESSONS_MAX as f64 / labels.max(1.0)).min(1.0),
        seed: tokens.seed ^ 0x6C65_6172,
    };
    let lessons = lessons(cascades, tokens, weights, keep, all);
    weights.learn(
        &lessons,
        holding,
        format!("{}+{} edges", weights.version(), lessons.len()),
        format!(
            "{}; then learned from {} certain edges",
            weights.fitted(),
            lessons.len()
        ),
    )
}

/// Lessons of the certain edges of cascades, or of the hidden ones; those that `keep` reveals.
fn lessons(
    cascades: &[Cascade],
    tokens: Tokens,
    weights: &Weights,
    keep: Tokens,
    hidden: bool,
) -> Vec<Lesson> {
    let mut lessons = Vec::new();
    let mut scratch = Scratch::with_examples();
    let laws = MarkLaws::default();
    for (number, cascade) in cascades.iter().enumerate() {
        run(
            number,
            cascade,
            tokens,
            weights,
            &laws,
            &mut scratch,
            &mut |moment| {
                let Moment::Settled(node, settled, Some(example)) = moment else {
                    return;
                };
                if settled.certain.is_none() != hidden || !keep.reveal(number, node) {
                    return;
                }
                let parent = match hidden {
                    false => parent_of(settled, cascade),
                    true => {
                        let parent = cascade.parents[node];
                        Some((parent > 0).then_some((u64::from(parent), parent)))
                    }
                };
                lessons.extend(parent.and_then(|parent| example.lesson(parent)));
            },
        );
    }
    lessons
}

/// Cascades to fit on, and what they are called in the weights.
#[derive(Clone, Debug)]
pub struct FitSource {
    /// Name of the file.
    pub name: String,
    /// The cascades.
    pub cascades: Vec<Cascade>,
}

/// Fits the weights to ship: jointly on all sources and token rates, from hidden edges whose truth
/// is known, so that one set of weights serves sites with many tokens and with none.
pub fn fit(
    sources: &[FitSource],
    rates: &[f64],
    seed: u64,
    start: &Weights,
    holding: Holding,
    version: &str,
) -> Weights {
    let each = LESSONS_MAX / (sources.len() * rates.len()).max(1);
    let mut all = Vec::new();
    for source in sources {
        for rate in rates {
            let edges: usize = (source.cascades.iter())
                .map(|cascade| cascade.parents.len() - 1)
                .sum();
            let hidden = edges as f64 * (1.0 - rate);
            let tokens = Tokens { rate: *rate, seed };
            let keep = Tokens {
                rate: (each as f64 / hidden.max(1.0)).min(1.0),
                seed: seed ^ 0x6669_7420,
            };
            all.extend(lessons(&source.cascades, tokens, start, keep, true));
        }
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let fitted = format!(
        "{} hidden edges of {}, at token rates {rates:?}, seed {seed}",
        all.len(),
        names.join(", "),
    );
    start.learn(&all, holding, version.to_owned(), fitted)
}
