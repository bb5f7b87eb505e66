//! `[kafka]`: where the brokers are, how to be let in, and as what.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grapevine_enrichment::{RETENTION, RETENTION_MIN};
use grapevine_event::topic;
use grapevine_log::kafka::topics::{Creation, Wish};
use grapevine_log::kafka::{Connection, GroupProtocol, Membership};
use serde::{Deserialize, Serialize, Serializer};

use crate::exit::{Ends, ExitKind, Failure};
use crate::secret::Secret;

/// Apache Kafka, for `collect`, `enrich` and `sink`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Brokers to ask first, `host:port` with commas between.
    pub brokers: String,
    /// What names of consumer groups and transactional ids start with.
    pub group: String,
    /// This replica's own name, the same after a restart, different from that of every other
    /// replica of the same service. Default: the host's name.
    pub replica: Option<String>,
    /// Partitions of every topic.
    pub partitions: i32,
    /// Make topics that are not there.
    pub create_topics: bool,
    /// Copies of each record in topics that are made. Default: the brokers' own.
    pub replication: Option<i32>,
    /// How groups agree: `classic`, or `consumer` with Kafka 4.0 and later.
    pub protocol: Protocol,
    /// Where stages save their states: a directory, or `s3://BUCKET/PREFIX`. Default: `states` in
    /// the data directory.
    pub states: Option<String>,
    /// Seconds that a replica may take to finish a partition that it gives back, or to end. Default:
    /// four fifths of `operations.grace_seconds`.
    pub grace_seconds: Option<u64>,
    /// User name for SASL.
    pub user: Option<String>,
    /// Password for SASL.
    pub password: Option<Secret>,
    /// File that holds the password instead.
    pub password_file: Option<PathBuf>,
    /// File that holds the token for OAUTHBEARER; read whenever one is needed.
    pub token_file: Option<PathBuf>,
    /// Properties of librdkafka, such as `"security.protocol" = "SASL_SSL"`.
    pub properties: Properties,
}

/// Longest time to give partitions back in: the group waits no longer than 300 s.
const GRACE_SECONDS_MAX: u64 = 240;
/// Where neither that nor how long a whole stop may take was said.
const GRACE_SECONDS_UNSET: u64 = 20;

impl Default for KafkaSettings {
    fn default() -> Self {
        KafkaSettings {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "grapevine".to_owned(),
            replica: None,
            partitions: 12,
            create_topics: true,
            replication: None,
            protocol: Protocol::Classic,
            states: None,
            grace_seconds: None,
            user: None,
            password: None,
            password_file: None,
            token_file: None,
            properties: Properties::default(),
        }
    }
}

/// How groups agree on who holds what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Members agree among themselves.
    Classic,
    /// The broker decides (KIP-848).
    Consumer,
}

/// Properties whose values are never shown: some are secrets. A dot in a name may stand between
/// tables as well: `"ssl.ca.location" = …` and `ssl.ca.location = …` are the same to TOML's reader here.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<String, Given>")]
pub struct Properties(BTreeMap<String, String>);

/// What may stand where a property is given.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Switch(bool),
    Whole(i64),
    Fraction(f64),
    Text(String),
    Below(BTreeMap<String, Given>),
}

impl From<BTreeMap<String, Given>> for Properties {
    fn from(given: BTreeMap<String, Given>) -> Properties {
        let mut properties = Properties::default();
        properties.take("", given);
        properties
    }
}

impl Properties {
    fn take(&mut self, prefix: &str, given: BTreeMap<String, Given>) {
        for (name, value) in given {
            let name = format!("{prefix}{name}");
            let value = match value {
                Given::Switch(value) => value.to_string(),
                Given::Whole(value) => value.to_string(),
                Given::Fraction(value) => value.to_string(),
                Given::Text(value) => value,
                Given::Below(below) => {
                    self.take(&format!("{name}."), below);
                    continue;
                }
            };
            self.0.insert(name, value);
        }
    }

    /// Sets properties over those that are there.
    pub fn set(&mut self, properties: impl IntoIterator<Item = (String, String)>) {
        self.0.extend(properties);
    }

    /// Names and values, by name.
    #[cfg(test)]
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// What variables of properties start with; `__` in the rest is a dot.
const VARIABLES: &str = "GRAPEVINE_KAFKA__PROPERTIES__";

/// Takes the properties out of the environment, their values as they are: a password of digits is
/// no number.
pub(super) fn properties_of(environment: &mut HashMap<String, String>) -> BTreeMap<String, String> {
    let taken = environment.extract_if(|name, _| name.starts_with(VARIABLES));
    taken
        .map(|(name, value)| {
            let name = name[VARIABLES.len()..].replace("__", ".");
            (name.to_lowercase(), value)
        })
        .collect()
}

impl fmt::Debug for Properties {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Serialize for Properties {
    /// Names alone.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.keys().map(|name| (name, Secret::new(""))))
    }
}

impl KafkaSettings {
    /// The connection.
    ///
    /// # Errors
    /// Properties that are not to be set, or that librdkafka does not take.
    pub fn connection(&self) -> Result<Connection, Failure> {
        self.connected(self.properties.0.clone())
    }

    /// The connection of a service that holds many partitions and reads at most so many KiB ahead
    /// in each, unless the properties say otherwise.
    ///
    /// # Errors
    /// Those of [`connection`](Self::connection).
    pub fn connection_reading_ahead(&self, kib: u32) -> Result<Connection, Failure> {
        let mut properties = self.properties.0.clone();
        properties
            .entry("queued.max.messages.kbytes".to_owned())
            .or_insert_with(|| kib.to_string());
        self.connected(properties)
    }

