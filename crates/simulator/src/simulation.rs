//! The engine: a queue of what is to come, taken in order of time.
//!
//! What is kept in memory: the catalogue of articles, the arrivals and robots of one slot of five
//! minutes, everything that is scheduled and has not happened (page views of open sessions, return
//! visits, clicks on shared links up to the longest delay), and the preview caches that have not
//! expired. Nothing is kept of what has happened.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::arrivals;
use crate::catalogue::Catalogue;
use crate::dice::Dice;
use crate::event::{Client, Event, EventKind, Headers, Request, Truth};
use crate::passing::{self, ShareAct};
use crate::person::Person;
use crate::reading::{self, Arrival};
use crate::scenario::{Scenario, ScenarioError};

const HOUR_MS: i64 = 3_600_000;
/// Streams of draws of one site.
pub(crate) const STREAMS: u64 = 1 << 32;
/// People of one site that are not known on another.
const NEWCOMERS: u64 = 1 << 40;

/// Simulates a scenario: its events in order of time.
///
/// # Errors
/// [`ScenarioError::Invalid`] where the scenario, or what `requests_target` makes of its rates, is
/// out of range.
pub fn simulate(scenario: &Scenario) -> Result<Simulation, ScenarioError> {
    simulate_number(scenario, 0)
}

/// The same for the site of that number: same people, other draws.
pub(crate) fn simulate_number(
    scenario: &Scenario,
    number: u64,
) -> Result<Simulation, ScenarioError> {
    scenario.validate()?;
    if scenario.requests_target == 0 {
        return Ok(Simulation::new(scenario.clone(), number));
    }
    let scaled = to_target(scenario);
    scaled.validate()?;
    Ok(Simulation::new(scaled, number))
}

/// Finds the rates that give about `requests_target` requests, by pilots.
///
/// The number of requests hangs on a few large cascades, and these on the draws, which any change
/// of a rate makes anew. Up to 200,000 requests a pilot is the very run that follows, so a good one
/// is kept; beyond that cascades are many and average out.
fn to_target(scenario: &Scenario) -> Scenario {
    const LARGEST_PILOT: f64 = 200_000.0;
    const PILOTS: u32 = 8;
    let target = scenario.requests_target as f64;
    let robots: f64 = scenario.robots.rates().iter().map(|(_, rate)| rate).sum();
    let bursts: f64 = scenario.bursts.iter().map(|burst| burst.landings).sum();
    // Seven requests an arrival (page, assets, further pages, readers it brings) is near enough.
    let guess = 7.0 * (scenario.arrivals.per_day * scenario.days + bursts) + robots * scenario.days;
    if guess <= 0.0 {
        return scenario.scaled(1.0);
    }
    let pilot_target = target.min(LARGEST_PILOT);
    let mut factor = pilot_target / guess;
    let (mut best, mut best_error) = (factor, f64::INFINITY);
    for _ in 0..PILOTS {
        let pilot = Simulation::new(scenario.scaled(factor), 0);
        let requests = pilot.filter(Event::is_logged).count().max(1) as f64;
        let error = (requests / pilot_target - 1.0).abs();
        if error < best_error {
            (best, best_error) = (factor, error);
        }
        if error < 0.05 {
            break;
        }
        factor *= pilot_target / requests;
    }
    scenario.scaled(best * target / pilot_target)
}

/// A running simulation: an iterator over events in order of time. Memory is bounded by what is
/// scheduled at a time, not by the length of the period.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) scenario: Scenario,
    /// Number of the site among several.
    pub(crate) number: u64,
    pub(crate) dice: Dice,
    pub(crate) catalogue: Catalogue,
    pub(crate) end: i64,
    /// Running sums of the weights of languages, and their `Accept-Language` headers.
    pub(crate) languages: Vec<f64>,
    pub(crate) accept_language: Vec<Arc<str>>,
    /// Article of each burst, once it has begun.
    pub(crate) burst_articles: Vec<Option<u32>>,
    /// The link that each burst of [`BurstKind::PublicLink`](crate::BurstKind::PublicLink) put into
    /// a public place, once it has.
    pub(crate) public_links: Vec<Option<arrivals::PublicLink>>,
    /// When a server last fetched an address: by service, page and token.
    pub(crate) fetched: BTreeMap<(usize, u32, u64), i64>,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    events: u64,
    visits: u64,
    shares: u64,
    newcomers: u64,
    /// When interest was last brought up to date.
    refreshed: Option<i64>,
}

/// Something that is to happen.
pub(crate) enum Coming {
    Slot,
    Arrival(Box<Arrival>),
    Share(Box<ShareAct>),
    Event(Box<Event>),
}

struct Scheduled {
    time: i64,
    order: u64,
    what: Coming,
}

impl std::fmt::Debug for Scheduled {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Scheduled({}, {})", self.time, self.order)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The heap gives the greatest first: the earliest, and of one time the first scheduled.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.time, other.order).cmp(&(self.time, self.order))
    }
}

