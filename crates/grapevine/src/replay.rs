//! `grapevine replay`: dead letters back to where they came from.

use std::io::{self, Write};

use grapevine_log::{Commit, Durability};
use grapevine_sink::{Filter, Found, KafkaView, Replay, add_table, replay_on_kafka};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{AuditFormat, ReplayArgs};
use crate::exit::{Ends, ExitKind, Failure};
use crate::pipeline::{Pipeline, sink_ends};
use crate::settings::Settings;
use crate::{kafka, registry};

#[derive(Serialize)]
struct Outcome {
    /// True where nothing was sent because that was asked for.
    dry_run: bool,
    #[serde(flatten)]
    found: Found,
}

/// Runs the command on Kafka where the settings name a ClickHouse beside it, else on the data
/// directory.
///
/// # Errors
/// A time that is none, a data directory in use, and what Kafka or ClickHouse say.
pub async fn run(arguments: &ReplayArgs, settings: &Settings) -> Result<(), Failure> {
    let replay = Replay::new(filter(arguments)?);
    let found = if settings.clickhouse.url.is_some() {
        on_kafka(replay, arguments.dry_run, settings).await?
    } else {
        on_data_directory(replay, arguments.dry_run, settings).await?
    };
    let outcome = Outcome {
        dry_run: arguments.dry_run,
        found,
    };
    let text = match arguments.format {
        AuditFormat::Json => {
            let mut text = serde_json::to_string_pretty(&outcome).ends(ExitKind::Software)?;
            text.push('\n');
            text
        }
        AuditFormat::Text => text(&outcome),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ends(ExitKind::InputOutput)
}

fn filter(arguments: &ReplayArgs) -> Result<Filter, Failure> {
    Ok(Filter {
        stage: arguments.stage.clone(),
        reason: arguments.reason.clone(),
        site: arguments.site.clone(),
        from: millis("--from", arguments.from.as_deref())?,
        to: millis("--to", arguments.to.as_deref())?,
    })
}

fn millis(flag: &str, text: Option<&str>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    let time: Result<Timestamp, _> = text.parse();
    time.map(|time| Some(time.as_millisecond()))
        .map_err(|error| {
            Failure::new(
                ExitKind::Usage,
                format!("{flag} {text}: {error}; write a time such as 2026-03-01T00:00:00Z"),
            )
        })
}

async fn on_kafka(replay: Replay, dry_run: bool, settings: &Settings) -> Result<Found, Failure> {
    let membership = settings.kafka.membership(kafka::SINK)?;
    let frames = registry::frames(settings).await?;
    registry::registered_soon(frames.as_ref()).await?;
    let (connection, partitions) = kafka::connected(settings, frames).await?;
    let sent = tokio::task::spawn_blocking(move || {
        let view = KafkaView::new(&connection, &membership.group, partitions.clone())
            .ends(ExitKind::Config)?;
        sink_ends(replay_on_kafka(
            &connection,
            membership,
            partitions,
            &view,
            replay,
            dry_run,
        ))
    });
    sent.await.ends(ExitKind::Software)?
}

async fn on_data_directory(
    replay: Replay,
    dry_run: bool,
    settings: &Settings,
) -> Result<Found, Failure> {
    crate::database::must_exist(settings)?;
    let mut pipeline = Pipeline::start(settings, None).await?;
    let sent = send(replay, dry_run, &mut pipeline).await;
    let stopped = pipeline.stop().await;
    let found = sent?;
    stopped?;
    Ok(found)
}

/// Letters and marks are in the table once the log is drained: the process that holds the data
/// directory is this one, so that nobody adds any meanwhile.
async fn send(
    mut replay: Replay,
    dry_run: bool,
    pipeline: &mut Pipeline,
) -> Result<Found, Failure> {
    pipeline.settle().await?;
    let client = pipeline.client();
    sink_ends(add_table(&mut replay, client).await)?;
    if dry_run {
        return Ok(replay.found());
    }
    let log = pipeline.log();
    let commit = |commit: &Commit| log.commit(commit, Durability::Durable).map(drop);
    let found = sink_ends(replay.send_from_table(client, commit).await)?;
    pipeline.settle().await?;
    Ok(found)
}

fn text(outcome: &Outcome) -> String {
    let Outcome { dry_run, found } = outcome;
    let mut text = String::new();
    let verb = if *dry_run { "would go" } else { "went" };
    for (topic, letters) in &found.sendable {
        text.push_str(&format!("{letters} {verb} back to {topic}\n"));
    }
    if found.sendable.is_empty() {
        text.push_str(&format!("nothing {verb} back\n"));
    }
    if found.sent_before > 0 {
        text.push_str(&format!("{} were sent before\n", found.sent_before));
    }
    for (why_not, letters) in &found.unsendable {
        text.push_str(&format!("{letters} cannot go back: {why_not}\n"));
    }
    text
}
