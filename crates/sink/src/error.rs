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
    /// There is no connection to Kafka to be made with its settings.
    #[error(transparent)]
    Connection(#[from] grapevine_log::kafka::ConnectionError),
    /// ClickHouse cannot be asked, outside the writer's own retries.
    #[error("clickhouse: {0}")]
    ClickHouse(#[source] clickhouse::error::Error),
    /// ClickHouse refuses in a way that trying again cannot mend.
    #[error(
        "clickhouse refuses the rows of table {table}: {message}; {fix}; nothing is lost, the rows stay on the log and go in then"
    )]
    Refused {
        /// Table.
        table: &'static str,
        /// What ClickHouse says.
        message: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// ClickHouse refuses what is asked of it, and trying again cannot mend that.
    #[error("clickhouse refuses: {message}; {fix}")]
    Unwilling {
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
    /// A column was given another type, into which the engine would force what is sent.
    #[error(
        "column {column} of grapevine.{table} is {found}, rows are written as {sent}: undo the change, or rename the column and keep your own beside it"
    )]
    ChangedColumn {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Its type in the table.
        found: String,
        /// The type of the rows.
        sent: String,
    },
    /// A table forgets which inserts it has seen.
    #[error(
        "table grapevine.{table} remembers {found} inserts, {needed} are needed to refuse a repeated one: ALTER TABLE grapevine.{table} MODIFY SETTING non_replicated_deduplication_window = {needed}, or let `grapevine sink --migrate-only` do it"
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
        "table grapevine.{table} holds rows of topic {topic}, partition {partition}, up to offset {found}, this log has planned rows below {planned} only: log and ClickHouse do not belong together, or the group lost its offsets (Kafka forgets those of a group without members after offsets.retention.minutes); restore the log or the offsets that fed it, or start with an empty database"
    )]
    Foreign {
        /// Table.
        table: &'static str,
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// Largest offset in ClickHouse.
        found: u64,
        /// Offset below which rows were planned.
        planned: u64,
    },
    /// The committed metadata is no plan that this version reads.
    #[error(
        "the plan of topic {topic}, partition {partition}, at offset {offset} is not one that this grapevine reads: run the version that wrote it until its lag is 0, then this one"
    )]
    UnknownPlan {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// Offset that the plan starts at.
        offset: u64,
    },
    /// Records changed under a plan.
    #[error(
        "topic {topic}, partition {partition}, from offset {offset} to {end} gives other rows than planned: the log was changed or another version planned it; run the version that wrote it until its lag is 0"
    )]
    ChangedPlan {
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
        /// Offset that the plan starts at.
        offset: u64,
        /// Offset that it ends before.
        end: u64,
    },
    /// A batch is in ClickHouse in part, which one block in one partition cannot be.
    #[error(
        "table grapevine.{table} holds {found} of the {planned} rows of topic {topic}, partition {partition}, from offset {offset} to {end} in month {month}: somebody removed or added rows, or ClickHouse lost some; compare with the audit, remove those rows (ALTER TABLE … DELETE WHERE topic = … AND offset >= …) and start again"
    )]
    Partial {
        /// Table.
        table: &'static str,
        /// Topic.
        topic: &'static str,
        /// Partition.
        partition: i32,
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
    /// A record could not be encoded, which is a defect.
    #[error(transparent)]
    Codec(#[from] grapevine_event::CodecError),
    /// A task of the sink ended unexpectedly.
    #[error("a task of the sink ended unexpectedly: {0}")]
    Task(String),
}

/// What a failed request to ClickHouse means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may pass: try again. Whether the rows arrived is not known.
    Passing,
    /// ClickHouse could not read what it was sent. A proxy may have cut it off, so try again; what
    /// is refused [`REFUSALS`] times in a row will not pass, and the text says what to do.
    Unreadable(&'static str),
    /// It will not pass; the text says what to do.
    Lasting(&'static str),
}

/// Refusals of the same rows after which they are not sent again.
pub(crate) const REFUSALS: u32 = 5;

const COLUMN_CHANGED: &str =
    "a column was changed: undo the change, or run the migrations of the version that made it";

impl Failure {
    pub(crate) fn of(error: &clickhouse::error::Error) -> Failure {
        use clickhouse::error::Error;
        match error {
            Error::BadResponse(text) => code(text).map_or(Failure::Passing, of_code),
            Error::InvalidParams(_) | Error::Unsupported(_) => {
                Failure::Lasting("correct the address of ClickHouse")
            }
            // An answer of other types than the question's.
            Error::SchemaMismatch(_) => Failure::Lasting(COLUMN_CHANGED),
            _ => Failure::Passing,
        }
    }

    /// The remedy where trying again cannot help, after so many refusals in a row.
    pub(crate) fn remedy(self, refusals: u32) -> Option<&'static str> {
        match self {
            Failure::Lasting(fix) => Some(fix),
            Failure::Unreadable(fix) if refusals >= REFUSALS => Some(fix),
            Failure::Unreadable(_) | Failure::Passing => None,
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

/// Errors of ClickHouse (`src/Common/ErrorCodes.cpp`) that trying again cannot mend. What is not
/// named here may pass: no memory (241), too many parts or queries (252, 202), read-only for lack
/// of Keeper (242, 999), a full disk (243), time (159, 209), network (210) and whatever is unknown.
fn of_code(code: u32) -> Failure {
    match code {
        // UNKNOWN_TABLE, UNKNOWN_DATABASE, TABLE_IS_DROPPED
        60 | 81 | 218 => Failure::Lasting("run the migrations"),
        // INCORRECT_NUMBER_OF_COLUMNS, THERE_IS_NO_COLUMN, NOT_FOUND_COLUMN_IN_BLOCK,
        // DUPLICATE_COLUMN, NO_SUCH_COLUMN_IN_TABLE, NUMBER_OF_COLUMNS_DOESNT_MATCH,
        // ILLEGAL_TYPE_OF_ARGUMENT, ILLEGAL_COLUMN, UNKNOWN_IDENTIFIER, UNKNOWN_TYPE,
        // TYPE_MISMATCH, CANNOT_CONVERT_TYPE, INCOMPATIBLE_COLUMNS, UNKNOWN_ELEMENT_OF_ENUM
        7 | 8 | 10 | 15 | 16 | 20 | 43 | 44 | 47 | 50 | 53 | 70 | 122 | 691
        // Values that the changed column cannot hold: CANNOT_PARSE_TEXT, _QUOTED_STRING,
        // _INPUT_ASSERTION_FAILED, _DATE, _DATETIME, _NUMBER and _UUID, ARGUMENT_OUT_OF_BOUND,
        // TOO_LARGE_STRING_SIZE, CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, DECIMAL_OVERFLOW
        | 6 | 26 | 27 | 38 | 41 | 72 | 376 | 69 | 131 | 349 | 407 => {
            Failure::Lasting(COLUMN_CHANGED)
        }
        // VIOLATED_CONSTRAINT
        469 => Failure::Lasting("drop the constraint, which is not of the migrations"),
        // READONLY, UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, IP_ADDRESS_NOT_ALLOWED,
        // ACCESS_DENIED, AUTHENTICATION_FAILED
        164 | 192 | 193 | 194 | 195 | 497 | 516 => {
            Failure::Lasting("give the sink an account that may insert into database grapevine")
        }
        // UNKNOWN_SETTING, SETTING_CONSTRAINT_VIOLATION
        115 | 452 => Failure::Lasting(
            "the settings profile of the sink's account must let it set what it relies on",
        ),
        // UNKNOWN_FUNCTION, NOT_IMPLEMENTED, SYNTAX_ERROR, UNKNOWN_AGGREGATE_FUNCTION,
        // UNKNOWN_FORMAT
        46 | 48 | 62 | 63 | 73 => Failure::Lasting(
            "use a newer ClickHouse: what is asked for was tried with 26.5",
        ),
        // SIZES_OF_COLUMNS_DOESNT_MATCH, ATTEMPT_TO_READ_AFTER_EOF, CANNOT_READ_ALL_DATA,
        // INCORRECT_DATA, CHECKSUM_DOESNT_MATCH, CANNOT_DECOMPRESS
        9 | 32 | 33 | 117 | 40 | 271 => Failure::Unreadable(
            "ClickHouse cannot read what it is sent: see whether a proxy before it changes requests, and that every grapevine here has one version",
        ),
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
        let passing = [159, 202, 209, 210, 241, 242, 243, 252, 319, 999, 1002];
        for code in passing {
            let failure = of(&format!("Code: {code}. DB::Exception: it passes"));
            assert_eq!(failure, Failure::Passing, "{code}");
            assert_eq!(failure.remedy(u32::MAX), None);
        }
        for code in [16, 44, 53, 60, 131, 349, 469, 497] {
            let failure = of(&format!("Code: {code}. DB::Exception: it lasts"));
            assert!(failure.remedy(1).is_some(), "{code}");
        }
        for code in [33, 117] {
            let failure = of(&format!("Code: {code}. DB::Exception: cut off"));
            assert_eq!(failure.remedy(REFUSALS - 1), None, "{code}");
            assert!(failure.remedy(REFUSALS).is_some(), "{code}");
        }
        assert!(matches!(
            Failure::of(&Error::SchemaMismatch("column".to_owned())),
            Failure::Lasting(_)
        ));
        assert_eq!(of("502 Bad Gateway"), Failure::Passing);
        assert_eq!(of("Code: "), Failure::Passing);
        assert_eq!(Failure::of(&Error::TimedOut), Failure::Passing);
    }
}
