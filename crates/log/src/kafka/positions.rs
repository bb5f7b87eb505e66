//! Where a member of a group begins in the partitions that it is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;

use super::group::GroupCalls;
use crate::commit::Position;
use crate::error::LogError;

/// How long a question to the brokers may take.
const ASK: Duration = Duration::from_secs(30);
/// Between two questions that a broker could not answer.
const AGAIN: Duration = Duration::from_millis(100);
/// The topic that is written without transactions: each of its offsets is a record.
const WITHOUT_TRANSACTIONS: &str = "hits.raw";

/// Where one partition begins.
pub(super) struct Start {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Where the group stands.
    pub(super) position: Position,
    /// Offset to ask the brokers for: that of the position, unless it is kept no more and nothing
    /// was lost with it.
    pub(super) reads_from: u64,
}

/// Where the group stands in partitions; at the first record kept where it never committed.
///
/// # Errors
/// Brokers that do not answer, or refuse to.
pub(super) fn positions(
    consumer: &BaseConsumer<GroupCalls>,
    assigned: &TopicPartitionList,
) -> Result<Vec<Start>, LogError> {
    let deadline = Instant::now() + ASK * 2;
    let committed = loop {
        match consumer.committed_offsets(assigned.clone(), ASK) {
            Ok(committed) => break committed,
            Err(error) if Instant::now() < deadline => {
                tracing::warn!(%error, "asking where the group stands");
            }
            Err(error) => {
                let text = format!("asking where the group stands: {error}");
                return Err(LogError::Away(text));
            }
        }
    };
    let firsts = firsts(consumer, assigned);
    let mut starts = Vec::with_capacity(committed.count());
    for element in committed.elements() {
        element
            .error()
            .map_err(|error| LogError::kafka("asking where the group stands", error))?;
        let (topic, partition) = (element.topic(), element.partition());
        let (position, reads_from) = match element.offset() {
            Offset::Offset(offset) => {
                let offset = u64::try_from(offset).unwrap_or_default();
                let metadata = element.metadata().as_bytes().to_vec();
                let first = firsts.as_ref().and_then(|firsts| {
                    let first = firsts.find_partition(topic, partition)?.offset().to_raw()?;
                    u64::try_from(first).ok()
                });
                let behind = first
                    .filter(|first| only_a_marker_went(topic, offset, *first))
                    .filter(|first| ends_at(consumer, (topic, partition), *first));
                if behind.is_some() {
                    tracing::info!(
                        topic,
                        partition,
                        offset,
                        "retention has emptied it up to the end of its last transaction: reading begins behind that"
                    );
                }
                (Position { offset, metadata }, behind.unwrap_or(offset))
            }
            _ => {
                let offset = first_kept(consumer, (topic, partition), deadline)?;
                let metadata = Vec::new();
                (Position { offset, metadata }, offset)
            }
        };
        starts.push(Start {
            topic: Arc::from(topic),
            partition,
            position,
            reads_from,
        });
    }
    Ok(starts)
}

/// First offsets that are kept, of many partitions at once; `None` where the brokers do not say:
/// then a read finds out.
fn firsts(
    consumer: &BaseConsumer<GroupCalls>,
    assigned: &TopicPartitionList,
) -> Option<TopicPartitionList> {
    let mut asked = TopicPartitionList::with_capacity(assigned.count());
    for element in assigned.elements() {
        // In the place of a time it asks for the first.
        asked
            .add_partition_offset(element.topic(), element.partition(), Offset::Beginning)
            .ok()?;
    }
    match consumer.offsets_for_times(asked, ASK) {
        Ok(firsts) => Some(firsts),
        Err(error) => {
            tracing::debug!(%error, "asking what is kept");
            None
        }
    }
}

/// True where a partition that retention has emptied held nothing of what is asked for. A consumer's
/// position follows its last record, and there the end of the record's transaction stands: a
/// partition in which nothing came for the whole retention begins behind that. One offset cannot
/// have been a record, whose transaction would have ended in another. (Dead letters of the collector
/// are the exception: a single one that nobody read for the whole retention would look alike.)
pub(super) fn only_a_marker_went(topic: &str, asked: u64, first: u64) -> bool {
    topic != WITHOUT_TRANSACTIONS && asked.checked_add(1) == Some(first)
}

/// True where a partition is known to end at an offset.
fn ends_at(
    consumer: &BaseConsumer<GroupCalls>,
    (topic, partition): (&str, i32),
    offset: u64,
) -> bool {
    let bounds = consumer.fetch_watermarks(topic, partition, ASK);
    bounds.is_ok_and(|(_, end)| u64::try_from(end) == Ok(offset))
}

/// First record that is kept.
fn first_kept(
    consumer: &BaseConsumer<GroupCalls>,
    (topic, partition): (&str, i32),
    deadline: Instant,
) -> Result<u64, LogError> {
    loop {
        match consumer.fetch_watermarks(topic, partition, ASK) {
            Ok((first, _)) => return Ok(u64::try_from(first).unwrap_or_default()),
            // A broker that goes away is told at once: another may answer.
            Err(error) if Instant::now() < deadline => {
                tracing::warn!(%error, "asking where a partition starts");
                std::thread::sleep(AGAIN);
            }
            Err(error) => {
                let text = format!("asking where a partition starts: {error}");
                return Err(LogError::Away(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_went_is_no_marker() {
        assert!(only_a_marker_went("visits", 7, 8));
        for (topic, first) in [("visits", 9), ("visits", 7), ("hits.raw", 8)] {
            assert!(!only_a_marker_went(topic, 7, first), "{topic} {first}");
        }
        assert!(!only_a_marker_went("visits", u64::MAX, 0));
    }
}
