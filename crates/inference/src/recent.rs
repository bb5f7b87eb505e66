//! A map that remembers what was used last: bounded, and forgetting in a fixed order.

use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NONE: u32 = u32::MAX;

/// A map from 64-bit hashes to values that keeps the `capacity` keys used last.
///
/// What it forgets is a function of the calls in order, not of hashing or of a clock, and its
/// serialised form lists the entries from the longest unused to the last used. Keys are hashes
/// already; two things with one hash are one thing here.
#[derive(Clone, Debug)]
pub struct Recent<V> {
    index: HashTable<u32>,
    slots: Vec<Slot<V>>,
    oldest: u32,
    newest: u32,
    capacity: u32,
}

#[derive(Clone, Debug)]
struct Slot<V> {
    key: u64,
    older: u32,
    newer: u32,
    value: V,
}

/// Spreads keys whose bits are not all of equal use (finaliser of splitmix64, Steele et al. 2014).
pub(crate) fn spread(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

impl<V> Recent<V> {
    /// An empty map of at most `capacity` entries, at least one.
    pub fn new(capacity: u32) -> Self {
        Recent {
            index: HashTable::new(),
            slots: Vec::new(),
            oldest: NONE,
            newest: NONE,
            capacity: capacity.clamp(1, NONE - 1),
        }
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True where it is empty.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// True where one more has to make room.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= self.capacity as usize
    }

    /// Where a key's entry is, for an index of one's own: it stays there for as long as it is
    /// remembered and none is [taken out](Self::remove). Whose entry has to go leaves the place to
    /// the new one.
    pub(crate) fn place_of(&self, key: u64) -> Option<u32> {
        self.find(key)
    }

    /// The entry at a place, without counting as a use.
    pub(crate) fn at(&self, place: u32) -> Option<(u64, &V)> {
        let slot = self.slots.get(place as usize)?;
        Some((slot.key, &slot.value))
    }

    /// The value of a key, without counting as a use.
    pub fn peek(&self, key: u64) -> Option<&V> {
        self.find(key).map(|at| &self.slots[at as usize].value)
    }

    /// The value of a key to change, without counting as a use.
    pub fn peek_mut(&mut self, key: u64) -> Option<&mut V> {
        let at = self.find(key)?;
        Some(&mut self.slots[at as usize].value)
    }

    /// The value of a key, which becomes the last used.
    pub fn get(&mut self, key: u64) -> Option<&mut V> {
        let at = self.find(key)?;
        self.touch(at);
        Some(&mut self.slots[at as usize].value)
    }

    /// Sets the value of a key, which becomes the last used. Returns the entry that had to go to
    /// make room: the longest unused one.
    pub fn set(&mut self, key: u64, value: V) -> Option<(u64, V)> {
        if let Some(at) = self.find(key) {
            self.touch(at);
            self.slots[at as usize].value = value;
            return None;
        }
        let mut gone = None;
        let at = if self.slots.len() < self.capacity as usize {
            self.slots.push(Slot {
                key,
                older: NONE,
                newer: NONE,
                value,
            });
            // Below `capacity`, which is below `u32::MAX`.
            (self.slots.len() - 1) as u32
        } else {
            let at = self.oldest;
            let gone_key = self.slots[at as usize].key;
            self.forget(gone_key, at);
            self.unlink(at);
            let slot = &mut self.slots[at as usize];
            slot.key = key;
            gone = Some((gone_key, std::mem::replace(&mut slot.value, value)));
            at
        };
        let slots = &self.slots;
        self.index
            .insert_unique(spread(key), at, |at| spread(slots[*at as usize].key));
        self.append(at);
        gone
    }

    /// The same entries with other values.
    pub(crate) fn map<W>(self, to: impl Fn(V) -> W) -> Recent<W> {
        let slots = self.slots.into_iter();
        Recent {
            index: self.index,
            slots: slots
                .map(|slot| Slot {
                    key: slot.key,
                    older: slot.older,
                    newer: slot.newer,
                    value: to(slot.value),
                })
                .collect(),
            oldest: self.oldest,
            newest: self.newest,
            capacity: self.capacity,
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: u64) -> Option<V> {
        let at = self.find(key)?;
        self.unlink(at);
        self.forget(key, at);
        let slot = self.slots.swap_remove(at as usize);
        // The last slot has moved into the gap: whoever names it by place is told.
        let last = self.slots.len() as u32;
        if let Some(moved) = self.slots.get(at as usize) {
            let (key, older, newer) = (moved.key, moved.older, moved.newer);
            self.forget(key, last);
            let slots = &self.slots;
            self.index
                .insert_unique(spread(key), at, |at| spread(slots[*at as usize].key));
            match self.slots.get_mut(older as usize) {
                Some(slot) => slot.newer = at,
                None => self.oldest = at,
            }
            match self.slots.get_mut(newer as usize) {
                Some(slot) => slot.older = at,
                None => self.newest = at,
            }
        }
        Some(slot.value)
    }

    /// The entries from the longest unused to the last used.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.newer;
            Some((slot.key, &slot.value))
        })
    }

    /// The longest unused entry.
    pub fn oldest(&self) -> Option<(u64, &V)> {
        let slot = self.slots.get(self.oldest as usize)?;
        Some((slot.key, &slot.value))
    }

    fn find(&self, key: u64) -> Option<u32> {
        let same = |at: &u32| self.slots[*at as usize].key == key;
        self.index.find(spread(key), same).copied()
    }

    /// Takes a place out of the index.
    fn forget(&mut self, key: u64, at: u32) {
        let entry = self
            .index
            .find_entry(spread(key), |candidate| *candidate == at);
        if let Ok(entry) = entry {
            entry.remove();
        }
    }

    fn touch(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.append(at);
        }
    }

    fn unlink(&mut self, at: u32) {
        let Slot { older, newer, .. } = self.slots[at as usize];
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }

    fn append(&mut self, at: u32) {
        let last = self.newest;
        let slot = &mut self.slots[at as usize];
        (slot.older, slot.newer) = (last, NONE);
        match self.slots.get_mut(last as usize) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
    }
}

