//! The engine on one data directory: connections, statements, results as chunks.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::bootstrap;
use crate::error::{EngineError, QueryError};
use crate::library::{EngineLibrary, RawConnection, RawResult, RawStats};
use crate::pipe;

/// Values for `{name:Type}` placeholders, in ClickHouse's escaped text form (as of `param_x` in
/// its HTTP interface): name and value.
pub type Params = [(String, String)];

/// The data directory this process has open. The engine keeps one for a process.
static OPEN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// ClickHouse's engine, open on one data directory. Cheap to clone; the engine stops, cleanly,
/// when the last clone and the last [`Connection`] are gone. A process that exits before that
/// crashes on its way out (nothing stored is lost, but the exit code is).
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    // Fields drop in this order: the connection, then the claims on the directory.
    base: Mutex<RawConnection>,
    library: EngineLibrary,
    args: Vec<String>,
    facts: Facts,
    next_connection: AtomicU64,
    _claim: ProcessClaim,
    _lock: File,
}

/// What the engine says of itself, asked once at start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) timezone: String,
    pub(crate) display_name: String,
    /// Whether the setting that marks a connection for [`Canceller`] is known.
    marker_setting: &'static str,
    /// Functions and table functions by lower-case name.
    pub(crate) callables: HashSet<String>,
    /// Engines of tables and databases by lower-case name.
    pub(crate) engines: HashSet<String>,
    /// Settings of statements and tables, and whether each is a free text.
    pub(crate) settings: HashMap<String, SettingKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingKind {
    /// A number, a flag or one of a fixed set of words.
    Closed,
    /// Any text: may carry a path, an address or an expression.
    Text,
}

/// Gives the process's one place back when the engine is gone.
struct ProcessClaim;

impl Drop for ProcessClaim {
    fn drop(&mut self) {
        *lock(&OPEN) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("version", &self.inner.facts.version)
            .finish()
    }
}

impl Engine {
    /// Opens (or creates) the store in `data_dir` and holds it against other processes. Takes
    /// about 0.3 s.
    ///
    /// # Errors
    /// Where another process or this one has a store open, the directory cannot be written, or
    /// the engine does not start.
    pub fn open(library: &EngineLibrary, data_dir: &Path) -> Result<Engine, EngineError> {
        let claim = {
            let mut open = lock(&OPEN);
            if let Some(path) = open.as_ref() {
                return Err(EngineError::AlreadyOpen { path: path.clone() });
            }
            *open = Some(data_dir.to_owned());
            ProcessClaim
        };
        let (held, args) = bootstrap::prepare(data_dir)?;
        let raw = library.connect(&args).ok_or_else(|| EngineError::Start {
            path: data_dir.to_owned(),
        })?;
        let mut base = Connection {
            raw,
            engine: None,
            id: 0,
        };
        bootstrap::replace_default_database(&mut base)?;
        let facts = Facts::ask(&mut base)?;
        Ok(Engine {
            inner: Arc::new(Inner {
                base: Mutex::new(base.raw),
                library: *library,
                args,
                facts,
                next_connection: AtomicU64::new(1),
                _claim: claim,
                _lock: held,
            }),
        })
    }

    /// A new connection: its settings, temporary tables and current database are its own. Takes
    /// 0.2 ms.
    ///
    /// # Errors
    /// Where the engine has no place for another connection.
    pub fn connect(&self) -> Result<Connection, QueryError> {
        let refused = || {
            let code = crate::error::code::UNKNOWN_EXCEPTION;
            QueryError::new(code, "the engine refused another connection")
        };
        let raw = self
            .inner
            .library
            .connect(&self.inner.args)
            .ok_or_else(refused)?;
        let id = self.inner.next_connection.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection {
            raw,
            engine: Some(self.clone()),
            id,
        };
        let set = format!(
            "SET {} = 'connection-{id}'",
            self.inner.facts.marker_setting
        );
        connection.query(set.as_bytes(), &[], "Null")?;
        Ok(connection)
    }

