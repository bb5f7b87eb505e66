//! What is taken of a body, and what of it is on the log then.

use grapevine_event::{HitKind, Protocol, Record, VisitorBasis, topic};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::running::{NOW_MS, Running, hit, told};
use crate::web::gzip;

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
async fn a_batch_that_repeats_long_headers_is_refused_whole_and_taken_in_parts() {
    let running = Running::plain().await;
    let long = "x".repeat(4096);
    let send = |hits: usize| {
        let body = vec![hit("/").to_string(); hits].join("\n");
        let request = running.post(gzip(body.as_bytes()));
        ["sec-ch-ua", "x-requested-with", "sec-purpose"]
            .iter()
            .fold(request, |request, name| request.header(*name, &long))
    };
    let (status, answer) = told(send(10_000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    assert_eq!(answer["accepted"], 0);
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("send them in several requests"), "{error}");
    assert!(running.urls().is_empty());
    let part = told(send(500)).await;
    assert_eq!(part, (StatusCode::OK, json!({"accepted": 500})));
    assert_eq!(running.urls().len(), 500);
    let counts = running.collector().counts();
    assert_eq!((counts.refused, counts.accepted), (1, 500));
}

#[tokio::test]
async fn a_hit_that_is_wrong_at_any_length_spoils_nothing_for_others() {
    let running = Running::plain().await;
    // Its name is nearly as long as the largest record.
    let name = "x".repeat(8 * 1024 * 1024 - 100);
    let wrong = format!("{{\"{name}\":1}}");
    let (status, answer) = told(running.post(wrong)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.to_string().len() < 4096);
    let letters = running.see(topic::DEAD_LETTERS, |record| match record {
        Record::DeadLetter(letter) => Some((letter.payload.len(), letter.payload_length)),
        _ => None,
    });
    let sent = 8 * 1024 * 1024 - 100 + 6;
    assert_eq!(letters, [(64 * 1024, sent)]);
    assert_eq!(running.collector().trouble(), None);
}
