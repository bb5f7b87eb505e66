//! A cluster of brokers in KRaft mode.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::broker::{Broker, Ports};
use crate::error::TestingError;
use crate::identity::IdentityProvider;
use crate::install;
use crate::ports::Port;
use crate::process::ScratchDirectory;
use crate::security::{self, Certificates, Security};

/// How long brokers may take until they answer. A busy machine is slow.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long Java may take to write down its classes, which is work.
const KEPT_WITHIN: Duration = Duration::from_secs(120);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one look may take. It ends as soon as a broker answers.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Java that is quick to start rather than quick for hours; a test is over in seconds.
const JAVA_QUICK: [&str; 5] = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Xms96m",
    "-Xmx512m",
];
/// Java as Kafka's own start scripts run it: `kafka-run-class.sh`, `kafka-server-start.sh`.
const JAVA_LASTING: [&str; 6] = [
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Xms1G",
    "-Xmx1G",
];

/// What a cluster is to be like.
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    brokers: usize,
    security: Security,
    properties: Vec<(String, String)>,
    lasting: bool,
    /// Where its Java keeps the classes that it has loaded, once it ends.
    keeps_classes: Option<PathBuf>,
}

impl ClusterBuilder {
    /// How many brokers; each is a controller too. One unless told otherwise.
    #[must_use]
    pub fn brokers(mut self, count: usize) -> Self {
        self.brokers = count.max(1);
        self
    }

    /// What clients must show.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// A broker setting, over those of the harness.
    #[must_use]
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Java's options are those of Kafka's own start script, as on a server: for what measures. It
    /// takes 1 GiB a broker and a second more to start.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// Starts it and waits until every broker answers.
    ///
    /// # Errors
    /// What is missing on the machine, or the brokers' own words.
    pub fn start(self) -> Result<Cluster, TestingError> {
        let jars = install::kafka()?;
        let directory = ScratchDirectory::new()?;
        let certificates = match self.security {
            Security::Plaintext => None,
            _ => Some(Certificates::make(directory.path())?),
        };
        let identity = match self.security {
            Security::Oidc => Some(IdentityProvider::start()?),
            _ => None,
        };
        let ports = (0..self.brokers)
            .map(|_| {
                Ok(Ports {
                    controllers: Port::take()?,
                    brokers: Port::take()?,
                    clients: Port::take()?,
                })
            })
            .collect::<Result<Vec<_>, TestingError>>()?;
        let properties = self.properties(&ports, certificates.as_ref(), identity.as_ref());
        // Kafka 4 asks no address for tokens or keys that it was not told of at its start.
        let allowed = identity.as_ref().map(|identity| {
            format!(
                "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={},{}",
                identity.keys_url(),
                identity.token_url()
            )
        });
        let options: &[&str] = match self.lasting {
            true => &JAVA_LASTING,
            false => &JAVA_QUICK,
        };
        let classes = match &self.keeps_classes {
            Some(archive) => Some(format!("-XX:ArchiveClassesAtExit={}", archive.display())),
            None if self.lasting => None,
            None => Some(format!(
                "-XX:SharedArchiveFile={}",
                kept_classes()?.display()
            )),
        };
        let brokers = ports
            .into_iter()
            .enumerate()
            .map(|(index, ports)| {
                let java = options.iter().map(|option| (*option).to_owned());
                let java = java.chain(classes.clone()).chain(allowed.clone()).collect();
                Broker::prepare(index + 1, ports, directory.path(), &jars, &properties, java)
            })
            .collect::<Result<Vec<_>, _>>()?;

        let cluster_id = URL_SAFE_NO_PAD.encode(*b"grapevine-tests!");
        let kind = format!("{:?}", self.security).to_lowercase();
        let arguments = security::format_arguments(self.security);
        for broker in &brokers {
            broker.format(&cluster_id, &kind, &arguments)?;
        }
        let mut cluster = Cluster {
            brokers,
            security: self.security,
            certificates,
            identity,
            _directory: directory,
        };
        for broker in &mut cluster.brokers {
            broker.start()?;
        }
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    fn properties(
        &self,
        ports: &[Ports],
        certificates: Option<&Certificates>,
        identity: Option<&IdentityProvider>,
    ) -> Vec<(String, String)> {
        let voters: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(index, ports)| format!("{}@127.0.0.1:{}", index + 1, ports.controllers.number()))
            .collect();
        let copies = self.brokers.min(3).to_string();
        let in_sync = if self.brokers >= 3 { "2" } else { "1" };
        let protocols = format!(
            "CONTROLLERS:PLAINTEXT,BROKERS:PLAINTEXT,CLIENTS:{}",
            self.security.protocol()
        );
        let own = [
            ("process.roles", "broker,controller"),
            ("controller.quorum.voters", &voters.join(",")),
            ("controller.listener.names", "CONTROLLERS"),
            ("inter.broker.listener.name", "BROKERS"),
            ("listener.security.protocol.map", &protocols),
            ("auto.create.topics.enable", "false"),
            ("default.replication.factor", &copies),
            ("min.insync.replicas", in_sync),
            ("offsets.topic.replication.factor", &copies),
            ("transaction.state.log.replication.factor", &copies),
            ("transaction.state.log.min.isr", in_sync),
            // Fifty of each are for clusters that live; a start creates them all.
            ("offsets.topic.num.partitions", "4"),
            ("transaction.state.log.num.partitions", "4"),
            // A group of tests waits for nobody.
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.min.session.timeout.ms", "1000"),
            ("group.consumer.min.session.timeout.ms", "1000"),
            ("group.consumer.min.heartbeat.interval.ms", "500"),
            // A killed broker is missed soon.
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
            ("controller.quorum.election.timeout.ms", "500"),
            ("controller.quorum.fetch.timeout.ms", "1000"),
        ];
        let own = own
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        // In a properties file the last of a key counts.
        own.chain(security::broker_properties(
            self.security,
            certificates,
            identity,
        ))
        .chain(self.properties.iter().cloned())
        .collect()
    }
}

