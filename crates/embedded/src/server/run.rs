//! Runs one query from its body to the end of its answer, on a blocking thread.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::State;
use super::body::BodyReader;
use super::form;
use super::reply::Reply;
use super::request::QueryRequest;
use super::sessions::Taken;
use crate::accounts::Role;
use crate::engine::{Canceller, Connection, QueryStats};
use crate::error::{QueryError, code};
use crate::guard::{self, Statement};
use crate::pipe;
use crate::sql;
use crate::wire::{Bounded, Decoder, is_handshake, native_handshake};

/// Formats whose chunks, put end to end, are the format again, whatever the settings: they stream
/// from the engine's own buffers. The others go through a pipe (see [`pipe`]).
const CHUNKED: &[&str] = &[
    "CSV",
    "Native",
    "RowBinary",
    "TSV",
    "TSVRaw",
    "TabSeparated",
    "TabSeparatedRaw",
];

/// Verdicts on statements seen before, for those without parameters: clients repeat themselves,
/// and two parses are a millisecond.
#[derive(Default)]
pub(crate) struct Verdicts(Mutex<HashMap<(Role, Vec<u8>), Statement>>);

const VERDICTS_MAX: usize = 1024;
const VERDICT_BYTES_MAX: usize = 4096;

/// One query and what it needs.
pub(crate) struct Job<'a> {
    pub(crate) state: &'a State,
    pub(crate) request: QueryRequest,
    pub(crate) role: Role,
    /// Told how the query can be stopped once it runs.
    pub(crate) on_start: Box<dyn FnOnce(Canceller) + Send + 'a>,
    /// Queries under way, this one included.
    pub(crate) running: usize,
}

/// The statement and where the rest of its data is.
struct Statements {
    /// The text; for an INSERT followed by as much of its data as was read.
    text: Vec<u8>,
    insert: Option<sql::Insert>,
    /// The rest of the data, where the body is larger than one block may be.
    rest: Option<Bounded<Decoder>>,
}

