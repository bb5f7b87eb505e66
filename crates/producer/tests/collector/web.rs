//! What a request has to be, and what browsers need of the answers.

use std::io::Write;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::running::{Running, hit, pixel, told};

/// A body as it is sent packed.
pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
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
