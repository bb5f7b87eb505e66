//! What becomes of each line of one content.

use std::path::Path;

use super::super::*;
use super::home::*;

#[test]
fn every_line_is_accounted_for() {
    let home = Home::new(LIMITS);
    let combined = |request: &str, status: u16, agent: &str| {
        format!(
            "192.0.2.1 - - [10/Oct/2020:13:55:36 +0000] \"{request}\" {status} 12 \"-\" \"{agent}\"\n"
        )
    };
    let person = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0";
    let content = [
        combined("GET /article HTTP/1.1", 200, person),
        combined("GET /article HTTP/1.1", 304, person),
        combined("GET /article HTTP/1.1", 200, "WhatsApp/2.23.20.0"),
        combined("GET /article HTTP/1.1", 404, "WhatsApp/2.23.20.0"),
        combined(
            "GET /article HTTP/1.1",
            200,
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ),
        combined("GET /style.css HTTP/1.1", 200, person),
        combined("GET /robots.txt HTTP/1.1", 200, person),
        combined("GET /old HTTP/1.1", 301, person),
        combined("GET /gone HTTP/1.1", 404, person),
        combined("POST /form HTTP/1.1", 200, person),
        combined(r"\x16\x03\x01", 400, "-"),
        combined("GET http://elsewhere.example/ HTTP/1.1", 200, person),
        combined("GET http://www.example.com/own HTTP/1.1", 200, person),
        "\n".to_owned(),
        "garbage from 203.0.113.7\n".to_owned(),
        "192.0.2.9 - - [10/Oct/1960:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1\n".to_owned(),
        "192.0.2.9 - - [10/Oct/2160:13:55:36 +0000] \"GET / HTTP/1.1\" 200 1\n".to_owned(),
        "192.0.2.9 - - [10/Oct/2019:13:55:36 +0000] \"GET /back HTTP/1.1\" 200 1\n".to_owned(),
    ]
    .concat();
    let summary = home.import(content.as_bytes()).unwrap();
    // A common line has no user agent: nobody can tell that it is a person.
    assert_eq!(
        (summary.people, summary.previews, summary.robots),
        (3, 1, 2)
    );
    for reason in [
        Skip::Asset,
        Skip::Machine,
        Skip::Redirect,
        Skip::NotGet,
        Skip::BadRequest,
        Skip::ForeignHost,
    ] {
        assert_eq!(
            summary.skipped.get(&reason),
            Some(&1),
            "{reason:?}: {summary:?}"
        );
    }
    assert_eq!(summary.skipped[&Skip::ErrorStatus], 2);
    assert_eq!(summary.blank, 1);
    for reason in ["no_time", "time_before_1970", "time_in_future"] {
        assert_eq!(summary.dead_letters[reason], 1);
    }
    assert_eq!(summary.went_back, 1);
    let counted = summary.known + summary.hits() + summary.skipped_total();
    assert_eq!(
        counted + summary.dead_letters_total() + summary.blank,
        summary.lines
    );
    assert_eq!(summary.lines, 18);
    assert_eq!(summary.first_time, Some(1_570_715_736_000));
    assert_eq!(home.heartbeats(), [summary.last_time.unwrap()]);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["skipped"]["error_status"], 2);

    let hits = home.hits();
    assert_eq!(hits[0].url, "https://example.com/article");
    assert_eq!(hits[4].url, "https://www.example.com/own");
    assert_eq!(hits[0].visitor, hits[1].visitor);
    assert_ne!(hits[0].visitor, hits[2].visitor, "another agent");
    let mut details = Vec::new();
    home.letters(|letter| {
        assert_eq!(
            (letter.stage, letter.site, letter.source),
            ("import", "example.com", "access.log")
        );
        details.push((
            letter.position,
            String::from_utf8_lossy(letter.payload).into_owned(),
        ));
    });
    assert_eq!(details[0], (15, "garbage from [address]".to_owned()));
    assert_eq!(details[1].0, 16);
}

