//! How much more likely it is that two arrivals are parent and child where their marks agree.
//!
//! A child copies its parent's mark with probability h and otherwise draws from the base law f of
//! all arrivals: the ratio for equal marks of value v is (h + (1 − h) f_v) / f_v, for unequal ones
//! 1 − h. So a match of a rare value says much, one of a common value little.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::candidate::Candidate;

/// One match must not make an edge certain: an office or a carrier shares an address.
const RATIO_MAX: f64 = 50.0;
/// Values of a mark that are counted one by one.
const VALUES_MAX: usize = 4_096;
/// Certain edges that the prior of h weighs as much as.
const PRIOR_EDGES: f64 = 20.0;

/// Marks of an arrival; 0 where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Channel or app, by a number of the caller's.
    pub channel: u8,
    /// Network, as 16 bits of its pseudonym.
    pub network: u16,
}

/// What is known of one kind of mark: the base law, and how often children copy. Counts only, so
/// that two of them add up and their order does not matter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkLaw {
    /// Arrivals by value.
    counts: BTreeMap<u16, u32>,
    arrivals: u64,
    /// Certain edges between readers whose marks are known; of these with equal marks.
    edges: u64,
    equal: u64,
    /// Sum of the base share of the parents' values, times 2²⁰.
    by_chance: u64,
    /// Probability of copying before any edge is seen.
    prior: f64,
}

impl MarkLaw {
    /// A law without any observation; `prior` is the probability of copying believed before, from
    /// 0 to 1.
    pub fn new(prior: f64) -> Self {
        MarkLaw {
            counts: BTreeMap::new(),
            arrivals: 0,
            edges: 0,
            equal: 0,
            by_chance: 0,
            prior: prior.clamp(0.0, 0.99),
        }
    }

    /// Counts the mark of an arrival; 0 is none.
    pub fn arrived(&mut self, value: u16) {
        if value == 0 {
            return;
        }
        self.arrivals += 1;
        // Past the limit, new values count as rare.
        if self.counts.len() < VALUES_MAX || self.counts.contains_key(&value) {
            *self.counts.entry(value).or_default() += 1;
        }
    }

    /// Counts a certain edge between readers.
    pub fn edge(&mut self, parent: u16, child: u16) {
        if parent == 0 || child == 0 {
            return;
        }
        self.edges += 1;
        self.equal += u64::from(parent == child);
        self.by_chance += (self.share(parent) * f64::from(1u32 << 20)) as u64;
    }

    /// Share of arrivals with that value, from 0 to 1, never 0.
    pub fn share(&self, value: u16) -> f64 {
        let count = self.counts.get(&value).copied().unwrap_or_default();
        let values = self.counts.len() as f64 + 1.0;
        (f64::from(count) + 0.5) / (self.arrivals as f64 + 0.5 * values)
    }

    /// Probability that a child copies, from the certain edges and the prior.
    pub fn copying(&self) -> f64 {
        let edges = self.edges as f64;
        let chance = self.by_chance as f64 / f64::from(1u32 << 20);
        let observed = match edges - chance > 0.5 {
            // equal = h edges + (1 − h) chance, solved for h.
            true => ((self.equal as f64 - chance) / (edges - chance)).clamp(0.0, 0.99),
            false => self.prior,
        };
        (observed * edges + self.prior * PRIOR_EDGES) / (edges + PRIOR_EDGES)
    }

    /// Ratios of a match and of a mismatch for a child with that value; 1 where it has none.
    fn ratios(&self, value: u16) -> [f32; 2] {
        if value == 0 {
            return [1.0, 1.0];
        }
        let (copying, share) = (self.copying(), self.share(value));
        let equal = (copying + (1.0 - copying) * share) / share;
        [equal.min(RATIO_MAX) as f32, (1.0 - copying) as f32]
    }
}

/// The laws of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkLaws {
    /// Of channels or apps.
    pub channel: MarkLaw,
    /// Of networks.
    pub network: MarkLaw,
}

impl Default for MarkLaws {
    /// Cold start: children copy the channel with probability .3 and the network with .1, our
    /// reading, until certain edges say more.
    fn default() -> Self {
        MarkLaws {
            channel: MarkLaw::new(0.3),
            network: MarkLaw::new(0.1),
        }
    }
}

