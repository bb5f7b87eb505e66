//! The schemas of the records, parsed once.

use std::sync::OnceLock;

use serde_avro_fast::Schema;

/// The text of one schema file.
#[derive(Clone, Copy, Debug)]
pub struct SchemaText {
    /// File name without its ending, such as `hit`.
    pub name: &'static str,
    /// The schema, JSON.
    pub json: &'static str,
}

macro_rules! record_types {
    ($($(#[$doc:meta])* $variant:ident = $file:literal,)+) => {
        /// What kind of record a message is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RecordType { $($(#[$doc])* $variant,)+ }

        impl RecordType {
            /// Every record type.
            pub const ALL: &'static [RecordType] = &[$(RecordType::$variant),+];

            /// The schema file of this record type.
            pub const fn text(self) -> SchemaText {
                match self {
                    $(RecordType::$variant => SchemaText {
                        name: $file,
                        json: include_str!(concat!("../../../schemas/", $file, ".avsc")),
                    },)+
                }
            }
        }
    };
}

record_types! {
    /// [`Hit`](crate::Hit).
    Hit = "hit",
    /// [`Visit`](crate::Visit).
    Visit = "visit",
    /// [`VisitEvent`](crate::VisitEvent).
    VisitEvent = "visit_event",
    /// [`Share`](crate::Share).
    Share = "share",
    /// [`Edge`](crate::Edge).
    Edge = "edge",
    /// [`Cascade`](crate::Cascade).
    Cascade = "cascade",
    /// [`DeadLetter`](crate::DeadLetter).
    DeadLetter = "dead_letter",
    /// [`Heartbeat`](crate::Heartbeat).
    Heartbeat = "heartbeat",
}

impl RecordType {
    /// The parsed schema.
    pub(crate) fn schema(self) -> &'static Schema {
        static PARSED: OnceLock<Vec<Schema>> = OnceLock::new();
        let parsed = PARSED.get_or_init(|| {
            let parse = |kind: &RecordType| {
                let text = kind.text();
                text.json.parse().unwrap_or_else(|error| {
                    // The text is compiled in, and a test parses every one.
                    unreachable!("schema {} does not parse: {error}", text.name)
                })
            };
            RecordType::ALL.iter().map(parse).collect()
        });
        &parsed[self as usize]
    }

    /// CRC-64-AVRO fingerprint of the schema's canonical form, as in single-object encoding.
    pub fn fingerprint(self) -> [u8; 8] {
        *self.schema().rabin_fingerprint()
    }

    /// The record type with that fingerprint.
    pub fn of_fingerprint(fingerprint: [u8; 8]) -> Option<RecordType> {
        RecordType::ALL
            .iter()
            .copied()
            .find(|kind| kind.fingerprint() == fingerprint)
    }
}
