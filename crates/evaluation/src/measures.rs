//! The measures, as the published baselines compute them.

use grapevine_inference::causes::Range;
use serde::Serialize;

use crate::cascades::Cascade;

/// Bins of the calibration error.
const BINS: usize = 15;
/// Least probability that the log-loss is taken of.
const PROBABILITY_MIN: f64 = 1e-12;

/// One hidden edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeScore {
    /// Probability of the true cause.
    pub truth: f64,
    /// Rank of the true cause from 1, the middle one among equals.
    pub rank: f64,
    /// Probability of the likeliest cause.
    pub best: f64,
    /// Whether the likeliest cause is the true one.
    pub best_is_right: bool,
    /// Probability of the outside.
    pub outside: f64,
    /// Whether it truly came from outside.
    pub from_outside: bool,
}

/// One cascade of at least two edges, at least one hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CascadeScore {
    /// Edges.
    pub edges: usize,
    /// Hidden edges.
    pub hidden: usize,
    /// True share of edges that are not of the root.
    pub reproduction: f64,
    /// The same as estimated: known edges count as known. Of simple methods the sum over edges.
    pub reproduction_estimate: f64,
    /// 10–90 % range of it.
    pub reproduction_range: Range,
    /// True structural virality.
    pub virality: f64,
    /// Estimate and 10–90 % range from sampled trees.
    pub virality_range: Range,
}

/// Measures over a file. A figure that no edge or no cascade counted for is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Share of hidden edges whose likeliest cause is the true one.
    pub top1: Option<f64>,
    /// Mean of 1 / rank of the true cause.
    pub mrr: Option<f64>,
    /// Mean of −ln p(true cause), nats.
    pub log_loss: Option<f64>,
    /// Mean squared error of the likeliest cause's probability.
    pub brier: Option<f64>,
    /// Expected calibration error of the likeliest cause's probability, 15 bins.
    pub ece: Option<f64>,
    /// Mean over cascades of |R estimate − R|.
    pub reproduction_mae: Option<f64>,
    /// Share of cascades whose R lies in its 10–90 % range.
    pub reproduction_coverage: Option<f64>,
    /// Mean width of that range.
    pub reproduction_width: Option<f64>,
    /// Mean over cascades of |virality estimate − virality| / virality.
    pub virality_mae: Option<f64>,
    /// Share of cascades whose virality lies in its 10–90 % range.
    pub virality_coverage: Option<f64>,
    /// Mean width of that range.
    pub virality_width: Option<f64>,
    /// `top1` over edges that are not of the root.
    pub top1_chain: Option<f64>,
    /// `log_loss` over edges that are not of the root.
    pub log_loss_chain: Option<f64>,
    /// R over all cascades together, as estimated.
    pub reproduction_pooled: Option<f64>,
    /// R over all cascades together.
    pub reproduction_true: Option<f64>,
    /// R over all cascades together, estimate minus truth: above 0 where it is stated too high.
    pub reproduction_bias: Option<f64>,
    /// Hidden edges scored.
    pub edges: usize,
    /// Cascades with at least two edges, one of them hidden.
    pub cascades: usize,
}

impl CascadeScore {
    pub(crate) fn new(
        cascade: &Cascade,
        hidden: &[EdgeScore],
        reproduction_range: Range,
        virality_range: Range,
    ) -> Self {
        let edges = cascade.parents.len().saturating_sub(1);
        let chained = cascade.parents.iter().skip(1).filter(|parent| **parent > 0);
        let chained = chained.count();
        let hidden_chained = hidden.iter().filter(|edge| !edge.from_outside).count();
        let known_chained = (chained - hidden_chained) as f64;
        let expected: f64 = hidden.iter().map(|edge| 1.0 - edge.outside).sum();
        let n = edges.max(1) as f64;
        CascadeScore {
            edges,
            hidden: hidden.len(),
            reproduction: chained as f64 / n,
            reproduction_estimate: (known_chained + expected) / n,
            reproduction_range,
            virality: virality(&cascade.parents),
            virality_range,
        }
    }
}

