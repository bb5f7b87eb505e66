//! The services with a schema registry: real Kafka, Apicurio's registry, ClickHouse's engine. The
//! registry is away at the start and in the middle; what nobody knows becomes a dead letter.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grapevine_event::{Hit, Id, RecordType, frame, topic};
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, Registry};
use grapevine_log::kafka::{Connection, Onlooker, Producer};
use grapevine_log::{Commit, Key};
use grapevine_registry::Credentials;
use grapevine_tests::clickhouse::{PASSWORD, USER};
use grapevine_tests::command;
use reqwest::blocking::Client;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
const BROWSER: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Safari/537.36";
/// No registry of these tests gives it.
const UNKNOWN_ID: u32 = 4_000_000_000;

struct World {
    dir: tempfile::TempDir,
    cluster: Cluster,
    registry: Registry,
    /// ClickHouse's engine, of which a process can have one.
    _engine: GuardedProcess,
    clickhouse: Port,
    collector: Port,
    http: Client,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = dir.path().join("clickhouse");
        std::fs::create_dir(&store).expect("directory");
        let clickhouse = Port::take().expect("a port");
        let mut engine = Command::new(env!("CARGO_BIN_EXE_crash"));
        engine
            .arg("clickhouse")
            .arg(&store)
            .arg(format!("127.0.0.1:{}", clickhouse.number()));
        let said = dir.path().join("clickhouse.log");
        World {
            _engine: GuardedProcess::start(&mut engine, &said).expect("starts"),
            clickhouse,
            dir,
            cluster: Cluster::start().expect("kafka"),
            registry: Registry::start().expect("a registry"),
            collector: Port::take().expect("a port"),
            http: Client::new(),
        }
    }

    fn grapevine(&self, service: &str) -> Command {
        let mut command = command(&self.dir.path().join(service));
        command
            .arg(service)
            .env("GRAPEVINE_KAFKA__BROKERS", self.cluster.bootstrap())
            .env("GRAPEVINE_KAFKA__PARTITIONS", "2")
            .env("GRAPEVINE_KAFKA__REPLICATION", "1")
            .env("GRAPEVINE_KAFKA__REPLICA", "one")
            .env("GRAPEVINE_REGISTRY__URL", self.registry.url())
            .env(
                "GRAPEVINE_CLICKHOUSE__URL",
                format!("http://127.0.0.1:{}", self.clickhouse.number()),
            )
            .env("GRAPEVINE_CLICKHOUSE__USER", USER)
            .env("GRAPEVINE_CLICKHOUSE__PASSWORD", PASSWORD);
        command
    }

    fn start(&self, service: &str, operations: &Port) -> GuardedProcess {
        let listen = format!("127.0.0.1:{}", operations.number());
        let mut command = self.grapevine(service);
        command.env("GRAPEVINE_OPERATIONS__LISTEN", listen);
        if service == "collect" {
            let listen = format!("127.0.0.1:{}", self.collector.number());
            command.args(["--collector-listen", &listen]);
        }
        let output = self.dir.path().join(format!("{service}.log"));
        GuardedProcess::start(&mut command, &output).expect("starts")
    }

    /// Sends hits of a range of numbers, once the collector listens.
    fn send(&self, numbers: std::ops::Range<u32>) {
        let url = format!("http://127.0.0.1:{}/v1/hits", self.collector.number());
        for number in numbers {
            let body = format!(
                r#"{{"id":"hit-{number}","site":"example.org","url":"https://example.org/story-{number}"}}"#
            );
            wait("a hit is taken", || {
                let request = self.http.post(&url).header("user-agent", BROWSER);
                let answer = request.body(body.clone()).send();
                answer.is_ok_and(|answer| answer.status().is_success())
            });
        }
    }

    fn ask(&self, sql: &str) -> String {
        let url = format!("http://127.0.0.1:{}/", self.clickhouse.number());
        let answer = (self.http.post(url))
            .basic_auth(USER, Some(PASSWORD))
            .body(sql.to_owned())
            .send()
            .and_then(reqwest::blocking::Response::text);
        answer.unwrap_or_default().trim().to_owned()
    }

    fn wait_for(&self, sql: &str, wanted: &str) {
        wait(&format!("{sql} is {wanted}"), || self.ask(sql) == wanted);
    }

    /// Appends a message to `hits.raw`, past collector and registry.
    fn append_raw(&self, message: &[u8]) {
        let counts = [(topic::HITS_RAW.to_owned(), 2)].into_iter().collect();
        let connection = Connection::new(&self.cluster.bootstrap(), Default::default(), None);
        let connection = connection.expect("a connection");
        let producer = Producer::new(&connection, counts).expect("a producer");
        let mut commit = Commit::default();
        let write = |out: &mut Vec<u8>| -> Result<(), ()> {
            out.extend_from_slice(message);
            Ok(())
        };
        (commit.append_keyed(topic::HITS_RAW, Key::new("example.org", b"x"), write))
            .expect("appends");
        producer.append(&commit, PATIENCE).expect("acknowledged");
    }

    /// Runs a command that must succeed; what it says.
    fn answer(&self, service: &str, arguments: &[&str]) -> String {
        let output = self.grapevine(service).args(arguments).output();
        let output = output.expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{service}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What `/health/ready` of a service says.
    fn ready(&self, operations: &Port) -> String {
        let url = format!("http://127.0.0.1:{}/health/ready", operations.number());
        let said = self.http.get(url).send();
        said.and_then(reqwest::blocking::Response::text)
            .unwrap_or_default()
    }
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn framed_from_the_collector_to_clickhouse_with_the_registry_away_at_times() {
    let mut world = World::new();
    let ports: Vec<Port> = (0..3).map(|_| Port::take().expect("a port")).collect();

    // Away at the start: hits are taken, and nothing is on the topic.
    world.registry.kill();
    let _collect = world.start("collect", &ports[0]);
    let _enrich = world.start("enrich", &ports[1]);
    let _sink = world.start("sink", &ports[2]);
    world.send(0..5);
    for port in &ports[..2] {
        wait("the registry is named", || {
            world.ready(port).contains("schema registry")
        });
    }
    world.registry.start_again().expect("back");
    let rows =
        "SELECT (SELECT count() FROM grapevine.visits) + (SELECT count() FROM grapevine.events)";
    world.wait_for(rows, "5");

    // What is on the topics is framed.
    let connection = Connection::new(&world.cluster.bootstrap(), Default::default(), None);
    let connection = connection.expect("a connection");
    let onlooker = Onlooker::new(&connection, "nobody").expect("an onlooker");
    for name in [topic::HITS_RAW, topic::HITS_CLASSIFIED, topic::VISITS] {
        let mut seen = 0;
        for partition in 0..2 {
            let mut take = |_: u64, message: &[u8]| {
                assert_eq!(message.first(), Some(&0), "{name}");
                seen += 1;
            };
            (onlooker.read(name, partition, 0..u64::MAX, &mut take)).expect("reads");
        }
        assert!(seen > 0, "{name}");
    }

    // Away in the middle: what was met goes on; an id that was not holds its partition until the
    // registry has said that it knows none.
    world.registry.kill();
    let framed = [&frame::framed_head(UNKNOWN_ID)[..], b"datum"].concat();
    world.append_raw(&framed);
    world.send(5..10);
    wait("enrichment says what it waits for", || {
        world.ready(&ports[1]).contains("schema registry")
    });
    let letters = "SELECT count() FROM grapevine.dead_letters";
    assert_eq!(world.ask(letters), "0");
    world.registry.start_again().expect("back");
    world.wait_for(rows, "10");
    world.wait_for(letters, "1");
    let letter = world
        .ask("SELECT reason, detail, hex(payload), source FROM grapevine.dead_letters FORMAT TSV");
    assert!(letter.starts_with("unknown_schema\t"), "{letter}");
    assert!(letter.contains("4000000000"), "{letter}");
    assert!(letter.contains("grapevine replay"), "{letter}");
    assert!(letter.contains("00EE6B2800646174756D"), "{letter}");

    world.answer("audit", &["--deep"]);
}

/// A state is what the framed input says; what was buried because nobody knew its schema yet goes
/// back once it is known.
#[test]
fn states_are_made_anew_from_framed_input_and_dead_letters_go_back() {
    let world = World::new();
    let ports: Vec<Port> = (0..3).map(|_| Port::take().expect("a port")).collect();
    let _collect = world.start("collect", &ports[0]);
    let mut enrich = world.start("enrich", &ports[1]);
    let _sink = world.start("sink", &ports[2]);
    let visits = "SELECT count() FROM grapevine.visits";
    let events = "SELECT count() FROM grapevine.events";
    world.send(0..1);
    world.wait_for(visits, "1");

    // The registry gives ids one after the other.
    let registry = grapevine_registry::Client::new(&world.registry.url(), Credentials::None, None);
    let registry = registry.expect("an address");
    let last = registry.id_of("last", r#"{"type":"fixed","size":3,"name":"Last"}"#);
    let next = last.expect("taken") + 1;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    let now = i64::try_from(now.as_millis()).expect("milliseconds");
    let id = Id::builder("registry test").number(1).finish();
    let mut hit = Vec::new();
    Hit::page_view(id, "example.org", now, "https://example.org/buried")
        .encode(&mut hit)
        .expect("encodes");
    let (_, datum) = frame::of_single_object(&hit).expect("a record");
    world.append_raw(&[&frame::framed_head(next)[..], datum].concat());
    let letters = "SELECT count() FROM grapevine.dead_letters";
    world.wait_for(letters, "1");

    // Nothing was saved: the state is made of the input alone, and knows the reader.
    enrich.kill();
    let mut enrich = world.start("enrich", &ports[1]);
    let url = format!("http://127.0.0.1:{}/v1/hits", world.collector.number());
    let body = r#"{"id":"again","site":"example.org","url":"https://example.org/story-0"}"#;
    let request = world.http.post(&url).header("user-agent", BROWSER);
    let answer = request.body(body).send().expect("answers");
    assert!(answer.status().is_success(), "{answer:?}");
    world.wait_for(events, "1");
    assert_eq!(world.ask(visits), "1");
    let said = std::fs::read_to_string(world.dir.path().join("enrich.log")).expect("a log");
    assert!(said.contains("replaying"), "{said}");

    // Ended well, it has saved a state in which the letter is none of its hits.
    let ended = enrich.stop(PATIENCE).and_then(|status| status.code());
    assert_eq!(ended, Some(0), "{}", enrich.last_words(20));
    let mut other: Value = serde_json::from_str(RecordType::Hit.text().json).expect("JSON");
    other["doc"] = "The same with other words.".into();
    let known = registry.id_of("late", &other.to_string()).expect("taken");
    assert_eq!(known, next, "the registry gives ids one after the other");
    let _enrich = world.start("enrich", &ports[1]);
    let said = world.answer("replay", &["--format", "json"]);
    let found: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(found["sendable"][topic::HITS_RAW], 1, "{found}");
    world.wait_for(visits, "2");
    world.wait_for(letters, "2");
    let marks = "SELECT count() FROM grapevine.dead_letters WHERE stage = 'replay'";
    assert_eq!(world.ask(marks), "1");
    world.answer("audit", &["--deep"]);
    let said = world.answer("replay", &["--format", "json"]);
    let found: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(found["sendable"], serde_json::json!({}), "{found}");

    // A row that was lost is made of its framed record again.
    world.ask("ALTER TABLE grapevine.visits DELETE WHERE content LIKE '%buried%'");
    world.wait_for(visits, "1");
    world.answer("audit", &["--repair"]);
    world.wait_for(visits, "2");

    let said = world.answer("config", &["check", "--connect"]);
    assert!(said.contains("schema registry at"), "{said}");
}

#[test]
fn a_schema_that_the_registry_refuses_ends_the_start_with_what_to_do() {
    let registry = Registry::start().expect("a registry");
    let http = Client::new();
    let media = "application/vnd.schemaregistry.v1+json";
    let rule = http.put(format!("{}/config", registry.url()));
    let rule = rule
        .header("content-type", media)
        .body(r#"{"compatibility":"FULL"}"#);
    assert!(rule.send().expect("answers").status().is_success());
    let other = r#"{"schema":"{\"type\":\"record\",\"name\":\"Hit\",\"namespace\":\"grapevine\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"}]}"}"#;
    let taken = http.post(format!(
        "{}/subjects/hits.raw-value/versions",
        registry.url()
    ));
    let taken = taken.header("content-type", media).body(other).send();
    assert!(taken.expect("answers").status().is_success());
    let dir = tempfile::tempdir().expect("tempdir");
    let output = command(dir.path())
        .arg("enrich")
        .env("GRAPEVINE_REGISTRY__URL", registry.url())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("hits.raw-value") && said.contains("compatibility"),
        "{said}"
    );
}
