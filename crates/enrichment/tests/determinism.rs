//! The stages over a real log: whatever the batches, restarts and crashes, the same bytes at the
//! same offsets.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use grapevine_enrichment::{Driver, Stage};
use grapevine_event::{Heartbeat, Hit, HitKind, Id, Property, Protocol, VisitorBasis, topic};
use grapevine_log::{Commit, Durability, Log};
use proptest::prelude::*;
use support::{IPHONE, chain, classify};

const AGENTS: [&str; 6] = [
    IPHONE,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]",
    "WhatsApp/2.24.20.83 A",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "",
];
const REFERRERS: [&str; 4] = [
    "",
    "https://www.google.com/",
    "https://example.org/",
    "https://web.whatsapp.com/",
];

/// One generated input record.
#[derive(Clone, Debug)]
enum Input {
    Hit {
        kind: HitKind,
        log: bool,
        visitor: Option<i64>,
        path: &'static str,
        token: Option<u8>,
        given: Option<u8>,
        agent: usize,
        referrer: usize,
        /// Seconds after the record before; large and negative ones are clocks gone wrong.
        after: i64,
        retry: bool,
        status: Option<i32>,
    },
    Heartbeat {
        collector: bool,
        after: i64,
    },
    Garbage(Vec<u8>),
}

fn input() -> impl Strategy<Value = Input> {
    let after = prop_oneof![8 => 0i64..600, 2 => 1_000i64..4_000, 1 => -5_000i64..0, 1 => 3_000_000i64..9_000_000];
    let kinds = prop_oneof![
        6 => Just(HitKind::PageView),
        2 => prop::sample::select(HitKind::ALL),
    ];
    let hit = (
        (
            kinds,
            prop::bool::weighted(0.3),
            prop::option::weighted(0.9, 0i64..6),
        ),
        (
            prop::sample::select(vec![
                "/",
                "/a",
                "/story/of-a-town",
                "/story/of-a-town-and-more",
                "/style.css",
                "/sport",
            ]),
            prop::option::weighted(0.4, 0u8..12),
            prop::option::weighted(0.6, 0u8..12),
        ),
        (0usize..AGENTS.len(), 0usize..REFERRERS.len(), after.clone()),
        (
            prop::bool::weighted(0.1),
            prop::sample::select(vec![None, Some(200), Some(404)]),
        ),
    );
    let hit = hit.prop_map(
        |(
            (kind, log, visitor),
            (path, token, given),
            (agent, referrer, after),
            (retry, status),
        )| {
            Input::Hit {
                kind,
                log,
                visitor,
                path,
                token,
                given,
                agent,
                referrer,
                after,
                retry,
                status,
            }
        },
    );
    prop_oneof![
        20 => hit,
        2 => (any::<bool>(), after).prop_map(|(collector, after)| Input::Heartbeat { collector, after }),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Input::Garbage),
    ]
}

/// The records of a history, encoded.
fn records(inputs: &[Input]) -> Vec<Vec<u8>> {
    let mut time: i64 = 1_760_000_000_000;
    let mut encoded = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        let mut record = Vec::new();
        match input {
            Input::Garbage(bytes) => record.clone_from(bytes),
            Input::Heartbeat { collector, after } => {
                time += after * 1_000;
                let source = if *collector {
                    "collector"
                } else {
                    "access.log"
                };
                let heartbeat = Heartbeat {
                    event_time: time,
                    source,
                };
                heartbeat.encode(&mut record).expect("encodes");
            }
            Input::Hit {
                kind,
                log,
                visitor,
                path,
                token,
                given,
                agent,
                referrer,
                after,
                retry,
                status,
            } => {
                time += after * 1_000;
                let url = match token {
                    Some(token) => format!("https://example.org{path}?gv=t{token}"),
                    None => format!("https://example.org{path}"),
                };
                let given = given.map(|given| format!("t{given}"));
                let number = if *retry { at.saturating_sub(1) } else { at };
                let hit = Hit {
                    kind: *kind,
                    protocol: if *log {
                        Protocol::Log
                    } else {
                        Protocol::Native
                    },
                    client_id_given: !log,
                    visitor: *visitor,
                    visitor_basis: VisitorBasis::Client,
                    network: Some(*agent as i64),
                    referrer: Some(REFERRERS[*referrer]).filter(|referrer| !referrer.is_empty()),
                    user_agent: AGENTS[*agent],
                    share_token: given.as_deref(),
                    status: *status,
                    language: Some("de-AT,de;q=0.8"),
                    props: vec![Property {
                        name: "k",
                        value: "v".into(),
                    }],
                    ..Hit::page_view(
                        Id::builder("test").number(number as u64).finish(),
                        "example.org",
                        time,
                        &url,
                    )
                };
                hit.encode(&mut record).expect("encodes");
            }
        }
        encoded.push(record);
    }
    encoded
}

/// What happens between two batches.
#[derive(Clone, Copy, Debug)]
enum Event {
    Batch(usize),
    /// Ends and starts again from snapshot and log.
    Restart,
    Save,
    /// Makes all commits so far durable.
    Flush,
    /// The process is killed: the log goes back to what was durable.
    Crash,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1usize..30).prop_map(Event::Batch),
        2 => Just(Event::Restart),
        2 => Just(Event::Save),
        1 => Just(Event::Flush),
        1 => Just(Event::Crash),
    ];
    prop::collection::vec(event, 0..25)
}

const OUTPUTS: [&str; 11] = [
    topic::HITS_CLASSIFIED,
    topic::VISITS,
    topic::EVENTS,
    topic::SHARES,
    topic::EDGES,
    topic::CASCADES,
    topic::SPREADS,
    topic::MODELS,
    topic::SURGES,
    topic::CALIBRATIONS,
    topic::DEAD_LETTERS,
];

