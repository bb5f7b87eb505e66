//! Stated causes of readers held against their true parents.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::measures::{EdgeScore, measure};

use super::lineage::{Traced, TrueCause};
use super::measures::{Fit, fit};
use super::stated::Causes;

/// Least probability that the log-loss is taken of, of every method alike: what says never or always
/// and is wrong still has a score.
pub(super) const PROBABILITY_MIN: f64 = 1e-3;

/// One reader whose true cause is known, as every method judged it.
#[derive(Clone, Debug)]
pub(super) struct Scored {
    /// Channel and app, as they truly are.
    pub(super) by: (String, String),
    /// Whether the cause was inferred: no token and no fact told it.
    pub(super) inferred: bool,
    pub(super) product: Judgement,
    /// In the order of [`BASELINES`].
    pub(super) baselines: [Judgement; 4],
}

/// Simple methods on the same readers. They see no tokens; all but the last see no facts either.
const BASELINES: [&str; 4] = [
    "always outside",
    "most recent reader",
    "uniform, outside included",
    "P(private) alone, readers alike",
];

/// How one method judged one reader.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    edge: EdgeScore,
    /// Readers that are named: probability, and whether it is the true one.
    named: Vec<(f64, bool)>,
}

/// Causes of one reader by one method, readers by person.
struct Weighed<'a> {
    /// Named persons with probability.
    named: &'a [(Option<u64>, f64)],
    outside: f64,
    /// Probability of earlier readers that are not named, and how many those are.
    others: (f64, usize),
    /// Probability of a private share by somebody who is no reader.
    unseen: f64,
}

fn judge(weighed: &Weighed<'_>, cause: TrueCause) -> Judgement {
    let Weighed {
        named,
        outside,
        others: (pooled, others),
        unseen,
    } = *weighed;
    // Where there is nobody to stand for, it stands for somebody unknown.
    let count = others.max(1) as f64;
    let each = pooled / count;
    let person = match cause {
        TrueCause::Reader { person, .. } => Some(person),
        // A token may name him all the same.
        TrueCause::Unseen { sharer, .. } => sharer,
        _ => None,
    };
    let from_outside = cause == TrueCause::Outside;
    let by_unseen = matches!(cause, TrueCause::Unseen { .. });
    let mut best = (outside, from_outside);
    if unseen > best.0 {
        best = (unseen, by_unseen);
    }
    let mut truth = match cause {
        TrueCause::Outside => Some(outside),
        TrueCause::Unseen { .. } => Some(unseen),
        _ => None,
    };
    let mut judged = Vec::with_capacity(named.len());
    for (who, probability) in named {
        let right = who.is_some() && *who == person;
        if right {
            truth = Some(*probability + if by_unseen { unseen } else { 0.0 });
        }
        if *probability > best.0 {
            best = (*probability, right);
        }
        judged.push((*probability, right));
    }
    let truth = truth.unwrap_or(each);
    let candidates = named
        .iter()
        .map(|(_, probability)| (*probability, 1.0))
        .chain([
            (outside, 1.0),
            (unseen, f64::from(u8::from(unseen > 0.0))),
            (each, if pooled > 0.0 { count } else { others as f64 }),
        ]);
    let (mut greater, mut equal) = (0.0, 0.0);
    for (probability, count) in candidates {
        greater += if probability > truth { count } else { 0.0 };
        equal += if probability == truth { count } else { 0.0 };
    }
    Judgement {
        edge: EdgeScore {
            truth: truth.max(PROBABILITY_MIN),
            rank: 1.0 + greater + (equal - 1.0f64).max(0.0) / 2.0,
            best: best.0,
            best_is_right: best.1,
            outside,
            from_outside,
        },
        named: judged,
    }
}

/// Readers that are set apart, since no single cause is the right one to state. Of no readers every
/// mean is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Apart {
    /// Readers.
    pub readers: usize,
    /// Mean stated probability of the outside.
    pub outside: Option<f64>,
    /// Mean stated probability of the one who shared, where the product could name him.
    pub sharer: Option<f64>,
    /// Mean stated probability of a share of somebody who was never seen to land there.
    pub unseen: Option<f64>,
}

/// Readers of one site that are set apart, with the sums of what is stated of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SetApart {
    readers: usize,
    outside: f64,
    sharer: f64,
    unseen: f64,
}

impl SetApart {
    fn add(&mut self, causes: &Causes, sharer: f64) {
        self.readers += 1;
        self.outside += causes.outside;
        self.sharer += sharer;
        self.unseen += causes.unseen;
    }

