//! Readers and the networks they come from.
//!
//! A person is a pure function of seed and number, so that no table of people is kept. Addresses
//! are from ranges that nobody routes: 198.18.0.0/15 (benchmarks, RFC 2544) and 2001:db8::/32,
//! 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (documentation, RFC 3849 and 5737).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::arithmetic::mix;
use crate::dice::Dice;
use crate::scenario::Audience;

/// A reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) household: u32,
    pub(crate) company: u16,
    /// Index into the scenario's languages.
    pub(crate) language: u16,
    pub(crate) iphone: bool,
}

/// Where a reader sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Carrier,
    Office,
}

const OFFICES: u64 = 4096;

impl Person {
    /// The person of a number, `languages` being the running sums of their weights.
    pub(crate) fn new(seed: u64, id: u64, audience: &Audience, languages: &[f64]) -> Person {
        let draw = |what: u64| mix(mix(seed ^ (what << 56)) ^ id);
        let part = |what: u64| (draw(what) >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
        let at = part(1) * languages.last().copied().unwrap_or(0.0);
        let language = languages
            .partition_point(|sum| *sum <= at)
            .min(languages.len() - 1);
        Person {
            id,
            household: (draw(2) % u64::from(audience.households)) as u32,
            company: (draw(3) % OFFICES) as u16,
            language: language as u16,
            iphone: part(4) < audience.iphone,
        }
    }

    /// A stable draw of this person's own, for what never changes (browser, model, versions).
    pub(crate) fn trait_of(&self, what: u64) -> u64 {
        mix(self.id ^ (what << 48) ^ 0x5eed)
    }

    /// An address at a place.
    pub(crate) fn address(&self, place: Place, audience: &Audience, dice: &mut Dice) -> IpAddr {
        match place {
            Place::Home => self.home_address(audience, dice),
            Place::Carrier => block(
                Ipv4Addr::new(198, 19, 0, 0),
                dice.below(audience.carrier_addresses.into()),
            ),
            Place::Office => block(Ipv4Addr::new(198, 19, 128, 0), self.company.into()),
        }
    }

    fn home_address(&self, audience: &Audience, dice: &mut Dice) -> IpAddr {
        let speaks_v6 = (mix(u64::from(self.household)) >> 40) as f64 / (1u64 << 24) as f64;
        if speaks_v6 < audience.ipv6 && dice.chance(0.5) {
            let [high, low] = [(self.household >> 16) as u16, self.household as u16];
            let own = self.trait_of(6);
            let part = |shift: u32| (own >> shift) as u16;
            let (a, b, c, d) = (part(0), part(16), part(32), part(48));
            return IpAddr::V6(Ipv6Addr::new(0x2001, 0x0db8, high, low, a, b, c, d));
        }
        block(
            Ipv4Addr::new(198, 18, 0, 0),
            u64::from(self.household % 65_536),
        )
    }
}

fn block(base: Ipv4Addr, offset: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from(base) + offset as u32))
}

/// An address of a service's data centre.
pub(crate) fn preview_server(service: usize, dice: &mut Dice) -> IpAddr {
    block(
        Ipv4Addr::new(192, 0, 2, 0),
        (service as u64 * 8 + dice.below(8)) % 256,
    )
}

/// An address of a robot's operator; `operator` decides the block of four.
pub(crate) fn robot_server(operator: usize, dice: &mut Dice) -> IpAddr {
    block(
        Ipv4Addr::new(198, 51, 100, 0),
        (operator as u64 * 4 + dice.below(4)) % 256,
    )
}

/// An address of a hosting company, where scanners and disguised robots live.
pub(crate) fn hosting(dice: &mut Dice) -> IpAddr {
    block(Ipv4Addr::new(203, 0, 113, 0), dice.below(256))
}
