//! A real Prometheus scrapes the real services, with our alerts loaded.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grapevine_event::topic;
use grapevine_kafka_testing::Port;
use grapevine_log::Commit;
use grapevine_tests::deploy::{root, tools};
use grapevine_tests::trio::{Trio, ended_well};
use grapevine_tests::{Local, answer};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// Prometheus with the rules as they are, scraping every second; killed when dropped.
struct Prometheus {
    process: Child,
    address: String,
    dir: tempfile::TempDir,
    http: reqwest::blocking::Client,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(targets: &[String]) -> Prometheus {
        let dir = tempfile::tempdir().expect("tempdir");
        let rules = root().join("deploy/prometheus/alerts.yml").canonicalize();
        let config = dir.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: grapevine\n    static_configs: [{{targets: {targets:?}}}]\n",
            rules.expect("there").display()
        );
        std::fs::write(&config, text).expect("writes");
        let port = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = port.local_addr().expect("address").to_string();
        drop(port);
        let log = std::fs::File::create(dir.path().join("log")).expect("file");
        let process = Command::new(tools().join("bin/prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        Prometheus {
            process,
            address,
            dir,
            http: reqwest::blocking::Client::new(),
        }
    }

    fn asked(&self, what: &str, query: &[(&str, &str)]) -> Option<Value> {
        let url = format!("http://{}/api/v1/{what}", self.address);
        let answer = self.http.get(url).query(query).send().ok()?;
        serde_json::from_str(&answer.text().ok()?).ok()
    }