/// Mean distance of all pairs of nodes.
pub(crate) fn virality(parents: &[u32]) -> f64 {
    let n = parents.len();
    if n < 2 {
        return 0.0;
    }
    let mut sizes = vec![1u64; n];
    let mut distances = 0.0;
    for node in (1..n).rev() {
        sizes[parents[node] as usize] += sizes[node];
        distances += sizes[node] as f64 * (n as u64 - sizes[node]) as f64;
    }
    2.0 * distances / (n as f64 * (n as f64 - 1.0))
}

/// None of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| {
        (sum + value, count + 1)
    });
    (count > 0).then(|| sum / count as f64)
}

/// None of nothing.
pub(crate) fn share(values: impl Iterator<Item = bool>) -> Option<f64> {
    mean(values.map(|value| f64::from(u8::from(value))))
}

/// Takes the measures of hidden edges and of cascades. Cascades of fewer than two edges, and those
/// without a hidden edge, do not count.
pub fn measure(edges: &[EdgeScore], cascades: &[CascadeScore]) -> Measures {
    let log_loss = |edge: &EdgeScore| -edge.truth.max(PROBABILITY_MIN).ln();
    let chain = || edges.iter().filter(|edge| !edge.from_outside);
    let cascades: Vec<&CascadeScore> = cascades
        .iter()
        .filter(|score| score.edges >= 2 && score.hidden > 0)
        .collect();
    let total: f64 = cascades.iter().map(|score| score.edges as f64).sum();
    let pooled = |of: fn(&CascadeScore) -> f64| {
        let sum: f64 = cascades
            .iter()
            .map(|score| of(score) * score.edges as f64)
            .sum();
        (total > 0.0).then(|| sum / total)
    };
    let reproduction_pooled = pooled(|score| score.reproduction_estimate);
    let reproduction_true = pooled(|score| score.reproduction);
    let holds = |range: &Range, value: f64| {
        // What is certain has no width but for rounding.
        range.low - 1e-9 <= value && value <= range.high + 1e-9
    };
    let width = |of: fn(&CascadeScore) -> &Range| {
        mean(cascades.iter().map(|score| of(score).high - of(score).low))
    };
    Measures {
        top1: share(edges.iter().map(|edge| edge.best_is_right)),
        mrr: mean(edges.iter().map(|edge| 1.0 / edge.rank)),
        log_loss: mean(edges.iter().map(log_loss)),
        brier: mean(edges.iter().map(|edge| {
            let right = f64::from(u8::from(edge.best_is_right));
            (edge.best - right) * (edge.best - right)
        })),
        ece: calibration_error(edges),
        reproduction_mae: mean(
            (cascades.iter()).map(|score| (score.reproduction_estimate - score.reproduction).abs()),
        ),
        reproduction_coverage: share(
            (cascades.iter()).map(|score| holds(&score.reproduction_range, score.reproduction)),
        ),
        reproduction_width: width(|score| &score.reproduction_range),
        virality_mae: mean(
            cascades
                .iter()
                .map(|score| (score.virality_range.likely - score.virality).abs() / score.virality),
        ),
        virality_coverage: share(
            (cascades.iter()).map(|score| holds(&score.virality_range, score.virality)),
        ),
        virality_width: width(|score| &score.virality_range),
        top1_chain: share(chain().map(|edge| edge.best_is_right)),
        log_loss_chain: mean(chain().map(log_loss)),
        reproduction_pooled,
        reproduction_true,
        reproduction_bias: (reproduction_pooled.zip(reproduction_true))
            .map(|(stated, truth)| stated - truth),
        edges: edges.len(),
        cascades: cascades.len(),
    }
}

