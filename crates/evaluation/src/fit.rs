//! Learning weights from cascades: as the product would, and for shipping.

use grapevine_inference::causes::{Holding, Lesson, MarkLaws, Scratch, Weights};

use crate::cascades::Cascade;
use crate::drive::{Moment, Run, Setting, Tokens, evaluate};
use crate::measures::Measures;

/// Lessons that a fit looks at, at most.
const LESSONS_MAX: usize = 32_000;
/// A first fit is held by little: it starts from nothing.
const FIRST: Holding = Holding {
    near: 0.05,
    smooth: 10.0,
    steps: 120,
};
/// Token rate from which what remains is what shows.
const WELL_TOLD: f64 = 0.1;
/// Rounds in which ranges are widened and narrowed.
const WIDENINGS: usize = 10;
/// Cascades of a source that this looks at, at most.
const WIDENED_ON: usize = 400;
/// True figures that a range of 80 % holds.
const HOLD: f64 = 0.8;
/// Rounds in which the ranges of learned weights are set.
const HELD_ROUNDS: usize = 6;
/// Cascades from which these say something.
const HELD_FROM: usize = 50;
/// Edges beyond which a source counts no more: a large one must not decide for sites unlike it.
const EDGES_COUNTED: usize = 150_000;
/// One in so many labelled arrivals is also looked at when it arrives.
const ARRIVING_EACH: usize = 4;

/// Learns weights and laws from the edges of cascades that carry a token, near the weights given.
/// Without any token there is no label, so at rate 0 every edge is one, and none is seen: the best
/// that times alone can do, as the published baselines have it.
///
/// How wide ranges are is then set on the same cascades, whose whole truth is known, so that 80 %
/// ranges hold 80 % of them: how far contents of a site differ does not follow from single edges.
pub fn learn(
    cascades: &[Cascade],
    setting: Setting,
    weights: &Weights,
    holding: Holding,
) -> (Weights, MarkLaws) {
    let tokens = setting.tokens;
    let all = tokens.rate <= 0.0;
    let labels = edges(cascades) as f64 * if all { 1.0 } else { tokens.rate };
    let keep = Tokens {
        rate: (LESSONS_MAX as f64 / labels.max(1.0)).min(1.0),
        seed: tokens.seed ^ 0x6C65_6172,
    };
    let mut laws = MarkLaws::default();
    let lessons = lessons(cascades, setting, weights, &mut laws, keep, all);
    let learned = weights
        .learn(
            &lessons,
            holding,
            format!("{}+{} edges", weights.version(), lessons.len()),
            format!(
                "{}; then learned from {} certain edges",
                weights.fitted(),
                lessons.len()
            ),
        )
        .with_delays(lessons.iter().filter_map(Lesson::delay));
    (hold_ranges(cascades, setting, learned, &laws), laws)
}

/// Widens and narrows ranges so that those of R and of virality hold 80 of 100 true figures as
/// nearly as any round found, each by one factor on everything that they are made of.
fn hold_ranges(
    cascades: &[Cascade],
    setting: Setting,
    weights: Weights,
    laws: &MarkLaws,
) -> Weights {
    let each = cascades.len().div_ceil(WIDENED_ON).max(1);
    let some: Vec<Cascade> = cascades.iter().step_by(each).cloned().collect();
    if some.len() < HELD_FROM {
        return weights;
    }
    let mut weights = weights;
    let mut step = 0.5f64;
    let mut nearest = (f64::INFINITY, weights.dispersion());
    for _ in 0..HELD_ROUNDS {
        let held = evaluate(&some, setting, &weights, laws).settled;
        let (reproduction, virality) = (held.reproduction_coverage, held.virality_coverage);
        let mut dispersion = weights.dispersion();
        // A turn can go too far: where many contents are at one figure, a range that no longer
        // reaches it loses them all.
        let missed: f64 = [reproduction, virality]
            .into_iter()
            .flatten()
            .map(|held| (held - HOLD).abs())
            .sum();
        if missed < nearest.0 {
            nearest = (missed, dispersion);
        }
        if let Some(factor) = turned(reproduction, step) {
            dispersion.log_odds = factor(dispersion.log_odds);
            dispersion.floor = factor(dispersion.floor);
        }
        if let Some(factor) = turned(virality, step) {
            dispersion.virality = factor(dispersion.virality);
            dispersion.virality_floor = factor(dispersion.virality_floor);
        }
        weights = weights.with_dispersion(dispersion);
        step *= 0.7;
    }
    weights.with_dispersion(nearest.1)
}

