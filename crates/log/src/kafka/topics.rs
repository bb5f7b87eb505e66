//! The topics: made with sane settings, or checked where making them is not allowed.

use std::fmt::Display;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use super::connection::{Connection, ConnectionError, refused};
use super::context::ClientCalls;
pub use super::spread::Partitions;
use super::token;
use super::topic_settings::{Layout, Weaknesses, judge, too_few_copies};
use crate::RECORD_BYTES_MAX;

/// How long the brokers may take to answer one question.
const ASK: Duration = Duration::from_secs(20);
/// How long the brokers may be away at a start.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a topic that was just made may take to be seen everywhere.
const SEEN_MAX: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// `max.message.bytes` that every topic needs: a record, and what goes around it.
pub(super) const MESSAGE_BYTES: usize = RECORD_BYTES_MAX + 64 * 1024;
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
        "topic {name} keeps records for {found_ms} ms (retention.ms); {wanted_ms} ms at least are needed, so that a restart finds its input: {}",
        alter(.name, "retention.ms", .wanted_ms)
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
        "topic {name} is compacted (cleanup.policy={found}), which takes out records that a replay needs: {}",
        alter(.name, "cleanup.policy", "delete")
    )]
    Compacted {
        /// Topic.
        name: &'static str,
        /// `cleanup.policy`.
        found: String,
    },
    /// Records may be larger than the topic takes.
    #[error(
        "topic {name} takes messages of {found} bytes at most (max.message.bytes), records may need {MESSAGE_BYTES}: {}",
        alter(.name, "max.message.bytes", MESSAGE_BYTES)
    )]
    MessageBytes {
        /// Topic.
        name: &'static str,
        /// `max.message.bytes`.
        found: i64,
    },
    /// A copy that lacks acknowledged records may take over.
    #[error(
        "topic {name} has unclean.leader.election.enable=true: where its leader is lost, a copy without the last acknowledged records may take over and give their offsets to others, and by its offset a record counts once: {}",
        alter(.name, "unclean.leader.election.enable", false)
    )]
    Unclean {
        /// Topic.
        name: &'static str,
    },
}

/// The command that changes a setting of a topic.
fn alter(topic: &str, key: &str, value: impl Display) -> String {
    format!(
        "kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name {topic} --add-config {key}={value}"
    )
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
    let mut found = asker.layouts(wishes, patience)?;
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
            found = asker.layouts(wishes, ASK)?;
        }
    }
    let mut laid_out = Vec::with_capacity(wishes.len());
    for (wish, found) in wishes.iter().zip(found) {
        let Some(layout) = found else {
            return Err(TopicsError::Missing {
                name: wish.name,
                partitions: wish.partitions.unwrap_or(creation.partitions),
            });
        };
        if let Some(wanted) = wish.partitions
            && wanted != layout.partitions
        {
            return Err(TopicsError::Partitions {
                name: wish.name,
                found: layout.partitions,
                wanted,
            });
        }
        laid_out.push((wish, layout));
    }
    check_settings(connection, &laid_out, creation.replication)?;
    let counts = laid_out.into_iter();
    Ok(counts
        .map(|(wish, layout)| (wish.name.to_owned(), layout.partitions))
        .collect())
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

    /// How each topic lies, `None` where there is no such topic.
    fn layouts(
        &mut self,
        wishes: &[Wish],
        patience: Duration,
    ) -> Result<Vec<Option<Layout>>, TopicsError> {
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

    fn ask(&self, wishes: &[Wish], patience: Duration) -> Result<Vec<Option<Layout>>, KafkaError> {
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
                Some((topic, None)) => {
                    let partitions = topic.partitions();
                    let copies = partitions
                        .iter()
                        .map(|partition| partition.replicas().len());
                    // Without a partition there is no such topic yet.
                    copies.min().map(|copies| Layout {
                        partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
                        copies,
                        brokers: metadata.brokers().len(),
                    })
                }
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
                .set("retention.ms", retention)
                // Some brokers have it on by default: offsets of acknowledged records would go to
                // others.
                .set("unclean.leader.election.enable", "false");
            match creation.replication {
                Some(replication) if replication >= 3 => {
                    topic.set("min.insync.replicas", IN_SYNC_MIN)
                }
                // More than there are copies, as the brokers' own may be, keeps old ones from
                // taking anything.
                Some(1) => topic.set("min.insync.replicas", "1"),
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

/// Looks at how the topics lie and, where we may, at their settings. `replication` is what they
/// are made with.
fn check_settings(
    connection: &Connection,
    topics: &[(&Wish, Layout)],
    replication: Option<i32>,
) -> Result<(), TopicsError> {
    let mut weaknesses = Weaknesses::default();
    for (wish, layout) in topics {
        weaknesses.add(wish.name, too_few_copies(*layout, replication));
    }
    let looked_at = judge_settings(connection, topics, &mut weaknesses);
    weaknesses.tell();
    looked_at
}

fn judge_settings(
    connection: &Connection,
    topics: &[(&Wish, Layout)],
    weaknesses: &mut Weaknesses,
) -> Result<(), TopicsError> {
    let admin = admin(connection)?;
    let asked: Vec<ResourceSpecifier<'_>> = topics
        .iter()
        .map(|(wish, _)| ResourceSpecifier::Topic(wish.name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let described = match block_on(admin.describe_configs(&asked, &options)) {
        Ok(described) => described,
        Err(error) => {
            tracing::warn!(%error, "settings of topics could not be looked at");
            return Ok(());
        }
    };
    let sends = connection.producer();
    // Whoever configures it may have given it either name.
    let codec = sends.get("compression.codec");
    let codec = codec.or_else(|| sends.get("compression.type"));
    let codec = codec.unwrap_or_default();
    for ((wish, layout), described) in topics.iter().zip(described) {
        match described {
            Ok(resource) => {
                let value =
                    |name: &str| resource.get(name).and_then(|entry| entry.value.as_deref());
                weaknesses.add(wish.name, judge(wish, *layout, codec, value)?);
            }
            Err(error) => {
                tracing::warn!(topic = wish.name, %error, "settings of the topic could not be looked at");
            }
        }
    }
    Ok(())
}
