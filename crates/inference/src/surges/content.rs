//! What is remembered of one content: its level, and the run since it was last at it.

use serde::{Deserialize, Serialize};

use super::details::Details;
use super::ratio::Belief;
use super::site::{HOUR_MS, Site, age_class};

/// A content's own level is forgotten by half in this time.
const HALF_LIFE_MS: f64 = 24.0 * HOUR_MS as f64;
/// Expected dark visits that the site's typical curve counts as before a content has any:
/// popularity differs by orders of magnitude (assumption: shape ½, a Pareto tail's neighbour).
const OWN_PRIOR: f64 = 0.5;
/// The same for the dark visits that open visits bring; contents differ less in it (assumption).
const OPEN_PRIOR: f64 = 2.0;
/// A visit as late as this counts as if it came now; a later one is of no use.
const LATE_MS: i64 = 15 * 60_000;
/// So many visits in a row from further back are right, and the clock before them was wrong.
const STRAYS_MAX: u8 = 8;
/// A rise that takes longer than this is a new level.
const RUN_MS_MAX: i64 = 48 * HOUR_MS;

/// Sums since a content was last at its level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) visits: u32,
    /// Sums of P(dark): low ends, likely values, high ends.
    pub(super) dark: [f64; 3],
    /// Dark visits of a typical content in that time.
    typical: f64,
    /// Dark visits that typically go with its open ones.
    explained: f64,
    pub(super) chained: u32,
}

impl Run {
    /// What came after an earlier state of the same run.
    fn after(self, earlier: Run) -> Run {
        let [a, b, c] = earlier.dark;
        let [low, likely, high] = self.dark;
        Run {
            visits: self.visits.saturating_sub(earlier.visits),
            dark: [low - a, likely - b, high - c].map(|sum| sum.max(0.0)),
            typical: (self.typical - earlier.typical).max(0.0),
            explained: (self.explained - earlier.explained).max(0.0),
            chained: self.chained.saturating_sub(earlier.chained),
        }
    }
}

/// The factor of the chart that says when a rise began; larger than any that decides whether there
/// is one, so that a chance excess some hours before is not taken for the beginning.
const ONSET_FACTOR: f64 = 8.0;

/// See the module. 350 bytes, and 300 more of [`Details`] while it is rising.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// When it was first seen; `None` where it may be older than what is remembered.
    born: Option<i64>,
    /// Event time of the newest visit.
    pub(super) last: i64,
    /// Event time at which the run began.
    pub(super) since: i64,
    strays: u8,
    pub(super) raised: bool,
    dark: f64,
    typical: f64,
    explained: f64,
    pub(super) run: Run,
    /// Acts of sharing: an exponential window of an hour until a rise begins, then all. A preview
    /// comes before its readers.
    pub(super) shares: f64,
    /// Poisson CUSUM of [`ONSET_FACTOR`]: where it was last 0, a rise began.
    onset: f64,
    onset_since: i64,
    /// The run as it was then.
    onset_run: Run,
    /// Dark visits an hour, exponential window of an hour, at `last`.
    rate: f64,
    /// The same of those that its open visits explain.
    explained_rate: f64,
    hour: i64,
    hour_dark: f64,
    hour_expected: f64,
    pub(super) details: Option<Box<Details>>,
    /// Largest evidence of the run so far.
    pub(super) evidence: f64,
}

