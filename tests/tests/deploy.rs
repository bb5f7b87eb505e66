//! The files of `deploy/`, judged by the tools and engines that will read them.

use std::collections::BTreeSet;
use std::process::Command;

use grapevine_tests::deploy::{root, tools};
use grapevine_tests::{Local, answer, command, grapevine, query};
use serde_json::Value;

#[test]
fn every_file_passes_its_own_tool() {
    let checked = Command::new(root().join("tests/deploy/check"))
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&checked.stdout);
    let errors = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}{errors}");
    // A script that checks nothing would pass as well.
    assert!(said.matches("good ").count() >= 15, "{said}");
}

/// The image has C's libraries and nothing else: what the program needs beyond them would be missing there.
#[test]
fn the_program_needs_no_library_that_the_image_lacks() {
    let told = Command::new("ldd")
        .arg(grapevine())
        .output()
        .expect("ldd runs");
    let told = String::from_utf8(told.stdout).expect("UTF-8");
    // What distroless/cc has, and what the kernel gives.
    let there = [
        "linux-vdso.so",
        "libgcc_s.so",
        "libm.so",
        "libc.so",
        "libpthread.so",
        "libdl.so",
        "librt.so",
        "ld-linux",
    ];
    let missing: Vec<&str> = (told.lines())
        .filter(|line| !there.iter().any(|name| line.contains(name)))
        .collect();
    assert!(told.contains("libc.so"), "{told}");
    assert!(missing.is_empty(), "{missing:?}");
}

/// Everything that is published on the host is published on loopback, and no image floats.
#[test]
fn compose_opens_nothing_to_the_network() {
    let rendered = Command::new(tools().join("bin/compose"))
        .args(["--file", "docker-compose.yml", "config", "--format", "json"])
        .current_dir(root())
        .output()
        .expect("compose runs");
    let compose: Value = serde_json::from_slice(&rendered.stdout).expect("JSON");
    let services = compose["services"].as_object().expect("services");
    for name in [
        "kafka",
        "clickhouse",
        "migrate",
        "collect",
        "enrich",
        "sink",
        "prometheus",
        "grafana",
    ] {
        assert!(services.contains_key(name), "{name}");
    }
    for (name, service) in services {
        for port in service["ports"].as_array().unwrap_or(&Vec::new()) {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: {port}");
        }
        let image = service["image"].as_str().expect("image");
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag != "latest"), "{name}: {image}");
    }
}

/// A replica has its name again when its container is a new one, and no account is without a password.
#[test]
fn compose_keeps_the_names_of_replicas_and_no_open_account() {
    let rendered = Command::new(tools().join("bin/compose"))
        .args(["--file", "docker-compose.yml", "config", "--format", "json"])
        .current_dir(root())
        .output()
        .expect("compose runs");
    let compose: Value = serde_json::from_slice(&rendered.stdout).expect("JSON");
    let services = &compose["services"];
    assert_eq!(services["enrich"]["hostname"], "enrich-0");
    assert_eq!(services["sink"]["hostname"], "sink-0");
    let accounts = root().join("deploy/clickhouse/users.d/grapevine.xml");
    let accounts = std::fs::read_to_string(accounts).expect("reads");
    assert!(accounts.contains("<default remove=\"remove\"/>"));
}

