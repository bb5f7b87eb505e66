//! What a broker cannot be made to answer, by librdkafka's own mock of one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Producer,
};
use grapevine_log::{Commit, Durability, LogError, Partition, Position};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

const PATIENCE: Duration = Duration::from_secs(60);

struct Faulty {
    cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    group: Group,
    partition: KafkaPartition,
}

fn faulty(name: &str) -> Faulty {
    let cluster = MockCluster::new(1).expect("a mock");
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, 1).expect("a topic");
    }
    let connection = Connection::new(&cluster.bootstrap_servers(), BTreeMap::new(), None);
    let connection = connection.expect("a connection");
    let partitions: Partitions = [("in".to_owned(), 1), ("out".to_owned(), 1)]
        .into_iter()
        .collect();
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    let mut commit = Commit::default();
    for number in 0..20 {
        commit.append("in", format!("record {number}").as_bytes());
    }
    producer.append(&commit, PATIENCE).expect("acknowledged");
    let membership = Membership {
        group: name.to_owned(),
        replica: "one".to_owned(),
        topics: vec!["in"],
        protocol: GroupProtocol::Classic,
        grace: Duration::from_secs(2),
    };
    let group = Group::join(&connection, &membership, partitions).expect("joins");
    let deadline = Instant::now() + PATIENCE;
    let partition = loop {
        assert!(Instant::now() < deadline, "no partition came");
        let given = group.next_given(Duration::from_millis(100));
        if let Some(partition) = given.expect("healthy") {
            break partition;
        }
    };
    Faulty {
        cluster,
        group,
        partition,
    }
}

impl Faulty {
    /// Copies what is there from where the group stands.
    fn copy(&self) -> Result<usize, LogError> {
        let from = self.partition.position()?.offset;
        let batch = self.partition.read_waiting(from, 50, PATIENCE)?;
        let mut commit = Commit::default();
        for (_, record) in &batch {
            commit.append("out", record);
        }
        let to = Position {
            offset: batch.next_offset(),
            metadata: Vec::new(),
        };
        self.partition
            .commit(&mut commit, from, to, Durability::Durable)?;
        Ok(batch.len())
    }

    fn leave(self) {
        drop(self.partition);
        self.group.leave();
        drop(self.cluster);
    }
}

#[test]
fn what_passes_is_tried_again_until_it_has() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    };
    let faulty = faulty("retriable");
    for api in [
        RDKafkaApiKey::AddPartitionsToTxn,
        RDKafkaApiKey::AddOffsetsToTxn,
        RDKafkaApiKey::EndTxn,
    ] {
        let errors = [
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        ];
        let some = if matches!(api, RDKafkaApiKey::EndTxn) {
            2
        } else {
            3
        };
        faulty.cluster.request_errors(api, &errors[..some]);
        let before = faulty.partition.position().expect("held").offset;
        assert!(faulty.copy().expect("commits in the end") > 0);
        assert!(faulty.partition.position().expect("held").offset > before);
    }
    faulty.leave();
}

#[test]
fn what_has_to_be_aborted_is_and_is_done_again() {
    let faulty = faulty("abortable");
    let before = faulty.partition.position().expect("held").offset;
    faulty.cluster.request_errors(
        RDKafkaApiKey::TxnOffsetCommit,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION],
    );
    let aborted = faulty.copy();
    assert!(matches!(aborted, Err(LogError::Aborted(_))), "{aborted:?}");
    assert_eq!(faulty.partition.position().expect("held").offset, before);
    let again = faulty.copy().expect("commits");
    assert!(again > 0);
    faulty.leave();
}

#[test]
fn a_replica_that_was_fenced_stops() {
    let faulty = faulty("fenced");
    faulty.cluster.request_errors(
        RDKafkaApiKey::EndTxn,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH],
    );
    for _ in 0..2 {
        let ousted = faulty.copy();
        assert!(matches!(ousted, Err(LogError::Ousted { .. })), "{ousted:?}");
    }
    faulty.leave();
}
