//! `grapevine sink`, `audit` and `replay` as processes, on Apache Kafka and on ClickHouse's engine
//! behind HTTPS with an account; `report` and `query` on what they wrote there.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use grapevine_embedded::EmbeddedServer;
use grapevine_event::{Calibration, Channel, Device, Id, Method, Visit, VisitorBasis, topic};
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, TlsGate};
use grapevine_log::Commit;
use grapevine_log::kafka::{Connection, Producer};
use grapevine_tests::clickhouse::{self, PASSWORD, USER};
use grapevine_tests::command;
use grapevine_tests::stages::share;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
/// Visits that are written, and those of them that WhatsApp brought.
const VISITS: u8 = 20;
const BY_WHATSAPP: u8 = 12;

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

/// A landing of a reader of its own: the first of them by WhatsApp, the others from a search.
fn visit(number: u8, time: i64) -> Vec<u8> {
    let is_dark = number < BY_WHATSAPP;
    let (conventional_channel, channel, app, method) = match is_dark {
        true => (
            Channel::Direct,
            Channel::DarkSocial,
            "whatsapp",
            Method::InAppBrowser,
        ),
        false => (Channel::Search, Channel::Search, "google", Method::Referrer),
    };
    let dark = f32::from(u8::from(is_dark));
    let visit = Visit {
        visit_id: Id([number; 16]),
        site: "example.org",
        time,
        visitor: Some(i64::from(number)),
        visitor_basis: VisitorBasis::Client,
        returning: false,
        network: None,
        content: "https://example.org/".into(),
        title: None,
        referrer_host: (!is_dark).then(|| "www.google.com".into()),
        campaign_source: None,
        campaign_medium: None,
        campaign_name: None,
        device: Device::Mobile,
        system: "Android",
        browser: "Chrome Mobile",
        language: None,
        conventional_channel,
        channel,
        app: app.into(),
        method,
        dark_probability: dark,
        dark_probability_low: dark,
        dark_probability_high: dark,
        dark_search_probability: 0.0,
        evidence: Vec::new(),
        model_version: "1".into(),
        robot: None,
        incoming_token: None,
        share_token: None,
        cascade_id: None,
        generation: None,
    };
    let mut record = Vec::new();
    visit.encode(&mut record).expect("fits its schema");
    record
}

/// How well probabilities fit the tokens of 40 landings.
fn calibration(time: i64) -> Vec<u8> {
    let calibration = Calibration {
        site: "example.org",
        time,
        model_version: "1".into(),
        landings: 40,
        tokens: 20,
        known: 2,
        known_with_token: 1,
        token_survival: Some(0.5),
        token_survival_low: Some(0.25),
        token_survival_high: Some(0.75),
        intercept: Some(0.5),
        intercept_low: Some(-0.5),
        intercept_high: Some(1.5),
        slope: Some(-0.25),
        ece: Some(0.125),
        ece_low: Some(0.0),
        ece_high: Some(0.25),
        brier: Some(0.25),
        private_part: 0.92,
        bin_landings: vec![10, 30],
        bin_tokens: vec![2, 18],
        bin_predicted: vec![0.05, 0.15],
    };
    let mut record = Vec::new();
    calibration.encode(&mut record).expect("fits its schema");
    record
}

