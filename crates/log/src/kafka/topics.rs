//! The topics: made with sane settings, or checked where making them is not allowed.

use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use super::connection::{Connection, ConnectionError, refused};
use super::context::ClientCalls;
pub use super::spread::Partitions;
use super::token;
use crate::RECORD_BYTES_MAX;

/// How long the brokers may take to answer one question.
const ASK: Duration = Duration::from_secs(20);
/// How long the brokers may be away at a start.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a topic that was just made may take to be seen everywhere.
const SEEN_MAX: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// `max.message.bytes` that every topic needs: a record, and what goes around it.
const MESSAGE_BYTES: usize = RECORD_BYTES_MAX + 64 * 1024;
/// Copies of each record with which a commit still counts, where there are three or more.
const IN_SYNC_MIN: &str = "2";

/// A topic as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: &'static str,
    /// Partitions, exactly: a key's partition depends on how many there are. `None`: any number.
    pub partitions: Option<i32>,
    /// How long records are kept where the topic is made.
    pub retention: Duration,
    /// How long records must be kept at least.
    pub retention_min: Duration,
}

/// What may be done about topics that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Make them.
    pub allowed: bool,
    /// Copies of each record; `None` leaves it to the brokers' default.
    pub replication: Option<i32>,
    /// Partitions of a topic that may have any number.
    pub partitions: i32,
}

/// Why the topics are not as they have to be, and what to do.
#[derive(Debug, Error)]
pub enum TopicsError {
    /// The client could not be made.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The brokers do not answer.
    #[error("kafka at {brokers} cannot be asked for its topics: {reason}")]
    Away {
        /// The brokers.
        brokers: String,
        /// What the client says.
        reason: String,
    },
    /// There is no such topic, and it may not be made.
    #[error(
        "topic {name} does not exist: create it with {partitions} partitions, or set kafka.create_topics = true"
    )]
    Missing {
        /// Topic.
        name: &'static str,
        /// Partitions that it needs.
        partitions: i32,
    },
    /// The brokers did not let us make it.
    #[error(
        "topic {name} could not be created: {reason}; create it with {partitions} partitions and set kafka.create_topics = false"
    )]
    NotMade {
        /// Topic.
        name: String,
        /// Partitions that it needs.
        partitions: i32,
        /// What the broker says.
        reason: String,
    },
    /// Another number of partitions.
    #[error(
        "topic {name} has {found} partitions and kafka.partitions is {wanted}: all topics of the pipeline have the same number, because visitors and contents are spread over them. Set kafka.partitions = {found} if every topic has that; else let the pipeline finish, delete its topics, consumer groups and saved states, and start with the new number"
    )]
    Partitions {
        /// Topic.
        name: &'static str,
        /// Partitions that it has.
        found: i32,
        /// Partitions that are configured.
        wanted: i32,
    },
    /// Records go too soon for a replay.
    #[error(
        "topic {name} keeps records for {found_ms} ms; {wanted_ms} ms at least are needed, so that a restart finds its input: set retention.ms of the topic"
    )]
    Retention {
        /// Topic.
        name: &'static str,
        /// `retention.ms`.
        found_ms: i64,
        /// What is needed.
        wanted_ms: i64,
    },
    /// Compaction would take records out of the middle.
    #[error(
        "topic {0} is compacted, which takes out records that a replay needs: set cleanup.policy=delete"
    )]
    Compacted(&'static str),
    /// Records may be larger than the topic takes.
    #[error(
        "topic {name} takes messages of {found} bytes at most, records may need {MESSAGE_BYTES}: set max.message.bytes of the topic"
    )]
    MessageBytes {
        /// Topic.
        name: &'static str,
        /// `max.message.bytes`.
        found: i64,
    },
}

/// Makes the topics that are not there, where that is allowed, checks those that are, and says how
/// many partitions each has. Waits a minute for brokers that are away.
///
/// # Errors
/// Brokers that are away, and topics that are not as they have to be, with what to do.
pub fn ensure(
    connection: &Connection,
    wishes: &[Wish],
    creation: Creation,
) -> Result<Partitions, TopicsError> {
    ensure_within(connection, wishes, creation, START_MAX)
}

