//! Holds the Rust types to `schemas/*.avsc`, and those to their last released version.
//!
//! Apache's own implementation (`apache-avro`) is the second opinion: what the hot-path codec
//! writes it must read, field by field.

mod samples;

use std::borrow::Cow;

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use grapevine_event::*;
use proptest::prelude::*;

use samples::{by_schema, sample_visit, samples};

fn schema(kind: RecordType) -> Schema {
    Schema::parse_str(kind.text().json).expect("schema parses")
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 16]>().prop_map(Id)
}

fn member<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

prop_compose! {
    fn hit()(
        ids in (id(), any::<bool>()),
        kinds in (member(HitKind::ALL), member(Protocol::ALL), member(VisitorBasis::ALL)),
        numbers in (any::<i64>(), any::<i64>(), any::<Option<i64>>(), any::<Option<i64>>(), any::<Option<i32>>(), any::<Option<f64>>()),
        texts in prop::collection::vec(any::<String>(), 4),
        options in prop::collection::vec(any::<Option<String>>(), 14),
        props in prop::collection::vec((any::<String>(), any::<String>()), 0..4),
    ) -> OwnedHit { OwnedHit { ids, kinds, numbers, texts, options, props } }
}

#[derive(Debug)]
#[allow(clippy::type_complexity, reason = "mirrors the strategy above")]
struct OwnedHit {
    ids: (Id, bool),
    kinds: (HitKind, Protocol, VisitorBasis),
    numbers: (i64, i64, Option<i64>, Option<i64>, Option<i32>, Option<f64>),
    texts: Vec<String>,
    options: Vec<Option<String>>,
    props: Vec<(String, String)>,
}

impl OwnedHit {
    fn borrow(&self) -> Hit<'_> {
        let option = |index: usize| self.options[index].as_deref();
        Hit {
            hit_id: self.ids.0,
            client_id_given: self.ids.1,
            kind: self.kinds.0,
            protocol: self.kinds.1,
            site: &self.texts[0],
            event_time: self.numbers.0,
            received_time: self.numbers.1,
            visitor: self.numbers.2,
            visitor_basis: self.kinds.2,
            network: self.numbers.3,
            url: &self.texts[1],
            referrer: option(0),
            user_agent: &self.texts[2],
            language: option(1),
            title: option(2),
            status: self.numbers.4,
            share_token: option(3),
            app: option(4),
            name: option(5),
            value: self.numbers.5,
            fetch_site: option(6),
            fetch_mode: option(7),
            fetch_dest: option(8),
            fetch_user: option(9),
            client_hints: option(10),
            requested_with: option(11),
            purpose: option(12),
            range: option(13),
            props: self
                .props
                .iter()
                .map(|(name, value)| Property {
                    name,
                    value: Cow::Borrowed(value),
                })
                .collect(),
        }
    }
}

#[test]
fn every_type_is_its_schema() {
    let samples = samples();
    assert_eq!(samples.len(), RecordType::ALL.len());
    for (kind, bytes, names) in samples {
        let schema = schema(kind);
        let value = apache_avro::from_avro_datum(&schema, &mut &bytes[10..], None)
            .expect("Apache Avro reads it");
        let apache_avro::types::Value::Record(fields) = value else {
            panic!("no record")
        };
        // In order: a datum is nothing but its fields one after the other.
        let in_schema: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let in_rust: Vec<_> = names.0.iter().map(String::as_str).collect();
        assert_eq!(in_schema, in_rust, "{}", kind.text().name);
    }
}

/// What another implementation (fastavro on PyPI) makes of the schemas. Producers in other
/// languages frame with these, so a change here is a change of the wire format. Apache Avro for
/// Rust is no judge: its canonical form drops the namespace of nested names.
#[test]
fn fingerprints_are_those_of_other_implementations() {
    let expected = [
        ("hit", "d452e5b114d60d48"),
        ("visit", "87cd7084564dbb27"),
        ("visit_event", "112ae3c54fca587d"),
        ("share", "6f3922d0c4979e70"),
        ("edge", "640f9e3d3a4bf8e6"),
        ("cascade", "d88cbaa5da98f7df"),
        ("spread", "b576419252d0959f"),
        ("chain_model", "1630b75c57bcb867"),
        ("surge", "015a6567219568d7"),
        ("calibration", "0728c897bdd9511f"),
        ("dead_letter", "397f27a5c70cae02"),
        ("heartbeat", "876b85b4900f8bfb"),
    ];
    for (kind, (name, fingerprint)) in RecordType::ALL.iter().zip(expected) {
        let text: String = kind
            .fingerprint()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!((kind.text().name, text.as_str()), (name, fingerprint));
        assert_eq!(RecordType::of_fingerprint(kind.fingerprint()), Some(*kind));
        let parsed: serde_avro_fast::Schema = kind.text().json.parse().expect("schema parses");
        assert_eq!(*parsed.rabin_fingerprint(), kind.fingerprint());
    }
}

