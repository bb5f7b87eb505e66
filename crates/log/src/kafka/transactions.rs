//! One replica's transactions: outputs and input positions, all or nothing.
//!
//! A thread makes them one after the other. What its partitions ask for meanwhile goes into the
//! next one together: a transaction costs some round trips whatever is in it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::BaseProducer;

use super::attempt::{Trouble, attempt, is_committed, stands, successor};
use super::connection::{Connection, ConnectionError, TRANSACTION_TIMEOUT_MS, refused};
use super::context::ClientCalls;
use super::group::GroupCalls;
use super::lease::Lease;
use super::spread::{Partitions, spread};
use crate::commit::{Commit, Position};
use crate::error::LogError;

/// Bytes after which a transaction takes in no more commits.
const TRANSACTION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commits that wait, at most; every partition has one at most.
const WAITING_MAX: usize = 1024;
/// After so long an attempt is left to itself: the brokers have given it up by then.
const ATTEMPT_MAX: Duration = Duration::from_millis(TRANSACTION_TIMEOUT_MS as u64);
/// Pause before the brokers are asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often who waits for a commit looks whether the replica ends.
const LOOK: Duration = Duration::from_millis(50);
/// How often an idle producer is looked after: tokens, errors.
const IDLE: Duration = Duration::from_secs(1);
/// How long a start waits for the transaction coordinator.
const START_MAX: Duration = Duration::from_secs(60);
/// Metadata that a broker takes with an offset, bytes (`offset.metadata.max.bytes`).
const METADATA_BYTES_MAX: usize = 4096;

/// A commit on its way.
pub(super) struct Request {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) to: Position,
    pub(super) commit: Commit,
    pub(super) lease: Arc<Lease>,
    /// What the asker is doing, open until it is answered: the transaction is linked to it.
    span: tracing::Span,
    answer: SyncSender<(Commit, Result<(), LogError>)>,
}

impl Request {
    fn answer(self, outcome: Result<(), LogError>) {
        // The asker waits for it; where its thread is gone nobody misses the answer.
        let _ = self.answer.send((self.commit, outcome));
    }

