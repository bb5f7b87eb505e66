//! The truth file: one row for each page request and each share.

use std::io::{self, Write};

use grapevine_event::Channel;
use serde::Serialize;

use crate::event::{Actor, Event, EventKind};

/// Form of the truth file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruthFormat {
    /// One JSON object a line; absent values are null.
    Ndjson,
    /// RFC 4180 with a header; absent values are empty.
    Csv,
}

/// One row. `kind` is `visit`, `share`, or the actor (`preview`, `scanner`, `prefetch`, `robot`).
#[derive(Serialize)]
struct Row<'a> {
    id: String,
    site: &'a str,
    line: Option<u64>,
    hit: bool,
    time: i64,
    kind: &'a str,
    landing: bool,
    cause: &'a str,
    channel: Channel,
    app: &'a str,
    content: &'a str,
    status: u16,
    referrer: bool,
    person: Option<u64>,
    visit: Option<u64>,
    session: Option<u64>,
    parent: Option<u64>,
    share: Option<u64>,
    root: Option<u64>,
    generation: u32,
    returns_to: Option<u64>,
    token_of: Option<u64>,
    forwarded: bool,
    unseen_hops: u32,
}

const COLUMNS: &str = "id,site,line,hit,time,kind,landing,cause,channel,app,content,status,referrer,\
                       person,visit,session,parent,share,root,generation,returns_to,token_of,\
                       forwarded,unseen_hops";

/// Writes truth rows, counting the lines of the access log of the same events.
///
/// Every event must be shown to it in order, also those without a row: `line` is the number
/// (from 1) of the event's line in a log that holds all logged events.
#[derive(Debug)]
pub struct TruthWriter {
    format: TruthFormat,
    line: u64,
    begun: bool,
}

impl TruthWriter {
    /// A writer at the start of a file.
    pub fn new(format: TruthFormat) -> Self {
        TruthWriter {
            format,
            line: 0,
            begun: false,
        }
    }

    /// Writes the row of one event of a site; `false` where it has none (assets, redirects, engagement).
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&mut self, out: &mut impl Write, event: &Event, site: &str) -> io::Result<bool> {
        self.line += u64::from(event.is_logged());
        if self.format == TruthFormat::Csv && !self.begun {
            writeln!(out, "{COLUMNS}")?;
        }
        self.begun = true;
        let kind = match (event.kind, event.truth.actor) {
            (EventKind::Action, _) if event.is_share_act() => "share",
            (EventKind::Page, Actor::Person) => "visit",
            (EventKind::Page, actor) => actor.as_str(),
            _ => return Ok(false),
        };
        let row = self.row(event, site, kind);
        match self.format {
            TruthFormat::Ndjson => {
                serde_json::to_writer(&mut *out, &row)?;
                out.write_all(b"\n")?;
            }
            TruthFormat::Csv => write_csv(out, &row)?,
        }
        Ok(true)
    }

    fn row<'a>(&self, event: &'a Event, site: &'a str, kind: &'a str) -> Row<'a> {
        let truth = &event.truth;
        Row {
            id: event.hit_id(),
            site,
            line: event.is_logged().then_some(self.line),
            hit: event.is_hit(),
            time: event.time,
            kind,
            landing: event.is_landing(),
            cause: truth.cause.as_str(),
            channel: truth.channel,
            app: truth.carrier,
            content: &truth.content,
            status: event.request.status,
            referrer: event.request.referrer.is_some(),
            person: truth.person,
            visit: truth.visit,
            session: truth.session,
            parent: truth.parent,
            share: truth.share,
            root: truth.root,
            generation: truth.generation,
            returns_to: truth.returns_to,
            token_of: truth.token_of,
            forwarded: truth.forwarded,
            unseen_hops: truth.unseen_hops,
        }
    }
}

fn write_csv(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let number = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    write!(
        out,
        "{},{},{},{},{},{},{},{},{},{},",
        row.id,
        row.site,
        number(row.line),
        row.hit,
        row.time,
        row.kind,
        row.landing,
        row.cause,
        row.channel,
        row.app
    )?;
    // Paths that probes ask for may hold quotes and commas; nothing else can.
    if row.content.contains(['"', ',', '\n', '\r']) {
        write!(out, "\"{}\"", row.content.replace('"', "\"\""))?;
    } else {
        out.write_all(row.content.as_bytes())?;
    }
    writeln!(
        out,
        ",{},{},{},{},{},{},{},{},{},{},{},{},{}",
        row.status,
        row.referrer,
        number(row.person),
        number(row.visit),
        number(row.session),
        number(row.parent),
        number(row.share),
        number(row.root),
        row.generation,
        number(row.returns_to),
        number(row.token_of),
        row.forwarded,
        row.unseen_hops
    )
}

/// Writes the truth of all events; gives the number of rows.
///
/// # Errors
/// Those of `out`.
pub fn write_truth(
    out: &mut impl Write,
    events: impl Iterator<Item = Event>,
    site: &str,
    format: TruthFormat,
) -> io::Result<u64> {
    let mut writer = TruthWriter::new(format);
    let mut rows = 0;
    for event in events {
        rows += u64::from(writer.write(out, &event, site)?);
    }
    Ok(rows)
}
