//! Who has read what: the names behind the keys of arrivals, and who comes back.
//!
//! A reader is one entry, found by the key of the first visit and by content and pseudonym. It is as
//! small as what is asked of it allows: there may be as many as there are readers of all contents.

use grapevine_event::Id;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::broadcasts::Links;
use crate::clock::{key, short};
use crate::recent::{Recent, spread};

/// Readers who can be named, and whose returns are recognised: 60 bytes each (a test counts).
const READERS_MAX: u32 = 458_752;
/// Tokens given by buttons and copies that have not come back: 23 bytes each.
const GIVEN_MAX: u32 = 65_536;

/// One reader's first visit of a content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reader {
    pub(super) visit: Id,
    /// Pseudonym, where there is one.
    pub(super) visitor: Option<i64>,
    /// Event time, milliseconds since 1970 UTC; kept to the year 6400.
    pub(super) time: i64,
    /// Key of the content, and which clock it lives by.
    pub(super) content: u64,
    pub(super) clock: u8,
    /// Number of the app, below 4,096.
    pub(super) app: u16,
    /// True once its causes are settled.
    pub(super) settled: bool,
    /// True where its cause was said at once, or is known to be the outside: nothing is inferred.
    pub(super) told: bool,
}

/// Bits of the number of an app.
const APP: u16 = (1 << 12) - 1;
/// Lives by the second clock.
const CLOCK: u16 = 1 << 12;
const SETTLED: u16 = 1 << 13;
const TOLD: u16 = 1 << 14;
/// Has a pseudonym.
const KNOWN: u16 = 1 << 15;

/// A reader as it is kept, beside the key, which is the first half of the visit's identity.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Kept {
    /// The other half.
    visit: u64,
    content: u64,
    /// 48 bits of content and pseudonym: with the content, as good as all.
    reader: [u16; 3],
    /// Event time, 48 bits.
    time: [u16; 3],
    /// App, clock and what is known, by the bits above.
    marks: u16,
    /// Certain children.
    children: u16,
}

impl Kept {
    fn of(reader: &Reader) -> Kept {
        let mark = |is: bool, mark: u16| if is { mark } else { 0 };
        let [.., b8, b9, b10, b11, b12, b13, b14, b15] = reader.visit.0;
        Kept {
            visit: u64::from_le_bytes([b8, b9, b10, b11, b12, b13, b14, b15]),
            content: reader.content,
            reader: reader
                .visitor
                .map_or([0; 3], |visitor| reader_of(reader.content, visitor)),
            time: low_bits(reader.time.clamp(-1 << 47, (1 << 47) - 1) as u64),
            marks: reader.app & APP
                | mark(reader.clock != 0, CLOCK)
                | mark(reader.settled, SETTLED)
                | mark(reader.told, TOLD)
                | mark(reader.visitor.is_some(), KNOWN),
            children: 0,
        }
    }

    fn is(&self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    /// Where the index by reader has it; none without a pseudonym.
    fn hash(&self) -> Option<u64> {
        self.is(KNOWN).then(|| hash_of(self.reader))
    }
}

/// A reader who is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) visit: Id,
    /// Event time, milliseconds since 1970 UTC.
    pub(super) time: i64,
    pub(super) app: u16,
    /// As [`Reader::told`].
    pub(super) told: bool,
}

impl Known {
    fn of(key: u64, kept: &Kept) -> Known {
        let mut visit = [0; 16];
        visit[..8].copy_from_slice(&key.to_le_bytes());
        visit[8..].copy_from_slice(&kept.visit.to_le_bytes());
        let time = whole(kept.time) << 16;
        Known {
            visit: Id(visit),
            time: time as i64 >> 16,
            app: kept.marks & APP,
            told: kept.is(TOLD),
        }
    }
}

/// Readers of all contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub(super) struct Readers {
    /// By the key of the first visit.
    kept: Recent<Kept>,
    /// Places of those with a pseudonym, by content and pseudonym.
    #[serde(skip)]
    by_reader: HashTable<u32>,
    given: Recent<()>,
    /// Links of theirs that brought others.
    pub(super) links: Links,
}

/// [`Readers`] as they are saved.
#[derive(Deserialize)]
struct Saved {
    kept: Recent<Kept>,
    given: Recent<()>,
    links: Links,
}