/// `report` and `query` read the ClickHouse that the settings name, not the data directory, which is
/// empty.
fn reports_are_of_it(place: &Place) {
    let json = |arguments: &[&str]| -> Value {
        let output = place.grapevine(arguments).output().expect("runs");
        assert_eq!(code(&output), 0, "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let report = json(&["report", "--format", "json"]);
    assert_eq!(report["site"], "example.org");
    assert_eq!(report["visits"], f64::from(VISITS), "{report}");
    let (direct, dark) = (&report["direct"], f64::from(BY_WHATSAPP));
    assert_eq!(direct["visits"], dark, "{direct}");
    assert_eq!(direct["dark_social"]["expected"], dark, "{direct}");
    assert_eq!(direct["certain"], dark, "{direct}");
    let apps = report["apps"].as_array().expect("apps");
    let app = |name: &str| {
        let found = apps.iter().find(|app| app["app"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {apps:?}"))
    };
    assert_eq!(app("whatsapp")["visits"]["expected"], dark);
    assert_eq!(app("unknown")["shares"], 100.0);
    assert_eq!(report["dead_letters"], 2.0);

    let calibration = json(&["report", "--calibration", "--format", "json"]);
    let found = &calibration["calibration"];
    assert_eq!(found["landings"], 40, "{calibration}");
    assert_eq!(found["tokens"], 20, "{calibration}");
    assert_eq!(found["bin_landings"], serde_json::json!([10, 30]));
    let survival = found["token_survival"].as_f64().expect("a number");
    assert!((survival - 0.5).abs() < 1e-9, "{calibration}");

    let ask = ["query", "--format", "TSV", "SELECT count() FROM visits"];
    let output = place.grapevine(&ask).output().expect("runs");
    assert_eq!(output.stdout, format!("{VISITS}\n").as_bytes());
    let reader = ["query", "--reader", "SELECT 1"];
    refused(&mut place.grapevine(&reader), 64, "--reader");
    let nowhere = ["report", "--site", "no.example"];
    refused(&mut place.grapevine(&nowhere), 66, "example.org");
    let mut stranger = place.grapevine(&["report"]);
    stranger.env("GRAPEVINE_CLICKHOUSE__PASSWORD", "7");
    refused(&mut stranger, 78, "clickhouse.password");
}

/// Runs a command that must end with this code and say this.
#[track_caller]
fn refused(command: &mut Command, ends: i32, says: &str) {
    let output = command.output().expect("runs");
    let said = said(&output);
    assert_eq!(code(&output), ends, "{said}");
    assert!(said.contains(says), "{said}");
}

/// A run of migrations sets from how many readers on dashboards are shown a group; one that is told of
/// no number leaves it.
async fn smallest_groups_are_as_configured(place: &Place) {
    let shown = "SELECT count() FROM grapevine.bi_visits_by_content";
    // Of both channels, one is below ten readers.
    for (readers, groups) in [("8", "2"), ("10", "1"), ("21", "0")] {
        let mut migrate = place.grapevine(&["sink", "--migrate-only"]);
        let told = migrate.env("GRAPEVINE_CLICKHOUSE__GROUP_SIZE_MIN", readers);
        let output = told.output().expect("runs");
        assert_eq!(code(&output), 0, "{}", said(&output));
        assert_eq!(place.ask(shown).await, groups, "from {readers} on");
    }
    let output = place.grapevine(&["sink", "--migrate-only"]).output();
    assert_eq!(code(&output.expect("runs")), 0);
    let kept = "SELECT visitors_min FROM grapevine.k_anonymity";
    assert_eq!(place.ask(kept).await, "21");
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
        (
            "GRAPEVINE_CLICKHOUSE__GROUP_SIZE_MIN",
            "0",
            "clickhouse.group_size_min",
        ),
    ] {
        let output = place.grapevine(&["sink"]).env(key, value).output();
        let output = output.expect("runs");
        assert!(said(&output).contains(says), "{key}: {}", said(&output));
        assert_eq!(code(&output), 78, "{key}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
    }

    // Nothing is there to report on.
    refused(&mut place.grapevine(&["report"]), 78, "--migrate-only");
    let output = place.grapevine(&["sink", "--migrate-only"]).output();
    let output = output.expect("runs");
    assert_eq!(code(&output), 0, "{}", said(&output));
    refused(&mut place.grapevine(&["report"]), 66, "grapevine collect");
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
    let producer = producer.expect("a producer");
    let mut commit = Commit::default();
    for number in 0..100 {
        let time = 1_709_251_200_000 + i64::from(number);
        commit.append(topic::SHARES, &share(number, time));
    }
    commit.append(topic::SHARES, b"no share");
    commit.append(topic::SHARES, &[]);
    let appended = tokio::task::block_in_place(|| {
        let deadline = Instant::now() + PATIENCE;
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
    let mut commit = Commit::default();
    for number in 0..VISITS {
        let time = 1_709_251_200_000 + i64::from(number);
        commit.append(topic::VISITS, &visit(number, time));
    }
    commit.append(topic::CALIBRATIONS, &calibration(1_709_251_200_000));
    let appended = tokio::task::block_in_place(|| producer.append(&commit, PATIENCE));
    appended.expect("acknowledged");
    let visits = "SELECT count() FROM grapevine.visits";
    place.wait_for(visits, &VISITS.to_string()).await;
    let calibrations = "SELECT count() FROM grapevine.calibrations";
    place.wait_for(calibrations, "1").await;
    reports_are_of_it(&place);
    smallest_groups_are_as_configured(&place).await;

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
    wait_for_answer(&operations, "health/ready", "\"group\":\"ok\"").await;
    let lag = "grapevine_consumer_lag_records{consumer=\"sink\",topic=\"shares\",partition=";
    wait_for_answer(&operations, "metrics", lag).await;
    tls.set_away(true);
    wait_for_answer(&operations, "health/ready", "\"status\":\"not ready\"").await;
    refused(&mut place.grapevine(&["report"]), 69, "clickhouse.url");
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

/// In one process as beside Kafka; what was set stays until another number is given.
#[test]
fn a_data_directory_takes_the_smallest_group_too() {
    let dir = tempfile::tempdir().expect("tempdir");
    let asked = |readers: Option<&str>| {
        let mut command = command(dir.path());
        let sql = "SELECT visitors_min FROM k_anonymity";
        command.args(["query", "--format", "TSV", sql]);
        command.envs(readers.map(|readers| ("GRAPEVINE_CLICKHOUSE__GROUP_SIZE_MIN", readers)));
        command
    };
    for (readers, found) in [(None, "5\n"), (Some("20"), "20\n"), (None, "20\n")] {
        let output = asked(readers).output().expect("runs");
        assert_eq!(code(&output), 0, "{}", said(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), found);
    }
    refused(&mut asked(Some("0")), 78, "clickhouse.group_size_min");
}
