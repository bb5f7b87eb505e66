//! Who sends, and what they may say.

use grapevine_event::{Record, VisitorBasis, topic};
use grapevine_producer::collector::CollectorConfig;
use grapevine_producer::{Site, TrustedProxies};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::running::{NOW_MS, Running, hit, told};

const KEY: &str = "server-key-of-the-test";

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
