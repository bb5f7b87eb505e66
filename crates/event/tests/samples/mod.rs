//! One record of each type, and the same as other libraries write it.

use grapevine_event::*;

pub(crate) fn sample_visit() -> Visit<'static> {
    Visit {
        visit_id: Id([7; 16]),
        site: "example.org",
        time: 1_700_000_000_000,
        visitor: Some(-5),
        visitor_basis: VisitorBasis::Address,
        returning: false,
        network: Some(9),
        content: "https://example.org/a".into(),
        title: Some("A"),
        referrer_host: Some("t.me".into()),
        campaign_source: None,
        campaign_medium: None,
        campaign_name: None,
        device: Device::Mobile,
        system: "Android",
        browser: "Chrome",
        language: Some("de-DE".into()),
        conventional_channel: Channel::Direct,
        channel: Channel::DarkSocial,
        app: "telegram".into(),
        method: Method::Referrer,
        dark_probability: 0.99,
        dark_probability_low: 0.98,
        dark_probability_high: 1.0,
        dark_search_probability: 0.0,
        evidence: vec![Evidence {
            name: "referrer",
            detail: "t.me".into(),
            log_odds: 0.0,
            search_log_odds: Some(0.25),
        }],
        model_version: "1".into(),
        robot: None,
        incoming_token: None,
        share_token: Some("abc"),
        cascade_id: Some(Id([7; 16])),
        generation: Some(0),
    }
}

fn sample_spread() -> Spread<'static> {
    Spread {
        site: "s",
        content: "c".into(),
        started: 1,
        updated: 2,
        closed: false,
        arrivals: 12,
        settled: 10,
        certain_shares: 2,
        certain_outside: 3,
        tokens: 4,
        shares: 5,
        chain_arrivals: 4.5,
        chain_arrivals_low: 3.5,
        chain_arrivals_high: 5.5,
        reproduction: 0.45,
        reproduction_low: 0.3,
        reproduction_high: 0.6,
        structural_virality: Some(2.5),
        structural_virality_low: Some(2.0),
        structural_virality_high: None,
        depth: 3.0,
        depth_low: 2.0,
        depth_high: 4.0,
        generation: 1.5,
        breadth: vec![6.5, 3.5],
        generation_time_seconds: Some(900.0),
        generation_time_seconds_low: Some(90.0),
        generation_time_seconds_high: Some(9_000.0),
        half_life_seconds: None,
        half_life_seconds_low: Some(600.0),
        half_life_seconds_high: None,
        k_factor: Some(0.45),
        k_factor_low: Some(0.35),
        k_factor_high: Some(0.55),
        reproduction_now: Some(0.7),
        reproduction_now_low: Some(0.4),
        reproduction_now_high: Some(1.1),
        amplification: Some(1.8),
        amplification_low: Some(1.4),
        amplification_high: None,
        doubling_seconds: None,
        doubling_seconds_low: None,
        doubling_seconds_high: Some(7_200.0),
        broadcast: false,
        largest_broadcast: 2,
        broadcast_probability: Some(0.1),
        broadcast_arrivals: Some(0.2),
        broadcast_arrivals_low: Some(0.0),
        broadcast_arrivals_high: None,
        model_version: "1".into(),
    }
}

/// The names of a record's fields, in its order.
pub(crate) struct FieldNames(pub(crate) Vec<String>);

