//! `hits.raw` to `hits.classified`: landings become visits, what follows them visit events,
//! preview fetches and acts on the page shares.

mod agents;
mod bursts;
mod language;
mod records;
mod repeats;
mod sessions;

use std::sync::Arc;

use grapevine_event::{Evidence, Heartbeat, Hit, HitKind, Protocol, Record, Share, topic};
use grapevine_inference::shares::{Fetch, Previews, SavedPreviews};
use grapevine_inference::{
    COLLECTOR, Classifier, Clock, Recent, Room, StateError, VisitorContext, format_of, from_bytes,
    is_internal, to_bytes,
};
use grapevine_signals::headers::{Navigation, Speculation, speculation};
use grapevine_signals::{AgentKind, KnownPages, Link, Resource};
use serde::{Deserialize, Serialize};

use crate::outputs::{Outputs, Rejection};
use crate::stage::Stage;
use agents::Agents;
use bursts::Bursts;
use repeats::Repeats;
use sessions::{Sessions, Step};

pub use records::RESERVED_PROPERTIES;

/// Format of the saved state: 5 has the addresses of ladders as they were fetched. No release wrote 3 or 4.
const FORMAT: u32 = 5;
/// That of release 0.1.0.
const WITH_MARKING: u32 = 2;
/// A client's clock may run this far ahead of the collector's; beyond it the time of receipt
/// counts.
const AHEAD_MS_MAX: i64 = 10 * 60_000;
/// Event times that are taken: 1970 to 2200, what ClickHouse's `DateTime64(3)` holds as well.
const TIMES: std::ops::Range<i64> = 0..7_258_118_400_000;

/// Classifies hits. State: at most 64 bytes for each of 1.4 million visitors, and some 20 MB.
pub struct ClassifyStage {
    classifier: Arc<Classifier>,
    agents: Agents,
    pages: KnownPages,
    room: Room,
    state: State,
}

#[derive(Serialize, Deserialize)]
struct State {
    sessions: Sessions,
    repeats: Repeats,
    previews: Previews,
    bursts: Bursts,
    /// Event time of the last record that could be used.
    time: i64,
    counts: Counts,
}

/// The state as release 0.1.0 saved it: it counted here which sites mark their links, which the
/// chain stage now learns.
#[derive(Deserialize)]
struct WithMarking {
    sessions: Sessions,
    client_ids: Recent<()>,
    previews: SavedPreviews,
    #[serde(rename = "marking")]
    _marking: [Recent<(u32, u32)>; 2],
    time: i64,
    counts: Counts,
}

#[derive(Default, Serialize, Deserialize)]
struct Counts {
    duplicates: u64,
    prefetches: u64,
    not_pages: u64,
    not_answered: u64,
    clocks_ahead: u64,
    dead_letters: u64,
}

impl ClassifyStage {
    /// The stage with nothing remembered.
    pub fn new(classifier: Arc<Classifier>) -> ClassifyStage {
        ClassifyStage {
            classifier,
            agents: Agents::default(),
            pages: KnownPages::default(),
            room: Room::default(),
            state: State {
                sessions: Sessions::default(),
                repeats: Repeats::default(),
                previews: Previews::default(),
                bursts: Bursts::default(),
                time: 0,
                counts: Counts::default(),
            },
        }
    }
}

impl Stage for ClassifyStage {
    const NAME: &'static str = crate::CLASSIFY;
    const INPUT: &'static str = topic::HITS_RAW;

    fn process(&mut self, _offset: u64, record: &[u8], out: &mut Outputs) {
        let rejected = match Record::decode(record) {
            Ok(Record::Hit(hit)) => {
                let site = hit.site;
                let known = (&mut self.agents, &mut self.pages, &mut self.room);
                let taken = self.state.hit(&self.classifier, known, hit, out);
                taken.err().map(|(reason, detail)| (reason, detail, site))
            }
            Ok(Record::Heartbeat(heartbeat)) => {
                self.state.heartbeat(&heartbeat, out);
                None
            }
            Ok(other) => Some(("unexpected_record", misplaced(Self::INPUT, &other), "")),
            Err(error) => Some((error.reason(), error.to_string(), "")),
        };
        if let Some((reason, detail, site)) = rejected {
            self.state.counts.dead_letters += 1;
            out.reject(&Rejection {
                reason,
                detail: &detail,
                site,
                time: self.state.time,
                payload: record,
            });
        }
    }

