//! Single-object encoding: `C3 01`, the schema's fingerprint (8 bytes), the Avro datum.
//!
//! <https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding>

use serde::Serialize;
use thiserror::Error;

use crate::datum;
use crate::frame::{self, HEAD_BYTES};
use crate::record::{
    Calibration, Cascade, ChainModel, DeadLetter, Edge, Evidence, Heartbeat, Hit, Share, Spread,
    Surge, Visit, VisitEvent,
};
use crate::released;
use crate::schema::RecordType;

/// Why bytes are no record, or a record cannot be written.
#[derive(Debug, Error)]
pub enum CodecError {
    /// Shorter than the ten bytes that every record starts with.
    #[error("{0} bytes are too short for a record: the marker and fingerprint alone take 10")]
    TooShort(usize),
    /// The first two bytes are not those of single-object encoding.
    #[error("record starts with {0:02x}{1:02x} instead of c301: not Avro single-object encoding{hint}", hint = hint(*.0, *.1))]
    NoMarker(u8, u8),
    /// A message as it is on a topic where a schema registry is used, with the schema's id.
    #[error(
        "record is framed for a schema registry with schema id {0}, and no schema of this version is known by it: set registry.url, register the schema there, or use the newer grapevine that wrote it; then start again and send it back (grapevine replay)"
    )]
    Framed(u32),
    /// A fingerprint that no schema of this version has.
    #[error(
        "no schema of this version has fingerprint {0:02x?}: use the newer grapevine that wrote it, and send it back (grapevine replay)"
    )]
    UnknownSchema([u8; 8]),
    /// The datum does not fit its schema.
    #[error("record does not fit schema {schema}: {reason}")]
    Malformed {
        /// Schema file name.
        schema: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Bytes are left over after the datum.
    #[error("{left} bytes are left over after a record of schema {schema}")]
    Trailing {
        /// Schema file name.
        schema: &'static str,
        /// How many.
        left: usize,
    },
    /// A value cannot be written as its schema says.
    #[error("value cannot be written as schema {schema}: {reason}")]
    Unwritable {
        /// Schema file name.
        schema: &'static str,
        /// What the encoder says.
        reason: String,
    },
}

impl CodecError {
    /// The fixed name that dead letters carry: `unknown_schema` where another version or a registry may
    /// know what it is, `undecodable` of the rest.
    pub fn reason(&self) -> &'static str {
        match self {
            CodecError::Framed(_) | CodecError::UnknownSchema(_) => "unknown_schema",
            CodecError::TooShort(_)
            | CodecError::NoMarker(..)
            | CodecError::Malformed { .. }
            | CodecError::Trailing { .. }
            | CodecError::Unwritable { .. } => "undecodable",
        }
    }
}

