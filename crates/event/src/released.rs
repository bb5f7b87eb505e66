//! Records as earlier releases wrote them: a log that is upgraded still holds some that were not
//! taken yet.

use std::borrow::Cow;

use serde::Deserialize;

use crate::id::Id;
use crate::record;
use crate::vocabulary::{Channel, Device, EdgeMethod, Method, ParentKind, VisitorBasis};

/// Fingerprint of an edge of release 0.1.0 (`schemas/released/0.1.0/edge.avsc`).
pub(crate) const EDGE: [u8; 8] = u64::to_be_bytes(0x700e_93ed_a196_0a48);

/// An edge of release 0.1.0, which wrote certain ones only.
#[derive(Deserialize)]
pub(crate) struct Edge<'a> {
    site: &'a str,
    #[serde(borrow)]
    content: Cow<'a, str>,
    child_visit: Id,
    parent_visit: Option<Id>,
    time: i64,
    method: EdgeMethod,
    probability: f32,
    lag_ms: Option<i64>,
    #[serde(borrow)]
    parent_app: Cow<'a, str>,
    #[serde(borrow)]
    child_app: Cow<'a, str>,
    #[serde(borrow)]
    model_version: Cow<'a, str>,
}

impl<'a> From<Edge<'a>> for record::Edge<'a> {
    fn from(old: Edge<'a>) -> Self {
        record::Edge {
            site: old.site,
            content: old.content,
            child_visit: old.child_visit,
            parent_visit: old.parent_visit,
            time: old.time,
            method: old.method,
            probability: old.probability,
            lag_ms: old.lag_ms,
            parent_app: old.parent_app,
            child_app: old.child_app,
            model_version: old.model_version,
            parent_kind: match old.parent_visit {
                Some(_) => ParentKind::Visitor,
                None => ParentKind::Unknown,
            },
            sign: 1,
        }
    }
}

/// Fingerprint of a visit of release 0.1.0 (`schemas/released/0.1.0/visit.avsc`).
pub(crate) const VISIT: [u8; 8] = u64::to_be_bytes(0xa0c0_e26b_d653_7522);

/// A visit of release 0.1.0, whose evidence did not say what it adds to dark search.
#[derive(Deserialize)]
pub(crate) struct Visit<'a> {
    visit_id: Id,
    site: &'a str,
    time: i64,
    visitor: Option<i64>,
    visitor_basis: VisitorBasis,
    returning: bool,
    network: Option<i64>,
    #[serde(borrow)]
    content: Cow<'a, str>,
    title: Option<&'a str>,
    #[serde(borrow)]
    referrer_host: Option<Cow<'a, str>>,
    #[serde(borrow)]
    campaign_source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    campaign_medium: Option<Cow<'a, str>>,
    #[serde(borrow)]
    campaign_name: Option<Cow<'a, str>>,
    device: Device,
    system: &'a str,
    browser: &'a str,
    #[serde(borrow)]
    language: Option<Cow<'a, str>>,
    conventional_channel: Channel,
    channel: Channel,
    #[serde(borrow)]
    app: Cow<'a, str>,
    method: Method,
    dark_probability: f32,
    dark_probability_low: f32,
    dark_probability_high: f32,
    dark_search_probability: f32,
    #[serde(borrow)]
    evidence: Vec<Evidence<'a>>,
    #[serde(borrow)]
    model_version: Cow<'a, str>,
    #[serde(borrow)]
    robot: Option<Cow<'a, str>>,
    #[serde(borrow)]
    incoming_token: Option<Cow<'a, str>>,
    share_token: Option<&'a str>,
    cascade_id: Option<Id>,
    generation: Option<i32>,
}

/// A fact as release 0.1.0 told it.
#[derive(Deserialize)]
struct Evidence<'a> {
    name: &'a str,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    log_odds: f32,
}

impl<'a> From<Visit<'a>> for record::Visit<'a> {
    fn from(old: Visit<'a>) -> Self {
        record::Visit {
            visit_id: old.visit_id,
            site: old.site,
            time: old.time,
            visitor: old.visitor,
            visitor_basis: old.visitor_basis,
            returning: old.returning,
            network: old.network,
            content: old.content,
            title: old.title,
            referrer_host: old.referrer_host,
            campaign_source: old.campaign_source,
            campaign_medium: old.campaign_medium,
            campaign_name: old.campaign_name,
            device: old.device,
            system: old.system,
            browser: old.browser,
            language: old.language,
            conventional_channel: old.conventional_channel,
            channel: old.channel,
            app: old.app,
            method: old.method,
            dark_probability: old.dark_probability,
            dark_probability_low: old.dark_probability_low,
            dark_probability_high: old.dark_probability_high,
            dark_search_probability: old.dark_search_probability,
            evidence: old.evidence.into_iter().map(Into::into).collect(),
            model_version: old.model_version,
            robot: old.robot,
            incoming_token: old.incoming_token,
            share_token: old.share_token,
            cascade_id: old.cascade_id,
            generation: old.generation,
        }
    }
}

impl<'a> From<Evidence<'a>> for record::Evidence<'a> {
    fn from(old: Evidence<'a>) -> Self {
        record::Evidence {
            name: old.name,
            detail: old.detail,
            log_odds: old.log_odds,
            search_log_odds: None,
        }
    }
}
