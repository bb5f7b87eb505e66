//! Whether the settings of a topic do for what Grapevine keeps on it. Those that lose records or
//! hold them up are refused; those that keep them less well than they could may be meant so, and
//! are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::topics::{MESSAGE_BYTES, TopicsError, Wish};

/// Copies that a topic should have at least where there are so many brokers and nobody has said how
/// many.
const COPIES_MIN: usize = 2;

/// How a topic lies on its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Partitions.
    pub(super) partitions: i32,
    /// Copies of each record, in the partition that has the fewest.
    pub(super) copies: usize,
    /// Brokers of the cluster that are there.
    pub(super) brokers: usize,
}

/// What a topic could keep records better with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weakness {
    /// Fewer copies than were asked for; where nothing was, one though there are several brokers.
    Copies {
        /// Copies that there are.
        found: usize,
        /// Copies that there should be at least.
        wanted: usize,
    },
    /// `min.insync.replicas` of one: what one broker alone has is acknowledged.
    OneInSync {
        /// Copies that there are.
        copies: usize,
    },
    /// `min.insync.replicas` of more than the copies.
    InSyncBeyondCopies {
        /// `min.insync.replicas`.
        found: i64,
        /// Copies that there are.
        copies: usize,
    },
    /// `compression.type` of another kind than what is sent.
    Repacked {
        /// `compression.type`.
        found: String,
        /// What is sent, as `compression.type` calls it.
        sent: String,
    },
    /// `retention.bytes` of some size.
    CutBySize {
        /// `retention.bytes`.
        bytes: i64,
    },
}

