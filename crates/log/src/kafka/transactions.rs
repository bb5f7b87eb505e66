//! One replica's transactions: outputs and input positions, all or nothing.
//!
//! A thread makes them one after the other. What its partitions ask for meanwhile goes into the
//! next one together: a transaction costs some round trips whatever is in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use grapevine_registry::Frames;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::Offset;

use super::connection::{Connection, TRANSACTION_TIMEOUT_MS, refused};
use super::context::ClientCalls;
use super::group::GroupCalls;
use super::producer::{enqueue, framed};
use super::spread::{Partitions, spread};
use crate::commit::{Commit, Position};
use crate::error::LogError;

/// Bytes after which a transaction takes in no more commits.
const TRANSACTION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commits that wait, at most; every partition has one at most.
const WAITING_MAX: usize = 1024;
/// How long one call to the client may take before it is looked at whether to go on.
const CALL: Duration = Duration::from_secs(5);
/// A call to abort first throws out what is queued, then waits for reports that only polling gives.
const ABORT_CALL: Duration = Duration::from_millis(200);
/// How long one look for delivery reports lasts.
const LOOK: Duration = Duration::from_millis(1);
/// Pause before the same call again.
const PAUSE: Duration = Duration::from_millis(50);
/// How often an idle producer is looked after: tokens, errors.
const IDLE: Duration = Duration::from_secs(1);
/// How long a start waits for the transaction coordinator.
const START_MAX: Duration = Duration::from_secs(60);
/// Metadata that a broker takes with an offset, bytes (`offset.metadata.max.bytes`).
const METADATA_BYTES_MAX: usize = 4096;

/// Whether a partition may still be read and committed to.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    wanted_back: AtomicBool,
    revoked: AtomicBool,
    /// Locked while its holder takes records out of the client's queue, or moves it: the next holder
    /// in the same process has the same queue.
    reading: Mutex<()>,
}

impl Lease {
    pub(crate) fn want_back(&self) {
        self.wanted_back.store(true, Ordering::Release);
    }

    /// Takes it. On return its holder takes nothing more out of the queue, which may go to another.
    pub(crate) fn revoke(&self) {
        self.want_back();
        self.revoked.store(true, Ordering::Release);
        drop(self.reading.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Leave to touch the queue, for as long as the guard lives; `None` where it was taken.
    pub(crate) fn reading(&self) -> Option<MutexGuard<'_, ()>> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.is_revoked()).then_some(reading)
    }

    pub(crate) fn is_wanted_back(&self) -> bool {
        self.wanted_back.load(Ordering::Acquire)
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }
}

/// A commit on its way.
struct Request {
    topic: Arc<str>,
    partition: i32,
    to: Position,
    commit: Commit,
    lease: Arc<Lease>,
    answer: SyncSender<(Commit, Result<(), LogError>)>,
}

impl Request {
    fn answer(self, outcome: Result<(), LogError>) {
        // The asker waits for it; where its thread is gone nobody misses the answer.
        let _ = self.answer.send((self.commit, outcome));
    }

    fn revoked(&self) -> LogError {
        LogError::Revoked {
            topic: self.topic.to_string(),
            partition: self.partition,
        }
    }
}

/// Hands commits to the thread that makes transactions.
#[derive(Clone, Debug)]
pub(crate) struct Transactions(SyncSender<Request>);

impl Transactions {
    /// Commits, and returns when it is through. `commit` is as it was then.
    pub(crate) fn commit(
        &self,
        (topic, partition): (&Arc<str>, i32),
        lease: &Arc<Lease>,
        commit: &mut Commit,
        to: Position,
    ) -> Result<(), LogError> {
        let (answer, answered) = sync_channel(1);
        let request = Request {
            topic: Arc::clone(topic),
            partition,
            to,
            commit: std::mem::take(commit),
            lease: Arc::clone(lease),
            answer,
        };
        let ended = || LogError::Away("this replica is leaving its group".to_owned());
        self.0.send(request).map_err(|_| ended())?;
        let (back, outcome) = answered.recv().map_err(|_| ended())?;
        *commit = back;
        outcome
    }
}

/// What stands in the way of a transaction.
#[derive(Clone, Debug)]
enum Trouble {
    /// To be aborted and done again.
    Abort(String),
    /// Another process has the name.
    Ousted(String),
    /// Nothing more will work.
    Broken(&'static str, KafkaError),
    /// The replica ends, and does not wait for the brokers.
    GivenUp,
}

/// The thread that makes transactions.
pub(crate) struct Transactor {
    /// Group and replica: the transactional id.
    id: String,
    producer: BaseProducer<ClientCalls>,
    partitions: Partitions,
    frames: Option<Arc<Frames>>,
    requests: Receiver<Request>,
    /// Locked while a transaction is open.
    gate: Arc<Mutex<()>>,
    /// Set where a replica that ends does not wait any longer.
    give_up: Arc<AtomicBool>,
    /// Why nothing more will work.
    broken: Option<Trouble>,
}

impl Transactor {
    /// Makes the producer and fences whatever the last life of this replica left open.
    pub(crate) fn start(
        connection: &Connection,
        id: &str,
        partitions: Partitions,
        gate: Arc<Mutex<()>>,
        give_up: Arc<AtomicBool>,
    ) -> Result<(Transactor, Transactions), LogError> {
        let mut config = connection.producer();
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
        let producer = config
            .create_with_context(ClientCalls::new(connection.token_file()))
            .map_err(|error| LogError::Away(refused(error).to_string()))?;
        let (sender, requests) = sync_channel(WAITING_MAX);
        let transactor = Transactor {
            id: id.to_owned(),
            producer,
            partitions,
            frames: connection.frames(),
            requests,
            gate,
            give_up,
            broken: None,
        };
        let deadline = Instant::now() + START_MAX;
        loop {
            let started = transactor.producer.init_transactions(CALL);
            transactor.producer.poll(Duration::ZERO);
            match started {
                Ok(()) => break,
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && Instant::now() < deadline =>
                {
                    tracing::warn!(%error, "waiting for kafka's transaction coordinator");
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                    return Err(LogError::Away(format!(
                        "no transaction coordinator within {} s: {error}",
                        START_MAX.as_secs()
                    )));
                }
                Err(error) => return Err(LogError::kafka("starting transactions", error)),
            }
        }
        Ok((transactor, Transactions(sender)))
    }

