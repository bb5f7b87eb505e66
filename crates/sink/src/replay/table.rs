//! Letters of ClickHouse's table of them, where that holds what the log had.

use clickhouse::{Client, Row};
use grapevine_event::{DeadLetter, Id};
use grapevine_log::{Commit, LogError};
use serde::{Deserialize, Deserializer, de};

use super::{Found, Place, Replay};
use crate::DATABASE;
use crate::error::SinkError;

/// What both reads ask of a letter.
const COLUMNS: &str = "replaceAll(toString(letter_id), '-', '') AS letter_id, \
    toUnixTimestamp64Milli(time) AS time, toString(site) AS site, \
    toString(stage) AS stage, toString(reason) AS reason, source, source_partition, \
    source_position, payload_length";

/// A letter without what is in it.
#[derive(Row, Deserialize)]
struct Head {
    letter_id: Id16,
    time: i64,
    site: String,
    stage: String,
    reason: String,
    source: String,
    source_partition: Option<i32>,
    source_position: i64,
    payload_length: i64,
    kept_bytes: u64,
    partition: i32,
    offset: u64,
}

/// A letter with what is in it.
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
    payload_length: i64,
    payload: Payload,
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
            "SELECT {COLUMNS}, length(payload) AS kept_bytes, partition, offset \
             FROM {DATABASE}.dead_letters"
        ))
        .fetch::<Head>()
        .map_err(SinkError::ClickHouse)?;
    while let Some(head) = rows.next().await.map_err(SinkError::ClickHouse)? {
        let letter = DeadLetter {
            letter_id: head.letter_id.0,
            time: head.time,
            site: &head.site,
            stage: &head.stage,
            reason: &head.reason,
            detail: "".into(),
            source: &head.source,
            partition: head.source_partition,
            position: head.source_position,
            payload: b"",
            payload_length: head.payload_length,
        };
        let place = Place {
            partition: head.partition,
            offset: head.offset,
        };
        let bytes = usize::try_from(head.kept_bytes).unwrap_or(usize::MAX);
        replay.add_letter(place, &letter, bytes);
    }
    Ok(())
}

impl Replay {
    /// Sends the letters that [`add_table`] found, with what the table holds of them, by `commit`,
    /// which makes one commit whole or not at all. Says what of them went.
    ///
    /// # Errors
    /// ClickHouse's own, and those of `commit`. Letters that went until then have their marks.
    pub async fn send_from_table(
        mut self,
        client: &Client,
        mut commit: impl FnMut(&Commit) -> Result<(), LogError>,
    ) -> Result<Found, SinkError> {
        let mut found = self.found();
        while let Some(mut window) = self.next_window() {
            for (partition, range) in window.ranges() {
                let mut rows = client
                    .query(&format!(
                        "SELECT {COLUMNS}, payload FROM {DATABASE}.dead_letters \
                         WHERE partition = ? AND offset >= ? AND offset < ?"
                    ))
                    .bind(partition)
                    .bind(range.start)
                    .bind(range.end)
                    .fetch::<Kept>()
                    .map_err(SinkError::ClickHouse)?;
                while let Some(kept) = rows.next().await.map_err(SinkError::ClickHouse)? {
                    window.take_letter(&DeadLetter {
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
            }
            window.gone().for_each(|source| found.lost(source));
            for batch in window.into_batches() {
                commit(&batch.commit()?)?;
            }
        }
        Ok(found)
    }
}
