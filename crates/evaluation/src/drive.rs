//! Cascades through the product's streaming inference, edge by edge.

use grapevine_inference::causes::{
    Arrival, Certain, MarkLaws, Marks, Posterior, Scratch, Settled, Shape, Spread, Weights,
};

use crate::cascades::Cascade;
use crate::copied::CopiedMarks;
use crate::measures::{CascadeScore, EdgeScore, Measures, measure};

/// Which edges carry a token that survived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tokens {
    /// Probability of each edge, from 0 to 1.
    pub rate: f64,
    /// What the draws follow from.
    pub seed: u64,
}

impl Tokens {
    /// True where the edge of a node is known. Nodes of the same cascade number draw the same in
    /// every file.
    pub fn reveal(&self, cascade: usize, node: usize) -> bool {
        self.dice(cascade, node) < self.rate
    }

    /// A number from 0 to 1 that follows from the seed, the cascade and the node alone.
    pub(crate) fn dice(&self, cascade: usize, node: usize) -> f64 {
        let mut bits = self.seed
            ^ (cascade as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ (node as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
        // SplitMix64.
        for _ in 0..2 {
            bits = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
            bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            bits ^= bits >> 31;
        }
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What an evaluation goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Which edges are known.
    pub tokens: Tokens,
    /// Marks that are made up for the nodes; none where only times are known.
    pub marks: Option<CopiedMarks>,
}

/// What came of an evaluation.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Of the settled posteriors: what the product ends up with.
    pub settled: Measures,
    /// Of the posteriors at the moment of arrival.
    pub on_arrival: Measures,
    /// Of contents alone, as the records of `spreads` state the share of readers whom readers sent and
    /// virality: what is likely by [`Spread::shape`], the ranges by [`Shape::or_none`].
    pub in_spreads: Measures,
    /// By cascade, in the file's order.
    pub cascades: Vec<CascadeScore>,
}

/// Hides every edge but those with a token, infers, and scores every hidden edge. What the site's
/// laws learn from certain edges, they learn on the way, cascade after cascade, from `laws` on.
pub fn evaluate(
    cascades: &[Cascade],
    setting: Setting,
    weights: &Weights,
    laws: &MarkLaws,
) -> Evaluation {
    let mut edges = Vec::new();
    let mut edges_on_arrival = Vec::new();
    let mut scores = Vec::new();
    let mut in_spreads = Vec::new();
    let mut scratch = Scratch::default();
    let mut laws = laws.clone();
    for (number, cascade) in cascades.iter().enumerate() {
        let mut hidden = Vec::new();
        let mut early = Vec::new();
        let run = Run {
            number,
            cascade,
            setting,
            weights,
        };
        let spread = run.drive(&mut laws, &mut scratch, &mut |laws, moment| match moment {
            Moment::Arrival(node, posterior) => {
                if !setting.tokens.reveal(number, node) {
                    early.push(score(posterior, cascade, node));
                }
            }
            Moment::Settled(node, settled) => {
                if settled.certain.is_none() {
                    hidden.push(score(&settled.posterior, cascade, node));
                }
                laws.learn(settled);
            }
        });
        let score = |shape: Shape| CascadeScore {
            // What is stated of the content: its edges one by one do not know that all of them may be
            // from outside together.
            reproduction_estimate: shape.shared.likely,
            ..CascadeScore::new(cascade, &hidden, shape.shared, shape.virality)
        };
        scores.push(score(spread.shape_or_none(weights, spread.unshared())));
        in_spreads.push(score(spread.shape(weights).or_none(spread.unshared())));
        edges.extend(hidden);
        edges_on_arrival.extend(early);
    }
    Evaluation {
        settled: measure(&edges, &scores),
        on_arrival: measure(&edges_on_arrival, &[]),
        in_spreads: measure(&[], &in_spreads),
        cascades: scores,
    }
}

/// What is shown of a run.
pub(crate) enum Moment<'a> {
    /// A node arrives.
    Arrival(usize, &'a Posterior<'a>),
    /// A node's causes are settled.
    Settled(usize, &'a Settled<'a>),
}

/// One cascade on its way through the inference.
pub(crate) struct Run<'a> {
    pub(crate) number: usize,
    pub(crate) cascade: &'a Cascade,
    pub(crate) setting: Setting,
    pub(crate) weights: &'a Weights,
}

