//! The collector over real sockets and a real log.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use grapevine_event::{HitKind, Protocol, Record, VisitorBasis, topic};
use grapevine_log::Log;
use grapevine_producer::collector::{AppenderThread, Collector, CollectorConfig, router};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::{Site, TrustedProxies};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW_MS: i64 = 1_790_000_000_000;
const KEY: &str = "server-key-of-the-test";

struct Running {
    base: String,
    client: Client,
    collector: Option<Collector>,
    thread: Option<AppenderThread>,
    log: Arc<Log>,
    now: Arc<AtomicI64>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<()>>,
    _directory: TempDir,
}

impl Running {
    async fn start(config: CollectorConfig) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::open(&directory.path().join("log.redb")).unwrap());
        let now = Arc::new(AtomicI64::new(NOW_MS));
        let clock = now.clone();
        let config = CollectorConfig {
            clock: Arc::new(move || clock.load(Ordering::Relaxed)),
            ..config
        };
        let (collector, thread) =
            Collector::start(log.clone(), Pseudonyms::new(&[3; 32]), config).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let service = router(collector.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            axum::serve(listener, service)
                .with_graceful_shutdown(stopped)
                .await
                .unwrap();
        });
        Running {
            base,
            client: Client::new(),
            collector: Some(collector),
            thread: Some(thread),
            log,
            now,
            stop: Some(stop),
            served: Some(served),
            _directory: directory,
        }
    }

    async fn plain() -> Running {
        Running::start(CollectorConfig::default()).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .header("user-agent", "Test/1")
    }

    fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "/v1/hits").body(body)
    }

    fn collector(&self) -> &Collector {
        self.collector.as_ref().unwrap()
    }

    fn see<T>(&self, topic: &str, mut see: impl FnMut(Record<'_>) -> Option<T>) -> Vec<T> {
        let batch = self.log.read(topic, 0, usize::MAX).unwrap();
        batch
            .iter()
            .filter_map(|(_, record)| see(Record::decode(record).unwrap()))
            .collect()
    }

    fn urls(&self) -> Vec<String> {
        self.see(topic::HITS_RAW, |record| match record {
            Record::Hit(hit) => Some(hit.url.to_owned()),
            _ => None,
        })
    }
}

async fn told(response: RequestBuilder) -> (StatusCode, Value) {
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(
        response
            .headers()
            .contains_key("access-control-allow-origin")
    );
    (response.status(), response.json().await.unwrap())
}

