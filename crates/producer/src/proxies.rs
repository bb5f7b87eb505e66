//! Whose word about the reader's address counts.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no network: write an address, or a network such as 10.0.0.0/8 or fd00::/8")]
pub struct ProxyError(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// Address bits, left-aligned in 128.
    bits: u128,
    prefix: u32,
    is_v4: bool,
}

/// Networks of the operator's own proxies: only what these say in `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Reads addresses and networks in CIDR form.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<S: AsRef<str>>(networks: impl IntoIterator<Item = S>) -> Result<Self, ProxyError> {
        let read = |text: &str| Network::parse(text).ok_or_else(|| ProxyError(text.to_owned()));
        let networks = networks.into_iter().map(|text| read(text.as_ref().trim()));
        networks.collect::<Result<_, _>>().map(TrustedProxies)
    }

    /// Whether an address is one of the proxies.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = left_aligned(address);
        self.0
            .iter()
            .any(|network| network.is_v4 == is_v4 && network.covers(bits))
    }

    /// The reader's address: `peer` unless that is a proxy; else the rightmost address of the
    /// `X-Forwarded-For` values that is none. What stands left of it anybody can write.
    pub fn reader<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut nearest = peer;
        for entry in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
            if !self.contains(nearest) {
                break;
            }
            let Some(address) = forwarded_address(entry) else {
                break;
            };
            nearest = address;
        }
        nearest
    }
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (bits, is_v4) = left_aligned(address.parse().ok()?);
        let width = if is_v4 { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= width)?,
            None => width,
        };
        Some(Network {
            bits,
            prefix,
            is_v4,
        })
    }

    fn covers(&self, bits: u128) -> bool {
        self.prefix == 0 || (self.bits ^ bits) >> (128 - self.prefix) == 0
    }
}

fn left_aligned(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

/// One entry: an address, some proxies add the port.
fn forwarded_address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim().trim_matches('"');
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse()
        .ok()
        .or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_proxies_are_believed() {
        let proxies = TrustedProxies::parse(["10.0.0.0/8", "::1", "fd00::/8"]).unwrap();
        let reader =
            |peer, values: &[&'static str]| proxies.reader(ip(peer), values.iter().copied());
        assert_eq!(
            reader("203.0.113.9", &["192.0.2.1"]),
            ip("203.0.113.9"),
            "no proxy"
        );
        assert_eq!(reader("10.1.1.1", &["192.0.2.1"]), ip("192.0.2.1"));
        assert_eq!(
            reader("10.1.1.1", &["6.6.6.6, 192.0.2.1, 10.2.2.2"]),
            ip("192.0.2.1")
        );
        assert_eq!(
            reader("10.1.1.1", &["6.6.6.6", "192.0.2.1", "10.2.2.2"]),
            ip("192.0.2.1")
        );
        assert_eq!(
            reader("::ffff:10.1.1.1", &["192.0.2.1:4711"]),
            ip("192.0.2.1")
        );
        assert_eq!(reader("fd00::2", &["[2001:db8::1]:443"]), ip("2001:db8::1"));
        assert_eq!(reader("::1", &["\"[2001:db8::1]\""]), ip("2001:db8::1"));
        assert_eq!(
            reader("::1", &["192.0.2.1, unknown"]),
            ip("::1"),
            "nothing past a bad entry"
        );
        assert_eq!(reader("10.1.1.1", &[]), ip("10.1.1.1"));
    }

    #[test]
    fn networks_are_checked() {
        for bad in ["10.0.0.0/33", "::/129", "proxy", "10.0.0.0/x", ""] {
            let error = TrustedProxies::parse([bad]).unwrap_err();
            assert!(error.to_string().contains("write an address"), "{error}");
        }
        let all = TrustedProxies::parse(["0.0.0.0/0"]).unwrap();
        assert!(all.contains(ip("192.0.2.1")) && !all.contains(ip("2001:db8::1")));
    }
}