#[test]
fn a_line_of_megabytes_is_a_dead_letter_with_its_beginning() {
    let home = Home::new(LIMITS);
    let long = format!("192.0.2.1 {}\n", "x".repeat(3_000_000));
    let content = format!("{}{long}{}", pages(0..2), pages(2..4));
    let summary = home.import(content.as_bytes()).unwrap();
    assert_eq!(
        (summary.hits(), summary.dead_letters["line_too_long"]),
        (4, 1)
    );
    home.letters(|letter| {
        assert_eq!(letter.payload_length, 3_000_010);
        assert_eq!(letter.payload.len(), LINE_BYTES_MAX);
        assert!(letter.payload.starts_with(b"[address] xxx"));
        assert_eq!(letter.position, 3);
    });
    assert_eq!(home.import(content.as_bytes()).unwrap().known, 5);
    let cut = &content.as_bytes()[..2_000_000];
    assert_eq!(
        home.import(cut).unwrap().known,
        2,
        "cut within the long line"
    );
}

#[test]
fn what_decodes_to_more_than_a_hit_may_have_is_a_dead_letter() {
    let home = Home::new(LIMITS);
    let request = |path: &[u8]| {
        let text = line(1, "/PATH");
        let (before, after) = text.split_once("PATH").unwrap();
        [before.as_bytes(), path, after.as_bytes()].concat()
    };
    // Each byte that is no UTF-8 becomes three.
    let content = [request(&[0xFF; 30_000]), request(&[b'a'; 30_000])].concat();
    let summary = home.import(&content).unwrap();
    assert_eq!(
        (summary.hits(), summary.dead_letters["url_too_long"]),
        (1, 1)
    );
}

#[test]
fn binary_garbage_is_dead_letters_and_stops_nothing() {
    let home = Home::new(LIMITS);
    let mut garbage: Vec<u8> = (0..50_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    garbage.push(b'\n');
    let lines = garbage.iter().filter(|byte| **byte == b'\n').count() as u64;
    let content = [garbage, pages(0..3).into_bytes()].concat();
    let summary = home.import(&content).unwrap();
    assert_eq!(summary.hits(), 3);
    assert_eq!(summary.dead_letters_total() + summary.blank, lines);
    assert_eq!(home.letters(|_| ()) as u64, summary.dead_letters_total());
    assert!(summary.first_dead_letter.is_some());
}

#[test]
fn what_cannot_be_imported_says_why() {
    let home = Home::new(LIMITS);
    let error = |content: &[u8]| home.import(content).unwrap_err().to_string();
    assert!(error(b"").contains("is empty"));
    assert!(error(&gzip(b"", 1)).contains("is empty") || gzip(b"", 1).is_empty());
    assert!(error(b"BZh91AY").contains("bzip2 -dc access.log | grapevine import"));
    assert!(error(b"\xFD7zXZ\0\0").contains("xz -dc"));
    assert!(error(b"PK\x03\x04zip").contains("unzip -p"));
    let open = |path: &Path| Source::open(path).unwrap_err().to_string();
    assert!(open(home.directory.path()).contains("is a directory"));
    assert!(open(&home.directory.path().join("absent")).contains("cannot open"));
    let empty = home.directory.path().join("empty");
    std::fs::write(&empty, b"").unwrap();
    assert!(open(&empty).contains("is empty"));
    let file = home.directory.path().join("file.log");
    std::fs::write(&file, pages(0..2)).unwrap();
    let log = home.log();
    let mut last = Progress::default();
    let summary = home
        .importer(&log)
        .import(Source::open(&file).unwrap(), &options(), &mut |p| {
            last = *p;
            Next::GoOn
        });
    assert_eq!(summary.unwrap().hits(), 2);
    assert_eq!(Some(last.bytes_read), last.bytes_total);
    assert_eq!((last.lines, last.hits), (2, 2));
}

#[test]
fn forwarded_addresses_count_only_from_proxies() {
    let logged = |forwarded: &str, trusted: &[&str]| {
        let home = Home::new(LIMITS);
        let log = home.log();
        let content = format!("{} \"{forwarded}\"\n", line(1, "/a").trim_end());
        let proxies = TrustedProxies::parse(trusted).unwrap();
        let options = ImportOptions {
            trusted_proxies: proxies,
            ..options()
        };
        home.importer(&log)
            .import(source(content.as_bytes()), &options, &mut |_| Next::GoOn)
            .unwrap();
        wait_until_alone(log);
        home.hits()[0].visitor
    };
    assert_eq!(logged("203.0.113.1", &[]), logged("203.0.113.2", &[]));
    let proxy = ["192.0.2.0/24"];
    assert_ne!(logged("203.0.113.1", &proxy), logged("203.0.113.2", &proxy));
    assert_ne!(logged("203.0.113.1", &proxy), logged("203.0.113.1", &[]));
}
