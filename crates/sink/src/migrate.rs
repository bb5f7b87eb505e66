//! The database's tables and views, numbered step by step.
//!
//! A step is a file of `schema/`. Each of its statements may run again without harm, and a step is
//! recorded once all of them ran: a kill between two statements is mended by the next start.

use std::collections::BTreeMap;
use std::time::Duration;

use clickhouse::{Client, Row};
use grapevine_log::kafka::topics::Partitions;
use serde::Deserialize;
use tokio::sync::watch;

use crate::Options;
use crate::error::{Failure, SinkError};
use crate::insert::retried;
use crate::replica::widen_windows;

/// The table of which steps are done, as it is counted for the waits of a start.
const MIGRATED: &str = "migrations";
/// First pause while ClickHouse is away.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal,)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../schema/", $name, ".sql")),
        }),+]
    };
}

const MIGRATIONS: &[Migration] = migrations! {
    1 "0001_visits",
    2 "0002_events",
    3 "0003_shares",
    4 "0004_edges",
    5 "0005_cascade_states",
    6 "0006_dead_letters",
    7 "0007_views",
    8 "0008_edges_inferred",
    9 "0009_spread_states",
    10 "0010_chain_models",
    11 "0011_chain_views",
    12 "0012_surge_states",
    13 "0013_calibrations",
    14 "0014_spread_growth",
    15 "0015_surge_seeds",
    16 "0016_strangers",
    17 "0017_spread_ranges",
    18 "0018_merges",
    19 "0019_by_partition",
    20 "0020_ranges",
    21 "0021_search_evidence",
    22 "0022_own_tokens",
    23 "0023_token_edges",
    24 "0024_site_laws",
    25 "0025_fronts",
    26 "0026_alarms",
    27 "0027_signs",
};

const RECORD: &str = "CREATE TABLE IF NOT EXISTS grapevine.migrations
(
    version UInt32 COMMENT 'Number of the step.',
    name String COMMENT 'File of the step.',
    checksum UInt64 COMMENT 'FNV-1a of its text.',
    applied DateTime DEFAULT now() COMMENT 'When it was applied first.'
)
ENGINE = ReplacingMergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Steps that made this database what it is.'";

#[derive(Row, Deserialize)]
struct Applied {
    version: u32,
    checksum: u64,
}

/// Brings the database to this version's tables and views. Does nothing where it is there already;
/// after a kill in the middle it goes on.
///
/// # Errors
/// A database of a newer version, one made from other texts, or ClickHouse's own errors.
pub async fn migrate(client: &Client) -> Result<(), SinkError> {
    let client = client.clone().with_database("default");
    execute(&client, "CREATE DATABASE IF NOT EXISTS grapevine").await?;
    execute(&client, RECORD).await?;
    let applied = applied(&client).await?;
    check(&applied)?;
    for migration in MIGRATIONS {
        if applied.contains_key(&migration.version) {
            continue;
        }
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "migrating"
        );
        for statement in statements(migration.sql) {
            execute(&client, statement).await?;
        }
        record(&client, migration).await?;
    }
    Ok(())
}

/// The same, and tables that remember as many inserts as the writers of `partitions` need (see
/// [`widen_windows`]), waiting for a ClickHouse that is away. False where `stop` turns true, or its
/// sender is gone, before.
///
/// # Errors
/// Those of both that waiting cannot mend.
pub async fn migrate_when_there(
    client: &Client,
    partitions: &Partitions,
    options: &Options,
    mut stop: watch::Receiver<bool>,
) -> Result<bool, SinkError> {
    let mut pause = PAUSE_FIRST;
    let mut refusals = 0;
    loop {
        let made = async {
            migrate(client).await?;
            widen_windows(client, partitions, options).await
        };
        let error = match made.await {
            Ok(()) => return Ok(true),
            Err(SinkError::ClickHouse(error)) => error,
            Err(error) => return Err(error),
        };
        refusals += 1;
        if let Some(fix) = Failure::of(&error).remedy(refusals) {
            let message = error.to_string();
            return Err(SinkError::Unwilling { message, fix });
        }
        retried(MIGRATED, &error);
        tracing::warn!(%error, pause_ms = pause.as_millis(), "clickhouse is not there: trying again");
        if tokio::time::timeout(pause, stop.wait_for(|stop| *stop))
            .await
            .is_ok()
        {
            return Ok(false);
        }
        pause = (pause * 2).min(options.pause_max);
    }
}