    /// The one value of an expression; none where there is none.
    fn value(&self, promql: &str) -> Option<f64> {
        let answer = self.asked("query", &[("query", promql)])?;
        answer["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }

    /// Waits until every expression has its value.
    fn wait_for(&self, wanted: &[(String, f64)]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let differ: Vec<_> = (wanted.iter())
                .map(|(promql, wanted)| (promql, *wanted, self.value(promql)))
                .filter(|(_, wanted, found)| *found != Some(*wanted))
                .collect();
            if differ.is_empty() {
                return;
            }
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{differ:?}\n{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The expression of every alert, none of which has an error.
    fn alerts(&self) -> Vec<String> {
        let rules = self.asked("rules", &[]).expect("answers");
        let rules = rules["data"]["groups"][0]["rules"]
            .as_array()
            .expect("rules");
        assert!(rules.len() >= 8);
        assert!(
            rules.iter().all(|rule| rule["health"] != "err"),
            "{rules:?}"
        );
        let query = |rule: &Value| rule["query"].as_str().expect("expression").to_owned();
        rules.iter().map(query).collect()
    }
}

/// The metrics of Grapevine that an expression is made of.
fn named(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("grapevine_"))
        .collect()
}

#[test]
fn one_process_is_scraped_and_every_alert_is_of_the_inventory() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start_with_operations(&data_dir);
    let operations = local.operations.clone().expect("served");
    let target = operations.strip_prefix("http://").expect("address");
    let prometheus = Prometheus::start(&[target.to_owned()]);
    let send = ["simulate", "--requests", "2000", "--seed", "3", "--send"];
    answer(&data_dir, &[&send[..], &[&local.collector]].concat());
    // True once a scrape came after the hits were stored.
    let wanted = [
        ("up", 1.0),
        ("grapevine_build", 1.0),
        ("sum(grapevine_consumer_lag_records)", 0.0),
    ];
    prometheus.wait_for(&wanted.map(|(promql, value)| (promql.to_owned(), value)));
    let memory = prometheus.value("grapevine_resident_memory_bytes");
    assert!(memory > Some(0.0), "{memory:?}");
    let inventory = std::fs::read_to_string(root().join("docs/metrics.md")).expect("reads");
    for expression in prometheus.alerts() {
        for name in named(&expression) {
            let base = name.trim_end_matches("_bucket");
            assert!(
                inventory.contains(&format!("`{base}`")),
                "{name} of {expression}"
            );
        }
    }
}

/// The services of a cluster, each with the metrics that the alerts ask it for.
#[test]
fn the_services_are_scraped_and_have_what_the_alerts_ask_for() {
    let trio = Trio::new();
    let ports = ["collect", "enrich", "sink"].map(|service| {
        let port = Port::take().expect("a port");
        let address = format!("127.0.0.1:{}", port.number());
        (service, port, address)
    });
    let services = ports.each_ref().map(|(service, _, address)| {
        trio.start(service, &[("GRAPEVINE_OPERATIONS__LISTEN", address)])
    });
    let prometheus = Prometheus::start(&ports.each_ref().map(|(_, _, address)| address.clone()));
    // ClickHouse comes late, and somebody writes what is no hit: things that alerts are about.
    prometheus.wait_for(&[("count(up == 1)".to_owned(), 3.0)]);
    let retried = "count(grapevine_clickhouse_retries_total > 0) > bool 0";
    prometheus.wait_for(&[(retried.to_owned(), 1.0)]);
    let _clickhouse = trio.serve_clickhouse();
    let mut garbage = Commit::default();
    garbage.append(topic::HITS_RAW, b"no hit");
    trio.world.append(&garbage);
    for number in 0..20 {
        trio.send(&format!(
            r#"{{"site":"example.org","url":"https://example.org/{number}","visitor":"{number}"}}"#
        ));
    }
    trio.wait_for("SELECT count() FROM grapevine.visits", 20);
    trio.wait_for("SELECT count() FROM grapevine.dead_letters", 1);

    let of = |service: &str, metric: &str| {
        let (_, _, instance) = (ports.iter())
            .find(|(name, _, _)| *name == service)
            .expect("one");
        format!("{metric}{{instance=\"{instance}\"}}")
    };
    // Kafka's own marks at the end of a partition are behind every position that can be committed.
    let lag = "sum(grapevine_consumer_lag_records) < bool 20".to_owned();
    let mut wanted = vec![(lag, 1.0)];
    for (service, _, _) in &ports {
        let build = format!("grapevine_build{{service=\"{service}\"}}");
        wanted.push((build, 1.0));
    }
    // Who tells each metric that an alert asks for.
    let told = [
        ("collect", "grapevine_build"),
        ("enrich", "grapevine_build"),
        ("sink", "grapevine_build"),
        ("collect", "grapevine_collector_requests_total"),
        ("collect", "grapevine_spool_bytes"),
        ("enrich", "grapevine_consumer_lag_records"),
        ("enrich", "grapevine_commits_total"),
        ("enrich", "grapevine_dead_letters_total"),
        ("enrich", "grapevine_state_snapshots_failed_total"),
        ("sink", "grapevine_consumer_lag_records"),
        ("sink", "grapevine_event_to_row_seconds_bucket"),
        ("sink", "grapevine_clickhouse_retries_total"),
    ];
    for (service, metric) in told {
        let promql = format!("count({}) > bool 0", of(service, metric));
        wanted.push((promql, 1.0));
    }
    prometheus.wait_for(&wanted);
    let alerts = prometheus.alerts();
    let asked: BTreeSet<&str> = alerts.iter().flat_map(|alert| named(alert)).collect();
    let known: BTreeSet<&str> = told.iter().map(|(_, metric)| *metric).collect();
    assert_eq!(asked, known, "every metric of an alert, and no other");
    // Labels that alerts choose by.
    for promql in [
        of("collect", "grapevine_collector_requests_total").replace('{', "{end=\"taken\","),
        of("enrich", "grapevine_commits_total").replace('{', "{end=\"committed\","),
        of("sink", "grapevine_event_to_row_seconds_bucket").replace('{', "{table=\"visits\","),
    ] {
        assert!(prometheus.value(&promql).is_some(), "{promql}");
    }
    services.into_iter().for_each(ended_well);
}
