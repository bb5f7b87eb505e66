//! A service that is told to stop while Kafka is away ends within its grace period, and the next start goes
//! on where it stood. Where the brokers' word is waited for to the end of that period the code is 130
//! (docs/operations.md).

use std::time::{Duration, Instant};

use grapevine_tests::stages::PATIENCE;
use grapevine_tests::trio::{Trio, ended_well};

const GRACE: [(&str, &str); 1] = [("GRAPEVINE_OPERATIONS__GRACE_SECONDS", "10")];
/// Longest end: the grace period, and what a busy machine takes besides.
const END_MAX: Duration = Duration::from_secs(40);

#[test]
fn sink_and_stages_end_in_time_without_kafka_and_go_on_after_it() {
    let mut trio = Trio::new();
    let _clickhouse = trio.serve_clickhouse();
    let hit = |number: u32| {
        format!(
            r#"{{"site":"example.org","url":"https://example.org/{number}","visitor":"{number}"}}"#
        )
    };
    let visits = "SELECT count() FROM grapevine.visits";
    let collect = trio.start("collect", &[]);
    let services = ["enrich", "sink"].map(|service| trio.start(service, &GRACE));
    trio.send(&hit(0));
    trio.wait_for(visits, 1);
    trio.world.cluster.kill(0);
    // Acknowledged meanwhile: from the spool later.
    trio.send(&hit(1));
    for mut service in services {
        let asked = Instant::now();
        let ended = service.stop(PATIENCE).and_then(|status| status.code());
        assert!(
            matches!(ended, Some(0 | 130)),
            "{ended:?}: {}",
            service.last_words(20)
        );
        let took = asked.elapsed();
        assert!(took < END_MAX, "{took:?}: {}", service.last_words(20));
    }
    trio.wait_for(visits, 1);
    trio.world.cluster.start_again(0).expect("a process");
    trio.world.cluster.wait_until_ready().expect("ready");
    let services = ["enrich", "sink"].map(|service| trio.start(service, &GRACE));
    trio.wait_for(visits, 2);
    services.into_iter().for_each(ended_well);
    ended_well(collect);
}
