//! One transaction from begin to commit, and what stands in its way.
//!
//! A producer serves until something goes wrong, and is never asked to recover: its successor
//! ends at the coordinator what it left open, and begins clean. A client that is told of a
//! partition without a leader may never send to it again (librdkafka 2.12.1, its issue 5430), and
//! one whose calls ran out of time keeps answers for later calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grapevine_registry::Frames;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::Offset;

use super::connection::{Connection, TRANSACTION_TIMEOUT_MS};
use super::context::ClientCalls;
use super::group::GroupCalls;
use super::member::member_id;
use super::producer::{enqueue, framed, look_after};
use super::spread::{Partitions, spread};
use super::transactions::Request;

/// How long one call to the brokers may take. Three of them must fit into a transaction's time.
const CALL: Duration = Duration::from_secs(8);
const _: () = assert!(CALL.as_millis() * 3 < TRANSACTION_TIMEOUT_MS as u128);
/// A client that delivers nothing for so long, though it has something to deliver, is stuck.
const STUCK: Duration = Duration::from_secs(8);
/// Within this a new client has asked for its first token.
const TOKEN: Duration = Duration::from_millis(200);

/// Why a transaction did not come through.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// It is not committed, and will not be once its producer is gone: to be done again.
    Again(String),
    /// Its commit was asked for, and no clear answer came.
    Unknown(String),
    /// Another process has the name.
    Ousted(String),
    /// The brokers allow less time than a transaction may take.
    TooLong,
    /// Nothing more will work.
    Broken(&'static str, KafkaError),
    /// The replica ends, and does not wait for the brokers.
    GivenUp,
}

impl Trouble {
    /// What an error of the client means before a commit is asked for.
    fn of(doing: &'static str, error: KafkaError) -> Trouble {
        let KafkaError::Transaction(said) = &error else {
            return Trouble::Broken(doing, error);
        };
        match said.code() {
            RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
                if said.is_fatal() || !said.txn_requires_abort() =>
            {
                Trouble::Ousted(error.to_string())
            }
            RDKafkaErrorCode::InvalidTransactionTimeout => Trouble::TooLong,
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed => Trouble::Broken(doing, error),
            _ => Trouble::Again(format!("{doing}: {error}")),
        }
    }
}

/// A producer that has ended whatever the last one of its name left open.
pub(super) fn successor(
    connection: &Connection,
    id: &str,
) -> Result<BaseProducer<ClientCalls>, Trouble> {
    let mut config = connection.producer();
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
    let producer: BaseProducer<ClientCalls> = config
        .create_with_context(ClientCalls::new(connection.token_file()))
        .map_err(|error| Trouble::Broken("making a producer", error))?;
    // A token from a file comes through its queue, which the next call does not look at.
    if connection.token_file().is_some() {
        let until = Instant::now() + TOKEN;
        while Instant::now() < until {
            look_after(&producer);
        }
    }
    let started = producer.init_transactions(CALL);
    producer.poll(Duration::ZERO);
    started.map_err(|error| Trouble::of("starting transactions", error))?;
    Ok(producer)
}

/// Makes one transaction of what is held. A schema registry is not asked for anything here.
pub(super) fn attempt(
    (producer, partitions, frames): (&BaseProducer<ClientCalls>, &Partitions, Option<&Frames>),
    held: &[Request],
    consumer: &BaseConsumer<GroupCalls>,
    abandon: &AtomicBool,
) -> Result<(), Trouble> {
    producer
        .begin_transaction()
        .map_err(|error| Trouble::of("beginning a transaction", error))?;
    let context = producer.client().context();
    context.take_undelivered();
    let deadline = Instant::now() + CALL;
    let mut room = Vec::new();
    for request in held {
        spread(&request.commit, partitions, |topic, partition, record| {
            let record = framed(frames, topic, record, &mut room)?;
            enqueue(producer, topic, partition, record, deadline)
        })
        .map_err(|error| Trouble::Again(error.to_string()))?;
    }
    let offsets = offsets(held).map_err(|error| Trouble::Broken("naming offsets", error))?;
    let group = group_of(held, consumer)?;
    producer
        .send_offsets_to_transaction(&offsets, &group, CALL)
        .map_err(|error| Trouble::of("sending offsets", error))?;
    delivered(producer, held, abandon)?;
    if let Some(error) = context.take_undelivered() {
        return Err(Trouble::Again(error.to_string()));
    }
    wanted(held, abandon)?;
    producer
        .commit_transaction(CALL)
        .map_err(|error| match Trouble::of("committing", error) {
            Trouble::Again(reason) => Trouble::Unknown(reason),
            trouble => trouble,
        })
}

