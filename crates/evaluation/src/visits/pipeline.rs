//! Hits or an access log through the product's own collector or importer and both stages, and what
//! it found beside what is true.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use grapevine_enrichment::{ChainStage, ClassifyStage, StopSignal, run};
use grapevine_event::{Channel, Heartbeat, Id, Method, Record, topic};
use grapevine_inference::causes::Weights;
use grapevine_inference::{COLLECTOR, Classifier, Model, evidence};
use grapevine_log::{Commit, Durability, Log};
use grapevine_producer::access_log;
use grapevine_producer::collector::{Collector, CollectorConfig, router};
use grapevine_producer::import::{ImportOptions, Importer, Next, Source};
use grapevine_producer::pseudonym::Pseudonyms;
use grapevine_producer::{Site, TrustedProxies};
use grapevine_signals::{Signals, Surface};
use serde::{Deserialize, Serialize};
use tower::Service;

use super::chains::{self, Chains};
use super::lineage::Landing;
use super::stated::Stated;
use super::truth::{ByVisit, Truth};

/// Hits in one request to the collector.
const HITS_A_REQUEST: usize = 500;
const READ_BYTES: usize = 8 * 1024 * 1024;
const KEY: &str = "evaluation";
/// Event time that passes after the last hit: every cause is settled then, and every content closed.
const QUIET_MS: i64 = 31 * 86_400_000;

/// What the product is fed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Hits of pages and servers, one JSON object a line.
    Hits,
    /// Hits of pages' own script, which knows no headers of the request of the page.
    Script,
    /// An access log, combined.
    Log,
}

/// Why a pipeline could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The site's name is none.
    #[error("{0:?} is no site name: give one with --site, such as example.org")]
    Site(String),
    /// The collector did not take hits.
    #[error("the collector refused hits {first} to {last}: {answer}")]
    Refused {
        /// Number of the first hit of the request, from 1.
        first: usize,
        /// Of the last.
        last: usize,
        /// What it answered.
        answer: String,
    },
    /// A part of the product failed.
    #[error("{0}")]
    Product(String),
}

fn failed(error: impl std::fmt::Display) -> DriveError {
    DriveError::Product(error.to_string())
}

/// One visit as the product judged it, beside what is true.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// What really happened.
    pub truth: Truth,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// Canonical address of what was read.
    pub content: String,
    /// What ordinary analytics would book.
    pub conventional: Channel,
    /// The channel found.
    pub channel: Channel,
    /// The app found.
    pub app: String,
    /// What decided.
    #[serde(serialize_with = "by_name")]
    pub method: Method,
    /// P(private link): low, likely, high.
    pub dark: [f64; 3],
    /// P(search without referrer).
    pub search: f64,
    /// Whether the landing is neither the home page nor the front of a section.
    pub deep: bool,
    /// Names and log-odds of what was weighed; empty where a fact decided.
    pub facts: Vec<(&'static str, f64)>,
    /// What the rest says of a landing that a token alone decided, log-odds.
    pub rest: Option<f64>,
}

impl Judged {
    /// Whether it came by a private app that names itself, as the chain stage counts it.
    pub(super) fn names_private_app(&self) -> bool {
        static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::builtin);
        let app = SIGNALS.origin(&self.app);
        let named = [
            evidence::REQUESTED_WITH,
            evidence::IN_APP_BROWSER,
            evidence::CLIENT,
            evidence::PRIVATE_REFERRER,
        ];
        self.channel == Channel::DarkSocial
            && self.dark[1] >= 0.9
            && app.is_some_and(|app| app.surface == Surface::Private)
            && self.facts.iter().any(|(name, _)| named.contains(name))
            && !self
                .facts
                .iter()
                .any(|(name, _)| *name == evidence::TOKEN_AGAIN)
    }
}

fn by_name<S: serde::Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

/// What came out of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Visits that the product counts as people's, in order.
    pub visits: Vec<Judged>,
    /// True landings of people that no visit of a person stands for: joined to an earlier visit, or
    /// taken for robots.
    pub landings_missed: usize,
    /// True landings of people.
    pub landings: usize,
    /// Visits of which nothing is known in the truth.
    pub unknown: usize,
    /// What the chain stage stated of them.
    pub chains: Chains,
}

