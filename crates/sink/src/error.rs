//! What can go wrong, and whether trying again can help.

use grapevine_log::LogError;
use thiserror::Error;

/// Why the sink stopped. Everything that passes by itself (ClickHouse away, too many parts, no
/// memory) is retried and is no error; what is left needs somebody to do something.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// ClickHouse cannot be asked, outside the writer's own retries.
    #[error("clickhouse: {0}")]
    ClickHouse(#[source] clickhouse::error::Error),
    /// ClickHouse refuses in a way that trying again cannot mend.
    #[error("clickhouse refuses the rows of table {table}: {message}; {fix}")]
    Refused {
        /// Table.
        table: &'static str,
        /// What ClickHouse says.
        message: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// The database was made by a newer version.
    #[error(
        "database grapevine was migrated to version {found}, this grapevine knows up to {known}: use the newer grapevine"
    )]
    NewerDatabase {
        /// Version of the database.
        found: u32,
        /// Newest version known here.
        known: u32,
    },
    /// A migration was applied with another text.
    #[error(
        "migration {version} of database grapevine was applied with another text: the database was made by another build; start it with that build, or with an empty database"
    )]
    ChangedMigration {
        /// Number of the migration.
        version: u32,
    },
    /// A table is not there.
    #[error(
        "table grapevine.{table} is missing: run the migrations (they only add what is not there)"
    )]
    MissingTable {
        /// Table.
        table: &'static str,
    },
    /// A table lacks columns.
    #[error(
        "table grapevine.{table} has no column {columns}: run the migrations, or undo the change that removed it"
    )]
    MissingColumns {
        /// Table.
        table: &'static str,
        /// Columns, comma-separated.
        columns: String,
    },
    /// A table forgets which inserts it has seen.
    #[error(
        "table grapevine.{table} remembers {found} inserts, {needed} are needed to refuse a repeated one: ALTER TABLE grapevine.{table} MODIFY SETTING non_replicated_deduplication_window = 1000"
    )]
    NoWindow {
        /// Table.
        table: &'static str,
        /// Inserts that it remembers.
        found: u64,
        /// Inserts that it must remember.
        needed: u64,
    },
    /// A table's engine does not keep rows as the sink needs it.
    #[error(
        "table grapevine.{table} has engine {found}, which is not of the MergeTree family that the migrations make: rename it away and run them"
    )]
    WrongEngine {
        /// Table.
        table: &'static str,
        /// Its engine.
        found: String,
    },
    /// A setting that exactly-once rests on is not in force.
    #[error(
        "clickhouse runs with {name} = {found} although {wanted} was asked for: remove the constraint from the user's settings profile"
    )]
    Setting {
        /// Setting.
        name: &'static str,
        /// Value in force.
        found: String,
        /// Value asked for.
        wanted: String,
    },
    /// ClickHouse holds rows that this log never planned.
    #[error(
        "table grapevine.{table} holds rows of topic {topic} up to offset {found}, this log has planned rows below {planned} only: log and ClickHouse do not belong together; restore the log that fed it, or start with an empty database"
    )]
    Foreign {
        /// Table.
        table: &'static str,
        /// Topic.
        topic: &'static str,
        /// Largest offset in ClickHouse.
        found: u64,
        /// Offset below which rows were planned.
        planned: u64,
    },
    /// The committed metadata is no plan that this version reads.
    #[error(
        "the plan of topic {topic} at offset {offset} is not one that this grapevine reads: run the version that wrote it until its lag is 0, then this one"
    )]
    UnknownPlan {
        /// Topic.
        topic: &'static str,
        /// Offset that the plan starts at.
        offset: u64,
    },
    /// Records changed under a plan.
    #[error(
        "topic {topic} from offset {offset} to {end} gives other rows than planned: the log was changed or another version planned it; run the version that wrote it until its lag is 0"
    )]
    ChangedPlan {
        /// Topic.
        topic: &'static str,
        /// Offset that the plan starts at.
        offset: u64,
        /// Offset that it ends before.
        end: u64,
    },
    /// A batch is in ClickHouse in part, which one block in one partition cannot be.
    #[error(
        "table grapevine.{table} holds {found} of the {planned} rows of topic {topic} from offset {offset} to {end} in month {month}: somebody removed or added rows, or ClickHouse lost some; compare with the audit, remove those rows (ALTER TABLE … DELETE WHERE topic = … AND offset >= …) and start again"
    )]
    Partial {
        /// Table.
        table: &'static str,
        /// Topic.
        topic: &'static str,
        /// Offset that the batch starts at.
        offset: u64,
        /// Offset that it ends before.
        end: u64,
        /// Month of the block, as 202403.
        month: String,
        /// Rows found.
        found: u64,
        /// Rows planned.
        planned: u64,
    },
    /// A task of the sink ended unexpectedly.
    #[error("a task of the sink ended unexpectedly: {0}")]
    Task(String),
}

