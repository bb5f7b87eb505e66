//! The files of `deploy/`, judged by the tools and engines that will read them.

use std::collections::{BTreeMap, BTreeSet};
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
    assert!(said.matches("good ").count() >= 40, "{said}");
}

/// What the chart makes of one of its files of values, and of more arguments of helm.
fn rendered(values: &str, more: &[&str]) -> String {
    let rendered = Command::new(tools().join("bin/helm"))
        .args(["template", "grapevine", "deploy/helm/grapevine"])
        .args(["--kube-version", "1.37.0", "--values"])
        .arg(format!("deploy/helm/grapevine/ci/{values}-values.yaml"))
        .args(more)
        .current_dir(root())
        .output()
        .expect("helm runs");
    let errors = String::from_utf8_lossy(&rendered.stderr);
    assert!(rendered.status.success(), "{values}: {errors}");
    String::from_utf8(rendered.stdout).expect("UTF-8")
}

/// One object of what the chart made.
fn object<'a>(rendered: &'a str, kind: &str, name: &str) -> Option<&'a str> {
    let (kind, name) = (format!("\nkind: {kind}\n"), format!("\n  name: {name}\n"));
    (rendered.split("\n---\n")).find(|object| object.contains(&kind) && object.contains(&name))
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
        // Helm takes every number for a fraction, and 24.0 is no number of partitions.
        ("apart", "kafka.partitions = 24"),
    ] {
        let rendered = rendered(values, &["--show-only", "templates/configmap.yaml"]);
        let (_, block) = rendered
            .split_once("grapevine.toml: |")
            .expect("a configuration");
        let toml = dir.path().join("grapevine.toml");
        std::fs::write(&toml, block.replace("\n    ", "\n")).expect("writes");
        let mut check = command(dir.path());
        check.args(["config", "check", "--config"]).arg(&toml);
        if values != "small" {
            check.env("GRAPEVINE_COLLECTOR__PSEUDONYM_KEY_FILE", &key);
        }
        if values == "secured" {
            check
                .env("GRAPEVINE_KAFKA__PASSWORD", "hush")
                .env("GRAPEVINE_CLICKHOUSE__PASSWORD", "hush")
                .env("GRAPEVINE_REGISTRY__PASSWORD", "hush")
                .env("GRAPEVINE_REGISTRY__CA", &ca)
                .env("GRAPEVINE_CLICKHOUSE__CA", &ca);
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
    for values in ["minimal", "small", "secured", "apart"] {
        let rendered = rendered(values, &[]);
        let pods: Vec<&str> = (rendered.split("\n---\n"))
            .filter(|object| object.contains("\n      containers:\n"))
            .collect();
        let expected = match values {
            // Its tables are made elsewhere.
            "small" => 3,
            // classify and chain.
            "apart" => 5,
            _ => 4,
        };
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

/// One release runs classify and chain as workloads of their own, each with what is other for it.
#[test]
fn the_stages_run_apart_in_one_release() {
    let apart = rendered("apart", &[]);
    assert_eq!(object(&apart, "StatefulSet", "grapevine-enrich"), None);
    assert!(!apart.contains("component: enrich"), "{apart}");
    for (stage, has, lacks) in [
        (
            "classify",
            // The first is the request of enrich; KEDA says how many there are.
            [
                "memory: 1Gi\n",
                "memory: 2Gi\n",
                "kubernetes.io/arch: amd64",
            ],
            "\n  replicas:",
        ),
        (
            "chain",
            [
                "\n  replicas: 4\n",
                "memory: 8Gi\n",
                "example.com/memory: large",
            ],
            "kubernetes.io/arch",
        ),
    ] {
        let set = object(&apart, "StatefulSet", &format!("grapevine-{stage}")).expect("there");
        let runs = format!("args: [enrich, --stage, {stage}]\n");
        // A replica is called what its pod is, in the group and the transactions of its stage.
        let called = ["GRAPEVINE_KAFKA__REPLICA\n", "fieldPath: metadata.name\n"];
        for text in has.into_iter().chain(called).chain([runs.as_str()]) {
            assert!(set.contains(text), "{stage} lacks {text}: {set}");
        }
        assert!(!set.contains(lacks), "{stage} has {lacks}: {set}");
        // Of the set, of what it selects, of its pods, of how they are spread.
        let component = format!("app.kubernetes.io/component: {stage}\n");
        assert_eq!(set.matches(&component).count(), 4, "{set}");
    }

    let scaled = object(&apart, "ScaledObject", "grapevine-classify").expect("scaled");
    for text in [
        "    name: grapevine-classify\n",
        "topic: hits.raw\n",
        "consumerGroup: \"grapevine-classify\"\n",
        "maxReplicaCount: 24\n",
        // No exponent, which KEDA would not read.
        "lagThreshold: \"2000000\"",
    ] {
        assert!(scaled.contains(text), "{text}: {scaled}");
    }
    assert_eq!(scaled.matches("- type: kafka").count(), 1, "{scaled}");
    assert_eq!(object(&apart, "ScaledObject", "grapevine-chain"), None);

    let budget = |name: &str| object(&apart, "PodDisruptionBudget", name);
    for (name, least) in [("classify", 2), ("sink", 1)] {
        let budget = budget(&format!("grapevine-{name}")).expect("a budget");
        let wanted = format!("minAvailable: {least}\n");
        let selects = format!("\n      app.kubernetes.io/component: {name}");
        for text in [wanted, selects] {
            assert!(budget.contains(&text), "{text}: {budget}");
        }
        // Kubernetes refuses both at once.
        assert!(!budget.contains("maxUnavailable"), "{budget}");
    }
    assert_eq!(budget("grapevine-chain"), None);

    let monitor = object(&apart, "ServiceMonitor", "grapevine").expect("scraped");
    assert!(monitor.contains("targetLabel: component"), "{monitor}");
}

/// Who upgrades finds the objects by the names that they had.
#[test]
fn stages_together_are_called_as_ever() {
    let named = |rendered: &str, stage: &str| {
        let set = object(rendered, "StatefulSet", "grapevine-enrich").expect("a workload");
        let runs = format!("args: [enrich, --stage, {stage}]\n");
        assert!(set.contains(&runs), "{set}");
        let budget = object(rendered, "PodDisruptionBudget", "grapevine-enrich");
        assert!(budget.is_some_and(|budget| budget.contains("maxUnavailable: 1\n")));
    };
    let secured = rendered("secured", &[]);
    named(&secured, "all");
    let scaled = object(&secured, "ScaledObject", "grapevine-enrich").expect("scaled");
    for topic in ["hits.raw", "hits.classified"] {
        assert!(scaled.contains(&format!("topic: {topic}\n")), "{scaled}");
    }
    let monitor = object(&secured, "ServiceMonitor", "grapevine").expect("scraped");
    assert!(!monitor.contains("targetLabel: component"), "{monitor}");
    named(
        &rendered("minimal", &["--set", "enrich.stage=chain"]),
        "chain",
    );
}

fn dashboard(name: &str) -> Value {
    let path = root().join(format!("deploy/grafana/dashboards/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("reads")).expect("JSON")
}

/// Every data source that a dashboard asks is there, by the address that compose gives Grafana.
#[test]
fn the_data_sources_of_the_dashboards_are_provisioned() {
    let mut uids = BTreeSet::new();
    let compose = std::fs::read_to_string(root().join("docker-compose.yml")).expect("reads");
    for kind in ["clickhouse", "prometheus"] {
        let path = format!("deploy/grafana/provisioning/datasources/{kind}.yaml");
        let text = std::fs::read_to_string(root().join(path)).expect("reads");
        for line in text.lines().map(str::trim) {
            if let Some(uid) = line.strip_prefix("uid: ") {
                uids.insert(uid.to_owned());
            }
            if let Some((_, variable)) = line.split_once('$') {
                assert!(compose.contains(&format!("{variable}: ")), "{line}");
            }
        }
    }
    assert_eq!(uids.len(), 2);
    for name in ["grapevine", "grapevine-services"] {
        let dashboard = dashboard(name);
        // A data source of another name can be chosen where there is a variable for it.
        let chosen = &dashboard["templating"]["list"][0]["current"]["value"];
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
                let asked = match target["datasource"]["uid"].as_str() {
                    Some("${source}") => chosen.as_str(),
                    asked => asked,
                };
                let known = asked.is_some_and(|uid| uids.contains(uid));
                assert!(known, "{name}: {}: {asked:?}", panel["title"]);
            }
        }
    }
}

/// A metric as docs/metrics.md has it, which a test of grapevine-metrics holds to the code.
struct Listed {
    kind: String,
    labels: BTreeSet<String>,
    meaning: String,
}

fn inventory() -> BTreeMap<String, Listed> {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).expect("reads");
    let rows = (page.lines()).filter(|line| line.starts_with("| `grapevine_"));
    let listed = |row: &str| {
        let [_, name, kind, labels, meaning, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("four cells: {row}")
        };
        let quoted = |text: &str| text.trim().trim_matches('`').to_owned();
        let listed = Listed {
            kind: quoted(kind),
            labels: labels.split(',').map(quoted).collect(),
            meaning: meaning.to_owned(),
        };
        (quoted(name), listed)
    };
    rows.map(listed).collect()
}

/// The metric of a series in an expression: a histogram has three kinds, and none by its name alone.
fn metric_of<'a>(series: &str, inventory: &'a BTreeMap<String, Listed>) -> Option<&'a Listed> {
    let of_histogram = |ending: &str| {
        let listed = inventory.get(series.strip_suffix(ending)?)?;
        (listed.kind == "histogram").then_some(listed)
    };
    match inventory.get(series) {
        Some(listed) => (listed.kind != "histogram").then_some(listed),
        None => (["_bucket", "_count", "_sum"].into_iter()).find_map(of_histogram),
    }
}

