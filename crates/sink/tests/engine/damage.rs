//! Damage made by hand: the audit sees it, and the repair mends what the log still holds.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use clickhouse::{Client, Row};
use grapevine_event::topic;
use grapevine_log::{Commit, Durability, Log, LogError, Position};
use grapevine_sink::{
    Audit, Compared, Depth, LogView, Options, Repair, SinkError, audit, migrate, repair, topics,
};
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
    // Parts enough for damage to lie in one of them; each costs the engine time.
    let options = Options {
        batch_rows_max: 500,
        ..quick()
    };
    drain(&turn.log, &turn.client(), options)
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

async fn mended(turn: &Turn, damaged: &Audit) -> Repair {
    repair(&turn.log, &turn.client(), damaged, &quick())
        .await
        .expect("repairs")
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
        let done = mended(&turn, &damaged).await;
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
        let done = mended(&turn, &damaged).await;
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
            let done = mended(&turn, &damaged).await;
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

/// The log as Kafka would be with offsets that somebody set by hand, or whose brokers go away.
struct Altered<'a> {
    log: &'a Log,
    /// Whether positions have lost what the sink wrote beside them.
    silent: bool,
    /// How often records can still be read.
    reads: AtomicU64,
}

impl<'a> Altered<'a> {
    fn silent(log: &'a Log) -> Altered<'a> {
        Altered {
            log,
            silent: true,
            reads: AtomicU64::new(u64::MAX),
        }
    }

    fn away_after(log: &'a Log, reads: u64) -> Altered<'a> {
        Altered {
            log,
            silent: false,
            reads: AtomicU64::new(reads),
        }
    }
}

impl LogView for Altered<'_> {
    fn partitions(&self, topic: &str) -> Result<Vec<i32>, SinkError> {
        LogView::partitions(self.log, topic)
    }

    fn kept(&self, topic: &str, partition: i32) -> Result<Range<u64>, SinkError> {
        LogView::kept(self.log, topic, partition)
    }

    fn position(&self, topic: &str, partition: i32) -> Result<Position, SinkError> {
        let mut position = LogView::position(self.log, topic, partition)?;
        if self.silent {
            position.metadata.clear();
        }
        Ok(position)
    }

    fn records(
        &self,
        topic: &str,
        partition: i32,
        range: Range<u64>,
        take: &mut (dyn FnMut(u64, &[u8]) + Send),
    ) -> Result<(), SinkError> {
        let left = self.reads.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(1) else {
            return Err(LogError::Away("cut off".to_owned()).into());
        };
        self.reads.store(left, Ordering::Relaxed);
        LogView::records(self.log, topic, partition, range, take)
    }

    fn is_gapless(&self) -> bool {
        !self.silent
    }
}

#[test]
fn rows_that_nobody_counted_are_held_against_the_log_and_what_it_does_not_say_is_said() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 200).await;
        let client = turn.client();
        let log = Altered::silent(&turn.log);
        let look = async || audit(&log, &client, Depth::Totals).await.expect("audits");
        let clean = look().await;
        assert!(clean.is_clean(), "{:?}", said(&clean));
        let visits = &clean.topics[0];
        let compared = Compared {
            from: 0,
            missing: 0,
            surplus: 0,
        };
        assert_eq!((visits.expected, visits.compared), (None, Some(compared)));

        harm(
            &client,
            "ALTER TABLE grapevine.visits DELETE WHERE offset IN (3, 4)",
        )
        .await;
        // At the offset of the record that gave no row: every offset has one then.
        harm(&client, "INSERT INTO grapevine.shares (topic, partition, offset, time) VALUES ('shares', 0, 200, '2024-03-01 00:00:00')").await;
        // Of edges the log holds nothing any more.
        turn.log.trim(topic::EDGES, 200).expect("trims");
        let damaged = look().await;
        let doubt = "topic edges, partition 0: whether every row below offset 200 is there cannot be told, because the sink's position has no count of them, as one that was set by hand, and the log does not say it either; start the sink again: it counts anew";
        assert_eq!(
            said(&damaged),
            [
                "2 acknowledged records of topic visits, partition 0, have no row",
                "1 rows of topic shares, partition 0, are at offsets that gave none",
                doubt,
            ]
        );
        let done = repair(&log, &client, &damaged, &quick()).await;
        let done = done.expect("repairs");
        assert_eq!(done.inserted, 2, "{done:?}");
        assert_eq!(done.left.len(), 2, "{done:?}");
        assert_eq!(done.left[1], doubt);
        assert_eq!(said(&look().await), said(&damaged)[1..]);
    });
}

#[test]
fn a_repair_holds_a_batch_at_most_and_goes_on_where_it_was_cut_off() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 1_500).await;
        let client = turn.client();
        let before = figures(&client).await;
        harm(
            &client,
            "ALTER TABLE grapevine.visits DELETE WHERE offset >= 100 AND offset < 1400",
        )
        .await;
        let damaged = looked_at(&turn, Depth::Totals).await;
        let rows = async || {
            let count = "SELECT count() FROM grapevine.visits";
            client.query(count).fetch_one::<u64>().await.expect("asks")
        };
        assert_eq!(rows().await, 200);
        // One read to compare, and one for each batch: what was read before is in ClickHouse.
        let batch = u64::try_from(quick().batch_rows_max).expect("a few");
        for (reads, batches) in [(0, 0), (1, 0), (2, 1), (4, 3)] {
            let log = Altered::away_after(&turn.log, reads);
            let there = rows().await;
            let cut_off = repair(&log, &client, &damaged, &quick()).await;
            let error = cut_off.expect_err("the log goes away");
            assert!(
                matches!(error, SinkError::Log(LogError::Away(_))),
                "{error}"
            );
            assert_eq!(rows().await - there, batches * batch, "{reads} reads");
        }
        let damaged = looked_at(&turn, Depth::Totals).await;
        assert_eq!(
            said(&damaged),
            ["500 acknowledged records of topic visits, partition 0, have no row"]
        );
        let done = mended(&turn, &damaged).await;
        assert_eq!(done.inserted, 500, "{done:?}");
        assert!(done.left.is_empty(), "{done:?}");
        let mended = looked_at(&turn, Depth::Groups).await;
        assert!(mended.is_clean(), "{:?}", said(&mended));
        assert_eq!(figures(&client).await, before);
    });
}
