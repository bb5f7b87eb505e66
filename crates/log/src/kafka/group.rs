//! A replica's membership in a consumer group: which partitions it holds, and when it gives them
//! back.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;

use super::connection::{Connection, refused};
use super::context::Tokens;
use super::held::{Held, Place};
use super::lease::Lease;
use super::member::member_id;
use super::opener::Opener;
use super::orphans::Watch;
use super::partition::KafkaPartition;
use super::positions::{Start, positions};
use super::spread::Partitions;
use super::standing::Standing;
use super::transactions::{Transactions, Transactor};
use crate::error::LogError;

/// How long one poll of the group lasts.
const POLL: Duration = Duration::from_millis(100);
/// How long a client that lost its partitions may hear nothing of its group.
const UNHEARD_MAX: Duration = Duration::from_secs(30);
/// Part of the grace period in which the brokers may answer a replica that ends.
const BROKERS_OF_GRACE: u32 = 10;
/// How long threads that are told to end may take where nothing keeps them.
const ENDING: Duration = Duration::from_millis(200);
/// How often it is looked at whether a thread has ended.
const LOOK: Duration = Duration::from_millis(10);

/// How the group finds out who holds what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Members agree among themselves (`cooperative-sticky`): every broker.
    #[default]
    Classic,
    /// The broker decides (KIP-848): Kafka 4.0 and later. A rebalance takes a fraction of a second;
    /// partitions of a replica that was killed wait for the end of its session, 45 s by default.
    Consumer,
}

/// What a replica joins as.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The group: consumers that share the partitions of their topics.
    pub group: String,
    /// The replica's own name in the group, the same after a restart. With the group's name it is
    /// the transactional id: a replica that comes back ends what its last life left open. In the
    /// classic protocol it is the static member's id too: it gets its partitions back without a
    /// rebalance.
    pub replica: String,
    /// Topics to read.
    pub topics: Vec<&'static str>,
    /// How the group agrees.
    pub protocol: GroupProtocol,
    /// How long a holder may take to finish a partition that is wanted back.
    pub grace: Duration,
}

/// A replica in a group. Ends by [`leave`](Self::leave), or with its process by
/// [`leave_for_good`](Self::leave_for_good).
#[derive(Debug)]
pub struct Group {
    given: Mutex<Receiver<Result<KafkaPartition, LogError>>>,
    stop: Arc<AtomicBool>,
    /// Told to the thread that serves the group.
    give_up: Arc<AtomicBool>,
    /// Told to the thread that makes transactions.
    abandon: Arc<AtomicBool>,
    standing: Arc<Standing>,
    grace: Duration,
    poller: JoinHandle<()>,
    transactor: JoinHandle<()>,
}

