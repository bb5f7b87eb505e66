//! Access logs in every wrapping and on every way in, and what is kept of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grapevine_tests::{Local, answer, command, contents, fixed_pseudonyms, query};
use serde_json::Value;

const SITE: &str = "news.example";

/// A simulated access log; `format` as `grapevine simulate` has it.
fn simulated(dir: &Path, name: &str, requests: &str, format: &str) -> PathBuf {
    let path = dir.join(name);
    let out = path.display().to_string();
    answer(
        dir,
        &[
            "simulate",
            "--requests",
            requests,
            "--seed",
            "9",
            "--format",
            format,
            "--out",
            &out,
        ],
    );
    path
}

/// Imports files of a site; the summaries.
fn import(data_dir: &Path, site: &str, files: &[&Path]) -> Vec<Value> {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let mut arguments = vec!["import", "--json", "--site", site];
    arguments.extend(names.iter().map(String::as_str));
    serde_json::from_str(&answer(data_dir, &arguments)).expect("JSON")
}

fn report(data_dir: &Path, arguments: &[&str]) -> Value {
    let mut all = vec!["report", "--format", "json"];
    all.extend(arguments);
    serde_json::from_str(&answer(data_dir, &all)).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// What was judged, apart from where on the log it stands. Ids are functions of what a file holds
/// and of the steps that it was read in, so they are compared only where those are the same.
fn judged(data_dir: &Path, with_ids: bool) -> String {
    let of = |table: &str, ids: &str, rest: &str| {
        let columns = if with_ids {
            format!("{ids}, {rest}")
        } else {
            rest.to_owned()
        };
        format!(
            "SELECT count(), sum(cityHash64(toString(({columns})))), '{table}' AS name FROM grapevine.{table}"
        )
    };
    // One question for all tables: each question starts an engine.
    let tables = [
        of(
            "visits",
            "visit_id",
            "time, visitor, content, referrer_host, channel, app, method, robot",
        ),
        of("events", "event_id, visit_id", "time, kind, content"),
        of(
            "shares",
            "share_id",
            "time, content, app, kind, probability",
        ),
    ]
    .join(" UNION ALL ");
    query(
        data_dir,
        &format!("SELECT * FROM ({tables}) ORDER BY name DESC"),
    )
}

#[test]
fn the_same_lines_count_once_however_they_come() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = simulated(dir.path(), "whole.log", "6000", "combined");
    let bytes = std::fs::read(&log).expect("reads");
    let total = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    let [whole, twin, parts, grown] =
        ["whole", "twin", "parts", "grown"].map(|name| dir.path().join(name));
    for data_dir in [&whole, &twin, &parts, &grown] {
        fixed_pseudonyms(data_dir);
    }

    // Two directories, the same steps: the same rows.
    assert_eq!(import(&whole, SITE, &[&log])[0]["lines"], total);
    import(&twin, SITE, &[&log]);
    let rows = contents(&whole);
    assert_ne!(
        rows.lines().next().expect("visits").split('\t').nth(1),
        Some("0"),
        "{rows}"
    );
    assert_eq!(contents(&twin), rows);

    // Again, rotated and compressed, as zstd, as standard input.
    let rotated = dir.path().join("access.log.1");
    std::fs::copy(&log, &rotated).expect("copies");
    let gzip = Command::new("gzip")
        .arg(&rotated)
        .status()
        .expect("gzip runs");
    assert!(gzip.success());
    let (packed, other) = (
        dir.path().join("access.log.1.gz"),
        dir.path().join("access.log.2.zst"),
    );
    std::fs::write(&other, zstd::encode_all(&bytes[..], 3).expect("packs")).expect("writes");
    for file in [&log, &packed, &other] {
        let summary = &import(&whole, SITE, &[file])[0];
        assert_eq!(
            (&summary["known"], &summary["people"]),
            (&total.into(), &0.into()),
            "{summary}"
        );
        assert_eq!(contents(&whole), rows);
    }
    for file in [&log, &packed, &other] {
        let output = command(&whole)
            .args(["import", "--json", "--site", SITE, "-"])
            .stdin(std::fs::File::open(file).expect("opens"))
            .output()
            .expect("runs");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(summary[0]["known"], total, "{summary}");
    }
    assert_eq!(contents(&whole), rows);

    // Two files in one command: the older one packed.
    let middle = bytes.len() / 2
        + bytes[bytes.len() / 2..]
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line end")
        + 1;
    let (first, second) = (dir.path().join("b.log.1.zst"), dir.path().join("b.log"));
    std::fs::write(
        &first,
        zstd::encode_all(&bytes[..middle], 3).expect("packs"),
    )
    .expect("writes");
    std::fs::write(&second, &bytes[middle..]).expect("writes");
    let summaries = import(&parts, SITE, &[&first, &second]);
    let lines: u64 = summaries
        .iter()
        .map(|summary| summary["lines"].as_u64().expect("lines"))
        .sum();
    assert_eq!((summaries.len(), lines), (2, total));
    assert_eq!(judged(&parts, false), judged(&whole, false));

    // A file that grows, in the middle of a line too, and is rotated and packed in the end.
    let growing = dir.path().join("c.log");
    std::fs::write(&growing, &bytes[..middle - 40]).expect("writes");
    let held_back = &import(&grown, SITE, &[&growing])[0];
    assert!(
        held_back["held_back"].as_u64().expect("a cut line") > 0,
        "{held_back}"
    );
    std::fs::write(&growing, &bytes).expect("writes");
    let summary = &import(&grown, SITE, &[&growing])[0];
    let known = summary["known"].as_u64().expect("known");
    assert!(
        known > 1000 && known < total && summary["people"].as_u64() > Some(100),
        "{summary}"
    );
    assert_eq!(import(&grown, SITE, &[&packed])[0]["known"], total);
    assert_eq!(judged(&grown, false), judged(&whole, false));
}

