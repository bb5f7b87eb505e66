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
/// of a wrong time would wait for ever.
const HEARTBEATS_MAX: u64 = 8;
/// The same of one whose time the last heartbeat has passed: an import may never end, and what came before
/// the first heartbeat lives by the clock of imports.
const HEARTBEATS_PASSED: u64 = 2;
/// Heartbeats closer than this count once, milliseconds.
const APART_MS: i64 = 1_000;
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
    /// Its reader, by site and pseudonym.
    Reader(u64, i64),
}

/// Where a record belongs that may have to wait behind a landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// No such landing waits.
    Nobody,
    /// It waits there now.
    Waits,
    /// There is no room: the landing with that key has to go first.
    Full(Key),
}

/// Everything that one landing is found by.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Keys {
    /// Key of its token.
    pub(super) token: u64,
    pub(super) visit: Id,
    pub(super) reader: Option<Key>,
}

impl Keys {
    fn each(self) -> impl Iterator<Item = Key> {
        [Key::Token(self.token), Key::Visit(self.visit)]
            .into_iter()
            .chain(self.reader)
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
    places: BTreeSet<(Key, Clock, Place)>,
    /// Heartbeats a second apart or more, and what the last of them said.
    heartbeats: u64,
    counted: Option<i64>,
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
        // Each collector has its own. A clock that was put back says the same time for a while, or less.
        let next = |counted: i64| time <= counted || time >= counted.saturating_add(APART_MS);
        if self.counted.is_none_or(next) {
            self.heartbeats = self.heartbeats.saturating_add(1);
            self.counted = Some(time);
        }
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
            self.places.insert((key, clock, place));
        }
        true
    }

    /// Puts a record behind the landing with one of these keys, the first that is found.
    pub(super) fn put_behind(&mut self, keys: &[Option<Key>], record: &[u8]) -> Behind {
        let found = keys.iter().flatten().find_map(|key| {
            let (clock, place) = self.find(*key)?;
            Some((*key, clock, place))
        });
        let Some((key, clock, place)) = found else {
            return Behind::Nobody;
        };
        let Some(held) = self.queues[clock.index()].landings.get_mut(&place) else {
            return Behind::Nobody;
        };
        let bytes: usize = held.behind.iter().map(Vec::len).sum();
        if bytes + record.len() > RECORD_BYTES_MAX {
            return Behind::Full(key);
        }
        held.behind.push(record.to_vec());
        Behind::Waits
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
    pub(super) fn by_key(&mut self, key: Key) -> Option<LetGo> {
        let (clock, place) = self.find(key)?;
        self.remove(clock, place)
    }

    /// An import has ended: the oldest landing of an import, then those by the collector's clock that no
    /// heartbeat came after, since none may come any more.
    pub(super) fn left(&mut self) -> Option<LetGo> {
        let imported = self.queues[Clock::Imported.index()].landings.iter().next();
        if let Some((&place, _)) = imported {
            return self.remove(Clock::Imported, place);
        }
        // The next file may be older.
        self.queues[Clock::Imported.index()].newest = None;
        let heartbeats = self.heartbeats;
        let mut live = self.queues[Clock::Live.index()].landings.iter();
        let (&place, _) = live.find(|(_, held)| held.since == heartbeats)?;
        self.remove(Clock::Live, place)
    }

    fn find(&self, key: Key) -> Option<(Clock, Place)> {
        let from = (key, Clock::Live, (i64::MIN, Id::default()));
        let (known, clock, place) = self.places.range(from..).next()?;
        (*known == key).then_some((*clock, *place))
    }

    fn remove(&mut self, clock: Clock, place: Place) -> Option<LetGo> {
        let held = self.queues[clock.index()].landings.remove(&place)?;
        for key in held.keys.each() {
            self.places.remove(&(key, clock, place));
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
            reader: Some(Key::Reader(5, i64::from(number))),
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
        assert_eq!(number(waiting.by_key(Key::Token(7))), Some(1));
        assert_eq!(number(waiting.by_key(Key::Token(7))), Some(2));
        assert_eq!(
            [7, 9].map(|token| waiting.by_key(Key::Token(token))),
            [None, None]
        );
        let [third, first] = [3, 1].map(|visit| Some(Key::Visit(Id([visit; 16]))));
        let reader = Some(Key::Reader(5, 3));
        assert_eq!(waiting.put_behind(&[third], b"a"), Behind::Waits);
        assert_eq!(
            waiting.put_behind(&[first, None, reader], b"b"),
            Behind::Waits
        );
        assert_eq!(
            waiting.put_behind(&[first], b"c"),
            Behind::Nobody,
            "it has gone"
        );
        waiting.pass(clock, T + HOLD_MS + 1);
        assert_eq!(waiting.due(clock), None);
        waiting.pass(Clock::Live, T + HOLD_MS + 2);
        assert_eq!(waiting.due(clock), None, "another clock");
        waiting.pass(clock, T + HOLD_MS + 2);
        let last = waiting.due(clock).expect("due");
        assert_eq!(last.behind, [b"a".to_vec(), b"b".to_vec()]);
        assert!(waiting.is_empty() && waiting.places.is_empty());
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
            let mut time = T + HOLD_MS;
            for counted in 1..HEARTBEATS_MAX {
                time += APART_MS;
                waiting.heartbeat(time);
                // Another collector's.
                waiting.heartbeat(time + APART_MS / 2);
                let passed = (counted == HEARTBEATS_PASSED).then_some(3);
                assert_eq!(number(waiting.outwaited(time)), passed);
            }
            // The clock was put back.
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
            reader: None,
        };
        let (time, long) = (T + 2 * STEP_MS, vec![0; RECORD_BYTES_MAX + 1]);
        assert!(!waiting.put(clock, time, keys(9), &long));
        assert!(waiting.put(clock, time, keys(9), &long[1..]));
        let key = Key::Visit(Id([9; 16]));
        let full = Behind::Full(key);
        assert_eq!(waiting.put_behind(&[Some(key)], &long), full);
        assert_eq!(waiting.put_behind(&[Some(key)], &long[1..]), Behind::Waits);
        assert_eq!(waiting.put_behind(&[Some(key)], b"more"), full);
        let bytes = to_bytes(1, &waiting).expect("writes");
        let again: Waiting = from_bytes(1, &bytes).expect("reads");
        assert_eq!(to_bytes(1, &again).expect("writes"), bytes);
    }
}