impl MarkLaws {
    /// Counts an arrival.
    pub fn arrived(&mut self, marks: Marks) {
        self.channel.arrived(u16::from(marks.channel));
        self.network.arrived(marks.network);
    }

    /// Counts a certain edge between readers.
    pub fn edge(&mut self, parent: Marks, child: Marks) {
        self.channel
            .edge(u16::from(parent.channel), u16::from(child.channel));
        self.network.edge(parent.network, child.network);
    }

    /// What the marks of a child say about each candidate.
    pub(super) fn likeness(&self, child: Marks) -> Likeness {
        Likeness {
            child,
            channel: self.channel.ratios(u16::from(child.channel)),
            network: self.network.ratios(child.network),
        }
    }
}

/// The ratios of one child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Likeness {
    child: Marks,
    channel: [f32; 2],
    network: [f32; 2],
}

impl Likeness {
    /// The ratio of a candidate; a mark that it lacks says nothing.
    #[inline]
    pub(super) fn of(&self, candidate: &Candidate) -> f32 {
        let pick = |ratios: [f32; 2], known: bool, equal: bool| match (known, equal) {
            (false, _) => 1.0,
            (true, true) => ratios[0],
            (true, false) => ratios[1],
        };
        let child = self.child;
        pick(
            self.channel,
            candidate.channel != 0,
            candidate.channel == child.channel,
        ) * pick(
            self.network,
            candidate.network != 0,
            candidate.network == child.network,
        )
    }

    /// True where the child has no marks.
    pub(super) fn says_nothing(&self) -> bool {
        self.child == Marks::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(marks: Marks) -> Candidate {
        let mut candidate = Candidate::new(1, 1, 0);
        candidate.channel = marks.channel;
        candidate.network = marks.network;
        candidate
    }

    #[test]
    fn copying_is_learned_from_certain_edges_and_a_rare_match_says_more() {
        let mut laws = MarkLaws::default();
        for number in 0..10_000u32 {
            // Channel 1 has four arrivals of five; networks are 100, all alike.
            laws.arrived(Marks {
                channel: if number % 5 == 0 { 2 } else { 1 },
                network: (number % 100) as u16 + 1,
            });
        }
        for number in 0..2_000u16 {
            // Half of the children copy the network, the others have another.
            let parent = Marks {
                channel: 1,
                network: number % 100 + 1,
            };
            let other = (number + 7) % 100 + 1;
            let network = if number % 2 == 0 {
                parent.network
            } else {
                other
            };
            laws.edge(
                parent,
                Marks {
                    channel: 0,
                    network,
                },
            );
        }
        let copying = laws.network.copying();
        assert!((copying - 0.5).abs() < 0.02, "{copying}");
        assert_eq!(laws.channel.copying(), 0.3);
        let child = Marks {
            channel: 2,
            network: 9,
        };
        let likeness = laws.likeness(child);
        let of = |channel, network| likeness.of(&candidate(Marks { channel, network }));
        // (h + (1 − h) f) / f with h .3 and f .2; and with h .5 and f .01.
        assert!((of(2, 0) - 2.2).abs() < 0.05, "{}", of(2, 0));
        assert!((of(1, 0) - 0.7).abs() < 0.01);
        assert!((of(0, 9) - 50.0).abs() < 1.0, "{}", of(0, 9));
        let unseen = laws.likeness(Marks {
            channel: 0,
            network: 60_000,
        });
        let same = candidate(Marks {
            channel: 0,
            network: 60_000,
        });
        assert_eq!(unseen.of(&same), RATIO_MAX as f32);
        assert!((of(0, 8) - 0.5).abs() < 0.02);
        assert_eq!(of(0, 0), 1.0);
        assert!(laws.likeness(Marks::default()).says_nothing());
    }

    #[test]
    fn values_beyond_the_limit_count_as_rare() {
        let mut law = MarkLaw::new(0.1);
        for value in 1..=u16::MAX {
            law.arrived(value);
        }
        assert!(law.counts.len() <= VALUES_MAX);
        assert!(law.share(u16::MAX) > 0.0 && law.share(u16::MAX) < 1e-4);
    }
}