#[test]
fn a_virtual_host_in_front_names_the_host_and_changes_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let plain = import(
        &data_dir,
        SITE,
        &[&simulated(dir.path(), "plain.log", "3000", "combined")],
    );
    let log = simulated(dir.path(), "vhost.log", "3000", "vhost-combined");
    let text = std::fs::read_to_string(&log).expect("reads");
    assert!(text.starts_with("news.example:443 "), "{:.60}", text);
    let vhost_dir = dir.path().join("vhost");
    let vhost = import(&vhost_dir, SITE, &[&log]);
    for figure in ["lines", "people", "previews", "robots"] {
        assert_eq!(vhost[0][figure], plain[0][figure], "{figure}");
    }
    assert_eq!(
        number(&report(&vhost_dir, &[])["visits"]),
        number(&report(&data_dir, &[])["visits"])
    );
    // The host in front is where the pages are, whatever the site is called.
    let other_dir = dir.path().join("other");
    import(&other_dir, "my-site", &[&log]);
    let hosts = query(
        &other_dir,
        "SELECT DISTINCT site, domain(content) FROM grapevine.visits",
    );
    assert_eq!(hosts, "my-site\tnews.example\n");
}

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn line(address: &str, second: u32, path: &str, agent: &str) -> String {
    format!(
        "{address} - - [02/Mar/2026:10:00:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 5120 \"-\" \"{agent}\"\n"
    )
}

