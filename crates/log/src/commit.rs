//! What one transaction changes.

use std::collections::BTreeMap;

use crate::key::{Key, Route};

/// Whether a commit must survive a crash by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk when the commit returns.
    Durable,
    /// It may be lost by a crash, together with everything after it, until the next durable
    /// commit. For outputs that are a function of durable inputs. Kafka knows no such thing: there
    /// every commit is durable.
    Replayable,
}

/// Where a consumer stands in a partition of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Offset of the next record to read.
    pub offset: u64,
    /// The consumer's own words, such as the sink's plan. On Kafka UTF-8, at most 4096 bytes.
    pub metadata: Vec<u8>,
}

/// A small value with its key.
pub type KeyValue = (Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
pub(crate) struct Appended {
    pub(crate) bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    pub(crate) ends: Vec<usize>,
    /// Where each goes; only the home that has partitions reads it.
    pub(crate) routes: Vec<Route>,
}

impl Appended {
    /// The records with where they go, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Route, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends).zip(&self.routes);
        spans.map(|((start, end), route)| (*route, &self.bytes[start..*end]))
    }
}

/// A move of one consumer in one topic of the local home.
#[derive(Debug)]
pub(crate) struct Advance {
    pub(crate) consumer: String,
    pub(crate) topic: String,
    pub(crate) from: u64,
    pub(crate) to: Position,
}

/// What one transaction changes. Build it, commit it, [`clear`](Commit::clear) and reuse.
#[derive(Debug, Default)]
pub struct Commit {
    pub(crate) appended: BTreeMap<&'static str, Appended>,
    pub(crate) positions: Vec<Advance>,
    pub(crate) values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Commit {
    /// Appends one record to a topic, to whichever partition: for records whose neighbours do not
    /// matter. What is keyed goes in by [`append_keyed`](Self::append_keyed).
    pub fn append(&mut self, topic: &'static str, record: &[u8]) {
        self.append_with(topic, |bytes| bytes.extend_from_slice(record));
    }

    /// Appends one record that `write` puts at the end of the buffer; saves a copy.
    pub fn append_with(&mut self, topic: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        let wrote: Result<(), std::convert::Infallible> = self.put_in(topic, Route::Own, |bytes| {
            write(bytes);
            Ok(())
        });
        match wrote {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Like [`append_with`](Self::append_with); on an error nothing is appended.
    ///
    /// # Errors
    /// That of `write`.
    pub fn try_append_with<E>(
        &mut self,
        topic: &'static str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put_in(topic, Route::Own, write)
    }

    /// Appends one record that `write` puts at the end of the buffer, to the partition of its key,
    /// behind every earlier record of that key. On an error nothing is appended.
    ///
    /// # Errors
    /// That of `write`.
    pub fn append_keyed<E>(
        &mut self,
        topic: &'static str,
        key: Key,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put_in(topic, Route::Key(key), write)
    }

    /// Appends one record to one partition: for what goes back to where it came from. The local
    /// home has one partition, and takes every record into that.
    ///
    /// # Errors
    /// That of `write`.
    pub fn append_to<E>(
        &mut self,
        topic: &'static str,
        partition: i32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put_in(topic, Route::Partition(partition), write)
    }

    /// Appends a copy of one record to every partition of a topic: for time, which passes
    /// everywhere.
    ///
    /// # Errors
    /// That of `write`.
    pub fn append_to_every<E>(
        &mut self,
        topic: &'static str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put_in(topic, Route::Every, write)
    }

    fn put_in<E>(
        &mut self,
        topic: &'static str,
        route: Route,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let appended = self.appended.entry(topic).or_default();
        let start = appended.bytes.len();
        if let Err(error) = write(&mut appended.bytes) {
            appended.bytes.truncate(start);
            return Err(error);
        }
        appended.ends.push(appended.bytes.len());
        appended.routes.push(route);
        Ok(())
    }

    /// Moves a consumer from `from` to `to` in an input topic of the local home. The commit is
    /// refused where the consumer does not stand at `from`. Through a
    /// [`Partition`](crate::Partition), its own commit does this in any home.
    pub fn advance(&mut self, consumer: &str, topic: &str, from: u64, to: Position) {
        self.positions.push(Advance {
            consumer: consumer.to_owned(),
            topic: topic.to_owned(),
            from,
            to,
        });
    }

    /// Sets a small value of the local home. Kafka keeps none: there a commit with one is refused.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) {
        self.values.insert(key.to_vec(), Some(value));
    }

    /// Removes a small value of the local home.
    pub fn remove(&mut self, key: &[u8]) {
        self.values.insert(key.to_vec(), None);
    }

    /// Bytes of records in it so far.
    pub fn appended_bytes(&self) -> usize {
        self.appended
            .values()
            .map(|appended| appended.bytes.len())
            .sum()
    }

    /// The records in it so far with their topics, by topic and in order within each.
    pub fn records(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.appended.iter().flat_map(|(topic, appended)| {
            let records = appended.iter();
            records.map(move |(_, record)| (*topic, record))
        })
    }

    /// How many records it appends to a topic so far.
    pub fn appended_records(&self, topic: &str) -> usize {
        self.appended
            .get(topic)
            .map_or(0, |appended| appended.ends.len())
    }

    /// True where it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
            && self.values.is_empty()
            && self
                .appended
                .values()
                .all(|appended| appended.ends.is_empty())
    }

    /// Forgets everything, keeping the buffers.
    pub fn clear(&mut self) {
        for appended in self.appended.values_mut() {
            appended.bytes.clear();
            appended.ends.clear();
            appended.routes.clear();
        }
        self.positions.clear();
        self.values.clear();
    }
}

/// What a commit to the local home gave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// By topic: offset of the first record appended to it.
    pub first_offsets: BTreeMap<&'static str, u64>,
}
