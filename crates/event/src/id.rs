//! Identities: 128 bits, made from where a thing comes from, never from a clock or a dice.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::datum::FIXED_NAME;

/// Identity of a hit, visit, share or dead letter. Avro `fixed(16)`, ClickHouse `UUID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// Starts an id for a kind of thing; `domain` keeps ids of different kinds apart.
    pub fn builder(domain: &'static str) -> IdBuilder {
        let mut hasher = blake3::Hasher::new();
        hasher.update(domain.as_bytes());
        hasher.update(&[0]);
        IdBuilder { hasher }
    }
}

/// Collects the parts that an [`Id`] is a function of. Parts are length-prefixed, so that
/// `("ab", "c")` and `("a", "bc")` differ.
pub struct IdBuilder {
    hasher: blake3::Hasher,
}

impl IdBuilder {
    /// Adds bytes.
    pub fn bytes(mut self, part: &[u8]) -> Self {
        self.hasher.update(&(part.len() as u64).to_le_bytes());
        self.hasher.update(part);
        self
    }

    /// Adds a number.
    pub fn number(mut self, part: u64) -> Self {
        self.hasher.update(&part.to_le_bytes());
        self
    }

    /// The id: the first 128 bits of the BLAKE3 hash of all parts.
    pub fn finish(self) -> Id {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.hasher.finalize().as_bytes()[..16]);
        Id(bytes)
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
