//! Where a rising content spreads: apps, networks, and how fast.

use serde::{Deserialize, Serialize};

use super::growth::Growth;

/// Apps told apart; the rest counts as unknown.
const APPS_MAX: usize = 12;
/// Bits of the count of networks.
const BITS: u32 = 256;

/// Kept only while a content is rising, so that a quiet one costs nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Details {
    pub(super) growth: Growth,
    /// Number of the app and its sum of P(dark).
    apps: Vec<(u16, f64)>,
    unknown: f64,
    networks: [u64; 4],
    visits: u32,
    without_network: u32,
}

impl Details {
    /// A rise begins, of which nothing is known yet.
    pub(super) fn begin(&mut self, time: i64) {
        let mut apps = std::mem::take(&mut self.apps);
        apps.clear();
        *self = Details {
            growth: Growth::since(time),
            apps,
            ..Details::default()
        };
    }

    pub(super) fn add(&mut self, time: i64, dark: f64, app: Option<u16>, network: Option<i64>) {
        self.growth.add(time, dark);
        self.visits = self.visits.saturating_add(1);
        match network {
            Some(network) => {
                // Network pseudonyms are hashes: any eight bits are as good as others.
                let bit = (network as u64 >> 17) % u64::from(BITS);
                self.networks[(bit / 64) as usize] |= 1 << (bit % 64);
            }
            None => self.without_network = self.without_network.saturating_add(1),
        }
        let known = self.apps.iter().position(|(other, _)| Some(*other) == app);
        match (known, app) {
            (Some(at), _) => self.apps[at].1 += dark,
            (None, Some(app)) if self.apps.len() < APPS_MAX => self.apps.push((app, dark)),
            _ => self.unknown += dark,
        }
    }

    /// About how many networks, by linear counting (Whang et al. 1990, ACM TODS 15:208).
    pub(super) fn networks(&self) -> u32 {
        let set: u32 = self.networks.iter().map(|bits| bits.count_ones()).sum();
        let empty = (BITS - set).max(1);
        (f64::from(BITS) * (f64::from(BITS) / f64::from(empty)).ln()).round() as u32
    }

    /// Whether so few networks are known that their number says nothing.
    pub(super) fn is_without_networks(&self) -> bool {
        self.without_network > self.visits / 2
    }

    /// P(app) of a dark visit, likeliest first; `None` for the unknown.
    pub(super) fn apps(&self) -> Vec<(Option<u16>, f64)> {
        let all = self.unknown + self.apps.iter().map(|(_, sum)| sum).sum::<f64>();
        let mut apps: Vec<_> = self
            .apps
            .iter()
            .map(|(app, sum)| (Some(*app), *sum))
            .collect();
        apps.push((None, self.unknown));
        apps.retain(|(_, sum)| *sum > 0.0);
        // The sort is stable: of equal sums the one seen first comes first.
        apps.sort_by(|a, b| b.1.total_cmp(&a.1));
        apps.into_iter()
            .map(|(app, sum)| (app, sum / all))
            .collect()
    }
}
