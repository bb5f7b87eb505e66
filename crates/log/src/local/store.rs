//! Topics, committed offsets and small values in one `redb` file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::block::{self, Unpacked};
use super::file::LogFile;
use crate::RECORD_BYTES_MAX;
use crate::batch::Batch;
use crate::commit::{Advance, Appended, Commit, Committed, Durability, KeyValue, Position};
use crate::error::LogError;

/// Blocks by (topic, offset of their first record).
const BLOCKS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("blocks");
/// Next free offset of each topic.
const ENDS: TableDefinition<'_, &str, u64> = TableDefinition::new("ends");
/// Next input offset and metadata by (consumer, topic).
const COMMITTED: TableDefinition<'_, (&str, &str), (u64, &[u8])> =
    TableDefinition::new("committed");
/// Small values by key.
const VALUES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("values");

const FORMAT_KEY: &[u8] = b"format";
/// Version of the tables above; a file of a newer one is refused.
pub(crate) const FORMAT: u32 = 1;
/// Page cache of the store, bytes. The log is written once and read once, soon after.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// A block is closed at this many bytes, so that a reader never unpacks much more at once.
const BLOCK_BYTES: usize = 1024 * 1024;

/// The log. Shared between threads by reference; commits are one at a time.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    database: Database,
    /// The disk was found full.
    full: Arc<AtomicBool>,
    /// Counts commits, so that readers can wait for one.
    commits: Mutex<u64>,
    committed: Condvar,
}

impl Log {
    /// Opens the log in a file, creating it where there is none.
    ///
    /// # Errors
    /// In use by another process, of a newer format, damaged, or the disk's own errors.
    pub fn open(path: &Path) -> Result<Log, LogError> {
        let full = Arc::new(AtomicBool::new(false));
        let wrap = |error: redb::DatabaseError| wrap(path, &full, error.into());
        let file = LogFile::open(path, Arc::clone(&full)).map_err(wrap)?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(file)
            .map_err(wrap)?;
        let log = Log {
            path: path.to_owned(),
            database,
            full,
            commits: Mutex::new(0),
            committed: Condvar::new(),
        };
        log.check_format()?;
        Ok(log)
    }

    fn check_format(&self) -> Result<(), LogError> {
        let transaction = self
            .database
            .begin_write()
            .map_err(|error| self.wrap(error))?;
        {
            transaction
                .open_table(BLOCKS)
                .map_err(|error| self.wrap(error))?;
            transaction
                .open_table(ENDS)
                .map_err(|error| self.wrap(error))?;
            transaction
                .open_table(COMMITTED)
                .map_err(|error| self.wrap(error))?;
            let mut values = transaction
                .open_table(VALUES)
                .map_err(|error| self.wrap(error))?;
            let found = values
                .get(FORMAT_KEY)
                .map_err(|error| self.wrap(error))?
                .map(|stored| {
                    stored
                        .value()
                        .try_into()
                        .map_or(u32::MAX, u32::from_le_bytes)
                });
            match found {
                None => {
                    let format = FORMAT.to_le_bytes();
                    values
                        .insert(FORMAT_KEY, format.as_slice())
                        .map_err(|error| self.wrap(error))?;
                }
                Some(found) if found > FORMAT => {
                    return Err(LogError::Newer {
                        path: self.path.clone(),
                        found,
                    });
                }
                Some(_) => {}
            }
        }
        transaction.commit().map_err(|error| self.wrap(error))
    }

    fn wrap(&self, error: impl Into<redb::Error>) -> LogError {
        wrap(&self.path, &self.full, error.into())
    }

