//! `grapevine enrich` as a group of replicas on Apache Kafka: a rolling restart, what several partitions
//! promise of their order, brokers that allow too little.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, Instant};

use grapevine_event::{Id, Record, topic};
use grapevine_kafka_testing::Cluster;
use grapevine_tests::stages::{Outputs, PATIENCE, Replica, World, seen};

const HITS: u64 = 4_000;

/// A replica whose words go to a file, behind what its earlier lives said.
fn told(world: &World, home: &Path, replica: &str) -> Replica {
    let mut command = world.command(home, replica);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.with_extension("log"));
    command
        .env("GRAPEVINE_KAFKA__STATES", home.with_file_name("states"))
        .stderr(file.expect("opens"));
    Replica::start(command)
}

fn said(home: &Path) -> String {
    std::fs::read_to_string(home.with_extension("log")).unwrap_or_default()
}

/// How often a group dealt partitions to a replica or took them, by its own words.
fn rebalances(home: &Path) -> usize {
    let said = said(home);
    said.lines()
        .filter(|line| line.contains("rebalance"))
        .count()
}

/// How often a replica was given a partition of a stage.
fn given(home: &Path) -> usize {
    said(home).matches("given stage=").count()
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Static members (`group.instance.id`): whoever is back within the session has its partitions again, and
/// the others are not asked to move.
#[test]
fn a_rolling_restart_moves_no_partition() {
    let home = tempfile::tempdir().expect("tempdir");
    let homes = ["one", "two"].map(|name| home.path().join(name));
    let world = World::new(4);
    world.feed(0..HITS / 4);
    let mut replicas = homes.each_ref().map(|at| {
        let name = at.file_name().and_then(|name| name.to_str());
        Some(told(&world, at, name.expect("a name")))
    });
    world.settled(seen(HITS / 4));
    // Both stages have four partitions: two of each for each replica, once the group has dealt.
    let told_so_far = || homes.each_ref().map(|at| (rebalances(at), given(at)));
    let (mut last, mut since) = (told_so_far(), Instant::now());
    wait("both have their partitions", || {
        let now = told_so_far();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        now.iter().all(|(_, given)| *given >= 4) && since.elapsed() > Duration::from_secs(8)
    });
    for round in 1..4_u64 {
        let at = usize::try_from(round % 2).expect("few");
        let (restarted, other) = (&homes[at], &homes[1 - at]);
        let before = (rebalances(other), given(other), given(restarted));
        let replica = replicas[at].take().expect("runs");
        assert_eq!(replica.stop(), Some(0), "it ends well");
        // What comes meanwhile waits for whoever has its partition.
        world.feed(round * HITS / 4..(round + 1) * HITS / 4);
        let name = restarted.file_name().and_then(|name| name.to_str());
        replicas[at] = Some(told(&world, restarted, name.expect("a name")));
        world.settled(seen((round + 1) * HITS / 4));
        let after = (rebalances(other), given(other), given(restarted));
        assert_eq!(
            (before.0, before.1, before.2 + 4),
            after,
            "round {round}: {}",
            said(other)
        );
    }
    for replica in replicas.into_iter().flatten() {
        assert_eq!(replica.stop(), Some(0), "it ends well");
    }
}

/// The hit that a record of `hits.classified` comes from; none of a heartbeat.
fn hit_of(record: &[u8]) -> Option<Id> {
    match Record::decode(record).expect("decodes") {
        Record::Visit(visit) => Some(visit.visit_id),
        Record::VisitEvent(event) => Some(event.event_id),
        Record::Share(share) => Some(share.share_id),
        _ => None,
    }
}

/// The records of each partition of `hits.classified`, apart by the partition of `hits.raw` that they
/// come from.
fn by_source(outputs: &Outputs) -> BTreeMap<(i32, i32), Vec<&[u8]>> {
    let mut source = BTreeMap::new();
    for ((topic, partition), records) in outputs {
        if *topic == topic::HITS_RAW {
            for record in records {
                if let Ok(Record::Hit(hit)) = Record::decode(record) {
                    source.insert(hit.hit_id, *partition);
                }
            }
        }
    }
    let mut apart: BTreeMap<(i32, i32), Vec<&[u8]>> = BTreeMap::new();
    for ((topic, partition), records) in outputs {
        if *topic == topic::HITS_CLASSIFIED {
            for record in records {
                if let Some(hit) = hit_of(record) {
                    let place = (*partition, source[&hit]);
                    apart.entry(place).or_default().push(record);
                }
            }
        }
    }
    apart
}

/// What holds with several partitions, as ARCHITECTURE.md has it: what comes of one partition of the input
/// is the same, in the same order; how it lies among what comes of others is not; and whatever lies on a
/// topic gives the same once more.
#[test]
fn with_several_partitions_order_is_kept_within_each() {
    let home = tempfile::tempdir().expect("tempdir");
    let shared = home.path().join("states");
    let shared = [("GRAPEVINE_KAFKA__STATES", shared.to_str().expect("a path"))];
    let calm = World::new(3);
    calm.feed(0..HITS / 2);
    calm.feed(HITS / 2..HITS);
    let replica = calm.enrich(&home.path().join("calm"), "one", &[]);
    calm.settled(seen(HITS));
    assert_eq!(replica.stop(), Some(0), "it ends well");
    let calm_outputs = calm.outputs();

    // The same input at another pace, by two replicas, of which one is killed.
    let rough = World::new(3);
    rough.feed(0..HITS / 2);
    let one = rough.enrich(&home.path().join("one"), "one", &shared);
    rough.settled(seen(HITS / 8));
    let two = rough.enrich(&home.path().join("two"), "two", &shared);
    std::thread::sleep(Duration::from_secs(2));
    rough.feed(HITS / 2..HITS);
    one.kill();
    let one = rough.enrich(&home.path().join("one"), "one", &shared);
    rough.settled(seen(HITS));
    for replica in [one, two] {
        assert_eq!(replica.stop(), Some(0), "it ends well");
    }
    let rough_outputs = rough.outputs();
    let (expected, found) = (by_source(&calm_outputs), by_source(&rough_outputs));
    assert!(
        expected.len() > 3,
        "contents have readers of several partitions"
    );
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>()
    );
    for (place, records) in &expected {
        assert!(*records == found[place], "{place:?}: the bytes differ");
    }

    // Another group reads the same hits.classified, and is killed in between: the same bytes once more.
    let again = home.path().join("again");
    let start = || {
        let mut command = calm.command(&again, "one");
        command
            .args(["--stage", "chain"])
            .env("GRAPEVINE_KAFKA__GROUP", "again");
        Replica::start(command)
    };
    let replica = start();
    calm.settled(seen(HITS) + seen(HITS / 4));
    replica.kill();
    let replica = start();
    calm.settled(seen(HITS) * 2);
    assert_eq!(replica.stop(), Some(0), "it ends well");
    for ((topic, partition), records) in calm.outputs() {
        let first = &calm_outputs[&(topic, partition)];
        match topic {
            topic::HITS_RAW | topic::HITS_CLASSIFIED | topic::DEAD_LETTERS => {
                assert_eq!(records.len(), first.len(), "{topic} {partition}");
            }
            _ => {
                let twice = [&first[..], &first[..]].concat();
                assert_eq!(records.len(), twice.len(), "{topic} {partition}");
                assert!(records == twice, "{topic} {partition}: the bytes differ");
            }
        }
    }
}

#[test]
fn brokers_that_allow_too_short_transactions_are_named() {
    let home = tempfile::tempdir().expect("tempdir");
    let cluster = Cluster::builder()
        .property("transaction.max.timeout.ms", "20000")
        .start()
        .expect("a broker");
    let mut command = grapevine_tests::command(home.path());
    let output = command
        .arg("enrich")
        .env("GRAPEVINE_KAFKA__BROKERS", cluster.bootstrap())
        .env("GRAPEVINE_KAFKA__PARTITIONS", "1")
        .env("GRAPEVINE_KAFKA__REPLICATION", "1")
        .env("GRAPEVINE_KAFKA__REPLICA", "one")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("transaction.max.timeout.ms"), "{said}");
    assert!(said.contains("30000"), "{said}");
}
