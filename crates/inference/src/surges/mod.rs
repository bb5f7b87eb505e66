//! Surges: contents that spread in the dark faster than their own baseline.
//!
//! Two explanations must fail before one is raised, each with a test of its own (`excess`): that the
//! content is at its own level (exponentially aged, half-life a day, scaled by the site's day and,
//! while it is young, by the site's typical early curve), and that its open visits explain its dark
//! ones at the ratio usual for it. What counts is the last hour (exponential window) against the
//! level before the rise began: a rise is no part of the level until nothing speaks for it.
//!
//! A share brings several readers at once, so dark visits scatter more than a Poisson count. The
//! site's own scatter (variance over mean of whole hours, at most 5) divides every count. How large
//! the evidence becomes by itself each site learns (`excess::Peaks`), for young and for other
//! contents: the bar is what half a rise a day reaches. `docs/surges.md` has what was measured.
//!
//! State machine: raised (with a visit), updated (each time the expected dark visits have doubled),
//! over (the rate is near the baseline again, or a week has passed, or the content was forgotten).
//! Time passes with visits and heartbeats only. A surge takes at least the first day that is seen of
//! a site to learn what is typical, and about eight dark visits from five networks.
//!
//! Memory: at most 65,536 contents of each clock at 330 bytes, those that were passed on 290 more,
//! 4,096 sites at 620, 1,024 surges at 300 and their texts. O(1) a visit: a bounded number of logarithms.

mod content;
mod details;
mod excess;
mod growth;
mod seeds;
mod site;

use std::collections::BTreeMap;

use grapevine_event::{Id, SeedKind, Surge, SurgeApp, SurgeSeed, SurgeState};
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, key};
use crate::recent::Recent;
use content::Content;
use details::Details;
use seeds::Seed;
use site::{AGE_CLASSES, HOUR_MS, Site};

const CONTENTS_MAX: u32 = 65_536;
const SITES_MAX: u32 = 4_096;
/// Surges at a time; one more is counted and waits for its next visit.
const RAISED_MAX: usize = 1_024;
/// Apps told apart; signals know about a hundred.
const APPS_MAX: usize = 512;
/// What is typical of a site is learned this long before anything is raised.
const LEARNING_MS: i64 = 24 * HOUR_MS;
/// Expected dark visits of the smallest surge: fewer are nobody's news.
const DARK_MIN: f64 = 8.0;
/// Networks of the smallest surge: fewer may be one office, or one machine.
const NETWORKS_MIN: u32 = 5;
/// Expected dark visits from which on apps and networks of a rise are kept.
const DETAILS_MIN: f64 = 3.0;
/// A surge is over where its rate is below this many times the baseline's …
const OVER_TIMES: f64 = 2.0;
/// … plus this many dark visits an hour.
const OVER_PER_HOUR: f64 = 1.0;
/// To be raised takes a rate of this many times the baseline's …
const RAISED_TIMES: f64 = 3.0;
/// … plus this many dark visits an hour.
const RAISED_PER_HOUR: f64 = 2.0;
/// Longest surge; what spreads for longer is the content's new level.
const SURGE_MS_MAX: i64 = 7 * 24 * HOUR_MS;
/// Surges are looked at for their end when event time has gone on this far.
const CHECK_MS: i64 = 60_000;

/// A landing of a person, as far as surges are concerned. Neither robots nor readers who come back
/// to a content are any.
#[derive(Clone, Copy, Debug)]
pub struct Landing<'a> {
    /// Which clock it lives by.
    pub clock: Clock,
    /// Site, lower case.
    pub site: &'a str,
    /// Canonical URL.
    pub content: &'a str,
    /// Identity of the visit.
    pub visit: Id,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// P(dark social): low end, likely value, high end, each 0 to 1.
    pub dark: [f32; 3],
    /// Whether a fact decided its channel. Only such a visit can be an open one: what is merely
    /// likely not to be dark would explain the dark visits that it is mixed with.
    pub decided: bool,
    /// App, where the visit is booked as dark social and one is known; else empty.
    pub app: &'a str,
    /// The reader's network.
    pub network: Option<i64>,
    /// Whether a share token proves that an earlier visit brought it.
    pub chained: bool,
}

