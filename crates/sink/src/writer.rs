//! One task a topic: plan durably, insert, acknowledge with the next plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clickhouse::Client;
use grapevine_event::topic::DEAD_LETTERS;
use grapevine_log::{Commit, Durability, Log, PARTITION, Position};
use grapevine_metrics::RowsVisible;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::batch::{self, Batch, Signals};
use crate::error::SinkError;
use crate::insert::{Block, Inserter, endure, waiting};
use crate::plan::Plan;
use crate::presence;
use crate::rows::{ENCODER_VERSION, Table};
use crate::settings::Settings;
use crate::stop::Stop;
use crate::{CONSUMER, Options, startup};

/// First pause when ClickHouse cannot be reached at a start.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// Writes one topic into its table until the signal to stop.
pub(crate) struct Writer {
    log: Arc<Log>,
    table: &'static Table,
    options: Options,
    inserter: Inserter,
    stop: Stop,
    /// Offset that the log has as committed.
    committed: u64,
}

type Gathering = JoinHandle<Result<Option<Batch>, grapevine_log::LogError>>;

impl Writer {
    /// Checks the table and the settings in force, waiting for a ClickHouse that is away. `None`
    /// where the sink stops meanwhile.
    pub(crate) async fn start(
        log: Arc<Log>,
        client: Client,
        table: &'static Table,
        options: Options,
        stop: Stop,
    ) -> Result<Option<Writer>, SinkError> {
        let position = log.position(CONSUMER, table.topic)?;
        let planned = if position.metadata.is_empty() {
            position.offset
        } else {
            read_plan(table, &position)?.end
        };
        let mut pause = PAUSE_FIRST;
        let mut refusals = 0;
        let settings = loop {
            let error = match check(&client, table, planned).await {
                Ok(settings) => break settings,
                Err(SinkError::ClickHouse(error)) => error,
                Err(error) => return Err(error),
            };
            endure(table, &error, &mut refusals)?;
            waiting(table, &error, pause, options.pause_max);
            if stop.pause(pause).await {
                return Ok(None);
            }
            pause = (pause * 2).min(options.pause_max);
        };
        let inserter = Inserter {
            client,
            settings,
            answer_max: options.answer_max,
            pause_max: options.pause_max,
        };
        Ok(Some(Writer {
            log,
            table,
            options,
            inserter,
            stop,
            committed: position.offset,
        }))
    }

    /// Runs until the signal to stop.
    pub(crate) async fn run(mut self) -> Result<(), SinkError> {
        if !self.finish_planned().await? {
            return Ok(());
        }
        let busy = Arc::new(AtomicBool::new(false));
        let mut gathering = self.gather(self.committed, &busy);
        loop {
            let Some(batch) = gathered(&mut gathering).await? else {
                return Ok(());
            };
            self.commit(batch.start, Some(&batch)).await?;
            busy.store(true, Ordering::Relaxed);
            gathering = self.gather(batch.plan.end, &busy);
            let inserted = self.insert(&batch, true).await?;
            busy.store(false, Ordering::Relaxed);
            if !inserted {
                // Stopping: what is being gathered is given up by itself.
                return Ok(());
            }
            RowsVisible {
                table: self.table.name,
                event_times_ms: &batch.times,
                now_ms: now_ms(),
            }
            .emit();
            tracing::debug!(
                topic = self.table.topic,
                from = batch.start,
                to = batch.plan.end,
                "batch is in clickhouse"
            );
            // The next plan acknowledges this batch; where there is none yet, nothing waits for it.
            if !gathering.is_finished() {
                self.commit(batch.plan.end, None).await?;
            }
        }
    }

    fn gather(&self, start: u64, busy: &Arc<AtomicBool>) -> Gathering {
        let (log, table, options) = (Arc::clone(&self.log), self.table, self.options.clone());
        let signals = Signals {
            stop: self.stop.flag(),
            busy: Arc::clone(busy),
        };
        spawn_blocking(move || batch::gather(&log, table, start, &options, &signals))
    }

    /// Acknowledges everything below `to`, and fixes what comes next where there is a batch.
    async fn commit(&mut self, to: u64, next: Option<&Batch>) -> Result<(), SinkError> {
        let mut commit = Commit::default();
        let mut position = Position {
            offset: to,
            metadata: Vec::new(),
        };
        if let Some(batch) = next {
            position.metadata = batch.plan.to_metadata();
            for letter in &batch.letters {
                commit.append(DEAD_LETTERS, letter);
            }
        }
        commit.advance(CONSUMER, self.table.topic, self.committed, position);
        // A lost acknowledgement is found again by asking; a lost plan would not be.
        let durability = match next {
            Some(_) => Durability::Durable,
            None => Durability::Replayable,
        };
        let log = Arc::clone(&self.log);
        let done = spawn_blocking(move || log.commit(&commit, durability)).await;
        done.map_err(|error| SinkError::Task(error.to_string()))??;
        self.committed = to;
        Ok(())
    }

    /// Inserts every block of a batch. False where the sink stops before.
    async fn insert(&self, batch: &Batch, fresh: bool) -> Result<bool, SinkError> {
        for (month, bytes) in &batch.blocks {
            let block = Block {
                table: self.table,
                start: batch.start,
                plan: &batch.plan,
                month: *month,
            };
            if !self
                .inserter
                .insert(block, bytes, fresh, &self.stop)
                .await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Finishes what the last run had planned. False where the sink stops before.
    async fn finish_planned(&mut self) -> Result<bool, SinkError> {
        let position = self.log.position(CONSUMER, self.table.topic)?;
        if position.metadata.is_empty() {
            return Ok(true);
        }
        let plan = read_plan(self.table, &position)?;
        let (log, table, start) = (Arc::clone(&self.log), self.table, position.offset);
        let planned = plan.clone();
        let again = spawn_blocking(move || batch::again(&log, table, start, &planned)).await;
        let batch = again.map_err(|error| SinkError::Task(error.to_string()))??;
        if batch.plan != plan {
            return Err(SinkError::ChangedPlan {
                topic: self.table.topic,
                offset: start,
                end: plan.end,
            });
        }
        tracing::info!(
            topic = self.table.topic,
            from = start,
            to = plan.end,
            "finishing the batch planned before"
        );
        if !self.insert(&batch, false).await? {
            return Ok(false);
        }
        self.commit(plan.end, None).await?;
        Ok(true)
    }
}

/// Milliseconds since 1970 UTC by the system's clock; it is only told, nothing depends on it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

async fn gathered(gathering: &mut Gathering) -> Result<Option<Batch>, SinkError> {
    let batch = gathering.await;
    Ok(batch.map_err(|error| SinkError::Task(error.to_string()))??)
}

fn read_plan(table: &'static Table, position: &Position) -> Result<Plan, SinkError> {
    Plan::from_metadata(&position.metadata)
        .filter(|plan| plan.encoder == ENCODER_VERSION && plan.end > position.offset)
        .ok_or(SinkError::UnknownPlan {
            topic: table.topic,
            offset: position.offset,
        })
}

async fn check(
    client: &Client,
    table: &'static Table,
    planned: u64,
) -> Result<Settings, SinkError> {
    let settings = Settings::agreed(client).await?;
    startup::check(client, table).await?;
    let newest = presence::newest(client, table, PARTITION, None)
        .await
        .map_err(SinkError::ClickHouse)?;
    match newest {
        Some(found) if found >= planned => Err(SinkError::Foreign {
            table: table.name,
            topic: table.topic,
            found,
            planned,
        }),
        _ => Ok(settings),
    }
}
