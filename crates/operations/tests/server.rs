//! The routes over a real connection.

use grapevine_metrics::{Started, StepDone};
use grapevine_operations::{Health, OperationsServer};
use serde_json::{Value, json};

async fn get(server: &OperationsServer, path: &str) -> (u16, String, String) {
    let answer = reqwest::get(format!("http://{}{path}", server.address()))
        .await
        .expect("answers");
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"]
        .to_str()
        .expect("text")
        .to_owned();
    (status, kind, answer.text().await.expect("body"))
}

async fn json_of(server: &OperationsServer, path: &str) -> (u16, Value) {
    let (status, _, body) = get(server, path).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn health_says_which_condition_is_not_met_and_which_part_died() {
    let health = Health::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let server = OperationsServer::start(listener, health.clone()).expect("starts");
    let clickhouse = health.condition("clickhouse", "not asked yet");
    let log = health.condition("log", "starting");
    log.met();

    let (status, body) = json_of(&server, "/health/ready").await;
    assert_eq!(status, 503);
    assert_eq!(
        body,
        json!({"status": "not ready", "conditions": {"clickhouse": "not asked yet", "log": "ok"}})
    );
    clickhouse.met();
    let (status, body) = json_of(&server, "/health/ready").await;
    assert_eq!((status, &body["status"]), (200, &json!("ready")));
    assert_eq!(json_of(&server, "/health/live").await.0, 200);

    drop(log);
    let (status, body) = json_of(&server, "/health/live").await;
    assert_eq!((status, &body["ended"]), (503, &json!(["log"])));

    let health = Health::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let server = OperationsServer::start(listener, health.clone()).expect("starts");
    health.stopping();
    let (status, body) = json_of(&server, "/health/ready").await;
    assert_eq!(
        (status, &body["conditions"]["running"]),
        (503, &json!("the service stops"))
    );
    assert_eq!(json_of(&server, "/health/live").await.0, 200);
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds");
    let server = OperationsServer::start(listener, Health::new()).expect("starts");
    Started {
        service: "sink",
        version: "1.2.3",
    }
    .emit();
    for _ in 0..2 {
        StepDone {
            stage: "classify",
            records: 21,
            processing: std::time::Duration::from_millis(3),
            committing: std::time::Duration::from_millis(40),
        }
        .emit();
    }
    let (status, kind, text) = get(&server, "/metrics").await;
    assert_eq!(status, 200);
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    for line in [
        "# TYPE grapevine_stage_records counter",
        "grapevine_stage_records_total{stage=\"classify\"} 42",
        "grapevine_stage_step_seconds_bucket{le=\"0.05\",stage=\"classify\",part=\"commit\"} 2",
        "grapevine_stage_step_seconds_count{stage=\"classify\",part=\"process\"} 2",
        "grapevine_build{service=\"sink\",version=\"1.2.3\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
