//! The thread that reads: walks along known content, and makes commits of what is new.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use grapevine_event::CodecError;
use grapevine_log::{Commit, Log, LogError};

use super::convert::{Converter, Place};
use super::ledger::{self, Checkpoint, Known, Ledger, LedgerError, OpenLine};
use super::lines::{Line, Lines};
use super::source::{Meter, UnpackError};
use super::{ImportError, ImportOptions, ImportSummary, Importer, Limits, Source};
use crate::access_log;

/// What the thread says.
pub(super) enum Message {
    /// Something to commit.
    Batch(Box<Prepared>),
    /// The end of the source, all committed.
    Done(Box<ImportSummary>),
    /// No more can be read; what was sent before counts.
    Failed(Box<ImportError>),
}

/// A commit, and the summary as it is once that is made.
pub(super) struct Prepared {
    pub(super) commit: Commit,
    pub(super) summary: ImportSummary,
}

pub(super) struct Worker {
    log: Arc<Log>,
    limits: Limits,
    options: ImportOptions,
    source: Option<Source>,
    name: String,
    meter: Meter,
    converter: Converter,
    summary: ImportSummary,
    /// Made, but not sent: the last one carries the heartbeat.
    pending: Option<Box<Prepared>>,
    sender: SyncSender<Message>,
    recycled: Receiver<Commit>,
}

/// Why the thread stops before the end.
enum Stop {
    Failed(ImportError),
    /// Nobody listens any more.
    Left,
}

impl From<ImportError> for Stop {
    fn from(error: ImportError) -> Self {
        Stop::Failed(error)
    }
}

impl Worker {
    pub(super) fn new(
        importer: &Importer,
        source: Source,
        options: ImportOptions,
        sender: SyncSender<Message>,
        recycled: Receiver<Commit>,
    ) -> Worker {
        let name = source.name().to_owned();
        let (signals, pseudonyms) = (importer.signals.clone(), importer.pseudonyms.clone());
        Worker {
            log: importer.log.clone(),
            limits: importer.limits,
            summary: ImportSummary::new(&name, &options.site),
            converter: Converter::new(options.clone(), &name, signals, pseudonyms),
            options,
            meter: source.meter(),
            source: Some(source),
            name,
            pending: None,
            sender,
            recycled,
        }
    }

    pub(super) fn run(mut self) {
        let outcome = self.import();
        let said = match outcome {
            Ok(()) => self.sender.send(Message::Done(Box::new(self.summary))),
            Err(Stop::Failed(error)) => self.sender.send(Message::Failed(Box::new(error))),
            Err(Stop::Left) => Ok(()),
        };
        // Whoever asked for the import has stopped it.
        drop(said);
    }

    fn import(&mut self) -> Result<(), Stop> {
        let Some(source) = self.source.take() else {
            return Ok(());
        };
        let (mut reader, packed) = source.unpack().map_err(|error| match error {
            UnpackError::Packed { format, command } => ImportError::Packed {
                name: self.name.clone(),
                format,
                command,
            },
            UnpackError::Read(error) => self.read_error(error, false),
        })?;
        let log = self.log.clone();
        let site = self.options.site.clone();
        let ledger = Ledger::open(&log, &site).map_err(|error| self.ledger_error(error))?;
        let mut walk = Walk::start(ledger, ledger::start(&site));
        walk.arrive().map_err(|error| self.ledger_error(error))?;
        loop {
            let more = match walk.lines.pull(&mut *reader) {
                Ok(more) => more,
                Err(error) => {
                    // Whole lines before the damage count; what follows it is unknown.
                    self.close(&mut walk)?;
                    self.flush(false)?;
                    return Err(self.read_error(error, packed).into());
                }
            };
            if !more {
                break;
            }
            self.summary.lines += 1;
            self.meter
                .lines
                .store(self.summary.lines, Ordering::Relaxed);
            if let Some(known) = walk
                .known_step()
                .map_err(|error| self.ledger_error(error))?
            {
                self.summary.known += known;
            } else if walk.lines.len() >= self.limits.batch_lines_max
                || walk.lines.bytes() >= self.limits.batch_bytes_max
            {
                self.batch(&mut walk)?;
            }
        }
        if self.close(&mut walk)? {
            self.last_line(&mut walk)?;
        }
        if self.summary.lines == 0 && self.summary.held_back.is_none() {
            return Err(ImportError::Empty(self.name.clone()).into());
        }
        self.flush(true)
    }

