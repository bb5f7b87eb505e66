//! Why a line could not be read.

use std::fmt;

macro_rules! reasons {
    ($($variant:ident = $name:literal: $words:literal,)+) => {
        /// What is wrong with a line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each says itself in `words`")]
        pub enum Reason { $($variant,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),+];

            /// The fixed name, as dead letters and summaries have it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }

            /// The reason in words.
            pub const fn words(self) -> &'static str {
                match self { $(Reason::$variant => $words,)+ }
            }
        }
    };
}

reasons! {
    Empty = "empty_line": "the line is empty",
    NoClient = "no_client": "nothing stands before the time: the client's address is missing",
    NoTime = "no_time": "no time in brackets: not a line of an access log in common or combined format",
    BadTime = "bad_time": "the time is not of the form [10/Oct/2000:13:55:36 -0700]",
    TimeOpen = "time_open": "the line ends within the time",
    NoRequest = "no_request": "no quoted request follows the time",
    RequestOpen = "request_open": "the line ends within the request",
    NoStatus = "no_status": "the line ends before the status",
    BadStatus = "bad_status": "the status is neither three digits nor -",
    NoSize = "no_size": "the line ends before the size",
    BadSize = "bad_size": "the size is neither a number of bytes nor -",
    NoReferrer = "no_referrer": "no quoted referrer follows the size",
    ReferrerOpen = "referrer_open": "the line ends within the referrer",
    NoUserAgent = "no_user_agent": "no quoted user agent follows the referrer",
    UserAgentOpen = "user_agent_open": "the line ends within the user agent",
}

impl Reason {
    pub(super) const fn at(self, position: usize) -> ParseError {
        ParseError {
            reason: self,
            position,
        }
    }
}

/// What is wrong with a line, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub reason: Reason,
    /// Where, in bytes from the line's start.
    pub position: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (at byte {})", self.reason.words(), self.position)
    }
}

impl std::error::Error for ParseError {}
