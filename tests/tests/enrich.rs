//! `grapevine enrich` on Apache Kafka: the real process, killed and joined by others at seeded
//! moments; what it writes must be as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grapevine_event::{Heartbeat, Hit, Id, Protocol, Record, VisitorBasis, topic};
use grapevine_kafka_testing::{Cluster, ObjectStore};
use grapevine_log::kafka::topics::{self, Creation, Wish};
use grapevine_log::kafka::{Connection, Producer};
use grapevine_log::{Commit, Key};
use grapevine_tests::{Moments, command};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(120);
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "WhatsApp/2.23.20.0",
];

fn kills(default: u64) -> u64 {
    match std::env::var("GRAPEVINE_KILLS") {
        Ok(text) => text.parse().expect("GRAPEVINE_KILLS is a number"),
        Err(_) => default,
    }
}

/// A broker with the pipeline's topics, and what feeds them.
struct World {
    cluster: Cluster,
    producer: Producer,
    partitions: i32,
}

impl World {
    fn new(partitions: i32) -> World {
        let cluster = Cluster::start().expect("a broker");
        let connection =
            Connection::new(&cluster.bootstrap(), BTreeMap::new(), None).expect("a connection");
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
            producer,
            partitions,
        }
    }

    /// Appends the hits of a range of numbers, some that cannot be used, and a heartbeat behind.
    fn feed(&self, numbers: std::ops::Range<u64>) {
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
        let heartbeat = Heartbeat {
            event_time: time,
            source: "collector",
        };
        (commit.append_to_every(topic::HITS_RAW, |out| heartbeat.encode(out))).expect("encodes");
        self.producer
            .append(&commit, PATIENCE)
            .expect("acknowledged");
    }

    /// Starts `grapevine enrich` as a replica.
    fn enrich(&self, home: &Path, replica: &str, extra: &[(&str, &str)]) -> Replica {
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
        for (name, value) in extra {
            command.env(name, value);
        }
        Replica(command.spawn().expect("starts"))
    }

    /// Committed records of every topic that the stages write, by topic and partition.
    fn outputs(&self) -> BTreeMap<(&'static str, i32), Vec<Vec<u8>>> {
        let mut config = self.cluster.client_config();
        config
            .set("group.id", "the judge")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut outputs = BTreeMap::new();
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

    /// Waits until the chain stage has put out as many visits and events as there are.
    fn settled(&self, records: usize) -> BTreeMap<(&'static str, i32), Vec<Vec<u8>>> {
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
                return outputs;
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
struct Replica(Child);

impl Replica {
    fn kill(mut self) {
        self.0.kill().expect("kills");
        self.0.wait().expect("gone");
    }

    /// SIGTERM, and the exit code.
    fn stop(mut self) -> Option<i32> {
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

/// How many of the hits give a visit or an event: those that no messenger's fetcher made.
fn seen(hits: u64) -> usize {
    (0..hits).filter(|number| number % 3 != 2).count()
}

const HITS: u64 = 6_000;

/// One partition: everything that is written is a function of the input alone, to the byte.
#[test]
fn killed_again_and_again_it_writes_the_same_bytes() {
    let home = tempfile::tempdir().expect("tempdir");
    let calm = {
        let world = World::new(1);
        world.feed(0..HITS / 2);
        world.feed(HITS / 2..HITS);
        let replica = world.enrich(&home.path().join("calm"), "one", &[]);
        world.settled(seen(HITS));
        assert_eq!(replica.stop(), Some(0), "it ends well");
        world.outputs()
    };
    let world = World::new(1);
    world.feed(0..HITS / 2);
    let rough_home = home.path().join("rough");
    let mut moments = Moments::new(5);
    let kills = kills(12);
    for kill in 0..kills {
        let replica = world.enrich(&rough_home, "one", &[]);
        if kill == kills / 2 {
            world.feed(HITS / 2..HITS);
        }
        std::thread::sleep(Duration::from_millis(300 + moments.below(2_500)));
        match kill % 4 {
            3 => assert_eq!(replica.stop(), Some(0), "it ends well"),
            _ => replica.kill(),
        }
    }
    let replica = world.enrich(&rough_home, "one", &[]);
    world.settled(seen(HITS));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let rough = world.outputs();
    for (place, records) in &calm {
        assert_eq!(records.len(), rough[place].len(), "{place:?}");
        assert!(*records == rough[place], "{place:?}: the bytes differ");
    }
    let states = rough_home.join("states/classify/00000");
    assert!(
        states.read_dir().expect("states").count() > 0,
        "states were saved"
    );
}

/// A replica on another machine goes on from what is kept in an S3-compatible store: its input from
/// before is gone.
#[test]
fn states_are_kept_in_an_s3_store() {
    const HITS: u64 = 2_000;
    let home = tempfile::tempdir().expect("tempdir");
    let calm = {
        let world = World::new(1);
        world.feed(0..HITS / 2);
        world.feed(HITS / 2..HITS);
        let replica = world.enrich(&home.path().join("calm"), "one", &[]);
        world.settled(seen(HITS));
        assert_eq!(replica.stop(), Some(0), "it ends well");
        world.outputs()
    };
    let store = ObjectStore::start("states").expect("a store");
    let environment = store.environment();
    let mut extra: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    extra.push(("GRAPEVINE_KAFKA__STATES", "s3://states/of/grapevine"));
    let world = World::new(1);
    world.feed(0..HITS / 2);
    let replica = world.enrich(&home.path().join("here"), "one", &extra);
    world.settled(seen(HITS / 2));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    for stage in ["classify", "chain"] {
        let kept = store.object("states", &format!("of/grapevine/{stage}/00000"));
        let kept = kept.read_dir().map(Iterator::count);
        assert!(
            matches!(kept, Ok(1..)),
            "{kept:?} of {stage}: {}",
            store.last_words()
        );
    }
    (world
        .cluster
        .drop_records(topic::HITS_RAW, world.partitions))
    .expect("dropped");
    world.feed(HITS / 2..HITS);
    let replica = world.enrich(&home.path().join("elsewhere"), "one", &extra);
    world.settled(seen(HITS));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let outputs = world.outputs();
    for (place, records) in &calm {
        if place.0 != topic::HITS_RAW {
            assert!(*records == outputs[place], "{place:?}: the bytes differ");
        }
    }
}

/// Several partitions, several replicas: every hit has come out once, wherever it went.
fn replicas_share(protocol: &str) {
    let home = tempfile::tempdir().expect("tempdir");
    let world = World::new(3);
    let protocol = [("GRAPEVINE_KAFKA__PROTOCOL", protocol)];
    let shared = home.path().join("states");
    let shared = shared.to_str().expect("a path");
    let extra = [protocol[0], ("GRAPEVINE_KAFKA__STATES", shared)];
    let start = |name: &str| world.enrich(&home.path().join(name), name, &extra);
    let mut moments = Moments::new(9);
    let one = start("one");
    let mut two = None;
    let rounds = 24;
    for round in 0..rounds {
        world.feed(round * HITS / rounds..(round + 1) * HITS / rounds);
        match round {
            4 => two = Some(start("two")),
            // A kill, and back under its name at once: while the group is moving partitions, and one that
            // was given back just then has no owner for a while (docs/kafka.md).
            10 => {
                two = two.take().map(|two| {
                    two.kill();
                    start("two")
                })
            }
            16 => {
                let two = two.take().expect("runs");
                assert_eq!(two.stop(), Some(0), "it ends well");
            }
            18 => two = Some(start("two")),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(200 + moments.below(600)));
    }
    let outputs = world.settled(seen(HITS));
    for replica in [Some(one), two].into_iter().flatten() {
        assert_eq!(replica.stop(), Some(0), "it ends well");
    }
    let mut ids = BTreeSet::new();
    let mut contents: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for ((topic, partition), records) in &outputs {
        for record in records {
            let (id, content) = match Record::decode(record) {
                Ok(Record::Visit(visit)) if *topic == topic::VISITS => {
                    (visit.visit_id, visit.content)
                }
                Ok(Record::VisitEvent(event)) if *topic == topic::EVENTS => {
                    (event.event_id, event.content)
                }
                _ => continue,
            };
            assert!(ids.insert(id), "{id} came out twice");
            let at = contents.entry(content.into_owned()).or_default();
            at.insert(*partition);
        }
    }
    assert_eq!(ids.len(), seen(HITS));
    assert!(
        contents.values().all(|at| at.len() == 1),
        "a content has one partition"
    );
    let spread: BTreeSet<&i32> = contents.values().flatten().collect();
    assert_eq!(spread.len(), 3, "contents are spread over all");
}

#[test]
fn replicas_share_the_work_classic() {
    replicas_share("classic");
}

#[test]
fn replicas_share_the_work_consumer() {
    replicas_share("consumer");
}

#[test]
fn what_is_wrong_is_said_with_its_exit_code() {
    let home = tempfile::tempdir().expect("tempdir");
    let enrich = |extra: &[(&str, &str)]| {
        let mut command = command(home.path());
        command.arg("enrich").envs(extra.iter().copied());
        let output = command.output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = enrich(&[("GRAPEVINE_KAFKA__PARTITIONS", "0")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("kafka.partitions"), "{said}");
    let world = World::new(2);
    let brokers = world.cluster.bootstrap();
    let (code, said) = enrich(&[
        ("GRAPEVINE_KAFKA__BROKERS", &brokers),
        ("GRAPEVINE_KAFKA__PARTITIONS", "5"),
    ]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("has 2 partitions"), "{said}");
}
