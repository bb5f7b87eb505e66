//! What strangers send, through the real collector and the importer: each has one defined result, a
//! row, a dead letter with its reason, or an answer that names the field.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grapevine_tests::{Local, answer, query};
use serde_json::{Value, json};

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A collector and who talks to it.
struct Collector {
    local: Local,
    client: reqwest::blocking::Client,
    data_dir: std::path::PathBuf,
    accepted: u64,
}

impl Collector {
    fn start(data_dir: &Path) -> Collector {
        Collector {
            local: Local::start(data_dir),
            client: reqwest::blocking::Client::builder()
                .timeout(Duration::from_secs(60))
                .build()
                .expect("client"),
            data_dir: data_dir.to_owned(),
            accepted: 0,
        }
    }

    /// Sends hits; status and answer. `key` sends the server key.
    fn send(&mut self, hits: &Value, key: bool) -> (u16, Value) {
        let url = format!("{}/v1/hits", self.local.collector);
        let mut request = self.client.post(url).body(hits.to_string());
        if key {
            request = request.bearer_auth(&self.local.server_key);
        }
        let sent = request.send().expect("answers");
        let status = sent.status().as_u16();
        let answer: Value = sent.json().expect("JSON");
        self.accepted += answer["accepted"].as_u64().unwrap_or(0);
        (status, answer)
    }

    #[track_caller]
    fn takes(&mut self, hits: &Value) {
        let (status, answer) = self.send(hits, false);
        assert_eq!(status, 200, "{answer}");
    }

    /// A 422 that names the field and says what to do.
    #[track_caller]
    fn refuses(&mut self, hit: &Value, key: bool, field: &str, words: &str) {
        let (status, answer) = self.send(hit, key);
        let text = answer.to_string();
        assert_eq!(status, 422, "{text}");
        assert!(text.contains(field) && text.contains(words), "{text}");
    }

    /// Asks until the answer is what it must become: rows follow hits within seconds.
    #[track_caller]
    fn becomes(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = query(&self.data_dir, sql);
            if found.trim() == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{sql}: {found:?}, not {expected:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

fn hit(site: &str, path: &str, visitor: &str) -> Value {
    json!({
        "site": site,
        "url": format!("https://{site}{path}"),
        "visitor": visitor,
        "user_agent": AGENT,
    })
}

fn with(mut hit: Value, field: &str, value: Value) -> Value {
    hit[field] = value;
    hit
}

#[test]
fn tokens_that_are_forged_foreign_ones_own_or_go_in_circles() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut collector = Collector::start(&dir.path().join("data"));
    let giving = |hit: Value, token: &str| with(hit, "token", token.into());
    for hits in [
        // Anna reads and is given a token; Bert comes by it.
        giving(hit("a.example", "/story", "anna"), "tokenofanna"),
        giving(
            hit("a.example", "/story?gv=tokenofanna", "bert"),
            "tokenofbert",
        ),
        // Anna comes by Bert's: a circle, and no edge. By her own: none either.
        hit("a.example", "/story?gv=tokenofbert", "anna"),
        hit("a.example", "/story?gv=tokenofanna", "anna"),
        // A token that nobody was given, and Anna's on another site and another page.
        giving(
            hit("a.example", "/story?gv=neverwasgiven", "carl"),
            "tokenofcarl",
        ),
        giving(
            hit("b.example", "/story?gv=tokenofanna", "dora"),
            "tokenofdora",
        ),
        giving(
            hit("a.example", "/other?gv=tokenofanna", "emil"),
            "tokenofemil",
        ),
        // No token at all: too long, and of other letters.
        hit(
            "a.example",
            &format!("/story?gv={}", "x".repeat(65)),
            "fred",
        ),
        hit("a.example", "/story?gv=%3Cscript%3E", "gina"),
    ] {
        collector.takes(&hits);
    }
    let visits = "SELECT count() FROM grapevine.visits";
    // Bert's link brings Anna anew; with her own, her visit goes on.
    collector.becomes(&format!("{visits} WHERE site = 'a.example'"), "7");
    let later = "SELECT count() FROM grapevine.events WHERE kind = 'page_view'";
    collector.becomes(later, "1");
    let edges = "SELECT countIf(parent_visit IS NOT NULL AND method = 'token'), countIf(parent_kind = 'unknown' AND method = 'token'), countIf(child_visit = ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000'))) FROM grapevine.edges";
    collector.becomes(edges, "1\t3\t0");
    // Whoever comes by a link that was passed on came in the dark; broken tokens prove nothing.
    collector.becomes(
        "SELECT countIf(method = 'token'), countIf(method = 'token' AND content LIKE '%script%') FROM grapevine.visits",
        "5\t0",
    );
    collector.becomes(&format!("{visits} WHERE content LIKE '%gv=%'"), "0");
    collector.becomes("SELECT count() FROM grapevine.dead_letters", "0");
}

#[test]
fn clocks_in_the_future() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let mut collector = Collector::start(&data_dir);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as i64;
    let at = |time: i64| with(hit("a.example", "/story", "anna"), "time", time.into());
    collector.refuses(&at(now + 3_600_000), false, "time", "ten minutes ahead");
    collector.refuses(&at(now - 30 * 86_400_000), false, "time", "seven days back");
    collector.refuses(
        &at(5_000_000_000_000),
        true,
        "time",
        "between 1970 and 2100",
    );
    collector.refuses(&at(-1), true, "time", "between 1970 and 2100");
    collector.takes(&at(now + 300_000));
    // With the server key a sender answers for its clock, but no stage believes what has not come
    // yet: the time of receipt counts.
    let ahead = with(
        hit("a.example", "/story", "bert"),
        "time",
        (now + 40 * 86_400_000).into(),
    );
    let (status, told) = collector.send(&ahead, true);
    assert_eq!(status, 200, "{told}");
    collector.becomes(
        &format!("SELECT count(), countIf(abs(toUnixTimestamp64Milli(time) - {now}) < 600000) FROM grapevine.visits"),
        "2\t2",
    );
    collector.becomes(
        "SELECT reason, count() FROM grapevine.dead_letters GROUP BY reason",
        "wrong_field\t4",
    );
    drop(collector);

    let line = |day: &str, address: &str| {
        format!(
            "{address} - - [{day}:10:00:00 +0000] \"GET /story HTTP/1.1\" 200 5 \"-\" \"{AGENT}\"\n"
        )
    };
    let log = dir.path().join("future.log");
    let text = line("02/Mar/2026", "203.0.113.9") + &line("02/Mar/2199", "203.0.113.10");
    std::fs::write(&log, text).expect("writes");
    let name = log.display().to_string();
    let summary = answer(
        &data_dir,
        &["import", "--json", "--site", "b.example", &name],
    );
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary[0]["people"], 1, "{summary}");
    assert_eq!(summary[0]["dead_letters"]["time_in_future"], 1, "{summary}");
}

