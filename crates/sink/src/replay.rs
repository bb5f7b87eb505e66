//! Dead letters that go back to where they came from.
//!
//! A letter goes back whole: the bytes that could not be processed, to the topic and partition
//! that they were read from, so that what a hit is known by stays the same. In the same commit a
//! mark goes to the dead letters, a record of stage `replay` that names the place the letter came
//! from. A letter whose mark is there was sent, and is not sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clickhouse::{Client, Row};
use grapevine_event::{CodecError, DeadLetter, Id, Record, topic};
use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{Connection, Group, KafkaPartition, Membership};
use grapevine_log::{Commit, Durability, LogError, Partition};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::DATABASE;
use crate::audit::{KafkaView, LogView};
use crate::error::SinkError;

/// Stage that a mark names: no stage has it.
pub const REPLAY: &str = "replay";
/// How long the group may take to give the replay its seat.
const SEAT_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// Letters and bytes of one commit, at most.
const LETTERS_MAX: usize = 1_000;
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Which letters to send. What is `None` is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Stage that failed.
    pub stage: Option<String>,
    /// Reason that it gave.
    pub reason: Option<String>,
    /// Site; empty for letters whose site is not known.
    pub site: Option<String>,
    /// Event time from which on, milliseconds since 1970.
    pub from: Option<i64>,
    /// Event time before which, milliseconds since 1970.
    pub to: Option<i64>,
}

impl Filter {
    fn takes(&self, letter: &DeadLetter<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.stage, letter.stage)
            && is(&self.reason, letter.reason)
            && is(&self.site, letter.site)
            && self.from.is_none_or(|from| letter.time >= from)
            && self.to.is_none_or(|to| letter.time < to)
    }
}

/// A letter to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Letter {
    mark: Id,
    time: i64,
    site: String,
    source: &'static str,
    partition: i32,
    position: i64,
    payload: Vec<u8>,
}

/// What was found, by what can be done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Letters to be sent, by topic that they go to.
    pub sendable: BTreeMap<&'static str, u64>,
    /// Letters that were sent before.
    pub sent_before: u64,
    /// Letters that cannot go back, by why.
    pub unsendable: BTreeMap<&'static str, u64>,
}

/// Letters that the filter takes and that were not sent yet. Letters and marks may be added in any
/// order, and more than once.
#[derive(Debug, Default)]
pub struct Replay {
    filter: Filter,
    letters: BTreeMap<Id, Letter>,
    unsendable: BTreeMap<Id, &'static str>,
    marks: BTreeSet<Id>,
}

impl Replay {
    /// Nothing yet.
    pub fn new(filter: Filter) -> Replay {
        Replay {
            filter,
            ..Replay::default()
        }
    }

    /// Adds a record of the dead letters' topic. What is no letter is none to be sent.
    pub fn add(&mut self, record: &[u8]) {
        if let Ok(Record::DeadLetter(letter)) = Record::decode(record) {
            self.add_letter(&letter);
        }
    }

    fn add_letter(&mut self, letter: &DeadLetter<'_>) {
        if letter.stage == REPLAY {
            self.marks.insert(letter.letter_id);
            return;
        }
        if !self.filter.takes(letter) {
            return;
        }
        let mark = mark_of(letter);
        let source = topic::ALL.into_iter().find(|topic| *topic == letter.source);
        let why_not = match (source, letter.partition) {
            (Some(source), Some(partition)) => {
                let whole = i64::try_from(letter.payload.len()) == Ok(letter.payload_length);
                if whole {
                    let letter = Letter {
                        mark,
                        time: letter.time,
                        site: letter.site.to_owned(),
                        source,
                        partition,
                        position: letter.position,
                        payload: letter.payload.to_vec(),
                    };
                    self.letters.insert(mark, letter);
                    return;
                }
                "only its first 65536 bytes were kept"
            }
            _ if letter.stage == "import" => {
                "a line of a log file: correct the file, and import it again"
            }
            _ => "it came over HTTP: its sender was told, and can send it again",
        };
        self.unsendable.insert(mark, why_not);
    }

