//! The records on the topics. Field by field they are documented in `schemas/*.avsc`; a test holds
//! each struct to its schema.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::Id;
use crate::vocabulary::{
    AddressOf, Channel, Device, EdgeMethod, HitKind, Method, ParentKind, Protocol, SeedKind,
    ShareKind, SurgeState, VisitorBasis,
};

/// One raw event as a producer took it (`schemas/hit.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "documented field by field in schemas/hit.avsc")]
pub struct Hit<'a> {
    pub hit_id: Id,
    pub client_id_given: bool,
    pub kind: HitKind,
    pub protocol: Protocol,
    pub site: &'a str,
    pub event_time: i64,
    pub received_time: i64,
    pub visitor: Option<i64>,
    pub visitor_basis: VisitorBasis,
    pub network: Option<i64>,
    pub url: &'a str,
    pub referrer: Option<&'a str>,
    pub user_agent: &'a str,
    pub language: Option<&'a str>,
    pub title: Option<&'a str>,
    pub status: Option<i32>,
    pub share_token: Option<&'a str>,
    pub app: Option<&'a str>,
    pub name: Option<&'a str>,
    pub value: Option<f64>,
    pub fetch_site: Option<&'a str>,
    pub fetch_mode: Option<&'a str>,
    pub fetch_dest: Option<&'a str>,
    pub fetch_user: Option<&'a str>,
    pub client_hints: Option<&'a str>,
    pub requested_with: Option<&'a str>,
    pub purpose: Option<&'a str>,
    pub range: Option<&'a str>,
    #[serde(borrow)]
    pub props: Vec<Property<'a>>,
}

impl<'a> Hit<'a> {
    /// A page view with nothing known but these: everything else empty, null or unknown.
    pub fn page_view(hit_id: Id, site: &'a str, time: i64, url: &'a str) -> Self {
        Hit {
            hit_id,
            client_id_given: false,
            kind: HitKind::PageView,
            protocol: Protocol::Unknown,
            site,
            event_time: time,
            received_time: time,
            visitor: None,
            visitor_basis: VisitorBasis::None,
            network: None,
            url,
            referrer: None,
            user_agent: "",
            language: None,
            title: None,
            status: None,
            share_token: None,
            app: None,
            name: None,
            value: None,
            fetch_site: None,
            fetch_mode: None,
            fetch_dest: None,
            fetch_user: None,
            client_hints: None,
            requested_with: None,
            purpose: None,
            range: None,
            props: Vec::new(),
        }
    }
}

/// One of the sender's own properties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property<'a> {
    /// Property name.
    pub name: &'a str,
    /// Property value as text.
    #[serde(borrow)]
    pub value: Cow<'a, str>,
}

/// A landing, classified (`schemas/visit.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/visit.avsc"
)]
pub struct Visit<'a> {
    pub visit_id: Id,
    pub site: &'a str,
    pub time: i64,
    pub visitor: Option<i64>,
    pub visitor_basis: VisitorBasis,
    pub returning: bool,
    pub network: Option<i64>,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub title: Option<&'a str>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub referrer_host: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub campaign_source: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub campaign_medium: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub campaign_name: Option<Cow<'a, str>>,
    pub device: Device,
    pub system: &'a str,
    pub browser: &'a str,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub language: Option<Cow<'a, str>>,
    pub conventional_channel: Channel,
    pub channel: Channel,
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    pub method: Method,
    pub dark_probability: f32,
    pub dark_probability_low: f32,
    pub dark_probability_high: f32,
    pub dark_search_probability: f32,
    #[serde(borrow)]
    pub evidence: Vec<Evidence<'a>>,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub robot: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub incoming_token: Option<Cow<'a, str>>,
    pub share_token: Option<&'a str>,
    pub cascade_id: Option<Id>,
    pub generation: Option<i32>,
}

/// One named fact about a visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// Name of the fact, from a small closed set.
    pub name: &'a str,
    /// The fact in words an analyst can read.
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
    /// What it adds to the log-odds of dark social; 0 for a fact that decides by itself.
    pub log_odds: f32,
    /// What it adds to the log-odds of dark search against a typed or bookmarked address; 0 for a
    /// fact that decides by itself or says nothing of it. `None` in records of releases that did not
    /// say.
    pub search_log_odds: Option<f32>,
}

/// A later hit of a visit (`schemas/visit_event.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/visit_event.avsc"
)]
pub struct VisitEvent<'a> {
    pub event_id: Id,
    pub visit_id: Option<Id>,
    pub site: &'a str,
    pub time: i64,
    pub kind: HitKind,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub name: Option<&'a str>,
    pub value: Option<f64>,
    #[serde(borrow)]
    pub props: Vec<Property<'a>>,
}

