//! `grapevine collect` on Apache Kafka: the real process and the broker, killed, stopped and paused
//! at seeded moments under constant load. Every acknowledged hit is in `hits.raw`, and a visitor's
//! hits are in order.
//!
//! `GRAPEVINE_KILLS` sets how many faults there are; docs/crash-tests.md says what a long run
//! showed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use grapevine_event::{Record, topic};
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, ScratchDirectory};
use grapevine_tests::stages::World;
use grapevine_tests::{Moments, command};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);
const PARTITIONS: i32 = 3;
const BATCH: u64 = 10;
const VISITORS: u64 = 30;

fn faults(default: u64) -> u64 {
    match std::env::var("GRAPEVINE_KILLS") {
        Ok(text) => text.parse().expect("GRAPEVINE_KILLS is a number"),
        Err(_) => default,
    }
}

fn collect(data_dir: &Path, brokers: &str, port: &Port) -> std::process::Command {
    let mut command = command(data_dir);
    command
        .arg("collect")
        .arg("--collector-listen")
        .arg(format!("127.0.0.1:{}", port.number()))
        .env("GRAPEVINE_KAFKA__BROKERS", brokers)
        .env("GRAPEVINE_KAFKA__PARTITIONS", PARTITIONS.to_string())
        .env("GRAPEVINE_KAFKA__REPLICATION", "1");
    command
}

fn batch(first: u64) -> String {
    let hit = |number: u64| {
        json!({
            "site": "news.example",
            "url": format!("https://news.example/{number}"),
            "id": format!("hit-{number}"),
            "visitor": format!("reader-{}", number % VISITORS),
        })
        .to_string()
    };
    let hits: Vec<String> = (first..first + BATCH).map(hit).collect();
    hits.join("\n")
}

