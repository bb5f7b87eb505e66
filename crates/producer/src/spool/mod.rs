//! A bounded queue on disk: what is acknowledged while the log is away waits here, in order.
//!
//! ```text
//! spool/
//!   00000000000000000007      segments, numbered from 0, the lowest is read first
//!   00000000000000000008      the highest is written to
//!   read                      how far the lowest was read
//! ```
//!
//! A segment is a sequence of entries: length (4 bytes, little endian), the first 8 bytes of the
//! BLAKE3 hash of length and content, content.
//!
//! **What is durable when.** [`Spool::append`] returns after `fdatasync` of the segment, and of the
//! directory where the segment is new: an entry that was acknowledged survives a crash of process
//! and machine. How far was read is written but not synced: after a crash of the process it is
//! right, after one of the machine some entries may come again. They are never lost.
//!
//! **What a crash leaves.** A kill inside `append` leaves a part of an entry at the end of the
//! highest segment. It was not acknowledged; [`Spool::open`] cuts it off. Anything else that does
//! not match its hash is damage, and refused: nothing is passed over in silence.

mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use thiserror::Error;

use segment::{HEADER_BYTES, Segment};

/// A segment takes no more entries past this many bytes.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Longest entry, bytes.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// File that says how far the lowest segment was read.
const READ: &str = "read";

/// Why the spool cannot do what was asked.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// There is no room for the entry.
    #[error("the spool {path} holds {bytes} bytes, its limit is {bytes_max}")]
    Full {
        /// The directory.
        path: PathBuf,
        /// Bytes in it.
        bytes: u64,
        /// Its limit.
        bytes_max: u64,
    },
    /// An entry is too long.
    #[error("an entry of {0} bytes is longer than the {ENTRY_BYTES_MAX} that the spool takes")]
    TooLong(usize),
    /// Another process has it.
    #[error("the spool {0} is in use by another process: stop it, or use another data directory")]
    InUse(PathBuf),
    /// A segment is not as it was written.
    #[error(
        "{path} is damaged at byte {offset}: what is before it can be kept by cutting the file there (truncate -s {offset}), the rest is lost"
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where its first wrong entry begins.
        offset: u64,
    },
    /// A file is none of the spool's.
    #[error("{0} is no file of a spool: move it away, or use another data directory")]
    Foreign(PathBuf),
    /// The disk is full.
    #[error("no space left on the disk of the spool {0}: free some")]
    DiskFull(PathBuf),
    /// The disk's own errors.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// A bounded queue on disk. One process at a time holds it.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    bytes_max: u64,
    /// The lowest is read, the highest written to.
    segments: VecDeque<Segment>,
    next_number: u64,
    /// How far the lowest segment was read.
    read: u64,
    /// The highest segment; none before the first append.
    writer: Option<File>,
    /// The highest segment has bytes of an entry that could not be written whole.
    is_torn: bool,
    mark: File,
    buffer: Vec<u8>,
    _held: File,
}

/// Entries read from the spool, in order, still in it.
#[derive(Debug)]
pub struct Entries {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Number of the segment that they are of, and where they end in it.
    until: (u64, u64),
}

impl Entries {
    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

impl Spool {
    /// Opens it, or makes an empty one. `bytes_max` bounds what [`append`](Self::append) takes, not
    /// what is found.
    ///
    /// # Errors
    /// Held by another process, damaged, the disk's own errors.
    pub fn open(directory: &Path, bytes_max: u64) -> Result<Spool, SpoolError> {
        fs::create_dir_all(directory).map_err(io("cannot create", directory))?;
        let lock = directory.join("lock");
        let held = open_file(&lock)?;
        if held.try_lock().is_err() {
            return Err(SpoolError::InUse(directory.to_owned()));
        }
        let mut numbers = numbers(directory)?;
        numbers.sort_unstable();
        let mut segments = VecDeque::new();
        for (index, number) in numbers.iter().enumerate() {
            let is_highest = index + 1 == numbers.len();
            segments.push_back(Segment::open(directory, *number, is_highest)?);
        }
        let path = directory.join(READ);
        let mark = open_file(&path)?;
        let marked = read_mark(&path)?;
        let read = match (segments.front(), marked) {
            (Some(lowest), Some((number, offset)))
                if number == lowest.number && offset <= lowest.length =>
            {
                offset
            }
            // Of a segment that is gone, or torn by a crash of the machine.
            _ => 0,
        };
        let mut spool = Spool {
            directory: directory.to_owned(),
            bytes_max,
            // Never one that was used before: an old mark must not fit a new segment.
            next_number: numbers
                .last()
                .copied()
                .max(marked.map(|(number, _)| number))
                .map_or(0, |number| number + 1),
            segments,
            read,
            writer: None,
            is_torn: false,
            mark,
            buffer: Vec::new(),
            _held: held,
        };
        spool.let_go()?;
        Ok(spool)
    }

    /// Bytes that wait, their headers included.
    pub fn bytes(&self) -> u64 {
        let all: u64 = self.segments.iter().map(|segment| segment.length).sum();
        all - self.read
    }

