//! What Kafka holds, as a reader of committed records sees it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grapevine_event::{Id, Record, topic};
use grapevine_registry::{Frames, Opened};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::super::hits::NAMELESS;
use super::super::services::{PARTITIONS, Services};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where a record is: partition and offset.
pub(super) type Place = (i32, i64);

/// Every topic's committed records, as far as they are asked for.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// Places of the records of each topic.
    pub(super) places: BTreeMap<&'static str, BTreeSet<Place>>,
    /// How often each hit that has an id is in `hits.raw`.
    pub(super) hits: BTreeMap<Id, u64>,
    /// How often each hit without one is there, by its content.
    pub(super) nameless: BTreeMap<String, u64>,
    /// Records of `hits.raw` that are none.
    pub(super) garbage: BTreeSet<Place>,
    /// The newest record of what `cascades`, `spreads` and `surges` are about.
    pub(super) newest: BTreeMap<(&'static str, String), Place>,
}

/// Reads every topic from its beginning to its end.
pub(super) fn read(services: &Services) -> Result<Logs, String> {
    let mut logs = Logs::default();
    let mut framed = 0_u64;
    each(services, "read_committed", |topic, message, record| {
        let place = (message.partition(), message.offset());
        framed += u64::from(message.payload() != Some(record));
        logs.add(topic, place, record);
    })?;
    match services.frames().map_err(|failed| failed.0)? {
        Some(_) if framed == 0 => Err("a registry is there, and nothing is framed".to_owned()),
        _ => Ok(logs),
    }
}

/// Writes every record of every topic into a file of `directory`, for whoever looks for the cause
/// of a failure: place, time, whether its transaction was aborted, and what it says.
pub(super) fn keep(services: &Services, directory: &Path) -> Result<(), String> {
    let committed = read(services)?.places;
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    each(services, "read_uncommitted", |topic, message, record| {
        let (partition, offset) = (message.partition(), message.offset());
        let aborted = match committed.get(topic) {
            Some(places) if places.contains(&(partition, offset)) => "",
            _ => " aborted",
        };
        let time = message.timestamp().to_millis().unwrap_or_default();
        let record = Record::decode(record);
        let lines = lines.entry(topic).or_default();
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{partition} {offset} {time}{aborted} {record:?}");
    })?;
    std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
    for (topic, lines) in lines {
        std::fs::write(directory.join(topic), lines).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Shows `take` every message of every topic and the record in it, in the order of its partition.
fn each(
    services: &Services,
    isolation: &str,
    mut take: impl FnMut(&'static str, &BorrowedMessage<'_>, &[u8]),
) -> Result<(), String> {
    let wrong = |error: KafkaError| error.to_string();
    let frames = services.frames().map_err(|failed| failed.0)?;
    let mut config = services.cluster.client_config();
    config
        .set("group.id", "the judge")
        .set("enable.auto.commit", "false")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().map_err(wrong)?;
    // One after the other: the word of an end names the partition alone.
    for topic in topic::ALL {
        let mut assigned = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let placed = assigned.add_partition_offset(topic, partition, Offset::Beginning);
            placed.map_err(wrong)?;
        }
        consumer.assign(&assigned).map_err(wrong)?;
        let mut ended = BTreeSet::new();
        while ended.len() < assigned.count() {
            match consumer.poll(PATIENCE) {
                None => return Err("Kafka says nothing".to_owned()),
                Some(Ok(message)) => {
                    let record = message.payload().unwrap_or_default();
                    take(topic, &message, &opened(frames.as_ref(), record)?);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => return Err(error.to_string()),
            }
        }
    }
    Ok(())
}

/// The record of a message.
fn opened<'a>(frames: Option<&Arc<Frames>>, message: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let Some(frames) = frames else {
        return Ok(Cow::Borrowed(message));
    };
    loop {
        match frames.open(message) {
            Opened::AsIs(record) => return Ok(Cow::Borrowed(record)),
            Opened::Record(head, datum) => return Ok(Cow::Owned([&head[..], datum].concat())),
            Opened::Unmet(id) => {
                if !frames.learn(id, PATIENCE) {
                    let trouble = frames.trouble();
                    return Err(format!("what schema id {id} is: {trouble:?}"));
                }
            }
        }
    }
}

impl Logs {
    fn add(&mut self, topic: &'static str, place: Place, record: &[u8]) {
        self.places.entry(topic).or_default().insert(place);
        let about = match (topic, Record::decode(record)) {
            (topic::HITS_RAW, Ok(Record::Hit(hit))) if hit.site == NAMELESS => {
                *self.nameless.entry(hit.url.to_owned()).or_default() += 1;
                return;
            }
            (topic::HITS_RAW, Ok(Record::Hit(hit))) => {
                *self.hits.entry(hit.hit_id).or_default() += 1;
                return;
            }
            (topic::HITS_RAW, Err(_)) => {
                self.garbage.insert(place);
                return;
            }
            (_, Ok(Record::Cascade(cascade))) => cascade.cascade_id.to_string(),
            (_, Ok(Record::Spread(spread))) => {
                format!("{} {} {}", spread.site, spread.content, spread.started)
            }
            (_, Ok(Record::Surge(surge))) => surge.surge_id.to_string(),
            _ => return,
        };
        let newest = self.newest.entry((topic, about)).or_insert(place);
        *newest = place.max(*newest);
    }
}
