//! Partitions that no member of a classic group holds though the group has agreed.
//!
//! A static member that is killed after it gave a partition back, before it joined again, comes back
//! into the place it had: nobody deals the partition out (Kafka's KIP-345 spares the group a
//! rebalance, and librdkafka has no call for one). So every replica looks at the group now and then;
//! where partitions stay without an owner, one replica has a passer-by join, and the group
//! deals them out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::connection::{Connection, refused};
use super::context::ClientCalls;
use super::spread::Partitions;
use crate::error::LogError;

/// Between two looks at a group.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long partitions may lack an owner, beyond the time that the last one may take to give them
/// back: a member that has, joins again at once.
const WITHOUT_OWNER_MAX: Duration = Duration::from_secs(10);
/// How long a look, and the passer-by's stay, may take.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// A topic's name and a partition's number.
type Place = (String, i32);

/// What was seen of a group that has agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dealt {
    /// Who holds what, by member id.
    members: BTreeMap<String, BTreeSet<Place>>,
    /// What nobody holds.
    orphans: BTreeSet<Place>,
}

/// Looks at a group for its replica, on a thread of its own.
pub(super) struct Watch {
    connection: Connection,
    group: String,
    /// How long a holder may take to give a partition back.
    grace: Duration,
    /// Topics that the group reads.
    topics: Vec<&'static str>,
    /// One that it does not read, for the passer-by to ask for: it shall be given nothing of theirs.
    elsewhere: Option<String>,
    looker: BaseConsumer<ClientCalls>,
}

