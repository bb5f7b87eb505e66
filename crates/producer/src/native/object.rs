//! A JSON object, as much of it as a hit may have, whatever was sent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::FIELDS_MAX;

/// The fields of an object in the order sent, repeated ones included.
pub(super) struct Fields<T> {
    /// [`FIELDS_MAX`] of them at most.
    pub(super) first: Vec<(String, T)>,
    /// How many there are.
    pub(super) count: usize,
}

impl<T> Fields<T> {
    pub(super) fn none() -> Fields<T> {
        Fields {
            first: Vec::new(),
            count: 0,
        }
    }

    /// All of them.
    pub(super) fn within(&self, most: usize) -> Result<&[(String, T)], String> {
        if self.count > most {
            return Err(format!(
                "has {} entries: at most {most} are taken",
                self.count
            ));
        }
        Ok(&self.first)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Fields<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<T>, A::Error> {
                let mut first = Vec::new();
                while first.len() < FIELDS_MAX {
                    let Some(field) = map.next_entry()? else {
                        let count = first.len();
                        return Ok(Fields { first, count });
                    };
                    first.push(field);
                }
                let mut count = first.len();
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Fields { first, count })
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// A value, and nothing of what is in it: arrays and objects are empty.
pub(super) struct Shallow(pub(super) Value);

impl Shallow {
    fn of(raw: &RawValue) -> serde_json::Result<Shallow> {
        let raw = raw.get();
        let value = match raw.as_bytes().first() {
            Some(b'{') => Value::Object(serde_json::Map::new()),
            Some(b'[') => Value::Array(Vec::new()),
            _ => serde_json::from_str(raw)?,
        };
        Ok(Shallow(value))
    }
}

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Shallow::of(<&RawValue>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A value of a field. An object's entries keep their order, which a [`Value`] does not. No field
/// has anything deeper, so nothing deeper is kept: what an array or object of a hit takes as values
/// is many times what it takes as text.
pub(super) struct Given {
    /// The value; empty where it is an array or object.
    pub(super) value: Value,
    /// Where it is an object.
    pub(super) entries: Fields<Shallow>,
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let Shallow(value) = Shallow::of(raw).map_err(D::Error::custom)?;
        let entries = match value {
            Value::Object(_) => serde_json::from_str(raw.get()).map_err(D::Error::custom)?,
            _ => Fields::none(),
        };
        Ok(Given { value, entries })
    }
}
