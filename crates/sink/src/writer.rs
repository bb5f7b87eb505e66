//! One task a partition: plan durably, insert, acknowledge with the next plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clickhouse::Client;
use grapevine_log::{Durability, LogError, Partition, Position};
use grapevine_metrics::RowsVisible;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::Instrument as _;

use crate::batch::{self, Batch, Signals};
use crate::budget::Budget;
use crate::copies::Copies;
use crate::error::SinkError;
use crate::input::Input;
use crate::insert::{Block, Inserter, endure, waiting};
use crate::plan::{Plan, Standing};
use crate::presence;
use crate::rows::{ENCODER_VERSION, Table};
use crate::settings::{BLOCK_ROWS_MAX, Settings};
use crate::stop::Stop;
use crate::{Options, recount, startup};

/// So long after its plan a block is sent without asking. No table takes as many inserts meanwhile as
/// it remembers ([`startup::window_needed`]): had another owner sent the block, its token would be known.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// First pause when ClickHouse cannot be reached at a start.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The writer of one partition.
struct Writer<P> {
    input: Input<P>,
    options: Options,
    inserter: Inserter,
    stop: Stop,
    budget: Budget,
    /// Offset that the log has as committed.
    committed: u64,
    /// Rows that the records below it gave, where counted.
    before: Option<u64>,
    /// What the last owner had planned and perhaps not finished.
    planned: Option<Plan>,
}

/// What writers of one process share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) budget: Budget,
    /// Writers that the table must remember inserts of: the topic's partitions.
    pub(crate) writers: u64,
    /// Whether rows are counted anew where a position has no count.
    pub(crate) recounts: bool,
}

impl Shared {
    pub(crate) fn new(client: Client, options: Options, writers: u64) -> Shared {
        let options = Options {
            batch_rows_max: options.batch_rows_max.clamp(1, BLOCK_ROWS_MAX),
            ..options
        };
        Shared {
            // The database may not be there yet, and names in queries carry it.
            client: client.with_database("default"),
            budget: Budget::new(options.memory_bytes_max, options.batch_bytes_max),
            options,
            writers,
            recounts: true,
        }
    }
}

/// Writes a partition into its table until the signal to stop, and says meanwhile how far the table
/// is behind.
pub(crate) async fn write<P: Partition + 'static>(
    input: Input<P>,
    shared: Shared,
    stop: Stop,
) -> Result<(), SinkError> {
    let told = input.clone();
    let written = async {
        match Writer::start(input, shared, stop).await? {
            Some(writer) => writer.run().await,
            None => Ok(()),
        }
    };
    tokio::select! {
        written = written => written,
        never = told.tell_lag() => match never {},
    }
}

type Gathering = JoinHandle<Result<Option<Batch>, LogError>>;