/// An observed act of passing a link on (`schemas/share.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/share.avsc"
)]
pub struct Share<'a> {
    pub share_id: Id,
    pub site: &'a str,
    pub time: i64,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub kind: ShareKind,
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    pub private: Option<bool>,
    pub probability: f32,
    pub address_of: AddressOf,
    pub network: Option<i64>,
    pub visitor: Option<i64>,
    pub sharer_visit: Option<Id>,
    #[serde(borrow, deserialize_with = "borrowed")]
    pub token: Option<Cow<'a, str>>,
}

/// One possible cause of a visit (`schemas/edge.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/edge.avsc"
)]
pub struct Edge<'a> {
    pub site: &'a str,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub child_visit: Id,
    pub parent_visit: Option<Id>,
    pub time: i64,
    pub method: EdgeMethod,
    pub probability: f32,
    pub lag_ms: Option<i64>,
    #[serde(borrow)]
    pub parent_app: Cow<'a, str>,
    #[serde(borrow)]
    pub child_app: Cow<'a, str>,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    pub parent_kind: ParentKind,
    pub sign: i32,
}

/// A tree of edges as known at a moment (`schemas/cascade.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/cascade.avsc"
)]
pub struct Cascade<'a> {
    pub cascade_id: Id,
    pub site: &'a str,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub started: i64,
    pub updated: i64,
    pub method: EdgeMethod,
    pub size: i64,
    pub depth: i32,
    pub breadth: Vec<i64>,
    pub structural_virality: Option<f64>,
    pub reproduction_number: Option<f64>,
}

/// How one content spreads, as known at a moment (`schemas/spread.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/spread.avsc"
)]
pub struct Spread<'a> {
    pub site: &'a str,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub started: i64,
    pub updated: i64,
    pub closed: bool,
    pub arrivals: i64,
    pub settled: i64,
    pub certain_shares: i64,
    pub certain_outside: i64,
    pub tokens: i64,
    pub shares: i64,
    pub chain_arrivals: f64,
    pub chain_arrivals_low: f64,
    pub chain_arrivals_high: f64,
    pub reproduction: f64,
    pub reproduction_low: f64,
    pub reproduction_high: f64,
    pub structural_virality: Option<f64>,
    pub structural_virality_low: Option<f64>,
    pub structural_virality_high: Option<f64>,
    pub depth: f64,
    pub depth_low: f64,
    pub depth_high: f64,
    pub generation: f64,
    pub breadth: Vec<f64>,
    pub generation_time_seconds: Option<f64>,
    pub generation_time_seconds_low: Option<f64>,
    pub generation_time_seconds_high: Option<f64>,
    pub half_life_seconds: Option<f64>,
    pub half_life_seconds_low: Option<f64>,
    pub half_life_seconds_high: Option<f64>,
    pub k_factor: Option<f64>,
    pub k_factor_low: Option<f64>,
    pub k_factor_high: Option<f64>,
    pub reproduction_now: Option<f64>,
    pub reproduction_now_low: Option<f64>,
    pub reproduction_now_high: Option<f64>,
    pub amplification: Option<f64>,
    pub amplification_low: Option<f64>,
    pub amplification_high: Option<f64>,
    pub doubling_seconds: Option<f64>,
    pub doubling_seconds_low: Option<f64>,
    pub doubling_seconds_high: Option<f64>,
    pub broadcast: bool,
    pub largest_broadcast: i64,
    pub broadcast_probability: Option<f64>,
    pub broadcast_arrivals: Option<f64>,
    pub broadcast_arrivals_low: Option<f64>,
    pub broadcast_arrivals_high: Option<f64>,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
}

/// Weights of causes in force on a site, how well they do, and what else the site teaches
/// (`schemas/chain_model.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/chain_model.avsc"
)]
pub struct ChainModel<'a> {
    pub site: &'a str,
    pub time: i64,
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    #[serde(borrow)]
    pub learned_from: Cow<'a, str>,
    pub lessons: i64,
    #[serde(borrow)]
    pub weights: Cow<'a, str>,
    pub scored: i64,
    pub log_loss: Option<f64>,
    pub brier: Option<f64>,
    pub ece: Option<f64>,
    pub top1: Option<f64>,
    pub reliability_count: Vec<i64>,
    pub reliability_predicted: Vec<f64>,
    pub reliability_observed: Vec<f64>,
    pub alarm: bool,
    pub token_survival: f64,
    pub copying_app: Option<f64>,
    pub copying_app_edges: Option<i64>,
    pub copying_network: Option<f64>,
    pub copying_network_edges: Option<i64>,
    pub copying_device: Option<f64>,
    pub copying_device_edges: Option<i64>,
    pub arrivals_per_act: Option<f64>,
    pub outside_shift: Option<f64>,
    pub outside_shift_deviation: Option<f64>,
    pub outside_shift_known: Option<f64>,
    pub outside_shift_known_deviation: Option<f64>,
    pub strangers: Option<f64>,
    pub balance: Option<f64>,
    pub mean_log_odds: Option<f64>,
    pub hours_outside: Vec<i64>,
    pub hours_shared: Vec<i64>,
}

