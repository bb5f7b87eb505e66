//! Messages as records: by what a schema registry said of their ids, or as they come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use grapevine_registry::{Frames, Opened};

use crate::batch::Batch;
use crate::error::LogError;

/// How long one wait for the registry lasts before it is looked at whether to go on with it.
const LOOK: Duration = Duration::from_millis(100);

/// Turns messages into records. Clones ask one registry.
#[derive(Clone, Debug)]
pub(super) struct Opener(Option<Arc<Frames>>);

/// A message that cannot be read before the registry has said what its schema is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    offset: u64,
    id: u32,
    message: Vec<u8>,
}

impl Opener {
    /// With a registry; without one messages are records as they come.
    pub(super) fn new(frames: Option<&Arc<Frames>>) -> Opener {
        Opener(frames.cloned())
    }

    /// Adds a message to a batch, or hands it back where it cannot be read yet.
    pub(super) fn add(&self, batch: &mut Batch, offset: u64, message: &[u8]) -> Option<Closed> {
        match self.open(message) {
            Opened::AsIs(record) => batch.push(offset, record),
            Opened::Record(head, datum) => batch.push_headed(offset, &head, datum),
            Opened::Unmet(id) => {
                return Some(Closed {
                    offset,
                    id,
                    message: message.to_vec(),
                });
            }
        }
        None
    }

    /// Adds a message that was closed once it can be read. Hands it back where it cannot at
    /// `until`, or when `is_over` says to wait no longer.
    pub(super) fn add_closed(
        &self,
        batch: &mut Batch,
        closed: Closed,
        until: Instant,
        is_over: impl Fn() -> bool,
    ) -> Option<Closed> {
        while !self.learn(closed.id, LOOK.min(left(until))) {
            if is_over() || left(until).is_zero() {
                return Some(closed);
            }
        }
        self.add(batch, closed.offset, &closed.message)
    }

    /// The record of a message; `room` is what it may be written into. Waits for the registry.
    ///
    /// # Errors
    /// [`LogError::Registry`] where it does not answer within `patience`.
    pub(super) fn record<'a>(
        &self,
        message: &'a [u8],
        room: &'a mut Vec<u8>,
        patience: Duration,
    ) -> Result<&'a [u8], LogError> {
        let until = Instant::now() + patience;
        loop {
            match self.open(message) {
                Opened::AsIs(record) => return Ok(record),
                Opened::Record(head, datum) => {
                    room.clear();
                    room.extend_from_slice(&head);
                    room.extend_from_slice(datum);
                    return Ok(room);
                }
                Opened::Unmet(id) if !self.learn(id, left(until)) => {
                    return Err(self.unanswered(id));
                }
                Opened::Unmet(_) => {}
            }
        }
    }

    /// Why a closed message cannot be read.
    pub(super) fn why(&self, closed: &Closed) -> LogError {
        self.unanswered(closed.id)
    }

    fn open<'a>(&self, message: &'a [u8]) -> Opened<'a> {
        match &self.0 {
            None => Opened::AsIs(message),
            Some(frames) => frames.open(message),
        }
    }

    /// True once it is known what an id is.
    fn learn(&self, id: u32, patience: Duration) -> bool {
        self.0
            .as_ref()
            .is_some_and(|frames| frames.learn(id, patience))
    }

    fn unanswered(&self, id: u32) -> LogError {
        let trouble = self.0.as_ref().and_then(|frames| frames.trouble());
        let trouble = trouble.unwrap_or_else(|| "no answer yet".to_owned());
        LogError::Registry(format!("what schema id {id} is: {trouble}"))
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    use grapevine_registry::{Client, Credentials};

    use super::*;

    const FRAMED: &[u8] = &[0, 0, 0, 0, 9, 2];

    /// A registry that takes every question and answers none, as no real one does on demand.
    fn silent() -> Opener {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let client = Client::new(&url, Credentials::None, None).expect("an address");
        Opener::new(Some(&Arc::new(Frames::new(client))))
    }

    #[test]
    fn without_a_registry_messages_are_records() {
        let (opener, mut batch, mut room) = (Opener::new(None), Batch::gathered(0), Vec::new());
        assert_eq!(opener.add(&mut batch, 3, FRAMED), None);
        assert_eq!(batch.iter().collect::<Vec<_>>(), [(3, FRAMED)]);
        let record = opener.record(FRAMED, &mut room, Duration::ZERO);
        assert_eq!(record.expect("as it is"), FRAMED);
    }

    #[test]
    fn a_registry_that_is_silent_holds_nobody_longer_than_wanted() {
        let (opener, mut batch, mut room) = (silent(), Batch::gathered(0), Vec::new());
        assert_eq!(opener.add(&mut batch, 3, b"\xC3\x01 and so on"), None);
        let closed = opener.add(&mut batch, 4, FRAMED).expect("not known");
        let soon = Instant::now() + Duration::from_millis(150);
        let closed = opener.add_closed(&mut batch, closed, soon, || false);
        let closed = closed.expect("still not known");
        // Somebody wants the partition: the time that was given does not matter.
        let never = Instant::now() + Duration::from_secs(100_000);
        let wanted = AtomicBool::new(false);
        // Not at first, then it is.
        let is_over = || wanted.swap(true, Ordering::Relaxed);
        let closed = opener.add_closed(&mut batch, closed, never, is_over);
        let closed = closed.expect("still not known");
        let why = opener.why(&closed);
        assert!(
            matches!(&why, LogError::Registry(why) if why.contains("id 9")),
            "{why}"
        );
        let record = opener.record(FRAMED, &mut room, Duration::from_millis(50));
        assert!(matches!(record, Err(LogError::Registry(_))));
        assert_eq!(batch.len(), 1);
    }
}
