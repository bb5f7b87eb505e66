//! How many bytes of rows all writers of a process may hold.
//!
//! Two kinds of batch take from it. One that is gathered takes record by record, and closes early
//! where there is no more. One that was planned before ends where its plan says, so it takes the
//! most that it can need at once, before its first record, while it holds nothing. Whoever waits so
//! has nothing that another waits for, and so there is always somebody who can go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often who waits for room looks for it.
const LOOK: Duration = Duration::from_millis(10);

/// One bound for all partitions: a busy one may have what the quiet ones leave. Clones are one
/// budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    used: AtomicUsize,
    /// Batches that wait for all that they need. What can close early leaves room to them.
    waiting: AtomicUsize,
    /// Held by the one that freezes its batch.
    freezing: Mutex<()>,
    /// Most bytes of rows, without the copy that freezing makes.
    rows_max: usize,
}

impl Budget {
    /// Of `bytes_max`, out of which one batch of up to `batch_bytes_max` can be frozen at a time.
    pub(crate) fn new(bytes_max: usize, batch_bytes_max: usize) -> Budget {
        let copy = batch_bytes_max.min(bytes_max / 2);
        Budget(Arc::new(Pool {
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freezing: Mutex::new(()),
            rows_max: bytes_max - copy,
        }))
    }

    /// True where something may be taken. What is taken then may go beyond the bound by one
    /// record for each writer, so that a record larger than what is left does not wait for ever.
    pub(crate) fn has_room(&self) -> bool {
        self.0.used.load(Ordering::Relaxed) < self.0.rows_max
            && self.0.waiting.load(Ordering::Relaxed) == 0
    }

    /// A share of it, empty at first.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
            taken: 0,
        }
    }

    /// A share that has `bytes` to fill, or all of the bound where that is less. Blocks until there
    /// is room; `None` where it `is_over` meanwhile. Only for who holds nothing.
    pub(crate) fn share_of(&self, bytes: usize, is_over: impl Fn() -> bool) -> Option<Share> {
        if let Some(share) = self.reserved(bytes) {
            return Some(share);
        }
        let _waiting = Waiting::new(&self.0.waiting);
        while !is_over() {
            if let Some(share) = self.reserved(bytes) {
                return Some(share);
            }
            std::thread::sleep(LOOK);
        }
        None
    }

    /// The same where there is room now. There always is where nobody else holds anything.
    fn reserved(&self, bytes: usize) -> Option<Share> {
        let bytes = bytes.min(self.0.rows_max);
        let with = |used: usize| {
            let used = used.saturating_add(bytes);
            (used <= self.0.rows_max).then_some(used)
        };
        let used = &self.0.used;
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with)
            .ok()?;
        Some(Share {
            budget: self.clone(),
            bytes: 0,
            taken: bytes,
        })
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }
}

/// Counted as long as somebody waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Waiting<'a> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one batch holds of the budget; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    /// Bytes of its rows.
    bytes: usize,
    /// Bytes that it took of the budget: no fewer.
    taken: usize,
}

impl Share {
    /// Fills it with more, room or not.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        let beyond = self.bytes.saturating_sub(self.taken);
        self.budget.0.used.fetch_add(beyond, Ordering::Relaxed);
        self.taken += beyond;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether another record may be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.budget.has_room()
    }

    /// Copies the rows into what is sent, by `copy`, while no other batch of the process is copied;
    /// then gives back what the share does not fill.
    pub(crate) fn freeze<T>(&mut self, copy: impl FnOnce() -> T) -> T {
        let alone = self.budget.0.freezing.lock();
        let alone = alone.unwrap_or_else(PoisonError::into_inner);
        let frozen = copy();
        drop(alone);
        let left = self.taken - self.bytes;
        self.budget.0.used.fetch_sub(left, Ordering::Relaxed);
        self.taken = self.bytes;
        frozen
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_one_holds_the_others_cannot_until_it_is_given_back() {
        let budget = Budget::new(100, 0);
        let mut first = budget.share();
        let second = budget.share();
        first.take(60);
        assert!(second.has_room());
        first.take(60);
        assert!(!second.has_room());
        assert_eq!(first.bytes(), 120);
        drop(first);
        assert!(second.has_room());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_batch_may_be_copied_within_the_bound() {
        let most = |budget: Budget| budget.reserved(usize::MAX).map(|share| share.taken);
        assert_eq!(most(Budget::new(100, 40)), Some(60));
        // A bound below two batches still has room for rows.
        assert_eq!(most(Budget::new(100, 400)), Some(50));
    }

    #[test]
    fn a_share_takes_what_it_may_need_and_gives_back_what_it_does_not_fill() {
        let budget = Budget::new(100, 0);
        let mut share = budget.reserved(40).expect("room");
        share.take(30);
        assert_eq!((budget.used(), share.bytes()), (40, 30));
        assert_eq!(share.freeze(|| "frozen"), "frozen");
        assert_eq!(budget.used(), 30);
        // More than it was thought to need.
        let mut larger = budget.reserved(40).expect("room");
        larger.take(50);
        assert_eq!(budget.used(), 80);
        assert!(budget.reserved(21).is_none());
        larger.freeze(|| ());
        drop((share, larger));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_can_close_early_leaves_room_to_who_waits_for_all_it_needs() {
        let budget = Budget::new(100, 0);
        let mut growing = budget.share();
        growing.take(50);
        let over = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(10);
        let is_over = || over.load(Ordering::Relaxed) || Instant::now() >= deadline;
        std::thread::scope(|scope| {
            let all = scope.spawn(|| budget.share_of(200, is_over));
            let given_up = scope.spawn(|| budget.share_of(60, is_over));
            while growing.has_room() {
                assert!(Instant::now() < deadline, "nobody waits");
                std::thread::sleep(Duration::from_millis(1));
            }
            over.store(true, Ordering::Relaxed);
            assert!(all.join().expect("ends").is_none());
            assert!(given_up.join().expect("ends").is_none());
            assert!(growing.has_room(), "nobody waits any more");
            over.store(false, Ordering::Relaxed);
            let all = scope.spawn(|| budget.share_of(200, is_over));
            drop(growing);
            let all = all.join().expect("ends").expect("room for it alone");
            assert_eq!((all.taken, budget.used()), (100, 100));
        });
    }
}