/// A request to be, with what differs from the usual filled in.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: EventKind,
    pub(crate) address: Option<IpAddr>,
    pub(crate) method: &'static str,
    pub(crate) target: Arc<str>,
    pub(crate) status: u16,
    pub(crate) bytes: u32,
    pub(crate) referrer: Option<Arc<str>>,
    pub(crate) user_agent: Option<Arc<str>>,
    pub(crate) language: Option<Arc<str>>,
    pub(crate) headers: Headers,
}

impl Draft {
    pub(crate) fn page() -> Draft {
        Draft {
            kind: EventKind::Page,
            address: None,
            method: "GET",
            target: "/".into(),
            status: 200,
            bytes: 0,
            referrer: None,
            user_agent: None,
            language: None,
            headers: Headers::default(),
        }
    }
}

impl Simulation {
    fn new(scenario: Scenario, number: u64) -> Simulation {
        let start = scenario.start.as_millisecond();
        let mut sum = 0.0;
        let mut languages = Vec::new();
        let mut accept_language = Vec::new();
        for (tag, weight) in &scenario.audience.languages {
            sum += weight;
            languages.push(sum);
            let header = match tag.split_once('-') {
                Some((primary, _)) => format!("{tag},{primary};q=0.9"),
                None => tag.clone(),
            };
            accept_language.push(header.into());
        }
        let mut simulation = Simulation {
            number,
            dice: Dice::new(scenario.seed, number * STREAMS),
            catalogue: Catalogue::new(&scenario, Dice::new(scenario.seed, number * STREAMS + 1)),
            end: start + (scenario.days * 24.0 * HOUR_MS as f64) as i64,
            languages,
            accept_language,
            burst_articles: vec![None; scenario.bursts.len()],
            public_links: vec![None; scenario.bursts.len()],
            fetched: BTreeMap::new(),
            queue: BinaryHeap::new(),
            order: 0,
            events: 0,
            visits: 0,
            shares: 0,
            newcomers: 0,
            refreshed: None,
            scenario,
        };
        simulation.schedule(start, Coming::Slot);
        simulation
    }

    /// The scenario as it runs: with the rates that `requests_target` led to.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Path of the content of each burst, in the order of the scenario; `None` for one that has
    /// not begun.
    pub fn burst_contents(&self) -> impl Iterator<Item = Option<Arc<str>>> {
        self.burst_articles
            .iter()
            .map(|article| article.map(|index| self.catalogue.page(index).path.clone()))
    }

    /// Schedules; what would be after the end is dropped.
    pub(crate) fn schedule(&mut self, time: i64, what: Coming) {
        if time < self.end {
            self.order += 1;
            self.queue.push(Scheduled {
                time,
                order: self.order,
                what,
            });
        }
    }

    pub(crate) fn emit(&mut self, time: i64, draft: Draft, client: Option<Client>, truth: Truth) {
        if time >= self.end {
            return;
        }
        self.events += 1;
        let request = Request {
            address: draft.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            method: draft.method,
            target: draft.target,
            status: draft.status,
            bytes: draft.bytes,
            referrer: draft.referrer,
            user_agent: draft.user_agent,
            language: draft.language,
            headers: draft.headers,
        };
        let event = Event {
            id: self.events,
            time,
            clock_ms: 0,
            kind: draft.kind,
            request,
            client,
            truth,
        };
        self.schedule(time, Coming::Event(Box::new(event)));
    }

    /// Seed of what is secret to one site: tokens and ids of visitors. Spread over all bits, so that
    /// it does not turn the id of one person on one site into that of another on the next.
    pub(crate) fn own_seed(&self) -> u64 {
        self.scenario.seed ^ self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next_visit(&mut self) -> u64 {
        self.visits += 1;
        self.visits
    }

    pub(crate) fn next_share(&mut self) -> u64 {
        self.shares += 1;
        self.shares
    }

    /// One of the regulars.
    pub(crate) fn regular(&mut self) -> Person {
        let number = self.dice.below(self.scenario.audience.regulars);
        self.person(number)
    }

    /// A regular or somebody new, as the scenario says.
    pub(crate) fn somebody(&mut self) -> Person {
        if self.dice.chance(self.scenario.audience.regular) {
            return self.regular();
        }
        self.newcomer()
    }

    /// Somebody who was never here.
    pub(crate) fn newcomer(&mut self) -> Person {
        self.newcomers += 1;
        let before = self.scenario.audience.regulars + self.number * NEWCOMERS;
        self.person(before + self.newcomers)
    }

    fn person(&self, number: u64) -> Person {
        Person::new(
            self.scenario.seed,
            number,
            &self.scenario.audience,
            &self.languages,
        )
    }

    fn begin_slot(&mut self, start: i64) {
        if self.refreshed.is_none_or(|last| start - last >= HOUR_MS) {
            self.catalogue.refresh(start);
            self.refreshed = Some(start);
            passing::forget_expired(self, start);
        }
        arrivals::begin_slot(self, start);
        self.schedule(start + arrivals::SLOT_MS, Coming::Slot);
    }
}

impl Iterator for Simulation {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let Scheduled { time, what, .. } = self.queue.pop()?;
            match what {
                Coming::Event(event) => return Some(*event),
                Coming::Slot => self.begin_slot(time),
                Coming::Arrival(arrival) => reading::arrive(self, time, *arrival),
                Coming::Share(act) => passing::share(self, time, *act),
            }
        }
    }
}
