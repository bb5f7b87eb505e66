//! `cargo run -p grapevine-tests --bin without-docker`: Apache Kafka, ClickHouse's engine and the
//! microservices on this machine until Ctrl-C, as the README says.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use grapevine_tests::without_docker::{Everything, Places, Trouble};

fn main() -> ExitCode {
    let places = Places::parse();
    let mut tell = std::io::stderr();
    match run(&places, &mut tell) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let _ = writeln!(tell, "{trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(places: &Places, tell: &mut dyn Write) -> Result<(), Trouble> {
    let mut everything = Everything::start(places, tell)?;
    let mut out = std::io::stdout();
    // Whoever closed it does not want to know.
    let _ = write!(out, "{everything}").and_then(|()| out.flush());
    everything.wait()?;
    let _ = writeln!(tell, "stopping");
    everything.stop()
}
