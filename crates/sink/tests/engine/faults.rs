//! Whatever the connection does, every row is there once.

use std::time::Duration;

use grapevine_log::{Commit, Durability};
use grapevine_sink::{Depth, Options, audit, migrate, topics};

use crate::generate::Generator;
use crate::proxy::Proxy;
use crate::server::{Turn, block_on, client_of, drain, quick};

const ANSWER_MAX: Duration = Duration::from_millis(700);

#[test]
fn rows_are_there_once_through_a_connection_that_fails() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        let mut faults = 0;
        for seed in 0..4 {
            let proxy = Proxy::start(turn.server.address, seed, 4, ANSWER_MAX * 2).await;
            let mut generator = Generator::new(seed);
            let options = Options {
                answer_max: ANSWER_MAX,
                batch_rows_max: 60,
                ..quick()
            };
            let (log, client) = (turn.log.clone(), client_of(proxy.address));
            let draining = tokio::spawn(async move {
                let mut appended = 0;
                while appended < 250 {
                    let mut commit = Commit::default();
                    let records = 1 + generator.number(100);
                    for topic in topics() {
                        for _ in 0..records {
                            generator.append(topic, &mut commit, 60);
                        }
                    }
                    appended += records;
                    log.commit(&commit, Durability::Durable).expect("commits");
                    drain(&log, &client, options.clone()).await.expect("drains");
                }
            });
            draining.await.expect("drains");
            faults += proxy.faults();
            // Requests that come late must have come.
            tokio::time::sleep(ANSWER_MAX * 3).await;
            let audit = audit(&turn.log, &turn.client(), Depth::Groups)
                .await
                .expect("audits");
            assert!(audit.is_clean(), "seed {seed}: {:?}", audit.problems);
            for topic in &audit.topics {
                assert_eq!(topic.committed, topic.end, "seed {seed}: {topic:?}");
            }
        }
        assert!(faults > 50, "the proxy failed {faults} times");
    });
}