/// Like [`ensure`], for who has something better to do than to wait: brokers that are away are an
/// error after about `patience`.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_within(
    connection: &Connection,
    wishes: &[Wish],
    creation: Creation,
    patience: Duration,
) -> Result<Partitions, TopicsError> {
    let mut asker = Asker::new(connection)?;
    let mut found = asker.partitions(wishes, patience)?;
    let missing: Vec<&Wish> = wishes
        .iter()
        .zip(&found)
        .filter_map(|(wish, found)| found.is_none().then_some(wish))
        .collect();
    if let Some(first) = missing.first() {
        if !creation.allowed {
            return Err(TopicsError::Missing {
                name: first.name,
                partitions: first.partitions.unwrap_or(creation.partitions),
            });
        }
        make(connection, &missing, creation)?;
        let deadline = Instant::now() + SEEN_MAX;
        while found.iter().any(Option::is_none) && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
            found = asker.partitions(wishes, ASK)?;
        }
    }
    let mut counts = Vec::with_capacity(wishes.len());
    for (wish, found) in wishes.iter().zip(found) {
        let Some(found) = found else {
            return Err(TopicsError::Missing {
                name: wish.name,
                partitions: wish.partitions.unwrap_or(creation.partitions),
            });
        };
        if let Some(wanted) = wish.partitions
            && wanted != found
        {
            return Err(TopicsError::Partitions {
                name: wish.name,
                found,
                wanted,
            });
        }
        counts.push((wish.name.to_owned(), found));
    }
    check_settings(connection, wishes)?;
    Ok(counts.into_iter().collect())
}

/// Asks for metadata, which never makes a topic.
struct Asker<'c> {
    connection: &'c Connection,
    consumer: BaseConsumer<ClientCalls>,
}

