//! The services on a broker that demands to know who they are: hits become rows, and a stranger is
//! told what is wrong.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use grapevine_event::topic;
use grapevine_kafka_testing::{Cluster, GuardedProcess, PASSWORD, Port, Security, USER};
use grapevine_tests::clickhouse::{self, Asked};
use grapevine_tests::command;
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(120);
const HITS: u64 = 50;
const PARTITIONS: i32 = 2;

/// A broker, and what a service has to know to be let in.
struct Place {
    dir: tempfile::TempDir,
    cluster: Cluster,
    /// Lines of `[kafka]`, properties last.
    kafka: String,
}

impl Place {
    /// `own` are keys of `[kafka]` that take the place of properties of the client; without any, the
    /// client fetches its tokens.
    fn new(security: Security, own: impl FnOnce(&Cluster, &Path) -> String) -> Place {
        let dir = tempfile::tempdir().expect("tempdir");
        let cluster = Cluster::builder().security(security).start();
        let cluster = cluster.expect("a broker");
        let own = own(&cluster, dir.path());
        let mut kafka = format!(
            "[kafka]\nbrokers = \"{}\"\npartitions = {PARTITIONS}\nreplication = 1\nreplica = \"one\"\n{}\n[kafka.properties]\n",
            cluster.bootstrap(),
            own
        );
        for (name, value) in cluster.client_properties() {
            let is_common = ["security.protocol", "sasl.mechanism", "ssl.ca.location"];
            if is_common.contains(&name.as_str())
                || (own.is_empty() && name.starts_with("sasl.oauthbearer."))
            {
                let _ = writeln!(kafka, "\"{name}\" = \"{value}\"");
            }
        }
        Place {
            dir,
            cluster,
            kafka,
        }
    }

    fn service(&self, name: &str, configuration: &str) -> (Command, PathBuf) {
        let home = self.dir.path().join(name);
        let file = self.dir.path().join(format!("{name}.toml"));
        std::fs::write(&file, configuration).expect("writes");
        let mut command = command(&home);
        command.arg(name).env("GRAPEVINE_CONFIG", file);
        (command, self.dir.path().join(format!("{name}.log")))
    }

