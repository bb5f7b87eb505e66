//! Landings by a token of nobody known, held until its owner comes.
//!
//! Who passed a link on and who came by it are two visitors: their hits go through two classify tasks
//! and may change places by moments. So such a landing waits until event time has gone on by
//! [`HOLD_MS`]. Where its owner's landing comes by then, both have the places that they would have in
//! order; where not, somebody passed the link on who was never seen.

use std::collections::{BTreeMap, BTreeSet};

use grapevine_event::Id;
use grapevine_inference::Clock;
use grapevine_inference::chains::HOLD_MS;
use serde::{Deserialize, Serialize};

/// Landings that wait by each clock, at most: of more, the oldest wait no longer. 1 kB each.
const WAITING_MAX: usize = 4_096;
/// A landing this far ahead of everything else has a wrong clock: it does not wait for its time, nor moves
/// that of others further.
const AHEAD_MS: i64 = 24 * 3_600_000;

/// Event time and visit: the order in which landings are let go.
type Place = (i64, Id);

/// What waits by one clock.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Queue {
    /// Token and record of each landing.
    landings: BTreeMap<Place, (u64, Vec<u8>)>,
    by_token: BTreeSet<(u64, Place)>,
    newest: Option<i64>,
}

impl Queue {
    fn remove(&mut self, place: Place) -> Option<Vec<u8>> {
        let (token, record) = self.landings.remove(&place)?;
        self.by_token.remove(&(token, place));
        Some(record)
    }
}

/// Everything that waits.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Waiting([Queue; 2]);

impl Waiting {
    /// Event time goes on. A single time far ahead moves it no further than a day.
    pub(super) fn pass(&mut self, clock: Clock, time: i64) {
        let newest = &mut self.0[clock.index()].newest;
        let known = newest.unwrap_or(time);
        *newest = Some(known.max(time.min(known.saturating_add(AHEAD_MS))));
    }

    /// The collector says what time it is.
    pub(super) fn heartbeat(&mut self, time: i64) {
        let newest = &mut self.0[Clock::Live.index()].newest;
        *newest = Some(newest.map_or(time, |newest| newest.max(time)));
    }

    /// True where a landing of that time may wait: it neither comes too late nor has a wrong clock.
    pub(super) fn takes(&self, clock: Clock, time: i64) -> bool {
        let newest = self.0[clock.index()].newest.unwrap_or(time);
        time > newest.saturating_sub(HOLD_MS) && time <= newest.saturating_add(AHEAD_MS)
    }

    /// Holds a landing, by the key of the token that it came with.
    pub(super) fn put(&mut self, clock: Clock, place: Place, token: u64, record: &[u8]) {
        let queue = &mut self.0[clock.index()];
        // One that comes twice waits once.
        queue
            .landings
            .entry(place)
            .or_insert_with(|| (token, record.to_vec()));
        queue.by_token.insert((token, place));
    }

    /// The record that has waited longest, where it has waited long enough or too many wait.
    pub(super) fn due(&mut self, clock: Clock) -> Option<Vec<u8>> {
        let queue = &mut self.0[clock.index()];
        let (&place, _) = queue.landings.first_key_value()?;
        let by = queue.newest?.saturating_sub(HOLD_MS);
        let due = place.0 <= by || queue.landings.len() > WAITING_MAX;
        due.then(|| queue.remove(place)).flatten()
    }

    /// The oldest record that waits for the owner of that token, of either clock.
    pub(super) fn of_token(&mut self, token: u64) -> Option<Vec<u8>> {
        for queue in &mut self.0 {
            let from = (token, (i64::MIN, Id::default()));
            let first = queue.by_token.range(from..).next();
            if let Some(&(known, place)) = first
                && known == token
            {
                return queue.remove(place);
            }
        }
        None
    }

    /// The oldest record of an import that has ended: nothing more comes.
    pub(super) fn left(&mut self) -> Option<Vec<u8>> {
        let queue = &mut self.0[Clock::Imported.index()];
        let first = queue.landings.first_key_value().map(|(place, _)| *place);
        if first.is_none() {
            // The next file may be older.
            queue.newest = None;
        }
        queue.remove(first?)
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|queue| queue.landings.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_760_000_000_000;

    fn place(time: i64, number: u8) -> Place {
        (time, Id([number; 16]))
    }

    #[test]
    fn landings_go_when_their_owner_comes_or_time_has_gone_on() {
        let mut waiting = Waiting::default();
        let clock = Clock::Imported;
        waiting.pass(clock, T);
        waiting.put(clock, place(T + 1, 2), 7, b"second");
        waiting.put(clock, place(T, 1), 7, b"first");
        waiting.put(clock, place(T + 2, 3), 8, b"third");
        // Twice is once.
        waiting.put(clock, place(T + 2, 3), 8, b"third");
        assert_eq!((waiting.len(), waiting.due(clock)), (3, None));
        assert_eq!(waiting.of_token(7).as_deref(), Some(&b"first"[..]));
        assert_eq!(waiting.of_token(7).as_deref(), Some(&b"second"[..]));
        assert_eq!((waiting.of_token(7), waiting.of_token(6)), (None, None));
        waiting.pass(clock, T + HOLD_MS + 1);
        assert_eq!(waiting.due(clock), None);
        waiting.pass(Clock::Live, T + HOLD_MS + 2);
        assert_eq!(waiting.due(clock), None, "another clock");
        waiting.pass(clock, T + HOLD_MS + 2);
        assert_eq!(waiting.due(clock).as_deref(), Some(&b"third"[..]));
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn wrong_clocks_and_rushes_are_bounded() {
        let mut waiting = Waiting::default();
        let clock = Clock::Live;
        waiting.pass(clock, T);
        waiting.pass(clock, i64::MAX);
        assert!(waiting.takes(clock, T + AHEAD_MS - HOLD_MS + 1));
        assert!(!waiting.takes(clock, T), "a day is too late");
        assert!(!waiting.takes(clock, T + 3 * AHEAD_MS));
        for number in 0..=WAITING_MAX {
            let at = place(T + AHEAD_MS + number as i64, 0);
            waiting.put(clock, at, number as u64, b"");
        }
        assert!(waiting.due(clock).is_some());
        assert_eq!((waiting.due(clock), waiting.len()), (None, WAITING_MAX));
        waiting.heartbeat(i64::MAX);
        assert!(waiting.due(clock).is_some());
        assert_eq!(waiting.left(), None, "none is of an import");
    }
}