impl<'de> serde::Deserialize<'de> for FieldNames {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> serde::de::Visitor<'de> for Names {
            type Value = FieldNames;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a record")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut fields: A,
            ) -> Result<FieldNames, A::Error> {
                let mut names = Vec::new();
                while let Some((name, serde::de::IgnoredAny)) = fields.next_entry()? {
                    names.push(name);
                }
                Ok(FieldNames(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// What a library makes of a record that looks each field up in the schema.
pub(crate) fn by_schema(kind: RecordType, record: &impl serde::Serialize) -> Vec<u8> {
    let schema: serde_avro_fast::Schema = kind.text().json.parse().expect("schema parses");
    let mut config = serde_avro_fast::ser::SerializerConfig::new(&schema);
    serde_avro_fast::to_datum_vec(record, &mut config).expect("fits")
}

/// One whole record of every type, as the hot-path encoder writes it.
pub(crate) fn samples() -> Vec<(RecordType, Vec<u8>, FieldNames)> {
    let mut out = Vec::new();
    let mut add = |kind, bytes: Vec<u8>, names| out.push((kind, bytes, names));
    macro_rules! sample {
        ($kind:ident, $record:expr) => {{
            let record = $record;
            let mut bytes = Vec::new();
            record.encode(&mut bytes).expect("encodes");
            assert_eq!(
                Record::decode(&bytes).expect("decodes"),
                Record::$kind(record.clone())
            );
            let by_schema = by_schema(RecordType::$kind, &record);
            assert_eq!(bytes[10..], by_schema, "{:?}", record);
            let json = serde_json::to_string(&record).expect("json");
            let names = serde_json::from_str(&json).expect("an object");
            add(RecordType::$kind, bytes, names);
        }};
    }
    let mut hit = Hit::page_view(Id([1; 16]), "example.org", 5, "https://example.org/");
    hit.props = vec![Property {
        name: "a",
        value: "b".into(),
    }];
    sample!(Hit, hit);
    sample!(Visit, sample_visit());
    sample!(
        VisitEvent,
        VisitEvent {
            event_id: Id([2; 16]),
            visit_id: None,
            site: "s",
            time: 1,
            kind: HitKind::Conversion,
            content: "c".into(),
            name: Some("order"),
            value: Some(1.5),
            props: vec![],
        }
    );
    sample!(
        Share,
        Share {
            share_id: Id([3; 16]),
            site: "s",
            time: 1,
            content: "c".into(),
            kind: ShareKind::Preview,
            app: "whatsapp".into(),
            private: Some(true),
            probability: 0.5,
            address_of: AddressOf::Sender,
            network: Some(1),
            visitor: None,
            sharer_visit: None,
            token: None,
        }
    );
    sample!(
        Edge,
        Edge {
            site: "s",
            content: "c".into(),
            child_visit: Id([4; 16]),
            parent_visit: Some(Id([5; 16])),
            time: 1,
            method: EdgeMethod::Token,
            probability: 1.0,
            lag_ms: Some(1),
            parent_app: "".into(),
            child_app: "sms".into(),
            model_version: "1".into(),
            parent_kind: ParentKind::Visitor,
            sign: -1,
        }
    );
    sample!(
        Cascade,
        Cascade {
            cascade_id: Id([4; 16]),
            site: "s",
            content: "c".into(),
            started: 1,
            updated: 2,
            method: EdgeMethod::Token,
            size: 2,
            depth: 1,
            breadth: vec![1, 1],
            structural_virality: Some(1.0),
            reproduction_number: Some(0.5),
        }
    );
    sample!(Spread, sample_spread());
    sample!(
        ChainModel,
        ChainModel {
            site: "s",
            time: 7,
            version: "2".into(),
            learned_from: "1".into(),
            lessons: 128,
            weights: "version = 2".into(),
            scored: 300,
            log_loss: Some(1.5),
            brier: Some(0.2),
            ece: None,
            top1: Some(0.5),
            reliability_count: vec![1, 0],
            reliability_predicted: vec![0.5, 0.0],
            reliability_observed: vec![1.0, 0.0],
            alarm: true,
            token_survival: 0.25,
            copying_app: Some(0.5),
            copying_app_edges: Some(128),
            copying_network: Some(0.125),
            copying_network_edges: Some(64),
            copying_device: None,
            copying_device_edges: None,
            arrivals_per_act: Some(1.5),
            outside_shift: Some(-0.5),
            outside_shift_deviation: Some(0.25),
            outside_shift_known: Some(0.125),
            outside_shift_known_deviation: None,
            strangers: Some(0.25),
            balance: Some(-0.75),
            mean_log_odds: Some(1.25),
            hours_outside: vec![3, 0],
            hours_shared: vec![0, 5],
        }
    );
    sample!(
        Surge,
        Surge {
            surge_id: Id([8; 16]),
            site: "s",
            content: "c".into(),
            state: SurgeState::Raised,
            started: 1,
            updated: 2,
            visits: 40,
            dark: 30.5,
            dark_low: 20.0,
            dark_high: 40.0,
            baseline: 1.5,
            baseline_high: 4.0,
            rate_per_hour: 60.0,
            doubling_seconds: Some(900.0),
            doubling_seconds_low: Some(600.0),
            doubling_seconds_high: None,
            apps: vec![SurgeApp {
                app: "whatsapp",
                probability: 0.75,
            }],
            seeds: vec![SurgeSeed {
                kind: SeedKind::Share,
                id: Id([9; 16]),
                time: 1,
                app: "signal",
                probability: 0.75,
            }],
            share_acts: 2.5,
            signs: 4.5,
            signs_usual: 9.0,
            networks: 30,
            chained: 3,
            reproduction_number: Some(0.9),
            reproduction_low: None,
            reproduction_high: None,
            false_alarm: 1e-7,
            new_content: true,
            model_version: "1".into(),
        }
    );
    sample!(
        Calibration,
        Calibration {
            site: "s",
            time: 1,
            model_version: "1+site.40".into(),
            landings: 40,
            tokens: 20,
            known: 2,
            known_with_token: 1,
            token_survival: Some(0.5),
            token_survival_low: Some(0.25),
            token_survival_high: Some(0.75),
            intercept: Some(0.5),
            intercept_low: Some(-0.5),
            intercept_high: Some(1.5),
            slope: Some(-0.25),
            ece: Some(0.125),
            ece_low: None,
            ece_high: Some(0.25),
            brier: Some(0.25),
            private_part: 0.92,
            bin_landings: vec![40],
            bin_tokens: vec![20],
            bin_predicted: vec![0.5],
        }
    );
    sample!(
        DeadLetter,
        DeadLetter {
            letter_id: Id([6; 16]),
            time: 1,
            site: "",
            stage: "import",
            reason: "bad_time",
            detail: "month Foo".into(),
            source: "access.log",
            partition: None,
            position: 3,
            payload: b"\xff\x00",
            payload_length: 2,
        }
    );
    sample!(
        Heartbeat,
        Heartbeat {
            event_time: 3,
            source: "collector"
        }
    );
    out
}
