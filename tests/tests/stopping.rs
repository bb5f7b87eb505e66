//! Services that are told to stop while Kafka is away end well within their grace period, having lost
//! nothing: the next start goes on where they stood. A collector still takes hits for a while first
//! (docs/operations.md).

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use grapevine_event::{Record, topic};
use grapevine_kafka_testing::{Cluster, GuardedProcess, Port};
use grapevine_tests::stages::PATIENCE;
use grapevine_tests::trio::{Trio, ended_well};

const GRACE_KEY: &str = "GRAPEVINE_OPERATIONS__GRACE_SECONDS";
const DRAIN_KEY: &str = "GRAPEVINE_COLLECTOR__DRAIN_SECONDS";
/// Past the first a process ends itself, by another code.
const GRACE: [(&str, &str); 2] = [(GRACE_KEY, "10"), (DRAIN_KEY, "2")];
const SERVICES: [&str; 3] = ["collect", "enrich", "sink"];
/// Hits that are under way through all of them when Kafka goes.
const UNDER_WAY: u64 = 300;
/// Hits that the collector takes while it is away.
const MEANWHILE: u64 = 20;
/// Hits of one way of going away.
const HITS: u64 = 1 + UNDER_WAY + MEANWHILE;
const VISITS: &str = "SELECT count() FROM grapevine.visits";

