//! A server in the place of one that is not there: whatever is asked over HTTP, a function answers.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::{TestingError, io};

/// Longest wait for the rest of a request.
const REST_MAX: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Debug, Default)]
pub struct Request {
    /// Path and query.
    pub path: String,
    /// Values by name, names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body, as many bytes as `Content-Length` says.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; empty where it did not come.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    /// Status code and reason, such as `200 OK`.
    pub status: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// A running server: one request a connection, one after the other. It ends when dropped.
pub struct HttpServer {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("HttpServer")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl HttpServer {
    /// Starts it on a free port. Bodies of answers are of `content_type`.
    ///
    /// # Errors
    /// No port, no thread.
    pub fn start(
        content_type: &'static str,
        answer: impl Fn(Request) -> Response + Send + 'static,
    ) -> Result<HttpServer, TestingError> {
        let here = io("cannot listen on", "127.0.0.1");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(here)?;
        let here = io("cannot listen on", "127.0.0.1");
        let port = listener.local_addr().map_err(here)?.port();
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if told.load(Ordering::Relaxed) {
                        return;
                    }
                    // A client that goes away in the middle asks again.
                    let _ = stream.and_then(|stream| serve(stream, content_type, &answer));
                }
            })
            .map_err(io("cannot start", "a thread"))?;
        Ok(HttpServer { port, stopped })
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: TcpStream,
    content_type: &str,
    answer: &impl Fn(Request) -> Response,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REST_MAX))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split(' ').nth(1) else {
        return Ok(());
    };
    let mut request = Request {
        path: path.to_owned(),
        ..Request::default()
    };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        request.headers.insert(name, value);
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    let Response { status, body } = answer(request);
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_answered_by_the_function() {
        let server = HttpServer::start("text/plain", |request| Response {
            status: "418 I'm a teapot",
            body: [request.path.as_bytes(), b" ", &request.body].concat(),
        })
        .expect("starts");
        let address = server.url().replace("http://", "");
        for body in ["one", ""] {
            let mut asked = TcpStream::connect(&address).expect("listens");
            let length = body.len();
            write!(
                asked,
                "POST /a?b HTTP/1.1\r\nHost: x\r\nCONTENT-LENGTH: {length}\r\n\r\n{body}"
            )
            .expect("sent");
            let mut answer = String::new();
            asked.read_to_string(&mut answer).expect("answered");
            assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
            assert!(
                answer.ends_with(&format!("\r\n\r\n/a?b {body}")),
                "{answer}"
            );
        }
        drop(server);
    }
}
