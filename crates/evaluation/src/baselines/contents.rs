//! The methods on contents of a site, where more may be the cause than in a cascade file: somebody who
//! is no reader, and a token that says less than who it was.
//!
//! Every second content teaches the methods that are fitted, and they are scored on the others; then
//! the other way round, so that each content is scored once, by methods that have not seen it.

use super::labels::Teach;
use super::scoring::{Seen, Weigh, count, drawn, greatest, total};
use super::{FITTED, fitted, side_by_side, unfitted};
use crate::cascades::Cascade;
use crate::drive::Tokens;
use crate::measures::{EdgeScore, virality};

/// What draws follow from: which labels are looked at, and the trees.
const SEED: u64 = 1;
/// The chain stage names at most so many readers as causes of one, …
const NAMED_MAX: usize = 3;
/// … of this probability at least, and pools the others.
const NAMED_FROM: f64 = 0.01;

/// What truly sent a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Nobody.
    Outside,
    /// An earlier node.
    Node(usize),
    /// Somebody who is no node.
    Stranger,
}

/// What is known of a node's cause beforehand; probabilities are those of its not being from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    /// It came from outside.
    Outside,
    /// An earlier node sent it.
    By(usize, f64),
    /// Somebody who is no node sent it.
    ByStranger(f64),
    /// Anybody sent it.
    ByAnybody(f64),
}

/// A content whose readers are the nodes of a cascade, from node 1 on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    /// Whom nobody who is a node sent hangs below the root.
    pub(crate) cascade: Cascade,
    /// What truly sent each node, the root included; none where no single cause is the right one.
    /// Others are not scored, and teach nothing.
    pub(crate) senders: Vec<Option<Sender>>,
    /// What is known of each node's cause, the root included.
    pub(crate) told: Vec<Option<Told>>,
    /// Nodes that are the same person as an earlier one, which stands for both.
    pub(crate) again: Vec<(usize, usize)>,
}

/// What a method says of a content.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// Of every node that is scored, in their order.
    pub(crate) edges: Vec<EdgeScore>,
    /// Probability of the true cause of each, were no more readers named than the product names.
    pub(crate) naming_few: Vec<f64>,
    /// Share of nodes that were sent; `None` where the method could not be fitted.
    pub(crate) reproduction: Option<f64>,
    /// Virality of one tree that is drawn; strangers' readers hang below the root. `None` where the
    /// method could not be fitted.
    pub(crate) virality: Option<f64>,
}

/// A method, and what it says of each content.
pub(crate) type Sayings = (&'static str, Vec<Said>);

/// Probability that somebody sent a reader who is no node.
#[derive(Clone, Copy, Debug)]
enum Strangers {
    /// None.
    Never,
    /// One more node would have it, as likely as the others in the mean; as likely as the outside where
    /// there is none.
    OneMore,
    /// This part of all.
    Part(f64),
}

/// A method as one half of the contents has it.
struct Method {
    weigh: Box<dyn Weigh>,
    strangers: Strangers,
}

/// Runs every method over the contents. One that cannot be fitted, since a half has nothing to teach,
/// says nothing of any.
pub(crate) fn of_contents(contents: &[&Content]) -> Vec<Sayings> {
    let halves = [0, 1].map(|odd| Half {
        contents: contents.iter().skip(odd).step_by(2).copied().collect(),
    });
    let nodes = contents.iter().map(|content| content.told.len());
    let nodes = nodes.max().unwrap_or(1);
    // Each half by what the other taught.
    let mut methods = [&halves[1], &halves[0]].map(|half| half.methods(nodes));
    let unfitted = unfitted(nodes);
    if methods
        .iter()
        .any(|methods| methods.len() == unfitted.len())
    {
        for methods in &mut methods {
            methods.truncate(unfitted.len());
        }
    }
    let names = unfitted.iter().map(|(name, _)| *name);
    let names: Vec<&str> = names.chain(FITTED).collect();
    let said = side_by_side(contents.len() * names.len(), |job| {
        let (method, number) = (job / contents.len(), job % contents.len());
        let method = methods[number % 2].get(method);
        method.map_or_else(Said::default, |method| {
            method.said_of(contents[number], number)
        })
    });
    let mut said = said.into_iter();
    (names.into_iter())
        .map(|name| (name, said.by_ref().take(contents.len()).collect()))
        .collect()
}

/// Contents that teach.
struct Half<'a> {
    contents: Vec<&'a Content>,
}