    /// What there is to send.
    pub fn found(&self) -> Found {
        let mut found = Found::default();
        for letter in self.letters.values() {
            if self.marks.contains(&letter.mark) {
                found.sent_before += 1;
            } else {
                *found.sendable.entry(letter.source).or_default() += 1;
            }
        }
        for why_not in self.unsendable.values() {
            *found.unsendable.entry(why_not).or_default() += 1;
        }
        found
    }

    /// The letters with their marks, in commits that are each to be made whole or not at all.
    ///
    /// # Errors
    /// A mark that cannot be encoded, which no text of a letter brings about.
    pub fn into_commits(self) -> Result<Vec<Commit>, CodecError> {
        let mut letters: Vec<Letter> = self
            .letters
            .into_values()
            .filter(|letter| !self.marks.contains(&letter.mark))
            .collect();
        // As they were on their partitions.
        letters.sort_by_key(|letter| (letter.source, letter.partition, letter.position));
        let mut commits = Vec::new();
        let mut commit = Commit::default();
        let mut count = 0;
        for letter in letters {
            if count == LETTERS_MAX || commit.appended_bytes() >= BYTES_MAX {
                commits.push(std::mem::take(&mut commit));
                count = 0;
            }
            letter.append(&mut commit)?;
            count += 1;
        }
        if count > 0 {
            commits.push(commit);
        }
        Ok(commits)
    }
}

/// Identity of a letter's mark: a function of where the letter came from and of why.
fn mark_of(letter: &DeadLetter<'_>) -> Id {
    let partition = letter
        .partition
        .map_or(u64::MAX, |partition| u64::from(partition.unsigned_abs()));
    let mut mark = Id::builder("replayed dead letter")
        .bytes(letter.source.as_bytes())
        .number(partition)
        .number(letter.position.cast_unsigned())
        .bytes(letter.stage.as_bytes())
        .bytes(letter.reason.as_bytes());
    if letter.partition.is_none() {
        // A line of one file is not that of another by the same name.
        mark = mark.bytes(&letter.letter_id.0);
    }
    mark.finish()
}

impl Letter {
    fn append(&self, commit: &mut Commit) -> Result<(), CodecError> {
        commit.append_to(self.source, self.partition, |out| {
            out.extend_from_slice(&self.payload);
            Ok::<(), CodecError>(())
        })?;
        let mark = DeadLetter {
            letter_id: self.mark,
            time: self.time,
            site: &self.site,
            stage: REPLAY,
            reason: "replayed",
            detail: "sent back to where it came from".into(),
            source: self.source,
            partition: Some(self.partition),
            position: self.position,
            payload: b"",
            payload_length: 0,
        };
        commit.try_append_with(topic::DEAD_LETTERS, |out| mark.encode(out))
    }
}

/// Sends the letters of a Kafka home back: every one that the topic of dead letters still holds.
/// With `dry_run` it says what it would send.
///
/// One process at a time does this: a second one that starts takes over, and what the first had
/// not committed is not there.
///
/// # Errors
/// Kafka's own; another process that took over.
pub fn replay_on_kafka(
    connection: &Connection,
    sink: Membership,
    partitions: Partitions,
    view: &KafkaView,
    mut replay: Replay,
    dry_run: bool,
) -> Result<Found, SinkError> {
    let membership = Membership {
        group: format!("{}.{REPLAY}", sink.group),
        replica: REPLAY.to_owned(),
        topics: vec![topic::DEAD_LETTERS],
        ..sink
    };
    let count = partitions.of(topic::DEAD_LETTERS)?;
    // Whoever was at it before is fenced first: its marks are there by now, or never will be.
    let seat = match dry_run {
        true => None,
        false => Some(Seat::take(connection, &membership, partitions)?),
    };
    for partition in 0..count {
        let kept = view.kept(topic::DEAD_LETTERS, partition)?;
        view.records(topic::DEAD_LETTERS, partition, kept, &mut |_, record| {
            replay.add(record);
        })?;
    }
    let found = replay.found();
    if let Some(seat) = seat {
        let sent = seat.send(replay.into_commits()?);
        seat.leave();
        sent?;
    }
    Ok(found)
}