/// Sets how many different readers a group must have for the `bi_…` views to show it. Where they
/// show it from so many on already, nothing is changed, and the account need not be allowed to.
///
/// # Errors
/// [`SinkError::Unwilling`] where trying again cannot help: an account that may not replace a view, a
/// database that was never migrated. Else ClickHouse's own.
pub async fn set_group_size_min(client: &Client, readers: u32) -> Result<(), SinkError> {
    let client = client.clone().with_database("default");
    let found = client
        .query("SELECT visitors_min FROM grapevine.k_anonymity")
        .fetch_one::<u32>()
        .await;
    // Where this cannot be asked, the statement itself says what is in the way.
    if found.is_ok_and(|found| found == readers) {
        return Ok(());
    }
    tracing::info!(readers, "views named bi_… hide groups of fewer readers");
    let statement = format!(
        "CREATE OR REPLACE VIEW grapevine.k_anonymity AS SELECT toUInt32({readers}) AS visitors_min \
         COMMENT 'Views named bi_… hide groups of fewer readers than this. Replaced by the sink when another number is configured.'"
    );
    let replaced = execute(&client, &statement).await;
    replaced.map_err(view_refused)
}

/// What a failed replacement of a view means: lasting where trying again cannot help.
fn view_refused(error: SinkError) -> SinkError {
    match error {
        SinkError::ClickHouse(error) if Failure::of(&error).remedy(1).is_some() => {
            SinkError::Unwilling {
                message: error.to_string(),
                fix: "run the migrations, and give the account what replacing a view of database grapevine needs (CREATE VIEW, DROP VIEW), or leave the smallest group as it is",
            }
        }
        error => error,
    }
}

async fn applied(client: &Client) -> Result<BTreeMap<u32, u64>, SinkError> {
    let rows = client
        .query("SELECT version, checksum FROM grapevine.migrations ORDER BY version, applied DESC")
        .fetch_all::<Applied>()
        .await
        .map_err(SinkError::ClickHouse)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.version, row.checksum))
        .collect())
}

fn check(applied: &BTreeMap<u32, u64>) -> Result<(), SinkError> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if let Some((&found, _)) = applied.last_key_value()
        && found > known
    {
        return Err(SinkError::NewerDatabase { found, known });
    }
    for migration in MIGRATIONS {
        let recorded = applied.get(&migration.version);
        if recorded.is_some_and(|checksum| *checksum != checksum_of(migration.sql)) {
            return Err(SinkError::ChangedMigration {
                version: migration.version,
            });
        }
    }
    Ok(())
}

async fn record(client: &Client, migration: &Migration) -> Result<(), SinkError> {
    // No token: twice the same step is one row after merging, and is read as one before.
    client
        .query("INSERT INTO grapevine.migrations (version, name, checksum) VALUES (?, ?, ?)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(checksum_of(migration.sql))
        .with_setting("async_insert", "0")
        .execute()
        .await
        .map_err(SinkError::ClickHouse)
}

async fn execute(client: &Client, statement: &str) -> Result<(), SinkError> {
    client
        .query_raw(statement)
        .execute()
        .await
        .map_err(SinkError::ClickHouse)
}

/// The statements of a file: each ends with a semicolon at the end of a line.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}

/// 64-bit FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn checksum_of(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_without_gaps_and_every_statement_may_run_again() {
        for (number, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, number);
            assert!(migration.name.starts_with(&format!("{number:04}_")));
            for statement in statements(migration.sql) {
                let harmless = [
                    "IF NOT EXISTS",
                    "OR REPLACE",
                    "IF EXISTS",
                    "MODIFY SETTING",
                    "MODIFY COMMENT",
                ];
                assert!(
                    harmless.iter().any(|words| statement.contains(words)),
                    "{statement}"
                );
            }
        }
    }

    #[test]
    fn newer_and_changed_databases_are_refused() {
        let known = u32::try_from(MIGRATIONS.len()).expect("few");
        let newer = BTreeMap::from([(known + 1, 0)]);
        assert!(matches!(
            check(&newer),
            Err(SinkError::NewerDatabase { .. })
        ));
        let changed = BTreeMap::from([(1, 0)]);
        assert!(matches!(
            check(&changed),
            Err(SinkError::ChangedMigration { version: 1 })
        ));
        let fine = BTreeMap::from([(1, checksum_of(MIGRATIONS[0].sql))]);
        assert!(check(&fine).is_ok());
    }

    #[test]
    fn an_account_that_may_not_replace_a_view_is_told_and_not_tried_again() {
        let of = |text: &str| {
            let error = clickhouse::error::Error::BadResponse(text.to_owned());
            view_refused(SinkError::ClickHouse(error))
        };
        let refused = of("Code: 497. DB::Exception: sink: Not enough privileges. (ACCESS_DENIED)");
        assert!(
            matches!(&refused, SinkError::Unwilling { message, fix }
                if message.contains("Not enough privileges") && fix.contains("CREATE VIEW")),
            "{refused}"
        );
        let passing = of("Code: 242. DB::Exception: no Keeper (TABLE_IS_READ_ONLY)");
        assert!(matches!(passing, SinkError::ClickHouse(_)), "{passing}");
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum_of("foobar"), 0x8594_4171_F739_67E8);
    }
}
