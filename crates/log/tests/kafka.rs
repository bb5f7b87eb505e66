//! The home of many replicas, on Apache Kafka itself.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use grapevine_kafka_testing::Cluster;
use grapevine_log::kafka::topics::{self, Creation, TopicsError, Wish};
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Onlooker, Producer,
};
use grapevine_log::{Commit, Durability, Key, LogError, Partition, Position};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::{ClientConfig, ClientContext};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// One broker for every test of this file; each has topics and groups of its own.
static CLUSTER: LazyLock<Mutex<Cluster>> = LazyLock::new(|| {
    let cluster = Cluster::builder()
        // Members of the broker's own protocol hear of a change within this time.
        .property("group.consumer.min.heartbeat.interval.ms", "200")
        .property("group.consumer.heartbeat.interval.ms", "300")
        .start();
    Mutex::new(cluster.expect("a broker"))
});

fn connection() -> Connection {
    let cluster = CLUSTER.lock().expect("no test panicked in there");
    let quick = [
        ("heartbeat.interval.ms", "500"),
        ("topic.metadata.refresh.interval.ms", "1000"),
    ];
    let quick = quick.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Connection::new(&cluster.bootstrap(), quick.into_iter().collect(), None).expect("a connection")
}

/// The client side's own heartbeat setting is refused with the broker's protocol.
fn connection_for(protocol: GroupProtocol) -> Connection {
    match protocol {
        GroupProtocol::Classic => connection(),
        GroupProtocol::Consumer => {
            let cluster = CLUSTER.lock().expect("no test panicked in there");
            Connection::new(&cluster.bootstrap(), BTreeMap::new(), None).expect("a connection")
        }
    }
}

fn wish(name: &'static str, partitions: i32) -> Wish {
    Wish {
        name,
        partitions: Some(partitions),
        retention: Duration::from_secs(7 * 86_400),
        retention_min: Duration::from_secs(86_400),
    }
}

const CREATION: Creation = Creation {
    allowed: true,
    replication: Some(1),
    partitions: 1,
};

fn membership(
    group: &str,
    replica: &str,
    topic: &'static str,
    protocol: GroupProtocol,
) -> Membership {
    Membership {
        group: group.to_owned(),
        replica: replica.to_owned(),
        topics: vec![topic],
        protocol,
        grace: Duration::from_secs(10),
    }
}

/// Takes partitions until there are `count`.
fn take(group: &Group, count: usize) -> Vec<KafkaPartition> {
    let deadline = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    while held.len() < count {
        assert!(
            Instant::now() < deadline,
            "only {} of {count} came",
            held.len()
        );
        held.extend(group.next_given(LOOK).expect("a healthy group"));
    }
    held
}

fn fill(producer: &Producer, topic: &'static str, numbers: std::ops::Range<u32>) {
    let mut commit = Commit::default();
    for number in numbers {
        let key = Key::new("example.org", &(number % 17).to_be_bytes());
        commit
            .append_keyed(topic, key, |out| -> Result<(), ()> {
                out.extend_from_slice(format!("record {number}").as_bytes());
                Ok(())
            })
            .expect("appends");
    }
    producer.append(&commit, PATIENCE).expect("acknowledged");
}

/// Copies what is there into the output topic, a few records a commit.
fn copy(
    partition: &dyn Partition,
    to: &'static str,
    patience: Duration,
) -> Result<usize, LogError> {
    let from = partition.position()?.offset;
    let batch = partition.read_waiting(from, 200, patience)?;
    if batch.is_empty() {
        return Ok(0);
    }
    let mut commit = Commit::default();
    for (_, record) in &batch {
        commit.append_to(to, partition.partition(), |out| -> Result<(), LogError> {
            out.extend_from_slice(record);
            Ok(())
        })?;
    }
    let position = Position {
        offset: batch.next_offset(),
        metadata: format!("copied {}", batch.len()).into_bytes(),
    };
    partition.commit(&mut commit, from, position, Durability::Durable)?;
    Ok(batch.len())
}

