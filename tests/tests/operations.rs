//! What those who run a service see of the real process.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use grapevine_tests::{Local, answer, command, run};
use serde_json::Value;

fn get(url: &str) -> Option<(u16, String)> {
    let answer = reqwest::blocking::get(url).ok()?;
    Some((answer.status().as_u16(), answer.text().ok()?))
}

#[test]
fn local_tells_its_health_and_stops_in_good_order() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start_with_operations(&data_dir);
    let operations = local.operations.clone().expect("served");

    let (status, body) = get(&format!("{operations}/health/ready")).expect("answers");
    let ready: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &ready["status"]), (200, &Value::from("ready")));
    assert_eq!(ready["conditions"]["collector"], "ok");
    assert_eq!(
        get(&format!("{operations}/health/live"))
            .expect("answers")
            .0,
        200
    );

    // The same through the command, as a container asks.
    let asked = command(&data_dir)
        .env(
            "GRAPEVINE_OPERATIONS__LISTEN",
            operations.trim_start_matches("http://"),
        )
        .arg("health")
        .output()
        .expect("runs");
    assert!(asked.status.success());
    assert!(String::from_utf8_lossy(&asked.stdout).contains("\"ready\""));

    answer(
        &data_dir,
        &[
            "simulate",
            "--requests",
            "3000",
            "--seed",
            "3",
            "--send",
            &local.collector,
        ],
    );
    let accepted = "grapevine_collector_hits_total{outcome=\"accepted\"} ";
    let deadline = Instant::now() + Duration::from_secs(60);
    let metrics = loop {
        let (_, text) = get(&format!("{operations}/metrics")).expect("answers");
        let rows = text
            .lines()
            .any(|line| line.starts_with("grapevine_event_to_row_seconds_count{table=\"visits\"}"));
        if rows && text.contains(accepted) {
            break text;
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(100));
    };
    for series in [
        "grapevine_collector_requests_total{end=\"taken\"}",
        "grapevine_collector_request_seconds_count{end=\"taken\"}",
        "grapevine_stage_records_total{stage=\"classify\"}",
        "grapevine_stage_records_total{stage=\"chain\"}",
        "grapevine_stage_step_seconds_count{stage=\"classify\",part=\"commit\"}",
        "grapevine_state_entries{stage=\"classify\",partition=\"0\"}",
        "grapevine_sink_rows_total{table=\"visits\"}",
        "grapevine_sink_batch_rows_count{table=\"visits\"}",
        "grapevine_sink_batch_bytes_sum{table=\"visits\"}",
        "grapevine_sink_insert_seconds_count{table=\"visits\"}",
        "grapevine_consumer_lag_records{consumer=\"sink\",topic=\"visits\",partition=\"0\"}",
    ] {
        assert!(metrics.contains(series), "{series} in\n{metrics}");
    }

    // The supervisor's signal.
    let sent = Command::new("kill")
        .args(["-TERM", &local.process().to_string()])
        .status()
        .expect("kill runs");
    assert!(sent.success());
    let (code, said) = local.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        get(&format!("{operations}/health/live")).is_none(),
        "gone with the process"
    );
}

#[test]
fn health_says_what_is_missing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let unset = run(dir.path(), &["health"]);
    assert_eq!(unset.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&unset.stderr).contains("operations.listen"));
    let nobody = command(dir.path())
        .env("GRAPEVINE_OPERATIONS__LISTEN", "127.0.0.1:1")
        .args(["health", "--live"])
        .output()
        .expect("runs");
    assert_eq!(nobody.status.code(), Some(69));
}

#[test]
fn config_check_tries_where_states_are_saved() {
    let dir = tempfile::tempdir().expect("tempdir");
    let check = |data_dir: &Path, extra: &[(&str, &str)]| {
        let mut command = command(data_dir);
        command
            .args(["config", "check", "--connect"])
            // Nobody is there; the states are looked at before.
            .env("GRAPEVINE_KAFKA__BROKERS", "127.0.0.1:1")
            .envs(extra.iter().copied());
        let output = command.output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code();
        (code, text(&output.stdout), text(&output.stderr))
    };
    let data_dir = dir.path().join("data");
    let (code, shown, said) = check(&data_dir, &[]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("kafka.brokers"), "{said}");
    assert!(
        shown.contains("can be written, listed, read and removed"),
        "{shown}"
    );
    assert!(!data_dir.exists(), "the look leaves nothing");

    // A file where a directory would be.
    let file = dir.path().join("file");
    std::fs::write(&file, b"").expect("writes");
    let below = file.join("states");
    let below = below.to_str().expect("a path");
    let (code, _, said) = check(&data_dir, &[("GRAPEVINE_KAFKA__STATES", below)]);
    assert_eq!(code, Some(69), "{said}");
    for says in ["kafka.states", below, "let the user that runs enrich write"] {
        assert!(said.contains(says), "{said} should say {says}");
    }
    // Who has named no place may run a service that needs none.
    let (_, shown, said) = check(&file.join("data"), &[]);
    assert!(said.contains("kafka.brokers"), "{said}");
    assert!(shown.contains("enrich alone needs it"), "{shown}");

    let with_password = [("GRAPEVINE_KAFKA__STATES", "s3://user:hush@bucket/x")];
    let (code, shown, said) = check(&data_dir, &with_password);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("AWS_SECRET_ACCESS_KEY"), "{said}");
    assert!(!said.contains("hush") && !shown.contains("hush"), "{said}");
}

#[test]
fn config_check_says_every_value_and_where_it_came_from() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("grapevine.toml");
    std::fs::write(&file, "[collector]\nsites = [\"example.org\"]\n").expect("writes");
    let checked = command(dir.path())
        .env("GRAPEVINE_OPERATIONS__GRACE_SECONDS", "7")
        .args(["config", "check", "--config"])
        .arg(&file)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    let line = |key: &str| said.lines().find(|line| line.starts_with(key)).expect(key);
    assert!(line("collector.sites").contains("[\"example.org\"]"));
    assert!(line("collector.sites").ends_with("grapevine.toml"));
    assert!(
        line("operations.grace_seconds = 7").ends_with("# GRAPEVINE_OPERATIONS__GRACE_SECONDS")
    );
    assert!(line("data_dir").ends_with("# flag"));
    assert!(line("collector.listen").ends_with("# default"));

    for (text, says) in [
        ("[colector]\n", "did you mean `collector`?"),
        (
            "[operations]\ngrace_seconds = 0\n",
            "operations.grace_seconds",
        ),
        (
            "[collector]\ntrusted_proxies = [\"everybody\"]\n",
            "collector.trusted_proxies",
        ),
        ("signals = \"nowhere.toml\"\n", "signals"),
        (
            "[clickhouse]\nurl = \"https://u:hush@there\"\n",
            "clickhouse.password",
        ),
        (
            "[clickhouse]\nurl = \"https://there\"\nca = \"no-such-file\"\n",
            "clickhouse.ca",
        ),
        (
            "[collector]\npseudonym_key_file = \"no-such-file\"\n",
            "collector.pseudonym_key_file",
        ),
    ] {
        std::fs::write(&file, text).expect("writes");
        let path = file.display().to_string();
        let refused = command(dir.path())
            .env_remove("GRAPEVINE_OPERATIONS__GRACE_SECONDS")
            .args(["config", "check", "--config", &path])
            .output()
            .expect("runs");
        assert_eq!(refused.status.code(), Some(78), "{text}");
        assert!(!String::from_utf8_lossy(&refused.stdout).contains("hush"));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(says), "{said} should say {says}");
    }
}
