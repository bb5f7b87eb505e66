//! Edges and cascades: each visit's causes are one distribution, tokens name whom they should.

use std::collections::{BTreeMap, BTreeSet};

use super::super::hits::Becomes;
use super::super::load::Acknowledged;
use super::Complaints;
use crate::clickhouse::Asked;

/// What must find nothing: what is wrong, and what asks for it.
///
/// Of share acts, which have no id of their own in an edge, two in one millisecond look the same.
const NONE: [(&str, &str); 7] = [
    (
        "visits whose causes do not sum to 1",
        "SELECT child_visit, sum(probability * sign) AS sum FROM grapevine.edges \
         GROUP BY child_visit HAVING abs(sum - 1) > 1e-4",
    ),
    (
        "edges that are there twice, or taken back and never written",
        "SELECT child_visit, parent_visit, any(method), any(parent_kind), sum(sign) FROM grapevine.edges \
         GROUP BY child_visit, parent_visit, parent_kind, method, lag_ms, parent_app, probability \
         HAVING sum(sign) < 0 OR (sum(sign) > 1 AND parent_kind != 'act')",
    ),
    (
        "edges of visits that are none",
        "SELECT child_visit FROM grapevine.edges WHERE child_visit NOT IN (SELECT visit_id FROM grapevine.visits)",
    ),
    (
        "edges from visits that are none",
        "SELECT child_visit, parent_visit FROM grapevine.edges WHERE parent_visit IS NOT NULL \
         AND assumeNotNull(parent_visit) NOT IN (SELECT visit_id FROM grapevine.visits)",
    ),
    (
        "edges of robots",
        "SELECT child_visit FROM grapevine.edges WHERE child_visit IN \
         (SELECT visit_id FROM grapevine.visits WHERE channel = 'bot')",
    ),
    (
        "cascades whose size is not that of their visits",
        "SELECT cascade_id, size, visits FROM grapevine.cascades LEFT JOIN \
         (SELECT assumeNotNull(cascade_id) AS cascade_id, count() AS visits FROM grapevine.visits \
         WHERE cascade_id IS NOT NULL GROUP BY cascade_id) AS placed USING cascade_id WHERE size != visits",
    ),
    (
        "visits of a cascade with others that is not there",
        "SELECT assumeNotNull(cascade_id) AS cascade, count() FROM grapevine.visits WHERE cascade_id IS NOT NULL \
         GROUP BY cascade HAVING count() > 1 AND cascade NOT IN (SELECT cascade_id FROM grapevine.cascades)",
    ),
];

pub(super) fn judge(
    asked: &Asked,
    acknowledged: &Acknowledged,
    complaints: &mut Complaints,
) -> Result<(), String> {
    for (what, sql) in NONE {
        complaints.of(what, &asked.rows(sql)?);
    }
    tokens(asked, acknowledged, complaints)
}

/// Whose token a link carried is known: the edge is there, alone but for what is left for an own token, and
/// names that visit.
fn tokens(
    asked: &Asked,
    acknowledged: &Acknowledged,
    complaints: &mut Complaints,
) -> Result<(), String> {
    let sql = "SELECT child_visit, ifNull(toString(parent_visit), '') FROM grapevine.edges \
               WHERE method = 'token' AND parent_kind != 'outside' GROUP BY child_visit, parent_visit, parent_kind HAVING sum(sign) = 1";
    let mut parents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in asked.rows(sql)? {
        let [child, parent] = &row[..] else {
            return Err(format!("an edge of {row:?}"));
        };
        let of_child = parents.entry(child.clone()).or_default();
        of_child.insert(parent.clone());
    }
    let mut wrong = Vec::new();
    for sent in acknowledged.hits() {
        if sent.becomes != Becomes::Visit {
            continue;
        }
        let found = parents.remove(&sent.id.to_string()).unwrap_or_default();
        let expected: BTreeSet<String> = sent.of.iter().map(ToString::to_string).collect();
        if found != expected {
            wrong.push((sent.id, expected, found));
        }
    }
    complaints.of("visits whose token edges are not as followed", &wrong);
    let strange: Vec<&String> = parents.keys().collect();
    complaints.of("token edges of what is no landing", &strange);
    Ok(())
}
