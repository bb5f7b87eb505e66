//! What makes the engine safe to offer before its first connection: the lock on the data
//! directory, grants without sources, settings made constant, and a `default` database that does
//! not read files.
//!
//! The engine started plainly is ClickHouse's local tool: its one user may read any file and reach
//! any host, and its `default` database answers `` SELECT * FROM `/etc/passwd` `` with that file.
//! It does read a users' configuration, so what a server's administrator would configure is
//! written to `<data directory>/config` at every start.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::engine::Connection;
use crate::error::{EngineError, QueryError};

/// What the engine's one user may do. Absent, and so refused by the engine: every source (FILE,
/// URL, S3, REMOTE …, and with them the table engines of that kind), SYSTEM, BACKUP, dictionaries,
/// functions, named collections, access management, introspection.
const GRANTS: &str = "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, \
     CREATE TEMPORARY TABLE, DROP, TRUNCATE, OPTIMIZE, CHECK, UNDROP TABLE";

/// Settings that carry a path, an address, or SQL that no check of the statement would see, or
/// that change how the statement is parsed. Constant for everybody.
pub(crate) const CONSTANT_SETTINGS: &[&str] = &[
    "additional_result_filter",
    "additional_table_filters",
    "allow_introspection_functions",
    "cluster_for_parallel_replicas",
    "dialect",
    "filesystem_cache_name",
    "format_avro_schema_registry_url",
    "format_schema",
    "format_schema_source",
    "format_template_resultset",
    "format_template_resultset_format",
    "format_template_row",
    "format_template_row_format",
    "implicit_select",
    "implicit_table_at_top_level",
    "input_format_record_errors_file_path",
    "metrics_perf_events_list",
    "output_format_schema",
    "parallel_replicas_custom_key",
    "promql_database",
    "promql_table",
    "rename_files_after_processing",
    "s3queue_default_zookeeper_path",
];

/// What bounds the engine's own memory. Its defaults are a server's: 5 GiB of marks and as much of
/// primary keys are no bound on a laptop, and 128 threads to delete old parts, which a long import
/// was seen to start all at once, each bring a stack and caches of their own.
const BOUNDS: &[(&str, u64)] = &[
    // Bytes.
    ("mark_cache_size", 64 << 20),
    ("primary_index_cache_size", 64 << 20),
    ("index_mark_cache_size", 16 << 20),
    ("query_condition_cache_size", 16 << 20),
    // Threads.
    ("max_parts_cleaning_thread_pool_size", 2),
];

/// Takes the lock on `data_dir` and writes the engine's configuration. Returns the lock, held
/// while the file is open, and the arguments for every connection.
pub(crate) fn prepare(data_dir: &Path) -> Result<(File, Vec<String>), EngineError> {
    fs::create_dir_all(data_dir).map_err(io("cannot create", data_dir))?;
    let data_dir = fs::canonicalize(data_dir).map_err(io("cannot open", data_dir))?;
    let path = data_dir.join("engine.lock");
    let lock = File::create(&path).map_err(io("cannot write", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(EngineError::InUse { path: data_dir }),
        Err(TryLockError::Error(source)) => {
            return Err(EngineError::Io {
                what: "cannot lock",
                path,
                source,
            });
        }
    }
    let config = data_dir.join("config");
    fs::create_dir_all(&config).map_err(io("cannot create", &config))?;
    let users = config.join("users.xml");
    write(&users, &users_xml())?;
    let main = config.join("config.xml");
    let bounds: String = BOUNDS
        .iter()
        .map(|(name, value)| format!("    <{name}>{value}</{name}>\n"))
        .collect();
    let text = format!(
        "<clickhouse>\n    <users_config>{}</users_config>\n{bounds}</clickhouse>\n",
        escape_xml(&users.to_string_lossy())
    );
    write(&main, &text)?;
    describe_default_database(&data_dir)?;
    let args = vec![
        format!("--path={}", data_dir.display()),
        format!("--config-file={}", main.display()),
    ];
    Ok((lock, args))
}

fn users_xml() -> String {
    let constants: String = CONSTANT_SETTINGS
        .iter()
        .map(|name| format!("                <{name}><const/></{name}>\n"))
        .collect();
    format!(
        "<clickhouse>
    <profiles>
        <default>
            <implicit_select>0</implicit_select>
            <allow_introspection_functions>0</allow_introspection_functions>
            <constraints>
{constants}            </constraints>
        </default>
    </profiles>
    <users>
        <default>
            <password></password>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants><query>GRANT {GRANTS} ON *.*</query></grants>
        </default>
    </users>
    <quotas><default></default></quotas>
</clickhouse>
"
    )
}

/// Makes sure the store describes its `default` database as a plain one: a file of metadata and
/// the link the engine follows to it. Both are the engine's own form, so that
/// [`replace_default_database`] can attach it by name.
fn describe_default_database(data_dir: &Path) -> Result<(), EngineError> {
    let metadata = data_dir.join("metadata");
    let description = metadata.join("default.sql");
    if description.exists() {
        return Ok(());
    }
    fs::create_dir_all(&metadata).map_err(io("cannot create", &metadata))?;
    let link = metadata.join("default");
    let existing = fs::read_link(&link)
        .ok()
        .and_then(|target| Uuid::parse_str(target.file_name()?.to_str()?).ok());
    let id = existing.unwrap_or_else(Uuid::new_v4);
    if existing.is_none() {
        let name = id.to_string();
        let target = PathBuf::from("..")
            .join("store")
            .join(&name[..3])
            .join(&name);
        let store = data_dir.join("store").join(&name[..3]).join(&name);
        fs::create_dir_all(&store).map_err(io("cannot create", &store))?;
        std::os::unix::fs::symlink(target, &link).map_err(io("cannot write", &link))?;
    }
    write(
        &description,
        &format!("ATTACH DATABASE _ UUID '{id}'\nENGINE = Atomic\n"),
    )
}

/// Puts the plain database in the place of the one that falls back to files. Tables, being in the
/// plain one, are the same in both.
pub(crate) fn replace_default_database(base: &mut Connection) -> Result<(), QueryError> {
    for sql in [
        "DETACH DATABASE default",
        "ATTACH DATABASE default",
        "USE default",
    ] {
        base.query(sql.as_bytes(), &[], "Null")?;
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), EngineError> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text).map_err(io("cannot write", &temporary))?;
    fs::rename(&temporary, path).map_err(io("cannot write", path))
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Io { what, path, source }
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
