//! Hits without an id: each acknowledged one is a visit, none is two.

use std::collections::BTreeMap;

use super::super::hits::NAMELESS;
use super::super::load::Acknowledged;
use super::Complaints;
use super::kafka::Logs;
use crate::clickhouse::Asked;

pub(super) fn judge(
    asked: &Asked,
    logs: &Logs,
    acknowledged: &Acknowledged,
    complaints: &mut Complaints,
) -> Result<(), String> {
    let sql = format!(
        "SELECT content, count() FROM (SELECT content FROM grapevine.visits WHERE site = '{NAMELESS}' \
         UNION ALL SELECT content FROM grapevine.events WHERE site = '{NAMELESS}') GROUP BY content"
    );
    let mut rows = BTreeMap::new();
    for row in asked.rows(&sql)? {
        let [content, count] = &row[..] else {
            return Err(format!("{row:?} is no content and count"));
        };
        let count: u64 = (count.parse()).map_err(|_| format!("{row:?} has no count"))?;
        rows.insert(content.clone(), count);
    }
    let nameless = &acknowledged.nameless;
    let unlogged: Vec<&String> = (nameless.acknowledged.iter())
        .filter(|content| !logs.nameless.contains_key(*content))
        .collect();
    let missing: Vec<&String> = (nameless.acknowledged.iter())
        .filter(|content| !rows.contains_key(*content))
        .collect();
    let double: Vec<_> = rows.iter().filter(|(_, count)| **count > 1).collect();
    let known = |content: &String| {
        nameless.acknowledged.contains(content) || nameless.unanswered.contains(content)
    };
    let strange: Vec<&String> = rows.keys().filter(|content| !known(content)).collect();
    complaints.of(
        "acknowledged hits without an id that are not in hits.raw",
        &unlogged,
    );
    complaints.of("acknowledged hits without an id and a row", &missing);
    complaints.of("hits without an id that are there more than once", &double);
    complaints.of("rows of hits without an id that nobody sent", &strange);
    Ok(())
}

/// Copies in `hits.raw` beyond the first: what the collector gave Kafka again, because it had not
/// learnt of the first.
pub(super) fn repeated(logs: &Logs) -> u64 {
    logs.nameless.values().map(|copies| copies - 1).sum()
}