impl From<Saved> for Readers {
    fn from(saved: Saved) -> Self {
        let mut readers = Readers {
            kept: saved.kept,
            by_reader: HashTable::new(),
            given: saved.given,
            links: saved.links,
        };
        let keys: Vec<u64> = readers.kept.iter().map(|(key, _)| key).collect();
        for key in keys {
            readers.find_by_reader(key);
        }
        readers
    }
}

impl Default for Readers {
    fn default() -> Self {
        Readers::new(READERS_MAX)
    }
}

impl Readers {
    fn new(readers: u32) -> Readers {
        Readers {
            kept: Recent::new(readers),
            by_reader: HashTable::new(),
            given: Recent::new(GIVEN_MAX),
            links: Links::default(),
        }
    }

    /// Key of the reader's first visit of the content, where one is known.
    pub(super) fn known(&self, content: u64, visitor: i64) -> Option<u64> {
        let reader = reader_of(content, visitor);
        let place = self.by_reader.find(hash_of(reader), |place| {
            let kept = self.kept.at(*place);
            kept.is_some_and(|(_, kept)| kept.reader == reader && kept.content == content)
        })?;
        self.kept.at(*place).map(|(key, _)| key)
    }

    /// Event time of that visit.
    pub(super) fn first_read(&self, content: u64, visitor: i64) -> Option<i64> {
        let key = self.known(content, visitor)?;
        let kept = self.kept.peek(key)?;
        Some(Known::of(key, kept).time)
    }

    /// The same of a reader who comes now: whoever comes back is kept.
    pub(super) fn first_visit(&mut self, content: u64, visitor: i64) -> Option<u64> {
        let first = self.known(content, visitor)?;
        self.kept.get(first);
        Some(first)
    }

    /// Content and clock of the reader that has to be forgotten for one more, where its causes are
    /// not settled.
    pub(super) fn unsettled_to_forget(&self) -> Option<(u8, u64)> {
        if !self.kept.is_full() {
            return None;
        }
        let (_, oldest) = self.kept.oldest()?;
        (!oldest.is(SETTLED)).then(|| (u8::from(oldest.is(CLOCK)), oldest.content))
    }

    /// Remembers a reader by the first visit.
    pub(super) fn name(&mut self, reader: &Reader) {
        let key = short(reader.visit);
        // Out of the index goes who had that key, or else who has to make room.
        let (gone, place) = match self.kept.place_of(key) {
            Some(place) => (self.kept.at(place).map(|(_, gone)| *gone), Some(place)),
            None => (None, None),
        };
        let forgotten = self.kept.set(key, Kept::of(reader)).map(|(_, gone)| gone);
        let place = place.or_else(|| self.kept.place_of(key));
        if let (Some(place), Some(hash)) = (place, gone.or(forgotten).and_then(|gone| gone.hash()))
            && let Ok(entry) = self.by_reader.find_entry(hash, |known| *known == place)
        {
            entry.remove();
        }
        self.find_by_reader(key);
    }

    /// Puts a reader who is kept into the index by reader.
    fn find_by_reader(&mut self, key: u64) {
        let kept = &self.kept;
        let hash = |place: u32| kept.at(place).and_then(|(_, kept)| kept.hash());
        if let Some(place) = kept.place_of(key)
            && let Some(own) = hash(place)
        {
            self.by_reader
                .insert_unique(own, place, |place| hash(*place).unwrap_or_default());
        }
    }

    /// A reader of a content by key.
    pub(super) fn of(&self, key: u64, content: u64) -> Option<Known> {
        let kept = self.kept.peek(key)?;
        (kept.content == content).then(|| Known::of(key, kept))
    }

    /// The causes of a reader of a content are settled; who it is.
    pub(super) fn settle(&mut self, key: u64, content: u64) -> Option<Known> {
        let kept = self.kept.peek_mut(key)?;
        if kept.content != content {
            return None;
        }
        kept.marks |= SETTLED;
        Some(Known::of(key, kept))
    }

    /// Counts a certain child of a reader; how many there are.
    pub(super) fn bore(&mut self, key: u64) -> u16 {
        // Whoever has children is to be kept.
        self.kept.get(key).map_or(1, |reader| {
            reader.children = reader.children.saturating_add(1);
            reader.children
        })
    }

