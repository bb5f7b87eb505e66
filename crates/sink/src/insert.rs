//! One block into one table, exactly once, whatever happens on the way.
//!
//! - The first attempt soon after a plan of this process carries the batch's token and is believed
//!   when it is acknowledged.
//! - After any other outcome, long after the plan, and for every batch found planned at a start,
//!   ClickHouse is asked whether the rows are there. If not, the same bytes go again with the
//!   **same** token, because the first request may still be running somewhere: whichever of the two
//!   comes second is dropped. Then ClickHouse is asked again, because a token is no proof: on a
//!   plain MergeTree it is written down before the part is, and a kill in between makes it swallow
//!   the honest repeat.
//! - If the repeat was acknowledged and the rows are still not there, that is what happened, and
//!   the bytes go with the token of the next attempt. Replicated tables are spared that: there a token is
//!   proof, and their replicas may be behind (`copies`).
//!
//! Between the last look (at the clock, or at the rows) and the request lies a moment that no check
//! covers. A process that stands still just there, until the next owner of the partition has sent the
//! block and the table has forgotten its token ([`window_needed`](crate::startup::window_needed)), makes
//! the block double. So does a standstill of the machine that its clock does not count. The audit
//! finds such rows.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clickhouse::Client;
use clickhouse::error::{Error, Result};
use grapevine_metrics::{BatchInserted, ClickHouseRetried, RetryReason, TokenWithoutRows};
use tracing::Instrument as _;

use crate::DATABASE;
use crate::copies::Copies;
use crate::error::{Failure, SinkError};
use crate::month::Month;
use crate::plan::Plan;
use crate::presence;
use crate::rows::Table;
use crate::settings::Settings;
use crate::stop::Stop;

/// First pause before trying again; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Rows of an acknowledged repeat must be missed this often, so far apart, before its token is
/// held to have swallowed them: between token and part lie milliseconds.
const ABSENCES: u32 = 2;
const ABSENCE_PAUSE: Duration = Duration::from_millis(500);
/// Bytes handed to the connection at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// How one block is known to ClickHouse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub(crate) table: &'static Table,
    pub(crate) partition: i32,
    pub(crate) start: u64,
    pub(crate) plan: &'a Plan,
    pub(crate) month: Month,
}

impl Block<'_> {
    /// Names exactly these rows. Attempts above 0 are only made where the token of the one before
    /// is known to have swallowed its rows.
    fn token(&self, attempt: u32) -> String {
        let Block {
            table,
            partition,
            start,
            plan,
            month,
        } = self;
        let (topic, end, encoder) = (table.topic, plan.end, plan.encoder);
        let token = format!("{topic}/{partition}/{start}-{end}/{encoder}/{month}");
        if attempt == 0 {
            token
        } else {
            format!("{token}/{attempt}")
        }
    }

    fn planned(&self) -> u64 {
        self.plan.rows.get(&self.month).copied().unwrap_or(0)
    }
}

/// What the writer needs to insert.
#[derive(Clone, Debug)]
pub(crate) struct Inserter {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    /// Who holds the rows.
    pub(crate) copies: Copies,
    /// Longest wait for an answer.
    pub(crate) answer_max: Duration,
    /// Longest pause between attempts.
    pub(crate) pause_max: Duration,
}

impl Inserter {
    /// Puts one block into its table. Returns false where the sink stops before it is certain to
    /// be there: the plan stands, and the next start goes on from it.
    ///
    /// `fresh`: this process planned it just now. If anybody else has sent it since, the table still
    /// knows the token.
    pub(crate) async fn insert(
        &self,
        block: Block<'_>,
        bytes: &Bytes,
        fresh: bool,
        stop: &Stop,
    ) -> std::result::Result<bool, SinkError> {
        let started = Instant::now();
        let rows = block.planned();
        let (table, from, to) = (block.table.name, block.start, block.plan.end);
        let span = tracing::info_span!("insert", table, from, to, rows);
        let done = self
            .insert_or_find(block, bytes, fresh, stop)
            .instrument(span);
        let is_there = done.await?;
        if is_there {
            BatchInserted {
                table,
                rows,
                bytes: bytes.len() as u64,
                took: started.elapsed(),
            }
            .emit();
        }
        Ok(is_there)
    }

    async fn insert_or_find(
        &self,
        block: Block<'_>,
        bytes: &Bytes,
        fresh: bool,
        stop: &Stop,
    ) -> std::result::Result<bool, SinkError> {
        let mut attempt = 0;
        // Nobody has sent this token before: an acknowledgement is proof.
        let mut trusted = fresh || block.table.idempotent;
        let mut next = if trusted { Step::Send } else { Step::Ask };
        let mut acknowledged = false;
        let mut absences = 0;
        let mut pause = PAUSE_FIRST;
        let mut refusals = 0;
        loop {
            let done = match next {
                Step::Send => self.send(block, bytes, attempt).await.map(|()| None),
                Step::Ask => self.landed(block).await.map(Some),
            };
            match done {
                Ok(None) if trusted || self.copies.token_is_proof() => return Ok(true),
                Ok(None) => (next, acknowledged, absences) = (Step::Ask, true, 0),
                Ok(Some(found)) if found == block.planned() => return Ok(true),
                Ok(Some(0)) if acknowledged && absences < ABSENCES => {
                    // Perhaps another request with this token is between token and part.
                    absences += 1;
                    if stop.pause(ABSENCE_PAUSE).await {
                        return Ok(false);
                    }
                }
                Ok(Some(0)) => {
                    if acknowledged {
                        attempt += 1;
                        let token = block.token(attempt);
                        TokenWithoutRows {
                            table: block.table.name,
                        }
                        .emit();
                        tracing::warn!(
                            token,
                            "a kill left a token without rows: sending them under the next"
                        );
                    }
                    (next, acknowledged) = (Step::Send, false);
                }
                Ok(Some(found)) => return Err(partial(block, found)),
                Err(error) => {
                    endure(block.table, &error, &mut refusals)?;
                    waiting(block.table, &error, pause, self.pause_max);
                    if stop.pause(pause).await {
                        return Ok(false);
                    }
                    pause = (pause * 2).min(self.pause_max);
                    // Rows that may be written again are; for others the outcome is not known.
                    trusted = block.table.idempotent;
                    (next, acknowledged) = (if trusted { Step::Send } else { Step::Ask }, false);
                }
            }
        }
    }

