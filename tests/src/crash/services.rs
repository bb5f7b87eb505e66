//! The processes that are killed: collector, replicas of enrichment and sink, brokers, ClickHouse.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, Registry};
use grapevine_registry::{Client, Credentials, Frames};

use super::{Failed, PATIENCE, Plan};
use crate::clickhouse::{Asked, PASSWORD, USER};
use crate::command;

/// Topics have this many partitions.
pub(super) const PARTITIONS: i32 = 3;
/// A member that is silent for so long has lost its partitions.
const SESSION_MS: u32 = 6_000;
const SERVER_KEY: &str = "the key of the crash test";

/// Something that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Collect,
    /// A replica, from 1.
    Enrich(u8),
    /// A replica, from 1.
    Sink(u8),
    /// A broker, from 0.
    Broker(usize),
    ClickHouse,
}

impl Part {
    /// What replicas have in common.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Part::Collect => "collect",
            Part::Enrich(_) => "enrich",
            Part::Sink(_) => "sink",
            Part::Broker(_) => "broker",
            Part::ClickHouse => "clickhouse",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Collect | Part::ClickHouse => out.write_str(self.kind()),
            Part::Enrich(number) | Part::Sink(number) => write!(out, "{}-{number}", self.kind()),
            Part::Broker(number) => write!(out, "{}-{number}", self.kind()),
        }
    }
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) cluster: Cluster,
    registry: Option<Registry>,
    home: PathBuf,
    collector: Port,
    clickhouse: Port,
    processes: BTreeMap<Part, GuardedProcess>,
    /// Processes that ended by themselves, and of what.
    pub(super) ended: Vec<String>,
}

impl Services {
    /// Starts one replica of each, and waits until ClickHouse answers.
    pub(super) fn start(plan: &Plan, home: &Path) -> Result<Services, Failed> {
        let session = SESSION_MS.to_string();
        // A lone broker that is paused must not be shut out by its own controller.
        let shut_out = if plan.brokers > 1 { "3000" } else { "9000" };
        let cluster = Cluster::builder()
            .brokers(plan.brokers)
            .property("broker.session.timeout.ms", shut_out)
            .property("group.consumer.session.timeout.ms", &session)
            .property("group.consumer.heartbeat.interval.ms", "1000")
            .start()?;
        let mut services = Services {
            cluster,
            registry: plan.registry.then(Registry::start).transpose()?,
            home: home.to_owned(),
            collector: Port::take()?,
            clickhouse: Port::take()?,
            processes: BTreeMap::new(),
            ended: Vec::new(),
        };
        std::fs::create_dir_all(home.join("clickhouse"))?;
        let text = services.configuration(plan);
        std::fs::write(home.join("grapevine.toml"), text)?;
        services.up(Part::ClickHouse)?;
        services.wait_for_clickhouse()?;
        for part in [Part::Sink(1), Part::Enrich(1), Part::Collect] {
            services.up(part)?;
        }
        Ok(services)
    }

    fn configuration(&self, plan: &Plan) -> String {
        let protocol = match plan.consumer_protocol {
            true => "consumer",
            false => "classic",
        };
        // In the consumer protocol the broker says how long a session is.
        let session = match plan.consumer_protocol {
            true => String::new(),
            false => format!(
                "\"session.timeout.ms\" = \"{SESSION_MS}\"\n\"heartbeat.interval.ms\" = \"1000\"\n"
            ),
        };
        let registry = self.registry.as_ref().map_or_else(String::new, |registry| {
            format!("[registry]\nurl = \"{}\"\n", registry.url())
        });
        format!(
            "[kafka]\nbrokers = \"{brokers}\"\npartitions = {PARTITIONS}\nreplication = {copies}\n\
             protocol = \"{protocol}\"\ngrace_seconds = 5\nstates = \"{states}\"\n\
             [kafka.properties]\n{session}\
             [clickhouse]\nurl = \"{clickhouse}\"\nuser = \"{USER}\"\npassword = \"{PASSWORD}\"\n\
             [collector]\nlisten = \"127.0.0.1:{collector}\"\nserver_key = \"{SERVER_KEY}\"\n\
             {registry}",
            brokers = self.cluster.bootstrap(),
            copies = plan.brokers.min(3),
            states = self.home.join("states").display(),
            clickhouse = self.clickhouse_url(),
            collector = self.collector.number(),
        )
    }

    /// What opens messages, where a registry is there.
    pub(super) fn frames(&self) -> Result<Option<Arc<Frames>>, Failed> {
        let Some(registry) = &self.registry else {
            return Ok(None);
        };
        let client = Client::new(&registry.url(), Credentials::None, None);
        let client = client.map_err(|error| Failed(error.to_string()))?;
        Ok(Some(Arc::new(Frames::new(client))))
    }