    /// Runs until nobody can ask for a commit any more.
    pub(crate) fn run(mut self, consumer: &Weak<BaseConsumer<GroupCalls>>) {
        loop {
            let first = match self.requests.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    if self.give_up.load(Ordering::Acquire) {
                        return;
                    }
                    self.producer.poll(Duration::ZERO);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut bytes = first.commit.appended_bytes();
            let mut requests = vec![first];
            while bytes < TRANSACTION_BYTES_MAX
                && let Ok(next) = self.requests.try_recv()
            {
                bytes += next.commit.appended_bytes();
                requests.push(next);
            }
            match consumer.upgrade() {
                Some(consumer) => self.transact(requests, &consumer),
                None => {
                    let ended = || LogError::Away("this replica has left its group".to_owned());
                    requests
                        .into_iter()
                        .for_each(|request| request.answer(Err(ended())));
                }
            }
        }
    }

    fn transact(&mut self, requests: Vec<Request>, consumer: &BaseConsumer<GroupCalls>) {
        let gate = Arc::clone(&self.gate);
        let gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let (gone, held): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .partition(|request| request.lease.is_revoked());
        for request in gone {
            let revoked = request.revoked();
            request.answer(Err(revoked));
        }
        // What cannot be sent is the business of the one that asks, and found before it begins.
        let (fit, unfit): (Vec<_>, Vec<_>) = held
            .into_iter()
            .map(|request| {
                let unfit = self.unfit(&request).err();
                (request, unfit)
            })
            .partition(|(_, unfit)| unfit.is_none());
        for (request, unfit) in unfit {
            if let Some(unfit) = unfit {
                request.answer(Err(unfit));
            }
        }
        let held: Vec<Request> = fit.into_iter().map(|(request, _)| request).collect();
        if held.is_empty() {
            return;
        }
        let outcome = match &self.broken {
            Some(broken) => Err(broken.clone()),
            None => self.attempt(&held, consumer),
        };
        let outcome = match outcome {
            Err(Trouble::Abort(reason)) => {
                tracing::warn!(
                    id = self.id,
                    reason,
                    "transaction given up, to be done again"
                );
                self.abort().and(Err(Trouble::Abort(reason)))
            }
            outcome => outcome,
        };
        if let Err(trouble @ (Trouble::Ousted(_) | Trouble::Broken(..) | Trouble::GivenUp)) =
            &outcome
        {
            self.broken = Some(trouble.clone());
        }
        drop(gate);
        for request in held {
            let outcome = match &outcome {
                Ok(()) => Ok(()),
                Err(Trouble::Abort(_)) if request.lease.is_revoked() => Err(request.revoked()),
                Err(Trouble::Abort(reason)) => Err(LogError::Aborted(reason.clone())),
                Err(Trouble::Ousted(reason)) => Err(LogError::Ousted {
                    id: self.id.clone(),
                    reason: reason.clone(),
                }),
                Err(Trouble::Broken(doing, error)) => Err(LogError::kafka(doing, error.clone())),
                Err(Trouble::GivenUp) => Err(LogError::Away(
                    "the replica ended before the brokers answered".to_owned(),
                )),
            };
            request.answer(outcome);
        }
    }

    /// What of a commit this home does not take.
    fn unfit(&self, request: &Request) -> Result<(), LogError> {
        let commit = &request.commit;
        if !commit.values.is_empty() || !commit.positions.is_empty() {
            let what = "small values, or moves of other consumers";
            return Err(LogError::Unsupported(what.to_owned()));
        }
        let metadata = &request.to.metadata;
        if metadata.len() > METADATA_BYTES_MAX || std::str::from_utf8(metadata).is_err() {
            return Err(LogError::Unsupported(format!(
                "metadata of {} bytes: UTF-8 of at most {METADATA_BYTES_MAX} goes with an offset",
                metadata.len()
            )));
        }
        spread(commit, &self.partitions, |_, _, _| Ok(()))
    }

