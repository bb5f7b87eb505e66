//! How many bytes of rows all writers of a process may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One bound for all partitions: a busy one may have what the quiet ones leave. Clones are one
/// budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Budget {
        Budget {
            used: Arc::default(),
            bytes_max,
        }
    }

    /// True where something may be taken. What is taken then may go beyond the bound by one
    /// record for each writer, so that a record larger than what is left does not wait for ever.
    pub(crate) fn has_room(&self) -> bool {
        self.used.load(Ordering::Relaxed) < self.bytes_max
    }

    /// A share of it, empty at first.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// Bytes that one batch holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes more, room or not.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether another record may be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.budget.has_room()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_the_others_cannot_until_it_is_given_back() {
        let budget = Budget::new(100);
        let mut first = budget.share();
        let second = budget.share();
        first.take(60);
        assert!(second.has_room());
        first.take(60);
        assert!(!second.has_room());
        assert_eq!(first.bytes(), 120);
        drop(first);
        assert!(second.has_room());
    }
}
