//! What the sink refuses to start with, and what it waits for.

use std::sync::Arc;
use std::time::Duration;

use grapevine_event::topic;
use grapevine_log::{Commit, Durability, Log, Position};
use grapevine_sink::{CONSUMER, Depth, SinkError, audit, lag, migrate, positions};
use tokio::sync::watch;

use crate::generate::Generator;
use crate::server::{Turn, block_on, client_of, drain, quick};

fn fill(log: &Log, seed: u64, records: usize) {
    let mut generator = Generator::new(seed);
    let mut commit = Commit::default();
    for _ in 0..records {
        generator.append(topic::VISITS, &mut commit, 20);
    }
    log.commit(&commit, Durability::Durable).expect("commits");
}

async fn refused(turn: &Turn, log: &Arc<Log>) -> SinkError {
    drain(log, &turn.client(), quick())
        .await
        .expect_err("refuses")
}

#[test]
fn a_database_that_cannot_keep_the_promise_is_refused_with_the_remedy() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        fill(&turn.log, 1, 10);
        let error = refused(&turn, &turn.log).await;
        assert!(matches!(error, SinkError::MissingTable { .. }), "{error}");

        migrate(&client).await.expect("migrates");
        let alter = async |sql: &str| client.query(sql).execute().await.expect("alters");
        alter(
            "ALTER TABLE grapevine.visits MODIFY SETTING non_replicated_deduplication_window = 0",
        )
        .await;
        let error = refused(&turn, &turn.log).await;
        assert!(
            matches!(
                error,
                SinkError::NoWindow {
                    table: "visits",
                    found: 0,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("MODIFY SETTING"), "{error}");
        alter("ALTER TABLE grapevine.visits MODIFY SETTING non_replicated_deduplication_window = 1000").await;

        alter("ALTER TABLE grapevine.visits DROP COLUMN generation").await;
        let error = refused(&turn, &turn.log).await;
        assert!(
            matches!(&error, SinkError::MissingColumns { columns, .. } if columns == "generation"),
            "{error}"
        );
        alter("ALTER TABLE grapevine.visits ADD COLUMN generation Nullable(Int32)").await;
        drain(&turn.log, &client, quick()).await.expect("drains");
        assert!(
            audit(&turn.log, &client, Depth::Groups)
                .await
                .expect("audits")
                .is_clean()
        );
    });
}

#[test]
fn what_clickhouse_will_never_take_stops_the_sink_and_goes_in_once_it_is_mended() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        let alter = async |sql: &str| {
            let sql = format!("ALTER TABLE grapevine.visits {sql}");
            client.query(&sql).execute().await.expect("alters");
        };
        let mends = [(
            "ADD CONSTRAINT few CHECK offset < 1",
            "DROP CONSTRAINT few",
            "drop the constraint",
        )];
        for (seed, (harm, mend, fix)) in (1..).zip(mends) {
            // On a table without rows, or the change itself would fail.
            client
                .query("TRUNCATE TABLE grapevine.visits")
                .execute()
                .await
                .expect("empties");
            let log = turn.log_of(seed);
            alter(harm).await;
            fill(&log, seed, 40);
            let drained = drain(&log, &client, quick()).await;
            let error = drained.expect_err(harm);
            assert!(
                matches!(error, SinkError::Refused { .. }),
                "{harm}: {error}"
            );
            let said = error.to_string();
            assert!(
                said.contains(fix) && said.contains("nothing is lost"),
                "{said}"
            );
            assert_eq!(lag(&log).expect("log"), 40, "{harm}");
            alter(mend).await;
            drain(&log, &client, quick()).await.expect("drains");
            let audit = audit(&log, &client, Depth::Groups).await.expect("audits");
            assert!(audit.is_clean(), "{harm}: {:?}", audit.problems);
            assert_eq!(audit.topics[0].rows, 40, "{harm}");
        }
    });
}