    fn snapshot(&self) -> Result<Vec<u8>, StateError> {
        to_bytes(FORMAT, &self.state)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError> {
        if format_of(snapshot) == Some(WITH_MARKING) {
            let saved: WithMarking = from_bytes(WITH_MARKING, snapshot)?;
            self.state = State {
                sessions: saved.sessions,
                repeats: Repeats::after(saved.client_ids),
                previews: saved.previews.into(),
                bursts: Bursts::default(),
                time: saved.time,
                counts: saved.counts,
            };
            return Ok(());
        }
        self.state = from_bytes(FORMAT, snapshot)?;
        Ok(())
    }

    fn entries(&self) -> usize {
        let state = &self.state;
        state.sessions.len() + state.repeats.len() + state.previews.entries() + state.bursts.len()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.state.counts;
        vec![
            ("duplicates", counts.duplicates),
            ("prefetches", counts.prefetches),
            ("not_pages", counts.not_pages),
            ("not_answered", counts.not_answered),
            ("clocks_ahead", counts.clocks_ahead),
            ("previews_collapsed", self.state.previews.collapsed()),
            ("dead_letters", counts.dead_letters),
        ]
    }
}

/// The list without what was in it, which was borrowed for one record, and with its room.
pub(crate) fn emptied(mut list: Vec<Evidence<'_>>) -> Vec<Evidence<'static>> {
    list.clear();
    // Nothing is left to be mapped; elements of one layout are collected in place.
    list.into_iter().map_while(|_| None).collect()
}

/// What is said of a record on a topic that is not its own.
pub(crate) fn misplaced(topic: &str, record: &Record<'_>) -> String {
    let kind = match record {
        Record::Hit(_) => "hit",
        Record::Visit(_) => "visit",
        Record::VisitEvent(_) => "visit event",
        Record::Share(_) => "share",
        Record::Edge(_) => "chain edge",
        Record::Cascade(_) => "cascade",
        Record::Calibration(_) => "calibration",
        Record::Spread(_) => "spread",
        Record::ChainModel(_) => "chain model",
        Record::Surge(_) => "surge",
        Record::DeadLetter(_) => "dead letter",
        Record::Heartbeat(_) => "heartbeat",
    };
    format!("{topic} is no place for a {kind}: stop whatever writes it there")
}

/// Reason and detail of a hit that cannot be used.
type Rejected = (&'static str, String);

impl State {
    fn heartbeat(&mut self, heartbeat: &Heartbeat<'_>, out: &mut Outputs) {
        let time = heartbeat.event_time;
        {
            let mut emit = |share: &Share<'_>| out.share(topic::HITS_CLASSIFIED, share);
            if heartbeat.source == COLLECTOR {
                self.previews.pass(Clock::Live, time, &mut emit);
            } else {
                self.previews.finish(Clock::Imported, time, &mut emit);
            }
        }
        out.heartbeat(topic::HITS_CLASSIFIED, heartbeat);
    }

    fn hit(
        &mut self,
        classifier: &Classifier,
        (agents, pages, room): (&mut Agents, &mut KnownPages, &mut Room),
        mut hit: Hit<'_>,
        out: &mut Outputs,
    ) -> Result<(), Rejected> {
        if hit.event_time > hit.received_time.saturating_add(AHEAD_MS_MAX) {
            hit.event_time = hit.received_time;
            self.counts.clocks_ahead += 1;
        }
        if !TIMES.contains(&hit.event_time) {
            let detail = format!(
                "event time {} ms is outside 1970 to 2200: the sender's clock is wrong",
                hit.event_time
            );
            return Err(("time_out_of_range", detail));
        }
        let link = match classifier.signals().known_link(pages, hit.url) {
            Ok(link) => link,
            Err(error) => return Err(("bad_url", error.to_string())),
        };
        if !self.repeats.is_new(&hit) {
            self.counts.duplicates += 1;
            return Ok(());
        }
        self.time = hit.event_time;
        let clock = match hit.protocol {
            Protocol::Log => Clock::Imported,
            Protocol::Native | Protocol::Pixel | Protocol::Unknown => Clock::Live,
        };
        {
            let mut emit = |share: &Share<'_>| out.share(topic::HITS_CLASSIFIED, share);
            self.previews.pass(clock, hit.event_time, &mut emit);
        }
        match hit.kind {
            HitKind::PageView => self.page_view(classifier, (agents, room), clock, hit, link, out),
            HitKind::Copy | HitKind::Share => {
                let visit = self.sessions.of_event(clock, &hit);
                let share = records::share_on_page(classifier, &hit, &link, visit);
                out.share(topic::HITS_CLASSIFIED, &share);
            }
            HitKind::Engagement | HitKind::Conversion | HitKind::LinkClick | HitKind::Custom => {
                let visit = self.sessions.of_event(clock, &hit);
                let event = records::visit_event(hit, link, visit);
                out.visit_event(topic::HITS_CLASSIFIED, &event);
            }
        }
        Ok(())
    }

    fn page_view(
        &mut self,
        classifier: &Classifier,
        (agents, room): (&mut Agents, &mut Room),
        clock: Clock,
        hit: Hit<'_>,
        link: Link<'_>,
        out: &mut Outputs,
    ) {
        let signals = classifier.signals();
        // A page that was not served, or that sent its reader on, was not seen.
        if hit
            .status
            .is_some_and(|status| !matches!(status, 200..=299 | 304))
        {
            self.counts.not_answered += 1;
            return;
        }
        if hit
            .purpose
            .is_some_and(|purpose| speculation(purpose) != Speculation::None)
        {
            self.counts.prefetches += 1;
            return;
        }
        // A page that reports itself is one; a log holds everything that a server sends.
        let page = |resource| matches!(resource, Resource::Page | Resource::Document);
        let loaded_as = Navigation::read(
            hit.fetch_site.unwrap_or_default(),
            hit.fetch_mode.unwrap_or_default(),
            hit.fetch_dest.unwrap_or_default(),
        );
        let shown = !matches!(loaded_as, Navigation::NotPage | Navigation::Framed);
        let served = hit.protocol != Protocol::Log || page(signals.resource(link.path()));
        if !shown || !served {
            self.counts.not_pages += 1;
            return;
        }
        let agent = agents.read(signals, hit.user_agent);
        if let Some(fetcher) = agent.share() {
            let fetch = Fetch {
                hit_id: hit.hit_id,
                clock,
                site: hit.site,
                content: &link.canonical,
                address: hit.url,
                time: hit.event_time,
                network: hit.network,
                token: link.share_token.as_deref(),
                fetcher,
            };
            let mut emit = |share: &Share<'_>| out.share(topic::HITS_CLASSIFIED, share);
            self.previews.observe(&fetch, classifier.model(), &mut emit);
            return;
        }
        let known = self.sessions.knows(clock, &hit);
        if matches!(agent.kind, AgentKind::Person)
            && self.bursts.is_one(clock, &hit, &link.canonical, known)
        {
            let judged = classifier.scanner(room);
            let referrer = signals.referrer("");
            let version = classifier.version();
            let visit = records::visit(&hit, &agent, &referrer, link, known, judged, version);
            out.visit(topic::HITS_CLASSIFIED, &visit);
            room.evidence = emptied(visit.evidence);
            return;
        }
        let referrer = signals.referrer(hit.referrer.unwrap_or_default());
        let internal = is_internal(hit.site, &link, &referrer);
        match self
            .sessions
            .of_page_view(clock, &hit, &link, &referrer, internal)
        {
            Step::Later { visit } => {
                let event = records::visit_event(hit, link, visit);
                out.visit_event(topic::HITS_CLASSIFIED, &event);
            }
            Step::Landing {
                returning,
                token_again,
            } => {
                let visitor = VisitorContext {
                    returning,
                    basis: hit.visitor_basis,
                    token_again,
                };
                let judged = classifier.classify_in(room, &hit, &agent, &referrer, &link, &visitor);
                let version = classifier.version();
                let visit =
                    records::visit(&hit, &agent, &referrer, link, returning, judged, version);
                out.visit(topic::HITS_CLASSIFIED, &visit);
                room.evidence = emptied(visit.evidence);
            }
        }
    }
}