    async fn landed(&self, block: Block<'_>) -> Result<u64> {
        let range = (block.start, block.plan.end);
        let asked = async {
            self.copies.catch_up(&self.client, block.table).await?;
            presence::rows(
                &self.client,
                block.table,
                block.partition,
                range,
                block.month,
            )
            .await
        };
        let began = Instant::now();
        let answer = tokio::time::timeout(self.answer_max, asked).await;
        match answer.unwrap_or(Err(Error::TimedOut)) {
            // The timer gives an answer that is there even where the process stood still before it
            // took it: what it says is of long ago.
            Ok(_) if began.elapsed() > self.answer_max => Err(Error::TimedOut),
            answer => answer,
        }
    }

    async fn send(&self, block: Block<'_>, bytes: &Bytes, attempt: u32) -> Result<()> {
        self.put(block.table, bytes, block.token(attempt)).await
    }

    /// One request with one block. Tables where writing again changes nothing take no token.
    pub(crate) async fn put(&self, table: &Table, bytes: &Bytes, token: String) -> Result<()> {
        let columns: Vec<&str> = table.columns().collect();
        let sql = format!(
            "INSERT INTO {DATABASE}.{} ({}) FORMAT Native",
            table.name,
            columns.join(", ")
        );
        let mut insert = self
            .client
            .insert_formatted_with(sql)
            .with_timeouts(Some(self.answer_max), Some(self.answer_max))
            .with_setting("wait_end_of_query", "1");
        for (name, value) in self.settings.of(table.idempotent) {
            insert = insert.with_setting(*name, *value);
        }
        if !table.idempotent {
            insert = insert.with_setting("insert_deduplication_token", token);
        }
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
            insert.send(chunk).await?;
        }
        insert.end().await
    }
}

#[derive(Clone, Copy)]
enum Step {
    Send,
    Ask,
}

/// Lets what passes by itself pass. Counts the `refusals` in a row that may not.
pub(crate) fn endure(
    table: &'static Table,
    error: &Error,
    refusals: &mut u32,
) -> std::result::Result<(), SinkError> {
    let failure = Failure::of(error);
    *refusals = match failure {
        Failure::Passing => 0,
        Failure::Unreadable(_) | Failure::Lasting(_) => *refusals + 1,
    };
    match failure.remedy(*refusals) {
        None => Ok(()),
        Some(fix) => Err(SinkError::Refused {
            table: table.name,
            message: error.to_string(),
            fix,
        }),
    }
}

/// Counts that ClickHouse is asked again, and why.
pub(crate) fn retried(table: &'static str, error: &Error) {
    let reason = match error {
        Error::Network(_) | Error::TimedOut => RetryReason::Unreachable,
        _ => RetryReason::Refused,
    };
    ClickHouseRetried { table, reason }.emit();
}

/// Says what is waited for: loudly once the pauses are at their longest.
pub(crate) fn waiting(table: &'static Table, error: &Error, pause: Duration, pause_max: Duration) {
    let (table, pause_ms) = (table.name, pause.as_millis());
    retried(table, error);
    if pause < pause_max {
        tracing::warn!(table, %error, pause_ms, "clickhouse does not do as asked: trying again");
    } else {
        tracing::error!(table, %error, pause_ms, "clickhouse still does not do as asked: nothing is lost, trying again");
    }
}

fn partial(block: Block<'_>, found: u64) -> SinkError {
    SinkError::Partial {
        table: block.table.name,
        topic: block.table.topic,
        partition: block.partition,
        offset: block.start,
        end: block.plan.end,
        month: block.month.to_string(),
        found,
        planned: block.planned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rows::{ENCODER_VERSION, TABLES};
    use crate::stand_in::Laggard;

    #[tokio::test]
    async fn a_replica_that_is_behind_is_waited_for_and_its_token_is_believed() {
        let laggard = Laggard::start();
        let inserter = laggard.inserter();
        let [visits, ..] = &TABLES;
        let month = Month::of_millis(1_709_251_200_000).expect("a month");
        let plan = Plan {
            end: 7,
            encoder: ENCODER_VERSION,
            rows: BTreeMap::from([(month, 7)]),
        };
        let block = Block {
            table: visits,
            partition: 0,
            start: 0,
            plan: &plan,
            month,
        };
        let bytes = Bytes::from_static(b"frozen");
        // Planned by a life before: nobody knows whether it was sent.
        let done = inserter.insert(block, &bytes, false, &Stop::new()).await;
        assert!(done.expect("no error"));
        let told = laggard.told();
        assert_eq!(laggard.order(), ["catch up", "ask", "insert"], "{told:?}");
        assert!(
            told[2].contains(&format!("visits%2F0%2F0-7%2F{ENCODER_VERSION}%2F")),
            "{}",
            told[2]
        );
    }
}
