//! The sink on Apache Kafka: replicas that come, go and are killed; a broker that is killed; an
//! engine behind a connection that fails. The audit judges.
//!
//! A replica that is to be killed is this test binary again, running the test named by [`CHILD`]
//! with what it needs in its environment.

mod count;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use clickhouse::Client;
use grapevine_event::topic;
use grapevine_kafka_testing::{Cluster, GuardedProcess, ScratchDirectory};
use grapevine_log::kafka::topics::{self, Creation, Partitions, Wish};
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Onlooker, Producer,
};
use grapevine_log::{Commit, Durability, Partition, Position};
use grapevine_sink::{
    Audit, Depth, Filter, KafkaView, Options, Replay, Replica, SinkError, audit, migrate,
    migrate_when_there, repair, run_replica, widen_windows,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::generate::Generator;
use crate::proxy::Proxy;
use crate::server::{Turn, block_on, client_of, quick, show_log};

const CHILD: &str = "kafka::sinks_until_killed";
const GROUP: &str = "sink";
const PARTITIONS: i32 = 2;
/// Longest wait for everything to be in ClickHouse.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kafka for one test, its topics made.
struct Kafka {
    cluster: Cluster,
    connection: Connection,
    partitions: Partitions,
    /// What killed replicas said.
    scratch: ScratchDirectory,
}

fn connection(bootstrap: &str) -> Connection {
    let properties = [
        // The shortest that a broker takes: a replica that stands still is soon missed.
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "1000"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Connection::new(bootstrap, BTreeMap::from(properties), None).expect("a connection")
}

impl Kafka {
    fn start() -> Kafka {
        Kafka::of(1)
    }

    /// Of so many brokers, with a copy of every record on each.
    fn of(brokers: usize) -> Kafka {
        let cluster = Cluster::builder().brokers(brokers).start().expect("kafka");
        let connection = connection(&cluster.bootstrap());
        let day = Duration::from_secs(86_400);
        let wishes: Vec<Wish> = grapevine_sink::topics()
            .map(|name| (name, PARTITIONS))
            .chain([(topic::HITS_RAW, 1)])
            .map(|(name, partitions)| Wish {
                name,
                partitions: Some(partitions),
                retention: day,
                retention_min: day,
            })
            .collect();
        let creation = Creation {
            allowed: true,
            replication: i32::try_from(brokers).ok(),
            partitions: PARTITIONS,
        };
        let partitions = topics::ensure(&connection, &wishes, creation).expect("topics");
        Kafka {
            cluster,
            connection,
            partitions,
            scratch: ScratchDirectory::new().expect("a directory"),
        }
    }

    fn view(&self) -> KafkaView {
        KafkaView::new(&self.connection, GROUP, self.partitions.clone()).expect("a view")
    }

    fn replica(&self, name: &str) -> Replica {
        Replica {
            connection: self.connection.clone(),
            membership: membership(GROUP, name, Vec::new()),
            partitions: self.partitions.clone(),
            is_joined: watch::Sender::new(false),
        }
    }

    fn stage(&self) -> Stage {
        let membership = membership("stage", "one", vec![topic::HITS_RAW]);
        let partitions = self.partitions.clone();
        let group = Group::join(&self.connection, &membership, partitions).expect("joins");
        let partition = loop {
            let given = group
                .next_given(Duration::from_secs(1))
                .expect("a partition");
            if let Some(partition) = given {
                break partition;
            }
        };
        Stage {
            group,
            partition,
            generator: Generator::new(3),
            appended: 0,
        }
    }
}

fn membership(group: &str, replica: &str, topics: Vec<&'static str>) -> Membership {
    Membership {
        group: group.to_owned(),
        replica: replica.to_owned(),
        topics,
        protocol: GroupProtocol::Classic,
        grace: Duration::from_secs(5),
    }
}

/// Appends as a stage does, in transactions: each leaves a mark of Kafka's own on every partition
/// that it touches.
struct Stage {
    group: Group,
    partition: KafkaPartition,
    generator: Generator,
    /// Records of each topic.
    appended: u64,
}

impl Stage {
    fn append(&mut self, records: u64) {
        let mut commit = Commit::default();
        for topic in grapevine_sink::topics() {
            for _ in 0..records {
                self.generator.append(topic, &mut commit, 30);
            }
        }
        self.appended += records;
        // Moved by its metadata: a commit that moves nothing cannot be found out about.
        let from = self.partition.position().expect("a position").offset;
        let to = Position {
            offset: from,
            metadata: self.appended.to_string().into_bytes(),
        };
        self.partition
            .commit(&mut commit, from, to, Durability::Durable)
            .expect("commits");
    }

    fn end(self) -> u64 {
        drop(self.partition);
        self.group.leave();
        self.appended
    }
}

fn options() -> Options {
    Options {
        batch_rows_max: 150,
        ..quick()
    }
}

/// A sink in this process.
struct Sink {
    stop: watch::Sender<bool>,
    running: JoinHandle<Result<(), SinkError>>,
}

impl Sink {
    fn start(replica: Replica, client: Client) -> Sink {
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(run_replica(replica, client, options(), stopped));
        Sink { stop, running }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(40), self.running).await;
        ended
            .expect("stops in time")
            .expect("no panic")
            .expect("no error");
    }
}

async fn ready(turn: &Turn, kafka: &Kafka) {
    migrate(&turn.client()).await.expect("migrates");
    widen_windows(&turn.client(), &kafka.partitions, &options())
        .await
        .expect("widens");
}

async fn looked_at(turn: &Turn, kafka: &Kafka) -> Audit {
    let view = kafka.view();
    audit(&view, &turn.client(), Depth::Groups)
        .await
        .expect("audits")
}

fn rows(audit: &Audit, topic: &str) -> u64 {
    let of_topic = audit.topics.iter().filter(|found| found.topic == topic);
    of_topic.map(|found| found.acknowledged).sum()
}

/// Topics whose every record is a row: of the others, the newest of what they are about stays.
fn counted() -> impl Iterator<Item = &'static str> {
    let newest_stays = [topic::CASCADES, topic::SPREADS, topic::SURGES];
    grapevine_sink::topics().filter(move |topic| !newest_stays.contains(topic))
}