/// Any record, borrowed from the bytes it was decoded from.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "decoded one at a time, on the stack"
)]
pub enum Record<'a> {
    /// A raw hit.
    Hit(Hit<'a>),
    /// A classified landing.
    Visit(Visit<'a>),
    /// A later hit of a visit.
    VisitEvent(VisitEvent<'a>),
    /// An act of passing a link on.
    Share(Share<'a>),
    /// Who came from whose share.
    Edge(Edge<'a>),
    /// A tree of edges.
    Cascade(Cascade<'a>),
    /// How a content spreads.
    Spread(Spread<'a>),
    /// Weights in force.
    ChainModel(ChainModel<'a>),
    /// A content that spreads in the dark faster than its baseline.
    Surge(Surge<'a>),
    /// How well probabilities fit a site's own tokens.
    Calibration(Calibration<'a>),
    /// What could not be processed.
    DeadLetter(DeadLetter<'a>),
    /// Time passing.
    Heartbeat(Heartbeat<'a>),
}

impl<'a> Record<'a> {
    /// Decodes one record, of this version or of an earlier release.
    ///
    /// # Errors
    /// Anything but exactly one whole record of a known schema.
    pub fn decode(bytes: &'a [u8]) -> Result<Record<'a>, CodecError> {
        let kind = Record::kind_of(bytes)?;
        let datum = &bytes[HEAD_BYTES..];
        Ok(match kind {
            RecordType::Hit => Record::Hit(datum_of(datum, kind)?),
            RecordType::Visit if bytes.starts_with(&frame::single_object_head(released::VISIT)) => {
                Record::Visit(datum_of::<released::Visit<'_>>(datum, kind)?.into())
            }
            RecordType::Visit => Record::Visit(datum_of(datum, kind)?),
            RecordType::VisitEvent => Record::VisitEvent(datum_of(datum, kind)?),
            RecordType::Share => Record::Share(datum_of(datum, kind)?),
            RecordType::Edge if bytes.starts_with(&frame::single_object_head(released::EDGE)) => {
                Record::Edge(datum_of::<released::Edge<'_>>(datum, kind)?.into())
            }
            RecordType::Edge => Record::Edge(datum_of(datum, kind)?),
            RecordType::Cascade => Record::Cascade(datum_of(datum, kind)?),
            RecordType::Spread => Record::Spread(datum_of(datum, kind)?),
            RecordType::ChainModel => Record::ChainModel(datum_of(datum, kind)?),
            RecordType::Surge => Record::Surge(datum_of(datum, kind)?),
            RecordType::Calibration => Record::Calibration(datum_of(datum, kind)?),
            RecordType::DeadLetter => Record::DeadLetter(datum_of(datum, kind)?),
            RecordType::Heartbeat => Record::Heartbeat(datum_of(datum, kind)?),
        })
    }

    /// As [`decode`](Record::decode); the evidence of a visit of this version takes the room of
    /// `spare`, which is left without any.
    ///
    /// # Errors
    /// Anything but exactly one whole record of a known schema.
    pub fn decode_into(
        bytes: &'a [u8],
        spare: &mut Vec<Evidence<'static>>,
    ) -> Result<Record<'a>, CodecError> {
        let kind = RecordType::Visit;
        if !bytes.starts_with(&frame::single_object_head(kind.fingerprint())) {
            return Record::decode(bytes);
        }
        let visit = datum::read_visit(&bytes[HEAD_BYTES..], std::mem::take(spare));
        whole(visit, kind).map(Record::Visit)
    }

    /// What kind of record the bytes hold, by their header alone.
    ///
    /// # Errors
    /// Too short, no marker, or a fingerprint that no schema has.
    pub fn kind_of(bytes: &[u8]) -> Result<RecordType, CodecError> {
        let Some((fingerprint, _)) = frame::of_single_object(bytes) else {
            return Err(match (frame::of_framed(bytes), bytes) {
                (Some((id, _)), _) => CodecError::Framed(id),
                (None, [first, second, ..]) if bytes.len() >= HEAD_BYTES => {
                    CodecError::NoMarker(*first, *second)
                }
                (None, _) => CodecError::TooShort(bytes.len()),
            });
        };
        match fingerprint {
            released::EDGE => Ok(RecordType::Edge),
            released::VISIT => Ok(RecordType::Visit),
            now => RecordType::of_fingerprint(now).ok_or(CodecError::UnknownSchema(now)),
        }
    }
}

/// What bytes that begin so usually are.
fn hint(first: u8, second: u8) -> &'static str {
    match (first, second) {
        (b'{' | b'[', _) => " but probably JSON: send hits to the collector, not to the topic",
        (b'O', b'b') => " but probably an Avro file: send its records, not the file",
        (0x1f, 0x8b) => " but gzip: leave compression to the producer's compression.type",
        (0x28, 0xb5) => " but zstd: leave compression to the producer's compression.type",
        _ => "",
    }
}

fn datum_of<'a, T: serde::Deserialize<'a>>(
    datum: &'a [u8],
    kind: RecordType,
) -> Result<T, CodecError> {
    whole(datum::read(datum), kind)
}

/// What was read, where nothing is left over behind it.
fn whole<T>(
    read: Result<(T, &[u8]), datum::DatumError>,
    kind: RecordType,
) -> Result<T, CodecError> {
    let schema = kind.text().name;
    let (value, left) = read.map_err(|error| CodecError::Malformed {
        schema,
        reason: error.to_string(),
    })?;
    match left.len() {
        0 => Ok(value),
        left => Err(CodecError::Trailing { schema, left }),
    }
}

macro_rules! encode {
    ($($record:ident,)+) => {
        $(impl $record<'_> {
            /// Appends this record as it stands on a topic.
            ///
            /// # Errors
            /// A value that its schema cannot hold; `out` is then as it was.
            pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
                append(RecordType::$record, self, out)
            }
        })+
    };
}

encode! { Hit, Visit, VisitEvent, Share, Edge, Cascade, Spread, ChainModel, Surge, Calibration, DeadLetter,
Heartbeat, }

fn append<T: Serialize>(kind: RecordType, record: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    out.extend_from_slice(&frame::single_object_head(kind.fingerprint()));
    datum::write(record, out).map_err(|error| {
        out.truncate(start);
        CodecError::Unwritable {
            schema: kind.text().name,
            reason: error.to_string(),
        }
    })
}