#[test]
fn every_enum_is_its_schema() {
    fn symbols(schema: &serde_json::Value, name: &str, found: &mut Option<Vec<String>>) {
        match schema {
            serde_json::Value::Object(object) => {
                if object.get("name").and_then(|n| n.as_str()) == Some(name)
                    && let Some(list) = object.get("symbols")
                {
                    *found = serde_json::from_value(list.clone()).ok();
                }
                object
                    .values()
                    .for_each(|inner| symbols(inner, name, found));
            }
            serde_json::Value::Array(items) => {
                items.iter().for_each(|inner| symbols(inner, name, found))
            }
            _ => {}
        }
    }
    fn check<T: Copy>(kind: RecordType, name: &str, all: &[T], text: impl Fn(T) -> &'static str) {
        let json = serde_json::from_str(kind.text().json).expect("json");
        let mut found = None;
        symbols(&json, name, &mut found);
        let in_rust: Vec<_> = all.iter().map(|member| text(*member).to_owned()).collect();
        assert_eq!(found.expect(name), in_rust, "{name}");
    }
    check(RecordType::Hit, "HitKind", HitKind::ALL, HitKind::as_str);
    check(
        RecordType::VisitEvent,
        "HitKind",
        HitKind::ALL,
        HitKind::as_str,
    );
    check(RecordType::Hit, "Protocol", Protocol::ALL, Protocol::as_str);
    check(
        RecordType::Hit,
        "VisitorBasis",
        VisitorBasis::ALL,
        VisitorBasis::as_str,
    );
    check(
        RecordType::Visit,
        "VisitorBasis",
        VisitorBasis::ALL,
        VisitorBasis::as_str,
    );
    check(RecordType::Visit, "Channel", Channel::ALL, Channel::as_str);
    check(RecordType::Visit, "Method", Method::ALL, Method::as_str);
    check(RecordType::Visit, "Device", Device::ALL, Device::as_str);
    check(
        RecordType::Share,
        "ShareKind",
        ShareKind::ALL,
        ShareKind::as_str,
    );
    check(
        RecordType::Share,
        "AddressOf",
        AddressOf::ALL,
        AddressOf::as_str,
    );
    check(
        RecordType::Edge,
        "EdgeMethod",
        EdgeMethod::ALL,
        EdgeMethod::as_str,
    );
    check(
        RecordType::Edge,
        "ParentKind",
        ParentKind::ALL,
        ParentKind::as_str,
    );
    check(
        RecordType::Cascade,
        "EdgeMethod",
        EdgeMethod::ALL,
        EdgeMethod::as_str,
    );
    check(
        RecordType::Surge,
        "SurgeState",
        SurgeState::ALL,
        SurgeState::as_str,
    );
    check(
        RecordType::Surge,
        "SeedKind",
        SeedKind::ALL,
        SeedKind::as_str,
    );
}

#[test]
fn every_field_is_documented() {
    for kind in RecordType::ALL {
        let json: serde_json::Value = serde_json::from_str(kind.text().json).expect("json");
        assert!(json["doc"].as_str().is_some_and(|doc| doc.len() > 20));
        for field in json["fields"].as_array().expect("fields") {
            assert!(
                field["doc"].as_str().is_some_and(|doc| doc.len() > 2),
                "{} {}",
                kind.text().name,
                field["name"]
            );
        }
    }
}

/// Old records must be readable with the new schema and new records with the old one: stages of
/// two versions run side by side during a rolling upgrade.
fn incompatible(released: &str, now: &str) -> Option<String> {
    let released = Schema::parse_str(released).expect("released schema parses");
    let now = Schema::parse_str(now).expect("schema parses");
    SchemaCompatibility::mutual_read(&released, &now)
        .err()
        .map(|error| error.to_string())
}

