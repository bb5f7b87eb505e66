//! The ledger against a content cut, wrapped, killed and repeated in any way.

use std::io::{Cursor, Write};
use std::path::Path;

use grapevine_event::{DeadLetter, Heartbeat, Hit, Record, topic};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const SMALL: Limits = Limits {
    batch_lines_max: 5,
    batch_bytes_max: 700,
};
const YEAR_2100_MS: i64 = 4_102_444_800_000;

struct Home {
    directory: TempDir,
    signals: Arc<Signals>,
    limits: Limits,
}

impl Home {
    fn new(limits: Limits) -> Home {
        thread_local! {
            static SIGNALS: Arc<Signals> = Arc::new(Signals::builtin());
        }
        let directory = tempfile::tempdir().unwrap();
        Home {
            directory,
            signals: SIGNALS.with(Clone::clone),
            limits,
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("log.redb")
    }

    fn log(&self) -> Arc<Log> {
        Arc::new(Log::open(&self.path()).unwrap())
    }

    fn importer(&self, log: &Arc<Log>) -> Importer {
        let mut importer =
            Importer::new(log.clone(), self.signals.clone(), Pseudonyms::new(&[1; 32]));
        importer.limits = self.limits;
        importer
    }

    fn import(&self, content: &[u8]) -> Result<ImportSummary, ImportError> {
        self.import_until(content, u64::MAX)
    }

    /// Imports until so many batches are committed, then goes on with the file as a kill at that
    /// moment would have left it.
    fn import_until(&self, content: &[u8], batches_max: u64) -> Result<ImportSummary, ImportError> {
        let log = self.log();
        let mut commits = 0;
        let mut records = log.end(topic::HITS_RAW).unwrap() + log.end(topic::DEAD_LETTERS).unwrap();
        let summary = self
            .importer(&log)
            .import(source(content), &options(), &mut |_| {
                let now = log.end(topic::HITS_RAW).unwrap() + log.end(topic::DEAD_LETTERS).unwrap();
                commits += u64::from(now != records);
                records = now;
                if commits >= batches_max {
                    std::fs::copy(self.path(), self.image()).unwrap();
                    Next::Stop
                } else {
                    Next::GoOn
                }
            });
        wait_until_alone(log);
        if self.image().exists() {
            std::fs::rename(self.image(), self.path()).unwrap();
        }
        summary
    }

    fn image(&self) -> std::path::PathBuf {
        self.directory.path().join("killed.redb")
    }

    fn hits(&self) -> Vec<Seen> {
        let log = self.log();
        let records = log.read(topic::HITS_RAW, 0, usize::MAX).unwrap();
        records
            .iter()
            .filter_map(|(_, record)| match Record::decode(record).unwrap() {
                Record::Hit(hit) => Some(Seen::of(&hit)),
                _ => None,
            })
            .collect()
    }

    fn heartbeats(&self) -> Vec<i64> {
        let log = self.log();
        let records = log.read(topic::HITS_RAW, 0, usize::MAX).unwrap();
        records
            .iter()
            .filter_map(|(_, record)| match Record::decode(record).unwrap() {
                Record::Heartbeat(Heartbeat { event_time, .. }) => Some(event_time),
                _ => None,
            })
            .collect()
    }

    fn letters(&self, mut see: impl FnMut(&DeadLetter<'_>)) -> usize {
        let log = self.log();
        let records = log.read(topic::DEAD_LETTERS, 0, usize::MAX).unwrap();
        for (_, record) in &records {
            match Record::decode(record).unwrap() {
                Record::DeadLetter(letter) => see(&letter),
                other => panic!("{other:?}"),
            }
        }
        records.len()
    }
}

/// A stopped import's thread ends by itself, and holds the log until then.
fn wait_until_alone(log: Arc<Log>) {
    let mut log = log;
    loop {
        match Arc::try_unwrap(log) {
            Ok(_) => return,
            Err(shared) => log = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What of a hit does not depend on how the content was cut.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: grapevine_event::Id,
    url: String,
    time: i64,
    visitor: Option<i64>,
    user_agent: String,
}

impl Seen {
    fn of(hit: &Hit<'_>) -> Seen {
        Seen {
            id: hit.hit_id,
            url: hit.url.to_owned(),
            time: hit.event_time,
            visitor: hit.visitor,
            user_agent: hit.user_agent.to_owned(),
        }
    }
}

fn without_ids(hits: Vec<Seen>) -> Vec<(String, i64, Option<i64>, String)> {
    hits.into_iter()
        .map(|hit| (hit.url, hit.time, hit.visitor, hit.user_agent))
        .collect()
}

fn options() -> ImportOptions {
    ImportOptions {
        site: Site::parse("example.com").unwrap(),
        trusted_proxies: TrustedProxies::default(),
        latest_ms: YEAR_2100_MS,
    }
}

fn source(content: &[u8]) -> Source {
    Source::new("access.log", Cursor::new(content.to_vec()))
}

fn gzip(content: &[u8], members: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    let size = content.len().div_ceil(members).max(1);
    for part in content.chunks(size) {
        let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap();
    }
    packed
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

fn line(number: usize, path: &str) -> String {
    format!(
        "192.0.2.{} - - [10/Oct/2020:13:{:02}:{:02} +0000] \"GET {path} HTTP/1.1\" 200 12 \"-\" \
         \"Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\"\n",
        number % 250,
        number / 60 % 60,
        number % 60,
    )
}

fn pages(numbers: std::ops::Range<usize>) -> String {
    numbers
        .map(|number| line(number, &format!("/page/{number}")))
        .collect()
}

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
fn the_same_content_again_changes_nothing_in_any_wrapping() {
    let home = Home::new(SMALL);
    let content = pages(0..23);
    home.import(content.as_bytes()).unwrap();
    let before = home.hits();
    assert_eq!(before.len(), 23);
    for again in [
        content.clone().into_bytes(),
        gzip(content.as_bytes(), 1),
        gzip(content.as_bytes(), 4),
        zstd(content.as_bytes()),
        [
            zstd(&content.as_bytes()[..500]),
            zstd(&content.as_bytes()[500..]),
        ]
        .concat(),
        content.as_bytes()[..content.len() / 2].to_vec(),
    ] {
        let summary = home.import(&again).unwrap();
        assert_eq!(summary.hits(), 0);
        assert_eq!(summary.known, summary.lines);
    }
    assert_eq!(home.hits(), before);
    assert_eq!(home.heartbeats().len(), 1);
    let other = ImportOptions {
        site: Site::parse("other.example").unwrap(),
        ..options()
    };
    let log = home.log();
    let summary = home
        .importer(&log)
        .import(source(content.as_bytes()), &other, &mut |_| Next::GoOn)
        .unwrap();
    assert_eq!(summary.hits(), 23, "another site's log is another log");
}

#[test]
fn a_last_line_without_its_end_waits_until_it_is_whole() {
    let home = Home::new(SMALL);
    let content = pages(0..7);
    let cut = content.len() - 40;
    let summary = home.import(&content.as_bytes()[..cut]).unwrap();
    assert_eq!((summary.lines, summary.hits()), (6, 6));
    assert!(summary.held_back.is_some());
    let whole = &content.as_bytes()[..content.len() - 1];
    let summary = home.import(whole).unwrap();
    assert_eq!(
        (summary.known, summary.hits(), summary.held_back),
        (6, 1, None)
    );
    let summary = home.import(whole).unwrap();
    assert_eq!((summary.known, summary.hits()), (7, 0));
    // The server wrote more fields after the user agent, then went on.
    let grown = format!("{} 0.005\n{}", content.trim_end(), pages(7..9));
    let summary = home.import(grown.as_bytes()).unwrap();
    assert_eq!((summary.known, summary.hits()), (7, 2));
    assert_eq!(home.import(grown.as_bytes()).unwrap().hits(), 0);
    assert_eq!(home.hits().len(), 9);
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
fn a_cut_archive_keeps_its_whole_lines_and_says_so() {
    for pack in [|content: &[u8]| gzip(content, 1), zstd] {
        let home = Home::new(LIMITS);
        // Larger than one block of either format.
        let content = pages(0..6000);
        let packed = pack(content.as_bytes());
        let error = home.import(&packed[..packed.len() * 2 / 3]).unwrap_err();
        let ImportError::Damaged { summary, .. } = &error else {
            panic!("{error}")
        };
        assert!(
            summary.lines > 0 && summary.lines < 6000,
            "{}",
            summary.lines
        );
        assert_eq!(home.hits().len() as u64, summary.lines);
        assert!(error.to_string().contains("whole copy"), "{error}");
        let rest = home.import(&packed).unwrap();
        assert_eq!(rest.known, summary.lines);
        assert_eq!(without_ids(home.hits()), {
            let undisturbed = Home::new(LIMITS);
            undisturbed.import(content.as_bytes()).unwrap();
            without_ids(undisturbed.hits())
        });
    }
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
fn two_imports_into_one_site_do_not_mix() {
    let home = Home::new(SMALL);
    let log = home.log();
    let importer = home.importer(&log);
    let content = pages(0..50);
    let mut inner = None;
    let outer = importer.import(source(content.as_bytes()), &options(), &mut |_| {
        if inner.is_none() {
            inner =
                Some(importer.import(source(content.as_bytes()), &options(), &mut |_| Next::GoOn));
        }
        Next::GoOn
    });
    let outcomes = [outer, inner.unwrap()];
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(ImportError::Busy { .. })))
    );
    drop(importer);
    wait_until_alone(log);
    home.import(content.as_bytes()).unwrap();
    assert_eq!(home.hits().len(), 50);
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

/// One thing done with a content.
#[derive(Clone, Debug)]
enum Act {
    /// Import the content up to a share of its length, in a wrapping.
    Import { share: f64, wrapping: u8 },
    /// Import, killed after so many commits: only what the disk has remains.
    Killed { share: f64, commits: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0.0..=1.0, 0_u8..4).prop_map(|(share, wrapping)| Act::Import { share, wrapping }),
        (0.0..=1.0, 1_u64..5).prop_map(|(share, commits)| Act::Killed { share, commits }),
    ]
}

fn content_line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0_usize..100, 0_usize..9).prop_map(|(number, page)| line(number, &format!("/p/{page}"))),
        1 => Just("\n".to_owned()),
        1 => "[ -~]{0,60}\n",
        1 => (0_usize..100).prop_map(|number| line(number, "/style.css").replace('\n', "\r\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_way_to_import_a_content_gives_the_hits_of_one_undisturbed_import(
        lines in proptest::collection::vec(content_line(), 1..40),
        acts in proptest::collection::vec(act(), 0..6),
    ) {
        let content = lines.concat().into_bytes();
        let undisturbed = Home::new(SMALL);
        let whole = undisturbed.import(&content).unwrap();
        let home = Home::new(SMALL);
        for act in &acts {
            let (share, wrapping, commits) = match act {
                Act::Import { share, wrapping } => (*share, *wrapping, u64::MAX),
                Act::Killed { share, commits } => (*share, 0, *commits),
            };
            let part = &content[..(content.len() as f64 * share) as usize];
            let wrapped = match wrapping {
                0 => part.to_vec(),
                1 => gzip(part, 1),
                2 => gzip(part, 3),
                _ => zstd(part),
            };
            match home.import_until(&wrapped, commits) {
                Ok(_) | Err(ImportError::Empty(_)) => {}
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
        let last = home.import(&content).unwrap();
        prop_assert_eq!(last.lines, whole.lines);
        prop_assert_eq!(last.held_back, whole.held_back);
        let hits = home.hits();
        let mut ids: Vec<_> = hits.iter().map(|hit| hit.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), hits.len(), "ids are unique");
        prop_assert_eq!(without_ids(hits), without_ids(undisturbed.hits()), "{:?}", acts);
        prop_assert_eq!(home.letters(|_| ()), undisturbed.letters(|_| ()));
    }

    #[test]
    fn a_kill_between_commits_leaves_the_same_records_and_ids(
        count in 1_usize..40, kills in proptest::collection::vec(1_u64..4, 0..5),
    ) {
        let content = pages(0..count).into_bytes();
        let undisturbed = Home::new(SMALL);
        undisturbed.import(&content).unwrap();
        let home = Home::new(SMALL);
        for commits in kills {
            home.import_until(&content, commits).unwrap();
        }
        home.import(&content).unwrap();
        prop_assert_eq!(home.hits(), undisturbed.hits());
        prop_assert_eq!(home.heartbeats(), undisturbed.heartbeats());
    }
}