    /// A button or a copy gave a token.
    pub(super) fn gave(&mut self, token: u64) {
        self.given.set(token, ());
    }

    /// A token came; true the first time that one given by a button or a copy does.
    pub(super) fn came_back(&mut self, token: u64) -> bool {
        self.given.remove(token).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len() + self.given.len() + self.links.len()
    }
}

/// A reader of a content: 48 bits of a hash, which nobody can choose.
fn reader_of(content: u64, visitor: i64) -> [u16; 3] {
    let parts = [&content.to_le_bytes()[..], &visitor.to_le_bytes()];
    low_bits(key("reader", &parts))
}

fn hash_of(reader: [u16; 3]) -> u64 {
    spread(whole(reader))
}

/// The lowest 48 bits.
fn low_bits(number: u64) -> [u16; 3] {
    [number as u16, (number >> 16) as u16, (number >> 32) as u16]
}

fn whole([low, middle, high]: [u16; 3]) -> u64 {
    u64::from(low) | u64::from(middle) << 16 | u64::from(high) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reader(number: u64, visitor: Option<i64>, content: u64) -> Reader {
        Reader {
            visit: Id::builder("reader").number(number).finish(),
            visitor,
            time: 1_760_000_000_000 + number as i64,
            content,
            clock: (number % 2) as u8,
            app: (number % 4_096) as u16,
            settled: number.is_multiple_of(3),
            told: number.is_multiple_of(5),
        }
    }

    #[test]
    fn a_reader_takes_at_most_64_bytes() {
        // Key and two links beside what is kept; each of two indexes takes 4 bytes and one of
        // control for each of 8/7 places.
        let slot = 8 + 4 + 4 + size_of::<Kept>();
        let index = 5.0 * 8.0 / 7.0;
        assert!(slot as f64 + 2.0 * index <= 64.0, "{slot} + 2 * {index}");
    }

    #[test]
    fn a_reader_is_read_as_named() {
        let mut readers = Readers::default();
        for number in 0..100 {
            for time in [0, -1, 1_760_000_000_000, -(1 << 47), (1 << 47) - 1] {
                let reader = Reader {
                    time,
                    ..reader(number * 41, Some(5), 9)
                };
                readers.name(&reader);
                let key = short(reader.visit);
                let named = Known {
                    visit: reader.visit,
                    time,
                    app: reader.app,
                    told: reader.told,
                };
                assert_eq!(readers.of(key, 9), Some(named));
                assert_eq!(readers.of(key, 8), None);
                assert_eq!(readers.settle(key, 9), Some(named));
                assert_eq!([readers.bore(key), readers.bore(key)], [1, 2]);
            }
        }
    }

    proptest! {
        /// Against a plain list from the longest unused to the last used.
        #[test]
        fn who_comes_back_is_found(
            calls in prop::collection::vec((0u64..12, prop::option::of(0i64..5), 0u64..3), 0..120),
        ) {
            let mut readers = Readers::new(6);
            let mut plain: Vec<(u64, Option<i64>, u64)> = Vec::new();
            for (number, visitor, content) in calls {
                let new = reader(number, visitor, content);
                let own = short(new.visit);
                if let Some(visitor) = visitor {
                    let at = plain.iter().position(|known| known.1 == Some(visitor) && known.2 == content);
                    let first = at.map(|at| plain[at].0);
                    prop_assert_eq!(readers.known(content, visitor), first);
                    prop_assert_eq!(readers.first_visit(content, visitor), first);
                    if let Some(at) = at {
                        let known = plain.remove(at);
                        plain.push(known);
                        if Some(own) != first {
                            continue;
                        }
                    }
                }
                readers.name(&new);
                plain.retain(|known| known.0 != own);
                plain.push((own, visitor, content));
                if plain.len() > 6 {
                    plain.remove(0);
                }
                prop_assert_eq!(readers.len(), plain.len());
                let bytes = postcard::to_allocvec(&readers).expect("writes");
                readers = postcard::from_bytes(&bytes).expect("reads");
                prop_assert_eq!(postcard::to_allocvec(&readers).expect("writes"), bytes);
            }
        }
    }
}
