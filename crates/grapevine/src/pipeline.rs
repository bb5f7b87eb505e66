//! Every stage in this one process: classify, chain and sink over the local log, and the engine
//! that the sink writes to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clickhouse::Client;
use grapevine_embedded::EngineLibrary;
use grapevine_enrichment::{ChainStage, ClassifyStage, Stage, StopSignal};
use grapevine_event::topic;
use grapevine_log::{Log, PARTITION};
use grapevine_metrics::PartitionLag;
use grapevine_signals::Signals;
use grapevine_sink::SinkError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::data_directory::{DataDirectory, Secrets};
use crate::ending;
use crate::engine::{self, OWNER, RunningEngine};
use crate::exit::{Ends, ExitKind, Failure};
use crate::judging::Judging;
use crate::settings::Settings;

/// How often a waiting command looks whether the stages have caught up.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Records of each of the sink's topics that stay after they are in ClickHouse, so that
/// `grapevine audit --repair` can write the newest ones again.
const REPAIRABLE_RECORDS: u64 = 50_000;
/// How often records that nobody needs any more are let go of.
const TRIM_EVERY: Duration = Duration::from_secs(2);

/// The running stages.
pub struct Pipeline {
    directory: DataDirectory,
    secrets: Secrets,
    log: Arc<Log>,
    signals: Arc<Signals>,
    client: Client,
    engine: RunningEngine,
    classify: (StopSignal, thread::JoinHandle<()>),
    chain: (StopSignal, thread::JoinHandle<()>),
    sink: (watch::Sender<bool>, JoinHandle<()>),
    trim: JoinHandle<()>,
    failures: mpsc::UnboundedReceiver<Failure>,
    /// A failure was told: a stage is gone, and nothing will settle.
    failed: bool,
}

impl Pipeline {
    /// Takes hold of the data directory and starts everything. `listen` is where ClickHouse's
    /// interface shall be; `None` takes any free port of loopback.
    ///
    /// # Errors
    /// The directory is in use, there is no engine, the port is taken, or a migration fails.
    pub async fn start(
        settings: &Settings,
        listen: Option<SocketAddr>,
    ) -> Result<Pipeline, Failure> {
        let directory = hold(settings)?;
        let secrets = directory.secrets().ends(ExitKind::InputOutput)?;
        // The port first: it is the likeliest to be wrong and the quickest to find out.
        let address = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener =
            engine::listen(address, "ClickHouse's interface", "--clickhouse-listen").await?;
        let judging = Judging::load(settings)?;
        let library = engine::load(settings).await?;
        let log = Arc::new(open_log(&directory)?);
        Self::run(
            settings, directory, secrets, listener, judging, library, log,
        )
        .await
    }

