//! A line into a hit, a reason why it is none, or a dead letter.

use std::borrow::Cow;

use grapevine_event::{
    CodecError, DeadLetter, Heartbeat, Hit, Id, Protocol, URL_BYTES_MAX, VisitorBasis, topic,
};
use grapevine_log::Commit;
use grapevine_signals::{AgentKind, Resource, Signals};
use hashbrown::HashMap;

use super::lines::Line;
use super::summary::{ImportSummary, LetterNote, Skip};
use super::{ImportOptions, LINE_BYTES_MAX};
use crate::access_log::{self, Client, Request};
use crate::mask::mask_addresses;
use crate::pseudonym::{DayPseudonyms, Origin, Pseudonyms};

/// User agents remembered; a log repeats a few thousand.
const AGENTS_MAX: usize = 8192;
/// Longest path and query, bytes: leaves room for scheme and host in front.
const TARGET_BYTES_MAX: usize = URL_BYTES_MAX - 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Person,
    Preview,
    Robot,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Checkpoint after the batch: stands for the batch's content and all before it.
    pub(super) batch: &'a [u8; 32],
    /// Index within the batch.
    pub(super) index: u64,
    /// Line number in the source, from 1.
    pub(super) number: u64,
}

/// Turns lines into records; remembers what repeats.
pub(super) struct Converter {
    options: ImportOptions,
    source: String,
    signals: std::sync::Arc<Signals>,
    pseudonyms: Pseudonyms,
    day: DayPseudonyms,
    agents: HashMap<Box<str>, Reader>,
    url: String,
    last_line_ms: i64,
}

/// What a line is.
enum Verdict {
    Hit(Reader),
    Skip(Skip),
}

struct Refusal {
    reason: &'static str,
    detail: String,
}

impl Converter {
    pub(super) fn new(
        options: ImportOptions,
        source: &str,
        signals: std::sync::Arc<Signals>,
        pseudonyms: Pseudonyms,
    ) -> Converter {
        Converter {
            options,
            source: source.to_owned(),
            signals,
            day: pseudonyms.of_day(0),
            pseudonyms,
            agents: HashMap::new(),
            url: String::new(),
            last_line_ms: i64::MIN,
        }
    }

    /// Appends what follows from a line, and counts it.
    pub(super) fn line(
        &mut self,
        line: Line<'_>,
        place: Place<'_>,
        commit: &mut Commit,
        summary: &mut ImportSummary,
    ) -> Result<(), CodecError> {
        if line.bytes.iter().all(u8::is_ascii_whitespace) && line.length <= LINE_BYTES_MAX as u64 {
            summary.blank += 1;
            return Ok(());
        }
        match self.read(line) {
            Ok(read) => self.record(&read, place, commit, summary),
            Err(refusal) => self.dead_letter(line, place, refusal, commit, summary),
        }
    }

    /// Appends that the source is read to its end.
    pub(super) fn end(
        &mut self,
        commit: &mut Commit,
        summary: &ImportSummary,
    ) -> Result<(), CodecError> {
        let Some(event_time) = summary.last_time else {
            return Ok(());
        };
        let heartbeat = Heartbeat {
            event_time,
            source: &self.source,
        };
        let write = |out: &mut Vec<u8>| heartbeat.encode(out);
        commit.try_append_with(topic::HITS_RAW, write)
    }

