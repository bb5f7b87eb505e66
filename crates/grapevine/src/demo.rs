//! `grapevine demo`: from nothing to a report in one command, on a simulated publisher or on logs
//! of the user's own.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use grapevine_simulator::{Scenario, TruthSummary};

use crate::cli::{DemoArgs, ImportArgs, ReportFormat};
use crate::database::Database;
use crate::exit::{Ends, ExitKind, Failure};
use crate::numerals::{count, percent};
use crate::report::{self, Period, Report};
use crate::settings::Settings;
use crate::{import, pipeline, simulate};

/// Site name for logs that do not name one.
const SITE_OF_OWN_LOG: &str = "my-site";

/// Runs the command.
///
/// # Errors
/// Those of importing and reporting.
pub async fn run(arguments: &DemoArgs, settings: &Settings) -> Result<(), Failure> {
    let mut settings = settings.clone();
    // A demo leaves the user's own data alone.
    settings.data_dir = settings.data_dir.join("demo");
    let (site, files, truth) = if arguments.files.is_empty() {
        let (site, file, truth) = simulated(&settings.data_dir)?;
        (
            arguments.site.clone().unwrap_or(site),
            vec![file],
            Some(truth),
        )
    } else {
        let site = arguments
            .site
            .clone()
            .unwrap_or_else(|| SITE_OF_OWN_LOG.to_owned());
        (site, arguments.files.clone(), None)
    };
    settings.data_dir = settings.data_dir.join("data");
    start_empty(&settings)?;

    let started = Instant::now();
    import::run(
        &ImportArgs {
            site: site.clone(),
            files,
            quiet: false,
            json: false,
        },
        &settings,
    )
    .await?;
    tracing::info!(seconds = started.elapsed().as_secs_f64(), "imported");

    say(&format!(
        "\n$ grapevine report --site {site} --data-dir {}\n",
        settings.data_dir.display()
    ))?;
    let database = Database::open(&settings).await?;
    let shown = report::show(
        &database.owner(),
        Some(&site),
        Period::default(),
        ReportFormat::Text,
    )
    .await;
    database.close().await?;
    let report = shown?;
    if let Some(truth) = truth {
        compare(&truth, &report)?;
    }
    say("\nNext:\n")?;
    let data = settings.data_dir.display();
    say("  grapevine demo access.log                     the same on a log of your own\n")?;
    say("  grapevine import --site NAME access.log       keep it\n")?;
    say(
        "  grapevine local                               take hits from a page, ask with any ClickHouse client\n",
    )?;
    say(&format!(
        "  grapevine query --data-dir {data} 'SHOW TABLES'\n"
    ))
}

/// Removes what an earlier demo left, once it is known to be that and not in use.
fn start_empty(settings: &Settings) -> Result<(), Failure> {
    drop(pipeline::hold(settings)?);
    std::fs::remove_dir_all(&settings.data_dir).ends(ExitKind::InputOutput)
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

/// Writes the simulated publisher's log; gives its site, its file and what is true of it.
fn simulated(directory: &Path) -> Result<(String, PathBuf, TruthSummary), Failure> {
    let scenario = Scenario::demo();
    std::fs::create_dir_all(directory).ends(ExitKind::InputOutput)?;
    let file = directory.join("access.log");
    say(&format!("$ grapevine simulate --out {}\n", file.display()))?;
    let truth = simulate::write_log(&scenario, &file)?;
    say(&format!(
        "{} requests of two weeks at a publisher that does not exist, {}.\n\n",
        truth.requests, scenario.site
    ))?;
    say(&format!(
        "$ grapevine import --site {} {}\n",
        scenario.site,
        file.display()
    ))?;
    Ok((scenario.site, file, truth))
}

/// Sets what was found beside what is true, which only a simulation knows.
fn compare(truth: &TruthSummary, report: &Report) -> Result<(), Failure> {
    let (looks_direct, dark) = (
        truth.direct_looking as f64,
        truth.direct_looking_dark as f64,
    );
    let found = &report.direct;
    let share = |part: f64| percent(part, found.visits);
    say(&format!(
        "\nWhat is true, which only a simulation knows:\n  of {} visits that look direct, {} were dark ({}); found {} ({} to {})\n",
        count(looks_direct),
        count(dark),
        percent(dark, looks_direct),
        share(found.dark_social.expected),
        share(found.dark_social.low),
        share(found.dark_social.high),
    ))
}
