//! What accounts must not be able to do, tried against the real engine.

mod support;

use support::{OWNER, READER, Server, encode};

/// Refused to both accounts. Each is run for real; what it would reach exists, so that a hole
/// shows as an answer.
const NOBODY: &[&str] = &[
    // Files, by every way of writing it.
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM FILE('/etc/passwd', 'LineAsString')",
    "SELECT * FROM /* numbers( */ file('/etc/passwd') -- )",
    "SELECT * FROM `file`('/etc/passwd', 'LineAsString')",
    "SELECT file('/etc/hostname')",
    "SELECT File('/etc/hostname')",
    "SELECT \"file\"('/etc/hostname')",
    "WITH x AS (SELECT * FROM file('/etc/passwd', 'LineAsString')) SELECT * FROM x",
    "WITH file('/etc/hostname') AS x SELECT x",
    "SELECT (SELECT (SELECT file('/etc/hostname')))",
    "SELECT 1 IN (SELECT length(file('/etc/hostname')))",
    "SELECT arrayMap(x -> file(x), ['/etc/hostname'])",
    "SELECT * APPLY(file) FROM (SELECT '/etc/hostname' AS a)",
    "SELECT * APPLY file FROM (SELECT '/etc/hostname' AS a)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/hostname' AS a)",
    "SELECT * REPLACE(file(a) AS a) FROM (SELECT '/etc/hostname' AS a)",
    "SELECT COLUMNS('a') APPLY(file) FROM (SELECT '/etc/hostname' AS a)",
    "SELECT count() OVER w FROM numbers(1) WINDOW w AS (ORDER BY file('/etc/hostname'))",
    "SELECT count() OVER (PARTITION BY file('/etc/hostname')) FROM numbers(1)",
    "SELECT 1 ORDER BY file('/etc/hostname')",
    "SELECT 1 LIMIT length(file('/etc/hostname'))",
    "SELECT number FROM numbers(1) WHERE file('/etc/hostname') != ''",
    "SELECT 1 UNION ALL SELECT length(file('/etc/hostname'))",
    "SELECT number AS n FROM numbers(3) ORDER BY n WITH FILL INTERPOLATE (n AS length(file('/etc/hostname')))",
    "(SELECT file('/etc/hostname'))",
    "SELECT sum(length(file('/etc/hostname')))",
    "SELECT * FROM view(SELECT file('/etc/hostname'))",
    "SELECT * FROM loop(file('/etc/passwd', 'LineAsString')) LIMIT 1",
    "SELECT * FROM (EXPLAIN AST SELECT file('/etc/hostname'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('/etc/hostname')))",
    "EXPLAIN SELECT file('/etc/hostname')",
    "EXPLAIN SYNTAX SELECT * FROM file('/etc/passwd')",
    "DESCRIBE file('/etc/passwd')",
    "DESCRIBE (SELECT file('/etc/hostname'))",
    "DESCRIBE TABLE url('http://127.0.0.1:1/x')",
    "SHOW TABLES WHERE file('/etc/hostname') != ''",
    "SHOW COLUMNS FROM one FROM system WHERE file('/etc/hostname') != ''",
    // Files named like a table.
    "SELECT * FROM `/etc/passwd`",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM default.`/etc/passwd`",
    "SELECT * FROM `Cargo.toml`",
    "SELECT * FROM (WITH `/etc/passwd` AS (SELECT 1) SELECT 1) AS a, `/etc/passwd`",
    "DESCRIBE `/etc/passwd`",
    "SELECT * FROM {path:Identifier}",
    // Settings that read or write for the statement.
    "SELECT 1 SETTINGS additional_result_filter = 'file(\\'/etc/hostname\\') = \\'\\''",
    "SELECT * FROM system.one SETTINGS additional_table_filters = {'system.one': 'file(\\'/etc/hostname\\') = \\'\\''}",
    "SELECT * FROM (SELECT 1 SETTINGS additional_result_filter = '0')",
    "SET additional_result_filter = '0'",
    "SELECT 1 SETTINGS format_schema = '/etc/passwd'",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '/etc/passwd', format_template_resultset = '/etc/passwd'",
    "SELECT 1 FORMAT Protobuf SETTINGS output_format_schema = '/tmp/grapevine-schema'",
    "SELECT 1 SETTINGS dialect = 'prql'",
    "SET dialect = 'kusto'",
    "SET implicit_select = 1",
    "SET allow_introspection_functions = 1",
    "SELECT 1 SETTINGS readonly = 0",
    "SET readonly = 0",
    "SET chdb_client_name = 'connection-1'",
    "file('/etc/hostname')",
    // Writing files.
    "SELECT 1 INTO OUTFILE '/tmp/grapevine-outfile'",
    "SELECT 1 INTO OUTFILE '/tmp/grapevine-outfile' TRUNCATE FORMAT CSV",
    "SELECT 1 /* */ INTO /* */ OUTFILE '/tmp/grapevine-outfile'",
    "SHOW TABLES INTO OUTFILE '/tmp/grapevine-outfile'",
    "EXPLAIN SELECT 1 INTO OUTFILE '/tmp/grapevine-outfile'",
    "INSERT INTO FUNCTION file('/tmp/grapevine-outfile', 'CSV', 'a Int8') VALUES (1)",
    "INSERT INTO TABLE FUNCTION file('/tmp/grapevine-outfile', 'CSV', 'a Int8') SELECT 1",
    "INSERT INTO FUNCTION url('http://127.0.0.1:1/', 'CSV', 'a Int8') SELECT 1",
    "INSERT INTO visits FROM INFILE '/etc/passwd' FORMAT LineAsString",
    "INSERT INTO visits FORMAT Values (length(file('/etc/hostname')), '')",
    "INSERT INTO visits VALUES (length(file('/etc/hostname')), '')",
    "INSERT INTO visits VALUES ((SELECT length(file('/etc/hostname'))), '')",
    "INSERT INTO visits VALUES (length(file/**/('/etc/hostname')), '')",
    "INSERT INTO visits VALUES (length(`file`('/etc/hostname')), '')",
    "INSERT INTO visits SELECT length(file('/etc/hostname')), ''",
    // Hosts.
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1:1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM clusterAllReplicas('default', system.processes)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:1', 'd', 'c', 'u', 'p', 'a Int8')",
    "SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')",
    "SELECT * FROM sqlite('/etc/passwd', 't')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'CSV')",
    "SELECT * FROM icebergLocal('/etc')",
    "SELECT * FROM deltaLakeLocal('/etc')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT hasColumnInTable('127.0.0.1', 'u', 'p', 'd', 't', 'c')",
    "SELECT aiGenerate('x')",
    // Programs, models, the server itself.
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT catboostEvaluate('/etc/passwd', 1)",
    "SELECT demangle('x')",
    "SELECT getServerSetting('max_concurrent_queries')",
    "KILL QUERY WHERE 1",
    "KILL MUTATION WHERE 1",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM DROP MARK CACHE",
    "SYSTEM STOP MERGES",
    "BACKUP TABLE visits TO File('/tmp/grapevine-backup')",
    "RESTORE TABLE visits FROM File('/tmp/grapevine-backup')",
    "CREATE USER x",
    "ALTER USER default IDENTIFIED BY 'x'",
    "GRANT ALL ON *.* TO default",
    "EXECUTE AS default SELECT 1",
    "CREATE FUNCTION f AS x -> file(x)",
    "CREATE NAMED COLLECTION n AS url = 'http://127.0.0.1:1/'",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(path '/etc/passwd' format 'CSV')) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(HTTP(url 'http://127.0.0.1:1/' format 'CSV')) LAYOUT(FLAT()) LIFETIME(1)",
    // Definitions that would read later.
    "CREATE VIEW v AS SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "CREATE VIEW v AS SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "CREATE MATERIALIZED VIEW v ENGINE = Memory AS SELECT file('/etc/hostname')",
    "CREATE TABLE f (a String) ENGINE = File(CSV, '/etc/passwd')",
    "CREATE TABLE f (a String) ENGINE = URL('http://127.0.0.1:1/', CSV)",
    "CREATE TABLE f (a String) ENGINE = S3('http://127.0.0.1:1/b/k', 'CSV')",
    "CREATE TABLE f (a String) ENGINE = Distributed('default', 'system', 'one')",
    "CREATE TABLE f (a String) ENGINE = Executable('id', 'TSV')",
    "CREATE TABLE f (a String) ENGINE = EmbeddedRocksDB(0, '/tmp/grapevine-rocks') PRIMARY KEY a",
    "CREATE TABLE f (a String) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'CSV')",
    "CREATE TABLE f AS file('/etc/passwd', 'LineAsString')",
    "CREATE TABLE f (a String DEFAULT file('/etc/hostname')) ENGINE = Memory",
    "CREATE TABLE f (a String MATERIALIZED file('/etc/hostname')) ENGINE = Memory",
    "CREATE TABLE f (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/tmp/grapevine-disk/')",
    "CREATE TABLE f (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'x'",
    "CREATE TABLE f (a UInt8) ENGINE = MergeTree ORDER BY a TTL toDate(file('/etc/hostname'))",
    "CREATE DATABASE f ENGINE = Filesystem('/etc')",
    "CREATE DATABASE f ENGINE = MySQL('127.0.0.1:1', 'd', 'u', 'p')",
    "CREATE DATABASE f ENGINE = SQLite('/etc/passwd')",
    "CREATE DATABASE f ENGINE = Backup('d', File('/tmp/grapevine-backup'))",
    "ALTER TABLE visits ADD COLUMN c String DEFAULT file('/etc/hostname')",
    "ALTER TABLE visits UPDATE b = file('/etc/hostname') WHERE 1",
    "ALTER TABLE visits MODIFY SETTING storage_policy = 'x'",
    "DELETE FROM visits WHERE file('/etc/hostname') != ''",
    "ATTACH TABLE f FROM '/etc' (a UInt8) ENGINE = MergeTree ORDER BY a",
    // Several statements, and statements in statements.
    "SELECT 1; SELECT file('/etc/hostname')",
    "SELECT 1;\nDROP TABLE visits",
    "SELECT 1 PARALLEL WITH SELECT file('/etc/hostname')",
    "DROP TABLE IF EXISTS a PARALLEL WITH DROP TABLE IF EXISTS b",
    "EXPLAIN AST SELECT 1; DROP TABLE visits",
    "SELECT 1) ; DROP TABLE visits; (SELECT 1",
];

