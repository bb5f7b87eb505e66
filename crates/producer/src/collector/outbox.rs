//! The way to Kafka: straight there while it answers, through the spool while it does not.
//!
//! One thread hands records in ([`Outbox::append`]), one of the outbox's own drains the spool.
//! Records go straight to Kafka only while the spool is empty and were taken out of it only when
//! Kafka had them, so those of one key keep their order. What Kafka may have taken without saying
//! so goes through the spool again, with the ids it has: it counts once all the same.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use grapevine_log::kafka::Producer;
use grapevine_log::{Commit, LogError};
use grapevine_metrics::{SpoolDrained, SpoolFilled, SpoolState};

use super::appender::AppendError;
use super::records::{Records, append_encoded};
use crate::spool::{Spool, SpoolError};

/// How long Kafka may take before the spool takes over. Senders wait that long, once.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long Kafka may take to take something out of the spool.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes taken out of the spool at once.
const DRAIN_BYTES: usize = 4 * 1024 * 1024;
/// Between two tries while Kafka is away: this, then twice as long each, up to the second.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long a stop lets the spool drain. The rest drains after the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for Kafka to take what is under way to it.
const STOP_ANSWER_MAX: Duration = Duration::from_secs(2);

/// Makes a producer once Kafka answers and its topics are there; an error says what is not.
pub type Connect = Box<dyn FnMut() -> Result<Producer, String> + Send>;

/// What the spool holds, and what Kafka says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxState {
    /// Bytes in the spool.
    pub spooled_bytes: u64,
    /// Why they are there, by the last try.
    pub trouble: Option<String>,
}

/// Takes records to Kafka, or keeps them on disk until they can go.
#[derive(Debug)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
    commit: Commit,
    entry: Vec<u8>,
    drain: Option<JoinHandle<()>>,
}

/// What others may ask while the outbox is at work.
#[derive(Clone, Debug)]
pub(super) struct OutboxWatch(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    spool: Spool,
    /// None while there is no connection, or while the client is past saving.
    producer: Option<Arc<Producer>>,
    trouble: Option<String>,
    /// Since when it is to end.
    stopped: Option<Instant>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Starts the thread that connects and drains. What is in the spool goes first.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(spool: Spool, connect: Connect) -> std::io::Result<Outbox> {
        SpoolState {
            bytes: spool.bytes(),
        }
        .emit();
        let inner = Inner {
            spool,
            producer: None,
            trouble: Some("not connected to kafka yet".to_owned()),
            stopped: None,
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        });
        let drained = Arc::clone(&shared);
        let drain = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || Drain { shared: drained }.run(connect))?;
        Ok(Outbox {
            shared,
            commit: Commit::default(),
            entry: Vec::new(),
            drain: Some(drain),
        })
    }

    pub(super) fn watch(&self) -> OutboxWatch {
        OutboxWatch(Arc::clone(&self.shared))
    }

    /// Returns once the records are in Kafka or in the spool.
    ///
    /// # Errors
    /// The spool is full, or its disk fails.
    pub(super) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a Records> + Clone,
    ) -> Result<(), AppendError> {
        let straight = self.shared.lock().straight();
        if let Some(producer) = straight {
            self.commit.clear();
            for records in records.clone() {
                records.append_to(&mut self.commit);
            }
            let produced = {
                let _within = tracing::info_span!("produce").entered();
                producer.append(&self.commit, PATIENCE)
            };
            match produced {
                Ok(()) => return Ok(()),
                // No try will be better, and the records behind must not wait for it.
                Err(error @ LogError::TooLarge(_)) => {
                    return Err(AppendError::Log(error.to_string()));
                }
                Err(error) => self.shared.lock().tell(&error.to_string()),
            }
        }
        self.entry.clear();
        for records in records {
            records.encode(&mut self.entry);
        }
        let appended = {
            let _within = tracing::info_span!("spool", bytes = self.entry.len()).entered();
            let mut inner = self.shared.lock();
            let appended = inner.spool.append(&self.entry);
            SpoolState {
                bytes: inner.spool.bytes(),
            }
            .emit();
            appended
        };
        self.shared.changed.notify_all();
        if appended.is_ok() {
            SpoolFilled {
                bytes: self.entry.len() as u64,
            }
            .emit();
        }
        appended.map_err(|error| match error {
            SpoolError::Full { .. } => AppendError::SpoolFull,
            SpoolError::DiskFull(_) => AppendError::DiskFull(error.to_string()),
            error => AppendError::Log(error.to_string()),
        })
    }
}

impl Drop for Outbox {
    /// Lets the spool drain for a while; what is left waits for the next start.
    fn drop(&mut self) {
        self.shared.lock().stopped = Some(Instant::now());
        self.shared.changed.notify_all();
        if let Some(drain) = self.drain.take()
            && drain.join().is_err()
        {
            tracing::error!("the spool's thread panicked: the spool drains after the next start");
        }
        let bytes = self.shared.lock().spool.bytes();
        if bytes > 0 {
            tracing::warn!(bytes, "hits wait in the spool for the next start");
        }
    }
}

