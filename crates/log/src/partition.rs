//! What a consumer asks of one partition of a topic, in either home of the log.

use std::time::Duration;

use crate::batch::Batch;
use crate::commit::{Commit, Durability, Position};
use crate::error::LogError;

/// One partition of a topic, held by one consumer: the contract of both homes.
///
/// A holder reads from an offset on, works out what follows, and commits that together with the
/// offset it got to. After a crash at any moment either all of a commit is there or none.
///
/// Offsets grow but may leave gaps: Kafka spends some on marks of its own. The offset to go on
/// from is [`Batch::next_offset`], never a count.
///
/// Reading and committing may go on at the same time, from two threads; two readers or two
/// committers of one partition may not.
pub trait Partition: Send + Sync {
    /// The topic.
    fn topic(&self) -> &str;

    /// The number of the partition.
    fn partition(&self) -> i32;

    /// Where the consumer stands by its last commit; offset 0 and no metadata where it never
    /// committed.
    ///
    /// # Errors
    /// Those of the home.
    fn position(&self) -> Result<Position, LogError>;

    /// Asks whether the consumer still stands there. Somebody else may have moved it on, and this
    /// holder not have heard yet: then what it sees elsewhere is not what it thinks.
    ///
    /// # Errors
    /// [`LogError::Revoked`] where it does not, and those of the home.
    fn confirm(&self) -> Result<(), LogError>;

    /// Offset that follows the last record that can be read now.
    ///
    /// # Errors
    /// Those of the home.
    fn end(&self) -> Result<u64, LogError>;

    /// Reads from `offset` on, about `bytes_max` bytes of records; empty only where nothing is
    /// there yet. One record may be larger than `bytes_max`, and comes alone.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] where the offset is no longer kept, [`LogError::Registry`] where what
    /// comes next cannot be read yet, [`LogError::Revoked`], and those of the home.
    fn read(&self, offset: u64, bytes_max: usize) -> Result<Batch, LogError>;

    /// Like [`read`](Self::read), waiting up to `patience` for a record to be there; empty also
    /// where the one that comes next cannot be read yet.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    fn read_waiting(
        &self,
        offset: u64,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Batch, LogError>;

    /// Appends the records of `commit` and moves the consumer from `from` to `to`, at once. Where
    /// it returns well, `commit` is as it was, to be [`clear`](Commit::clear)ed; on an error its
    /// content is not to be relied on.
    ///
    /// # Errors
    /// Whatever the error, the holder must go on from [`position`](Self::position), with a state
    /// that fits it. [`LogError::Aborted`]: nothing of it is in the log, do the work again.
    /// [`LogError::Fenced`] and [`LogError::Revoked`]: somebody else holds the partition, stop.
    /// The rest are the home's own.
    fn commit(
        &self,
        commit: &mut Commit,
        from: u64,
        to: Position,
        durability: Durability,
    ) -> Result<(), LogError>;

    /// True once the home wants the partition back: the holder finishes or gives up what is at
    /// hand and drops this. Commits are taken until then, for some seconds.
    fn wanted_back(&self) -> bool;
}