#[test]
fn a_crowd_on_one_address_within_a_minute() {
    const VISITS: u32 = 20_000;
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let log = dir.path().join("crowd.log");
    let mut text = String::new();
    for number in 0..VISITS {
        let [_, _, high, low] = number.to_be_bytes();
        let second = number * 60 / VISITS;
        text += &format!(
            "10.1.{high}.{low} - - [02/Mar/2026:10:00:{second:02} +0000] \"GET /2026/03/a-story HTTP/1.1\" 200 5 \"-\" \"{AGENT}\"\n"
        );
    }
    std::fs::write(&log, text).expect("writes");
    let name = log.display().to_string();
    answer(
        &data_dir,
        &["import", "--quiet", "--site", "a.example", &name],
    );
    let one = |sql: &str| query(&data_dir, sql).trim().to_owned();
    assert_eq!(
        one("SELECT count(), uniqExact(content) FROM grapevine.visits"),
        format!("{VISITS}\t1")
    );
    assert_eq!(one("SELECT count() FROM grapevine.dead_letters"), "0");
    // Nothing is known yet of what is usual on this site.
    assert_eq!(one("SELECT count() FROM grapevine.surges"), "0");
}

#[test]
fn addresses_of_64_kb_and_of_other_scripts() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let mut collector = Collector::start(&data_dir);
    let of_length = |bytes: usize| {
        let head = "https://a.example/";
        with(
            hit("a.example", "/", &format!("reader-{bytes}")),
            "url",
            format!("{head}{}", "a".repeat(bytes - head.len())).into(),
        )
    };
    collector.takes(&of_length(65_536));
    collector.refuses(&of_length(65_537), false, "url", "at most 65536");
    // Escaped, it is three times as long as any address may be.
    let growing = format!("https://a.example/{}", "é".repeat(32_000));
    collector.takes(&with(
        hit("a.example", "/", "grower"),
        "url",
        growing.into(),
    ));
    // One page in three spellings, and one that only looks like it.
    for (visitor, url) in [
        ("kyrill", "https://пример.example/статья"),
        (
            "punycode",
            "https://xn--e1afmkfd.example/%D1%81%D1%82%D0%B0%D1%82%D1%8C%D1%8F",
        ),
        ("loud", "HTTPS://ПРИМЕР.EXAMPLE/статья#top"),
        ("twin", "https://пpимер.example/статья"),
    ] {
        collector.takes(&with(hit("b.example", "/", visitor), "url", url.into()));
    }
    collector.becomes(
        "SELECT count() AS visits FROM grapevine.visits WHERE site = 'b.example' GROUP BY content ORDER BY visits",
        "1\n3",
    );
    collector.becomes(
        "SELECT max(length(content)) FROM grapevine.visits WHERE site = 'a.example'",
        "65536",
    );
    collector.becomes(
        "SELECT count() FROM grapevine.visits WHERE site = 'a.example'",
        "1",
    );
    collector.becomes(
        "SELECT stage, count() FROM grapevine.dead_letters GROUP BY stage ORDER BY stage",
        "classify\t1\ncollect\t1",
    );
    collector.refuses(
        &json!({"site": "пример.example", "url": "https://a.example/"}),
        false,
        "site",
        "A-Z",
    );
    drop(collector);

    let log = dir.path().join("long.log");
    let line = |address: &str, path: &str| {
        format!(
            "{address} - - [02/Mar/2026:10:00:00 +0000] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"{AGENT}\"\n"
        )
    };
    let of = |bytes: usize| format!("/{}", "b".repeat(bytes - 1));
    let text = line("203.0.113.9", &of(65_100))
        + &line("203.0.113.11", &of(70_000))
        + &line("203.0.113.10", "/%D1%81%D1%82");
    std::fs::write(&log, text).expect("writes");
    let name = log.display().to_string();
    let summary = answer(
        &data_dir,
        &["import", "--json", "--site", "c.example", &name],
    );
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary[0]["people"], 1, "{summary}");
    assert_eq!(summary[0]["dead_letters"]["url_too_long"], 1, "{summary}");
    assert_eq!(summary[0]["dead_letters"]["line_too_long"], 1, "{summary}");
}

