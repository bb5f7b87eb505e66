//! The lists: statements, functions, tables.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{Statement, denied};
use crate::accounts::Role;
use crate::error::QueryError;

/// Functions for everybody, lower case; see the head of the file.
static FUNCTIONS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("functions.txt")
        .lines()
        .filter(|l| !l.starts_with('#'))
        .collect()
});

/// Table functions for everybody: they make rows of their arguments.
const TABLE_FUNCTIONS: &[&str] = &[
    "generate_series",
    "generaterandom",
    "generateseries",
    "null",
    "numbers",
    "numbers_mt",
    "primes",
    "sqlstandardvalues",
    "values",
    "view",
    "zeros",
    "zeros_mt",
];

/// What an owner may use besides: tables over tables, and engines that keep their data in the store.
const OWNER: &[&str] = &[
    // Functions that only burn time.
    "sleep",
    "sleepeachrow",
    // Table functions over tables of the store.
    "input",
    "loop",
    "merge",
    "mergetreeanalyzeindexes",
    "mergetreeindex",
    "mergetreeprojection",
    "mergetreetextindex",
    "viewexplain",
    "viewifpermitted",
    // Engines of tables and databases.
    "aggregatingmergetree",
    "alias",
    "atomic",
    "buffer",
    "coalescingmergetree",
    "collapsingmergetree",
    "graphitemergetree",
    "join",
    "log",
    "materializedview",
    "memory",
    "mergetree",
    "replacingmergetree",
    "set",
    "stripelog",
    "summingmergetree",
    "tinylog",
    "versionedcollapsingmergetree",
];

/// Suffixes that make one aggregate function of another, lower case
/// (`system.aggregate_function_combinators`).
const COMBINATORS: &[&str] = &[
    "simplestate",
    "ordefault",
    "resample",
    "distinct",
    "foreach",
    "argmax",
    "argmin",
    "ornull",
    "merge",
    "state",
    "array",
    "map",
    "null",
    "if",
];

/// Whether the engine knows `name` (lower case), as it is or as an aggregate with combinators.
pub(super) fn known(callables: &HashSet<String>, name: &str) -> bool {
    with_combinators(name).any(|name| callables.contains(name))
}

/// `name`, and what is left of it without one, two … combinators.
fn with_combinators(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        COMBINATORS
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
    })
}

/// Whether `role` may call `name` (lower case): a function, table function or engine.
pub(super) fn callable(role: Role, name: &str) -> bool {
    let listed = |name: &str| {
        FUNCTIONS.contains(name)
            || TABLE_FUNCTIONS.contains(&name)
            || (role == Role::Owner && OWNER.contains(&name))
    };
    // Aggregates with combinators (`sumIf`, `uniqStateForEach`) as their base; a test checks that
    // nothing forbidden is such a form of something listed.
    listed(name) || with_combinators(name).any(|base| FUNCTIONS.contains(base))
}

/// Tables of the system databases a reader may see: what describes tables, types and functions.
/// Not among them: other people's queries, settings of the server, users, paths of parts.
const READER_SYSTEM_TABLES: &[&str] = &[
    "aggregate_function_combinators",
    "collations",
    "columns",
    "contributors",
    "data_skipping_indices",
    "data_type_families",
    "databases",
    "dictionaries",
    "formats",
    "functions",
    "keywords",
    "licenses",
    "numbers",
    "numbers_mt",
    "one",
    "projections",
    "settings",
    "table_engines",
    "table_functions",
    "tables",
    "time_zones",
    "unicode",
    "zeros",
    "zeros_mt",
];

/// Whether a reader may name `name` (`table`, `database.table` or a column of one).
pub(super) fn readable(name: &str) -> bool {
    let lower = name.to_lowercase();
    let Some(rest) = lower.strip_prefix("system.") else {
        return true;
    };
    let table = rest.split('.').next().unwrap_or_default();
    READER_SYSTEM_TABLES.contains(&table)
}

