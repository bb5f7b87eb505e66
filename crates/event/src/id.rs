//! Identities: 128 bits, made from where a thing comes from, never from a clock or a dice.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::datum::FIXED_NAME;

/// Identity of a hit, visit, share or dead letter. Avro `fixed(16)`, ClickHouse `UUID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Id(pub [u8; 16]);

/// Bytes that an id is usually made of, at most. They are hashed at one go: the hasher that takes
/// them piece by piece is ten times as large.
const SHORT_BYTES: usize = 192;

impl Id {
    /// Starts an id for a kind of thing; `domain` keeps ids of different kinds apart.
    pub fn builder(domain: &'static str) -> IdBuilder {
        let mut builder = IdBuilder {
            short: [0; SHORT_BYTES],
            filled: 0,
            long: None,
        };
        builder.push(domain.as_bytes());
        builder.push(&[0]);
        builder
    }
}

/// Collects the parts that an [`Id`] is a function of. Parts are length-prefixed, so that
/// `("ab", "c")` and `("a", "bc")` differ.
pub struct IdBuilder {
    short: [u8; SHORT_BYTES],
    filled: usize,
    /// Everything, once it is more than `short` holds.
    long: Option<Box<blake3::Hasher>>,
}

impl IdBuilder {
    /// Adds bytes.
    #[must_use]
    #[inline]
    pub fn bytes(mut self, part: &[u8]) -> Self {
        self.add_bytes(part);
        self
    }

    /// Adds bytes to a builder that stays where it is: it is too large to be moved for each of many parts.
    #[inline]
    pub fn add_bytes(&mut self, part: &[u8]) {
        self.push(&(part.len() as u64).to_le_bytes());
        self.push(part);
    }

    /// Adds a number.
    #[must_use]
    #[inline]
    pub fn number(mut self, part: u64) -> Self {
        self.push(&part.to_le_bytes());
        self
    }

    /// The id: the first 128 bits of the BLAKE3 hash of all parts.
    pub fn finish(self) -> Id {
        let hash = match self.long {
            None => blake3::hash(&self.short[..self.filled]),
            Some(hasher) => hasher.finalize(),
        };
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        Id(bytes)
    }

    #[inline]
    fn push(&mut self, part: &[u8]) {
        let end = self.filled + part.len();
        match (&mut self.long, self.short.get_mut(self.filled..end)) {
            (None, Some(free)) => {
                free.copy_from_slice(part);
                self.filled = end;
            }
            (long, _) => {
                let hasher = long.get_or_insert_with(|| {
                    let mut hasher = blake3::Hasher::new();
                    hasher.update(&self.short[..self.filled]);
                    Box::new(hasher)
                });
                hasher.update(part);
            }
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(out)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct SixteenBytes<'a>(&'a [u8; 16]);
        impl Serialize for SixteenBytes<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        serializer.serialize_newtype_struct(FIXED_NAME, &SixteenBytes(&self.0))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SixteenBytes;
        impl<'de> de::Visitor<'de> for SixteenBytes {
            type Value = Id;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("16 bytes")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Id, D::Error> {
                inner.deserialize_bytes(self)
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
                let bytes = bytes
                    .try_into()
                    .map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(Id(bytes))
            }
        }
        deserializer.deserialize_newtype_struct(FIXED_NAME, SixteenBytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_short_and_long_are_hashed_as_if_they_were_one(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 0..6),
            number: u64,
        ) {
            let mut builder = Id::builder("test");
            let mut whole = b"test\0".to_vec();
            for part in &parts {
                builder = builder.bytes(part).number(number);
                whole.extend((part.len() as u64).to_le_bytes());
                whole.extend(part);
                whole.extend(number.to_le_bytes());
            }
            let hash = blake3::hash(&whole);
            prop_assert_eq!(&builder.finish().0[..], &hash.as_bytes()[..16]);
        }
    }
}
