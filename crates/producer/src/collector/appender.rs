//! The one thread that writes: many requests, one durable commit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use grapevine_event::{Heartbeat, topic};
use grapevine_log::{Commit, Durability, Log, LogError};
use thiserror::Error;
use tokio::sync::oneshot;

use super::Clock;
use super::outbox::{Outbox, OutboxState, OutboxWatch};
use super::records::{Records, Route};

/// Most requests that wait to be written.
const REQUESTS_MAX: usize = 4096;
/// Most bytes that wait to be written.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A commit takes no more requests past this many bytes.
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Between heartbeats while hits come.
const BEAT: Duration = Duration::from_secs(1);
/// The longest time between heartbeats when no hits come.
const BEAT_MAX: Duration = Duration::from_secs(3600);

/// Why records are not on the log.
#[derive(Clone, Debug, Error)]
pub(super) enum AppendError {
    #[error("too many hits are waiting to be written: send again in a second")]
    Full,
    #[error("the stages behind are catching up: send again in a second")]
    Paused,
    #[error("other requests take all the memory for bodies and records: send again in a second")]
    NoRoom,
    #[error("kafka is away and the spool is full: send again in a second")]
    SpoolFull,
    #[error("the collector is shutting down: send again when it is back")]
    Closed,
    #[error("no hits are taken: {0}")]
    DiskFull(String),
    #[error("no hits are taken: {0}")]
    Log(String),
}

struct Job {
    records: Records,
    done: oneshot::Sender<Result<(), AppendError>>,
}

/// Where records go.
#[derive(Debug)]
pub(super) enum Home {
    /// A local log.
    Local { log: Arc<Log>, commit: Commit },
    /// Kafka, with a spool before it.
    Kafka(Outbox),
}

impl Home {
    pub(super) fn local(log: Arc<Log>) -> Home {
        Home::Local {
            log,
            commit: Commit::default(),
        }
    }

    /// Returns once the records are where they cannot be lost, or, where they need not be
    /// durable, are on their way.
    fn write<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Records> + Clone,
        durability: Durability,
    ) -> Result<(), AppendError> {
        match self {
            Home::Local { log, commit } => {
                commit.clear();
                for records in records {
                    records.append_to(commit);
                }
                let committed = log.commit(commit, durability);
                committed.map(|_| ()).map_err(append_error)
            }
            Home::Kafka(outbox) => outbox.append(records),
        }
    }

    fn watch(&self) -> Option<OutboxWatch> {
        match self {
            Home::Local { .. } => None,
            Home::Kafka(outbox) => Some(outbox.watch()),
        }
    }
}

/// Hands records to the writing thread.
#[derive(Debug)]
pub(super) struct Appender {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    outbox: Option<OutboxWatch>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting_bytes: AtomicUsize,
    /// What the last commit failed of.
    trouble: Mutex<Option<AppendError>>,
}

/// The writing thread.
#[derive(Debug)]
pub struct AppenderThread(JoinHandle<()>);

impl AppenderThread {
    /// Waits until everything taken is written. Returns once every clone of the collector and
    /// its router is dropped.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!(
                "the collector's writing thread panicked: hits after that were refused"
            );
        }
    }
}

impl Appender {
    /// `beats`: the clock of heartbeats, where it writes any.
    pub(super) fn start(
        home: Home,
        beats: Option<Clock>,
    ) -> std::io::Result<(Appender, AppenderThread)> {
        let (jobs, receiver) = sync_channel(REQUESTS_MAX);
        let shared = Arc::new(Shared::default());
        let outbox = home.watch();
        let writer = Writer {
            home,
            jobs: receiver,
            shared: shared.clone(),
            batch: Vec::new(),
            pulse: beats.map(Pulse::new),
        };
        let thread = std::thread::Builder::new()
            .name("collector".to_owned())
            .spawn(move || writer.run())?;
        let appender = Appender {
            jobs,
            shared,
            outbox,
        };
        Ok((appender, AppenderThread(thread)))
    }

    /// Returns once the records are durable.
    pub(super) async fn append(&self, records: Records) -> Result<(), AppendError> {
        if records.is_empty() {
            return Ok(());
        }
        let bytes = records.bytes();
        let waiting = self
            .shared
            .waiting_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        // One request of any size may always wait alone.
        if waiting > 0 && waiting + bytes > WAITING_BYTES_MAX {
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            return Err(AppendError::Full);
        }
        let (done, answer) = oneshot::channel();
        if let Err(error) = self.jobs.try_send(Job { records, done }) {
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            return Err(match error {
                TrySendError::Full(_) => AppendError::Full,
                TrySendError::Disconnected(_) => AppendError::Closed,
            });
        }
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// What the spool holds, where there is one.
    pub(super) fn outbox(&self) -> Option<OutboxState> {
        self.outbox.as_ref().map(OutboxWatch::state)
    }

    /// Why nothing can be taken now, as far as that is known: what the last commit failed of, or
    /// a spool without room.
    pub(super) fn trouble(&self) -> Option<String> {
        if let Some(full) = self.outbox.as_ref().and_then(OutboxWatch::no_room) {
            return Some(full.to_string());
        }
        let trouble = self
            .shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(AppendError::to_string)
    }
}

struct Writer {
    home: Home,
    jobs: Receiver<Job>,
    shared: Arc<Shared>,
    batch: Vec<Job>,
    pulse: Option<Pulse>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let patience = self.pulse.as_ref().map_or(BEAT_MAX, Pulse::patience);
            match self.jobs.recv_timeout(patience) {
                Ok(job) => self.write(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(pulse) = self.pulse.as_mut().filter(|pulse| pulse.is_due()) {
                beat(pulse, &mut self.home);
            }
        }
    }

