//! What is found, against what a simulation knows to be true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grapevine_tests::{Local, answer, contents, query};
use serde_json::Value;

const SITE: &str = "news.example";
const REQUESTS: &str = "60000";

/// Simulates with arguments of the caller's; the truth, row by row.
fn simulate(dir: &Path, data_dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let truth = dir.join("truth.jsonl").display().to_string();
    let mut all = vec![
        "simulate",
        "--requests",
        REQUESTS,
        "--seed",
        "3",
        "--truth",
        &truth,
    ];
    all.extend(arguments);
    answer(data_dir, &all);
    json_lines(&truth)
}

fn json_lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("written");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn log_lines(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).expect("written");
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn is(row: &Value, kind: &str) -> bool {
    row["kind"] == kind
}

/// What a log line shows of the app that its link was opened in: parts of user agent or referrer,
/// as field logs have them. Only apps that are private throughout: a mark of Instagram leaves open
/// whether a message or a post, and so does LINE's, whose news tab opens the same browser.
const MARKS: [(&str, &[&str]); 8] = [
    (
        "messenger",
        &[
            "FBAN/MessengerForiOS",
            "FB_IAB/Orca-Android",
            "messenger.com",
            "com.facebook.orca",
        ],
    ),
    ("whatsapp", &["WAiOS/", "WA4A/"]),
    ("kakaotalk", &["KAKAOTALK"]),
    ("viber", &["Viber"]),
    ("wechat", &["MicroMessenger"]),
    ("teams", &["teams.microsoft.com", "teams.cdn.office.net"]),
    ("telegram", &["org.telegram", "web.telegram.org", "//t.me"]),
    (
        "mail",
        &[
            "google.android.gm",
            "office.outlook",
            "deref-",
            "safelinks",
            "mail.",
        ],
    ),
];

/// Apps that the app `meta` may stand for.
const META: &[&str] = &["facebook", "instagram", "messenger", "threads", "whatsapp"];

