//! From records of the log to frozen blocks, one for each month.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use grapevine_event::{CodecError, DEAD_LETTER_BYTES_MAX, DeadLetter, Id};
use grapevine_log::{LogError, Partition};
use grapevine_metrics::Buried;

use crate::budget::{Budget, Share};
use crate::input::Input;
use crate::month::Month;
use crate::plan::{MONTHS_MAX, Plan};
use crate::rows::{ENCODER_VERSION, Rows, Table, Unwritable};
use crate::stop::Stop;
use crate::{CONSUMER_STAGE, Options};

/// What a row takes in a block beyond its record's bytes, at most: numbers of fixed size where Avro
/// has short ones, null marks, and where the row came from.
pub(crate) const ROW_BYTES: usize = 160;
/// How long a wait for records goes on before it looks whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same where a batch is due, and waits only for the one before it to be in ClickHouse.
const BUSY_PATIENCE: Duration = Duration::from_millis(10);

/// A run of records, encoded: one frozen block for each month.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Offset that it goes on from: nothing lies between that and its first record.
    pub(crate) start: u64,
    pub(crate) plan: Plan,
    pub(crate) blocks: BTreeMap<Month, Bytes>,
    /// Encoded dead letters for the records that give no row.
    pub(crate) letters: Vec<Vec<u8>>,
    /// Event time of each row, milliseconds.
    pub(crate) times: Vec<i64>,
    /// What it holds of the process's memory until it is dropped.
    _share: Share,
}

/// What tells a growing batch to close early or to wait on.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// Give up what was gathered: the sink stops.
    pub(crate) stop: Stop,
    /// The batch before this one is still being inserted: more records may join.
    pub(crate) busy: Arc<AtomicBool>,
    /// Memory that all writers share.
    pub(crate) budget: Budget,
}

/// Reads and encodes records from `start` on until the batch is full, its time is up or there is
/// no memory for more. `None` where the sink stops.
pub(crate) fn gather<P: Partition + 'static>(
    input: &Input<P>,
    start: u64,
    options: &Options,
    signals: &Signals,
) -> Result<Option<Batch>, LogError> {
    let mut growing = Growing::new(input, start, signals.budget.share());
    let mut due: Option<Due> = None;
    loop {
        if signals.stop.is_turned() {
            return Ok(None);
        }
        let now = Instant::now();
        let left = due.map_or(PATIENCE, |due| due.at().saturating_duration_since(now));
        let patience = match left.is_zero() {
            true if !signals.busy.load(Ordering::Relaxed) => return Ok(Some(growing.freeze())),
            true => BUSY_PATIENCE,
            false => left.clamp(Duration::from_millis(1), PATIENCE),
        };
        if !growing.share.has_room() {
            // What is held goes in first; without anything held, others must give back.
            if !growing.is_empty() {
                return Ok(Some(growing.freeze()));
            }
            std::thread::sleep(patience);
            continue;
        }
        let mut closed = false;
        let before = growing.end;
        input.read(growing.end, patience, |offset, record| {
            closed = growing.is_full(options)
                || !growing.share.has_room()
                || !growing.push(offset, record);
            !closed
        })?;
        if closed || growing.is_full(options) {
            return Ok(Some(growing.freeze()));
        }
        if growing.end > before {
            due = Some(Due::after(due, input.table(), options));
        }
    }
}

/// When a batch that grows is to close, by what came so far.
#[derive(Clone, Copy, Debug)]
struct Due {
    latest: Instant,
    quiet: Instant,
}

impl Due {
    /// Now that a record has come, after those that `before` was of.
    fn after(before: Option<Due>, table: &Table, options: &Options) -> Due {
        let now = Instant::now();
        let quiet = now + options.linger;
        let latest = match table.findings {
            true => now + options.findings_linger,
            false => quiet,
        };
        Due {
            latest: before.map_or(latest, |due| due.latest),
            quiet,
        }
    }

    fn at(self) -> Instant {
        self.latest.min(self.quiet)
    }
}

/// Encodes the records of a plan again: the same bytes give the same blocks. `None` where the
/// sink stops.
///
/// It cannot close early: before it takes a record it waits until there is memory for the largest
/// batch. Whoever takes over from many replicas has many plans to finish.
pub(crate) fn again<P: Partition + 'static>(
    input: &Input<P>,
    start: u64,
    plan: &Plan,
    options: &Options,
    signals: &Signals,
) -> Result<Option<Batch>, LogError> {
    let is_over = || signals.stop.is_turned();
    // Nobody else is to wait for memory while a broker is away that has the first record.
    loop {
        if is_over() {
            return Ok(None);
        }
        let mut is_there = false;
        input.read(start, PATIENCE, |_, _| {
            is_there = true;
            false
        })?;
        if is_there {
            break;
        }
    }
    let Some(share) = signals.budget.share_of(options.batch_bytes_max, is_over) else {
        return Ok(None);
    };
    let mut growing = Growing::new(input, start, share);
    while growing.end < plan.end {
        if is_over() {
            return Ok(None);
        }
        let mut beyond = false;
        input.read(growing.end, PATIENCE, |offset, record| {
            beyond = offset >= plan.end || !growing.push(offset, record);
            !beyond && growing.end < plan.end
        })?;
        if beyond {
            break;
        }
    }
    Ok(Some(growing.freeze()))
}

struct Growing {
    table: &'static Table,
    partition: i32,
    start: u64,
    /// Offset that follows the last record taken.
    end: u64,
    share: Share,
    rows: usize,
    months: BTreeMap<Month, Rows>,
    letters: Vec<Vec<u8>>,
    times: Vec<i64>,
    /// Time of the last record that gave a row, for the dead letters that follow it.
    time: i64,
}

