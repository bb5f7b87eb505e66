//! What `report` and `query` print: figures that add up, at any width, with much, little and no
//! data, and what they refuse.

use std::path::{Path, PathBuf};

use grapevine_tests::{answer, command, query, run};
use serde_json::Value;

const LINE: &str = "203.0.113.9 - - [02/Mar/2026:10:00:00 +0000] \"GET /2026/03/a-story HTTP/1.1\" 200 5120 \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\"\n";

fn import(data_dir: &Path, site: &str, log: &Path) {
    let log = log.display().to_string();
    answer(data_dir, &["import", "--quiet", "--site", site, &log]);
}

/// A data directory with two weeks of a simulated publisher.
fn two_weeks(dir: &Path) -> PathBuf {
    let (data_dir, log) = (dir.join("much"), dir.join("much.log"));
    let out = log.display().to_string();
    answer(
        &data_dir,
        &[
            "simulate",
            "--requests",
            "20000",
            "--seed",
            "4",
            "--out",
            &out,
        ],
    );
    import(&data_dir, "news.example", &log);
    data_dir
}

/// A data directory with one visit.
fn one_visit(dir: &Path) -> PathBuf {
    let (data_dir, log) = (dir.join("little"), dir.join("little.log"));
    std::fs::write(&log, LINE).expect("writes");
    import(&data_dir, "example.org", &log);
    data_dir
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

fn list<'a>(report: &'a Value, name: &str) -> &'a [Value] {
    report[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name}: {report}"))
}

/// Sum of a figure over a list; `at` is a JSON pointer.
fn sum(list: &[Value], at: &str) -> f64 {
    list.iter()
        .map(|row| number(row.pointer(at).expect("there")))
        .sum()
}

#[track_caller]
fn same(left: f64, right: f64) {
    assert!(
        (left - right).abs() < 1e-3 * right.abs().max(1.0),
        "{left} is not {right}"
    );
}

/// Every estimate of visits or ratios anywhere in a report.
fn estimates<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if value.get("expected").is_some() {
        found.push(value);
    }
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !name.ends_with("_seconds"))
            .for_each(|(_, field)| estimates(field, found)),
        Value::Array(rows) => rows.iter().for_each(|row| estimates(row, found)),
        _ => {}
    }
}