/// The kind of the statement whose tree begins with `root`, if `role` may run that kind.
pub(super) fn statement(role: Role, root: &str) -> Result<Statement, QueryError> {
    let (kind, _) = super::node(root);
    let statement = match kind {
        "SelectWithUnionQuery" | "SelectIntersectExceptQuery" => Statement::Select,
        "ShowTables"
        | "ShowColumns"
        | "ShowFunctions"
        | "ShowEngineQuery"
        | "DescribeQuery"
        | "Explain"
        | "ShowCreateTableQuery"
        | "ShowCreateViewQuery"
        | "ShowCreateDatabaseQuery"
        | "ExistsTableQuery"
        | "ExistsViewQuery"
        | "ExistsDatabaseQuery"
        | "ExistsDictionaryQuery" => Statement::Describe,
        "Set" => Statement::Session,
        "UseQuery"
        | "ShowProcesslistQuery"
        | "ShowGrantsQuery"
        | "ShowAccessQuery"
        | "CheckQuery"
        | "InsertQuery"
        | "CreateQuery"
        | "DropQuery"
        | "TruncateQuery"
        | "DetachQuery"
        | "AttachQuery"
        | "UndropQuery"
        | "AlterQuery"
        | "OptimizeQuery"
        | "Rename"
        | "DeleteQuery"
        | "UpdateQuery"
            if role == Role::Reader =>
        {
            return Err(denied(
                "Not enough privileges: a reader may only read tables",
            ));
        }
        "UseQuery" => Statement::Session,
        "ShowProcesslistQuery" | "ShowGrantsQuery" | "ShowAccessQuery" | "CheckQuery" => {
            Statement::Describe
        }
        "InsertQuery" | "CreateQuery" | "DropQuery" | "TruncateQuery" | "DetachQuery"
        | "AttachQuery" | "UndropQuery" | "AlterQuery" | "OptimizeQuery" | "Rename"
        | "DeleteQuery" | "UpdateQuery" => Statement::Change,
        other => {
            return Err(denied(format!(
                "Not enough privileges: this server does not run statements of this kind ({})",
                other.trim_end_matches("Query")
            )));
        }
    };
    Ok(statement)
}

/// Refuses statements inside statements that are not themselves checked as one.
pub(super) fn nested_statement(kind: &str) -> Result<(), QueryError> {
    match kind {
        "SelectWithUnionQuery"
        | "SelectIntersectExceptQuery"
        | "SelectQuery"
        | "TablesInSelectQuery"
        | "ProjectionSelectQuery" => Ok(()),
        _ => Err(denied(format!(
            "Not enough privileges: a statement inside another is not run by this server ({})",
            kind.trim_end_matches("Query")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What reaches files, hosts, programs or the server's inside in ClickHouse 26.5.
    const NEVER: &[&str] = &[
        "file",
        "FILE",
        "url",
        "s3",
        "remote",
        "remoteSecure",
        "cluster",
        "clusterAllReplicas",
        "executable",
        "hdfs",
        "mysql",
        "postgresql",
        "sqlite",
        "mongodb",
        "redis",
        "odbc",
        "jdbc",
        "iceberg",
        "icebergLocal",
        "deltaLake",
        "deltaLakeLocal",
        "hudi",
        "azureBlobStorage",
        "gcs",
        "fileCluster",
        "urlCluster",
        "filesystem",
        "arrowstream",
        "prometheusQuery",
        "hasColumnInTable",
        "catboostEvaluate",
        "aiGenerate",
        "filesystemAvailable",
        "getServerSetting",
        "getClientHTTPHeader",
        "addressToLine",
        "demangle",
        "flameGraph",
        "fileIf",
        "urlState",
        "Distributed",
        "Kafka",
        "S3Queue",
        "File",
        "URL",
        "Executable",
        "EmbeddedRocksDB",
        "Filesystem",
        "Backup",
        "MaterializedPostgreSQL",
        "Dictionary",
        "dictionary",
    ];

    #[test]
    fn nothing_dangerous_is_listed() {
        for name in NEVER {
            let name = name.to_lowercase();
            assert!(!callable(Role::Owner, &name), "{name}");
            assert!(!callable(Role::Reader, &name), "{name}");
        }
        for name in [
            "merge",
            "mergetree",
            "loop",
            "sleep",
            "viewifpermitted",
            "input",
        ] {
            assert!(
                callable(Role::Owner, name) && !callable(Role::Reader, name),
                "{name}"
            );
        }
        for name in [
            "sumif",
            "uniqexactstateforeach",
            "count",
            "tostartofhour",
            "lambda",
            "numbers",
        ] {
            assert!(callable(Role::Reader, name), "{name}");
        }
    }

    #[test]
    fn a_reader_sees_descriptions_only() {
        for name in [
            "t",
            "default.t",
            "system.tables",
            "information_schema.columns",
            "system.one.dummy",
        ] {
            assert!(readable(name), "{name}");
        }
        for name in [
            "system.processes",
            "SYSTEM.users",
            "system.query_log",
            "system.processes.query",
        ] {
            assert!(!readable(name), "{name}");
        }
    }
}