/// Drives a file of hits or log lines through the product.
///
/// # Errors
/// What the product refuses; nothing of it is scored then.
pub fn drive(
    input: &str,
    via: Via,
    site: &str,
    truth: &[Truth],
    signals: &Arc<Signals>,
    model: Model,
    weights: Option<Arc<Weights>>,
) -> Result<Outcome, DriveError> {
    let directory = tempfile::tempdir().map_err(failed)?;
    let log = Log::open(&directory.path().join("log.redb")).map_err(failed)?;
    let log = Arc::new(log);
    let by_visit = match via {
        // The collector's routes run in a runtime of their own, and the caller may be in one.
        Via::Hits | Via::Script => std::thread::scope(|scope| {
            let collecting = scope.spawn(|| collect(input, &log, truth));
            let ended = collecting.join();
            ended.unwrap_or_else(|_| Err(failed("the collector broke off")))
        })?,
        Via::Log => import(input, site, &log, signals, truth)?,
    };
    let classifier = Arc::new(Classifier::new(signals.clone(), model));
    let stop = StopSignal::new();
    stop.drain();
    run(ClassifyStage::new(classifier.clone()), &log, &stop).map_err(failed)?;
    let mut chain = ChainStage::new(classifier);
    if let Some(weights) = weights {
        chain = chain.with_weights(weights);
    }
    run(chain, &log, &stop).map_err(failed)?;
    judged(&log, by_visit, truth, signals)
}

/// What a hit says of itself.
#[derive(Deserialize)]
struct Named<'a> {
    site: &'a str,
    #[serde(default)]
    id: &'a str,
    #[serde(default)]
    time: i64,
}

