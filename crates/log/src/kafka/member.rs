//! Who a client is in its group at the moment: the one thing that its bindings do not tell.
#![expect(
    unsafe_code,
    reason = "librdkafka's own function, which the bindings do not wrap"
)]

use std::ffi::{CStr, c_void};

use rdkafka::bindings::{rd_kafka_mem_free, rd_kafka_memberid};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::group::GroupCalls;

/// The id that the group's coordinator gave this client; empty where it has none.
///
/// Whoever gets another id was out of the group in between, and others may have held its partitions.
/// A classic member of librdkafka (2.12.1) that is told so while it joins keeps them
/// all the same, and the generation it then names is valid: the id is what tells.
pub(super) fn member_id(consumer: &BaseConsumer<GroupCalls>) -> String {
    let client = consumer.client().native_ptr();
    // SAFETY: the client lives as long as the consumer that is borrowed here. The text is null or ends
    // with a zero, is ours, and is freed by the client's own function.
    unsafe {
        let text = rd_kafka_memberid(client);
        if text.is_null() {
            return String::new();
        }
        let id = CStr::from_ptr(text).to_string_lossy().into_owned();
        rd_kafka_mem_free(client, text.cast::<c_void>());
        id
    }
}