/// Waits until every record of every topic is acknowledged, then judges.
async fn all_there(turn: &Turn, kafka: &Kafka, records: u64) -> Audit {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let audit = looked_at(turn, kafka).await;
        let there = |topic: &str| rows(&audit, topic) >= records;
        if counted().all(there) || Instant::now() > deadline {
            assert!(audit.is_clean(), "{:?}", audit.problems);
            for topic in counted() {
                assert_eq!(rows(&audit, topic), records, "{topic}: {:?}", audit.topics);
            }
            return audit;
        }
        assert!(
            !audit
                .problems
                .iter()
                .any(|problem| matches!(problem, grapevine_sink::Problem::Double { .. })),
            "{:?}",
            audit.problems
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[test]
fn replicas_share_partitions_and_every_row_is_there_once() {
    let turn = Turn::take();
    let kafka = Kafka::start();
    block_on(async {
        ready(&turn, &kafka).await;
        let mut stage = tokio::task::block_in_place(|| kafka.stage());
        stage.append(300);
        let proxy = Proxy::start(turn.server.address, 7, 5, Duration::from_secs(2)).await;
        let first = Sink::start(kafka.replica("first"), turn.client());
        tokio::time::sleep(Duration::from_secs(4)).await;
        stage.append(200);
        // The second speaks to ClickHouse through a connection that fails.
        let second = Sink::start(kafka.replica("second"), client_of(proxy.address));
        for _ in 0..20 {
            stage.append(20);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        first.stop().await;
        stage.append(100);
        let records = stage.end();
        let audit = all_there(&turn, &kafka, records).await;
        // Offsets have holes where transactions ended.
        let visits = audit
            .topics
            .iter()
            .filter(|found| found.topic == topic::VISITS);
        for found in visits {
            assert!(found.end > found.acknowledged, "{found:?}");
            assert!(found.committed > 0, "{found:?}");
        }
        second.stop().await;

        // By hand, and mended from what Kafka holds.
        for sql in [
            "ALTER TABLE grapevine.visits DELETE WHERE offset % 50 = 3",
            "INSERT INTO grapevine.edges SELECT * FROM grapevine.edges WHERE offset % 100 = 7",
        ] {
            let harm = turn.client().query(sql).with_setting("mutations_sync", "2");
            harm.execute().await.expect(sql);
        }
        let view = kafka.view();
        let damaged = looked_at(&turn, &kafka).await;
        assert!(damaged.problems.len() >= 2, "{:?}", damaged.problems);
        let done = repair(&view, &turn.client(), &damaged, &options())
            .await
            .expect("repairs");
        assert!(
            done.inserted > 0 && done.removed > 0 && done.left.is_empty(),
            "{done:?}"
        );
        all_there(&turn, &kafka, records).await;
    });
}

/// ClickHouse may go away between any two questions of a start: after the migrations as well.
#[test]
fn a_start_waits_for_a_clickhouse_that_comes_and_goes() {
    let turn = Turn::take();
    let partitions: Partitions = grapevine_sink::topics()
        .map(|topic| (topic.to_owned(), PARTITIONS))
        .collect();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        let options = options();
        let proxy = Proxy::start(turn.server.address, 3, 6, Duration::from_secs(2)).await;
        let client = client_of(proxy.address);
        for _ in 0..5 {
            let (_stop, stopped) = watch::channel(false);
            let made = migrate_when_there(&client, &partitions, &options, stopped);
            assert!(made.await.expect("waits"), "nobody stops it");
        }
        assert!(proxy.faults() > 3, "{} faults", proxy.faults());
    });
}

#[test]
fn sinks_until_killed() {
    let Ok(bootstrap) = std::env::var("GRAPEVINE_SINK_CHILD_KAFKA") else {
        return;
    };
    let of = |name: &str| std::env::var(name).expect(name);
    show_log();
    let engine: SocketAddr = of("GRAPEVINE_SINK_CHILD_ENGINE").parse().expect("address");
    let partitions = grapevine_sink::topics()
        .map(|topic| (topic.to_owned(), PARTITIONS))
        .collect();
    let replica = Replica {
        connection: connection(&bootstrap),
        membership: membership(GROUP, &of("GRAPEVINE_SINK_CHILD_NAME"), Vec::new()),
        partitions,
        is_joined: watch::Sender::new(false),
    };
    block_on(async {
        let (_stop, stopped) = watch::channel(false);
        let ended = run_replica(replica, client_of(engine), options(), stopped).await;
        panic!("nobody stops it: {ended:?}");
    });
}

fn child(turn: &Turn, kafka: &Kafka, name: &str) -> GuardedProcess {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env("GRAPEVINE_SINK_CHILD_KAFKA", kafka.cluster.bootstrap())
        .env(
            "GRAPEVINE_SINK_CHILD_ENGINE",
            turn.server.address.to_string(),
        )
        .env("GRAPEVINE_SINK_CHILD_NAME", name);
    let output = kafka.scratch.path().join(name);
    GuardedProcess::start(&mut command, &output).expect("starts")
}

#[test]
fn nothing_is_lost_or_double_after_kills_of_replicas_and_brokers() {
    let kills: u64 = std::env::var("GRAPEVINE_SINK_KILLS")
        .ok()
        .map_or(8, |kills| kills.parse().expect("a number of kills"));
    let turn = Turn::take();
    // A lone broker may forget the end of a transaction (docs/crash-tests.md).
    let mut kafka = Kafka::of(3);
    let mut dice = ChaCha8Rng::seed_from_u64(23);
    block_on(async {
        ready(&turn, &kafka).await;
    });
    let producer = Producer::new(&kafka.connection, kafka.partitions.clone()).expect("a producer");
    let mut generator = Generator::new(11);
    let mut appended = 0;
    let mut replicas: Vec<(String, GuardedProcess)> = Vec::new();
    for round in 0..kills {
        while replicas.len() < 2 {
            // A name comes back, as after a restart, or a new one joins.
            let name = format!("replica-{}", dice.random_range(0..3));
            if replicas.iter().all(|(other, _)| *other != name) {
                let child = child(&turn, &kafka, &name);
                replicas.push((name, child));
            }
        }
        for _ in 0..10 {
            let mut commit = Commit::default();
            let records = 1 + generator.number(60);
            for topic in grapevine_sink::topics() {
                for _ in 0..records {
                    generator.append(topic, &mut commit, 30);
                }
            }
            producer
                .append(&commit, Duration::from_secs(60))
                .expect("appends");
            appended += records;
            std::thread::sleep(Duration::from_millis(dice.random_range(20..300)));
        }
        if round % 4 == 3 {
            let which = dice.random_range(0..3);
            kafka.cluster.kill(which);
            std::thread::sleep(Duration::from_millis(dice.random_range(100..2_000)));
            kafka.cluster.start_again(which).expect("starts again");
            kafka.cluster.wait_until_ready().expect("is ready");
        } else {
            let which = dice.random_range(0..replicas.len());
            let (_, mut child) = replicas.remove(which);
            child.kill();
        }
    }
    for (_, mut child) in replicas {
        child.kill();
    }
    block_on(async {
        let last = Sink::start(kafka.replica("last"), turn.client());
        let audit = all_there(&turn, &kafka, appended).await;
        last.stop().await;
        let rows: u64 = audit.topics.iter().map(|found| found.rows).sum();
        tracing::info!(kills, rows, "every row once");
    });
}

/// A replica that stands still past its session has lost its partitions when it wakes, in the
/// middle of whatever it was doing.
#[test]
fn a_replica_that_wakes_too_late_changes_nothing() {
    let turn = Turn::take();
    let kafka = Kafka::start();
    block_on(async { ready(&turn, &kafka).await });
    let producer = Producer::new(&kafka.connection, kafka.partitions.clone()).expect("a producer");
    let mut generator = Generator::new(12);
    let mut append = |records: u64| {
        let mut commit = Commit::default();
        for topic in grapevine_sink::topics() {
            for _ in 0..records {
                generator.append(topic, &mut commit, 30);
            }
        }
        producer
            .append(&commit, Duration::from_secs(60))
            .expect("appends");
    };
    append(1_200);
    let mut sleeper = child(&turn, &kafka, "sleeper");
    // In the middle of its batches.
    let deadline = Instant::now() + PATIENCE;
    block_on(async {
        loop {
            let audit = looked_at(&turn, &kafka).await;
            if rows(&audit, topic::VISITS) > 0 {
                break;
            }
            assert!(Instant::now() < deadline, "nothing was written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    sleeper.pause();
    append(500);
    block_on(async {
        let other = Sink::start(kafka.replica("other"), turn.client());
        all_there(&turn, &kafka, 1_700).await;
        sleeper.resume();
        append(500);
        tokio::time::sleep(Duration::from_secs(8)).await;
        all_there(&turn, &kafka, 2_200).await;
        other.stop().await;
    });
    sleeper.kill();
}

/// A replica that is alone gets its partitions back as soon as it wakes: while those who held them
/// before still wait for records in the same process.
#[test]
fn a_replica_that_stands_still_alone_loses_nothing() {
    let turn = Turn::take();
    let kafka = Kafka::start();
    block_on(async { ready(&turn, &kafka).await });
    let producer = Producer::new(&kafka.connection, kafka.partitions.clone()).expect("a producer");
    let mut generator = Generator::new(14);
    let mut appended = 0;
    let mut sleeper = child(&turn, &kafka, "sleeper");
    for _ in 0..3 {
        // A record of each partition at least, there when it wakes.
        for _ in 0..2 {
            let mut commit = Commit::default();
            for topic in grapevine_sink::topics() {
                for _ in 0..20 {
                    generator.append(topic, &mut commit, 30);
                }
            }
            producer
                .append(&commit, Duration::from_secs(60))
                .expect("appends");
            appended += 20;
        }
        sleeper.resume();
        block_on(all_there(&turn, &kafka, appended));
        sleeper.pause();
        // Past its session.
        std::thread::sleep(Duration::from_secs(8));
    }
    sleeper.resume();
    sleeper.kill();
}

#[test]
fn letters_go_with_their_plan_and_back_to_their_topic_once() {
    let turn = Turn::take();
    let kafka = Kafka::start();
    block_on(async {
        ready(&turn, &kafka).await;
        let producer =
            Producer::new(&kafka.connection, kafka.partitions.clone()).expect("a producer");
        let mut commit = Commit::default();
        let mut generator = Generator::new(13);
        for number in 0..60 {
            match number % 20 {
                7 => commit.append(topic::VISITS, format!("no visit {number}").as_bytes()),
                _ => generator.append(topic::VISITS, &mut commit, 3),
            }
        }
        producer
            .append(&commit, Duration::from_secs(60))
            .expect("appends");
        let sink = Sink::start(kafka.replica("one"), turn.client());
        let count = async |sql: &str| turn.client().query(sql).fetch_one::<u64>().await;
        const LETTERS: &str =
            "SELECT count() FROM grapevine.dead_letters WHERE stage = 'sink' AND source = 'visits'";
        let wait_for = async |sql: &str, wanted: u64| {
            let deadline = Instant::now() + PATIENCE;
            while count(sql).await.expect("asks") != wanted {
                assert!(Instant::now() < deadline, "{sql} is not {wanted}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        wait_for(LETTERS, 3).await;
        wait_for("SELECT count() FROM grapevine.visits", 57).await;

        // Each goes back once, and is a letter again from its new place.
        let connection = kafka.connection.clone();
        let partitions = kafka.partitions.clone();
        let replaying = Onlooker::new(&connection, &format!("{GROUP}.{}", grapevine_sink::REPLAY));
        let replaying = replaying.expect("looks");
        let standing = || -> Vec<Option<Position>> {
            let of = |partition| replaying.position(topic::DEAD_LETTERS, partition);
            (0..PARTITIONS)
                .map(of)
                .collect::<Result<_, _>>()
                .expect("an answer")
        };
        let mut stood = standing();
        for (sendable, sent_before) in [(3, 0), (3, 3)] {
            let view = kafka.view();
            let (connection, partitions) = (connection.clone(), partitions.clone());
            let found = tokio::task::spawn_blocking(move || {
                grapevine_sink::replay_on_kafka(
                    &connection,
                    membership(GROUP, "one", Vec::new()),
                    partitions,
                    &view,
                    Replay::new(Filter::default()),
                    false,
                )
            });
            let found = found.await.expect("no panic").expect("replays");
            assert_eq!(
                found.sendable.get(topic::VISITS),
                Some(&sendable),
                "{found:?}"
            );
            assert_eq!(found.sent_before, sent_before);
            // One that moved nothing could not be found out about where its answer is lost.
            let stands = standing();
            assert_ne!(stands, stood, "each commit moves the group");
            stood = stands;
            wait_for(LETTERS, 3 + sent_before + sendable).await;
        }
        sink.stop().await;
        let audit = looked_at(&turn, &kafka).await;
        assert!(audit.is_clean(), "{:?}", audit.problems);
    });
}