/// An observed act of passing a link on.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Which clock it lives by.
    pub clock: Clock,
    /// Site, lower case.
    pub site: &'a str,
    /// Canonical URL.
    pub content: &'a str,
    /// Identity of the act.
    pub share: Id,
    /// Event time, milliseconds since 1970 UTC.
    pub time: i64,
    /// App, or empty.
    pub app: &'a str,
    /// P(somebody passed the link on), 0 to 1.
    pub probability: f32,
    /// False where it was made in public: then it is no sign that the link is passed on in private.
    pub may_be_private: bool,
}

/// A surge that is going on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Raised {
    clock: Clock,
    site_key: u64,
    site: Box<str>,
    content: Box<str>,
    id: Id,
    started: i64,
    /// Expected dark visits in the last record.
    written: f64,
    /// Event time up to which its end was looked for.
    checked: i64,
}

/// Everything that is remembered for surges.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Surges {
    contents: [Recent<Content>; 2],
    sites: Recent<Site>,
    raised: BTreeMap<u64, Raised>,
    apps: Vec<Box<str>>,
    late: u64,
    unraised: u64,
    /// Details of rises that came to nothing, for the next ones: as many as were kept at a time.
    #[serde(skip)]
    #[expect(clippy::vec_box, reason = "the box is what is used again")]
    spare: Vec<Box<Details>>,
}

impl Default for Surges {
    fn default() -> Self {
        Surges {
            contents: [Recent::new(CONTENTS_MAX), Recent::new(CONTENTS_MAX)],
            sites: Recent::new(SITES_MAX),
            raised: BTreeMap::new(),
            apps: Vec::new(),
            late: 0,
            unraised: 0,
            spare: Vec::new(),
        }
    }
}