fn contents(log: &Log, topics: &[&str]) -> Vec<Vec<Vec<u8>>> {
    let all = |topic: &&str| {
        let mut records = Vec::new();
        loop {
            let batch = log
                .read(topic, records.len() as u64, 1 << 20)
                .expect("reads");
            if batch.is_empty() {
                return records;
            }
            records.extend(batch.iter().map(|(_, record)| record.to_vec()));
        }
    };
    topics.iter().map(all).collect()
}

fn fill(log: &Log, records: &[Vec<u8>], block: usize) {
    for records in records.chunks(block) {
        let mut commit = Commit::default();
        records
            .iter()
            .for_each(|record| commit.append(topic::HITS_RAW, record));
        log.commit(&commit, Durability::Durable).expect("commits");
    }
}

/// The log, which a crash replaces by a copy of what the disk held.
struct Home {
    directory: tempfile::TempDir,
    path: PathBuf,
    log: Log,
    crashes: u32,
}

impl Home {
    fn new() -> Home {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log.redb");
        let log = Log::open(&path).expect("opens");
        Home {
            directory,
            path,
            log,
            crashes: 0,
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        let copy = self
            .directory
            .path()
            .join(format!("log-{}.redb", self.crashes));
        std::fs::copy(&self.path, &copy).expect("copies");
        self.log = Log::open(&copy).expect("opens what the disk held");
        self.path = copy;
    }
}

/// Longer than a test lasts.
const NEVER: Duration = Duration::from_secs(86_400);

/// Drives a stage to the end of its input through whatever happens. What is processed is saved
/// within `bound`.
fn drive<S: Stage>(home: &mut Home, new: impl Fn() -> S, events: &[Event], bound: Duration) {
    let mut left = events.iter();
    loop {
        let mut crashes = false;
        {
            let mut driver = Driver::open(new(), &home.log).expect("opens");
            driver.save_within(bound);
            loop {
                match left.next() {
                    Some(Event::Batch(records)) => {
                        driver
                            .step(1 << 12, *records, Duration::ZERO)
                            .expect("steps");
                    }
                    Some(Event::Restart) => break,
                    Some(Event::Save) => driver.save_after(1).expect("saves"),
                    Some(Event::Flush) => home.log.flush().expect("flushes"),
                    Some(Event::Crash) => {
                        crashes = true;
                        break;
                    }
                    None => {
                        if driver
                            .step(1 << 20, usize::MAX, Duration::ZERO)
                            .expect("steps")
                            == 0
                        {
                            return;
                        }
                    }
                }
            }
        }
        if crashes {
            home.crash();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn outputs_do_not_depend_on_batches_restarts_and_crashes(
        inputs in prop::collection::vec(input(), 1..120),
        block in 1usize..40,
        classify_events in events(),
        chain_events in events(),
        // The clock may save after any step, or after none.
        bound in prop::sample::select(vec![Duration::ZERO, NEVER]),
    ) {
        let records = records(&inputs);

        let mut calm = Home::new();
        fill(&calm.log, &records, 1_000);
        drive(&mut calm, classify, &[], NEVER);
        drive(&mut calm, chain, &[], NEVER);
        let expected = contents(&calm.log, &OUTPUTS);

        let mut rough = Home::new();
        fill(&rough.log, &records, block);
        drive(&mut rough, classify, &classify_events, bound);
        // The end of one stage is the durable input of the next.
        rough.log.flush().expect("flushes");
        drive(&mut rough, chain, &chain_events, bound);
        prop_assert_eq!(contents(&rough.log, &OUTPUTS), expected);
        prop_assert_eq!(
            state(&rough.log, classify), state(&calm.log, classify),
            "the states agree to the byte"
        );
        prop_assert_eq!(state(&rough.log, chain), state(&calm.log, chain));
    }
}

/// What a stage remembers after all of its input, as bytes.
fn state<S: Stage>(log: &Log, new: impl Fn() -> S) -> Vec<u8> {
    let mut driver = Driver::open(new(), log).expect("opens");
    driver.save_after(1).expect("saves");
    let saved = log
        .value(format!("snapshot/{}/0", S::NAME).as_bytes())
        .expect("reads");
    saved.unwrap_or_default()
}

#[test]
fn a_snapshot_of_another_log_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = |name: &str| Log::open(&Path::new(directory.path()).join(name)).expect("opens");
    let (one, other) = (log("one"), log("other"));
    let inputs: Vec<Vec<u8>> = vec![vec![1], vec![2]];
    fill(&one, &inputs, 10);
    let mut driver = Driver::open(classify(), &one).expect("opens");
    driver.step(1 << 20, 10, Duration::ZERO).expect("steps");
    driver.save_after(1).expect("saves");
    let saved = one
        .value(b"snapshot/classify/0")
        .expect("reads")
        .expect("is there");
    let mut commit = Commit::default();
    commit.put(b"snapshot/classify/0", saved);
    other.commit(&commit, Durability::Durable).expect("commits");
    let error = Driver::open(classify(), &other).err().expect("refused");
    assert!(error.to_string().contains("covers offset 2"), "{error}");
    commit.clear();
    commit.put(b"snapshot/classify/0", vec![0; 9]);
    other.commit(&commit, Durability::Durable).expect("commits");
    let error = Driver::open(classify(), &other).err().expect("refused");
    assert!(
        error.to_string().contains("saved state cannot be used"),
        "{error}"
    );
}
