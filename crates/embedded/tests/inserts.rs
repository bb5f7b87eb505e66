//! Data on their way in: every way to give them, packed or plain, in one block or in many.

mod support;

use std::io::Write;
use std::time::Duration;

use grapevine_embedded::wire::BlockWriter;
use support::{Answer, OWNER, Server, encode};

fn client() -> reqwest::Client {
    reqwest::Client::new()
}

#[tokio::test]
async fn bodies_are_unpacked() {
    let server = Server::shared();
    server
        .owner("CREATE TABLE packed (a UInt32, how String) ENGINE = MergeTree ORDER BY a")
        .await;
    let rows = |how: &str| {
        (0..1000)
            .map(|i| format!("{i},{how}\n"))
            .collect::<String>()
            .into_bytes()
    };
    let pack = |how: &str| {
        let data = rows(how);
        match how {
            "gzip" => {
                let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                to.write_all(&data).expect("memory");
                to.finish().expect("memory")
            }
            "zstd" => zstd::encode_all(data.as_slice(), 1).expect("memory"),
            "lz4" => {
                let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
                to.write_all(&data).expect("memory");
                to.finish().expect("memory")
            }
            _ => {
                let mut out = Vec::new();
                BlockWriter::default()
                    .write(&data, &mut out)
                    .expect("memory");
                out
            }
        }
    };
    let send = |parameters: &'static str, encoding: &'static str, body: Vec<u8>| {
        let query = encode("INSERT INTO packed FORMAT CSV");
        client()
            .post(server.url(&format!("{parameters}&query={query}")))
            .basic_auth(OWNER.0, Some(OWNER.1))
            .header("content-encoding", encoding)
            .body(body)
            .send()
    };
    for how in ["gzip", "zstd", "lz4"] {
        let answer = Answer::of(send("", how, pack(how)).await.expect("answer")).await;
        assert_eq!(answer.status, 200, "{how}: {}", answer.text());
    }
    let answer = Answer::of(
        send("decompress=1", "", pack("blocks"))
            .await
            .expect("answer"),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut damaged = pack("blocks");
    damaged[40] ^= 1;
    let answer = Answer::of(send("decompress=1", "", damaged).await.expect("answer")).await;
    assert_eq!(answer.code(), 271, "{}", answer.text());
    let answer = Answer::of(send("", "br", rows("br")).await.expect("answer")).await;
    assert_eq!((answer.status, answer.code()), (501, 48));
    let counts = "SELECT how, count(), sum(a) FROM packed GROUP BY how ORDER BY how";
    let expected = ["blocks", "gzip", "lz4", "zstd"]
        .map(|h| format!("{h}\t1000\t499500\n"))
        .concat();
    assert_eq!(server.owner(counts).await, expected);
}

#[tokio::test]
async fn inserts_take_their_data_from_anywhere() {
    let server = Server::shared();
    server
        .owner("CREATE TABLE ins (a UInt32, b String DEFAULT 'd') ENGINE = MergeTree ORDER BY a")
        .await;
    server
        .owner("INSERT INTO ins VALUES (1, 'x'), (2, concat('y', 'z'))")
        .await;
    server.owner("INSERT INTO ins (a) FORMAT CSV\n3\n4\n").await;
    let answer = server
        .post(
            OWNER,
            &format!("query={}", encode("INSERT INTO ins FORMAT JSONEachRow")),
            "{\"a\":5}\n{\"a\":6,\"b\":\"q\"}\n",
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer
            .header("x-clickhouse-summary")
            .contains("\"written_rows\":\"2\"")
    );
    let answer = server
        .post(
            OWNER,
            &format!("query={}", encode("INSERT INTO ins (a, b)")),
            "VALUES (7, 'v')",
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.owner("INSERT INTO ins SELECT 8, 's'").await;
    let binary = [9u32.to_le_bytes().to_vec(), vec![3, b'\n', b';', 0]].concat();
    let response = client()
        .post(server.url(&format!(
            "query={}",
            encode("INSERT INTO ins FORMAT RowBinary")
        )))
        .basic_auth(OWNER.0, Some(OWNER.1))
        .body(binary);
    assert_eq!(
        Answer::of(response.send().await.expect("answer"))
            .await
            .status,
        200
    );
    let all = server.owner("SELECT a, hex(b) FROM ins ORDER BY a").await;
    assert_eq!(
        all,
        "1\t78\n2\t797A\n3\t64\n4\t64\n5\t64\n6\t71\n7\t76\n8\t73\n9\t0A3B00\n"
    );
    let bad = server
        .post(OWNER, "", "INSERT INTO ins FORMAT CSV\nnumber,x\n")
        .await;
    assert_eq!((bad.status, bad.code()), (400, 27), "{}", bad.text());
}

#[tokio::test]
async fn a_large_insert_flows_and_a_small_one_is_one_block() {
    let server = Server::shared();
    server
        .owner("CREATE TABLE big (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
        .await;
    let url = server.url(&format!(
        "query={}",
        encode("INSERT INTO big (a, b) SETTINGS input_format_parallel_parsing = 0 FORMAT TSV")
    ));
    // 3 million rows in 40 MB, ten times the bound of one block.
    let rows = (0..300u64).map(|piece| {
        let text: String = (0..10_000)
            .map(|i| format!("{}\trow\n", piece * 10_000 + i))
            .collect();
        Ok::<_, std::io::Error>(text)
    });
    let body = reqwest::Body::wrap_stream(futures::stream::iter(rows));
    let request = client()
        .post(&url)
        .basic_auth(OWNER.0, Some(OWNER.1))
        .body(body);
    let answer = Answer::of(request.send().await.expect("answer")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer
            .header("x-clickhouse-summary")
            .contains("\"written_rows\":\"3000000\"")
    );
    assert_eq!(
        server
            .owner("SELECT count(), uniqExact(a), sum(a) FROM big")
            .await,
        "3000000\t3000000\t4499998500000\n"
    );

    // Whatever is in the data: an empty line is what the engine takes for the end of data that
    // follow a statement's text.
    server
        .owner("CREATE TABLE lines (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
        .await;
    let binary: Vec<u8> = (0..20_000u64)
        .flat_map(|a| [a.to_le_bytes().as_slice(), b"\x0e\n\nDROP TABLE a"].concat())
        .collect();
    let url = server.url(&format!(
        "query={}",
        encode("INSERT INTO lines FORMAT RowBinary")
    ));
    let request = client()
        .post(&url)
        .basic_auth(OWNER.0, Some(OWNER.1))
        .body(binary);
    assert_eq!(
        Answer::of(request.send().await.expect("answer"))
            .await
            .status,
        200
    );
    server
        .owner("INSERT INTO lines VALUES (20000, '\n\n'),\n\n(20001, 'SELECT 1')")
        .await;
    assert_eq!(
        server.owner("SELECT count(), sum(a) FROM lines").await,
        "20002\t200030001\n"
    );

    // Below the bound: one block, so all or nothing.
    server
        .owner("CREATE TABLE one (a UInt64) ENGINE = MergeTree ORDER BY a")
        .await;
    let rows: String = (0..300_000).map(|i| format!("{i}\n")).collect();
    // Not because blocks are gathered: the gathering is off.
    let insert = format!(
        "min_insert_block_size_rows=0&min_insert_block_size_bytes=0&query={}",
        encode("INSERT INTO one SETTINGS async_insert = 0 FORMAT TSV")
    );
    let answer = server.post(OWNER, &insert, &rows).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.owner("SELECT count() FROM system.parts WHERE table = 'one' AND level = 0 AND rows = 300000").await, "1\n");

    // A body that breaks off is an error, not an end.
    server
        .owner("CREATE TABLE cut (a UInt64) ENGINE = MergeTree ORDER BY a")
        .await;
    let rows = (0..120u64).map(|piece| {
        if piece == 119 {
            return Err(std::io::Error::other("the client dies"));
        }
        Ok((0..10_000)
            .map(|i| format!("{}\n", piece * 10_000 + i))
            .collect::<String>())
    });
    let body = reqwest::Body::wrap_stream(futures::stream::iter(rows));
    let url = server.url(&format!("query={}", encode("INSERT INTO cut FORMAT TSV")));
    let sent = client()
        .post(&url)
        .basic_auth(OWNER.0, Some(OWNER.1))
        .body(body)
        .send()
        .await;
    assert!(sent.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let count: u64 = server
        .owner("SELECT count() FROM cut")
        .await
        .trim()
        .parse()
        .expect("a number");
    assert!(
        count < 1_190_000,
        "{count} rows of a body that was cut short"
    );
    assert_eq!(
        server
            .owner("SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'")
            .await,
        "0\n"
    );
}