/// Every record of a topic, by a group of its own that commits nothing.
fn read_all(topic: &'static str, partitions: usize) -> Vec<Vec<String>> {
    let connection = connection();
    // A broker says that a transaction is committed before each partition has been told.
    let onlooker = Onlooker::new(&connection, "nobody").expect("an onlooker");
    let count = i32::try_from(partitions).expect("a number");
    onlooker.settled(topic, 0..count).expect("ends");
    let membership = membership(
        &format!("reader of {topic}"),
        "reader",
        topic,
        GroupProtocol::Classic,
    );
    let group =
        Group::join(&connection, &membership, topics::Partitions::default()).expect("joins");
    let mut records = vec![Vec::new(); partitions];
    for partition in take(&group, partitions) {
        let mut offset = partition.position().expect("held").offset;
        loop {
            let batch = partition.read(offset, 1 << 20).expect("reads");
            if batch.is_empty() {
                break;
            }
            let number = usize::try_from(partition.partition()).expect("a number");
            for (at, record) in &batch {
                assert!(at >= offset);
                let text = String::from_utf8(record.to_vec()).expect("text");
                records[number].push(text);
            }
            offset = batch.next_offset();
        }
    }
    group.leave();
    records
}

#[test]
fn outputs_and_positions_move_together_and_are_found_again() {
    let connection = connection();
    let wishes = [wish("a.in", 3), wish("a.out", 3)];
    let partitions = topics::ensure(&connection, &wishes, CREATION).expect("topics");
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    fill(&producer, "a.in", 0..600);
    let member = membership("copy-a", "one", "a.in", GroupProtocol::Classic);
    let group = Group::join(&connection, &member, partitions.clone()).expect("joins");
    let mut copied = 0;
    let held = take(&group, 3);
    while copied < 600 {
        for partition in &held {
            copied += copy(partition, "a.out", LOOK).expect("copies");
        }
    }
    let stood: BTreeMap<i32, Position> = held
        .iter()
        .map(|partition| (partition.partition(), partition.position().expect("held")))
        .collect();
    // What is committed once is not committed again from where it was.
    let refused = held[0].commit(
        &mut Commit::default(),
        0,
        Position::default(),
        Durability::Durable,
    );
    assert!(
        matches!(refused, Err(LogError::Fenced { .. })),
        "{refused:?}"
    );
    // A commit that this home does not take is refused, and the next one is taken.
    let mut values = Commit::default();
    values.put(b"key", vec![1]);
    let here = held[0].position().expect("held");
    let refused = held[0].commit(&mut values, here.offset, here.clone(), Durability::Durable);
    assert!(
        matches!(refused, Err(LogError::Unsupported(_))),
        "{refused:?}"
    );
    drop(held);
    group.leave();

    let group = Group::join(&connection, &member, partitions).expect("joins again");
    for partition in take(&group, 3) {
        let position = partition.position().expect("held");
        assert_eq!(position, stood[&partition.partition()]);
        assert!(position.metadata.starts_with(b"copied "), "{position:?}");
        assert!(partition.end().expect("answers") >= position.offset);
        let nothing = partition.read(position.offset, 1 << 20).expect("reads");
        assert!(nothing.is_empty());
        // Any offset that is kept can be read again, as often as one likes.
        for _ in 0..2 {
            let again = partition.read(0, 1 << 20).expect("reads");
            assert_eq!(again.first_offset(), 0);
            assert!(!again.is_empty());
        }
        let beyond = partition.read(position.offset + 1_000_000, 1 << 20);
        assert!(matches!(beyond, Err(LogError::Beyond { .. })), "{beyond:?}");
    }
    group.leave();
    let (read, out) = (read_all("a.in", 3), read_all("a.out", 3));
    assert_eq!(read, out, "every record once, in order, in its partition");
    assert_eq!(out.iter().map(Vec::len).sum::<usize>(), 600);
}

/// Who was at the end again and again while it was busy gets all that came meanwhile at once, and
/// not each piece for itself.
#[test]
fn what_came_in_pieces_is_read_at_once() {
    let connection = connection();
    let partitions = topics::ensure(&connection, &[wish("pieces", 1)], CREATION).expect("topics");
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    let member = membership("pieces", "one", "pieces", GroupProtocol::Classic);
    let group = Group::join(&connection, &member, partitions).expect("joins");
    let held = take(&group, 1);
    for piece in 0..6 {
        fill(&producer, "pieces", piece * 3..(piece + 1) * 3);
        // Time for the client to fetch the piece and to hear that it is the last.
        std::thread::sleep(Duration::from_millis(700));
    }
    let batch = (held[0].read_waiting(0, 1 << 20, PATIENCE)).expect("reads");
    assert_eq!(batch.len(), 18);
    drop(held);
    group.leave();
}

