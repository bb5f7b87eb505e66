//! The methods to beat: what is obvious, and the conditional logit of the literature with its
//! published cold-start weights. All of them look at every earlier arrival; none is bounded.

use crate::cascades::Cascade;
use crate::drive::Tokens;
use crate::measures::{CascadeScore, EdgeScore, Measures, measure, virality};
use grapevine_inference::causes::Range;

/// A method, and how well it does.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// Its measures; those of ranges are no numbers, since it gives none.
    pub measures: Measures,
}

/// Cold-start weights of the conditional logit (Lomax delays with exponent .5 and scale 900 s).
mod logit {
    pub(super) const OUTSIDE: f64 = 2.5;
    pub(super) const OUTSIDE_ARRIVALS: f64 = 0.2;
    pub(super) const OUTSIDE_AGE: f64 = -0.2;
    pub(super) const OUTSIDE_SHARE: f64 = 0.5;
    pub(super) const OUTSIDE_DELAY: f64 = 0.1;
    pub(super) const DELAY: f64 = 0.3;
    pub(super) const RANK: f64 = -0.5;
    pub(super) const ORDINAL: f64 = -0.25;
    pub(super) const CHILDREN: f64 = 2.2;
    pub(super) const SPREADER: f64 = 1.0;
    pub(super) const DELAY_EXPONENT: f64 = 0.5;
    pub(super) const DELAY_SCALE: f64 = 900.0;
    /// Prior share of the outside among certain edges, and its weight in edges.
    pub(super) const SHARE: [f64; 2] = [1.4, 0.6];
}

