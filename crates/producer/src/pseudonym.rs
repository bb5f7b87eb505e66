//! Pseudonyms of readers and networks: keyed hashes that cannot be turned back.
//!
//! All are the first 64 bits of keyed BLAKE3 <https://github.com/BLAKE3-team/BLAKE3-specs>. The
//! keys come from one secret of 32 bytes. Those for addresses are derived anew for every UTC day
//! of the *event* time, so that a reader who keeps no id cannot be followed from one day to the
//! next, and importing an old log gives the same pseudonyms as taking its hits live. Every hash
//! is bound to its site. Whoever has the secret can test a guessed address: keep it like a
//! password; with the secret gone the pseudonyms are random numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const DAY_MS: i64 = 86_400_000;

/// What is known of where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Its address.
    Address(IpAddr),
    /// The name that the server had looked up for the address, as logs with host names have it.
    HostName(&'a str),
}

/// Makes pseudonyms with one secret.
#[derive(Clone)]
pub struct Pseudonyms {
    visitor_days: [u8; 32],
    network_days: [u8; 32],
    clients: [u8; 32],
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Pseudonyms(secret)")
    }
}

impl Pseudonyms {
    /// Derives the keys from the secret.
    pub fn new(secret: &[u8; 32]) -> Pseudonyms {
        Pseudonyms {
            visitor_days: blake3::derive_key("grapevine 2026 visitors by address and day", secret),
            network_days: blake3::derive_key("grapevine 2026 networks by day", secret),
            clients: blake3::derive_key("grapevine 2026 visitors by client id", secret),
        }
    }

    /// The pseudonyms of the UTC day that an event time (milliseconds since 1970) lies in.
    pub fn of_day(&self, time_ms: i64) -> DayPseudonyms {
        let day = time_ms.div_euclid(DAY_MS);
        let key = |master| *blake3::keyed_hash(master, &day.to_le_bytes()).as_bytes();
        DayPseudonyms {
            day,
            visitors: key(&self.visitor_days),
            networks: key(&self.network_days),
        }
    }

    /// The visitor of an id that the site itself keeps; the same on every day.
    pub fn client(&self, site: &str, id: &str) -> i64 {
        let mut hasher = keyed(&self.clients, site);
        hasher.update(id.as_bytes());
        first_64_bits(&hasher)
    }
}

/// Pseudonyms of one UTC day.
#[derive(Clone)]
pub struct DayPseudonyms {
    day: i64,
    visitors: [u8; 32],
    networks: [u8; 32],
}

impl std::fmt::Debug for DayPseudonyms {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "DayPseudonyms({})", self.day)
    }
}

impl DayPseudonyms {
    /// Whether an event time (milliseconds since 1970) lies in this day.
    pub fn covers(&self, time_ms: i64) -> bool {
        time_ms.div_euclid(DAY_MS) == self.day
    }

    /// The visitor of an address with a user agent on this day.
    pub fn visitor(&self, site: &str, origin: Origin<'_>, user_agent: &str) -> i64 {
        let mut hasher = keyed(&self.visitors, site);
        match origin {
            Origin::Address(address) => {
                hasher.update(b"a");
                hasher.update(&as_v6(address).octets());
            }
            Origin::HostName(name) => {
                hasher.update(b"n");
                hasher.update(&(name.len() as u64).to_le_bytes());
                hasher.update(name.as_bytes());
            }
        }
        hasher.update(user_agent.as_bytes());
        first_64_bits(&hasher)
    }

    /// The network (IPv4 /24, IPv6 /48) on this day; none for a host name.
    pub fn network(&self, site: &str, origin: Origin<'_>) -> Option<i64> {
        let Origin::Address(address) = origin else {
            return None;
        };
        let mut hasher = keyed(&self.networks, site);
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                hasher.update(b"4");
                hasher.update(&v4.octets()[..3]);
            }
            IpAddr::V6(v6) => {
                hasher.update(b"6");
                hasher.update(&v6.octets()[..6]);
            }
        }
        Some(first_64_bits(&hasher))
    }
}

/// A hasher bound to a site; the length keeps the site apart from what follows.
fn keyed(key: &[u8; 32], site: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(site.len() as u64).to_le_bytes());
    hasher.update(site.as_bytes());
    hasher
}

fn first_64_bits(hasher: &blake3::Hasher) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(bytes)
}

/// One form for both families, so that `::ffff:192.0.2.1` and `192.0.2.1` are one.
fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Origin<'static> {
        Origin::Address(text.parse().unwrap())
    }

    #[test]
    fn a_visitor_is_bound_to_site_address_agent_day_and_secret() {
        let names = Pseudonyms::new(&[7; 32]);
        let day = names.of_day(0);
        let visitor = day.visitor("a.example", address("192.0.2.1"), "ua");
        assert_eq!(
            visitor,
            names
                .of_day(DAY_MS - 1)
                .visitor("a.example", address("192.0.2.1"), "ua")
        );
        for other in [
            day.visitor("b.example", address("192.0.2.1"), "ua"),
            day.visitor("a.example", address("192.0.2.2"), "ua"),
            day.visitor("a.example", address("192.0.2.1"), "ub"),
            names
                .of_day(DAY_MS)
                .visitor("a.example", address("192.0.2.1"), "ua"),
            names
                .of_day(-1)
                .visitor("a.example", address("192.0.2.1"), "ua"),
            Pseudonyms::new(&[8; 32])
                .of_day(0)
                .visitor("a.example", address("192.0.2.1"), "ua"),
        ] {
            assert_ne!(visitor, other);
        }
    }

    #[test]
    fn a_mapped_address_is_the_same_reader_and_network() {
        let day = Pseudonyms::new(&[7; 32]).of_day(0);
        let (plain, mapped) = (address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_eq!(
            day.visitor("s", plain, "ua"),
            day.visitor("s", mapped, "ua")
        );
        assert_eq!(day.network("s", plain), day.network("s", mapped));
    }

    #[test]
    fn a_network_is_a_24_or_a_48() {
        let day = Pseudonyms::new(&[7; 32]).of_day(0);
        let network = |text| day.network("s", address(text));
        assert_eq!(network("192.0.2.1"), network("192.0.2.254"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ffff::9"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
        assert_eq!(day.network("s", Origin::HostName("host.example")), None);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let names = Pseudonyms::new(&[7; 32]);
        assert_ne!(names.client("ab", "c"), names.client("a", "bc"));
        let day = names.of_day(0);
        assert_ne!(
            day.visitor("s", Origin::HostName("ab"), "c"),
            day.visitor("s", Origin::HostName("a"), "bc"),
        );
    }

    #[test]
    fn a_client_id_gives_the_same_visitor_for_ever() {
        // A figure that changes would tear every returning visitor in two.
        assert_eq!(
            Pseudonyms::new(&[7; 32]).client("s", "me"),
            Pseudonyms::new(&[7; 32]).client("s", "me")
        );
        assert_ne!(
            Pseudonyms::new(&[7; 32]).client("s", "me"),
            Pseudonyms::new(&[7; 32]).client("t", "me")
        );
    }
}