/// The engine would force the values into the type without an error: a shorter text, another word.
#[test]
fn a_column_of_another_type_is_refused() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        fill(&turn.log, 3, 40);
        let alter = async |column: &str, of_type: &str| {
            let sql = format!("ALTER TABLE grapevine.visits MODIFY COLUMN {column} {of_type}");
            client.query(&sql).execute().await.expect("alters");
        };
        for (name, of_type, before) in [
            ("browser", "UInt8", "LowCardinality(String)"),
            ("title", "Nullable(FixedString(1))", "Nullable(String)"),
            ("generation", "Nullable(Int8)", "Nullable(Int32)"),
        ] {
            alter(name, of_type).await;
            let error = refused(&turn, &turn.log).await;
            assert!(
                matches!(&error, SinkError::ChangedColumn { column, found, .. } if *column == name && found == of_type),
                "{error}"
            );
            assert!(error.to_string().contains("undo the change"), "{error}");
            alter(name, before).await;
        }
        // How values are kept is the owner's business.
        alter("title", "LowCardinality(Nullable(String))").await;
        drain(&turn.log, &client, quick()).await.expect("drains");
        assert!(
            audit(&turn.log, &client, Depth::Groups)
                .await
                .expect("audits")
                .is_clean()
        );
    });
}

#[test]
fn a_log_that_does_not_belong_to_the_database_is_refused() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        fill(&turn.log, 1, 100);
        drain(&turn.log, &client, quick()).await.expect("drains");
        let other = turn.log_of(1);
        fill(&other, 2, 50);
        let error = refused(&turn, &other).await;
        assert!(
            matches!(
                error,
                SinkError::Foreign {
                    found: 99,
                    planned: 0,
                    ..
                }
            ),
            "{error}"
        );
    });
}

#[test]
fn a_plan_of_another_version_is_refused() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        fill(&turn.log, 1, 100);
        for (metadata, from) in [
            ("plan 1 end=50 encoder=999 rows=202402:50", 0),
            ("plan 2 something else", 0),
        ] {
            let mut commit = Commit::default();
            let position = Position {
                offset: 0,
                metadata: metadata.as_bytes().to_vec(),
            };
            commit.advance(CONSUMER, topic::VISITS, from, position);
            turn.log
                .commit(&commit, Durability::Durable)
                .expect("commits");
            let error = refused(&turn, &turn.log).await;
            assert!(matches!(error, SinkError::UnknownPlan { .. }), "{error}");
        }
        let mut commit = Commit::default();
        let position = Position {
            offset: 0,
            metadata: b"plan 1 end=50 encoder=1 rows=202402:49".to_vec(),
        };
        commit.advance(CONSUMER, topic::VISITS, 0, position);
        turn.log
            .commit(&commit, Durability::Durable)
            .expect("commits");
        let error = refused(&turn, &turn.log).await;
        assert!(matches!(error, SinkError::ChangedPlan { .. }), "{error}");
    });
}