/// Runs every baseline over the same hidden edges as an evaluation with these tokens.
pub fn baselines(cascades: &[Cascade], tokens: Tokens) -> Vec<Baseline> {
    let methods: [(&'static str, Weigh); 4] = [
        ("most recent", most_recent),
        ("always root", always_root),
        ("uniform", uniform),
        ("conditional logit, cold start", conditional_logit),
    ];
    methods
        .into_iter()
        .map(|(name, weigh)| Baseline {
            name,
            measures: run(cascades, tokens, weigh),
        })
        .collect()
}

/// Writes the weight of every earlier node, the root first, as a cause of a node.
type Weigh = fn(&Seen<'_>, usize, &mut Vec<f64>);

/// What a baseline may look at.
struct Seen<'a> {
    cascade: &'a Cascade,
    /// Certain children by node.
    children: Vec<f64>,
    certain: f64,
    certain_outside: f64,
}

fn most_recent(_: &Seen<'_>, node: usize, weights: &mut Vec<f64>) {
    weights.resize(node, 0.0);
    weights[node - 1] = 1.0;
}

fn always_root(_: &Seen<'_>, node: usize, weights: &mut Vec<f64>) {
    weights.resize(node, 0.0);
    weights[0] = 1.0;
}

fn uniform(_: &Seen<'_>, node: usize, weights: &mut Vec<f64>) {
    weights.resize(node, 1.0);
}

fn conditional_logit(seen: &Seen<'_>, node: usize, weights: &mut Vec<f64>) {
    use logit::*;
    let times = &seen.cascade.times;
    let seconds = |from: usize| (times[node] - times[from]) as f64 / 1_000.0;
    let delay = |seconds: f64| {
        (DELAY_EXPONENT / DELAY_SCALE).ln()
            - (1.0 + DELAY_EXPONENT) * (1.0 + seconds / DELAY_SCALE).ln()
    };
    let shares = seen.certain - seen.certain_outside;
    let outside = OUTSIDE
        + OUTSIDE_ARRIVALS * (node as f64).ln()
        + OUTSIDE_AGE * (1.0 + seconds(0)).ln()
        + OUTSIDE_SHARE * ((seen.certain_outside + SHARE[0]) / (shares + SHARE[1])).ln()
        + OUTSIDE_DELAY * delay(seconds(0));
    weights.push(outside.exp());
    for from in 1..node {
        let children = seen.children[from];
        let mut log = DELAY * delay(seconds(from))
            + RANK * ((node - from) as f64).ln()
            + ORDINAL * (1.0 + from as f64).ln();
        if children > 0.0 {
            log += SPREADER + CHILDREN * (1.0 + children).ln();
        }
        weights.push(log.exp());
    }
}

fn run(cascades: &[Cascade], tokens: Tokens, weigh: Weigh) -> Measures {
    let mut edges = Vec::new();
    let mut scores = Vec::new();
    let mut weights = Vec::new();
    let draw = Tokens {
        rate: 0.0,
        seed: tokens.seed ^ 0x7472_6565,
    };
    for (number, cascade) in cascades.iter().enumerate() {
        let nodes = cascade.parents.len();
        let mut seen = Seen {
            cascade,
            children: vec![0.0; nodes],
            certain: 0.0,
            certain_outside: 0.0,
        };
        let mut hidden = Vec::new();
        let mut tree = cascade.parents.clone();
        for (node, drawn_parent) in tree.iter_mut().enumerate().skip(1) {
            let parent = cascade.parents[node] as usize;
            if tokens.reveal(number, node) {
                seen.certain += 1.0;
                match parent {
                    0 => seen.certain_outside += 1.0,
                    parent => seen.children[parent] += 1.0,
                }
                continue;
            }
            weights.clear();
            weigh(&seen, node, &mut weights);
            hidden.push(score(&weights, parent));
            *drawn_parent = drawn(&weights, draw.dice(number, node)) as u32;
        }
        let nothing = Range {
            low: f64::NAN,
            likely: f64::NAN,
            high: f64::NAN,
        };
        let virality = Range {
            likely: virality(&tree),
            ..nothing
        };
        scores.push(CascadeScore::new(cascade, &hidden, nothing, virality));
        edges.extend(hidden);
    }
    Measures {
        reproduction_coverage: f64::NAN,
        virality_coverage: f64::NAN,
        ..measure(&edges, &scores)
    }
}

fn score(weights: &[f64], parent: usize) -> EdgeScore {
    let total: f64 = weights.iter().sum();
    let truth = weights[parent];
    let mut best = 0;
    let (mut greater, mut equal) = (0.0, 0.0);
    for (node, weight) in weights.iter().enumerate() {
        // The later of equally likely ones.
        if *weight >= weights[best] {
            best = node;
        }
        greater += f64::from(u8::from(*weight > truth));
        equal += f64::from(u8::from(*weight == truth));
    }
    EdgeScore {
        truth: truth / total,
        rank: 1.0 + greater + (equal - 1.0) / 2.0,
        best: weights[best] / total,
        best_is_right: best == parent,
        outside: weights[0] / total,
        from_outside: parent == 0,
    }
}

/// The node that a number from 0 to 1 falls on.
fn drawn(weights: &[f64], dice: f64) -> usize {
    let mut left = dice * weights.iter().sum::<f64>();
    for (node, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return node;
        }
    }
    weights.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_by_hand() {
        // Root, two of the root, one of node 1.
        let cascade = Cascade {
            name: "a".to_owned(),
            times: vec![0, 1_000, 2_000, 3_000],
            parents: vec![0, 0, 0, 1],
        };
        let tokens = Tokens { rate: 0.0, seed: 1 };
        let found = baselines(&[cascade], tokens);
        let of = |name: &str| {
            let found = found.iter().find(|baseline| baseline.name == name);
            found.expect("there is one").measures
        };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(of("most recent").top1, 1.0 / 3.0);
        close(of("most recent").reproduction_pooled, 2.0 / 3.0);
        close(of("always root").top1, 2.0 / 3.0);
        close(of("always root").reproduction_mae, 1.0 / 3.0);
        close(of("uniform").log_loss, (2f64.ln() + 3f64.ln()) / 3.0);
        close(of("uniform").reproduction_true, 1.0 / 3.0);
        assert!(of("uniform").virality_coverage.is_nan());
        assert!(of("conditional logit, cold start").log_loss.is_finite());
    }
}
