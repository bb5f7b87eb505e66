//! Apicurio's schema registry, in memory, with the Confluent-compatible interface.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::answering::wait_until_answers;
use crate::error::TestingError;
use crate::install;
use crate::ports::Port;
use crate::process::{GuardedProcess, ScratchDirectory};

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
        let subjects = ("/apis/ccompat/v7/subjects", "200");
        wait_until_answers("Apicurio's registry", process, self.port.number(), subjects)
    }
}
