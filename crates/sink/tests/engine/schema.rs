//! The database: made step by step, documented by the contracts, summed up by its projections.

use grapevine_event::RecordType;
use grapevine_log::{Commit, Durability};
use grapevine_sink::{SinkError, migrate, set_group_size_min};

use crate::generate::Generator;
use crate::server::{Turn, block_on, drain, quick};

const VIEWS: [&str; 28] = [
    "app_transitions",
    "bi_app_transitions",
    "bi_dark_by_app",
    "bi_share_chains",
    "bi_spreads",
    "bi_surges",
    "bi_visits_by_content",
    "bi_visits_by_hour",
    "calibration",
    "calibration_curve",
    "cascades",
    "chain_calibration",
    "conversions",
    "dark_by_app",
    "events_by_hour",
    "k_anonymity",
    "likely_edges",
    "share_chains",
    "shares_by_hour",
    "spread_by_site",
    "spreads",
    "surges",
    "visit_children",
    "visit_odds",
    "visits_by_content",
    "visits_by_hour",
    "visits_people",
    // Not a view, but as stable.
    "visits",
];

async fn objects(turn: &Turn) -> Vec<(String, String)> {
    turn.client()
        .query("SELECT name, create_table_query FROM system.tables WHERE database = 'grapevine' ORDER BY name")
        .fetch_all()
        .await
        .expect("tables")
}

#[test]
fn migrating_twice_changes_nothing_and_a_kill_between_statements_is_mended() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        let whole = objects(&turn).await;
        for name in VIEWS {
            assert!(
                whole.iter().any(|(there, _)| there == name),
                "{name} is there"
            );
        }
        migrate(&client).await.expect("migrates again");
        assert_eq!(objects(&turn).await, whole);

        // What a kill leaves: everything up to some point, the step not recorded. Objects are
        // dropped last first.
        let mut names: Vec<&str> = whole
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| *name != "migrations")
            .collect();
        while let Some(name) = names.pop() {
            let drop = format!("DROP TABLE grapevine.{name}");
            client.query(&drop).execute().await.expect("drops");
            client
                .query("TRUNCATE TABLE grapevine.migrations")
                .execute()
                .await
                .expect("forgets");
            if names.len().is_multiple_of(8) {
                migrate(&client).await.expect("goes on");
                assert_eq!(
                    objects(&turn).await,
                    whole,
                    "after losing {name} and all that follow"
                );
                for name in whole
                    .iter()
                    .map(|(name, _)| name)
                    .filter(|there| !names.contains(&there.as_str()) && *there != "migrations")
                {
                    let drop = format!("DROP TABLE grapevine.{name}");
                    client.query(&drop).execute().await.expect("drops");
                }
            }
        }
    });
}

#[test]
fn a_database_of_a_newer_version_or_another_build_is_refused() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        client
            .query("INSERT INTO grapevine.migrations (version, name, checksum) VALUES (9999, 'later', 1)")
            .execute()
            .await
            .expect("inserts");
        let refused = migrate(&client).await.expect_err("is newer");
        assert!(
            matches!(refused, SinkError::NewerDatabase { found: 9999, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("use the newer grapevine"));
        client
            .query("TRUNCATE TABLE grapevine.migrations")
            .execute()
            .await
            .expect("forgets");
        client
            .query(
                "INSERT INTO grapevine.migrations (version, name, checksum) VALUES (1, 'other', 1)",
            )
            .execute()
            .await
            .expect("inserts");
        let refused = migrate(&client).await.expect_err("is another's");
        assert!(
            matches!(refused, SinkError::ChangedMigration { version: 1 }),
            "{refused}"
        );
    });
}