    /// Takes the whole lines that are left at the end. `false` where the content ends within one
    /// that is known to go on.
    fn close(&mut self, walk: &mut Walk<'_>) -> Result<bool, Stop> {
        let known = walk
            .ends_within_known()
            .map_err(|error| self.ledger_error(error))?;
        match known {
            Ending::New if walk.lines.is_empty() => Ok(true),
            Ending::New => self.batch(walk).map(|()| true),
            Ending::Known { rest_too } => {
                self.summary.known += walk.lines.len() as u64;
                let rest = walk.lines.rest().length;
                if rest_too {
                    self.summary.lines += 1;
                    self.summary.known += 1;
                } else if rest > 0 {
                    self.summary.held_back = Some(rest);
                }
                Ok(false)
            }
        }
    }

    /// Makes a commit of the lines since the last checkpoint.
    fn batch(&mut self, walk: &mut Walk<'_>) -> Result<(), Stop> {
        self.flush(false)?;
        let next = walk.lines.next();
        let mut commit = self.recycled.try_recv().unwrap_or_default();
        commit.clear();
        let first = self.summary.lines - walk.lines.len() as u64 + 1;
        for (index, line) in (0..).zip(walk.lines.iter()) {
            self.convert(
                line,
                Place {
                    batch: &next,
                    index,
                    number: first + index,
                },
                &mut commit,
            )?;
        }
        let (at, bytes) = (*walk.lines.at(), walk.lines.bytes());
        walk.ledger
            .add(&mut commit, &at, bytes, &next, walk.lines.sums());
        self.pending = Some(Box::new(Prepared {
            commit,
            summary: self.summary.clone(),
        }));
        // Nothing can be known after content that is new.
        walk.lines.restart(next);
        walk.forget();
        Ok(())
    }

    /// The last line, where the content does not end with a line end.
    fn last_line(&mut self, walk: &mut Walk<'_>) -> Result<(), Stop> {
        let rest = walk.lines.rest();
        if rest.length == 0 {
            return Ok(());
        }
        let at = *walk.lines.at();
        if walk.open.iter().any(|open| open.begins(&at, rest.bytes)) {
            self.summary.lines += 1;
            self.summary.known += 1;
            return Ok(());
        }
        let whole = rest.length == rest.bytes.len() as u64
            && rest.bytes.ends_with(b"\"")
            && access_log::parse(rest.bytes)
                .is_ok_and(|line| line.format == access_log::Format::Combined);
        if !whole {
            self.summary.held_back = Some(rest.length);
            return Ok(());
        }
        self.flush(false)?;
        self.summary.lines += 1;
        let mut commit = Commit::default();
        let batch = ledger::hash_after(&at, rest.bytes);
        let place = Place {
            batch: &batch,
            index: 0,
            number: self.summary.lines,
        };
        self.convert(rest, place, &mut commit)?;
        walk.ledger.add_open(&mut commit, &at, rest.bytes);
        self.pending = Some(Box::new(Prepared {
            commit,
            summary: self.summary.clone(),
        }));
        Ok(())
    }

    fn convert(
        &mut self,
        line: Line<'_>,
        place: Place<'_>,
        commit: &mut Commit,
    ) -> Result<(), Stop> {
        let record_error = |name: &str, source: CodecError| ImportError::Record {
            name: name.to_owned(),
            line: place.number,
            source,
        };
        self.converter
            .line(line, place, commit, &mut self.summary)
            .map_err(|error| record_error(&self.name, error).into())
    }

    /// Sends what is pending; with the end of the source where that is the last of it.
    fn flush(&mut self, last: bool) -> Result<(), Stop> {
        let Some(mut prepared) = self.pending.take() else {
            return Ok(());
        };
        if last {
            let line = self.summary.lines;
            let ended = self.converter.end(&mut prepared.commit, &self.summary);
            let record_error = |source| ImportError::Record {
                name: self.name.clone(),
                line,
                source,
            };
            ended.map_err(record_error)?;
        }
        self.sender
            .send(Message::Batch(prepared))
            .map_err(|_| Stop::Left)
    }