fn hit(path: &str) -> Value {
    json!({"site": "example.com", "url": format!("https://example.com{path}")})
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_form_of_body_is_taken_and_durable_when_answered() {
    let running = Running::plain().await;
    let lines = format!("{}\n{}\n", hit("/c"), hit("/d"));
    let packed = gzip(json!([hit("/e"), hit("/f")]).to_string().as_bytes());
    let bodies: Vec<(RequestBuilder, u64)> = vec![
        (
            running
                .post(hit("/a").to_string())
                .header("content-type", "application/json"),
            1,
        ),
        (
            running
                .post(json!([hit("/b")]).to_string())
                .header("content-type", "text/plain"),
            1,
        ),
        (running.post(lines), 2),
        (
            running
                .post(packed.clone())
                .header("content-encoding", "gzip"),
            2,
        ),
        (
            running
                .post(packed)
                .header("content-type", "text/plain;charset=UTF-8"),
            2,
        ),
        (
            running
                .post(hit("/g").to_string())
                .header("content-encoding", "gzip"),
            1,
        ),
    ];
    for (request, count) in bodies {
        assert_eq!(
            told(request).await,
            (StatusCode::OK, json!({"accepted": count}))
        );
    }
    let paths = ["/a", "/b", "/c", "/d", "/e", "/f", "/e", "/f", "/g"];
    assert_eq!(
        running.urls(),
        paths.map(|path| format!("https://example.com{path}"))
    );
    assert_eq!(running.collector().counts().accepted, 9);
}

#[tokio::test]
async fn a_hit_carries_what_was_sent_and_what_the_request_says() {
    let running = Running::plain().await;
    let sent = json!({
        "site": "Example.com", "url": "https://example.com/a", "type": "share", "id": "one",
        "time": NOW_MS - 1000, "referrer": "https://t.co/", "title": "T", "token": "tok",
        "app": "telegram", "name": "n", "value": 2.5, "status": 200,
        "props": "PROPS", "headers": {"sec-fetch-site": "none"},
    });
    // The macro would sort them.
    let sent = sent
        .to_string()
        .replace("\"PROPS\"", r#"{"z": 1, "a": "b"}"#);
    let request = running
        .post(sent)
        .header("accept-language", "de-DE")
        .header("sec-ch-ua", "\"Android WebView\";v=\"141\"")
        .header("x-requested-with", "org.telegram.messenger")
        .header("sec-purpose", "prefetch;prerender");
    assert_eq!(told(request).await.0, StatusCode::OK);
    let seen = running.see(topic::HITS_RAW, |record| {
        let Record::Hit(hit) = record else {
            return None;
        };
        assert_eq!(
            (hit.site, hit.kind, hit.protocol),
            ("example.com", HitKind::Share, Protocol::Native)
        );
        assert_eq!((hit.event_time, hit.received_time), (NOW_MS - 1000, NOW_MS));
        assert_eq!(
            (hit.referrer, hit.user_agent),
            (Some("https://t.co/"), "Test/1")
        );
        assert_eq!(
            (hit.language, hit.title, hit.status),
            (Some("de-DE"), Some("T"), Some(200))
        );
        assert_eq!(
            (hit.share_token, hit.app, hit.value),
            (Some("tok"), Some("telegram"), Some(2.5))
        );
        assert_eq!(hit.client_hints, Some("\"Android WebView\";v=\"141\""));
        assert_eq!(hit.requested_with, Some("org.telegram.messenger"));
        assert_eq!(hit.purpose, Some("prefetch;prerender"));
        assert_eq!(hit.fetch_site, Some("none"));
        let props: Vec<String> = hit
            .props
            .iter()
            .map(|prop| format!("{}={}", prop.name, prop.value))
            .collect();
        assert_eq!(props, ["z=1", "a=b"]);
        assert_eq!(hit.visitor_basis, VisitorBasis::Address);
        assert!(hit.visitor.is_some() && hit.network.is_some() && hit.client_id_given);
        Some(hit.hit_id)
    });
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_retry_with_an_id_has_the_same_identity_and_one_without_has_not() {
    let running = Running::plain().await;
    let with_id =
        |site: &str| json!({"site": site, "url": "https://a.example/", "id": "x"}).to_string();
    for body in [
        with_id("a"),
        with_id("a"),
        with_id("b"),
        hit("/").to_string(),
        hit("/").to_string(),
    ] {
        assert_eq!(told(running.post(body)).await.0, StatusCode::OK);
    }
    let ids = running.see(topic::HITS_RAW, |record| match record {
        Record::Hit(hit) => Some(hit.hit_id),
        _ => None,
    });
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert_ne!(ids[3], ids[4]);
}

#[tokio::test]
async fn good_hits_of_a_batch_are_taken_and_bad_ones_told_by_index_and_kept() {
    let running = Running::plain().await;
    let bad = json!({
        "site": "example.com", "url": "page", "colour": 1, "visitor": "reader-7",
        "title": "seen from 203.0.113.9", "address": "203.0.113.9",
    });
    let (status, answer) =
        told(running.post(json!([hit("/1"), bad, hit("/3"), 4]).to_string())).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["accepted"], 2);
    let rejected = answer["rejected"].as_array().unwrap();
    let fields: Vec<(u64, &str)> = rejected
        .iter()
        .map(|one| {
            (
                one["index"].as_u64().unwrap(),
                one["field"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(fields.len(), 3, "{rejected:?}");
    for expected in [(1, "url"), (1, "colour"), (3, "")] {
        assert!(fields.contains(&expected), "{fields:?}");
    }
    assert!(
        rejected
            .iter()
            .all(|one| one["error"].as_str().unwrap().len() > 10)
    );
    assert_eq!(running.urls().len(), 2);
    let letters = running.see(topic::DEAD_LETTERS, |record| {
        let Record::DeadLetter(letter) = record else {
            panic!("{record:?}")
        };
        assert_eq!(letter.stage, "collect");
        let payload = String::from_utf8_lossy(letter.payload).into_owned();
        Some((
            letter.position,
            letter.site.to_owned(),
            letter.reason.to_owned(),
            payload,
        ))
    });
    assert_eq!(
        (letters[0].0, &*letters[0].1, &*letters[0].2),
        (1, "example.com", "wrong_field")
    );
    assert!(letters[0].3.contains("colour"));
    assert!(
        !letters[0].3.contains("203.0.113") && !letters[0].3.contains("reader-7"),
        "{}",
        letters[0].3
    );
    assert_eq!(
        (letters[1].0, &*letters[1].2, &*letters[1].3),
        (3, "not_a_hit", "4")
    );
    let counts = running.collector().counts();
    assert_eq!((counts.accepted, counts.rejected), (2, 2));
}

#[tokio::test]
async fn a_broken_line_costs_only_itself() {
    let running = Running::plain().await;
    let body = format!("{}\n{{\"site\": oops\n{}", hit("/1"), hit("/2"));
    let (status, answer) = told(running.post(body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        (&answer["accepted"], &answer["rejected"][0]["index"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_reason_in_json() {
    let running = Running::plain().await;
    let zeros = vec![b' '; 9 * 1024 * 1024];
    let refusals = [
        (running.post(""), 400, "empty"),
        (running.post("site=a&url=b"), 400, "does not start with"),
        (running.post("[{}"), 400, "not valid JSON"),
        (
            running.post(&b"\x1f\x8b\x08garbage"[..]),
            400,
            "damaged gzip",
        ),
        (
            running.post("x").header("content-encoding", "gzip"),
            400,
            "not gzip",
        ),
        (
            running.post("x").header("content-encoding", "br"),
            415,
            "send gzip or plain",
        ),
        (running.post(zeros.clone()), 413, "has more than"),
        (running.post(gzip(&zeros)), 413, "unpacks to more than"),
        (
            running.post(format!("[{}]", vec!["1"; 10_001].join(","))),
            413,
            "10000 hits",
        ),
        (running.request(Method::GET, "/v1/hits"), 405, "takes POST"),
        (
            running.request(Method::POST, "/v1/pixel.gif"),
            405,
            "takes GET",
        ),
        (running.request(Method::GET, "/v1/other"), 404, "routes are"),
    ];
    for (request, status, words) in refusals {
        let (found, answer) = told(request).await;
        assert_eq!(found.as_u16(), status, "{answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
    assert!(running.urls().is_empty());
}

#[tokio::test]
async fn times_and_addresses_need_the_key() {
    let config = CollectorConfig {
        server_key: Some(KEY.to_owned()),
        ..CollectorConfig::default()
    };
    let running = Running::start(config).await;
    let with = |field: &str, value: Value| {
        let mut hit = hit("/");
        hit[field] = value;
        hit.to_string()
    };
    let far = [
        with("time", json!(NOW_MS + 11 * 60_000)),
        with("time", json!(NOW_MS - 8 * 86_400_000)),
        with("address", json!("203.0.113.9")),
    ];
    for body in &far {
        let (status, answer) = told(running.post(body.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            answer["rejected"][0]["error"]
                .as_str()
                .unwrap()
                .contains("Authorization: Bearer")
        );
        assert_eq!(
            told(running.post(body.clone()).bearer_auth(KEY)).await.0,
            StatusCode::OK
        );
        let (_, answer) = told(running.post(body.clone()).bearer_auth("guess")).await;
        assert_eq!(answer["accepted"], 0);
    }
    for near in [NOW_MS + 9 * 60_000, NOW_MS - 6 * 86_400_000] {
        assert_eq!(
            told(running.post(with("time", json!(near)))).await.0,
            StatusCode::OK
        );
    }
    for never in [-1, 4_200_000_000_000_i64] {
        let (status, _) = told(running.post(with("time", json!(never))).bearer_auth(KEY)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let visitors = running.see(topic::HITS_RAW, |record| match record {
        Record::Hit(hit) => Some(hit.visitor.is_some()),
        _ => None,
    });
    assert_eq!(
        visitors,
        [false, false, true, true, true],
        "a server's own address is nobody's"
    );
}

#[tokio::test]
async fn opting_out_leaves_no_visitor_and_is_counted() {
    let running = Running::plain().await;
    let off = Running::start(CollectorConfig {
        honour_dnt: false,
        ..CollectorConfig::default()
    })
    .await;
    let mut body = hit("/");
    body["visitor"] = json!("reader-7");
    for (server, header, opted_out) in [
        (&running, "sec-gpc", true),
        (&running, "dnt", true),
        (&off, "dnt", false),
        (&off, "sec-gpc", true),
    ] {
        let before = server.urls().len();
        let request = server.post(body.to_string()).header(header, "1");
        assert_eq!(told(request).await.0, StatusCode::OK);
        let seen = server.see(topic::HITS_RAW, |record| match record {
            Record::Hit(hit) => Some((hit.visitor, hit.network, hit.visitor_basis)),
            _ => None,
        });
        let (visitor, network, basis) = seen[before];
        assert_eq!(visitor.is_none() && network.is_none(), opted_out);
        let expected = if opted_out {
            VisitorBasis::None
        } else {
            VisitorBasis::Client
        };
        assert_eq!(basis, expected);
    }
    assert_eq!(running.collector().counts().opted_out, 2);
    assert_eq!(off.collector().counts().opted_out, 1);
}

#[tokio::test]
async fn forwarded_addresses_count_from_trusted_proxies_only() {
    let proxies = TrustedProxies::parse(["127.0.0.0/8"]).unwrap();
    let behind = Running::start(CollectorConfig {
        trusted_proxies: proxies,
        ..CollectorConfig::default()
    })
    .await;
    let open = Running::plain().await;
    for running in [&behind, &open] {
        for forwarded in ["203.0.113.1", "6.6.6.6, 203.0.113.1", "203.0.114.1"] {
            let request = running
                .post(hit("/").to_string())
                .header("x-forwarded-for", forwarded);
            assert_eq!(told(request).await.0, StatusCode::OK);
        }
    }
    let networks = |running: &Running| {
        running.see(topic::HITS_RAW, |record| match record {
            Record::Hit(hit) => Some((hit.visitor, hit.network)),
            _ => None,
        })
    };
    let (behind, open) = (networks(&behind), networks(&open));
    assert_eq!(
        behind[0], behind[1],
        "what stands left of it anybody can write"
    );
    assert!(behind[0].0 != behind[2].0 && behind[0].1 != behind[2].1);
    assert!(open.iter().all(|seen| *seen == open[0]));
}

#[tokio::test]
async fn only_listed_sites_are_taken() {
    let sites = vec![Site::parse("example.com").unwrap()];
    let running = Running::start(CollectorConfig {
        sites,
        ..CollectorConfig::default()
    })
    .await;
    assert_eq!(
        told(running.post(hit("/").to_string())).await.0,
        StatusCode::OK
    );
    let foreign = json!({"site": "other.example", "url": "https://other.example/"});
    let (status, answer) = told(running.post(foreign.to_string())).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["rejected"][0]["field"], "site");
}

async fn pixel(running: &Running, query: &str, referer: Option<&str>) -> Response {
    let mut request = running.request(Method::GET, &format!("/v1/pixel.gif{query}"));
    if let Some(referer) = referer {
        request = request.header("referer", referer);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn the_pixel_counts_a_page_by_query_or_referer() {
    let running = Running::plain().await;
    let query = "?site=example.com&url=https%3A%2F%2Fexample.com%2Fq%3Fa%3D1%26b&title=%C3%84&value=1.5&referrer=";
    for (query, referer) in [
        (query, None),
        ("?site=example.com", Some("https://example.com/r")),
    ] {
        let response = pixel(&running, query, referer).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "image/gif");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = response.bytes().await.unwrap();
        assert!(body.starts_with(b"GIF89a\x01\x00\x01\x00") && body.ends_with(b"\x3b"));
        assert_eq!(body.len(), 43);
    }
    let head = running.request(Method::HEAD, "/v1/pixel.gif?site=a&url=https://a.example/");
    assert_eq!(head.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        running.urls(),
        ["https://example.com/q?a=1&b", "https://example.com/r"]
    );
    let wrong = pixel(&running, "?site=example.com", None).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let answer: Value = wrong.json().await.unwrap();
    assert_eq!(answer["rejected"][0]["field"], "url");
}

#[tokio::test]
async fn any_page_may_send_and_read_every_answer() {
    let running = Running::plain().await;
    let origin = "https://page.example";
    let preflight = running
        .request(Method::OPTIONS, "/v1/hits")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "content-type, authorization",
        )
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        preflight.headers()["access-control-allow-headers"],
        "content-type, authorization"
    );
    assert!(
        preflight.headers()["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    let good = running.post(hit("/").to_string());
    let refused = running.post("nonsense");
    let absent = running.request(Method::GET, "/absent");
    for request in [good, refused, absent] {
        let response = request.header("origin", origin).send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
        assert_eq!(
            response.headers()["access-control-allow-credentials"],
            "true"
        );
        assert!(
            response.headers()["vary"]
                .to_str()
                .unwrap()
                .contains("origin")
        );
    }
}

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
