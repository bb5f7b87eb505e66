//! Topics on Apache Kafka itself: what is made, what is refused, and the largest record that goes
//! through.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use grapevine_kafka_testing::Cluster;
use grapevine_log::kafka::topics::{self, Creation, TopicsError, Wish};
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Onlooker, Producer,
};
use grapevine_log::{Commit, Durability, LogError, Partition, Position, RECORD_BYTES_MAX};
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// One broker, which does at once what it is told.
static CLUSTER: LazyLock<Mutex<Cluster>> =
    LazyLock::new(|| Mutex::new(Cluster::start().expect("a broker")));

fn connected(cluster: &Cluster) -> Connection {
    Connection::new(&cluster.bootstrap(), BTreeMap::new(), None).expect("a connection")
}

fn connection() -> Connection {
    connected(&CLUSTER.lock().expect("no test panicked in there"))
}

fn wish(name: &'static str) -> Wish {
    Wish {
        name,
        partitions: Some(1),
        retention: Duration::from_secs(7 * 86_400),
        retention_min: Duration::from_secs(86_400),
    }
}

fn made_with(replication: Option<i32>) -> Creation {
    Creation {
        allowed: true,
        replication,
        partitions: 1,
    }
}

/// The settings of a topic, as a broker tells them.
fn described(cluster: &Cluster, topic: &str) -> BTreeMap<String, String> {
    let admin = cluster.admin().expect("an administrator");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = [ResourceSpecifier::Topic(topic)];
        let answered = block_on(admin.describe_configs(&asked, &AdminOptions::new()));
        match answered.expect("answers").pop().expect("one topic") {
            Ok(resource) => {
                let entries = resource.entries.into_iter();
                return entries
                    .filter_map(|entry| Some((entry.name, entry.value?)))
                    .collect();
            }
            // Another broker has heard of it already.
            Err(error) => assert!(Instant::now() < deadline, "{topic}: {error}"),
        }
        std::thread::sleep(LOOK);
    }
}

/// What brokers have by default, as some are run, is not what topics that are made get; and what
/// others made is refused where acknowledged records could go.
#[test]
fn what_is_made_lasts_and_what_could_lose_records_is_refused() {
    let mut cluster = Cluster::builder()
        .brokers(2)
        .property("unclean.leader.election.enable", "true")
        .property("min.insync.replicas", "2")
        .start()
        .expect("brokers");
    let connection = connected(&cluster);
    let ensure =
        |name, replication| topics::ensure(&connection, &[wish(name)], made_with(replication));
    ensure("made.twofold", Some(2)).expect("made");
    ensure("made.as_brokers_do", None).expect("made");
    ensure("made.once", Some(1)).expect("made");
    for name in ["made.twofold", "made.as_brokers_do", "made.once"] {
        let settings = described(&cluster, name);
        for (key, value) in [
            ("cleanup.policy", "delete"),
            ("compression.type", "producer"),
            ("max.message.bytes", "8454144"),
            ("retention.ms", "604800000"),
            ("unclean.leader.election.enable", "false"),
        ] {
            assert_eq!(settings[key], value, "{key} of {name}");
        }
    }
    let once = described(&cluster, "made.once");
    assert_eq!(once["min.insync.replicas"], "1", "there is one copy");

    cluster
        .create_topic("unclean", 1, &[("max.message.bytes", "9000000")])
        .expect("makes");
    let error = ensure("unclean", None).expect_err("refused");
    assert!(
        matches!(error, TopicsError::Unclean { name: "unclean" }),
        "{error}"
    );
    let fix = "--entity-name unclean --add-config unclean.leader.election.enable=false";
    assert!(error.to_string().contains(fix), "{error}");
}

/// Bytes that no codec makes fewer.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn of_one(topic: &'static str, record: &[u8]) -> Commit {
    let mut commit = Commit::default();
    commit.append(topic, record);
    commit
}

fn stands_at(offset: u64) -> Position {
    Position {
        offset,
        metadata: b"as it is".to_vec(),
    }
}

