//! Damage made by hand: the audit sees it, and the repair mends what the log still holds.

use std::fs;
use std::path::{Path, PathBuf};

use clickhouse::{Client, Row};
use grapevine_event::topic;
use grapevine_log::{Commit, Durability};
use grapevine_sink::{Audit, Depth, audit, migrate, repair, topics};
use serde::Deserialize;

use crate::generate::Generator;
use crate::server::{Turn, block_on, drain, quick};

async fn filled(turn: &Turn, records: u64) {
    migrate(&turn.client()).await.expect("migrates");
    let mut generator = Generator::new(5);
    let mut commit = Commit::default();
    for topic in topics() {
        for _ in 0..records {
            generator.append(topic, &mut commit, 40);
        }
    }
    // A record that gives no row is not missed.
    commit.append(topic::SHARES, b"no record");
    turn.log
        .commit(&commit, Durability::Durable)
        .expect("commits");
    drain(&turn.log, &turn.client(), quick())
        .await
        .expect("drains");
}

async fn harm(client: &Client, sql: &str) {
    let query = client.query(sql).with_setting("mutations_sync", "2");
    query.execute().await.expect(sql);
}

async fn looked_at(turn: &Turn, depth: Depth) -> Audit {
    audit(&turn.log, &turn.client(), depth)
        .await
        .expect("audits")
}

fn said(audit: &Audit) -> Vec<String> {
    audit.problems.iter().map(ToString::to_string).collect()
}

/// All that the views and their projections say, to be compared with what it was.
async fn figures(client: &Client) -> Vec<String> {
    let mut figures = Vec::new();
    for sql in [
        "SELECT toString((count(), sum(cityHash64(*)))) FROM grapevine.visits",
        "SELECT toString((count(), sum(cityHash64(*)))) FROM grapevine.shares",
        "SELECT toString((count(), sum(cityHash64(*)))) FROM grapevine.edges",
        "SELECT toString((sum(visits), round(sum(dark), 3))) FROM grapevine.visits_by_hour",
    ] {
        let figure = client.query(sql).fetch_one::<String>().await;
        figures.push(figure.expect(sql));
    }
    figures
}

#[test]
fn what_is_missing_and_double_is_seen_and_mended() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 1_500).await;
        let client = turn.client();
        for depth in [Depth::Totals, Depth::Groups] {
            let clean = looked_at(&turn, depth).await;
            assert!(clean.is_clean(), "{:?}", clean.problems);
            let visits = &clean.topics[0];
            assert_eq!((visits.rows, visits.expected), (1_500, Some(1_500)));
        }
        let before = figures(&client).await;

        harm(
            &client,
            "INSERT INTO grapevine.edges SELECT * FROM grapevine.edges WHERE offset IN (3, 4)",
        )
        .await;
        harm(
            &client,
            "INSERT INTO grapevine.edges SELECT * FROM grapevine.edges WHERE offset = 4",
        )
        .await;
        harm(
            &client,
            "ALTER TABLE grapevine.shares DELETE WHERE offset IN (17, 18, 900)",
        )
        .await;
        // As many double as missing: the sum is right, and nothing else.
        harm(
            &client,
            "ALTER TABLE grapevine.visits DELETE WHERE offset = 40",
        )
        .await;
        harm(
            &client,
            "INSERT INTO grapevine.visits SELECT * FROM grapevine.visits WHERE offset = 41",
        )
        .await;

        let damaged = looked_at(&turn, Depth::Totals).await;
        assert_eq!(
            said(&damaged),
            [
                "1 acknowledged records of topic visits, partition 0, have no row",
                "1 rows of topic visits, partition 0, are there more than once",
                "3 acknowledged records of topic shares, partition 0, have no row",
                "4 rows of topic edges, partition 0, are there more than once",
            ]
        );
        let done = repair(&turn.log, &client, &damaged).await.expect("repairs");
        assert_eq!((done.inserted, done.removed), (4, 5), "{done:?}");
        assert!(done.left.is_empty(), "{done:?}");
        let mended = looked_at(&turn, Depth::Groups).await;
        assert!(mended.is_clean(), "{:?}", said(&mended));
        assert_eq!(figures(&client).await, before);
    });
}