impl<'c> Asker<'c> {
    fn new(connection: &'c Connection) -> Result<Asker<'c>, TopicsError> {
        let consumer = connection
            .base()
            .create_with_context(ClientCalls::new(connection.token_file()))
            .map_err(refused)?;
        Ok(Asker {
            connection,
            consumer,
        })
    }

    /// Partitions of each topic, `None` where there is no such topic.
    fn partitions(
        &mut self,
        wishes: &[Wish],
        patience: Duration,
    ) -> Result<Vec<Option<i32>>, TopicsError> {
        let deadline = Instant::now() + patience;
        loop {
            // Tokens come by polling.
            let _ = self.consumer.poll(Duration::from_millis(10));
            match self.ask(wishes, patience.min(ASK)) {
                Ok(found) => return Ok(found),
                Err(error) if Instant::now() < deadline => {
                    tracing::warn!(%error, "waiting for kafka");
                    std::thread::sleep(PAUSE);
                }
                Err(error) => {
                    return Err(TopicsError::Away {
                        brokers: self.connection.brokers().to_owned(),
                        reason: error.to_string(),
                    });
                }
            }
        }
    }

    fn ask(&self, wishes: &[Wish], patience: Duration) -> Result<Vec<Option<i32>>, KafkaError> {
        use rdkafka::types::RDKafkaRespErr::{
            RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        };
        let mut found = Vec::with_capacity(wishes.len());
        for wish in wishes {
            let metadata = self.consumer.fetch_metadata(Some(wish.name), patience)?;
            let topic = metadata
                .topics()
                .iter()
                .find(|topic| topic.name() == wish.name);
            found.push(match topic.map(|topic| (topic, topic.error())) {
                None
                | Some((
                    _,
                    Some(
                        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
                    ),
                )) => None,
                Some((_, Some(error))) => return Err(KafkaError::MetadataFetch(error.into())),
                Some((topic, None)) => match topic.partitions().len() {
                    0 => None,
                    partitions => Some(i32::try_from(partitions).unwrap_or(i32::MAX)),
                },
            });
        }
        Ok(found)
    }
}

fn admin(connection: &Connection) -> Result<AdminClient<ClientCalls>, TopicsError> {
    let context = ClientCalls::new(connection.token_file());
    let admin: AdminClient<ClientCalls> =
        (connection.base().create_with_context(context)).map_err(refused)?;
    token::give(&admin, connection)?;
    Ok(admin)
}

fn make(connection: &Connection, missing: &[&Wish], creation: Creation) -> Result<(), TopicsError> {
    let partitions = |wish: &Wish| wish.partitions.unwrap_or(creation.partitions);
    let admin = admin(connection)?;
    let message_bytes = MESSAGE_BYTES.to_string();
    let retentions: Vec<String> = missing
        .iter()
        .map(|wish| wish.retention.as_millis().to_string())
        .collect();
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&retentions)
        .map(|(wish, retention)| {
            let replication = TopicReplication::Fixed(creation.replication.unwrap_or(-1));
            let topic = NewTopic::new(wish.name, partitions(wish), replication)
                .set("cleanup.policy", "delete")
                // As the producer packed it: brokers do not unpack and pack again.
                .set("compression.type", "producer")
                .set("max.message.bytes", &message_bytes)
                .set("retention.ms", retention);
            match creation.replication {
                Some(replication) if replication >= 3 => {
                    topic.set("min.insync.replicas", IN_SYNC_MIN)
                }
                _ => topic,
            }
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(ASK))
        .operation_timeout(Some(ASK));
    let made = block_on(admin.create_topics(&topics, &options));
    let not_made = |name: String, reason: String| TopicsError::NotMade {
        partitions: missing
            .iter()
            .find(|wish| wish.name == name)
            .map_or(creation.partitions, |wish| partitions(wish)),
        name,
        reason,
    };
    let made = made.map_err(|error| {
        let names: Vec<&str> = missing.iter().map(|wish| wish.name).collect();
        not_made(names.join(", "), error.to_string())
    })?;
    for outcome in made {
        match outcome {
            Ok(name) => tracing::info!(topic = name, "topic created"),
            // Another replica was quicker.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(not_made(name, code.to_string())),
        }
    }
    Ok(())
}

/// Looks at the settings of the topics, where we may.
fn check_settings(connection: &Connection, wishes: &[Wish]) -> Result<(), TopicsError> {
    let admin = admin(connection)?;
    let asked: Vec<ResourceSpecifier<'_>> = wishes
        .iter()
        .map(|wish| ResourceSpecifier::Topic(wish.name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let described = match block_on(admin.describe_configs(&asked, &options)) {
        Ok(described) => described,
        Err(error) => {
            tracing::warn!(%error, "settings of topics could not be looked at");
            return Ok(());
        }
    };
    for (wish, described) in wishes.iter().zip(described) {
        match described {
            Ok(resource) => check(wish, &resource)?,
            Err(error) => {
                tracing::warn!(topic = wish.name, %error, "settings of the topic could not be looked at");
            }
        }
    }
    Ok(())
}

fn check(wish: &Wish, resource: &ConfigResource) -> Result<(), TopicsError> {
    let text = |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref());
    let number = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok());
    if text("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        return Err(TopicsError::Compacted(wish.name));
    }
    let wanted_ms = i64::try_from(wish.retention_min.as_millis()).unwrap_or(i64::MAX);
    // -1 keeps records for ever.
    if let Some(found_ms) = number("retention.ms")
        && found_ms >= 0
        && found_ms < wanted_ms
    {
        return Err(TopicsError::Retention {
            name: wish.name,
            found_ms,
            wanted_ms,
        });
    }
    if let Some(found) = number("max.message.bytes")
        && found < i64::try_from(MESSAGE_BYTES).unwrap_or(i64::MAX)
    {
        return Err(TopicsError::MessageBytes {
            name: wish.name,
            found,
        });
    }
    if let Some(bytes) = number("retention.bytes")
        && bytes >= 0
    {
        tracing::warn!(
            topic = wish.name,
            bytes,
            "the topic is cut by size too: a restart may not find its input"
        );
    }
    Ok(())
}
