//! The schemas of the records, and the fingerprints by which a record names its own. A test holds
//! those to the texts.

/// The text of one schema file.
#[derive(Clone, Copy, Debug)]
pub struct SchemaText {
    /// File name without its ending, such as `hit`.
    pub name: &'static str,
    /// The schema, JSON.
    pub json: &'static str,
}

macro_rules! record_types {
    ($($(#[$doc:meta])* $variant:ident = $file:literal $fingerprint:literal,)+) => {
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

            /// CRC-64-AVRO fingerprint of the schema's canonical form, as in single-object
            /// encoding.
            pub const fn fingerprint(self) -> [u8; 8] {
                match self {
                    $(RecordType::$variant => u64::to_be_bytes($fingerprint),)+
                }
            }

            /// The record type with that fingerprint.
            pub const fn of_fingerprint(fingerprint: [u8; 8]) -> Option<RecordType> {
                match u64::from_be_bytes(fingerprint) {
                    $($fingerprint => Some(RecordType::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

record_types! {
    /// [`Hit`](crate::Hit).
    Hit = "hit" 0xd452_e5b1_14d6_0d48,
    /// [`Visit`](crate::Visit).
    Visit = "visit" 0x87cd_7084_564d_bb27,
    /// [`VisitEvent`](crate::VisitEvent).
    VisitEvent = "visit_event" 0x112a_e3c5_4fca_587d,
    /// [`Share`](crate::Share).
    Share = "share" 0x6f39_22d0_c497_9e70,
    /// [`Edge`](crate::Edge).
    Edge = "edge" 0x640f_9e3d_3a4b_f8e6,
    /// [`Cascade`](crate::Cascade).
    Cascade = "cascade" 0xd88c_baa5_da98_f7df,
    /// [`Spread`](crate::Spread).
    Spread = "spread" 0xb576_4192_52d0_959f,
    /// [`ChainModel`](crate::ChainModel).
    ChainModel = "chain_model" 0x1630_b75c_57bc_b867,
    /// [`Surge`](crate::Surge).
    Surge = "surge" 0x015a_6567_2195_68d7,
    /// [`Calibration`](crate::Calibration).
    Calibration = "calibration" 0x0728_c897_bdd9_511f,
    /// [`DeadLetter`](crate::DeadLetter).
    DeadLetter = "dead_letter" 0x397f_27a5_c70c_ae02,
    /// [`Heartbeat`](crate::Heartbeat).
    Heartbeat = "heartbeat" 0x876b_85b4_900f_8bfb,
}
