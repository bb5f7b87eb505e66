//! `grapevine query`: one statement to ClickHouse, that of `clickhouse.url` or the data directory's;
//! its answer to standard output as it comes.

use std::io::{self, IsTerminal, Read, Write};

use crate::cli::QueryArgs;
use crate::database::Database;
use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;
use crate::standard_input;

/// Runs the command.
///
/// # Errors
/// No statement, no database, or what ClickHouse says.
pub async fn run(arguments: &QueryArgs, settings: &Settings) -> Result<(), Failure> {
    let sql = if arguments.sql == "-" {
        let mut text = String::new();
        standard_input::reader()
            .ends(ExitKind::NoInput)?
            .read_to_string(&mut text)
            .ends(ExitKind::NoInput)?;
        text
    } else {
        arguments.sql.clone()
    };
    if sql.trim().is_empty() {
        return Err(Failure::new(
            ExitKind::Usage,
            "the statement is empty: write one, such as 'SHOW TABLES FROM grapevine'",
        ));
    }
    let terminal = io::stdout().is_terminal();
    let format = arguments.format.as_deref().unwrap_or(if terminal {
        "PrettyCompact"
    } else {
        "TabSeparatedWithNames"
    });
    let database = Database::open_configured(settings).await?;
    let answered = answer(&database, arguments.reader, &sql, format).await;
    let closed = database.close().await;
    answered.and(closed)
}

async fn answer(
    database: &Database,
    as_reader: bool,
    sql: &str,
    format: &str,
) -> Result<(), Failure> {
    let client = if as_reader {
        database.reader()?
    } else {
        database.owner()
    };
    let mut rows = client
        .with_database("grapevine")
        .query_raw(sql)
        .fetch_bytes(format)
        .map_err(refused)?;
    let mut out = io::stdout().lock();
    while let Some(chunk) = rows.next().await.map_err(refused)? {
        match out.write_all(&chunk) {
            // `| head` has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.ends(ExitKind::InputOutput)?,
        }
    }
    out.flush().ends(ExitKind::InputOutput)
}

fn refused(error: clickhouse::error::Error) -> Failure {
    Failure::new(ExitKind::Data, crate::exit::chain(&error))
}
