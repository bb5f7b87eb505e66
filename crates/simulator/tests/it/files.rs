use std::collections::{HashMap, HashSet};

use grapevine_simulator::{
    Event, HitOptions, LogFormat, Scenario, TruthFormat, hits, simulate, write_access_log,
    write_hits, write_truth,
};
use regex::Regex;
use serde_json::Value;

use crate::SMALL;

const SITE: &str = "news.example";

fn log(format: LogFormat) -> String {
    log_of(SMALL.iter().cloned(), format)
}

fn log_of(events: impl Iterator<Item = Event>, format: LogFormat) -> String {
    let mut out = Vec::new();
    let lines = write_access_log(&mut out, events, SITE, format).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count() as u64, lines);
    text
}

fn hit_lines(options: HitOptions) -> Vec<Value> {
    let mut out = Vec::new();
    let count = write_hits(&mut out, SMALL.iter().cloned(), SITE, options).unwrap();
    let text = String::from_utf8(out).unwrap();
    let values: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values.len() as u64, count);
    values
}

fn truth_rows() -> Vec<Value> {
    let mut out = Vec::new();
    write_truth(
        &mut out,
        SMALL.iter().cloned(),
        "news.example",
        TruthFormat::Ndjson,
    )
    .unwrap();
    String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// FNV-1a, enough to pin bytes.
fn checksum(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[test]
fn log_lines_parse_by_a_grammar_of_their_own() {
    let tail = r#"(?<ip>[0-9a-f.:]+) - - \[(?<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "(?<request>(?:[^"\\]|\\.)*)" (?<status>\d{3}) (?<bytes>\d+) "(?<referrer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)"$"#;
    let request = Regex::new(r"^(GET|HEAD|POST) /\S*(.*) HTTP/(1\.1|2\.0)$").unwrap();
    let mut scenario = Scenario::small();
    scenario.robots.probes_per_day = 400.0;
    for (format, head) in [
        (LogFormat::Combined, "^"),
        (LogFormat::VhostCombined, r"^news\.example:443 "),
    ] {
        let grammar = Regex::new(&format!("{head}{tail}")).unwrap();
        let (mut lines, mut garbage) = (0, 0);
        for line in log_of(simulate(&scenario).unwrap(), format).lines() {
            assert!(line.is_ascii(), "{line}");
            let parts = grammar
                .captures(line)
                .unwrap_or_else(|| panic!("no log line: {line}"));
            parts["ip"].parse::<std::net::IpAddr>().unwrap();
            if !request.is_match(&parts["request"]) {
                assert_eq!(&parts["status"], "400", "{line}");
                garbage += 1;
            }
            lines += 1;
        }
        assert!(
            lines > 5_000 && garbage > 0 && garbage < lines / 100,
            "{lines} {garbage}"
        );
    }
}

#[test]
fn both_formats_hold_the_same_requests() {
    let combined = log(LogFormat::Combined);
    let vhost = log(LogFormat::VhostCombined);
    assert_eq!(combined.lines().count(), vhost.lines().count());
    for (one, other) in combined.lines().zip(vhost.lines()) {
        let of = |line: &str| line.split('[').nth(1).map(|rest| rest[..26].to_string());
        assert_eq!(of(one), of(other));
    }
}

#[test]
fn truth_rows_join_to_log_lines_and_hits() {
    let log = log(LogFormat::Combined);
    let lines: Vec<&str> = log.lines().collect();
    let hits: HashMap<String, Value> = hit_lines(HitOptions::default())
        .into_iter()
        .map(|hit| (hit["id"].as_str().unwrap().to_string(), hit))
        .collect();
    let rows = truth_rows();
    let mut joined = HashSet::new();
    for row in &rows {
        let content = row["content"].as_str().unwrap();
        if let Some(number) = row["line"].as_u64() {
            let line = lines[number as usize - 1];
            let target = line.split('"').nth(1).unwrap().split(' ').nth(1).unwrap();
            let ladder = row["kind"] == "preview" && row["status"] == 404;
            let path = content.replace('"', "\\x22");
            assert!(ladder || target.starts_with(&path), "{row} is not {line}");
            assert!(
                line.contains(&format!("\" {} ", row["status"])),
                "{row} is not {line}"
            );
        } else {
            assert_eq!(row["kind"], "share");
        }
        let id = row["id"].as_str().unwrap();
        assert_eq!(
            row["hit"].as_bool().unwrap(),
            hits.contains_key(id),
            "{row}"
        );
        if let Some(hit) = hits.get(id) {
            assert_eq!(hit["time"], row["time"]);
            joined.insert(id);
        }
    }
    let page_views = hits
        .values()
        .filter(|hit| hit["type"] == "page_view")
        .count();
    let rows_with_page = rows
        .iter()
        .filter(|row| row["hit"] == true && row["kind"] != "share")
        .count();
    assert_eq!(page_views, rows_with_page, "every page view has its truth");
    for kind in ["visit", "share", "preview", "robot", "scanner"] {
        assert!(rows.iter().any(|row| row["kind"] == kind), "no {kind}");
    }
    assert!(joined.len() > 1_000);
}

#[test]
fn csv_holds_what_ndjson_holds() {
    let mut out = Vec::new();
    write_truth(
        &mut out,
        SMALL.iter().cloned(),
        "news.example",
        TruthFormat::Csv,
    )
    .unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows = truth_rows();
    assert_eq!(lines.clone().count(), rows.len());
    for (line, row) in lines.zip(&rows) {
        // The only quoted column is the content; nothing else can hold a comma.
        let plain = match line.split('"').collect::<Vec<_>>()[..] {
            [whole] => whole.to_string(),
            _ => continue,
        };
        let fields: Vec<&str> = plain.split(',').collect();
        assert_eq!(fields.len(), columns.len(), "{line}");
        for (column, field) in columns.iter().zip(fields) {
            let value = match &row[*column] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(value, field, "{column} of {line}");
        }
    }
}

#[test]
fn hits_keep_to_the_contract() {
    let fields = [
        "site",
        "url",
        "type",
        "time",
        "id",
        "visitor",
        "referrer",
        "user_agent",
        "language",
        "title",
        "token",
        "app",
        "name",
        "value",
        "props",
        "status",
        "headers",
        "address",
    ];
    let headers = [
        "sec-fetch-site",
        "sec-fetch-mode",
        "sec-fetch-dest",
        "sec-fetch-user",
        "sec-ch-ua",
        "x-requested-with",
        "sec-purpose",
        "range",
    ];
    let token = Regex::new("^[A-Za-z0-9_-]{1,64}$").unwrap();
    let mut kinds = HashSet::new();
    for hit in hit_lines(HitOptions::default()) {
        let object = hit.as_object().unwrap();
        assert!(
            object.keys().all(|key| fields.contains(&key.as_str())),
            "{hit}"
        );
        assert_eq!(hit["site"], SITE);
        assert!(
            hit["url"]
                .as_str()
                .unwrap()
                .starts_with("https://news.example/")
        );
        assert!(hit["time"].as_i64().unwrap() > 1_772_409_600_000 - 1);
        assert!(
            hit["address"]
                .as_str()
                .unwrap()
                .parse::<std::net::IpAddr>()
                .is_ok()
        );
        if let Some(text) = hit["token"].as_str() {
            assert!(token.is_match(text));
        }
        if let Some(map) = hit["headers"].as_object() {
            assert!(
                map.keys().all(|key| headers.contains(&key.as_str())),
                "{hit}"
            );
            assert!(!map.is_empty());
        }
        if let Some(status) = hit.get("status") {
            assert!(
                hit.get("visitor").is_none(),
                "a server knows no visitor: {hit}"
            );
            assert!((100..600).contains(&status.as_u64().unwrap()));
        } else {
            assert!(
                hit["visitor"]
                    .as_str()
                    .is_some_and(|visitor| visitor.len() == 16)
            );
        }
        kinds.insert(hit["type"].as_str().unwrap().to_string());
    }
    for kind in ["page_view", "engagement", "share", "copy"] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
}

#[test]
fn without_the_server_key_hits_tell_no_address_and_people_no_headers() {
    let options = HitOptions {
        addresses: false,
        headers: false,
    };
    let lines = hit_lines(options);
    for hit in &lines {
        assert!(hit.get("address").is_none());
        assert!(hit.get("visitor").is_none() || hit.get("headers").is_none());
    }
    assert!(
        lines.iter().any(|hit| hit.get("headers").is_some()),
        "servers still tell theirs"
    );
    let strings: Vec<String> = hits(SMALL.iter().cloned(), SITE, options)
        .map(Result::unwrap)
        .collect();
    assert_eq!(strings.len(), lines.len());
    assert_eq!(
        serde_json::from_str::<Value>(&strings[0]).unwrap(),
        lines[0]
    );
}

#[test]
fn files_have_the_same_bytes_on_every_run_and_platform() {
    let log = log(LogFormat::Combined);
    assert_eq!(
        log,
        log_of(simulate(&Scenario::small()).unwrap(), LogFormat::Combined)
    );
    // A change of scenario, draws or formats changes these on purpose; a platform must not.
    let mut hits = Vec::new();
    write_hits(
        &mut hits,
        SMALL.iter().cloned(),
        SITE,
        HitOptions::default(),
    )
    .unwrap();
    let pinned = (18_244_068_722_560_441_075, 17_771_970_740_354_805_775);
    assert_eq!((checksum(log.as_bytes()), checksum(&hits)), pinned);
}

#[test]
fn nothing_is_a_hit_that_nobody_could_send() {
    for event in SMALL.iter() {
        assert!(!event.is_hit() || event.request.status != 301);
        let without_script = event.is_visit() && event.client.is_none();
        assert!(!without_script || !event.is_hit());
    }
}
