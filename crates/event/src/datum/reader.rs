//! Reads a datum, borrowing its text.

use serde::de::value::U32Deserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, SeqAccess,
    VariantAccess, Visitor,
};

use super::{DatumError, FIXED_BYTES, FIXED_NAME};

/// Reads one datum from the start of `bytes`; gives what is left over as well.
///
/// # Errors
/// Whatever does not fit the type.
pub(crate) fn read<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
) -> Result<(T, &'de [u8]), DatumError> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value()?;
    Ok((value, reader.rest))
}

/// What of a datum is still to be read.
pub(crate) struct Reader<'de> {
    pub(super) rest: &'de [u8],
}

impl<'de> Reader<'de> {
    /// The next value.
    #[inline]
    pub(super) fn value<T: Deserialize<'de>>(&mut self) -> Result<T, DatumError> {
        T::deserialize(self)
    }

    /// The items of an array, put into a list that is there.
    pub(super) fn items<T: Deserialize<'de>>(
        &mut self,
        mut list: Vec<T>,
    ) -> Result<Vec<T>, DatumError> {
        list.clear();
        let mut items = Items {
            reader: self,
            left: 0,
            ended: false,
        };
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'de [u8], DatumError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DatumError::Ended)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DatumError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DatumError::Ended)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn long(&mut self) -> Result<i64, DatumError> {
        // Most are short: a null, a symbol, the length of a text.
        if let [byte @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        self.long_of_many_bytes()
    }

    fn long_of_many_bytes(&mut self) -> Result<i64, DatumError> {
        let mut zigzag = 0_u64;
        for (at, byte) in self.rest.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds the last bit of 64.
            if at == 9 && *byte > 1 {
                return Err(DatumError::NumberTooLong);
            }
            zigzag |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        Err(DatumError::Ended)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, DatumError> {
        usize::try_from(self.long()?).map_err(|_| DatumError::BadLength)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'de [u8], DatumError> {
        let length = self.length()?;
        if length > self.rest.len() {
            return Err(DatumError::BadLength);
        }
        self.take(length)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = DatumError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DatumError> {
        Err(DatumError::Unsupported("unknown"))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        match self.array()? {
            [0] => visitor.visit_bool(false),
            [1] => visitor.visit_bool(true),
            [other] => Err(DatumError::BadBoolean(other)),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        let value = self.long()?;
        visitor.visit_i32(i32::try_from(value).map_err(|_| DatumError::NumberTooLong)?)
    }

    #[inline]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_i64(self.long()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_f32(f32::from_le_bytes(self.array()?))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_f64(f64::from_le_bytes(self.array()?))
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| DatumError::NotUtf8)?;
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        match self.long()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self),
            other => Err(DatumError::BadBranch(other)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DatumError> {
        match name {
            FIXED_NAME => visitor.visit_borrowed_bytes(self.take(FIXED_BYTES)?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DatumError> {
        visitor.visit_seq(Items {
            reader: self,
            left: 0,
            ended: false,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DatumError> {
        visitor.visit_seq(Fields {
            reader: self,
            left: fields.len(),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DatumError> {
        let symbol = u32::try_from(self.long()?).map_err(|_| DatumError::NumberTooLong)?;
        visitor.visit_enum(Symbol(symbol))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 char byte_buf unit unit_struct tuple tuple_struct map
        identifier ignored_any
    }
}

/// The fields of a record, one after the other.
struct Fields<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = DatumError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DatumError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// The items of an array: blocks, each with its count, until one of none.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    left: u64,
    ended: bool,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = DatumError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DatumError> {
        if self.left == 0 && !self.ended {
            let count = self.reader.long()?;
            if count < 0 {
                // The block's bytes, for readers that skip it.
                self.reader.length()?;
            }
            self.left = count.unsigned_abs();
            self.ended = count == 0;
        }
        if self.ended {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

struct Symbol(u32);

impl<'de> EnumAccess<'de> for Symbol {
    type Error = DatumError;
    type Variant = NoContent;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, NoContent), DatumError> {
        let symbol: U32Deserializer<DatumError> = self.0.into_deserializer();
        Ok((seed.deserialize(symbol)?, NoContent))
    }
}

/// A symbol has no content.
struct NoContent;

impl<'de> VariantAccess<'de> for NoContent {
    type Error = DatumError;

    fn unit_variant(self) -> Result<(), DatumError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, DatumError> {
        Err(DatumError::Unsupported("a symbol with content"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, DatumError> {
        Err(DatumError::Unsupported("a symbol with content"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, DatumError> {
        Err(DatumError::Unsupported("a symbol with content"))
    }
}
