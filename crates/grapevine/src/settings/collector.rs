//! `[collector]`: where hits are taken, whose, and how that ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::{ExitKind, Failure};
use crate::secret::Secret;

/// How long hits are still taken where nobody has said, seconds. What routes them has heard of the
/// stop by then: Kubernetes takes a pod out of its Services, and proxies follow, within one or two.
const DRAIN_SECONDS: u32 = 5;
/// No more than this part of the whole stop, where nobody has said.
const DRAIN_OF_GRACE: u32 = 5;

/// The collector, which takes hits over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorSettings {
    /// Address and port; loopback unless told otherwise.
    pub listen: SocketAddr,
    /// Sites that hits are taken for; empty takes any.
    pub sites: Vec<String>,
    /// Addresses or networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Treat `DNT: 1` as opting out, as `Sec-GPC: 1` always is.
    pub honour_do_not_track: bool,
    /// Most bytes that wait on disk while Kafka is away; then senders are asked to wait. `collect`
    /// only.
    pub spool_bytes_max: u64,
    /// How long hits are still taken after the word to stop, when readiness says no already:
    /// seconds, of `operations.grace_seconds`; 0: not at all. A page sends nothing again, and those
    /// who route hits hear of the stop later. Default: 5, at most a fifth of
    /// `operations.grace_seconds`. `collect` only.
    pub drain_seconds: Option<u32>,
    /// File of 32 random bytes, the same for every replica: the key of the pseudonyms. Default: one
    /// of its own in the data directory. `collect` only.
    pub pseudonym_key_file: Option<PathBuf>,
    /// The key that server-side senders show, the same for every replica. Default: one of its own
    /// in the data directory. `collect` only.
    pub server_key: Option<Secret>,
}

impl Default for CollectorSettings {
    fn default() -> Self {
        CollectorSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            sites: Vec::new(),
            trusted_proxies: Vec::new(),
            honour_do_not_track: false,
            spool_bytes_max: 1 << 30,
            drain_seconds: None,
            pseudonym_key_file: None,
            server_key: None,
        }
    }
}

impl CollectorSettings {
    /// Says how long hits are still taken where nobody has said, of the seconds of a whole stop.
    pub fn drain_within(&mut self, whole: u32) {
        let most = DRAIN_SECONDS.min(whole / DRAIN_OF_GRACE);
        self.drain_seconds.get_or_insert(most);
    }

    /// How long hits are still taken after the word to stop, of the seconds of a whole stop.
    ///
    /// # Errors
    /// That leaves nothing to finish them in: by key and remedy.
    pub fn drain(&self, whole: u32) -> Result<Duration, Failure> {
        let seconds = self.drain_seconds.unwrap_or_default();
        if seconds < whole {
            return Ok(Duration::from_secs(seconds.into()));
        }
        let problem = format!(
            "configuration: collector.drain_seconds = {seconds} leaves nothing of operations.grace_seconds = {whole} to finish in: make the latter the greater"
        );
        Err(Failure::new(ExitKind::Config, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draining_is_a_part_of_the_stop_and_never_the_whole() {
        for (said, whole, seconds) in [
            (None, 25, Some(5)),
            (None, 900, Some(5)),
            (None, 10, Some(2)),
            (None, 1, Some(0)),
            (Some(0), 25, Some(0)),
            (Some(24), 25, Some(24)),
            (Some(25), 25, None),
        ] {
            let mut settings = CollectorSettings {
                drain_seconds: said,
                ..CollectorSettings::default()
            };
            settings.drain_within(whole);
            let drain = settings.drain(whole);
            let found = drain.as_ref().ok().map(Duration::as_secs);
            assert_eq!(found, seconds, "{said:?} of {whole}");
            if let Err(failure) = drain {
                assert_eq!(failure.code(), 78);
                let text = failure.to_string();
                assert!(text.contains("collector.drain_seconds"), "{text}");
                assert!(text.contains("operations.grace_seconds"), "{text}");
            }
        }
    }
}
