//! Records framed for a schema registry: Apache Kafka, and Apicurio's registry behind a gateway that
//! can be made to take questions and not answer, which the registry itself cannot be.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grapevine_event::{Heartbeat, RecordType, frame, topic};
use grapevine_kafka_testing::{Cluster, Registry};
use grapevine_log::kafka::topics::{self, Creation, Partitions, Wish};
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Onlooker, Producer,
};
use grapevine_log::{Commit, Durability, LogError, Partition, Position};
use grapevine_registry::{Client, Credentials, Frames};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Time for a holder to end. Far beyond what it takes, so that nothing is taken from it.
const GRACE: Duration = Duration::from_secs(30);

/// Passes bytes on to the registry; does not while `silent` is set.
struct Gateway {
    url: String,
    silent: Arc<AtomicBool>,
}

impl Gateway {
    fn start(registry: &Registry) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = registry.url();
        let base = to.split("/apis").next().expect("a base").to_owned();
        let own = format!("http://{}", listener.local_addr().expect("an address"));
        let silent = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&silent);
        let host = base.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (host, told) = (host.clone(), Arc::clone(&told));
                std::thread::spawn(move || pass(client, &host, &told));
            }
        });
        Gateway {
            url: to.replacen(&base, &own, 1),
            silent,
        }
    }

    fn frames(&self) -> Arc<Frames> {
        let client = Client::new(&self.url, Credentials::None, None).expect("an address");
        Arc::new(Frames::new(client))
    }
}

fn pass(mut client: TcpStream, host: &str, silent: &AtomicBool) -> std::io::Result<()> {
    while silent.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
    }
    let mut registry = TcpStream::connect(host)?;
    let (mut questions, mut out) = (client.try_clone()?, registry.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut questions, &mut out));
    std::io::copy(&mut registry, &mut client)?;
    Ok(())
}

fn connection(cluster: &Cluster, frames: Option<&Arc<Frames>>) -> Connection {
    let connection = Connection::new(&cluster.bootstrap(), BTreeMap::new(), None);
    connection.expect("a connection").framed(frames.cloned())
}

fn made(cluster: &Cluster) -> Partitions {
    let wish = |name| Wish {
        name,
        partitions: Some(2),
        retention: Duration::from_secs(7 * 86_400),
        retention_min: Duration::from_secs(86_400),
    };
    let creation = Creation {
        allowed: true,
        replication: Some(1),
        partitions: 2,
    };
    let wishes = [wish(topic::HITS_RAW), wish(topic::HITS_CLASSIFIED)];
    topics::ensure(&connection(cluster, None), &wishes, creation).expect("topics")
}

fn heartbeat(time: i64) -> Vec<u8> {
    let mut record = Vec::new();
    let heartbeat = Heartbeat {
        event_time: time,
        source: "test",
    };
    heartbeat.encode(&mut record).expect("encodes");
    record
}

fn append(producer: &Producer, partition: i32, record: &[u8]) {
    let mut commit = Commit::default();
    let write = |out: &mut Vec<u8>| -> Result<(), LogError> {
        out.extend_from_slice(record);
        Ok(())
    };
    (commit.append_to(topic::HITS_RAW, partition, write)).expect("appends");
    producer.append(&commit, PATIENCE).expect("acknowledged");
}

fn join(connection: &Connection, partitions: &Partitions) -> Group {
    let membership = Membership {
        group: "readers".to_owned(),
        replica: "one".to_owned(),
        topics: vec![topic::HITS_RAW],
        protocol: GroupProtocol::Classic,
        grace: GRACE,
    };
    Group::join(connection, &membership, partitions.clone()).expect("joins")
}

/// Both partitions, by number.
fn take(group: &Group) -> Vec<KafkaPartition> {
    let deadline = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    while held.len() < 2 {
        assert!(Instant::now() < deadline, "only {} came", held.len());
        held.extend(group.next_given(LOOK).expect("a healthy group"));
    }
    held.sort_by_key(|partition: &KafkaPartition| partition.partition());
    held
}

/// Moves a partition past what it reads, with every record copied to the next topic.
fn copy(partition: &KafkaPartition) -> Vec<Vec<u8>> {
    let from = partition.position().expect("held").offset;
    let batch = partition.read_waiting(from, 1 << 20, PATIENCE);
    let batch = batch.expect("reads");
    let mut commit = Commit::default();
    for (_, record) in &batch {
        let write = |out: &mut Vec<u8>| -> Result<(), LogError> {
            out.extend_from_slice(record);
            Ok(())
        };
        let number = partition.partition();
        (commit.append_to(topic::HITS_CLASSIFIED, number, write)).expect("appends");
    }
    let to = Position {
        offset: batch.next_offset(),
        metadata: b"copied".to_vec(),
    };
    let committed = partition.commit(&mut commit, from, to, Durability::Durable);
    committed.expect("commits");
    batch.iter().map(|(_, record)| record.to_vec()).collect()
}

fn messages(connection: &Connection, name: &str) -> Vec<Vec<u8>> {
    let onlooker = Onlooker::new(connection, "nobody").expect("an onlooker");
    // A broker says that a transaction is committed before each partition has been told.
    onlooker.settled(name, 0..2).expect("ends");
    let mut messages = Vec::new();
    for partition in 0..2 {
        let mut take = |_: u64, message: &[u8]| messages.push(message.to_vec());
        let read = onlooker.read(name, partition, 0..u64::MAX, &mut take);
        read.expect("reads");
    }
    messages
}