/// Kafka's classes as Java keeps them once they are loaded: to read them from the jars and to check them is half
/// of the work of a start. A broker is started for nothing else where they are not kept yet.
fn kept_classes() -> Result<PathBuf, TestingError> {
    install::kafka_classes(|archive| {
        let mut builder = Cluster::builder();
        builder.keeps_classes = Some(archive.to_owned());
        let mut cluster = builder.start()?;
        cluster.brokers[0].stop_within(KEPT_WITHIN);
        Ok(())
    })
}

/// A running cluster; it ends, and its data goes, when dropped.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Broker>,
    security: Security,
    certificates: Option<Certificates>,
    identity: Option<IdentityProvider>,
    _directory: ScratchDirectory,
}

impl Cluster {
    /// One broker that anybody may talk to.
    ///
    /// # Errors
    /// As [`ClusterBuilder::start`].
    pub fn start() -> Result<Cluster, TestingError> {
        Cluster::builder().start()
    }

    /// To say more of it.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            brokers: 1,
            security: Security::Plaintext,
            properties: Vec::new(),
            lasting: false,
            keeps_classes: None,
        }
    }

    /// Process ids of the brokers that run.
    pub fn process_ids(&self) -> Vec<u32> {
        self.brokers.iter().filter_map(Broker::process_id).collect()
    }

    /// `bootstrap.servers` of a client.
    pub fn bootstrap(&self) -> String {
        self.addresses(|ports| &ports.clients)
    }

    /// `bootstrap.servers` in the clear and open to all, whatever clients are asked for: for the
    /// tests' own hands.
    pub fn back_door(&self) -> String {
        self.addresses(|ports| &ports.brokers)
    }

    fn addresses(&self, port: impl Fn(&Ports) -> &Port) -> String {
        let address = |broker: &Broker| format!("127.0.0.1:{}", port(&broker.ports).number());
        let all: Vec<String> = self.brokers.iter().map(address).collect();
        all.join(",")
    }

    /// librdkafka's settings of a client that is let in, `bootstrap.servers` among them.
    pub fn client_properties(&self) -> Vec<(String, String)> {
        let mut properties = vec![("bootstrap.servers".to_owned(), self.bootstrap())];
        properties.extend(security::client_properties(
            self.security,
            self.certificates.as_ref(),
            self.identity.as_ref(),
        ));
        properties
    }

    /// The same as rdkafka takes them.
    pub fn client_config(&self) -> ClientConfig {
        // A test that ends does not crash in threads that close their connections.
        openssl_sys::init();
        let mut config = ClientConfig::new();
        for (key, value) in self.client_properties() {
            config.set(key, value);
        }
        config
    }

    /// The identity provider of a cluster with [`Security::Oidc`].
    pub fn identity_provider(&self) -> Option<&IdentityProvider> {
        self.identity.as_ref()
    }

    /// How many brokers there are, running or not.
    pub fn brokers(&self) -> usize {
        self.brokers.len()
    }

    /// `kill -9` of broker `index`, from 0. Its data stays.
    pub fn kill(&mut self, index: usize) {
        self.brokers[index].kill();
    }

    /// Lets broker `index` leave in peace. Its data stays.
    pub fn stop(&mut self, index: usize) {
        self.brokers[index].stop();
    }

    /// Starts broker `index` again on its data and its ports; returns at once.
    ///
    /// # Errors
    /// The system gives no process.
    pub fn start_again(&mut self, index: usize) -> Result<(), TestingError> {
        self.brokers[index].kill();
        self.brokers[index].start()
    }

    /// SIGSTOP of broker `index`: connections stay open, nothing is answered.
    pub fn pause(&mut self, index: usize) {
        if let Some(process) = self.brokers[index].process() {
            process.pause();
        }
    }

    /// SIGCONT.
    pub fn resume(&mut self, index: usize) {
        if let Some(process) = self.brokers[index].process() {
            process.resume();
        }
    }

    /// Waits until every broker is there and every partition has a leader.
    ///
    /// # Errors
    /// A broker that ended, or that does not answer in time, with its own last words.
    pub fn wait_until_ready(&mut self) -> Result<(), TestingError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            for broker in &mut self.brokers {
                if let Some(complaint) = broker.complaint() {
                    return Err(complaint);
                }
            }
            // Another at each look: what became of the connections of the last is no concern of this.
            let consumer: BaseConsumer = self
                .own_config()
                // Its complaints while nobody listens yet are no news.
                .set("log_level", "0")
                .set("reconnect.backoff.ms", "50")
                .set("reconnect.backoff.max.ms", "200")
                .create()
                .map_err(|error| self.refused("a client", &error))?;
            let seen = consumer.fetch_metadata(None, LOOK_WITHIN);
            let reason = match &seen {
                Ok(metadata) => {
                    let leaderless = metadata
                        .topics()
                        .iter()
                        .flat_map(|topic| topic.partitions())
                        .filter(|partition| partition.leader() < 0)
                        .count();
                    let answering = metadata.brokers().len();
                    if answering == self.brokers.len() && leaderless == 0 {
                        return Ok(());
                    }
                    format!(
                        "{answering} of {} brokers are there, {leaderless} partitions have no leader",
                        self.brokers.len()
                    )
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                let words = self.brokers.iter_mut().map(Broker::what_it_does);
                let words: Vec<String> = words.collect();
                return Err(TestingError::Start {
                    part: "Kafka".to_owned(),
                    reason,
                    words: words.join("\n"),
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Creates a topic, with copies on as many brokers as there are, three at most, and waits
    /// until its partitions have leaders.
    ///
    /// # Errors
    /// Those of the broker.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<(), TestingError> {
        let copies = i32::try_from(self.brokers.len().min(3)).unwrap_or(3);
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let what = format!("the topic {name}");
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let results = block_on(admin.create_topics([&topic], &options))
            .map_err(|error| self.refused(&what, &error))?;
        for result in results {
            result.map_err(|(_, error)| self.refused(&what, &error))?;
        }
        self.wait_until_ready()
    }

    /// Drops every record that is in a topic, as its retention would.
    ///
    /// # Errors
    /// Those of the broker.
    pub fn drop_records(&self, topic: &str, partitions: i32) -> Result<(), TestingError> {
        let what = format!("the records of {topic}");
        let refused = |error: KafkaError| self.refused(&what, &error);
        let mut until = TopicPartitionList::new();
        for partition in 0..partitions {
            until
                .add_partition_offset(topic, partition, Offset::End)
                .map_err(refused)?;
        }
        let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
        let dropped = block_on(self.admin()?.delete_records(&until, &options)).map_err(refused)?;
        for element in dropped.elements() {
            element.error().map_err(refused)?;
        }
        Ok(())
    }

    /// An administrator's client, through the back door.
    ///
    /// # Errors
    /// librdkafka gives no client.
    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>, TestingError> {
        self.own_config()
            .create()
            .map_err(|error| self.refused("an administrator", &error))
    }

    fn own_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.back_door());
        config
    }

    fn refused(&self, what: &str, reason: &dyn std::fmt::Display) -> TestingError {
        TestingError::Refused {
            part: "Kafka".to_owned(),
            what: what.to_owned(),
            reason: reason.to_string(),
        }
    }
}