fn collect(input: &str, log: &Arc<Log>, truth: &[Truth]) -> Result<ByVisit, DriveError> {
    let by_id: HashMap<&str, &Truth> = truth.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut by_visit = ByVisit::new();
    let now = Arc::new(AtomicI64::new(0));
    let clock = now.clone();
    let config = CollectorConfig {
        server_key: Some(KEY.to_owned()),
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        // They would stand where the machine's pace puts them, and the same site be judged otherwise each time.
        heartbeats: false,
        ..CollectorConfig::default()
    };
    let hits: Vec<&str> = input.lines().filter(|hit| !hit.trim().is_empty()).collect();
    let named = |hit: &str| -> Option<(Id, i64, String)> {
        let named: Named<'_> = serde_json::from_str(hit).ok()?;
        let id = Id::builder("hit/client")
            .bytes(named.site.as_bytes())
            .bytes(named.id.as_bytes());
        Some((id.finish(), named.time, named.id.to_owned()))
    };
    // The collector's clock begins with its first hit, for the stages too.
    if let Some((_, time, _)) = hits.first().and_then(|hit| named(hit)) {
        now.store(time, Ordering::Relaxed);
        heartbeat(log, time)?;
    }
    let pseudonyms = Pseudonyms::new(&[7; 32]);
    let (collector, thread) = Collector::start(log.clone(), pseudonyms, config).map_err(failed)?;
    let mut routes = router(collector.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
    for (number, batch) in hits.chunks(HITS_A_REQUEST).enumerate() {
        for hit in batch {
            let Some((id, time, name)) = named(hit) else {
                continue;
            };
            now.fetch_max(time, Ordering::Relaxed);
            if let Some(row) = by_id.get(name.as_str()) {
                by_visit.insert(id.0, (*row).clone());
            }
        }
        let request = Request::post("/v1/hits")
            .header("authorization", format!("Bearer {KEY}"))
            .extension(peer)
            .body(Body::from(batch.join("\n")))
            .map_err(failed)?;
        let answered = runtime.block_on(async {
            let answer = routes.call(request).await.map_err(failed)?;
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
                .await
                .map_err(failed)?;
            Ok::<_, DriveError>((status, body))
        })?;
        if answered.0 != StatusCode::OK {
            let first = number * HITS_A_REQUEST;
            let answer = String::from_utf8_lossy(&answered.1);
            return Err(DriveError::Refused {
                first: first + 1,
                last: first + batch.len(),
                answer: answer.chars().take(500).collect(),
            });
        }
    }
    drop((routes, collector));
    thread.join();
    heartbeat(log, now.load(Ordering::Relaxed).saturating_add(QUIET_MS))?;
    Ok(by_visit)
}

fn heartbeat(log: &Log, event_time: i64) -> Result<(), DriveError> {
    let mut commit = Commit::default();
    let heartbeat = Heartbeat {
        event_time,
        source: COLLECTOR,
    };
    commit
        .try_append_with(topic::HITS_RAW, |out| heartbeat.encode(out))
        .map_err(failed)?;
    log.commit(&commit, Durability::Replayable)
        .map_err(failed)?;
    Ok(())
}

/// What tells lines of a log apart: second, target, user agent, referrer.
type Line = (i64, String, String, String);

fn import(
    input: &str,
    site: &str,
    log: &Arc<Log>,
    signals: &Arc<Signals>,
    truth: &[Truth],
) -> Result<ByVisit, DriveError> {
    let name = Site::parse(site).map_err(|_| DriveError::Site(site.to_owned()))?;
    let importer = Importer::new(log.clone(), signals.clone(), Pseudonyms::new(&[7; 32]));
    let options = ImportOptions {
        site: name,
        trusted_proxies: TrustedProxies::default(),
        latest_ms: i64::MAX,
    };
    let bytes = std::io::Cursor::new(input.as_bytes().to_vec());
    importer
        .import(Source::new("access.log", bytes), &options, &mut |_| {
            Next::GoOn
        })
        .map_err(failed)?;
    // Lines alike are alike in truth as good as always; the first of them is the first hit.
    let by_line: HashMap<u64, &Truth> = truth
        .iter()
        .filter_map(|row| Some((row.line?, row)))
        .collect();
    let mut rows: HashMap<Line, VecDeque<&Truth>> = HashMap::new();
    for (number, line) in (1..).zip(input.lines()) {
        let (Some(row), Ok(line)) = (by_line.get(&number), access_log::parse(line.as_bytes()))
        else {
            continue;
        };
        let access_log::Request::Line { target, .. } = &line.request else {
            continue;
        };
        let referrer = line.referrer.as_deref().unwrap_or_default();
        let agent = line.user_agent.as_deref().unwrap_or_default();
        let key = key(line.time_ms, target, agent, referrer);
        rows.entry(key).or_default().push_back(row);
    }
    let mut by_visit = ByVisit::new();
    each(log, topic::HITS_RAW, &mut |record| {
        let Record::Hit(hit) = record else {
            return;
        };
        let path = hit.url.split_once("://").map_or(hit.url, |(_, rest)| rest);
        let target = path.find('/').map_or("/", |at| &path[at..]);
        let referrer = hit.referrer.unwrap_or_default();
        let key = key(hit.event_time, target, hit.user_agent, referrer);
        if let Some(row) = rows.get_mut(&key).and_then(VecDeque::pop_front) {
            by_visit.insert(hit.hit_id.0, row.clone());
        }
    })?;
    Ok(by_visit)
}

fn key(time_ms: i64, target: &str, agent: &str, referrer: &str) -> Line {
    (
        time_ms / 1_000,
        target.to_owned(),
        agent.to_owned(),
        referrer.to_owned(),
    )
}

fn each(
    log: &Log,
    topic: &'static str,
    take: &mut dyn FnMut(Record<'_>),
) -> Result<(), DriveError> {
    let mut offset = 0;
    loop {
        let batch = log.read(topic, offset, READ_BYTES).map_err(failed)?;
        if batch.next_offset() == offset {
            return Ok(());
        }
        for (_, bytes) in batch.iter() {
            take(Record::decode(bytes).map_err(failed)?);
        }
        offset = batch.next_offset();
    }
}

fn judged(
    log: &Log,
    mut by_visit: ByVisit,
    truth: &[Truth],
    signals: &Signals,
) -> Result<Outcome, DriveError> {
    let mut outcome = Outcome {
        landings: truth.iter().filter(|row| row.is_landing()).count(),
        ..Outcome::default()
    };
    let mut found = 0;
    let mut landings = Vec::new();
    each(log, topic::VISITS, &mut |record| {
        let Record::Visit(visit) = record else {
            return;
        };
        if visit.channel == Channel::Bot {
            return;
        }
        let Some(truth) = by_visit.remove(&visit.visit_id.0) else {
            outcome.unknown += 1;
            return;
        };
        found += usize::from(truth.is_landing());
        let shape = signals.link(&visit.content).map(|link| link.shape);
        let front = shape.is_ok_and(|shape| shape.is_home || shape.is_section_front);
        let name = |found: &str| {
            let known = evidence::NAMES.iter().find(|(name, _)| *name == found);
            known.map_or("", |(name, _)| *name)
        };
        let facts = visit.evidence.iter();
        let facts = facts.map(|fact| (name(fact.name), f64::from(fact.log_odds)));
        let facts: Vec<(&'static str, f64)> = facts.collect();
        let rest = facts
            .iter()
            .find(|(name, _)| *name == evidence::WITHOUT_TOKEN);
        landings.push(Landing {
            visit: visit.visit_id.0,
            content: visit.content.to_string(),
            visitor: visit.visitor,
            time: visit.time,
            dark: f64::from(visit.dark_probability),
        });
        outcome.visits.push(Judged {
            truth,
            time: visit.time,
            content: visit.content.into_owned(),
            conventional: visit.conventional_channel,
            channel: visit.channel,
            app: visit.app.into_owned(),
            method: visit.method,
            dark: [
                visit.dark_probability_low,
                visit.dark_probability,
                visit.dark_probability_high,
            ]
            .map(f64::from),
            search: f64::from(visit.dark_search_probability),
            deep: !front,
            rest: rest.map(|(_, log_odds)| *log_odds),
            facts,
        });
    })?;
    let mut stated = Stated::default();
    for topic in [topic::EDGES, topic::SPREADS] {
        each(log, topic, &mut |record| stated.take(record))?;
    }
    let truths = outcome.visits.iter().map(|visit| &visit.truth);
    outcome.chains = chains::judged(&stated, &landings, truths, truth);
    outcome.landings_missed = outcome.landings.saturating_sub(found);
    Ok(outcome)
}
