//! How a service stops: asked by a signal, in good order, within its grace period.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::health::Health;

/// Says to every part of a service when to stop, and how long it may take. Clones are one signal.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// When it was asked, once it was.
    asked: watch::Sender<Option<Instant>>,
    grace: Duration,
    health: Health,
}

impl Shutdown {
    /// Nothing is asked yet. `grace` is what stopping may take, 1 second or more.
    pub fn new(grace: Duration, health: Health) -> Shutdown {
        Shutdown {
            asked: watch::Sender::new(None),
            grace,
            health,
        }
    }

    /// Listens to Ctrl-C and SIGTERM from now on. The first asks the service to stop; the second,
    /// or the end of the grace period, ends the process with `code`: everything acknowledged is
    /// durable anyhow, and the next start goes on from there.
    ///
    /// # Errors
    /// The system's own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen(&self, code: u8) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = shutdown.asked() => {}
            }
            shutdown.ask();
            tokio::select! {
                _ = interrupt.recv() => tracing::warn!("asked twice: ending at once"),
                _ = terminate.recv() => tracing::warn!("asked twice: ending at once"),
                () = tokio::time::sleep(shutdown.grace) => tracing::error!(
                    grace_seconds = shutdown.grace.as_secs(),
                    "not stopped within the grace period: ending at once; nothing acknowledged is lost"
                ),
            }
            std::process::exit(i32::from(code));
        });
        Ok(())
    }

    /// Asks the service to stop: it is not ready from now on.
    pub fn ask(&self) {
        self.health.stopping();
        let first = |asked: &mut Option<Instant>| {
            let is_first = asked.is_none();
            asked.get_or_insert_with(Instant::now);
            is_first
        };
        if self.asked.send_if_modified(first) {
            tracing::info!(grace_seconds = self.grace.as_secs(), "stopping");
        }
    }

    /// Waits until it is asked.
    pub async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        // The sender lives as long as this does.
        let _ = asked.wait_for(Option::is_some).await;
    }

    /// True from the moment that it is asked.
    pub fn is_asked(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// What is left of the grace period; all of it while nothing is asked.
    pub fn left(&self) -> Duration {
        let asked = *self.asked.borrow();
        asked.map_or(self.grace, |asked| {
            self.grace.saturating_sub(asked.elapsed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_part_hears_it_once_and_readiness_goes_first() {
        let health = Health::new();
        let shutdown = Shutdown::new(Duration::from_secs(3600), health.clone());
        let part = shutdown.clone();
        let waiting = tokio::spawn(async move { part.asked().await });
        assert!(!shutdown.is_asked());
        assert_eq!(shutdown.left(), Duration::from_secs(3600));
        shutdown.ask();
        waiting.await.expect("hears");
        assert!(shutdown.is_asked() && !health.ready().is_ready);
        let left = shutdown.left();
        assert!(left <= Duration::from_secs(3600));
        shutdown.ask();
        assert!(shutdown.left() <= left, "asking again gives no more time");
        // A part that comes late hears it, too.
        shutdown.asked().await;
    }

    #[tokio::test]
    async fn no_time_is_left_after_the_grace_period() {
        let shutdown = Shutdown::new(Duration::ZERO, Health::new());
        shutdown.ask();
        assert_eq!(shutdown.left(), Duration::ZERO);
    }
}