#[test]
fn columns_are_those_of_the_contracts_with_their_words() {
    let tables = [
        ("visits", RecordType::Visit),
        ("events", RecordType::VisitEvent),
        ("shares", RecordType::Share),
        ("edges", RecordType::Edge),
        ("cascade_states", RecordType::Cascade),
        ("spread_states", RecordType::Spread),
        ("chain_models", RecordType::ChainModel),
        ("surge_states", RecordType::Surge),
        ("calibrations", RecordType::Calibration),
        ("dead_letters", RecordType::DeadLetter),
    ];
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        for (table, record) in tables {
            let columns: Vec<(String, String)> = client
                .query("SELECT name, comment FROM system.columns WHERE database = 'grapevine' AND table = ? ORDER BY position")
                .bind(table)
                .fetch_all()
                .await
                .expect("columns");
            let schema: serde_json::Value = serde_json::from_str(record.text().json).expect("JSON");
            let fields = schema["fields"].as_array().expect("fields");
            let mut expected: Vec<(String, String)> = fields
                .iter()
                .map(|field| {
                    let name = field["name"].as_str().expect("name");
                    let name = match (table, name) {
                        ("dead_letters", "partition" | "position") => format!("source_{name}"),
                        _ => name.to_owned(),
                    };
                    (name, field["doc"].as_str().expect("doc").to_owned())
                })
                .collect();
            if let Some(at) = expected.iter().position(|(name, _)| name == "evidence") {
                // One field of each fact has a column of its own.
                let facts = &fields[at]["type"]["items"]["fields"];
                let mut facts = facts.as_array().expect("fields").iter();
                let fact = facts.find(|field| field["name"] == "search_log_odds");
                let words = fact.and_then(|fact| fact["doc"].as_str()).expect("doc");
                let words = words
                    .replacen('W', "w", 1)
                    .replace("null in records", "null in rows");
                let words =
                    format!("search_log_odds of each fact of evidence, in its order: {words}");
                expected.insert(at + 1, ("evidence_search".to_owned(), words));
            }
            assert_eq!(columns[..expected.len()], expected, "{table}");
            let source: Vec<&str> = columns[expected.len()..]
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(source, ["topic", "partition", "offset"], "{table}");
        }
    });
}

/// Tables and projections that a query reads, by the engine's own plan.
async fn reads(turn: &Turn, query: &str) -> Vec<String> {
    let lines: Vec<String> = turn
        .client()
        .query(&format!("EXPLAIN {query}"))
        .fetch_all()
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    lines
        .iter()
        .filter_map(|line| {
            line.split_once("ReadFromMergeTree (")?
                .1
                .strip_suffix(')')
                .map(str::to_owned)
        })
        .collect()
}

async fn filled(turn: &Turn, records: u64, days: i64) {
    migrate(&turn.client()).await.expect("migrates");
    let mut generator = Generator::new(7);
    let mut commit = Commit::default();
    for topic in grapevine_sink::topics() {
        for _ in 0..records {
            generator.append(topic, &mut commit, days);
        }
    }
    turn.log
        .commit(&commit, Durability::Durable)
        .expect("commits");
    drain(&turn.log, &turn.client(), quick())
        .await
        .expect("drains");
}

#[test]
fn aggregates_are_read_from_projections_through_the_views() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 4_000, 3).await;
        let by_projection = [
            (
                "by_hour",
                "SELECT channel, sum(visits), sum(dark) FROM grapevine.visits_by_hour WHERE site = 'example.org' AND hour >= '2024-02-21 00:00:00' GROUP BY channel",
            ),
            ("by_hour", "SELECT * FROM grapevine.visits_by_hour"),
            (
                "by_hour",
                "SELECT channel, sum(visits_opted_out) FROM grapevine.visits_by_hour GROUP BY channel",
            ),
            (
                "by_hour",
                "SELECT channel, sum(dark_variance) FROM grapevine.visits_by_hour GROUP BY channel",
            ),
            (
                "by_transition",
                "SELECT parent_app, sum(edges_of_unknown_parent) FROM grapevine.app_transitions GROUP BY parent_app",
            ),
            (
                "by_hour",
                "SELECT * FROM grapevine.dark_by_app WHERE day = '2024-02-22'",
            ),
            ("by_hour", "SELECT * FROM grapevine.bi_visits_by_hour"),
            ("by_hour", "SELECT * FROM grapevine.bi_dark_by_app"),
            ("by_hour", "SELECT * FROM grapevine.events_by_hour"),
            (
                "by_hour",
                "SELECT sum(shares) FROM grapevine.shares_by_hour",
            ),
            ("by_hour", "SELECT count() FROM grapevine.visits_people"),
            (
                "by_content",
                "SELECT content, sum(visits) AS visits FROM grapevine.visits_by_content WHERE site = 'example.org' GROUP BY content ORDER BY visits DESC LIMIT 10",
            ),
            ("by_content", "SELECT * FROM grapevine.bi_visits_by_content"),
            ("by_transition", "SELECT * FROM grapevine.app_transitions"),
            (
                "by_transition",
                "SELECT * FROM grapevine.bi_app_transitions",
            ),
            (
                "presence",
                "SELECT toYYYYMM(time) AS month, max(offset) AS offset FROM grapevine.visits WHERE topic = 'visits' AND partition = 0 GROUP BY topic, partition, month",
            ),
        ];
        for (projection, query) in by_projection {
            assert_eq!(reads(&turn, query).await, [projection], "{query}");
        }
        // The control: without projections the same question goes to the rows.
        let without =
            "SELECT * FROM grapevine.visits_by_hour SETTINGS optimize_use_projections = 0";
        assert_eq!(reads(&turn, without).await, ["grapevine.visits"]);
        for view in VIEWS {
            let rows = format!("SELECT count() FROM grapevine.{view}");
            turn.client()
                .query(&rows)
                .fetch_one::<u64>()
                .await
                .unwrap_or_else(|error| panic!("{view}: {error}"));
        }
    });
}

