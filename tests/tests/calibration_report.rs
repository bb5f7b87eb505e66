//! `grapevine report --calibration` as a command, against the truth of a simulated site.

use std::path::Path;

use grapevine_tests::{Local, answer, command, run};
use serde_json::Value;

const SITE: &str = "news.example";

/// Truth rows of a file that `grapevine simulate` wrote.
fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("reads");
    let row = |line| serde_json::from_str(line).expect("a row");
    text.lines().map(row).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// Asks ClickHouse by its address alone, from where there is no data directory, as either account.
fn the_same_is_told_by_address(data_dir: &Path, elsewhere: &Path, calibration: &Value) {
    let report = ["report", "--site", SITE, "--format", "json"];
    let here: Value = serde_json::from_str(&answer(data_dir, &report)).expect("JSON");
    let local = Local::start(data_dir);
    for (user, password) in [
        ("owner", &local.owner_password),
        ("reader", &local.reader_password),
    ] {
        let asked = |arguments: &[&str]| -> Value {
            let output = command(elsewhere)
                .args(arguments)
                .env("GRAPEVINE_CLICKHOUSE__URL", &local.clickhouse)
                .env("GRAPEVINE_CLICKHOUSE__USER", user)
                .env("GRAPEVINE_CLICKHOUSE__PASSWORD", password)
                .output()
                .expect("runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{user} {arguments:?}: {said}");
            serde_json::from_slice(&output.stdout).expect("JSON")
        };
        let there = asked(&[&report[..], &["--calibration"]].concat());
        assert_eq!(&there, calibration, "{user}");
        let there = asked(&report);
        for figure in ["site", "from", "to", "visits", "robots", "models"] {
            assert_eq!(there[figure], here[figure], "{user}: {figure}");
        }
        let dark = |report: &Value| {
            let dark = report["direct"]["dark_social"]["expected"].as_f64();
            dark.unwrap_or_else(|| panic!("{user}: {report}"))
        };
        // Sums of fractions, in whatever order.
        let (there, here) = (dark(&there), dark(&here));
        assert!(
            here > 10.0 && (there - here).abs() < 1e-6 * here,
            "{user}: {there} is not {here}"
        );
    }
    assert!(!elsewhere.exists(), "nothing is made there");
}

/// A site of that seed, simulated and imported, with its truth.
fn imported(dir: &Path, seed: u64) -> (std::path::PathBuf, Vec<Value>) {
    let path = |name: &str| dir.join(format!("{name}-{seed}"));
    let text = |name: &str| path(name).display().to_string();
    let (data_dir, log, truth, seed) = (path("data"), text("log"), text("truth"), seed.to_string());
    let simulate = ["simulate", "--requests", "30000", "--seed", &seed];
    let files = ["--out", &log, "--truth", &truth];
    answer(&data_dir, &[&simulate[..], &files].concat());
    answer(&data_dir, &["import", "--quiet", "--site", SITE, &log]);
    (data_dir, rows(truth.as_ref()))
}

/// What is said of a site's calibration, as JSON.
fn calibration(data_dir: &Path) -> Value {
    let report = [
        "report",
        "--site",
        SITE,
        "--calibration",
        "--format",
        "json",
    ];
    serde_json::from_str(&answer(data_dir, &report)).expect("JSON")
}

/// Whether the 90 % range of the survival holds the part of privately passed links that arrive with their
/// token.
fn survival_is_held(found: &Value, truth: &[Value]) -> bool {
    let of = |key: &str| {
        found[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {found}"))
    };
    let dark = truth.iter().filter(|row| {
        row["landing"] == true && row["referrer"] == false && row["channel"] == "dark_social"
    });
    let marked: Vec<bool> = dark.map(|row| !row["token_of"].is_null()).collect();
    let survived = marked.iter().filter(|marked| **marked).count() as f64 / marked.len() as f64;
    let [low, likely, high] = [
        "token_survival_low",
        "token_survival",
        "token_survival_high",
    ]
    .map(of);
    assert!(
        low <= likely && likely <= high && high - low < 0.6,
        "{low} {likely} {high}"
    );
    assert!(
        (likely - survived).abs() < 0.15,
        "{survived} is far from {likely}"
    );
    (low..=high).contains(&survived)
}

#[test]
fn the_command_says_how_well_probabilities_fit_the_tokens_and_holds_the_truth() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (data_dir, rows) = imported(dir.path(), 11);
    let report = ["report", "--site", SITE, "--calibration"];
    let said = calibration(&data_dir);
    assert_eq!(said["site"], SITE);
    let found = &said["calibration"];
    let of = |key: &str| {
        found[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {found}"))
    };

    // The curve adds up to the landings that count, and these are no more than there are.
    let landings = rows.iter().filter(|row| row["landing"] == true);
    let bare: Vec<&Value> = landings.filter(|row| row["referrer"] == false).collect();
    let sum = |key: &str| numbers(&found[key]).iter().sum::<f64>();
    assert_eq!(sum("bin_landings"), of("landings"));
    // Tokens of readers who came back to their own address are told from those that were passed on.
    let is_own = |row: &&&Value| row["token_of"].is_number() && row["cause"] == "return";
    let own = bare.iter().filter(is_own).count() as f64;
    let stated = of("tokens") - sum("bin_tokens");
    // Where half of the links are marked little tells, and what is usual of sites weighs.
    assert!(
        own > 0.0 && 2.0 * stated > own && stated < 2.0 * own,
        "{stated} {own}"
    );
    assert!(
        of("landings") > 300.0 && of("landings") <= 1.05 * bare.len() as f64,
        "{} of {}",
        of("landings"),
        bare.len()
    );
    for (at, predicted) in numbers(&found["bin_predicted"]).iter().enumerate() {
        let empty = numbers(&found["bin_landings"])[at] == 0.0;
        let [low, high] = [at as f64 / 10.0, (at + 1) as f64 / 10.0];
        assert!(
            empty || (low - 1e-6..=high + 1e-6).contains(predicted),
            "{at}: {predicted}"
        );
    }
    // Of three sites the range of nine in ten holds two at the least.
    let mut held = u32::from(survival_is_held(found, &rows));
    for seed in [12, 13] {
        let (data_dir, rows) = imported(dir.path(), seed);
        let said = calibration(&data_dir);
        held += u32::from(survival_is_held(&said["calibration"], &rows));
    }
    assert!(held >= 2, "{held}");
    let [low, ece, high] = ["ece_low", "ece", "ece_high"].map(of);
    assert!(
        0.0 <= low && low <= ece && ece <= high && ece < 0.25,
        "{low} {ece} {high}"
    );
    assert!((0.0..0.25).contains(&of("brier")));

    // The same in words: its figures are those of the JSON.
    let text = answer(&data_dir, &report);
    for figure in [
        format!("{ece:.3}"),
        format!("{:.3}", of("brier")),
        found["model_version"]
            .as_str()
            .expect("a version")
            .to_owned(),
    ] {
        assert!(text.contains(&figure), "{figure} is not in:\n{text}");
    }
    let csv = answer(&data_dir, &[&report[..], &["--format", "csv"]].concat());
    let bins = numbers(&found["bin_landings"]);
    let held = bins.iter().filter(|landings| **landings > 0.0).count();
    assert!(held > 4, "{csv}");
    assert_eq!(csv.lines().count(), 1 + held, "{csv}");

    the_same_is_told_by_address(&data_dir, &dir.path().join("elsewhere"), &said);

    // A site that is not there.
    let nowhere = run(
        &data_dir,
        &["report", "--site", "no.example", "--calibration"],
    );
    assert!(!nowhere.status.success());
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("no.example"));
}