/// Is shown every moment of a run, with the laws, which may learn from it.
type Show<'a> = dyn FnMut(&mut MarkLaws, Moment<'_>) + 'a;

impl Run<'_> {
    /// Drives the cascade through the inference.
    pub(crate) fn drive(
        &self,
        laws: &mut MarkLaws,
        scratch: &mut Scratch,
        show: &mut Show<'_>,
    ) -> Spread {
        let cascade = self.cascade;
        let start = cascade.times.first().copied().unwrap_or_default();
        let mut spread = Spread::new(self.number as u64, start);
        let marks = match self.setting.marks {
            Some(marks) => marks.of(self.number, cascade),
            None => vec![Marks::default(); cascade.times.len()],
        };
        for (node, time) in cascade.times.iter().enumerate().skip(1) {
            let mut arrival = Arrival::new(node as u64, *time);
            arrival.marks = marks[node];
            let parent = cascade.parents[node] as usize;
            if self.setting.tokens.reveal(self.number, node) {
                arrival.certain = Some(match parent {
                    0 => Certain::Outside,
                    parent => Certain::Share {
                        key: parent as u64,
                        time: cascade.times[parent],
                        sure: 1.0,
                    },
                });
            }
            let posterior = spread.consider(&arrival, self.weights, laws, scratch);
            show(laws, Moment::Arrival(node, &posterior));
            spread.admit(&arrival, self.weights, scratch);
            laws.arrived(arrival.marks);
            self.settle(&mut spread, false, laws, scratch, show);
        }
        self.settle(&mut spread, true, laws, scratch, show);
        spread
    }

    fn settle(
        &self,
        spread: &mut Spread,
        closed: bool,
        laws: &mut MarkLaws,
        scratch: &mut Scratch,
        show: &mut Show<'_>,
    ) {
        while let Some(settled) = spread.settle(closed, self.weights, laws, scratch) {
            let node = settled.key as usize;
            show(laws, Moment::Settled(node, &settled));
        }
    }
}

/// Scores the posterior of one hidden edge.
fn score(posterior: &Posterior<'_>, cascade: &Cascade, node: usize) -> EdgeScore {
    let parent = cascade.parents[node];
    let outside = posterior.outside();
    let mut truth = (parent == 0).then_some(outside);
    let mut best = (outside, parent == 0);
    for (key, _, probability) in posterior.readers() {
        let right = key == u64::from(parent);
        if right {
            truth = Some(probability);
        }
        // The later of two equally likely ones, as the published baselines do.
        if probability > best.0 {
            best = (probability, right);
        }
    }
    // Of those that are not kept one by one, each is as likely as the other.
    let mut before = 0;
    for pooled in posterior.pooled() {
        let each = pooled.probability / f64::from(pooled.count.max(1));
        if truth.is_none() && parent > before && parent <= pooled.last {
            truth = Some(each);
        }
        before = pooled.last;
    }
    let truth = truth.unwrap_or_default();
    let mut greater = f64::from(u8::from(outside > truth));
    let mut equal = f64::from(u8::from(outside == truth));
    for (_, _, probability) in posterior.readers() {
        greater += f64::from(u8::from(probability > truth));
        equal += f64::from(u8::from(probability == truth));
    }
    for pooled in posterior.pooled() {
        let each = pooled.probability / f64::from(pooled.count.max(1));
        let count = f64::from(pooled.count);
        greater += if each > truth { count } else { 0.0 };
        equal += if each == truth { count } else { 0.0 };
    }
    EdgeScore {
        truth,
        rank: 1.0 + greater + (equal - 1.0).max(0.0) / 2.0,
        best: best.0,
        best_is_right: best.1,
        outside,
        from_outside: parent == 0,
    }
}
