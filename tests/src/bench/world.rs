//! Where a benchmark takes place: one broker, ClickHouse's engine in a process of its own, and the
//! services as users start them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use grapevine_event::{Heartbeat, topic};
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, ScratchDirectory};
use grapevine_log::Commit;
use grapevine_log::kafka::topics::{self, Creation, Wish};
use grapevine_log::kafka::{Connection, Producer};
use rdkafka::ClientConfig;

use super::Failed;
use super::hits::Hits;
use super::processes::{Used, used};
use super::scrape::Scrape;
use crate::clickhouse::{Asked, PASSWORD, USER};
use crate::command;

/// Longest wait for something that has to come, and longest time without progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// The collector's key for server-side senders.
pub(super) const SERVER_KEY: &str = "the key of the benchmarks";
/// Hits of one append.
const APPEND: u64 = 10_000;
/// 2024-03-01 00:00 UTC: hits that are there before the clock starts are of a fixed time.
pub(super) const START_MS: i64 = 1_709_251_200_000;
/// Between two heartbeats, as the collector makes them.
const HEARTBEAT_MS: i64 = 1_000;

/// Everything that stands while services come and go.
pub(super) struct World {
    clickhouse: Option<GuardedProcess>,
    cluster: Cluster,
    producer: Producer,
    clickhouse_port: Port,
    /// Partitions of every topic.
    pub(super) partitions: i32,
    home: ScratchDirectory,
}

/// A running service; killed when dropped.
pub(super) struct Service {
    process: GuardedProcess,
    operations: Port,
    name: &'static str,
}

