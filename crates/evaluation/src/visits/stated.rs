//! What the chain stage stated: the causes of every child as they stand in the end, and how each
//! content spreads.

use std::collections::{BTreeMap, HashMap};

use grapevine_event::{EdgeMethod, ParentKind, Record};

/// What is left of an edge that was taken back.
const NOTHING: f64 = 1e-6;

/// The causes of one child, signs counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Causes {
    /// Readers that are named, by visit, with probability.
    pub(super) readers: Vec<([u8; 16], f64)>,
    /// P(from outside).
    pub(super) outside: f64,
    /// Probability of readers that are not named one by one, and of acts that were seen of nobody known.
    pub(super) pooled: f64,
    /// Probability of a proven share of somebody who was never seen.
    pub(super) unseen: f64,
    /// P(its token was passed on); `None` where it came by none of anybody's.
    pub(super) by_token: Option<f64>,
    /// Whose that token is.
    pub(super) owner: Owner,
}

/// Whose a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody's: there is none.
    #[default]
    None,
    /// A reader's, by the visit that names him.
    Reader([u8; 16]),
    /// Of somebody who is no reader.
    Stranger,
    /// It does not say: readers share it.
    Anybody,
}

impl Owner {
    /// Owner of a token by one more of the causes that its edges name.
    fn with(self, kind: ParentKind, parent: Option<[u8; 16]>) -> Owner {
        match (self, kind, parent) {
            (Owner::None, ParentKind::Visitor, Some(parent)) => Owner::Reader(parent),
            (Owner::None, ParentKind::Unknown, _) => Owner::Stranger,
            _ => Owner::Anybody,
        }
    }
}

impl Causes {
    /// Whether its token says whose share it was, as the product takes it: what is more likely the reader's own
    /// token proves nothing.
    pub(super) fn proven(&self) -> bool {
        self.by_token.is_some_and(|passed_on| passed_on > 0.5)
    }

    /// Of a child without an edge: a fact said that it came from outside.
    pub(super) fn told_outside() -> Self {
        Causes {
            outside: 1.0,
            ..Causes::default()
        }
    }
}

/// A child's causes while its edges are read.
type Rows = BTreeMap<(ParentKind, Option<[u8; 16]>), (f64, bool)>;

/// One row of the topic `edges`, as far as causes need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct EdgeRow {
    pub(super) child: [u8; 16],
    pub(super) parent: Option<[u8; 16]>,
    pub(super) kind: ParentKind,
    pub(super) method: EdgeMethod,
    /// Probability times sign.
    pub(super) signed: f64,
}

/// Sums the rows of each child.
pub(super) fn netted(rows: impl IntoIterator<Item = EdgeRow>) -> HashMap<[u8; 16], Causes> {
    let mut children: HashMap<[u8; 16], Rows> = HashMap::new();
    for row in rows {
        let sums = children.entry(row.child).or_default();
        let sum = sums.entry((row.kind, row.parent)).or_default();
        sum.0 += row.signed;
        sum.1 |= row.method == EdgeMethod::Token;
    }
    let summed = children.into_iter().map(|(child, rows)| {
        let mut causes = Causes::default();
        for ((kind, parent), (probability, by_token)) in rows {
            if probability < NOTHING {
                continue;
            }
            if by_token && kind != ParentKind::Outside {
                causes.by_token = Some(probability + causes.by_token.unwrap_or_default());
                causes.owner = causes.owner.with(kind, parent);
            }
            match (kind, parent) {
                (ParentKind::Visitor, Some(parent)) => causes.readers.push((parent, probability)),
                (ParentKind::Outside, _) => causes.outside += probability,
                (ParentKind::Unknown, _) => causes.unseen += probability,
                (ParentKind::Visitor | ParentKind::Act | ParentKind::Pooled, _) => {
                    causes.pooled += probability;
                }
            }
        }
        (child, causes)
    });
    summed.collect()
}

/// The newest record of a content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StatedSpread {
    pub(super) settled: usize,
    /// Expected readers who came from earlier readers: low, likely, high.
    pub(super) chained: [f64; 3],
    /// R: low, likely, high.
    pub(super) reproduction: [f64; 3],
    /// Structural virality, where it is stated.
    pub(super) virality: Option<[f64; 3]>,
    /// Readers from earlier readers for each reader.
    pub(super) k_factor: Option<[f64; 3]>,
    /// Seconds from the busiest time to the half of all later readers.
    pub(super) half_life: Option<[f64; 3]>,
    /// Readers by then, and the half-life as it was stated, of each record before.
    pub(super) half_lives: Vec<(usize, [f64; 3])>,
    /// P(a link was posted in public), and readers by such links.
    pub(super) posted: Option<(f64, [f64; 3])>,
}