/// What a failed request to ClickHouse means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may pass: try again. Whether the rows arrived is not known.
    Passing,
    /// It will not pass; the text says what to do.
    Lasting(&'static str),
}

impl Failure {
    pub(crate) fn of(error: &clickhouse::error::Error) -> Failure {
        use clickhouse::error::Error;
        match error {
            Error::BadResponse(text) => code(text).map_or(Failure::Passing, of_code),
            Error::InvalidParams(_) | Error::Unsupported(_) => {
                Failure::Lasting("correct the address of ClickHouse")
            }
            _ => Failure::Passing,
        }
    }
}

/// ClickHouse's own number of an error, from a text such as `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Errors of ClickHouse (`src/Common/ErrorCodes.cpp`) that trying again cannot mend.
fn of_code(code: u32) -> Failure {
    match code {
        // UNKNOWN_TABLE, UNKNOWN_DATABASE
        60 | 81 => Failure::Lasting("run the migrations"),
        // THERE_IS_NO_COLUMN, NO_SUCH_COLUMN_IN_TABLE, ILLEGAL_COLUMN, UNKNOWN_IDENTIFIER,
        // TYPE_MISMATCH, CANNOT_CONVERT_TYPE, INCOMPATIBLE_COLUMNS, UNKNOWN_ELEMENT_OF_ENUM
        8 | 16 | 44 | 47 | 53 | 70 | 122 | 691 => Failure::Lasting(
            "a column was changed: undo the change, or run the migrations of the version that made it",
        ),
        // TOO_MANY_PARTITIONS cannot be: one block is one partition.
        252 => Failure::Passing,
        // READONLY, UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, ACCESS_DENIED,
        // AUTHENTICATION_FAILED
        164 | 192 | 193 | 194 | 497 | 516 => {
            Failure::Lasting("give the sink an account that may insert into database grapevine")
        }
        // UNKNOWN_SETTING, SETTING_CONSTRAINT_VIOLATION
        115 | 452 => Failure::Lasting(
            "the settings profile of the sink's account must let it set what it relies on",
        ),
        // SYNTAX_ERROR, NOT_IMPLEMENTED, UNKNOWN_FORMAT
        48 | 62 | 73 => Failure::Lasting("use a ClickHouse of version 24.8 or newer"),
        _ => Failure::Passing,
    }
}

#[cfg(test)]
mod tests {
    use clickhouse::error::Error;

    use super::*;

    #[test]
    fn only_what_lasts_stops_the_sink() {
        let of = |text: &str| Failure::of(&Error::BadResponse(text.to_owned()));
        assert!(matches!(
            of("Code: 60. DB::Exception: Table x (UNKNOWN_TABLE)"),
            Failure::Lasting(_)
        ));
        assert!(matches!(
            of("Code: 516. DB::Exception: default"),
            Failure::Lasting(_)
        ));
        assert_eq!(of("Code: 241. DB::Exception: memory"), Failure::Passing);
        assert_eq!(of("502 Bad Gateway"), Failure::Passing);
        assert_eq!(of("Code: "), Failure::Passing);
        assert_eq!(Failure::of(&Error::TimedOut), Failure::Passing);
    }
}
