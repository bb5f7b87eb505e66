//! `grapevine sink`, `audit` and `replay` as processes, on Apache Kafka and on ClickHouse's engine
//! behind HTTPS with an account.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use grapevine_embedded::EmbeddedServer;
use grapevine_event::topic;
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, TlsGate};
use grapevine_log::Commit;
use grapevine_log::kafka::{Connection, Producer};
use grapevine_tests::clickhouse::{self, PASSWORD, USER};
use grapevine_tests::command;
use grapevine_tests::stages::share;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

struct Place {
    dir: tempfile::TempDir,
    cluster: Cluster,
    engine: EmbeddedServer,
    url: String,
    ca: PathBuf,
}

impl Place {
    fn grapevine(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.dir.path().join("data"));
        command
            .args(arguments)
            .env("GRAPEVINE_CLICKHOUSE__URL", &self.url)
            .env("GRAPEVINE_CLICKHOUSE__USER", USER)
            .env("GRAPEVINE_CLICKHOUSE__PASSWORD", PASSWORD)
            .env("GRAPEVINE_CLICKHOUSE__CA", &self.ca)
            .env("GRAPEVINE_KAFKA__BROKERS", self.cluster.bootstrap())
            .env("GRAPEVINE_KAFKA__PARTITIONS", "2")
            .env("GRAPEVINE_KAFKA__REPLICATION", "1")
            .env("GRAPEVINE_KAFKA__REPLICA", "one");
        command
    }

    async fn ask(&self, sql: &str) -> String {
        let request = reqwest::Client::new()
            .post(format!(
                "http://{}/?mutations_sync=2",
                self.engine.address()
            ))
            .basic_auth(USER, Some(PASSWORD))
            .body(sql.to_owned());
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{sql}: {}", answer.status());
        answer.text().await.expect("text").trim().to_owned()
    }

    async fn wait_for(&self, sql: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.ask(sql).await;
            if found == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{sql} is {found}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Waits until a service's operations say something.
async fn wait_for_answer(operations: &str, path: &str, says: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = reqwest::get(format!("http://{operations}/{path}")).await;
        let answer = match asked {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        if answer.contains(says) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{path} should say {says}: {answer}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_kafka_to_clickhouse_and_audited() {
    let dir = tempfile::tempdir().expect("tempdir");
    let store = dir.path().join("clickhouse");
    std::fs::create_dir(&store).expect("directory");
    let engine = clickhouse::start(&store, "127.0.0.1:0").expect("the engine");
    let ca = dir.path().join("ca.pem");
    let tls = TlsGate::start(engine.address()).expect("a gate");
    std::fs::write(&ca, tls.authority()).expect("writes");
    let cluster = tokio::task::block_in_place(|| Cluster::start().expect("kafka"));
    let place = Place {
        dir,
        cluster,
        engine,
        url: format!("https://localhost:{}", tls.port()),
        ca,
    };

    // What is not configured is named.
    for (key, value, says) in [
        (
            "GRAPEVINE_CLICKHOUSE__URL",
            "clickhouse:9000",
            "clickhouse.url",
        ),
        ("GRAPEVINE_CLICKHOUSE__CA", "no-such-file", "clickhouse.ca"),
        ("GRAPEVINE_CLICKHOUSE__PASSWORD", "7", "account"),
        ("GRAPEVINE_KAFKA__REPLICA", "", "kafka.replica"),
        ("GRAPEVINE_KAFKA__PROTOCOL", "none", "kafka.protocol"),
        ("GRAPEVINE_KAFKA__PARTITIONS", "0", "kafka.partitions"),
    ] {
        let output = place.grapevine(&["sink"]).env(key, value).output();
        let output = output.expect("runs");
        assert!(said(&output).contains(says), "{key}: {}", said(&output));
        assert_eq!(code(&output), 78, "{key}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
    }

    let output = place.grapevine(&["sink", "--migrate-only"]).output();
    let output = output.expect("runs");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let tables = "SELECT count() FROM system.tables WHERE database = 'grapevine'";
    assert_ne!(place.ask(tables).await, "0");

    let said_by_sink = place.dir.path().join("sink.log");
    let operations = Port::take().expect("a port");
    let operations = format!("127.0.0.1:{}", operations.number());
    let mut command = place.grapevine(&["sink"]);
    command.env("GRAPEVINE_OPERATIONS__LISTEN", &operations);
    let mut sink = GuardedProcess::start(&mut command, &said_by_sink);
    let sink = sink.as_mut().expect("starts");
    let connection = Connection::new(&place.cluster.bootstrap(), Default::default(), None);
    let partitions = topic::ALL.map(|topic| (topic.to_owned(), 2));
    let producer = Producer::new(
        &connection.expect("a connection"),
        partitions.into_iter().collect(),
    );
    let mut commit = Commit::default();
    for number in 0..100 {
        let time = 1_709_251_200_000 + i64::from(number);
        commit.append(topic::SHARES, &share(number, time));
    }
    commit.append(topic::SHARES, b"no share");
    commit.append(topic::SHARES, &[]);
    let appended = tokio::task::block_in_place(|| {
        let deadline = Instant::now() + PATIENCE;
        let producer = producer.expect("a producer");
        loop {
            // The sink makes the topics.
            match producer.append(&commit, Duration::from_secs(10)) {
                Ok(()) => return true,
                Err(_) if Instant::now() < deadline => {}
                Err(error) => panic!("{error}: {}", sink.last_words(5)),
            }
        }
    });
    assert!(appended);
    const SHARES: &str = "SELECT count() FROM grapevine.shares";
    const LETTERS: &str = "SELECT count() FROM grapevine.dead_letters WHERE stage = 'sink'";
    place.wait_for(SHARES, "100").await;
    place.wait_for(LETTERS, "2").await;

    let audit = |arguments: &[&str]| {
        let mut all = vec!["audit", "--format", "json"];
        all.extend(arguments);
        let output = place.grapevine(&all).output().expect("runs");
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        (json, code(&output))
    };
    // With the sink running.
    let (clean, code_of_clean) = audit(&["--deep"]);
    assert_eq!(code_of_clean, 0, "{clean}");
    place
        .ask("ALTER TABLE grapevine.shares DELETE WHERE share_id = (SELECT min(share_id) FROM grapevine.shares)")
        .await;
    place.wait_for(SHARES, "99").await;
    let (damaged, code_of_damaged) = audit(&[]);
    assert_eq!(code_of_damaged, 65, "{damaged}");
    let (mended, code_of_mended) = audit(&["--repair"]);
    assert_eq!(code_of_mended, 0, "{mended}");
    assert_eq!(mended["repair"]["inserted"], 1);
    place.wait_for(SHARES, "100").await;

    for (arguments, sendable, letters) in [
        (&["replay", "--format", "json", "--dry-run"][..], 2, "2"),
        (&["replay", "--format", "json", "--stage", "sink"], 2, "4"),
    ] {
        let output = place.grapevine(arguments).output().expect("runs");
        assert_eq!(code(&output), 0, "{}", said(&output));
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(found["sendable"]["shares"], sendable, "{found}");
        place.wait_for(LETTERS, letters).await;
    }

    // It is ready while it could insert, and says how far ClickHouse is behind.
    wait_for_answer(&operations, "health/ready", "\"clickhouse\":\"ok\"").await;
    let lag = "grapevine_consumer_lag_records{consumer=\"sink\",topic=\"shares\",partition=";
    wait_for_answer(&operations, "metrics", lag).await;
    tls.set_away(true);
    wait_for_answer(&operations, "health/ready", "\"status\":\"not ready\"").await;
    tls.set_away(false);
    wait_for_answer(&operations, "health/ready", "\"clickhouse\":\"ok\"").await;

    let ended = sink.stop(Duration::from_secs(40)).expect("ends in time");
    assert_eq!(ended.code(), Some(0), "{}", sink.last_words(20));
    let (clean, code_of_clean) = audit(&["--deep"]);
    assert_eq!(code_of_clean, 0, "{clean}");
    let all = std::fs::read_to_string(&said_by_sink).expect("what it said");
    assert!(!all.contains("panicked"), "{all}");
    place.engine.stop().expect("closes");
}