    pub(super) fn server_key(&self) -> &'static str {
        SERVER_KEY
    }

    pub(super) fn collector_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.collector.number())
    }

    fn clickhouse_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.clickhouse.number())
    }

    pub(super) fn asked(&self) -> Asked {
        Asked::new(self.clickhouse_url())
    }

    /// What a part wrote on standard output and error.
    fn log(&self, part: Part) -> PathBuf {
        self.home.join(format!("{part}.log"))
    }

    fn grapevine(&self, directory: &str) -> Command {
        let mut command = command(&self.home.join(directory));
        command.env("GRAPEVINE_CONFIG", self.home.join("grapevine.toml"));
        command
    }

    fn of(&self, part: Part) -> Result<Command, Failed> {
        let name = part.to_string();
        let mut command = match part {
            Part::ClickHouse => {
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .arg("clickhouse")
                    .arg(self.home.join("clickhouse"))
                    .arg(format!("127.0.0.1:{}", self.clickhouse.number()));
                return Ok(command);
            }
            _ => self.grapevine(&name),
        };
        command
            .arg(part.kind())
            .env("GRAPEVINE_KAFKA__REPLICA", name);
        Ok(command)
    }

    /// Starts a part that is not running.
    pub(super) fn up(&mut self, part: Part) -> Result<(), Failed> {
        if let Part::Broker(index) = part {
            return Ok(self.cluster.start_again(index)?);
        }
        let process = GuardedProcess::start(&mut self.of(part)?, &self.log(part))?;
        self.processes.insert(part, process);
        Ok(())
    }

    pub(super) fn is_up(&self, part: Part) -> bool {
        self.processes.contains_key(&part)
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, part: Part) {
        match part {
            Part::Broker(index) => self.cluster.kill(index),
            _ => {
                if let Some(mut process) = self.processes.remove(&part) {
                    process.kill();
                }
            }
        }
    }

    /// SIGTERM; it must end well and in time.
    pub(super) fn stop(&mut self, part: Part) -> Result<(), Failed> {
        let Some(mut process) = self.processes.remove(&part) else {
            return Ok(());
        };
        let code = process.stop(PATIENCE).and_then(|status| status.code());
        match code {
            Some(0) => Ok(()),
            code => Err(Failed(format!(
                "{part} was told to stop and ended with {code:?}:\n{}",
                process.last_words(20)
            ))),
        }
    }

    /// SIGSTOP.
    pub(super) fn pause(&mut self, part: Part) {
        match part {
            Part::Broker(index) => self.cluster.pause(index),
            _ => {
                if let Some(process) = self.processes.get(&part) {
                    process.pause();
                }
            }
        }
    }

    /// SIGCONT.
    pub(super) fn resume(&mut self, part: Part) {
        match part {
            Part::Broker(index) => self.cluster.resume(index),
            _ => {
                if let Some(process) = self.processes.get(&part) {
                    process.resume();
                }
            }
        }
    }

    /// Starts again what ended by itself, as a supervisor would.
    pub(super) fn supervise(&mut self) -> Result<(), Failed> {
        let ended: Vec<(Part, String)> = self
            .processes
            .iter_mut()
            .filter_map(|(part, process)| {
                let status = process.ended()?;
                let words = process.last_words(3);
                Some((*part, format!("{part} ended with {status}:\n{words}")))
            })
            .collect();
        for (part, words) in ended {
            self.ended.push(words);
            self.up(part)?;
        }
        Ok(())
    }

    pub(super) fn wait_for_clickhouse(&mut self) -> Result<(), Failed> {
        let deadline = Instant::now() + PATIENCE;
        let asked = self.asked();
        loop {
            match asked.number("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let text = format!("ClickHouse does not answer: {error}");
                    return Err(Failed(text));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
            self.supervise()?;
        }
    }

    /// `grapevine audit` of everything.
    pub(super) fn audit(&self) -> Result<Output, Failed> {
        let mut audit = self.grapevine("audit");
        audit
            .args(["audit", "--deep", "--format", "json"])
            .env("GRAPEVINE_KAFKA__REPLICA", "audit");
        Ok(audit.output()?)
    }

    /// How often a line of the processes' logs has `words`.
    pub(super) fn said(&self, words: &str) -> Result<usize, Failed> {
        let mut count = 0;
        for entry in std::fs::read_dir(&self.home)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "log") {
                let text = std::fs::read(&path)?;
                let text = String::from_utf8_lossy(&text);
                count += text.lines().filter(|line| line.contains(words)).count();
            }
        }
        Ok(count)
    }
}
