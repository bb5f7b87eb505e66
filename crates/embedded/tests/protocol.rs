//! ClickHouse's HTTP interface as clients know it, against the real engine.

mod support;

use std::io::Read;
use std::time::Duration;

use grapevine_embedded::wire::BlockReader;
use support::{Answer, OWNER, READER, Server, encode};

fn client() -> reqwest::Client {
    reqwest::Client::new()
}

#[tokio::test]
async fn the_server_answers_to_its_pages() {
    let server = Server::shared();
    for path in ["ping", "replicas_status", ""] {
        let answer = Answer::of(
            client()
                .get(format!("http://{}/{path}", server.address))
                .send()
                .await
                .expect("answer"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "Ok.\n"),
            "{path}"
        );
    }
    let answer = Answer::of(
        client()
            .get(format!("http://{}/play", server.address))
            .send()
            .await
            .expect("answer"),
    )
    .await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("not supported"), "{}", answer.text());
    let head = client().head(server.url("")).send().await.expect("answer");
    assert_eq!(head.status(), 200);
    let request = client().request(reqwest::Method::OPTIONS, server.url(""));
    assert_eq!(request.send().await.expect("answer").status(), 204);
    let request = client().delete(server.url(""));
    assert_eq!(request.send().await.expect("answer").status(), 405);
}

