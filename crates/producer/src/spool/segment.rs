//! One file of the spool: entries one after the other, each with its length and its hash.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{ENTRY_BYTES_MAX, SpoolError, io};

/// Length and hash before the content.
pub(super) const HEADER_BYTES: usize = 12;
/// Digits of a segment's name: those of the highest `u64`.
pub(super) const NAME_DIGITS: usize = 20;

/// A segment and how many bytes of it hold whole entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) length: u64,
}

/// Puts an entry with its header at the end of `out`.
pub(super) fn encode(entry: &[u8], out: &mut Vec<u8>) {
    // Bounded by `ENTRY_BYTES_MAX`.
    let length = (entry.len() as u32).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&hash(length, entry));
    out.extend_from_slice(entry);
}

fn hash(length: [u8; 4], entry: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length).update(entry);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    first
}

/// What stands at the beginning of some bytes.
enum Found<'a> {
    /// A whole entry, and how many bytes it takes.
    Entry(&'a [u8], usize),
    /// The beginning of one: more bytes would be needed.
    Part,
    /// None.
    Wrong,
}

fn entry_at(bytes: &[u8]) -> Found<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Found::Part;
    };
    let count = u32::from_le_bytes(*length) as usize;
    if count > ENTRY_BYTES_MAX {
        return Found::Wrong;
    }
    let Some((expected, rest)) = rest.split_first_chunk::<8>() else {
        return Found::Part;
    };
    match rest.get(..count) {
        None => Found::Part,
        Some(entry) if hash(*length, entry) == *expected => {
            Found::Entry(entry, HEADER_BYTES + count)
        }
        Some(_) => Found::Wrong,
    }
}

impl Segment {
    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(format!("{:0width$}", self.number, width = NAME_DIGITS))
    }

    /// A segment that is there, checked to its end. Of the highest, a part of an entry at the end
    /// is cut off.
    pub(super) fn open(
        directory: &Path,
        number: u64,
        is_highest: bool,
    ) -> Result<Segment, SpoolError> {
        let mut segment = Segment { number, length: 0 };
        let path = segment.path(directory);
        let bytes = std::fs::read(&path).map_err(io("cannot read", &path))?;
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if rest.is_empty() {
                break;
            }
            match entry_at(rest) {
                Found::Entry(_, bytes) => at += bytes,
                found if is_highest && is_torn(&found, rest) => {
                    let file = File::options()
                        .write(true)
                        .open(&path)
                        .map_err(io("cannot write", &path))?;
                    file.set_len(at as u64)
                        .and_then(|()| file.sync_all())
                        .map_err(io("cannot cut", &path))?;
                    tracing::info!(
                        path = %path.display(), bytes = rest.len(),
                        "cut off an entry that a crash left unfinished: it was not acknowledged"
                    );
                    break;
                }
                _ => {
                    let offset = at as u64;
                    return Err(SpoolError::Damaged { path, offset });
                }
            }
        }
        segment.length = at as u64;
        Ok(segment)
    }

    /// Hands over entries from `offset` on, about `bytes_max` bytes, at least one. Returns where
    /// they end.
    pub(super) fn read(
        self,
        directory: &Path,
        offset: u64,
        bytes_max: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<u64, SpoolError> {
        use std::os::unix::fs::FileExt;
        let path = self.path(directory);
        let file = File::open(&path).map_err(io("cannot read", &path))?;
        let left = self.length - offset;
        let mut wanted = (bytes_max + HEADER_BYTES) as u64;
        loop {
            let mut bytes = vec![0; usize::try_from(wanted.min(left)).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, offset)
                .map_err(io("cannot read", &path))?;
            let mut at = 0;
            loop {
                match entry_at(&bytes[at..]) {
                    Found::Entry(entry, length) => {
                        take(entry);
                        at += length;
                    }
                    Found::Part => break,
                    Found::Wrong => {
                        let offset = offset + at as u64;
                        return Err(SpoolError::Damaged { path, offset });
                    }
                }
            }
            if at > 0 {
                return Ok(offset + at as u64);
            }
            if wanted >= left {
                return Err(SpoolError::Damaged { path, offset });
            }
            // One entry longer than asked for.
            wanted = left.min(wanted.saturating_mul(2));
        }
    }
}

/// Whether a kill or a power cut inside the last write explains these bytes up to the end of the
/// file: an entry that goes past it, one that ends with it and has not all of its content, or
/// room that was given and not written.
fn is_torn(found: &Found<'_>, rest: &[u8]) -> bool {
    let reaches_end = || {
        let length = rest
            .first_chunk::<4>()
            .map(|length| u32::from_le_bytes(*length));
        length.is_some_and(|length| HEADER_BYTES + length as usize == rest.len())
    };
    match found {
        Found::Part => true,
        Found::Wrong => reaches_end() || rest.iter().all(|byte| *byte == 0),
        Found::Entry(..) => false,
    }
}
