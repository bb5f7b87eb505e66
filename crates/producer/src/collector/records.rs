//! Records on their way to the log: encoded, with their topic and where in it they go.

use std::convert::Infallible;

use grapevine_event::topic;
use grapevine_log::{Commit, Key};
use thiserror::Error;

/// Which partition a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Any.
    Any,
    /// That of a key, behind every earlier record of it.
    Key(Key),
    /// Every one, a copy each.
    Every,
}

/// Records of one request, encoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    bytes: Vec<u8>,
    ends: Vec<End>,
}

#[derive(Debug, PartialEq, Eq)]
struct End {
    topic: &'static str,
    route: Route,
    end: usize,
}

/// Bytes that are no records as [`Records::encode`] writes them.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("not the collector's records, at byte {0}: the spool is of another version")]
pub(super) struct NotRecords(usize);

/// What says how a record is routed in its encoded form.
const ANY: u8 = 0;
const KEY: u8 = 1;
const EVERY: u8 = 2;
/// Topic, route, key and length before each record.
const HEADER_BYTES: usize = 10;

impl Records {
    /// Adds what `write` appends; nothing of it where it fails.
    pub(super) fn add<E>(
        &mut self,
        topic: &'static str,
        route: Route,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let end = self.bytes.len();
        self.ends.push(End { topic, route, end });
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = (&End, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| end.end));
        let spans = starts.zip(&self.ends);
        spans.map(|(start, end)| (end, &self.bytes[start..end.end]))
    }

    /// Bytes of all records.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn has_hits(&self) -> bool {
        self.ends.iter().any(|end| end.topic == topic::HITS_RAW)
    }

    /// Adds them to a commit.
    pub(super) fn append_to(&self, commit: &mut Commit) {
        for (end, record) in self.iter() {
            append(commit, end.topic, end.route, record);
        }
    }

    /// Puts them at the end of `out`, so that [`append_encoded`] finds them.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (end, record) in self.iter() {
            let place = topic::ALL.iter().position(|topic| *topic == end.topic);
            // There are fewer than 256 topics, and every one is in the list.
            out.push(place.unwrap_or(usize::from(u8::MAX)) as u8);
            let (route, key) = match end.route {
                Route::Any => (ANY, 0),
                Route::Key(key) => (KEY, key.bits()),
                Route::Every => (EVERY, 0),
            };
            out.push(route);
            out.extend_from_slice(&key.to_le_bytes());
            // A record is smaller than the log's largest, 8 MiB.
            out.extend_from_slice(&(record.len() as u32).to_le_bytes());
            out.extend_from_slice(record);
        }
    }
}

/// Adds encoded records to a commit.
///
/// # Errors
/// Where the bytes are something else; what is before that was added.
pub(super) fn append_encoded(bytes: &[u8], commit: &mut Commit) -> Result<(), NotRecords> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let wrong = NotRecords(bytes.len() - rest.len());
        let Some((header, after)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Err(wrong);
        };
        let [place, route, k0, k1, k2, k3, l0, l1, l2, l3] = *header;
        let key = u32::from_le_bytes([k0, k1, k2, k3]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let route = match route {
            ANY => Route::Any,
            KEY => Route::Key(Key::of_bits(key)),
            EVERY => Route::Every,
            _ => return Err(wrong),
        };
        let topic = topic::ALL.get(usize::from(place));
        let (Some(topic), Some((record, after))) = (topic, after.split_at_checked(length)) else {
            return Err(wrong);
        };
        append(commit, topic, route, record);
        rest = after;
    }
    Ok(())
}

fn append(commit: &mut Commit, topic: &'static str, route: Route, record: &[u8]) {
    let write = |out: &mut Vec<u8>| -> Result<(), Infallible> {
        out.extend_from_slice(record);
        Ok(())
    };
    let appended = match route {
        Route::Any => commit.try_append_with(topic, write),
        Route::Key(key) => commit.append_keyed(topic, key, write),
        Route::Every => commit.append_to_every(topic, write),
    };
    match appended {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Records> {
        let route = prop_oneof![
            Just(Route::Any),
            any::<u32>().prop_map(|bits| Route::Key(Key::of_bits(bits))),
            Just(Route::Every),
        ];
        let record = (
            0..topic::ALL.len(),
            route,
            prop::collection::vec(any::<u8>(), 0..40),
        );
        prop::collection::vec(record, 0..8).prop_map(|all| {
            let mut records = Records::default();
            for (topic, route, bytes) in all {
                let write = |out: &mut Vec<u8>| -> Result<(), ()> {
                    out.extend_from_slice(&bytes);
                    Ok(())
                };
                records.add(topic::ALL[topic], route, write).unwrap();
            }
            records
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_makes_the_same_commit(records in records()) {
            let mut straight = Commit::default();
            records.append_to(&mut straight);
            let mut bytes = Vec::new();
            records.encode(&mut bytes);
            let mut through = Commit::default();
            prop_assert_eq!(append_encoded(&bytes, &mut through), Ok(()));
            prop_assert_eq!(format!("{through:?}"), format!("{straight:?}"));
        }

        #[test]
        fn any_bytes_are_records_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = append_encoded(&bytes, &mut Commit::default());
        }

        #[test]
        fn a_part_is_refused(records in records(), cut in 1usize..10) {
            let mut bytes = Vec::new();
            records.encode(&mut bytes);
            prop_assume!(bytes.len() >= HEADER_BYTES);
            // The last header is cut: its record, if any, is gone as well.
            let last = records.iter().last().map_or(0, |(_, record)| record.len());
            bytes.truncate(bytes.len() - last - cut);
            prop_assert!(append_encoded(&bytes, &mut Commit::default()).is_err());
        }
    }
}
