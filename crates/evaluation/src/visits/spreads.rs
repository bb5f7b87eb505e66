//! Stated R and structural virality of contents held against their true trees.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::measures::{mean, virality};

use super::half_life::half_life;
use super::lineage::{Traced, TrueCause};
use super::posted::{self, PostedScore, PostedScores, TrueLinks};
use super::simple_trees::{SIMPLE_TREES, SimpleScore, SpreadBaseline};
use super::stated::StatedSpread;

/// Settled readers from which a content is scored.
pub const READERS_MIN: usize = 20;

/// One content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpreadScore {
    /// Its address.
    pub(super) content: String,
    /// True readers.
    pub(super) readers: usize,
    /// Stated share of readers who came from earlier readers: low, likely, high.
    pub(super) share: [f64; 3],
    /// Stated R.
    pub(super) reproduction: [f64; 3],
    /// True share of readers whom readers sent, in private and at all: R of a tree that is finished.
    pub(super) true_reproduction: [f64; 2],
    /// Stated structural virality.
    pub(super) virality: Option<[f64; 3]>,
    /// True one: of readers, with links passed on in private; and with all links, sharers among the
    /// nodes who are no readers here.
    pub(super) true_virality: [f64; 2],
    /// Stated k-factor.
    pub(super) k_factor: Option<[f64; 3]>,
    /// Stated half-life in the end, and when at most three quarters of the true readers had come.
    pub(super) half_life: [Option<[f64; 3]>; 2],
    /// True half-life.
    pub(super) true_half_life: Option<f64>,
}

/// Readers of a site from earlier readers, summed over all contents.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    /// Settled readers as stated.
    pub(super) settled: f64,
    /// Of those from earlier readers, as stated: low, likely, high.
    pub(super) chained: [f64; 3],
    /// True readers.
    pub(super) readers: f64,
    /// Of those from readers' shares, in private and at all.
    pub(super) shared: [f64; 2],
}

/// The spreading of one site's contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Spreads {
    pub(super) scored: Vec<SpreadScore>,
    pub(super) totals: Totals,
    pub(super) posted: Vec<PostedScore>,
}

/// True tree of one content, as it grows.
#[derive(Default)]
struct Tree {
    /// Node by person; the root, node 0, is nobody.
    nodes: [HashMap<u64, u32>; 2],
    /// Parent by node, of links passed on in private, and of all with sharers who are no readers.
    parents: [Vec<u32>; 2],
    shared: [usize; 2],
    /// Event times of readers.
    times: Vec<i64>,
    links: TrueLinks,
}

impl Tree {
    fn add(&mut self, traced: &Traced<'_>) {
        self.times.push(traced.landing.time);
        if let TrueCause::Reader { person, public } = traced.cause
            && traced.truth.token_of.is_some()
        {
            self.links.brought(person, public);
        }
        let trees = self.parents.iter_mut().zip(&mut self.nodes);
        for ((parents, nodes), public_too) in trees.zip([false, true]) {
            if parents.is_empty() {
                parents.push(0);
            }
            let parent = match traced.cause {
                TrueCause::Reader { person, .. } if traced.cause.is_share(public_too) => {
                    nodes.get(&person).copied()
                }
                // Who shared without landing there came from outside.
                TrueCause::Unseen {
                    sharer: Some(sharer),
                    ..
                } if public_too => Some(*nodes.entry(sharer).or_insert_with(|| {
                    parents.push(0);
                    parents.len() as u32 - 1
                })),
                _ => None,
            };
            parents.push(parent.unwrap_or(0));
            if let Some(person) = traced.truth.person {
                let node = parents.len() as u32 - 1;
                nodes.entry(person).or_insert(node);
            }
            self.shared[usize::from(public_too)] += usize::from(traced.cause.is_share(public_too));
        }
    }

    fn readers(&self) -> usize {
        self.times.len()
    }

    /// True half-life of a content that started then.
    fn half_life(&self, started: i64) -> Option<f64> {
        let ages = self.times.iter();
        half_life(ages.map(|time| (time - started) as f64 / 1_000.0).collect())
    }
}

