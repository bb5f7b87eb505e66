//! Many who send slowly: what they have sent is bounded, and others are served meanwhile.

use std::time::{Duration, Instant};

use grapevine_producer::collector::CollectorConfig;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::running::{Running, hit, told};

/// Memory for the bodies of all of them.
const BODIES_BYTES: usize = 1024 * 1024;
const CLIENTS: usize = 64;
/// What each of them sends of the 8 MiB that it announces.
const SENT_BYTES: usize = 100 * 1024;
/// Bodies that may be held: each takes what it has sent at least, but for the 8 KiB that are free.
const HELD_MAX: usize = BODIES_BYTES / (SENT_BYTES - 8 * 1024);
/// Longest wait for something that has to come. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a part of a body and stops; what is answered within five seconds.
async fn stalled(address: String) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/hits HTTP/1.1\r\nHost: there\r\nContent-Length: 8388608\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // Who is answered meanwhile may be cut off.
    let _ = stream.write_all(&vec![b' '; SENT_BYTES]).await;
    let mut answer = Vec::new();
    // Who is not answered is waited for by the collector.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    (stream, String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn many_slow_senders_hold_no_more_than_there_is_and_others_are_served() {
    let running = Running::start(CollectorConfig {
        bodies_bytes_max: BODIES_BYTES,
        ..CollectorConfig::default()
    })
    .await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(stalled(running.address().to_owned())))
        .collect();
    // A page's hit is taken at any moment.
    for number in 0..10 {
        let answer = told(running.post(hit(&format!("/{number}")).to_string())).await;
        assert_eq!(answer.0, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut streams = Vec::new();
    let mut put_off = 0;
    for client in clients {
        let (stream, answer) = client.await.unwrap();
        if !answer.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            assert!(answer.contains("memory for bodies"), "{answer}");
            put_off += 1;
        }
        streams.push(stream);
    }
    let counts = running.collector().counts();
    assert_eq!((counts.put_off, counts.refused), (put_off as u64, 0));
    assert!(
        put_off >= CLIENTS - HELD_MAX,
        "{} are held, there is room for {HELD_MAX}",
        CLIENTS - put_off
    );
    assert!(put_off < CLIENTS, "some are waited for");

    // What takes as much as there is finds room once they are gone.
    let many = vec![hit("/many").to_string(); 9_900].join("\n");
    assert!((BODIES_BYTES / 2..BODIES_BYTES).contains(&many.len()));
    let full = told(running.post(many.clone())).await;
    assert_eq!(full.0, StatusCode::SERVICE_UNAVAILABLE, "{}", full.1);
    drop(streams);
    let deadline = Instant::now() + PATIENCE;
    while told(running.post(many.clone())).await.0 != StatusCode::OK {
        assert!(Instant::now() < deadline, "who went away still holds room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