#[test]
fn small_groups_are_hidden_from_bi_views() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 3_000, 40).await;
        let client = turn.client();
        for readers in [1, 5, 20] {
            set_group_size_min(&client, readers).await.expect("sets");
            let (shown, smallest): (u64, u64) = client
                .query("SELECT count(), min(visitors) FROM grapevine.bi_visits_by_content")
                .fetch_one()
                .await
                .expect("asks");
            let expected: u64 = client
                .query("SELECT count() FROM (SELECT site, content, toDate(time), channel FROM grapevine.visits WHERE channel != 'bot' \
                        GROUP BY ALL HAVING uniqExact(visitor) + (countIf(visitor_basis = 'none') > 0) >= ?)")
                .bind(readers)
                .fetch_one()
                .await
                .expect("asks");
            assert_eq!(shown, expected, "groups of {readers} and more");
            assert!(shown == 0 || smallest + 1 >= u64::from(readers));
        }
        migrate(&client).await.expect("migrates");
        let kept: u32 = client
            .query("SELECT visitors_min FROM grapevine.k_anonymity")
            .fetch_one()
            .await
            .expect("asks");
        assert_eq!(kept, 20, "migrating keeps what was configured");
    });
}

#[test]
fn robots_are_not_in_the_views_of_people() {
    let turn = Turn::take();
    block_on(async {
        filled(&turn, 1_000, 10).await;
        let count = |sql: &'static str| {
            let client = turn.client();
            async move { client.query(sql).fetch_one::<u64>().await.expect("asks") }
        };
        let people = count("SELECT countIf(channel != 'bot') FROM grapevine.visits").await;
        assert!(people < 1_000);
        assert_eq!(
            count("SELECT count() FROM grapevine.visits_people").await,
            people
        );
        assert_eq!(
            count("SELECT sum(visits) FROM grapevine.visits_by_hour").await,
            people
        );
        assert_eq!(
            count("SELECT sum(visits) FROM grapevine.visits_by_content").await,
            people
        );
    });
}