/// Refused to a reader besides.
const NO_READER: &[&str] = &[
    "INSERT INTO visits VALUES (9, 'x')",
    "INSERT INTO visits SELECT 9, 'x'",
    "WITH x AS (SELECT 1) INSERT INTO visits SELECT 9, 'x'",
    "CREATE TABLE r (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE r (a UInt8)",
    "CREATE DATABASE r",
    "CREATE VIEW r AS SELECT 1",
    "DROP TABLE visits",
    "TRUNCATE TABLE visits",
    "ALTER TABLE visits DELETE WHERE 1",
    "ALTER TABLE visits ADD COLUMN c UInt8",
    "DELETE FROM visits WHERE 1",
    "OPTIMIZE TABLE visits FINAL",
    "RENAME TABLE visits TO other",
    "EXCHANGE TABLES visits AND visits",
    "DETACH TABLE visits",
    "USE system",
    "CHECK TABLE visits",
    // Other people's queries and the server's inside.
    "SELECT * FROM system.processes",
    "SELECT * FROM `system`.`processes`",
    "SELECT * FROM {db:Identifier}.processes",
    "SELECT * FROM {full:Identifier}",
    "SHOW PROCESSLIST",
    "SHOW GRANTS",
    "SHOW ACCESS",
    "SHOW CREATE USER default",
    "SELECT * FROM system.users",
    "SELECT * FROM system.parts",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.named_collections",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.errors",
    "SELECT 1 IN system.processes",
    "SELECT * FROM merge('system', 'processes')",
    "SELECT * FROM merge(REGEXP('system'), 'proc')",
    "SELECT * FROM merge('default', 'visits')",
    "SELECT * FROM loop(system.processes) LIMIT 1",
    "SELECT * FROM mergeTreeIndex('default', 'visits')",
    "SELECT * FROM viewIfPermitted(SELECT * FROM system.processes ELSE null('a UInt8'))",
    "SELECT * FROM dictionary('d')",
    "SELECT * FROM visits AS v JOIN system.processes AS p ON 1",
    "SELECT * FROM (SELECT * FROM system.processes)",
    "WITH p AS (SELECT * FROM system.processes) SELECT * FROM p",
    "EXPLAIN SELECT * FROM system.processes",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM numbers(10)",
    "SET max_execution_time = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SET max_memory_usage = 0",
];

