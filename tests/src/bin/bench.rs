//! `cargo run --release -p grapevine-tests --bin bench -- pipeline`: whole processes, timed;
//! docs/benchmarks.md says what came out.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum, value_parser};
use grapevine_tests::bench::{
    Audit, Collect, Latency, Pipeline, Recovery, Sink, run_loose, serve_bare,
};
use grapevine_tests::clickhouse;

#[derive(Parser)]
#[command(
    name = "bench",
    about = "Times collector, stages and sink on Apache Kafka and ClickHouse's engine"
)]
struct Arguments {
    /// What hits are drawn from: the same seed, the same hits.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Partitions of every topic.
    #[arg(long, global = true, default_value_t = 4, value_parser = value_parser!(i32).range(1..=64))]
    partitions: i32,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Hits/s from hits.raw to rows in ClickHouse, and where the time goes.
    Pipeline {
        /// Hits that wait in hits.raw.
        #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..))]
        hits: u64,
        /// Without it the stages write without transactions, and keep no position: what a kill
        /// then loses or doubles is the price of nothing.
        #[arg(long, value_enum, default_value_t = Guarantee::On)]
        guarantee: Guarantee,
    },
    /// Rows/s of the sink alone.
    Sink {
        /// Visits that wait in their topic.
        #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..))]
        rows: u64,
    },
    /// Seconds of `grapevine audit` on many rows.
    Audit {
        /// Visits in ClickHouse, in steps of 10 000.
        #[arg(long, default_value_t = 100_000_000, value_parser = value_parser!(u64).range(10_000..))]
        rows: u64,
    },
    /// Percentiles of the time from an event to its row, through the collector.
    Latency {
        /// Hits a second: half of what `pipeline` showed.
        #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(Latency::RATE_MIN..))]
        rate: u64,
        /// Seconds that are measured.
        #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=3_600))]
        seconds: u64,
        /// Seconds of the same load before that.
        #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(0..=3_600))]
        warm_up: u64,
    },
    /// Requests/s of the collector beside a bare axum endpoint.
    Collect {
        /// Connections that are kept open, one request under way on each.
        #[arg(long, default_value_t = 64, value_parser = value_parser!(u64).range(1..=1_024))]
        connections: u64,
        /// Hits of one request.
        #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..=10_000))]
        hits: u64,
        /// Rounds, in each of which both are asked.
        #[arg(long, default_value_t = 7, value_parser = value_parser!(u32).range(1..=1_000))]
        rounds: u32,
        /// Seconds that each is asked in a round.
        #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=600))]
        seconds: u32,
    },
    /// Seconds until the stages process anew, against the size of their state.
    Recovery {
        /// Hits behind each state, growing.
        #[arg(long, value_delimiter = ',', default_values_t = [50_000, 200_000, 800_000], value_parser = value_parser!(u64).range(1..))]
        hits: Vec<u64>,
    },
    /// Serves ClickHouse's engine.
    #[command(hide = true)]
    Clickhouse {
        /// Directory of the store.
        dir: PathBuf,
        /// Address and port.
        address: String,
    },
    /// Runs the stages without their guarantee.
    #[command(hide = true)]
    Loose {
        /// Brokers.
        brokers: String,
        /// Directory of the states.
        states: PathBuf,
    },
    /// Serves the bare endpoint.
    #[command(hide = true)]
    Bare {
        /// Address and port.
        address: String,
    },
}

/// Whether the stages are exactly once.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Guarantee {
    On,
    Off,
}

fn main() -> ExitCode {
    let Arguments {
        seed,
        partitions,
        what,
    } = Arguments::parse();
    let outcome = match what {
        What::Pipeline { hits, guarantee } => Pipeline {
            hits,
            seed,
            partitions,
            guarantee: guarantee == Guarantee::On,
        }
        .run(),
        What::Sink { rows } => Sink {
            rows,
            seed,
            partitions,
        }
        .run(),
        What::Audit { rows } => Audit {
            rows,
            seed,
            partitions,
        }
        .run(),
        What::Latency {
            rate,
            seconds,
            warm_up,
        } => Latency {
            rate,
            seconds,
            warm_up,
            seed,
            partitions,
        }
        .run(),
        What::Collect {
            connections,
            hits,
            rounds,
            seconds,
        } => Collect {
            connections,
            hits,
            rounds,
            seconds: seconds.into(),
            seed,
            partitions,
        }
        .run(),
        What::Recovery { hits } => Recovery {
            hits,
            seed,
            partitions,
        }
        .run(),
        What::Clickhouse { dir, address } => {
            return ended(clickhouse::serve(&dir, &address).map_err(|error| error.to_string()));
        }
        What::Loose { brokers, states } => {
            let loose = run_loose(&brokers, partitions, &states);
            return ended(loose.map_err(|failed| failed.to_string()));
        }
        What::Bare { address } => {
            return ended(serve_bare(&address).map_err(|error| error.to_string()));
        }
    };
    ended(outcome.map_err(|failed| failed.to_string()).map(|report| {
        // Whoever closed it does not want to know.
        let _ = writeln!(std::io::stdout(), "{report}");
    }))
}

fn ended(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}