    /// Sums of sites as means over their readers.
    pub(super) fn mean(all: impl Iterator<Item = SetApart>) -> Apart {
        let sums = all.fold(SetApart::default(), |sums, site| SetApart {
            readers: sums.readers + site.readers,
            outside: sums.outside + site.outside,
            sharer: sums.sharer + site.sharer,
            unseen: sums.unseen + site.unseen,
        });
        let mean = |sum: f64| (sums.readers > 0).then(|| sum / sums.readers as f64);
        Apart {
            readers: sums.readers,
            outside: mean(sums.outside),
            sharer: mean(sums.sharer),
            unseen: mean(sums.unseen),
        }
    }
}

/// Readers of one site, held against the truth.
#[derive(Clone, Debug, Default)]
pub(super) struct Judgements {
    pub(super) scored: Vec<Scored>,
    /// By a reader's public post.
    pub(super) by_post: SetApart,
    /// By a private share of somebody whom the product never got land there; among those that are
    /// scored, too.
    pub(super) by_unseen: SetApart,
    /// The same person again, or a robot, taken for a reader.
    pub(super) no_reader: SetApart,
}

/// Judges every landing that the product takes for a reader's first.
pub(super) fn judgements(traced: &[Traced<'_>], stated: &HashMap<[u8; 16], Causes>) -> Judgements {
    let persons: HashMap<[u8; 16], u64> = (traced.iter())
        .filter_map(|traced| Some((traced.landing.visit, traced.truth.person?)))
        .collect();
    let mut earlier: HashMap<&str, Vec<Option<u64>>> = HashMap::new();
    let mut found = Judgements::default();
    for traced in traced {
        let told = Causes::told_outside();
        let (edges, causes) = match stated.get(&traced.landing.visit) {
            Some(causes) => (true, causes),
            None => (false, &told),
        };
        // A return by the visitor's own token has no edge and is no reader.
        if !traced.is_reader {
            continue;
        }
        let earlier = earlier.entry(&traced.landing.content).or_default();
        let before = earlier.len();
        let last = earlier.last().copied();
        earlier.push(traced.truth.person);
        let mut named: Vec<(Option<u64>, f64)> = Vec::with_capacity(causes.readers.len());
        for (visit, probability) in &causes.readers {
            let who = persons.get(visit).copied();
            // A person may be two visitors.
            match named
                .iter_mut()
                .find(|known| who.is_some() && known.0 == who)
            {
                Some(known) => known.1 += probability,
                None => named.push((who, *probability)),
            }
        }
        let of = |person| -> f64 {
            let own = named.iter().filter(|(who, _)| *who == Some(person));
            own.map(|(_, probability)| probability).sum()
        };
        match traced.cause {
            TrueCause::NoReader => {
                found.no_reader.add(causes, 0.0);
                continue;
            }
            TrueCause::Reader {
                person,
                public: true,
            } => {
                found.by_post.add(causes, of(person));
                continue;
            }
            TrueCause::Unseen { public, sharer } => {
                let apart = match public {
                    true => &mut found.by_post,
                    false => &mut found.by_unseen,
                };
                apart.add(causes, sharer.map_or(0.0, of));
                if public {
                    continue;
                }
            }
            TrueCause::Outside | TrueCause::Reader { public: false, .. } => {}
        }
        let by = |named: &[(Option<u64>, f64)], outside, others, unseen| {
            let weighed = Weighed {
                named,
                outside,
                others,
                unseen,
            };
            judge(&weighed, traced.cause)
        };
        let unnamed = before.saturating_sub(causes.readers.len());
        // Somebody who is no reader is to the simple methods as one reader more.
        let alike = |outside: f64| {
            let each = (1.0 - outside) / (before + 1) as f64;
            by(&[], outside, (each * before as f64, before), each)
        };
        let recent = match last {
            Some(last) => by(&[(last, 1.0)], 0.0, (0.0, before - 1), 0.0),
            None => by(&[], 1.0, (0.0, 0), 0.0),
        };
        found.scored.push(Scored {
            by: (traced.truth.channel.to_string(), traced.truth.app.clone()),
            inferred: edges && !causes.proven(),
            product: by(
                &named,
                causes.outside,
                (causes.pooled, unnamed),
                causes.unseen,
            ),
            baselines: [
                by(&[], 1.0, (0.0, before), 0.0),
                recent,
                alike(1.0 / (2.0 + before as f64)),
                alike(1.0 - traced.landing.dark),
            ],
        });
    }
    found
}

/// How well causes are stated, over some readers. A figure that none of them counts for is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ParentScores {
    /// Readers.
    pub readers: usize,
    /// Part that somebody truly sent, in private.
    pub chained: Option<f64>,
    /// Part that is stated: the mean probability of everything but the outside.
    pub chained_stated: Option<f64>,
    /// Stated less true.
    pub bias: Option<f64>,
    /// Part whose likeliest cause, a named reader or the outside, is the true one.
    pub top1: Option<f64>,
    /// The same of those that somebody truly sent.
    pub top1_chain: Option<f64>,
    /// Mean of 1 / rank of the true cause; the middle rank among equals.
    pub mrr: Option<f64>,
    /// Mean of −ln p(true cause), nats; p at least .001, a reader in the pool with his equal part of it.
    pub log_loss: Option<f64>,
    /// The same of those that somebody truly sent.
    pub log_loss_chain: Option<f64>,
    /// Mean squared error of the likeliest cause's probability.
    pub brier: Option<f64>,
    /// Expected calibration error of the likeliest cause's probability, 15 bins.
    pub ece: Option<f64>,
    /// Calibration error of P(from outside).
    pub ece_outside: Option<f64>,
    /// Calibration error over all readers that are named as causes.
    pub ece_named: Option<f64>,
    /// How many are named.
    pub named: usize,
}

