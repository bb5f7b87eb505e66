//! Letters of a data directory: found in ClickHouse, sent back to the log.

use std::collections::BTreeMap;

use grapevine_event::topic;
use grapevine_log::{Commit, Durability};
use grapevine_sink::{Filter, Replay, add_table, migrate};

use crate::server::{Turn, block_on, drain, quick};

/// More than one commit takes.
const LETTERS: u64 = 1_500;

#[test]
fn letters_of_the_table_go_back_once_whole_and_in_order() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        let records: Vec<Vec<u8>> = (0..LETTERS)
            .map(|number| format!("no visit {number}").into_bytes())
            .collect();
        let mut commit = Commit::default();
        for record in &records {
            commit.append(topic::VISITS, record);
        }
        turn.log
            .commit(&commit, Durability::Durable)
            .expect("commits");
        drain(&turn.log, &client, quick()).await.expect("drains");

        // Each goes back once, and is a letter again from its new place.
        for sent_before in [0, LETTERS] {
            let mut replay = Replay::new(Filter::default());
            add_table(&mut replay, &client).await.expect("reads");
            let mut sizes = Vec::new();
            let commit = |commit: &Commit| {
                sizes.push(commit.appended_records(topic::VISITS));
                turn.log.commit(commit, Durability::Durable).map(drop)
            };
            let found = replay.send_from_table(&client, commit).await;
            let found = found.expect("sends");
            let sent = BTreeMap::from([(topic::VISITS, LETTERS)]);
            assert_eq!(found.sendable, sent, "{found:?}");
            assert_eq!(found.sent_before, sent_before);
            assert!(found.unsendable.is_empty(), "{found:?}");
            assert_eq!(sizes, [1_000, 500]);
            drain(&turn.log, &client, quick()).await.expect("drains");
        }
        let mut again = Vec::new();
        let mut from = LETTERS;
        while again.len() < records.len() {
            let batch = turn.log.read(topic::VISITS, from, 1 << 20).expect("reads");
            assert!(!batch.is_empty(), "{} came back", again.len());
            again.extend(batch.iter().map(|(_, record)| record.to_vec()));
            from = batch.next_offset();
        }
        again.truncate(records.len());
        assert_eq!(again, records);
    });
}
