//! Lines of access logs: nginx and Apache `combined`, `common` and `vhost_combined`.
//!
//! [`parse`] finds out per line which of the formats it is, borrows from the line, and copies
//! only what the server had to escape. It is pure and total: any bytes give a line or an error
//! that names reason and position.

mod error;
mod request;
mod text;
mod time;

use std::borrow::Cow;
use std::net::IpAddr;

pub use error::{ParseError, Reason};
pub use request::Request;

/// Which form a line has, apart from a virtual host in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Ends with the size: `LogFormat "%h %l %u %t \"%r\" %>s %b"`.
    Common,
    /// Has referrer and user agent after the size.
    Combined,
}

/// The server name in front of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost<'a> {
    /// Host name or address.
    pub name: Cow<'a, str>,
    /// Port, where it is logged.
    pub port: Option<u16>,
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client<'a> {
    /// An address.
    Address(IpAddr),
    /// A host name, where the server looks them up.
    HostName(Cow<'a, str>),
    /// `-`, or a local socket.
    Unknown,
}

/// One line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Server name, in `vhost_combined`.
    pub virtual_host: Option<VirtualHost<'a>>,
    /// The other end of the connection.
    pub client: Client<'a>,
    /// When the request came in (nginx: was answered), milliseconds since 1970 UTC; negative
    /// before. A leap second is the first second of the next minute.
    pub time_ms: i64,
    /// What was asked for.
    pub request: Request<'a>,
    /// Status answered; none where the server wrote `-`.
    pub status: Option<u16>,
    /// Size of the answer, bytes; none where the server wrote `-`.
    pub bytes: Option<u64>,
    /// `Referer`: none where the header was absent (`-`), empty where it was sent empty.
    pub referrer: Option<Cow<'a, str>>,
    /// `User-Agent`, likewise.
    pub user_agent: Option<Cow<'a, str>>,
    /// A quoted field after the user agent that holds addresses: nginx's customary
    /// `"$http_x_forwarded_for"`.
    pub forwarded_for: Option<Cow<'a, str>>,
    /// Which form the line has.
    pub format: Format,
}

/// Reads one line, with or without its line end. Fields after those of the format, such as the
/// time taken, are passed over.
///
/// # Errors
/// The first thing that does not fit, with its position in bytes.
pub fn parse(line: &[u8]) -> Result<Line<'_>, ParseError> {
    let line = text::without_end(line);
    let body = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    Cursor {
        line,
        at: line.len() - body.len(),
    }
    .parse()
}

