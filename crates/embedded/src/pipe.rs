//! Results and data through a pipe of the operating system.
//!
//! The engine's chunked results are each a document of their own (a `JSON` result of two chunks is
//! two objects). And it takes an empty line (`\n\n`) in the data of an INSERT that follow the
//! statement's text for their end, and what comes after for the next statement: rows are lost, or
//! run. Told to write to, or read from, an end of a pipe instead, it makes one document of a result
//! of any size and takes data of any content and size, in bounded memory and with back-pressure
//! both ways.

use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;

use bytes::{Bytes, BytesMut};

use crate::engine::{Connection, Params, QueryStats};
use crate::error::{QueryError, code};
use crate::sql;

const READ_BYTES: usize = 256 << 10;

/// The name under which the engine, in this process, can open an end of a pipe.
fn path(end: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", end.as_raw_fd())
}

fn system(error: io::Error) -> QueryError {
    QueryError::new(
        code::UNKNOWN_EXCEPTION,
        format!("no pipe to be had: {error}"),
    )
}

/// Runs a statement with a result, handing its bytes to `push` as they come. Where `push` returns
/// `false` (nobody wants more) the statement is cancelled.
pub(crate) fn select(
    connection: &mut Connection,
    text: &[u8],
    params: &Params,
    format: &str,
    mut push: impl FnMut(Bytes) -> bool,
) -> Result<QueryStats, QueryError> {
    let (mut reader, writer) = io::pipe().map_err(system)?;
    let output = sql::output(text);
    let target = format!("\nINTO OUTFILE '{}' TRUNCATE\n", path(&writer));
    let statement = [
        &text[..output.target_at],
        target.as_bytes(),
        &text[output.target_at..output.end],
    ]
    .concat();
    let canceller = connection.canceller();
    std::thread::scope(|scope| {
        let query = scope.spawn(move || {
            let result = connection.query(&statement, params, format);
            // The last writing end: the reader sees the end only now, not before the engine began.
            drop(writer);
            result
        });
        let mut wanted = true;
        let mut buffer = BytesMut::new();
        loop {
            buffer.resize(READ_BYTES, 0);
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            buffer.truncate(count);
            // After a cancel the rest is read and dropped, so that the engine is not stuck writing.
            if wanted && !push(buffer.split().freeze()) {
                wanted = false;
                canceller.cancel();
            }
        }
        joined(query.join()).map(|result| result.stats)
    })
}

/// Runs an INSERT whose data come from `data`, with `settings` (`a = 1, b = 2`) besides its own.
pub(crate) fn insert(
    connection: &mut Connection,
    text: &[u8],
    insert: &sql::Insert,
    params: &Params,
    settings: &str,
    data: &mut impl Read,
) -> Result<QueryStats, QueryError> {
    let (reader, mut writer) = io::pipe().map_err(system)?;
    let format = insert.format.as_deref().unwrap_or("Values");
    let source = format!("\nFROM INFILE '{}' COMPRESSION 'none'\n", path(&reader));
    // Its own settings come last, so that they win.
    let own = text[insert.source_at..insert.format_at].trim_ascii();
    let own = own
        .get("SETTINGS".len()..)
        .map_or_else(Vec::new, |own| [b", ", own, b"\n"].concat());
    let statement = [
        &text[..insert.source_at],
        source.as_bytes(),
        b"SETTINGS ",
        settings.as_bytes(),
        &own,
        b" FORMAT ",
        format.as_bytes(),
    ]
    .concat();
    let canceller = connection.canceller();
    std::thread::scope(|scope| {
        let query = scope.spawn(move || {
            let result = connection.query(&statement, params, "Null");
            // The last reading end: writing fails from here on, instead of waiting for ever.
            drop(reader);
            result
        });
        let copied = copy(data, &mut writer);
        if let Err(Copy::Data(_)) = &copied {
            // The data are cut short: the end of the pipe must not pass for their end.
            canceller.cancel();
        }
        drop(writer);
        let result = joined(query.join());
        match copied {
            Err(Copy::Data(error)) => Err(data_error(&error)),
            // The engine stopped reading, because it is done or because of an error of its own.
            Err(Copy::Pipe) | Ok(()) => result.map(|result| result.stats),
        }
    })
}

enum Copy {
    Data(io::Error),
    Pipe,
}

fn copy(data: &mut impl Read, pipe: &mut PipeWriter) -> Result<(), Copy> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Copy::Data(e)),
        };
        pipe.write_all(&buffer[..count]).map_err(|_| Copy::Pipe)?;
    }
}

/// What went wrong with a body, in ClickHouse's terms.
pub(crate) fn data_error(error: &io::Error) -> QueryError {
    let code = match error.kind() {
        io::ErrorKind::FileTooLarge => code::QUERY_IS_TOO_LARGE,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => code::CANNOT_DECOMPRESS,
        _ => code::CANNOT_READ_ALL_DATA,
    };
    QueryError::new(code, format!("Cannot read the request's body: {error}"))
}

fn joined<T>(result: std::thread::Result<Result<T, QueryError>>) -> Result<T, QueryError> {
    result.unwrap_or_else(|_| {
        Err(QueryError::new(
            code::UNKNOWN_EXCEPTION,
            "the thread of the query panicked",
        ))
    })
}
