//! Where the brokers are, and how to be let in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use grapevine_registry::Frames;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use thiserror::Error;

use crate::RECORD_BYTES_MAX;

/// Room in a message beside its record: headers, lengths, checksums.
const MESSAGE_EXTRA_BYTES: usize = 64 * 1024;
/// A transaction that its owner left open holds up every reader for this long.
pub(crate) const TRANSACTION_TIMEOUT_MS: u32 = 30_000;
/// A message is given up after this long; must be less than the transaction's time.
const MESSAGE_TIMEOUT_MS: u32 = 25_000;
const _: () = assert!(MESSAGE_TIMEOUT_MS < TRANSACTION_TIMEOUT_MS);

/// Properties that exactly once rests on, or that Grapevine sets by keys of its own.
const RESERVED: [&str; 22] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "retries",
    "transactional.id",
    "transaction.timeout.ms",
];

/// Properties that Grapevine sets where they are not given, and the other names that librdkafka has for
/// them (its CONFIGURATION.md).
const ALIASES: [(&str, &str); 3] = [
    ("compression.codec", "compression.type"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

/// Why there is no connection to be made with these settings.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// A property that is not for others to set.
    #[error(
        "kafka.properties: {0} is set by grapevine itself, because exactly once rests on it: take it out"
    )]
    Reserved(String),
    /// librdkafka does not know the property, or not the value. The value is not shown: it may be
    /// a secret.
    #[error(
        "kafka.properties: {property}: {reason}; librdkafka's CONFIGURATION.md lists properties and values"
    )]
    Refused {
        /// Property name.
        property: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no token to show.
    #[error("{0}")]
    Token(String),
    /// The client could not be made.
    #[error("kafka client: {0}; check kafka.brokers and the security entries of kafka.properties")]
    Client(String),
}

/// Where the brokers are, and how to be let in.
#[derive(Clone)]
pub struct Connection {
    brokers: String,
    properties: BTreeMap<String, String>,
    token_file: Option<PathBuf>,
    frames: Option<Arc<Frames>>,
}

impl fmt::Debug for Connection {
    /// Names of properties only: values may be secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connection")
            .field("brokers", &self.brokers)
            .field("properties", &self.properties.keys())
            .field("token_file", &self.token_file)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Brokers as `host:port` with commas between, librdkafka properties besides, such as
    /// `security.protocol`, and for `OAUTHBEARER` the file that holds the token, which is read
    /// again whenever one is needed.
    ///
    /// # Errors
    /// A property that is not to be set, or that librdkafka does not take.
    pub fn new(
        brokers: &str,
        properties: BTreeMap<String, String>,
        token_file: Option<PathBuf>,
    ) -> Result<Connection, ConnectionError> {
        if let Some(reserved) = properties
            .keys()
            .find(|property| RESERVED.contains(&property.as_str()))
        {
            return Err(ConnectionError::Reserved(reserved.clone()));
        }
        // Before librdkafka does it: unless told otherwise by whoever is first, OpenSSL takes itself down
        // when the process ends, while librdkafka's threads close their connections, and they crash.
        openssl_sys::init();
        let connection = Connection {
            brokers: brokers.to_owned(),
            properties,
            token_file,
            frames: None,
        };
        // Says what is wrong before anything is started.
        connection.base().create_native_config().map_err(refused)?;
        Ok(connection)
    }

    /// Records go on topics framed for a schema registry, and are read in either form.
    #[must_use]
    pub fn framed(mut self, frames: Option<Arc<Frames>>) -> Connection {
        self.frames = frames;
        self
    }

    pub(crate) fn frames(&self) -> Option<&Arc<Frames>> {
        self.frames.as_ref()
    }

