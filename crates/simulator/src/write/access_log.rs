//! Access logs as nginx and Apache write them.

use std::io::{self, Write};

use jiff::Timestamp;

use crate::event::Event;

/// Which server's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// nginx's predefined `combined`, with nginx's escaping: `"`, `\` and every byte outside of
    /// printable ASCII as `\xHH`, upper case.
    Combined,
    /// Debian's `vhost_combined` of Apache: `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i"
    /// "%{User-Agent}i"`, with Apache's escaping: `\"`, `\\`, `\t` and the like, `\xhh` lower case.
    VhostCombined,
}

/// Bytes of response headers, which Apache's `%O` counts and nginx's `$body_bytes_sent` does not.
const HEADER_BYTES: u32 = 352;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Writes all logged events; gives the number of lines.
///
/// # Errors
/// Those of `out`.
pub fn write_access_log(
    out: &mut impl Write,
    events: impl Iterator<Item = Event>,
    site: &str,
    format: LogFormat,
) -> io::Result<u64> {
    let mut lines = 0;
    for event in events {
        lines += u64::from(write_log_line(out, &event, site, format)?);
    }
    Ok(lines)
}

/// Writes the line of one event; `false` where the event leaves none.
///
/// # Errors
/// Those of `out`.
pub fn write_log_line(
    out: &mut impl Write,
    event: &Event,
    site: &str,
    format: LogFormat,
) -> io::Result<bool> {
    if !event.is_logged() {
        return Ok(false);
    }
    let request = &event.request;
    let clock = Timestamp::from_millisecond(event.time)
        .map(|time| jiff::tz::Offset::UTC.to_datetime(time))
        .map_err(io::Error::other)?;
    if format == LogFormat::VhostCombined {
        write!(out, "{site}:443 ")?;
    }
    write!(
        out,
        "{} - - [{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000] \"",
        request.address,
        clock.day(),
        MONTHS[(clock.month() - 1) as usize],
        clock.year(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )?;
    if request.method.is_empty() {
        escape(out, &request.target, format)?;
    } else {
        write!(out, "{} ", request.method)?;
        escape(out, &request.target, format)?;
        // Browsers speak HTTP/2 to an HTTPS site, most of the others do not.
        let browser = request.headers.sec_fetch_mode.is_some();
        out.write_all(if browser { b" HTTP/2.0" } else { b" HTTP/1.1" })?;
    }
    let bytes = match format {
        LogFormat::Combined => request.bytes,
        LogFormat::VhostCombined => request.bytes + HEADER_BYTES,
    };
    write!(out, "\" {} {bytes} \"", request.status)?;
    escape(out, request.referrer.as_deref().unwrap_or("-"), format)?;
    out.write_all(b"\" \"")?;
    escape(out, request.user_agent.as_deref().unwrap_or("-"), format)?;
    out.write_all(b"\"\n")?;
    Ok(true)
}

fn escape(out: &mut impl Write, text: &str, format: LogFormat) -> io::Result<()> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    let mut rest = text.as_bytes();
    while let Some(stop) = rest.iter().position(|byte| !plain(*byte)) {
        out.write_all(&rest[..stop])?;
        let byte = rest[stop];
        match (format, byte) {
            (LogFormat::Combined, _) => write!(out, "\\x{byte:02X}")?,
            (LogFormat::VhostCombined, b'"' | b'\\') => out.write_all(&[b'\\', byte])?,
            (LogFormat::VhostCombined, 8) => out.write_all(b"\\b")?,
            (LogFormat::VhostCombined, b'\t') => out.write_all(b"\\t")?,
            (LogFormat::VhostCombined, b'\n') => out.write_all(b"\\n")?,
            (LogFormat::VhostCombined, 11) => out.write_all(b"\\v")?,
            (LogFormat::VhostCombined, b'\r') => out.write_all(b"\\r")?,
            (LogFormat::VhostCombined, _) => write!(out, "\\x{byte:02x}")?,
        }
        rest = &rest[stop + 1..];
    }
    out.write_all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, format: LogFormat) -> String {
        let mut out = Vec::new();
        escape(&mut out, text, format).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_server_escapes_its_own_way() {
        let text = "a\"b\\c\té\u{16}";
        assert_eq!(
            escaped(text, LogFormat::Combined),
            r"a\x22b\x5Cc\x09\xC3\xA9\x16"
        );
        assert_eq!(
            escaped(text, LogFormat::VhostCombined),
            r#"a\"b\\c\t\xc3\xa9\x16"#
        );
    }
}
