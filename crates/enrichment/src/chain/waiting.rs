//! Landings by a token of nobody known, held until its owner comes.
//!
//! Who passed a link on and who came by it are two visitors: their hits go through two classify tasks
//! and may change places by moments. So such a landing waits until event time has gone on by
//! [`HOLD_MS`]. Where its owner's landing comes by then, both have the places that they would have in
//! order; where not, somebody passed the link on who was never seen. What its reader does meanwhile
//! waits behind it.

use std::collections::{BTreeMap, BTreeSet};

use grapevine_event::Id;
use grapevine_inference::Clock;
use grapevine_inference::chains::HOLD_MS;
use serde::{Deserialize, Serialize};

/// Landings that wait by each clock, at most: of more, the oldest wait no longer.
const WAITING_MAX: usize = 4_096;
/// A longer record does not wait, nor do more than so many bytes behind one landing: 64 MB in all where
/// each is as long as that.
const RECORD_BYTES_MAX: usize = 4_096;
/// Heartbeats of the collector after which a landing waits no longer, whatever clock it lives by: one
/// of a wrong time would wait for ever. They come a second apart at the least.
const HEARTBEATS_MAX: u64 = 8;
/// The same of one that the collector's clock has passed: an import may never end, and what came before
/// the first heartbeat lives by the clock of imports.
const HEARTBEATS_PASSED: u64 = 2;
const CLOCKS: [Clock; 2] = [Clock::Live, Clock::Imported];
/// One landing moves event time by no more than this.
const STEP_MS: i64 = 24 * 3_600_000;

/// Event time and visit: the order in which landings are let go.
type Place = (i64, Id);

/// What a landing that waits is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Key {
    /// The token that it came with.
    Token(u64),
    /// The visit.
    Visit(Id),
    /// Content and pseudonym of its reader.
    Reader(u64, i64),
}

/// Everything that one landing is found by.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Keys {
    /// Key of its token.
    pub(super) token: u64,
    pub(super) visit: Id,
    /// Key of its content.
    pub(super) content: u64,
    pub(super) visitor: Option<i64>,
}

impl Keys {
    fn each(self) -> impl Iterator<Item = Key> {
        let reader = self
            .visitor
            .map(|visitor| Key::Reader(self.content, visitor));
        [Key::Token(self.token), Key::Visit(self.visit)]
            .into_iter()
            .chain(reader)
    }
}

/// A landing that waits, with what came behind it.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    keys: Keys,
    record: Vec<u8>,
    behind: Vec<Vec<u8>>,
    /// Heartbeats that there had been.
    since: u64,
}

/// A landing that waits no longer, and the records that came behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LetGo {
    pub(super) record: Vec<u8>,
    pub(super) behind: Vec<Vec<u8>>,
}

/// What waits by one clock.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Queue {
    landings: BTreeMap<Place, Held>,
    newest: Option<i64>,
}

/// Everything that waits.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Waiting {
    queues: [Queue; 2],
    /// Where each landing is, by all of its keys.
    by_key: BTreeSet<(Key, Clock, Place)>,
    heartbeats: u64,
}

