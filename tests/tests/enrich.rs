//! `grapevine enrich` on Apache Kafka: the real process, killed and joined by others at seeded
//! moments; what it writes must be as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grapevine_event::{DEAD_LETTER_BYTES_MAX, Hit, Id, Record, topic};
use grapevine_kafka_testing::{HttpServer, ObjectStore, Port, Response};
use grapevine_log::Commit;
use grapevine_tests::stages::{Outputs, PATIENCE, World, seen, share};
use grapevine_tests::{Moments, command};
use serde_json::Value;

fn kills(default: u64) -> u64 {
    match std::env::var("GRAPEVINE_KILLS") {
        Ok(text) => text.parse().expect("GRAPEVINE_KILLS is a number"),
        Err(_) => default,
    }
}

const HITS: u64 = 6_000;

/// What one replica makes of so many hits in one partition while nothing happens to it.
fn undisturbed(home: &Path, hits: u64) -> Outputs {
    let world = World::new(1);
    world.feed(0..hits / 2);
    world.feed(hits / 2..hits);
    let replica = world.enrich(home, "one", &[]);
    world.settled(seen(hits));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    world.outputs()
}

/// One partition: everything that is written is a function of the input alone, to the byte.
#[test]
fn killed_again_and_again_it_writes_the_same_bytes() {
    let home = tempfile::tempdir().expect("tempdir");
    let calm = undisturbed(&home.path().join("calm"), HITS);
    let world = World::new(1);
    world.feed(0..HITS / 2);
    let rough_home = home.path().join("rough");
    let mut moments = Moments::new(5);
    let kills = kills(8);
    for kill in 0..kills {
        let replica = world.enrich(&rough_home, "one", &[]);
        if kill == kills / 2 {
            world.feed(HITS / 2..HITS);
        }
        std::thread::sleep(Duration::from_millis(300 + moments.below(2_500)));
        match kill % 4 {
            3 => assert_eq!(replica.stop(), Some(0), "it ends well"),
            _ => replica.kill(),
        }
    }
    let replica = world.enrich(&rough_home, "one", &[]);
    world.settled(seen(HITS));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let rough = world.outputs();
    for (place, records) in &calm {
        assert_eq!(records.len(), rough[place].len(), "{place:?}");
        assert!(*records == rough[place], "{place:?}: the bytes differ");
    }
    let states = rough_home.join("states/classify/00000");
    assert!(
        states.read_dir().expect("states").count() > 0,
        "states were saved"
    );
}

/// A replica on another machine goes on from what is kept in an S3-compatible store: its input from
/// before is gone.
#[test]
fn states_are_kept_in_an_s3_store() {
    const HITS: u64 = 2_000;
    let home = tempfile::tempdir().expect("tempdir");
    let calm = undisturbed(&home.path().join("calm"), HITS);
    let store = ObjectStore::start("states").expect("a store");
    let environment = store.environment();
    let mut extra: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    extra.push(("GRAPEVINE_KAFKA__STATES", "s3://states/of/grapevine"));
    let world = World::new(1);
    world.feed(0..HITS / 2);
    let replica = world.enrich(&home.path().join("here"), "one", &extra);
    world.settled(seen(HITS / 2));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    for stage in ["classify", "chain"] {
        let kept = store.object("states", &format!("of/grapevine/{stage}/00000"));
        let kept = kept.read_dir().map(Iterator::count);
        assert!(
            matches!(kept, Ok(1..)),
            "{kept:?} of {stage}: {}",
            store.last_words()
        );
    }
    (world.cluster.drop_records(topic::HITS_RAW, 1)).expect("dropped");
    world.feed(HITS / 2..HITS);
    let replica = world.enrich(&home.path().join("elsewhere"), "one", &extra);
    world.settled(seen(HITS));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let outputs = world.outputs();
    for (place, records) in &calm {
        if place.0 != topic::HITS_RAW {
            assert!(*records == outputs[place], "{place:?}: the bytes differ");
        }
    }
}

