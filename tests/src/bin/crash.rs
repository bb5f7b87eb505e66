//! `cargo run -p grapevine-tests --bin crash -- --seed 7 --kills 1000`: the microservices under
//! load, killed again and again; docs/crash-tests.md says what is judged.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};
use grapevine_tests::clickhouse;
use grapevine_tests::crash::{self, KINDS, Plan};

#[derive(Parser)]
#[command(
    name = "crash",
    about = "Kills the microservices and judges what they leave"
)]
struct Arguments {
    /// What hits and faults are drawn from: the same seed, the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Kills to be made at least.
    #[arg(long, default_value_t = 24)]
    kills: u64,
    /// Parts that are killed; all of them unless told.
    #[arg(long, value_name = "PART", value_parser = PossibleValuesParser::new(KINDS))]
    only: Vec<String>,
    /// Brokers, of which one at a time is killed. A lone one may forget how a transaction ended.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    brokers: u8,
    /// How consumer groups agree.
    #[arg(long, value_enum, default_value_t = Protocol::Classic)]
    protocol: Protocol,
    /// With a schema registry.
    #[arg(long)]
    registry: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Classic,
    Consumer,
}

#[derive(Subcommand)]
enum Part {
    /// Serves ClickHouse's engine: the process that is killed.
    #[command(hide = true)]
    Clickhouse {
        /// Directory of the store.
        dir: PathBuf,
        /// Address and port.
        address: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (mut out, mut tell) = (std::io::stdout(), std::io::stderr());
    let outcome = match &arguments.part {
        Some(Part::Clickhouse { dir, address }) => {
            clickhouse::serve(dir, address).map_err(|error| error.to_string())
        }
        None => {
            let named = |kind: &&str| arguments.only.iter().any(|only| only == kind);
            let plan = Plan {
                only: KINDS.into_iter().filter(named).collect(),
                seed: arguments.seed,
                kills: arguments.kills,
                brokers: usize::from(arguments.brokers),
                consumer_protocol: arguments.protocol == Protocol::Consumer,
                registry: arguments.registry,
            };
            crash::run(&plan, &mut tell)
                .map(|shown| {
                    // Whoever closed it does not want to know.
                    let _ = writeln!(out, "{shown}");
                })
                .map_err(|failed| failed.to_string())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let _ = writeln!(tell, "{reason}");
            ExitCode::FAILURE
        }
    }
}
