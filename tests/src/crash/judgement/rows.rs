//! Rows: those of every acknowledged hit, and of nothing else; each where Kafka has its record.

use std::collections::{BTreeMap, BTreeSet};

use grapevine_event::{Id, topic};

use super::super::hits::{Becomes, Sent};
use super::super::load::Acknowledged;
use super::Complaints;
use super::kafka::{Logs, Place};
use crate::clickhouse::Asked;

/// Tables whose every record is a row, and their topics.
const APPENDED: [(&str, &str); 7] = [
    ("visits", topic::VISITS),
    ("events", topic::EVENTS),
    ("shares", topic::SHARES),
    ("edges", topic::EDGES),
    ("chain_models", topic::MODELS),
    ("calibrations", topic::CALIBRATIONS),
    ("dead_letters", topic::DEAD_LETTERS),
];
/// Tables of which the newest record of what it is about stays: table, topic, and what that is, as
/// [`Logs::newest`] writes it.
const REPLACED: [(&str, &str, &str); 3] = [
    ("cascade_states", topic::CASCADES, "toString(cascade_id)"),
    (
        "spread_states",
        topic::SPREADS,
        "concat(site, ' ', content, ' ', toString(toUnixTimestamp64Milli(started)))",
    ),
    ("surge_states", topic::SURGES, "toString(surge_id)"),
];

/// The rows of every table.
pub(super) fn counts(asked: &Asked) -> Result<Vec<(&'static str, u64)>, String> {
    let appended = APPENDED.map(|(table, _)| (table, ""));
    let replaced = REPLACED.map(|(table, _, _)| (table, " FINAL"));
    let tables = appended.into_iter().chain(replaced);
    tables
        .map(|(table, last)| {
            let sql = format!("SELECT count() FROM grapevine.{table}{last}");
            Ok((table, asked.number(&sql)?))
        })
        .collect()
}

pub(super) fn judge(
    asked: &Asked,
    logs: &Logs,
    acknowledged: &Acknowledged,
    complaints: &mut Complaints,
) -> Result<(), String> {
    for (table, topic) in APPENDED {
        places(asked, logs, (table, topic), complaints)?;
    }
    for (table, topic, about) in REPLACED {
        newest(asked, logs, (table, topic, about), complaints)?;
    }
    letters(asked, logs, complaints)?;
    hits(asked, logs, acknowledged, complaints)
}

fn place(fields: &[String]) -> Option<Place> {
    Some((fields.first()?.parse().ok()?, fields.get(1)?.parse().ok()?))
}

/// Every committed record is one row, every row is a committed record.
fn places(
    asked: &Asked,
    logs: &Logs,
    (table, topic): (&str, &str),
    complaints: &mut Complaints,
) -> Result<(), String> {
    let sql = format!("SELECT partition, offset FROM grapevine.{table} WHERE topic = '{topic}'");
    let mut of_log = logs.places.get(topic).cloned().unwrap_or_default();
    let mut met = BTreeSet::new();
    let (mut double, mut strange) = (Vec::new(), Vec::new());
    for row in asked.rows(&sql)? {
        let place = place(&row).ok_or_else(|| format!("{table}: {row:?} is no place"))?;
        if !met.insert(place) {
            double.push(place);
        } else if !of_log.remove(&place) {
            strange.push(place);
        }
    }
    // What the log holds beside rows: heartbeats are in no topic of a table.
    let missing: Vec<Place> = of_log.into_iter().collect();
    complaints.of(&format!("records of {topic} without a row"), &missing);
    complaints.of(&format!("records of {topic} with two rows"), &double);
    complaints.of(&format!("rows of {table} at no committed record"), &strange);
    Ok(())
}

