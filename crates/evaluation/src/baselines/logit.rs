//! The conditional logit of the literature: the log of each weight is linear in features of time and
//! of certain edges. Guesses are never fed back.

use grapevine_inference::causes::minimise;

use super::labels::{Laws, Teach};
use super::lags::{ByBin, middle};
use super::laws::Lomax;
use super::scoring::{Seen, Weigh, total};
use crate::cascades::Cascade;
use crate::drive::Tokens;

/// Exponents of the features. Of the root: 1, ln of the node's number, ln(1 + age of the cascade in
/// seconds), log-odds of the root among certain edges, ln density of the delay; of any other node: ln
/// density of the delay, ln(nodes since it + 1), ln(1 + its number), ln(1 + its certain children),
/// whether it has any.
type Exponents = [f64; 10];

const COLD: Exponents = [2.5, 0.2, -0.2, 0.5, 0.1, 0.3, -0.5, -0.25, 2.2, 1.0];
/// Share of the root before anything is known.
const COLD_SHARE: f64 = 0.7;
/// What a share that is believed beforehand weighs, in edges.
const SHARE_EDGES: f64 = 2.0;
/// Where a fit starts: where nothing is ever certain, and else.
const START_BLIND: Exponents = [3.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0];
const START: Exponents = [3.0, 0.0, 0.0, 1.0, 0.5, 0.5, 0.0, 0.0, 1.0, 0.0];
/// Penalty on the squares of the exponents, beside the mean of −ln p.
const PENALTY: f64 = 1e-4;
/// Labels that a fit looks at, about; more change the third digit.
const LABELS: f64 = 16_000.0;
/// Steps of a fit.
const STEPS: usize = 40;

/// Conditional logit with given exponents.
pub(super) struct Logit {
    exponents: Exponents,
    beliefs: Beliefs,
    /// What the weight of a node but the root is a product of: by bin of delay, by the number of
    /// nodes since, by its own number, by its certain children.
    delays: ByBin,
    since: Vec<f64>,
    numbers: Vec<f64>,
    spread: Vec<f64>,
}

/// What is believed of delays and of the outside beforehand.
#[derive(Clone, Copy)]
struct Beliefs {
    /// Ln density by bin of delay, of the root's children and of others.
    root: ByBin,
    others: ByBin,
    /// Share of the root.
    share: f64,
}

impl Logit {
    /// With the published weights, for cascades of up to so many nodes.
    pub(super) fn cold(nodes: usize) -> Self {
        let delays = std::array::from_fn(|bin| Lomax::COLD.density(middle(bin)).ln());
        let beliefs = Beliefs {
            root: delays,
            others: delays,
            share: COLD_SHARE,
        };
        Logit::new(COLD, beliefs, nodes)
    }

    /// Fitted to labels, for cascades of up to so many nodes.
    pub(super) fn fitted(teacher: &dyn Teach, laws: &Laws, nodes: usize) -> Self {
        let [root, others] = &laws.delays;
        let beliefs = Beliefs {
            root: root.density.map(f64::ln),
            others: others.density.map(f64::ln),
            share: laws.share,
        };
        let lessons = Lessons::of(teacher);
        let start = match lessons.told {
            true => START,
            false => START_BLIND,
        };
        let found = minimise(&start, STEPS, 1e-6, |at, gradient| {
            lessons.loss(exponents(at), beliefs, gradient)
        });
        Logit::new(exponents(&found), beliefs, nodes)
    }

    fn new(exponents: Exponents, beliefs: Beliefs, nodes: usize) -> Self {
        let powers = |exponent: f64| {
            let powers = (0..=nodes).map(|number| (number.max(1) as f64).powf(exponent));
            powers.collect::<Vec<_>>()
        };
        let spread = powers(exponents[8]);
        Logit {
            exponents,
            beliefs,
            delays: beliefs.others.map(|log| (exponents[5] * log).exp()),
            since: powers(exponents[6]),
            numbers: powers(exponents[7]),
            spread: spread
                .into_iter()
                .map(|power| power * exponents[9].exp())
                .collect(),
        }
    }

    /// Features of the root.
    fn of_root(&self, seen: &Seen<'_>) -> [f64; 5] {
        let share = self.beliefs.share;
        let outside = seen.certain_outside + SHARE_EDGES * share;
        let others = seen.certain - seen.certain_outside + SHARE_EDGES * (1.0 - share);
        [
            1.0,
            (seen.node as f64).ln(),
            seen.seconds_since(0).ln_1p(),
            (outside / others).ln(),
            self.beliefs.root[seen.bin_of_root()],
        ]
    }
}