#[test]
fn people_robots_and_apps_of_an_access_log() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let path = dir.path().join("access.log");
    let log = path.display().to_string();
    let truth = simulate(dir.path(), &data_dir, &["--out", &log]);
    let lines = log_lines(&path);
    let line_of = |row: &Value| {
        let line = row["line"].as_u64().expect("a line");
        lines[usize::try_from(line).expect("small") - 1].as_str()
    };
    answer(&data_dir, &["import", "--quiet", "--site", SITE, &log]);
    let report: Value =
        serde_json::from_str(&answer(&data_dir, &["report", "--format", "json"])).expect("JSON");

    // People.
    let landings = truth
        .iter()
        .filter(|row| is(row, "visit") && row["landing"] == true)
        .count() as f64;
    let found = number(&report["visits"]);
    assert!(
        landings > 5000.0 && (found / landings - 1.0).abs() < 0.03,
        "{found} of {landings} landings"
    );

    // Apps: certain ones are those that the log shows, and none is made up.
    let mut by_app = BTreeMap::<&str, (f64, f64)>::new();
    for row in truth
        .iter()
        .filter(|row| is(row, "visit") && row["landing"] == true)
    {
        let app = row["app"].as_str().expect("app");
        let (all, shown) = by_app.entry(app).or_default();
        *all += 1.0;
        if row["channel"] == "dark_social" {
            // The request itself carries names of pages, not of apps.
            let after_request = line_of(row).split_once("\" ").expect("a request").1;
            let marks = MARKS
                .iter()
                .find(|(name, _)| *name == app)
                .map_or(&[][..], |(_, marks)| *marks);
            *shown += f64::from(u8::from(
                marks.iter().any(|mark| after_request.contains(mark)),
            ));
        }
    }
    let apps = report["apps"].as_array().expect("apps");
    for app in apps {
        let (name, certain) = (app["app"].as_str().expect("name"), number(&app["certain"]));
        let (low, high) = (
            number(&app["visits"]["low"]),
            number(&app["visits"]["high"]),
        );
        assert!(low <= high, "{app}");
        if name != "unknown" {
            let members = match name {
                // A click id of Meta's does not say of which of its apps.
                "meta" => META,
                _ => &[name],
            };
            let of = |app: &&str| by_app.get(app).map_or(0.0, |(all, _)| *all);
            let all: f64 = members.iter().map(of).sum();
            assert!(
                certain <= all * 1.02,
                "{certain} visits by {name}, of which there are {all}"
            );
        }
    }
    let mut found_apps = Vec::new();
    for (name, _) in MARKS {
        let (all, shown) = by_app[name];
        // Fewer than five shown may be any number found: the simulation has a handful of the rarest.
        if shown < 5.0 {
            continue;
        }
        let app = apps.iter().find(|app| app["app"] == name);
        let app = app.unwrap_or_else(|| panic!("{name} is not found: {apps:?}"));
        let high = number(&app["visits"]["high"]);
        // Some that show the app are no landing of their own to a log: a reload, a session going on.
        assert!(
            high >= shown * 0.9 && number(&app["visits"]["low"]) <= all,
            "{app}: {shown} of {all} shown"
        );
        found_apps.push(name);
    }
    assert!(found_apps.len() >= 7, "{found_apps:?}");

    // Robots, by themselves, so that every page view that is left is a robot's.
    let robot_lines = |disguised: bool| -> Vec<&str> {
        truth
            .iter()
            .filter(|row| {
                is(row, "robot") && row["line"].is_u64() && (row["app"] == "disguised") == disguised
            })
            .map(line_of)
            .collect()
    };
    let counted = |disguised: bool| -> (f64, f64) {
        let lines = robot_lines(disguised);
        let (data_dir, log) = (
            dir.path().join(format!("robots-{disguised}")),
            dir.path().join("robots.log"),
        );
        std::fs::write(&log, lines.join("\n") + "\n").expect("writes");
        answer(
            &data_dir,
            &[
                "import",
                "--quiet",
                "--site",
                SITE,
                &log.display().to_string(),
            ],
        );
        let people = query(
            &data_dir,
            "SELECT (SELECT count() FROM grapevine.visits_people) + (SELECT count() FROM grapevine.events WHERE kind = 'page_view' AND visit_id IN (SELECT visit_id FROM grapevine.visits_people))",
        );
        (people.trim().parse().expect("count"), lines.len() as f64)
    };
    let (named_people, named) = counted(false);
    assert!(
        named > 2000.0 && named_people <= named * 0.01,
        "{named_people} of {named}"
    );
    // Robots that give the name of an ordinary browser cannot be told by a name; a headless one can.
    let (disguised_people, disguised) = counted(true);
    // Two standard errors of so few are chance.
    let chance = 2.0 * (0.65 * 0.35 * disguised).sqrt();
    assert!(
        disguised > 50.0 && disguised_people <= disguised * 0.65 + chance,
        "{disguised_people} of {disguised}"
    );
}