    async fn run(
        settings: &Settings,
        directory: DataDirectory,
        secrets: Secrets,
        listener: tokio::net::TcpListener,
        judging: Judging,
        library: EngineLibrary,
        log: Arc<Log>,
    ) -> Result<Pipeline, Failure> {
        let group_size_min = settings.clickhouse.group_size_min()?;
        let engine = RunningEngine::start(
            library,
            &directory.clickhouse(),
            listener,
            &secrets,
            settings,
        )
        .await?;
        let client = engine::client(&engine.address.to_string(), OWNER, &secrets.owner_password);
        sink_ends(grapevine_sink::migrate(&client).await)?;
        if let Some(readers) = group_size_min {
            sink_ends(grapevine_sink::set_group_size_min(&client, readers).await)?;
        }

        let (failed, failures) = mpsc::unbounded_channel();
        let classify = ClassifyStage::new(Arc::clone(&judging.classifier));
        let classify = spawn_stage(classify, &log, &failed)?;
        let chain = spawn_stage(judging.chain_stage(), &log, &failed)?;

        let (stop_sink, stopped) = watch::channel(false);
        let sink = tokio::spawn({
            let (log, client, failed) = (Arc::clone(&log), client.clone(), failed.clone());
            async move {
                let outcome =
                    grapevine_sink::run(log, client, grapevine_sink::Options::default(), stopped)
                        .await;
                report(&failed, sink_ends(outcome));
            }
        });
        let trim = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                loop {
                    tokio::time::sleep(TRIM_EVERY).await;
                    let log = Arc::clone(&log);
                    let trimmed = tokio::task::spawn_blocking(move || trim(&log)).await;
                    match trimmed {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            report(&failed, Err(Failure::of(ExitKind::InputOutput, error)))
                        }
                        Err(_) => return,
                    }
                }
            }
        });
        Ok(Pipeline {
            directory,
            secrets,
            log,
            signals: judging.signals,
            client,
            engine,
            classify,
            chain,
            sink: (stop_sink, sink),
            trim,
            failures,
            failed: false,
        })
    }

    /// The log that producers append to.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// What is known of apps and links.
    pub fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// ClickHouse as its owner.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where ClickHouse's interface listens.
    pub fn clickhouse_address(&self) -> SocketAddr {
        self.engine.address
    }

    /// The data directory.
    pub fn directory(&self) -> &DataDirectory {
        &self.directory
    }

    /// Passwords and keys.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Waits until a stage fails; what it failed of.
    pub async fn failure(&mut self) -> Failure {
        let failure = self.failures.recv().await;
        self.failed = true;
        failure.unwrap_or_else(|| {
            Failure::new(
                ExitKind::Software,
                "every stage ended without being asked to",
            )
        })
    }

    /// Waits until everything that is on the log now is in ClickHouse.
    ///
    /// # Errors
    /// A stage failed.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        let log = Arc::clone(&self.log);
        tokio::select! {
            settled = settled(&log) => settled,
            failure = self.failure() => Err(failure),
        }
    }

    /// Lets every stage finish what is on the log, in the order of the data flow, and closes
    /// everything. After a failure that was told already, closes without waiting for the rest.
    ///
    /// # Errors
    /// A stage or the engine failed.
    pub async fn stop(self) -> Result<(), Failure> {
        self.stop_within(Duration::MAX).await
    }

    /// The same, but what is not finished after `patience` is left to the next start.
    ///
    /// # Errors
    /// A stage or the engine failed.
    pub async fn stop_within(mut self, patience: Duration) -> Result<(), Failure> {
        self.trim.abort();
        let settled = match self.failed {
            true => Some(Ok(())),
            false => tokio::time::timeout(patience, self.settle()).await.ok(),
        };
        if settled.is_none() {
            let records = backlog(&self.log).ends(ExitKind::InputOutput)?;
            tracing::warn!(
                records,
                "stopping with work before the stages: the next start goes on with it"
            );
        }
        for (stop, stage) in [self.classify, self.chain] {
            if settled.is_some() {
                stop.drain();
            } else {
                stop.stop();
            }
            let joined = tokio::task::spawn_blocking(move || stage.join())
                .await
                .ends(ExitKind::Software)?;
            joined.map_err(|_| Failure::new(ExitKind::Software, "a stage panicked"))?;
        }
        // The receiver lives in the sink's task; if that is gone it needs no telling.
        let _ = self.sink.0.send(true);
        self.sink.1.await.ends(ExitKind::Software)?;
        self.log.flush().ends(ExitKind::InputOutput)?;
        self.engine.stop().await?;
        settled.unwrap_or(Ok(()))
    }
}

/// Takes hold of the data directory of the settings.
///
/// # Errors
/// In use, of a newer version, something else, or the disk's own errors.
pub fn hold(settings: &Settings) -> Result<DataDirectory, Failure> {
    use crate::data_directory::DataDirectoryError;
    DataDirectory::hold(&settings.data_dir).map_err(|error| {
        let kind = match &error {
            DataDirectoryError::InUse(_) => ExitKind::InUse,
            DataDirectoryError::Newer { .. } | DataDirectoryError::Foreign(_) => ExitKind::Config,
            DataDirectoryError::Damaged { .. } | DataDirectoryError::Io { .. } => {
                ExitKind::InputOutput
            }
        };
        Failure::of(kind, error)
    })
}

fn open_log(directory: &DataDirectory) -> Result<Log, Failure> {
    Log::open(&directory.log()).map_err(|error| Failure::of(ending::of_log(&error), error))
}

fn spawn_stage<S: Stage + Send + 'static>(
    stage: S,
    log: &Arc<Log>,
    failed: &mpsc::UnboundedSender<Failure>,
) -> Result<(StopSignal, thread::JoinHandle<()>), Failure> {
    let stop = StopSignal::new();
    let (log, failed, told) = (Arc::clone(log), failed.clone(), stop.clone());
    let handle = thread::Builder::new()
        .name(S::NAME.to_owned())
        .spawn(move || {
            let outcome = grapevine_enrichment::run(stage, &log, &told);
            let kind = outcome.as_ref().err().map(ending::of_stage);
            report(&failed, outcome.ends(kind.unwrap_or(ExitKind::Software)));
        })
        .ends(ExitKind::Software)?;
    Ok((stop, handle))
}

/// How the command ends on what stopped the sink.
pub(crate) fn sink_ends<T>(outcome: Result<T, SinkError>) -> Result<T, Failure> {
    use grapevine_log::LogError;
    let kind = match &outcome {
        Err(
            SinkError::ClickHouse(_) | SinkError::Log(LogError::Away(_) | LogError::Registry(_)),
        ) => ExitKind::Unavailable,
        Err(SinkError::Log(LogError::Ousted { .. })) => ExitKind::InUse,
        Err(SinkError::Log(
            LogError::Trimmed { .. }
            | LogError::Beyond { .. }
            | LogError::TransactionTimeout { .. },
        )) => ExitKind::Config,
        Err(SinkError::Log(_)) => ExitKind::InputOutput,
        Err(SinkError::Task(_) | SinkError::Codec(_)) => ExitKind::Software,
        // Tables, settings or rows that are not as they were left: somebody has to mend them.
        _ => ExitKind::Config,
    };
    outcome.ends(kind)
}

