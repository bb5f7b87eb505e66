//! Collector, enrichment and sink as processes, one replica each, on one broker and ClickHouse's engine.

use std::time::{Duration, Instant};

use grapevine_embedded::EmbeddedServer;
use grapevine_kafka_testing::{GuardedProcess, Port};
use tempfile::TempDir;

use crate::clickhouse::{self, Asked, PASSWORD, USER};
use crate::command;
use crate::stages::{PATIENCE, World};

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// What the three need; what is started of it is the test's business.
pub struct Trio {
    /// Where they keep what they keep.
    pub dir: TempDir,
    /// The broker, with one partition of every topic.
    pub world: World,
    collector: Port,
    clickhouse: Port,
    http: reqwest::blocking::Client,
}

impl Trio {
    /// A broker, and free ports.
    ///
    /// # Panics
    /// As everything here does: where the test cannot go on.
    pub fn new() -> Trio {
        Trio {
            dir: tempfile::tempdir().expect("tempdir"),
            world: World::new(1),
            collector: Port::take().expect("a port"),
            clickhouse: Port::take().expect("a port"),
            http: reqwest::blocking::Client::new(),
        }
    }

    fn clickhouse(&self) -> String {
        format!("127.0.0.1:{}", self.clickhouse.number())
    }

    /// Serves ClickHouse until it is dropped.
    pub fn serve_clickhouse(&self) -> EmbeddedServer {
        let store = self.dir.path().join("clickhouse");
        std::fs::create_dir_all(&store).expect("a directory");
        clickhouse::start(&store, self.clickhouse()).expect("the engine")
    }

    /// Starts `collect`, `enrich` or `sink`.
    pub fn start(&self, service: &str, environment: &[(&str, &str)]) -> GuardedProcess {
        let mut command = command(&self.dir.path().join(service));
        command
            .arg(service)
            .env("GRAPEVINE_KAFKA__BROKERS", self.world.cluster.bootstrap())
            .env("GRAPEVINE_KAFKA__PARTITIONS", "1")
            .env("GRAPEVINE_KAFKA__REPLICATION", "1")
            .env("GRAPEVINE_KAFKA__REPLICA", "one")
            .env(
                "GRAPEVINE_CLICKHOUSE__URL",
                format!("http://{}", self.clickhouse()),
            )
            .env("GRAPEVINE_CLICKHOUSE__USER", USER)
            .env("GRAPEVINE_CLICKHOUSE__PASSWORD", PASSWORD)
            .envs(environment.iter().copied());
        if service == "collect" {
            let listen = format!("127.0.0.1:{}", self.collector.number());
            command.args(["--collector-listen", &listen]);
        }
        let said = self.dir.path().join(format!("{service}.log"));
        GuardedProcess::start(&mut command, &said).expect("starts")
    }

    /// `http://ADDRESS` of the collector.
    pub fn collector(&self) -> String {
        format!("http://127.0.0.1:{}", self.collector.number())
    }

    /// Sends a body to the collector until it is taken.
    pub fn send(&self, body: &str) {
        let url = format!("{}/v1/hits", self.collector());
        let deadline = Instant::now() + PATIENCE;
        let send = || self.http.post(&url).body(body.to_owned()).send();
        while !send().is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "nobody takes {body}");
            std::thread::sleep(AGAIN);
        }
    }

    /// Asks ClickHouse.
    pub fn asked(&self) -> Asked {
        Asked::new(format!("http://{}", self.clickhouse()))
    }

    /// Waits until ClickHouse answers a question so.
    pub fn wait_for(&self, sql: &str, wanted: u64) {
        self.asked().wait_for(sql, wanted);
    }
}

impl Default for Trio {
    fn default() -> Self {
        Trio::new()
    }
}

/// Ends a service as its supervisor would; it must end well.
pub fn ended_well(mut service: GuardedProcess) {
    let code = service.stop(PATIENCE).and_then(|status| status.code());
    assert_eq!(code, Some(0), "{}", service.last_words(20));
}
