//! Times as servers write them: `10/Oct/2000:13:55:36 -0700`.

use jiff::civil::DateTime;
use jiff::tz::Offset;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Reads `DD/Mon/YYYY:HH:MM:SS`, a fraction if there is one, and a zone (`-0700`, `+02:00`, `Z`;
/// UTC where there is none). Milliseconds since 1970 UTC.
///
/// # Errors
/// The position of what does not fit.
pub(super) fn parse(text: &[u8]) -> Result<i64, usize> {
    let punctuation = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':')];
    if let Some((at, _)) = punctuation
        .iter()
        .find(|(at, mark)| text.get(*at) != Some(mark))
    {
        return Err(*at);
    }
    let number = |at: usize, length: usize| digits(text.get(at..at + length)).ok_or(at);
    let month = MONTHS
        .iter()
        .position(|month| text[3..6].eq_ignore_ascii_case(*month))
        .ok_or(3_usize)?;
    let (day, year) = (number(0, 2)?, number(7, 4)?);
    let (hour, minute, second) = (number(12, 2)?, number(15, 2)?, number(18, 2)?);
    let (fraction_ms, zone_at) = fraction(text)?;
    let offset_seconds = zone(text, zone_at)?;

    // A leap second has no place in a day of 86,400 s: it is the next minute's first.
    let leap_ms = if second == 60 { 1000 } else { 0 };
    // At most four digits each, so that the casts lose nothing.
    let civil = DateTime::new(
        year as i16,
        month as i8 + 1,
        day as i8,
        hour as i8,
        minute as i8,
        if second == 60 { 59 } else { second as i8 },
        0,
    )
    .map_err(|_| 0_usize)?;
    let at_utc = Offset::UTC.to_timestamp(civil).map_err(|_| 0_usize)?;
    Ok(at_utc.as_millisecond() + leap_ms + fraction_ms - i64::from(offset_seconds) * 1000)
}

fn digits(text: Option<&[u8]>) -> Option<i32> {
    let mut number = 0;
    for byte in text? {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i32::from(byte - b'0');
    }
    Some(number)
}

/// Milliseconds of `.123456`, and where it ends.
fn fraction(text: &[u8]) -> Result<(i64, usize), usize> {
    const AT: usize = 20;
    if text.get(AT) != Some(&b'.') {
        return Ok((0, AT));
    }
    let length = text[AT + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if length == 0 {
        return Err(AT + 1);
    }
    let place = |index: usize| {
        text.get(AT + 1 + index)
            .filter(|_| index < length)
            .map_or(0, |byte| i64::from(byte - b'0'))
    };
    Ok((place(0) * 100 + place(1) * 10 + place(2), AT + 1 + length))
}

/// Seconds east of UTC.
fn zone(text: &[u8], at: usize) -> Result<i32, usize> {
    let spaces = text[at..].iter().take_while(|byte| **byte == b' ').count();
    let at = at + spaces;
    let (sign, hours, minutes) = match &text[at..] {
        [] | b"Z" => return Ok(0),
        [sign, a, b, c, d] | [sign, a, b, b':', c, d] => (sign, [*a, *b], [*c, *d]),
        _ => return Err(at),
    };
    let hours = digits(Some(&hours))
        .filter(|hours| *hours < 24)
        .ok_or(at + 1)?;
    let minutes = digits(Some(&minutes))
        .filter(|minutes| *minutes < 60)
        .ok_or(at + 3)?;
    let seconds = (hours * 60 + minutes) * 60;
    match sign {
        b'+' => Ok(seconds),
        b'-' => Ok(-seconds),
        _ => Err(at),
    }
}