#[test]
fn what_is_framed_on_the_topics_is_read_and_committed_as_it_was() {
    let cluster = Cluster::start().expect("a broker");
    let registry = Registry::start().expect("a registry");
    let gateway = Gateway::start(&registry);
    let partitions = made(&cluster);
    let writer = gateway.frames();
    let framed = connection(&cluster, Some(&writer));
    let producer = Producer::new(&framed, partitions.clone()).expect("a producer");
    // Nothing goes out before its schema is registered.
    let mut early = Commit::default();
    early.append(topic::HITS_RAW, &heartbeat(0));
    let refused = producer.append(&early, PATIENCE);
    assert!(matches!(refused, Err(LogError::Registry(_))), "{refused:?}");
    writer.register().expect("registered");
    // A topic may hold both forms, and what is none.
    append(&producer, 0, &heartbeat(1));
    append(&producer, 1, b"no record");
    let plain = connection(&cluster, None);
    let old = Producer::new(&plain, partitions.clone()).expect("a producer");
    append(&old, 0, &heartbeat(2));

    let group = join(&framed, &partitions);
    let held = take(&group);
    assert_eq!(copy(&held[0])[0], heartbeat(1));
    while held[0].position().expect("held").offset < held[0].end().expect("answers") {
        copy(&held[0]);
    }
    assert_eq!(copy(&held[1]), [b"no record".to_vec()]);
    // What is read again is the same.
    let again = held[0].read(0, 1 << 20).expect("reads");
    let again: Vec<&[u8]> = again.iter().map(|(_, record)| record).collect();
    assert_eq!(again, [heartbeat(1), heartbeat(2)]);
    drop(held);
    group.leave();

    // Outputs are framed, whatever the input was; who looks on sees records.
    let records = [heartbeat(1), heartbeat(2), b"no record".to_vec()];
    for (name, count) in [(topic::HITS_RAW, 1), (topic::HITS_CLASSIFIED, 2)] {
        let there = messages(&plain, name);
        let heads = there.iter().filter_map(|message| frame::of_framed(message));
        assert_eq!(heads.count(), count, "{name}: {there:?}");
        assert_eq!(messages(&framed, name), records, "{name}");
    }
}

#[test]
fn an_id_that_nobody_answers_holds_its_partition_alone_and_gives_way() {
    let cluster = Cluster::start().expect("a broker");
    let registry = Registry::start().expect("a registry");
    let gateway = Gateway::start(&registry);
    let partitions = made(&cluster);
    let plain = connection(&cluster, None);
    let producer = Producer::new(&plain, partitions.clone()).expect("a producer");
    let id = {
        let kind = RecordType::Heartbeat.text();
        let client = Client::new(&gateway.url, Credentials::None, None).expect("an address");
        client.id_of("elsewhere", kind.json).expect("registered")
    };
    let single = heartbeat(7);
    let (_, datum) = frame::of_single_object(&single).expect("a record");
    let framed = [&frame::framed_head(id)[..], datum].concat();
    append(&producer, 0, &heartbeat(6));
    append(&producer, 0, &framed);
    for time in 0..20 {
        append(&producer, 1, &heartbeat(time));
    }

    gateway.silent.store(true, Ordering::Relaxed);
    let reader = gateway.frames();
    let reading = connection(&cluster, Some(&reader));
    let group = join(&reading, &partitions);
    let mut held = take(&group);
    // What lies before it comes.
    let before = held[0].read_waiting(0, 1 << 20, PATIENCE).expect("reads");
    assert_eq!(before.next_offset(), 1);
    let nothing = held[0].read_waiting(1, 1 << 20, LOOK).expect("goes on");
    assert!(nothing.is_empty());
    // Empty would say that the input ends there.
    let asked = held[0].read(1, 1 << 20);
    assert!(matches!(asked, Err(LogError::Registry(_))), "{asked:?}");
    // The other partition goes on, to Kafka and back.
    while held[1].position().expect("held").offset < 20 {
        let from = held[1].position().expect("held").offset;
        let batch = held[1].read_waiting(from, 64, PATIENCE).expect("reads");
        let to = Position {
            offset: batch.next_offset(),
            metadata: b"read".to_vec(),
        };
        let committed = held[1].commit(&mut Commit::default(), from, to, Durability::Durable);
        committed.expect("commits");
    }
    // One that waits for long ends its wait when the partition is wanted back: nothing was taken.
    drop(held.pop());
    let waiting = held.pop().expect("held");
    let waiter = std::thread::spawn(move || {
        let waited = waiting.read_waiting(1, 1 << 20, 2 * GRACE);
        waited.map(|batch| (batch.len(), waiting.wanted_back()))
    });
    group.leave();
    let waited = waiter.join().expect("no panic").expect("gave way in time");
    assert_eq!(waited, (0, true));

    gateway.silent.store(false, Ordering::Relaxed);
    let group = join(&reading, &partitions);
    let held = take(&group);
    let batch = held[0].read_waiting(1, 1 << 20, PATIENCE).expect("reads");
    assert_eq!(batch.iter().collect::<Vec<_>>(), [(1, &single[..])]);
    drop(held);
    group.leave();
}
