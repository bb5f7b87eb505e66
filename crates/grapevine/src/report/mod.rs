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
use crate::warehouse::Warehouse;

/// Columns of a report that goes to a file or a pipe.
const WIDTH_ELSEWHERE: u16 = 100;

/// Runs the command on the ClickHouse that the settings name, else on the data directory.
///
/// # Errors
/// A day that is none, nothing to report on, or what ClickHouse says.
pub async fn run(arguments: &ReportArgs, settings: &Settings) -> Result<(), Failure> {
    let period = Period {
        from: day("--from", arguments.from.as_deref())?,
        to: day("--to", arguments.to.as_deref())?,
    };
    let database = Database::open_configured(settings).await?;
    let made = make(arguments, period, &database).await;
    let closed = database.close().await;
    made.and(closed)
}

async fn make(arguments: &ReportArgs, period: Period, database: &Database) -> Result<(), Failure> {
    let (client, site) = (database.owner(), arguments.site.as_deref());
    let refused = |error| ask_failure(error, database.warehouse());
    if arguments.calibration {
        let (site, found) = ask_calibration(&client, site).await.map_err(refused)?;
        return write_calibration(&site, found.as_ref(), arguments.format);
    }
    let report = ask(&client, site, period).await.map_err(refused)?;
    write(&report, arguments.format)
}

/// Makes a report of a data directory's ClickHouse and writes it to standard output; the figures of
/// it.
///
/// # Errors
/// Nothing to report on, or what ClickHouse says.
pub async fn show(
    client: &Client,
    site: Option<&str>,
    period: Period,
    format: ReportFormat,
) -> Result<Report, Failure> {
    let asked = ask(client, site, period).await;
    let report = asked.map_err(|error| ask_failure(error, None))?;
    write(&report, format)?;
    Ok(report)
}

fn write(report: &Report, format: ReportFormat) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = match format {
        ReportFormat::Text => terminal::write_text(report, width(), &mut out),
        ReportFormat::Json => machine::write_json(report, &mut out),
        ReportFormat::Csv => machine::write_csv(report, &mut out),
    };
    finished(written.and_then(|()| out.flush()))
}

fn write_calibration(
    site: &str,
    found: Option<&Calibration>,
    format: ReportFormat,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = match format {
        ReportFormat::Text => calibration::write_text(site, found, width(), &mut out),
        ReportFormat::Json => calibration::write_json(site, found, &mut out),
        ReportFormat::Csv => calibration::write_csv(found, &mut out),
    };
    finished(written.and_then(|()| out.flush()))
}

fn finished(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

/// How the command ends where no report can be made, of the ClickHouse of `clickhouse.url` where
/// `warehouse` is it.
fn ask_failure(error: AskError, warehouse: Option<&Warehouse>) -> Failure {
    match (error, warehouse) {
        (AskError::ClickHouse(error), Some(warehouse)) => warehouse.refusal(&error),
        (AskError::Nothing, Some(warehouse)) => warehouse.empty(),
        (error @ (AskError::ClickHouse(_) | AskError::Day(_)), _) => {
            Failure::of(ExitKind::Unavailable, error)
        }
        (error, _) => Failure::of(ExitKind::NoInput, error),
    }
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