    /// The engine's version, such as `26.5.1.1`.
    pub fn version(&self) -> &str {
        &self.inner.facts.version
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Stops what runs on the connection `id`. Returns once the engine was told, which is not yet
    /// when it has stopped.
    fn cancel(&self, id: u64) {
        let setting = self.inner.facts.marker_setting;
        let sql = format!("KILL QUERY WHERE Settings['{setting}'] = 'connection-{id}' ASYNC");
        let result = lock(&self.inner.base).query(sql.as_bytes(), &[], "Null");
        if let Some(error) = result.error() {
            tracing::warn!(connection = id, error, "a query could not be cancelled");
        }
    }
}

impl Facts {
    fn ask(base: &mut Connection) -> Result<Facts, QueryError> {
        let mut rows = |sql: &str| -> Result<Vec<Vec<String>>, QueryError> {
            let result = base.query(sql.as_bytes(), &[], "TSVRaw")?;
            let text = String::from_utf8_lossy(&result.bytes).into_owned();
            Ok(text
                .lines()
                .map(|l| l.split('\t').map(str::to_owned).collect())
                .collect())
        };
        let mut facts = Facts::default();
        if let Some([version, timezone, name]) =
            rows("SELECT version(), timezone(), displayName()")?
                .first()
                .map(Vec::as_slice)
        {
            facts.version.clone_from(version);
            facts.timezone.clone_from(timezone);
            facts.display_name.clone_from(name);
        }
        let callables = "SELECT lower(name) FROM system.functions \
             UNION DISTINCT SELECT lower(name) FROM system.table_functions";
        facts.callables = rows(callables)?.into_iter().flatten().collect();
        let engines = "SELECT lower(name) FROM system.table_engines \
             UNION DISTINCT SELECT lower(name) FROM system.database_engines";
        facts.engines = rows(engines)?.into_iter().flatten().collect();
        let settings = "SELECT name, type IN ('String', 'Map', 'URI', 'Dialect') \
             FROM system.settings UNION ALL SELECT name, type = 'String' \
             FROM system.merge_tree_settings";
        for row in rows(settings)? {
            let [name, text] = row.as_slice() else {
                continue;
            };
            let kind = if text == "1" {
                SettingKind::Text
            } else {
                SettingKind::Closed
            };
            // A name of both kinds counts as the stricter.
            let entry = facts.settings.entry(name.clone()).or_insert(kind);
            if kind == SettingKind::Text {
                *entry = kind;
            }
        }
        // chDB's own field leaves `log_comment` to the caller; older engines lack it.
        facts.marker_setting = if facts.settings.contains_key("chdb_client_name") {
            "chdb_client_name"
        } else {
            "log_comment"
        };
        Ok(facts)
    }
}

/// Counters of a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct QueryStats {
    /// Rows read from tables.
    pub read_rows: u64,
    /// Bytes read from tables, uncompressed.
    pub read_bytes: u64,
    /// Rows written, with those that materialised views wrote.
    pub written_rows: u64,
    /// Bytes written, uncompressed.
    pub written_bytes: u64,
    /// Rows of the result.
    pub result_rows: u64,
    /// Bytes of the result in the engine's memory form.
    pub result_bytes: u64,
    /// Time the engine took.
    pub elapsed: Duration,
}

impl QueryStats {
    fn from_raw(raw: RawStats) -> Self {
        QueryStats {
            read_rows: raw.storage_rows,
            read_bytes: raw.storage_bytes,
            written_rows: raw.rows_written,
            written_bytes: raw.bytes_written,
            result_rows: raw.result_rows,
            result_bytes: raw.result_bytes,
            elapsed: Duration::try_from_secs_f64(raw.elapsed_seconds).unwrap_or_default(),
        }
    }

    pub(crate) fn add(&mut self, other: QueryStats) {
        self.read_rows += other.read_rows;
        self.read_bytes += other.read_bytes;
        self.written_rows += other.written_rows;
        self.written_bytes += other.written_bytes;
        self.result_rows += other.result_rows;
        self.result_bytes += other.result_bytes;
        self.elapsed += other.elapsed;
    }
}

/// A whole result.
#[derive(Debug, Clone)]
pub struct QueryResult {
    /// The result in the format asked for; the engine's own buffer, not a copy.
    pub bytes: Bytes,
    /// Counters.
    pub stats: QueryStats,
}

impl QueryResult {
    fn from_raw(raw: RawResult) -> Result<Self, QueryError> {
        if let Some(error) = raw.error() {
            return Err(QueryError::parse(&error));
        }
        let stats = QueryStats::from_raw(raw.stats());
        let bytes = if raw.as_ref().is_empty() {
            Bytes::new()
        } else {
            Bytes::from_owner(raw)
        };
        Ok(QueryResult { bytes, stats })
    }
}

