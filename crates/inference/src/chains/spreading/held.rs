//! What came within the last seconds, held so that it is taken in the order in which it happened.
//!
//! Collectors, partitions and clocks disagree by moments. Whatever the order in which these are
//! told, what is held is taken by event time, then by identity: the same findings.

use std::collections::BTreeMap;

use grapevine_event::{Id, ShareKind};
use serde::{Deserialize, Serialize};

use super::{Origin, Reading, Sharing};
use crate::causes::Marks;

/// How far event time must have gone on before something is taken.
pub(super) const HOLD_MS: i64 = 5_000;
/// Things held of each clock: in a rush the oldest are taken early. 250 bytes each with a usual
/// address.
const HELD_MAX: usize = 32_768;

/// A landing or an act of sharing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Held {
    /// A landing.
    Read(Box<HeldReading>),
    /// An act of sharing.
    Share(Box<HeldSharing>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HeldReading {
    site: Box<str>,
    content: Box<str>,
    content_key: u64,
    visit: Id,
    visitor: Option<i64>,
    time: i64,
    app: u16,
    marks: [u16; 3],
    origin: Origin,
    public: f32,
    incoming: Option<u64>,
    gives_token: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HeldSharing {
    site: Box<str>,
    content: Box<str>,
    content_key: u64,
    key: u64,
    kind: ShareKind,
    time: i64,
    app: u16,
    marks: [u16; 3],
    sharer: Option<u64>,
    visitor: Option<i64>,
    token: Option<u64>,
}

fn plain(marks: Marks) -> [u16; 3] {
    [
        u16::from(marks.channel),
        marks.network,
        u16::from(marks.device),
    ]
}

fn marks([channel, network, device]: [u16; 3]) -> Marks {
    Marks {
        // Written from bytes.
        channel: channel as u8,
        network,
        device: device as u8,
    }
}

impl From<&Reading<'_>> for Held {
    fn from(reading: &Reading<'_>) -> Self {
        Held::Read(Box::new(HeldReading {
            site: reading.site.into(),
            content: reading.content.into(),
            content_key: reading.content_key,
            visit: reading.visit,
            visitor: reading.visitor,
            time: reading.time,
            app: reading.app,
            marks: plain(reading.marks),
            origin: reading.origin,
            public: reading.public,
            incoming: reading.incoming,
            gives_token: reading.gives_token,
        }))
    }
}

impl HeldReading {
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading {
            site: &self.site,
            content: &self.content,
            content_key: self.content_key,
            visit: self.visit,
            visitor: self.visitor,
            time: self.time,
            app: self.app,
            marks: marks(self.marks),
            origin: self.origin,
            public: self.public,
            incoming: self.incoming,
            gives_token: self.gives_token,
        }
    }
}

impl From<&Sharing<'_>> for Held {
    fn from(sharing: &Sharing<'_>) -> Self {
        Held::Share(Box::new(HeldSharing {
            site: sharing.site.into(),
            content: sharing.content.into(),
            content_key: sharing.content_key,
            key: sharing.key,
            kind: sharing.kind,
            time: sharing.time,
            app: sharing.app,
            marks: plain(sharing.marks),
            sharer: sharing.sharer,
            visitor: sharing.visitor,
            token: sharing.token,
        }))
    }
}

impl HeldSharing {
    pub(super) fn sharing(&self) -> Sharing<'_> {
        Sharing {
            site: &self.site,
            content: &self.content,
            content_key: self.content_key,
            key: self.key,
            kind: self.kind,
            time: self.time,
            app: self.app,
            marks: marks(self.marks),
            sharer: self.sharer,
            visitor: self.visitor,
            token: self.token,
        }
    }
}

/// What is held of one clock, by event time and identity. A thing that comes twice is one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Hold(BTreeMap<(i64, u64), Held>);

impl Hold {
    pub(super) fn put(&mut self, time: i64, key: u64, held: Held) {
        self.0.entry((time, key)).or_insert(held);
    }

    /// Says what brought a reader that is held; false where it is not.
    pub(super) fn now_known(&mut self, time: i64, key: u64, origin: Origin) -> bool {
        match self.0.get_mut(&(time, key)) {
            Some(Held::Read(held)) => {
                held.origin = origin;
                true
            }
            _ => false,
        }
    }

    /// The oldest, where it happened by then or there is too much.
    pub(super) fn take(&mut self, by: i64) -> Option<(i64, Held)> {
        let first = self.0.first_entry()?;
        let (time, _) = *first.key();
        let due = time <= by;
        if due {
            return Some((time, first.remove()));
        }
        if self.0.len() <= HELD_MAX {
            return None;
        }
        self.0.pop_first().map(|((time, _), held)| (time, held))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
