//! Who may knock: requests that a foreign web page makes the user's browser send are refused.
//!
//! A page can point a name of its own at a loopback address (DNS rebinding): then `Host` is that
//! name. Or it can post straight to the address: then `Origin` is the page's, or, for images and
//! links, `Sec-Fetch-Site` says `cross-site`. Programs send none of these, or an address.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// Which hosts and origins are accepted besides addresses and `localhost`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
}

impl Gate {
    /// `Err` with the reason where the request must not be answered.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("\u{fffd}"));
        let host = text(header::HOST).unwrap_or_default();
        if !host.is_empty() && !self.host_allowed(host) {
            return Err(format!(
                "the Host {host} is not one of this server's; add it to the allowed hosts if it is"
            ));
        }
        if let Some(origin) = text(header::ORIGIN) {
            let own = ["http://", "https://"].iter().any(|scheme| {
                origin
                    .strip_prefix(scheme)
                    .is_some_and(|o| o == host && !o.is_empty())
            });
            if !own && !self.origins.iter().any(|o| o == origin) {
                return Err(format!(
                    "pages of {origin} may not query this server; add it to the allowed origins if they should"
                ));
            }
        } else if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
            && !matches!(site, "none" | "same-origin")
        {
            return Err("other sites' pages may not query this server".to_owned());
        }
        Ok(())
    }

    fn host_allowed(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self
                .hosts
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(headers: &[(&'static str, &str)]) -> bool {
        let gate = Gate {
            hosts: vec!["analytics.example".to_owned()],
            origins: vec!["https://bi.example".to_owned()],
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("header"));
        }
        gate.check(&map).is_ok()
    }

    #[test]
    fn programs_pass_and_foreign_pages_do_not() {
        for headers in [
            &[("host", "127.0.0.1:8123")][..],
            &[("host", "[::1]:8123")],
            &[("host", "localhost:8123")],
            &[("host", "LOCALHOST")],
            &[("host", "analytics.example:80")],
            &[
                ("host", "192.168.1.5:8123"),
                ("origin", "http://192.168.1.5:8123"),
            ],
            &[("host", "localhost:8123"), ("origin", "https://bi.example")],
            &[("host", "localhost:8123"), ("sec-fetch-site", "none")],
            &[],
        ] {
            assert!(passes(headers), "{headers:?}");
        }
        for headers in [
            &[("host", "evil.example:8123")][..],
            &[("host", "localhost.evil.example")],
            &[("host", "127.0.0.1.evil.example:8123")],
            &[
                ("host", "localhost:8123"),
                ("origin", "https://evil.example"),
            ],
            &[("host", "localhost:8123"), ("origin", "null")],
            &[
                ("host", "localhost:8123"),
                ("origin", "http://localhost:3000"),
            ],
            &[("host", "localhost:8123"), ("sec-fetch-site", "cross-site")],
            &[("host", "localhost:8123"), ("sec-fetch-site", "same-site")],
            &[("origin", "http://")],
        ] {
            assert!(!passes(headers), "{headers:?}");
        }
    }
}
