//! The registry starts, and comes back empty.

use grapevine_kafka_testing::Registry;

#[test]
fn the_registry_answers_and_comes_back() {
    let mut registry = Registry::start().expect("a registry");
    let url = registry.url();
    registry.kill();
    registry.start_again().expect("again");
    assert_eq!(registry.url(), url);
    registry.stop();
}
