//! Results of millions of rows, several at a time, in bounded memory. A binary of its own, because
//! it measures its process.

mod support;

use std::time::Duration;

use support::{OWNER, READER, Server};

/// Held while a test measures the process: two at once would each see the other's memory.
static MEASURED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux process");
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .expect("VmRSS");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    kib.expect("a number") * 1024
}

/// Reads a result whole and returns its size, its rows for formats of one line a row, and the
/// largest memory seen.
async fn read(server: &Server, account: (&str, &str), sql: &str) -> (u64, u64, u64) {
    let mut response = reqwest::Client::new()
        .post(server.url(""))
        .basic_auth(account.0, Some(account.1))
        .body(sql.to_owned())
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    let (mut bytes, mut lines, mut peak) = (0, 0, 0);
    while let Some(chunk) = response.chunk().await.expect("a whole result") {
        bytes += chunk.len() as u64;
        lines += chunk.iter().filter(|b| **b == b'\n').count() as u64;
        peak = peak.max(resident());
    }
    (bytes, lines, peak)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_million_rows_flow_in_bounded_memory() {
    let _measured = MEASURED.lock().await;
    let server = Server::shared();
    // The engine's own start-up and thread pools are not what is measured.
    for format in ["TSV", "JSONEachRow"] {
        let sql = format!("SELECT number, toString(number) FROM numbers(2000000) FORMAT {format}");
        read(&server, OWNER, &sql).await;
    }
    let before = resident();
    let sql = "SELECT number, toString(number) AS s FROM numbers(20000000)";
    // Two by the engine's chunks, two through a pipe; 2.5 GB in all.
    let (tsv, json, binary, csv) = tokio::join!(
        async { read(&server, OWNER, &format!("{sql} FORMAT TSV")).await },
        async { read(&server, READER, &format!("{sql} FORMAT JSONEachRow")).await },
        async {
            read(
                &server,
                OWNER,
                &format!("{sql} FORMAT RowBinaryWithNamesAndTypes"),
            )
            .await
        },
        async { read(&server, READER, &format!("{sql} FORMAT CSV")).await },
    );
    assert_eq!((tsv.1, json.1, csv.1), (20_000_000, 20_000_000, 20_000_000));
    // The digits of all numbers below 20 million, with 8 bytes, a length and the header.
    assert_eq!(binary.0, 148_888_890 + 20_000_000 * 9 + 24);
    let peak = tsv.2.max(json.2).max(binary.2).max(csv.2);
    let grown = peak.saturating_sub(before) >> 20;
    assert!(
        grown < 200,
        "memory grew by {grown} MiB while 2.5 GB flowed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_holds_its_query_back() {
    let _measured = MEASURED.lock().await;
    let server = Server::shared();
    for format in ["TSV", "JSONEachRow"] {
        let mut response = reqwest::Client::new()
            .post(server.url(""))
            .basic_auth(OWNER.0, Some(OWNER.1))
            .body(format!(
                "SELECT number FROM numbers(100000000) FORMAT {format}"
            ))
            .send()
            .await
            .expect("an answer");
        response.chunk().await.expect("a chunk");
        let before = resident();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let grown = resident().saturating_sub(before) >> 20;
        assert!(
            grown < 100,
            "{grown} MiB piled up for a client that does not read ({format})"
        );
    }
}
