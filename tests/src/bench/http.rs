//! A client of one keep-alive connection that costs as little as it can: it shares its cores with
//! what is measured.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Answers are short; one whose head is longer is none.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A whole `POST` request of `body`.
pub(super) fn post(port: u16, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A connection that is used again and again.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(super) fn open(port: u16) -> Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Connection {
            stream,
            answer: Vec::new(),
        })
    }

    /// Sends a request and reads its answer whole; the status.
    pub(super) fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request)?;
        self.answer.clear();
        let mut chunk = [0; 4096];
        loop {
            if let Some((status, length)) = head(&self.answer)? {
                if self.answer.len() >= length {
                    return Ok(status);
                }
            } else if self.answer.len() > HEAD_BYTES_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "an answer without end"));
            }
            match self.stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.answer.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

/// Status and length of an answer, head and body, once its head is there.
fn head(answer: &[u8]) -> Result<Option<(u16, usize)>> {
    let wrong = || Error::new(ErrorKind::InvalidData, "not the answer that is expected");
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&answer[..end]).map_err(|_| wrong())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse::<usize>().ok())?
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some((status, end + 4 + length))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"accepted\":1}";
        assert_eq!(head(whole).expect("reads"), Some((200, whole.len())));
        assert_eq!(head(&whole[..20]).expect("reads"), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"220 mail\r\nContent-Length: x\r\n\r\n").is_err());
    }
}