#[tokio::test]
async fn accounts_are_checked_in_every_form() {
    let server = Server::shared();
    let (user, password) = OWNER;
    let with_params = server.url(&format!(
        "user={user}&password={}&query=SELECT%201",
        encode(password)
    ));
    let answer = Answer::of(client().get(with_params).send().await.expect("answer")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"));
    let basic = client()
        .get(server.url("query=SELECT%202"))
        .basic_auth(user, Some(password));
    assert_eq!(
        Answer::of(basic.send().await.expect("answer")).await.text(),
        "2\n"
    );
    assert_eq!(server.post(READER, "", "SELECT 3").await.text(), "3\n");

    let nobody = Answer::of(
        client()
            .get(server.url("query=SELECT%201"))
            .send()
            .await
            .expect("answer"),
    )
    .await;
    assert_eq!((nobody.status, nobody.code()), (401, 194));
    assert!(nobody.header("www-authenticate").starts_with("Basic"));
    for account in [
        ("default", "wrong"),
        ("default", ""),
        ("nobody", password),
        (READER.0, password),
    ] {
        let answer = server.post(account, "", "SELECT 1").await;
        assert_eq!((answer.status, answer.code()), (403, 516), "{account:?}");
        assert!(
            answer.text().starts_with("Code: 516. DB::Exception: "),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn foreign_pages_are_refused() {
    let server = Server::shared();
    let request = |name: &'static str, value: &'static str| {
        client()
            .post(server.url(""))
            .header("x-clickhouse-user", OWNER.0)
            .header("x-clickhouse-key", OWNER.1)
            .header(name, value)
            .body("SELECT 1")
            .send()
    };
    for (name, value) in [
        ("host", "evil.example:8123"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let answer = Answer::of(request(name, value).await.expect("answer")).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
        assert!(!answer.text().contains("1\n1"), "{}", answer.text());
    }
    let allowed = Answer::of(
        request("origin", "https://bi.example")
            .await
            .expect("answer"),
    )
    .await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://bi.example"
    );
    let host = Answer::of(request("host", "analytics.example").await.expect("answer")).await;
    assert_eq!(host.status, 200);
}

#[tokio::test]
async fn results_carry_clickhouses_headers() {
    let server = Server::shared();
    let answer = server
        .post(OWNER, "query_id=my-id", "SELECT number FROM numbers(3)")
        .await;
    assert_eq!(answer.text(), "0\n1\n2\n");
    assert_eq!(answer.header("x-clickhouse-query-id"), "my-id");
    assert_eq!(answer.header("x-clickhouse-format"), "TabSeparated");
    assert!(!answer.header("x-clickhouse-timezone").is_empty());
    assert!(!answer.header("x-clickhouse-server-display-name").is_empty());
    assert_eq!(
        answer.header("content-type"),
        "text/tab-separated-values; charset=UTF-8"
    );
    let summary: serde_json::Value =
        serde_json::from_str(answer.header("x-clickhouse-summary")).expect("JSON");
    assert_eq!(
        (&summary["read_rows"], &summary["result_rows"]),
        (&"3".into(), &"3".into())
    );

    let answer = server
        .post(OWNER, "default_format=JSONEachRow", "SELECT 1 AS a")
        .await;
    assert_eq!(answer.text(), "{\"a\":1}\n");
    let answer = server
        .post(
            OWNER,
            "default_format=JSONEachRow",
            "SELECT 1 AS a FORMAT CSV",
        )
        .await;
    assert_eq!(
        (answer.text().as_str(), answer.header("x-clickhouse-format")),
        ("1\n", "CSV")
    );
}

#[tokio::test]
async fn every_format_is_one_document() {
    let server = Server::shared();
    let sql = "SELECT number AS n FROM numbers(200000)";
    let json = server
        .post(OWNER, "", &format!("{sql} FORMAT JSON"))
        .await
        .text();
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(json["rows"], 200_000);
    assert_eq!(json["data"].as_array().map(Vec::len), Some(200_000));
    let names = server
        .post(OWNER, "", &format!("{sql} FORMAT TSVWithNames"))
        .await
        .text();
    assert_eq!(names.lines().filter(|l| *l == "n").count(), 1);
    assert_eq!(names.lines().count(), 200_001);
    let parquet = server
        .post(OWNER, "", &format!("{sql} FORMAT Parquet"))
        .await
        .body;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let totals =
        "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k";
    assert_eq!(server.owner(totals).await, "0\t5\n1\t5\n\n0\t10\n");
    assert_eq!(server.owner("SELECT 1 WHERE 0").await, "");
    assert!(server.owner("SHOW DATABASES").await.contains("default"));
    assert!(
        server
            .owner("DESCRIBE system.one")
            .await
            .starts_with("dummy\tUInt8")
    );
    assert!(
        server
            .owner("EXPLAIN SELECT 1")
            .await
            .contains("Expression")
    );
    // A comment, a semicolon and settings after the format.
    assert_eq!(
        server
            .owner("SELECT 1 AS a FORMAT JSONEachRow SETTINGS max_threads=1; -- end")
            .await,
        "{\"a\":1}\n"
    );
}

#[tokio::test]
async fn errors_have_clickhouses_codes_and_statuses() {
    let server = Server::shared();
    for (sql, code, status, name) in [
        ("SELECT * FROM nowhere", 60, 404, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, 400, "SYNTAX_ERROR"),
        ("", 62, 400, "SYNTAX_ERROR"),
        ("SELECT nofunction(1)", 46, 404, "UNKNOWN_FUNCTION"),
        ("SELECT nocolumn", 47, 404, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nodb.t", 81, 404, "UNKNOWN_DATABASE"),
        ("SELECT 1 FORMAT Nope", 73, 404, "UNKNOWN_FORMAT"),
        (
            "SELECT 1 SETTINGS no_such_setting = 1",
            115,
            404,
            "UNKNOWN_SETTING",
        ),
        ("SELECT toUInt8('x')", 6, 400, "CANNOT_PARSE_TEXT"),
        (
            "SELECT throwIf(1)",
            395,
            500,
            "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
        ),
        (
            "SELECT sleepEachRow(1) FROM numbers(10) SETTINGS max_execution_time = 1, max_block_size = 1",
            159,
            408,
            "TIMEOUT_EXCEEDED",
        ),
        ("SELECT {x:UInt8}", 456, 500, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT 1; SELECT 2", 62, 400, "SYNTAX_ERROR"),
    ] {
        let answer = server.post(OWNER, "", sql).await;
        assert_eq!(
            (answer.code(), answer.status),
            (code, status),
            "{sql}: {}",
            answer.text()
        );
        let text = answer.text();
        assert!(
            text.starts_with(&format!("Code: {code}. DB::Exception: ")),
            "{text}"
        );
        assert!(text.contains(&format!("({name}) (version ")), "{text}");
    }
    let answer = server.post(OWNER, "no_such_setting=1", "SELECT 1").await;
    assert_eq!((answer.code(), answer.status), (115, 404));
    let get = client()
        .get(server.url("query=CREATE%20TABLE%20viaget%20(a%20Int8)%20ENGINE=Memory"))
        .basic_auth(OWNER.0, Some(OWNER.1));
    assert_eq!(
        Answer::of(get.send().await.expect("answer")).await.code(),
        164
    );
}

#[tokio::test]
async fn an_error_in_mid_stream_is_seen() {
    let server = Server::shared();
    for format in ["TabSeparated", "JSONEachRow"] {
        let sql = format!("SELECT throwIf(number = 3000000) FROM numbers(4000000) FORMAT {format}");
        let mut response = client()
            .post(server.url(""))
            .basic_auth(OWNER.0, Some(OWNER.1))
            .body(sql)
            .send()
            .await
            .expect("answer");
        assert_eq!(response.status(), 200);
        let tag = response.headers()["x-clickhouse-exception-tag"]
            .to_str()
            .expect("text")
            .to_owned();
        let mut tail = Vec::new();
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    tail.extend_from_slice(&chunk);
                    let cut = tail.len().saturating_sub(4096);
                    tail.drain(..cut);
                }
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(
            broken,
            "a client that knows nothing of tags must not take this for whole"
        );
        let tail = String::from_utf8_lossy(&tail);
        assert!(
            tail.ends_with(&format!(" {tag}\r\n__exception__\r\n")),
            "{tail}"
        );
        assert!(
            tail.contains(&format!(
                "__exception__\r\n{tag}\r\nCode: 395. DB::Exception: "
            )),
            "{tail}"
        );
    }
    // Waiting for the end turns it into a status.
    let sql = "SELECT throwIf(number = 3000000) FROM numbers(4000000)";
    let answer = server.post(OWNER, "wait_end_of_query=1", sql).await;
    assert_eq!((answer.status, answer.code()), (500, 395));
}

#[tokio::test]
async fn parameters_and_settings_reach_the_statement() {
    let server = Server::shared();
    let url = format!(
        "param_a={}&param_b={}&param_t=one&max_block_size=7",
        encode("['x','y']"),
        encode("it's \\\\ a\\ttab")
    );
    let sql = "SELECT {a:Array(String)}, {b:String}, getSetting('max_block_size') FROM system.{t:Identifier}";
    let answer = server.post(OWNER, &url, sql).await;
    assert_eq!(answer.text(), "['x','y']\tit\\'s \\\\ a\\ttab\t7\n");
    // The next request has a connection of its own.
    assert_ne!(
        server.owner("SELECT getSetting('max_block_size')").await,
        "7\n"
    );
    let answer = server
        .post(
            OWNER,
            "database=information_schema",
            "SELECT currentDatabase()",
        )
        .await;
    assert_eq!(answer.text(), "information_schema\n");
    let answer = server.post(OWNER, "database=nodb", "SELECT 1").await;
    assert_eq!((answer.code(), answer.status), (81, 404));
}

#[tokio::test]
async fn a_session_keeps_what_was_set() {
    let server = Server::shared();
    let in_session = |extra: &'static str, sql: &'static str| {
        let server = &server;
        async move {
            server
                .post(OWNER, &format!("session_id=s1{extra}"), sql)
                .await
        }
    };
    assert_eq!(
        in_session("", "CREATE TEMPORARY TABLE tt (a UInt8)")
            .await
            .status,
        200
    );
    assert_eq!(
        in_session("", "INSERT INTO tt VALUES (5)").await.status,
        200
    );
    assert_eq!(in_session("", "SET max_block_size = 11").await.status, 200);
    let sql = "SELECT a, getSetting('max_block_size') FROM tt";
    assert_eq!(in_session("", sql).await.text(), "5\t11\n");
    // A parameter is for its request only.
    assert_eq!(
        in_session("&max_block_size=12", sql).await.text(),
        "5\t12\n"
    );
    assert_eq!(in_session("", sql).await.text(), "5\t11\n");
    assert_eq!(
        in_session("&database=system", "SELECT currentDatabase()")
            .await
            .text(),
        "system\n"
    );
    assert_eq!(
        in_session("", "SELECT currentDatabase()").await.text(),
        "default\n"
    );
    // Another account's session of the same name is another.
    let answer = server
        .post(READER, "session_id=s1", "SELECT * FROM tt")
        .await;
    assert_eq!(answer.code(), 60);
    assert_eq!(in_session("&session_check=1", "SELECT 1").await.status, 200);
    assert_eq!(in_session("&close_session=1", "SELECT 1").await.status, 200);
    assert_eq!(in_session("&session_check=1", "SELECT 1").await.code(), 372);

    let (slow, quick) = tokio::join!(
        server.post(OWNER, "session_id=s2", "SELECT sleep(1)"),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.post(OWNER, "session_id=s2", "SELECT 1").await
        }
    );
    assert_eq!((slow.status, quick.code()), (200, 373));
    let answer = server
        .post(OWNER, "session_id=s3&session_timeout=1", "SELECT 1")
        .await;
    assert_eq!(answer.status, 200);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let answer = server
        .post(OWNER, "session_id=s3&session_check=1", "SELECT 1")
        .await;
    assert_eq!(answer.code(), 372);
}

#[tokio::test]
async fn results_are_compressed_as_asked() {
    let server = Server::shared();
    let sql = "SELECT number, repeat('x', 20) FROM numbers(300000)";
    let plain = server.post(OWNER, "", sql).await.body;
    for name in ["gzip", "deflate", "zstd", "lz4"] {
        let response = client()
            .post(server.url("enable_http_compression=1"))
            .basic_auth(OWNER.0, Some(OWNER.1))
            .header("accept-encoding", name)
            .body(sql)
            .send()
            .await
            .expect("answer");
        let answer = Answer::of(response).await;
        assert_eq!(answer.header("content-encoding"), name);
        assert!(answer.body.len() < plain.len() / 2);
        let mut unpacked = Vec::new();
        let body = answer.body.as_slice();
        match name {
            "gzip" => flate2::read::MultiGzDecoder::new(body).read_to_end(&mut unpacked),
            "deflate" => flate2::read::ZlibDecoder::new(body).read_to_end(&mut unpacked),
            "zstd" => zstd::stream::read::Decoder::new(body)
                .expect("zstd")
                .read_to_end(&mut unpacked),
            _ => lz4_flex::frame::FrameDecoder::new(body).read_to_end(&mut unpacked),
        }
        .expect("unpacks");
        assert!(unpacked == plain, "{name}");
    }
    let blocks = server.post(OWNER, "compress=1", sql).await;
    assert_eq!(blocks.header("content-encoding"), "");
    let mut unpacked = Vec::new();
    BlockReader::new(blocks.body.as_slice())
        .read_to_end(&mut unpacked)
        .expect("blocks");
    assert!(unpacked == plain);
    // Without being asked to, nothing is compressed.
    let response = client()
        .post(server.url(""))
        .basic_auth(OWNER.0, Some(OWNER.1))
        .header("accept-encoding", "gzip")
        .body("SELECT 1");
    assert_eq!(
        Answer::of(response.send().await.expect("answer"))
            .await
            .body,
        b"1\n"
    );
}

#[tokio::test]
async fn a_client_that_leaves_stops_its_query() {
    let server = Server::shared();
    for sql in [
        "SELECT sum(number) FROM numbers(1000000000000)",
        "SELECT number FROM numbers(1000000000000) FORMAT TSV",
        "SELECT number FROM numbers(1000000000000) FORMAT JSON",
    ] {
        let query = server.post(OWNER, "", sql);
        let outcome = tokio::time::timeout(Duration::from_millis(700), query).await;
        assert!(outcome.is_err(), "{sql}");
        let mut left = String::new();
        for _ in 0..50 {
            left = server.owner("SELECT count() FROM system.processes WHERE query LIKE 'SELECT%1000000000000%' AND query NOT LIKE '%processes%'").await;
            if left == "0\n" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(left, "0\n", "{sql} still runs");
    }
}

#[tokio::test]
async fn clickhouse_go_is_greeted_at_its_revision() {
    let server = Server::shared();
    let sql = "SELECT displayName(), version(), revision(), timezone()";
    let answer = server
        .post(
            OWNER,
            "client_protocol_version=54470&default_format=Native",
            sql,
        )
        .await;
    assert!(
        answer
            .body
            .starts_with(&[1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 4, 1]),
        "{:?}",
        answer.body
    );
    // Later blocks are the engine's own.
    let answer = server
        .post(
            OWNER,
            "client_protocol_version=54470&default_format=Native",
            "SELECT 1 AS a",
        )
        .await;
    assert_eq!(answer.body, b"\x01\x01\x01a\x05UInt8\x01");
}
