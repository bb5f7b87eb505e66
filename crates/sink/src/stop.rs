//! The signal to stop, for tasks and for the threads that gather batches.

use std::time::Duration;

use tokio::sync::watch;

/// Turns once, from running to stopping. Clones are one signal.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Stop {
    pub(crate) fn new() -> Stop {
        Stop(watch::Sender::new(false))
    }

    pub(crate) fn turn(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_turned(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it turns.
    pub(crate) async fn turned(&self) {
        let mut turned = self.0.subscribe();
        // The sender lives as long as this does.
        let _ = turned.wait_for(|stop| *stop).await;
    }

    /// Waits so long, or until it turns. True where it turned.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        let mut turned = self.0.subscribe();
        let _ = tokio::time::timeout(pause, turned.wait_for(|stop| *stop)).await;
        self.is_turned()
    }
}
