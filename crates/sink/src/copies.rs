//! Tables of which several servers hold a copy: one may not have yet what another was given.

use clickhouse::Client;
use clickhouse::error::Result;

use crate::DATABASE;
use crate::rows::Table;

/// Who holds a table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// The server that is asked, alone.
    One,
    /// Replicas, each of which may be behind the others (`Replicated…MergeTree`).
    Many,
}

impl Copies {
    /// By the engine of a table.
    pub(crate) fn of_engine(engine: &str) -> Copies {
        match engine.starts_with("Replicated") {
            true => Copies::Many,
            false => Copies::One,
        }
    }

    /// Whether the acknowledgement of a repeated insert says that its rows are there. Replicas keep tokens
    /// in Keeper, written in one transaction with the part: one that is known has its rows, somewhere. A server
    /// alone writes the token first, and may be killed before the part.
    pub(crate) fn token_is_proof(self) -> bool {
        self == Copies::Many
    }

    /// Waits until the server that answers has every part that any replica had when it was asked, so that
    /// what it then does not find is nowhere. Whoever balances requests over replicas may have the
    /// next question answered by another one.
    pub(crate) async fn catch_up(self, client: &Client, table: &Table) -> Result<()> {
        if self == Copies::One {
            return Ok(());
        }
        let statement = format!("SYSTEM SYNC REPLICA {DATABASE}.{}", table.name);
        client.query(&statement).execute().await
    }
}
