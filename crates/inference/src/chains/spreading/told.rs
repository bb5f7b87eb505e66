//! What is told: landings and acts of sharing.

use grapevine_event::{Id, ShareKind};
use serde::{Deserialize, Serialize};

use crate::causes::Marks;
use crate::clock::short;

/// What brought a reader, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::chains) enum Origin {
    /// An earlier reader's share, if the token was passed on: key and time of that visit.
    Parent(u64, i64),
    /// A share by somebody who was never seen, if the token was passed on.
    SomeShare,
    /// A share by a reader or by somebody else, if the token was passed on: nothing says whose.
    AnyShare,
    /// From outside, by a fact.
    Outside,
    /// Not known: P(privately passed on), low, likely and high.
    Grey([f64; 3]),
}

/// A landing of a person.
#[derive(Clone, Copy, Debug)]
pub(in crate::chains) struct Reading<'a> {
    pub(in crate::chains) site: &'a str,
    pub(in crate::chains) content: &'a str,
    /// Key of the content.
    pub(in crate::chains) content_key: u64,
    pub(in crate::chains) visit: Id,
    pub(in crate::chains) visitor: Option<i64>,
    pub(in crate::chains) time: i64,
    pub(in crate::chains) app: u16,
    pub(in crate::chains) marks: Marks,
    pub(in crate::chains) origin: Origin,
    /// P(the link's token was passed on), low, likely and high: else it is the reader's own.
    pub(in crate::chains) passed_on: [f32; 3],
    /// P(from a public place), where it was passed on, as far as is known of the landing itself.
    pub(in crate::chains) public: f32,
    /// Key of the token that the link carried, of somebody else.
    pub(in crate::chains) incoming: Option<u64>,
    pub(in crate::chains) gives_token: bool,
    /// What the landing is to surges.
    pub(in crate::chains) rise: Rise,
}

/// What a landing is to surges, which are told in the same order: see [`crate::surges::Landing`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::chains) struct Rise {
    /// P(dark social): low, likely and high.
    pub(in crate::chains) dark: [f32; 3],
    pub(in crate::chains) decided: bool,
    /// Booked as dark social: its app is that of a private link.
    pub(in crate::chains) private: bool,
    pub(in crate::chains) network: Option<i64>,
    pub(in crate::chains) chained: bool,
}

/// An act of sharing.
#[derive(Clone, Copy, Debug)]
pub(in crate::chains) struct Sharing<'a> {
    pub(in crate::chains) site: &'a str,
    pub(in crate::chains) content: &'a str,
    pub(in crate::chains) content_key: u64,
    pub(in crate::chains) id: Id,
    pub(in crate::chains) kind: ShareKind,
    /// P(somebody passed a link on).
    pub(in crate::chains) probability: f32,
    /// False where it was made in public.
    pub(in crate::chains) may_be_private: bool,
    pub(in crate::chains) time: i64,
    pub(in crate::chains) app: u16,
    pub(in crate::chains) marks: Marks,
    /// The sharer's visit and pseudonym, where known.
    pub(in crate::chains) sharer: Option<u64>,
    pub(in crate::chains) visitor: Option<i64>,
    pub(in crate::chains) token: Option<u64>,
}

impl Sharing<'_> {
    /// Key of the act.
    pub(super) fn key(&self) -> u64 {
        short(self.id)
    }

    /// True where it may be the cause of what comes. Half of the acts that are none say nothing.
    pub(super) fn is_cause(&self) -> bool {
        self.kind != ShareKind::Unknown && self.probability >= 0.5
    }
}