    /// One transaction from begin to commit.
    fn attempt(
        &self,
        held: &[Request],
        consumer: &BaseConsumer<GroupCalls>,
    ) -> Result<(), Trouble> {
        self.persist("beginning a transaction", || {
            self.producer.begin_transaction()
        })?;
        let context = self.producer.client().context();
        context.take_undelivered();
        let deadline = Instant::now() + Duration::from_millis(u64::from(TRANSACTION_TIMEOUT_MS));
        for request in held {
            let mut room = Vec::new();
            spread(
                &request.commit,
                &self.partitions,
                |topic, partition, record| {
                    let record = framed(self.frames.as_deref(), topic, record, &mut room)?;
                    enqueue(&self.producer, topic, partition, record, deadline)
                },
            )
            .map_err(|error| Trouble::Abort(error.to_string()))?;
        }
        let offsets = offsets(held).map_err(|error| Trouble::Broken("naming offsets", error))?;
        // Asked for anew each time: it names the generation, which is what fences.
        let group = consumer
            .group_metadata()
            .ok_or_else(|| Trouble::Abort("no member of the group yet".to_owned()))?;
        self.persist("sending offsets", || {
            (self.producer).send_offsets_to_transaction(&offsets, &group, CALL)
        })?;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(LOOK);
            self.still_wanted(held)?;
        }
        if let Some(error) = context.take_undelivered() {
            return Err(Trouble::Abort(error.to_string()));
        }
        self.still_wanted(held)?;
        self.persist("committing", || self.producer.commit_transaction(CALL))
    }

    fn still_wanted(&self, held: &[Request]) -> Result<(), Trouble> {
        if held.iter().any(|request| request.lease.is_revoked()) {
            return Err(Trouble::Abort("a partition was taken away".to_owned()));
        }
        if self.give_up.load(Ordering::Acquire) {
            return Err(Trouble::GivenUp);
        }
        Ok(())
    }

    fn abort(&self) -> Result<(), Trouble> {
        let aborted = self.persist("aborting", || {
            let aborted = self.producer.abort_transaction(ABORT_CALL);
            while self.producer.in_flight_count() > 0 {
                self.producer.poll(LOOK);
            }
            aborted
        });
        match aborted {
            // What it failed of wanted it aborted, and that is what was asked for.
            Err(Trouble::Abort(_)) => Ok(()),
            aborted => aborted,
        }
    }

    /// Makes a call again while the client says that this helps.
    fn persist(
        &self,
        doing: &'static str,
        call: impl Fn() -> KafkaResult<()>,
    ) -> Result<(), Trouble> {
        loop {
            let error = match call() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match kind_of(&error) {
                Kind::Retriable => {
                    if self.give_up.load(Ordering::Acquire) {
                        return Err(Trouble::GivenUp);
                    }
                    tracing::debug!(%error, doing, "kafka: again");
                    self.producer.poll(PAUSE);
                }
                Kind::Abortable => return Err(Trouble::Abort(format!("{doing}: {error}"))),
                Kind::Fenced => return Err(Trouble::Ousted(error.to_string())),
                Kind::Fatal => return Err(Trouble::Broken(doing, error)),
            }
        }
    }
}

/// What helps against an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Retriable,
    Abortable,
    Fenced,
    Fatal,
}

fn kind_of(error: &KafkaError) -> Kind {
    match error {
        KafkaError::Transaction(error) => {
            if matches!(
                error.code(),
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            ) && (error.is_fatal() || !error.txn_requires_abort())
            {
                Kind::Fenced
            } else if error.is_fatal() {
                Kind::Fatal
            } else if error.txn_requires_abort() {
                Kind::Abortable
            } else if error.is_retriable() {
                Kind::Retriable
            } else {
                Kind::Fatal
            }
        }
        // The flush before a commit ran out of its time.
        KafkaError::Flush(_) => Kind::Retriable,
        _ => Kind::Fatal,
    }
}

fn offsets(held: &[Request]) -> KafkaResult<TopicPartitionList> {
    let mut offsets = TopicPartitionList::with_capacity(held.len());
    for request in held {
        let mut element = offsets.add_partition(&request.topic, request.partition);
        let offset = i64::try_from(request.to.offset).unwrap_or(i64::MAX);
        element.set_offset(Offset::Offset(offset))?;
        // Checked before: it is UTF-8.
        if let Ok(text) = std::str::from_utf8(&request.to.metadata)
            && !text.is_empty()
        {
            element.set_metadata(text);
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_read_any_more() {
        let lease = Lease::default();
        let reading = lease.reading().expect("held");
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| lease.revoke());
            while !lease.is_revoked() {
                std::thread::yield_now();
            }
            // Its holder is still at the queue.
            assert!(!taking.is_finished());
            drop(reading);
            taking.join().expect("no panic");
            assert!(lease.reading().is_none());
        });
    }
}