/// Copies with a replica until told to stop, as a service would.
fn serve(
    connection: Connection,
    membership: Membership,
    partitions: topics::Partitions,
    to: &'static str,
    stop: Arc<std::sync::atomic::AtomicBool>,
) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let group = Group::join(&connection, &membership, partitions).expect("joins");
        let mut held: Vec<KafkaPartition> = Vec::new();
        let mut copied = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            held.extend(group.next_given(Duration::from_millis(5)).expect("healthy"));
            held.retain(|partition| !partition.wanted_back());
            for partition in &held {
                match copy(partition, to, Duration::from_millis(5)) {
                    Ok(records) => copied += records,
                    Err(LogError::Aborted(_) | LogError::Revoked { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        drop(held);
        group.leave();
        copied
    })
}

fn replicas_come_and_go(protocol: GroupProtocol, (input, output): (&'static str, &'static str)) {
    use std::sync::atomic::{AtomicBool, Ordering};
    let connection = connection_for(protocol);
    let wishes = [wish(input, 4), wish(output, 4)];
    let partitions = topics::ensure(&connection, &wishes, CREATION).expect("topics");
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    let replica = |name: &str| {
        let stop = Arc::new(AtomicBool::new(false));
        let member = membership(&format!("copy-{input}"), name, input, protocol);
        let thread = serve(
            connection.clone(),
            member,
            partitions.clone(),
            output,
            Arc::clone(&stop),
        );
        (stop, thread)
    };
    let (stop_one, one) = replica("one");
    let mut two = None;
    for round in 0..30u32 {
        fill(&producer, input, round * 50..(round + 1) * 50);
        match round {
            8 => two = Some(replica("two")),
            22 => {
                let (stop, thread) = two.take().expect("runs");
                stop.store(true, Ordering::Relaxed);
                let copied = thread.join().expect("ends well");
                assert!(copied > 0, "the second replica had its share");
                two = None;
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    // A static member that left comes back under its name, or its partitions wait for it.
    let (stop_two, two) = replica("two");
    let deadline = Instant::now() + PATIENCE;
    let mut out = read_all(output, 4);
    while out.iter().map(Vec::len).sum::<usize>() < 1500 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        out = read_all(output, 4);
    }
    for (stop, thread) in [(stop_one, one), (stop_two, two)] {
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("ends well");
    }
    assert_eq!(read_all(input, 4), read_all(output, 4));
    assert_eq!(out.iter().map(Vec::len).sum::<usize>(), 1500);
}

#[test]
fn replicas_come_and_go_classic() {
    replicas_come_and_go(GroupProtocol::Classic, ("b.in", "b.out"));
}

#[test]
fn replicas_come_and_go_consumer() {
    replicas_come_and_go(GroupProtocol::Consumer, ("c.in", "c.out"));
}

#[test]
fn a_replica_whose_name_was_taken_writes_no_more() {
    let connection = connection();
    let wishes = [wish("d.in", 1), wish("d.out", 1)];
    let partitions = topics::ensure(&connection, &wishes, CREATION).expect("topics");
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    fill(&producer, "d.in", 0..100);
    let member = membership("copy-d", "one", "d.in", GroupProtocol::Classic);
    let first = Group::join(&connection, &member, partitions.clone()).expect("joins");
    let held = take(&first, 1);
    let mut copied = copy(&held[0], "d.out", PATIENCE).expect("copies");
    assert!(copied > 0);

    let second = Group::join(&connection, &member, partitions).expect("joins");
    let zombie = copy(&held[0], "d.out", PATIENCE);
    let is_refused = matches!(
        zombie,
        Err(LogError::Ousted { .. } | LogError::Revoked { .. } | LogError::Kafka { .. })
    );
    assert!(is_refused, "{zombie:?}");
    let own = take(&second, 1);
    // What comes may be waited for: nothing within a moment is not the end.
    let deadline = Instant::now() + PATIENCE;
    while copied < 100 {
        assert!(Instant::now() < deadline, "only {copied} came");
        copied += copy(&own[0], "d.out", LOOK).expect("copies");
    }
    drop((held, own));
    first.leave();
    second.leave();
    assert_eq!(read_all("d.in", 1), read_all("d.out", 1));
}

#[test]
fn topics_that_do_not_fit_are_refused_with_what_to_do() {
    let connection = connection();
    let refused = |wishes: &[Wish], creation| {
        topics::ensure(&connection, wishes, creation).expect_err("refused")
    };
    let not_allowed = Creation {
        allowed: false,
        ..CREATION
    };
    let missing = refused(&[wish("e.none", 6)], not_allowed);
    assert!(
        matches!(missing, TopicsError::Missing { partitions: 6, .. }),
        "{missing}"
    );
    {
        let mut cluster = CLUSTER.lock().expect("no test panicked in there");
        let mut make = |name: &str, partitions, settings: &[(&str, &str)]| {
            cluster
                .create_topic(name, partitions, settings)
                .expect("makes");
        };
        make("e.few", 2, &[("max.message.bytes", "9000000")]);
        make(
            "e.short",
            1,
            &[("max.message.bytes", "9000000"), ("retention.ms", "60000")],
        );
        make(
            "e.compact",
            1,
            &[
                ("max.message.bytes", "9000000"),
                ("cleanup.policy", "compact"),
            ],
        );
        make("e.small", 1, &[]);
    }
    for (name, partitions, says) in [
        ("e.few", 6, "kafka.partitions"),
        ("e.short", 1, "retention.ms"),
        ("e.compact", 1, "cleanup.policy"),
        ("e.small", 1, "max.message.bytes"),
    ] {
        let error = refused(&[wish(name, partitions)], CREATION).to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
}

/// A member that goes away, never to be heard of again, once a partition was taken from it: it has
/// given the partition back, and did not join again.
struct GoneOnceRevoked(std::sync::mpsc::Sender<()>);

impl ClientContext for GoneOnceRevoked {}

impl ConsumerContext for GoneOnceRevoked {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) {
            self.0.send(()).expect("is waited for");
            loop {
                std::thread::park();
            }
        }
    }
}

#[test]
fn a_partition_that_nobody_holds_is_dealt_out() {
    let connection = connection();
    let wishes = [wish("e.in", 2), wish("e.out", 2)];
    let partitions = topics::ensure(&connection, &wishes, CREATION).expect("topics");
    let (gone, is_gone) = std::sync::mpsc::channel();
    let member: BaseConsumer<GoneOnceRevoked> = ClientConfig::new()
        .set("bootstrap.servers", connection.brokers())
        .set("group.id", "copy-e")
        .set("group.instance.id", "one")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("heartbeat.interval.ms", "500")
        .create_with_context(GoneOnceRevoked(gone))
        .expect("a consumer");
    member.subscribe(&["e.in"]).expect("subscribes");
    let deadline = Instant::now() + PATIENCE;
    while member.assignment().expect("known").count() < 2 {
        assert!(Instant::now() < deadline, "it joins");
        let _ = member.poll(LOOK);
    }
    std::thread::spawn(move || {
        loop {
            let _ = member.poll(LOOK);
        }
    });

    let join = |replica: &str| {
        let member = Membership {
            grace: Duration::from_secs(1),
            ..membership("copy-e", replica, "e.in", GroupProtocol::Classic)
        };
        Group::join(&connection, &member, partitions.clone()).expect("joins")
    };
    let two = join("two");
    is_gone.recv_timeout(PATIENCE).expect("one is taken back");
    let one = join("one");
    let mut held = take(&one, 1);
    held.extend(take(&two, 1));
    let numbers: std::collections::BTreeSet<i32> =
        held.iter().map(KafkaPartition::partition).collect();
    assert_eq!(numbers.len(), 2, "each of them has one");
    drop(held);
    one.leave();
    two.leave();
}

/// A replica for which nothing is left is in its group as the one is that holds everything.
fn without_a_partition_in_its_group(protocol: GroupProtocol, topic: &'static str) {
    let connection = connection_for(protocol);
    let partitions = topics::ensure(&connection, &[wish(topic, 1)], CREATION).expect("topics");
    let join = |replica: &str| {
        let member = membership(&format!("idle-{topic}"), replica, topic, protocol);
        Group::join(&connection, &member, partitions.clone()).expect("joins")
    };
    let (one, two) = (join("one"), join("two"));
    let deadline = Instant::now() + PATIENCE;
    let mut held: Vec<KafkaPartition> = Vec::new();
    while !(one.is_joined() && two.is_joined() && held.len() == 1) {
        assert!(
            Instant::now() < deadline,
            "{} {} {}",
            one.is_joined(),
            two.is_joined(),
            held.len()
        );
        // Wherever it goes first.
        for group in [&one, &two] {
            held.extend(group.next_given(LOOK).expect("a healthy group"));
        }
        held.retain(|partition| !partition.wanted_back());
    }
    drop(held);
    one.leave();
    two.leave();
}

#[test]
fn without_a_partition_in_its_group_classic() {
    without_a_partition_in_its_group(GroupProtocol::Classic, "idle.classic");
}

#[test]
fn without_a_partition_in_its_group_consumer() {
    without_a_partition_in_its_group(GroupProtocol::Consumer, "idle.consumer");
}