impl Group {
    /// Joins: fences the replica's last life, then asks for partitions. `partitions` are those of
    /// every topic that is written.
    ///
    /// # Errors
    /// Brokers that are away for a minute, settings that are refused.
    pub fn join(
        connection: &Connection,
        membership: &Membership,
        partitions: Partitions,
    ) -> Result<Group, LogError> {
        let id = format!("{}.{}", membership.group, membership.replica);
        let gate = Arc::new(Mutex::new(()));
        let (give_up, abandon) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let watch = match membership.protocol {
            GroupProtocol::Classic => Some(Watch::new(
                connection,
                (&membership.group, membership.grace),
                &membership.topics,
                &partitions,
            )?),
            // The broker itself deals, whenever something is to be dealt.
            GroupProtocol::Consumer => None,
        };
        let (transactor, transactions) = Transactor::start(
            connection,
            &id,
            partitions,
            Arc::clone(&gate),
            Arc::clone(&abandon),
        )?;
        let calls = GroupCalls {
            id,
            tokens: Tokens(connection.token_file()),
            member: OnceLock::new(),
            held: Arc::new(Held::default()),
            gate,
            grace: membership.grace,
            standing: Arc::default(),
        };
        let standing = Arc::clone(&calls.standing);
        let consumer: BaseConsumer<GroupCalls> = configured(connection, membership)
            .create_with_context(calls)
            .map_err(|error| LogError::Away(refused(error).to_string()))?;
        let consumer = Arc::new(consumer);
        let (sender, given) = channel();
        let member = Member {
            consumer: Arc::downgrade(&consumer),
            transactions,
            opener: Opener::new(connection.frames()),
            given: sender,
        };
        let known = consumer.context().member.set(member);
        debug_assert!(known.is_ok(), "set once, here");
        consumer
            .subscribe(&membership.topics)
            .map_err(|error| LogError::kafka("subscribing", error))?;
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(|error| LogError::Away(format!("no thread: {error}")))
        };
        let weak = Arc::downgrade(&consumer);
        let transactor = spawn("transactions", Box::new(move || transactor.run(&weak)))?;
        if let Some(watch) = watch {
            let (weak, stop) = (Arc::downgrade(&consumer), Arc::clone(&stop));
            let member = move || weak.upgrade().map(|consumer| member_id(&consumer));
            // Nothing waits for its end: it holds nothing.
            spawn("orphans", Box::new(move || watch.run(&stop, member)))?;
        } else if let Some(topic) = membership.topics.first().copied() {
            let (weak, stop) = (Arc::downgrade(&consumer), Arc::clone(&stop));
            let standing = Arc::clone(&standing);
            let watch = move || standing.watch(&weak, topic, &stop);
            spawn("standing", Box::new(watch))?;
        }
        let told = (Arc::clone(&stop), Arc::clone(&give_up));
        let poller = spawn("group", Box::new(move || poll(&consumer, &told.0, &told.1)))?;
        Ok(Group {
            given: Mutex::new(given),
            stop,
            give_up,
            abandon,
            standing,
            grace: membership.grace,
            poller,
            transactor,
        })
    }

    /// A partition that this replica was given, waiting up to `patience` for one. Each must be
    /// dropped when it is [`wanted_back`](crate::Partition::wanted_back).
    ///
    /// # Errors
    /// The replica cannot go on: it was ousted, it may not read the topics, the brokers forgot it.
    pub fn next_given(&self, patience: Duration) -> Result<Option<KafkaPartition>, LogError> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match given.recv_timeout(patience) {
            Ok(given) => given.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(LogError::Away("the group's thread has ended".to_owned()))
            }
        }
    }

    /// Whether the group has taken this replica in, with partitions or without, and it has lost none
    /// of them since. Those that it was given before are waiting in [`next_given`](Self::next_given).
    pub fn is_joined(&self) -> bool {
        self.standing.is_inside()
    }

    /// Ends waiting for the brokers' word on commits: what has none by now is not known to be
    /// committed, and its next owner finds out. For a replica that is about to leave.
    pub fn abandon_commits(&self) {
        self.abandon.store(true, Ordering::Release);
    }

    /// Gives every partition back, once its holder is done or the grace period is over, and ends.
    /// A static member stays in the group's books, so that a restart moves nothing.
    ///
    /// Returns when nothing of it is left that could get in the way of who joins by the same name: where
    /// the brokers are away that may take longer than two grace periods.
    pub fn leave(self) {
        self.stop.store(true, Ordering::Release);
        // Twice the grace: once for the holders, once for the brokers.
        ends_within(&self.poller, self.grace * 2 + Duration::from_secs(1));
        self.give_up.store(true, Ordering::Release);
        self.abandon_commits();
        join(self.poller);
        join(self.transactor);
    }

    /// The same for a process that ends, whose holders have had their grace period: waits a tenth of it for
    /// the brokers. Threads that still wait for them then end with the process.
    pub fn leave_for_good(self) {
        self.abandon_commits();
        self.stop.store(true, Ordering::Release);
        ends_within(&self.poller, self.grace / BROKERS_OF_GRACE);
        self.give_up.store(true, Ordering::Release);
        let untold = [
            (self.poller, "left without a word to the group"),
            (
                self.transactor,
                "a transaction may be open: this replica's next life ends it, or the brokers do by its time",
            ),
        ];
        for (thread, untold) in untold {
            if ends_within(&thread, ENDING) {
                join(thread);
            } else {
                tracing::warn!("the brokers do not answer: {untold}");
            }
        }
    }
}