#[test]
fn hits_of_a_simulation_arrive_once_and_make_cascades() {
    let dir = tempfile::tempdir().expect("tempdir");
    let data_dir = dir.path().join("data");
    let path = dir.path().join("hits.jsonl").display().to_string();
    let truth = simulate(dir.path(), &data_dir, &["--format", "hits", "--out", &path]);
    let hits = json_lines(&path);
    let kinds: BTreeMap<&str, &str> = truth
        .iter()
        .map(|row| {
            (
                row["id"].as_str().expect("id"),
                row["kind"].as_str().expect("kind"),
            )
        })
        .collect();
    let count =
        |wanted: &dyn Fn(&Value) -> bool| hits.iter().filter(|hit| wanted(hit)).count() as i64;
    let type_is = |hit: &Value, kind: &str| hit["type"] == kind;
    let answered = |hit: &Value| {
        hit["status"]
            .as_u64()
            .is_none_or(|status| status < 300 || status == 304)
    };
    let of = |hit: &Value| {
        kinds
            .get(hit["id"].as_str().expect("id"))
            .copied()
            .unwrap_or_default()
    };
    // A page loaded in advance and not read is no visit; an error is no page.
    let pages = count(&|hit| {
        type_is(hit, "page_view") && answered(hit) && !["preview", "prefetch"].contains(&of(hit))
    });
    let previews = count(&|hit| type_is(hit, "page_view") && answered(hit) && of(hit) == "preview");
    let later = count(&|hit| type_is(hit, "engagement") || type_is(hit, "conversion"));
    let acts = count(&|hit| type_is(hit, "copy") || type_is(hit, "share"));
    assert!(
        pages > 10_000 && previews > 100 && later > 1000 && acts > 100,
        "{pages} {previews} {later} {acts}"
    );

    // Stopped after each: then everything that was taken is in ClickHouse.
    let send = || {
        let local = Local::start(&data_dir);
        answer(
            &data_dir,
            &[
                "simulate",
                "--requests",
                REQUESTS,
                "--seed",
                "3",
                "--send",
                &local.collector,
            ],
        );
        let (code, said) = local.interrupt();
        assert_eq!(code, Some(0), "{said}");
    };
    send();
    let stored = || -> Vec<i64> {
        let sql = "SELECT (SELECT count() FROM grapevine.visits) + (SELECT count() FROM grapevine.events WHERE kind = 'page_view'), (SELECT count() FROM grapevine.shares WHERE kind = 'preview'), (SELECT count() FROM grapevine.events WHERE kind != 'page_view'), (SELECT count() FROM grapevine.shares WHERE kind != 'preview'), (SELECT count() FROM grapevine.dead_letters)";
        query(&data_dir, sql)
            .trim()
            .split('\t')
            .map(|text| text.parse().expect("count"))
            .collect()
    };
    let once = stored();
    let [seen, fetched, events, shared, letters] = once[..] else {
        panic!("{once:?}")
    };
    assert_eq!((events, shared, letters), (later, acts, 0));
    // Fetches of one share are one share; a fetcher that crawls as well is a robot.
    assert!(
        seen >= pages && seen + fetched <= pages + previews && fetched > previews / 2,
        "{once:?}: {pages} pages, {previews} previews"
    );

    // Every token that arrived and whose page view was told names its sharer, and those that were passed on are as
    // many as is expected of them.
    let sent: BTreeSet<&str> = hits
        .iter()
        .map(|hit| hit["id"].as_str().expect("id"))
        .collect();
    let visits: BTreeMap<u64, &Value> = truth
        .iter()
        .filter(|row| is(row, "visit") && sent.contains(row["id"].as_str().expect("id")))
        .map(|row| (row["visit"].as_u64().expect("visit"), row))
        .collect();
    let passed_on = visits
        .values()
        .filter(|row| row["cause"] == "share")
        .filter_map(|row| row["token_of"].as_u64())
        .filter(|sharer| visits.contains_key(sharer))
        .count() as f64;
    let edges = query(
        &data_dir,
        "SELECT sum(sign), uniqExact(child_visit), sum(probability * sign) FROM grapevine.edges WHERE method = 'token' AND parent_visit IS NOT NULL",
    );
    let edges: Vec<f64> = edges
        .trim()
        .split('\t')
        .map(|text| text.parse().expect("count"))
        .collect();
    assert!(
        (edges[2] / passed_on - 1.0).abs() < 0.05,
        "{edges:?} of {passed_on}"
    );
    assert_eq!(edges[0], edges[1], "each child once, with its parent");
    // Every edge is in one tree, but for a token that is more likely the reader's own and for one whose owner was
    // told of later: that moves no tree, so its visit stays where it began (docs/chains.md). A tree that changed after the last heartbeat is
    // written at the next one, which comes below.
    let trees = || -> (f64, String) {
        let found = query(
            &data_dir,
            "SELECT sum(size) - count(), min(size) >= 2, max(depth) >= 3, countIf(arraySum(breadth) != size) FROM grapevine.share_chains",
        );
        let (in_trees, rest) = found.trim().split_once('\t').expect("four columns");
        (in_trees.parse().expect("count"), rest.to_owned())
    };
    let late = query(
        &data_dir,
        "SELECT count() FROM grapevine.visits WHERE generation = 0 AND visit_id IN (SELECT child_visit FROM grapevine.edges WHERE method = 'token' AND parent_visit IS NOT NULL AND probability > 0.5 GROUP BY child_visit HAVING sum(sign) > 0)",
    );
    let late: f64 = late.trim().parse().expect("count");
    assert!(late < edges[0] / 50.0, "{late} of {edges:?}");
    let (in_trees, rest) = trees();
    assert!(in_trees + late <= edges[0], "{in_trees}, {late}: {edges:?}");
    assert_eq!(rest, "1\t1\t0");

    // Who came from an earlier reader: the truth lies in the range, and nobody's causes count twice.
    let readers: Vec<&&Value> = visits
        .values()
        .filter(|row| row["landing"] == true && row["cause"] != "return")
        .collect();
    let part = |wanted: &dyn Fn(&Value) -> bool| {
        let some = readers.iter().filter(|row| wanted(row)).count();
        some as f64 / readers.len() as f64
    };
    // Whom a reader's public post brought counts as from outside where the post's site says so.
    let chained = part(&|row| row["cause"] == "share");
    let in_private = part(&|row| row["cause"] == "share" && row["channel"] == "dark_social");
    let found = query(
        &data_dir,
        "SELECT sum(arrivals), sum(settled), sum(chain_arrivals_low), sum(chain_arrivals), sum(chain_arrivals_high) FROM grapevine.spread_by_site",
    );
    let found: Vec<f64> = found
        .trim()
        .split('\t')
        .map(|text| text.parse().expect("a number"))
        .collect();
    let [arrived, settled, low, expected, high] = found[..] else {
        panic!("{found:?}")
    };
    assert!(
        (arrived / readers.len() as f64 - 1.0).abs() < 0.03 && settled > 0.95 * arrived,
        "{found:?} of {}",
        readers.len()
    );
    println!(
        "from earlier readers: {:.1} % ({:.1} to {:.1}), true {:.1} in private, {:.1} at all",
        100.0 * expected / settled,
        100.0 * low / settled,
        100.0 * high / settled,
        100.0 * in_private,
        100.0 * chained
    );
    assert!(
        low <= chained * settled && in_private * settled <= high,
        "{in_private} to {chained} of {settled}: {found:?}"
    );
    assert!(
        high - low < 0.35 * settled && expected > low && expected < high,
        "{found:?}"
    );
    let twice = query(
        &data_dir,
        "SELECT count(), countIf(abs(sum - 1) > 1e-4) FROM (SELECT child_visit, sum(probability * sign) AS sum FROM grapevine.edges GROUP BY child_visit)",
    );
    let (children, wrong) = twice.trim().split_once('\t').expect("two");
    assert!(
        children.parse::<f64>().expect("count") > edges[0] && wrong == "0",
        "{twice}"
    );
    // Causes that its own tokens tell are about as often right as is said.
    let model = query(
        &data_dir,
        "SELECT site, ece < 0.1, token_survival > 0.5 FROM grapevine.chain_calibration",
    );
    assert_eq!(model.trim(), format!("{SITE}\t1\t1"), "{model}");

    // Sent again, to a process that was started anew: the ids are known. Heartbeats write the trees
    // that were not yet.
    let but_trees = || -> Vec<String> {
        let all = contents(&data_dir);
        let others = all.lines().filter(|line| !line.starts_with("cascades"));
        others.map(str::to_owned).collect()
    };
    let before = but_trees();
    send();
    assert_eq!(but_trees(), before);
    let (in_trees, rest) = trees();
    assert_eq!((in_trees + late, rest.as_str()), (edges[0], "1\t1\t0"));
}