impl Weigh for Logit {
    fn weigh(&self, seen: &Seen<'_>, weights: &mut [f64]) {
        for (bin, nodes) in seen.lags.ranges(seen.node) {
            weights[nodes].fill(self.delays[bin]);
        }
        let features = self.of_root(seen).into_iter().zip(self.exponents);
        weights[0] = features
            .map(|(feature, exponent)| feature * exponent)
            .sum::<f64>()
            .exp();
        let since = self.since[1..seen.node].iter().rev();
        let factors = since.zip(&self.numbers[2..]);
        for (weight, (since, number)) in weights[1..].iter_mut().zip(factors) {
            *weight *= since * number;
        }
        for spreader in &seen.spreaders {
            weights[*spreader] *= self.spread[1 + seen.children[*spreader] as usize];
        }
    }
}

fn exponents(found: &[f64]) -> Exponents {
    std::array::from_fn(|feature| found[feature])
}

/// The labels that a fit looks at.
struct Lessons<'a> {
    cascades: Vec<(&'a Cascade, Vec<Lesson>)>,
    /// Lessons that are looked at.
    count: f64,
    /// Nodes of the longest cascade.
    nodes: usize,
    /// Whether anything is known of nodes before.
    told: bool,
}

/// A node that is looked at, or known afterwards.
struct Lesson {
    node: usize,
    looked_at: bool,
    /// Its parent, where it is known afterwards.
    known: Option<usize>,
}

impl<'a> Lessons<'a> {
    fn of(teacher: &'a dyn Teach) -> Self {
        let keep = Tokens {
            rate: LABELS / teacher.labels().max(1.0),
            seed: teacher.seed() ^ 0x006C_6F67_6974,
        };
        let lesson = |number: usize, node: usize| Lesson {
            node,
            looked_at: teacher.label(number, node) && keep.reveal(number, node),
            known: teacher.known(number, node),
        };
        let cascades: Vec<(&Cascade, Vec<Lesson>)> = (teacher.cascades().into_iter())
            .enumerate()
            .map(|(number, cascade)| {
                let lessons = (1..cascade.parents.len()).map(|node| lesson(number, node));
                let lessons = lessons.filter(|lesson| lesson.looked_at || lesson.known.is_some());
                (cascade, lessons.collect())
            })
            .collect();
        let all = || cascades.iter().flat_map(|(_, lessons)| lessons);
        let nodes = cascades.iter().map(|(cascade, _)| cascade.parents.len());
        Lessons {
            count: all().filter(|lesson| lesson.looked_at).count() as f64,
            nodes: nodes.max().unwrap_or(1),
            told: all().any(|lesson| lesson.known.is_some()),
            cascades,
        }
    }

    /// Mean of −ln p(true cause) and the penalty; writes their gradient.
    fn loss(&self, exponents: Exponents, beliefs: Beliefs, gradient: &mut [f64]) -> f64 {
        let method = Logit::new(exponents, beliefs, self.nodes);
        let logs: Vec<f64> = (0..=self.nodes)
            .map(|number| (number.max(1) as f64).ln())
            .collect();
        gradient.fill(0.0);
        let mut loss = 0.0;
        let mut weights = Vec::new();
        for (cascade, lessons) in &self.cascades {
            let mut seen = Seen::new(cascade);
            for lesson in lessons {
                if lesson.looked_at {
                    let parent = cascade.parents[lesson.node] as usize;
                    seen.look_at(lesson.node);
                    weights.resize(lesson.node, 0.0);
                    method.weigh(&seen, &mut weights);
                    loss += method.learn(&seen, &mut weights, parent, &logs, gradient);
                }
                if let Some(parent) = lesson.known {
                    seen.reveal(parent);
                }
            }
        }
        let count = self.count.max(1.0);
        for (slope, exponent) in gradient.iter_mut().zip(exponents) {
            *slope = *slope / count + 2.0 * PENALTY * exponent;
        }
        let squares: f64 = exponents.iter().map(|exponent| exponent * exponent).sum();
        loss / count + PENALTY * squares
    }
}