/// Allowed to a reader.
const READER_MAY: &[&str] = &[
    "SELECT count() FROM visits",
    "SELECT a, sumIf(a, a > 1), uniqExact(b) FROM default.visits GROUP BY a ORDER BY a LIMIT 5",
    "SELECT * FROM visits_view",
    "SELECT v.a FROM visits AS v JOIN (SELECT a FROM visits) AS w ON v.a = w.a",
    "SELECT v.a FROM visits AS v LEFT JOIN visits AS w USING (a)",
    "WITH top AS (SELECT a FROM visits LIMIT 1) SELECT * FROM top",
    "SELECT * FROM numbers(3) UNION ALL SELECT 7",
    "SELECT arrayMap(x -> x + 1, [1, 2]), quantile(0.9)(number) OVER (PARTITION BY number % 2) FROM numbers(10)",
    "SELECT toStartOfHour(now()), formatDateTime(now(), '%H'), JSONExtractString('{}', 'a')",
    "SELECT uniqMerge(s) FROM (SELECT uniqState(number) AS s FROM numbers(10))",
    "SELECT * EXCEPT(b) APPLY(sum) FROM visits",
    "SELECT 'file(''/etc/passwd'')', 'url(', \"a\" FROM visits -- file('/etc/passwd')",
    "SELECT 1 AS file, 2 AS url",
    "SELECT file, url FROM (SELECT 1 AS file, 2 AS url)",
    "SELECT 1 AS settings, 2 AS disk",
    "SELECT count() FROM visits SETTINGS max_threads = 1, log_comment = 'dashboard'",
    "SELECT {x:UInt8}, {db:String}",
    "SELECT name FROM system.tables WHERE database = 'default'",
    "SELECT name, type FROM system.columns WHERE table = 'visits'",
    "SELECT d.name FROM system.databases AS d, (SELECT 'x' AS x) AS e",
    "SELECT table_name FROM information_schema.tables",
    "SELECT name, value FROM system.settings LIMIT 1",
    "SHOW TABLES",
    "SHOW DATABASES",
    "SHOW CREATE TABLE visits",
    "SHOW COLUMNS FROM visits",
    "DESCRIBE TABLE visits",
    "DESCRIBE (SELECT a FROM visits)",
    "EXISTS TABLE visits",
    "EXPLAIN SELECT a FROM visits",
    "EXPLAIN indexes = 1 SELECT a FROM visits WHERE a = 1",
    "SELECT version(), currentUser(), timezone(), hostName()",
    "SET max_threads = 1",
];

