//! Waiting for a process that serves HTTP to answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::error::{TestingError, io};
use crate::process::GuardedProcess;

const READY_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until a GET of `path` has an answer that begins with `HTTP/1.1 STATUS`.
///
/// # Errors
/// The process ended or does not answer so in time, with its own words.
pub(crate) fn wait_until_answers(
    part: &'static str,
    process: &mut GuardedProcess,
    port: u16,
    (path, status): (&str, &str),
) -> Result<(), TestingError> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let seen = answer(part, port, path);
        if let Ok(line) = &seen
            && line.starts_with(&format!("HTTP/1.1 {status}"))
        {
            return Ok(());
        }
        let ended = process.ended();
        if ended.is_some() || Instant::now() > deadline {
            return Err(TestingError::Start {
                part: part.to_owned(),
                reason: ended.map_or_else(
                    || format!("no answer: {seen:?}"),
                    |status| format!("it ended with {status}"),
                ),
                words: process.last_words(25),
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The first line of the answer.
fn answer(part: &'static str, port: u16, path: &str) -> Result<String, TestingError> {
    let failed = || io("cannot reach", part);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed())?;
    let timeout = Some(Duration::from_secs(5));
    stream.set_read_timeout(timeout).map_err(failed())?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    .map_err(failed())?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .map_err(failed())?;
    Ok(line)
}