#[test]
fn what_only_its_owner_can_judge_is_left_and_said() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 200).await;
        let client = turn.client();
        harm(&client, "INSERT INTO grapevine.events (topic, partition, offset, time) VALUES ('events', 0, 200, '2024-03-01 00:00:00')").await;
        harm(&client, "INSERT INTO grapevine.events (topic, partition, offset, time) VALUES ('events', 7, 3, '2024-03-01 00:00:00')").await;
        // At the offset of the record that gave no row.
        harm(&client, "INSERT INTO grapevine.shares (topic, partition, offset, time) VALUES ('shares', 0, 200, '2024-03-01 00:00:00')").await;
        // No longer on the log.
        turn.log.trim(topic::EDGES, 200).expect("trims");
        harm(
            &client,
            "ALTER TABLE grapevine.edges DELETE WHERE offset = 5",
        )
        .await;

        let damaged = looked_at(&turn, Depth::Totals).await;
        assert_eq!(
            said(&damaged),
            [
                "topic events, partition 0, has rows up to offset 200 that were never planned",
                "topic events, partition 7, has rows up to offset 3 that were never planned",
                "1 rows of topic shares, partition 0, are at offsets that gave none",
                "1 acknowledged records of topic edges, partition 0, have no row",
            ]
        );
        let done = repair(&turn.log, &client, &damaged).await.expect("repairs");
        assert_eq!((done.inserted, done.removed), (0, 0));
        assert_eq!(done.left.len(), 4, "{:?}", done.left);
        assert!(
            done.left[3].contains("no longer on the log"),
            "{:?}",
            done.left
        );
        assert_eq!(said(&looked_at(&turn, Depth::Totals).await), said(&damaged));
    });
}

/// Every projection that is audited, by its table.
const PROJECTIONS: [(&str, &str); 12] = [
    ("visits", "by_hour"),
    ("visits", "by_content"),
    ("visits", "presence"),
    ("events", "by_hour"),
    ("events", "presence"),
    ("shares", "by_hour"),
    ("shares", "presence"),
    ("edges", "by_transition"),
    ("edges", "presence"),
    ("chain_models", "presence"),
    ("calibrations", "presence"),
    ("dead_letters", "presence"),
];

#[derive(Row, Deserialize)]
struct Part {
    partition: String,
    name: String,
    table_path: String,
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).expect("was there");
    fs::create_dir(to).expect("makes");
    for entry in fs::read_dir(from).expect("a projection") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
    }
}

/// Puts a projection of the part with the fewest rows in place of that of the part with the most, as a
/// disk that mixed up its blocks might.
async fn mix_up(client: &Client, table: &str, projection: &str) {
    let parts = client
        .query(
            "SELECT partition_id AS partition, name, \
             assumeNotNull((SELECT data_paths[1] FROM system.tables WHERE database = 'grapevine' AND name = ?)) AS table_path \
             FROM system.parts WHERE database = 'grapevine' AND table = ? AND active ORDER BY rows",
        )
        .bind(table)
        .bind(table)
        .fetch_all::<Part>()
        .await
        .expect("parts");
    let partitions: std::collections::BTreeSet<&str> =
        parts.iter().map(|part| part.partition.as_str()).collect();
    let (small, large) = (&parts[0], &parts[parts.len() - 1]);
    assert_ne!(small.name, large.name, "{table} is in several parts");
    for partition in &partitions {
        harm(
            client,
            &format!("ALTER TABLE grapevine.{table} DETACH PARTITION ID '{partition}'"),
        )
        .await;
    }
    let of = |part: &Part| -> PathBuf {
        (Path::new(&part.table_path)
            .join("detached")
            .join(&part.name))
        .join(format!("{projection}.proj"))
    };
    copy(&of(small), &of(large));
    for partition in &partitions {
        harm(
            client,
            &format!("ALTER TABLE grapevine.{table} ATTACH PARTITION ID '{partition}'"),
        )
        .await;
    }
}

#[test]
fn a_projection_that_is_not_that_of_its_rows_is_seen_and_computed_anew() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 1_500).await;
        let client = turn.client();
        let before = figures(&client).await;
        for (number, (table, projection)) in PROJECTIONS.into_iter().enumerate() {
            // Where two projections share their first keys, totals must tell them apart.
            let depth = match number % 4 {
                3 => Depth::Groups,
                _ => Depth::Totals,
            };
            mix_up(&client, table, projection).await;
            let damaged = looked_at(&turn, depth).await;
            let [problem] = &said(&damaged)[..] else {
                panic!("{table}.{projection}, {depth:?}: {:?}", said(&damaged));
            };
            let expected =
                format!("groups of projection {projection} of table {table} differ from its rows");
            assert!(problem.ends_with(&expected), "{problem}: not {expected}");
            let done = repair(&turn.log, &client, &damaged).await.expect("repairs");
            assert_eq!(done.rebuilt, [format!("{table}.{projection}")]);
            assert_eq!((done.inserted, done.removed), (0, 0), "{done:?}");
            let mended = looked_at(&turn, depth).await;
            assert!(mended.is_clean(), "{:?}", said(&mended));
        }
        let mended = looked_at(&turn, Depth::Groups).await;
        assert!(mended.is_clean(), "{:?}", said(&mended));
        assert_eq!(figures(&client).await, before);
    });
}

#[test]
fn empty_tables_agree_with_themselves() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        for depth in [Depth::Totals, Depth::Groups] {
            let clean = looked_at(&turn, depth).await;
            assert!(clean.is_clean(), "{:?}", said(&clean));
        }
    });
}