impl Half<'_> {
    /// The methods that this half teaches, of cascades of up to so many nodes; without labels those
    /// that need none.
    fn methods(&self, nodes: usize) -> Vec<Method> {
        let unfitted = unfitted(nodes).into_iter().map(|(_, weigh)| Method {
            strangers: match weigh.is_sure() {
                true => Strangers::Never,
                false => Strangers::OneMore,
            },
            weigh,
        });
        let part = Strangers::Part(self.strangers());
        let fitted = fitted(self, nodes).into_iter().flatten();
        let fitted = fitted.map(|weigh| Method {
            weigh,
            strangers: part,
        });
        unfitted.chain(fitted).collect()
    }

    /// Senders of nodes of which nothing is known.
    fn inferred(&self) -> impl Iterator<Item = Sender> {
        let contents = self.contents.iter();
        contents.flat_map(|content| {
            let nodes = content.senders.iter().zip(&content.told);
            nodes.filter_map(|(sender, told)| sender.filter(|_| told.is_none()))
        })
    }

    /// Part of them that is no node; below 1.
    fn strangers(&self) -> f64 {
        let all = self.inferred().count() as f64;
        let strangers = self
            .inferred()
            .filter(|sender| *sender == Sender::Stranger)
            .count() as f64;
        strangers / (all + 1.0)
    }
}

impl Teach for Half<'_> {
    fn cascades(&self) -> Vec<&Cascade> {
        (self.contents.iter())
            .map(|content| &content.cascade)
            .collect()
    }

    fn label(&self, cascade: usize, node: usize) -> bool {
        let content = self.contents[cascade];
        let is_node = matches!(
            content.senders[node],
            Some(Sender::Outside | Sender::Node(_))
        );
        is_node && content.told[node].is_none()
    }

    fn labels(&self) -> f64 {
        let nodes = self.inferred().filter(|sender| *sender != Sender::Stranger);
        nodes.count() as f64
    }

    fn known(&self, cascade: usize, node: usize) -> Option<usize> {
        match self.contents[cascade].told[node]? {
            Told::Outside => Some(0),
            Told::By(parent, _) => Some(parent),
            Told::ByStranger(_) | Told::ByAnybody(_) => None,
        }
    }

    fn seed(&self) -> u64 {
        SEED
    }
}

impl Method {
    /// What it says of the content of that number.
    fn said_of(&self, content: &Content, number: usize) -> Said {
        let draw = Tokens {
            rate: 0.0,
            seed: SEED ^ 0x7472_6565,
        };
        let nodes = content.told.len();
        let mut seen = Seen::new(&content.cascade);
        let mut weights = Vec::new();
        let mut tree = vec![0u32];
        let mut said = Said::default();
        let mut sent = 0.0;
        for node in 1..nodes {
            seen.look_at(node);
            weights.resize(node, 0.0);
            let stranger = self.weigh(&seen, content.told[node], &mut weights);
            let all = total(&weights) + stranger;
            sent += 1.0 - weights[0] / all;
            let amount = all * draw.dice(number, node);
            // A stranger is drawn first, so that a node is drawn by its own weight.
            tree.push(match amount < stranger {
                true => 0,
                false => drawn(&weights, amount - stranger) as u32,
            });
            if self.weigh.expects() {
                for (expected, weight) in seen.expected.iter_mut().zip(&weights) {
                    *expected += weight / all;
                }
            }
            match content.told[node] {
                Some(Told::Outside) => seen.reveal(0),
                Some(Told::By(parent, _)) => seen.reveal(parent),
                Some(Told::ByStranger(_) | Told::ByAnybody(_)) | None => {}
            }
            if let Some(sender) = content.senders[node] {
                for (node, first) in content.again.iter().take_while(|again| again.0 < node) {
                    weights[*first] += std::mem::take(&mut weights[*node]);
                }
                said.edges.push(score(&weights, stranger, sender));
                said.naming_few.push(naming_few(&weights, stranger, sender));
            }
        }
        said.reproduction = Some(sent / (nodes - 1).max(1) as f64);
        said.virality = Some(virality(&tree));
        said
    }

