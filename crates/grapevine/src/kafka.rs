//! Kafka as the commands find it: settings, connection, topics.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use grapevine_event::topic;
use grapevine_log::kafka::topics::{self, Creation, Partitions, TopicsError, Wish};
use grapevine_log::kafka::{Connection, GroupProtocol, Membership};
use serde::Deserialize;

use crate::exit::{Ends, ExitKind, Failure};

/// How long records stay where a topic is made here.
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Where Kafka is, and what this replica is there.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Brokers as `host:port` with commas between; empty: no Kafka.
    pub brokers: String,
    /// Properties of librdkafka, such as `security.protocol`.
    pub properties: BTreeMap<String, String>,
    /// File that holds the token, for `sasl.mechanism` `OAUTHBEARER`.
    pub token_file: Option<PathBuf>,
    /// What the names of consumer groups begin with.
    pub group: String,
    /// This replica's own name, the same after a restart and of no other.
    pub replica: String,
    /// `classic`, or `consumer` for brokers of Kafka 4.0 and later.
    pub protocol: String,
    /// Partitions of every topic.
    pub partitions: i32,
    /// Make topics that are not there.
    pub create_topics: bool,
    /// Copies of each record where a topic is made; without it the brokers' default.
    pub replication: Option<i32>,
    /// Seconds that a batch under way may take when this replica stops or loses a partition.
    pub grace_seconds: u64,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        KafkaSettings {
            brokers: String::new(),
            properties: BTreeMap::new(),
            token_file: None,
            group: "grapevine".to_owned(),
            replica: String::new(),
            protocol: "classic".to_owned(),
            partitions: 12,
            create_topics: true,
            replication: None,
            grace_seconds: 20,
        }
    }
}

impl fmt::Debug for KafkaSettings {
    /// Names of properties only: values may be secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("properties", &self.properties.keys())
            .field("group", &self.group)
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

impl KafkaSettings {
    /// True where there is a Kafka.
    pub fn is_given(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// How many partitions each of the sink's topics has by the settings.
    pub fn sink_partitions(&self) -> Partitions {
        grapevine_sink::topics()
            .map(|topic| (topic.to_owned(), self.partitions))
            .collect()
    }

    /// The connection of a sink, which reads ahead within its memory.
    ///
    /// # Errors
    /// No brokers, or properties that the client does not take.
    pub fn sink_connection(&self) -> Result<Connection, Failure> {
        if !self.is_given() {
            return Err(Failure::new(
                ExitKind::Config,
                "no kafka: give kafka.brokers in the configuration, or GRAPEVINE_KAFKA__BROKERS",
            ));
        }
        let ahead = grapevine_sink::read_ahead_kib(&self.sink_partitions());
        let ahead = ahead.ends(ExitKind::Software)?.to_string();
        let mut properties = self.properties.clone();
        properties
            .entry("queued.max.messages.kbytes".to_owned())
            .or_insert(ahead);
        Connection::new(&self.brokers, properties, self.token_file.clone()).ends(ExitKind::Config)
    }

    /// The sink's group, with this replica as a member.
    ///
    /// # Errors
    /// A protocol that is none.
    pub fn sink_membership(&self) -> Result<Membership, Failure> {
        let protocol = match self.protocol.as_str() {
            "classic" => GroupProtocol::Classic,
            "consumer" => GroupProtocol::Consumer,
            other => {
                return Err(Failure::new(
                    ExitKind::Config,
                    format!("configuration: kafka.protocol: {other} is none: classic or consumer"),
                ));
            }
        };
        Ok(Membership {
            group: self.sink_group(),
            replica: self.replica.clone(),
            topics: Vec::new(),
            protocol,
            grace: Duration::from_secs(self.grace_seconds),
        })
    }

    /// Name of the sink's group.
    pub fn sink_group(&self) -> String {
        format!("{}.sink", self.group)
    }
}

/// Makes or checks the topics that the sink reads and replay writes to.
///
/// # Errors
/// Brokers that are away, topics that are not as they have to be.
pub fn ensure_topics(
    settings: &KafkaSettings,
    connection: &Connection,
) -> Result<Partitions, Failure> {
    let wishes = topic::ALL.map(|name| Wish {
        name,
        partitions: Some(settings.partitions),
        retention: RETENTION,
        retention_min: Duration::ZERO,
    });
    let creation = Creation {
        allowed: settings.create_topics,
        replication: settings.replication,
        partitions: settings.partitions,
    };
    topics::ensure(connection, &wishes, creation).map_err(|error| {
        let kind = match &error {
            TopicsError::Away { .. } => ExitKind::Unavailable,
            _ => ExitKind::Config,
        };
        Failure::of(kind, error)
    })
}