impl Content {
    pub(super) fn new(time: i64, born: Option<i64>) -> Content {
        Content {
            born,
            last: time,
            since: time,
            strays: 0,
            raised: false,
            dark: 0.0,
            typical: 0.0,
            explained: 0.0,
            run: Run::default(),
            shares: 0.0,
            onset: 0.0,
            onset_since: time,
            onset_run: Run::default(),
            rate: 0.0,
            explained_rate: 0.0,
            hour: time.div_euclid(HOUR_MS),
            hour_dark: 0.0,
            hour_expected: 0.0,
            details: None,
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
        open: f64,
        chained: bool,
    ) {
        let now = time.max(self.last);
        let age = self.age(now);
        let [_, likely, _] = dark;
        let typical = site.typical(self.born, self.last, now);
        let explained = open * site.ratio(age);
        let [level, brought] = self.beliefs(1.0);
        let expected = (level.mean() * typical).max(brought.mean() * explained);
        if !self.raised {
            self.scatter(site, now, likely, explained);
            site.was_there(self.born, self.last, now);
            site.landed(now, age, likely, open);
        }
        let kept = window(now.saturating_sub(self.last));
        self.rate = self.rate * kept + likely;
        self.explained_rate = self.explained_rate * kept + explained;
        if self.onset <= 0.0 && !self.raised {
            self.shares *= kept;
        }
        self.last = now;
        let run = &mut self.run;
        run.visits = run.visits.saturating_add(1);
        for (sum, dark) in run.dark.iter_mut().zip(dark) {
            *sum += dark;
        }
        run.typical += typical;
        run.explained += explained;
        run.chained = run.chained.saturating_add(u32::from(chained));
        self.onset += likely * ONSET_FACTOR.ln() - (ONSET_FACTOR - 1.0) * expected;
        if self.onset <= 0.0 && !self.raised {
            self.onset = 0.0;
            self.onset_since = now;
            self.onset_run = self.run;
            self.details = None;
        }
    }

    /// The run since the moment at which its rise began.
    pub(super) fn rise(&self) -> Run {
        self.run.after(self.onset_run)
    }

    /// A surge is raised: from now on the run is that of its rise.
    pub(super) fn begin_surge(&mut self) {
        self.run = self.rise();
        self.since = self.onset_since;
        self.onset_run = Run::default();
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
        let belief = |prior: f64, exposure: f64| Belief {
            shape: prior + self.dark / dispersion,
            rate: prior + exposure / dispersion,
        };
        [
            belief(OWN_PRIOR, self.typical),
            belief(OPEN_PRIOR, self.explained),
        ]
    }

    fn exposures(&self) -> [f64; 2] {
        [self.run.typical, self.run.explained]
    }

    /// Whether both its level and its open visits leave the run unexplained; where one of them
    /// explains it, the run is over and becomes part of the level.
    pub(super) fn is_rising(&mut self, dispersion: f64) -> bool {
        let [_, count, _] = self.run.dark.map(|dark| dark / dispersion);
        let exposures = self.exposures().map(|exposure| exposure / dispersion);
        let rising = self
            .beliefs(dispersion)
            .iter()
            .zip(exposures)
            .all(|(belief, exposure)| belief.is_exceeded(count, exposure));
        let slow = self.last.saturating_sub(self.since) > RUN_MS_MAX;
        if (!rising || slow) && !self.raised {
            self.fold();
        }
        rising
    }

    /// Natural logarithm of the likelihood ratio against the explanation that does better.
    pub(super) fn weigh(&mut self, dispersion: f64) -> f64 {
        let [_, count, _] = self.run.dark.map(|dark| dark / dispersion);
        let exposures = self.exposures().map(|exposure| exposure / dispersion);
        let evidence = self
            .beliefs(dispersion)
            .iter()
            .zip(exposures)
            .map(|(belief, exposure)| belief.evidence(count, exposure))
            .fold(f64::INFINITY, f64::min);
        self.evidence = self.evidence.max(evidence);
        evidence
    }

    /// Dark visits that were to be expected in the run, and their 90 % quantile.
    pub(super) fn baseline(&self, dispersion: f64) -> (f64, f64) {
        let [own, open] = self.beliefs(1.0);
        let own = own.expects(self.run.typical, dispersion);
        let open = open.expects(self.run.explained, dispersion);
        if own.0 > open.0 { own } else { open }
    }

    /// Dark visits an hour at a time, and those that are to be expected.
    pub(super) fn rates(&self, site: &Site, now: i64) -> (f64, f64) {
        let kept = window(now.saturating_sub(self.last));
        let [own, open] = self.beliefs(1.0);
        let own = own.mean() * site.typical(self.born, now.saturating_sub(HOUR_MS), now);
        let open = open.mean() * self.explained_rate * kept;
        (self.rate * kept, own.max(open))
    }

    /// The run becomes part of the level.
    fn fold(&mut self) {
        let run = self.run;
        self.forget();
        self.dark += run.dark[1];
        self.typical += run.typical;
        self.explained += run.explained;
        self.restart(self.last);
    }

    /// A surge is over: what it brought is no part of the level.
    pub(super) fn end_surge(&mut self) {
        self.forget();
        self.raised = false;
        self.shares = 0.0;
        self.restart(self.last);
    }

    fn forget(&mut self) {
        let passed = self.last.saturating_sub(self.since).max(0) as f64;
        let kept = (-passed / HALF_LIFE_MS).exp2();
        self.dark *= kept;
        self.typical *= kept;
        self.explained *= kept;
    }

    fn restart(&mut self, time: i64) {
        self.since = time;
        self.run = Run::default();
        self.onset = 0.0;
        self.onset_since = time;
        self.onset_run = Run::default();
        self.evidence = 0.0;
        self.details = None;
    }
}

/// What is left of an exponential window of an hour after a time.
fn window(passed_ms: i64) -> f64 {
    (-(passed_ms.max(0) as f64) / HOUR_MS as f64).exp()
}