#[test]
fn the_figures_add_up() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = two_weeks(dir.path());
    let whole = report(&data_dir, &[]);
    let visits = number(&whole["visits"]);
    assert!(visits > 1000.0, "{visits}");
    let channels = list(&whole, "channels");
    same(sum(channels, "/found/expected"), visits);
    same(sum(channels, "/conventional"), visits);
    same(sum(list(&whole, "hours"), "/visits"), visits);
    let dark = channels
        .iter()
        .find(|row| row["channel"] == "dark_social")
        .expect("dark social");
    same(
        sum(list(&whole, "apps"), "/visits/expected"),
        number(&dark["found"]["expected"]),
    );
    same(
        sum(list(&whole, "hours"), "/dark_social/expected"),
        number(&dark["found"]["expected"]),
    );
    let direct = channels
        .iter()
        .find(|row| row["channel"] == "direct")
        .expect("direct");
    let behind = &whole["direct"];
    same(number(&behind["visits"]), number(&direct["conventional"]));
    for (one, other) in [("low", "high"), ("expected", "expected"), ("high", "low")] {
        let parts = [&behind["dark_social"][one], &behind["others"][other]];
        let sum: f64 = parts.into_iter().map(number).sum();
        same(sum, number(&behind["visits"]));
    }
    // A visit without a trace may be typed or a search: neither is known better than that.
    for name in ["direct", "search"] {
        let row = channels.iter().find(|row| row["channel"] == name);
        let found = &row.expect("there")["found"];
        let reach = number(&found["high"]) - number(&found["low"]);
        assert!(reach > number(&behind["dark_search"]), "{name}: {found}");
    }
    let mut all = Vec::new();
    estimates(&whole, &mut all);
    assert!(all.len() > 30, "{}", all.len());
    for estimate in all {
        let [low, expected, high] = ["low", "expected", "high"].map(|end| number(&estimate[end]));
        assert!(
            0.0 <= low && low <= expected && expected <= high && high <= visits,
            "{estimate}"
        );
    }
    // The rows themselves say the same.
    let rows = query(
        &data_dir,
        "SELECT countIf(channel != 'bot'), countIf(channel = 'bot'), sumIf(dark_probability, channel != 'bot') FROM grapevine.visits",
    );
    let rows: Vec<f64> = rows
        .trim()
        .split('\t')
        .map(|text| text.parse().expect("number"))
        .collect();
    same(rows[0], visits);
    same(rows[1], number(&whole["robots"]));
    same(rows[2], number(&dark["found"]["expected"]));

    // Rivals of the visits that no fact decided: their evidence adds up to what is said of them.
    let rivals = query(
        &data_dir,
        "SELECT count() > 100, countIf(abs(dark_log_odds - evidence_log_odds) > 0.01), countIf(NOT ifNull(abs(search_against_typed - evidence_search_log_odds) < 0.02, false)), uniqExact(round(evidence_search_log_odds, 2)) > 3, countIf(abs(dark_probability + dark_search_probability + typed_probability - 1) > 1e-5) FROM grapevine.visit_odds",
    );
    assert_eq!(rivals.trim(), "1\t0\t0\t1\t0");
    // The report says of each fact what it adds to both.
    let mut facts = list(&whole, "evidence").iter();
    let prior = facts.find(|fact| fact["name"] == "prior");
    let prior = prior.expect("visits that no fact decided");
    let [private, search] = ["log_odds", "search_log_odds"].map(|odds| number(&prior[odds]));
    assert!(private < search - 0.01 && search < 0.0, "{prior}");

    // Two parts of the period are the whole.
    let first = report(&data_dir, &["--to", "2026-03-06"]);
    let second = report(
        &data_dir,
        &["--from", "2026-03-07", "--site", "NEWS.example"],
    );
    same(number(&first["visits"]) + number(&second["visits"]), visits);
    assert!(number(&first["visits"]) > 100.0 && number(&second["visits"]) > 100.0);
    assert_eq!(
        (&first["to"], &second["from"]),
        (&"2026-03-06".into(), &"2026-03-07".into())
    );

    // CSV has the same figures: four fields a row, quoted where they must be.
    let csv = answer(&data_dir, &["report", "--format", "csv"]);
    let mut rows = csv.lines().map(fields);
    assert_eq!(
        rows.next().expect("head"),
        ["section", "item", "measure", "value"]
    );
    let rows: Vec<_> = rows.collect();
    assert!(rows.iter().all(|row| row.len() == 4), "{csv}");
    let value = |section: &str, item: &str, measure: &str| -> f64 {
        let row = rows.iter().find(|row| row[..3] == [section, item, measure]);
        row.unwrap_or_else(|| panic!("{section} {item} {measure}: {csv}"))[3]
            .parse()
            .expect("number")
    };
    same(value("total", "people", "visits"), visits);
    for channel in channels {
        let name = channel["channel"].as_str().expect("name");
        same(
            value("channel", name, "found_high"),
            number(&channel["found"]["high"]),
        );
    }
}

#[test]
fn r_of_a_site_is_of_all_its_contents_and_counts_who_is_still_to_come() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = two_weeks(dir.path());
    let whole = report(&data_dir, &[]);
    let rows = query(
        &data_dir,
        "SELECT settled, chain_arrivals, reproduction FROM grapevine.spreads",
    );
    let (mut readers, mut shared, mut exposed) = (0.0, 0.0, 0.0);
    for row in rows.lines() {
        let row: Vec<f64> = row
            .split('\t')
            .map(|text| text.parse().expect("number"))
            .collect();
        let [settled, from_readers, reproduction] = row[..] else {
            panic!("{row:?}")
        };
        // As the record has it: children and a prior of .6, over readers and a prior of 2.
        let of_content = (from_readers + 0.6) / reproduction - 2.0;
        assert!(
            (-1e-6..=settled + 1e-6).contains(&of_content),
            "no reader counts more than once: {row:?}"
        );
        readers += settled;
        shared += from_readers;
        exposed += of_content;
    }
    let chains = &whole["chains"];
    same(number(&chains["readers"]), readers);
    same(number(&chains["from_readers"]["expected"]), shared);
    let reproduction = &chains["reproduction"];
    same(
        number(&reproduction["expected"]),
        (shared + 0.6) / (exposed + 2.0),
    );
    assert!(exposed < 0.995 * readers, "{exposed} of {readers}");
    let [low, expected, high] = ["low", "expected", "high"].map(|end| number(&reproduction[end]));
    assert!(low < expected && expected < high, "{reproduction}");
    let without = number(&chains["reproduction_without_strangers"]["expected"]);
    assert!(0.0 < without && without < expected, "{chains}");
    for row in list(chains, "transitions") {
        let [certain, visits] = ["certain", "visits"].map(|name| number(&row[name]));
        assert!(0.0 <= certain && certain <= visits + 1e-6, "{row}");
    }
}

