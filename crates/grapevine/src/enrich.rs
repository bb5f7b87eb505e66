//! `grapevine enrich`: the classify and chain stages as replicas on Kafka, until told to stop.

use std::sync::Arc;
use std::thread::JoinHandle;

use grapevine_enrichment::{
    ChainStage, ClassifyStage, Merged, ReplicaOptions, Stage, StateStore, StopSignal, run_replica,
};
use grapevine_event::topic;
use grapevine_log::kafka::topics::{self, TopicsError};
use grapevine_operations::{Condition, Health};
use grapevine_registry::Frames;
use tokio::sync::mpsc;

use crate::cli::{EnrichArgs, EnrichStage};
use crate::exit::{Ends, ExitKind, Failure};
use crate::judging::Judging;
use crate::operations::Service;
use crate::settings::Settings;
use crate::{ending, reachable, registry};

/// Runs the command.
///
/// # Errors
/// Brokers that are away, topics that are not as they have to be, saved states that cannot be
/// used, or a stage that cannot go on.
pub async fn run(arguments: &EnrichArgs, settings: &Settings) -> Result<(), Failure> {
    let service = Service::start("enrich", &settings.operations).await?;
    let stages = service
        .health
        .condition("stages", "looking at topics and states");
    let conditions = conditions(arguments.stage, &service.health);
    let _kafka = reachable::kafka(&service.health, &settings.kafka.connection()?)?;
    let frames = registry::frames(settings).await?;
    registry::watch(&service.health, frames.as_ref());
    tokio::select! {
        registered = registry::registered(frames.as_ref()) => registered?,
        () = service.shutdown.asked() => return Ok(()),
    }
    let settings = settings.clone();
    let stop = StopSignal::new();
    let (report, mut reports) = mpsc::unbounded_channel();
    let told = stop.clone();
    // Everything that waits for brokers and stores has threads of its own.
    let running =
        tokio::task::spawn_blocking(move || start(conditions, &settings, frames, &told, &report));
    let threads = tokio::select! {
        started = running => started.ends(ExitKind::Software)??,
        // Nothing is held yet.
        () = service.shutdown.asked() => return Ok(()),
    };
    stages.met();
    let outcome = tokio::select! {
        () = service.shutdown.asked() => Ok(()),
        failure = reports.recv() => Err(failure.unwrap_or_else(|| {
            Failure::new(ExitKind::Software, "every stage ended without being asked to")
        })),
    };
    if let Err(failure) = &outcome {
        stages.unmet(failure.to_string());
    }
    service.shutdown.ask();
    stop.stop();
    let joined = tokio::task::spawn_blocking(move || {
        threads
            .into_iter()
            .all(|stage: JoinHandle<()>| stage.join().is_ok())
    });
    let all_well = tokio::select! {
        joined = joined => joined.ends(ExitKind::Software)?,
        () = service.overdue() => {
            tracing::warn!("stages still wait for kafka: what is not committed is done again after the next start");
            true
        }
    };
    if !all_well {
        return Err(Failure::new(ExitKind::Software, "a stage panicked"));
    }
    match reports.try_recv() {
        Ok(failure) => outcome.and(Err(failure)),
        Err(_) => outcome,
    }
}

/// What says whether each stage could do its work now; `None` where it is not to run.
struct Conditions {
    classify: Option<Condition>,
    chain: Option<Condition>,
}

fn conditions(which: EnrichStage, health: &Health) -> Conditions {
    let waiting = |stage| health.condition(stage, "waiting for topics and states");
    Conditions {
        classify: (which != EnrichStage::Chain).then(|| waiting(ClassifyStage::NAME)),
        chain: (which != EnrichStage::Classify).then(|| waiting(ChainStage::NAME)),
    }
}

/// Keeps a condition as a stage tells it. It ends with the stage.
fn telling(condition: Condition) -> Arc<dyn Fn(Result<(), String>) + Send + Sync> {
    Arc::new(move |answer: Result<(), String>| match answer {
        Ok(()) => condition.met(),
        Err(why) => condition.unmet(why),
    })
}

/// Checks everything that may be wrong, and starts a thread for each stage.
fn start(
    conditions: Conditions,
    settings: &Settings,
    frames: Option<Arc<Frames>>,
    stop: &StopSignal,
    report: &mpsc::UnboundedSender<Failure>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    settings.check_replica()?;
    let kafka = &settings.kafka;
    let judging = Arc::new(Judging::load(settings)?);
    let connection = kafka.connection()?.framed(frames);
    let partitions = topics::ensure(&connection, &kafka.wishes(), kafka.creation());
    let partitions = partitions.map_err(|error| {
        let kind = match &error {
            TopicsError::Away { .. } => ExitKind::Unavailable,
            _ => ExitKind::Config,
        };
        Failure::of(kind, error)
    })?;
    let sources = partitions.of(topic::HITS_RAW).ends(ExitKind::Software)?;
    let states = StateStore::open(&kafka.states(&settings.data_dir)).ends(ExitKind::Config)?;
    let options = |stage: &str, ready, marks_heartbeats| -> Result<ReplicaOptions, Failure> {
        Ok(ReplicaOptions {
            connection: connection.clone(),
            membership: kafka.membership(stage)?,
            partitions: partitions.clone(),
            states: states.clone(),
            marks_heartbeats,
            ready,
        })
    };
    let mut stages = Vec::new();
    if let Some(condition) = conditions.classify {
        let options = options(ClassifyStage::NAME, telling(condition), true)?;
        let classifier = Arc::clone(&judging.classifier);
        let new = move || ClassifyStage::new(classifier.clone());
        stages.push(spawn(options, new, stop, report)?);
    }
    if let Some(condition) = conditions.chain {
        let options = options(ChainStage::NAME, telling(condition), false)?;
        let new = move || Merged::new(judging.chain_stage(), sources.unsigned_abs());
        stages.push(spawn(options, new, stop, report)?);
    }
    Ok(stages)
}

fn spawn<S: Stage + 'static>(
    options: ReplicaOptions,
    new: impl Fn() -> S + Clone + Send + 'static,
    stop: &StopSignal,
    report: &mpsc::UnboundedSender<Failure>,
) -> Result<JoinHandle<()>, Failure> {
    let (stop, report) = (stop.clone(), report.clone());
    std::thread::Builder::new()
        .name(S::NAME.to_owned())
        .spawn(move || {
            if let Err(error) = run_replica(&options, new, &stop) {
                let kind = ending::of_stage(&error);
                // Nobody listens any more only where the process is ending anyhow.
                let _ = report.send(Failure::of(kind, error));
            }
        })
        .ends(ExitKind::Software)
}