/// A figure with its range, where all of it is stated.
fn ranged(figure: [Option<f64>; 3]) -> Option<[f64; 3]> {
    match figure {
        [Some(low), Some(likely), Some(high)] => Some([low, likely, high]),
        _ => None,
    }
}

/// What the chain stage wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    rows: Vec<EdgeRow>,
    /// By content, then by the time of the first reader: a content that was closed begins anew.
    pub(super) spreads: BTreeMap<String, BTreeMap<i64, StatedSpread>>,
}

impl Stated {
    /// Takes a record of the topics `edges` and `spreads`, in their order.
    pub(super) fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Edge(edge) => self.rows.push(EdgeRow {
                child: edge.child_visit.0,
                parent: edge.parent_visit.map(|parent| parent.0),
                kind: edge.parent_kind,
                method: edge.method,
                signed: f64::from(edge.probability) * f64::from(edge.sign),
            }),
            Record::Spread(spread) => {
                let half_life = ranged([
                    spread.half_life_seconds_low,
                    spread.half_life_seconds,
                    spread.half_life_seconds_high,
                ]);
                let by_posts = ranged([
                    spread.broadcast_arrivals_low,
                    spread.broadcast_arrivals,
                    spread.broadcast_arrivals_high,
                ]);
                let arrivals = usize::try_from(spread.arrivals).unwrap_or_default();
                let mut stated = StatedSpread {
                    settled: usize::try_from(spread.settled).unwrap_or_default(),
                    chained: [
                        spread.chain_arrivals_low,
                        spread.chain_arrivals,
                        spread.chain_arrivals_high,
                    ],
                    reproduction: [
                        spread.reproduction_low,
                        spread.reproduction,
                        spread.reproduction_high,
                    ],
                    virality: ranged([
                        spread.structural_virality_low,
                        spread.structural_virality,
                        spread.structural_virality_high,
                    ]),
                    k_factor: ranged([spread.k_factor_low, spread.k_factor, spread.k_factor_high]),
                    half_life,
                    half_lives: Vec::new(),
                    posted: spread.broadcast_probability.zip(by_posts),
                };
                let content = self.spreads.entry(spread.content.into_owned());
                let newest = content.or_default().entry(spread.started);
                let newest = newest.or_insert_with(|| stated.clone());
                stated.half_lives = std::mem::take(&mut newest.half_lives);
                stated
                    .half_lives
                    .extend(half_life.map(|half_life| (arrivals, half_life)));
                *newest = stated;
            }
            _ => {}
        }
    }

    /// The causes of every child, as they stand in the end.
    pub(super) fn causes(&self) -> HashMap<[u8; 16], Causes> {
        netted(self.rows.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(child: u8, parent: Option<u8>, kind: ParentKind, signed: f64) -> EdgeRow {
        EdgeRow {
            child: [child; 16],
            parent: parent.map(|parent| [parent; 16]),
            kind,
            method: match signed.abs() {
                1.0 => EdgeMethod::Token,
                _ => EdgeMethod::Inferred,
            },
            signed,
        }
    }

    #[test]
    fn a_late_token_replaces_what_was_written_before() {
        let found = netted([
            row(2, None, ParentKind::Unknown, 1.0),
            row(3, Some(1), ParentKind::Visitor, 0.5),
            row(3, None, ParentKind::Act, 0.125),
            row(3, None, ParentKind::Pooled, 0.125),
            row(3, None, ParentKind::Outside, 0.25),
            row(2, None, ParentKind::Unknown, -1.0),
            row(2, Some(1), ParentKind::Visitor, 1.0),
        ]);
        let proven = Causes {
            readers: vec![([1; 16], 1.0)],
            by_token: Some(1.0),
            owner: Owner::Reader([1; 16]),
            ..Causes::default()
        };
        assert_eq!(found[&[2; 16]], proven);
        let inferred = Causes {
            readers: vec![([1; 16], 0.5)],
            outside: 0.25,
            pooled: 0.25,
            ..Causes::default()
        };
        assert_eq!(found[&[3; 16]], inferred);
    }

    #[test]
    fn a_token_that_readers_share_is_anybodys() {
        let by_token = |child, parent: Option<u8>, kind, signed| EdgeRow {
            method: EdgeMethod::Token,
            ..row(child, parent, kind, signed)
        };
        let found = netted([
            by_token(2, None, ParentKind::Outside, 0.25),
            by_token(2, None, ParentKind::Unknown, 0.75),
            by_token(3, Some(1), ParentKind::Visitor, 0.5),
            by_token(3, None, ParentKind::Unknown, 0.25),
            by_token(3, None, ParentKind::Outside, 0.25),
        ]);
        let owners = [2, 3].map(|child| (found[&[child; 16]].owner, found[&[child; 16]].by_token));
        let expected = [(Owner::Stranger, Some(0.75)), (Owner::Anybody, Some(0.75))];
        assert_eq!(owners, expected);
    }
}