/// One connection to the engine. Statements run one at a time on the calling thread, which blocks:
/// from async code call it on a blocking thread.
pub struct Connection {
    raw: RawConnection,
    /// Keeps the engine's first connection open longer than this one.
    engine: Option<Engine>,
    id: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).finish()
    }
}

impl Connection {
    /// Runs one statement and returns its whole result in memory, in `format` unless the text
    /// names one. Several statements in one text run one after the other, and data of an INSERT in
    /// the text end at an empty line: give data with [`Self::insert`].
    ///
    /// # Errors
    /// What the engine says.
    pub fn query(
        &mut self,
        sql: &[u8],
        params: &Params,
        format: &str,
    ) -> Result<QueryResult, QueryError> {
        QueryResult::from_raw(self.raw.query(sql, params, format))
    }

    /// Starts one SELECT and returns its result in chunks of about a block (65 thousand rows),
    /// in bounded memory. Each chunk is a whole document of its own: only formats that may be
    /// put end to end (`RowBinary`, `Native`, `TabSeparated`, `CSV`, `JSONEachRow` …) make sense.
    ///
    /// # Errors
    /// What the engine says before the first row; errors after that come as an item.
    pub fn stream(
        &mut self,
        sql: &[u8],
        params: &Params,
        format: &str,
    ) -> Result<ChunkStream<'_>, QueryError> {
        let stream = self.raw.stream(sql, params, format);
        match stream.error() {
            Some(error) => Err(QueryError::parse(&error)),
            None => Ok(ChunkStream {
                connection: self,
                stream,
                ended: false,
            }),
        }
    }

    /// Runs an INSERT whose text ends in `FORMAT X` or `VALUES` with the data that `data` reads.
    /// Up to `max_insert_block_size` rows (as set on the connection; 1,048,449 by default) are one
    /// block. If reading fails the insert is cancelled; whole blocks before that stay.
    ///
    /// # Errors
    /// What the engine says, or what reading says; 62 if the text is no such INSERT.
    pub fn insert(
        &mut self,
        text: &[u8],
        params: &Params,
        data: &mut impl std::io::Read,
    ) -> Result<QueryStats, QueryError> {
        let insert = crate::sql::insert(text)
            .filter(|insert| insert.format.is_some())
            .ok_or_else(|| {
                let message =
                    "Syntax error: the statement is no INSERT that ends in FORMAT or VALUES";
                QueryError::new(crate::error::code::SYNTAX_ERROR, message)
            })?;
        let settings = self.one_block_settings()?;
        pipe::insert(self, text, &insert, params, &settings, data)
    }

    /// The settings under which a read of no more rows than `max_insert_block_size` is one block:
    /// read in that many rows at a time, by one parser.
    pub(crate) fn one_block_settings(&mut self) -> Result<String, QueryError> {
        let rows = self.query(b"SELECT getSetting('max_insert_block_size')", &[], "TSVRaw")?;
        let rows = String::from_utf8_lossy(&rows.bytes).trim().to_owned();
        Ok(format!(
            "input_format_parallel_parsing = 0, max_block_size = {rows}"
        ))
    }

    /// A handle that stops what runs here from another thread.
    pub fn canceller(&self) -> Canceller {
        Canceller {
            engine: self.engine.clone(),
            id: self.id,
        }
    }
}

/// Stops a statement from another thread; see [`Connection::canceller`].
#[derive(Debug, Clone)]
pub struct Canceller {
    engine: Option<Engine>,
    id: u64,
}

impl Canceller {
    /// Tells the engine to stop what runs on the connection; nothing happens if nothing does.
    /// Blocks for about a millisecond.
    pub fn cancel(&self) {
        if let Some(engine) = &self.engine {
            engine.cancel(self.id);
        }
    }
}

/// Chunks of a running SELECT, in order. Dropping it stops the SELECT.
pub struct ChunkStream<'a> {
    connection: &'a mut Connection,
    stream: RawResult,
    ended: bool,
}

impl Iterator for ChunkStream<'_> {
    type Item = Result<QueryResult, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let chunk = QueryResult::from_raw(self.connection.raw.fetch(&self.stream));
        // The engine closes the stream after a chunk without rows; such a chunk may still carry
        // bytes (totals, extremes), and fetching past it would be an error.
        self.ended = chunk.as_ref().map_or(true, |c| c.stats.result_rows == 0);
        match &chunk {
            Ok(last) if self.ended && last.bytes.is_empty() => None,
            _ => Some(chunk),
        }
    }
}

impl Drop for ChunkStream<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.raw.cancel(&self.stream);
        }
    }
}