/// Holds the records of a site against true trees. A content that was closed and began anew has
/// more than one record and is not scored by itself.
pub(super) fn spreads(
    traced: &[Traced<'_>],
    stated: &BTreeMap<String, BTreeMap<i64, StatedSpread>>,
) -> Spreads {
    let mut trees: BTreeMap<&str, Tree> = BTreeMap::new();
    for traced in traced {
        if traced.is_reader && traced.cause != TrueCause::NoReader {
            let tree = trees.entry(&traced.landing.content).or_default();
            tree.add(traced);
        }
    }
    let mut found = Spreads::default();
    for tree in trees.values() {
        found.totals.readers += tree.readers() as f64;
        for (sum, shared) in found.totals.shared.iter_mut().zip(tree.shared) {
            *sum += shared as f64;
        }
    }
    for (content, records) in stated {
        for record in records.values() {
            found.totals.settled += record.settled as f64;
            for (sum, chained) in found.totals.chained.iter_mut().zip(record.chained) {
                *sum += chained;
            }
        }
        let (Some((started, record)), Some(tree)) =
            (records.iter().next(), trees.get(content.as_str()))
        else {
            continue;
        };
        if let (1, Some((probability, readers))) = (records.len(), record.posted) {
            found.posted.push(PostedScore {
                probability,
                readers,
                true_readers: tree.links.by_posts(),
            });
        }
        if records.len() > 1 || record.settled < READERS_MIN || tree.readers() == 0 {
            continue;
        }
        let mut early = record.half_lives.iter().rev();
        let early = early.find(|(arrivals, _)| 4 * arrivals <= 3 * tree.readers());
        let part = |shared: usize| shared as f64 / tree.readers() as f64;
        found.scored.push(SpreadScore {
            content: content.clone(),
            readers: tree.readers(),
            share: record
                .chained
                .map(|chained| chained / record.settled as f64),
            reproduction: record.reproduction,
            true_reproduction: tree.shared.map(part),
            virality: record.virality,
            true_virality: [virality(&tree.parents[0]), virality(&tree.parents[1])],
            k_factor: record.k_factor,
            half_life: [record.half_life, early.map(|(_, half_life)| *half_life)],
            true_half_life: tree.half_life(*started),
        });
    }
    found
}

/// How well one figure of contents is stated. The true figure lies between that of links passed on
/// in private and that of all links, since a reader's public post counts as the outside where its
/// site says so; that of virality besides between that of readers alone and that of all sharers. Of
/// no contents every part and mean is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FigureScore {
    /// Contents.
    pub contents: usize,
    /// Mean of the stated figure.
    pub stated: Option<f64>,
    /// Mean of the true one, in private.
    pub private: Option<f64>,
    /// Mean of the true one, at all.
    pub all: Option<f64>,
    /// Mean distance of the stated figure to that in private.
    pub error_private: Option<f64>,
    /// Mean distance to that of all links.
    pub error_all: Option<f64>,
    /// Part of contents whose 80 % range holds that in private.
    pub held_private: Option<f64>,
    /// Part whose range holds that of all links.
    pub held_all: Option<f64>,
    /// Part whose range and what lies between the two meet.
    pub held: Option<f64>,
    /// Of those whose range does not, the part in which it lies below; `None` where every range does.
    pub missed_below: Option<f64>,
    /// Mean distance from the low end of the range to the high one, in the figure's unit.
    pub width: Option<f64>,
}

/// Contents held against their true trees, and all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpreadScores {
    /// Stated share of all readers who came from earlier readers: low, likely, high; `None` where
    /// none is settled.
    pub chained: Option<[f64; 3]>,
    /// True share whom a reader sent in private; `None` where nobody read.
    pub chained_private: Option<f64>,
    /// True share whom a reader sent at all; `None` where nobody read.
    pub chained_all: Option<f64>,
    /// Share of readers from earlier readers, by content.
    pub share: FigureScore,
    /// R, by content.
    pub reproduction: FigureScore,
    /// Structural virality, by content; distances are relative to the true one.
    pub virality: FigureScore,
    /// R and virality of the same contents by simple methods.
    pub baselines: [SpreadBaseline; 2],
    /// k-factor, by content.
    pub k_factor: FigureScore,
    /// Half-life in seconds as stated in the end, by content; distances are relative.
    pub half_life: FigureScore,
    /// The same as it was stated when at most three quarters of the readers had come.
    pub half_life_early: FigureScore,
    /// Links that readers posted in public.
    pub posted: PostedScores,
}

/// A stated figure with its range, and the true one in private and at all.
pub(super) type Case = ([f64; 3], [f64; 2]);

