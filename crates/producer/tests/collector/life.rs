//! A collector that is paused, that many send to, that ends, and by which time passes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use grapevine_event::{Record, topic};
use grapevine_producer::collector::CollectorConfig;
use reqwest::{Client, Method, StatusCode};

use crate::running::{NOW_MS, Running, hit, pixel, told};

#[tokio::test]
async fn while_paused_hits_are_put_off_and_health_says_so() {
    let running = Running::plain().await;
    assert_eq!(
        told(running.request(Method::GET, "/health/ready")).await.0,
        StatusCode::OK
    );
    running.collector().pause();
    let response = running.post(hit("/").to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(
        pixel(&running, "?site=a&url=https://a.example/", None)
            .await
            .status(),
        503
    );
    let (status, answer) = told(running.request(Method::GET, "/health/ready")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["error"].as_str().unwrap().contains("catching up"));
    assert_eq!(
        told(running.request(Method::GET, "/health/live")).await.0,
        StatusCode::OK
    );
    running.collector().resume();
    assert_eq!(
        told(running.post(hit("/").to_string())).await.0,
        StatusCode::OK
    );
    assert_eq!(running.collector().counts().put_off, 2);
}

#[tokio::test]
async fn while_it_drains_hits_are_taken_and_everybody_is_sent_elsewhere() {
    let running = Running::plain().await;
    let before = running.post(hit("/1").to_string()).send().await.unwrap();
    assert_eq!(before.status(), StatusCode::OK);
    assert!(!before.headers().contains_key("connection"));
    running.collector().drain();
    let (status, answer) = told(running.request(Method::GET, "/health/ready")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["error"].as_str().unwrap().contains("stopping"));
    let during = running.post(hit("/2").to_string()).send().await.unwrap();
    assert_eq!(during.status(), StatusCode::OK);
    assert_eq!(during.headers()["connection"], "close");
    let seen = pixel(
        &running,
        "?site=example.com&url=https://example.com/3",
        None,
    )
    .await;
    assert_eq!(seen.status(), StatusCode::OK);
    assert_eq!(running.urls().len(), 3);
    assert_eq!(running.collector().counts().put_off, 0);
}

#[tokio::test]
async fn many_senders_at_once_lose_nothing_and_shutdown_writes_all() {
    let mut running = Running::plain().await;
    let mut tasks = Vec::new();
    for sender in 0..20 {
        for number in 0..10 {
            let request = running.post(hit(&format!("/{sender}/{number}")).to_string());
            tasks.push(tokio::spawn(async move {
                request.send().await.unwrap().status()
            }));
        }
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), StatusCode::OK);
    }
    let mut urls = running.urls();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 200);
    drop(running.stop.take());
    running.client = Client::new();
    running.served.take().unwrap().await.unwrap();
    drop(running.collector.take());
    let thread = running.thread.take().unwrap();
    tokio::task::spawn_blocking(move || thread.join())
        .await
        .unwrap();
}

#[tokio::test]
async fn time_passes_by_heartbeats_after_hits_and_never_goes_back() {
    let running = Running::plain().await;
    let beats = || {
        running.see(topic::HITS_RAW, |record| match record {
            Record::Heartbeat(beat) => Some(beat.event_time),
            _ => None,
        })
    };
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(beats().is_empty(), "no hits, no heartbeat");
    assert_eq!(
        told(running.post(hit("/1").to_string())).await.0,
        StatusCode::OK
    );
    running.now.store(NOW_MS + 500, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1400)).await;
    running.now.store(NOW_MS - 60_000, Ordering::Relaxed);
    assert_eq!(
        told(running.post(hit("/2").to_string())).await.0,
        StatusCode::OK
    );
    tokio::time::sleep(Duration::from_millis(1400)).await;
    let beats = beats();
    assert!(beats.len() >= 2, "{beats:?}");
    assert!(beats.iter().all(|beat| *beat == NOW_MS + 500), "{beats:?}");
}

/// What whoever feeds it by a clock of his own writes is the same log each time, however long it takes.
#[tokio::test]
async fn no_time_passes_by_itself_where_heartbeats_are_off() {
    let running = Running::start(CollectorConfig {
        heartbeats: false,
        ..CollectorConfig::default()
    })
    .await;
    for path in ["/1", "/2"] {
        assert_eq!(
            told(running.post(hit(path).to_string())).await.0,
            StatusCode::OK
        );
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    let records = running.see(topic::HITS_RAW, |record| {
        Some(matches!(record, Record::Hit(_)))
    });
    assert_eq!(records, [true, true], "hits and nothing else");
}