/// Weaknesses, each with the topics that have it.
#[derive(Debug, Default)]
pub(super) struct Weaknesses(BTreeMap<Weakness, BTreeSet<&'static str>>);

/// What this process has told.
static TOLD: Mutex<BTreeSet<(Weakness, &'static str)>> = Mutex::new(BTreeSet::new());

impl Weaknesses {
    pub(super) fn add(
        &mut self,
        topic: &'static str,
        weaknesses: impl IntoIterator<Item = Weakness>,
    ) {
        for weakness in weaknesses {
            self.0.entry(weakness).or_default().insert(topic);
        }
    }

    /// Tells each once a process, however often its topics are looked at.
    pub(super) fn tell(self) {
        for (weakness, mut topics) in self.0 {
            let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            topics.retain(|topic| told.insert((weakness.clone(), *topic)));
            drop(told);
            if !topics.is_empty() {
                warn(
                    &weakness,
                    &topics.into_iter().collect::<Vec<_>>().join(", "),
                );
            }
        }
    }
}

fn warn(weakness: &Weakness, topics: &str) {
    match weakness {
        Weakness::Copies { found, wanted } => tracing::warn!(
            topics,
            copies = found,
            wanted,
            "too few copies: with a broker that is lost go acknowledged records. Add copies by kafka-reassign-partitions.sh, or set kafka.replication and delete the topics while they are empty; kafka.replication = 1 says that one is meant"
        ),
        Weakness::OneInSync { copies } => tracing::warn!(
            topics,
            copies,
            "min.insync.replicas is 1: a record may be acknowledged that one broker alone has. Set it to 2, with three copies so that a broker may be away: kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name TOPIC --add-config min.insync.replicas=2"
        ),
        Weakness::InSyncBeyondCopies { found, copies } => tracing::warn!(
            topics,
            copies,
            min_insync_replicas = found,
            "min.insync.replicas is more than there are copies: older brokers take no record then. Add copies, or set it to no more than these"
        ),
        Weakness::Repacked { found, sent } => tracing::warn!(
            topics,
            compression_type = found,
            sent,
            "compression.type makes the brokers unpack and pack every batch again: set it to producer"
        ),
        Weakness::CutBySize { bytes } => tracing::warn!(
            topics,
            retention_bytes = bytes,
            "topics are cut by size too: a restart may not find its input. Set retention.bytes to -1, or see that it holds a day"
        ),
    }
}

/// Copies that a topic has to have for nothing to be said, of what was asked for where it is made.
fn copies_wanted(replication: Option<i32>, brokers: usize) -> usize {
    let asked = replication.and_then(|copies| usize::try_from(copies).ok());
    asked.unwrap_or(COPIES_MIN).min(brokers)
}

/// Whether a topic has fewer copies than it should.
pub(super) fn too_few_copies(layout: Layout, replication: Option<i32>) -> Option<Weakness> {
    let wanted = copies_wanted(replication, layout.brokers);
    (layout.copies < wanted).then_some(Weakness::Copies {
        found: layout.copies,
        wanted,
    })
}

/// Looks at the settings of a topic, each told by `value` where it is known. `codec` is librdkafka's
/// name of how what is sent is packed.
///
/// # Errors
/// What loses records or holds them up, with the setting to change.
pub(super) fn judge<'v>(
    wish: &Wish,
    layout: Layout,
    codec: &str,
    value: impl Fn(&str) -> Option<&'v str>,
) -> Result<Vec<Weakness>, TopicsError> {
    let number = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    refuse(wish, layout, &value)?;
    let mut weaknesses = Vec::new();
    if let Some(found) = number("min.insync.replicas") {
        let copies = layout.copies;
        if found <= 1 && copies > 1 {
            weaknesses.push(Weakness::OneInSync { copies });
        } else if usize::try_from(found).is_ok_and(|found| found > copies) {
            weaknesses.push(Weakness::InSyncBeyondCopies { found, copies });
        }
    }
    let sent = match codec {
        "none" => "uncompressed",
        codec => codec,
    };
    if let Some(found) = value("compression.type")
        && found != "producer"
        && found != sent
    {
        weaknesses.push(Weakness::Repacked {
            found: found.to_owned(),
            sent: sent.to_owned(),
        });
    }
    if let Some(bytes) = number("retention.bytes")
        && bytes >= 0
    {
        weaknesses.push(Weakness::CutBySize { bytes });
    }
    Ok(weaknesses)
}

fn refuse<'v>(
    wish: &Wish,
    layout: Layout,
    value: &impl Fn(&str) -> Option<&'v str>,
) -> Result<(), TopicsError> {
    let number = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    if let Some(policy) = value("cleanup.policy")
        && policy.contains("compact")
    {
        return Err(TopicsError::Compacted {
            name: wish.name,
            found: policy.to_owned(),
        });
    }
    let wanted_ms = i64::try_from(wish.retention_min.as_millis()).unwrap_or(i64::MAX);
    // -1 keeps records for ever.
    if let Some(found_ms) = number("retention.ms")
        && found_ms >= 0
        && found_ms < wanted_ms
    {
        return Err(TopicsError::Retention {
            name: wish.name,
            found_ms,
            wanted_ms,
        });
    }
    if let Some(found) = number("max.message.bytes")
        && found < i64::try_from(MESSAGE_BYTES).unwrap_or(i64::MAX)
    {
        return Err(TopicsError::MessageBytes {
            name: wish.name,
            found,
        });
    }
    // A single copy has nobody to lose the lead to.
    if layout.copies > 1 && value("unclean.leader.election.enable") == Some("true") {
        return Err(TopicsError::Unclean { name: wish.name });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WISH: Wish = Wish {
        name: "hits.raw",
        partitions: Some(4),
        retention: Duration::from_secs(7 * 86_400),
        retention_min: Duration::from_secs(86_400),
    };
    const THREE: Layout = Layout {
        partitions: 4,
        copies: 3,
        brokers: 3,
    };
    /// As Grapevine makes them with three copies.
    const GOOD: [(&str, &str); 7] = [
        ("cleanup.policy", "delete"),
        ("compression.type", "producer"),
        ("max.message.bytes", "8454144"),
        ("min.insync.replicas", "2"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("unclean.leader.election.enable", "false"),
    ];

    fn judged(layout: Layout, other: &[(&str, &str)]) -> Result<Vec<Weakness>, TopicsError> {
        let value = |name: &str| {
            let mut all = other.iter().chain(&GOOD);
            all.find(|(key, _)| *key == name).map(|(_, value)| *value)
        };
        judge(&WISH, layout, "lz4", value)
    }

    #[test]
    fn what_grapevine_makes_is_good_and_what_is_not_known_is_believed() {
        let none = |judged: Result<Vec<Weakness>, TopicsError>| judged.expect("taken").is_empty();
        assert!(none(judged(THREE, &[])));
        let for_ever = [("retention.ms", "-1"), ("cleanup.policy", "")];
        assert!(none(judged(THREE, &for_ever)));
        assert!(none(judge(&WISH, THREE, "lz4", |_| None)));
    }

    #[test]
    fn what_loses_records_or_holds_them_up_is_refused_with_value_and_command() {
        for (key, found, remedy) in [
            ("cleanup.policy", "compact,delete", "cleanup.policy=delete"),
            ("retention.ms", "60000", "retention.ms=86400000"),
            ("max.message.bytes", "1048588", "max.message.bytes=8454144"),
            (
                "unclean.leader.election.enable",
                "true",
                "unclean.leader.election.enable=false",
            ),
        ] {
            let error = judged(THREE, &[(key, found)]).expect_err(key).to_string();
            assert!(error.contains("hits.raw"), "{error}");
            assert!(error.contains(key) && error.contains(found), "{error}");
            assert!(error.contains("kafka-configs.sh"), "{error}");
            assert!(error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_single_copy_has_nobody_to_take_over_uncleanly() {
        let alone = Layout { copies: 1, ..THREE };
        let unclean = [
            ("unclean.leader.election.enable", "true"),
            ("min.insync.replicas", "1"),
        ];
        assert!(judged(alone, &unclean).expect("taken").is_empty());
    }

    #[test]
    fn what_may_be_meant_is_told() {
        let one_in_sync = judged(THREE, &[("min.insync.replicas", "1")]);
        assert_eq!(
            one_in_sync.expect("taken"),
            [Weakness::OneInSync { copies: 3 }]
        );
        let beyond = judged(THREE, &[("min.insync.replicas", "4")]);
        assert_eq!(
            beyond.expect("taken"),
            [Weakness::InSyncBeyondCopies {
                found: 4,
                copies: 3
            }]
        );
        let repacked = |found: &str, sent: &str| Weakness::Repacked {
            found: found.to_owned(),
            sent: sent.to_owned(),
        };
        let packed = judged(
            THREE,
            &[("compression.type", "gzip"), ("retention.bytes", "1000")],
        );
        let weak = [repacked("gzip", "lz4"), Weakness::CutBySize { bytes: 1000 }];
        assert_eq!(packed.expect("taken"), weak);
        let as_sent = judged(THREE, &[("compression.type", "lz4")]);
        assert!(as_sent.expect("taken").is_empty());
        let plain = judge(&WISH, THREE, "none", |key| {
            (key == "compression.type").then_some("uncompressed")
        });
        assert!(plain.expect("taken").is_empty());
    }

    #[test]
    fn one_copy_is_told_where_there_could_be_more_and_nobody_asked_for_it() {
        let of = |copies, brokers| Layout {
            partitions: 1,
            copies,
            brokers,
        };
        let weak = |found, wanted| Some(Weakness::Copies { found, wanted });
        for (layout, replication, expected) in [
            (of(1, 1), None, None),
            (of(1, 3), None, weak(1, 2)),
            (of(2, 3), None, None),
            (of(1, 3), Some(1), None),
            (of(1, 3), Some(3), weak(1, 3)),
            // A broker is away: what cannot be had is not asked for.
            (of(2, 2), Some(3), None),
            (of(3, 3), Some(3), None),
        ] {
            let found = too_few_copies(layout, replication);
            assert_eq!(found, expected, "{layout:?} {replication:?}");
        }
    }

    #[test]
    fn each_is_told_once() {
        let told = || {
            let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            told.iter()
                .filter(|(_, topic)| *topic == "told once")
                .count()
        };
        for _ in 0..2 {
            let mut weaknesses = Weaknesses::default();
            weaknesses.add("told once", [Weakness::CutBySize { bytes: 7 }]);
            weaknesses.tell();
            assert_eq!(told(), 1);
        }
    }
}