impl Surges {
    /// Counts a landing; emits what follows: a surge raised, updated or over. The record leaves
    /// reproduction and model version to the caller.
    pub fn visit(&mut self, landing: &Landing<'_>, emit: &mut dyn FnMut(Surge<'_>)) {
        let clock = landing.clock;
        let site_key = key("site", &[&[clock.index() as u8], landing.site.as_bytes()]);
        if clock == Clock::Imported {
            // A live clock has heartbeats, which no visitor's wrong clock can move.
            self.check(clock, Some(site_key), landing.time, emit);
        }
        if self.sites.get(site_key).is_none() {
            self.sites.set(site_key, Site::new(landing.time));
        }
        let Some(site) = self.sites.peek_mut(site_key) else {
            return;
        };
        let ahead = site.is_ahead(landing.time);
        site.pass(landing.time);
        if ahead {
            // A wrong clock: all that is known of the content would be forgotten.
            self.late += 1;
            return;
        }
        let contents = &mut self.contents[clock.index()];
        let content_key = content_key(clock, landing.site, landing.content);
        if contents.get(content_key).is_none() {
            let full = contents.len() == CONTENTS_MAX as usize;
            let new = !full && landing.time.saturating_sub(site.first) >= LEARNING_MS;
            let content = Content::new(landing.time, new.then_some(landing.time));
            if let Some((gone_key, gone)) = contents.set(content_key, content)
                && let Some(raised) = self.raised.remove(&gone_key)
                && let Some(site) = self.sites.peek(raised.site_key)
            {
                let moment = Moment {
                    state: SurgeState::Over,
                    time: gone.last,
                    raised: &raised,
                    content: &gone,
                    site,
                };
                emit(moment.record(&self.apps));
            }
        }
        let (Some(content), Some(site)) = (
            self.contents[clock.index()].peek_mut(content_key),
            self.sites.peek_mut(site_key),
        ) else {
            return;
        };
        if !content.accepts(landing.time) {
            self.late += 1;
            return;
        }
        let dark = ordered(landing.dark);
        let details = content.details.take();
        content.visit(site, landing.time, dark, landing.decided, landing.chained);
        match content.is_rising() {
            true => content.details = details,
            false => self.spare.extend(details),
        }
        if content.is_rising() {
            let seed = Seed {
                kind: SeedKind::Visit,
                id: landing.visit,
                time: landing.time,
                app: number(&mut self.apps, landing.app),
                probability: dark[1],
            };
            content.seeds.add(seed, true);
        }
        if content.details.is_some() || content.rise.dark[1] >= DETAILS_MIN {
            let app = number(&mut self.apps, landing.app);
            let now = content.last;
            let details = content.details.get_or_insert_with(|| {
                let mut details = self.spare.pop().unwrap_or_default();
                details.begin(now);
                details
            });
            details.add(now, dark[1], app, landing.network);
        }
        let evidence = content.weigh(site);
        let state = if content.raised {
            let written = self.raised.get(&content_key).map(|raised| raised.written);
            if written.is_none_or(|written| content.rise.dark[1] < 2.0 * written) {
                return;
            }
            SurgeState::Updated
        } else {
            let learned = content.last.saturating_sub(site.first) >= LEARNING_MS;
            if evidence < site.bar(content.age(content.since))
                || !learned
                || !is_a_surge(content, site)
            {
                return;
            }
            if self.raised.len() >= RAISED_MAX {
                self.unraised += 1;
                return;
            }
            content.begin_surge();
            SurgeState::Raised
        };
        let raised = self.raised.entry(content_key).or_insert_with(|| Raised {
            clock,
            site_key,
            site: landing.site.into(),
            content: landing.content.into(),
            id: Id::builder("surge")
                .bytes(landing.site.as_bytes())
                .bytes(landing.content.as_bytes())
                .number(content.since as u64)
                .finish(),
            started: content.since,
            written: 0.0,
            checked: content.last,
        });
        raised.written = content.rise.dark[1];
        let moment = Moment {
            state,
            time: content.last,
            raised,
            content,
            site,
        };
        emit(moment.record(&self.apps));
        let now = content.last;
        if let Some(details) = &mut content.details {
            details.growth = growth::Growth::since(now);
        }
    }

    /// Counts an observed act of passing a link on.
    pub fn share(&mut self, act: &Act<'_>) {
        let content_key = content_key(act.clock, act.site, act.content);
        if let Some(content) = self.contents[act.clock.index()].peek_mut(content_key) {
            let probability = f64::from(act.probability).clamp(0.0, 1.0);
            content.shares += probability;
            if act.may_be_private {
                content.acts += probability;
                content.untold_acts += probability;
            }
            let seed = Seed {
                kind: SeedKind::Share,
                id: act.share,
                time: act.time,
                app: number(&mut self.apps, act.app),
                probability,
            };
            let rising = content.is_rising();
            content.seeds.add(seed, rising);
        }
    }

    /// The live clock says what time it is: surges that have ended are emitted.
    pub fn pass(&mut self, time: i64, emit: &mut dyn FnMut(Surge<'_>)) {
        self.check(Clock::Live, None, time, emit);
    }

    /// How many things are remembered.
    pub fn entries(&self) -> usize {
        self.contents.iter().map(Recent::len).sum::<usize>() + self.sites.len() + self.raised.len()
    }

    /// Surges that are going on.
    pub fn active(&self) -> usize {
        self.raised.len()
    }

    /// Visits that came too late, or a day ahead of their site, to be of use, and surges that there
    /// was no room for.
    pub fn left_out(&self) -> [u64; 2] {
        [self.late, self.unraised]
    }

    /// Looks for surges of a clock, and of a site where one is given, that have ended.
    fn check(
        &mut self,
        clock: Clock,
        site_key: Option<u64>,
        time: i64,
        emit: &mut dyn FnMut(Surge<'_>),
    ) {
        let Surges {
            contents,
            sites,
            raised,
            apps,
            ..
        } = self;
        raised.retain(|content_key, raised| {
            let concerned =
                raised.clock == clock && site_key.is_none_or(|key| key == raised.site_key);
            if !concerned || time.saturating_sub(raised.checked) < CHECK_MS {
                return true;
            }
            raised.checked = time;
            let content = contents[clock.index()].peek_mut(*content_key);
            let (Some(content), Some(site)) = (content, sites.peek_mut(raised.site_key)) else {
                return false;
            };
            let (rate, expected) = content.rates(site, time);
            let over = rate < OVER_TIMES * expected + OVER_PER_HOUR
                || time.saturating_sub(raised.started) > SURGE_MS_MAX;
            if over {
                let moment = Moment {
                    state: SurgeState::Over,
                    time,
                    raised,
                    content,
                    site,
                };
                emit(moment.record(apps));
                content.end_surge(site);
            }
            !over
        });
    }
}

/// Whether a rise that is beyond chance is large enough to be told of.
fn is_a_surge(content: &Content, site: &Site) -> bool {
    let Some(details) = &content.details else {
        return false;
    };
    let (rate, expected) = content.rates(site, content.last);
    content.rise.dark[1] >= DARK_MIN
        && rate >= RAISED_TIMES * expected + RAISED_PER_HOUR
        && (details.networks() >= NETWORKS_MIN || details.is_without_networks())
}

/// One surge at one moment.
struct Moment<'a> {
    state: SurgeState,
    time: i64,
    raised: &'a Raised,
    content: &'a Content,
    site: &'a Site,
}