/// Whether a thread ends in that time.
fn ends_within(thread: &JoinHandle<()>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while !thread.is_finished() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    thread.is_finished()
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the group panicked");
    }
}

fn configured(connection: &Connection, membership: &Membership) -> rdkafka::ClientConfig {
    let mut config = connection.consumer();
    config.set("group.id", &membership.group);
    match membership.protocol {
        GroupProtocol::Classic => {
            config
                .set("group.instance.id", &membership.replica)
                .set("group.protocol", "classic")
                .set("partition.assignment.strategy", "cooperative-sticky");
        }
        GroupProtocol::Consumer => {
            // No static member: one that was killed would keep its own next life out until its
            // session is over, and moving partitions costs little here.
            config.set("group.protocol", "consumer");
        }
    }
    config
}

/// Serves the group until the replica leaves it.
fn poll(consumer: &Arc<BaseConsumer<GroupCalls>>, stop: &AtomicBool, give_up: &AtomicBool) {
    let mut closing = false;
    loop {
        if stop.load(Ordering::Acquire) && !closing {
            closing = true;
            if let Err(error) = consumer.close_queue() {
                tracing::warn!(%error, "leaving the group");
                break;
            }
        }
        if closing && consumer.closed() {
            break;
        }
        if give_up.load(Ordering::Acquire) {
            tracing::warn!("the brokers did not answer in time: left without their word");
            // Its end would wait for them. The process ends; what it holds ends with it.
            std::mem::forget(Arc::clone(consumer));
            break;
        }
        consumer.context().look_for_group();
        match consumer.poll(POLL) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Ok(_)) => consumer.context().fail(LogError::Away(
                "a record came past the queue of its partition".to_owned(),
            )),
            Some(Err(error)) => consumer.context().told(error),
        }
    }
    consumer.context().held.revoke_all();
}

#[derive(Debug)]
struct Member {
    consumer: Weak<BaseConsumer<GroupCalls>>,
    transactions: Transactions,
    opener: Opener,
    given: Sender<Result<KafkaPartition, LogError>>,
}

/// What librdkafka calls back for in a group.
pub(crate) struct GroupCalls {
    /// Group and replica.
    id: String,
    tokens: Tokens,
    member: OnceLock<Member>,
    pub(crate) held: Arc<Held>,
    /// Locked while a transaction is open.
    gate: Arc<Mutex<()>>,
    grace: Duration,
    standing: Arc<Standing>,
}

impl GroupCalls {
    /// Gives up a client that lost its partitions and hears nothing of its group. One that was told
    /// of a cluster without brokers may know nobody to ask any more (librdkafka 2.12.1).
    fn look_for_group(&self) {
        if self.standing.is_unheard(UNHEARD_MAX) {
            self.fail(LogError::Away(format!(
                "nothing was heard of the group for {} s after partitions were lost",
                UNHEARD_MAX.as_secs()
            )));
        }
    }

    fn fail(&self, error: LogError) {
        if let Some(member) = self.member.get() {
            // Nobody listens only where the replica is leaving.
            let _ = member.given.send(Err(error));
        }
    }

