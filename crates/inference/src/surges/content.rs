//! What is remembered of one content: its level, its last hour, and the rise that may be going on.

use serde::{Deserialize, Serialize};

use super::DARK_MIN;
use super::details::Details;
use super::excess::Belief;
use super::seeds::Seeds;
use super::site::{HOUR_MS, Site, age_class};

/// A content's own level is forgotten by half in this time.
const HALF_LIFE_MS: f64 = 24.0 * HOUR_MS as f64;
/// Time constant of the window that is compared with the level.
const WINDOW_MS: f64 = HOUR_MS as f64;
/// Expected dark visits that the site's typical curve counts as before a content has any. Set by
/// what finds simulated rumours (`docs/surges.md`).
const OWN_PRIOR: f64 = 2.0;
/// The same for the dark visits that open visits bring.
const OPEN_PRIOR: f64 = 2.0;
/// A visit as late as this counts as if it came now; a later one is of no use.
const LATE_MS: i64 = 15 * 60_000;
/// So many visits in a row from further back are right, and the clock before them was wrong.
const STRAYS_MAX: u8 = 8;
/// The factor of the chart that says when a rise began.
const ONSET_FACTOR: f64 = 4.0;
/// A rise that takes longer than this without being raised is a new level.
const RISE_MS_MAX: i64 = 48 * HOUR_MS;
/// P(dark) from which on a fact tells of a dark visit.
const KNOWN_MIN: f64 = 0.5;
/// Below this evidence a rise that was not raised has come to its end.
const CALM: f64 = 1.0;

/// Dark visits, and what two explanations expect of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    dark: f64,
    /// Dark visits of a typical content in that time.
    typical: f64,
    /// Dark visits that typically go with its open ones.
    explained: f64,
}

impl Sums {
    fn scaled(self, kept: f64) -> Sums {
        Sums {
            dark: self.dark * kept,
            typical: self.typical * kept,
            explained: self.explained * kept,
        }
    }

    fn plus(self, other: Sums) -> Sums {
        Sums {
            dark: self.dark + other.dark,
            typical: self.typical + other.typical,
            explained: self.explained + other.explained,
        }
    }
}

/// Sums since a rise began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rise {
    pub(super) visits: u32,
    /// Sums of P(dark): low ends, likely values, high ends.
    pub(super) dark: [f64; 3],
    pub(super) chained: u32,
    /// Of the dark visits those whom a fact tells of: sum of P(dark).
    pub(super) known: f64,
    sums: Sums,
}

/// See the module. 330 bytes, 290 more once somebody passed it on, and 300 more of [`Details`] while
/// it is rising.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// When it was first seen; `None` where it may be older than what is remembered.
    born: Option<i64>,
    /// Event time of the newest visit.
    pub(super) last: i64,
    strays: u8,
    pub(super) raised: bool,
    /// Exponentially aged, without the rise that is going on.
    level: Sums,
    /// Exponential window of an hour.
    window: Sums,
    /// Acts of sharing: an exponential window of an hour until a rise begins, then all. A preview
    /// comes before its readers.
    pub(super) shares: f64,
    /// Those of them that may be private.
    pub(super) acts: f64,
    /// Those that may be private since nothing spoke for a rise last.
    pub(super) untold_acts: f64,
    /// Poisson CUSUM of [`ONSET_FACTOR`]: where it was last 0, a rise began.
    onset: f64,
    pub(super) since: i64,
    pub(super) rise: Rise,
    hour: i64,
    hour_dark: f64,
    hour_expected: f64,
    pub(super) details: Option<Box<Details>>,
    pub(super) seeds: Seeds,
    /// Largest evidence since it was last calm.
    pub(super) evidence: f64,
}

impl Content {
    pub(super) fn new(time: i64, born: Option<i64>) -> Content {
        Content {
            born,
            last: time,
            strays: 0,
            raised: false,
            level: Sums::default(),
            window: Sums::default(),
            shares: 0.0,
            acts: 0.0,
            untold_acts: 0.0,
            onset: 0.0,
            since: time,
            rise: Rise::default(),
            hour: time.div_euclid(HOUR_MS),
            hour_dark: 0.0,
            hour_expected: 0.0,
            details: None,
            seeds: Seeds::default(),
            evidence: 0.0,
        }
    }

    /// Class of its age at a time.
    pub(super) fn age(&self, time: i64) -> usize {
        age_class(self.born, time)
    }

    /// Whether a visit of that time can be used.
    pub(super) fn accepts(&mut self, time: i64) -> bool {
        if time >= self.last.saturating_sub(LATE_MS) {
            self.strays = 0;
            return true;
        }
        self.strays += 1;
        if self.strays < STRAYS_MAX {
            return false;
        }
        self.strays = 0;
        self.last = time;
        self.hour = time.div_euclid(HOUR_MS);
        self.restart(time);
        true
    }