#[test]
fn user_agents_of_hostile_bytes() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let mut collector = Collector::start(&data_dir);
    let agents = [
        "(".repeat(4_096),
        format!("Mozilla/5.0 {}", "a+".repeat(2_000)),
        "'; DROP TABLE grapevine.visits; --".to_owned(),
        "\u{202e}\u{0}\u{7}\u{1b}[31m\u{feff}Firefox".to_owned(),
        "<script>alert(1)</script>".to_owned(),
        "=cmd|'/c calc'!A1".to_owned(),
    ];
    let count = agents.len();
    for (number, agent) in agents.iter().enumerate() {
        let reader = hit("a.example", "/story", &format!("reader-{number}"));
        collector.takes(&with(reader, "user_agent", agent.as_str().into()));
    }
    let long = with(
        hit("a.example", "/story", "long"),
        "user_agent",
        "x".repeat(4_097).into(),
    );
    collector.refuses(&long, false, "user_agent", "at most 4096");
    // Each is a row, of a person or of a robot, and the tables are there.
    collector.becomes("SELECT count() FROM grapevine.visits", &count.to_string());
    collector.becomes("SELECT count() FROM grapevine.dead_letters", "1");
    drop(collector);

    let log = dir.path().join("hostile.log");
    let mut bytes = Vec::new();
    let hostile: [&[u8]; 5] = [
        b"\\x22\\x00\\xff\\xfe",
        b"caf\xe9 \xff\xfe",
        b"() { :; }; echo probe",
        b"\\\\\\\" quote",
        b"\t\x07\x1b[31m",
    ];
    for (number, agent) in hostile.iter().enumerate() {
        bytes.extend_from_slice(
            format!("203.0.113.{number} - - [02/Mar/2026:10:00:00 +0000] \"GET /story HTTP/1.1\" 200 5 \"-\" \"").as_bytes(),
        );
        bytes.extend_from_slice(agent);
        bytes.extend_from_slice(b"\"\n");
    }
    std::fs::write(&log, bytes).expect("writes");
    let name = log.display().to_string();
    let summary = answer(
        &data_dir,
        &["import", "--json", "--site", "b.example", &name],
    );
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    let of = |name: &str| summary[0][name].as_u64().unwrap_or(0);
    let letters: u64 = summary[0]["dead_letters"].as_object().map_or(0, |letters| {
        letters.values().filter_map(Value::as_u64).sum()
    });
    // A line is a hit or a letter.
    assert_eq!(
        of("people") + of("robots") + of("previews") + letters,
        5,
        "{summary}"
    );
    let rows = query(
        &data_dir,
        "SELECT count() FROM grapevine.visits WHERE site = 'b.example'",
    );
    assert_eq!(rows.trim(), (5 - letters).to_string());
}