#[test]
fn a_token_without_rows_does_not_swallow_them() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        fill(&turn.log, 1, 100);
        let months = [("202402", "2024-02-01"), ("202403", "2024-03-01")];
        // Which rows belong to which month, by a database that is then thrown away.
        drain(&turn.log, &client, quick()).await.expect("drains");
        let rows: Vec<(u32, u64)> = client
            .query("SELECT toYYYYMM(time) AS month, count() FROM grapevine.visits GROUP BY month ORDER BY month")
            .fetch_all()
            .await
            .expect("asks");
        let rows: Vec<String> = rows
            .iter()
            .map(|(month, rows)| format!("{month}:{rows}"))
            .collect();
        client
            .query("DROP DATABASE grapevine")
            .execute()
            .await
            .expect("drops");
        migrate(&client).await.expect("migrates");

        // As after a kill between token and part: the token is known, the rows are not there.
        let poison = async || {
            for (month, day) in months {
                client
                    .query("INSERT INTO grapevine.visits (topic, partition, offset, time) VALUES ('visits', 0, 7, ?)")
                    .bind(day)
                    .with_setting("async_insert", "0")
                    .with_setting("insert_deduplicate", "1")
                    .with_setting("insert_deduplication_token", format!("visits/0/0-100/1/{month}"))
                    .execute()
                    .await
                    .expect("inserts");
            }
            let count = "SELECT count() FROM grapevine.visits";
            client.query(count).fetch_one::<u64>().await.expect("asks")
        };
        assert_eq!(poison().await, 2);
        client
            .query("ALTER TABLE grapevine.visits DELETE WHERE 1 SETTINGS mutations_sync = 2")
            .execute()
            .await
            .expect("deletes");
        assert_eq!(
            poison().await,
            0,
            "the tokens swallow what comes under them"
        );
        let log = turn.log_of(1);
        fill(&log, 1, 100);
        let mut commit = Commit::default();
        let metadata = format!("plan 1 end=100 encoder=1 rows={}", rows.join(",")).into_bytes();
        commit.advance(
            CONSUMER,
            topic::VISITS,
            0,
            Position {
                offset: 0,
                metadata,
            },
        );
        log.commit(&commit, Durability::Durable).expect("commits");
        drain(&log, &client, quick()).await.expect("drains");
        let audit = audit(&log, &client, Depth::Groups).await.expect("audits");
        assert!(audit.is_clean(), "{:?}", audit.problems);
        assert_eq!(audit.topics[0].rows, 100);
    });
}

#[test]
fn a_batch_that_is_there_in_part_stops_loudly() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        fill(&turn.log, 1, 100);
        drain(&turn.log, &client, quick()).await.expect("drains");
        // As after a kill between insert and acknowledgement, and somebody deleting by hand.
        let months: Vec<(u32, u64)> = client
            .query("SELECT toYYYYMM(time) AS month, count() FROM grapevine.visits GROUP BY month ORDER BY month")
            .fetch_all()
            .await
            .expect("asks");
        let rows: Vec<String> = months
            .iter()
            .map(|(month, rows)| format!("{month}:{rows}"))
            .collect();
        let log = turn.log_of(1);
        fill(&log, 1, 100);
        let mut commit = Commit::default();
        let metadata = format!("plan 1 end=100 encoder=1 rows={}", rows.join(",")).into_bytes();
        commit.advance(
            CONSUMER,
            topic::VISITS,
            0,
            Position {
                offset: 0,
                metadata,
            },
        );
        log.commit(&commit, Durability::Durable).expect("commits");
        client
            .query(
                "ALTER TABLE grapevine.visits DELETE WHERE offset = 50 SETTINGS mutations_sync = 2",
            )
            .execute()
            .await
            .expect("deletes");
        let error = refused(&turn, &log).await;
        assert!(
            matches!(
                error,
                SinkError::Partial {
                    topic: "visits",
                    ..
                }
            ),
            "{error}"
        );
    });
}

#[test]
fn clickhouse_may_come_later_and_stopping_needs_no_answer() {
    let turn = Turn::take();
    block_on(async {
        fill(&turn.log, 1, 500);
        // A port that nobody listens on.
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .expect("port")
            .local_addr()
            .expect("address");
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(grapevine_sink::run(
            Arc::clone(&turn.log),
            client_of(closed),
            quick(),
            stopped,
        ));
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(!running.is_finished(), "waits");
        stop.send_replace(true);
        let stopped = tokio::time::timeout(Duration::from_secs(5), running)
            .await
            .expect("stops");
        stopped.expect("no panic").expect("no error");
        assert_eq!(lag(&turn.log).expect("log"), 500);

        migrate(&turn.client()).await.expect("migrates");
        drain(&turn.log, &turn.client(), quick())
            .await
            .expect("drains");
        assert_eq!(positions(&turn.log).expect("log")[0].committed, 500);
        assert!(
            audit(&turn.log, &turn.client(), Depth::Groups)
                .await
                .expect("audits")
                .is_clean()
        );
    });
}