impl Job<'_> {
    /// Runs it and answers.
    pub(crate) fn run(self, body: BodyReader, mut reply: Reply) {
        match self.answer(body, &mut reply) {
            Ok(stats) => reply.finish(stats),
            Err(error) => {
                if error.code == code::UNKNOWN_EXCEPTION.0 {
                    tracing::warn!(%error, "a query failed for no reason of its own");
                }
                reply.fail(&error);
            }
        }
    }

    fn answer(mut self, body: BodyReader, reply: &mut Reply) -> Result<QueryStats, QueryError> {
        let mut statements = self.read(body)?;
        if let Some(revision) = self.request.client_protocol_version
            && is_handshake(&statements.text)
        {
            let facts = self.state.engine.facts();
            reply.set_format("Native");
            let block = native_handshake(
                revision,
                &facts.display_name,
                &facts.version,
                &facts.timezone,
            );
            // The client is not kept waiting for what it will not read.
            let _ = reply.push(block.into());
            return Ok(QueryStats::default());
        }
        let Some(session) = self.request.session.clone() else {
            let mut connection = self.open()?;
            self.prepare(&mut connection)?;
            let Job {
                state,
                request,
                role,
                on_start,
                ..
            } = self;
            on_start(connection.canceller());
            return execute(
                state,
                &request,
                role,
                &mut connection,
                &mut statements,
                reply,
            );
        };
        let sessions = &self.state.sessions;
        let mut taken =
            sessions.take(&self.request.user, &session, self.state.limits.sessions_max)?;
        let outcome = self.in_session(&mut taken, &mut statements, reply);
        sessions.give_back(taken, &session);
        outcome
    }

    fn open(&self) -> Result<Connection, QueryError> {
        let mut connection = self.state.engine.connect()?;
        if self.role == Role::Reader {
            let seconds = self.state.limits.reader_query_time_max.as_secs();
            let set = format!("SET max_execution_time = {seconds}, readonly = 2");
            connection.query(set.as_bytes(), &[], "Null")?;
        }
        Ok(connection)
    }

    /// Runs on a session's connection. The request's own settings and database are for the
    /// request: what they were before is put back.
    fn in_session(
        self,
        taken: &mut Taken,
        statements: &mut Statements,
        reply: &mut Reply,
    ) -> Result<QueryStats, QueryError> {
        let mut connection = match taken.connection.take() {
            Some(connection) => connection,
            None => self.open()?,
        };
        let undo = self.undo(&mut connection)?;
        let outcome = self.prepare(&mut connection).and_then(|()| {
            let Job {
                state,
                request,
                role,
                on_start,
                ..
            } = self;
            on_start(connection.canceller());
            execute(state, &request, role, &mut connection, statements, reply)
        });
        for sql in undo {
            connection.query(sql.as_bytes(), &[], "Null")?;
        }
        taken.connection = Some(connection);
        outcome
    }

    /// The statements that put back what [`Self::prepare`] is about to change.
    fn undo(&self, connection: &mut Connection) -> Result<Vec<String>, QueryError> {
        let mut undo = Vec::new();
        for (name, _) in &self.request.settings {
            let params = [("name".to_owned(), name.clone())];
            let sql = b"SELECT value FROM system.settings WHERE name = {name:String}";
            let value = connection.query(sql, &params, "RawBLOB")?.bytes;
            if !value.is_empty() {
                let value = sql::quote(&String::from_utf8_lossy(&value));
                undo.push(format!("SET {} = {value}", sql::quote_name(name)));
            }
        }
        if self.request.database.is_some() {
            let name = connection
                .query(b"SELECT currentDatabase()", &[], "RawBLOB")?
                .bytes;
            undo.push(format!(
                "USE {}",
                sql::quote_name(&String::from_utf8_lossy(&name))
            ));
        }
        Ok(undo)
    }

    /// Sets the request's settings and database on the connection.
    fn prepare(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let facts = self.state.engine.facts();
        let mut set = Vec::new();
        for (name, value) in &self.request.settings {
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
            {
                let message =
                    format!("Setting {name} is neither a builtin setting nor a parameter");
                return Err(QueryError::new((115, "UNKNOWN_SETTING"), message));
            }
            guard::check_setting(facts, self.role, name)?;
            set.push(format!("{} = {}", sql::quote_name(name), sql::quote(value)));
        }
        let named = |name: &str| self.request.settings.iter().any(|(n, _)| n == name);
        // With a thread for each core and each query, many small queries spend their time on each
        // other: measured, four at once took twenty times as long.
        if self.running > 1 && !named("max_threads") && self.request.session.is_none() {
            let threads = (self.state.cores / self.running).max(1);
            set.push(format!("max_threads = {threads}"));
        }
        if !set.is_empty() {
            let sql = format!("SET {}", set.join(", "));
            connection.query(sql.as_bytes(), &[], "Null")?;
        }
        if let Some(database) = &self.request.database {
            if self.role == Role::Reader && database.eq_ignore_ascii_case("system") {
                let message =
                    "Not enough privileges: a reader names the tables of system one by one";
                return Err(QueryError::new(code::ACCESS_DENIED, message));
            }
            let sql = format!("USE {}", sql::quote_name(database));
            connection.query(sql.as_bytes(), &[], "Null")?;
        }
        Ok(())
    }

    /// Puts the statement together from the parameter and the body, as ClickHouse does: one after
    /// the other.
    fn read(&mut self, body: BodyReader) -> Result<Statements, QueryError> {
        if let (Some(boundary), false) = (self.request.form.take(), self.request.read_only) {
            return self.read_form(body, &boundary);
        }
        let request = &self.request;
        let mut text = Vec::new();
        if let Some(query) = request.query.as_deref().filter(|q| !q.is_empty()) {
            text.extend(query.as_bytes());
            text.push(b'\n');
        }
        let limits = &self.state.limits;
        let mut rest = None;
        if !request.read_only {
            let decoder = Decoder::new(body, request.body_encoding, request.decompress)
                .map_err(|e| pipe::data_error(&e))?;
            let mut decoder = Bounded::new(decoder, limits.body_bytes_max);
            let room = limits.insert_block_bytes_max as u64;
            (&mut decoder)
                .take(room)
                .read_to_end(&mut text)
                .map_err(|e| pipe::data_error(&e))?;
            let mut more = [0];
            if decoder.read(&mut more).map_err(|e| pipe::data_error(&e))? > 0 {
                text.push(more[0]);
                rest = Some(decoder);
            }
        }
        self.statements(text, rest)
    }

    fn read_form(&mut self, body: BodyReader, boundary: &str) -> Result<Statements, QueryError> {
        let request = &mut self.request;
        let decoder = Decoder::new(body, request.body_encoding, request.decompress)
            .map_err(|e| pipe::data_error(&e))?;
        let mut form = Vec::new();
        Bounded::new(decoder, self.state.limits.insert_block_bytes_max as u64)
            .read_to_end(&mut form)
            .map_err(|e| pipe::data_error(&e))?;
        request.add_fields(form::fields(&form, boundary)?)?;
        let text = request.query.clone().unwrap_or_default().into_bytes();
        self.statements(text, None)
    }

    /// Finds the INSERT's data in `text` and bounds the statement.
    fn statements(
        &self,
        text: Vec<u8>,
        rest: Option<Bounded<Decoder>>,
    ) -> Result<Statements, QueryError> {
        let limits = &self.state.limits;
        let insert = sql::insert(&text).filter(|i| i.format.is_some());
        let statement = insert.as_ref().map_or(text.len(), |i| i.head_end);
        if statement > limits.statement_bytes_max || (insert.is_none() && rest.is_some()) {
            let message = format!(
                "Max query size exceeded: a statement may have {} bytes here",
                limits.statement_bytes_max
            );
            return Err(QueryError::new(code::QUERY_IS_TOO_LARGE, message));
        }
        if sql::lex(&text[..statement]).next().is_none() {
            return Err(QueryError::new(code::SYNTAX_ERROR, "Empty query"));
        }
        Ok(Statements { text, insert, rest })
    }
}