    /// The brokers, as given.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(crate) fn token_file(&self) -> Option<PathBuf> {
        self.token_file.clone()
    }

    /// True where the brokers are shown tokens that this process reads from a file. librdkafka fetches, or
    /// makes, all others by itself.
    pub(crate) fn by_token_file(&self) -> bool {
        let is = |names: &[&str], wanted: &str| {
            let given = names.iter().find_map(|name| self.properties.get(*name));
            given.is_some_and(|given| given.eq_ignore_ascii_case(wanted))
        };
        is(&["sasl.mechanism", "sasl.mechanisms"], "OAUTHBEARER")
            && !is(&["sasl.oauthbearer.method"], "oidc")
            && !is(&["enable.sasl.oauthbearer.unsecure.jwt"], "true")
    }

    /// What every client needs.
    pub(crate) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "grapevine")
            // A broker's first answer tells a wrong listener from a slow one.
            .set("socket.connection.setup.timeout.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000")
            .set("log.connection.close", "false");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// Reads whole transactions only, from where it is told.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // An offset that is no longer kept is an error, never a jump.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true");
        for (name, value) in [
            ("fetch.min.bytes", "1"),
            ("fetch.wait.max.ms", "100"),
            ("fetch.queue.backoff.ms", "10"),
            ("max.partition.fetch.bytes", "2097152"),
            // The memory that records may take which were fetched and not read yet, for each
            // partition that is held.
            ("queued.max.messages.kbytes", "8192"),
            ("queued.min.messages", "20000"),
        ] {
            self.unless_given(&mut config, name, value);
        }
        config
    }

    /// Appends with every in-sync replica's word, once, in order. Batches fill while a transaction is
    /// made; its end sends what is left at once.
    pub(crate) fn producer(&self) -> ClientConfig {
        self.producer_lingering("5")
    }

    /// The same, with the milliseconds that a record waits for others.
    pub(crate) fn producer_lingering(&self, linger_ms: &str) -> ClientConfig {
        let mut config = self.base();
        let message_bytes = (RECORD_BYTES_MAX + MESSAGE_EXTRA_BYTES).to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // What was delivered is counted by the client itself; a report each would cost as much
            // as sending it.
            .set("delivery.report.only.error", "true")
            .set("message.max.bytes", message_bytes)
            .set("message.timeout.ms", MESSAGE_TIMEOUT_MS.to_string());
        for (name, value) in [
            ("linger.ms", linger_ms),
            ("batch.size", "1048576"),
            ("batch.num.messages", "10000"),
            ("compression.codec", "lz4"),
            ("queue.buffering.max.kbytes", "131072"),
            ("queue.buffering.max.messages", "500000"),
        ] {
            self.unless_given(&mut config, name, value);
        }
        config
    }

    fn unless_given(&self, config: &mut ClientConfig, name: &str, value: &str) {
        let other = ALIASES.iter().find(|(known, _)| *known == name);
        let given = |name: &str| self.properties.contains_key(name);
        if !given(name) && !other.is_some_and(|(_, other)| given(other)) {
            config.set(name, value);
        }
    }
}

/// What creating a client failed of, without the values of properties.
pub(crate) fn refused(error: KafkaError) -> ConnectionError {
    use rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
    match error {
        KafkaError::ClientConfig(kind, _, property, _) => ConnectionError::Refused {
            property,
            reason: match kind {
                RD_KAFKA_CONF_UNKNOWN => "no such property",
                _ => "it cannot have this value",
            },
        },
        error => ConnectionError::Client(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(properties: &[(&str, &str)]) -> Result<Connection, ConnectionError> {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Connection::new("127.0.0.1:9092", properties, None)
    }

    #[test]
    fn what_is_refused_is_named_and_secrets_are_not() {
        for (name, says) in [
            ("acks", "take it out"),
            ("no.such.thing", "no such property"),
            ("security.protocol", "cannot have this value"),
        ] {
            let error = connection(&[(name, "hush-hush")]).expect_err(name);
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(says), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
        let secret = connection(&[("sasl.password", "hush-hush")]).expect("taken");
        let shown = format!("{secret:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[test]
    fn everything_that_issue_and_brokers_ask_for_is_built_in() {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
            let properties = [
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", mechanism),
                ("sasl.username", "u"),
                ("sasl.password", "p"),
            ];
            let connection = connection(&properties).expect(mechanism);
            let made: Result<rdkafka::producer::BaseProducer, _> = connection.producer().create();
            made.map(|_| ()).expect(mechanism);
            assert_eq!(connection.by_token_file(), mechanism == "OAUTHBEARER");
        }
        for codec in ["zstd", "lz4", "gzip", "snappy"] {
            let connection = connection(&[("compression.codec", codec)]).expect(codec);
            let made: Result<rdkafka::producer::BaseProducer, _> = connection.producer().create();
            made.map(|_| ()).expect(codec);
        }
    }

    #[test]
    fn tokens_that_librdkafka_sees_to_are_read_from_no_file() {
        for (name, value) in [
            ("sasl.oauthbearer.method", "OIDC"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
        ] {
            let connection = connection(&[("sasl.mechanisms", "OAUTHBEARER"), (name, value)]);
            assert!(!connection.expect(name).by_token_file());
        }
    }

    #[test]
    fn a_property_that_was_given_is_not_overridden() {
        let connection = connection(&[("linger.ms", "77")]).expect("taken");
        assert_eq!(connection.producer().get("linger.ms"), Some("77"));
        let connection = self::connection(&[("compression.type", "zstd")]).expect("taken");
        assert_eq!(connection.producer().get("compression.codec"), None);
        assert_eq!(connection.producer().get("compression.type"), Some("zstd"));
    }
}