    fn connected(&self, mut properties: BTreeMap<String, String>) -> Result<Connection, Failure> {
        let user = self.user.clone().map(|user| ("sasl.username", user));
        let (given, file) = (self.password.as_ref(), self.password_file.as_deref());
        let password = Secret::of_either("kafka.password", given, file)?;
        let password = password.map(|secret| ("sasl.password", secret.reveal().to_owned()));
        for (name, value) in user.into_iter().chain(password) {
            properties.insert(name.to_owned(), value);
        }
        if self.brokers.trim().is_empty() {
            return Err(wrong("kafka.brokers is empty: write host:port"));
        }
        Connection::new(&self.brokers, properties, self.token_file.clone()).ends(ExitKind::Config)
    }

    /// What a replica of a service joins as; the service names its topics.
    ///
    /// # Errors
    /// The host has no name and `kafka.replica` is not set.
    pub fn membership(&self, service: &str) -> Result<Membership, Failure> {
        let replica = match &self.replica {
            Some(replica) => replica.clone(),
            None => host_name().ok_or_else(|| {
                wrong("this host has no name: set kafka.replica to one that no other replica has")
            })?,
        };
        Ok(Membership {
            group: format!("{}-{service}", self.group),
            replica,
            topics: Vec::new(),
            protocol: match self.protocol {
                Protocol::Classic => GroupProtocol::Classic,
                Protocol::Consumer => GroupProtocol::Consumer,
            },
            grace: self.grace(),
        })
    }

    /// Time to finish what is at hand.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds.unwrap_or(GRACE_SECONDS_UNSET))
    }

    /// Says how long a replica may take where nobody has said, of the seconds of a whole stop.
    pub fn end_within(&mut self, whole: u32) {
        let most = (u64::from(whole) * 4 / 5).clamp(1, GRACE_SECONDS_MAX);
        self.grace_seconds.get_or_insert(most);
    }

    /// Every topic as it has to be.
    pub fn wishes(&self) -> Vec<Wish> {
        topic::ALL
            .into_iter()
            .map(|name| Wish {
                name,
                partitions: (name != topic::DEAD_LETTERS).then_some(self.partitions),
                retention: RETENTION,
                retention_min: RETENTION_MIN,
            })
            .collect()
    }

    /// What may be done about topics that are not there.
    pub fn creation(&self) -> Creation {
        Creation {
            allowed: self.create_topics,
            replication: self.replication,
            partitions: self.partitions,
        }
    }

    /// Where states are saved.
    pub fn states(&self, data_dir: &Path) -> String {
        let default = || data_dir.join("states").display().to_string();
        self.states.clone().unwrap_or_else(default)
    }

    /// What is wrong with values that no type catches.
    ///
    /// # Errors
    /// Each by key and remedy.
    pub fn check(&self) -> Result<(), Failure> {
        if !(1..=10_000).contains(&self.partitions) {
            return Err(wrong("kafka.partitions must be from 1 to 10000"));
        }
        let grace = self.grace_seconds;
        if grace.is_some_and(|seconds| !(1..=GRACE_SECONDS_MAX).contains(&seconds)) {
            return Err(wrong(
                "kafka.grace_seconds must be from 1 to 240: the group waits no longer than 300 s",
            ));
        }
        let names = [Some(&self.group), self.replica.as_ref()];
        if names.into_iter().flatten().any(|name| name.is_empty()) {
            return Err(wrong("kafka.group and kafka.replica must not be empty"));
        }
        Ok(())
    }
}

fn wrong(text: &str) -> Failure {
    Failure::new(ExitKind::Config, format!("configuration: {text}"))
}

/// The name of this host, as the kernel has it.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> KafkaSettings {
        toml::from_str(text).expect("parses")
    }

    #[test]
    fn secrets_are_never_shown() {
        let settings = parse(
            "user = \"u\"\npassword = \"hush\"\n[properties]\n\"ssl.key.password\" = \"hush\"\n",
        );
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(shown.contains("ssl.key.password"), "{shown}");
        let connection = settings.connection().expect("a connection");
        assert!(!format!("{connection:?}").contains("hush"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        for (text, says) in [
            ("brokers = \"\"", "kafka.brokers"),
            ("[properties]\n\"acks\" = \"1\"", "take it out"),
            ("[properties]\n\"no.such\" = \"1\"", "no such property"),
        ] {
            let failure = parse(text).connection().expect_err(text);
            assert_eq!(failure.code(), 78);
            assert!(failure.to_string().contains(says), "{failure}");
        }
        for (text, says) in [
            ("partitions = 0", "kafka.partitions"),
            ("grace_seconds = 0", "kafka.grace_seconds"),
            ("replica = \"\"", "kafka.replica"),
        ] {
            let failure = parse(text).check().expect_err(text);
            assert!(failure.to_string().contains(says), "{failure}");
        }
        let unknown = toml::from_str::<KafkaSettings>("broker = \"x\"").expect_err("refused");
        assert!(unknown.to_string().contains("broker"));
    }

    #[test]
    fn a_replica_is_named_after_its_host() {
        let membership = KafkaSettings::default().membership("chain").expect("named");
        assert_eq!(membership.group, "grapevine-chain");
        assert!(!membership.replica.is_empty());
    }
}