/// What is expected has its range, and what is certain stands beside it.
#[test]
fn what_is_expected_never_stands_alone() {
    const VISIT: &str = "00000000-0000-0000-0000-00000000000";
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        set_group_size_min(&client, 1).await.expect("sets");
        let run = |sql: String| {
            let client = turn.client();
            async move { client.query(&sql).execute().await.expect("inserts") }
        };
        run(format!(
            "INSERT INTO grapevine.visits (visit_id, site, time, visitor, channel, app, method, dark_probability, \
             dark_probability_low, dark_probability_high, dark_search_probability, evidence, evidence_search, topic, partition, offset) VALUES \
             ('{VISIT}1', 'a.example', 1, 7, 'direct', '', 'prior', 0.25, 0.125, 0.5, 0.25, [('prior', 'x', -1.5), ('mobile', 'y', 0.4)], [-0.75, 0.25], 'v', 0, 1), \
             ('{VISIT}2', 'a.example', 1, 8, 'dark_social', 'mail', 'referrer', 0.75, 0.5, 1, 0, [('mail_referrer', 'z', 0)], [0], 'v', 0, 2)"
        ))
        .await;
        run(format!(
            "INSERT INTO grapevine.events (event_id, visit_id, site, time, kind, name, value, topic, partition, offset) VALUES \
             ('{VISIT}3', '{VISIT}1', 'a.example', 1, 'conversion', 'order', 8, 'e', 0, 1), \
             ('{VISIT}4', '{VISIT}1', 'a.example', 1, 'conversion', 'order', -16, 'e', 0, 2), \
             ('{VISIT}5', '{VISIT}2', 'a.example', 1, 'conversion', 'order', NULL, 'e', 0, 3)"
        ))
        .await;
        let brought: (u64, f64, f64, f64, f64, f64, f64) = client
            .query(
                "SELECT sum(conversions.conversions), sum(conversions.dark_low), sum(conversions.dark), sum(conversions.dark_high), \
                 assumeNotNull(sum(conversions.dark_value_low)), assumeNotNull(sum(conversions.dark_value)), \
                 assumeNotNull(sum(conversions.dark_value_high)) FROM grapevine.conversions AS conversions",
            )
            .fetch_one()
            .await
            .expect("asks");
        // A value that is taken back is the lower, the likelier its visit was a dark one.
        let values = (8.0 * 0.125 - 16.0 * 0.5, -2.0, 8.0 * 0.5 - 16.0 * 0.125);
        assert_eq!(brought, (3, 0.75, 1.25, 2.0, values.0, values.1, values.2));

        run(format!(
            "INSERT INTO grapevine.edges (site, content, child_visit, parent_visit, time, method, probability, parent_app, child_app, \
             parent_kind, sign, topic, partition, offset) VALUES \
             ('a.example', 'c', '{VISIT}1', '{VISIT}2', 1, 'token', 1, 'mail', 'mail', 'visitor', 1, 't', 0, 1), \
             ('a.example', 'c', '{VISIT}3', '{VISIT}2', 1, 'token', 1, 'mail', 'mail', 'visitor', 1, 't', 0, 2), \
             ('a.example', 'c', '{VISIT}3', '{VISIT}2', 1, 'token', 1, 'mail', 'mail', 'visitor', -1, 't', 0, 3), \
             ('a.example', 'c', '{VISIT}4', '{VISIT}2', 1, 'inferred', 0.25, 'mail', 'mail', 'visitor', 1, 't', 0, 4)"
        ))
        .await;
        let passed_on: (f64, f64) = client
            .query("SELECT expected, certain FROM grapevine.bi_app_transitions")
            .fetch_one()
            .await
            .expect("asks");
        assert_eq!(passed_on, (1.25, 1.0));

        // Of the visit that no fact decided the rivals are told.
        let odds: (f64, f64, f64, f64, f64, Option<f64>) = client
            .query("SELECT typed_probability, dark_log_odds, dark_against_typed, search_against_typed, evidence_log_odds, evidence_search_log_odds FROM grapevine.visit_odds")
            .fetch_one()
            .await
            .expect("one visit");
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-6, "{odds:?}");
        near(odds.0, 0.5);
        near(odds.1, (1.0_f64 / 3.0).ln());
        near(odds.2, 0.5_f64.ln());
        near(odds.3, 0.5_f64.ln());
        near(odds.4, -1.1);
        assert_eq!(odds.5, Some(-0.5));
        let by_app: (f64, f64, f64) = client
            .query("SELECT dark_low, dark, dark_high FROM grapevine.bi_dark_by_app")
            .fetch_one()
            .await
            .expect("one app");
        assert_eq!(by_app, (0.5, 0.75, 1.0));
    });
}

/// As a sink of the version before writes it, and as a part from before the column reads.
#[test]
fn what_a_row_does_not_say_of_dark_search_is_null_for_each_fact() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        let facts = "[('prior', 'x', -1.5), ('mobile', 'y', 0.4)]";
        let row = |offset: u32, facts: &str| {
            format!("('a.example', 1, 'direct', 'prior', 0.25, 0.25, {facts}, 'v', 0, {offset})")
        };
        let insert = async |rows: String| {
            let sql = format!(
                "INSERT INTO grapevine.visits (site, time, channel, method, dark_probability, dark_search_probability, \
                 evidence, topic, partition, offset) VALUES {rows}"
            );
            client.query(&sql).execute().await.expect("inserts");
        };
        insert(format!("{}, {}", row(1, facts), row(2, "[]"))).await;
        // A part that was written before there was such a column.
        for sql in [
            "ALTER TABLE grapevine.visits DROP COLUMN evidence_search SETTINGS mutations_sync = 2",
            "TRUNCATE TABLE grapevine.migrations",
        ] {
            client.query(sql).execute().await.expect("forgets");
        }
        migrate(&client).await.expect("migrates");
        insert(row(3, facts)).await;
        let asked = async |sql: &str| -> Vec<String> {
            let answer = client.query(sql).fetch_all().await;
            answer.expect(sql)
        };
        let said = "SELECT toString(evidence_search) FROM grapevine.visits ORDER BY offset";
        assert_eq!(asked(said).await, ["[NULL,NULL]", "[]", "[NULL,NULL]"]);
        let joined: u64 = client
            .query("SELECT count() FROM grapevine.visits_people ARRAY JOIN evidence AS fact, evidence_search AS search")
            .fetch_one()
            .await
            .expect("as many as there are facts");
        assert_eq!(joined, 4);
        let sums = "SELECT toString((length(evidence), evidence_search_log_odds)) FROM grapevine.visit_odds ORDER BY ALL";
        assert_eq!(asked(sums).await, ["(0,0)", "(2,NULL)", "(2,NULL)"]);
    });
}