/// What makes a spread wider where ranges hold too little and narrower where they hold too much, by
/// a factor of at most e to the `step`; none where nothing is known.
fn turned(held: Option<f64>, step: f64) -> Option<impl Fn(f64) -> f64> {
    let held = held?;
    let way = if held < HOLD { step } else { -step };
    // A step for a tenth beyond, less for less: sampling alone moves it by some hundredths.
    let way = way * ((held - HOLD).abs() / 0.1).min(1.0);
    let turn = move |figure: f64| ((figure * way.exp()).clamp(0.01, 1_000.0) * 1e3).round() / 1e3;
    Some(turn)
}

/// Lessons of the certain edges of cascades, or of the hidden ones; those that `keep` reveals. The
/// laws learn on the way; of the outside's, the shift stays as it is, since the weights take it in.
fn lessons(
    cascades: &[Cascade],
    setting: Setting,
    weights: &Weights,
    laws: &mut MarkLaws,
    keep: Tokens,
    hidden: bool,
) -> Vec<Lesson> {
    let tokens = setting.tokens;
    let mut lessons = Vec::new();
    let mut scratch = Scratch::with_examples();
    for (number, cascade) in cascades.iter().enumerate() {
        let run = Run {
            number,
            cascade,
            setting,
            weights,
        };
        run.drive(laws, &mut scratch, &mut |laws, moment| {
            // Settled arrivals are what counts; those that have just come teach what it means that
            // nothing has followed yet.
            let (node, posterior) = match moment {
                Moment::Arrival(node, posterior) if node % ARRIVING_EACH == 0 => (node, posterior),
                Moment::Arrival(..) => return,
                Moment::Settled(node, settled) => {
                    let outside = laws.outside.clone();
                    laws.learn(settled);
                    laws.outside = outside;
                    (node, &settled.posterior)
                }
            };
            if tokens.reveal(number, node) == hidden || !keep.reveal(number, node) {
                return;
            }
            laws.outside
                .inform(posterior.outside(), posterior.certain());
            let parent = cascade.parents[node];
            let parent = (parent > 0).then_some((u64::from(parent), parent));
            let lesson = posterior
                .example()
                .and_then(|example| example.lesson(parent));
            lessons.extend(lesson);
        });
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
/// is known, so that one set of weights serves sites with many tokens and with none. It starts from
/// [`Weights::flat`], and runs twice: which earlier readers are still kept when an edge is looked
/// at depends on weights, so the second run looks with those of the first.
pub fn fit(sources: &[FitSource], rates: &[f64], seed: u64, version: &str) -> Weights {
    let start = Weights::flat();
    let first = fit_seeing(sources, rates, seed, version, &start);
    let second = fit_seeing(sources, rates, seed, version, &first);
    widen(sources, rates, seed, second)
}

/// One run, looking at the cascades with the weights of `seen_with`.
fn fit_seeing(
    sources: &[FitSource],
    rates: &[f64],
    seed: u64,
    version: &str,
    seen_with: &Weights,
) -> Weights {
    let mut all = Vec::new();
    for (source, share) in sources.iter().zip(shares(sources)) {
        for rate in rates {
            let each = LESSONS_MAX as f64 * share / rates.len() as f64;
            let hidden = edges(&source.cascades) as f64 * (1.0 - rate);
            let tokens = Tokens { rate: *rate, seed };
            let keep = Tokens {
                rate: (each / hidden.max(1.0)).min(1.0),
                seed: seed ^ 0x6669_7420,
            };
            let setting = Setting {
                tokens,
                marks: None,
            };
            let mut laws = MarkLaws::default();
            let seen = lessons(&source.cascades, setting, seen_with, &mut laws, keep, true);
            all.extend(seen);
        }
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let fitted = format!(
        "{} looks at hidden edges of {}, at token rates {rates:?}, seed {seed}",
        all.len(),
        names.join(", "),
    );
    Weights::flat()
        .learn(&all, FIRST, version.to_owned(), fitted)
        .with_delays(all.iter().filter_map(Lesson::delay))
        .for_any_site()
}

/// What each source counts, in proportion to the square root of its edges up to
/// [`EDGES_COUNTED`]: small files are heard, and large ones do not decide for sites unlike them.
fn shares(sources: &[FitSource]) -> Vec<f64> {
    let roots = sources
        .iter()
        .map(|source| (edges(&source.cascades).min(EDGES_COUNTED) as f64).sqrt());
    let total: f64 = roots.clone().sum();
    roots.map(|root| root / total.max(1.0)).collect()
}

fn edges(cascades: &[Cascade]) -> usize {
    let edges = cascades.iter().map(|cascade| cascade.parents.len() - 1);
    edges.sum()
}

/// Finds the dispersion with which 80 % ranges hold 80 % of the true figures: what is believed
/// without tokens from rate 0, how fast it narrows from the lower rates, and what remains from the
/// higher ones.
fn widen(sources: &[FitSource], rates: &[f64], seed: u64, weights: Weights) -> Weights {
    let mut weights = weights;
    let mut step = 0.5f64;
    for _ in 0..WIDENINGS {
        let mut blind = Held::default();
        let mut told = Held::default();
        let mut well_told = Held::default();
        for (source, share) in sources.iter().zip(shares(sources)) {
            let each = source.cascades.len().div_ceil(WIDENED_ON).max(1);
            let some = source.cascades.iter().step_by(each).cloned();
            let some: Vec<Cascade> = some.collect();
            for rate in rates {
                let setting = Setting {
                    tokens: Tokens { rate: *rate, seed },
                    marks: None,
                };
                let laws = MarkLaws::default();
                let measures = evaluate(&some, setting, &weights, &laws).settled;
                let held = match *rate {
                    0.0 => &mut blind,
                    rate if rate < WELL_TOLD => &mut told,
                    _ => &mut well_told,
                };
                held.add(&measures, share);
            }
        }
        let mut dispersion = weights.dispersion();
        // A range that holds too little is widened, by less each time.
        let turn = |held: Option<f64>, figure: &mut f64, way: f64| {
            // Nothing was seen of it.
            let Some(held) = held else {
                return;
            };
            let factor = (step * way * if held < HOLD { 1.0 } else { -1.0 }).exp();
            *figure = ((*figure * factor).clamp(0.01, 1_000.0) * 1_000.0).round() / 1_000.0;
        };
        turn(blind.reproduction(), &mut dispersion.log_odds, 0.5);
        turn(blind.virality(), &mut dispersion.virality, 0.5);
        turn(told.reproduction(), &mut dispersion.halved_by, 1.0);
        turn(well_told.reproduction(), &mut dispersion.floor, 0.5);
        turn(
            told.and(&well_told).virality(),
            &mut dispersion.virality_floor,
            1.0,
        );
        weights = weights.with_dispersion(dispersion);
        step *= 0.75;
    }
    weights
}

/// Coverage, averaged over the files and rates at which a cascade counted.
#[derive(Default)]
struct Held {
    count: f64,
    reproduction: f64,
    virality: f64,
}

impl Held {
    fn add(&mut self, measures: &Measures, share: f64) {
        // The same cascades count for both.
        let (Some(reproduction), Some(virality)) =
            (measures.reproduction_coverage, measures.virality_coverage)
        else {
            return;
        };
        self.count += share;
        self.reproduction += share * reproduction;
        self.virality += share * virality;
    }

    fn and(&self, other: &Held) -> Held {
        Held {
            count: self.count + other.count,
            reproduction: self.reproduction + other.reproduction,
            virality: self.virality + other.virality,
        }
    }

    fn reproduction(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.reproduction / self.count)
    }

    fn virality(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.virality / self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::measure;

    #[test]
    fn ranges_that_hold_nothing_are_widened_and_those_of_nothing_stay() {
        assert!(turned(None, 0.5).is_none());
        let factor = turned(Some(0.0), 0.5).expect("a figure");
        assert!(factor(1.0) > 1.0);
        let factor = turned(Some(1.0), 0.5).expect("a figure");
        assert!(factor(1.0) < 1.0);
    }

    #[test]
    fn a_file_of_which_nothing_counts_does_not_lower_the_mean() {
        let nothing = measure(&[], &[]);
        let some = Measures {
            reproduction_coverage: Some(0.9),
            virality_coverage: Some(0.0),
            ..nothing
        };
        let mut held = Held::default();
        held.add(&nothing, 0.5);
        assert_eq!((held.reproduction(), held.virality()), (None, None));
        held.add(&some, 0.5);
        assert_eq!(
            (held.reproduction(), held.virality()),
            (Some(0.9), Some(0.0))
        );
    }
}
