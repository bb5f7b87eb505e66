//! What is learned of a site from its certain edges, for all its contents: how marks are passed
//! on, what an observed act of sharing breeds, and how much comes from outside.

use serde::{Deserialize, Serialize};

use super::acts::ActLaw;
use super::marks::{MarkLaw, Marks};
use super::outside::OutsideLaw;
use super::tokens::TokenLaw;

/// The laws of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkLaws {
    /// Of channels or apps.
    pub channel: MarkLaw,
    /// Of networks.
    pub network: MarkLaw,
    /// Of devices.
    pub device: MarkLaw,
    /// What acts of sharing breed.
    pub acts: ActLaw,
    /// How much more, or less, comes from outside than the weights know.
    pub outside: OutsideLaw,
    /// How tokens are lost.
    pub tokens: TokenLaw,
}

impl Default for MarkLaws {
    /// Cold start: children copy the channel with probability .3, the network with .1 and the
    /// device with .1, our reading, until certain edges say more.
    fn default() -> Self {
        MarkLaws {
            channel: MarkLaw::new(0.3),
            network: MarkLaw::new(0.1),
            device: MarkLaw::new(0.1),
            acts: ActLaw::default(),
            outside: OutsideLaw::default(),
            tokens: TokenLaw::default(),
        }
    }
}

impl MarkLaws {
    /// Counts an arrival.
    pub fn arrived(&mut self, marks: Marks) {
        self.channel.arrived(u16::from(marks.channel));
        self.network.arrived(marks.network);
        self.device.arrived(u16::from(marks.folded_device()));
    }

    /// Counts a certain edge between readers.
    pub fn edge(&mut self, parent: Marks, child: Marks) {
        self.channel
            .edge(u16::from(parent.channel), u16::from(child.channel));
        self.network.edge(parent.network, child.network);
        self.device.edge(
            u16::from(parent.folded_device()),
            u16::from(child.folded_device()),
        );
    }

    /// What the marks of a child say about each candidate.
    pub(super) fn likeness(&self, child: Marks) -> Likeness {
        let device = child.folded_device();
        let ratios = |[equal, other]: [f32; 2]| [1.0, other, equal];
        Likeness {
            child: Marks { device, ..child },
            channel: ratios(self.channel.ratios(u16::from(child.channel))),
            network: ratios(self.network.ratios(child.network)),
            device: ratios(self.device.ratios(u16::from(device))),
        }
    }
}

/// The ratios of one child: where a mark is not known of the candidate, where it is another, and
/// where it is the same. Where the child has none they are all one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Likeness {
    child: Marks,
    channel: [f32; 3],
    network: [f32; 3],
    device: [f32; 3],
}

impl Likeness {
    /// The ratio of a candidate's marks; one that it lacks says nothing.
    #[inline]
    pub(super) fn of(&self, parent: Marks) -> f32 {
        // Places, as branches on marks would be guessed wrong. Neither known is the ratio of one of
        // a child without.
        let place = |known: bool, equal: bool| usize::from(known) + usize::from(equal);
        let child = self.child;
        self.channel[place(parent.channel != 0, parent.channel == child.channel)]
            * self.network[place(parent.network != 0, parent.network == child.network)]
            * self.device[place(parent.device != 0, parent.device == child.device)]
    }

    /// True where the child has no marks.
    pub(super) fn says_nothing(&self) -> bool {
        self.child == Marks::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::marks::RATIO_MAX;
    use super::*;

    #[test]
    fn copying_is_learned_from_certain_edges_and_a_rare_match_says_more() {
        let mut laws = MarkLaws::default();
        for number in 0..10_000u32 {
            // Channel 1 has four arrivals of five; networks are 100, all alike.
            laws.arrived(Marks {
                channel: if number % 5 == 0 { 2 } else { 1 },
                network: (number % 100) as u16 + 1,
                device: 0,
            });
        }
        for number in 0..2_000u16 {
            // Half of the children copy the network, the others have another.
            let parent = Marks {
                channel: 1,
                network: number % 100 + 1,
                device: 0,
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
                    device: 0,
                },
            );
        }
        let copying = laws.network.copying();
        assert!((copying - 0.5).abs() < 0.02, "{copying}");
        assert_eq!(laws.channel.copying(), 0.3);
        assert_eq!([laws.network.edges(), laws.channel.edges()], [2_000, 0]);
        let child = Marks {
            channel: 2,
            network: 9,
            device: 0,
        };
        let likeness = laws.likeness(child);
        let of = |channel, network| {
            likeness.of(Marks {
                channel,
                network,
                device: 0,
            })
        };
        // (h + (1 − h) f) / f with h .3 and f .2; and with h .5 and f .01.
        assert!((of(2, 0) - 2.2).abs() < 0.05, "{}", of(2, 0));
        assert!((of(1, 0) - 0.7).abs() < 0.01);
        assert!((of(0, 9) - 50.0).abs() < 1.0, "{}", of(0, 9));
        let unseen = laws.likeness(Marks {
            channel: 0,
            network: 60_000,
            device: 0,
        });
        let same = Marks {
            network: 60_000,
            ..Marks::default()
        };
        assert_eq!(unseen.of(same), RATIO_MAX as f32);
        assert!((of(0, 8) - 0.5).abs() < 0.02);
        assert_eq!(of(0, 0), 1.0);
        assert!(laws.likeness(Marks::default()).says_nothing());
    }
}
