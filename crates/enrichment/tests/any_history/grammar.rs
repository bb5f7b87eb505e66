//! Any bytes are a history: eight of them are one thing that happens on few sites, among few readers.

use grapevine_event::{Heartbeat, Hit, HitKind, Id, Protocol, VisitorBasis};
use grapevine_inference::COLLECTOR;

/// Bytes of a step.
pub(crate) const STEP_BYTES: usize = 8;
/// Steps of a history, at most.
const STEPS_MAX: usize = 600;
/// Its first moment, milliseconds.
const T0: i64 = 1_760_000_000_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// After so long whatever lives by the collector's clock is settled.
const SETTLED_AFTER: i64 = 40 * DAY;

const SITES: [&str; 3] = ["example.org", "example.com", "news.example.net"];
const PATHS: [&str; 4] = [
    "/",
    "/story/of-a-town",
    "/story/of-a-town-and-more",
    "/style.css",
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "",
];
/// They fetch previews of links that are passed on.
const FETCHERS: [&str; 2] = ["WhatsApp/2.24.20.83 A", "TelegramBot (like TwitterBot)"];
const REFERRERS: [Option<&str>; 4] = [
    None,
    Some("https://www.google.com/"),
    Some("https://example.org/"),
    Some("https://web.whatsapp.com/"),
];
/// Milliseconds from one step to the next.
const AFTER: [i64; 15] = [
    0,
    1,
    SECOND,
    20 * SECOND,
    60 * SECOND,
    600 * SECOND,
    HOUR,
    6 * HOUR,
    30 * HOUR,
    8 * DAY,
    45 * DAY,
    -1,
    -5 * SECOND,
    -HOUR,
    -10 * DAY,
];
/// What a clock that is wrong says: within the years that are taken, at their ends, and beyond.
const WRONG: [i64; 6] = [
    i64::MIN,
    -1,
    0,
    7_258_118_399_999,
    7_258_118_400_000,
    i64::MAX,
];

/// A token in a link, or given to a reader. That of a step is `t` with its number, whether it was ever
/// given or not: so a token may come from another site or content, from the reader himself, and from
/// somebody who is still to come, who himself may have come by one of this reader's.
fn token(at: usize, byte: u8) -> Option<String> {
    let by = usize::from(byte >> 3);
    match byte & 7 {
        0 | 1 => None,
        2 | 3 => Some(format!("t{}", at.saturating_sub(1 + by))),
        4 => Some(format!("t{at}")),
        5 => Some(format!("t{}", at + 1 + by)),
        6 => Some(format!("forged{by}")),
        _ => Some(match by & 3 {
            0 => String::new(),
            1 => "%".to_owned(),
            2 => "a b&c=d#e".to_owned(),
            _ => "x".repeat(300),
        }),
    }
}

/// One of as many as there are, by a number.
fn pick<T: Copy>(of: &[T], number: u8) -> T {
    of[usize::from(number) % of.len()]
}

/// The records of `hits.raw`: what the bytes say, then an import that ends and a collector's clock that has gone on
/// until nothing waits. Bytes that make no whole step are left out.
pub(crate) fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    // A collector may not know whether it had sent a hit; a line of a log comes once.
    let mut repeatable: Vec<usize> = Vec::new();
    let (mut time, mut latest) = (T0, T0);
    let steps = bytes.as_chunks::<STEP_BYTES>().0;
    for (at, step) in steps.iter().take(STEPS_MAX).enumerate() {
        let [what, place, _, _, _, after, _, more] = *step;
        let after = AFTER.get(usize::from(after & 15));
        time = time
            .saturating_add(after.copied().unwrap_or_default())
            .max(0);
        latest = latest.max(time);
        match what & 15 {
            13 => records.push(heartbeat(pick(&[COLLECTOR, "access.log"], more), time)),
            14 if !repeatable.is_empty() => {
                let back = usize::from(more) % repeatable.len();
                let again = repeatable[repeatable.len() - 1 - back];
                records.push(records[again].clone());
            }
            // No record begins so.
            15 => records.push([&[0xff][..], &step[..]].concat()),
            _ => {
                if protocol(place) != Protocol::Log {
                    repeatable.push(records.len());
                }
                records.push(hit(at, step, time));
            }
        }
    }
    records.push(heartbeat("access.log", latest));
    records.push(heartbeat(COLLECTOR, latest.saturating_add(SETTLED_AFTER)));
    records
}

fn heartbeat(source: &str, event_time: i64) -> Vec<u8> {
    let mut record = Vec::new();
    let heartbeat = Heartbeat { event_time, source };
    heartbeat.encode(&mut record).expect("encodes");
    record
}

fn protocol(place: u8) -> Protocol {
    let protocols = [
        Protocol::Native,
        Protocol::Native,
        Protocol::Pixel,
        Protocol::Log,
    ];
    pick(&protocols, place >> 4)
}

/// What a reader or a robot does, at that time or at what a wrong clock says.
fn hit(at: usize, step: &[u8; STEP_BYTES], time: i64) -> Vec<u8> {
    let [what, place, who, incoming, given, after, agent, more] = *step;
    let site = pick(&SITES, place & 3);
    let incoming = token(at, incoming);
    let mut url = format!("https://{site}{}", pick(&PATHS, place >> 2));
    if let Some(incoming) = &incoming {
        url += "?gv=";
        url += incoming;
    }
    // Most are given their own.
    let given = match given & 3 {
        0 | 1 => Some(format!("t{at}")),
        2 => token(at, given >> 2),
        _ => incoming.filter(|token| !token.is_empty()),
    };
    let kind = match what & 15 {
        9 => HitKind::Copy,
        10 => HitKind::Share,
        11 => pick(HitKind::ALL, more),
        _ => HitKind::PageView,
    };
    let time = match after & 15 {
        15 => pick(&WRONG, more),
        _ => time,
    };
    let visitor = Some(i64::from(who & 7)).filter(|visitor| *visitor > 0);
    let hit = Hit {
        client_id_given: more & 1 == 1 && protocol(place) == Protocol::Native,
        kind,
        protocol: protocol(place),
        // Hits that come late, and clocks that are ahead of the collector's.
        received_time: time.saturating_add(pick(&[0, 2 * SECOND, HOUR, -HOUR], more >> 4)),
        visitor,
        visitor_basis: match (visitor, who & 128) {
            (None, _) => VisitorBasis::None,
            (Some(_), 0) => VisitorBasis::Client,
            (Some(_), _) => VisitorBasis::Address,
        },
        network: Some(i64::from(who >> 3 & 3)).filter(|network| *network > 0),
        referrer: pick(&REFERRERS, agent >> 4),
        user_agent: match what & 15 {
            12 => pick(&FETCHERS, agent),
            _ => pick(&AGENTS, agent & 15),
        },
        language: Some("de-AT,de;q=0.8"),
        share_token: given.as_deref(),
        app: pick(&[None, Some("whatsapp"), Some("nobody's app")], more >> 2),
        name: (kind == HitKind::Custom).then_some("read"),
        value: (kind == HitKind::Engagement).then_some(0.5),
        status: pick(&[None, Some(200), Some(200), Some(404)], what >> 4),
        ..Hit::page_view(
            Id::builder("any-history").number(at as u64).finish(),
            site,
            time,
            &url,
        )
    };
    let mut record = Vec::new();
    hit.encode(&mut record).expect("encodes");
    record
}
