//! Apicurio's schema registry, in memory, with the Confluent-compatible interface.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{TestingError, io};
use crate::install;
use crate::ports::Port;
use crate::process::{GuardedProcess, ScratchDirectory};

const READY_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A running registry; it ends when dropped. What it holds is in its memory alone: it comes back
/// empty.
#[derive(Debug)]
pub struct Registry {
    port: Port,
    jar: PathBuf,
    process: Option<GuardedProcess>,
    directory: ScratchDirectory,
}

impl Registry {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// What is missing on the machine, or its own words.
    pub fn start() -> Result<Registry, TestingError> {
        let mut registry = Registry {
            port: Port::take()?,
            jar: install::registry()?,
            process: None,
            directory: ScratchDirectory::new()?,
        };
        registry.start_again()?;
        Ok(registry)
    }

    /// Where the Confluent-compatible interface is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port.number())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Lets it leave in peace.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop(STOP_GRACE);
        }
    }

    /// Starts it again on its port, empty, and waits until it answers.
    ///
    /// # Errors
    /// Its own words.
    pub fn start_again(&mut self) -> Result<(), TestingError> {
        self.kill();
        let mut command = Command::new("java");
        command
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"])
            .arg("-jar")
            .arg(&self.jar)
            .env("QUARKUS_HTTP_HOST", "127.0.0.1")
            .env("QUARKUS_HTTP_PORT", self.port.number().to_string())
            .env("QUARKUS_LOG_LEVEL", "WARN")
            .current_dir(self.directory.path());
        let output = self.directory.path().join("output");
        let process = self
            .process
            .insert(GuardedProcess::start(&mut command, &output)?);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let seen = answers(self.port.number());
            if matches!(seen, Ok(true)) {
                return Ok(());
            }
            let ended = process.ended();
            if ended.is_some() || Instant::now() > deadline {
                return Err(TestingError::Start {
                    part: "Apicurio's registry".to_owned(),
                    reason: ended.map_or_else(
                        || format!("no answer: {seen:?}"),
                        |status| format!("it ended with {status}"),
                    ),
                    words: process.last_words(25),
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Whether the list of subjects is answered with 200.
fn answers(port: u16) -> Result<bool, TestingError> {
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).map_err(io("cannot reach", "the registry"))?;
    let timeout = Some(Duration::from_secs(5));
    stream
        .set_read_timeout(timeout)
        .map_err(io("cannot reach", "the registry"))?;
    write!(
        stream,
        "GET /apis/ccompat/v7/subjects HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    .map_err(io("cannot reach", "the registry"))?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(io("cannot reach", "the registry"))?;
    Ok(line.starts_with("HTTP/1.1 200"))
}
