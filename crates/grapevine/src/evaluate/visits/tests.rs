//! Files of `grapevine simulate` scored as `grapevine evaluate visits FILE --truth` scores them.

use clap::Parser;
use grapevine_evaluation::visits::Found;

use super::*;
use crate::cli::{Cli, Command, EvaluateArgs, EvaluateWhat};
use crate::settings::{Overrides, Settings};

fn parsed(line: &[&str]) -> Command {
    let line = std::iter::once("grapevine").chain(line.iter().copied());
    Cli::try_parse_from(line).expect("arguments").command
}

fn arguments(line: &[&str]) -> EvaluateVisitsArgs {
    let line = [&["evaluate", "visits"], line].concat();
    match parsed(&line) {
        Command::Evaluate(EvaluateArgs {
            what: EvaluateWhat::Visits(arguments),
        }) => arguments,
        other => panic!("{other:?}"),
    }
}

/// Hits or log, and truth, of a small simulated site.
fn simulated_files(folder: &Path, format: &str) -> [String; 2] {
    let name = |name: &str| folder.join(name).to_str().expect("a name").to_owned();
    let [scenario, out, truth] = ["scenario.toml", format, "truth"].map(name);
    let mut small = Scenario::small();
    small.requests_target = 4_000;
    std::fs::write(&scenario, small.to_toml().expect("a text")).expect("writes");
    let line = [
        "simulate",
        "--scenario",
        &scenario,
        "--format",
        format,
        "--out",
        &out,
    ];
    let line = [&line[..], &["--truth", &truth]].concat();
    let Command::Simulate(simulate) = parsed(&line) else {
        panic!("simulate");
    };
    let settings = Settings::load(&Overrides::default()).expect("settings");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(crate::simulate::run(&simulate, &settings.settings))
        .expect("simulates");
    [out, truth]
}

#[test]
fn files_of_a_simulation_are_scored_against_their_truth() {
    for (format, via) in [("hits", "hits"), ("combined", "log")] {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, truth] = simulated_files(folder.path(), format);
        let rows = folder.path().join("rows");
        let line = [&file, "--truth", &truth, "--via", via, "--rows"];
        let line = [&line[..], &[rows.to_str().expect("a name")]].concat();
        let model = Model::builtin();
        let signals = Arc::new(Signals::builtin());
        let by = By {
            signals: &signals,
            model: &model,
            weights: None,
        };
        let (of, runs) = judged(&arguments(&line), &by).expect("judges");
        assert_eq!(of, file);
        let [run] = &runs[..] else {
            panic!("one run");
        };
        let measures = &run.measures;
        assert_eq!(run.asked_token_rate, None);
        let counted = |figure: Option<f64>| figure.expect("something counts for it");
        let rate = counted(measures.token_rate);
        assert!(rate > 0.4, "{format}: {rate}");
        assert!(measures.landings > 300 && measures.landings_missed * 10 < measures.landings);
        let accuracy = counted(measures.channel_accuracy);
        assert!(accuracy > 0.7, "{accuracy}");
        let booked = counted(measures.channel_accuracy_conventional);
        assert!(booked < accuracy, "{booked} {accuracy}");
        assert!(counted(measures.direct.fit.truth) > 0.05, "truth is joined");
        let rows = std::fs::read_to_string(rows).expect("rows");
        let rows: Vec<serde_json::Value> = rows
            .lines()
            .map(|row| serde_json::from_str(row).expect("a row"))
            .collect();
        assert_eq!(rows.len(), measures.all.fit.visits);
        assert!(rows.iter().all(|row| row["truth"]["channel"].is_string()));
        let address = |row: &serde_json::Value| {
            row["content"]
                .as_str()
                .is_some_and(|url| url.starts_with("https://"))
        };
        assert!(rows.iter().all(address));
        let mut text = Vec::new();
        write_text(&of, &model, &runs, &mut text).expect("written");
        let text = String::from_utf8(text).expect("text");
        assert!(!text.contains("NaN"), "{text}");
        assert!(text.contains("inferred: most recent reader"), "{text}");
        assert!(text.contains(" R: most recent reader"), "{text}");
        assert!(text.contains(" all: conventional"), "{text}");
        for name in [
            "two-type Hawkes by EM, no labels",
            "conditional logit, fitted",
        ] {
            let row = text.lines().find(|line| line.contains(name));
            let row = row.unwrap_or_else(|| panic!("no {name}: {text}"));
            // Parents, R and virality, told tokens and told facts.
            assert!(!row.contains('–'), "{text}");
        }
        let parents = &run.chains.methods[0].all;
        assert!(parents.readers > 200, "{parents:?}");
        assert!(counted(parents.chained) > 0.05, "{parents:?}");
        assert!(counted(parents.top1) > 0.5, "{parents:?}");
    }
}