#[test]
fn no_incompatible_change_since_the_last_release() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/released");
    let newest = std::fs::read_dir(&root)
        .expect("schemas/released")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("utf-8")
        })
        .max_by_key(|version| {
            version
                .split('.')
                .map(|part| part.parse::<u64>().expect("a.b.c"))
                .collect::<Vec<_>>()
        })
        .expect("at least one release");
    for entry in std::fs::read_dir(root.join(&newest)).expect("release") {
        let path = entry.expect("entry").path();
        let name = path
            .file_stem()
            .expect("stem")
            .to_str()
            .expect("utf-8")
            .to_owned();
        let kind = RecordType::ALL.iter().find(|kind| kind.text().name == name);
        let kind = kind.unwrap_or_else(|| {
            panic!("schema {name} of release {newest} is gone: its records could no longer be read")
        });
        let released = std::fs::read_to_string(&path).expect("readable");
        assert_eq!(
            incompatible(&released, kind.text().json),
            None,
            "{name}: add fields with a default, never remove or retype one"
        );
    }
}

/// What release 0.1.0 wrote, and was not taken before the upgrade.
#[test]
fn an_edge_of_the_last_release_is_still_read() {
    #[derive(serde::Serialize)]
    struct Released<'a> {
        site: &'a str,
        content: &'a str,
        child_visit: Id,
        parent_visit: Option<Id>,
        time: i64,
        method: EdgeMethod,
        probability: f32,
        lag_ms: Option<i64>,
        parent_app: &'a str,
        child_app: &'a str,
        model_version: &'a str,
    }
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/released/0.1.0/edge.avsc"
    );
    let schema: serde_avro_fast::Schema = std::fs::read_to_string(path)
        .expect("readable")
        .parse()
        .expect("schema parses");
    for parent in [None, Some(Id([5; 16]))] {
        let old = Released {
            site: "s",
            content: "c",
            child_visit: Id([4; 16]),
            parent_visit: parent,
            time: 7,
            method: EdgeMethod::Token,
            probability: 1.0,
            lag_ms: parent.map(|_| 8),
            parent_app: "",
            child_app: "sms",
            model_version: "1",
        };
        let mut bytes = vec![0xC3, 0x01];
        bytes.extend_from_slice(schema.rabin_fingerprint());
        let mut config = serde_avro_fast::ser::SerializerConfig::new(&schema);
        bytes.extend(serde_avro_fast::to_datum_vec(&old, &mut config).expect("fits"));
        assert_eq!(Record::kind_of(&bytes).expect("known"), RecordType::Edge);
        let Record::Edge(edge) = Record::decode(&bytes).expect("decodes") else {
            panic!("no edge")
        };
        let kind = parent.map_or(ParentKind::Unknown, |_| ParentKind::Visitor);
        assert_eq!((edge.parent_kind, edge.sign), (kind, 1));
        assert_eq!((edge.parent_visit, edge.lag_ms), (parent, old.lag_ms));
        assert_eq!((edge.time, edge.child_app.as_ref()), (7, "sms"));
    }
}

/// Release 0.1.0 did not say what a fact adds to dark search.
#[test]
fn a_visit_of_the_last_release_is_still_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/released/0.1.0/visit.avsc"
    );
    let released = std::fs::read_to_string(path).expect("readable");
    let mut visit = sample_visit();
    visit.evidence[0].search_log_odds = None;
    let mut bytes = Vec::new();
    visit.encode(&mut bytes).expect("encodes");
    // What it wrote is the same, but for the null at the end of the fact and the fingerprint.
    let fact = b"\x10referrer\x08t.me\0\0\0\0";
    let at = bytes.windows(fact.len()).position(|found| found == fact);
    let null = at.expect("the fact") + fact.len();
    assert_eq!(bytes.remove(null), 0);
    let parsed: serde_avro_fast::Schema = released.parse().expect("schema parses");
    bytes[2..10].copy_from_slice(parsed.rabin_fingerprint());
    let schema = Schema::parse_str(&released).expect("schema parses");
    let mut datum = &bytes[10..];
    apache_avro::from_avro_datum(&schema, &mut datum, None).expect("as the release wrote it");
    assert!(datum.is_empty());

    assert_eq!(Record::kind_of(&bytes).expect("known"), RecordType::Visit);
    let read = Record::decode(&bytes).expect("decodes");
    assert_eq!(read, Record::Visit(visit));
}

/// Whatever was in the list that is given.
#[test]
fn a_visit_is_the_same_in_a_list_that_is_given() {
    for (_, bytes, _) in samples() {
        for cut in 0..=bytes.len() {
            let cut = &bytes[..cut];
            let mut spare = sample_visit().evidence;
            match (Record::decode_into(cut, &mut spare), Record::decode(cut)) {
                (Ok(given), Ok(own)) => assert_eq!(given, own),
                (given, own) => assert_eq!(
                    given.err().map(|error| error.to_string()),
                    own.err().map(|error| error.to_string())
                ),
            }
        }
    }
    let mut bytes = Vec::new();
    sample_visit().encode(&mut bytes).expect("encodes");
    bytes.push(0);
    let longer = Record::decode_into(&bytes, &mut Vec::new());
    assert!(matches!(longer, Err(CodecError::Trailing { left: 1, .. })));
}