/// Allowed to an owner, in this order.
const OWNER_MAY: &[&str] = &[
    "CREATE DATABASE own",
    "CREATE TABLE own.t (a UInt32 CODEC(Delta, ZSTD(3)), b LowCardinality(String) DEFAULT 'x', c DateTime64(3) DEFAULT now64(3), INDEX i b TYPE bloom_filter(0.01) GRANULARITY 1, PROJECTION p (SELECT b, count(), sum(a) GROUP BY b)) ENGINE = ReplacingMergeTree ORDER BY a PARTITION BY b TTL toDateTime(c) + INTERVAL 1 YEAR SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 100, deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild'",
    "INSERT INTO own.t (a, b) VALUES (1, 'x'), (1 + 1, upper('y')), (3, concat('z', toString(3)))",
    "INSERT INTO own.t (a, b) SETTINGS insert_deduplication_token = 'x', async_insert = 0 VALUES (4, 'x')",
    "CREATE TABLE own.sums (b String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY b",
    "CREATE MATERIALIZED VIEW own.mv TO own.sums AS SELECT b, count() AS n FROM own.t GROUP BY b",
    "CREATE VIEW own.v AS SELECT b, count() AS n FROM own.t GROUP BY b",
    "CREATE OR REPLACE VIEW own.v AS SELECT b, sum(a) AS n FROM own.t GROUP BY b",
    "ALTER TABLE own.t ADD COLUMN d UInt8 DEFAULT a + 1",
    "ALTER TABLE own.t MODIFY SETTING non_replicated_deduplication_window = 200",
    "ALTER TABLE own.t MODIFY COLUMN d UInt16",
    "ALTER TABLE own.t UPDATE d = 5 WHERE a = 1 SETTINGS mutations_sync = 1",
    "ALTER TABLE own.t DELETE WHERE a = 2 SETTINGS mutations_sync = 1",
    "ALTER TABLE own.t DROP PARTITION 'x'",
    "DELETE FROM own.t WHERE a = 3 SETTINGS lightweight_deletes_sync = 1",
    "OPTIMIZE TABLE own.t FINAL",
    "CREATE TABLE own.m (a UInt8) ENGINE = Memory",
    "CREATE TABLE own.c AS own.m",
    "CREATE TABLE own.s ENGINE = MergeTree ORDER BY number AS SELECT number FROM numbers(10)",
    "CREATE TABLE own.all AS merge('own', '^(m|c)$')",
    "SELECT * FROM merge('own', '^(m|c)$')",
    "CREATE TABLE own.buffered AS own.m ENGINE = Buffer(own, m, 1, 10, 100, 10, 100, 1000, 10000)",
    "RENAME TABLE own.c TO own.d",
    "TRUNCATE TABLE own.m",
    "DETACH TABLE own.m",
    "ATTACH TABLE own.m",
    "CHECK TABLE own.t",
    "SHOW PROCESSLIST",
    "SELECT * FROM system.processes FORMAT Null",
    "SELECT count() FROM system.parts",
    "SELECT sleep(0.1)",
    "DROP TABLE own.m",
    "DROP DATABASE own SYNC",
];

