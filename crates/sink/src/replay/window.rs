//! Letters that are in memory with what is in them, and the commits that send them.

use std::collections::BTreeMap;
use std::ops::Range;

use grapevine_event::{CodecError, DeadLetter, Id, Record, topic};
use grapevine_log::Commit;

use super::{Noted, Origin, REPLAY};

/// Letters of one commit, at most.
const LETTERS_MAX: usize = 1_000;
/// Bytes after which a commit takes in no more letters.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Letters of one window, at most.
pub(super) const WINDOW_LETTERS: usize = 32 * LETTERS_MAX;
/// Bytes of letters after which a window takes in no more.
pub(super) const WINDOW_BYTES: usize = 8 * BYTES_MAX;
/// What a letter takes beside its bytes, about: its site, its mark.
const LETTER_BYTES: usize = 256;

/// What is in a letter.
#[derive(Debug)]
struct Letter {
    time: i64,
    site: String,
    payload: Vec<u8>,
}

/// Letters that are sent together: first noted, then read.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// `None` until it is read.
    letters: BTreeMap<Origin, Option<Letter>>,
    /// Offsets among which they lie, by partition of the dead letters.
    ranges: BTreeMap<i32, Range<u64>>,
    bytes: usize,
}

impl Window {
    /// True where it takes in no more.
    pub(super) fn is_full(&self) -> bool {
        self.letters.len() >= WINDOW_LETTERS || self.bytes >= WINDOW_BYTES
    }

    /// True where nothing is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Notes a letter that is to be read.
    pub(super) fn want(&mut self, origin: Origin, noted: Noted) {
        let offset = noted.place.offset;
        let end = offset.saturating_add(1);
        let range = (self.ranges.entry(noted.place.partition)).or_insert(offset..end);
        *range = range.start.min(offset)..range.end.max(end);
        self.bytes = (self.bytes)
            .saturating_add(noted.bytes)
            .saturating_add(LETTER_BYTES);
        self.letters.insert(origin, None);
    }

    /// Offsets to read, by partition of the dead letters.
    pub(super) fn ranges(&self) -> Vec<(i32, Range<u64>)> {
        let ranges = self.ranges.iter();
        ranges
            .map(|(partition, range)| (*partition, range.clone()))
            .collect()
    }

    /// Takes a record in where it is a letter that is wanted.
    pub(super) fn take(&mut self, record: &[u8]) {
        if let Ok(Record::DeadLetter(letter)) = Record::decode(record) {
            self.take_letter(&letter);
        }
    }

    /// Takes a letter in where it is wanted.
    pub(super) fn take_letter(&mut self, letter: &DeadLetter<'_>) {
        let whole = i64::try_from(letter.payload.len()) == Ok(letter.payload_length);
        if letter.stage == REPLAY || !whole {
            return;
        }
        let Some(origin) = Origin::of(letter) else {
            return;
        };
        if let Some(wanted) = self.letters.get_mut(&origin)
            && wanted.is_none()
        {
            *wanted = Some(Letter {
                time: letter.time,
                site: letter.site.to_owned(),
                payload: letter.payload.to_vec(),
            });
        }
    }

    /// Topics of the letters that were wanted and not found, once for each.
    pub(super) fn gone(&self) -> impl Iterator<Item = &'static str> {
        let gone = self.letters.iter().filter(|(_, letter)| letter.is_none());
        gone.map(|(origin, _)| origin.source)
    }

    /// What was read, in batches that are each to be committed whole or not at all.
    pub(super) fn into_batches(self) -> Vec<Batch> {
        let mut batches = Vec::new();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (origin, letter) in self.letters {
            let Some(letter) = letter else {
                continue;
            };
            if batch.len() == LETTERS_MAX || bytes >= BYTES_MAX {
                batches.push(Batch(std::mem::take(&mut batch)));
                bytes = 0;
            }
            bytes += letter.payload.len() + LETTER_BYTES;
            batch.push((origin, letter));
        }
        if !batch.is_empty() {
            batches.push(Batch(batch));
        }
        batches
    }

    /// How many letters are wanted.
    #[cfg(test)]
    pub(super) fn letters(&self) -> usize {
        self.letters.len()
    }
}

/// Letters of one commit.
#[derive(Debug)]
pub(super) struct Batch(Vec<(Origin, Letter)>);

impl Batch {
    /// The letters with their marks.
    ///
    /// # Errors
    /// A mark that cannot be encoded, which no text of a letter brings about.
    pub(super) fn commit(&self) -> Result<Commit, CodecError> {
        let mut commit = Commit::default();
        for (origin, letter) in &self.0 {
            commit.append_to(origin.source, origin.partition, |out| {
                out.extend_from_slice(&letter.payload);
                Ok::<(), CodecError>(())
            })?;
            let mark = DeadLetter {
                letter_id: origin.mark,
                time: letter.time,
                site: &letter.site,
                stage: REPLAY,
                reason: "replayed",
                detail: "sent back to where it came from".into(),
                source: origin.source,
                partition: Some(origin.partition),
                position: origin.position,
                payload: b"",
                payload_length: 0,
            };
            commit.try_append_with(topic::DEAD_LETTERS, |out| mark.encode(out))?;
        }
        Ok(commit)
    }

    /// What the group's position says once the batch is committed; `stands` is what it says before.
    ///
    /// The offset stays, so that this alone tells a commit that came through from one that did not,
    /// where the brokers gave no answer. It is a function of the letters: whoever finds it there
    /// knows that these were sent, by whichever process.
    pub(super) fn metadata(&self, stands: &[u8]) -> Vec<u8> {
        let mut moved = Id::builder("replay of dead letters").bytes(stands);
        for (origin, _) in &self.0 {
            moved.add_bytes(&origin.mark.0);
        }
        moved.finish().to_string().into_bytes()
    }

    /// Positions that the letters had in their source.
    #[cfg(test)]
    pub(super) fn positions(&self) -> impl Iterator<Item = i64> {
        self.0.iter().map(|(origin, _)| origin.position)
    }
}