impl<P: Partition + 'static> Writer<P> {
    /// Checks the table and the settings in force, waiting for a ClickHouse that is away. `None`
    /// where the sink stops meanwhile.
    async fn start(
        input: Input<P>,
        shared: Shared,
        stop: Stop,
    ) -> Result<Option<Writer<P>>, SinkError> {
        let Shared {
            client,
            options,
            budget,
            writers,
            recounts,
        } = shared;
        let table = input.table();
        let position = input.position()?;
        let standing = standing(&input, &position)?;
        let end = standing
            .plan
            .as_ref()
            .map_or(position.offset, |plan| plan.end);
        let window = startup::window_needed(writers, &options);
        let mut pause = PAUSE_FIRST;
        let mut refusals = 0;
        let (settings, copies) = loop {
            let error = match check(&client, &input, end, window).await {
                Ok(found) => break found,
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
            copies,
            answer_max: options.answer_max,
            pause_max: options.pause_max,
        };
        let mut writer = Writer {
            input,
            options,
            inserter,
            stop,
            budget,
            committed: position.offset,
            before: standing.before,
            planned: standing.plan,
        };
        if recounts && writer.before.is_none() && !writer.count_anew().await? {
            return Ok(None);
        }
        Ok(Some(writer))
    }

    /// Counts the rows below the position, which does not say. False where the sink stops before.
    async fn count_anew(&mut self) -> Result<bool, SinkError> {
        let counted = recount::recount(
            &self.input,
            &self.inserter.client,
            self.options.pause_max,
            self.committed,
            &self.stop,
        );
        self.before = counted.await?;
        if self.before.is_some() && self.planned.is_none() {
            // Nothing may come for long, and the audit is to know.
            self.acknowledge(self.committed).await?;
        }
        Ok(self.before.is_some())
    }

    /// Runs until the signal to stop.
    async fn run(mut self) -> Result<(), SinkError> {
        if !self.finish_planned().await? {
            return Ok(());
        }
        let busy = Arc::new(AtomicBool::new(false));
        let mut gathering = self.gather(self.committed, &busy);
        loop {
            let Some(mut batch) = gathered(&mut gathering).await? else {
                return Ok(());
            };
            let letters = std::mem::take(&mut batch.letters);
            let span = self.span_of(&batch);
            let before_plan = Instant::now();
            let planned = self
                .commit(batch.start, Some(&batch.plan), letters)
                .instrument(tracing::info_span!(parent: &span, "plan"));
            planned.await?;
            busy.store(true, Ordering::Relaxed);
            gathering = self.gather(batch.plan.end, &busy);
            let inserted = self
                .insert(&batch, Some(before_plan))
                .instrument(span)
                .await?;
            busy.store(false, Ordering::Relaxed);
            if !inserted {
                // Stopping: what is being gathered is given up by itself.
                return Ok(());
            }
            self.visible(&batch);
            let (topic, partition) = (self.input.table().topic, self.input.number());
            let (from, to) = (batch.start, batch.plan.end);
            let rows = batch.plan.rows_total();
            tracing::debug!(topic, partition, from, to, rows, "batch is in clickhouse");
            self.before = self.before.map(|before| before + rows);
            drop(batch);
            // The next plan acknowledges this batch; where there is none yet, nothing waits for it.
            if self.stop.is_turned() || !gathering.is_finished() {
                self.acknowledge(to).await?;
            }
        }
    }

    fn signals(&self, busy: &Arc<AtomicBool>) -> Signals {
        Signals {
            stop: self.stop.clone(),
            busy: Arc::clone(busy),
            budget: self.budget.clone(),
        }
    }

    /// A batch from its plan to its rows.
    fn span_of(&self, batch: &Batch) -> tracing::Span {
        tracing::info_span!(
            "batch",
            topic = self.input.table().topic,
            partition = self.input.number(),
            from = batch.start,
            to = batch.plan.end,
            rows = batch.plan.rows_total(),
        )
    }

    fn gather(&self, start: u64, busy: &Arc<AtomicBool>) -> Gathering {
        let (input, options) = (self.input.clone(), self.options.clone());
        let signals = self.signals(busy);
        spawn_blocking(move || batch::gather(&input, start, &options, &signals))
    }

    /// Acknowledges everything below `to`, and plans nothing.
    async fn acknowledge(&mut self, to: u64) -> Result<(), SinkError> {
        let (topic, partition) = (self.input.table().topic, self.input.number());
        let span = tracing::info_span!("acknowledge", topic, partition, to);
        self.commit(to, None, Vec::new()).instrument(span).await
    }

    /// Acknowledges everything below `to`, and fixes what comes next where there is a plan.
    async fn commit(
        &mut self,
        to: u64,
        plan: Option<&Plan>,
        letters: Vec<Vec<u8>>,
    ) -> Result<(), SinkError> {
        let standing = Standing {
            before: self.before,
            plan: plan.cloned(),
        };
        let position = Position {
            offset: to,
            metadata: standing.to_metadata(),
        };
        // A lost acknowledgement is found again by asking; a lost plan would not be.
        let durability = match plan {
            Some(_) => Durability::Durable,
            None => Durability::Replayable,
        };
        self.input
            .commit(self.committed, position, letters, durability, &self.stop)
            .await?;
        self.committed = to;
        Ok(())
    }

    /// Inserts every block of a batch. False where the sink stops before.
    ///
    /// `planned`: when this process was about to plan it; none where it was planned before. Whoever
    /// stood still since then may have lost the partition: the next owner may have sent the blocks,
    /// and so many others after them that the table has forgotten their tokens. The log is not asked: it
    /// may be away, and rows that are there are found whoever holds the partition.
    async fn insert(&self, batch: &Batch, planned: Option<Instant>) -> Result<bool, SinkError> {
        for (month, bytes) in &batch.blocks {
            let fresh = planned.is_some_and(|planned| planned.elapsed() < FRESH_FOR);
            let block = Block {
                table: self.input.table(),
                partition: self.input.number(),
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

    /// Tells that the rows of a batch are certain to be there.
    fn visible(&self, batch: &Batch) {
        RowsVisible {
            table: self.input.table().name,
            event_times_ms: &batch.times,
            now_ms: now_ms(),
        }
        .emit();
    }

    /// Finishes what the last owner had planned. False where the sink stops before.
    async fn finish_planned(&mut self) -> Result<bool, SinkError> {
        let Some(plan) = self.planned.take() else {
            return Ok(true);
        };
        let start = self.committed;
        let (input, options) = (self.input.clone(), self.options.clone());
        let (again, signals) = (plan.clone(), self.signals(&Arc::default()));
        let mut again =
            spawn_blocking(move || batch::again(&input, start, &again, &options, &signals));
        let Some(batch) = gathered(&mut again).await? else {
            return Ok(false);
        };
        let (topic, partition) = (self.input.table().topic, self.input.number());
        if batch.plan != plan {
            return Err(SinkError::ChangedPlan {
                topic,
                partition,
                offset: start,
                end: plan.end,
            });
        }
        let (from, to) = (start, plan.end);
        tracing::info!(
            topic,
            partition,
            from,
            to,
            "finishing the batch planned before"
        );
        let span = self.span_of(&batch);
        if !self.insert(&batch, None).instrument(span).await? {
            return Ok(false);
        }
        // Some may have been there before. Nobody knows since when, nor whether it was told.
        self.visible(&batch);
        let rows = plan.rows_total();
        self.before = self.before.map(|before| before + rows);
        self.acknowledge(plan.end).await?;
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

fn standing<P: Partition + 'static>(
    input: &Input<P>,
    position: &Position,
) -> Result<Standing, SinkError> {
    let usable = |plan: &Plan| plan.encoder == ENCODER_VERSION && plan.end > position.offset;
    Standing::of(position)
        .filter(|standing| standing.plan.as_ref().is_none_or(usable))
        .ok_or(SinkError::UnknownPlan {
            topic: input.table().topic,
            partition: input.number(),
            offset: position.offset,
        })
}

async fn check<P: Partition + 'static>(
    client: &Client,
    input: &Input<P>,
    planned: u64,
    window: u64,
) -> Result<(Settings, Copies), SinkError> {
    let table: &'static Table = input.table();
    let settings = Settings::agreed(client).await?;
    let copies = startup::check(client, table, window).await?;
    let caught_up = copies.catch_up(client, table).await;
    caught_up.map_err(SinkError::ClickHouse)?;
    let newest = presence::newest(client, table, input.number(), None)
        .await
        .map_err(SinkError::ClickHouse)?;
    match newest {
        Some(found) if found >= planned => {
            // A next owner may have written them, and this one not know yet that it is none.
            input.confirm().await?;
            Err(SinkError::Foreign {
                table: table.name,
                topic: table.topic,
                partition: input.number(),
                found,
                planned,
            })
        }
        _ => Ok((settings, copies)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use grapevine_log::{Commit, LocalPartition, Log};

    use super::*;
    use crate::CONSUMER;
    use crate::rows::TABLES;
    use crate::stand_in::{Laggard, Reluctant, letter, told};

    #[tokio::test]
    async fn a_block_that_is_sent_long_after_its_plan_is_asked_for_first() {
        let directory = tempfile::tempdir().expect("directory");
        let log = Log::open(&directory.path().join("log.redb")).expect("log");
        let [.., letters] = &TABLES;
        let mut commit = Commit::default();
        commit.append(letters.topic, &letter());
        log.commit(&commit, Durability::Durable).expect("commits");
        let partition = LocalPartition::new(Arc::new(log), CONSUMER, letters.topic);
        let input = Input::new(Arc::new(partition), letters);
        let options = Options {
            linger: Duration::from_millis(1),
            ..Options::default()
        };
        let (stop, budget) = (Stop::new(), Budget::new(usize::MAX, 0));
        let signals = Signals {
            stop: stop.clone(),
            busy: Arc::default(),
            budget: budget.clone(),
        };
        let batch = batch::gather(&input, 0, &options, &signals);
        let batch = batch.expect("reads").expect("nobody stops it");
        assert_eq!(batch.blocks.len(), 1);

        let now = Instant::now();
        let long_ago = now.checked_sub(FRESH_FOR).expect("a moment");
        let asked_first = ["catch up", "ask", "insert"];
        for (planned, order) in [
            (Some(now), &asked_first[2..]),
            (Some(long_ago), &asked_first[..]),
            (None, &asked_first[..]),
        ] {
            let laggard = Laggard::start();
            let writer = Writer {
                input: input.clone(),
                options: options.clone(),
                inserter: laggard.inserter(),
                stop: stop.clone(),
                budget: budget.clone(),
                committed: 0,
                before: Some(0),
                planned: None,
            };
            let inserted = writer.insert(&batch, planned).await;
            assert!(inserted.expect("no error"));
            assert_eq!(laggard.order(), order, "{:?}", laggard.told());
        }
    }

    #[tokio::test]
    async fn rows_of_a_batch_planned_before_are_told_to_be_there() {
        let directory = tempfile::tempdir().expect("directory");
        let [.., letters] = &TABLES;
        let partition = Arc::new(Reluctant::of(directory.path(), letters.topic, 7));
        let input = Input::new(partition, letters);
        let options = Options {
            batch_rows_max: 7,
            linger: Duration::from_secs(10),
            ..Options::default()
        };
        let (stop, budget) = (Stop::new(), Budget::new(usize::MAX, 0));
        let signals = Signals {
            stop: stop.clone(),
            busy: Arc::default(),
            budget: budget.clone(),
        };
        let planned = batch::gather(&input, 0, &options, &signals);
        let planned = planned.expect("reads").expect("nobody stops it");
        let laggard = Laggard::start();
        let mut writer = Writer {
            input: input.clone(),
            options,
            inserter: laggard.inserter(),
            stop,
            budget,
            committed: 0,
            before: Some(0),
            planned: Some(planned.plan),
        };
        let series = "grapevine_event_to_row_seconds_count{table=\"dead_letters\"}";
        let before = told(series).unwrap_or_default();
        assert!(writer.finish_planned().await.expect("no error"));
        assert_eq!(told(series), Some(before + 7.0));
        assert_eq!(input.position().expect("position").offset, 7);
    }

    #[tokio::test]
    async fn who_waits_for_clickhouse_says_how_far_it_is_behind() {
        let directory = tempfile::tempdir().expect("directory");
        let [visits, ..] = &TABLES;
        let partition = Arc::new(Reluctant::of(directory.path(), visits.topic, 11));
        let input = Input::new(partition, visits);
        let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = nobody.local_addr().expect("address");
        drop(nobody);
        let away = Client::default().with_url(format!("http://{address}"));
        let shared = Shared::new(away, Options::default(), 1);
        let stop = Stop::new();
        let writing = tokio::spawn(write(input, shared, stop.clone()));
        let series =
            "grapevine_consumer_lag_records{consumer=\"sink\",topic=\"visits\",partition=\"0\"}";
        let deadline = Instant::now() + Duration::from_secs(20);
        while told(series) != Some(11.0) {
            assert!(Instant::now() < deadline, "{:?}", told(series));
            assert!(!writing.is_finished(), "it waits");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.turn();
        let written = writing.await.expect("ends");
        written.expect("no error");
    }

    #[tokio::test]
    async fn a_lag_that_is_known_when_the_partition_is_left_is_not_told() {
        let directory = tempfile::tempdir().expect("directory");
        let [_, events, ..] = &TABLES;
        let late = Duration::from_millis(200);
        let partition = Arc::new(Reluctant {
            late,
            ..Reluctant::of(directory.path(), events.topic, 11)
        });
        let input = Input::new(partition, events);
        let left = tokio::time::timeout(late / 4, input.tell_lag()).await;
        assert!(left.is_err(), "left while it asks");
        tokio::time::sleep(late * 2).await;
        let text = grapevine_metrics::render();
        let label = format!("topic=\"{}\"", events.topic);
        assert!(!text.contains(&label), "{text}");
    }
}