impl Watch {
    pub(super) fn new(
        connection: &Connection,
        (group, grace): (&str, Duration),
        topics: &[&'static str],
        partitions: &Partitions,
    ) -> Result<Watch, LogError> {
        let looker = connection
            .base()
            .create_with_context(ClientCalls::new(connection.token_file()))
            .map_err(|error| LogError::Away(refused(error).to_string()))?;
        let mut names = partitions.topics();
        Ok(Watch {
            connection: connection.clone(),
            group: group.to_owned(),
            grace,
            topics: topics.to_vec(),
            elsewhere: names.find(|name| !topics.contains(name)).map(str::to_owned),
            looker,
        })
    }

    /// Looks until `stop`; `member` says who this replica is in the group, `None` once it is gone.
    pub(super) fn run(self, stop: &Arc<AtomicBool>, member: impl Fn() -> Option<String>) {
        let mut since: Option<(Dealt, Instant)> = None;
        while rest(LOOK_EVERY, stop) {
            // Tokens come by polling.
            let _ = self.looker.poll(Duration::ZERO);
            let dealt = match self.look() {
                Ok(dealt) => dealt.filter(|dealt| !dealt.orphans.is_empty()),
                Err(error) => {
                    tracing::debug!(%error, group = self.group, "looking at the group");
                    continue;
                }
            };
            let Some(dealt) = dealt else {
                since = None;
                continue;
            };
            let first = match &since {
                Some((before, first)) if *before == dealt => *first,
                _ => {
                    since = Some((dealt, Instant::now()));
                    continue;
                }
            };
            if first.elapsed() < self.grace + WITHOUT_OWNER_MAX {
                continue;
            }
            since = None;
            let Some(member) = member() else {
                return;
            };
            // One of them is enough.
            if dealt.members.keys().next() != Some(&member) {
                continue;
            }
            tracing::warn!(
                group = self.group,
                partitions = ?dealt.orphans,
                "nobody of the group holds these partitions: it is made to deal them out"
            );
            if let Err(error) = self.pass_by(stop) {
                tracing::warn!(%error, group = self.group, "having a group deal anew");
            }
        }
    }

    /// Who holds what; `None` while the group is agreeing.
    fn look(&self) -> Result<Option<Dealt>, LogError> {
        let asking = |error| LogError::kafka("asking who holds what", error);
        let found = self
            .looker
            .fetch_group_list(Some(&self.group), PATIENCE)
            .map_err(asking)?;
        let Some(group) = found
            .groups()
            .iter()
            .find(|group| group.name() == self.group && group.state() == "Stable")
        else {
            return Ok(None);
        };
        let mut members = BTreeMap::new();
        for member in group.members() {
            let Some(held) = assigned(member.assignment().unwrap_or_default()) else {
                // A form that is not known tells nothing.
                return Ok(None);
            };
            members.insert(member.id().to_owned(), held);
        }
        let mut orphans = BTreeSet::new();
        for topic in &self.topics {
            let metadata = self
                .looker
                .fetch_metadata(Some(topic), PATIENCE)
                .map_err(asking)?;
            for described in metadata.topics() {
                for partition in described.partitions() {
                    orphans.insert((described.name().to_owned(), partition.id()));
                }
            }
        }
        orphans.retain(|place| !members.values().any(|held| held.contains(place)));
        Ok(Some(Dealt { members, orphans }))
    }

    /// Joins the group under no name, for another topic, and leaves it as soon as it has dealt.
    fn pass_by(&self, stop: &AtomicBool) -> Result<(), LogError> {
        let mut config = self.connection.consumer();
        config
            .set("group.id", &self.group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            // Nothing of what it is given is read.
            .set("fetch.wait.max.ms", "10000")
            .set("fetch.min.bytes", "100000000");
        let passer_by: BaseConsumer<ClientCalls> = config
            .create_with_context(ClientCalls::new(self.connection.token_file()))
            .map_err(|error| LogError::Away(refused(error).to_string()))?;
        let topics: Vec<&str> = match &self.elsewhere {
            Some(topic) => vec![topic],
            None => self.topics.clone(),
        };
        passer_by
            .subscribe(&topics)
            .map_err(|error| LogError::kafka("joining to have a group deal anew", error))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !stop.load(Ordering::Acquire) {
            let _ = passer_by.poll(POLL);
            let given = passer_by.assignment().map(|given| given.count());
            if given.unwrap_or_default() > 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Waits; `false` where it is time to end.
fn rest(span: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + span;
    while Instant::now() < until {
        if stop.load(Ordering::Acquire) {
            return false;
        }
        std::thread::sleep(POLL);
    }
    !stop.load(Ordering::Acquire)
}

/// What a member was assigned, in the consumer protocol's own form: a version, then topics with
/// their partitions, big endian (`ConsumerProtocolAssignment.json` of Apache Kafka). `None` where it
/// is something else.
fn assigned(bytes: &[u8]) -> Option<BTreeSet<Place>> {
    let mut places = BTreeSet::new();
    if bytes.is_empty() {
        return Some(places);
    }
    let mut rest = bytes;
    let _version = take::<2>(&mut rest)?;
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        let name = std::str::from_utf8(name).ok()?;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            places.insert((name.to_owned(), i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(places)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(places: &BTreeSet<Place>) -> Vec<u8> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in places {
            topics.entry(topic).or_default().push(*partition);
        }
        let mut out = 1_i16.to_be_bytes().to_vec();
        out.extend(i32::try_from(topics.len()).expect("few").to_be_bytes());
        for (topic, partitions) in topics {
            out.extend(i16::try_from(topic.len()).expect("short").to_be_bytes());
            out.extend(topic.as_bytes());
            out.extend(i32::try_from(partitions.len()).expect("few").to_be_bytes());
            out.extend(partitions.iter().flat_map(|number| number.to_be_bytes()));
        }
        // No data of the user: a length of -1.
        out.extend((-1_i32).to_be_bytes());
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            places in prop::collection::btree_set(("[a-z.]{1,20}", 0..100), 0..20)
        ) {
            prop_assert_eq!(assigned(&written(&places)), Some(places));
        }

        #[test]
        fn whatever_comes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = assigned(&bytes);
        }

        #[test]
        fn what_is_torn_is_nothing(
            places in prop::collection::btree_set(("[a-z.]{1,20}", 0..100), 1..20),
            share in 0.1..1.0
        ) {
            let whole = written(&places);
            let end = whole.len() - 4;
            let torn = ((end as f64 * share) as usize).clamp(1, end - 1);
            prop_assert_eq!(assigned(&whole[..torn]), None);
        }
    }
}
