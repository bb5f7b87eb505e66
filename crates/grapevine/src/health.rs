//! `grapevine health`: asks the service of this configuration whether it lives or is ready, for
//! containers that have no other program to ask with.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::cli::HealthArgs;
use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;

/// Longest wait for the answer, shorter than a container's own patience.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Runs the command: prints what the service answers.
///
/// # Errors
/// It is not ready (or does not live), does not answer, or serves no health.
pub async fn run(arguments: &HealthArgs, settings: &Settings) -> Result<(), Failure> {
    let listen = settings.operations.listen.ok_or_else(|| {
        Failure::new(
            ExitKind::Config,
            "health is not served: set operations.listen (GRAPEVINE_OPERATIONS__LISTEN), such as 127.0.0.1:9464",
        )
    })?;
    let what = if arguments.live { "live" } else { "ready" };
    let url = format!("http://{}/health/{what}", reached_at(listen));
    let client = reqwest::Client::builder()
        .timeout(ANSWER_MAX)
        .build()
        .ends(ExitKind::Software)?;
    let answer = client.get(url).send().await.ends(ExitKind::Unavailable)?;
    let is_good = answer.status().is_success();
    let body = answer.text().await.ends(ExitKind::Unavailable)?;
    if !is_good {
        return Err(Failure::new(ExitKind::Unavailable, body));
    }
    writeln!(io::stdout(), "{body}").ends(ExitKind::InputOutput)
}

/// A service that listens on every address is asked on loopback.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            let listen: SocketAddr = listen.parse().expect("address");
            assert_eq!(reached_at(listen).to_string(), asked);
        }
    }
}