fn parameters() -> String {
    format!(
        "param_path={}&param_db=system&param_full={}&param_x=1",
        encode("/etc/passwd"),
        encode("system.processes"),
    )
}

async fn with_tables() -> std::sync::Arc<Server> {
    let server = Server::shared();
    server
        .owner(
            "CREATE TABLE IF NOT EXISTS visits (a UInt32, b String) ENGINE = MergeTree ORDER BY a",
        )
        .await;
    server
        .owner("CREATE OR REPLACE VIEW visits_view AS SELECT a FROM visits")
        .await;
    server.owner("TRUNCATE TABLE visits").await;
    server
        .owner("INSERT INTO visits VALUES (1, 'x'), (2, 'y')")
        .await;
    server
}

/// Codes of a refusal, by this server or the engine; what merely fails to parse is one, too.
const REFUSALS: &[u32] = &[
    // ACCESS_DENIED, READONLY, SETTING_CONSTRAINT_VIOLATION, SYNTAX_ERROR
    497, 164, 452, 62, // UNKNOWN_TABLE: a file's name that is no table.
    60,
];

#[tokio::test]
async fn nothing_reaches_beyond_the_store() {
    let server = with_tables().await;
    let before = server.owner("SELECT count(), sum(a) FROM visits").await;
    let mut holes = Vec::new();
    for (account, sql) in NOBODY
        .iter()
        .flat_map(|sql| [(OWNER, *sql), (READER, *sql)])
        .chain(NO_READER.iter().map(|sql| (READER, *sql)))
    {
        for how in ["", "session_id=adversary&"] {
            let answer = server
                .post(account, &format!("{how}{}", parameters()), sql)
                .await;
            if answer.status == 200 || !REFUSALS.contains(&answer.code()) {
                holes.push(format!(
                    "{} {sql}: {} {}",
                    account.0,
                    answer.status,
                    answer.text()
                ));
            }
            let text = answer.text();
            if text.contains("root:") {
                holes.push(format!("{} {sql}: read a file", account.0));
            }
        }
    }
    assert!(
        holes.is_empty(),
        "{} holes:\n{}",
        holes.len(),
        holes.join("\n")
    );
    assert_eq!(
        server.owner("SELECT count(), sum(a) FROM visits").await,
        before
    );
    for left in ["outfile", "backup", "schema", "disk", "rocks"] {
        let path = std::env::temp_dir().join(format!("grapevine-{left}"));
        assert!(!path.exists(), "{} was written", path.display());
    }
}

#[tokio::test]
async fn settings_in_the_address_are_checked_too() {
    let server = with_tables().await;
    for (account, setting) in [
        (OWNER, "additional_result_filter=0"),
        (OWNER, "format_schema=x"),
        (OWNER, "output_format_schema=x"),
        (OWNER, "dialect=prql"),
        (OWNER, "implicit_select=1"),
        (OWNER, "readonly=0"),
        (READER, "readonly=0"),
        (READER, "readonly=2"),
        (READER, "max_execution_time=100000"),
        (READER, "max_memory_usage=0"),
        (READER, "input_format_record_errors_file_path=x"),
        (READER, "database=system"),
        (READER, "allow_ddl=1"),
    ] {
        let answer = server.post(account, setting, "SELECT 1").await;
        assert!(
            [452, 497].contains(&answer.code()),
            "{setting}: {}",
            answer.text()
        );
    }
    let answer = server
        .post(READER, "max_threads%3D1%2Creadonly=0", "SELECT 1")
        .await;
    assert_eq!(answer.code(), 115);
    for setting in [
        "max_threads=1",
        "log_comment=x%27y",
        "session_timezone=Europe/Berlin",
        "output_format_json_quote_64bit_integers=1",
    ] {
        let answer = server.post(READER, setting, "SELECT 1").await;
        assert_eq!(answer.status, 200, "{setting}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_reader_reads() {
    let server = with_tables().await;
    let mut refused = Vec::new();
    for sql in READER_MAY {
        let answer = server.post(READER, &parameters(), sql).await;
        if answer.status != 200 {
            refused.push(format!("{sql}: {}", answer.text()));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[tokio::test]
async fn an_owner_owns_the_store() {
    let server = with_tables().await;
    for sql in OWNER_MAY {
        let answer = server.post(OWNER, &parameters(), sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
    }
}
