//! The `grapevine` command.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use grapevine::cli::{Cli, Command, ConfigWhat};
use grapevine::exit::{Ends, ExitKind, Failure};
use grapevine::settings::Settings;
use grapevine::{
    audit, check, collect, demo, enrich, evaluate, health, import, local, operations, query,
    replay, report, simulate, sink, standard_input,
};
use grapevine_operations::Logging;

/// What services log. The binding of librdkafka calls it an error at every good end that a group which
/// was left cannot be left again (0.39).
const SERVICE_LOG: &str = "info,rdkafka::consumer::base_consumer=off";

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
    let mut overrides = cli.everywhere.overrides();
    if let Command::Local(arguments) = &cli.command {
        overrides.collector_listen = arguments.collector_listen;
        overrides.clickhouse_listen = arguments.clickhouse_listen;
    }
    if let Command::Collect(arguments) = &cli.command {
        overrides.collector_listen = arguments.collector_listen;
    }
    let loaded = Settings::load(&overrides)?;
    let settings = &loaded.settings;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .ends(ExitKind::Software)?;
    let service = service(&cli.command);
    let logging = Logging {
        filter: match &cli.everywhere.log {
            Some(filter) => filter,
            None if service.is_some() => SERVICE_LOG,
            None => "error",
        },
        json: cli.everywhere.log_json,
    };
    // Gone before the runtime is: the last spans are sent by it.
    let telemetry =
        operations::telemetry(logging, service, &settings.operations, runtime.handle())?;
    let outcome = runtime.block_on(async {
        match &cli.command {
            Command::Local(_) => local::run(settings).await,
            Command::Collect(_) => collect::run(settings).await,
            Command::Enrich(arguments) => enrich::run(arguments, settings).await,
            Command::Sink(arguments) => sink::run(arguments, settings).await,
            Command::Audit(arguments) => audit::run(arguments, settings).await,
            Command::Replay(arguments) => replay::run(arguments, settings).await,
            Command::Import(arguments) => import::run(arguments, settings).await,
            Command::Report(arguments) => report::run(arguments, settings).await,
            Command::Query(arguments) => query::run(arguments, settings).await,
            Command::Simulate(arguments) => simulate::run(arguments, settings).await,
            Command::Evaluate(arguments) => evaluate::run(arguments, settings),
            Command::Demo(arguments) => demo::run(arguments, settings).await,
            Command::Health(arguments) => health::run(arguments, settings).await,
            Command::Config(arguments) => match &arguments.what {
                ConfigWhat::Check(arguments) => check::run(arguments, &loaded).await,
            },
        }
    });
    drop(telemetry);
    if let Command::Collect(_) | Command::Enrich(_) | Command::Sink(_) = &cli.command {
        // A thread that waits for brokers that are away ends with the process.
        runtime.shutdown_background();
    }
    outcome
}

/// The name of a command that runs until it is stopped.
fn service(command: &Command) -> Option<&'static str> {
    match command {
        Command::Local(_) => Some("local"),
        Command::Collect(_) => Some("collect"),
        Command::Enrich(_) => Some("enrich"),
        Command::Sink(_) => Some("sink"),
        _ => None,
    }
}