    /// Counts a visit, which must have been [accepted](Self::accepts), and shows the site what is
    /// typical of it.
    pub(super) fn visit(
        &mut self,
        site: &mut Site,
        time: i64,
        dark: [f64; 3],
        decided: bool,
        chained: bool,
    ) {
        let now = time.max(self.last);
        let age = self.age(now);
        let [_, likely, _] = dark;
        let open = if decided { 1.0 - likely } else { 0.0 };
        let came = Sums {
            dark: likely,
            typical: site.typical(self.born, self.last, now),
            explained: open * site.ratio(age),
        };
        let [own, brought] = self.beliefs(1.0);
        let expected = (own.mean() * came.typical).max(brought.mean() * came.explained);
        if !self.raised {
            self.scatter(site, now, likely, came.explained);
            site.was_there(self.born, self.last, now);
            site.landed(now, age, likely, open);
        }
        let passed = now.saturating_sub(self.last) as f64;
        self.level = self.level.scaled((-passed / HALF_LIFE_MS).exp2());
        self.window = self.window.scaled((-passed / WINDOW_MS).exp()).plus(came);
        self.last = now;
        let known = if decided && likely >= KNOWN_MIN {
            likely
        } else {
            0.0
        };
        if !self.raised {
            self.onset += likely * ONSET_FACTOR.ln() - (ONSET_FACTOR - 1.0) * expected;
            let slow = now.saturating_sub(self.since) > RISE_MS_MAX;
            if self.onset <= 0.0 || slow {
                let kept = (-passed / WINDOW_MS).exp();
                self.shares *= kept;
                self.acts *= kept;
                if self.rise.dark[1] < DARK_MIN {
                    let signs = self.rise.known + known + self.untold_acts;
                    site.told(self.rise.dark[1] + likely, signs);
                }
                self.level = self.level.plus(came);
                self.begin(now);
                return;
            }
        }
        let rise = &mut self.rise;
        rise.visits = rise.visits.saturating_add(1);
        for (sum, dark) in rise.dark.iter_mut().zip(dark) {
            *sum += dark;
        }
        rise.known += known;
        rise.chained = rise.chained.saturating_add(u32::from(chained));
        rise.sums = rise.sums.plus(came);
    }

    /// Nothing speaks for a rise before this moment: what came since becomes part of the level.
    fn begin(&mut self, time: i64) {
        self.level = self.level.plus(self.rise.sums);
        self.onset = 0.0;
        self.since = time;
        self.rise = Rise::default();
        self.untold_acts = 0.0;
        self.details = None;
        self.seeds.begin(time);
    }

    /// Signs that somebody passed it on since the rise began, and shortly before: dark visits that a fact tells of, and
    /// acts of sharing.
    pub(super) fn signs(&self) -> f64 {
        self.rise.known + self.acts
    }

    /// Whether something speaks for a rise, raised or not.
    pub(super) fn is_rising(&self) -> bool {
        self.raised || self.onset > 0.0
    }

    /// A surge is raised: from now on the level is what was before its last hour.
    pub(super) fn begin_surge(&mut self) {
        self.raised = true;
    }

    /// The scatter of whole hours around what was expected of them.
    fn scatter(&mut self, site: &mut Site, now: i64, dark: f64, explained: f64) {
        let hour = now.div_euclid(HOUR_MS);
        if hour != self.hour {
            if self.hour_expected > 0.0 {
                site.scattered(self.hour_dark, self.hour_expected);
            }
            (self.hour, self.hour_dark, self.hour_expected) = (hour, 0.0, 0.0);
        }
        let [own, open] = self.beliefs(1.0);
        let from = self.last.max(hour * HOUR_MS);
        let typical = site.typical(self.born, from, now);
        self.hour_dark += dark;
        self.hour_expected += (own.mean() * typical).max(open.mean() * explained);
    }

    /// What is believed of its level against that of a typical content, and of the dark visits
    /// that its open ones bring against those of typical ones. One visit counts as
    /// 1/`dispersion` of one.
    fn beliefs(&self, dispersion: f64) -> [Belief; 2] {
        let before = self.level;
        let belief = |prior: f64, exposure: f64| Belief {
            shape: prior + before.dark / dispersion,
            rate: prior + exposure / dispersion,
        };
        [
            belief(OWN_PRIOR, before.typical),
            belief(OPEN_PRIOR, before.explained),
        ]
    }

    /// Evidence that the last hour is more than the explanation that does better expects. Where
    /// the content is calm again after more than that, the site learns how much there was.
    pub(super) fn weigh(&mut self, site: &mut Site) -> f64 {
        let dispersion = site.dispersion();
        let count = self.window.dark / dispersion;
        let exposures = [self.window.typical, self.window.explained];
        let evidence = self
            .beliefs(dispersion)
            .iter()
            .zip(exposures)
            .map(|(belief, exposure)| belief.evidence(count, exposure / dispersion))
            .fold(f64::INFINITY, f64::min);
        if evidence < CALM && !self.raised {
            site.calmed(self.age(self.since), self.evidence);
            self.evidence = 0.0;
        }
        self.evidence = self.evidence.max(evidence);
        evidence
    }

    /// Dark visits that were to be expected in the rise, and their 90 % quantile.
    pub(super) fn baseline(&self, dispersion: f64) -> (f64, f64) {
        let [own, open] = self.beliefs(1.0);
        let own = own.expects(self.rise.sums.typical, dispersion);
        let open = open.expects(self.rise.sums.explained, dispersion);
        if own.0 > open.0 { own } else { open }
    }

    /// Dark visits an hour at a time, and those that are to be expected.
    pub(super) fn rates(&self, site: &Site, now: i64) -> (f64, f64) {
        let kept = (-(now.saturating_sub(self.last).max(0) as f64) / WINDOW_MS).exp();
        let [own, open] = self.beliefs(1.0);
        let own = own.mean() * site.typical(self.born, now.saturating_sub(HOUR_MS), now);
        let open = open.mean() * self.window.explained * kept;
        (self.window.dark * kept, own.max(open))
    }

    /// A surge is over. What it brought is its level from now on, forgotten as any other: the
    /// same readers are no news a second time.
    pub(super) fn end_surge(&mut self, site: &mut Site) {
        site.calmed(self.age(self.since), self.evidence);
        self.raised = false;
        self.shares = 0.0;
        self.acts = 0.0;
        self.restart(self.last);
    }

    fn restart(&mut self, time: i64) {
        self.begin(time);
        self.evidence = 0.0;
    }
}
