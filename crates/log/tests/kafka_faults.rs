//! What a broker cannot be made to answer, by librdkafka's own mock of one.

use std::collections::BTreeMap;
use std::time::Duration;

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
    let partition = given(&group);
    Faulty {
        cluster,
        group,
        partition,
    }
}

fn given(group: &Group) -> KafkaPartition {
    let given = group.next_given(PATIENCE).expect("healthy");
    given.expect("a partition came")
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

    /// Commits nothing but a position, the one that it has.
    fn commit_position(&self) -> Result<(), LogError> {
        let at = self.partition.position()?;
        let to = Position {
            metadata: b"seen".to_vec(),
            ..at.clone()
        };
        let mut commit = Commit::default();
        self.partition
            .commit(&mut commit, at.offset, to, Durability::Durable)
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

/// The group loses a member, another holds its partition and moves on, and the member, which hears
/// of it only while it joins again, keeps the partition: the next generation would take its commits.
#[test]
fn what_a_lost_member_kept_is_given_anew() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
    };
    let mut faulty = faulty("lost");
    assert!(faulty.copy().expect("commits") > 0);
    faulty.cluster.request_errors(
        RDKafkaApiKey::JoinGroup,
        &[RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID],
    );
    faulty.cluster.request_errors(
        RDKafkaApiKey::Heartbeat,
        &[RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS],
    );
    let again = given(&faulty.group);
    let refused = faulty.commit_position();
    assert!(
        matches!(refused, Err(LogError::Revoked { .. })),
        "{refused:?}"
    );
    faulty.partition = again;
    let from = faulty.partition.position().expect("held").offset;
    // The mock forgets offsets: it is read from the beginning, wherever the client was.
    let batch = faulty.partition.read(from, 1).expect("reads");
    let first = batch.iter().next().map(|(offset, _)| offset);
    assert_eq!((from, first), (0, Some(0)));
    faulty.commit_position().expect("commits");
    faulty.leave();
}
