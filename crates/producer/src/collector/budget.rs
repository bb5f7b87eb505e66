//! Memory for bodies, and for the records that they become: so many bytes for all requests at
//! once, taken as they arrive and as these are made.
//!
//! What counts is the room of the buffers, not what senders say that they will send: who sends
//! nothing holds nothing. Small bodies are free, so that a page's hits pay nothing and are taken
//! when large ones are put off.

use std::io::{self, Read};
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What every buffer may have besides. As much as the server's own first buffer of every
/// connection: what small bodies take is bounded with the connections.
const FREE_BYTES: usize = 8 * 1024;

/// Bytes that all requests may take.
#[derive(Debug)]
pub(super) struct Budget(Arc<Semaphore>);

/// The others take all of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Budget {
    /// Room for so many bytes.
    pub(super) fn new(bytes: usize) -> Budget {
        Budget(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, NoRoom> {
        let bytes = u32::try_from(bytes).map_err(|_| NoRoom)?;
        let taken = Arc::clone(&self.0).try_acquire_many_owned(bytes);
        taken.map_err(|_| NoRoom)
    }
}

/// What something that grows takes of a budget. Dropped, it gives that back.
#[derive(Debug, Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Share {
    /// Takes as much as makes it `bytes` in all, nothing where it has these.
    pub(super) fn hold(&mut self, bytes: usize, budget: &Budget) -> Result<(), NoRoom> {
        let taken = self.0.as_ref();
        let taken = taken.map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes > taken {
            let added = budget.take(bytes - taken)?;
            match &mut self.0 {
                Some(taken) => taken.merge(added),
                None => self.0 = Some(added),
            }
        }
        Ok(())
    }
}

/// A body, or as much of it as has come. Dropped, it gives back what it took.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// What its room takes beside [`FREE_BYTES`].
    taken: Share,
}

impl Buffer {
    /// Makes room for `more` bytes, and for those that may follow: twice as much as before, but no
    /// more than `bytes_max` in all where these suffice.
    pub(super) fn reserve(
        &mut self,
        more: usize,
        bytes_max: usize,
        budget: &Budget,
    ) -> Result<(), NoRoom> {
        let needed = self.bytes.len() + more;
        let has = self.bytes.capacity();
        if needed <= has {
            return Ok(());
        }
        let wished = needed.max(2 * has).max(FREE_BYTES);
        let room = wished.min(bytes_max.max(needed));
        self.taken.hold(room.saturating_sub(FREE_BYTES), budget)?;
        self.bytes.reserve_exact(room - self.bytes.len());
        Ok(())
    }

    /// Adds what came, where `bytes_max` are expected at most.
    pub(super) fn extend(
        &mut self,
        data: &[u8],
        bytes_max: usize,
        budget: &Budget,
    ) -> Result<(), NoRoom> {
        self.reserve(data.len(), bytes_max, budget)?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Reads into the room that there is; true where `from` came to its end before that was full.
    pub(super) fn fill(&mut self, from: &mut impl Read) -> io::Result<bool> {
        let room = self.bytes.capacity() - self.bytes.len();
        let read = from.take(room as u64).read_to_end(&mut self.bytes)?;
        Ok(read < room)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Budget {
        /// What is not taken now.
        pub(in super::super) fn left(&self) -> usize {
            self.0.available_permits()
        }
    }

    #[test]
    fn small_bodies_are_free_and_others_pay_for_their_room_until_they_are_gone() {
        let budget = Budget::new(100 * 1024);
        let mut small = Buffer::default();
        small.extend(&[1; FREE_BYTES], usize::MAX, &budget).unwrap();
        assert_eq!(budget.left(), 100 * 1024);
        let mut large = Buffer::default();
        large.extend(&[2; 100], 60 * 1024, &budget).unwrap();
        assert_eq!(budget.left(), 100 * 1024, "what is announced costs nothing");
        let data = [2; 60 * 1024 - 100];
        large.extend(&data, 60 * 1024, &budget).unwrap();
        assert_eq!(budget.left(), 48 * 1024);
        let mut other = Buffer::default();
        let refused = other.extend(&[3; 60 * 1024], usize::MAX, &budget);
        assert_eq!(refused, Err(NoRoom));
        assert!(other.is_empty());
        assert_eq!(budget.left(), 48 * 1024, "who is refused takes nothing");
        drop(large);
        assert_eq!(budget.left(), 100 * 1024);
        other.extend(&[3; 60 * 1024], usize::MAX, &budget).unwrap();
        assert_eq!(&other[..], [3; 60 * 1024]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_there_and_counts(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..20),
            announced in prop::option::of(0..100_000_usize),
        ) {
            let budget = Budget::new(1 << 20);
            let mut buffer = Buffer::default();
            let bytes_max = announced.unwrap_or(usize::MAX);
            for piece in &pieces {
                buffer.extend(piece, bytes_max, &budget).unwrap();
                let paid = (1 << 20) - budget.left();
                prop_assert!(paid + FREE_BYTES >= buffer.bytes.capacity());
                prop_assert!(paid <= 2 * buffer.len(), "twice what came at most");
            }
            prop_assert_eq!(&buffer[..], pieces.concat());
            drop(buffer);
            prop_assert_eq!(budget.left(), 1 << 20);
        }

        #[test]
        fn what_is_read_is_there_and_its_end_is_found(
            source in prop::collection::vec(any::<u8>(), 0..40_000),
            bytes_max in 1..50_000_usize,
        ) {
            let budget = Budget::new(1 << 20);
            let mut buffer = Buffer::default();
            let mut from = source.as_slice();
            let mut ended = false;
            while !ended && buffer.len() < bytes_max {
                buffer.reserve(1, bytes_max, &budget).unwrap();
                ended = buffer.fill(&mut from).unwrap();
                let paid = (1 << 20) - budget.left();
                prop_assert!(paid + FREE_BYTES >= buffer.bytes.capacity());
            }
            prop_assert_eq!(ended, source.len() < bytes_max);
            prop_assert_eq!(&buffer[..], &source[..source.len().min(bytes_max)]);
        }
    }
}
