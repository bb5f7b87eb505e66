//! Delays in bins, as the published baselines have them: 44 of (delay in seconds + 1), each half as
//! wide again as the one before, the last one open.

use std::ops::Range;

/// Bins.
pub(super) const BINS: usize = 44;
const RATIO: f64 = 1.5;

/// A figure by bin.
pub(super) type ByBin = [f64; BINS];

/// Lower edge of a bin, seconds.
fn edge(bin: usize) -> f64 {
    RATIO.powi(bin as i32) - 1.0
}

/// Width of a bin, seconds.
pub(super) fn width(bin: usize) -> f64 {
    edge(bin + 1) - edge(bin)
}

/// The delay that stands for a bin, seconds: its middle, and none at all for the first.
pub(super) fn middle(bin: usize) -> f64 {
    match bin {
        0 => 0.0,
        bin => (edge(bin) + edge(bin + 1)) / 2.0,
    }
}

/// Which earlier nodes lie in which bin of delay before a node. Since times never fall, those of a
/// bin are neighbours, and the bounds only ever move on from node to node.
pub(super) struct Lags {
    /// First delay beyond each bin, milliseconds.
    beyond: [i64; BINS],
    /// First node in each bin or in one before it.
    starts: [usize; BINS],
}

impl Lags {
    /// At the start of a cascade.
    pub(super) fn new() -> Self {
        let mut beyond = std::array::from_fn(|bin| (edge(bin + 1) * 1_000.0).ceil() as i64);
        beyond[BINS - 1] = i64::MAX;
        Lags {
            beyond,
            starts: [0; BINS],
        }
    }

    /// Bin of a delay in milliseconds.
    pub(super) fn bin(&self, milliseconds: i64) -> usize {
        let bin = self
            .beyond
            .partition_point(|beyond| *beyond <= milliseconds);
        bin.min(BINS - 1)
    }

    /// Moves on to a node, which is later than the one before.
    pub(super) fn advance(&mut self, times: &[i64], node: usize) {
        for (start, beyond) in self.starts.iter_mut().zip(&self.beyond) {
            while *start < node && times[node] - times[*start] >= *beyond {
                *start += 1;
            }
        }
    }

    /// The earlier nodes of the node moved on to, by bin, the nearest bin first.
    pub(super) fn ranges(&self, node: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut end = node;
        self.starts.iter().enumerate().map(move |(bin, start)| {
            let range = *start..end;
            end = *start;
            (bin, range)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_every_earlier_node_in_its_bin() {
        let times = [0, 0, 400, 500, 1_250, 9_000, 9_000, 3_600_000, i64::MAX / 2];
        let mut lags = Lags::new();
        for node in 1..times.len() {
            lags.advance(&times, node);
            let mut found = vec![BINS; node];
            for (bin, range) in lags.ranges(node) {
                found[range].fill(bin);
            }
            let expected: Vec<usize> = (0..node)
                .map(|from| lags.bin(times[node] - times[from]))
                .collect();
            assert_eq!(found, expected, "{node}");
        }
    }

    #[test]
    fn bins_grow_by_half() {
        let lags = Lags::new();
        let delays = [0, 499, 500, 1_249, 1_250, 2_374, 2_375, i64::MAX];
        let bins = [0, 0, 1, 1, 2, 2, 2, BINS - 1];
        // 1.5³ − 1 is 2.375.
        for (delay, bin) in delays.into_iter().zip(bins) {
            let bin = bin + usize::from(delay == 2_375);
            assert_eq!(lags.bin(delay), bin, "{delay}");
        }
        assert!((width(1) - 0.75).abs() < 1e-12 && (middle(1) - 0.875).abs() < 1e-12);
        assert_eq!(middle(0), 0.0);
    }
}