    /// Writes the weights of all earlier nodes, the root first; gives the stranger's.
    fn weigh(&self, seen: &Seen<'_>, told: Option<Told>, weights: &mut [f64]) -> f64 {
        match told {
            Some(Told::Outside) => {
                weights.fill(0.0);
                weights[0] = 1.0;
                return 0.0;
            }
            Some(Told::By(parent, sure)) => {
                weights.fill(0.0);
                weights[0] = 1.0 - sure;
                weights[parent] += sure;
                return 0.0;
            }
            Some(Told::ByStranger(sure)) => {
                weights.fill(0.0);
                weights[0] = 1.0 - sure;
                return sure;
            }
            Some(Told::ByAnybody(_)) | None => {}
        }
        self.weigh.weigh(seen, weights);
        let all = total(weights);
        let mut stranger = match self.strangers {
            Strangers::Never => 0.0,
            Strangers::OneMore if weights.len() < 2 => all,
            Strangers::OneMore => total(&weights[1..]) / (weights.len() - 1) as f64,
            Strangers::Part(part) => all * part / (1.0 - part),
        };
        if let Some(Told::ByAnybody(sure)) = told {
            let mut others = total(&weights[1..]) + stranger;
            // Who leaves nothing to anybody has to: then it is somebody, nobody knows who.
            if others <= 0.0 {
                (others, stranger) = (1.0, 1.0);
            }
            weights[0] = others * (1.0 - sure) / sure;
        }
        stranger
    }
}

fn score(weights: &[f64], stranger: f64, sender: Sender) -> EdgeScore {
    let all = total(weights) + stranger;
    let truth = match sender {
        Sender::Outside => weights[0],
        Sender::Node(node) => weights[node],
        Sender::Stranger => stranger,
    };
    let best = greatest(weights);
    // The later of equally likely ones, as the published baselines do; a stranger only where nobody is
    // as likely.
    let best = match stranger > best {
        true => (stranger, Sender::Stranger),
        false => match weights.iter().rposition(|weight| *weight == best) {
            None | Some(0) => (best, Sender::Outside),
            Some(node) => (best, Sender::Node(node)),
        },
    };
    let is_candidate = stranger > 0.0 || sender == Sender::Stranger;
    let strangers = &[stranger][..usize::from(is_candidate)];
    let counted = |counts: fn(f64, f64) -> bool| {
        count(weights, |weight| counts(weight, truth))
            + count(strangers, |weight| counts(weight, truth))
    };
    let (greater, equal) = (counted(|a, b| a > b), counted(|a, b| a == b));
    EdgeScore {
        truth: truth / all,
        rank: 1.0 + greater + (equal - 1.0) / 2.0,
        best: best.0 / all,
        best_is_right: best.1 == sender,
        outside: weights[0] / all,
        from_outside: sender == Sender::Outside,
    }
}

/// Probability of the true cause where the likeliest readers are named and the others have equal parts of the rest.
fn naming_few(weights: &[f64], stranger: f64, sender: Sender) -> f64 {
    let all = total(weights) + stranger;
    let node = match sender {
        Sender::Outside => return weights[0] / all,
        Sender::Stranger => return stranger / all,
        Sender::Node(node) => node,
    };
    let readers = &weights[1..];
    let mut named = [0.0f64; NAMED_MAX];
    for weight in readers.iter().filter(|weight| **weight >= NAMED_FROM * all) {
        let place = named.partition_point(|greater| greater >= weight);
        if place < NAMED_MAX {
            named[place..].rotate_right(1);
            named[place] = *weight;
        }
    }
    let own = weights[node];
    if own >= NAMED_FROM * all && named.iter().any(|named| own >= *named) {
        return own / all;
    }
    let others = readers.len() - named.iter().filter(|named| **named > 0.0).count();
    let pooled = total(readers) - named.iter().sum::<f64>();
    pooled.max(0.0) / others.max(1) as f64 / all
}

#[cfg(test)]
mod tests;
