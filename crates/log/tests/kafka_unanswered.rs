//! A transaction whose end gets no answer, on Apache Kafka itself: the broker never heard of it, or
//! its word was lost. librdkafka's mock (2.12.1) shows no difference: it keeps no offsets that come
//! in a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use grapevine_kafka_testing::Cluster;
use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Onlooker, Producer,
};
use grapevine_log::{Commit, Durability, LogError, Partition, Position};

const PATIENCE: Duration = Duration::from_secs(60);
const HOST: &str = "127.0.0.1";
/// `EndTxn` in Kafka's protocol.
const END_OF_TRANSACTION: [u8; 2] = 26_i16.to_be_bytes();

/// What is lost of the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// The broker never hears of it.
    Request,
    /// The broker does it.
    Answer,
}

/// Stands between clients and a broker, and loses what it is told to.
struct Between {
    port: u16,
    broker: u16,
    loses: Mutex<Lost>,
    lost: AtomicUsize,
}

impl Between {
    fn start(broker: u16) -> Arc<Between> {
        let listener = TcpListener::bind((HOST, 0)).expect("a port");
        let between = Arc::new(Between {
            port: listener.local_addr().expect("an address").port(),
            broker,
            loses: Mutex::new(Lost::Nothing),
            lost: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&between);
        // Ends with the test's process.
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                // A client that goes away in the middle is nobody's business.
                let _ = shared.pass(client);
            }
        });
        between
    }

    fn loses(&self) -> Lost {
        *self.loses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on; how much was lost before.
    fn lose(&self, what: Lost) -> usize {
        *self.loses.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.lost.swap(0, Ordering::AcqRel)
    }

    fn pass(self: &Arc<Between>, client: TcpStream) -> io::Result<()> {
        let broker = TcpStream::connect((HOST, self.broker))?;
        let unanswered: Arc<Mutex<BTreeSet<Vec<u8>>>> = Arc::default();
        let (from, to) = (client.try_clone()?, broker.try_clone()?);
        let (between, kept) = (Arc::clone(self), Arc::clone(&unanswered));
        thread::spawn(move || between.requests((from, to), &kept));
        let between = Arc::clone(self);
        thread::spawn(move || between.answers((broker, client), &unanswered));
        Ok(())
    }

    fn requests(
        &self,
        (mut client, mut broker): (TcpStream, TcpStream),
        unanswered: &Mutex<BTreeSet<Vec<u8>>>,
    ) {
        while let Ok(request) = message(&mut client) {
            // Length, what it asks for, the version of that, and the number that its answer has.
            if request[4..6] == END_OF_TRANSACTION {
                match self.loses() {
                    Lost::Nothing => {}
                    Lost::Request => {
                        self.lost.fetch_add(1, Ordering::AcqRel);
                        continue;
                    }
                    Lost::Answer => {
                        let number = request[8..12].to_vec();
                        let mut unanswered =
                            unanswered.lock().unwrap_or_else(PoisonError::into_inner);
                        unanswered.insert(number);
                    }
                }
            }
            if broker.write_all(&request).is_err() {
                break;
            }
        }
        let _ = broker.shutdown(Shutdown::Both);
    }

    fn answers(
        &self,
        (mut broker, mut client): (TcpStream, TcpStream),
        unanswered: &Mutex<BTreeSet<Vec<u8>>>,
    ) {
        while let Ok(mut answer) = message(&mut broker) {
            let is_lost = {
                let mut unanswered = unanswered.lock().unwrap_or_else(PoisonError::into_inner);
                unanswered.remove(&answer[4..8])
            };
            if is_lost {
                self.lost.fetch_add(1, Ordering::AcqRel);
                continue;
            }
            self.readdress(&mut answer);
            if client.write_all(&answer).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    /// Brokers tell where brokers are, by host and port one after the other: here instead.
    fn readdress(&self, answer: &mut [u8]) {
        let told = [HOST.as_bytes(), &i32::from(self.broker).to_be_bytes()].concat();
        let here = i32::from(self.port).to_be_bytes();
        let mut at = 0;
        while let Some(found) = answer.get(at..at + told.len()) {
            if found == told {
                answer[at + HOST.len()..at + told.len()].copy_from_slice(&here);
            }
            at += 1;
        }
    }
}

/// One request or answer, with its length before it.
fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = length.to_vec();
    let bytes = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
    message.resize(length.len() + bytes, 0);
    from.read_exact(&mut message[length.len()..])?;
    Ok(message)
}

/// Copies what is there from where the group stands.
fn copy(partition: &KafkaPartition) -> Result<usize, LogError> {
    let from = partition.position()?.offset;
    let batch = partition.read_waiting(from, 1 << 20, PATIENCE)?;
    let mut commit = Commit::default();
    for (_, record) in &batch {
        commit.append("out", record);
    }
    let to = Position {
        offset: batch.next_offset(),
        metadata: Vec::new(),
    };
    partition.commit(&mut commit, from, to, Durability::Durable)?;
    Ok(batch.len())
}

#[test]
fn a_commit_that_gets_no_answer_is_found_out_about() {
    let mut cluster = Cluster::start().expect("a broker");
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, &[]).expect("a topic");
    }
    let bootstrap = cluster.bootstrap();
    let (_, port) = bootstrap.rsplit_once(':').expect("host and port");
    let between = Between::start(port.parse().expect("a port"));
    let bootstrap = format!("{HOST}:{}", between.port);
    let connection = Connection::new(&bootstrap, BTreeMap::new(), None).expect("a connection");
    let partitions: Partitions = ["in", "out"]
        .map(|name| (name.to_owned(), 1))
        .into_iter()
        .collect();
    let records: Vec<Vec<u8>> = (0..20)
        .map(|number| format!("record {number}").into_bytes())
        .collect();
    let mut commit = Commit::default();
    for record in &records {
        commit.append("in", record);
    }
    let producer = Producer::new(&connection, partitions.clone()).expect("a producer");
    producer.append(&commit, PATIENCE).expect("acknowledged");
    let membership = Membership {
        group: "unanswered".to_owned(),
        replica: "one".to_owned(),
        topics: vec!["in"],
        protocol: GroupProtocol::Classic,
        grace: Duration::from_secs(5),
    };
    let group = Group::join(&connection, &membership, partitions).expect("joins");
    let partition = group.next_given(PATIENCE).expect("healthy");
    let partition = partition.expect("a partition came");
    let onlooker = Onlooker::new(&connection, "unanswered").expect("looks");
    let copied = || {
        let mut copied = Vec::new();
        // A broker says that a transaction is committed before each partition has been told.
        onlooker.settled("out", 0..1).expect("ends");
        let mut take = |_: u64, record: &[u8]| copied.push(record.to_vec());
        onlooker
            .read("out", 0, 0..u64::MAX, &mut take)
            .expect("reads");
        copied
    };

    // What the broker never heard of is not there, and is to be done again.
    between.lose(Lost::Request);
    let aborted = copy(&partition);
    assert!(matches!(aborted, Err(LogError::Aborted(_))), "{aborted:?}");
    assert!(between.lose(Lost::Answer) > 0, "the request was lost");
    assert_eq!(partition.position().expect("held").offset, 0);
    assert_eq!(copied(), Vec::<Vec<u8>>::new());

    // What the broker did is there, though it was not heard to say so.
    let mut through = copy(&partition).expect("is found to be committed");
    assert!(between.lose(Lost::Nothing) > 0, "the answer was lost");
    assert!(through > 0);
    assert_eq!(copied(), &records[..through]);
    while through < records.len() {
        through += copy(&partition).expect("commits");
    }
    assert_eq!(copied(), records, "each once, in order");

    drop(partition);
    group.leave();
}