impl Logit {
    /// −ln p of the true parent of the node looked at, from its weights; adds its gradient.
    fn learn(
        &self,
        seen: &Seen<'_>,
        weights: &mut [f64],
        parent: usize,
        logs: &[f64],
        gradient: &mut [f64],
    ) -> f64 {
        let total = total(weights);
        let truth = weights[parent] / total;
        for weight in weights.iter_mut() {
            *weight /= total;
        }
        // From here on: expected less true.
        weights[parent] -= 1.0;
        for (slope, feature) in gradient.iter_mut().zip(self.of_root(seen)) {
            *slope += weights[0] * feature;
        }
        for (bin, mut nodes) in seen.lags.ranges(seen.node) {
            nodes.start = nodes.start.max(1);
            if !nodes.is_empty() {
                gradient[5] += self::total(&weights[nodes]) * self.beliefs.others[bin];
            }
        }
        let since = logs[1..seen.node].iter().rev();
        for (weight, (since, number)) in weights[1..].iter().zip(since.zip(&logs[2..])) {
            gradient[6] += weight * since;
            gradient[7] += weight * number;
        }
        for spreader in &seen.spreaders {
            gradient[8] += weights[*spreader] * logs[1 + seen.children[*spreader] as usize];
            gradient[9] += weights[*spreader];
        }
        -truth.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labelled;
    use super::super::scoring::tests::{cascade, close, probabilities};
    use super::*;

    #[test]
    fn cold_weights_by_hand() {
        let mut cascade = cascade();
        // Node 2 is certainly of node 1.
        cascade.parents[2] = 1;
        let found = probabilities(&Logit::cold(4), &cascade, &[2]);
        let delay = |seconds: f64| (0.5f64 / 900.0).ln() - 1.5 * (seconds / 900.0).ln_1p();
        let [far, near] = [(2.375 + 4.062_5) / 2.0, (1.25 + 2.375) / 2.0].map(delay);
        // One certain edge, not of the root, on two edges' worth of 70 %.
        let odds: f64 = (1.4f64 / 1.6).ln();
        let root = 2.5 + 0.2 * 3f64.ln() - 0.2 * 5f64.ln() + 0.5 * odds + 0.1 * far;
        let one = 0.3 * far - 0.5 * 2f64.ln() - 0.25 * 2f64.ln() + 1.0 + 2.2 * 2f64.ln();
        let two = 0.3 * near - 0.25 * 3f64.ln();
        let weights = [root, one, two].map(f64::exp);
        let total: f64 = weights.iter().sum();
        close(&found[2], &weights.map(|weight| weight / total));
    }

    fn labelled(cascades: &[Cascade], rate: f64) -> Labelled<'_> {
        let tokens = Tokens { rate, seed: 3 };
        Labelled { cascades, tokens }
    }

    /// Every node is of the one before, or of the root.
    fn cascades() -> Vec<Cascade> {
        (0..40i64)
            .map(|number| Cascade {
                name: number.to_string(),
                times: (0..30).map(|node| node * (2_000 + 700 * number)).collect(),
                parents: (0..30u32)
                    .map(|node| match (i64::from(node) * 7 + number) % 3 {
                        0 => 0,
                        _ => node.saturating_sub(1),
                    })
                    .collect(),
            })
            .collect()
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let cascades = cascades();
        let labelled = labelled(&cascades, 0.4);
        let laws = Laws::of(&labelled).expect("labels");
        let [root, others] = &laws.delays;
        let beliefs = Beliefs {
            root: root.density.map(f64::ln),
            others: others.density.map(f64::ln),
            share: laws.share,
        };
        let lessons = Lessons::of(&labelled);
        let mut gradient = [0.0; 10];
        let mut none = [0.0; 10];
        lessons.loss(COLD, beliefs, &mut gradient);
        for feature in 0..10 {
            let [above, below] = [1e-5, -1e-5].map(|step| {
                let mut at = COLD;
                at[feature] += step;
                lessons.loss(at, beliefs, &mut none)
            });
            let slope = (above - below) / 2e-5;
            let off = (slope - gradient[feature]).abs();
            assert!(off < 1e-6, "{feature}: {slope} {gradient:?}");
        }
    }

    #[test]
    fn a_fit_learns_who_shares() {
        let cascades = cascades();
        for rate in [0.0, 0.5] {
            let labelled = labelled(&cascades, rate);
            let laws = Laws::of(&labelled).expect("labels");
            let method = Logit::fitted(&labelled, &laws, 30);
            // Two of three are of the node before, one of the root.
            let found = probabilities(&method, &cascades[5], &[]);
            let [root, before] = [found[25][0], found[25][25]];
            assert!((root - 0.33).abs() < 0.1, "{rate}: {root}");
            assert!((before - 0.67).abs() < 0.1, "{rate}: {before}");
        }
    }
}