/// Lengths of the committed records of a topic's one partition.
fn lengths(topic: &str) -> Vec<usize> {
    let onlooker = Onlooker::new(&connection(), "who looks at lengths").expect("an onlooker");
    // A broker says that a transaction is committed before each partition has been told.
    onlooker.settled(topic, 0..1).expect("ends");
    let mut lengths = Vec::new();
    let mut take = |_: u64, record: &[u8]| lengths.push(record.len());
    (onlooker.read(topic, 0, 0..u64::MAX, &mut take)).expect("reads");
    lengths
}

/// One partition with three records to read, held by the only replica.
fn holding(input: &'static str, output: &'static str) -> (Group, KafkaPartition, Producer) {
    let connection = connection();
    let wishes = [wish(input), wish(output)];
    let partitions = topics::ensure(&connection, &wishes, made_with(Some(1))).expect("topics");
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    let mut commit = Commit::default();
    for record in [b"one", b"two", b"six"] {
        commit.append(input, record);
    }
    producer.append(&commit, PATIENCE).expect("acknowledged");
    let member = Membership {
        group: format!("large-{input}"),
        replica: "one".to_owned(),
        topics: vec![input],
        protocol: GroupProtocol::Classic,
        grace: Duration::from_secs(10),
    };
    let group = Group::join(&connection, &member, partitions).expect("joins");
    let held = group.next_given(PATIENCE).expect("a healthy group");
    (group, held.expect("its one partition"), producer)
}

#[test]
fn the_largest_record_goes_through_and_a_larger_one_is_refused_alone() {
    let (group, held, producer) = holding("largest.in", "largest.out");
    let commit = |record: &[u8], from: u64| {
        let mut commit = of_one("largest.out", record);
        held.commit(&mut commit, from, stands_at(from + 1), Durability::Durable)
    };
    let mut record = noise(RECORD_BYTES_MAX);
    commit(&record, 0).expect("goes through");
    record.push(0);
    let refused = commit(&record, 1);
    assert!(
        matches!(refused, Err(LogError::TooLarge(bytes)) if bytes == record.len()),
        "{refused:?}"
    );
    let refused = producer.append(&of_one("largest.out", &record), PATIENCE);
    assert!(matches!(refused, Err(LogError::TooLarge(_))), "{refused:?}");
    commit(b"small", 1).expect("nothing is in its way");
    drop(held);
    group.leave();
    assert_eq!(lengths("largest.out"), [RECORD_BYTES_MAX, 5]);
}

/// Removes what is before an offset, as retention does.
fn expire(topic: &str, before: i64) {
    let cluster = CLUSTER.lock().expect("no test panicked in there");
    let admin = cluster.admin().expect("an administrator");
    let mut until = TopicPartitionList::new();
    until
        .add_partition_offset(topic, 0, Offset::Offset(before))
        .expect("an offset");
    let removed = block_on(admin.delete_records(&until, &AdminOptions::new())).expect("answers");
    let first = removed.elements()[0].offset();
    assert_eq!(first, Offset::Offset(before));
}

