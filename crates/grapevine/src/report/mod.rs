//! `grapevine report`: what is known of a site in a period, with its uncertainty.
//!
//! [`ask`] and [`chains`] fetch the figures, [`figures`] holds them, [`terminal`] with [`spreading`]
//! and [`machine`] write them.
//! Every figure that rests on a guess carries the range of that guess.

mod ask;
mod calibration;
mod chains;
mod figures;
mod machine;
mod spreading;
mod surges;
mod terminal;

use std::io::{self, IsTerminal, Write};

use clickhouse::Client;
use jiff::civil::Date;

pub use ask::{AskError, Period, ask};
pub use calibration::{Calibration, ask_calibration};
pub use figures::Report;
pub use surges::{SeedFigures, SurgeFigures};

use crate::cli::{ReportArgs, ReportFormat};
use crate::database::Database;
use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;

/// Columns of a report that goes to a file or a pipe.
const WIDTH_ELSEWHERE: u16 = 100;

/// Runs the command.
///
/// # Errors
/// A day that is none, nothing to report on, or what ClickHouse says.
pub async fn run(arguments: &ReportArgs, settings: &Settings) -> Result<(), Failure> {
    let period = Period {
        from: day("--from", arguments.from.as_deref())?,
        to: day("--to", arguments.to.as_deref())?,
    };
    let database = Database::open(settings).await?;
    if arguments.calibration {
        let site = arguments.site.as_deref();
        let shown = show_calibration(&database.owner(), site, arguments.format).await;
        let closed = database.close().await;
        return shown.and(closed);
    }
    let shown = show(
        &database.owner(),
        arguments.site.as_deref(),
        period,
        arguments.format,
    )
    .await;
    let closed = database.close().await;
    shown.map(|_| ()).and(closed)
}

/// Makes a report and writes it to standard output; the figures of it.
///
/// # Errors
/// Nothing to report on, or what ClickHouse says.
pub async fn show(
    client: &Client,
    site: Option<&str>,
    period: Period,
    format: ReportFormat,
) -> Result<Report, Failure> {
    let report = ask(client, site, period).await.map_err(ask_failure)?;
    let mut out = io::stdout().lock();
    let written = match format {
        ReportFormat::Text => terminal::write_text(&report, width(), &mut out),
        ReportFormat::Json => machine::write_json(&report, &mut out),
        ReportFormat::Csv => machine::write_csv(&report, &mut out),
    };
    match written.and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.ends(ExitKind::InputOutput)?,
    }
    Ok(report)
}

async fn show_calibration(
    client: &Client,
    site: Option<&str>,
    format: ReportFormat,
) -> Result<(), Failure> {
    let (site, found) = ask_calibration(client, site).await.map_err(ask_failure)?;
    let mut out = io::stdout().lock();
    let written = match format {
        ReportFormat::Text => calibration::write_text(&site, found.as_ref(), width(), &mut out),
        ReportFormat::Json => calibration::write_json(&site, found.as_ref(), &mut out),
        ReportFormat::Csv => calibration::write_csv(found.as_ref(), &mut out),
    };
    match written.and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

fn ask_failure(error: AskError) -> Failure {
    let kind = match &error {
        AskError::ClickHouse(_) | AskError::Day(_) => ExitKind::Unavailable,
        _ => ExitKind::NoInput,
    };
    Failure::of(kind, error)
}

/// Columns of the terminal; `COLUMNS` overrides it.
fn width() -> u16 {
    let told = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let shown = || {
        console::Term::stdout()
            .size_checked()
            .map_or(WIDTH_ELSEWHERE, |(_, columns)| columns)
    };
    told.unwrap_or_else(|| {
        if io::stdout().is_terminal() {
            shown()
        } else {
            WIDTH_ELSEWHERE
        }
    })
}

fn day(flag: &str, text: Option<&str>) -> Result<Option<Date>, Failure> {
    text.map(|text| {
        text.parse::<Date>().map_err(|_| {
            Failure::new(
                ExitKind::Usage,
                format!("{flag} {text}: write a day as YYYY-MM-DD, such as 2026-01-31"),
            )
        })
    })
    .transpose()
}
