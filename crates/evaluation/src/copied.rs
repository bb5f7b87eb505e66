//! Marks that are made up for the nodes of real cascades: what side information is worth.

use grapevine_inference::causes::Marks;

use crate::cascades::Cascade;
use crate::drive::Tokens;

/// Shares of the six channels.
const CHANNELS: [f64; 6] = [0.4, 0.2, 0.15, 0.1, 0.1, 0.05];
/// Networks; the share of the k-th is in proportion to 1 / k.
const NETWORKS: usize = 400;
/// Sum of 1 / k over them.
const NETWORKS_SUM: f64 = {
    let (mut sum, mut rank) = (0.0, 1);
    while rank <= NETWORKS {
        sum += 1.0 / rank as f64;
        rank += 1;
    }
    sum
};

/// A child of an earlier reader copies each of its parent's marks with these probabilities, and
/// otherwise draws, as everybody else does, from the base law: six channels, 400 networks by Zipf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CopiedMarks {
    /// Probability that the channel is copied, from 0 to 1.
    pub channel: f64,
    /// The same of the network.
    pub network: f64,
    /// What the draws follow from.
    pub seed: u64,
}

impl CopiedMarks {
    /// Marks by node.
    pub(crate) fn of(&self, number: usize, cascade: &Cascade) -> Vec<Marks> {
        let channels = self.drawn(1, number, cascade, self.channel, CHANNELS.into_iter());
        let networks = (1..=NETWORKS).map(network_share);
        let networks = self.drawn(2, number, cascade, self.network, networks);
        let pairs = channels.into_iter().zip(networks);
        pairs
            .map(|(channel, network)| Marks {
                channel: channel as u8,
                network,
                ..Marks::default()
            })
            .collect()
    }

    /// How much likelier a node's marks are for a child of a reader with given marks than for
    /// anybody.
    pub(crate) fn ratio_of(&self, node: Marks) -> impl Fn(Marks) -> f64 {
        let of = |copying: f64, share: f64| {
            let other = 1.0 - copying;
            [other, (copying + other * share) / share]
        };
        let channel = of(self.channel, CHANNELS[usize::from(node.channel) - 1]);
        let network = of(self.network, network_share(usize::from(node.network)));
        move |reader| {
            channel[usize::from(reader.channel == node.channel)]
                * network[usize::from(reader.network == node.network)]
        }
    }

    /// Values from 1 by node.
    fn drawn(
        &self,
        kind: u64,
        number: usize,
        cascade: &Cascade,
        copying: f64,
        shares: impl Iterator<Item = f64>,
    ) -> Vec<u16> {
        let mut sum = 0.0;
        let below: Vec<f64> = shares
            .map(|share| {
                sum += share;
                sum
            })
            .collect();
        let draws = |what: u64| Tokens {
            rate: 0.0,
            seed: self.seed ^ (kind * 2 + what) << 32,
        };
        let (copies, values) = (draws(0), draws(1));
        let mut marks: Vec<u16> = Vec::with_capacity(cascade.parents.len());
        for (node, parent) in cascade.parents.iter().enumerate() {
            let copied = *parent > 0 && copies.dice(number, node) < copying;
            let dice = values.dice(number, node) * sum;
            let value = below.partition_point(|below| *below <= dice);
            marks.push(match copied {
                true => marks[*parent as usize],
                false => value.min(below.len() - 1) as u16 + 1,
            });
        }
        marks
    }
}

/// Share of the network of a rank from 1.
fn network_share(rank: usize) -> f64 {
    1.0 / (rank as f64 * NETWORKS_SUM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_copy_as_often_as_they_should_and_others_draw_from_the_base() {
        let nodes = 20_000u32;
        let cascade = Cascade {
            name: "a".to_owned(),
            times: vec![0; nodes as usize],
            // Every second node is a child of the one before.
            parents: (0..nodes)
                .map(|node| {
                    if node % 2 == 0 {
                        node.saturating_sub(1)
                    } else {
                        0
                    }
                })
                .collect(),
        };
        let marks = CopiedMarks {
            channel: 0.5,
            network: 0.3,
            seed: 7,
        };
        let found = marks.of(3, &cascade);
        assert_eq!(found, marks.of(3, &cascade));
        let share = |of: &dyn Fn(usize) -> bool, step: usize| {
            let nodes = (2..nodes as usize).step_by(2).map(|node| node - 1 + step);
            nodes.clone().filter(|node| of(*node)).count() as f64 / nodes.count() as f64
        };
        // Equal by copying, or by chance: the sum of squared shares.
        let equal = share(&|node| found[node].channel == found[node - 1].channel, 1);
        assert!((equal - (0.5 + 0.5 * 0.245)).abs() < 0.02, "{equal}");
        let equal = share(&|node| found[node].network == found[node - 1].network, 1);
        assert!((equal - (0.3 + 0.7 * 0.038)).abs() < 0.02, "{equal}");
        let first = share(&|node| found[node].channel == 1, 0);
        assert!((first - 0.4).abs() < 0.02, "{first}");
        assert!(found.iter().all(|mark| (1..=400).contains(&mark.network)));
    }

    #[test]
    fn over_all_that_a_node_may_have_the_ratio_is_one() {
        let law = CopiedMarks {
            channel: 0.5,
            network: 0.3,
            seed: 7,
        };
        let marks = |channel: usize, network: usize| Marks {
            channel: channel as u8,
            network: network as u16,
            ..Marks::default()
        };
        let reader = marks(2, 3);
        let each = (1..=CHANNELS.len()).flat_map(|channel| {
            (1..=NETWORKS).map(move |network| {
                let share = CHANNELS[channel - 1] * network_share(network);
                share * law.ratio_of(marks(channel, network))(reader)
            })
        });
        let mean: f64 = each.sum();
        assert!((mean - 1.0).abs() < 1e-9, "{mean}");
        let ratio = law.ratio_of(reader)(reader);
        let [channel, network] = [(0.5, 0.2), (0.3, network_share(3))]
            .map(|(copying, share)| (copying + (1.0 - copying) * share) / share);
        assert!((ratio - channel * network).abs() < 1e-9, "{ratio}");
    }
}
