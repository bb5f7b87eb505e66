//! A content that spreads in the dark raises its alert within a minute of the hit that decided it: by the
//! wall clock, from the collector's answer to the row and the warning, through the real processes.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grapevine_kafka_testing::GuardedProcess;
use grapevine_tests::clickhouse::Asked;
use grapevine_tests::stages::PATIENCE;
use grapevine_tests::trio::{Trio, ended_well};
use grapevine_tests::{Local, answer};
use serde_json::{Value, json};

/// What is promised, from the answer to the hit that decided. The machine may be as slow as it likes below
/// that: no figure of a benchmark, but the bound that makes an alert one, so missing it is a fault.
const PROMISED: Duration = Duration::from_secs(60);
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(100);

const SITE: &str = "news.example";
const CONTENTS: i64 = 4;
/// What the rumour is about: one of the contents that the site has known all along.
const CONTENT: &str = "https://news.example/story-0";
const KEY: &str = "key-of-this-test";

/// A site's first day raises nothing. Older than two days before the collector's heartbeat, hits would
/// live by the clock of imports.
const CALM_HOURS: i64 = 30;
const QUARTER_MS: i64 = 15 * 60_000;
/// Enough for a surge, which takes eight dark visits, and too few for a second record of it, which takes
/// twice as many as the first: the one record is of the hit that decided.
const READERS: i64 = 14;

const OPEN: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const WHATSAPP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]";
const MESSENGER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/MessengerForiOS;FBAV/480.0.0.32.104;FBBV/654321;FBDV/iPhone15,3]";

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("before the year 292 million")
}

/// A landing of a reader in a network of the reader's own.
fn landing(content: i64, time: i64, reader: &str, number: i64, user_agent: &str) -> Value {
    json!({
        "site": SITE,
        "url": format!("https://news.example/story-{content}"),
        "time": time,
        "visitor": reader,
        "user_agent": user_agent,
        // Set aside for tests of networks (RFC 2544); /24 is a network.
        "address": format!("198.{}.{}.9", 18 + number / 256 % 2, number % 256),
    })
}

/// What the site is like before: every quarter of an hour each content is found by a search, every two
/// hours one reader of each comes from a chat.
fn calm(until: i64) -> Vec<Value> {
    let mut hits: Vec<(i64, Value)> = Vec::new();
    for quarter in 0..CALM_HOURS * 4 {
        let time = until - (CALM_HOURS * 4 - quarter) * QUARTER_MS;
        for content in 0..CONTENTS {
            let number = quarter * CONTENTS + content;
            let at = time + content * 10_000;
            let mut open = landing(content, at, &format!("searcher-{number}"), number, OPEN);
            open["referrer"] = "https://www.google.com/".into();
            hits.push((at, open));
            if quarter % 8 == content * 2 {
                let at = at + QUARTER_MS / 2;
                let reader = format!("friend-{number}");
                hits.push((at, landing(content, at, &reader, number, WHATSAPP)));
            }
        }
    }
    hits.sort_by_key(|(time, _)| *time);
    hits.into_iter().map(|(_, hit)| hit).collect()
}

/// Two readers, one by the other's token.
fn a_certain_edge() -> Vec<Value> {
    let now = now_ms();
    let mut first = landing(1, now - 5_000, "teller", 300, OPEN);
    first["site"] = "other.example".into();
    first["url"] = "https://other.example/?page=1".into();
    first["token"] = "told".into();
    let mut second = landing(1, now, "listener", 301, OPEN);
    second["site"] = "other.example".into();
    second["url"] = "https://other.example/?page=1&gv=told".into();
    vec![first, second]
}

/// Where hits go in and alerts come out.
struct Pipeline {
    collector: String,
    key: String,
    asked: Asked,
    http: reqwest::blocking::Client,
}

