//! Access logs into hits: each content once, however often and in whatever wrapping it is given.
//!
//! What has been imported is known by content, not by file name: the log keeps, in the same
//! transaction as the hits, a chain of checkpoints, each the hash of everything up to it.
//! So the same content again changes nothing, a file that grew goes on where it ended, and a
//! rotated, renamed or recompressed copy is recognised, also one that ends earlier. Not
//! recognised are contents that start differently: excerpts that overlap, logs merged or sorted
//! anew.
//!
//! A last line without a line end is imported if it reads as whole (a combined line up to the
//! quote that ends its user agent); otherwise it is held back, said so, and read when the file
//! has grown. What a server still adds to an imported last line belongs to it and is passed over.
//!
//! Every line is accounted for in the [`ImportSummary`]: a hit, left out for a named reason, a
//! dead letter, blank, known already, or held back. Memory is bounded by a few batches of 4 MiB.

mod convert;
mod ledger;
mod lines;
mod source;
mod summary;
mod worker;

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use grapevine_event::CodecError;
use grapevine_log::{Durability, Log, LogError};
use grapevine_signals::Signals;
use thiserror::Error;

use crate::proxies::TrustedProxies;
use crate::pseudonym::Pseudonyms;
use crate::site::Site;

pub use source::Source;
pub use summary::{ImportSummary, LetterNote, Skip};

use worker::{Message, Worker};

/// Longest line that is read, bytes; a longer one is a dead letter with its beginning.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How often the caller's hook is asked at least.
const TICK: Duration = Duration::from_millis(200);

/// How much is committed at once. Part of the ledger's format: see [`ledger`].
#[derive(Clone, Copy, Debug)]
struct Limits {
    batch_lines_max: usize,
    batch_bytes_max: u64,
}

const LIMITS: Limits = Limits {
    batch_lines_max: 16_384,
    batch_bytes_max: 4 * 1024 * 1024,
};

/// Why an import ended early. Whatever was committed before stays; importing again goes on there.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// File name.
        name: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A directory where a file should be.
    #[error("{0} is a directory: name the log files in it, such as {0}/access.log*")]
    Directory(String),
    /// Nothing to import.
    #[error("{0} is empty: there is nothing to import")]
    Empty(String),
    /// Packed in a way that is not read here.
    #[error(
        "{name} is packed with {format}, which is not read here: {command} {name} | grapevine import --site SITE -"
    )]
    Packed {
        /// File name.
        name: String,
        /// How it is packed.
        format: &'static str,
        /// The command that unpacks to standard output.
        command: &'static str,
    },
    /// Compressed data that ends early or is damaged.
    #[error(
        "{name} is damaged or cut off: {reason}; the {} whole lines before are imported: get a whole copy and import it, it goes on there",
        summary.lines
    )]
    Damaged {
        /// File name.
        name: String,
        /// What the decompressor says.
        reason: String,
        /// What was done until then.
        summary: Box<ImportSummary>,
    },
    /// Reading failed.
    #[error("cannot read {name} past line {}: {source}; import it again to go on there", summary.lines)]
    Read {
        /// File name.
        name: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
        /// What was done until then.
        summary: Box<ImportSummary>,
    },
    /// The log failed.
    #[error("import of {name} stopped after line {}: {source}", summary.lines)]
    Log {
        /// File name.
        name: String,
        /// What the log says.
        #[source]
        source: LogError,
        /// What was done until then.
        summary: Box<ImportSummary>,
    },
    /// Another import of the same site is under way.
    #[error(
        "another import into site {site} is running: wait until it is done, then import {name} again"
    )]
    Busy {
        /// File name.
        name: String,
        /// The site.
        site: Site,
    },
    /// The ledger cannot be read.
    #[error(
        "import ledger of site {site} is damaged at {key}: restore the data directory from a backup, or start a new one"
    )]
    Ledger {
        /// The site.
        site: Site,
        /// Which entry.
        key: String,
    },
    /// A record does not fit its schema.
    #[error("line {line} of {name} gives a record that does not fit its schema: {source}")]
    Record {
        /// File name.
        name: String,
        /// Line number from 1.
        line: u64,
        /// What the encoder says.
        #[source]
        source: CodecError,
    },
    /// The system gives no thread.
    #[error("cannot start a thread to read {name}: {source}")]
    Thread {
        /// File name.
        name: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The reading thread ended without a word.
    #[error(
        "reading {0} broke off by a fault of grapevine: please report it; importing again goes on there"
    )]
    Broken(String),
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of the source as it lies there, compressed or not.
    pub bytes_read: u64,
    /// Size of the source, where it is known.
    pub bytes_total: Option<u64>,
    /// Lines read, known ones included.
    pub lines: u64,
    /// Hits committed.
    pub hits: u64,
}