/// What fences: member and generation as of now, of the member that was given all that is held.
fn group_of(
    held: &[Request],
    consumer: &BaseConsumer<GroupCalls>,
) -> Result<ConsumerGroupMetadata, Trouble> {
    let group = consumer.group_metadata();
    // Asked for after the metadata: who is the same now was the same then.
    let member = member_id(consumer);
    let gone = held.iter().filter(|request| !request.lease.is_of(&member));
    if gone.clone().next().is_some() {
        gone.for_each(|request| request.lease.revoke());
        let text = "the group has lost this member, and what it was given with it";
        return Err(Trouble::Again(text.to_owned()));
    }
    group.ok_or_else(|| Trouble::Again("no member of the group yet".to_owned()))
}

/// Waits until the brokers have every record.
fn delivered(
    producer: &BaseProducer<ClientCalls>,
    held: &[Request],
    abandon: &AtomicBool,
) -> Result<(), Trouble> {
    let (mut left, mut moved) = (producer.in_flight_count(), Instant::now());
    while left > 0 {
        look_after(producer);
        wanted(held, abandon)?;
        let now = producer.in_flight_count();
        if now != left {
            (left, moved) = (now, Instant::now());
        } else if moved.elapsed() > STUCK {
            return Err(Trouble::Again(format!(
                "{left} records were not acknowledged within {} s",
                STUCK.as_secs()
            )));
        }
    }
    Ok(())
}

fn wanted(held: &[Request], abandon: &AtomicBool) -> Result<(), Trouble> {
    if held.iter().any(|request| request.lease.is_revoked()) {
        return Err(Trouble::Again("a partition was taken away".to_owned()));
    }
    if abandon.load(Ordering::Acquire) {
        return Err(Trouble::GivenUp);
    }
    Ok(())
}

/// Where the group stands in the partitions of a transaction.
///
/// # Errors
/// The brokers do not answer, or not for each of them.
pub(super) fn stands(
    held: &[Request],
    consumer: &BaseConsumer<GroupCalls>,
) -> KafkaResult<TopicPartitionList> {
    let mut asked = TopicPartitionList::with_capacity(held.len());
    for request in held {
        asked.add_partition(&request.topic, request.partition);
    }
    let found = consumer.committed_offsets(asked, CALL)?;
    for element in found.elements() {
        element.error()?;
    }
    Ok(found)
}

/// Whether a transaction of an earlier producer was committed. `found` is where the group [`stands`],
/// asked once its [`successor`] had ended every open transaction of the name; `held` are those of
/// the transaction's partitions that this replica still holds, now that the answer is here.
///
/// The positions of a transaction move together, and nobody else moves what is held: each such
/// partition stands where it stood before, or where the transaction puts it, and tells of the whole
/// by itself. That an earlier attempt left it there cannot be, be it of the same batch to the same
/// place: a batch is done again only once it is certain that its last attempt was aborted.
///
/// What was taken while the brokers were asked tells nothing, and must not be in `held`. Its next
/// holder may have gone further, though the transaction came through; or, where it was aborted, may
/// have done the same batch again, to the very same place. To take the one for an abort would do
/// the other partitions' batches twice; to take the other for a commit would lose them.
///
/// A replica that was put out of its group and has not heard of it thinks that it holds what others
/// move. Whatever is answered then, no commit of it is taken any more, and all is given anew.
///
/// A partition that the commit does not move is found in its place either way. Beside others it
/// changes nothing, and alone it tells nothing: every commit has to move its position, be it by
/// the metadata.
pub(super) fn is_committed(held: &[Request], found: &TopicPartitionList) -> bool {
    held.iter().all(|request| {
        let found = found.find_partition(&request.topic, request.partition);
        found.is_some_and(|element| {
            element.offset() == Offset::Offset(offset(request))
                && element.metadata().as_bytes() == request.to.metadata
        })
    })
}

fn offset(request: &Request) -> i64 {
    i64::try_from(request.to.offset).unwrap_or(i64::MAX)
}

fn offsets(held: &[Request]) -> KafkaResult<TopicPartitionList> {
    let mut offsets = TopicPartitionList::with_capacity(held.len());
    for request in held {
        let mut element = offsets.add_partition(&request.topic, request.partition);
        element.set_offset(Offset::Offset(offset(request)))?;
        // Checked before: it is UTF-8.
        if let Ok(text) = std::str::from_utf8(&request.to.metadata)
            && !text.is_empty()
        {
            element.set_metadata(text);
        }
    }
    Ok(offsets)
}
