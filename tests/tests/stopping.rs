//! Services that are told to stop while Kafka is away end well within their grace period, having lost
//! nothing: the next start goes on where they stood (docs/operations.md).

use std::time::{Duration, Instant};

use grapevine_kafka_testing::{Cluster, GuardedProcess, Port};
use grapevine_tests::stages::PATIENCE;
use grapevine_tests::trio::{Trio, ended_well};

/// Past it a process ends itself, by another code.
const GRACE: [(&str, &str); 1] = [("GRAPEVINE_OPERATIONS__GRACE_SECONDS", "10")];
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
    let started = trio.start(service, &[GRACE[0], operations]);
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
        trio.world.cluster.wait_until_ready().expect("ready");
        let services = SERVICES.map(|service| trio.start(service, &[]));
        trio.wait_for(VISITS, sent);
        services.into_iter().for_each(ended_well);
    }
}
