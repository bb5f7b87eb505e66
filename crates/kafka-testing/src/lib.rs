//! Apache Kafka, a schema registry and an object store for tests.
//!
//! A dev-dependency only: nothing of it is in the product. [`Cluster`] brings up Apache Kafka
//! itself in KRaft mode, of one broker or more, open or demanding TLS and SASL; [`Registry`] brings
//! up Apicurio's registry with the Confluent-compatible interface, [`ObjectStore`] an S3-compatible
//! store; [`TlsGate`] puts TLS before any of them. All but that are fetched by Maven, once, into `testing` in the user's cache, and need Java 17; what is
//! missing is named with the command that installs it.
//!
//! Everything runs on loopback, on ports that no two tests share, in directories of its own.
//! [`GuardedProcess`] sees to it that nothing outlives the test, also when the test is killed.
//!
//! ```no_run
//! # fn main() -> Result<(), grapevine_kafka_testing::TestingError> {
//! use grapevine_kafka_testing::{Cluster, Security};
//!
//! let mut cluster = Cluster::builder().brokers(3).security(Security::Plain).start()?;
//! cluster.create_topic("hits.raw", 4, &[])?;
//! let client = cluster.client_config(); // for rdkafka
//! cluster.kill(0);
//! cluster.start_again(0)?;
//! cluster.wait_until_ready()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answering;
mod broker;
mod cluster;
mod error;
mod http;
mod identity;
mod install;
mod object_store;
mod ports;
mod process;
mod registry;
mod security;
mod spans;
mod tls_gate;

pub use cluster::{Cluster, ClusterBuilder};
pub use error::TestingError;
pub use http::{HttpServer, Request, Response};
pub use identity::IdentityProvider;
pub use install::{KAFKA_VERSION, REGISTRY_VERSION, S3PROXY_VERSION};
pub use object_store::ObjectStore;
pub use ports::Port;
pub use process::{GuardedProcess, ScratchDirectory};
pub use registry::Registry;
pub use security::{PASSWORD, Security, USER};
pub use spans::SpanReceiver;
pub use tls_gate::TlsGate;
