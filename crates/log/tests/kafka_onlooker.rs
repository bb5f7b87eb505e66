//! Looking at a group on Apache Kafka itself, of which a replica was killed at work.

use std::collections::BTreeMap;
use std::time::Duration;

use grapevine_kafka_testing::Cluster;
use grapevine_log::Position;
use grapevine_log::kafka::{Connection, Onlooker};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const TOPIC: &str = "in";
const CALL: Duration = Duration::from_secs(20);

/// Brokers tell nobody where a group stands while a transaction that moves it is open: who looks
/// waits for its end, which comes by itself.
#[test]
fn where_a_group_stands_is_told_once_a_transaction_that_was_left_open_has_ended() {
    let mut cluster = Cluster::start().expect("a broker");
    cluster.create_topic(TOPIC, 1, &[]).expect("a topic");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap());
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "killed")
        .create()
        .expect("a consumer");
    let producer: BaseProducer = config
        .set("transactional.id", "killed")
        // Longer than any other question to the brokers may take.
        .set("transaction.timeout.ms", "34000")
        .create()
        .expect("a producer");
    producer.init_transactions(CALL).expect("starts");
    let moves = |offset| {
        let mut to = TopicPartitionList::new();
        to.add_partition_offset(TOPIC, 0, Offset::Offset(offset))
            .expect("an offset");
        let group = consumer.group_metadata().expect("a group");
        producer.begin_transaction().expect("begins");
        producer
            .send_offsets_to_transaction(&to, &group, CALL)
            .expect("sends");
    };
    moves(3);
    producer.commit_transaction(CALL).expect("commits");
    moves(5);

    let connection = Connection::new(&cluster.bootstrap(), BTreeMap::new(), None);
    let onlooker = Onlooker::new(&connection.expect("a connection"), "killed").expect("looks");
    let found = onlooker.position(TOPIC, 0).expect("an answer");
    let stands = Position {
        offset: 3,
        metadata: Vec::new(),
    };
    assert_eq!(found, Some(stands));
}

/// What was committed behind another's open transaction can be read once that has ended: who must
/// have seen everything waits for it.
#[test]
fn what_is_behind_an_open_transaction_is_waited_for() {
    let mut cluster = Cluster::start().expect("a broker");
    cluster.create_topic(TOPIC, 1, &[]).expect("a topic");
    let producer = |id| {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap())
            .set("transactional.id", id)
            .create()
            .expect("a producer");
        producer.init_transactions(CALL).expect("starts");
        producer
    };
    let writes = |producer: &BaseProducer, payload: &str| {
        producer.begin_transaction().expect("begins");
        let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload(payload);
        producer.send(record).expect("sends");
        producer.flush(CALL).expect("is written");
    };
    let (first, second) = (producer("first"), producer("second"));
    writes(&first, "open");
    writes(&second, "behind");
    second.commit_transaction(CALL).expect("commits");

    let connection = Connection::new(&cluster.bootstrap(), BTreeMap::new(), None);
    let onlooker = Onlooker::new(&connection.expect("a connection"), "looks").expect("looks");
    let seen = || {
        let kept = onlooker.kept(TOPIC, 0).expect("bounds");
        let mut seen = Vec::new();
        let mut take = |_, record: &[u8]| seen.push(String::from_utf8_lossy(record).into_owned());
        onlooker.read(TOPIC, 0, kept, &mut take).expect("reads");
        seen
    };
    assert!(seen().is_empty(), "hidden, which is why it is waited for");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            first.abort_transaction(CALL).expect("aborts");
        });
        onlooker.settled(TOPIC, 0..1).expect("ends");
        assert_eq!(seen(), ["behind"]);
    });
}