/// Fields of a CSV row.
fn fields(row: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for letter in row.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => fields.last_mut().expect("one").push(letter),
        }
    }
    assert!(!quoted, "{row}");
    fields
}

#[test]
fn the_text_fits_whatever_there_is() {
    let dir = tempfile::tempdir().expect("tempdir");
    for (data_dir, much) in [
        (two_weeks(dir.path()), true),
        (one_visit(dir.path()), false),
    ] {
        for width in [40, 100] {
            let output = command(&data_dir)
                .arg("report")
                .env("COLUMNS", width.to_string())
                .output()
                .expect("runs");
            assert!(output.status.success());
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            for line in text.lines() {
                // Every letter here is one column wide.
                assert!(line.chars().count() <= width, "{width}: {line:?}\n{text}");
            }
            assert_eq!(text.contains("How fast they spread now"), much, "{text}");
            for words in [
                "How much of \"direct\" is dark",
                "Visits by channel",
                "dark social",
                "Share chains",
                "Judged by model",
            ] {
                assert!(text.contains(words), "{width}: {words:?}: {text}");
            }
            assert_eq!(text.contains("messenger"), much, "names are whole: {text}");
            assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
        }
    }
}

#[test]
fn what_there_is_no_report_on() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = one_visit(dir.path());
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let mut all = vec!["report"];
        all.extend(arguments);
        let output = run(&data_dir, &all);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(output.stdout.is_empty());
        for word in words {
            assert!(said.contains(word), "{word:?}: {said}");
        }
    };
    refused(
        &["--site", "nope.example"],
        66,
        &["\"nope.example\"", "there are visits of: example.org"],
    );
    for period in [["--from", "2027-01-01"], ["--to", "2020-01-01"]] {
        refused(
            &period,
            66,
            &["no visits of example.org", "2026-03-02 to 2026-03-02"],
        );
    }
    refused(
        &["--from", "2026-03-03", "--to", "2026-03-01"],
        66,
        &["no visits"],
    );
    refused(
        &["--to", "2026-02-30"],
        64,
        &["--to 2026-02-30", "YYYY-MM-DD"],
    );
    let second = dir.path().join("second.log");
    std::fs::write(&second, LINE).expect("writes");
    import(&data_dir, "second.example", &second);
    refused(&[], 66, &["--site", "example.org, second.example"]);
    assert_eq!(
        number(&report(&data_dir, &["--site", "second.example"])["visits"]),
        1.0
    );
    assert_eq!(
        number(&report(&data_dir, &["--site", "example.org"])["visits"]),
        1.0
    );

    // Robots only: a report of nobody.
    let robots = dir.path().join("robots");
    let log = dir.path().join("robots.log");
    std::fs::write(
        &log,
        LINE.replace("Gecko/20100101 Firefox/140.0", "Googlebot/2.1"),
    )
    .expect("writes");
    import(&robots, "example.org", &log);
    let text = answer(&robots, &["report"]);
    assert!(
        text.contains("0 visits by people; 1 robot visit left out"),
        "{text}"
    );
    let figures = report(&robots, &[]);
    assert_eq!(
        (number(&figures["visits"]), number(&figures["robots"])),
        (0.0, 1.0)
    );
    assert!(list(&figures, "channels").is_empty(), "{figures}");
}

#[test]
fn the_reader_reads_and_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = one_visit(dir.path());
    let count = "SELECT count() FROM visits";
    assert_eq!(
        answer(&data_dir, &["query", "--reader", "--format", "TSV", count]),
        "1\n"
    );
    let secret = format!(
        "SELECT * FROM file('{}', LineAsString)",
        dir.path().join("little.log").display()
    );
    for sql in [
        "INSERT INTO visits (site) VALUES ('planted')",
        "CREATE TABLE planted (x Int8) ENGINE = Memory",
        "ALTER TABLE visits DELETE WHERE 1",
        "DROP TABLE visits",
        "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
        "SELECT 1 INTO OUTFILE 'planted.txt'",
        &secret,
    ] {
        let output = run(&data_dir, &["query", "--reader", sql]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{sql}: {said}");
        assert!(
            output.stdout.is_empty() && said.starts_with("grapevine: "),
            "{sql}: {said}"
        );
    }
    assert_eq!(
        query(
            &data_dir,
            "SELECT count(), countIf(site = 'planted') FROM grapevine.visits"
        ),
        "1\t0\n"
    );
}