/// The store is tried before a stage needs it, and what the account may know only is not told.
#[test]
fn config_check_tries_an_s3_store() {
    let home = tempfile::tempdir().expect("tempdir");
    let store = ObjectStore::start("states").expect("a store");
    let check = |place: &str, extra: &[(&str, &str)]| {
        let mut command = command(home.path());
        command
            .args(["config", "check", "--connect"])
            .envs(store.environment())
            // Nobody is there; the states are looked at before.
            .env("GRAPEVINE_KAFKA__BROKERS", "127.0.0.1:1")
            .env("GRAPEVINE_KAFKA__STATES", place)
            .envs(extra.iter().copied());
        let output = command.output().expect("runs");
        assert_eq!(output.status.code(), Some(69));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let place = "s3://states/of/grapevine";
    let (shown, said) = check(place, &[]);
    let good = format!("saved states at {place} can be written, listed, read and removed");
    assert!(shown.contains(&good), "{said}: {}", store.last_words());
    assert!(said.contains("kafka.brokers"), "{said}");
    let left = store.object("states", "of/grapevine").read_dir();
    let left = left.map_or(0, Iterator::count);
    assert_eq!(left, 0, "the look leaves nothing");

    let other_key = [("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")];
    let nothing: &[(&str, &str)] = &[];
    for (place, extra) in [(place, &other_key[..]), ("s3://no-such-bucket/x", nothing)] {
        let (shown, said) = check(place, extra);
        assert!(said.contains(&format!("kafka.states {place}")), "{said}");
        assert!(said.contains("see that the bucket is there"), "{said}");
        assert!(!said.contains("hush") && !shown.contains("hush"), "{said}");
    }
}

/// What `/health/ready` answers, with whether it is 200; `None` where nobody does.
fn readiness(listen: &str) -> Option<(bool, Value)> {
    let answer = reqwest::blocking::get(format!("http://{listen}/health/ready")).ok()?;
    let is_ready = answer.status().is_success();
    Some((is_ready, serde_json::from_str(&answer.text().ok()?).ok()?))
}

/// Waits until that is so of whether it is ready, and of its conditions.
fn until(listen: &str, what: &str, is_so: impl Fn(bool, &Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = readiness(listen);
        if let Some((is_ready, body)) = &found
            && is_so(*is_ready, &body["conditions"])
        {
            return;
        }
        assert!(Instant::now() < deadline, "not {what}: {found:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn until_ready(listen: &str) {
    until(listen, "ready", |is_ready, conditions| {
        let names = ["stages", "classify", "chain", "kafka"];
        is_ready && names.iter().all(|name| conditions[*name] == "ok")
    });
}

/// A store of states that is away holds the stages up, which is told, and ends nothing.
#[test]
fn a_store_of_states_that_is_away_is_waited_for() {
    const HITS: u64 = 500;
    let home = tempfile::tempdir().expect("tempdir");
    let is_there = Arc::new(AtomicBool::new(false));
    let knows = Arc::clone(&is_there);
    let answer = move |_| match knows.load(Ordering::Relaxed) {
        // It has no states, and takes what it is given.
        true => Response {
            status: "200 OK",
            body: b"<ListBucketResult></ListBucketResult>".to_vec(),
        },
        false => Response {
            status: "503 Service Unavailable",
            body: Vec::new(),
        },
    };
    let store = HttpServer::start("application/xml", answer).expect("a server");
    let port = Port::take().expect("a port");
    let listen = format!("127.0.0.1:{}", port.number());
    let endpoint = store.url();
    let extra = [
        ("GRAPEVINE_KAFKA__STATES", "s3://states/of/grapevine"),
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "tester"),
        ("AWS_SECRET_ACCESS_KEY", "of states"),
        ("AWS_ALLOW_HTTP", "true"),
        ("GRAPEVINE_OPERATIONS__LISTEN", listen.as_str()),
    ];
    let world = World::new(1);
    world.feed(0..HITS);
    let replica = world.enrich(home.path(), "one", &extra);
    until(&listen, "waiting for the store", |is_ready, conditions| {
        let waits = |stage: &str| {
            let why = conditions[stage].as_str();
            why.is_some_and(|why| why.contains("kafka.states"))
        };
        !is_ready && waits("classify") && waits("chain")
    });
    is_there.store(true, Ordering::Relaxed);
    until_ready(&listen);
    world.settled(seen(HITS));
    assert_eq!(replica.stop(), Some(0), "it ends well");
}

/// A replica is ready once its groups have it and the states of what it holds are there; one that
/// holds nothing since another holds all of it is ready as well: a rollout waits for the first, and
/// must not wait for the second for ever.
fn ready_with_and_without_a_partition(protocol: &str) {
    const HITS: u64 = 2_000;
    let home = tempfile::tempdir().expect("tempdir");
    let mut world = World::new(1);
    world.feed(0..HITS);
    let ports = [(); 2].map(|()| Port::take().expect("a port"));
    let listens = ports
        .each_ref()
        .map(|port| format!("127.0.0.1:{}", port.number()));
    let states = home.path().join("states");
    let states = states.to_str().expect("a path");
    let start = |world: &World, at: usize| {
        let name = ["one", "two"][at];
        let extra = [
            ("GRAPEVINE_KAFKA__PROTOCOL", protocol),
            ("GRAPEVINE_KAFKA__STATES", states),
            ("GRAPEVINE_OPERATIONS__LISTEN", listens[at].as_str()),
        ];
        world.enrich(&home.path().join(name), name, &extra)
    };
    let one = start(&world, 0);
    until_ready(&listens[0]);
    world.settled(seen(HITS));
    let two = start(&world, 1);
    listens.iter().for_each(|listen| until_ready(listen));

    world.cluster.stop(0);
    for listen in &listens {
        until(listen, "without kafka", |is_ready, conditions| {
            !is_ready && conditions["kafka"] != "ok"
        });
    }
    world.cluster.start_again(0).expect("back");
    world.cluster.wait_until_ready().expect("ready");
    listens.iter().for_each(|listen| until_ready(listen));
    for replica in [one, two] {
        assert_eq!(replica.stop(), Some(0), "it ends well");
    }
}

#[test]
fn ready_with_and_without_a_partition_classic() {
    ready_with_and_without_a_partition("classic");
}

#[test]
fn ready_with_and_without_a_partition_consumer() {
    ready_with_and_without_a_partition("consumer");
}

/// Several partitions, several replicas: every hit has come out once, wherever it went.
fn replicas_share(protocol: &str) {
    let home = tempfile::tempdir().expect("tempdir");
    let world = World::new(3);
    let protocol = [("GRAPEVINE_KAFKA__PROTOCOL", protocol)];
    let shared = home.path().join("states");
    let shared = shared.to_str().expect("a path");
    let extra = [protocol[0], ("GRAPEVINE_KAFKA__STATES", shared)];
    let start = |name: &str| world.enrich(&home.path().join(name), name, &extra);
    let mut moments = Moments::new(9);
    let one = start("one");
    let mut two = None;
    let rounds = 24;
    for round in 0..rounds {
        world.feed(round * HITS / rounds..(round + 1) * HITS / rounds);
        match round {
            4 => two = Some(start("two")),
            // A kill, and back under its name at once: while the group is moving partitions, and one that
            // was given back just then has no owner for a while (docs/kafka.md).
            10 => {
                two = two.take().map(|two| {
                    two.kill();
                    start("two")
                })
            }
            16 => {
                let two = two.take().expect("runs");
                assert_eq!(two.stop(), Some(0), "it ends well");
            }
            18 => two = Some(start("two")),
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(200 + moments.below(600)));
    }
    let outputs = world.settled(seen(HITS));
    for replica in [Some(one), two].into_iter().flatten() {
        assert_eq!(replica.stop(), Some(0), "it ends well");
    }
    let mut ids = BTreeSet::new();
    let mut contents: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for ((topic, partition), records) in &outputs {
        for record in records {
            let (id, content) = match Record::decode(record) {
                Ok(Record::Visit(visit)) if *topic == topic::VISITS => {
                    (visit.visit_id, visit.content)
                }
                Ok(Record::VisitEvent(event)) if *topic == topic::EVENTS => {
                    (event.event_id, event.content)
                }
                _ => continue,
            };
            assert!(ids.insert(id), "{id} came out twice");
            let at = contents.entry(content.into_owned()).or_default();
            at.insert(*partition);
        }
    }
    assert_eq!(ids.len(), seen(HITS));
    assert!(
        contents.values().all(|at| at.len() == 1),
        "a content has one partition"
    );
    let spread: BTreeSet<&i32> = contents.values().flatten().collect();
    assert_eq!(spread.len(), 3, "contents are spread over all");
}

#[test]
fn replicas_share_the_work_classic() {
    replicas_share("classic");
}

#[test]
fn replicas_share_the_work_consumer() {
    replicas_share("consumer");
}

/// Offsets that were committed and are gone look like those of a group that never was. Saved states
/// know better: what was counted is not counted again.
#[test]
fn a_group_without_offsets_beside_saved_states_is_refused() {
    const HITS: u64 = 2_000;
    let home = tempfile::tempdir().expect("tempdir");
    undisturbed(home.path(), HITS);
    let forgetful = World::new(1);
    forgetful.feed(0..HITS);
    let said = home.path().join("said");
    let mut command = forgetful.command(home.path(), "one");
    command.stderr(std::fs::File::create(&said).expect("a file"));
    let mut replica = command.spawn().expect("starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    let code = loop {
        if let Some(status) = replica.try_wait().expect("asks") {
            break status.code();
        }
        if Instant::now() > deadline {
            replica.kill().expect("kills");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = std::fs::read_to_string(&said).expect("reads");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("offsets.retention.minutes"), "{said}");
    let outputs = forgetful.outputs();
    let written = |topic: &str| {
        outputs
            .iter()
            .any(|(place, records)| place.0 == topic && !records.is_empty())
    };
    assert!(!written(topic::VISITS), "nothing is counted again");
}

#[test]
fn what_is_wrong_is_said_with_its_exit_code() {
    let home = tempfile::tempdir().expect("tempdir");
    let enrich = |extra: &[(&str, &str)]| {
        let mut command = command(home.path());
        command.arg("enrich").envs(extra.iter().copied());
        let output = command.output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = enrich(&[("GRAPEVINE_KAFKA__PARTITIONS", "0")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("kafka.partitions"), "{said}");
    let world = World::new(2);
    let brokers = world.cluster.bootstrap();
    let (code, said) = enrich(&[
        ("GRAPEVINE_KAFKA__BROKERS", &brokers),
        ("GRAPEVINE_KAFKA__PARTITIONS", "5"),
    ]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("has 2 partitions"), "{said}");
}

/// What each stage says of a record that it cannot use, as it stands in the dead letters.
#[test]
fn what_cannot_be_used_is_a_dead_letter_that_says_what_to_do() {
    const LARGE: usize = 200_000;
    let home = tempfile::tempdir().expect("tempdir");
    let world = World::new(1);
    let hit = |change: &dyn Fn(&mut Hit<'_>)| {
        let id = Id::builder("dead letters").number(1).finish();
        let mut hit = Hit::page_view(id, "example.org", 1_760_000_000_000, "https://example.org/");
        change(&mut hit);
        let mut record = Vec::new();
        hit.encode(&mut record).expect("encodes");
        record
    };
    let on_the_wrong_topic = share(7, 1_760_000_000_000);
    let mut of_tomorrow = hit(&|_| {});
    of_tomorrow[2] ^= 0xFF;
    let framed = [&[0, 0, 0, 4, 210][..], b"datum"].concat();
    let large = vec![b'x'; LARGE];
    let year_2300 = 10_413_792_000_000;
    let late = hit(&|hit| (hit.event_time, hit.received_time) = (year_2300, year_2300));
    let bad_url = hit(&|hit| hit.url = "no address");
    let raw: [(&[u8], &str, &str); 6] = [
        (
            &on_the_wrong_topic,
            "unexpected_record",
            "no place for a share: stop",
        ),
        (&of_tomorrow, "unknown_schema", "use the newer grapevine"),
        (&framed, "unknown_schema", "schema id 1234"),
        (&large, "undecodable", "not Avro single-object encoding"),
        (&late, "time_out_of_range", "the sender's clock is wrong"),
        (&bad_url, "bad_url", ""),
    ];
    let misplaced = hit(&|_| {});
    let classified: [(&[u8], &str, &str); 2] = [
        (&misplaced, "unexpected_record", "no place for a hit: stop"),
        (&of_tomorrow, "unknown_schema", "use the newer grapevine"),
    ];
    let mut commit = Commit::default();
    for (record, _, _) in raw {
        commit.append(topic::HITS_RAW, record);
    }
    for (record, _, _) in classified {
        commit.append(topic::HITS_CLASSIFIED, record);
    }
    world.append(&commit);
    world.feed(1..2);
    let replica = world.enrich(home.path(), "one", &[]);
    let outputs = world.settled(1);
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let letters = &outputs[&(topic::DEAD_LETTERS, 0)];
    assert_eq!(letters.len(), raw.len() + classified.len());
    let mut expected: Vec<_> = (raw.iter().map(|of| ("classify", topic::HITS_RAW, of)))
        .chain(
            classified
                .iter()
                .map(|of| ("chain", topic::HITS_CLASSIFIED, of)),
        )
        .collect();
    for record in letters {
        let Ok(Record::DeadLetter(letter)) = Record::decode(record) else {
            panic!("the topic holds dead letters");
        };
        let at = expected.iter().position(|(stage, source, (sent, _, _))| {
            let kept = &sent[..sent.len().min(DEAD_LETTER_BYTES_MAX)];
            (*stage, *source, kept) == (letter.stage, letter.source, letter.payload)
        });
        let (_, _, (sent, reason, says)) = expected.remove(at.expect("one of those sent"));
        assert_eq!(letter.reason, *reason, "{}", letter.detail);
        assert!(letter.detail.contains(says), "{}", letter.detail);
        assert_eq!(letter.payload_length as usize, sent.len());
    }
    assert!(expected.is_empty(), "{expected:?}");
}