/// The one member of the replay's group, for the sake of its transactions.
struct Seat {
    group: Group,
    held: Vec<KafkaPartition>,
}

impl Seat {
    fn take(
        connection: &Connection,
        membership: &Membership,
        partitions: Partitions,
    ) -> Result<Seat, SinkError> {
        let group = Group::join(connection, membership, partitions)?;
        let deadline = Instant::now() + SEAT_MAX;
        loop {
            match group.next_given(LOOK) {
                Ok(Some(partition)) => {
                    let held = vec![partition];
                    return Ok(Seat { group, held });
                }
                Ok(None) if Instant::now() < deadline => {}
                Ok(None) => {
                    group.leave();
                    return Err(LogError::Away("the group gives no partition".to_owned()).into());
                }
                Err(error) => {
                    group.leave();
                    return Err(error.into());
                }
            }
        }
    }

    fn send(&self, commits: Vec<Commit>) -> Result<(), SinkError> {
        let Some(partition) = self.held.first() else {
            return Ok(());
        };
        for mut commit in commits {
            // The position stays: what was sent is told by marks.
            let stands = partition.position()?;
            let from = stands.offset;
            partition.commit(&mut commit, from, stands, Durability::Durable)?;
        }
        Ok(())
    }

    fn leave(self) {
        drop(self.held);
        // Partitions that came later are given back unused.
        while let Ok(Some(unused)) = self.group.next_given(Duration::ZERO) {
            drop(unused);
        }
        self.group.leave();
    }
}

#[derive(Row, Deserialize)]
struct Kept {
    letter_id: Id16,
    time: i64,
    site: String,
    stage: String,
    reason: String,
    source: String,
    source_partition: Option<i32>,
    source_position: i64,
    payload: Payload,
    payload_length: i64,
}