    /// Makes everything in `commit` so, at once.
    ///
    /// # Errors
    /// A record over [`RECORD_BYTES_MAX`], a consumer that stands elsewhere, a full disk. Nothing
    /// of the commit is then in the log.
    pub fn commit(&self, commit: &Commit, durability: Durability) -> Result<Committed, LogError> {
        let mut packed = Vec::new();
        let mut scratch = Vec::new();
        for (topic, appended) in &commit.appended {
            for (records, block) in blocks(appended, &mut scratch)? {
                packed.push((*topic, records, block));
            }
        }
        let mut transaction = self
            .database
            .begin_write()
            .map_err(|error| self.wrap(error))?;
        if durability == Durability::Replayable {
            transaction
                .set_durability(redb::Durability::None)
                .map_err(|error| self.wrap(error))?;
        }
        let mut committed = Committed::default();
        {
            let mut block_table = transaction
                .open_table(BLOCKS)
                .map_err(|error| self.wrap(error))?;
            let mut ends = transaction
                .open_table(ENDS)
                .map_err(|error| self.wrap(error))?;
            for (topic, records, block) in &packed {
                let offset = ends
                    .get(topic)
                    .map_err(|error| self.wrap(error))?
                    .map_or(0, |end| end.value());
                block_table
                    .insert((*topic, offset), block.as_slice())
                    .map_err(|error| self.wrap(error))?;
                ends.insert(topic, offset + *records as u64)
                    .map_err(|error| self.wrap(error))?;
                committed.first_offsets.entry(topic).or_insert(offset);
            }
            let mut positions = transaction
                .open_table(COMMITTED)
                .map_err(|error| self.wrap(error))?;
            for advance in &commit.positions {
                let Advance {
                    consumer,
                    topic,
                    from,
                    to,
                } = advance;
                let key = (consumer.as_str(), topic.as_str());
                let found = positions
                    .get(key)
                    .map_err(|error| self.wrap(error))?
                    .map_or(0, |position| position.value().0);
                if found != *from {
                    return Err(LogError::Fenced {
                        consumer: consumer.clone(),
                        topic: topic.clone(),
                        expected: *from,
                        found,
                    });
                }
                positions
                    .insert(key, (to.offset, to.metadata.as_slice()))
                    .map_err(|error| self.wrap(error))?;
            }
            let mut values = transaction
                .open_table(VALUES)
                .map_err(|error| self.wrap(error))?;
            for (key, value) in &commit.values {
                match value {
                    Some(value) => values.insert(key.as_slice(), value.as_slice()),
                    None => values.remove(key.as_slice()),
                }
                .map_err(|error| self.wrap(error))?;
            }
        }
        transaction.commit().map_err(|error| self.wrap(error))?;
        *self.commits.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.committed.notify_all();
        Ok(committed)
    }