impl OutboxWatch {
    pub(super) fn state(&self) -> OutboxState {
        let inner = self.0.lock();
        OutboxState {
            spooled_bytes: inner.spool.bytes(),
            trouble: inner.trouble.clone(),
        }
    }

    /// Why nothing more can be taken, where that is so: the spool is as good as full.
    pub(super) fn no_room(&self) -> Option<AppendError> {
        let inner = self.0.lock();
        let full = inner.spool.bytes_max() / 16 * 15;
        (inner.spool.bytes() > full).then_some(AppendError::SpoolFull)
    }
}

impl Inner {
    /// The producer, where records may go straight to it.
    fn straight(&self) -> Option<Arc<Producer>> {
        let producer = self.producer.as_ref()?;
        self.spool.is_empty().then(|| Arc::clone(producer))
    }

    /// Says it once, until it changes.
    fn tell(&mut self, trouble: &str) {
        if self.trouble.as_deref() != Some(trouble) {
            tracing::warn!(
                trouble,
                spooled_bytes = self.spool.bytes(),
                "hits go to the spool"
            );
            self.trouble = Some(trouble.to_owned());
        }
    }
}

struct Drain {
    shared: Arc<Shared>,
}

/// Why a step got nowhere.
enum Hitch {
    /// The same step may work later.
    Later(String),
    /// It needs another client.
    Client(String),
}

impl Drain {
    fn run(self, mut connect: Connect) {
        let mut commit = Commit::default();
        let mut retry = RETRY;
        while self.wait_for_work() {
            match self.step(&mut connect, &mut commit) {
                Ok(()) => retry = RETRY,
                Err(hitch) => {
                    let (Hitch::Later(trouble) | Hitch::Client(trouble)) = &hitch;
                    let mut inner = self.shared.lock();
                    inner.tell(trouble);
                    if matches!(hitch, Hitch::Client(_)) {
                        inner.producer = None;
                    }
                    // Kafka is away: what is left waits for the next start.
                    if inner.stopped.is_some() {
                        return;
                    }
                    drop(inner);
                    self.pause(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
            if self.is_stopped_for(STOP_PATIENCE) {
                return;
            }
        }
    }

    fn is_stopped_for(&self, time: Duration) -> bool {
        let stopped = self.shared.lock().stopped;
        stopped.is_some_and(|since| since.elapsed() > time)
    }

    fn producer(&self, connect: &mut Connect) -> Result<Arc<Producer>, Hitch> {
        if let Some(producer) = &self.shared.lock().producer {
            return Ok(Arc::clone(producer));
        }
        let producer = Arc::new(connect().map_err(Hitch::Later)?);
        let mut inner = self.shared.lock();
        tracing::info!(spooled_bytes = inner.spool.bytes(), "connected to kafka");
        if inner.spool.is_empty() {
            inner.trouble = None;
        }
        inner.producer = Some(Arc::clone(&producer));
        Ok(producer)
    }

    /// Waits until something is in the spool or there is no connection; false once it is empty and
    /// there is a stop.
    fn wait_for_work(&self) -> bool {
        let mut inner = self.shared.lock();
        while inner.spool.is_empty() && inner.producer.is_some() && inner.stopped.is_none() {
            inner = self
                .shared
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !(inner.stopped.is_some() && inner.spool.is_empty())
    }

    /// Connects where need be, and takes one piece of the spool to Kafka.
    fn step(&self, connect: &mut Connect, commit: &mut Commit) -> Result<(), Hitch> {
        let producer = self.producer(connect)?;
        let words = |error: SpoolError| Hitch::Later(error.to_string());
        let next = self.shared.lock().spool.next(DRAIN_BYTES).map_err(words)?;
        let Some(entries) = next else {
            return Ok(());
        };
        let bytes: u64 = entries.iter().map(|entry| entry.len() as u64).sum();
        let _within = tracing::info_span!("drain", bytes).entered();
        commit.clear();
        for entry in entries.iter() {
            append_encoded(entry, commit).map_err(|error| Hitch::Later(error.to_string()))?;
        }
        producer
            .append_while(commit, DRAIN_PATIENCE, || {
                !self.is_stopped_for(STOP_ANSWER_MAX)
            })
            .map_err(|error| match error {
                LogError::Away(_) | LogError::Registry(_) => Hitch::Later(error.to_string()),
                error => Hitch::Client(error.to_string()),
            })?;
        let mut inner = self.shared.lock();
        inner.spool.release(&entries).map_err(words)?;
        SpoolDrained { bytes }.emit();
        SpoolState {
            bytes: inner.spool.bytes(),
        }
        .emit();
        if inner.spool.is_empty() && inner.trouble.take().is_some() {
            tracing::info!("the spool is empty: hits go straight to kafka again");
        }
        Ok(())
    }

    /// Sleeps, until there is a stop.
    fn pause(&self, time: Duration) {
        let inner = self.shared.lock();
        let (inner, _) = self
            .shared
            .changed
            .wait_timeout_while(inner, time, |inner| inner.stopped.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        drop(inner);
    }
}
