//! The signal to stop, for tasks and for the threads that gather batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Turns once, from running to stopping.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    flag: Arc<AtomicBool>,
    turned: watch::Sender<bool>,
}

impl Stop {
    pub(crate) fn new() -> Stop {
        Stop {
            flag: Arc::default(),
            turned: watch::Sender::new(false),
        }
    }

    pub(crate) fn turn(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.turned.send_replace(true);
    }

    pub(crate) fn is_turned(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Waits so long, or until it turns. True where it turned.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        let mut turned = self.turned.subscribe();
        let _ = tokio::time::timeout(pause, turned.wait_for(|stop| *stop)).await;
        self.is_turned()
    }
}