/// Sends batch after batch, each until it is acknowledged, and counts those.
fn load(url: String, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let client = reqwest::blocking::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .expect("client");
    while !stop.load(Ordering::Relaxed) {
        let first = acknowledged.load(Ordering::Relaxed);
        match client.post(&url).body(batch(first)).send() {
            Ok(answer) if answer.status() == 200 => {
                acknowledged.fetch_add(BATCH, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(answer) if answer.status() == 503 => std::thread::sleep(Duration::from_millis(100)),
            Ok(answer) => panic!("{}: {:?}", answer.status(), answer.text()),
            // Killed, or not there yet.
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Numbers of the hits of each partition of `hits.raw`, in order.
fn hits(cluster: &Cluster) -> BTreeMap<i32, Vec<u64>> {
    let consumer: BaseConsumer = cluster
        .client_config()
        .set("group.id", "the judge")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic::HITS_RAW, partition, Offset::Beginning)
            .expect("a place");
    }
    consumer.assign(&list).expect("assigned");
    let mut found: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    let mut ends = 0;
    while ends < PARTITIONS {
        match consumer.poll(PATIENCE).expect("something is said") {
            Ok(message) => {
                let record = Record::decode(message.payload().expect("a record"));
                if let Record::Hit(hit) = record.expect("decodes") {
                    let number = hit.url.rsplit('/').next().expect("a path");
                    let numbers = found.entry(message.partition()).or_default();
                    numbers.push(number.parse().expect("a number"));
                }
            }
            Err(KafkaError::PartitionEOF(_)) => ends += 1,
            Err(error) => panic!("{error}"),
        }
    }
    found
}

#[test]
fn acknowledged_hits_are_there_whatever_was_killed() {
    let mut cluster = Cluster::start().expect("a broker");
    let scratch = ScratchDirectory::new().expect("a directory");
    let (data_dir, output) = (scratch.path().join("data"), scratch.path().join("output"));
    let port = Port::take().expect("a port");
    let brokers = cluster.bootstrap();
    let start = || {
        GuardedProcess::start(&mut collect(&data_dir, &brokers, &port), &output).expect("starts")
    };
    let mut collector = start();
    let (acknowledged, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let sender = std::thread::spawn({
        let url = format!("http://127.0.0.1:{}/v1/hits", port.number());
        let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        move || load(url, acknowledged, stop)
    });
    let wait_for_more = |batches: u64| {
        let wanted = acknowledged.load(Ordering::Relaxed) + batches * BATCH;
        let deadline = Instant::now() + PATIENCE;
        while acknowledged.load(Ordering::Relaxed) < wanted {
            assert!(Instant::now() < deadline, "hits are taken again");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    wait_for_more(5);
    let mut moments = Moments::new(21);
    for _ in 0..faults(12) {
        let pause = Duration::from_millis(200 + moments.below(2000));
        match moments.below(5) {
            0 | 1 => {
                collector.kill();
                collector = start();
            }
            2 => {
                let ended = collector.stop(PATIENCE).expect("it ends by itself");
                assert_eq!(ended.code(), Some(0), "{}", collector.last_words(20));
                collector = start();
            }
            3 => {
                cluster.kill(0);
                std::thread::sleep(pause);
                cluster.start_again(0).expect("a process");
            }
            _ => {
                cluster.pause(0);
                std::thread::sleep(pause);
                cluster.resume(0);
            }
        }
        std::thread::sleep(pause);
    }
    cluster.wait_until_ready().expect("ready");
    wait_for_more(20);
    stop.store(true, Ordering::Relaxed);
    sender.join().expect("sender");
    let ended = collector.stop(PATIENCE).expect("it ends by itself");
    assert_eq!(ended.code(), Some(0), "{}", collector.last_words(20));

    let sent = acknowledged.load(Ordering::Relaxed);
    let found = hits(&cluster);
    let all: BTreeSet<u64> = found.values().flatten().copied().collect();
    let missing: Vec<u64> = (0..sent).filter(|number| !all.contains(number)).collect();
    assert_eq!(missing, [0_u64; 0], "acknowledged and not there, of {sent}");
    let strange: Vec<&u64> = all.range(sent + BATCH..).collect();
    assert!(strange.is_empty(), "there and never sent: {strange:?}");
    let mut homes = BTreeMap::new();
    for (partition, numbers) in &found {
        let mut met = BTreeSet::new();
        let mut last = BTreeMap::new();
        for number in numbers.iter().filter(|number| met.insert(**number)) {
            let visitor = number % VISITORS;
            assert_eq!(*homes.entry(visitor).or_insert(*partition), *partition);
            let before = last.insert(visitor, *number);
            assert!(before < Some(*number), "{before:?} before {number}");
        }
    }
}

/// Contents of the visits and events of a site, each as often as it is there.
fn contents(world: &World, site: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for ((topic, _), records) in world.outputs() {
        for record in records {
            let (of, content) = match Record::decode(&record) {
                Ok(Record::Visit(visit)) if topic == topic::VISITS => (visit.site, visit.content),
                Ok(Record::VisitEvent(event)) if topic == topic::EVENTS => {
                    (event.site, event.content)
                }
                _ => continue,
            };
            if of == site {
                *found.entry(content.into_owned()).or_default() += 1;
            }
        }
    }
    found
}

/// A broker that stands still has taken what it says nothing of: the spool takes over, and brings the same
/// hits once more. Nobody gave them ids.
#[test]
fn hits_without_ids_count_once_though_the_spool_sends_them_again() {
    const SENDERS: usize = 4;
    const ROUNDS: u64 = 20;
    let mut world = World::new(1);
    let scratch = ScratchDirectory::new().expect("a directory");
    let port = Port::take().expect("a port");
    let brokers = world.cluster.bootstrap();
    let mut collect = collect(&scratch.path().join("data"), &brokers, &port);
    collect.env("GRAPEVINE_KAFKA__PARTITIONS", "1");
    let mut collector =
        GuardedProcess::start(&mut collect, &scratch.path().join("output")).expect("starts");
    let next = AtomicU64::new(0);
    let url = format!("http://127.0.0.1:{}/v1/hits", port.number());
    let send = |stop: &AtomicBool| {
        let client = reqwest::blocking::Client::builder().timeout(PATIENCE);
        let client = client.build().expect("a client");
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let hit = json!({
                "site": "news.example",
                "url": format!("https://news.example/{number}"),
                "visitor": format!("reader-{number}"),
            });
            let send = || client.post(&url).body(hit.to_string()).send();
            // Until it is taken: before the collector listens nothing of it is.
            while !send().is_ok_and(|answer| answer.status() == 200) {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let repeated = |world: &World| -> u64 {
        let mut ids: BTreeMap<_, u64> = BTreeMap::new();
        for record in &world.outputs()[&(topic::HITS_RAW, 0)] {
            if let Ok(Record::Hit(hit)) = Record::decode(record) {
                *ids.entry(hit.hit_id).or_default() += 1;
            }
        }
        ids.values().map(|copies| copies - 1).sum()
    };
    let mut repeats = 0;
    for _ in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(|| send(&stop));
            }
            std::thread::sleep(Duration::from_millis(1500));
            world.cluster.pause(0);
            std::thread::sleep(Duration::from_secs(3));
            world.cluster.resume(0);
            std::thread::sleep(Duration::from_millis(1500));
            stop.store(true, Ordering::Relaxed);
        });
        repeats = repeated(&world);
        if repeats > 0 {
            break;
        }
    }
    let ended = collector.stop(PATIENCE).expect("it ends by itself");
    assert_eq!(ended.code(), Some(0), "{}", collector.last_words(20));
    assert!(repeats > 0, "the broker took nothing twice");

    // Behind them all, so that what comes out with it is all of it. It has no token, whose owner it would wait for.
    world.feed(1..2);
    let sent = next.load(Ordering::Relaxed);
    let replica = world.enrich(&scratch.path().join("enrich"), "one", &[]);
    let deadline = Instant::now() + PATIENCE;
    while contents(&world, "example.org").is_empty() {
        assert!(Instant::now() < deadline, "nothing comes out");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let found = contents(&world, "news.example");
    let double: Vec<_> = found.iter().filter(|(_, copies)| **copies > 1).collect();
    assert!(
        double.is_empty(),
        "{repeats} came twice to classify: {double:?}"
    );
    assert_eq!(found.len() as u64, sent, "{repeats} came twice to classify");
}

#[test]
fn what_is_wrong_ends_the_start_with_its_remedy() {
    let mut cluster = Cluster::start().expect("a broker");
    cluster
        .create_topic(topic::HITS_RAW, PARTITIONS + 1, &[])
        .expect("a topic");
    let scratch = ScratchDirectory::new().expect("a directory");
    let port = Port::take().expect("a port");
    let key = scratch.path().join("key");
    std::fs::write(&key, "short").expect("writes");
    let damaged = scratch.path().join("damaged");
    std::fs::create_dir_all(damaged.join("spool")).expect("makes");
    std::fs::write(damaged.join("format"), "1\n").expect("writes");
    for segment in 0..2 {
        let path = damaged.join(format!("spool/{segment:020}"));
        std::fs::write(path, "no entry").expect("writes");
    }
    let fresh = scratch.path().join("fresh");
    let key = key.display().to_string();
    for (data_dir, name, value, code, says) in [
        (
            &fresh,
            "GRAPEVINE_KAFKA__REPLICATION",
            "1",
            78,
            "partitions",
        ),
        (
            &fresh,
            "GRAPEVINE_COLLECTOR__PSEUDONYM_KEY_FILE",
            key.as_str(),
            78,
            "32 random bytes",
        ),
        (
            &fresh,
            "GRAPEVINE_COLLECTOR__SPOOL_BYTES_MAX",
            "much",
            78,
            "spool_bytes_max",
        ),
        (
            &damaged,
            "GRAPEVINE_KAFKA__REPLICATION",
            "1",
            65,
            "truncate",
        ),
    ] {
        let output = collect(data_dir, &cluster.bootstrap(), &port)
            .env(name, value)
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(says), "{name}: {said}");
    }
}