impl World {
    /// Starts the broker, and makes the topics.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub(super) fn start(partitions: i32) -> Result<World, Failed> {
        let cluster = Cluster::builder().lasting().start()?;
        let wrong = |error: &dyn std::fmt::Display| Failed(error.to_string());
        let connection = Connection::new(&cluster.bootstrap(), BTreeMap::new(), None)
            .map_err(|error| wrong(&error))?;
        let day = Duration::from_secs(86_400);
        let wishes = topic::ALL.map(|name| Wish {
            name,
            partitions: Some(partitions),
            retention: 7 * day,
            retention_min: day,
        });
        let creation = Creation {
            allowed: true,
            replication: Some(1),
            partitions,
        };
        let counts =
            topics::ensure(&connection, &wishes, creation).map_err(|error| wrong(&error))?;
        let world = World {
            clickhouse: None,
            producer: Producer::new(&connection, counts).map_err(|error| wrong(&error))?,
            cluster,
            clickhouse_port: Port::take()?,
            partitions,
            home: ScratchDirectory::new()?,
        };
        std::fs::write(world.configuration(), world.configured())?;
        Ok(world)
    }

    /// The same with ClickHouse, its tables made.
    ///
    /// # Errors
    /// What is missing on this machine, and what the migration says.
    pub(super) fn with_clickhouse(partitions: i32) -> Result<World, Failed> {
        let mut world = World::start(partitions)?;
        let store = world.path("clickhouse");
        std::fs::create_dir_all(&store)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("clickhouse")
            .arg(store)
            .arg(format!("127.0.0.1:{}", world.clickhouse_port.number()));
        let log = world.path("clickhouse.log");
        let mut process = GuardedProcess::start(&mut command, &log)?;
        let asked = world.asked();
        wait_until("ClickHouse answers", || match process.ended() {
            Some(status) => Err(Failed(format!(
                "ClickHouse ended with {status}:\n{}",
                process.last_words(10)
            ))),
            None => Ok(asked.number("SELECT 1").is_ok()),
        })?;
        world.clickhouse = Some(process);
        let migrated = world.command("sink").arg("--migrate-only").output()?;
        match migrated.status.success() {
            true => Ok(world),
            false => Err(Failed(
                String::from_utf8_lossy(&migrated.stderr).into_owned(),
            )),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where stages save their states.
    pub(super) fn states(&self) -> PathBuf {
        self.path("states")
    }

    fn configuration(&self) -> PathBuf {
        self.path("grapevine.toml")
    }

    fn configured(&self) -> String {
        format!(
            "[kafka]\nbrokers = \"{brokers}\"\npartitions = {partitions}\nreplication = 1\n\
             states = \"{states}\"\n\
             [clickhouse]\nurl = \"http://127.0.0.1:{clickhouse}\"\nuser = \"{USER}\"\npassword = \"{PASSWORD}\"\n\
             [collector]\nserver_key = \"{SERVER_KEY}\"\n",
            brokers = self.cluster.bootstrap(),
            partitions = self.partitions,
            states = self.states().display(),
            clickhouse = self.clickhouse_port.number(),
        )
    }

    /// A command of the program on this place.
    pub(super) fn command(&self, service: &'static str) -> Command {
        let mut command = command(&self.path(service));
        command
            .arg(service)
            .env("GRAPEVINE_CONFIG", self.configuration())
            .env("GRAPEVINE_KAFKA__REPLICA", service);
        command
    }

    /// Starts `enrich`, `sink` or `collect`; returns at once.
    ///
    /// # Errors
    /// The system gives no process or port.
    pub(super) fn up(&self, service: &'static str, extra: &[&str]) -> Result<Service, Failed> {
        self.up_in(None, service, extra)
    }

    /// The same in groups of a name of its own, where one is given.
    ///
    /// # Errors
    /// Those of [`up`](Self::up).
    pub(super) fn up_in(
        &self,
        group: Option<&str>,
        service: &'static str,
        extra: &[&str],
    ) -> Result<Service, Failed> {
        let operations = Port::take()?;
        let mut command = self.command(service);
        let listen = format!("127.0.0.1:{}", operations.number());
        command
            .args(extra)
            .env("GRAPEVINE_OPERATIONS__LISTEN", listen)
            .envs(group.map(|group| ("GRAPEVINE_KAFKA__GROUP", group)));
        let log = self.path(&format!("{service}.log"));
        Ok(Service {
            process: GuardedProcess::start(&mut command, &log)?,
            operations,
            name: service,
        })
    }

    /// Starts the stages without their guarantee; returns at once. They serve no metrics.
    ///
    /// # Errors
    /// The system gives no process or port.
    pub(super) fn up_loose(&self) -> Result<Service, Failed> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--partitions", &self.partitions.to_string()])
            .args(["loose", &self.cluster.bootstrap()])
            .arg(self.states());
        Ok(Service {
            process: GuardedProcess::start(&mut command, &self.path("loose.log"))?,
            operations: Port::take()?,
            name: "enrich",
        })
    }

    /// How a client of the tests' own reaches the broker.
    pub(super) fn client_config(&self) -> ClientConfig {
        self.cluster.client_config()
    }

    pub(super) fn asked(&self) -> Asked {
        Asked::new(format!(
            "http://127.0.0.1:{}",
            self.clickhouse_port.number()
        ))
    }

    /// What broker and ClickHouse have used so far.
    pub(super) fn used(&self) -> [(&'static str, Used); 2] {
        let broker = self.cluster.process_ids().first().copied();
        let clickhouse = self.clickhouse.as_ref().map(GuardedProcess::id);
        [("broker", broker), ("ClickHouse", clickhouse)]
            .map(|(name, process)| (name, process.map_or_else(Used::default, used)))
    }

    /// Appends records, acknowledged when this returns.
    ///
    /// # Errors
    /// The broker does not take them.
    pub(super) fn append(&self, commit: &Commit) -> Result<(), Failed> {
        (self.producer.append(commit, PATIENCE)).map_err(|error| Failed(error.to_string()))
    }

    /// Puts a range of hits on `hits.raw` as the collector would, `every_ms` apart, with its
    /// heartbeats.
    ///
    /// # Errors
    /// The broker does not take them.
    pub(super) fn fill(
        &self,
        hits: Hits,
        numbers: std::ops::Range<u64>,
        every_ms: i64,
    ) -> Result<(), Failed> {
        let time = |number: u64| {
            START_MS.saturating_add(i64::try_from(number).unwrap_or(i64::MAX) * every_ms)
        };
        let mut commit = Commit::default();
        let mut beaten = time(numbers.start);
        for first in numbers
            .clone()
            .step_by(usize::try_from(APPEND).unwrap_or(1))
        {
            commit.clear();
            for number in first..numbers.end.min(first + APPEND) {
                hits.append(number, time(number), &mut commit)?;
                if time(number) - beaten >= HEARTBEAT_MS || number + 1 == numbers.end {
                    beaten = time(number);
                    let heartbeat = Heartbeat {
                        event_time: beaten,
                        source: "collector",
                    };
                    commit
                        .append_to_every(topic::HITS_RAW, |out| heartbeat.encode(out))
                        .map_err(|error| Failed(error.to_string()))?;
                }
            }
            self.append(&commit)?;
        }
        Ok(())
    }
}

impl Service {
    /// What it has used so far.
    pub(super) fn used(&self) -> Used {
        used(self.process.id())
    }

    /// Its metrics; `None` while they are not served yet.
    pub(super) fn scrape(&self) -> Option<Scrape> {
        Scrape::of(self.operations.number()).ok()
    }

    /// Its metrics, which must be there.
    ///
    /// # Errors
    /// It serves none, with its last words.
    pub(super) fn told(&self) -> Result<Scrape, Failed> {
        Scrape::of(self.operations.number()).map_err(|Failed(reason)| {
            Failed(format!(
                "{}: {reason}\n{}",
                self.name,
                self.process.last_words(10)
            ))
        })
    }

    /// An error where it has ended.
    ///
    /// # Errors
    /// How it ended, with its last words.
    pub(super) fn lives(&mut self) -> Result<(), Failed> {
        match self.process.ended() {
            None => Ok(()),
            Some(status) => Err(Failed(format!(
                "{} ended with {status}:\n{}",
                self.name,
                self.process.last_words(10)
            ))),
        }
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// It ended, or is not ready in time.
    pub(super) fn ready(&mut self) -> Result<(), Failed> {
        let url = format!("http://127.0.0.1:{}/health/ready", self.operations.number());
        wait_until("the service is ready", || {
            self.lives()?;
            let answer = reqwest::blocking::get(&url);
            Ok(answer.is_ok_and(|answer| answer.status().is_success()))
        })
    }

    /// `kill -9`.
    pub(super) fn kill(mut self) {
        self.process.kill();
    }

    /// SIGTERM; it must end well.
    ///
    /// # Errors
    /// It does not, with its last words.
    pub(super) fn stop(mut self) -> Result<(), Failed> {
        match self.process.stop(PATIENCE).and_then(|status| status.code()) {
            Some(0) => Ok(()),
            code => Err(Failed(format!(
                "{} was told to stop and ended with {code:?}:\n{}",
                self.name,
                self.process.last_words(20)
            ))),
        }
    }
}

/// Asks until the answer is yes.
///
/// # Errors
/// That of the question, and [`PATIENCE`] running out.
pub(super) fn wait_until(
    what: &str,
    mut is: impl FnMut() -> Result<bool, Failed>,
) -> Result<(), Failed> {
    let deadline = Instant::now() + PATIENCE;
    while !is()? {
        if Instant::now() > deadline {
            return Err(Failed(format!(
                "waited {} s until {what}",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Bytes of the files of a directory and of those below, the newest of each directory.
///
/// # Errors
/// Those of the disk.
pub(super) fn newest_bytes(directory: &Path) -> Result<u64, Failed> {
    let (mut below, mut newest) = (0, None);
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            below += newest_bytes(&entry.path())?;
        } else {
            // Names are padded offsets: they sort as they grow.
            newest = newest.max(Some((entry.file_name(), about.len())));
        }
    }
    Ok(below + newest.map_or(0, |(_, bytes)| bytes))
}