    /// Sends hits to the collector, and waits for their rows.
    fn hits_become_rows(&self) {
        let store = self.dir.path().join("engine");
        std::fs::create_dir(&store).expect("makes");
        let [engine, port] = [(); 2].map(|()| Port::take().expect("a free port"));
        let at = format!("127.0.0.1:{}", engine.number());
        let address = format!("http://{at}");
        // In a process of its own: one process keeps one store.
        let mut command = Command::new(env!("CARGO_BIN_EXE_crash"));
        let command = command.arg("clickhouse").arg(&store).arg(&at);
        let said = self.dir.path().join("engine.log");
        let mut engine = [GuardedProcess::start(command, &said).expect("starts")];
        let asked = Asked::new(address.clone());
        let answers = wait_for(&mut engine, || asked.number("SELECT 1").map(|_| ()));
        answers.unwrap_or_else(|why| panic!("the engine does not answer: {why}"));
        let configuration = format!(
            "{}[clickhouse]\nurl = \"{address}\"\nuser = \"{}\"\npassword = \"{}\"\n\
             [collector]\nlisten = \"127.0.0.1:{}\"\n",
            self.kafka,
            clickhouse::USER,
            clickhouse::PASSWORD,
            port.number()
        );
        let mut services = ["collect", "enrich", "sink"].map(|name| {
            let (mut command, log) = self.service(name, &configuration);
            GuardedProcess::start(&mut command, &log).expect("starts")
        });
        let hits: Vec<String> = (0..HITS)
            .map(|number| {
                json!({
                    "site": "news.example",
                    "url": format!("https://news.example/{number}"),
                    "id": format!("hit-{number}"),
                    "visitor": format!("reader-{number}"),
                })
                .to_string()
            })
            .collect();
        let sent = wait_for(&mut services, || {
            let url = format!("http://127.0.0.1:{}/v1/hits", port.number());
            let answer = reqwest::blocking::Client::new()
                .post(url)
                .body(hits.join("\n"))
                .send();
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        sent.unwrap_or_else(|why| panic!("not sent: {why}"));
        let counted = "SELECT uniqExact(visit_id) FROM grapevine.visits";
        let came = wait_for(&mut services, || match asked.number(counted) {
            Ok(HITS) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        came.unwrap_or_else(|why| panic!("no rows: {why}"));
        for service in &mut services {
            let code = service.stop(PATIENCE).and_then(|status| status.code());
            assert_eq!(code, Some(0), "{}", service.last_words(20));
        }
    }

    /// Topics were made with the settings that they need, and one that was not ends the start.
    fn settings_are_checked(&self) {
        let mut kafka = self.kafka.replace("replica = \"one\"", "replica = \"two\"");
        kafka = kafka.replace(
            "[kafka.properties]",
            "group = \"other\"\n[kafka.properties]",
        );
        self.set_topic(topic::VISITS, "retention.ms", "1000");
        let (mut command, _) = self.service("enrich", &kafka);
        let output = command.output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("retention.ms"), "{said}");
    }

    fn set_topic(&self, name: &str, key: &str, value: &str) {
        let admin = self.cluster.admin().expect("a client");
        let altered = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        let options = AdminOptions::new();
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let done = runtime.block_on(admin.alter_configs([&altered], &options));
        assert!(done.expect("answers").iter().all(Result::is_ok));
    }

    /// A service that says something else is not let in, and says so within a while.
    fn is_refused(&self, kafka: &str, says: &[&str]) {
        let (mut command, log) = self.service("enrich", kafka);
        let mut process = GuardedProcess::start(&mut command, &log).expect("starts");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = process.last_words(40);
            if says.iter().all(|words| said.contains(words)) {
                break;
            }
            let ended = process.ended();
            assert!(
                Instant::now() < deadline && ended.is_none_or(|ended| !ended.success()),
                "{ended:?}: {said}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Asks until it is so, or a service ended.
fn wait_for(
    services: &mut [GuardedProcess],
    mut is: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let why = match is() {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        for service in &mut *services {
            if let Some(status) = service.ended() {
                return Err(format!("{status}: {}", service.last_words(20)));
            }
        }
        if Instant::now() > deadline {
            let said: Vec<String> = services.iter().map(|one| one.last_words(10)).collect();
            return Err(format!("{why}\n{}", said.join("\n---\n")));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Every service fetches its tokens from the identity provider.
#[test]
fn a_token_of_an_identity_provider() {
    let place = Place::new(Security::Oidc, |_, _| String::new());
    place.hits_become_rows();
    let provider = place.cluster.identity_provider().expect("one");
    assert!(
        provider.tokens_given() >= 3,
        "each service asked for its own"
    );
    place.settings_are_checked();
    place.is_refused(&place.kafka.replace(PASSWORD, "guessed"), &["401"]);
}

fn by_password(security: Security) {
    let account = |_: &Cluster, _: &Path| format!("user = \"{USER}\"\npassword = \"{PASSWORD}\"");
    let place = Place::new(security, account);
    place.hits_become_rows();
    let guessed = place.kafka.replace(PASSWORD, "guessed");
    place.is_refused(&guessed, &["uthentication"]);
}

#[test]
fn a_password_in_the_clear_inside_tls() {
    by_password(Security::Plain);
}

#[test]
fn proof_of_a_password() {
    by_password(Security::ScramSha512);
}

#[test]
fn a_token_from_a_file() {
    let write_token = |cluster: &Cluster, dir: &Path| {
        let provider = cluster.identity_provider().expect("one");
        let answer = reqwest::blocking::Client::new()
            .post(provider.token_url())
            .basic_auth(USER, Some(PASSWORD))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials")
            .send()
            .and_then(reqwest::blocking::Response::text)
            .expect("a token");
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        let token = answer["access_token"].as_str().expect("a token");
        let file = dir.join("token");
        std::fs::write(&file, token).expect("writes");
        format!("token_file = \"{}\"", file.display())
    };
    let place = Place::new(Security::Oidc, write_token);
    place.hits_become_rows();
    place.settings_are_checked();
    let token = place.dir.path().join("token");
    std::fs::write(
        &token,
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzb21lYm9keSIsImV4cCI6MTc5MDAwMDAwMH0.",
    )
    .expect("writes");
    place.is_refused(&place.kafka, &["uthentication"]);
}