impl Pipeline {
    /// Sends hits until they are taken; when that was answered.
    fn send(&self, hits: &[Value]) -> Instant {
        let url = format!("{}/v1/hits", self.collector);
        let body = Value::from(hits.to_vec()).to_string();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.http.post(&url).bearer_auth(&self.key);
            let said = match request.body(body.clone()).send() {
                Ok(answer) if answer.status() == 200 => return Instant::now(),
                Ok(answer) => format!("{}: {:?}", answer.status(), answer.text()),
                Err(error) => error.to_string(),
            };
            assert!(Instant::now() < deadline, "nobody takes hits: {said}");
            std::thread::sleep(AGAIN);
        }
    }

    /// A calm day and more, then a rumour now: its alert is there in time and says where it spreads. `said`
    /// is what the process that raises it has said so far.
    fn raises_a_rumour_in_time(&self, said: &dyn Fn() -> String) {
        // Which clock a hit lives by is settled by the collector's last heartbeat, and before the first
        // all live by that of imports. A cascade is written with a heartbeat, so here one was heard.
        self.send(&a_certain_edge());
        self.asked
            .wait_for("SELECT count() > 0 FROM grapevine.cascades", 1);

        let calm = calm(now_ms());
        self.send(&calm);
        let visits = format!("SELECT count() FROM grapevine.visits WHERE site = '{SITE}'");
        self.asked.wait_for(&visits, calm.len() as u64);
        self.asked
            .wait_for("SELECT count() FROM grapevine.surges", 0);
        assert!(!said().contains("spreading in the dark"), "{}", said());

        // The act, then its readers: one hit a request, no two of one millisecond.
        let told = now_ms();
        let mut act = landing(0, told, "friend-0", 0, OPEN);
        act["type"] = "share".into();
        act["app"] = "whatsapp".into();
        self.send(&[act]);
        let mut readers: Vec<(i64, Instant)> = Vec::new();
        for number in 0..READERS {
            let last = readers.last().map_or(told, |(time, _)| *time);
            let time = now_ms().max(last + 1);
            let user_agent = if number % 3 == 2 { MESSENGER } else { WHATSAPP };
            let hit = landing(0, time, &format!("reader-{number}"), number, user_agent);
            readers.push((time, self.send(&[hit])));
        }

        let alert = "SELECT toUnixTimestamp64Milli(updated), toString(state), visits, dark, baseline, networks, share_acts, arrayStringConcat(arrayMap(share -> share.1, apps), ' '), arrayStringConcat(arrayMap(seed -> concat(toString(seed.1), ' ', toString(toUnixTimestamp64Milli(seed.3)), ' ', seed.4), seeds), ',')";
        let alert = format!(
            "{alert} FROM grapevine.surges WHERE site = '{SITE}' AND content = '{CONTENT}'"
        );
        let warned = || {
            let text = said();
            let is_it =
                |line: &str| line.contains("spreading in the dark") && line.contains(CONTENT);
            text.lines().any(is_it)
        };
        let deadline = Instant::now() + PROMISED;
        let (row, seen) = loop {
            let found = self.asked.rows(&alert);
            let is_warned = warned();
            let seen = Instant::now();
            if let Ok(rows) = &found
                && let [row] = &rows[..]
                && is_warned
            {
                break (row.clone(), seen);
            }
            assert!(
                seen < deadline,
                "{found:?}, warned: {is_warned}: {}",
                said()
            );
            std::thread::sleep(AGAIN);
        };
        let [
            updated,
            state,
            visits,
            dark,
            baseline,
            networks,
            acts,
            apps,
            seeds,
        ] = &row[..]
        else {
            panic!("{row:?}")
        };
        let number = |text: &String| -> f64 { text.parse().expect("a number") };
        let at = readers
            .iter()
            .position(|(time, _)| time.to_string() == *updated);
        let decided = at.unwrap_or_else(|| panic!("{updated} is none of {readers:?}"));
        let took = seen.saturating_duration_since(readers[decided].1);
        assert!(took <= PROMISED, "{took:?} after the hit that decided");

        assert_eq!(state, "raised");
        let came = decided as f64 + 1.0;
        assert_eq!(number(visits), came, "{row:?}");
        assert!((8.0..=came).contains(&number(dark)), "{row:?}");
        assert!(number(baseline) < number(dark) / 3.0, "{row:?}");
        assert!((5.0..=came).contains(&number(networks)), "{row:?}");
        assert!(number(acts) > 0.0, "{row:?}");
        assert_eq!(apps, "whatsapp messenger");
        // The act and the first five readers, in order: the content was last read a quarter of an hour
        // before at the least, and the first of them is already more than that explains.
        let mut began = vec![format!("share {told} whatsapp")];
        for (at, (time, _)) in readers.iter().take(5).enumerate() {
            let app = if at % 3 == 2 { "messenger" } else { "whatsapp" };
            began.push(format!("visit {time} {app}"));
        }
        assert_eq!(*seeds, began.join(","));
        let known = "SELECT count() FROM grapevine.surges ARRAY JOIN seeds AS seed WHERE seed.id IN (SELECT visit_id FROM grapevine.visits UNION ALL SELECT share_id FROM grapevine.shares)";
        self.asked.wait_for(known, 6);
        // Nothing else rose.
        self.asked
            .wait_for("SELECT count() FROM grapevine.surges", 1);
    }
}

fn reported(data_dir: &Path) {
    let report = answer(data_dir, &["report", "--site", SITE]);
    assert!(report.contains("Spreading in the dark now"), "{report}");
}

#[test]
fn an_alert_is_there_within_a_minute_of_the_hit_that_decided() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let local = Local::start(&data_dir);
    let pipeline = Pipeline {
        collector: local.collector.clone(),
        key: local.server_key.clone(),
        asked: Asked::with_password(local.clickhouse.clone(), &local.owner_password),
        http: reqwest::blocking::Client::new(),
    };
    pipeline.raises_a_rumour_in_time(&|| local.said());
    reported(&data_dir);
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_alert_is_there_within_a_minute_through_the_services_on_kafka() {
    let trio = Trio::new();
    let _clickhouse = trio.serve_clickhouse();
    let environment = [("GRAPEVINE_COLLECTOR__SERVER_KEY", KEY)];
    let [collect, enrich, sink]: [GuardedProcess; 3] =
        ["collect", "enrich", "sink"].map(|service| trio.start(service, &environment));
    let pipeline = Pipeline {
        collector: trio.collector(),
        key: KEY.to_owned(),
        asked: trio.asked(),
        http: reqwest::blocking::Client::new(),
    };
    pipeline.raises_a_rumour_in_time(&|| enrich.last_words(1_000));
    for service in [collect, enrich, sink] {
        ended_well(service);
    }
}