/// Where in the line reading stands.
struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn parse(mut self) -> Result<Line<'a>, ParseError> {
        if self.rest().iter().all(u8::is_ascii_whitespace) {
            return Err(Reason::Empty.at(self.at));
        }
        let bracket = self.time_bracket()?;
        let (virtual_host, client) = self.head(bracket)?;
        self.at = bracket + 1;
        let time_ms = self.time()?;
        self.spaces();
        let request = Request::read(self.quoted(Reason::NoRequest, Reason::RequestOpen)?);
        let status = self.status()?;
        let bytes = self.bytes()?;
        let mut line = Line {
            virtual_host,
            client,
            time_ms,
            request,
            status,
            bytes,
            referrer: None,
            user_agent: None,
            forwarded_for: None,
            format: Format::Common,
        };
        self.spaces();
        if self.peek() == Some(b'"') {
            let referrer = self.quoted(Reason::NoReferrer, Reason::ReferrerOpen)?;
            self.spaces();
            let agent = self.quoted(Reason::NoUserAgent, Reason::UserAgentOpen)?;
            line.referrer = text::header(referrer);
            line.user_agent = text::header(agent);
            line.format = Format::Combined;
            line.forwarded_for = self.forwarded_for();
        }
        Ok(line)
    }

    fn rest(&self) -> &'a [u8] {
        &self.line[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Where the time starts: a bracket followed by a day. A user name may have brackets too.
    fn time_bracket(&self) -> Result<usize, ParseError> {
        let is_day = |at: usize| {
            matches!(self.line.get(at + 1..at + 4), Some([a, b, b'/'])
                if a.is_ascii_digit() && b.is_ascii_digit())
        };
        let mut brackets = memchr::memchr_iter(b'[', self.rest()).map(|at| self.at + at);
        let first = brackets.next().ok_or(Reason::NoTime.at(self.at))?;
        if is_day(first) {
            return Ok(first);
        }
        brackets
            .find(|at| is_day(*at))
            .ok_or(Reason::BadTime.at(first + 1))
    }

    /// What stands before the time: `[host[:port]] client ident user`, where a user name may
    /// have spaces.
    fn head(&self, bracket: usize) -> Result<(Option<VirtualHost<'a>>, Client<'a>), ParseError> {
        let head = &self.line[self.at..bracket];
        let mut words = head
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        let first = words.next().ok_or(Reason::NoClient.at(self.at))?;
        let (second, third, fourth) = (words.next(), words.next(), words.next());
        let Some(second) = second.filter(|_| fourth.is_some()) else {
            return Ok((None, client(first)));
        };
        // Four words: a host in front, or a user name of two words.
        let host_first = match (address(first), address(second)) {
            (_, Some(_)) => true,
            (Some(_), None) => false,
            // A looked-up client: the ident is `-`, second without a host in front, third with.
            (None, None) => second != b"-" && (third == Some(b"-") || text::port(first).is_some()),
        };
        if !host_first {
            return Ok((None, client(first)));
        }
        let (name, port) = match text::port(first) {
            Some((name, port)) => (name, Some(port)),
            None => (first, None),
        };
        let host = VirtualHost {
            name: text::decode(name),
            port,
        };
        Ok((Some(host), client(second)))
    }

    fn time(&mut self) -> Result<i64, ParseError> {
        let end = memchr::memchr(b']', self.rest()).ok_or(Reason::TimeOpen.at(self.line.len()))?;
        let text = &self.rest()[..end];
        let time = time::parse(text).map_err(|wrong| Reason::BadTime.at(self.at + wrong))?;
        self.at += end + 1;
        Ok(time)
    }

    /// A quoted field without its quotes, escapes as they are.
    fn quoted(&mut self, missing: Reason, open: Reason) -> Result<&'a [u8], ParseError> {
        if self.peek() != Some(b'"') {
            return Err(missing.at(self.at));
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            let found = memchr::memchr2(b'"', b'\\', &self.line[at.min(self.line.len())..])
                .ok_or(open.at(self.line.len()))?;
            at += found;
            if self.line[at] == b'\\' {
                at += 2;
            } else if matches!(self.line.get(at + 1), None | Some(b' ' | b'\t')) {
                self.at = at + 1;
                return Ok(&self.line[start..at]);
            } else {
                // A server that escapes nothing: the field ends at a quote before a space.
                at += 1;
            }
        }
    }

    fn word(&mut self) -> &'a [u8] {
        self.spaces();
        let word = self
            .rest()
            .split(u8::is_ascii_whitespace)
            .next()
            .unwrap_or_default();
        self.at += word.len();
        word
    }

    fn status(&mut self) -> Result<Option<u16>, ParseError> {
        let word = self.word();
        let at = self.at - word.len();
        match word {
            b"" => Err(Reason::NoStatus.at(at)),
            b"-" => Ok(None),
            [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                Ok(Some(digit(a) * 100 + digit(b) * 10 + digit(c)))
            }
            _ => Err(Reason::BadStatus.at(at)),
        }
    }

    fn bytes(&mut self) -> Result<Option<u64>, ParseError> {
        let word = self.word();
        let at = self.at - word.len();
        match word {
            b"" => Err(Reason::NoSize.at(at)),
            b"-" => Ok(None),
            word => match std::str::from_utf8(word).ok().map(str::parse) {
                // `parse` takes a plus sign, a server writes none.
                Some(Ok(bytes)) if word[0] != b'+' => Ok(Some(bytes)),
                _ => Err(Reason::BadSize.at(at)),
            },
        }
    }

    /// The first quoted field of the rest, if addresses is what it holds.
    fn forwarded_for(&mut self) -> Option<Cow<'a, str>> {
        let quote = memchr::memchr(b'"', self.rest())?;
        self.at += quote;
        let field = self.quoted(Reason::NoRequest, Reason::RequestOpen).ok()?;
        let of_addresses = |byte: &u8| byte.is_ascii_hexdigit() || b".:, []".contains(byte);
        let long = field.len() > 1 && field.iter().any(|byte| matches!(byte, b'.' | b':'));
        (long && field.iter().all(of_addresses)).then(|| text::decode(field))
    }
}

fn address(word: &[u8]) -> Option<IpAddr> {
    // A host name that starts like no address is not worth a look.
    if !word
        .first()
        .is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':')
    {
        return None;
    }
    let text = std::str::from_utf8(word).ok()?;
    let without_zone = text.split_once('%').map_or(text, |(address, _)| address);
    without_zone.parse().ok()
}

fn client(word: &[u8]) -> Client<'_> {
    if let Some(address) = address(word) {
        Client::Address(address)
    } else if matches!(word, b"-" | b"unix:") {
        Client::Unknown
    } else {
        Client::HostName(text::decode(word))
    }
}

#[cfg(test)]
mod tests;
