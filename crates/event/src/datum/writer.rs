//! Writes a datum behind what a buffer holds.

use serde::ser::{Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::{DatumError, FIXED_BYTES, FIXED_NAME};

/// Appends the datum of `record`.
///
/// # Errors
/// A value of a type that no record has; `out` then ends in the middle.
pub(crate) fn write<T: Serialize>(record: &T, out: &mut Vec<u8>) -> Result<(), DatumError> {
    record.serialize(&mut Writer { out, fixed: false })
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// The bytes that come next are a fixed: their length is in the schema.
    fixed: bool,
}

impl Writer<'_> {
    #[inline]
    fn long(&mut self, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        if zigzag < 0x80 {
            return self.out.push(zigzag as u8);
        }
        let mut bytes = [0; 10];
        let mut count = 0;
        while zigzag >= 0x80 {
            bytes[count] = zigzag as u8 | 0x80;
            zigzag >>= 7;
            count += 1;
        }
        bytes[count] = zigzag as u8;
        self.out.extend_from_slice(&bytes[..=count]);
    }

    #[inline]
    fn length(&mut self, length: usize) -> Result<(), DatumError> {
        let length = i64::try_from(length).map_err(|_| DatumError::BadLength)?;
        self.long(length);
        Ok(())
    }
}

macro_rules! unsupported {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, _: $type) -> Result<(), DatumError> {
            Err(DatumError::Unsupported(stringify!($type)))
        })+
    };
}

type No = Impossible<(), DatumError>;

impl Serializer for &mut Writer<'_> {
    type Ok = ();
    type Error = DatumError;
    type SerializeSeq = Self;
    type SerializeTuple = No;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = Self;
    type SerializeStructVariant = No;

    unsupported! {
        serialize_i8: i8, serialize_i16: i16, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_char: char,
    }

    fn serialize_bool(self, value: bool) -> Result<(), DatumError> {
        self.out.push(u8::from(value));
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), DatumError> {
        self.long(value.into());
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), DatumError> {
        self.long(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), DatumError> {
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), DatumError> {
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), DatumError> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), DatumError> {
        if !std::mem::take(&mut self.fixed) {
            self.length(value.len())?;
        } else if value.len() != FIXED_BYTES {
            return Err(DatumError::BadLength);
        }
        self.out.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), DatumError> {
        self.long(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), DatumError> {
        self.long(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), DatumError> {
        Err(DatumError::Unsupported("null"))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), DatumError> {
        Err(DatumError::Unsupported("null"))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        symbol: u32,
        _: &'static str,
    ) -> Result<(), DatumError> {
        self.long(symbol.into());
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), DatumError> {
        self.fixed = name == FIXED_NAME;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), DatumError> {
        Err(DatumError::Unsupported("a symbol with content"))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, DatumError> {
        match length {
            // The block of none that ends the array comes at its end.
            Some(0) => {}
            Some(length) => self.length(length)?,
            None => return Err(DatumError::Unsupported("an array of unknown length")),
        }
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<No, DatumError> {
        Err(DatumError::Unsupported("a tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<No, DatumError> {
        Err(DatumError::Unsupported("a tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, DatumError> {
        Err(DatumError::Unsupported("a symbol with content"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<No, DatumError> {
        Err(DatumError::Unsupported("a map"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, DatumError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No, DatumError> {
        Err(DatumError::Unsupported("a symbol with content"))
    }
}

impl SerializeSeq for &mut Writer<'_> {
    type Ok = ();
    type Error = DatumError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), DatumError> {
        item.serialize(&mut **self)
    }

    fn end(self) -> Result<(), DatumError> {
        self.long(0);
        Ok(())
    }
}

impl SerializeStruct for &mut Writer<'_> {
    type Ok = ();
    type Error = DatumError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _: &'static str,
        value: &T,
    ) -> Result<(), DatumError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), DatumError> {
        Ok(())
    }
}
