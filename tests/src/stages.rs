//! The stages on Apache Kafka, as tests drive them: a broker with the pipeline's topics, hits that are
//! functions of their number, replicas of `grapevine enrich`, and what they write.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grapevine_event::{
    AddressOf, Heartbeat, Hit, Id, Protocol, Share, ShareKind, VisitorBasis, topic,
};
use grapevine_inference::chains::HOLD_MS;
use grapevine_kafka_testing::Cluster;
use grapevine_log::kafka::topics::{self, Creation, Wish};
use grapevine_log::kafka::{Connection, Onlooker, Producer};
use grapevine_log::{Commit, Key};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::command;

/// Longest wait for something that has to come. The machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "WhatsApp/2.23.20.0",
];

/// Committed records by topic and partition, in their order.
pub type Outputs = BTreeMap<(&'static str, i32), Vec<Vec<u8>>>;

/// A broker with the pipeline's topics, and what feeds them.
pub struct World {
    /// The brokers.
    pub cluster: Cluster,
    onlooker: Onlooker,
    producer: Producer,
    partitions: i32,
}

impl World {
    /// One broker, with so many partitions of every topic.
    ///
    /// # Panics
    /// As everything here does: where the test cannot go on.
    pub fn new(partitions: i32) -> World {
        let cluster = Cluster::start().expect("a broker");
        let connection =
            Connection::new(&cluster.bootstrap(), BTreeMap::new(), None).expect("a connection");
        let onlooker = Onlooker::new(&connection, "the judge").expect("an onlooker");
        let wishes = topic::ALL.map(|name| Wish {
            name,
            partitions: Some(partitions),
            retention: Duration::from_secs(7 * 86_400),
            retention_min: Duration::from_secs(86_400),
        });
        let creation = Creation {
            allowed: true,
            replication: Some(1),
            partitions,
        };
        let counts = topics::ensure(&connection, &wishes, creation).expect("topics");
        let producer = Producer::new(&connection, counts).expect("a producer");
        World {
            cluster,
            onlooker,
            producer,
            partitions,
        }
    }

    /// Appends the hits of a range of numbers, some that cannot be used, and a heartbeat behind.
    pub fn feed(&self, numbers: std::ops::Range<u64>) {
        let mut commit = Commit::default();
        let mut time = 0;
        for number in numbers {
            let (visitor, content) = (number * 7 % 211, number * 13 % 37);
            time = 1_760_000_000_000 + i64::try_from(number).expect("few") * 700;
            let url = match number % 5 {
                0 => format!("https://example.org/story-{content}?gv=t{}", visitor % 50),
                _ => format!("https://example.org/story-{content}"),
            };
            let token = format!("t{}", number % 50);
            let hit = Hit {
                protocol: Protocol::Native,
                client_id_given: true,
                visitor: Some(i64::try_from(visitor).expect("few")),
                visitor_basis: VisitorBasis::Client,
                network: Some(i64::try_from(visitor % 30).expect("few")),
                user_agent: AGENTS[usize::try_from(number % 3).expect("few")],
                share_token: (number % 4 == 0).then_some(token.as_str()),
                ..Hit::page_view(
                    Id::builder("enrich test").number(number).finish(),
                    "example.org",
                    time,
                    &url,
                )
            };
            let key = Key::new("example.org", &visitor.to_be_bytes());
            (commit.append_keyed(topic::HITS_RAW, key, |out| hit.encode(out))).expect("encodes");
            if number % 101 == 0 {
                let garbage = format!("garbage {number}");
                let write = |out: &mut Vec<u8>| -> Result<(), ()> {
                    out.extend_from_slice(garbage.as_bytes());
                    Ok(())
                };
                (commit.append_keyed(topic::HITS_RAW, key, write)).expect("appends");
            }
        }
        // Past all of them: nobody waits for the owner of his token any more.
        let heartbeat = Heartbeat {
            event_time: time + HOLD_MS,
            source: "collector",
        };
        (commit.append_to_every(topic::HITS_RAW, |out| heartbeat.encode(out))).expect("encodes");
        self.append(&commit);
    }

    /// Appends whatever it is.
    pub fn append(&self, commit: &Commit) {
        let appended = self.producer.append(commit, PATIENCE);
        appended.expect("acknowledged");
    }

    /// Starts `grapevine enrich` as a replica, with more of its environment.
    pub fn enrich(&self, home: &Path, replica: &str, extra: &[(&str, &str)]) -> Replica {
        let mut command = self.command(home, replica);
        command.envs(extra.iter().copied());
        Replica::start(command)
    }

    /// `grapevine enrich` as a replica, to be started.
    pub fn command(&self, home: &Path, replica: &str) -> Command {
        let mut command: Command = command(home);
        command
            .arg("enrich")
            .env("GRAPEVINE_KAFKA__BROKERS", self.cluster.bootstrap())
            .env("GRAPEVINE_KAFKA__PARTITIONS", self.partitions.to_string())
            .env("GRAPEVINE_KAFKA__REPLICATION", "1")
            .env("GRAPEVINE_KAFKA__REPLICA", replica)
            .env("GRAPEVINE_KAFKA__GRACE_SECONDS", "5")
            .stderr(Stdio::inherit())
            .stdout(Stdio::null());
        command
    }

    /// Committed records of every topic that the stages write, by topic and partition.
    pub fn outputs(&self) -> Outputs {
        let mut config = self.cluster.client_config();
        config
            .set("group.id", "the judge")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut outputs = Outputs::new();
        let mut assigned = TopicPartitionList::new();
        for topic in topic::ALL {
            for partition in 0..self.partitions {
                outputs.insert((topic, partition), Vec::new());
                (assigned.add_partition_offset(topic, partition, Offset::Beginning))
                    .expect("a place");
            }
        }
        consumer.assign(&assigned).expect("assigned");
        let mut ends = 0;
        while ends < outputs.len() {
            match consumer.poll(PATIENCE).expect("something is said") {
                Ok(message) => {
                    let topic = topic::ALL
                        .into_iter()
                        .find(|topic| *topic == message.topic())
                        .expect("one of ours");
                    outputs
                        .get_mut(&(topic, message.partition()))
                        .expect("assigned")
                        .push(message.payload().unwrap_or_default().to_vec());
                }
                Err(KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
        outputs
    }

    /// Waits until the chain stage has put out as many visits and events as there are, and until
    /// what was committed with them can be read on every topic.
    pub fn settled(&self, records: usize) -> Outputs {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outputs = self.outputs();
            let count = |topics: &[&str]| -> usize {
                let ours = outputs
                    .iter()
                    .filter(|((topic, _), _)| topics.contains(topic));
                ours.map(|(_, records)| records.len()).sum()
            };
            let found = count(&[topic::VISITS, topic::EVENTS]);
            if found >= records {
                // A broker says that a transaction is committed before each partition has been told.
                for topic in topic::ALL {
                    let settled = self.onlooker.settled(topic, 0..self.partitions);
                    settled.expect("ends");
                }
                return self.outputs();
            }
            let classified = count(&[topic::HITS_CLASSIFIED]);
            assert!(
                Instant::now() < deadline,
                "{found} of {records} came, {classified} are classified"
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

/// A running replica; killed when dropped.
#[derive(Debug)]
pub struct Replica(Child);

impl Replica {
    /// Starts a command.
    pub fn start(mut command: Command) -> Replica {
        Replica(command.spawn().expect("starts"))
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.0.kill().expect("kills");
        self.0.wait().expect("gone");
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let told = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status();
        assert!(told.expect("kill runs").success());
        self.0.wait().expect("gone").code()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Already gone where it was stopped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many of the hits of [`World::feed`] give a visit or an event: those that no messenger's
/// fetcher made.
pub fn seen(hits: u64) -> usize {
    (0..hits).filter(|number| number % 3 != 2).count()
}

/// A copied address, encoded; its number tells it from others.
pub fn share(number: u8, time: i64) -> Vec<u8> {
    let share = Share {
        share_id: Id([number; 16]),
        site: "example.org",
        time,
        content: "https://example.org/".into(),
        kind: ShareKind::Copy,
        app: "unknown".into(),
        private: None,
        probability: 0.5,
        address_of: AddressOf::Unknown,
        network: None,
        visitor: None,
        sharer_visit: None,
        token: None,
    };
    let mut record = Vec::new();
    share.encode(&mut record).expect("fits its schema");
    record
}
