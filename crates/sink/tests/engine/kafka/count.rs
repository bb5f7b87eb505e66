//! A group whose offset was set by hand: the number of rows below it went with the metadata.

use grapevine_log::Position;
use grapevine_sink::{Compared, Problem, TopicAudit};
use tokio::task::block_in_place;

use super::*;

/// The one replica of the group.
const NAME: &str = "one";

/// Sets the group's offsets in a topic to where they are, as Kafka's own tools do: without a word.
fn set_by_hand(kafka: &Kafka, topic: &'static str) {
    // In the place of the sink that stopped: a static member, whose session goes on.
    let membership = membership(GROUP, NAME, vec![topic]);
    let group = Group::join(&kafka.connection, &membership, kafka.partitions.clone());
    let group = group.expect("joins");
    let deadline = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    while held.len() < usize::try_from(PARTITIONS).expect("a few") {
        assert!(Instant::now() < deadline, "the group gives no partition");
        let given = group.next_given(Duration::from_secs(1));
        let Some(partition) = given.expect("a partition") else {
            continue;
        };
        // The member's partitions of before may come first.
        if partition.topic() != topic {
            continue;
        }
        let Position { offset, .. } = partition.position().expect("a position");
        let silent = Position {
            offset,
            metadata: Vec::new(),
        };
        partition
            .commit(&mut Commit::default(), offset, silent, Durability::Durable)
            .expect("commits");
        held.push(partition);
    }
    drop(held);
    group.leave();
}

/// What was found of the visits, where there are any.
fn visits(audit: &Audit) -> Vec<&TopicAudit> {
    let topics = audit.topics.iter();
    topics
        .filter(|found| found.topic == topic::VISITS && found.committed > 0)
        .collect()
}

fn missing(audit: &Audit) -> u64 {
    let records = audit.problems.iter().map(|problem| match problem {
        Problem::Missing {
            topic: topic::VISITS,
            records,
            ..
        } => *records,
        other => panic!("{other}"),
    });
    records.sum()
}

#[test]
fn an_offset_that_was_set_by_hand_is_judged_by_the_log_and_counted_anew() {
    let turn = Turn::take();
    let kafka = Kafka::start();
    block_on(async {
        ready(&turn, &kafka).await;
        let mut stage = block_in_place(|| kafka.stage());
        for _ in 0..5 {
            stage.append(60);
        }
        let records = block_in_place(|| stage.end());
        let sink = Sink::start(kafka.replica(NAME), turn.client());
        all_there(&turn, &kafka, records).await;
        sink.stop().await;

        block_in_place(|| set_by_hand(&kafka, topic::VISITS));
        let silent = looked_at(&turn, &kafka).await;
        assert!(silent.is_clean(), "{:?}", silent.problems);
        assert!(!visits(&silent).is_empty());
        for found in visits(&silent) {
            let compared = Compared {
                from: 0,
                missing: 0,
                surplus: 0,
            };
            assert_eq!(
                (found.expected, found.compared),
                (None, Some(compared)),
                "{found:?}"
            );
        }
        let harm = "ALTER TABLE grapevine.visits DELETE WHERE offset % 50 = 3";
        let harmed = turn
            .client()
            .query(harm)
            .with_setting("mutations_sync", "2")
            .execute()
            .await;
        harmed.expect(harm);
        let damaged = looked_at(&turn, &kafka).await;
        let lost = missing(&damaged);
        assert!(lost > 0, "{:?}", damaged.topics);

        // The sink counts what the log holds, not what is left of it in ClickHouse, and though
        // nothing comes.
        let sink = Sink::start(kafka.replica(NAME), turn.client());
        let deadline = Instant::now() + PATIENCE;
        let counted = loop {
            let counted = looked_at(&turn, &kafka).await;
            if (visits(&counted).iter()).all(|found| found.expected.is_some()) {
                break counted;
            }
            assert!(Instant::now() < deadline, "{:?}", counted.topics);
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert_eq!(missing(&counted), lost);
        let expected = visits(&counted)
            .iter()
            .filter_map(|found| found.expected)
            .sum::<u64>();
        assert_eq!(expected, records);
        let done = repair(&kafka.view(), &turn.client(), &counted, &options()).await;
        assert_eq!(done.expect("repairs").inserted, lost);
        all_there(&turn, &kafka, records).await;
        sink.stop().await;
    });
}
