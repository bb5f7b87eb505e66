//! What `docker compose up` brings up, on a machine without Docker: one broker of Apache Kafka,
//! ClickHouse's engine, and `grapevine collect`, `enrich` and `sink` as processes of their own.
//!
//! To try and to develop with: nothing of it is kept, and nothing is left running.

use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use grapevine_embedded::{
    Account, Accounts, EmbeddedServer, EngineLibrary, Limits, Role, ServerOptions, cache_dir,
};
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port, ScratchDirectory, TestingError};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

/// Accounts and passwords are those of docker-compose.yml, so that the same questions fit both.
const OWNER: (&str, &str) = ("grapevine", "for-this-machine-only");
const READER: (&str, &str) = ("reader", "for-dashboards-only");
/// Of every topic, as in docker-compose.yml.
const PARTITIONS: &str = "4";
/// How long a service may take until it is ready. A busy machine is slow.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// What a service may take to finish what is at hand, and how long it is waited for.
const STOP_GRACE_SECONDS: u64 = 20;
const STOPPED_WITHIN: Duration = Duration::from_secs(STOP_GRACE_SECONDS + 10);
/// Between two looks at the services.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Lines of a service's log that an error shows.
const WORDS_LINES: usize = 15;

/// Where a user reaches it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "without-docker",
    about = "Apache Kafka, ClickHouse's engine, grapevine collect, enrich and sink until Ctrl-C"
)]
pub struct Places {
    /// Address and port that collect takes hits on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub collector_listen: SocketAddr,
    /// Address and port of ClickHouse's HTTP interface.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8123")]
    pub clickhouse_listen: SocketAddr,
    /// Path of libchdb.so, instead of the one that npm fetches.
    #[arg(long, value_name = "PATH", env = "GRAPEVINE_ENGINE")]
    pub engine: Option<PathBuf>,
}

