//! One broker of a cluster: its files, its process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{TestingError, io};
use crate::install;
use crate::ports::Port;
use crate::process::GuardedProcess;

/// How long a broker may take to leave in peace.
const STOP_GRACE: Duration = Duration::from_secs(20);
/// Lines of its log that an error shows.
pub(crate) const WORDS_LINES: usize = 25;

/// What a cluster begins with, in the storage of a broker that is a controller.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// How long Java may take to say what its threads do.
const DUMP_WITHIN: Duration = Duration::from_secs(3);
/// Lines of that, at most.
const DUMP_LINES: usize = 2_000;

/// Only what goes wrong, on standard error.
const LOGGING: &str = "status = error
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = STDERR
appender.stderr.type = Console
appender.stderr.name = STDERR
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1}: %m%n%throwable{short.message}%n
";

/// A broker, running or not.
#[derive(Debug)]
pub(crate) struct Broker {
    id: usize,
    directory: PathBuf,
    jars: PathBuf,
    /// Options and system properties of its Java.
    java: Vec<String>,
    pub(crate) ports: Ports,
    process: Option<GuardedProcess>,
}

/// Where a broker listens.
#[derive(Debug)]
pub(crate) struct Ports {
    /// For the other controllers.
    pub(crate) controllers: Port,
    /// For the other brokers, and for the tests' own hands: in the clear, whatever clients do.
    pub(crate) brokers: Port,
    /// For clients.
    pub(crate) clients: Port,
}

impl Broker {
    /// Its configuration, and an empty, formatted storage.
    pub(crate) fn prepare(
        id: usize,
        ports: Ports,
        cluster: &Path,
        jars: &Path,
        properties: &[(String, String)],
        java: Vec<String>,
    ) -> Result<Broker, TestingError> {
        let directory = cluster.join(format!("broker-{id}"));
        fs::create_dir_all(&directory).map_err(io("cannot create", &directory))?;
        let broker = Broker {
            id,
            directory,
            jars: jars.to_owned(),
            java,
            ports,
            process: None,
        };
        let mut text = format!(
            "node.id={id}\nlog.dirs={}\nlisteners={listeners}\nadvertised.listeners={advertised}\n",
            broker.data().display(),
            listeners = broker.listeners(&["CONTROLLERS", "BROKERS", "CLIENTS"]),
            advertised = broker.listeners(&["BROKERS", "CLIENTS"]),
        );
        for (key, value) in properties {
            // In a properties file a backslash begins an escape; paths and JAAS have none here.
            text.push_str(&format!("{key}={value}\n"));
        }
        let write =
            |path: PathBuf, text: &str| fs::write(&path, text).map_err(io("cannot write", path));
        write(broker.configuration(), &text)?;
        write(broker.logging(), LOGGING)?;
        Ok(broker)
    }

    fn listeners(&self, names: &[&str]) -> String {
        let listener = |name: &&str| {
            let port = match *name {
                "CONTROLLERS" => &self.ports.controllers,
                "BROKERS" => &self.ports.brokers,
                _ => &self.ports.clients,
            };
            format!("{name}://127.0.0.1:{}", port.number())
        };
        names.iter().map(listener).collect::<Vec<_>>().join(",")
    }

    /// Formats its storage, before the first start: with what Kafka's own tool made of one like it, which
    /// takes a Java of its own and is kept.
    pub(crate) fn format(
        &self,
        cluster_id: &str,
        kind: &str,
        arguments: &[String],
    ) -> Result<(), TestingError> {
        let kept = install::formatted(kind, |work| {
            self.format_by_tool(cluster_id, arguments)?;
            let made = self.data().join(BOOTSTRAP);
            fs::copy(&made, work.join(BOOTSTRAP)).map_err(io("cannot copy", &made))?;
            Ok(())
        })?;
        let data = self.data();
        fs::create_dir_all(&data).map_err(io("cannot create", &data))?;
        let bootstrap = kept.join(BOOTSTRAP);
        fs::copy(&bootstrap, data.join(BOOTSTRAP)).map_err(io("cannot copy", &bootstrap))?;
        // Sixteen bytes, other ones for each broker.
        let directory_id = URL_SAFE_NO_PAD.encode(format!("grapevine-disk{:02}", self.id));
        let path = data.join("meta.properties");
        let text = format!(
            "version=1\ncluster.id={cluster_id}\nnode.id={}\ndirectory.id={directory_id}\n",
            self.id
        );
        fs::write(&path, text).map_err(io("cannot write", path))
    }

    fn format_by_tool(&self, cluster_id: &str, arguments: &[String]) -> Result<(), TestingError> {
        let output = self
            .command("kafka.tools.StorageTool")
            .args(["format", "-t", cluster_id, "-c"])
            .arg(self.configuration())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(io("cannot start", "java"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(TestingError::Start {
            part: self.name(),
            reason: format!("its storage could not be formatted ({})", output.status),
            words: String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        })
    }

    /// Starts its process. It does not answer at once.
    pub(crate) fn start(&mut self) -> Result<(), TestingError> {
        let mut command = self.command("kafka.Kafka");
        command.arg(self.configuration());
        self.process = Some(GuardedProcess::start(&mut command, &self.output())?);
        Ok(())
    }

    fn command(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command
            .arg(format!(
                "-Dlog4j2.configurationFile={}",
                self.logging().display()
            ))
            .args(&self.java)
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg(class)
            .current_dir(&self.directory);
        // Settings for other Java programs on the machine.
        for name in ["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"] {
            command.env_remove(name);
        }
        command
    }

    /// The process, where it is running.
    pub(crate) fn process(&mut self) -> Option<&mut GuardedProcess> {
        self.process.as_mut()
    }

    /// Process id, where it is running.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(GuardedProcess::id)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Leaves in peace: hands over its partitions, writes down that it was clean.
    pub(crate) fn stop(&mut self) {
        self.stop_within(STOP_GRACE);
    }

    /// The same, however long it may take.
    pub(crate) fn stop_within(&mut self, grace: Duration) {
        if let Some(mut process) = self.process.take() {
            process.stop(grace);
        }
    }

    /// Why it cannot go on, where it ended by itself.
    pub(crate) fn complaint(&mut self) -> Option<TestingError> {
        let name = self.name();
        let process = self.process.as_mut()?;
        let status = process.ended()?;
        Some(TestingError::Start {
            part: name,
            reason: format!("it ended with {status}"),
            words: process.last_words(WORDS_LINES),
        })
    }

    /// Its last words, and what its threads stand at: of one that neither ends nor answers.
    pub(crate) fn what_it_does(&mut self) -> String {
        let Some(process) = self.process.as_mut() else {
            return format!("{} is not running", self.name());
        };
        let words = process.last_words(WORDS_LINES);
        // Java writes them to its standard output.
        process.quit();
        std::thread::sleep(DUMP_WITHIN);
        let dump = process.last_words(DUMP_LINES);
        let at = dump.find("Full thread dump").unwrap_or_default();
        format!("{words}\n{}", &dump[at..])
    }

    fn name(&self) -> String {
        format!("Kafka broker {}", self.id)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("server.properties")
    }

    fn logging(&self) -> PathBuf {
        self.directory.join("log4j2.properties")
    }

    fn output(&self) -> PathBuf {
        self.directory.join("output")
    }
}