fn report(failed: &mpsc::UnboundedSender<Failure>, outcome: Result<(), Failure>) {
    if let Err(failure) = outcome {
        // Nobody listens any more only where the process is ending anyhow.
        let _ = failed.send(failure);
    }
}

/// The furthest that any consumer is behind the end of its input, records; tells every one's lag.
///
/// # Errors
/// Those of the log.
pub fn backlog(log: &Log) -> Result<u64, grapevine_log::LogError> {
    let inputs = [
        (ClassifyStage::NAME, topic::HITS_RAW),
        (ChainStage::NAME, topic::HITS_CLASSIFIED),
    ];
    let sink = grapevine_sink::topics().map(|topic| (grapevine_sink::CONSUMER, topic));
    let mut furthest = 0;
    for (consumer, input) in inputs.into_iter().chain(sink) {
        let records = grapevine_enrichment::lag(log, consumer, input)?;
        PartitionLag {
            consumer,
            topic: input,
            partition: PARTITION,
            records,
        }
        .emit();
        furthest = furthest.max(records);
    }
    Ok(furthest)
}

/// Waits until each consumer has passed what was before it when the one before it had.
///
/// # Errors
/// Those of the log.
pub async fn settled(log: &Log) -> Result<(), Failure> {
    wait_for(log, ClassifyStage::NAME, topic::HITS_RAW).await?;
    wait_for(log, ChainStage::NAME, topic::HITS_CLASSIFIED).await?;
    for topic in grapevine_sink::topics() {
        wait_for(log, grapevine_sink::CONSUMER, topic).await?;
    }
    Ok(())
}

async fn wait_for(log: &Log, consumer: &str, input: &str) -> Result<(), Failure> {
    let end = log.end(input).ends(ExitKind::InputOutput)?;
    while log
        .position(consumer, input)
        .ends(ExitKind::InputOutput)?
        .offset
        < end
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Lets go of records that no consumer will read again.
fn trim(log: &Log) -> Result<(), grapevine_log::LogError> {
    use grapevine_enrichment::snapshot_offset;
    log.trim(topic::HITS_RAW, snapshot_offset(log, ClassifyStage::NAME)?)?;
    log.trim(
        topic::HITS_CLASSIFIED,
        snapshot_offset(log, ChainStage::NAME)?,
    )?;
    for topic in grapevine_sink::topics() {
        let offset = log.position(grapevine_sink::CONSUMER, topic)?.offset;
        log.trim(topic, offset.saturating_sub(REPAIRABLE_RECORDS))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grapevine_enrichment::Outputs;
    use grapevine_inference::StateError;
    use grapevine_log::{Commit, Durability};

    use super::*;

    /// A stage whose state was saved by a version to come.
    struct FromTheFuture;

    impl Stage for FromTheFuture {
        const NAME: &'static str = ClassifyStage::NAME;
        const INPUT: &'static str = ClassifyStage::INPUT;

        fn process(&mut self, _: u64, _: &[u8], _: &mut Outputs) {}

        fn snapshot(&self) -> Result<Vec<u8>, StateError> {
            Ok(9u32.to_le_bytes().to_vec())
        }

        fn restore(&mut self, _: &[u8]) -> Result<(), StateError> {
            Err(StateError::Newer { found: 9, known: 3 })
        }

        fn entries(&self) -> usize {
            0
        }

        fn counts(&self) -> Vec<(&'static str, u64)> {
            Vec::new()
        }
    }

    #[test]
    fn a_state_that_cannot_be_used_is_no_matter_of_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Arc::new(Log::open(&folder.path().join("log.redb")).expect("opens"));
        let mut commit = Commit::default();
        commit.append(topic::HITS_RAW, b"a record");
        log.commit(&commit, Durability::Replayable)
            .expect("commits");
        let stop = StopSignal::new();
        stop.drain();
        grapevine_enrichment::run(FromTheFuture, &log, &stop).expect("runs, and saves its state");

        let (failed, mut failures) = mpsc::unbounded_channel();
        let (_stop, stage) = spawn_stage(FromTheFuture, &log, &failed).expect("starts");
        let failure = failures.blocking_recv().expect("a failure");
        assert_eq!(failure.code(), 78, "{failure}");
        assert!(
            failure.to_string().contains("use a newer grapevine"),
            "{failure}"
        );
        stage.join().expect("ends");
    }
}