    /// Most bytes that may wait.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Adds an entry behind all others. It is durable when this returns; on an error it is not in
    /// the spool.
    ///
    /// # Errors
    /// No room, too long, the disk's own errors.
    pub fn append(&mut self, entry: &[u8]) -> Result<(), SpoolError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(SpoolError::TooLong(entry.len()));
        }
        let added = (HEADER_BYTES + entry.len()) as u64;
        if self.bytes() + added > self.bytes_max {
            return Err(SpoolError::Full {
                path: self.directory.clone(),
                bytes: self.bytes(),
                bytes_max: self.bytes_max,
            });
        }
        let mut writer = self.take_writer()?;
        let Some(segment) = self.segments.back_mut() else {
            return Ok(());
        };
        self.buffer.clear();
        segment::encode(entry, &mut self.buffer);
        let path = segment.path(&self.directory);
        let written = writer
            .write_all(&self.buffer)
            .and_then(|()| writer.sync_data());
        if let Err(error) = written {
            // What the disk has of it is unknown.
            self.is_torn = true;
            return Err(io("cannot write", &path)(error));
        }
        segment.length += added;
        self.writer = Some(writer);
        Ok(())
    }

    /// The segment to append to: the highest, or a new one.
    fn take_writer(&mut self) -> Result<File, SpoolError> {
        if self.is_torn {
            if let Some(segment) = self.segments.back() {
                let path = segment.path(&self.directory);
                File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|file| file.set_len(segment.length).and_then(|()| file.sync_all()))
                    .map_err(io("cannot cut", &path))?;
            }
            self.is_torn = false;
        }
        let room = self
            .segments
            .back()
            .is_some_and(|segment| segment.length < SEGMENT_BYTES);
        if room && let Some(writer) = self.writer.take() {
            return Ok(writer);
        }
        let segment = Segment {
            number: self.next_number,
            length: 0,
        };
        let path = segment.path(&self.directory);
        let file = File::options()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(io("cannot create", &path))?;
        self.next_number += 1;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io("cannot sync", &self.directory))?;
        self.segments.push_back(segment);
        Ok(file)
    }

    /// The next entries of one segment, about `bytes_max` bytes of them, at least one; none where
    /// nothing waits. They stay until [`release`](Self::release).
    ///
    /// # Errors
    /// Damage, the disk's own errors.
    pub fn next(&self, bytes_max: usize) -> Result<Option<Entries>, SpoolError> {
        let mut read = self.read;
        for segment in &self.segments {
            if read < segment.length {
                let mut entries = Entries {
                    bytes: Vec::new(),
                    ends: Vec::new(),
                    until: (segment.number, read),
                };
                let end = segment.read(&self.directory, read, bytes_max, |entry| {
                    entries.bytes.extend_from_slice(entry);
                    entries.ends.push(entries.bytes.len());
                })?;
                entries.until.1 = end;
                return Ok(Some(entries));
            }
            read = 0;
        }
        Ok(None)
    }

    /// Lets go of entries that are elsewhere now, and of all before them.
    ///
    /// # Errors
    /// The disk's own errors: the entries may come again.
    pub fn release(&mut self, entries: &Entries) -> Result<(), SpoolError> {
        let (number, offset) = entries.until;
        while let Some(lowest) = self.segments.front() {
            if lowest.number == number {
                self.read = self.read.max(offset);
                break;
            }
            if lowest.number > number {
                break;
            }
            self.read = lowest.length;
            self.let_go()?;
        }
        self.let_go()?;
        self.write_mark()
    }

    /// Removes segments that were read to their end.
    fn let_go(&mut self) -> Result<(), SpoolError> {
        while let Some(lowest) = self.segments.front() {
            if self.read < lowest.length {
                break;
            }
            let path = lowest.path(&self.directory);
            fs::remove_file(&path).map_err(io("cannot remove", &path))?;
            self.segments.pop_front();
            self.read = 0;
        }
        if self.segments.is_empty() {
            // It was of the last segment.
            self.writer = None;
            self.is_torn = false;
        }
        Ok(())
    }

    fn write_mark(&mut self) -> Result<(), SpoolError> {
        use std::os::unix::fs::FileExt;
        let lowest = self.segments.front().map(|segment| segment.number);
        let number = lowest.unwrap_or(self.next_number.saturating_sub(1));
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.read.to_le_bytes());
        let hash = blake3::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&hash.as_bytes()[..8]);
        self.mark
            .write_all_at(&bytes, 0)
            .map_err(io("cannot write", &self.directory.join(READ)))
    }
}

/// How far which segment was read; none where that was never written, or not whole.
fn read_mark(path: &Path) -> Result<Option<(u64, u64)>, SpoolError> {
    let bytes = fs::read(path).map_err(io("cannot read", path))?;
    let Some((number, rest)) = bytes.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let Some((offset, hash)) = rest.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let expected = blake3::hash(&bytes[..16]);
    let is_whole = hash == &expected.as_bytes()[..8];
    Ok(is_whole.then(|| (u64::from_le_bytes(*number), u64::from_le_bytes(*offset))))
}

fn numbers(directory: &Path) -> Result<Vec<u64>, SpoolError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(io("cannot read", directory))? {
        let path = entry.map_err(io("cannot read", directory))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == READ || name == "lock" {
            continue;
        }
        let number = (name.len() == segment::NAME_DIGITS).then(|| name.parse().ok());
        match number.flatten() {
            Some(number) => numbers.push(number),
            None => return Err(SpoolError::Foreign(path)),
        }
    }
    Ok(numbers)
}

fn open_file(path: &Path) -> Result<File, SpoolError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io("cannot write", path))
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            SpoolError::DiskFull(path)
        }
        _ => SpoolError::Io { what, path, source },
    }
}