#[test]
fn an_incompatible_change_would_be_refused() {
    let released = RecordType::Edge.text().json;
    let retyped = released.replace(
        r#""probability", "type": "float""#,
        r#""probability", "type": "string""#,
    );
    let new_without_default = released.replace(
        r#""fields": ["#,
        r#""fields": [{"name": "fresh", "type": "string"},"#,
    );
    let new_with_default = released.replace(
        r#""fields": ["#,
        r#""fields": [{"name": "fresh", "type": "string", "default": ""},"#,
    );
    assert_ne!(retyped, released);
    assert!(incompatible(released, &retyped).is_some());
    assert!(incompatible(released, &new_without_default).is_some());
    assert_eq!(incompatible(released, &new_with_default), None);
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let (_, bytes, _) = samples().swap_remove(0);
    assert!(matches!(Record::decode(&[]), Err(CodecError::TooShort(0))));
    assert!(matches!(
        Record::decode(b"{\"url\":\"x\"}"),
        Err(CodecError::NoMarker(b'{', b'"'))
    ));
    let mut foreign = bytes.clone();
    foreign[5] ^= 1;
    assert!(matches!(
        Record::decode(&foreign),
        Err(CodecError::UnknownSchema(_))
    ));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(
        Record::decode(&longer),
        Err(CodecError::Trailing {
            schema: "hit",
            left: 1
        })
    ));
    for cut in 10..bytes.len() {
        assert!(Record::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn hits_survive_the_codec(owned in hit()) {
        let hit = owned.borrow();
        let mut bytes = b"before".to_vec();
        hit.encode(&mut bytes).expect("encodes");
        match Record::decode(&bytes[6..]).expect("decodes") {
            Record::Hit(read) => {
                // NaN is not equal to itself; its bits must survive all the same.
                prop_assert_eq!(read.value.map(f64::to_bits), hit.value.map(f64::to_bits));
                prop_assert_eq!(Hit { value: None, ..read }, Hit { value: None, ..hit });
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn hits_are_written_as_the_schema_says(owned in hit()) {
        let hit = owned.borrow();
        let mut bytes = Vec::new();
        hit.encode(&mut bytes).expect("encodes");
        prop_assert_eq!(&bytes[10..], by_schema(RecordType::Hit, &hit));
    }

    /// What is read from damaged bytes is what a reader by schema makes of them.
    #[test]
    fn damaged_hits_are_refused_or_read_alike(owned in hit(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        owned.borrow().encode(&mut bytes).expect("encodes");
        let at = 10 + at.index(bytes.len() - 10);
        bytes[at] = byte;
        if let Ok(Record::Hit(read)) = Record::decode(&bytes) {
            let schema: serde_avro_fast::Schema = RecordType::Hit.text().json.parse().expect("parses");
            let by_schema: Hit<'_> = serde_avro_fast::from_datum_slice(&bytes[10..], &schema).expect("reads");
            prop_assert_eq!(read.value.map(f64::to_bits), by_schema.value.map(f64::to_bits));
            prop_assert_eq!(Hit { value: None, ..read }, Hit { value: None, ..by_schema });
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..RecordType::ALL.len()) {
        let _ = Record::decode(&bytes);
        let mut framed = vec![0xC3, 0x01];
        framed.extend(RecordType::ALL[kind].fingerprint());
        framed.append(&mut bytes);
        let own = Record::decode(&framed);
        prop_assert_eq!(own.is_ok(), Record::decode_into(&framed, &mut Vec::new()).is_ok());
    }

    #[test]
    fn ids_depend_on_every_part(a in any::<Vec<u8>>(), b in any::<Vec<u8>>(), n in any::<u64>()) {
        let id = |a: &[u8], b: &[u8], n| Id::builder("test").bytes(a).bytes(b).number(n).finish();
        prop_assert_eq!(id(&a, &b, n), id(&a, &b, n));
        prop_assert_ne!(id(&a, &b, n), id(&a, &b, n.wrapping_add(1)));
        let mut joined = a.clone();
        joined.extend(&b);
        if !b.is_empty() {
            prop_assert_ne!(id(&a, &b, n), id(&joined, &[], n));
        }
    }
}