impl<'a> Moment<'a> {
    fn record(&self, apps: &'a [Box<str>]) -> Surge<'a> {
        let Moment {
            raised,
            content,
            site,
            ..
        } = self;
        let dispersion = site.dispersion();
        let (baseline, baseline_high) = content.baseline(dispersion);
        let (rate, _) = content.rates(site, self.time);
        let details = content.details.as_deref();
        let doubling = details
            .filter(|_| self.state != SurgeState::Over)
            .and_then(|details| details.growth.doubling(self.time, dispersion));
        let name = |app: Option<u16>| {
            let known = app.and_then(|app| apps.get(usize::from(app)));
            known.map_or("unknown", |name| name)
        };
        let by_app = details.map(Details::apps).unwrap_or_default();
        let [dark_low, dark, dark_high] = content.rise.dark;
        Surge {
            surge_id: raised.id,
            site: &raised.site,
            content: (&*raised.content).into(),
            state: self.state,
            started: raised.started,
            updated: self.time,
            visits: content.rise.visits.into(),
            dark,
            dark_low,
            dark_high,
            baseline,
            baseline_high,
            rate_per_hour: rate,
            doubling_seconds: doubling.map(|doubling| doubling.likely / 1_000.0),
            doubling_seconds_low: doubling.map(|doubling| doubling.low / 1_000.0),
            doubling_seconds_high: doubling.map(|doubling| doubling.high / 1_000.0),
            apps: by_app
                .into_iter()
                .map(|(app, probability)| SurgeApp {
                    app: name(app),
                    probability: probability as f32,
                })
                .collect(),
            seeds: (content.seeds.in_order().into_iter())
                .map(|seed| SurgeSeed {
                    kind: seed.kind,
                    id: seed.id,
                    time: seed.time,
                    app: name(seed.app),
                    probability: seed.probability as f32,
                })
                .collect(),
            share_acts: content.shares,
            signs: content.signs(),
            signs_usual: dark * site.signs_a_dark(),
            networks: details.map_or(0, |details| details.networks().into()),
            chained: content.rise.chained.into(),
            reproduction_number: None,
            reproduction_low: None,
            reproduction_high: None,
            false_alarm: site
                .a_day(content.age(content.since), content.evidence)
                .min(1.0),
            new_content: content.age(raised.started) + 1 < AGE_CLASSES,
            model_version: "".into(),
        }
    }
}

/// Whether a surge has less than half of the usual signs that people pass it on, half a sign added to its own: then it
/// may be what a site sends without tags. `signs` and `usual` are [`Surge::signs`] and [`Surge::signs_usual`].
pub fn has_few_signs(signs: f64, usual: f64) -> bool {
    signs + 0.5 < usual / 2.0
}

fn content_key(clock: Clock, site: &str, content: &str) -> u64 {
    let clock = [clock.index() as u8];
    key("surge", &[&clock, site.as_bytes(), content.as_bytes()])
}

/// The three probabilities in order and within 0 to 1; what is no number is 0.
fn ordered(dark: [f32; 3]) -> [f64; 3] {
    let [low, likely, high] = dark.map(|dark| f64::from(dark.max(0.0)).min(1.0));
    [low.min(likely), likely, high.max(likely)]
}

/// The number of an app; `None` for none, and for one more than are told apart.
fn number(apps: &mut Vec<Box<str>>, app: &str) -> Option<u16> {
    if app.is_empty() || app == "unknown" {
        return None;
    }
    let known = apps.iter().position(|known| &**known == app);
    let at = match known {
        Some(at) => at,
        None if apps.len() < APPS_MAX => {
            apps.push(app.into());
            apps.len() - 1
        }
        None => return None,
    };
    u16::try_from(at).ok()
}

#[cfg(test)]
mod tests;
