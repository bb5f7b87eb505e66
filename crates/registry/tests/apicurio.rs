//! Framing against Apicurio's registry, away and back, with and without credentials.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use grapevine_event::{Heartbeat, Hit, Id, Record};
use grapevine_kafka_testing::Registry;
use grapevine_registry::{Client, Credentials, Frames, RegistryError};

fn client(url: &str) -> Client {
    Client::new(url, &Credentials::None).expect("an address")
}

fn records() -> Vec<Vec<u8>> {
    let mut hit = Vec::new();
    let id = Id::builder("test").number(1).finish();
    Hit::page_view(id, "example.org", 5, "https://example.org/")
        .encode(&mut hit)
        .expect("encodes");
    let mut heartbeat = Vec::new();
    Heartbeat {
        event_time: 7,
        source: "collector",
    }
    .encode(&mut heartbeat)
    .expect("encodes");
    vec![hit, heartbeat]
}

#[test]
fn what_is_framed_is_unframed_by_any_process() {
    let mut registry = Registry::start().expect("a registry");
    let url = registry.url();
    let writer = Frames::of(client(&url)).expect("registered");
    let reader = Frames::of(client(&url)).expect("found");
    let (mut framed, mut unframed) = (Vec::new(), Vec::new());
    for record in records() {
        let message = writer.frame(&record, &mut framed);
        assert_eq!(message[0], 0);
        assert_eq!(message.len(), record.len() - 5);
        let back = reader.unframe(message, &mut unframed).expect("known");
        assert_eq!(back, record);
        // A topic may hold both.
        let plain = reader.unframe(&record, &mut unframed).expect("passes");
        assert_eq!(plain, record);
    }

    // A schema of somebody else: found, and no record of ours.
    let foreign = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"n","type":"long"}]}"#;
    let id = client(&url).id_of("shop.Order", foreign).expect("taken");
    let message = [&[0][..], &id.to_be_bytes(), &[2]].concat();
    let back = reader.unframe(&message, &mut unframed).expect("known");
    let words = Record::decode(back).expect_err("no record").to_string();
    assert!(words.contains(&format!("id {id}")), "{words}");

    // An id that nobody has.
    let message = [&[0][..], &4_000_000_000_u32.to_be_bytes(), &[2]].concat();
    let back = reader.unframe(&message, &mut unframed).expect("answered");
    assert_eq!(back, message);
    let words = Record::decode(back).expect_err("no record").to_string();
    assert!(
        words.contains("4000000000") && words.contains("registry"),
        "{words}"
    );

    // Away: what was met goes on, the rest waits.
    registry.kill();
    let [hit, _] = &records()[..] else {
        panic!("two records");
    };
    let message = writer.frame(hit, &mut framed).to_vec();
    assert_eq!(reader.unframe(&message, &mut unframed).expect("met"), hit);
    let unmet = [&[0][..], &77_u32.to_be_bytes(), &[2]].concat();
    let away = reader.unframe(&unmet, &mut unframed).expect_err("away");
    assert!(away.is_away(), "{away}");
    let away = Frames::of(client(&url)).expect_err("away");
    assert!(away.is_away(), "{away}");
    registry.start_again().expect("back");
    Frames::of(client(&url)).expect("registered again");
}

#[test]
fn a_schema_that_breaks_the_rule_is_refused_with_the_registrys_words() {
    let registry = Registry::start().expect("a registry");
    let client = client(&registry.url());
    let long = r#"{"type":"record","name":"X","fields":[{"name":"n","type":"long"}]}"#;
    client.id_of("X", long).expect("taken");
    let broken = client
        .id_of("Y", "{\"type\":\"nothing\"}")
        .expect_err("no schema");
    assert!(
        matches!(&broken, RegistryError::Incompatible { subject, .. } if subject == "Y"),
        "{broken}"
    );
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
        let client = Client::new(&url, &credentials).expect("an address");
        Frames::of(client).expect("let in");
        let stranger = Client::new(&url, &Credentials::None).expect("an address");
        let refused = Frames::of(stranger).expect_err("not let in");
        assert!(!refused.is_away());
        assert!(refused.to_string().contains("registry.user"), "{refused}");
    }
}