/// A content that spreads in the dark faster than its own baseline (`schemas/surge.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/surge.avsc"
)]
pub struct Surge<'a> {
    pub surge_id: Id,
    pub site: &'a str,
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    pub state: SurgeState,
    pub started: i64,
    pub updated: i64,
    pub visits: i64,
    pub dark: f64,
    pub dark_low: f64,
    pub dark_high: f64,
    pub baseline: f64,
    pub baseline_high: f64,
    pub rate_per_hour: f64,
    pub doubling_seconds: Option<f64>,
    pub doubling_seconds_low: Option<f64>,
    pub doubling_seconds_high: Option<f64>,
    #[serde(borrow)]
    pub apps: Vec<SurgeApp<'a>>,
    #[serde(borrow)]
    pub seeds: Vec<SurgeSeed<'a>>,
    pub share_acts: f64,
    pub signs: f64,
    pub signs_usual: f64,
    pub networks: i64,
    pub chained: i64,
    pub reproduction_number: Option<f64>,
    pub reproduction_low: Option<f64>,
    pub reproduction_high: Option<f64>,
    pub false_alarm: f64,
    pub new_content: bool,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
}

/// How much of a surge comes by one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurgeApp<'a> {
    /// App, or `unknown`.
    pub app: &'a str,
    /// P(a dark visit of the surge came by it), 0 to 1.
    pub probability: f32,
}

/// One of those a surge is seen to have begun with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurgeSeed<'a> {
    /// A reader, or an act of sharing.
    pub kind: SeedKind,
    /// Identity of the visit or the share.
    pub id: Id,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// App, or `unknown`.
    pub app: &'a str,
    /// P(dark social) of the visit, or probability that the act was one, 0 to 1.
    pub probability: f32,
}

/// How well probabilities fit a site's own tokens (`schemas/calibration.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/calibration.avsc"
)]
pub struct Calibration<'a> {
    pub site: &'a str,
    pub time: i64,
    #[serde(borrow)]
    pub model_version: Cow<'a, str>,
    pub landings: i64,
    pub tokens: i64,
    pub known: i64,
    pub known_with_token: i64,
    pub token_survival: Option<f64>,
    pub token_survival_low: Option<f64>,
    pub token_survival_high: Option<f64>,
    pub intercept: Option<f64>,
    pub intercept_low: Option<f64>,
    pub intercept_high: Option<f64>,
    pub slope: Option<f64>,
    pub ece: Option<f64>,
    pub ece_low: Option<f64>,
    pub ece_high: Option<f64>,
    pub brier: Option<f64>,
    pub private_part: f64,
    pub bin_landings: Vec<i64>,
    pub bin_tokens: Vec<i64>,
    pub bin_predicted: Vec<f64>,
}

/// What could not be decoded or processed (`schemas/dead_letter.avsc`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/dead_letter.avsc"
)]
pub struct DeadLetter<'a> {
    pub letter_id: Id,
    pub time: i64,
    pub site: &'a str,
    pub stage: &'a str,
    pub reason: &'a str,
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
    pub source: &'a str,
    pub partition: Option<i32>,
    pub position: i64,
    #[serde(with = "payload")]
    pub payload: &'a [u8],
    pub payload_length: i64,
}

/// Time passing where no hit does (`schemas/heartbeat.avsc`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "documented field by field in schemas/heartbeat.avsc"
)]
pub struct Heartbeat<'a> {
    pub event_time: i64,
    pub source: &'a str,
}

/// A text that may be missing, borrowed: serde borrows a `Cow` by itself, but none within an
/// `Option`.
fn borrowed<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
    let text = Option::<Text<'a>>::deserialize(deserializer)?;
    Ok(text.map(|Text(text)| text))
}

/// Bytes as Avro `bytes`; serde would otherwise write a slice as an array.
mod payload {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}
