//! What a content is told: arrivals, acts of sharing, and what is certain of their causes.

use super::candidate::kept;
use super::marks::Marks;

/// An arrival on a content: one reader's first visit.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Names it; unique among the content's arrivals.
    pub key: u64,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// Its cause, where that is told.
    pub certain: Option<Certain>,
    /// What it may have in common with its parent.
    pub marks: Marks,
    /// Added to the log-odds of the outside: what referrer, channel, hour, and that there is no token
    /// say.
    pub outside_log_odds: f64,
}

impl Arrival {
    /// An arrival of which only the time is known.
    pub fn new(key: u64, time: i64) -> Self {
        Arrival {
            key,
            time,
            certain: None,
            marks: Marks::default(),
            outside_log_odds: 0.0,
        }
    }

    /// Log-odds that it adds to those of the outside; what is no number adds nothing.
    pub(super) fn added_log_odds(&self) -> f64 {
        match self.outside_log_odds.is_nan() {
            true => 0.0,
            false => self.outside_log_odds.clamp(-30.0, 30.0),
        }
    }
}

/// A cause that is told rather than inferred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certain {
    /// The outside world: search, another site, the publisher's own post.
    Outside,
    /// An earlier arrival's share.
    Share {
        /// The earlier arrival.
        key: u64,
        /// Its event time, milliseconds since 1970 UTC.
        time: i64,
        /// Probability that it is the cause, more than ½ and at most 1: the token that names it may be the
        /// reader's own. With the rest nobody is.
        sure: f64,
    },
}

impl Certain {
    /// Probability that no earlier arrival's share is the cause, 0 to 1, as it is kept.
    pub(super) fn outside(self) -> f64 {
        match self {
            Certain::Outside => 1.0,
            Certain::Share { sure, .. } => kept(1.0 - sure),
        }
    }
}

/// An act of sharing that was seen: a messenger fetched a preview of the link, or a reader copied
/// it or pressed a share button.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Names it; unique among the content's acts.
    pub key: u64,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// Channel: the app, numbered as the arrivals' channels are. Network, device and language: the
    /// sharer's own, where the act came from him; unknown (0) where a server fetched.
    pub marks: Marks,
    /// The arrival that shared, where that is certain: the fetched link carried its token, or its
    /// page reported the copy.
    pub sharer: Option<u64>,
    /// Whether the link carried a share token, so that who comes by it has one too unless it was
    /// lost on the way.
    pub marked: bool,
}
