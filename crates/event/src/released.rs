//! Records as earlier releases wrote them: a log that is upgraded still holds some that were not
//! taken yet.

use std::borrow::Cow;

use serde::Deserialize;

use crate::id::Id;
use crate::record;
use crate::vocabulary::{EdgeMethod, ParentKind};

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
