//! The collector on Apache Kafka: what is acknowledged is there, through brokers that are killed,
//! stopped and not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use grapevine_event::{Record, topic};
use grapevine_kafka_testing::{Cluster, Security};
use grapevine_log::kafka::topics::{Creation, Wish, ensure};
use grapevine_log::kafka::{Connection, Producer};
use grapevine_producer::collector::{
    AppenderThread, Collector, CollectorConfig, Connect, router, serve,
};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::spool::Spool;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use reqwest::StatusCode;
use serde_json::json;

const PARTITIONS: i32 = 4;
const WITHIN: Duration = Duration::from_secs(60);

fn connection(cluster: &Cluster) -> Connection {
    let mut properties: BTreeMap<String, String> =
        cluster.client_properties().into_iter().collect();
    let brokers = properties.remove("bootstrap.servers").unwrap();
    Connection::new(&brokers, properties, None).unwrap()
}

fn connect(connection: Connection) -> Connect {
    let wish = |name| Wish {
        name,
        partitions: Some(PARTITIONS),
        retention: Duration::from_secs(3600),
        retention_min: Duration::from_secs(60),
    };
    let creation = Creation {
        allowed: true,
        replication: None,
        partitions: PARTITIONS,
    };
    Box::new(move || {
        let wishes = [wish(topic::HITS_RAW), wish(topic::DEAD_LETTERS)];
        let partitions = ensure(&connection, &wishes, creation).map_err(|e| e.to_string())?;
        Producer::new(&connection, partitions).map_err(|e| e.to_string())
    })
}

struct Running {
    base: String,
    client: reqwest::Client,
    collector: Collector,
    thread: AppenderThread,
    stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(connect: Connect, spool: &Path, spool_bytes_max: u64) -> Running {
        let spool = Spool::open(spool, spool_bytes_max).unwrap();
        let (collector, thread) = Collector::start_on_kafka(
            connect,
            spool,
            Pseudonyms::new(&[3; 32]),
            CollectorConfig::default(),
        )
        .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let served = tokio::spawn(serve(listener, router(collector.clone()), stopped));
        Running {
            base,
            client: reqwest::Client::new(),
            collector,
            thread,
            stop,
            served,
        }
    }

    /// Sends hits with these numbers, as many visitors as there are remainders of ten.
    async fn send(&self, numbers: std::ops::Range<u64>) -> reqwest::Response {
        let hits: Vec<String> = numbers
            .map(|number| {
                json!({
                    "site": "example.org",
                    "url": format!("https://example.org/{number}"),
                    "id": format!("hit-{number}"),
                    "visitor": format!("visitor-{}", number % 10),
                })
                .to_string()
            })
            .collect();
        self.client
            .post(format!("{}/v1/hits", self.base))
            .body(hits.join("\n"))
            .send()
            .await
            .unwrap()
    }

