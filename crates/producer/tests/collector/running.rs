//! A collector on a local log, served over a real socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use grapevine_event::{Record, topic};
use grapevine_log::Log;
use grapevine_producer::collector::{AppenderThread, Collector, CollectorConfig, router, serve};
use grapevine_producer::pseudonym::Pseudonyms;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The collector's clock at its start.
pub(crate) const NOW_MS: i64 = 1_790_000_000_000;

/// A collector that is served, and what it wrote.
pub(crate) struct Running {
    base: String,
    pub(crate) client: Client,
    pub(crate) collector: Option<Collector>,
    pub(crate) thread: Option<AppenderThread>,
    pub(crate) log: Arc<Log>,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) stop: Option<tokio::sync::oneshot::Sender<()>>,
    pub(crate) served: Option<tokio::task::JoinHandle<()>>,
    _directory: TempDir,
}

impl Running {
    pub(crate) async fn start(config: CollectorConfig) -> Running {
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
        let stopped = async { drop(stopped.await) };
        let served = tokio::spawn(serve(listener, router(collector.clone()), stopped));
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

    pub(crate) async fn plain() -> Running {
        Running::start(CollectorConfig::default()).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .header("user-agent", "Test/1")
    }

    pub(crate) fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "/v1/hits").body(body)
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) fn collector(&self) -> &Collector {
        self.collector.as_ref().unwrap()
    }

    pub(crate) fn see<T>(
        &self,
        topic: &str,
        mut see: impl FnMut(Record<'_>) -> Option<T>,
    ) -> Vec<T> {
        let batch = self.log.read(topic, 0, usize::MAX).unwrap();
        batch
            .iter()
            .filter_map(|(_, record)| see(Record::decode(record).unwrap()))
            .collect()
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.see(topic::HITS_RAW, |record| match record {
            Record::Hit(hit) => Some(hit.url.to_owned()),
            _ => None,
        })
    }
}

/// Sends a request; status and answer.
pub(crate) async fn told(response: RequestBuilder) -> (StatusCode, Value) {
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(
        response
            .headers()
            .contains_key("access-control-allow-origin")
    );
    (response.status(), response.json().await.unwrap())
}

/// A page view as it is sent.
pub(crate) fn hit(path: &str) -> Value {
    json!({"site": "example.com", "url": format!("https://example.com{path}")})
}

/// Asks for the pixel.
pub(crate) async fn pixel(running: &Running, query: &str, referer: Option<&str>) -> Response {
    let mut request = running.request(Method::GET, &format!("/v1/pixel.gif{query}"));
    if let Some(referer) = referer {
        request = request.header("referer", referer);
    }
    request.send().await.unwrap()
}