    /// Makes everything committed so far durable.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn flush(&self) -> Result<(), LogError> {
        self.commit(&Commit::default(), Durability::Durable)
            .map(|_| ())
    }

    /// Reads from `offset` on, whole blocks until about `bytes_max` unpacked bytes; empty where
    /// nothing is there yet.
    ///
    /// # Errors
    /// The offset was [`trim`](Self::trim)med, a block is damaged, the disk's own errors.
    pub fn read(&self, topic: &str, offset: u64, bytes_max: usize) -> Result<Batch, LogError> {
        let mut blocks: Vec<Unpacked> = Vec::new();
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.wrap(error))?;
        let end = self.end_in(&transaction, topic)?;
        if offset >= end {
            return Ok(Batch::of_blocks(offset, 0, blocks));
        }
        let table = transaction
            .open_table(BLOCKS)
            .map_err(|error| self.wrap(error))?;
        // The block that holds `offset` is the last one that starts at or below it.
        let mut below = table
            .range((topic, 0)..=(topic, offset))
            .map_err(|error| self.wrap(error))?;
        let start = match below.next_back() {
            Some(entry) => entry.map_err(|error| self.wrap(error))?.0.value().1,
            None => {
                let mut kept = table
                    .range((topic, offset)..=(topic, u64::MAX))
                    .map_err(|error| self.wrap(error))?;
                let first = match kept.next() {
                    Some(entry) => entry.map_err(|error| self.wrap(error))?.0.value().1,
                    None => end,
                };
                return Err(LogError::Trimmed {
                    topic: topic.to_owned(),
                    asked: offset,
                    first,
                });
            }
        };
        let skip = usize::try_from(offset - start).unwrap_or(usize::MAX);
        let mut unpacked_bytes = 0;
        for entry in table
            .range((topic, start)..=(topic, u64::MAX))
            .map_err(|error| self.wrap(error))?
        {
            let (key, value) = entry.map_err(|error| self.wrap(error))?;
            let block = Unpacked::of(value.value()).map_err(|source| LogError::Block {
                topic: topic.to_owned(),
                offset: key.value().1,
                source,
            })?;
            unpacked_bytes += block.bytes();
            blocks.push(block);
            if unpacked_bytes >= bytes_max {
                break;
            }
        }
        let first_count = blocks.first().map_or(0, Unpacked::count);
        if skip >= first_count {
            let first = start + first_count as u64;
            return Err(LogError::Trimmed {
                topic: topic.to_owned(),
                asked: offset,
                first,
            });
        }
        Ok(Batch::of_blocks(offset, skip, blocks))
    }

    /// Like [`read`](Self::read), waiting up to `patience` for a record to be there.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn read_waiting(
        &self,
        topic: &str,
        offset: u64,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Batch, LogError> {
        let deadline = Instant::now() + patience;
        loop {
            let seen = *self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            let batch = self.read(topic, offset, bytes_max)?;
            if !batch.is_empty() {
                return Ok(batch);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(batch);
            }
            let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            if *commits == seen {
                // A poisoned lock guards a counter that is right at any time.
                let _ = self
                    .committed
                    .wait_timeout_while(commits, left, |commits| *commits == seen)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Offset that the next record of a topic will have.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn end(&self, topic: &str) -> Result<u64, LogError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.wrap(error))?;
        self.end_in(&transaction, topic)
    }

    fn end_in(&self, transaction: &redb::ReadTransaction, topic: &str) -> Result<u64, LogError> {
        let ends = transaction
            .open_table(ENDS)
            .map_err(|error| self.wrap(error))?;
        let end = ends.get(topic).map_err(|error| self.wrap(error))?;
        Ok(end.map_or(0, |end| end.value()))
    }

    /// Where a consumer stands; offset 0 where it never committed.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn position(&self, consumer: &str, topic: &str) -> Result<Position, LogError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.wrap(error))?;
        let positions = transaction
            .open_table(COMMITTED)
            .map_err(|error| self.wrap(error))?;
        let found = positions
            .get((consumer, topic))
            .map_err(|error| self.wrap(error))?;
        Ok(found.map_or_else(Position::default, |found| {
            let (offset, metadata) = found.value();
            Position {
                offset,
                metadata: metadata.to_vec(),
            }
        }))
    }

    /// A small value.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.value_with(key, <[u8]>::to_vec)
    }

    /// What `read` makes of a value, which is not copied for it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn value_with<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, LogError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.wrap(error))?;
        let values = transaction
            .open_table(VALUES)
            .map_err(|error| self.wrap(error))?;
        let found = values.get(key).map_err(|error| self.wrap(error))?;
        Ok(found.map(|found| read(found.value())))
    }

    /// Small values whose key starts with `prefix`, in key order.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn values_below(&self, prefix: &[u8]) -> Result<Vec<KeyValue>, LogError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.wrap(error))?;
        let values = transaction
            .open_table(VALUES)
            .map_err(|error| self.wrap(error))?;
        let mut found = Vec::new();
        for entry in values.range(prefix..).map_err(|error| self.wrap(error))? {
            let (key, value) = entry.map_err(|error| self.wrap(error))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(found)
    }

    /// Forgets records below `offset`, whole blocks only. The caller knows who still needs them.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn trim(&self, topic: &str, offset: u64) -> Result<(), LogError> {
        let mut transaction = self
            .database
            .begin_write()
            .map_err(|error| self.wrap(error))?;
        transaction
            .set_durability(redb::Durability::None)
            .map_err(|error| self.wrap(error))?;
        {
            let mut table = transaction
                .open_table(BLOCKS)
                .map_err(|error| self.wrap(error))?;
            let mut gone = Vec::new();
            for entry in table
                .range((topic, 0)..(topic, offset))
                .map_err(|error| self.wrap(error))?
            {
                let (key, value) = entry.map_err(|error| self.wrap(error))?;
                let first = key.value().1;
                let count = block::count(value.value()).map_err(|source| LogError::Block {
                    topic: topic.to_owned(),
                    offset: first,
                    source,
                })?;
                if first + u64::from(count) > offset {
                    break;
                }
                gone.push(first);
            }
            for first in gone {
                table
                    .remove((topic, first))
                    .map_err(|error| self.wrap(error))?;
            }
        }
        transaction.commit().map_err(|error| self.wrap(error))
    }
}

/// Cuts what a commit appends to one topic into blocks: (records, packed bytes).
fn blocks(appended: &Appended, scratch: &mut Vec<u8>) -> Result<Vec<(usize, Vec<u8>)>, LogError> {
    let mut packed = Vec::new();
    let (mut first, mut start) = (0, 0);
    let mut record_start = 0;
    for (index, &end) in appended.ends.iter().enumerate() {
        if end - record_start > RECORD_BYTES_MAX {
            return Err(LogError::TooLarge(end - record_start));
        }
        record_start = end;
        let last = index + 1 == appended.ends.len();
        if last || end - start >= BLOCK_BYTES {
            let ends: Vec<usize> = appended.ends[first..=index]
                .iter()
                .map(|end| end - start)
                .collect();
            packed.push((
                ends.len(),
                block::pack(&appended.bytes[start..end], &ends, scratch),
            ));
            (first, start) = (index + 1, end);
        }
    }
    Ok(packed)
}

fn wrap(path: &Path, full: &AtomicBool, error: redb::Error) -> LogError {
    match &error {
        redb::Error::DatabaseAlreadyOpen => LogError::InUse(path.to_owned()),
        redb::Error::Io(_) | redb::Error::PreviousIo if full.load(Ordering::Acquire) => {
            LogError::DiskFull(path.to_owned())
        }
        _ => LogError::Store {
            path: path.to_owned(),
            source: Box::new(error),
        },
    }
}