#[test]
fn what_nothing_counts_for_is_null_and_a_dash() {
    let runs = [run_of(&[], None, None)];
    let found = serde_json::to_value(&runs[0]).expect("JSON");
    for pointer in [
        "/token_rate",
        "/ece_of_each_site",
        "/ece_sites_alike",
        "/ece_sites_alike_direct",
        "/ece_within_sites/ece",
        "/ece_within_sites_direct/by_chance",
        "/channel_accuracy",
        "/channel_accuracy_conventional",
        "/app_accuracy",
        "/all/truth",
        "/direct/ece",
        "/direct/low",
        "/direct/held",
        "/direct/days_held",
        "/grey_search/log_loss",
        "/baselines/0/all/brier",
        "/chains/methods/0/all/top1",
        "/chains/methods/0/inferred/ece_named",
        "/chains/by_post/sharer",
        "/chains/content_methods/0/told_tokens/parents/mrr",
        "/chains/content_methods/1/told_tokens/reproduction/error_all",
        "/chains/content_methods/13/told_facts/virality/error_private",
        "/chains/token_edges/ece",
        "/chains/token_edges/sent_by_owner",
        "/chains/spreads/chained",
        "/chains/spreads/chained_private",
        "/chains/spreads/virality/held",
        "/chains/spreads/baselines/0/reproduction/error_all",
        "/chains/spreads/posted/ece",
    ] {
        let figure = found.pointer(pointer);
        let figure = figure.unwrap_or_else(|| panic!("no {pointer}: {found}"));
        assert!(figure.is_null(), "{pointer}: {figure}");
    }
    // Numbers of what counts are there, and nought.
    for pointer in [
        "/all/visits",
        "/sent/visits",
        "/landings",
        "/chains/by_post/readers",
    ] {
        assert_eq!(
            found.pointer(pointer),
            Some(&serde_json::json!(0)),
            "{pointer}"
        );
    }
    let mut text = Vec::new();
    write_text("nothing", &Model::builtin(), &runs, &mut text).expect("written");
    let text = String::from_utf8(text).expect("text");
    assert!(!text.contains("NaN"), "{text}");
    let row = |name: &str| {
        let row = text.lines().find(|line| line.contains(name));
        row.unwrap_or_else(|| panic!("no {name}: {text}"))
    };
    // True, stated, bias, range, held, Brier, log-loss, ECE and days; and the rate before the name.
    assert_eq!(row("booked direct ").matches('–').count(), 10, "{text}");
    // Booked, and right at the one rate.
    assert_eq!(row("all channels").matches('–').count(), 2, "{text}");
    // As stated, true in private and at all, and both distances; and the rate before the name.
    assert_eq!(row(" R: always root").matches('–').count(), 6, "{text}");
    assert_eq!(row("chain share").matches('–').count(), 11, "{text}");
}

#[test]
fn channels_and_apps_are_printed_at_every_token_rate() {
    let found = |name: &str, truth, right, right_conventional| Found {
        name: name.to_owned(),
        truth,
        stated: truth,
        right,
        right_conventional,
        dark: None,
    };
    let at = |rate: f64, right| {
        let mut run = run_of(&[], Some(rate), None);
        run.measures.channels = vec![found("search", 8, right, Some(6))];
        run.measures.apps = vec![found("whatsapp", 4, right - 2, None)];
        run
    };
    let mut text = Vec::new();
    accuracy::write(&[at(0.0, 2), at(0.5, 4)], &mut text).expect("written");
    let text = String::from_utf8(text).expect("text");
    let row = |name: &str| -> Vec<&str> {
        let row = text.lines().find(|line| line.trim().starts_with(name));
        let row = row.unwrap_or_else(|| panic!("no {name}: {text}"));
        row.trim()[name.len()..].split_whitespace().collect()
    };
    assert_eq!(row("search"), ["8", "75.0", "25.0", "50.0"]);
    assert_eq!(row("app whatsapp"), ["4", "–", "0.0", "50.0"]);
}

/// Nobody passed on what the site itself sends, whatever it is taken for.
#[test]
fn what_a_site_sends_without_tags_is_scored_by_itself() {
    let by = By {
        signals: &Arc::new(Signals::builtin()),
        model: &Model::builtin(),
        weights: None,
    };
    let line = ["--landings", "2000", "--sent", "2", "--token-rates", "0"];
    let (of, runs) = judged(&arguments(&line), &by).expect("judges");
    assert!(
        of.contains(", 2 messages a day each sent without tags,"),
        "{of}"
    );
    let none = site_of(Scenario::drawn(7), 0.0, 2_000);
    let drawn = scaled_to(&Scenario::drawn(7), 2_000.0);
    assert_eq!(none, drawn, "none a day changes nothing");
    let sent = runs[0].measures.sent;
    assert!(sent.fit.visits > 20, "{sent:?}");
    assert_eq!(sent.fit.truth, Some(0.0));
    let mut text = Vec::new();
    write_text(&of, &Model::builtin(), &runs, &mut text).expect("written");
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("sent by the site"), "{text}");
    for refused in ["-1", "101", "NaN", "two"] {
        let line = ["grapevine", "evaluate", "visits", "--sent", refused];
        let error = Cli::try_parse_from(line).expect_err("refused").to_string();
        assert!(
            error.contains("from 0 to 100") || refused == "-1",
            "{error}"
        );
    }
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let [file, truth] = simulated_files(folder.path(), "combined");
    let refused = |line: &[&str]| {
        let by = By {
            signals: &Arc::new(Signals::builtin()),
            model: &Model::builtin(),
            weights: None,
        };
        let failure = judged(&arguments(line), &by).err();
        let failure = failure.expect("refused");
        (failure.code(), failure.to_string())
    };
    // A log is no truth, and no hits.
    let (code, said) = refused(&[&file, "--truth", &file, "--via", "log"]);
    assert_eq!(code, 65);
    assert!(
        said.contains("line 1") && said.contains("--truth"),
        "{said}"
    );
    let (code, said) = refused(&[&file, "--truth", &truth]);
    assert_eq!(code, 65, "{said}");
    let (code, said) = refused(&[&file, "--truth", &truth, "--via", "log", "--site", "a b"]);
    assert_eq!(code, 64, "{said}");
    let (code, _) = refused(&["nowhere", "--truth", &truth]);
    assert_eq!(code, 66);
}
