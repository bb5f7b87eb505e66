//! The official `clickhouse` crate against the embedded engine.

mod support;

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use support::{OWNER, READER, Server};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Visit {
    id: u64,
    app: String,
    score: f64,
    tags: Vec<String>,
    parent: Option<u32>,
}

fn visit(id: u64) -> Visit {
    Visit {
        id,
        app: format!("app {}", id % 7),
        score: id as f64 / 4.0,
        tags: vec!["a\tb".to_owned(); (id % 3) as usize],
        parent: id.is_multiple_of(2).then_some(id as u32),
    }
}

fn client(server: &Server, account: (&str, &str), compression: Compression) -> Client {
    Client::default()
        .with_url(format!("http://{}", server.address))
        .with_user(account.0)
        .with_password(account.1)
        .with_compression(compression)
}

const CHECKED: &str = "(id UInt64, app LowCardinality(String)) ENGINE = MergeTree ORDER BY id";
const TABLE: &str = "(id UInt64, app LowCardinality(String), score Float64, tags Array(String), \
     parent Nullable(UInt32)) ENGINE = MergeTree ORDER BY id";

#[tokio::test]
async fn inserts_are_validated_and_read_back() {
    let server = Server::shared();
    for (name, compression) in [("lz4", Compression::Lz4), ("plain", Compression::None)] {
        let client = client(&server, OWNER, compression);
        client
            .query(&format!("CREATE TABLE {name} {TABLE}"))
            .execute()
            .await
            .expect("creates");
        let mut insert = client
            .insert::<Visit>(name)
            .await
            .expect("the insert begins");
        for id in 0..100_000 {
            insert.write(&visit(id)).await.expect("writes");
        }
        insert.end().await.expect("the insert ends");
        let (count, max): (u64, u64) = client
            .query(&format!("SELECT count(), max(id) FROM {name}"))
            .fetch_one()
            .await
            .expect("counts");
        assert_eq!((count, max), (100_000, 99_999), "{name}");
        let found: Vec<Visit> = client
            .query(&format!(
                "SELECT ?fields FROM {name} WHERE id >= ? AND app = ? ORDER BY id"
            ))
            .bind(99_900)
            .bind("app 3")
            .fetch_all()
            .await
            .expect("selects");
        let expected: Vec<Visit> = (99_900..100_000)
            .filter(|id| id % 7 == 3)
            .map(visit)
            .collect();
        assert_eq!(found, expected);
        let sum: u64 = client
            .query(&format!("SELECT sum(id) FROM {name}"))
            .fetch_one()
            .await
            .expect("sums");
        assert_eq!(sum, 4_999_950_000);
    }
}

#[tokio::test]
async fn a_row_of_the_wrong_type_is_refused_by_validation() {
    #[derive(Row, Serialize)]
    struct Wrong {
        id: u64,
        app: u8,
    }
    let server = Server::shared();
    let client = client(&server, OWNER, Compression::Lz4);
    client
        .query(&format!("CREATE TABLE checked {CHECKED}"))
        .execute()
        .await
        .expect("creates");
    let mut insert = client
        .insert::<Wrong>("checked")
        .await
        .expect("the insert begins");
    let refused = match insert.write(&Wrong { id: 1, app: 2 }).await {
        Err(error) => error.to_string(),
        Ok(()) => insert.end().await.expect_err("refused").to_string(),
    };
    assert!(refused.contains("app"), "{refused}");
    let count: u64 = client
        .query("SELECT count() FROM checked")
        .fetch_one()
        .await
        .expect("counts");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn settings_parameters_and_errors_arrive() {
    let server = Server::shared();
    let client = client(&server, OWNER, Compression::Lz4);
    let setting: String = client
        .clone()
        .with_setting("max_block_size", "77")
        .query("SELECT getSetting('max_block_size')::String")
        .fetch_one()
        .await
        .expect("selects");
    assert_eq!(setting, "77");
    let param: String = client
        .query("SELECT {text:String}")
        .param("text", "it's")
        .fetch_one()
        .await
        .expect("selects");
    assert_eq!(param, "it's");
    let error = client
        .query("SELECT * FROM nowhere")
        .execute()
        .await
        .expect_err("an error");
    assert!(
        error.to_string().contains("Code: 60. DB::Exception"),
        "{error}"
    );
    assert!(error.to_string().contains("UNKNOWN_TABLE"), "{error}");
    // In the middle of a result, compressed and not.
    for compression in [Compression::Lz4, Compression::None] {
        let client = self::client(&server, OWNER, compression);
        let mut cursor = client
            .query("SELECT number + throwIf(number = 3000000) FROM numbers(4000000)")
            .fetch::<u64>()
            .expect("a cursor");
        let mut rows = 0u64;
        let error = loop {
            match cursor.next().await {
                Ok(Some(_)) => rows += 1,
                Ok(None) => panic!("the result must not end well"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(
            rows > 0 && error.contains("Code: 395"),
            "{rows} rows, then {error}"
        );
    }
}

#[tokio::test]
async fn millions_of_rows_stream_several_at_a_time() {
    let server = Server::shared();
    let client = client(&server, READER, Compression::Lz4);
    let read = || async {
        let mut cursor = client
            .query("SELECT number, toString(number) FROM numbers(1000000)")
            .fetch::<(u64, String)>()
            .expect("a cursor");
        let (mut rows, mut sum) = (0u64, 0u64);
        while let Some((number, text)) = cursor.next().await.expect("a row") {
            rows += 1;
            sum += number + text.len() as u64;
        }
        (rows, sum)
    };
    let sum = 499_999_500_000 + 5_888_890;
    assert_eq!(
        tokio::join!(read(), read(), read()),
        ((1_000_000, sum), (1_000_000, sum), (1_000_000, sum))
    );
}

#[tokio::test]
async fn a_reader_is_refused_a_write() {
    let server = Server::shared();
    let owner = client(&server, OWNER, Compression::Lz4);
    owner
        .query(&format!("CREATE TABLE owned {TABLE}"))
        .execute()
        .await
        .expect("creates");
    let reader = client(&server, READER, Compression::Lz4);
    let count: u64 = reader
        .query("SELECT count() FROM owned")
        .fetch_one()
        .await
        .expect("reads");
    assert_eq!(count, 0);
    let mut insert = reader
        .insert::<Visit>("owned")
        .await
        .expect("describing is reading");
    let refused = match insert.write(&visit(1)).await {
        Err(error) => error,
        Ok(()) => insert.end().await.expect_err("refused"),
    };
    assert!(refused.to_string().contains("Code: 497"), "{refused}");
    let wrong = client(&server, ("default", "wrong"), Compression::Lz4);
    let error = wrong
        .query("SELECT 1")
        .execute()
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("Code: 516"), "{error}");
}
