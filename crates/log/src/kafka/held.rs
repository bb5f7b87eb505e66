//! The partitions that a replica holds, and how they are taken from their holders.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lease::Lease;

/// Topic and number of a partition.
pub(super) type Place = (Arc<str>, i32);

/// Partitions that are held.
#[derive(Debug, Default)]
pub(crate) struct Held {
    leases: Mutex<BTreeMap<Place, Arc<Lease>>>,
    released: Condvar,
}

impl Held {
    pub(super) fn hold(&self, topic: Arc<str>, partition: i32, lease: Arc<Lease>) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert((topic, partition), lease);
    }

    /// Whether a partition has a holder, and it was given to `member`.
    pub(super) fn is_of(&self, place: &Place, member: &str) -> bool {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(place).is_some_and(|lease| lease.is_of(member))
    }

    /// The holder is done.
    pub(crate) fn release(&self, topic: &Arc<str>, partition: i32, lease: &Arc<Lease>) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(topic), partition);
        if leases
            .get(&key)
            .is_some_and(|held| Arc::ptr_eq(held, lease))
        {
            leases.remove(&key);
        }
        self.released.notify_all();
    }

    /// Asks for partitions back and waits for them; those that are not back by then are taken.
    pub(super) fn want_back(&self, wanted: &[Place], grace: Duration) {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        for key in wanted {
            if let Some(lease) = leases.get(key) {
                lease.want_back();
            }
        }
        let (mut leases, waited) = self
            .released
            .wait_timeout_while(leases, grace, |leases| {
                wanted.iter().any(|key| leases.contains_key(key))
            })
            .unwrap_or_else(PoisonError::into_inner);
        if !waited.timed_out() {
            return;
        }
        for key in wanted {
            if let Some(lease) = leases.remove(key) {
                tracing::warn!(topic = %key.0, partition = key.1, "taken from its holder after the grace period");
                lease.revoke();
            }
        }
    }

    pub(super) fn revoke(&self, taken: &[Place]) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        for key in taken {
            if let Some(lease) = leases.remove(key) {
                lease.revoke();
            }
        }
    }

    pub(super) fn revoke_all(&self) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, lease) in std::mem::take(&mut *leases) {
            lease.revoke();
        }
    }
}