    async fn ready(&self) -> (StatusCode, serde_json::Value) {
        let url = format!("{}/health/ready", self.base);
        let response = self.client.get(url).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn drained(&self) {
        let deadline = Instant::now() + WITHIN;
        while self.collector.outbox().unwrap().spooled_bytes > 0 {
            assert!(Instant::now() < deadline, "{:?}", self.collector.outbox());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        drop(self.collector);
        let thread = self.thread;
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .unwrap();
    }
}

/// What is in `hits.raw`: by partition the numbers of the hits in order, and how many heartbeats.
#[derive(Debug, Default)]
struct Seen {
    numbers: BTreeMap<i32, Vec<u64>>,
    heartbeats: BTreeMap<i32, usize>,
}

impl Seen {
    fn read(cluster: &Cluster) -> Seen {
        let consumer: BaseConsumer = cluster
            .client_config()
            .set("bootstrap.servers", cluster.back_door())
            .set("security.protocol", "plaintext")
            .set("group.id", "test")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..PARTITIONS {
            let (_, end) = consumer
                .fetch_watermarks(topic::HITS_RAW, partition, WITHIN)
                .unwrap();
            left += end;
            list.add_partition_offset(topic::HITS_RAW, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut seen = Seen::default();
        let deadline = Instant::now() + WITHIN;
        // Nothing here is transactional, so offsets have no holes.
        while left > 0 {
            assert!(Instant::now() < deadline, "{left} records to come");
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message.unwrap();
            left -= 1;
            match Record::decode(message.payload().unwrap()).unwrap() {
                Record::Hit(hit) => {
                    let number = hit.url.rsplit('/').next().unwrap().parse().unwrap();
                    seen.numbers
                        .entry(message.partition())
                        .or_default()
                        .push(number);
                }
                Record::Heartbeat(_) => {
                    *seen.heartbeats.entry(message.partition()).or_default() += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        seen
    }

    fn all(&self) -> BTreeSet<u64> {
        self.numbers.values().flatten().copied().collect()
    }

    /// Each visitor's hits are in one partition, and in the order in which they were sent, apart
    /// from repetitions.
    fn check_order(&self) {
        let mut home: BTreeMap<u64, i32> = BTreeMap::new();
        for (partition, numbers) in &self.numbers {
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            let mut met = BTreeSet::new();
            for number in numbers {
                let visitor = number % 10;
                assert_eq!(*home.entry(visitor).or_insert(*partition), *partition);
                if met.insert(*number) {
                    let before = last.insert(visitor, *number);
                    assert!(before.is_none_or(|before| before < *number), "{self:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_go_to_the_partition_of_their_visitor_and_time_to_all() {
    let cluster = Cluster::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(connect(connection(&cluster)), directory.path(), 1 << 20).await;
    for batch in 0..20 {
        let response = running.send(batch * 10..batch * 10 + 10).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    // A second after the hits.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(running.ready().await.0, StatusCode::OK);
    running.stop().await;
    let seen = Seen::read(&cluster);
    assert_eq!(seen.all(), (0..200).collect());
    assert!(seen.numbers.len() > 1, "visitors are spread: {seen:?}");
    seen.check_order();
    assert_eq!(seen.heartbeats.len() as i32, PARTITIONS, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_while_the_broker_is_killed_is_there_when_it_is_back() {
    let mut cluster = Cluster::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(connect(connection(&cluster)), directory.path(), 1 << 24).await;
    let mut next = 0;
    let send = async |count: u64, next: &mut u64| {
        for _ in 0..count {
            let response = running.send(*next..*next + 10).await;
            assert_eq!(response.status(), StatusCode::OK);
            *next += 10;
        }
    };
    send(10, &mut next).await;
    for round in 0..3 {
        cluster.kill(0);
        let before = Instant::now();
        send(10, &mut next).await;
        // Senders wait for the broker once, and not each of them.
        assert!(before.elapsed() < Duration::from_secs(15));
        let (status, body) = running.ready().await;
        assert_eq!(status, StatusCode::OK, "there is room: {body}");
        assert!(body["spooled_bytes"].as_u64() > Some(0), "{body}");
        cluster.start_again(0).unwrap();
        // The spool drains while more comes.
        send(10, &mut next).await;
        cluster.wait_until_ready().unwrap();
        running.drained().await;
        send(10, &mut next).await;
        assert_eq!(
            running.ready().await.1,
            json!({"status": "ready"}),
            "{round}"
        );
    }
    running.stop().await;
    let seen = Seen::read(&cluster);
    assert_eq!(seen.all(), (0..next).collect());
    seen.check_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_answers_nothing_is_a_broker_that_is_away() {
    let mut cluster = Cluster::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(connect(connection(&cluster)), directory.path(), 1 << 24).await;
    assert_eq!(running.send(0..10).await.status(), StatusCode::OK);
    running.drained().await;
    cluster.pause(0);
    assert_eq!(running.send(10..20).await.status(), StatusCode::OK);
    assert_eq!(running.send(20..30).await.status(), StatusCode::OK);
    assert!(running.collector.outbox().unwrap().spooled_bytes > 0);
    cluster.resume(0);
    running.drained().await;
    running.stop().await;
    let seen = Seen::read(&cluster);
    assert_eq!(seen.all(), (0..30).collect());
    seen.check_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_hits_wait_and_a_full_spool_says_so() {
    let mut cluster = Cluster::start().unwrap();
    cluster.stop(0);
    let connection = connection(&cluster);
    let away: Connect = Box::new(|| Err("nobody there".to_owned()));
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(away, directory.path(), 10_000).await;
    let mut taken = 0;
    let refused = loop {
        let response = running.send(taken..taken + 10).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        taken += 10;
    };
    assert!(taken > 0);
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let body: serde_json::Value = refused.json().await.unwrap();
    assert!(body["error"].as_str().unwrap().contains("spool is full"));
    let (status, body) = running.ready().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    running.stop().await;

    // The next start finds them.
    cluster.start_again(0).unwrap();
    cluster.wait_until_ready().unwrap();
    let running = Running::start(connect(connection), directory.path(), 1 << 20).await;
    assert_eq!(
        running.send(taken..taken + 10).await.status(),
        StatusCode::OK
    );
    running.drained().await;
    running.stop().await;
    let seen = Seen::read(&cluster);
    assert_eq!(seen.all(), (0..taken + 10).collect());
    seen.check_order();
}

/// TLS and every way of being let in, through the product's own connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_demands_tls_and_credentials_gets_them() {
    for security in [
        Security::MutualTls,
        Security::Plain,
        Security::ScramSha256,
        Security::ScramSha512,
    ] {
        let cluster = Cluster::builder().security(security).start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let connection = connection(&cluster);
        let running = Running::start(connect(connection), directory.path(), 1 << 20).await;
        assert_eq!(running.send(0..10).await.status(), StatusCode::OK);
        running.drained().await;
        running.stop().await;
        assert_eq!(
            Seen::read(&cluster).all(),
            (0..10).collect(),
            "{security:?}"
        );
    }
}