/// How Kafka goes away, and how it comes back.
type Away = (&'static str, fn(&mut Cluster), fn(&mut Cluster));
const WAYS: [Away; 2] = [
    (
        "dead",
        |cluster| cluster.kill(0),
        |cluster| cluster.start_again(0).expect("a process"),
    ),
    (
        "standing still",
        |cluster| cluster.pause(0),
        |cluster| cluster.resume(0),
    ),
];

fn hits(numbers: std::ops::Range<u64>) -> String {
    let hit = |number: u64| {
        format!(
            r#"{{"site":"example.org","url":"https://example.org/{number}","visitor":"{number}"}}"#
        )
    };
    let hits: Vec<String> = numbers.map(hit).collect();
    hits.join("\n")
}

/// A service that lives, and looks for Kafka.
fn starting(trio: &Trio, service: &str) -> GuardedProcess {
    let port = Port::take().expect("a port");
    let listen = format!("127.0.0.1:{}", port.number());
    let operations = ("GRAPEVINE_OPERATIONS__LISTEN", listen.as_str());
    let [grace, drain] = GRACE;
    let started = trio.start(service, &[grace, drain, operations]);
    let deadline = Instant::now() + PATIENCE;
    while reqwest::blocking::get(format!("http://{listen}/health/live")).is_err() {
        let words = started.last_words(20);
        assert!(
            Instant::now() < deadline,
            "{service} does not live: {words}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    started
}

/// Stops all at once, each of which must end well; what they said.
#[track_caller]
fn stopped(services: [GuardedProcess; 3], kafka: &str) -> [String; 3] {
    let ends = std::thread::scope(|scope| {
        let stops = services.map(|mut service| {
            scope.spawn(move || {
                let ended = service.stop(PATIENCE).and_then(|status| status.code());
                (ended, service.last_words(30))
            })
        });
        stops.map(|stop| stop.join().expect("no panic"))
    });
    let told = |(code, words): &(Option<i32>, String)| format!("{code:?}: {words}");
    let said = ends.each_ref().map(told).join("\n\n");
    assert!(
        ends.iter().all(|(code, _)| *code == Some(0)),
        "kafka is {kafka}: {said}"
    );
    ends.map(|(_, words)| words)
}

#[test]
fn every_service_ends_well_while_kafka_is_away_and_nothing_is_lost() {
    let mut trio = Trio::new();
    let _clickhouse = trio.serve_clickhouse();
    let mut sent = 0;
    for (way, go, come_back) in WAYS {
        let services = SERVICES.map(|service| trio.start(service, &GRACE));
        trio.send(&hits(sent..sent + 1));
        trio.wait_for(VISITS, sent + 1);
        trio.send(&hits(sent + 1..sent + 1 + UNDER_WAY));
        go(&mut trio.world.cluster);
        trio.send(&hits(sent + 1 + UNDER_WAY..sent + HITS));
        sent += HITS;

        let [collect, ..] = stopped(services, way);
        let in_the_spool = "hits wait in the spool for the next start";
        assert!(collect.contains(in_the_spool), "{collect}");
        // Nor does a start that looks for Kafka keep a stop waiting.
        stopped(SERVICES.map(|service| starting(&trio, service)), way);

        come_back(&mut trio.world.cluster);
        if let Err(hung) = trio.world.cluster.wait_until_ready() {
            // Kafka once never answered again after it had stood still; whoever runs it starts it anew.
            // What its threads did is in the test's output.
            eprintln!("{way}: {hung}");
            trio.world.cluster.start_again(0).expect("a process");
            trio.world.cluster.wait_until_ready().expect("ready");
        }
        let services = SERVICES.map(|service| trio.start(service, &[]));
        trio.wait_for(VISITS, sent);
        services.into_iter().for_each(ended_well);
    }
}

/// SIGTERM.
fn tell(service: &GuardedProcess) {
    let told = Command::new("kill")
        .args(["-TERM", &service.id().to_string()])
        .status();
    assert!(told.expect("kill runs").success());
}

/// How a service that was told to stop ended.
fn ended(service: &mut GuardedProcess) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = service.ended() {
            return status.code();
        }
        let words = service.last_words(20);
        assert!(Instant::now() < deadline, "it does not end: {words}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a page answers with a status.
fn wait_for_status(url: &str, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    let has_it = |answer: reqwest::blocking::Response| answer.status() == status;
    while !reqwest::blocking::get(url).is_ok_and(has_it) {
        assert!(Instant::now() < deadline, "{url} does not say {status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Those who route hits hear of a stop later than the collector: what they send meanwhile is taken.
#[test]
fn a_collector_takes_hits_for_a_while_after_it_says_that_it_is_not_ready() {
    const DRAIN: Duration = Duration::from_secs(10);
    let trio = Trio::new();
    let port = Port::take().expect("a port");
    let listen = format!("127.0.0.1:{}", port.number());
    let start = |drain: &str| {
        let environment = [
            (GRACE_KEY, "100"),
            (DRAIN_KEY, drain),
            ("GRAPEVINE_OPERATIONS__LISTEN", listen.as_str()),
        ];
        trio.start("collect", &environment)
    };
    let ready = format!("http://{listen}/health/ready");
    let mut collect = start(&DRAIN.as_secs().to_string());
    trio.send(&hits(0..1));
    wait_for_status(&ready, 200);
    let told = Instant::now();
    tell(&collect);
    wait_for_status(&ready, 503);
    wait_for_status(&format!("{}/health/ready", trio.collector()), 503);
    for number in 1..4 {
        // Each by a connection of its own, as new readers come.
        let answer = reqwest::blocking::Client::new()
            .post(format!("{}/v1/hits", trio.collector()))
            .body(hits(number..number + 1))
            .send()
            .expect("it still listens");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["connection"], "close");
    }
    assert_eq!(
        ended(&mut collect),
        Some(0),
        "in time: {}",
        collect.last_words(20)
    );
    let took = told.elapsed();
    assert!(took >= DRAIN, "it took hits for {took:?} only");
    let mut urls = BTreeSet::new();
    for record in &trio.world.outputs()[&(topic::HITS_RAW, 0)] {
        if let Ok(Record::Hit(hit)) = Record::decode(record) {
            urls.insert(hit.url.to_owned());
        }
    }
    let sent = (0..4).map(|number| format!("https://example.org/{number}"));
    assert_eq!(urls, sent.collect::<BTreeSet<_>>(), "what was taken");

    // Who does not want to wait says so again.
    let mut collect = start("90");
    trio.send(&hits(4..5));
    wait_for_status(&ready, 200);
    let told = Instant::now();
    tell(&collect);
    wait_for_status(&ready, 503);
    tell(&collect);
    assert_eq!(ended(&mut collect), Some(130), "{}", collect.last_words(20));
    let took = told.elapsed();
    assert!(took < Duration::from_secs(90), "{took:?}");
}