#[test]
fn bad_lines_robots_and_previews_are_kept_apart_and_no_address_is_kept() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let story = "/2026/03/a-story";
    let text = [
        line("203.0.113.9", 0, story, AGENT),
        line(
            "203.0.113.10",
            1,
            story,
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ),
        line("203.0.113.11", 2, story, "WhatsApp/2.23.20.0 A"),
        line("203.0.113.12", 3, story, "TelegramBot (like TwitterBot)"),
        "203.0.113.77 - - [yesterday] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\"\n".to_owned(),
        "no log line of 198.51.100.7, by way of 2001:db8::77 at all\n".to_owned(),
        line("2001:db8::78", 4, story, AGENT),
    ]
    .concat();
    let log = dir.path().join("some.log");
    std::fs::write(&log, text).expect("writes");
    let said = answer(
        &data_dir,
        &[
            "import",
            "--site",
            "example.org",
            &log.display().to_string(),
        ],
    );
    for words in [
        "people                 2  page views",
        "dead letters           2",
        "first dead letter, line 5: the time",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The statement that it shows is one.
    let (_, hint) = said.split_once("grapevine query '").expect("a hint");
    let (hint, _) = hint.split_once('\'').expect("its end");
    let letters = query(&data_dir, hint);
    for row in [
        format!("{}\t5\tbad_time\t", log.display()),
        format!("{}\t6\tno_time\t", log.display()),
    ] {
        assert!(
            letters
                .lines()
                .any(|letter| letter.starts_with(&row) && letter.len() > row.len() + 20),
            "{row}: {letters}"
        );
    }
    let payloads = query(
        &data_dir,
        "SELECT payload FROM grapevine.dead_letters ORDER BY source_position",
    );
    assert_eq!(
        payloads,
        "[address] - - [yesterday] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\"\nno log line of [address], by way of [address] at all\n"
    );
    assert_eq!(
        query(
            &data_dir,
            "SELECT channel = 'bot', count() FROM grapevine.visits GROUP BY 1 ORDER BY 1"
        ),
        "0\t2\n1\t1\n"
    );
    assert_eq!(
        query(
            &data_dir,
            "SELECT app, kind FROM grapevine.shares ORDER BY app"
        ),
        "telegram\tpreview\nwhatsapp\tpreview\n"
    );
    let figures = report(&data_dir, &[]);
    assert_eq!(
        (
            number(&figures["visits"]),
            number(&figures["robots"]),
            number(&figures["dead_letters"])
        ),
        (2.0, 1.0, 2.0)
    );

    // Every column of every table, as text.
    for table in ["visits", "events", "shares", "edges", "dead_letters"] {
        let sql = format!(
            "SELECT count(), countIf(match(text, '[0-9]{{1,3}}([.][0-9]{{1,3}}){{3}}|2001:')) FROM (SELECT toString(tuple(*)) AS text FROM grapevine.{table})"
        );
        let found = query(&data_dir, &sql);
        assert!(found.trim().ends_with("\t0"), "{table}: {found}");
    }
    // And the files themselves, engine, log and all.
    let found = Command::new("grep")
        .args(["-rlaE", r"203\.0\.113\.|198\.51\.100\.7|2001:db8"])
        .arg(&data_dir)
        .output()
        .expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn through_a_running_process_as_by_itself() {
    let dir = tempfile::tempdir().expect("tempdir");
    let log = simulated(dir.path(), "access.log", "6000", "combined");
    let bytes = std::fs::read(&log).expect("reads");
    let half = dir.path().join("half.log");
    let cut = bytes[..bytes.len() / 2]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .expect("a line")
        + 1;
    std::fs::write(&half, &bytes[..cut]).expect("writes");
    let (alone, through) = (dir.path().join("alone"), dir.path().join("through"));
    for data_dir in [&alone, &through] {
        fixed_pseudonyms(data_dir);
    }
    import(&alone, SITE, &[&half]);
    import(&alone, SITE, &[&log]);

    let local = Local::start(&through);
    import(&through, SITE, &[&half]);
    let first = judged(&through, true);
    assert!(!first.starts_with("0\t"), "{first}");
    let during = report(&through, &[]);
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        judged(&through, true),
        first,
        "nothing is lost or added by stopping"
    );
    assert_eq!(report(&through, &[]), during);

    let local = Local::start(&through);
    assert!(import(&through, SITE, &[&log])[0]["known"].as_u64() > Some(1000));
    // Standard input goes through as well.
    let mut piped = command(&through)
        .args(["import", "--json", "--site", SITE, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    piped
        .stdin
        .take()
        .expect("pipe")
        .write_all(&bytes)
        .expect("writes");
    let summary: Value =
        serde_json::from_slice(&piped.wait_with_output().expect("ends").stdout).expect("JSON");
    assert_eq!(summary[0]["known"], summary[0]["lines"], "{summary}");
    let (figures, rows) = (report(&through, &[]), judged(&through, true));
    let (code, said) = local.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(rows, judged(&alone, true));
    assert_eq!(figures, report(&alone, &[]));
}
