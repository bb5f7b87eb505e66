//! `grapevine simulate`: visits and private sharing with a known truth, on file or sent.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use grapevine_simulator::{
    CascadeWriter, Event, HitOptions, LogFormat, Scenario, TruthFormat, TruthSummary, TruthWriter,
    deliver, simulate, simulate_sites, write_hit, write_log_line,
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
    if arguments.send.is_none() && arguments.format == SimulateFormat::Scenario {
        scenario.validate().ends(ExitKind::Config)?;
        let text = scenario.to_toml().ends(ExitKind::Config)?;
        return written(open(arguments)?.write_all(text.as_bytes()));
    }
    let mut events = Events::of(&scenario, arguments)?;
    match &arguments.send {
        Some(url) => {
            let key = arguments
                .server_key
                .clone()
                .or_else(|| server_key(settings));
            let mut sender = Sender::new(url, key)?;
            while let Some((event, site)) = events.next()? {
                sender.add(&event, &site).await?;
            }
            sender.flush().await?;
            tracing::info!(hits = sender.accepted, "sent");
        }
        None => {
            let mut out = open(arguments)?;
            match write_all(&mut out, &mut events, arguments.format) {
                Ok(()) => {}
                // `| head` has seen enough.
                Err(Stopped::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(());
                }
                Err(Stopped::Write(error)) => return Err(error).ends(ExitKind::InputOutput),
                Err(Stopped::Truth(failure)) => return Err(failure),
            }
        }
    }
    events.finish()
}

/// Why writing stopped.
enum Stopped {
    Write(io::Error),
    Truth(Failure),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Stopped::Write(error)
    }
}

fn write_all(
    out: &mut dyn Write,
    events: &mut Events<'_>,
    format: SimulateFormat,
) -> Result<(), Stopped> {
    let mut cascades = CascadeWriter::default();
    while let Some((event, site)) = events.next().map_err(Stopped::Truth)? {
        match format {
            SimulateFormat::Cascades => cascades.add(events.number, &event),
            _ => {
                write_event(&mut &mut *out, &event, &site, format)?;
            }
        }
    }
    if format == SimulateFormat::Cascades {
        cascades.write(&mut &mut *out)?;
    }
    Ok(out.flush()?)
}

fn open(arguments: &SimulateArgs) -> Result<Box<dyn Write>, Failure> {
    Ok(match &arguments.out {
        Some(path) => Box::new(create(path)?),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    })
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.ends(ExitKind::InputOutput),
    }
}

/// The events of all sites in the order in which they are written or sent, with the truth beside.
struct Events<'a> {
    events: Box<dyn Iterator<Item = (usize, Event)> + 'a>,
    names: Vec<std::sync::Arc<str>>,
    /// Site of the last event.
    number: usize,
    truth: Option<(BufWriter<File>, TruthWriter)>,
    summary: TruthSummary,
}

impl<'a> Events<'a> {
    fn of(scenario: &'a Scenario, arguments: &SimulateArgs) -> Result<Events<'a>, Failure> {
        if !scenario.more_sites.is_empty()
            && arguments.send.is_none()
            && arguments.format == SimulateFormat::Combined
        {
            return Err(Failure::new(
                ExitKind::Usage,
                "--format combined has no place for the name of a site, and the scenario has \
                 several: write vhost-combined or hits",
            ));
        }
        let sites = simulate_sites(scenario).ends(ExitKind::Config)?;
        let names = sites.names().to_vec();
        // Hits travel; the lines of a log are written where things happen.
        let travels = arguments.send.is_some() || arguments.format == SimulateFormat::Hits;
        let numbered = sites;
        let events: Box<dyn Iterator<Item = (usize, Event)>> = if travels {
            let count = names.len() as u64;
            let delivered = deliver(
                numbered.map(|(_, event)| event),
                &scenario.delivery,
                scenario.seed,
            );
            // The number of an event names its site.
            Box::new(delivered.map(move |event| ((event.id % count) as usize, event)))
        } else {
            Box::new(numbered)
        };
        let truth = match &arguments.truth {
            Some(path) => Some((create(path)?, TruthWriter::new(TruthFormat::Ndjson))),
            None => None,
        };
        Ok(Events {
            events,
            names,
            number: 0,
            truth,
            summary: TruthSummary::default(),
        })
    }

    /// The next event and the host of its site; its truth is written.
    fn next(&mut self) -> Result<Option<(Event, std::sync::Arc<str>)>, Failure> {
        let Some((number, event)) = self.events.next() else {
            return Ok(None);
        };
        self.number = number;
        self.summary.add(&event);
        if let Some((file, writer)) = &mut self.truth {
            let site = &self.names[number];
            writer
                .write(file, &event, site)
                .ends(ExitKind::InputOutput)?;
        }
        Ok(Some((event, self.names[number].clone())))
    }

    fn finish(self) -> Result<(), Failure> {
        if let Some((mut file, _)) = self.truth {
            file.flush().ends(ExitKind::InputOutput)?;
        }
        // Standard output may be the log itself, so what is true is said on standard error.
        self.summary
            .write_text(&mut io::stderr().lock())
            .ends(ExitKind::InputOutput)
    }
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
        None if arguments.drawn => Scenario::drawn(arguments.seed.unwrap_or(1)),
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
        // Neither is made of single events.
        SimulateFormat::Cascades | SimulateFormat::Scenario => Ok(false),
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
