//! The harness against the brokers it starts: what tests of the product rely on.

use std::time::{Duration, Instant};

use grapevine_kafka_testing::{Cluster, Security};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const WITHIN: Duration = Duration::from_secs(30);

fn send(config: &ClientConfig, topic: &str, payload: &str) {
    let producer: BaseProducer = config
        .clone()
        .set("acks", "all")
        .set("message.timeout.ms", "30000")
        .create()
        .expect("a producer");
    producer
        .send(BaseRecord::<(), str>::to(topic).payload(payload))
        .map_err(|(error, _)| error)
        .expect("queued");
    producer.flush(WITHIN).expect("acknowledged");
}

fn read_all(config: &ClientConfig, topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)
        .expect("a list");
    consumer.assign(&list).expect("assigned");
    let mut payloads = Vec::new();
    let deadline = Instant::now() + WITHIN;
    while payloads.len() < count && Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let payload = message.payload().expect("a payload");
            payloads.push(String::from_utf8_lossy(payload).into_owned());
        }
    }
    payloads
}

#[test]
fn a_killed_broker_comes_back_with_its_records() {
    let mut cluster = Cluster::start().expect("a cluster");
    cluster.create_topic("t", 1, &[]).expect("a topic");
    let config = cluster.client_config();
    send(&config, "t", "before the kill");
    cluster.kill(0);
    cluster.start_again(0).expect("a process");
    cluster.wait_until_ready().expect("ready");
    send(&config, "t", "after it");
    cluster.stop(0);
    cluster.start_again(0).expect("a process");
    cluster.wait_until_ready().expect("ready");
    assert_eq!(read_all(&config, "t", 2), ["before the kill", "after it"]);
}

#[test]
fn three_brokers_go_on_without_one() {
    let mut cluster = Cluster::builder().brokers(3).start().expect("a cluster");
    cluster.create_topic("t", 1, &[]).expect("a topic");
    let config = cluster.client_config();
    send(&config, "t", "with three");
    cluster.kill(1);
    send(&config, "t", "with two");
    cluster.start_again(1).expect("a process");
    cluster.wait_until_ready().expect("ready");
    assert_eq!(read_all(&config, "t", 2), ["with three", "with two"]);
}

/// Whether a client with these settings gets an answer.
fn is_let_in(config: &ClientConfig) -> bool {
    let consumer: BaseConsumer = config
        .clone()
        .set("log_level", "0")
        .create()
        .expect("a client");
    // Connecting again and again is librdkafka's way of being refused.
    consumer
        .fetch_metadata(Some("t"), Duration::from_secs(5))
        .is_ok()
}

fn demands(security: Security, wrong: &[(&str, &str)]) {
    let mut cluster = Cluster::builder()
        .security(security)
        .start()
        .expect("a cluster");
    cluster.create_topic("t", 1, &[]).expect("a topic");
    let config = cluster.client_config();
    send(&config, "t", "let in");
    assert_eq!(read_all(&config, "t", 1), ["let in"]);

    let mut stranger = ClientConfig::new();
    stranger.set("bootstrap.servers", cluster.bootstrap());
    assert!(!is_let_in(&stranger), "{security:?} lets anybody in");
    for (key, value) in wrong {
        let mut liar = config.clone();
        liar.set(*key, *value);
        assert!(!is_let_in(&liar), "{security:?} takes {key}={value}");
    }
    if let Some(provider) = cluster.identity_provider() {
        assert!(provider.tokens_given() > 0);
    }
}

#[test]
fn tls_is_demanded() {
    demands(Security::Tls, &[("ssl.ca.location", "")]);
}

#[test]
fn a_clients_certificate_is_demanded() {
    let mut cluster = Cluster::builder()
        .security(Security::MutualTls)
        .start()
        .expect("a cluster");
    cluster.create_topic("t", 1, &[]).expect("a topic");
    let config = cluster.client_config();
    send(&config, "t", "let in");
    let mut nobody = config.clone();
    nobody.remove("ssl.certificate.location");
    nobody.remove("ssl.key.location");
    assert!(!is_let_in(&nobody));
}

#[test]
fn a_password_is_demanded() {
    demands(Security::Plain, &[("sasl.password", "guessed")]);
}

#[test]
fn proof_of_the_password_is_demanded() {
    demands(Security::ScramSha256, &[("sasl.password", "guessed")]);
    demands(Security::ScramSha512, &[("sasl.username", "somebody")]);
}

#[test]
fn a_token_is_demanded() {
    demands(Security::UnsignedToken, &[]);
}

#[test]
fn a_signed_token_is_demanded() {
    demands(
        Security::Oidc,
        &[("sasl.oauthbearer.client.secret", "guessed")],
    );
}

#[test]
fn a_broker_that_cannot_start_says_why() {
    let failed = Cluster::builder()
        .property("log.retention.hours", "soon")
        .start()
        .expect_err("refused");
    let words = failed.to_string();
    assert!(words.contains("log.retention.hours"), "{words}");
}
