//! The home for many replicas: Apache Kafka, through librdkafka.
//!
//! - [`Connection`] says where the brokers are and how to be let in.
//! - [`topics`] creates the topics, or checks them.
//! - [`Group`] joins a consumer group and hands out [`KafkaPartition`]s; their commits are
//!   transactions that hold outputs and input positions together.
//! - [`Producer`] appends for those who read nothing.
//! - [`Reach`] asks whether the brokers are there.
//! - [`Onlooker`] looks at topics and at a group's positions from the outside.
//!
//! What makes it exactly once: outputs and positions go into one transaction; readers see
//! committed records only; one transactional id a replica, so that a restarted replica ends what
//! its last life left open; the group's generation goes along with every commit, so that a
//! replica that lost a partition cannot move it any more. A partition is given back only after
//! its last commit is through.

mod attempt;
mod connection;
mod context;
mod group;
mod held;
mod lease;
mod member;
mod onlooker;
mod opener;
mod orphans;
mod partition;
mod positions;
mod producer;
mod reach;
mod silence;
mod spread;
mod standing;
mod token;
mod topic_settings;
pub mod topics;
mod transactions;

pub use connection::{Connection, ConnectionError};
pub use group::{Group, GroupProtocol, Membership};
pub use onlooker::Onlooker;
pub use partition::KafkaPartition;
pub use producer::Producer;
pub use reach::Reach;