/// Scores of one method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MethodScores {
    /// Its name.
    pub name: &'static str,
    /// Over all readers.
    pub all: ParentScores,
    /// Over those whose cause had to be inferred.
    pub inferred: ParentScores,
}

/// Scores of the product by channel and app of the reader, as they truly are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupScores {
    /// Channel.
    pub channel: String,
    /// App, network or engine; empty where there is none.
    pub app: String,
    /// Scores.
    #[serde(flatten)]
    pub scores: ParentScores,
}

/// Scores of causes that name every earlier reader, as those of the methods that name few are taken.
pub(super) fn scores_of(edges: impl Iterator<Item = EdgeScore>) -> ParentScores {
    let judged = edges.map(|edge| Judgement {
        edge: EdgeScore {
            truth: edge.truth.max(PROBABILITY_MIN),
            ..edge
        },
        named: Vec::new(),
    });
    let judged: Vec<Judgement> = judged.collect();
    scores(&judged.iter().collect::<Vec<_>>())
}

fn scores(judgements: &[&Judgement]) -> ParentScores {
    let edges: Vec<EdgeScore> = judgements.iter().map(|judged| judged.edge).collect();
    let measures = measure(&edges, &[]);
    let outside: Vec<(f64, bool)> = edges
        .iter()
        .map(|edge| (edge.outside, edge.from_outside))
        .collect();
    let named: Vec<(f64, bool)> = judgements
        .iter()
        .flat_map(|judged| judged.named.iter().copied())
        .collect();
    let of_outside: Fit = fit(&outside);
    ParentScores {
        readers: edges.len(),
        chained: of_outside.truth.map(|outside| 1.0 - outside),
        chained_stated: of_outside.stated.map(|outside| 1.0 - outside),
        bias: of_outside.bias.map(|bias| -bias),
        top1: measures.top1,
        top1_chain: measures.top1_chain,
        mrr: measures.mrr,
        log_loss: measures.log_loss,
        log_loss_chain: measures.log_loss_chain,
        brier: measures.brier,
        ece: measures.ece,
        ece_outside: of_outside.ece,
        ece_named: fit(&named).ece,
        named: named.len(),
    }
}

/// Scores of the product, then of the simple methods.
pub(super) fn methods(scored: &[&Scored]) -> Vec<MethodScores> {
    let method = |name, of: &dyn Fn(&Scored) -> &Judgement| {
        let some = |inferred_only: bool| {
            let wanted = scored
                .iter()
                .filter(|scored| scored.inferred || !inferred_only);
            let judged: Vec<&Judgement> = wanted.map(|scored| of(scored)).collect();
            scores(&judged)
        };
        MethodScores {
            name,
            all: some(false),
            inferred: some(true),
        }
    };
    let product = method("grapevine", &|scored| &scored.product);
    let baselines = BASELINES
        .iter()
        .enumerate()
        .map(|(at, name)| method(name, &|scored| &scored.baselines[at]));
    std::iter::once(product).chain(baselines).collect()
}

/// Scores of the product by channel and app, the largest first.
pub(super) fn groups(scored: &[&Scored]) -> Vec<GroupScores> {
    let mut by: BTreeMap<&(String, String), Vec<&Judgement>> = BTreeMap::new();
    for scored in scored {
        by.entry(&scored.by).or_default().push(&scored.product);
    }
    let mut groups: Vec<GroupScores> = by
        .into_iter()
        .map(|((channel, app), judged)| GroupScores {
            channel: channel.clone(),
            app: app.clone(),
            scores: scores(&judged),
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.scores.readers));
    groups
}

#[cfg(test)]
mod tests;
