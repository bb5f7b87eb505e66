//! Everything that puts hits on the log: the collector, the access-log importer, and the
//! pseudonyms both make before anything is stored.
//!
//! - [`collector`] answers `POST /v1/hits` and the pixel, and acknowledges what is durable.
//! - [`import`] reads access logs, plain or compressed, and puts each content on the log once.
//! - [`access_log`] and [`native`] read one line and one hit: pure, total, without I/O.
//! - [`spool`] is the queue on disk that hits wait in while Kafka is away.
//! - [`pseudonym`] is the only place that an address goes to, and nothing comes back out of it.
//!
//! What this crate is not: it does not judge. Whether a hit is dark social is the business of
//! classification; here a line is only told apart as far as it must be to leave out pictures,
//! redirects and errors. It binds no port and has no signal handler: the binary does.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod collector;
pub mod import;
pub mod native;
pub mod pseudonym;
pub mod spool;

mod key;
mod mask;
mod proxies;
mod site;

pub use mask::mask_addresses;
pub use proxies::{ProxyError, TrustedProxies};
pub use site::{Site, SiteError};