/// Why it is not there, or did not stay. Every message says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// A port is not to be had.
    #[error(
        "{what} cannot listen on {address}: {source}; stop the program that does, or choose another with {flag} ADDRESS"
    )]
    Port {
        /// Who wanted it.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// The argument that names another.
        flag: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// Apache Kafka cannot be had or started.
    #[error(transparent)]
    Kafka(#[from] TestingError),
    /// ClickHouse's engine cannot be had or started.
    #[error(transparent)]
    Engine(#[from] grapevine_embedded::EngineError),
    /// Nowhere to keep the engine.
    #[error("no directory to fetch the engine into: set GRAPEVINE_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
    /// The services do not build.
    #[error("grapevine does not build: {0}")]
    Build(&'static str),
    /// A service is not ready in time.
    #[error("{service} is not ready after {} s: {answer}\nits last words:\n{words}", READY_WITHIN.as_secs())]
    NotReady {
        /// Which one.
        service: &'static str,
        /// What its health says.
        answer: String,
        /// The end of its log.
        words: String,
    },
    /// A service ended by itself, or badly when it was asked to.
    #[error("{service} {how}; its last words:\n{words}")]
    Ended {
        /// Which one.
        service: &'static str,
        /// What was seen from outside.
        how: String,
        /// The end of its log.
        words: String,
    },
    /// A disk, a signal, a socket.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}

fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Trouble {
    move |source| Trouble::System { what, source }
}

/// One microservice.
#[derive(Debug)]
struct Service {
    name: &'static str,
    process: GuardedProcess,
    /// Of health and metrics.
    operations: Port,
}

impl Service {
    /// Whether it ended, which it must not by itself.
    fn look(&mut self) -> Result<(), Trouble> {
        match self.process.ended() {
            None => Ok(()),
            Some(status) => Err(self.trouble(format!("ended with {status}"))),
        }
    }

    fn trouble(&self, how: String) -> Trouble {
        Trouble::Ended {
            service: self.name,
            how,
            words: self.process.last_words(WORDS_LINES),
        }
    }

    fn operations(&self) -> String {
        format!("http://127.0.0.1:{}", self.operations.number())
    }

    /// Until it could do its work.
    fn wait_until_ready(&mut self, http: &reqwest::blocking::Client) -> Result<(), Trouble> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = format!("{}/health/ready", self.operations());
        loop {
            self.look()?;
            let answer = match http.get(&url).send() {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(Trouble::NotReady {
                    service: self.name,
                    answer,
                    words: self.process.last_words(WORDS_LINES),
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGTERM; it must end well.
    fn stop(&mut self) -> Result<(), Trouble> {
        match self.process.stop(STOPPED_WITHIN) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.trouble(format!("was told to stop and ended with {status}"))),
            None => Err(self.trouble("was told to stop and did not".to_owned())),
        }
    }
}

/// All that runs; it ends, and its data go, when dropped.
#[derive(Debug)]
pub struct Everything {
    /// In the order that they stop in: nobody waits for one that is gone.
    services: Vec<Service>,
    clickhouse: EmbeddedServer,
    kafka: Cluster,
    collector: SocketAddr,
    home: ScratchDirectory,
}

impl Everything {
    /// Starts it and waits until every service is ready, telling `tell` what takes time.
    ///
    /// # Errors
    /// A port in use, what is missing on the machine, a part that does not start.
    pub fn start(places: &Places, tell: &mut dyn Write) -> Result<Everything, Trouble> {
        // Ports before anything slow: they are the likeliest to be wrong. collect takes its own
        // when it starts.
        let listen = |what, address, flag| {
            TcpListener::bind(address).map_err(|source| Trouble::Port {
                what,
                address,
                flag,
                source,
            })
        };
        drop(listen(
            "collect",
            places.collector_listen,
            "--collector-listen",
        )?);
        let listener = listen(
            "ClickHouse",
            places.clickhouse_listen,
            "--clickhouse-listen",
        )?;
        let mut say = |words: &str| {
            // Nobody may be listening.
            let _ = writeln!(tell, "{words}");
        };
        say("starting Apache Kafka; Maven fetches it the first time");
        let kafka = Cluster::start()?;
        say("starting ClickHouse's engine; npm fetches it the first time (150 MB)");
        let home = ScratchDirectory::new()?;
        let clickhouse = clickhouse(places.engine.as_deref(), home.path(), listener)?;
        say("building and starting grapevine collect, enrich and sink");
        crate::build().map_err(Trouble::Build)?;
        let mut everything = Everything {
            services: Vec::new(),
            clickhouse,
            kafka,
            collector: places.collector_listen,
            home,
        };
        for name in ["collect", "enrich", "sink"] {
            let service = everything.service(name)?;
            everything.services.push(service);
        }
        let http = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| Trouble::System {
                what: "no HTTP client",
                source: std::io::Error::other(error),
            })?;
        for service in &mut everything.services {
            service.wait_until_ready(&http)?;
        }
        Ok(everything)
    }

    /// What the services are told of Kafka and ClickHouse, as they are where both are there already.
    fn environment(&self) -> [(&'static str, String); 5] {
        let url = format!("http://{}", self.clickhouse.address());
        [
            ("GRAPEVINE_KAFKA__BROKERS", self.kafka.bootstrap()),
            ("GRAPEVINE_KAFKA__PARTITIONS", PARTITIONS.to_owned()),
            ("GRAPEVINE_CLICKHOUSE__URL", url),
            ("GRAPEVINE_CLICKHOUSE__USER", OWNER.0.to_owned()),
            ("GRAPEVINE_CLICKHOUSE__PASSWORD", OWNER.1.to_owned()),
        ]
    }

    fn service(&self, name: &'static str) -> Result<Service, Trouble> {
        let operations = Port::take()?;
        let mut command = crate::command(&self.home.path().join(name));
        command
            .arg(name)
            .envs(self.environment())
            .env("GRAPEVINE_COLLECTOR__LISTEN", self.collector.to_string())
            .env(
                "GRAPEVINE_OPERATIONS__LISTEN",
                format!("127.0.0.1:{}", operations.number()),
            )
            .env(
                "GRAPEVINE_OPERATIONS__GRACE_SECONDS",
                STOP_GRACE_SECONDS.to_string(),
            );
        let log = self.home.path().join(format!("{name}.log"));
        Ok(Service {
            name,
            process: GuardedProcess::start(&mut command, &log)?,
            operations,
        })
    }

    /// Returns on Ctrl-C or SIGTERM.
    ///
    /// # Errors
    /// A service that ended by itself.
    pub fn wait(&mut self) -> Result<(), Trouble> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(system("cannot wait for signals"))?;
        runtime.block_on(async {
            let on = |kind| signal(kind).map_err(system("cannot wait for signals"));
            let mut interrupted = on(SignalKind::interrupt())?;
            let mut terminated = on(SignalKind::terminate())?;
            loop {
                tokio::select! {
                    _ = interrupted.recv() => return Ok(()),
                    _ = terminated.recv() => return Ok(()),
                    () = tokio::time::sleep(LOOK_EVERY) => {
                        self.services.iter_mut().try_for_each(Service::look)?;
                    }
                }
            }
        })
    }

    /// Stops the services in good order, then ClickHouse and Kafka, and removes their data.
    ///
    /// # Errors
    /// A service that did not end well; the others are gone as well.
    pub fn stop(mut self) -> Result<(), Trouble> {
        self.services.iter_mut().try_for_each(Service::stop)?;
        self.clickhouse
            .stop()
            .map_err(system("ClickHouse did not stop well"))
    }
}

impl fmt::Display for Everything {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "clickhouse  http://{}  (account {}, password {})",
            self.clickhouse.address(),
            READER.0,
            READER.1
        )?;
        writeln!(out, "collect     http://{}/v1/hits", self.collector)?;
        for service in &self.services {
            writeln!(
                out,
                "metrics     {}/metrics  ({}; also /health/ready)",
                service.operations(),
                service.name
            )?;
        }
        writeln!(
            out,
            "logs, data  {}; gone when this ends",
            self.home.path().display()
        )?;
        let environment = self.environment();
        let variables: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("  {name}={value}"))
            .collect();
        writeln!(
            out,
            "for other commands, such as grapevine audit:\n{}",
            variables.join(" \\\n")
        )?;
        writeln!(out, "Everything is up. Ctrl-C stops it.")
    }
}

fn clickhouse(
    engine: Option<&Path>,
    home: &Path,
    listener: TcpListener,
) -> Result<EmbeddedServer, Trouble> {
    let cache = cache_dir().ok_or(Trouble::NoCache)?;
    let library = EngineLibrary::obtain(engine, &cache, |_| ())?;
    let account = |(name, password): (&str, &str), role| Account {
        name: name.to_owned(),
        password: password.to_owned(),
        role,
    };
    let options = ServerOptions {
        accounts: Accounts::new(vec![
            account(OWNER, Role::Owner),
            account(READER, Role::Reader),
        ])
        .expect("two names with passwords"),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: Limits::default(),
    };
    let server = EmbeddedServer::start(library, &home.join("clickhouse"), listener, options)?;
    Ok(server)
}