    /// An error that the client tells of itself.
    fn told(&self, error: KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(
                code @ (RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::UnreleasedInstanceId),
            ) => self.fail(LogError::Ousted {
                id: self.id.clone(),
                reason: code.to_string(),
            }),
            KafkaError::MessageConsumptionFatal(_)
            | KafkaError::MessageConsumption(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => self.fail(LogError::kafka("reading as a member of the group", error)),
            // It goes on trying by itself.
            error => tracing::warn!(%error, id = self.id, "kafka"),
        }
    }

    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        assigned: &TopicPartitionList,
    ) -> Result<(), LogError> {
        let known = self
            .member
            .get()
            .and_then(|member| Some((member, member.consumer.upgrade()?)));
        let Some((member, shared)) = known else {
            return Err(LogError::Away("the replica is leaving".to_owned()));
        };
        let id = member_id(consumer);
        let kept = self.kept_by_mistake(consumer, &id)?;
        let mut asked = assigned.clone();
        for (topic, partition) in &kept {
            asked.add_partition(topic, *partition);
        }
        let positions = match asked.count() {
            0 => Vec::new(),
            _ => positions(consumer, &asked)?,
        };
        let mut from = TopicPartitionList::with_capacity(positions.len());
        let mut given = Vec::with_capacity(positions.len());
        for start in positions {
            let Start {
                topic,
                partition,
                position,
                reads_from,
            } = start;
            let place = (Arc::clone(&topic), partition);
            // The client goes on somewhere in what it keeps: its first read is to go back.
            let next = (!kept.contains(&place)).then_some(position.offset);
            if next.is_some() {
                let offset = i64::try_from(reads_from).unwrap_or(i64::MAX);
                from.add_partition_offset(&topic, partition, Offset::Offset(offset))
                    .map_err(|error| LogError::kafka("starting a partition", error))?;
            }
            // Before it is assigned, or its first records would go to the group's own queue.
            let queue = shared
                .split_partition_queue(&topic, partition)
                .ok_or_else(|| LogError::Away(format!("no queue for {topic} {partition}")))?;
            let lease = Arc::new(Lease::of(id.clone()));
            self.held.hold(topic, partition, Arc::clone(&lease));
            given.push(KafkaPartition::new(
                (Arc::clone(&shared), queue),
                place,
                position,
                next,
                lease,
                member.transactions.clone(),
                member.opener.clone(),
            ));
        }
        let started = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&from),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&from),
        };
        started.map_err(|error| LogError::kafka("starting partitions", error))?;
        for partition in given {
            // Nobody listens only where the replica is leaving.
            let _ = member.given.send(Ok(partition));
        }
        Ok(())
    }

    /// Takes from their holders the partitions that the client kept though its group took it for
    /// another member in between, and names them: they are given anew.
    fn kept_by_mistake(
        &self,
        consumer: &BaseConsumer<Self>,
        id: &str,
    ) -> Result<Vec<Place>, LogError> {
        if !matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        ) {
            return Ok(Vec::new());
        }
        let now = consumer
            .assignment()
            .map_err(|error| LogError::Away(format!("asking what is assigned: {error}")))?;
        let mut kept = places(&now);
        kept.retain(|place| !self.held.is_of(place, id));
        if !kept.is_empty() {
            tracing::warn!(
                id = self.id,
                partitions = kept.len(),
                "the group had lost this member in between: what it kept is given anew"
            );
            self.held.revoke(&kept);
        }
        Ok(kept)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, revoked: &TopicPartitionList) {
        let taken = places(revoked);
        if consumer.assignment_lost() {
            tracing::warn!(
                id = self.id,
                "partitions were lost: somebody else has them by now"
            );
            self.held.revoke(&taken);
            self.standing.lost();
        } else {
            let id = member_id(consumer);
            let (held, gone): (Vec<_>, Vec<_>) = taken
                .into_iter()
                .partition(|place| self.held.is_of(place, &id));
            self.held.revoke(&gone);
            self.held.want_back(&held, self.grace);
        }
        // A transaction that is open holds offsets of what is given back: it ends first.
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(revoked),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "giving partitions back");
        }
    }
}

impl ClientContext for GroupCalls {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, id = self.id, "kafka");
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = self.tokens.token();
        if let Err(error) = &token {
            tracing::error!(%error, "no token for kafka");
        }
        token
    }
}

impl ConsumerContext for GroupCalls {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        tracing::info!(
            id = self.id,
            ?what,
            partitions = partitions.count(),
            "rebalance"
        );
        match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                match self.assign(consumer, partitions) {
                    // What is given was handed on before: who sees the one finds the other.
                    Ok(()) => self.standing.dealt(),
                    Err(error) => {
                        // The group waits for an answer all the same.
                        let _ = consumer.incremental_assign(&TopicPartitionList::new());
                        self.fail(error);
                    }
                }
            }
            _ => self.revoke(consumer, partitions),
        }
    }
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    list.elements()
        .iter()
        .map(|element| (Arc::from(element.topic()), element.partition()))
        .collect()
}
