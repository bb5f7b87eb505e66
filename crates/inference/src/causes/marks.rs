//! How much more likely it is that two arrivals are parent and child where their marks agree.
//!
//! A child copies its parent's mark with probability h and otherwise draws from the base law f of
//! all arrivals: the ratio for equal marks of value v is (h + (1 − h) f_v) / f_v, for unequal ones
//! 1 − h. So a match of a rare value says much, one of a common value little.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One match must not make an edge certain: an office or a carrier shares an address.
pub(super) const RATIO_MAX: f64 = 50.0;
/// Values of a mark that are counted one by one.
const VALUES_MAX: usize = 4_096;
/// Certain edges that the prior of h weighs as much as.
const PRIOR_EDGES: f64 = 20.0;

/// Values of a device, 0 aside: six bits of a candidate.
const DEVICES: u8 = 63;

/// Marks of an arrival; 0 where unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Channel or app, by a number of the caller's.
    pub channel: u8,
    /// Network, as 16 bits of its pseudonym.
    pub network: u16,
    /// Device family, system and language together, by a number of the caller's from 1 to 63
    /// ([`Marks::device_of`] makes one); greater numbers wrap around into these.
    pub device: u8,
}

impl Marks {
    /// The number of a device, from what is known of it: system, device family, language, in any
    /// spelling that is always the same. 0 where nothing is known.
    pub fn device_of(known: &[&str]) -> u8 {
        if known.iter().all(|part| part.is_empty()) {
            return 0;
        }
        // FNV-1a, with an end to each part.
        let mut hash = 0xCBF2_9CE4_8422_2325u64;
        for byte in known.iter().flat_map(|part| part.bytes().chain([0xFF])) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        (hash >> 32) as u8 % DEVICES + 1
    }

    /// The device as it is kept.
    #[inline]
    pub(super) fn folded_device(&self) -> u8 {
        match self.device {
            0 => 0,
            device => (device - 1) % DEVICES + 1,
        }
    }
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

    /// Certain edges between readers whose marks are known: what [`copying`](Self::copying) is learned
    /// from, beside a prior that weighs as much as 20 of them.
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// Ratios of a match and of a mismatch for a child with that value; 1 where it has none.
    pub(super) fn ratios(&self, value: u16) -> [f32; 2] {
        if value == 0 {
            return [1.0, 1.0];
        }
        let (copying, share) = (self.copying(), self.share(value));
        let equal = (copying + (1.0 - copying) * share) / share;
        [equal.min(RATIO_MAX) as f32, (1.0 - copying) as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_numbers_from_1_to_63() {
        assert_eq!(Marks::device_of(&["", ""]), 0);
        let number = |parts: &[&str]| Marks::device_of(parts);
        assert_ne!(number(&["a", "bc"]), number(&["ab", "c"]));
        for device in 0..=u8::MAX {
            let known = number(&["android", &device.to_string()]);
            assert!((1..=DEVICES).contains(&known));
            let folded = Marks {
                device,
                ..Marks::default()
            }
            .folded_device();
            assert_eq!(folded == 0, device == 0);
            assert!(folded <= DEVICES);
        }
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
