use proptest::prelude::*;

use super::*;

fn parsed(line: &str) -> Line<'_> {
    parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn target<'a>(line: &'a Line<'_>) -> &'a str {
    match &line.request {
        Request::Line { target, .. } => target,
        other => panic!("{other:?}"),
    }
}

const REST: &str = r#"[10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326"#;

#[test]
fn common_combined_and_vhost_combined() {
    let common = parsed(concat!(
        r#"192.0.2.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.html HTTP/1.0" 200 2326"#,
        "\r\n"
    ));
    assert_eq!(common.client, Client::Address("192.0.2.1".parse().unwrap()));
    assert_eq!(common.time_ms, 971_211_336_000);
    assert_eq!(common.status, Some(200));
    assert_eq!(common.bytes, Some(2326));
    assert_eq!(common.format, Format::Common);
    assert_eq!(
        common.request,
        Request::Line {
            method: "GET",
            target: "/a.html".into(),
            version: Some("HTTP/1.0")
        }
    );
    let line =
        format!(r#"www.example.com:443 2001:db8::1 - - {REST} "https://a/?q=%22" "Mozilla/5.0""#);
    let combined = parsed(&line);
    let host = combined.virtual_host.as_ref().unwrap();
    assert_eq!((&*host.name, host.port), ("www.example.com", Some(443)));
    assert_eq!(
        combined.client,
        Client::Address("2001:db8::1".parse().unwrap())
    );
    assert_eq!(combined.referrer.as_deref(), Some("https://a/?q=%22"));
    assert_eq!(combined.user_agent.as_deref(), Some("Mozilla/5.0"));
    assert_eq!(combined.format, Format::Combined);
}

#[test]
fn who_stands_where_before_the_time() {
    let host = |name: &'static str| Client::HostName(name.into());
    let address = |text: &str| Client::Address(text.parse().unwrap());
    for (head, virtual_host, client) in [
        ("192.0.2.1 - -", None, address("192.0.2.1")),
        ("192.0.2.1 - John Smith", None, address("192.0.2.1")),
        ("192.0.2.1 - [odd] user", None, address("192.0.2.1")),
        ("fe80::1%eth0 - -", None, address("fe80::1")),
        ("host.isp.example - -", None, host("host.isp.example")),
        (
            "host.isp.example - John Smith",
            None,
            host("host.isp.example"),
        ),
        ("- - -", None, Client::Unknown),
        ("unix: - -", None, Client::Unknown),
        (
            "a.example 192.0.2.1 - -",
            Some(("a.example", None)),
            address("192.0.2.1"),
        ),
        (
            "a.example:80 host.isp.example - -",
            Some(("a.example", Some(80))),
            host("host.isp.example"),
        ),
        (
            "a.example host.isp.example - -",
            Some(("a.example", None)),
            host("host.isp.example"),
        ),
        (
            "203.0.113.5:80 192.0.2.1 - -",
            Some(("203.0.113.5", Some(80))),
            address("192.0.2.1"),
        ),
        (
            "[2001:db8::5]:80 ::1 - -",
            Some(("[2001:db8::5]", Some(80))),
            address("::1"),
        ),
    ] {
        let text = format!("{head} {REST}");
        let line = parsed(&text);
        let found = line
            .virtual_host
            .as_ref()
            .map(|host| (&*host.name, host.port));
        assert_eq!(found, virtual_host, "{head}");
        assert_eq!(line.client, client, "{head}");
    }
}

#[test]
fn escapes_of_both_servers_are_undone() {
    for (escaped, text) in [
        (r"/caf\xC3\xA9", "/café"),
        (r"/caf\xc3\xa9", "/café"),
        (r"/a\x22b\x5Cc", "/a\"b\\c"),
        (r#"/a\"b\\c\td"#, "/a\"b\\c\td"),
        (r"/a\x5Cx41", r"/a\x41"),
        (r"/\xFF", "/\u{FFFD}"),
        (r"/\xG1\q", r"/\xG1\q"),
    ] {
        let line = format!(
            r#"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "GET {escaped} HTTP/1.1" 200 1 "{escaped}" "{escaped}""#
        );
        let line = parsed(&line);
        assert_eq!(target(&line), text);
        assert_eq!(line.referrer.as_deref(), Some(text));
        assert_eq!(line.user_agent.as_deref(), Some(text));
    }
}

#[test]
fn only_escaped_fields_are_copied() {
    let line = format!(r#"192.0.2.1 - - {REST} "https://a/" "b""#);
    let line = parsed(&line);
    assert!(matches!(line.referrer, Some(Cow::Borrowed(_))));
    assert!(matches!(
        line.request,
        Request::Line {
            target: Cow::Borrowed(_),
            ..
        }
    ));
}

#[test]
fn requests_of_all_kinds() {
    let request = |text: &'static str| {
        let line = format!(r#"192.0.2.1 - - [10/Oct/2000:13:55:36 +0000] "{text}" 400 0 "-" "-""#);
        match parse(line.as_bytes()).unwrap().request {
            Request::Empty => "empty".to_owned(),
            Request::Malformed(text) => format!("malformed {}", text.len()),
            Request::Line {
                method,
                target,
                version,
            } => format!("{method}|{target}|{version:?}"),
        }
    };
    assert_eq!(request(""), "empty");
    assert_eq!(request("-"), "empty");
    assert_eq!(request(r"\x16\x03\x01\x02\x00"), "malformed 5");
    assert_eq!(request("BADREQUEST"), "malformed 10");
    assert_eq!(request("get / HTTP/1.1"), "malformed 14");
    assert_eq!(request("GET / HTTP/2.0"), "GET|/|Some(\"HTTP/2.0\")");
    assert_eq!(request("GET /old"), "GET|/old|None");
    assert_eq!(
        request("GET /a b c HTTP/1.1"),
        "GET|/a b c|Some(\"HTTP/1.1\")"
    );
    assert_eq!(
        request("GET http://a.example/x HTTP/1.1"),
        "GET|http://a.example/x|Some(\"HTTP/1.1\")"
    );
    assert_eq!(
        request("OPTIONS * HTTP/1.1"),
        "OPTIONS|*|Some(\"HTTP/1.1\")"
    );
    assert_eq!(
        request("VERSION-CONTROL /x HTTP/1.1"),
        "VERSION-CONTROL|/x|Some(\"HTTP/1.1\")"
    );
}

#[test]
fn absent_and_empty_headers_differ() {
    let line = format!(r#"192.0.2.1 - - {REST} "-" """#);
    let line = parsed(&line);
    assert_eq!(line.referrer, None);
    assert_eq!(line.user_agent.as_deref(), Some(""));
    let line = parsed(r#"192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "-" - - "" "-""#);
    assert_eq!((line.status, line.bytes), (None, None));
    assert_eq!(line.referrer.as_deref(), Some(""));
    assert_eq!(line.user_agent, None);
}

#[test]
fn what_follows_is_passed_over_but_forwarded_addresses() {
    for (rest, forwarded) in [
        (r#" "203.0.113.9, 10.0.0.1""#, Some("203.0.113.9, 10.0.0.1")),
        (r#" "2001:db8::1""#, Some("2001:db8::1")),
        (r#" "-""#, None),
        (r#" 0.005 "203.0.113.9" .."#, Some("203.0.113.9")),
        (r#" rt=0.1 "text/html""#, None),
        (" 0.005 1234", None),
        (" \"cut", None),
    ] {
        let line = format!(r#"192.0.2.1 - - {REST} "-" "ua"{rest}"#);
        assert_eq!(parsed(&line).forwarded_for.as_deref(), forwarded, "{rest}");
    }
    assert_eq!(
        parsed(&format!("192.0.2.1 - - {REST} 0.005")).format,
        Format::Common
    );
}

#[test]
fn times_of_all_zones() {
    let time = |text: &str| {
        let line = format!(r#"192.0.2.1 - - [{text}] "GET / HTTP/1.1" 200 1"#);
        parse(line.as_bytes())
            .map(|line| line.time_ms)
            .map_err(|error| error.position)
    };
    assert_eq!(time("01/Jan/1970:00:00:00 +0000"), Ok(0));
    assert_eq!(time("01/Jan/1970:05:30:00 +0530"), Ok(0));
    assert_eq!(time("31/Dec/1969:16:00:00 -0800"), Ok(0));
    assert_eq!(time("31/Dec/1969:23:59:59 +0000"), Ok(-1000));
    assert_eq!(time("01/jan/1970:00:00:00.0075 +00:00"), Ok(7));
    assert_eq!(time("01/Jan/1970:00:00:00 Z"), Ok(0));
    assert_eq!(time("01/Jan/1970:00:00:00"), Ok(0));
    assert_eq!(
        time("31/Dec/2016:23:59:60 +0000"),
        time("01/Jan/2017:00:00:00 +0000"),
        "leap second"
    );
    assert_eq!(time("29/Feb/2024:12:00:00 +0000"), Ok(1_709_208_000_000));
    assert!(time("31/Dec/9998:23:59:59 +0000").unwrap() > 250_000_000_000_000);
    // `[` stands at 14: positions are of the line.
    for (text, position) in [
        ("29/Feb/2023:12:00:00 +0000", 15),
        ("10/Okt/2000:13:55:36 +0000", 18),
        ("10/Oct/2000 13:55:36 +0000", 26),
        ("10/Oct/2000:13:55:xx +0000", 33),
        ("10/Oct/2000:13:55:36 0700", 36),
        ("10/Oct/2000:13:55:36 +9900", 37),
        ("10/Oct/2000:24:00:00 +0000", 15),
    ] {
        assert_eq!(time(text), Err(position), "{text}");
    }
}

#[test]
fn every_error_is_named_and_placed() {
    let cut = |text: &'static str| parse(text.as_bytes()).unwrap_err();
    for (text, reason, position) in [
        ("", Reason::Empty, 0),
        ("  \r\n", Reason::Empty, 0),
        ("hello world", Reason::NoTime, 0),
        ("192.0.2.1 - - [yesterday]", Reason::BadTime, 15),
        ("[10/Oct/2000:13:55:36 -0700]", Reason::NoClient, 0),
        ("192.0.2.1 - - [10/Oct/2000:13", Reason::TimeOpen, 29),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700]",
            Reason::NoRequest,
            42,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /",
            Reason::RequestOpen,
            49,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\\",
            Reason::RequestOpen,
            50,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\"",
            Reason::NoStatus,
            50,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 20 1",
            Reason::BadStatus,
            51,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200",
            Reason::NoSize,
            54,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200 +1",
            Reason::BadSize,
            55,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200 1 \"ht",
            Reason::ReferrerOpen,
            60,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200 1 \"-\"",
            Reason::NoUserAgent,
            60,
        ),
        (
            "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200 1 \"-\" \"M",
            Reason::UserAgentOpen,
            63,
        ),
    ] {
        let error = cut(text);
        assert_eq!((error.reason, error.position), (reason, position), "{text}");
        assert!(
            error
                .to_string()
                .ends_with(&format!("(at byte {position})"))
        );
    }
    let mut names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), Reason::ALL.len());
}

/// A line written by rules of its own, not by the parser's.
#[derive(Clone, Debug)]
struct Written {
    virtual_host: Option<(String, Option<u16>)>,
    client: std::net::IpAddr,
    user: String,
    time_s: i64,
    zone_minutes: i64,
    method: String,
    target: String,
    status: u16,
    bytes: Option<u64>,
    headers: Option<(Option<String>, Option<String>)>,
    nginx: bool,
    rest: String,
}

impl Written {
    fn escaped(&self, text: &str) -> String {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b'"' if self.nginx => out.push_str(r"\x22"),
                b'\\' if self.nginx => out.push_str(r"\x5C"),
                b'"' => out.push_str("\\\""),
                b'\\' => out.push_str(r"\\"),
                b'\n' if !self.nginx => out.push_str(r"\n"),
                b'\t' if !self.nginx => out.push_str(r"\t"),
                0x20..0x7F => out.push(char::from(byte)),
                _ if self.nginx => out.push_str(&format!("\\x{byte:02X}")),
                _ => out.push_str(&format!("\\x{byte:02x}")),
            }
        }
        out
    }

    fn line(&self) -> String {
        let local = jiff::Timestamp::from_second(self.time_s + self.zone_minutes * 60).unwrap();
        let time = jiff::tz::Offset::UTC
            .to_datetime(local)
            .strftime("%d/%b/%Y:%H:%M:%S");
        let sign = if self.zone_minutes < 0 { '-' } else { '+' };
        let minutes = self.zone_minutes.abs();
        let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
        let mut line = String::new();
        if let Some((name, port)) = &self.virtual_host {
            line.push_str(name);
            if let Some(port) = port {
                line.push_str(&format!(":{port}"));
            }
            line.push(' ');
        }
        line.push_str(&format!(
            "{} - {} [{time} {zone}] \"{} {} HTTP/1.1\" {} {}",
            self.client,
            self.user,
            self.method,
            self.escaped(&self.target),
            self.status,
            self.bytes.map_or("-".to_owned(), |bytes| bytes.to_string()),
        ));
        if let Some((referrer, agent)) = &self.headers {
            let field =
                |text: &Option<String>| text.as_ref().map_or("-".to_owned(), |t| self.escaped(t));
            line.push_str(&format!(" \"{}\" \"{}\"", field(referrer), field(agent)));
            line.push_str(&self.rest);
        }
        line
    }
}

fn written() -> impl Strategy<Value = Written> {
    let header = || proptest::option::of("[^-]\\PC{0,40}|[\\x00-\\xff]{2,20}");
    let client = prop_oneof![
        any::<[u8; 4]>().prop_map(std::net::IpAddr::from),
        any::<[u8; 16]>().prop_map(std::net::IpAddr::from),
    ];
    let head = (
        proptest::option::of(("[a-z]{1,10}\\.example", proptest::option::of(any::<u16>()))),
        client,
        prop_oneof![Just("-".to_owned()), "[a-z\\[]{2,8}( [a-z]{2,8})?"],
        -10_000_000_000_i64..200_000_000_000,
        -14 * 60..=14 * 60_i64,
    );
    let request = (
        "[A-Z]{3,8}",
        "/[\\x21-\\x7e\\u{80}-\\u{10ffff}\t]{0,40}",
        100_u16..600,
        any::<Option<u64>>(),
    );
    let rest = prop_oneof![
        Just(String::new()),
        Just(" 0.005".to_owned()),
        Just(" \"-\" x".to_owned())
    ];
    (
        head,
        request,
        proptest::option::of((header(), header())),
        any::<bool>(),
        rest,
    )
        .prop_map(
            |(
                (virtual_host, client, user, time_s, zone_minutes),
                (method, target, status, bytes),
                headers,
                nginx,
                rest,
            )| {
                Written {
                    virtual_host,
                    client,
                    user,
                    time_s,
                    zone_minutes,
                    method,
                    target,
                    status,
                    bytes,
                    headers,
                    nginx,
                    rest,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read(written in written()) {
        let text = written.line();
        let line = parse(text.as_bytes()).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        let host = line.virtual_host.map(|host| (host.name.into_owned(), host.port));
        prop_assert_eq!(host, written.virtual_host.clone(), "{}", text);
        prop_assert_eq!(line.client, Client::Address(written.client));
        prop_assert_eq!(line.time_ms, written.time_s * 1000);
        let expected = Request::Line {
            method: &written.method,
            target: written.target.as_str().into(),
            version: Some("HTTP/1.1"),
        };
        prop_assert_eq!(line.request, expected, "{}", text);
        prop_assert_eq!(line.status, Some(written.status));
        prop_assert_eq!(line.bytes, written.bytes);
        let (referrer, agent) = written.headers.clone().unwrap_or_default();
        prop_assert_eq!(line.referrer.as_deref(), referrer.as_deref());
        prop_assert_eq!(line.user_agent.as_deref(), agent.as_deref());
        prop_assert_eq!(line.format == Format::Combined, written.headers.is_some());
    }

    #[test]
    fn a_line_cut_anywhere_or_with_a_byte_changed_gives_a_line_or_an_error_within_it(
        written in written(), at: prop::sample::Index, byte: u8,
    ) {
        let text = written.line().into_bytes();
        let at = at.index(text.len());
        let mut changed = text.clone();
        changed[at] = byte;
        for bytes in [&text[..at], &changed] {
            if let Err(error) = parse(bytes) {
                prop_assert!(error.position <= bytes.len());
            }
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(error.position <= bytes.len());
        }
    }
}
