//! The judgement: what Kafka holds against what was acknowledged, what ClickHouse holds against
//! Kafka, aggregates and edges against rows.

mod aggregates;
mod edges;
mod kafka;
mod nameless;
mod rows;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::Acknowledged;
use super::services::Services;
use super::{Failed, PATIENCE};

/// Examples of one complaint.
const SHOWN: usize = 5;
/// Between two looks while everything is on its way.
const LOOK: Duration = Duration::from_secs(2);

/// What is wrong, in words.
#[derive(Debug, Default)]
struct Complaints(Vec<String>);

impl Complaints {
    /// Complains of `examples`, where there are any.
    fn of<T: std::fmt::Debug>(&mut self, what: &str, examples: &[T]) {
        if !examples.is_empty() {
            let shown = &examples[..examples.len().min(SHOWN)];
            let count = examples.len();
            self.0.push(format!("{count} {what}: {shown:?}"));
        }
    }
}

/// Judges until everything is as it must be, as long as something moves.
pub(super) fn wait_until_right(
    services: &mut Services,
    acknowledged: &Acknowledged,
) -> Result<(), Failed> {
    let mut seen = Vec::new();
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        services.supervise()?;
        let Err(failed) = judge(services, acknowledged) else {
            return Ok(());
        };
        let now = rows::counts(&services.asked()).unwrap_or_default();
        if now != seen {
            seen = now;
            deadline = Instant::now() + PATIENCE;
        }
        if Instant::now() > deadline {
            return Err(failed);
        }
        std::thread::sleep(LOOK);
    }
}

/// Keeps what Kafka holds, as text in `topics` beside the processes' logs, and adds to the words of
/// a failure where that did not work.
pub(super) fn keep(services: &Services, home: &Path, Failed(mut reason): Failed) -> Failed {
    if let Err(error) = kafka::keep(services, &home.join("topics")) {
        reason.push_str(&format!("\nKafka's records are not kept: {error}"));
    }
    Failed(reason)
}

/// What a judgement without complaints counted.
#[derive(Debug)]
pub(super) struct Judged {
    /// The rows of each table.
    pub(super) rows: BTreeMap<&'static str, u64>,
    /// Copies of hits without an id in `hits.raw` that count no more.
    pub(super) repeated: u64,
}

/// Judges once.
pub(super) fn judge(services: &Services, acknowledged: &Acknowledged) -> Result<Judged, Failed> {
    let asked = services.asked();
    let mut complaints = Complaints::default();
    let logs = kafka::read(services).map_err(Failed)?;
    rows::judge(&asked, &logs, acknowledged, &mut complaints).map_err(Failed)?;
    nameless::judge(&asked, &logs, acknowledged, &mut complaints).map_err(Failed)?;
    edges::judge(&asked, acknowledged, &mut complaints).map_err(Failed)?;
    aggregates::judge(&asked, &mut complaints).map_err(Failed)?;
    if !complaints.0.is_empty() {
        return Err(Failed(complaints.0.join("\n")));
    }
    let counts = rows::counts(&asked).map_err(Failed)?;
    Ok(Judged {
        rows: counts.into_iter().collect(),
        repeated: nameless::repeated(&logs),
    })
}

/// Damage as a broken pipeline would leave it, and the words that must be found for it.
const DAMAGE: [(&str, &[&str]); 5] = [
    (
        "ALTER TABLE grapevine.visits DELETE WHERE visit_id = \
         (SELECT min(visit_id) FROM grapevine.visits WHERE channel != 'bot' AND site != 'nameless.example')",
        &[
            "acknowledged hits without a row",
            "records of visits without a row",
        ],
    ),
    (
        "INSERT INTO grapevine.visits SELECT * REPLACE (offset + 2000000 AS offset) \
         FROM grapevine.visits WHERE site = 'nameless.example' ORDER BY visit_id LIMIT 1",
        &["hits without an id that are there more than once"],
    ),
    (
        "INSERT INTO grapevine.events SELECT * FROM grapevine.events ORDER BY event_id LIMIT 1",
        &[
            "acknowledged hits with rows too many",
            "records of events with two rows",
        ],
    ),
    (
        "INSERT INTO grapevine.visits SELECT * REPLACE (generateUUIDv4() AS visit_id, offset + 1000000 AS offset) \
         FROM grapevine.visits WHERE channel != 'bot' AND site != 'nameless.example' ORDER BY visit_id LIMIT 1",
        &[
            "rows that nobody sent",
            "rows of visits at no committed record",
        ],
    ),
    (
        "INSERT INTO grapevine.edges SELECT * REPLACE (offset + 1000000 AS offset) FROM grapevine.edges \
         WHERE sign = 1 AND parent_kind != 'act' AND child_visit NOT IN (SELECT child_visit FROM grapevine.edges WHERE sign = -1) \
         ORDER BY child_visit LIMIT 1",
        &[
            "visits whose causes do not sum to 1",
            "edges that are there twice",
        ],
    ),
];

/// Damages the rows by hand: a judge that does not see it is none.
pub(super) fn sees_damage(services: &Services, acknowledged: &Acknowledged) -> Result<(), Failed> {
    for (sql, _) in DAMAGE {
        let asked = services.asked();
        asked.rows_with(sql, "&mutations_sync=2").map_err(Failed)?;
    }
    let seen = match judge(services, acknowledged) {
        Ok(_) => String::new(),
        Err(Failed(complaints)) => complaints,
    };
    for words in DAMAGE.iter().flat_map(|(_, words)| *words) {
        if !seen.contains(words) {
            let text = format!("damage was not seen: no {words} in {seen}");
            return Err(Failed(text));
        }
    }
    Ok(())
}

/// `grapevine audit` agrees.
pub(super) fn audited(services: &Services) -> Result<(), Failed> {
    let output = services.audit()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() != Some(0) {
        let status = output.status;
        return Err(Failed(format!(
            "the audit ended with {status}: {said}{text}"
        )));
    }
    let audit: Value = serde_json::from_str(&text)
        .map_err(|error| Failed(format!("the audit's answer: {error}: {text}")))?;
    if audit["clean"] != Value::Bool(true) {
        return Err(Failed(format!("the audit is not clean: {text}")));
    }
    Ok(())
}