    fn read_error(&self, error: io::Error, packed: bool) -> ImportError {
        let name = self.name.clone();
        let summary = Box::new(self.summary.clone());
        if packed && !self.meter.read_failed() {
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the compressed data ends early".to_owned(),
                _ => error.to_string(),
            };
            ImportError::Damaged {
                name,
                reason,
                summary,
            }
        } else {
            ImportError::Read {
                name,
                source: error,
                summary,
            }
        }
    }

    fn ledger_error(&self, error: LedgerError) -> ImportError {
        match error {
            LedgerError::Log(source) => self.log_error(source),
            LedgerError::Damaged(key) => ImportError::Ledger {
                site: self.options.site.clone(),
                key,
            },
        }
    }

    fn log_error(&self, source: LogError) -> ImportError {
        let summary = Box::new(self.summary.clone());
        ImportError::Log {
            name: self.name.clone(),
            source,
            summary,
        }
    }
}

/// How a content ends, seen from the last checkpoint.
enum Ending {
    /// In lines that are not known.
    New,
    /// Within a known batch; `rest_too` where also the last line without its end is known.
    Known { rest_too: bool },
}

/// Lines since the last checkpoint, and what is known to follow it.
struct Walk<'a> {
    ledger: Ledger<'a>,
    lines: Lines,
    known: Vec<Known>,
    /// The first of `known` that is not shorter than `lines`.
    nearest: usize,
    open: Vec<OpenLine>,
    /// Whether the content so far is known at all.
    follows_known: bool,
}

impl<'a> Walk<'a> {
    fn start(ledger: Ledger<'a>, at: Checkpoint) -> Walk<'a> {
        Walk {
            ledger,
            lines: Lines::after(at),
            known: Vec::new(),
            nearest: 0,
            open: Vec::new(),
            follows_known: false,
        }
    }

    /// Looks up what is known to follow the checkpoint just reached.
    fn arrive(&mut self) -> Result<(), LedgerError> {
        self.known = self.ledger.known(self.lines.at())?;
        self.open = self.ledger.open_lines(self.lines.at())?;
        self.nearest = 0;
        Ok(())
    }

    fn forget(&mut self) {
        self.known.clear();
        self.open.clear();
        self.nearest = 0;
    }

    /// After one more line: how many lines up to it turn out to be known.
    fn known_step(&mut self) -> Result<Option<u64>, LedgerError> {
        if self.lines.len() == 1
            && let Some(line) = self.lines.last()
            && self
                .open
                .iter()
                .any(|open| open.begins(self.lines.at(), line.bytes))
        {
            let next = self.lines.next();
            self.step_to(next)?;
            return Ok(Some(1));
        }
        let bytes = self.lines.bytes();
        while self
            .known
            .get(self.nearest)
            .is_some_and(|known| known.bytes < bytes)
        {
            self.nearest += 1;
        }
        let same_length = self.known[self.nearest..]
            .iter()
            .take_while(|known| known.bytes == bytes);
        if same_length.clone().next().is_none() {
            return Ok(None);
        }
        let next = self.lines.next();
        if !same_length.clone().any(|known| known.next == next) {
            return Ok(None);
        }
        let lines = self.lines.len() as u64;
        self.step_to(next)?;
        Ok(Some(lines))
    }

    fn step_to(&mut self, next: Checkpoint) -> Result<(), LedgerError> {
        self.lines.restart(next);
        self.follows_known = true;
        self.arrive()
    }

    /// Whether the lines since the checkpoint are the beginning of a known batch.
    fn ends_within_known(&self) -> Result<Ending, LedgerError> {
        let (count, bytes) = (self.lines.len(), self.lines.bytes());
        let rest = self.lines.rest();
        for known in self.known.iter().filter(|known| known.bytes > bytes) {
            let begins = match count.checked_sub(1) {
                None => true,
                Some(last) => {
                    self.ledger.line_sum(known, last)? == self.lines.sums().last().copied()
                }
            };
            if !begins {
                continue;
            }
            let rest_too = rest.length > 0
                && rest.length == rest.bytes.len() as u64
                && self.ledger.line_sum(known, count)? == Some(self.lines.sum_with_rest());
            // A part of a line alone may be the beginning of anything, unless all before it is
            // known to have gone on.
            if count > 0 || rest_too || (self.follows_known && rest.length > 0) {
                return Ok(Ending::Known { rest_too });
            }
        }
        Ok(Ending::New)
    }
}
