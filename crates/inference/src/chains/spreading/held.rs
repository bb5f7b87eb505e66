//! What came within the last seconds, held so that it is taken in the order in which it happened.
//!
//! Collectors, partitions and clocks disagree by moments. Whatever the order in which these are
//! told, what is held is taken by event time, then by identity: the same findings. A heartbeat is held
//! as well, as the time that it says.
//!
//! Who arrives in order, as nearly all do, costs no memory of his own: the room of what was taken is
//! used again, that of its address as well.

use std::collections::VecDeque;

use grapevine_event::{Id, ShareKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::told::Rise;
use super::{Origin, Reading, Sharing};
use crate::causes::Marks;

/// How far event time must have gone on before something is taken, milliseconds: within so much of
/// each other things may come in any order.
pub const HOLD_MS: i64 = 5_000;
/// Things held of each clock: in a rush the oldest are taken early. 310 bytes each with a usual
/// address.
const HELD_MAX: usize = 32_768;
/// Room for an address that is kept for the next one, bytes.
const NAMES_KEPT: usize = 512;

/// A landing, an act of sharing or a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    names: Names,
    told: Told,
}

/// Site and address, one after the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Names {
    text: String,
    /// Bytes of the site.
    site: u32,
}

impl Names {
    fn set(&mut self, site: &str, content: &str) {
        self.text.clear();
        self.text.push_str(site);
        self.text.push_str(content);
        self.site = u32::try_from(site.len()).unwrap_or(u32::MAX);
    }