    /// The same request without what is to be appended, where that is still in use.
    fn emptied(&self) -> Request {
        Request {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            to: self.to.clone(),
            commit: Commit::default(),
            lease: Arc::clone(&self.lease),
            span: self.span.clone(),
            answer: self.answer.clone(),
        }
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
pub(crate) struct Transactions {
    requests: SyncSender<Request>,
    /// Set where a replica that ends does not wait any longer.
    abandon: Arc<AtomicBool>,
}

impl Transactions {
    /// Commits, and returns when it is through. `commit` is as it was then; where the replica ends
    /// before, it is not known whether it is committed, and `commit` is empty.
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
            span: tracing::Span::current(),
            answer,
        };
        let ended = || LogError::Away("this replica is leaving its group".to_owned());
        let offset = request.to.offset;
        self.requests.send(request).map_err(|_| ended())?;
        loop {
            match answered.recv_timeout(LOOK) {
                Ok((back, outcome)) => {
                    *commit = back;
                    return outcome;
                }
                Err(RecvTimeoutError::Timeout) if self.abandon.load(Ordering::Acquire) => {
                    tracing::warn!(
                        %topic,
                        partition,
                        offset,
                        "the brokers have not said whether this commit is through: its next owner finds out"
                    );
                    return Err(given_up());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
    }
}

/// The thread that makes transactions.
pub(crate) struct Transactor {
    connection: Connection,
    /// Group and replica: the transactional id.
    id: String,
    /// `None` where the last one was given up.
    producer: Option<Arc<BaseProducer<ClientCalls>>>,
    partitions: Arc<Partitions>,
    requests: Receiver<Request>,
    /// Locked while a transaction is open that may yet be committed.
    gate: Arc<Mutex<()>>,
    /// Set where a replica that ends does not wait any longer.
    abandon: Arc<AtomicBool>,
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
        abandon: Arc<AtomicBool>,
    ) -> Result<(Transactor, Transactions), LogError> {
        let deadline = Instant::now() + START_MAX;
        let producer = loop {
            match successor(connection, id) {
                Ok(producer) => break producer,
                Err(Trouble::Again(reason)) if Instant::now() < deadline => {
                    tracing::warn!(id, reason, "waiting for kafka's transaction coordinator");
                    std::thread::sleep(PAUSE);
                }
                Err(Trouble::Broken(doing, error)) => {
                    return Err(match refused(error.clone()) {
                        ConnectionError::Client(_) => LogError::kafka(doing, error),
                        refused => LogError::Away(refused.to_string()),
                    });
                }
                Err(Trouble::TooLong) => return Err(too_long()),
                Err(trouble) => {
                    return Err(LogError::Away(format!(
                        "no transaction coordinator within {} s: {trouble:?}",
                        START_MAX.as_secs()
                    )));
                }
            }
        };
        let (sender, requests) = sync_channel(WAITING_MAX);
        let transactions = Transactions {
            requests: sender,
            abandon: Arc::clone(&abandon),
        };
        let transactor = Transactor {
            connection: connection.clone(),
            id: id.to_owned(),
            producer: Some(Arc::new(producer)),
            partitions: Arc::new(partitions),
            requests,
            gate,
            abandon,
            broken: None,
        };
        Ok((transactor, transactions))
    }

    /// Runs until nobody can ask for a commit any more.
    pub(crate) fn run(mut self, consumer: &Weak<BaseConsumer<GroupCalls>>) {
        loop {
            let first = match self.requests.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    if self.abandon.load(Ordering::Acquire) {
                        return;
                    }
                    self.look_after();
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

    /// Serves an idle producer, or makes the next: what the last left open holds up readers.
    fn look_after(&mut self) {
        match &self.producer {
            Some(producer) => {
                producer.poll(Duration::ZERO);
            }
            // Said again to whoever next wants to commit.
            None => drop(self.ready()),
        }
    }

    /// Sees to a producer, within the time of one call.
    fn ready(&mut self) -> Result<(), Trouble> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        if self.producer.is_none() {
            match successor(&self.connection, &self.id) {
                Ok(producer) => self.producer = Some(Arc::new(producer)),
                Err(trouble) => return Err(self.noted(trouble)),
            }
        }
        Ok(())
    }

    /// Remembers a trouble that lasts.
    fn noted(&mut self, trouble: Trouble) -> Trouble {
        if !matches!(trouble, Trouble::Again(_) | Trouble::Unknown(_)) {
            self.broken = Some(trouble.clone());
        }
        trouble
    }

    fn transact(&mut self, requests: Vec<Request>, consumer: &Arc<BaseConsumer<GroupCalls>>) {
        let mut held = Vec::with_capacity(requests.len());
        for request in requests {
            // What cannot be sent is the business of the one that asks, and found before it begins.
            match self.unfit(&request) {
                Ok(()) => held.push(request),
                Err(unfit) => request.answer(Err(unfit)),
            }
        }
        let outcome = self.settle(&mut held, consumer);
        for request in held {
            let outcome = match &outcome {
                Ok(()) => Ok(()),
                Err(_) if request.lease.is_revoked() => Err(request.revoked()),
                Err(Trouble::Again(reason) | Trouble::Unknown(reason)) => {
                    Err(LogError::Aborted(reason.clone()))
                }
                Err(Trouble::Ousted(reason)) => Err(LogError::Ousted {
                    id: self.id.clone(),
                    reason: reason.clone(),
                }),
                Err(Trouble::TooLong) => Err(too_long()),
                Err(Trouble::Broken(doing, error)) => Err(LogError::kafka(doing, error.clone())),
                Err(Trouble::GivenUp) => Err(given_up()),
            };
            request.answer(outcome);
        }
    }

    /// One transaction, and certainty of what became of it. Those whose partition is taken
    /// meanwhile are answered and leave `held`.
    fn settle(
        &mut self,
        held: &mut Vec<Request>,
        consumer: &Arc<BaseConsumer<GroupCalls>>,
    ) -> Result<(), Trouble> {
        self.producer_for(held)?;
        let outcome = {
            let gate = Arc::clone(&self.gate);
            let _gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            answer_revoked(held);
            if held.is_empty() {
                return Ok(());
            }
            self.attempt(held, consumer)
        };
        let Err(trouble) = outcome else {
            return Ok(());
        };
        // Whatever it was: the next one starts clean, and ends what this one left open.
        self.producer = None;
        match self.noted(trouble) {
            Trouble::Unknown(reason) => self.resolve(held, consumer, reason),
            trouble => {
                tracing::warn!(id = self.id, ?trouble, "transaction given up");
                Err(trouble)
            }
        }
    }

    /// One attempt, on a thread that is left to itself where a call to the client never returns
    /// (librdkafka 2.12.1, its issue 5511), or where the replica ends meanwhile: a commit that it had not
    /// asked for by then it does not ask for any more.
    fn attempt(
        &self,
        held: &mut Vec<Request>,
        consumer: &Arc<BaseConsumer<GroupCalls>>,
    ) -> Result<(), Trouble> {
        let Some(producer) = self.producer.clone() else {
            return Err(Trouble::Again("no producer".to_owned()));
        };
        let work = Arc::new(std::mem::take(held));
        let (told, outcome) = sync_channel(1);
        let (requests, partitions) = (Arc::clone(&work), Arc::clone(&self.partitions));
        let (consumer, abandon) = (Arc::clone(consumer), Arc::clone(&self.abandon));
        let frames = self.connection.frames().cloned();
        let span =
            tracing::info_span!(parent: None, "transaction", id = self.id, commits = work.len());
        for request in work.iter() {
            span.follows_from(&request.span);
        }
        let spawned = std::thread::Builder::new()
            .name("transaction".to_owned())
            .spawn(move || {
                let to = (&*producer, &*partitions, frames.as_deref());
                let outcome = span.in_scope(|| attempt(to, &requests, &consumer, &abandon));
                drop(span);
                // First, so that whoever waits finds itself alone with them.
                drop((requests, consumer, producer));
                // Nobody waits any more where it came too late.
                let _ = told.send(outcome);
            });
        let outcome = match spawned {
            Ok(_) => self.outcome_of(&outcome),
            Err(error) => Err(Trouble::Again(format!("no thread: {error}"))),
        };
        *held = Arc::try_unwrap(work)
            .unwrap_or_else(|used| used.iter().map(Request::emptied).collect());
        outcome
    }

    fn outcome_of(&self, attempt: &Receiver<Result<(), Trouble>>) -> Result<(), Trouble> {
        let deadline = Instant::now() + ATTEMPT_MAX;
        loop {
            match attempt.recv_timeout(LOOK) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) if self.abandon.load(Ordering::Acquire) => {
                    return Err(Trouble::GivenUp);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => {
                    let text = format!(
                        "the client did not return within {} s",
                        ATTEMPT_MAX.as_secs()
                    );
                    return Err(Trouble::Unknown(text));
                }
            }
        }
    }

    /// Waits for a producer as long as somebody waits for a commit.
    fn producer_for(&mut self, held: &mut Vec<Request>) -> Result<(), Trouble> {
        loop {
            answer_revoked(held);
            if held.is_empty() {
                return Ok(());
            }
            match self.ready() {
                Err(Trouble::Again(reason)) => {
                    tracing::warn!(
                        id = self.id,
                        reason,
                        "waiting for kafka's transaction coordinator"
                    );
                    if self.abandon.load(Ordering::Acquire) {
                        return Err(Trouble::GivenUp);
                    }
                    std::thread::sleep(PAUSE);
                }
                ready => return ready,
            }
        }
    }

    /// Finds out what became of a transaction whose commit was asked for. Its partitions' next
    /// owners find out by themselves: the brokers tell a committed offset only once it is certain.
    fn resolve(
        &mut self,
        held: &mut Vec<Request>,
        consumer: &Arc<BaseConsumer<GroupCalls>>,
        reason: String,
    ) -> Result<(), Trouble> {
        tracing::warn!(
            id = self.id,
            reason,
            "no answer to a commit: asking what became of it"
        );
        loop {
            self.producer_for(held)?;
            if held.is_empty() {
                return Ok(());
            }
            match stands(held, consumer) {
                Ok(found) => {
                    return match judged(held, &found) {
                        true => Ok(()),
                        false => Err(Trouble::Again(reason)),
                    };
                }
                Err(error) => {
                    tracing::warn!(id = self.id, %error, "asking what became of a commit");
                    if self.abandon.load(Ordering::Acquire) {
                        return Err(Trouble::GivenUp);
                    }
                    std::thread::sleep(PAUSE);
                }
            }
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
}

fn given_up() -> LogError {
    LogError::Away("the replica ended before the brokers answered".to_owned())
}

fn too_long() -> LogError {
    LogError::TransactionTimeout {
        needed_ms: TRANSACTION_TIMEOUT_MS,
    }
}

/// What became of a transaction, by where the group was found. Whoever was taken while that was
/// asked is answered, and has no say: a partition is taken from its holder here before the next one
/// can move it.
fn judged(held: &mut Vec<Request>, found: &TopicPartitionList) -> bool {
    answer_revoked(held);
    is_committed(held, found)
}

/// Answers those whose partition was taken.
fn answer_revoked(held: &mut Vec<Request>) {
    for request in held.extract_if(.., |request| request.lease.is_revoked()) {
        let revoked = request.revoked();
        request.answer(Err(revoked));
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Offset;

    use super::*;

    type Answer = Receiver<(Commit, Result<(), LogError>)>;

    /// A commit of one partition, from offset 5 to 9.
    fn asked(partition: i32) -> (Request, Answer) {
        let (answer, answered) = sync_channel(1);
        let request = Request {
            topic: Arc::from("in"),
            partition,
            to: Position {
                offset: 9,
                metadata: b"nine".to_vec(),
            },
            commit: Commit::default(),
            lease: Arc::new(Lease::of("one".to_owned())),
            span: tracing::Span::none(),
            answer,
        };
        (request, answered)
    }

    /// Where the group is found, by partition: those that are not named have no position.
    fn found(places: &[(i64, &str)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, (offset, metadata)) in (0..).zip(places) {
            let mut element = list.add_partition("in", partition);
            element
                .set_offset(Offset::Offset(*offset))
                .expect("an offset");
            element.set_metadata(metadata);
        }
        list
    }

    #[test]
    fn a_transaction_is_committed_where_what_is_held_stands_where_it_puts_it() {
        for (places, committed) in [
            (&[(9, "nine"), (9, "nine")][..], true),
            (&[(5, "five"), (5, "five")], false),
            (&[(9, "five"), (9, "five")], false),
            (&[(5, "nine"), (5, "nine")], false),
            (&[], false),
        ] {
            let ((first, _first), (second, _second)) = (asked(0), asked(1));
            let mut held = vec![first, second];
            assert_eq!(judged(&mut held, &found(places)), committed, "{places:?}");
            assert_eq!(held.len(), 2);
        }
    }

    /// Its next holder may have gone further than a transaction that came through, or have done the
    /// batch of one that was aborted again, to the same place.
    #[test]
    fn what_was_taken_while_the_brokers_were_asked_has_no_say() {
        for (places, committed) in [
            ([(9, "nine"), (12, "twelve")], true),
            ([(5, "five"), (9, "nine")], false),
        ] {
            let ((kept, kept_answer), (taken, taken_answer)) = (asked(0), asked(1));
            taken.lease.revoke();
            let mut held = vec![kept, taken];
            assert_eq!(judged(&mut held, &found(&places)), committed, "{places:?}");
            assert_eq!(held.len(), 1, "only the one that is held is left");
            assert!(kept_answer.try_recv().is_err(), "answered by the outcome");
            let answer = taken_answer.try_recv().expect("answered");
            assert!(matches!(answer.1, Err(LogError::Revoked { .. })));
        }
    }
}
