//! Leave to read a partition, and to commit to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether a partition may still be read and committed to.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Who the replica was in its group when it was given the partition. As another it was out of
    /// the group in between, and somebody else may have held it.
    member: String,
    wanted_back: AtomicBool,
    revoked: AtomicBool,
    /// Locked while its holder takes records out of the client's queue, or moves it: the next holder
    /// in the same process has the same queue.
    reading: Mutex<()>,
}

impl Lease {
    pub(crate) fn of(member: String) -> Lease {
        Lease {
            member,
            wanted_back: AtomicBool::new(false),
            revoked: AtomicBool::new(false),
            reading: Mutex::default(),
        }
    }

    /// Whether it was given to `member`.
    pub(crate) fn is_of(&self, member: &str) -> bool {
        self.member == member
    }

    pub(crate) fn want_back(&self) {
        self.wanted_back.store(true, Ordering::Release);
    }

    /// Takes it. On return its holder takes nothing more out of the queue, which may go to another.
    pub(crate) fn revoke(&self) {
        self.want_back();
        self.revoked.store(true, Ordering::Release);
        drop(self.reading.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Leave to touch the queue, for as long as the guard lives; `None` where it was taken.
    pub(crate) fn reading(&self) -> Option<MutexGuard<'_, ()>> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.is_revoked()).then_some(reading)
    }

    pub(crate) fn is_wanted_back(&self) -> bool {
        self.wanted_back.load(Ordering::Acquire)
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_read_any_more() {
        let lease = Lease::of("one".to_owned());
        let reading = lease.reading().expect("held");
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| lease.revoke());
            while !lease.is_revoked() {
                std::thread::yield_now();
            }
            // Its holder is still at the queue.
            assert!(!taking.is_finished());
            drop(reading);
            taking.join().expect("no panic");
            assert!(lease.reading().is_none());
        });
    }
}