/// Decides on the statement, runs it and hands its result on.
fn execute(
    state: &State,
    request: &QueryRequest,
    role: Role,
    connection: &mut Connection,
    statements: &mut Statements,
    reply: &mut Reply,
) -> Result<QueryStats, QueryError> {
    let head = statements
        .insert
        .as_ref()
        .map_or(statements.text.len(), |i| i.head_end);
    let kind = decide(state, role, connection, &statements.text[..head], request)?;
    if request.read_only && kind == Statement::Change {
        let message = "Cannot execute query in readonly mode. For queries over HTTP, method GET \
                       implies readonly. You should use method POST for modifying queries";
        return Err(QueryError::new(code::READONLY, message));
    }
    let params = &request.params;
    let output = sql::output(&statements.text[..head]);
    let format = output
        .format
        .or_else(|| request.default_format.clone())
        .unwrap_or_else(|| "TabSeparated".to_owned());
    reply.set_format(&format);
    match (kind, &statements.insert) {
        (Statement::Change, Some(insert)) => {
            let (text, data) = statements.text.split_at(head);
            let rest = statements.rest.take();
            // A body that is not whole yet is parsed by several threads, in blocks as they come.
            let mut settings = match &rest {
                None => connection.one_block_settings()?,
                Some(_) => "input_format_parallel_parsing = 1".to_owned(),
            };
            if insert.format.as_deref() == Some("Values")
                && !understands_values(state, role, connection, data, rest.is_some())?
            {
                settings.push_str(", input_format_values_interpret_expressions = 0");
            }
            let data = skip_line_end(data);
            match rest {
                None => pipe::insert(connection, text, insert, params, &settings, &mut &*data),
                Some(rest) => pipe::insert(
                    connection,
                    text,
                    insert,
                    params,
                    &settings,
                    &mut data.chain(rest),
                ),
            }
        }
        (Statement::Select, _) if CHUNKED.contains(&format.as_str()) => {
            let mut stats = QueryStats::default();
            for chunk in connection.stream(&statements.text, params, &format)? {
                let chunk = chunk?;
                stats.add(chunk.stats);
                if reply.push(chunk.bytes).is_err() {
                    break;
                }
            }
            Ok(stats)
        }
        (Statement::Select, _) => {
            pipe::select(connection, &statements.text, params, &format, |data| {
                reply.push(data).is_ok()
            })
        }
        _ => {
            let result = connection.query(&statements.text, params, &format)?;
            // A client that has gone has no use for the answer; the statement has run.
            let _ = reply.push(result.bytes);
            Ok(result.stats)
        }
    }
}

/// The data begin after the line of the statement, as the engine itself reads them.
fn skip_line_end(data: &[u8]) -> &[u8] {
    let blank = data
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'\r'))
        .count();
    match data.get(blank) {
        Some(b'\n') => &data[blank + 1..],
        _ => data,
    }
}

/// [`guard::check`], with what was decided before remembered.
fn decide(
    state: &State,
    role: Role,
    connection: &mut Connection,
    text: &[u8],
    request: &QueryRequest,
) -> Result<Statement, QueryError> {
    let verdicts = || {
        state
            .verdicts
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    let remembered = request.params.is_empty() && text.len() <= VERDICT_BYTES_MAX;
    let key = (role, text.to_vec());
    if remembered && let Some(kind) = verdicts().get(&key) {
        return Ok(*kind);
    }
    let kind = guard::check(
        connection,
        state.engine.facts(),
        role,
        text,
        &request.params,
    )?;
    if remembered {
        let mut verdicts = verdicts();
        if verdicts.len() >= VERDICTS_MAX {
            verdicts.clear();
        }
        verdicts.insert(key, kind);
    }
    Ok(kind)
}

/// Whether expressions in `VALUES`, which the statement's check does not see, may be understood.
/// Literals need no check; what looks like more is checked as the SELECT it amounts to; what
/// cannot be checked (too long, or not such a list) is read without expressions.
fn understands_values(
    state: &State,
    role: Role,
    connection: &mut Connection,
    data: &[u8],
    more: bool,
) -> Result<bool, QueryError> {
    let literal = |t: &sql::Token| match t.kind {
        sql::Kind::Word => {
            let first = data[t.start];
            first.is_ascii_digit()
                || ["NULL", "true", "false", "inf", "nan"]
                    .iter()
                    .any(|w| t.is(data, w))
        }
        sql::Kind::Quoted => false,
        sql::Kind::Text => data[t.start] == b'\'',
        sql::Kind::Punct(_) => true,
    };
    if more || data.len() > state.limits.values_expressions_bytes_max {
        return Ok(false);
    }
    if sql::lex(data).all(|t| literal(&t)) {
        return Ok(true);
    }
    let end = sql::output(data).end;
    let select = [b"SELECT ".as_slice(), &data[..end]].concat();
    match guard::check(connection, state.engine.facts(), role, &select, &[]) {
        Ok(_) => Ok(true),
        Err(error) if error.code == code::ACCESS_DENIED.0 => Err(error),
        Err(_) => Ok(false),
    }
}