/// What the caller's hook wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    GoOn,
    /// Stop after what is committed: [`ImportSummary::stopped`].
    Stop,
}

/// What an import goes by.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Site that the log belongs to; also the host of its pages where lines name none.
    pub site: Site,
    /// Whose `X-Forwarded-For` counts, where the log has one.
    pub trusted_proxies: TrustedProxies,
    /// Lines after this time (milliseconds since 1970) are dead letters: one of a broken clock
    /// would move the time of everything that waits. Usually a day from now.
    pub latest_ms: i64,
}

/// Imports access logs into one log.
#[derive(Clone, Debug)]
pub struct Importer {
    log: Arc<Log>,
    signals: Arc<Signals>,
    pseudonyms: Pseudonyms,
    limits: Limits,
}

impl Importer {
    /// An importer that puts hits on `log`.
    pub fn new(log: Arc<Log>, signals: Arc<Signals>, pseudonyms: Pseudonyms) -> Importer {
        Importer {
            log,
            signals,
            pseudonyms,
            limits: LIMITS,
        }
    }

    /// Imports one source. Reading, parsing and encoding run in a thread of their own, commits in
    /// this one; the records and their order are a function of content and ledger alone.
    ///
    /// `hook` is called after every commit, and at least five times a second: it shows progress,
    /// blocks while the stages behind have to catch up, and stops the import. A source that
    /// blocks keeps its thread until it answers, also after a stop.
    ///
    /// # Errors
    /// See [`ImportError`]; what was committed before stays and is not imported again.
    pub fn import(
        &self,
        source: Source,
        options: &ImportOptions,
        hook: &mut dyn FnMut(&Progress) -> Next,
    ) -> Result<ImportSummary, ImportError> {
        let name = source.name().to_owned();
        let meter = source.meter();
        let mut summary = ImportSummary::new(&name, &options.site);
        // One batch under way while one is made and one is committed.
        let (sender, messages) = sync_channel(1);
        let (recycler, recycled) = sync_channel(4);
        let worker = Worker::new(self, source, options.clone(), sender, recycled);
        std::thread::Builder::new()
            .name("import".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| ImportError::Thread {
                name: name.clone(),
                source,
            })?;
        loop {
            let next = match messages.recv_timeout(TICK) {
                Ok(Message::Batch(prepared)) => {
                    if let Err(source) = self.log.commit(&prepared.commit, Durability::Durable) {
                        if let LogError::Fenced { .. } = source {
                            let site = options.site.clone();
                            return Err(ImportError::Busy { name, site });
                        }
                        let summary = Box::new(summary);
                        return Err(ImportError::Log {
                            name,
                            source,
                            summary,
                        });
                    }
                    summary = prepared.summary;
                    // The worker may be gone already; then nobody needs the buffers.
                    let _ = recycler.try_send(prepared.commit);
                    hook(&meter.progress(summary.hits()))
                }
                Ok(Message::Done(done)) => {
                    hook(&meter.progress(done.hits()));
                    return Ok(*done);
                }
                Ok(Message::Failed(error)) => return Err(*error),
                Err(RecvTimeoutError::Timeout) => hook(&meter.progress(summary.hits())),
                Err(RecvTimeoutError::Disconnected) => return Err(ImportError::Broken(name)),
            };
            if next == Next::Stop {
                summary.stopped = true;
                return Ok(summary);
            }
        }
    }
}

#[cfg(test)]
mod tests;