struct Entries<'r, V>(&'r Recent<V>);

impl<V: Serialize> Serialize for Entries<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for entry in self.0.iter() {
            list.serialize_element(&entry)?;
        }
        list.end()
    }
}

impl<V: Serialize> Serialize for Recent<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.capacity, Entries(self)).serialize(serializer)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Recent<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (capacity, entries) = <(u32, Vec<(u64, V)>)>::deserialize(deserializer)?;
        let mut recent = Recent::new(capacity);
        for (key, value) in entries {
            recent.set(key, value);
        }
        Ok(recent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, slow and plain: a list from the longest unused to the last used.
    #[derive(Default)]
    struct Plain(Vec<(u64, u32)>);

    impl Plain {
        fn get(&mut self, key: u64) -> Option<u32> {
            let at = self.0.iter().position(|(known, _)| *known == key)?;
            let entry = self.0.remove(at);
            self.0.push(entry);
            Some(entry.1)
        }

        fn set(&mut self, key: u64, value: u32, capacity: usize) -> Option<(u64, u32)> {
            if self.get(key).is_some() {
                self.0.last_mut().expect("just used").1 = value;
                return None;
            }
            let gone = (self.0.len() == capacity).then(|| self.0.remove(0));
            self.0.push((key, value));
            gone
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_list(
            capacity in 1u32..12,
            calls in prop::collection::vec((0u8..5, 0u64..20, any::<u32>()), 0..200),
        ) {
            let mut recent = Recent::new(capacity);
            let mut plain = Plain::default();
            for (call, key, value) in calls {
                match call {
                    0 | 1 => {
                        let gone = plain.set(key, value, capacity as usize);
                        prop_assert_eq!(recent.set(key, value), gone);
                    }
                    2 => {
                        let at = plain.0.iter().position(|entry| entry.0 == key);
                        let gone = at.map(|at| plain.0.remove(at).1);
                        prop_assert_eq!(recent.remove(key), gone);
                    }
                    _ => prop_assert_eq!(recent.get(key).copied(), plain.get(key)),
                }
                prop_assert_eq!(recent.peek(key).copied(), plain.0.iter().find(|e| e.0 == key).map(|e| e.1));
                let listed: Vec<(u64, u32)> = recent.iter().map(|(k, v)| (k, *v)).collect();
                prop_assert_eq!(&listed, &plain.0);
                prop_assert_eq!(recent.oldest().map(|(k, v)| (k, *v)), plain.0.first().copied());
            }
            let bytes = postcard::to_allocvec(&recent).expect("writes");
            let again: Recent<u32> = postcard::from_bytes(&bytes).expect("reads");
            prop_assert_eq!(postcard::to_allocvec(&again).expect("writes"), bytes);
            let listed: Vec<(u64, u32)> = again.iter().map(|(k, v)| (k, *v)).collect();
            prop_assert_eq!(listed, plain.0);
        }
    }
}