pub(super) fn figure(cases: &[Case], relative: bool) -> FigureScore {
    let over = |of: &dyn Fn(&[f64; 3], &[f64; 2]) -> f64| {
        mean(cases.iter().map(|(stated, truth)| of(stated, truth)))
    };
    let error = |stated: f64, truth: f64| {
        let off = (stated - truth).abs();
        if relative && truth > 0.0 {
            off / truth
        } else {
            off
        }
    };
    // What is certain has no width but for rounding.
    let holds = |[low, _, high]: &[f64; 3], from: f64, to: f64| {
        f64::from(u8::from(low - 1e-6 <= to && from <= high + 1e-6))
    };
    let held = over(&|stated, [private, all]| holds(stated, private.min(*all), private.max(*all)));
    let below =
        over(&|[_, _, high], [private, all]| f64::from(u8::from(high + 1e-6 < private.min(*all))));
    FigureScore {
        contents: cases.len(),
        stated: over(&|[_, likely, _], _| *likely),
        private: over(&|_, [private, _]| *private),
        all: over(&|_, [_, all]| *all),
        error_private: over(&|[_, likely, _], [private, _]| error(*likely, *private)),
        error_all: over(&|[_, likely, _], [_, all]| error(*likely, *all)),
        held_private: over(&|stated, [private, _]| holds(stated, *private, *private)),
        held_all: over(&|stated, [_, all]| holds(stated, *all, *all)),
        held,
        missed_below: held
            .zip(below)
            .filter(|(held, _)| *held < 1.0)
            .map(|(held, below)| below / (1.0 - held)),
        width: over(&|[low, _, high], _| high - low),
    }
}

/// Scores contents of several sites together.
pub(super) fn measure(sites: &[&Spreads]) -> SpreadScores {
    let mut totals = Totals::default();
    let mut scored: Vec<&SpreadScore> = Vec::new();
    for site in sites {
        totals.settled += site.totals.settled;
        totals.readers += site.totals.readers;
        for (sum, chained) in totals.chained.iter_mut().zip(site.totals.chained) {
            *sum += chained;
        }
        for (sum, shared) in totals.shared.iter_mut().zip(site.totals.shared) {
            *sum += shared;
        }
        scored.extend(&site.scored);
    }
    let cases = |of: &dyn Fn(&SpreadScore) -> Option<Case>| -> Vec<Case> {
        scored.iter().filter_map(|score| of(score)).collect()
    };
    let half_life = |when: usize| {
        let of = |score: &SpreadScore| Some((score.half_life[when]?, [score.true_half_life?; 2]));
        figure(&cases(&of), true)
    };
    let baselines = SIMPLE_TREES.map(|tree| {
        let reproduction = |score: &SpreadScore| {
            let stated = (tree.reproduction)(score.readers as f64);
            Some(([stated; 3], score.true_reproduction))
        };
        // The contents of which the product states it.
        let virality = |score: &SpreadScore| {
            let stated = (tree.virality)(score.readers as f64);
            score.virality.map(|_| ([stated; 3], score.true_virality))
        };
        SpreadBaseline {
            name: tree.name,
            reproduction: SimpleScore::of(figure(&cases(&reproduction), false)),
            virality: SimpleScore::of(figure(&cases(&virality), true)),
        }
    });
    let [private, all] =
        (totals.shared).map(|shared| (totals.readers > 0.0).then(|| shared / totals.readers));
    let chained = totals.chained.map(|chained| chained / totals.settled);
    SpreadScores {
        chained: (totals.settled > 0.0).then_some(chained),
        chained_private: private,
        chained_all: all,
        share: figure(
            &cases(&|score| Some((score.share, score.true_reproduction))),
            false,
        ),
        reproduction: figure(
            &cases(&|score| Some((score.reproduction, score.true_reproduction))),
            false,
        ),
        virality: figure(
            &cases(&|score| Some((score.virality?, score.true_virality))),
            true,
        ),
        baselines,
        k_factor: figure(
            &cases(&|score| Some((score.k_factor?, score.true_reproduction))),
            false,
        ),
        half_life: half_life(0),
        half_life_early: half_life(1),
        posted: posted::measure(sites.iter().flat_map(|site| &site.posted)),
    }
}

#[cfg(test)]
mod tests {
    use grapevine_event::Channel;

    use super::super::lineage::tests::{landing, row};
    use super::super::lineage::trace;
    use super::*;

