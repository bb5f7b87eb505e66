//! `grapevine simulate`: visits and private sharing with a known truth, on file or sent.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use grapevine_simulator::{
    Event, HitOptions, LogFormat, Scenario, TruthFormat, TruthSummary, TruthWriter, simulate,
    write_hit, write_log_line,
};

use crate::cli::{SimulateArgs, SimulateFormat};
use crate::data_directory;
use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;

/// Hits in one request to a collector.
const HITS_A_REQUEST: usize = 1000;
/// Times that a collector which is busy is asked again, each a second later.
const SEND_ATTEMPTS_MAX: u32 = 30;

/// Runs the command.
///
/// # Errors
/// A scenario that is no scenario, a file that cannot be written, a collector that refuses.
pub async fn run(arguments: &SimulateArgs, settings: &Settings) -> Result<(), Failure> {
    let scenario = scenario(arguments)?;
    let mut truth = match &arguments.truth {
        Some(path) => Some((create(path)?, TruthWriter::new(TruthFormat::Ndjson))),
        None => None,
    };
    let mut summary = TruthSummary::default();
    let events = simulate(&scenario)
        .ends(ExitKind::Config)?
        .inspect(|event| summary.add(event));
    match &arguments.send {
        Some(url) => {
            let key = arguments
                .server_key
                .clone()
                .or_else(|| server_key(settings));
            let mut sender = Sender::new(url, key)?;
            for event in events {
                tell_truth(&mut truth, &event)?;
                sender.add(&event, &scenario.site).await?;
            }
            sender.flush().await?;
            tracing::info!(hits = sender.accepted, "sent");
        }
        None => {
            let mut out: Box<dyn Write> = match &arguments.out {
                Some(path) => Box::new(create(path)?),
                None => Box::new(BufWriter::new(io::stdout().lock())),
            };
            for event in events {
                tell_truth(&mut truth, &event)?;
                match write_event(&mut out, &event, &scenario.site, arguments.format) {
                    // `| head` has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.ends(ExitKind::InputOutput)?,
                };
            }
            match out.flush() {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.ends(ExitKind::InputOutput)?,
            }
        }
    }
    if let Some((mut file, _)) = truth {
        file.flush().ends(ExitKind::InputOutput)?;
    }
    // Standard output may be the log itself, so what is true is said on standard error.
    summary
        .write_text(&mut io::stderr().lock())
        .ends(ExitKind::InputOutput)
}

fn scenario(arguments: &SimulateArgs) -> Result<Scenario, Failure> {
    let mut scenario = match &arguments.scenario {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::new(
                    ExitKind::NoInput,
                    format!("scenario {}: {error}", path.display()),
                )
            })?;
            Scenario::from_toml(&text).map_err(|error| {
                Failure::new(
                    ExitKind::Config,
                    format!("scenario {}: {error}", path.display()),
                )
            })?
        }
        None => Scenario::default(),
    };
    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
    scenario.requests_target = arguments.requests.unwrap_or(scenario.requests_target);
    Ok(scenario)
}

/// Writes a simulated access log and gives what is true of it.
///
/// # Errors
/// A scenario that cannot be simulated, or a file that cannot be written.
pub fn write_log(scenario: &Scenario, path: &Path) -> Result<TruthSummary, Failure> {
    let mut out = create(path)?;
    let mut summary = TruthSummary::default();
    for event in simulate(scenario).ends(ExitKind::Config)? {
        summary.add(&event);
        write_event(&mut out, &event, &scenario.site, SimulateFormat::Combined)
            .ends(ExitKind::InputOutput)?;
    }
    out.flush().ends(ExitKind::InputOutput)?;
    Ok(summary)
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    File::create(path).map(BufWriter::new).map_err(|error| {
        Failure::new(
            ExitKind::InputOutput,
            format!("cannot write {}: {error}", path.display()),
        )
    })
}

fn tell_truth(
    truth: &mut Option<(BufWriter<File>, TruthWriter)>,
    event: &Event,
) -> Result<(), Failure> {
    if let Some((file, writer)) = truth {
        writer.write(file, event).ends(ExitKind::InputOutput)?;
    }
    Ok(())
}

fn write_event(
    out: &mut impl Write,
    event: &Event,
    site: &str,
    format: SimulateFormat,
) -> io::Result<bool> {
    match format {
        SimulateFormat::Combined => write_log_line(out, event, site, LogFormat::Combined),
        SimulateFormat::VhostCombined => write_log_line(out, event, site, LogFormat::VhostCombined),
        SimulateFormat::Hits => write_hit(out, event, site, HitOptions::default()),
    }
}

/// Server key of the collector on the data directory, where there is one.
fn server_key(settings: &Settings) -> Option<String> {
    let running = data_directory::running(&settings.data_dir).ok()??;
    Some(running.1.server_key)
}

/// Sends hits to a collector in batches.
struct Sender {
    client: reqwest::Client,
    url: String,
    key: Option<String>,
    batch: Vec<u8>,
    waiting: usize,
    accepted: u64,
}

impl Sender {
    fn new(url: &str, key: Option<String>) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .build()
            .ends(ExitKind::Software)?;
        let url = format!("{}/v1/hits", url.trim_end_matches('/'));
        Ok(Sender {
            client,
            url,
            key,
            batch: Vec::new(),
            waiting: 0,
            accepted: 0,
        })
    }

    async fn add(&mut self, event: &Event, site: &str) -> Result<(), Failure> {
        let options = HitOptions {
            addresses: self.key.is_some(),
            headers: true,
        };
        if write_hit(&mut self.batch, event, site, options).ends(ExitKind::Software)? {
            self.waiting += 1;
        }
        if self.waiting == HITS_A_REQUEST {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.waiting == 0 {
            return Ok(());
        }
        let body = std::mem::take(&mut self.batch);
        for attempt in 1..=SEND_ATTEMPTS_MAX {
            let mut request = self.client.post(&self.url).body(body.clone());
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            let answer = request.send().await.map_err(|error| {
                let said = crate::exit::chain(&error);
                Failure::new(
                    ExitKind::Unavailable,
                    format!(
                        "collector {}: {said}; is `grapevine local` running there?",
                        self.url
                    ),
                )
            })?;
            let status = answer.status();
            if status.as_u16() == 503 && attempt < SEND_ATTEMPTS_MAX {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
            let text = answer.text().await.ends(ExitKind::InputOutput)?;
            if !status.is_success() {
                let start: String = text.chars().take(500).collect();
                return Err(Failure::new(
                    ExitKind::Data,
                    format!("collector {} answered {status}: {start}", self.url),
                ));
            }
            break;
        }
        self.accepted += self.waiting as u64;
        self.waiting = 0;
        Ok(())
    }
}
