//! What has been imported, by content.
//!
//! A *checkpoint* is the hash of everything up to a line end: the first is a hash of the site,
//! each further one the hash of the one before and the bytes of the batch between them. An entry
//! says: after checkpoint P, these many bytes (and lines) lead to checkpoint N, and their hits
//! are on the log. Whoever reads a content from its start and hashes along thus knows at every
//! checkpoint which continuations are known, without the file having a name.
//!
//! Batches are cut only at the limits of [`super::LIMITS`] or at the end of a content. So at one
//! checkpoint no known continuation is the beginning of another, and reading is never in doubt;
//! other limits need another [`FORMAT`]. A content that ends *within* a known batch is recognised
//! by the CRC-32 of that batch up to each of its lines (4 bytes a line, about 2 % of the log).
//!
//! Entries are small values of the log, written in the transaction of the hits they stand for.

use grapevine_log::{Commit, Log, LogError, Position};

use crate::site::Site;

/// Changes when entries, hashes or limits do.
const FORMAT: &str = "import/1";
/// The consumer whose position counts the batches of a site, so that two imports into one site
/// at the same time cannot both commit.
const CONSUMER: &str = "import";

/// Hash of everything up to a place in a content, and of the site.
pub(super) type Checkpoint = [u8; 32];

/// A known continuation of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) next: Checkpoint,
}

/// An imported last line that had no line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenLine {
    pub(super) bytes: usize,
    hash: Checkpoint,
}

impl OpenLine {
    /// Whether `line` starts with it.
    pub(super) fn begins(&self, at: &Checkpoint, line: &[u8]) -> bool {
        line.get(..self.bytes)
            .is_some_and(|begin| hash_after(at, begin) == self.hash)
    }
}

#[derive(Debug)]
pub(super) enum LedgerError {
    Log(LogError),
    Damaged(String),
}

impl From<LogError> for LedgerError {
    fn from(error: LogError) -> Self {
        LedgerError::Log(error)
    }
}

/// Where every content of a site starts.
pub(super) fn start(site: &Site) -> Checkpoint {
    let mut hasher = blake3::Hasher::new_derive_key("grapevine 2026 import ledger");
    hasher.update(site.as_str().as_bytes());
    *hasher.finalize().as_bytes()
}

/// A hasher of what follows a checkpoint; its result is the next one.
pub(super) fn hasher_after(at: &Checkpoint) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(at);
    hasher
}

/// The checkpoint after `bytes`.
pub(super) fn hash_after(at: &Checkpoint, bytes: &[u8]) -> Checkpoint {
    *hasher_after(at).update(bytes).finalize().as_bytes()
}

/// Reads and writes entries of one site.
pub(super) struct Ledger<'a> {
    log: &'a Log,
    site: &'a Site,
    batches: u64,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(log: &'a Log, site: &'a Site) -> Result<Ledger<'a>, LedgerError> {
        let batches = log.position(CONSUMER, site.as_str())?.offset;
        Ok(Ledger { log, site, batches })
    }

    /// Known continuations, shortest first.
    pub(super) fn known(&self, at: &Checkpoint) -> Result<Vec<Known>, LedgerError> {
        let prefix = key("next", &[at]);
        let mut known = Vec::new();
        for (entry, value) in self.log.values_below(&prefix)? {
            let next = entry
                .get(prefix.len()..)
                .and_then(|next| next.try_into().ok());
            let numbers = value.split_first_chunk::<8>();
            let lines = numbers.and_then(|(_, lines)| lines.try_into().ok());
            let (Some(next), Some((bytes, _)), Some(lines)) = (next, numbers, lines) else {
                return Err(damaged(&entry));
            };
            let (bytes, lines) = (u64::from_le_bytes(*bytes), u64::from_le_bytes(lines));
            known.push(Known { bytes, lines, next });
        }
        known.sort_by_key(|known| known.bytes);
        Ok(known)
    }

    /// Imported last lines without a line end.
    pub(super) fn open_lines(&self, at: &Checkpoint) -> Result<Vec<OpenLine>, LedgerError> {
        let prefix = key("open", &[at]);
        let mut open = Vec::new();
        for (entry, value) in self.log.values_below(&prefix)? {
            let hash = entry
                .get(prefix.len()..)
                .and_then(|hash| hash.try_into().ok());
            let bytes = value.try_into().ok().map(u64::from_le_bytes);
            let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
            let (Some(hash), Some(bytes)) = (hash, bytes) else {
                return Err(damaged(&entry));
            };
            open.push(OpenLine { bytes, hash });
        }
        Ok(open)
    }

    /// CRC-32 of a known batch up to its line `index`.
    pub(super) fn line_sum(&self, known: &Known, index: usize) -> Result<Option<u32>, LedgerError> {
        let key = key("lines", &[&known.next]);
        let sums = self.log.value(&key)?.ok_or_else(|| damaged(&key))?;
        let sum = sums
            .get(index * 4..index * 4 + 4)
            .and_then(|sum| sum.try_into().ok());
        Ok(sum.map(u32::from_le_bytes))
    }

    /// Adds to a commit that `bytes` bytes after `at`, with these line sums, lead to `next`.
    pub(super) fn add(
        &mut self,
        commit: &mut Commit,
        at: &Checkpoint,
        bytes: u64,
        next: &Checkpoint,
        sums: &[u32],
    ) {
        let mut value = bytes.to_le_bytes().to_vec();
        value.extend_from_slice(&(sums.len() as u64).to_le_bytes());
        commit.put(&key("next", &[at, next]), value);
        let sums = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        commit.put(&key("lines", &[next]), sums);
        self.count(commit);
    }

    /// Adds to a commit that the last line after `at`, without a line end, is imported.
    pub(super) fn add_open(&mut self, commit: &mut Commit, at: &Checkpoint, line: &[u8]) {
        let hash = hash_after(at, line);
        commit.put(
            &key("open", &[at, &hash]),
            (line.len() as u64).to_le_bytes().to_vec(),
        );
        self.count(commit);
    }

    fn count(&mut self, commit: &mut Commit) {
        let to = Position {
            offset: self.batches + 1,
            metadata: Vec::new(),
        };
        commit.advance(CONSUMER, self.site.as_str(), self.batches, to);
        self.batches += 1;
    }
}

fn key(kind: &str, checkpoints: &[&Checkpoint]) -> Vec<u8> {
    let mut key = format!("{FORMAT}/{kind}/").into_bytes();
    for checkpoint in checkpoints {
        key.extend_from_slice(*checkpoint);
    }
    key
}

fn damaged(key: &[u8]) -> LedgerError {
    LedgerError::Damaged(key.escape_ascii().to_string())
}