impl Waiting {
    /// True where nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(|queue| queue.landings.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.landings.len()).sum()
    }

    /// Event time goes on.
    pub(super) fn pass(&mut self, clock: Clock, time: i64) {
        let newest = &mut self.queues[clock.index()].newest;
        let known = newest.unwrap_or(time);
        *newest = Some(known.max(time.min(known.saturating_add(STEP_MS))));
    }

    /// The collector says what time it is.
    pub(super) fn heartbeat(&mut self, time: i64) {
        self.heartbeats = self.heartbeats.saturating_add(1);
        let newest = &mut self.queues[Clock::Live.index()].newest;
        *newest = Some(newest.map_or(time, |newest| newest.max(time)));
    }

    /// Holds a landing; false where it may not wait: it comes too late, it is too long, or another is
    /// in its place.
    pub(super) fn put(&mut self, clock: Clock, time: i64, keys: Keys, record: &[u8]) -> bool {
        let place = (time, keys.visit);
        let queue = &mut self.queues[clock.index()];
        let late = queue
            .newest
            .is_some_and(|newest| time <= newest.saturating_sub(HOLD_MS));
        if late || record.len() > RECORD_BYTES_MAX || queue.landings.contains_key(&place) {
            return false;
        }
        let held = Held {
            keys,
            record: record.to_vec(),
            behind: Vec::new(),
            since: self.heartbeats,
        };
        queue.landings.insert(place, held);
        for key in keys.each() {
            self.by_key.insert((key, clock, place));
        }
        true
    }

    /// Puts a record behind the landing with that key; false where none waits or too much is behind it.
    pub(super) fn put_behind(&mut self, key: Key, record: &[u8]) -> bool {
        let Some((clock, place)) = self.find(key) else {
            return false;
        };
        let held = self.queues[clock.index()].landings.get_mut(&place);
        let behind = held.map(|held| &mut held.behind).filter(|behind| {
            let bytes: usize = behind.iter().map(Vec::len).sum();
            bytes + record.len() <= RECORD_BYTES_MAX
        });
        behind.map(|behind| behind.push(record.to_vec())).is_some()
    }

    /// The oldest landing of a clock, where it has waited long enough or too many wait.
    pub(super) fn due(&mut self, clock: Clock) -> Option<LetGo> {
        let queue = &self.queues[clock.index()];
        let (&place, _) = queue.landings.first_key_value()?;
        let by = queue.newest?.saturating_sub(HOLD_MS);
        let due = place.0 <= by || queue.landings.len() > WAITING_MAX;
        due.then(|| self.remove(clock, place)).flatten()
    }

    /// The oldest landing that so many heartbeats came after, the last of which says `time`.
    pub(super) fn outwaited(&mut self, time: i64) -> Option<LetGo> {
        let passed = time.saturating_sub(HOLD_MS);
        let heartbeats = self.heartbeats;
        let is_over = |(place, held): &(&Place, &Held)| {
            let (time, _) = **place;
            let most = match time <= passed {
                true => HEARTBEATS_PASSED,
                false => HEARTBEATS_MAX,
            };
            heartbeats.saturating_sub(held.since) >= most
        };
        let (clock, place) = CLOCKS.into_iter().find_map(|clock| {
            let held = &self.queues[clock.index()].landings;
            let over = held.iter().find(is_over);
            over.map(|(place, _)| (clock, *place))
        })?;
        self.remove(clock, place)
    }

    /// The oldest landing with that key.
    pub(super) fn of_key(&mut self, key: Key) -> Option<LetGo> {
        let (clock, place) = self.find(key)?;
        self.remove(clock, place)
    }

    /// The oldest landing, of an import first: one has ended, and nothing more of it comes.
    pub(super) fn left(&mut self) -> Option<LetGo> {
        let first = |clock: Clock| {
            let (place, _) = self.queues[clock.index()].landings.first_key_value()?;
            Some((clock, *place))
        };
        let Some((clock, place)) = first(Clock::Imported).or_else(|| first(Clock::Live)) else {
            // The next file may be older.
            self.queues[Clock::Imported.index()].newest = None;
            return None;
        };
        self.remove(clock, place)
    }

    fn find(&self, key: Key) -> Option<(Clock, Place)> {
        let from = (key, Clock::Live, (i64::MIN, Id::default()));
        let (known, clock, place) = self.by_key.range(from..).next()?;
        (*known == key).then_some((*clock, *place))
    }

    fn remove(&mut self, clock: Clock, place: Place) -> Option<LetGo> {
        let held = self.queues[clock.index()].landings.remove(&place)?;
        for key in held.keys.each() {
            self.by_key.remove(&(key, clock, place));
        }
        let Held { record, behind, .. } = held;
        Some(LetGo { record, behind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grapevine_inference::{from_bytes, to_bytes};

    const T: i64 = 1_760_000_000_000;

    fn put(waiting: &mut Waiting, clock: Clock, time: i64, number: u8, token: u64) -> bool {
        let keys = Keys {
            token,
            visit: Id([number; 16]),
            content: 5,
            visitor: Some(i64::from(number)),
        };
        waiting.put(clock, time, keys, &[number])
    }

    fn number(let_go: Option<LetGo>) -> Option<u8> {
        let_go.map(|let_go| let_go.record[0])
    }

    #[test]
    fn landings_go_when_their_owner_comes_or_time_has_gone_on() {
        let mut waiting = Waiting::default();
        let clock = Clock::Imported;
        waiting.pass(clock, T);
        assert!(put(&mut waiting, clock, T + 1, 2, 7));
        assert!(put(&mut waiting, clock, T, 1, 7));
        assert!(put(&mut waiting, clock, T + 2, 3, 8));
        assert!(!put(&mut waiting, clock, T + 2, 3, 9), "twice is once");
        assert_eq!((waiting.len(), waiting.due(clock)), (3, None));
        assert_eq!(number(waiting.of_key(Key::Token(7))), Some(1));
        assert_eq!(number(waiting.of_key(Key::Token(7))), Some(2));
        assert_eq!(
            [7, 9].map(|token| waiting.of_key(Key::Token(token))),
            [None, None]
        );
        assert!(waiting.put_behind(Key::Visit(Id([3; 16])), b"a"));
        assert!(waiting.put_behind(Key::Reader(5, 3), b"b"));
        assert!(
            !waiting.put_behind(Key::Visit(Id([1; 16])), b"c"),
            "it has gone"
        );
        waiting.pass(clock, T + HOLD_MS + 1);
        assert_eq!(waiting.due(clock), None);
        waiting.pass(Clock::Live, T + HOLD_MS + 2);
        assert_eq!(waiting.due(clock), None, "another clock");
        waiting.pass(clock, T + HOLD_MS + 2);
        let last = waiting.due(clock).expect("due");
        assert_eq!(last.behind, [b"a".to_vec(), b"b".to_vec()]);
        assert!(waiting.is_empty() && waiting.by_key.is_empty());
        assert!(!put(&mut waiting, clock, T + 2, 4, 9), "too late to wait");
    }

    #[test]
    fn nothing_waits_for_ever() {
        for clock in [Clock::Live, Clock::Imported] {
            let mut waiting = Waiting::default();
            waiting.pass(clock, T);
            // A clock that is ahead: time does not come there.
            assert!(put(&mut waiting, clock, T + 10 * STEP_MS, 1, 7));
            assert!(put(&mut waiting, clock, T, 3, 7));
            for number_of in 1..HEARTBEATS_MAX {
                waiting.heartbeat(T + HOLD_MS);
                let passed = (number_of == HEARTBEATS_PASSED).then_some(3);
                assert_eq!(number(waiting.outwaited(T + HOLD_MS)), passed);
            }
            waiting.heartbeat(T);
            assert_eq!(number(waiting.outwaited(T)), Some(1), "{clock:?}");
            assert!(put(&mut waiting, clock, T + 10 * STEP_MS, 2, 7));
            assert_eq!(number(waiting.left()), Some(2), "an import has ended");
            assert_eq!(waiting.left(), None);
        }
    }

    #[test]
    fn rushes_and_long_records_are_bounded() {
        let mut waiting = Waiting::default();
        let clock = Clock::Live;
        waiting.pass(clock, T);
        waiting.pass(clock, i64::MAX);
        assert_eq!(waiting.queues[clock.index()].newest, Some(T + STEP_MS));
        for at in 0..=WAITING_MAX as i64 {
            assert!(put(&mut waiting, clock, T + STEP_MS + at, 0, 7));
        }
        assert!(waiting.due(clock).is_some());
        assert_eq!((waiting.due(clock), waiting.len()), (None, WAITING_MAX));
        let keys = |visit: u8| Keys {
            token: 1,
            visit: Id([visit; 16]),
            content: 5,
            visitor: None,
        };
        let (time, long) = (T + 2 * STEP_MS, vec![0; RECORD_BYTES_MAX + 1]);
        assert!(!waiting.put(clock, time, keys(9), &long));
        assert!(waiting.put(clock, time, keys(9), &long[1..]));
        let key = Key::Visit(Id([9; 16]));
        assert!(!waiting.put_behind(key, &long) && waiting.put_behind(key, &long[1..]));
        assert!(!waiting.put_behind(key, b"more"));
        let bytes = to_bytes(1, &waiting).expect("writes");
        let again: Waiting = from_bytes(1, &bytes).expect("reads");
        assert_eq!(to_bytes(1, &again).expect("writes"), bytes);
    }
}