/// Each partition of the chain stage counts for itself, from offsets of its own.
#[test]
fn what_partitions_learned_of_a_site_is_taken_together() {
    let turn = Turn::take();
    block_on(async {
        let client = turn.client();
        migrate(&client).await.expect("migrates");
        let insert = "INSERT INTO grapevine.calibrations (site, time, model_version, landings, tokens, \
                      token_survival, token_survival_low, token_survival_high, private_part, \
                      bin_landings, bin_tokens, bin_predicted, topic, partition, offset) VALUES \
                      ('a.example', 3, 'm', 4, 2, 0.1, 0.1, 0.1, 1, [4], [2], [0.9], 't', 0, 900), \
                      ('a.example', 4, 'm', 400, 100, 0.5, 0.4, 0.6, 0.9, [200, 200], [20, 80], [0.1, 0.7], 't', 0, 901), \
                      ('a.example', 2, 'm', 100, 30, 0.25, 0.2, 0.3, 1, [50, 50], [0, 30], [0.05, 0.5], 't', 3, 7)";
        client.query(insert).execute().await.expect("inserts");
        let (landings, tokens, survival, private, ece): (i64, i64, f64, f64, f64) = client
            .query("SELECT landings, tokens, assumeNotNull(token_survival), private_part, assumeNotNull(ece) FROM grapevine.calibration WHERE site = 'a.example'")
            .fetch_one()
            .await
            .expect("one row of the site");
        assert_eq!((landings, tokens), (500, 130));
        // 90 and 30 private tokens of 180 and 120 private links.
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found}");
        near(survival, 120.0 / 300.0);
        near(private, 120.0 / 130.0);
        // Private links of a bin: its tokens by what they stand for.
        let links = |tokens: f64| tokens * (120.0 / 130.0) / 0.4;
        let errors = (22.5 - links(20.0)).abs() + (165.0 - links(110.0)).abs();
        near(ece, errors / 500.0);

        let columns = "INSERT INTO grapevine.chain_models (site, time, version, scored, reliability_count, \
                       reliability_predicted, reliability_observed, topic, partition, offset) VALUES \
                       ('a.example', 5, 'v', 10, [10], [0.5], [0.5], 't', 0, 50), \
                       ('a.example', 6, 'v', 300, [300], [0.5], [0.7], 't', 0, 51), \
                       ('a.example', 4, 'v', 100, [100], [0.5], [0.1], 't', 1, 3), \
                       ('modest.example', 4, 'v', 300, [300], [0.5], [0.9], 't', 0, 52), \
                       ('boastful.example', 4, 'v', 300, [300], [0.5], [0.4], 't', 0, 53)";
        client.query(columns).execute().await.expect("inserts");
        let (scored, ece): (i64, f64) = client
            .query("SELECT toInt64(scored), assumeNotNull(ece) FROM grapevine.chain_calibration WHERE site = 'a.example'")
            .fetch_one()
            .await
            .expect("one row of the site");
        assert_eq!(scored, 400);
        near(ece, (200.0_f64 - 220.0).abs() / 400.0);
        let alarms: Vec<String> = client
            .query("SELECT site FROM grapevine.chain_calibration WHERE alarm ORDER BY site")
            .fetch_all()
            .await
            .expect("asks");
        assert_eq!(alarms, ["boastful.example"]);
        // What a row does not say of the site is not known of it.
        let silent: u64 = client
            .query("SELECT count() FROM grapevine.chain_models WHERE copying_network IS NULL AND balance IS NULL AND empty(hours_shared)")
            .fetch_one()
            .await
            .expect("asks");
        assert_eq!(silent, 5);
    });
}