/// A quiet partition loses its last record to retention long after it was read, and begins behind
/// the transaction's end then: whoever comes back finds nothing missing.
#[test]
fn a_partition_that_was_quiet_for_the_whole_retention_is_read_on() {
    let (group, held, _producer) = holding("quiet.in", "quiet");
    let partitions = topics::ensure(&connection(), &[wish("quiet")], made_with(None));
    let partitions = partitions.expect("topics");
    let member = Membership {
        group: "reads-quiet".to_owned(),
        replica: "one".to_owned(),
        topics: vec!["quiet"],
        protocol: GroupProtocol::Classic,
        grace: Duration::from_secs(10),
    };
    let mut written = 0;
    let mut write = |record: &[u8]| {
        let mut commit = of_one("quiet", record);
        let committed = held.commit(
            &mut commit,
            written,
            stands_at(written + 1),
            Durability::Durable,
        );
        committed.expect("commits");
        written += 1;
    };
    write(b"read in time");
    for round in 0_u64..2 {
        let reader = Group::join(&connection(), &member, partitions.clone()).expect("joins");
        let given = reader.next_given(PATIENCE).expect("a healthy group");
        let given = given.expect("its one partition");
        let stands = given.position().expect("held").offset;
        if round == 1 {
            let nothing = given.read(stands, 1 << 20).expect("nothing is missing");
            assert!(nothing.is_empty());
            write(b"later");
        }
        let deadline = Instant::now() + PATIENCE;
        let batch = loop {
            assert!(Instant::now() < deadline, "{round}");
            let batch = given.read_waiting(stands, 1 << 20, LOOK).expect("reads");
            if !batch.is_empty() {
                break batch;
            }
        };
        // Each record is followed by the end of its transaction.
        let offsets: Vec<u64> = batch.iter().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, [2 * round]);
        let to = stands_at(2 * round + 1);
        given
            .commit(&mut Commit::default(), stands, to, Durability::Durable)
            .expect("commits");
        if round == 1 {
            // Whoever asks for what is gone is told so, and reads on elsewhere.
            let gone = given.read(0, 1 << 20);
            assert!(
                matches!(gone, Err(LogError::Trimmed { first: 2, .. })),
                "{gone:?}"
            );
            let again = given.read(2, 1 << 20).expect("reads");
            assert_eq!(again.iter().map(|(offset, _)| offset).next(), Some(2));
        }
        drop(given);
        reader.leave();
        expire("quiet", 2 * round as i64 + 2);
    }
    // Two are gone that nobody read: that is told.
    write(b"never read");
    expire("quiet", 6);
    let reader = Group::join(&connection(), &member, partitions).expect("joins");
    let given = reader.next_given(PATIENCE).expect("a healthy group");
    let given = given.expect("its one partition");
    let stands = given.position().expect("held").offset;
    let lost = given.read(stands, 1 << 20);
    assert!(
        matches!(
            lost,
            Err(LogError::Trimmed {
                asked: 3,
                first: 6,
                ..
            })
        ),
        "{lost:?}"
    );
    drop(given);
    reader.leave();
    drop(held);
    group.leave();
}

fn alter(topic: &str, key: &str, value: &str) {
    let cluster = CLUSTER.lock().expect("no test panicked in there");
    let admin = cluster.admin().expect("an administrator");
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
    let changed = block_on(admin.alter_configs([&change], &AdminOptions::new()));
    for outcome in changed.expect("answers") {
        outcome.expect("changed");
    }
    let deadline = Instant::now() + PATIENCE;
    while described(&cluster, topic)[key] != value {
        assert!(Instant::now() < deadline, "{key} of {topic}");
        std::thread::sleep(LOOK);
    }
}

/// Somebody lowers a limit while a replica runs: its commits are given up whole, to be done again,
/// until the topic takes them. Nothing is lost, and nothing is there twice.
#[test]
fn a_topic_that_takes_too_little_holds_a_commit_up_until_it_takes_more() {
    const LENGTH: usize = 1_000_000;
    let (group, held, _producer) = holding("narrow.in", "narrow.out");
    let record = noise(LENGTH);
    let commit = || {
        let mut commit = of_one("narrow.out", &record);
        held.commit(&mut commit, 0, stands_at(1), Durability::Durable)
    };
    alter("narrow.out", "max.message.bytes", "100000");
    for _ in 0..2 {
        let refused = commit();
        assert!(matches!(refused, Err(LogError::Aborted(_))), "{refused:?}");
    }
    alter("narrow.out", "max.message.bytes", "8454144");
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = commit() {
        assert!(matches!(error, LogError::Aborted(_)), "{error}");
        assert!(Instant::now() < deadline, "{error}");
    }
    assert_eq!(held.position().expect("held"), stands_at(1));
    drop(held);
    group.leave();
    assert_eq!(lengths("narrow.out"), [LENGTH]);
}
