//! Framing against Apicurio's registry, away and back, with and without credentials, behind TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use grapevine_event::{Hit, Id, Record, RecordType, frame, topic};
use grapevine_kafka_testing::{Registry, TlsGate};
use grapevine_registry::{Client, Credentials, Frames, Opened, RegistryError};

/// Longest wait for an answer that has to come: the pause between two questions is 5 s at most.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(url: &str) -> Client {
    Client::new(url, Credentials::None, None).expect("an address")
}

fn hit() -> Vec<u8> {
    let mut hit = Vec::new();
    let id = Id::builder("test").number(1).finish();
    Hit::page_view(id, "example.org", 5, "https://example.org/")
        .encode(&mut hit)
        .expect("encodes");
    hit
}

/// The record that a message holds, whose id has to be met already.
fn record(frames: &Frames, message: &[u8]) -> Vec<u8> {
    match frames.open(message) {
        Opened::AsIs(record) => record.to_vec(),
        Opened::Record(head, datum) => [&head[..], datum].concat(),
        Opened::Unmet(id) => panic!("id {id} was not met"),
    }
}

#[test]
fn what_is_framed_is_read_by_any_process_and_what_is_not_ours_is_left_alone() {
    let mut registry = Registry::start().expect("a registry");
    let url = registry.url();
    let writer = Arc::new(Frames::new(client(&url)));
    let (hit, mut room) = (hit(), Vec::new());
    let early = writer.frame(topic::HITS_RAW, &hit, &mut room);
    assert!(early.expect_err("no id yet").is_away());
    writer.register().expect("registered");
    let message = writer.frame(topic::HITS_RAW, &hit, &mut room);
    let message = message.expect("framed").to_vec();
    let (id, _) = frame::of_framed(&message).expect("a frame");

    let reader = Arc::new(Frames::new(client(&url)));
    assert_eq!(reader.open(&message), Opened::Unmet(id));
    assert!(reader.learn(id, PATIENCE));
    assert_eq!(record(&reader, &message), hit);
    // A topic may hold both, and what has no place on a topic is not framed.
    assert_eq!(reader.open(&hit), Opened::AsIs(&hit));
    let passed = writer.frame(topic::VISITS, &hit, &mut room);
    assert_eq!(passed.expect("passes"), hit);

    // An edge of an earlier release is one of ours; an order of somebody else's is not.
    let released = include_str!("../../../schemas/released/0.1.0/edge.avsc");
    let id = client(&url).id_of("old", released).expect("taken");
    assert!(reader.learn(id, PATIENCE));
    let message = [&frame::framed_head(id)[..], &[2]].concat();
    let kind = Record::kind_of(&record(&reader, &message)).expect("known");
    assert_eq!(kind, RecordType::Edge);
    let foreign = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"n","type":"long"}]}"#;
    let order = client(&url).id_of("orders", foreign).expect("taken");
    for id in [order, 4_000_000_000] {
        assert!(reader.learn(id, PATIENCE));
        let message = [&frame::framed_head(id)[..], &[2]].concat();
        assert_eq!(reader.open(&message), Opened::AsIs(&message));
        let words = Record::decode(&message).expect_err("no record").to_string();
        assert!(words.contains(&format!("id {id}")), "{words}");
    }

    // Away: what was met goes on, the rest waits and is answered once it is back.
    registry.kill();
    let unmet = Arc::new(Frames::new(client(&url)));
    assert!(!unmet.learn(77, Duration::from_millis(500)));
    assert!(
        unmet
            .trouble()
            .is_some_and(|trouble| trouble.contains("away"))
    );
    assert!(unmet.register().expect_err("away").is_away());
    let message = writer.frame(topic::HITS_RAW, &hit, &mut room);
    assert_eq!(record(&writer, message.expect("framed")), hit);
    registry.start_again().expect("back");
    // The question stands, whether somebody waits or not.
    assert!(unmet.learn(77, PATIENCE));
    assert_eq!(unmet.trouble(), None);
    unmet.register().expect("registered again");
}

