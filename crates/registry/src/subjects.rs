//! Which schema is registered under which name.
//!
//! A subject has one schema that evolves. Where a topic holds one kind of record it is
//! `TOPIC-value`, as other tools expect. `hits.raw` and `hits.classified` hold several: the one
//! that they are named after has `TOPIC-value`, every other has `TOPIC-FULLNAME` (what other tools
//! call TopicRecordNameStrategy), or each would be held against the other and refused.

use grapevine_event::frame::Fingerprint;
use grapevine_event::{RecordType, topic};
use serde_json::Value;

/// What each topic holds; the first of a topic is the one that has `TOPIC-value`.
const HELD: [(&str, &[RecordType]); topic::ALL.len()] = [
    (topic::HITS_RAW, &[RecordType::Hit, RecordType::Heartbeat]),
    (
        topic::HITS_CLASSIFIED,
        &[
            RecordType::Visit,
            RecordType::VisitEvent,
            RecordType::Share,
            RecordType::Heartbeat,
        ],
    ),
    (topic::VISITS, &[RecordType::Visit]),
    (topic::EVENTS, &[RecordType::VisitEvent]),
    (topic::SHARES, &[RecordType::Share]),
    (topic::EDGES, &[RecordType::Edge]),
    (topic::CASCADES, &[RecordType::Cascade]),
    (topic::SPREADS, &[RecordType::Spread]),
    (topic::MODELS, &[RecordType::ChainModel]),
    (topic::SURGES, &[RecordType::Surge]),
    (topic::CALIBRATIONS, &[RecordType::Calibration]),
    (topic::DEAD_LETTERS, &[RecordType::DeadLetter]),
];

/// One schema under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The topic that it is for.
    pub topic: &'static str,
    /// What kind of record.
    pub kind: RecordType,
    /// Its name in the registry.
    pub name: String,
}

/// Every subject that Grapevine writes, in the order of the data flow.
pub fn all() -> impl Iterator<Item = Subject> {
    HELD.into_iter().flat_map(|(topic, kinds)| {
        kinds.iter().enumerate().map(move |(at, kind)| Subject {
            topic,
            kind: *kind,
            name: match at {
                0 => format!("{topic}-value"),
                _ => format!("{topic}-{}", full_name(*kind)),
            },
        })
    })
}

/// The fingerprint of any schema's canonical form; `None` where the text is no Avro schema.
pub fn fingerprint(schema: &str) -> Option<Fingerprint> {
    let parsed: Result<serde_avro_fast::Schema, _> = schema.parse();
    parsed.ok().map(|schema| *schema.rabin_fingerprint())
}

/// Namespace and name of a record's schema.
fn full_name(kind: RecordType) -> String {
    let text = kind.text();
    let schema: Value = serde_json::from_str(text.json).unwrap_or_default();
    match (schema["namespace"].as_str(), schema["name"].as_str()) {
        (Some(namespace), Some(name)) => format!("{namespace}.{name}"),
        (None, name) => name.unwrap_or(text.name).to_owned(),
        (Some(_), None) => text.name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_topic_and_every_kind_has_a_name_of_its_own() {
        let subjects: Vec<Subject> = all().collect();
        let names: BTreeSet<&str> = subjects.iter().map(|subject| &subject.name[..]).collect();
        assert_eq!(names.len(), subjects.len());
        for topic in topic::ALL {
            assert!(names.contains(&format!("{topic}-value")[..]), "{topic}");
        }
        for kind in RecordType::ALL {
            assert!(subjects.iter().any(|subject| subject.kind == *kind));
        }
        assert!(names.contains("hits.raw-grapevine.Heartbeat"), "{names:?}");
    }

    #[test]
    fn our_schemas_are_known_however_they_are_spaced() {
        for kind in RecordType::ALL {
            let text = kind.text().json;
            let spaced: Value = serde_json::from_str(text).expect("JSON");
            for json in [text.to_owned(), spaced.to_string()] {
                assert_eq!(fingerprint(&json), Some(kind.fingerprint()));
            }
        }
        for other in ["{}", "", "nothing", "{\"type\":\"nothing\"}"] {
            assert_eq!(fingerprint(other), None);
        }
    }
}