    fn read<'a>(&self, line: Line<'a>) -> Result<access_log::Line<'a>, Refusal> {
        if line.length > LINE_BYTES_MAX as u64 {
            let detail = format!(
                "the line has {} bytes: at most {LINE_BYTES_MAX} are read",
                line.length
            );
            return Err(Refusal {
                reason: "line_too_long",
                detail,
            });
        }
        let read = access_log::parse(line.bytes).map_err(|error| Refusal {
            reason: error.reason.as_str(),
            detail: error.to_string(),
        })?;
        let time_error = |reason, words: &str| {
            let time = jiff::Timestamp::from_millisecond(read.time_ms);
            let time = time.map_or_else(|_| read.time_ms.to_string(), |time| time.to_string());
            Err(Refusal {
                reason,
                detail: format!("the time {time} {words}"),
            })
        };
        if read.time_ms < 0 {
            return time_error(
                "time_before_1970",
                "is before 1970: the server's clock was wrong",
            );
        }
        if read.time_ms > self.options.latest_ms {
            return time_error(
                "time_in_future",
                "is in the future: the server's clock was wrong",
            );
        }
        let target = match &read.request {
            Request::Line { target, .. } => target.len(),
            Request::Empty | Request::Malformed(_) => 0,
        };
        let referrer = read.referrer.as_ref().map_or(0, |referrer| referrer.len());
        let fields = [
            ("url_too_long", target, TARGET_BYTES_MAX),
            ("referrer_too_long", referrer, URL_BYTES_MAX),
        ];
        if let Some((reason, bytes, bytes_max)) =
            fields.into_iter().find(|(_, bytes, max)| bytes > max)
        {
            let detail = format!("decoded, it has {bytes} bytes: at most {bytes_max} are taken");
            return Err(Refusal { reason, detail });
        }
        Ok(read)
    }

    fn record(
        &mut self,
        line: &access_log::Line<'_>,
        place: Place<'_>,
        commit: &mut Commit,
        summary: &mut ImportSummary,
    ) -> Result<(), CodecError> {
        if line.time_ms < self.last_line_ms {
            summary.went_back += 1;
        }
        self.last_line_ms = line.time_ms;
        let reader = match self.judge(line) {
            Verdict::Hit(reader) => reader,
            Verdict::Skip(reason) => {
                *summary.skipped.entry(reason).or_default() += 1;
                return Ok(());
            }
        };
        match reader {
            Reader::Person => summary.people += 1,
            Reader::Preview => summary.previews += 1,
            Reader::Robot => summary.robots += 1,
        }
        summary.saw_hit_at(line.time_ms);
        self.hit(line, place, commit)
    }

    /// Whether a line is a hit; leaves the page's address in `self.url`.
    fn judge(&mut self, line: &access_log::Line<'_>) -> Verdict {
        let Request::Line { method, target, .. } = &line.request else {
            return Verdict::Skip(Skip::BadRequest);
        };
        if *method != "GET" {
            return Verdict::Skip(Skip::NotGet);
        }
        if let Err(reason) = self.write_url(line, target) {
            return Verdict::Skip(reason);
        }
        let path_start = self.url[SCHEME.len()..]
            .find('/')
            .map_or(self.url.len(), |at| at + SCHEME.len());
        let path = &self.url[path_start..];
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match self.signals.resource(path) {
            Resource::Page | Resource::Document => {}
            Resource::Asset => return Verdict::Skip(Skip::Asset),
            Resource::Feed => return Verdict::Skip(Skip::Feed),
            Resource::Machine => return Verdict::Skip(Skip::Machine),
        }
        match line.status {
            Some(200..=299 | 304) => {}
            Some(300..=399) => return Verdict::Skip(Skip::Redirect),
            _ => return Verdict::Skip(Skip::ErrorStatus),
        }
        Verdict::Hit(self.reader(line.user_agent.as_deref().unwrap_or_default()))
    }

    fn write_url(&mut self, line: &access_log::Line<'_>, target: &str) -> Result<(), Skip> {
        let logged = line
            .virtual_host
            .as_ref()
            .map(|host| &*host.name)
            .filter(|name| is_host(name));
        let site = self.options.site.as_str();
        let host = logged.unwrap_or(site);
        let (host, path) = if target.starts_with('/') {
            (host, target)
        } else {
            let (asked, path) = split_absolute(target).ok_or(Skip::BadRequest)?;
            // A site that is no host name says nothing of which hosts are its own.
            let own = bare(asked) == bare(host) || (logged.is_none() && !site.contains('.'));
            if !own {
                return Err(Skip::ForeignHost);
            }
            (asked, path)
        };
        self.url.clear();
        self.url.push_str(SCHEME);
        if host.contains(':') && !host.contains([']', '.']) {
            self.url.push('[');
            self.url.push_str(host);
            self.url.push(']');
        } else {
            self.url.push_str(host);
        }
        if !path.starts_with('/') {
            self.url.push('/');
        }
        self.url.push_str(path);
        Ok(())
    }

    fn reader(&mut self, user_agent: &str) -> Reader {
        if let Some(reader) = self.agents.get(user_agent) {
            return *reader;
        }
        let reader = match self.signals.agent(user_agent).kind {
            AgentKind::Person => Reader::Person,
            AgentKind::PreviewFetcher(_) => Reader::Preview,
            AgentKind::Robot(_)
            | AgentKind::MailScanner(_)
            | AgentKind::LibraryOrTool(_)
            | AgentKind::Empty => Reader::Robot,
        };
        if self.agents.len() >= AGENTS_MAX {
            self.agents.clear();
        }
        self.agents.insert(user_agent.into(), reader);
        reader
    }

    fn hit(
        &mut self,
        line: &access_log::Line<'_>,
        place: Place<'_>,
        commit: &mut Commit,
    ) -> Result<(), CodecError> {
        let site = self.options.site.as_str();
        if !self.day.covers(line.time_ms) {
            self.day = self.pseudonyms.of_day(line.time_ms);
        }
        let user_agent = line.user_agent.as_deref().unwrap_or_default();
        let origin = match &line.client {
            Client::Address(peer) => {
                let forwarded = line.forwarded_for.as_deref();
                let proxies = &self.options.trusted_proxies;
                Some(Origin::Address(
                    proxies.reader(*peer, forwarded.into_iter()),
                ))
            }
            Client::HostName(name) => Some(Origin::HostName(name)),
            Client::Unknown => None,
        };
        let mut hit = Hit::page_view(
            Id::builder("hit/log")
                .bytes(place.batch)
                .number(place.index)
                .finish(),
            site,
            line.time_ms,
            &self.url,
        );
        hit.protocol = Protocol::Log;
        if let Some(origin) = origin {
            hit.visitor = Some(self.day.visitor(site, origin, user_agent));
            hit.visitor_basis = VisitorBasis::Address;
            hit.network = self.day.network(site, origin);
        }
        hit.referrer = line
            .referrer
            .as_deref()
            .filter(|referrer| !referrer.is_empty());
        hit.user_agent = user_agent;
        hit.status = line.status.map(i32::from);
        let write = |out: &mut Vec<u8>| hit.encode(out);
        commit.try_append_with(topic::HITS_RAW, write)
    }

    fn dead_letter(
        &mut self,
        line: Line<'_>,
        place: Place<'_>,
        refusal: Refusal,
        commit: &mut Commit,
        summary: &mut ImportSummary,
    ) -> Result<(), CodecError> {
        *summary
            .dead_letters
            .entry(refusal.reason.into())
            .or_default() += 1;
        if summary.first_dead_letter.is_none() {
            summary.first_dead_letter = Some(LetterNote {
                line: place.number,
                reason: refusal.reason.into(),
                detail: refusal.detail.clone(),
            });
        }
        let mut payload = mask_addresses(line.bytes);
        payload.truncate(grapevine_event::DEAD_LETTER_BYTES_MAX);
        let letter = DeadLetter {
            letter_id: Id::builder("dead-letter/log")
                .bytes(place.batch)
                .number(place.index)
                .finish(),
            time: summary.last_time.unwrap_or(0),
            site: self.options.site.as_str(),
            stage: "import",
            reason: refusal.reason,
            detail: Cow::Owned(refusal.detail),
            source: &self.source,
            partition: None,
            position: i64::try_from(place.number).unwrap_or(i64::MAX),
            payload: &payload,
            payload_length: i64::try_from(line.length).unwrap_or(i64::MAX),
        };
        let write = |out: &mut Vec<u8>| letter.encode(out);
        commit.try_append_with(topic::DEAD_LETTERS, write)
    }
}

const SCHEME: &str = "https://";
/// Longest DNS name, and a port.
const HOST_BYTES_MAX: usize = 253 + 6;

/// Whether a logged server name is a host and not `_` or `-`, as catch-all servers are named.
fn is_host(name: &str) -> bool {
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    name.len() <= HOST_BYTES_MAX
        && name.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(in_host)
}

/// Host and path of `http://host/path`.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    (is_host(host)).then_some((host, path))
}

/// A host for comparing: lower case, without `www.` and port.
fn bare(host: &str) -> String {
    let host = match host.rsplit_once(':') {
        Some((name, port))
            if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    };
    let host = host.to_ascii_lowercase();
    host.strip_prefix("www.")
        .map_or(host.clone(), str::to_owned)
}