    /// Commits a request with all that wait behind it.
    fn write(&mut self, first: Job) {
        let mut bytes = first.records.bytes();
        self.batch.push(first);
        while bytes < COMMIT_BYTES_MAX
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += job.records.bytes();
            self.batch.push(job);
        }
        let span = tracing::info_span!("append", requests = self.batch.len(), bytes);
        let _within = span.enter();
        let records = self.batch.iter().map(|job| &job.records);
        let outcome = self.home.write(records, Durability::Durable);
        if let Err(error) = &outcome {
            tracing::error!(%error, requests = self.batch.len(), "hits could not be written");
        } else if self.batch.iter().any(|job| job.records.has_hits()) {
            self.pulse.iter_mut().for_each(Pulse::hits_came);
        }
        let trouble = outcome.as_ref().err().cloned();
        *self
            .shared
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = trouble;
        for job in self.batch.drain(..) {
            let bytes = job.records.bytes();
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            // A client that went away gets no answer.
            let _ = job.done.send(outcome.clone());
        }
    }
}

/// Writes that time has passed.
fn beat(pulse: &mut Pulse, home: &mut Home) {
    let heartbeat = Heartbeat {
        event_time: pulse.now_ms(),
        source: "collector",
    };
    let mut records = Records::default();
    let write = |out: &mut Vec<u8>| heartbeat.encode(out);
    // Time passes in every partition, also where no hits come.
    let added = records.add(topic::HITS_RAW, Route::Every, write);
    if let Err(error) = added {
        tracing::error!(%error, "heartbeat cannot be encoded");
    }
    let records = std::iter::once(&records);
    // Lost by a crash it is only time that passes later.
    if let Err(error) = home.write(records, Durability::Replayable) {
        tracing::error!(%error, "heartbeat could not be written");
    }
    pulse.beaten();
}

fn append_error(error: LogError) -> AppendError {
    match error {
        LogError::DiskFull(_) => AppendError::DiskFull(error.to_string()),
        error => AppendError::Log(error.to_string()),
    }
}

/// When the next heartbeat is due: a second after hits came; while none come, after twice the
/// time each, up to an hour, so that time passes on a quiet site without filling its log.
struct Pulse {
    clock: Clock,
    last_ms: i64,
    due: Option<Instant>,
    gap: Duration,
}

impl Pulse {
    fn new(clock: Clock) -> Pulse {
        Pulse {
            clock,
            last_ms: i64::MIN,
            due: None,
            gap: BEAT,
        }
    }

    fn patience(&self) -> Duration {
        let until = |due: Instant| due.saturating_duration_since(Instant::now());
        self.due.map_or(BEAT_MAX, until)
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    fn hits_came(&mut self) {
        let soon = Instant::now() + BEAT;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        self.gap = BEAT;
    }

    fn beaten(&mut self) {
        self.due = Some(Instant::now() + self.gap);
        self.gap = (self.gap * 2).min(BEAT_MAX);
    }

    /// The time; never before that of the last heartbeat, though the clock may go back.
    fn now_ms(&mut self) -> i64 {
        self.last_ms = self.last_ms.max((self.clock)());
        self.last_ms
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{StatusCode, header};

    use super::super::answer::put_off;
    use super::*;

    fn one_record() -> Records {
        let mut records = Records::default();
        let write = |out: &mut Vec<u8>| -> Result<(), ()> {
            out.extend_from_slice(b"record");
            Ok(())
        };
        records.add(topic::HITS_RAW, Route::Any, write).unwrap();
        records
    }

    #[tokio::test]
    async fn what_finds_no_room_is_put_off_and_nothing_stays_counted() {
        let (jobs, receiver) = sync_channel(1);
        let appender = Arc::new(Appender {
            jobs,
            shared: Arc::new(Shared::default()),
            outbox: None,
        });
        let waiting = || appender.shared.waiting_bytes.load(Ordering::Relaxed);

        appender
            .shared
            .waiting_bytes
            .store(WAITING_BYTES_MAX, Ordering::Relaxed);
        let full = appender.append(one_record()).await;
        assert!(matches!(full, Err(AppendError::Full)));
        assert_eq!(waiting(), WAITING_BYTES_MAX);
        appender.shared.waiting_bytes.store(0, Ordering::Relaxed);

        let first = tokio::spawn({
            let appender = appender.clone();
            async move { appender.append(one_record()).await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(
            appender.append(one_record()).await,
            Err(AppendError::Full)
        ));
        assert_eq!(waiting(), 6, "the first still waits");
        drop(receiver);
        assert!(matches!(first.await.unwrap(), Err(AppendError::Closed)));
        assert!(matches!(
            appender.append(one_record()).await,
            Err(AppendError::Closed)
        ));
    }

    #[test]
    fn a_full_disk_is_told_apart_from_a_full_queue() {
        let disk = append_error(LogError::DiskFull("log.redb".into()));
        for (error, status, retry) in [
            (disk, StatusCode::INSUFFICIENT_STORAGE, "60"),
            (AppendError::Full, StatusCode::SERVICE_UNAVAILABLE, "1"),
        ] {
            let response = put_off(&error);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::RETRY_AFTER], retry);
        }
    }

    #[test]
    fn heartbeats_thin_out_while_no_hits_come() {
        let mut pulse = Pulse::new(Arc::new(|| 0));
        assert!(!pulse.is_due());
        pulse.hits_came();
        let gaps: Vec<u64> = std::iter::repeat_with(|| {
            let gap = pulse.gap.as_secs();
            pulse.beaten();
            gap
        })
        .take(14)
        .collect();
        assert_eq!(
            gaps,
            [
                1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600
            ]
        );
        pulse.hits_came();
        assert!(pulse.patience() <= BEAT);
    }
}