fn calibration_error(edges: &[EdgeScore]) -> Option<f64> {
    let mut bins = [(0.0, 0.0, 0.0); BINS];
    for edge in edges {
        let bin = &mut bins[((edge.best * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += 1.0;
        bin.1 += edge.best;
        bin.2 += f64::from(u8::from(edge.best_is_right));
    }
    let off: f64 = bins
        .iter()
        .map(|(_, said, right)| (said - right).abs())
        .sum();
    (!edges.is_empty()).then(|| off / edges.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(truth: f64, rank: f64, best: f64, right: bool) -> EdgeScore {
        EdgeScore {
            truth,
            rank,
            best,
            best_is_right: right,
            outside: best,
            from_outside: right,
        }
    }

    #[test]
    fn measures_of_two_edges_by_hand() {
        let edges = [edge(0.8, 1.0, 0.8, true), edge(0.1, 3.0, 0.6, false)];
        let measures = measure(&edges, &[]);
        let close = |a: Option<f64>, b: f64| {
            let a = a.expect("an edge counts");
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        };
        close(measures.top1, 0.5);
        close(measures.mrr, (1.0 + 1.0 / 3.0) / 2.0);
        close(measures.log_loss, -(0.8f64.ln() + 0.1f64.ln()) / 2.0);
        close(measures.brier, (0.04 + 0.36) / 2.0);
        close(measures.ece, (0.2 + 0.6) / 2.0);
        close(measures.top1_chain, 0.0);
    }

    #[test]
    fn what_nothing_counts_for_is_no_figure() {
        let none = measure(&[], &[]);
        let of_edges = |found: &Measures| {
            [
                found.top1,
                found.mrr,
                found.log_loss,
                found.brier,
                found.ece,
            ]
        };
        let of_chains = |found: &Measures| [found.top1_chain, found.log_loss_chain];
        let of_cascades = |found: &Measures| {
            [
                found.reproduction_mae,
                found.reproduction_coverage,
                found.reproduction_width,
                found.virality_mae,
                found.virality_coverage,
                found.virality_width,
                found.reproduction_pooled,
                found.reproduction_true,
                found.reproduction_bias,
            ]
        };
        assert_eq!(of_edges(&none), [None; 5]);
        assert_eq!(of_chains(&none), [None; 2]);
        assert_eq!(of_cascades(&none), [None; 9]);
        // One edge of the root, wrongly named, in a cascade too small to count.
        let wrong = EdgeScore {
            from_outside: true,
            ..edge(0.4, 2.0, 0.6, false)
        };
        let range = Range {
            low: 0.0,
            likely: 0.0,
            high: 0.0,
        };
        let cascade = |parents: Vec<u32>| {
            let cascade = Cascade {
                name: "a".to_owned(),
                times: vec![0; parents.len()],
                parents,
            };
            CascadeScore::new(&cascade, &[wrong], range, range)
        };
        let small = measure(&[wrong], &[cascade(vec![0, 0])]);
        assert_eq!(small.top1, Some(0.0), "none is right, which is a figure");
        assert!(of_edges(&small).iter().all(Option::is_some), "{small:?}");
        assert_eq!(of_chains(&small), [None; 2]);
        assert_eq!(of_cascades(&small), [None; 9]);
        let large = measure(&[wrong], &[cascade(vec![0, 0, 0])]);
        assert!(of_cascades(&large).iter().all(Option::is_some), "{large:?}");
        assert_eq!(large.virality_coverage, Some(0.0), "{large:?}");
    }

    #[test]
    fn the_bias_of_r_weighs_cascades_by_their_edges() {
        let score = |edges, truth, estimate| {
            let range = |likely| Range {
                low: likely,
                likely,
                high: likely,
            };
            CascadeScore {
                edges,
                hidden: edges,
                reproduction: truth,
                reproduction_estimate: estimate,
                reproduction_range: range(estimate),
                virality: 1.0,
                virality_range: range(1.0),
            }
        };
        // Stated by 1 edge too low over 10, by 6 too high over 40.
        let found = measure(&[], &[score(10, 0.5, 0.4), score(40, 0.25, 0.4)]);
        let bias = found.reproduction_bias.expect("cascades count");
        assert!((bias - 5.0 / 50.0).abs() < 1e-12, "{bias}");
        assert_eq!(found.reproduction_width, Some(0.0));
    }

    #[test]
    fn virality_of_a_star_and_a_chain() {
        assert!((virality(&[0, 0, 0, 0, 0]) - 1.6).abs() < 1e-12);
        assert!((virality(&[0, 0, 1, 2, 3]) - 2.0).abs() < 1e-12);
    }
}
