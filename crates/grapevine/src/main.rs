//! The `grapevine` command.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use grapevine::cli::{Cli, Command};
use grapevine::exit::{Ends, ExitKind, Failure};
use grapevine::settings::Settings;
use grapevine::{
    audit, demo, enrich, evaluate, import, local, query, replay, report, simulate, sink,
    standard_input, telemetry,
};

fn main() -> ExitCode {
    grapevine_embedded::bound_heap();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() {
                ExitKind::Usage.code()
            } else {
                0
            };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is gone, the code alone must do.
            let _ = writeln!(std::io::stderr(), "grapevine: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    standard_input::set_aside().ends(ExitKind::Software)?;
    let is_service = matches!(
        cli.command,
        Command::Local(_) | Command::Enrich(_) | Command::Sink(_)
    );
    let default = if is_service { "info" } else { "error" };
    telemetry::start(
        cli.everywhere.log.as_deref(),
        cli.everywhere.log_json,
        default,
    )?;
    let mut overrides = cli.everywhere.overrides();
    if let Command::Local(arguments) = &cli.command {
        overrides.collector_listen = arguments.collector_listen;
        overrides.clickhouse_listen = arguments.clickhouse_listen;
    }
    let settings = Settings::load(&overrides)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .ends(ExitKind::Software)?;
    runtime.block_on(async {
        match &cli.command {
            Command::Local(_) => local::run(&settings).await,
            Command::Enrich(arguments) => enrich::run(arguments, &settings).await,
            Command::Sink(arguments) => sink::run(arguments, &settings).await,
            Command::Audit(arguments) => audit::run(arguments, &settings).await,
            Command::Replay(arguments) => replay::run(arguments, &settings).await,
            Command::Import(arguments) => import::run(arguments, &settings).await,
            Command::Report(arguments) => report::run(arguments, &settings).await,
            Command::Query(arguments) => query::run(arguments, &settings).await,
            Command::Simulate(arguments) => simulate::run(arguments, &settings).await,
            Command::Evaluate(arguments) => evaluate::run(arguments),
            Command::Demo(arguments) => demo::run(arguments, &settings).await,
        }
    })
}