/// The texts between every `open` and the `)`, `}` that closes it.
fn between<'a>(text: &'a str, open: &str) -> Vec<&'a str> {
    let rest = text.split(open).skip(1);
    rest.map(|rest| rest.split([')', '}']).next().unwrap_or_default())
        .collect()
}

/// What the services' dashboard asks for is told: metrics by name, of their kind, with their labels.
#[test]
fn the_services_dashboard_is_made_of_the_inventory() {
    let inventory = inventory();
    // The one label whose values the inventory names.
    let of_ends = (inventory.values()).filter(|listed| listed.labels.contains("end"));
    let ends: String = of_ends.map(|listed| listed.meaning.as_str()).collect();
    let dashboard = dashboard("grapevine-services");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut titles = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let title = text(&panel["title"]);
        // Enough to say what to do.
        assert!(text(&panel["description"]).len() > 80, "{title}");
        let unit = &panel["fieldConfig"]["defaults"]["unit"];
        assert!(unit.is_string(), "{title} has no unit");
        assert!(titles.insert(title.clone()), "{title} twice");
        for target in panel["targets"].as_array().expect("targets") {
            let promql = text(&target["expr"]);
            // Prometheus adds these two to every series.
            let mut labels = BTreeSet::from(["instance".to_owned(), "job".to_owned()]);
            for (at, _) in promql.match_indices("grapevine_") {
                let (series, rest) = promql[at..].split_once('{').expect("chosen by replica");
                let listed = metric_of(series, &inventory)
                    .unwrap_or_else(|| panic!("{title}: {series} is not in docs/metrics.md"));
                shown.insert(series.to_owned());
                labels.extend(listed.labels.iter().cloned());
                let before = &promql[..at];
                if before.ends_with("rate(") || before.ends_with("increase(") {
                    assert_ne!(listed.kind, "gauge", "{title}: {series} does not only grow");
                }
                let (matchers, _) = rest.split_once('}').expect("closed");
                for matcher in matchers.split(", ") {
                    let (label, value) = matcher.split_once('=').expect("a matcher");
                    let has = label == "instance" || listed.labels.contains(label);
                    assert!(has, "{title}: {series} has no label {label}");
                    let value = value.trim_matches(['~', '"']);
                    let named = label != "end" || ends.contains(value);
                    assert!(named, "{title}: nothing ends {value}");
                }
            }
            assert!(promql.contains("grapevine_"), "{title}: {promql}");
            let grouped = ["by (", "on (", "group_left ("].map(|open| between(&promql, open));
            for label in grouped.iter().flatten().flat_map(|list| list.split(", ")) {
                let has = labels.contains(label) || label == "le" && promql.contains("_bucket{");
                assert!(has, "{title}: nothing has a label {label}: {promql}");
            }
            let legend = text(&target["legendFormat"]);
            for label in between(&legend, "{{") {
                let mut by = grouped[0].iter().flat_map(|list| list.split(", "));
                let added_up = ["sum(", "max(", "min(", "avg(", "count("]
                    .iter()
                    .any(|name| promql.contains(name));
                let kept = by.any(|by| by == label) || !added_up && labels.contains(label);
                assert!(kept, "{title}: {label} of the legend is added up");
            }
        }
    }
    // What an operator must see of a pipeline: what waits, how late it is, what failed.
    for series in [
        "grapevine_consumer_lag_records",
        "grapevine_event_to_row_seconds_bucket",
        "grapevine_sink_batch_rows_bucket",
        "grapevine_sink_batch_bytes_bucket",
        "grapevine_commits_total",
        "grapevine_dead_letters_total",
        "grapevine_spool_bytes",
        "grapevine_state_entries",
        "grapevine_state_snapshots_failed_total",
        "grapevine_collector_requests_total",
    ] {
        assert!(shown.contains(series), "{series}");
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

    let dashboard = dashboard("grapevine");
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