impl Growing {
    fn new<P: Partition + 'static>(input: &Input<P>, start: u64, share: Share) -> Growing {
        Growing {
            table: input.table(),
            partition: input.number(),
            start,
            end: start,
            share,
            rows: 0,
            months: BTreeMap::new(),
            letters: Vec::new(),
            times: Vec::new(),
            time: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.end == self.start
    }

    fn is_full(&self, options: &Options) -> bool {
        self.rows + self.letters.len() >= options.batch_rows_max
            || self.share.bytes() >= options.batch_bytes_max
    }

    /// Takes a record. False where it would touch a month too many: the batch ends before it.
    fn push(&mut self, offset: u64, record: &[u8]) -> bool {
        match self.table.decode(record) {
            Ok(row) => {
                if !self.months.contains_key(&row.month) {
                    if self.months.len() == MONTHS_MAX {
                        return false;
                    }
                    if let Some(rows) = Rows::starting_with(&row) {
                        self.months.insert(row.month, rows);
                    }
                }
                if let Some(rows) = self.months.get_mut(&row.month) {
                    rows.push(&row, self.table.topic, self.partition, offset);
                }
                self.time = row.time;
                self.times.push(row.time);
                self.rows += 1;
            }
            Err(reason) => self.bury(offset, record, &reason),
        }
        self.share.take(record.len() + ROW_BYTES);
        self.end = offset + 1;
        true
    }

    /// Writes the dead letter of a record that gives no row.
    fn bury(&mut self, offset: u64, record: &[u8], reason: &Unwritable) {
        let topic = self.table.topic;
        let partition = self.partition;
        tracing::warn!(topic, partition, offset, reason = reason.reason(), detail = %reason, "record gives no row");
        let mut letter = Vec::new();
        let written = self.dead_letter(offset, record, reason, &mut letter);
        match written {
            Ok(()) => {
                self.letters.push(letter);
                Buried {
                    stage: "sink",
                    reason: reason.reason(),
                    letters: 1,
                }
                .emit();
            }
            // Every field of it is one that the schema takes.
            Err(error) => tracing::error!(topic, offset, %error, "dead letter cannot be written"),
        }
    }

    fn dead_letter(
        &mut self,
        offset: u64,
        record: &[u8],
        reason: &Unwritable,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let topic = self.table.topic;
        let letter_id = Id::builder("sink dead letter")
            .bytes(topic.as_bytes())
            .number(u64::from(self.partition.unsigned_abs()))
            .number(offset)
            .finish();
        let letter = DeadLetter {
            letter_id,
            time: self.time,
            site: "",
            stage: CONSUMER_STAGE,
            reason: reason.reason(),
            detail: reason.to_string().into(),
            source: topic,
            partition: Some(self.partition),
            position: i64::try_from(offset).unwrap_or(i64::MAX),
            payload: &record[..record.len().min(DEAD_LETTER_BYTES_MAX)],
            payload_length: i64::try_from(record.len()).unwrap_or(i64::MAX),
        };
        letter.encode(out)
    }

    fn freeze(self) -> Batch {
        let Growing {
            months, mut share, ..
        } = self;
        let columns = self.table.columns().count();
        let mut rows = BTreeMap::new();
        let mut blocks = BTreeMap::new();
        share.freeze(|| {
            // The columns of a month go when its block is there.
            for (month, growing) in months {
                rows.insert(month, growing.count() as u64);
                blocks.insert(month, Bytes::from(growing.freeze(columns)));
            }
        });
        Batch {
            start: self.start,
            plan: Plan {
                end: self.end,
                encoder: ENCODER_VERSION,
                rows,
            },
            blocks,
            letters: self.letters,
            times: self.times,
            _share: share,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::rows::TABLES;
    use crate::stand_in::Reluctant;

    const RECORDS: u32 = 4;

    #[test]
    fn many_plans_are_finished_within_the_memory_for_two() {
        let directory = tempfile::tempdir().expect("directory");
        let [.., letters] = &TABLES;
        // Late, so that all who may read on do so at the same time.
        let partition = Arc::new(Reluctant {
            late: Duration::from_millis(20),
            ..Reluctant::of(directory.path(), letters.topic, RECORDS)
        });
        let input = || Input::new(Arc::clone(&partition), letters);
        let mut signals = Signals {
            stop: Stop::new(),
            busy: Arc::default(),
            budget: Budget::new(usize::MAX, 0),
        };
        let mut options = Options {
            batch_rows_max: RECORDS as usize,
            linger: Duration::from_secs(10),
            ..Options::default()
        };
        let planned = gather(&input(), 0, &options, &signals);
        let planned = planned.expect("reads").expect("nobody stops it");
        assert_eq!(planned.plan.end, u64::from(RECORDS));

        options.batch_bytes_max = signals.budget.used();
        let bytes_max = 2 * options.batch_bytes_max;
        // Besides, one may be frozen.
        let with_copy = bytes_max + options.batch_bytes_max;
        signals.budget = Budget::new(with_copy, options.batch_bytes_max);
        let most = AtomicUsize::new(0);
        let finish = || {
            let batch = again(&input(), 0, &planned.plan, &options, &signals);
            let batch = batch.expect("reads").expect("nobody stops it");
            assert_eq!(batch.blocks, planned.blocks);
            most.fetch_max(signals.budget.used(), Ordering::Relaxed);
            // It is being inserted.
            std::thread::sleep(Duration::from_millis(10));
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(finish);
            }
        });
        let most = most.load(Ordering::Relaxed);
        assert!(most <= bytes_max, "{most} of {bytes_max} bytes");
        assert_eq!(signals.budget.used(), 0);
    }
}