/// What the chart makes of its values is read by the services, with secrets from the environment.
#[test]
fn the_charts_configuration_is_taken() {
    let dir = tempfile::tempdir().expect("tempdir");
    let authority = rcgen::generate_simple_self_signed(vec!["registry.example".to_owned()]);
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.expect("a certificate").cert.pem()).expect("writes");
    let key = dir.path().join("pseudonym");
    std::fs::write(&key, [7; 32]).expect("writes");
    for (values, says) in [
        ("small", "kafka.brokers = \"kafka:9092\""),
        (
            "secured",
            "registry.url = \"https://registry.example:8081\"",
        ),
    ] {
        let rendered = Command::new(tools().join("bin/helm"))
            .args(["template", "grapevine", "deploy/helm/grapevine"])
            .args(["--kube-version", "1.37.0"])
            .args(["--show-only", "templates/configmap.yaml", "--values"])
            .arg(format!("deploy/helm/grapevine/ci/{values}-values.yaml"))
            .current_dir(root())
            .output()
            .expect("helm runs");
        let rendered = String::from_utf8(rendered.stdout).expect("UTF-8");
        let (_, block) = rendered
            .split_once("grapevine.toml: |")
            .expect("a configuration");
        let toml = dir.path().join("grapevine.toml");
        std::fs::write(&toml, block.replace("\n    ", "\n")).expect("writes");
        let mut check = command(dir.path());
        check.args(["config", "check", "--config"]).arg(&toml);
        if values == "secured" {
            check
                .env("GRAPEVINE_KAFKA__PASSWORD", "hush")
                .env("GRAPEVINE_CLICKHOUSE__PASSWORD", "hush")
                .env("GRAPEVINE_REGISTRY__PASSWORD", "hush")
                .env("GRAPEVINE_REGISTRY__CA", &ca)
                .env("GRAPEVINE_CLICKHOUSE__CA", &ca)
                .env("GRAPEVINE_COLLECTOR__PSEUDONYM_KEY_FILE", &key);
        }
        let checked = check.output().expect("runs");
        let said = String::from_utf8_lossy(&checked.stdout);
        let errors = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{values}: {said}{errors}");
        assert!(said.contains(says), "{values}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

/// Kubernetes adds variables of the Services to a pod, and those of this chart begin as the
/// configuration does, which refuses what it does not know. Secrets are readable by their group alone.
#[test]
fn every_pod_of_the_chart_has_its_own_variables_only_and_reads_its_secrets() {
    for values in ["minimal", "small", "secured"] {
        let rendered = Command::new(tools().join("bin/helm"))
            .args(["template", "grapevine", "deploy/helm/grapevine"])
            .args(["--kube-version", "1.37.0", "--values"])
            .arg(format!("deploy/helm/grapevine/ci/{values}-values.yaml"))
            .current_dir(root())
            .output()
            .expect("helm runs");
        let rendered = String::from_utf8(rendered.stdout).expect("UTF-8");
        let pods: Vec<&str> = (rendered.split("\n---\n"))
            .filter(|object| object.contains("\n      containers:\n"))
            .collect();
        // The small one has its tables made elsewhere.
        let expected = if values == "small" { 3 } else { 4 };
        assert_eq!(pods.len(), expected, "{values}: {rendered}");
        assert_eq!(rendered.matches("containers:\n").count(), expected);
        for pod in pods {
            for line in ["enableServiceLinks: false", "  fsGroup: 65532"] {
                let line = format!("\n      {line}\n");
                assert_eq!(pod.matches(&line).count(), 1, "{values}: {line}{pod}");
            }
        }
        // Helm writes large numbers with an exponent, which no variable may have.
        let bytes = if values == "secured" { 40 } else { 8_u64 } << 30;
        let spool =
            format!("GRAPEVINE_COLLECTOR__SPOOL_BYTES_MAX\n              value: \"{bytes}\"\n");
        assert!(rendered.contains(&spool), "{values}: {rendered}");
    }
}

/// What a macro makes of the name of a column.
type Expand<'a> = &'a dyn Fn(&str) -> String;

/// A Grafana query as its ClickHouse data source sends it, for these macros and variables.
fn expanded(sql: &str, from: i64, to: i64, site: &str) -> String {
    let mut text = sql.replace("${site}", site);
    let filter =
        |column: &str| format!("{column} >= toDateTime({from}) AND {column} <= toDateTime({to})");
    let interval =
        |column: &str| format!("toStartOfInterval(toDateTime({column}), INTERVAL 3600 second)");
    let days = |column: &str| format!("{column} >= toDate({from}) AND {column} <= toDate({to})");
    let macros: [(&str, Expand<'_>); 3] = [
        ("$__timeFilter(", &filter),
        ("$__dateFilter(", &days),
        ("$__timeInterval(", &interval),
    ];
    for (name, expand) in macros {
        while let Some((before, rest)) = text.split_once(name) {
            let (column, after) = rest.split_once(')').expect("closed");
            text = format!("{before}{}{after}", expand(column));
        }
    }
    assert!(
        !text.contains('$'),
        "a macro that this test does not know: {text}"
    );
    text
}

/// A rumour on the eighth day; what a scenario says of landings is scaled with its requests.
const RUMOUR: &str = "[[bursts]]
at_hours = 180.0
kind = \"rumour\"
landings = 5000.0
rise_hours = 0.25
decay_hours = 2.0
reproduction = 0.5
";

#[test]
fn every_panel_of_the_dashboard_has_numbers_of_real_data() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start(&data_dir);
    // Native hits have acts of sharing, tokens and conversions; a rumour makes a surge, and a wrong hit
    // a dead letter.
    let scenario = dir.path().join("rumour.toml");
    std::fs::write(&scenario, RUMOUR).expect("writes");
    answer(
        &data_dir,
        &[
            "simulate",
            "--scenario",
            &scenario.display().to_string(),
            "--requests",
            "40000",
            "--seed",
            "3",
            "--send",
            &local.collector,
        ],
    );
    let refused = reqwest::blocking::Client::new()
        .post(format!("{}/v1/hits", local.collector))
        .body(r#"{"site":"news.example","url":"no address"}"#)
        .send()
        .expect("answers");
    assert_eq!(refused.status().as_u16(), 422);
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");

    let span = query(
        &data_dir,
        "SELECT site, toUnixTimestamp(min(hour)), toUnixTimestamp(now()) FROM grapevine.visits_by_hour GROUP BY site",
    );
    let [site, from, to] = span.trim().split('\t').collect::<Vec<_>>()[..] else {
        panic!("one site: {span}")
    };
    let (from, to) = (from.parse().expect("time"), to.parse().expect("time"));

    let text = std::fs::read_to_string(root().join("deploy/grafana/dashboards/grapevine.json"))
        .expect("reads");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let variable = dashboard["templating"]["list"][0]["query"]
        .as_str()
        .expect("query");
    assert_eq!(query(&data_dir, variable).trim(), site);
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 12);
    let mut statements = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("title");
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 10),
            "{title}"
        );
        for target in panel["targets"].as_array().expect("targets") {
            let sql = expanded(target["rawSql"].as_str().expect("SQL"), from, to, site);
            // As the account that the data source uses.
            let rows = answer(&data_dir, &["query", "--reader", "--format", "TSV", &sql]);
            let has_number = |row: &str| {
                row.split('\t')
                    .any(|cell| cell.parse::<f64>().is_ok_and(|number| number > 0.0))
                    || row.starts_with("20")
            };
            assert!(
                rows.lines().next().is_some_and(has_number),
                "{title}: {rows:?} of {sql}"
            );
            statements.insert(sql);
        }
    }
    assert!(statements.len() >= 12, "panels ask different things");
    let expected = |title: &str| -> Vec<f64> {
        let panel = panels
            .iter()
            .find(|panel| panel["title"] == title)
            .expect(title);
        let sql = expanded(
            panel["targets"][0]["rawSql"].as_str().expect("SQL"),
            from,
            to,
            site,
        );
        let row = query(&data_dir, &sql);
        row.trim()
            .split('\t')
            .map(|cell| cell.parse().expect("number"))
            .collect()
    };
    let direct = query(
        &data_dir,
        "SELECT sum(dark_probability) FROM grapevine.visits WHERE channel != 'bot'",
    );
    let direct: f64 = direct.trim().parse().expect("number");
    let passed = expected("Privately passed");
    assert!(
        (passed[0] / direct - 1.0).abs() < 1e-6,
        "{passed:?} against {direct}"
    );
    assert!(
        passed[1] <= passed[0] && passed[0] <= passed[2],
        "its range is around it"
    );
}
