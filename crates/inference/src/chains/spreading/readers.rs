//! Who has read what: the names behind the keys of arrivals.

use grapevine_event::Id;
use serde::{Deserialize, Serialize};

use super::broadcasts::Links;
use crate::recent::Recent;

/// Readers whose visits can be named: 62 bytes each.
const NAMED_MAX: u32 = 262_144;
/// Readers whose returns are recognised: 31 bytes each.
const SEEN_MAX: u32 = 458_752;
/// Tokens given by buttons and copies that have not come back: 23 bytes each.
const GIVEN_MAX: u32 = 65_536;

/// One reader's first visit of a content.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Reader {
    pub(super) visit: Id,
    pub(super) time: i64,
    /// Key of the content, and which clock it lives by.
    pub(super) content: u64,
    pub(super) clock: u8,
    pub(super) app: u16,
    /// Certain children.
    pub(super) children: u16,
    /// True once its causes are settled.
    pub(super) settled: bool,
    /// True where its cause was said at once, or is known to be the outside: nothing is inferred.
    pub(super) told: bool,
}

/// Readers of all contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Readers {
    named: Recent<Reader>,
    /// Reader of a content to the key of the first visit.
    seen: Recent<u64>,
    given: Recent<()>,
    /// Links of theirs that brought others.
    pub(super) links: Links,
}

impl Default for Readers {
    fn default() -> Self {
        Readers {
            named: Recent::new(NAMED_MAX),
            seen: Recent::new(SEEN_MAX),
            given: Recent::new(GIVEN_MAX),
            links: Links::default(),
        }
    }
}

impl Readers {
    /// Key of the reader's first visit of the content; that of this one where it is the first.
    pub(super) fn first_visit(&mut self, reader: u64, key: u64) -> u64 {
        if let Some(first) = self.seen.get(reader) {
            return *first;
        }
        self.seen.set(reader, key);
        key
    }

    /// Key of the reader's first visit, where one is known.
    pub(super) fn known(&self, reader: u64) -> Option<u64> {
        self.seen.peek(reader).copied()
    }

    /// Content and clock of the reader that has to be forgotten for one more, where its causes are
    /// not settled.
    pub(super) fn unsettled_to_forget(&self) -> Option<(u8, u64)> {
        if self.named.len() < NAMED_MAX as usize {
            return None;
        }
        let (_, oldest) = self.named.oldest()?;
        (!oldest.settled).then_some((oldest.clock, oldest.content))
    }

    pub(super) fn name(&mut self, key: u64, reader: Reader) {
        self.named.set(key, reader);
    }

    /// A reader of a content by key.
    pub(super) fn of(&self, key: u64, content: u64) -> Option<&Reader> {
        let reader = self.named.peek(key)?;
        (reader.content == content).then_some(reader)
    }

    pub(super) fn of_mut(&mut self, key: u64, content: u64) -> Option<&mut Reader> {
        let reader = self.named.peek_mut(key)?;
        (reader.content == content).then_some(reader)
    }

    /// Counts a certain child of a reader; how many there are.
    pub(super) fn bore(&mut self, key: u64) -> u16 {
        // Whoever has children is to be kept.
        self.named.get(key).map_or(1, |reader| {
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
        self.named.len() + self.seen.len() + self.given.len() + self.links.len()
    }
}