#[test]
fn a_schema_that_breaks_the_rule_is_refused_with_the_registrys_words() {
    let registry = Registry::start().expect("a registry");
    let url = registry.url();
    let http = reqwest::blocking::Client::new();
    let rule = (http.put(format!("{url}/config")))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(r#"{"compatibility":"FULL"}"#)
        .send()
        .expect("answers");
    assert!(rule.status().is_success(), "{rule:?}");
    let other = r#"{"type":"record","name":"Hit","namespace":"grapevine","fields":[{"name":"n","type":"long"}]}"#;
    client(&url).id_of("hits.raw-value", other).expect("taken");
    let refused = Frames::new(client(&url)).register().expect_err("refused");
    assert!(
        matches!(&refused, RegistryError::Incompatible { subject, .. } if subject == "hits.raw-value"),
        "{refused}"
    );
    let broken = client(&url).id_of("Y", "{\"type\":\"nothing\"}");
    assert!(!broken.expect_err("no schema").is_away());
}

#[test]
fn processes_that_start_together_find_the_same_ids() {
    let registry = Registry::start().expect("a registry");
    let url = registry.url();
    let (hit, all) = (hit(), [(); 4].map(|()| Frames::new(client(&url))));
    std::thread::scope(|scope| {
        for frames in &all {
            scope.spawn(|| frames.register().expect("registered"));
        }
    });
    let framed = all.each_ref().map(|frames| {
        let mut room = Vec::new();
        let message = frames.frame(topic::HITS_RAW, &hit, &mut room);
        message.expect("framed").to_vec()
    });
    assert!(framed.iter().all(|message| *message == framed[0]));
}

/// Lets through to `to` who shows `authorization`: a company's gateway before its registry.
fn gateway(to: String, authorization: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let host = to.trim_start_matches("http://").split('/').next();
    let host = host.expect("a host").to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = pass(stream, &host, authorization);
        }
    });
    to.replacen(to.split("/apis").next().expect("a base"), &url, 1)
}

fn pass(stream: TcpStream, host: &str, authorization: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let (mut head, mut length, mut shown) = (String::new(), 0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if lower.starts_with("authorization:") {
            shown = line["authorization:".len()..].trim().to_owned();
            continue;
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut stream = reader.into_inner();
    if shown != authorization {
        return stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        );
    }
    let mut registry = TcpStream::connect(host)?;
    write!(registry, "{head}Connection: close\r\n\r\n")?;
    registry.write_all(&body)?;
    std::io::copy(&mut registry, &mut stream)?;
    Ok(())
}

#[test]
fn credentials_are_shown_and_their_lack_is_said() {
    let registry = Registry::start().expect("a registry");
    let basic = Credentials::Basic {
        user: "me".to_owned(),
        password: "hush".to_owned(),
    };
    for (credentials, authorization) in [
        (basic, "Basic bWU6aHVzaA=="),
        (Credentials::Bearer("t0ken".to_owned()), "Bearer t0ken"),
    ] {
        let url = gateway(registry.url(), authorization);
        let let_in = Client::new(&url, credentials, None).expect("an address");
        Frames::new(let_in).register().expect("let in");
        let refused = Frames::new(client(&url)).register();
        let refused = refused.expect_err("not let in");
        assert!(!refused.is_away());
        assert!(refused.to_string().contains("registry.user"), "{refused}");
    }
}

/// TLS before a registry, and its address there.
fn behind_tls(to: &str) -> (TlsGate, String) {
    let (base, path) = to.split_once("/apis").expect("an interface");
    let registry = base.trim_start_matches("http://").parse();
    let gate = TlsGate::start(registry.expect("an address")).expect("a gate");
    let url = format!("https://localhost:{}/apis{path}", gate.port());
    (gate, url)
}

#[test]
fn over_tls_only_the_authority_that_is_named_counts() {
    let registry = Registry::start().expect("a registry");
    let (gate, url) = behind_tls(&registry.url());
    let registered = |ca: Option<&str>| {
        let ca = ca.map(str::as_bytes);
        let client = Client::new(&url, Credentials::None, ca).expect("an address");
        Frames::new(client).register()
    };
    registered(Some(gate.authority())).expect("let in");
    let (other, _) = behind_tls(&registry.url());
    for wrong in [Some(other.authority()), None] {
        let refused = registered(wrong).expect_err("not trusted");
        // A certificate may be replaced there as well as here: it is waited for.
        assert!(refused.is_away(), "{refused}");
        let words = refused.to_string();
        assert!(words.contains("certificate"), "{words}");
        assert!(words.contains("registry.ca"), "{words}");
    }
}
