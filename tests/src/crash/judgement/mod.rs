//! The judgement: what Kafka holds against what was acknowledged, what ClickHouse holds against
//! Kafka, aggregates and edges against rows.

mod aggregates;
mod edges;
mod kafka;
mod rows;

use std::collections::BTreeMap;
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

/// Judges once. The rows of each table.
pub(super) fn judge(
    services: &Services,
    acknowledged: &Acknowledged,
) -> Result<BTreeMap<&'static str, u64>, Failed> {
    let asked = services.asked();
    let mut complaints = Complaints::default();
    let logs = kafka::read(&services.cluster).map_err(Failed)?;
    rows::judge(&asked, &logs, acknowledged, &mut complaints).map_err(Failed)?;
    edges::judge(&asked, acknowledged, &mut complaints).map_err(Failed)?;
    aggregates::judge(&asked, &mut complaints).map_err(Failed)?;
    if !complaints.0.is_empty() {
        return Err(Failed(complaints.0.join("\n")));
    }
    let counts = rows::counts(&asked).map_err(Failed)?;
    Ok(counts.into_iter().collect())
}

/// `grapevine audit` agrees, and everything is read to its end.
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
