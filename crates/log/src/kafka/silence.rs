//! When a client that gives nothing is to be disbelieved.
//!
//! A client that was told of a partition without a leader may never ask for its records again
//! (librdkafka 2.12.1, its issue 5430), and says nothing of it. The end of the partition alone does
//! not tell: behind the last record there may be nothing but marks of transactions.

use std::time::{Duration, Instant};

/// A silence is doubted after so long, and its client given up after as long again.
const LONG: Duration = Duration::from_secs(15);

/// How long nothing was heard of a partition, and what was done about it.
#[derive(Debug)]
pub(super) struct Silence {
    /// When something was heard last: a record, or that there is none.
    heard: Instant,
    /// End of the partition when the client was asked to look again, and when that was.
    asked: Option<(u64, Instant)>,
    /// The client has looked that far: there is nothing before it.
    empty_to: Option<u64>,
}

/// What to make of a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing to be told.
    Nothing,
    /// The client is to look again.
    Ask,
    /// It was asked, and has not answered.
    Deaf,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Silence {
        Silence {
            heard: now,
            asked: None,
            empty_to: None,
        }
    }

    /// A record came.
    pub(super) fn broken(&mut self, now: Instant) {
        *self = Silence::new(now);
    }

    /// The client says that there is nothing more.
    pub(super) fn at_end(&mut self, now: Instant) {
        self.heard = now;
        if let Some((end, _)) = self.asked.take() {
            self.empty_to = Some(end);
        }
    }

    /// Whether it is time for a look at the end of the partition.
    pub(super) fn is_long(&self, now: Instant) -> bool {
        let since = self.asked.map_or(self.heard, |(_, asked)| asked);
        now.duration_since(since) >= LONG
    }

    /// What to make of it, where reading stands at `offset` and the partition ends at `end`.
    pub(super) fn judge(&mut self, now: Instant, offset: u64, end: u64) -> Verdict {
        if end <= offset || self.empty_to == Some(end) {
            // So that the next look is as far away.
            self.heard = now;
            self.asked = None;
            return Verdict::Nothing;
        }
        match self.asked {
            Some(_) => Verdict::Deaf,
            None => {
                self.asked = Some((end, now));
                Verdict::Ask
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_asked_and_says_nothing_is_deaf() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert!(!silence.is_long(start + LONG / 2));
        let late = start + LONG;
        assert!(silence.is_long(late));
        assert_eq!(silence.judge(late, 5, 9), Verdict::Ask);
        // It has as much time again.
        assert!(!silence.is_long(late + LONG / 2));
        assert!(silence.is_long(late + LONG));
        assert_eq!(silence.judge(late + LONG, 5, 9), Verdict::Deaf);
    }

    #[test]
    fn marks_behind_the_last_record_are_asked_about_once() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert_eq!(silence.judge(start + LONG, 5, 9), Verdict::Ask);
        silence.at_end(start + LONG);
        for looks in 2..5 {
            let now = start + LONG * looks;
            assert!(silence.is_long(now));
            assert_eq!(silence.judge(now, 5, 9), Verdict::Nothing);
        }
        // More is there than the client has looked at.
        assert_eq!(silence.judge(start + LONG * 6, 5, 10), Verdict::Ask);
    }

    #[test]
    fn a_record_ends_every_doubt() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert_eq!(silence.judge(start + LONG, 5, 9), Verdict::Ask);
        silence.broken(start + LONG);
        assert!(!silence.is_long(start + LONG));
        assert_eq!(silence.judge(start + LONG * 2, 9, 9), Verdict::Nothing);
    }
}
