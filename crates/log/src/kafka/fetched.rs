//! What the client has fetched of one partition, taken many messages at a time.
//!
//! The bindings take one message a call, each with its lock, clock readings and an event around it: on
//! a sink that is half of its time.
#![expect(
    unsafe_code,
    reason = "librdkafka's own function for many messages, which the bindings do not wrap"
)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_consume_batch_queue, rd_kafka_message_destroy, rd_kafka_message_t,
    rd_kafka_queue_destroy, rd_kafka_queue_get_partition, rd_kafka_queue_t,
};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::group::GroupCalls;

/// Messages taken with one call at most. They stay where the client has them until they are read.
const AT_ONCE: usize = 64;

/// A partition's messages in their order.
pub(super) struct Fetched {
    /// Taken and not read yet, the first last.
    taken: Vec<Message>,
    queue: NonNull<rd_kafka_queue_t>,
    /// Keeps the partition's messages out of the group's own queue.
    _split: PartitionQueue<GroupCalls>,
    /// After everything else: messages and queues are given back while their client lives.
    _consumer: Arc<BaseConsumer<GroupCalls>>,
}

// SAFETY: librdkafka's queues and messages may be used and given back by any thread, one at a time.
unsafe impl Send for Fetched {}

impl Fetched {
    /// Takes a partition's messages out of the group's own queue from now on. `None` where the client
    /// gives no queue for it.
    pub(super) fn split(
        consumer: &Arc<BaseConsumer<GroupCalls>>,
        topic: &str,
        partition: i32,
    ) -> Option<Fetched> {
        let split = consumer.split_partition_queue(topic, partition)?;
        let name = std::ffi::CString::new(topic).ok()?;
        // SAFETY: the client lives as long as the consumer, which is kept; the name ends with a zero and is
        // copied. What is returned is null or a reference of our own.
        let queue = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), name.as_ptr(), partition)
        };
        Some(Fetched {
            taken: Vec::with_capacity(AT_ONCE),
            queue: NonNull::new(queue)?,
            _split: split,
            _consumer: Arc::clone(consumer),
        })
    }

    /// The next message; waits for it at most so long. An error stands in the place of a message, as
    /// the end of the partition does.
    pub(super) fn next(&mut self, wait: Duration) -> Option<Result<Message, KafkaError>> {
        if self.taken.is_empty() && !self.take(AT_ONCE, Duration::ZERO) && !wait.is_zero() {
            // More than one would be waited for until the time is over.
            self.take(1, wait);
        }
        let message = self.taken.pop()?;
        match message.error() {
            None => Some(Ok(message)),
            Some(error) => Some(Err(error)),
        }
    }

    /// Forgets what was taken and not read: the client is to go elsewhere.
    pub(super) fn forget(&mut self) {
        self.taken.clear();
    }

    /// Takes up to so many messages, at most [`AT_ONCE`]; true where any came.
    fn take(&mut self, most: usize, wait: Duration) -> bool {
        // Up to a whole millisecond: a wait of none in place of the last part of one would be asked again
        // and again until that part is over.
        let wait = i32::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX);
        let mut room = [std::ptr::null_mut::<rd_kafka_message_t>(); AT_ONCE];
        // SAFETY: the queue is ours; the client writes at most as many pointers as there is room for, and
        // says how many. It says −1 where there is none.
        let came = unsafe {
            rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                wait,
                room.as_mut_ptr(),
                most.min(AT_ONCE),
            )
        };
        let came = usize::try_from(came).unwrap_or_default();
        let messages = room.iter().take(came).rev();
        self.taken
            .extend(messages.filter_map(|message| NonNull::new(*message).map(Message)));
        !self.taken.is_empty()
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.taken.clear();
        // SAFETY: the reference is ours, and given back once.
        unsafe { rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// A message of the partition.
pub(super) struct Message(NonNull<rd_kafka_message_t>);

impl Message {
    fn raw(&self) -> &rd_kafka_message_t {
        // SAFETY: the message is ours until it is dropped, and nobody writes to it.
        unsafe { self.0.as_ref() }
    }

    /// Its offset; `None` where the client names none.
    pub(super) fn offset(&self) -> Option<u64> {
        u64::try_from(self.raw().offset).ok()
    }

    /// Its value; empty where it has none.
    pub(super) fn payload(&self) -> &[u8] {
        let raw = self.raw();
        if raw.payload.is_null() {
            return &[];
        }
        // SAFETY: the client has so many bytes there for as long as the message is ours.
        unsafe { std::slice::from_raw_parts(raw.payload.cast::<u8>(), raw.len) }
    }

    fn error(&self) -> Option<KafkaError> {
        let raw = self.raw();
        match raw.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                Some(KafkaError::PartitionEOF(raw.partition))
            }
            code @ RDKafkaRespErr::RD_KAFKA_RESP_ERR__FATAL => {
                Some(KafkaError::MessageConsumptionFatal(code.into()))
            }
            code => Some(KafkaError::MessageConsumption(code.into())),
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours, and given back once.
        unsafe { rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}