    #[test]
    fn the_true_tree_is_grown_by_private_shares_and_by_all() {
        // 1 from outside, 2 by 1 in private, 3 by 2's public post, 4 from outside.
        let mut rows = vec![
            row(1, "search", None),
            row(2, "share", Some(1)),
            row(3, "share", Some(2)),
            row(4, "search", None),
        ];
        rows[2].channel = Channel::Social;
        // As many more from outside as make the content large enough.
        rows.extend((5..=20).map(|visit| row(visit, "search", None)));
        let landings: Vec<_> = (1..=20).map(|visit| landing(visit, visit as i64)).collect();
        let traced = trace(landings.iter().zip(&rows), &rows);
        let record = StatedSpread {
            settled: 20,
            chained: [0.0, 1.5, 3.0],
            reproduction: [0.0, 0.1, 0.2],
            virality: None,
            k_factor: Some([0.0, 0.075, 0.15]),
            half_life: None,
            half_lives: Vec::new(),
            posted: None,
        };
        let content = landings[0].content.clone();
        let stated = BTreeMap::from([(content.clone(), BTreeMap::from([(0, record.clone())]))]);
        let found = spreads(&traced, &stated);
        let score = &found.scored[0];
        assert_eq!(score.true_reproduction, [0.05, 0.1]);
        assert_eq!(score.share, [0.0, 0.075, 0.15]);
        let mut parents = vec![0u32; 21];
        parents[2] = 1;
        assert_eq!(score.true_virality[0], virality(&parents));
        parents[3] = 2;
        assert_eq!(score.true_virality[1], virality(&parents));
        assert_eq!(found.totals.shared, [1.0, 2.0]);
        // A star has R 0, a path of twenty .95; no virality is stated, so none is held against it.
        let [star, path] = measure(&[&found]).baselines;
        let close = |figure: Option<f64>, by_hand: f64| {
            let figure = figure.expect("the content counts for it");
            assert!((figure - by_hand).abs() < 1e-12, "{figure} {by_hand}");
        };
        close(star.reproduction.error_private, 0.05);
        close(star.reproduction.error_all, 0.1);
        close(path.reproduction.stated, 0.95);
        close(path.reproduction.error_private, 0.9);
        assert_eq!(star.virality.error_all, None);
        // Two records of one content count together, but not as a content.
        let twice = BTreeMap::from([(content, BTreeMap::from([(0, record.clone()), (9, record)]))]);
        let found = spreads(&traced, &twice);
        assert!(found.scored.is_empty() && found.totals.settled == 40.0);
    }

    #[test]
    fn figures_by_hand() {
        let cases = [
            ([0.1, 0.2, 0.3], [0.2, 0.4]),
            ([0.1, 0.2, 0.3], [0.0, 0.5]),
            ([0.1, 0.2, 0.3], [0.4, 0.5]),
            ([0.5, 0.6, 0.7], [0.1, 0.2]),
        ];
        let found = figure(&cases, false);
        let close = |figure: Option<f64>, by_hand: f64| {
            let figure = figure.expect("contents count for it");
            assert!((figure - by_hand).abs() < 1e-12, "{figure} {by_hand}");
        };
        close(found.stated, 0.3);
        close(found.error_private, (0.0 + 0.2 + 0.2 + 0.5) / 4.0);
        close(found.held_private, 0.25);
        close(found.held_all, 0.0);
        close(found.held, 0.5);
        close(found.missed_below, 0.5);
        close(figure(&cases[..1], true).error_all, 0.5);
        // The range meets what lies between: nothing is missed.
        let met = figure(&cases[..1], false);
        assert_eq!((met.held, met.missed_below), (Some(1.0), None));
    }

    #[test]
    fn no_contents_have_no_figures() {
        let found = measure(&[]);
        assert_eq!(found.chained, None);
        assert_eq!((found.chained_private, found.chained_all), (None, None));
        for baseline in found.baselines {
            let errors = [
                baseline.reproduction.error_all,
                baseline.virality.error_private,
            ];
            assert_eq!(errors, [None; 2], "{baseline:?}");
        }
        let figure = found.half_life;
        assert_eq!(figure.contents, 0);
        for value in [
            figure.stated,
            figure.private,
            figure.all,
            figure.error_private,
            figure.error_all,
            figure.held_private,
            figure.held_all,
            figure.held,
            figure.missed_below,
        ] {
            assert_eq!(value, None, "{figure:?}");
        }
    }
}