    fn both(&self) -> (&str, &str) {
        // A state that was damaged, yet reads, has no site rather than none of the rest.
        let site = usize::try_from(self.site).unwrap_or(usize::MAX);
        self.text.split_at_checked(site).unwrap_or(("", &self.text))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Told {
    Read(HeldReading),
    Share(HeldSharing),
    Time(i64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct HeldReading {
    content_key: u64,
    visit: Id,
    visitor: Option<i64>,
    time: i64,
    app: u16,
    marks: [u16; 3],
    origin: Origin,
    passed_on: [f32; 3],
    public: f32,
    incoming: Option<u64>,
    gives_token: bool,
    rise: Rise,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct HeldSharing {
    content_key: u64,
    id: Id,
    kind: ShareKind,
    probability: f32,
    may_be_private: bool,
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

/// What is told of somebody, as it is held and as it is taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Telling<'a> {
    /// A landing.
    Read(Reading<'a>),
    /// An act of sharing.
    Share(Sharing<'a>),
    /// What time it is by the collector's clock.
    Time(i64),
}

impl Telling<'_> {
    /// Event time, identity.
    fn place(&self) -> (i64, u64) {
        match self {
            Telling::Read(reading) => (reading.time, crate::clock::short(reading.visit)),
            Telling::Share(sharing) => (sharing.time, sharing.key()),
            Telling::Time(time) => (*time, 0),
        }
    }

    fn names(&self) -> (&str, &str) {
        match self {
            Telling::Read(reading) => (reading.site, reading.content),
            Telling::Share(sharing) => (sharing.site, sharing.content),
            Telling::Time(_) => ("", ""),
        }
    }

    fn told(&self) -> Told {
        match self {
            Telling::Read(reading) => Told::Read(HeldReading {
                content_key: reading.content_key,
                visit: reading.visit,
                visitor: reading.visitor,
                time: reading.time,
                app: reading.app,
                marks: plain(reading.marks),
                origin: reading.origin,
                passed_on: reading.passed_on,
                public: reading.public,
                incoming: reading.incoming,
                gives_token: reading.gives_token,
                rise: reading.rise,
            }),
            Telling::Share(sharing) => Told::Share(HeldSharing {
                content_key: sharing.content_key,
                id: sharing.id,
                kind: sharing.kind,
                probability: sharing.probability,
                may_be_private: sharing.may_be_private,
                time: sharing.time,
                app: sharing.app,
                marks: plain(sharing.marks),
                sharer: sharing.sharer,
                visitor: sharing.visitor,
                token: sharing.token,
            }),
            Telling::Time(time) => Told::Time(*time),
        }
    }
}

impl Held {
    pub(super) fn telling(&self) -> Telling<'_> {
        let (site, content) = self.names.both();
        match &self.told {
            Told::Read(held) => Telling::Read(Reading {
                site,
                content,
                content_key: held.content_key,
                visit: held.visit,
                visitor: held.visitor,
                time: held.time,
                app: held.app,
                marks: marks(held.marks),
                origin: held.origin,
                passed_on: held.passed_on,
                public: held.public,
                incoming: held.incoming,
                gives_token: held.gives_token,
                rise: held.rise,
            }),
            Told::Share(held) => Telling::Share(Sharing {
                site,
                content,
                content_key: held.content_key,
                id: held.id,
                kind: held.kind,
                probability: held.probability,
                may_be_private: held.may_be_private,
                time: held.time,
                app: held.app,
                marks: marks(held.marks),
                sharer: held.sharer,
                visitor: held.visitor,
                token: held.token,
            }),
            Told::Time(time) => Telling::Time(*time),
        }
    }

    fn place(&self) -> (i64, u64) {
        self.telling().place()
    }
}

/// What is held of one clock, by event time and identity. A thing that comes twice is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    /// In order, each with the place of its own among `held`.
    order: VecDeque<((i64, u64), u32)>,
    held: Vec<Option<Held>>,
    free: Vec<u32>,
    /// Room for names that those taken left: as many places as are free, at the most.
    spare: Vec<Names>,
}

impl Hold {
    pub(super) fn put(&mut self, telling: &Telling<'_>) {
        let place = telling.place();
        let at = self.order.partition_point(|(known, _)| *known < place);
        if self.order.get(at).is_some_and(|(known, _)| *known == place) {
            return;
        }
        let mut names = self.spare.pop().unwrap_or_default();
        let (site, content) = telling.names();
        names.set(site, content);
        let told = telling.told();
        self.keep(at, place, Held { names, told });
    }

    fn keep(&mut self, at: usize, place: (i64, u64), held: Held) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.held.push(None);
            // At most one more than HELD_MAX.
            (self.held.len() - 1) as u32
        });
        self.held[slot as usize] = Some(held);
        self.order.insert(at, (place, slot));
    }

    /// Says what brought a reader that is held; false where it is not.
    pub(super) fn now_known(&mut self, time: i64, key: u64, origin: Origin) -> bool {
        let found = self
            .order
            .binary_search_by_key(&(time, key), |(place, _)| *place);
        let slot = found.ok().and_then(|at| self.order.get(at));
        let held = slot.and_then(|(_, slot)| self.held.get_mut(*slot as usize)?.as_mut());
        match held {
            Some(Held {
                told: Told::Read(held),
                ..
            }) => {
                held.origin = origin;
                true
            }
            _ => false,
        }
    }

    /// Number of the app of a landing on a content that is held, found by its identity alone: it takes a look at each.
    pub(super) fn app_of(&self, content: u64, key: u64) -> Option<u16> {
        let mut of_key = self.order.iter().filter(|((_, known), _)| *known == key);
        of_key.find_map(|(_, slot)| match self.held.get(*slot as usize)? {
            Some(Held {
                told: Told::Read(held),
                ..
            }) if held.content_key == content => Some(held.app),
            _ => None,
        })
    }

    /// The oldest, where it happened by then or there is too much; to be
    /// [given back](Self::give_back) after use.
    pub(super) fn take(&mut self, by: i64) -> Option<(i64, Held)> {
        let ((time, _), _) = *self.order.front()?;
        if time > by && self.order.len() <= HELD_MAX {
            return None;
        }
        let (_, slot) = self.order.pop_front()?;
        self.free.push(slot);
        Some((time, self.held[slot as usize].take()?))
    }

    /// Takes the room of what was taken for what comes next.
    pub(super) fn give_back(&mut self, held: Held) {
        if held.names.text.capacity() <= NAMES_KEPT && self.spare.len() < self.free.len() {
            self.spare.push(held.names);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn in_order(&self) -> impl Iterator<Item = &Held> {
        let held = |slot: u32| self.held.get(slot as usize)?.as_ref();
        self.order.iter().filter_map(move |(_, slot)| held(*slot))
    }
}

impl Serialize for Hold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for held in self.in_order() {
            list.serialize_element(held)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Hold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut hold = Hold::default();
        for held in Vec::<Held>::deserialize(deserializer)? {
            hold.keep(hold.len(), held.place(), held);
        }
        Ok(hold)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sharing(time: i64, key: u64, content: &str) -> Telling<'_> {
        Telling::Share(Sharing {
            site: "example.org",
            content,
            content_key: 7,
            id: Id((u128::from(key)).to_le_bytes()),
            kind: ShareKind::Copy,
            probability: 0.6,
            may_be_private: true,
            time,
            app: 1,
            marks: Marks::default(),
            sharer: None,
            visitor: None,
            token: None,
        })
    }

    proptest! {
        #[test]
        fn is_a_map_by_time_and_identity(
            calls in prop::collection::vec((0u8..4, 0i64..30, 0u64..4, 0usize..700), 0..200),
        ) {
            let mut hold = Hold::default();
            let mut map = BTreeMap::new();
            for (call, time, key, long) in calls {
                let content = format!("https://example.org/{time}/{}", "a".repeat(long));
                match call {
                    0..3 => {
                        hold.put(&sharing(time, key, &content));
                        map.entry((time, key)).or_insert(content);
                    }
                    _ => {
                        let due = map.first_key_value().is_some_and(|((first, _), _)| *first <= time);
                        let first = due.then(|| map.pop_first()).flatten();
                        let taken = hold.take(time);
                        prop_assert_eq!(taken.is_some(), first.is_some());
                        if let (Some((_, held)), Some((place, content))) = (taken, first) {
                            prop_assert_eq!(held.place(), place);
                            prop_assert_eq!(held.names.both(), ("example.org", content.as_str()));
                            hold.give_back(held);
                        }
                    }
                }
                prop_assert_eq!(hold.len(), map.len());
                let bytes = postcard::to_allocvec(&hold).expect("writes");
                let again: Hold = postcard::from_bytes(&bytes).expect("reads");
                prop_assert_eq!(postcard::to_allocvec(&again).expect("writes"), bytes);
                let places: Vec<_> = again.in_order().map(Held::place).collect();
                prop_assert_eq!(places, map.keys().copied().collect::<Vec<_>>());
            }
        }
    }
}