/// Of what is replaced, the newest record is the row.
fn newest(
    asked: &Asked,
    logs: &Logs,
    (table, topic, about): (&str, &'static str, &str),
    complaints: &mut Complaints,
) -> Result<(), String> {
    let sql = format!("SELECT partition, offset, {about} FROM grapevine.{table} FINAL");
    let mut of_table = BTreeMap::new();
    let mut double = Vec::new();
    for row in asked.rows(&sql)? {
        let (Some(place), Some(about)) = (place(&row), row.get(2)) else {
            return Err(format!("{table}: {row:?} is no place"));
        };
        if of_table.insert(about.clone(), place).is_some() {
            double.push(about.clone());
        }
    }
    let of_log: BTreeMap<String, Place> = logs
        .newest
        .iter()
        .filter(|((of, _), _)| *of == topic)
        .map(|((_, about), place)| (about.clone(), *place))
        .collect();
    let differ: Vec<_> = of_log
        .iter()
        .filter(|(about, place)| of_table.get(*about) != Some(place))
        .map(|(about, place)| (about, place, of_table.get(about)))
        .collect();
    complaints.of(&format!("newest of {topic} that are not the row"), &differ);
    complaints.of(&format!("doubles in {table}"), &double);
    let strange: Vec<_> = of_table
        .keys()
        .filter(|about| !of_log.contains_key(*about))
        .collect();
    complaints.of(&format!("rows of {table} that Kafka has not"), &strange);
    Ok(())
}

/// What could not be decoded is one letter each, and nothing else is one.
fn letters(asked: &Asked, logs: &Logs, complaints: &mut Complaints) -> Result<(), String> {
    let sql = "SELECT source_partition, source_position, stage, source, reason FROM grapevine.dead_letters";
    let mut left = logs.garbage.clone();
    let mut strange = Vec::new();
    for row in asked.rows(sql)? {
        let expected = row[2..] == ["classify", topic::HITS_RAW, "undecodable"];
        if !(expected && place(&row).is_some_and(|place| left.remove(&place))) {
            strange.push(row);
        }
    }
    let left: Vec<Place> = left.into_iter().collect();
    complaints.of("records that are none, without a dead letter", &left);
    complaints.of("dead letters that were not to be", &strange);
    Ok(())
}

/// A row, as far as it is judged.
struct Row {
    table: &'static str,
    content: String,
    /// Visit that an event or a share names.
    of: Option<String>,
    robot: bool,
}

/// Every row that a hit made, by its id.
fn made(asked: &Asked) -> Result<BTreeMap<String, Vec<Row>>, String> {
    let mut made: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (table, sql) in [
        (
            "visits",
            "SELECT visit_id, content, '', channel = 'bot' FROM grapevine.visits WHERE site != 'nameless.example'",
        ),
        (
            "events",
            "SELECT event_id, content, ifNull(toString(visit_id), ''), 0 FROM grapevine.events WHERE site != 'nameless.example'",
        ),
        (
            "shares",
            "SELECT share_id, content, ifNull(toString(sharer_visit), ''), 0 FROM grapevine.shares",
        ),
    ] {
        for row in asked.rows(sql)? {
            let [id, content, of, robot] = &row[..] else {
                return Err(format!("{table}: {row:?}"));
            };
            made.entry(id.clone()).or_default().push(Row {
                table,
                content: content.clone(),
                of: Some(of.clone()).filter(|of| !of.is_empty()),
                robot: matches!(robot.as_str(), "1" | "true"),
            });
        }
    }
    Ok(made)
}

fn hits(
    asked: &Asked,
    logs: &Logs,
    acknowledged: &Acknowledged,
    complaints: &mut Complaints,
) -> Result<(), String> {
    let mut made = made(asked)?;
    let mut known: BTreeSet<Id> = BTreeSet::new();
    let (mut unlogged, mut missing) = (Vec::new(), Vec::new());
    let (mut double, mut wrong) = (Vec::new(), Vec::new());
    let mut fetched: BTreeMap<String, usize> = BTreeMap::new();
    for sent in acknowledged.hits() {
        known.insert(sent.id);
        if !logs.hits.contains_key(&sent.id) {
            unlogged.push(sent.id);
        }
        let rows = made.remove(&sent.id.to_string()).unwrap_or_default();
        let counts = match sent.becomes {
            Becomes::Nothing => 0..=0,
            Becomes::Fetch => 0..=1,
            _ => 1..=1,
        };
        if rows.len() < *counts.start() {
            missing.push((sent.id, sent.becomes));
        } else if rows.len() > *counts.end() {
            double.push((sent.id, sent.becomes, rows.len()));
        }
        if sent.becomes == Becomes::Fetch {
            *fetched.entry(sent.content.clone()).or_default() += rows.len();
        }
        wrong.extend(rows.iter().filter_map(|row| misfit(&sent, row)));
    }
    let unshared: Vec<&String> = (fetched.iter())
        .filter(|(_, shares)| **shares == 0)
        .map(|(content, _)| content)
        .collect();
    let unlogged_known: Vec<&Id> = logs.hits.keys().filter(|id| !known.contains(id)).collect();
    let never_sent: Vec<(&String, &str)> = (made.iter())
        .filter_map(|(id, rows)| Some((id, rows.first()?.table)))
        .collect();
    complaints.of("acknowledged hits that are not in hits.raw", &unlogged);
    complaints.of("acknowledged hits without a row", &missing);
    complaints.of("acknowledged hits with rows too many", &double);
    complaints.of("rows that are not what was sent", &wrong);
    complaints.of("contents that were fetched and have no share", &unshared);
    complaints.of("hits in hits.raw that nobody sent", &unlogged_known);
    complaints.of("rows that nobody sent", &never_sent);
    Ok(())
}

/// How a row differs from what was sent.
fn misfit(sent: &Sent, row: &Row) -> Option<String> {
    let table = match sent.becomes {
        Becomes::Visit | Becomes::Robot => "visits",
        Becomes::Event => "events",
        Becomes::Share | Becomes::Fetch => "shares",
        Becomes::Nothing => "no table",
    };
    // A token in a link that was fetched names its reader only where that reader was seen before.
    let of = match sent.becomes {
        Becomes::Event | Becomes::Share => sent.of.map(|of| of.to_string()),
        _ => row.of.clone(),
    };
    let robot = sent.becomes == Becomes::Robot;
    let fits =
        row.table == table && row.content == sent.content && row.of == of && row.robot == robot;
    (!fits).then(|| {
        format!(
            "{} in {} of {} by {:?}, sent as {:?} of {} by {of:?}",
            sent.id, row.table, row.content, row.of, sent.becomes, sent.content
        )
    })
}