/// Bytes that need not be text.
struct Payload(Vec<u8>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Payload;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(Payload(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Payload, E> {
                Ok(Payload(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// The sixteen bytes of a UUID as text of 32 hexadecimal digits.
struct Id16(Id);

impl<'de> Deserialize<'de> for Id16 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&digits, 16).map_err(de::Error::custom)?;
        Ok(Id16(Id(number.to_be_bytes())))
    }
}

/// Adds every letter and mark of ClickHouse's table of them, which must hold what the log had.
///
/// # Errors
/// ClickHouse's own.
pub async fn add_table(replay: &mut Replay, client: &Client) -> Result<(), SinkError> {
    let mut rows = client
        .query(&format!(
            "SELECT replaceAll(toString(letter_id), '-', '') AS letter_id, \
             toUnixTimestamp64Milli(time) AS time, toString(site) AS site, \
             toString(stage) AS stage, toString(reason) AS reason, source, source_partition, \
             source_position, payload, payload_length FROM {DATABASE}.dead_letters"
        ))
        .fetch::<Kept>()
        .map_err(SinkError::ClickHouse)?;
    while let Some(kept) = rows.next().await.map_err(SinkError::ClickHouse)? {
        replay.add_letter(&DeadLetter {
            letter_id: kept.letter_id.0,
            time: kept.time,
            site: &kept.site,
            stage: &kept.stage,
            reason: &kept.reason,
            detail: "".into(),
            source: &kept.source,
            partition: kept.source_partition,
            position: kept.source_position,
            payload: &kept.payload.0,
            payload_length: kept.payload_length,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter<'a>(position: i64, reason: &'a str, payload: &'a [u8]) -> DeadLetter<'a> {
        DeadLetter {
            letter_id: Id([7; 16]),
            time: 1_000 + position,
            site: "example.org",
            stage: "classify",
            reason,
            detail: "why".into(),
            source: topic::HITS_RAW,
            partition: Some(2),
            position,
            payload,
            payload_length: payload.len() as i64,
        }
    }

    fn added(replay: &mut Replay, letter: &DeadLetter<'_>) {
        let mut record = Vec::new();
        letter.encode(&mut record).expect("fits its schema");
        replay.add(&record);
    }

    #[test]
    fn a_filter_takes_what_it_names() {
        let found = |filter: Filter| {
            let mut replay = Replay::new(filter);
            added(&mut replay, &letter(1, "undecodable", b"a"));
            added(&mut replay, &letter(2, "too_old", b"b"));
            replay.add(b"no letter");
            replay.found().sendable.get(topic::HITS_RAW).copied()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found(Filter::default()), Some(2));
        for (filter, count) in [
            (
                Filter {
                    reason: some("too_old"),
                    ..Filter::default()
                },
                Some(1),
            ),
            (
                Filter {
                    stage: some("chain"),
                    ..Filter::default()
                },
                None,
            ),
            (
                Filter {
                    site: some("example.org"),
                    ..Filter::default()
                },
                Some(2),
            ),
            (
                Filter {
                    site: some(""),
                    ..Filter::default()
                },
                None,
            ),
            (
                Filter {
                    from: Some(1_002),
                    ..Filter::default()
                },
                Some(1),
            ),
            (
                Filter {
                    to: Some(1_002),
                    ..Filter::default()
                },
                Some(1),
            ),
        ] {
            assert_eq!(found(filter.clone()), count, "{filter:?}");
        }
    }

    #[test]
    fn a_letter_goes_once_and_what_cannot_go_is_said() {
        let letters = [
            letter(5, "undecodable", b"five"),
            letter(3, "undecodable", b"three"),
        ];
        let cut = DeadLetter {
            payload_length: 70_000,
            ..letter(9, "undecodable", b"cut")
        };
        let line = DeadLetter {
            stage: "import",
            source: "access.log",
            partition: None,
            ..letter(4, "not_a_log_line", b"line")
        };
        let add_all = |replay: &mut Replay| {
            for letter in letters.iter().chain([&cut, &line]) {
                added(replay, letter);
                added(replay, letter);
            }
        };
        let mut replay = Replay::new(Filter::default());
        add_all(&mut replay);
        let found = replay.found();
        assert_eq!(found.sendable, BTreeMap::from([(topic::HITS_RAW, 2)]));
        assert_eq!(found.unsendable.len(), 2, "{found:?}");
        let commits = replay.into_commits().expect("commits");
        assert_eq!(commits.len(), 1);
        assert_eq!(commits[0].appended_records(topic::HITS_RAW), 2);
        assert_eq!(commits[0].appended_records(topic::DEAD_LETTERS), 2);

        let mut again = Replay::new(Filter::default());
        add_all(&mut again);
        for letter in &letters {
            let mark = DeadLetter {
                letter_id: mark_of(letter),
                stage: REPLAY,
                ..letter.clone()
            };
            added(&mut again, &mark);
        }
        let found = again.found();
        assert_eq!((found.sent_before, found.sendable.len()), (2, 0));
        assert!(again.into_commits().expect("commits").is_empty());
    }

    #[test]
    fn many_letters_are_many_commits() {
        let mut replay = Replay::new(Filter::default());
        for position in 0..2_500 {
            added(&mut replay, &letter(position, "undecodable", b"x"));
        }
        let sizes: Vec<usize> = replay
            .into_commits()
            .expect("commits")
            .iter()
            .map(|commit| commit.appended_records(topic::HITS_RAW))
            .collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
    }
}
