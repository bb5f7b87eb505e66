//! The stages as they would be without exactly once: what they write is acknowledged, but in no
//! transaction, and where they stand is nowhere. A kill would lose or double what was on its way.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grapevine_enrichment::{
    ChainStage, ClassifyStage, Merged, Stage, StateStore, StopSignal, drive,
};
use grapevine_event::topic;
use grapevine_inference::{Classifier, Model};
use grapevine_log::kafka::topics::Partitions;
use grapevine_log::kafka::{
    Connection, Group, GroupProtocol, KafkaPartition, Membership, Producer,
};
use grapevine_log::{Batch, Commit, Durability, LogError, Partition, Position};
use grapevine_signals::Signals;

use super::Failed;

/// Longest wait for the brokers to take what is written.
const PATIENCE: Duration = Duration::from_secs(60);

/// A partition of Kafka whose commits are appends.
struct Loose {
    partition: KafkaPartition,
    producer: Producer,
}

impl Partition for Loose {
    fn topic(&self) -> &str {
        self.partition.topic()
    }

    fn partition(&self) -> i32 {
        self.partition.partition()
    }

    fn position(&self) -> Result<Position, LogError> {
        self.partition.position()
    }

    fn confirm(&self) -> Result<(), LogError> {
        self.partition.confirm()
    }

    fn end(&self) -> Result<u64, LogError> {
        self.partition.end()
    }

    fn read(&self, offset: u64, bytes_max: usize) -> Result<Batch, LogError> {
        self.partition.read(offset, bytes_max)
    }

    fn read_waiting(
        &self,
        offset: u64,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Batch, LogError> {
        self.partition.read_waiting(offset, bytes_max, patience)
    }

    fn commit(
        &self,
        commit: &mut Commit,
        _from: u64,
        _to: Position,
        _durability: Durability,
    ) -> Result<(), LogError> {
        self.producer.append(commit, PATIENCE)
    }

    fn wanted_back(&self) -> bool {
        self.partition.wanted_back()
    }
}

/// Runs both stages on topics that are there, until the process is killed.
///
/// # Errors
/// Brokers, topics or a directory that are not to be had.
pub fn run_loose(brokers: &str, partitions: i32, states: &Path) -> Result<(), Failed> {
    let wrong = |error: &dyn std::fmt::Display| Failed(error.to_string());
    let connection =
        Connection::new(brokers, Default::default(), None).map_err(|error| wrong(&error))?;
    let counts: Partitions = topic::ALL
        .map(|name| (name.to_owned(), partitions))
        .into_iter()
        .collect();
    let states = StateStore::open(&states.display().to_string()).map_err(|error| wrong(&error))?;
    let classifier = Arc::new(Classifier::new(
        Arc::new(Signals::builtin()),
        Model::builtin(),
    ));
    let place = (&connection, &counts, &states);
    let classifying = {
        let classifier = Arc::clone(&classifier);
        join(place, true, move || ClassifyStage::new(classifier.clone()))?
    };
    let sources = partitions.unsigned_abs();
    let chaining = join(place, false, move || {
        Merged::new(ChainStage::new(classifier.clone()), sources)
    })?;
    for stage in [classifying, chaining] {
        (stage.join()).map_err(|_| Failed("a stage panicked".to_owned()))??;
    }
    Ok(())
}

type Stages = std::thread::JoinHandle<Result<(), Failed>>;

/// A stage, with a thread for each partition.
fn join<S: Stage + 'static>(
    (connection, counts, states): (&Connection, &Partitions, &StateStore),
    marks_heartbeats: bool,
    new: impl Fn() -> S + Clone + Send + 'static,
) -> Result<Stages, Failed> {
    let membership = Membership {
        group: format!("loose-{}", S::NAME),
        replica: "one".to_owned(),
        topics: vec![S::INPUT],
        protocol: GroupProtocol::Classic,
        grace: Duration::from_secs(1),
    };
    let group = Group::join(connection, &membership, counts.clone())
        .map_err(|error| Failed(error.to_string()))?;
    let (connection, counts, states) = (connection.clone(), counts.clone(), states.clone());
    Ok(std::thread::spawn(move || {
        loop {
            let given = group.next_given(Duration::from_secs(1));
            let Some(partition) = given.map_err(|error| Failed(error.to_string()))? else {
                continue;
            };
            let producer = Producer::new(&connection, counts.clone())
                .map_err(|error| Failed(error.to_string()))?;
            let loose = Loose {
                partition,
                producer,
            };
            let (new, states) = (new.clone(), states.clone());
            std::thread::spawn(move || {
                let stop = StopSignal::new();
                if let Err(error) = drive(&new, loose, &states, marks_heartbeats, &stop) {
                    tracing::error!(%error, "a partition ended");
                }
            });
        }
    }))
}
