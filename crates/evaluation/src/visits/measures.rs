//! Scores of judged visits: accuracy, calibration, bias and what the stated ranges hold.

use std::collections::BTreeMap;

use grapevine_event::{Channel, Method};
use serde::Serialize;

use crate::drive::Tokens;
use crate::measures::{mean, share};

use super::found::{self, Found, is_booked_right, true_channel};
use super::pipeline::{Judged, Outcome};

/// Bins of the reliability curve and of the calibration error.
const BINS: usize = 15;
/// Draws that say what chance alone makes of a calibration error.
const CHANCE_DRAWS: u64 = 100;
/// Bins of the curve as shown.
const CURVE_BINS: usize = 10;
/// Least probability that the log-loss is taken of, so that a method that says never or always and
/// is wrong still has a score.
const PROBABILITY_MIN: f64 = 1e-3;
const DAY_MS: i64 = 86_400_000;
/// Visits of a day before its range is asked for.
const DAY_VISITS_MIN: usize = 30;

/// How well a probability fits, over some visits. Of no visits every figure is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// Visits.
    pub visits: usize,
    /// Part that truly is so.
    pub truth: Option<f64>,
    /// Part that is stated: the mean probability.
    pub stated: Option<f64>,
    /// Stated less true.
    pub bias: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: Option<f64>,
    /// Mean of −ln p(what is true), nats; p at least .001.
    pub log_loss: Option<f64>,
    /// Expected calibration error, 15 bins.
    pub ece: Option<f64>,
}

/// Measures the fit of probabilities to what is true.
pub(super) fn fit(cases: &[(f64, bool)]) -> Fit {
    let visits = cases.len();
    let over = |of: &dyn Fn(f64, f64) -> f64| {
        mean(cases.iter().map(|(p, is)| of(*p, f64::from(u8::from(*is)))))
    };
    let truth = over(&|_, is| is);
    let stated = over(&|p, _| p);
    let log_loss = |p: f64, is: f64| {
        let right = if is == 1.0 { p } else { 1.0 - p };
        -right.max(PROBABILITY_MIN).ln()
    };
    let mut bins = [(0.0, 0.0); BINS];
    for (p, is) in cases {
        let bin = &mut bins[((p * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += p;
        bin.1 += f64::from(u8::from(*is));
    }
    let off = bins.iter().map(|(stated, truth)| (stated - truth).abs());
    let off: f64 = off.sum();
    Fit {
        visits,
        truth,
        stated,
        bias: stated.zip(truth).map(|(stated, truth)| stated - truth),
        brier: over(&|p, is| (p - is).powi(2)),
        log_loss: over(&log_loss),
        ece: (visits > 0).then(|| off / visits as f64),
    }
}

/// Expected calibration error of P(private link) over all visits, or those that ordinary analytics
/// books as direct, every site counting the same: over visits alone, the site with the largest cascade
/// counts more than all others together. A site without such visits does not count; `None` where no
/// site has any.
///
/// It is that of all sites together: within a bin, what one site states too high is set off by what
/// another states too low. [`ece_within_sites`] sets off nothing between sites.
pub fn ece_of_sites(outcomes: &[Outcome], direct: bool) -> Option<f64> {
    let mut bins = [0.0; BINS];
    let mut sites = 0usize;
    for outcome in outcomes {
        let cases = cases(outcome, direct);
        sites += usize::from(!cases.is_empty());
        let weight = 1.0 / cases.len().max(1) as f64;
        for (bin, off) in bins.iter_mut().zip(off_by_bin(cases.into_iter())) {
            *bin += weight * off;
        }
    }
    let off: f64 = bins.iter().map(|off| off.abs()).sum();
    (sites > 0).then(|| off / sites as f64)
}

/// P(private link) of visits of a site, and whether they truly came by one.
fn cases(outcome: &Outcome, direct: bool) -> Vec<(f64, bool)> {
    let wanted = |visit: &&Judged| !direct || visit.conventional == Channel::Direct;
    let visits = outcome.visits.iter().filter(wanted);
    visits
        .map(|visit| (visit.dark[1], visit.truth.is_dark()))
        .collect()
}

/// Sum of stated less true, by bin of what is stated.
fn off_by_bin(cases: impl Iterator<Item = (f64, bool)>) -> [f64; BINS] {
    let mut bins = [0.0; BINS];
    for (p, is) in cases {
        bins[((p * BINS as f64) as usize).min(BINS - 1)] += p - f64::from(u8::from(is));
    }
    bins
}

/// Calibration error of sites one by one. Of no visits both figures are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WithinSites {
    /// Mean over sites of each site's own calibration error, 15 bins, weighted by its visits.
    pub ece: Option<f64>,
    /// What that would be by chance alone, were every probability right and every visit independent of
    /// the others: a site with few visits in a bin is off by that much however well it is judged. The
    /// mean of a hundred draws, which follow from the number of the visit.
    pub by_chance: Option<f64>,
}

/// Measures the calibration error of P(private link) of sites one by one, over all visits, or those
/// that ordinary analytics books as direct.
pub fn ece_within_sites(outcomes: &[Outcome], direct: bool) -> WithinSites {
    let sites: Vec<Vec<(f64, bool)>> = (outcomes.iter())
        .map(|outcome| cases(outcome, direct))
        .collect();
    let visits: usize = sites.iter().map(Vec::len).sum();
    let of = |truth: &dyn Fn(usize, usize, f64, bool) -> bool| {
        let off = sites.iter().enumerate().map(|(site, cases)| {
            let cases = cases.iter().enumerate();
            let cases = cases.map(|(visit, (p, is))| (*p, truth(site, visit, *p, *is)));
            let bins = off_by_bin(cases);
            bins.iter().map(|off| off.abs()).sum::<f64>()
        });
        let off: f64 = off.sum();
        (visits > 0).then(|| off / visits as f64)
    };
    let drawn = |seed| {
        let draw = Tokens { rate: 0.0, seed };
        of(&move |site, visit, p, _| draw.dice(site, visit) < p)
    };
    let drawn: Option<Vec<f64>> = (0..CHANCE_DRAWS).map(drawn).collect();
    WithinSites {
        ece: of(&|_, _, _, is| is),
        by_chance: drawn.map(|drawn| drawn.iter().sum::<f64>() / CHANCE_DRAWS as f64),
    }
}

/// A group of visits: P(private link), and what the stated range holds. Of no visits every figure is
/// `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Fit of P(private link).
    #[serde(flatten)]
    pub fit: Fit,
    /// Stated range of the part of private links.
    pub low: Option<f64>,
    /// High end of it.
    pub high: Option<f64>,
    /// Whether the range holds the true part.
    pub held: Option<bool>,
    /// Part of the days of at least 30 visits whose range holds the day's true part; `None` where
    /// there is no such day.
    pub days_held: Option<f64>,
}

fn group(visits: &[&Judged]) -> Group {
    let cases: Vec<(f64, bool)> = visits
        .iter()
        .map(|visit| (visit.dark[1], visit.truth.is_dark()))
        .collect();
    let sums_of_all = sums(visits);
    let means = (!visits.is_empty()).then(|| sums_of_all.map(|sum| sum / visits.len() as f64));
    let mut days: BTreeMap<i64, Vec<&Judged>> = BTreeMap::new();
    for visit in visits {
        let day = visit.time.div_euclid(DAY_MS);
        days.entry(day).or_default().push(visit);
    }
    let full: Vec<bool> = days
        .values()
        .filter(|day| day.len() >= DAY_VISITS_MIN)
        .map(|day| {
            let [low, high, truth] = sums(day);
            low <= truth && truth <= high
        })
        .collect();
    let held = full.iter().filter(|held| **held).count();
    Group {
        fit: fit(&cases),
        low: means.map(|[low, _, _]| low),
        high: means.map(|[_, high, _]| high),
        held: means.map(|[low, high, truth]| low <= truth && truth <= high),
        days_held: (!full.is_empty()).then(|| held as f64 / full.len() as f64),
    }
}

/// Sums of low, high and true.
fn sums(visits: &[&Judged]) -> [f64; 3] {
    let add = |[low, high, truth]: [f64; 3], visit: &&Judged| {
        [
            low + visit.dark[0],
            high + visit.dark[2],
            truth + f64::from(u8::from(visit.truth.is_dark())),
        ]
    };
    visits.iter().fold([0.0; 3], add)
}

/// Point of a reliability curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Visits.
    pub visits: usize,
    /// Mean probability stated.
    pub stated: f64,
    /// Part that truly is so.
    pub truth: f64,
}

/// One way to judge visits, beside the product.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// Over all visits.
    pub all: Fit,
    /// Over what ordinary analytics books as direct.
    pub direct: Fit,
}

/// Everything measured of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VisitMeasures {
    /// Part of privately passed landings that arrived with a token; `None` where none was passed
    /// privately.
    pub token_rate: Option<f64>,
    /// True landings of people.
    pub landings: usize,
    /// Of those, landings that no visit of a person stands for.
    pub landings_missed: usize,
    /// Visits counted as people's that truly are no person's.
    pub robots_taken_for_people: usize,
    /// Part of visits whose channel is right; `None` of no visits.
    pub channel_accuracy: Option<f64>,
    /// Part of visits that ordinary analytics books in their true channel; `None` of no visits.
    pub channel_accuracy_conventional: Option<f64>,
    /// Part of private links whose app is right, where the channel is; `None` where it never is.
    pub app_accuracy: Option<f64>,
    /// All visits.
    pub all: Group,
    /// What ordinary analytics books as direct.
    pub direct: Group,
    /// What no fact decided.
    pub grey: Group,
    /// What the site itself sent without tags, where it did: nobody passed it on.
    pub sent: Group,
    /// What no fact decided: P(search without referrer).
    pub grey_search: Fit,
    /// What no fact decided: P(neither), typed or bookmarked.
    pub grey_typed: Fit,
    /// Reliability of P(private link) over what is booked as direct, ten bins; empty ones left out.
    pub reliability: Vec<Point>,
    /// By channel.
    pub channels: Vec<Found>,
    /// By app, of private links.
    pub apps: Vec<Found>,
    /// Visits by true channel, then by the channel stated.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Fit by what decided.
    pub methods: BTreeMap<&'static str, Fit>,
    /// Other ways to judge.
    pub baselines: Vec<Baseline>,
}

/// Measures one run, or several taken together.
pub fn measure(outcomes: &[Outcome], token_rate: Option<f64>) -> VisitMeasures {
    let visits: Vec<&Judged> = outcomes
        .iter()
        .flat_map(|outcome| &outcome.visits)
        .collect();
    let of = |wanted: &dyn Fn(&Judged) -> bool| -> Vec<&Judged> {
        visits
            .iter()
            .copied()
            .filter(|visit| wanted(visit))
            .collect()
    };
    let direct = of(&|visit| visit.conventional == Channel::Direct);
    let grey = of(&|visit| visit.method == Method::Prior);
    let fit_of = |visits: &[&Judged], p: &dyn Fn(&Judged) -> f64, is: &dyn Fn(&Judged) -> bool| {
        let cases: Vec<(f64, bool)> = visits.iter().map(|visit| (p(visit), is(visit))).collect();
        fit(&cases)
    };
    let mut confusion: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for visit in &visits {
        let row = confusion.entry(true_channel(visit)).or_default();
        *row.entry(visit.channel.to_string()).or_default() += 1;
    }
    let mut methods: BTreeMap<&'static str, Vec<(f64, bool)>> = BTreeMap::new();
    for visit in &visits {
        let case = (visit.dark[1], visit.truth.is_dark());
        methods.entry(visit.method.as_str()).or_default().push(case);
    }
    let dark = of(&|visit| visit.truth.is_dark());
    let dark_found = dark
        .iter()
        .filter(|visit| visit.channel == Channel::DarkSocial);
    let app_accuracy = share(dark_found.map(|visit| visit.app == visit.truth.app));
    let channel_right = (visits.iter()).map(|visit| true_channel(visit) == visit.channel.as_str());
    let baselines = [
        ("prior only", prior_only as fn(&Judged) -> f64),
        ("all deep direct is dark", deep_direct),
        ("conventional", |_| 0.0),
    ];
    VisitMeasures {
        token_rate,
        landings: outcomes.iter().map(|outcome| outcome.landings).sum(),
        landings_missed: outcomes.iter().map(|outcome| outcome.landings_missed).sum(),
        robots_taken_for_people: of(&|visit| visit.truth.kind != "visit").len(),
        channel_accuracy: share(channel_right),
        channel_accuracy_conventional: share(visits.iter().map(|visit| is_booked_right(visit))),
        app_accuracy,
        all: group(&visits),
        direct: group(&direct),
        grey: group(&grey),
        sent: group(&of(&|visit| visit.truth.cause == "sent")),
        grey_search: fit_of(&grey, &|visit| visit.search, &|visit| {
            visit.truth.is_search()
        }),
        grey_typed: fit_of(
            &grey,
            &|visit| 1.0 - visit.dark[1] - visit.search,
            &|visit| !visit.truth.is_search() && !visit.truth.is_dark(),
        ),
        reliability: reliability(&direct),
        channels: found::channels(&visits),
        apps: found::apps(&dark),
        confusion,
        methods: methods
            .into_iter()
            .map(|(name, cases)| (name, fit(&cases)))
            .collect(),
        baselines: baselines
            .map(|(name, p)| Baseline {
                name,
                all: fit_of(&visits, &p, &|visit| visit.truth.is_dark()),
                direct: fit_of(&direct, &p, &|visit| visit.truth.is_dark()),
            })
            .into(),
    }
}

/// The published share of private links among landings without referrer (`[prior]` of the model's
/// data, as published), and nothing else.
fn prior_only(visit: &Judged) -> f64 {
    const PUBLISHED: f64 = 0.45;
    match visit.conventional {
        Channel::Direct => PUBLISHED,
        _ => 0.0,
    }
}

/// Chartbeat's rule of 2012: whatever is booked as direct and is no front is dark.
fn deep_direct(visit: &Judged) -> f64 {
    f64::from(u8::from(
        visit.conventional == Channel::Direct && visit.deep,
    ))
}

fn reliability(visits: &[&Judged]) -> Vec<Point> {
    let mut bins = [(0usize, 0.0, 0.0); CURVE_BINS];
    for visit in visits {
        let p = visit.dark[1];
        let bin = &mut bins[((p * CURVE_BINS as f64) as usize).min(CURVE_BINS - 1)];
        bin.0 += 1;
        bin.1 += p;
        bin.2 += f64::from(u8::from(visit.truth.is_dark()));
    }
    let full = bins.iter().filter(|bin| bin.0 > 0);
    full.map(|(visits, stated, truth)| Point {
        visits: *visits,
        stated: stated / *visits as f64,
        truth: truth / *visits as f64,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::lineage::tests::row;
    use super::*;

    #[test]
    fn figures_are_those_counted_by_hand() {
        let cases = [(0.9, true), (0.9, false), (0.1, false), (0.1, false)];
        let found = fit(&cases);
        assert_eq!(
            (found.visits, found.truth, found.stated),
            (4, Some(0.25), Some(0.5))
        );
        let close = |found: Option<f64>, by_hand: f64| {
            let found = found.expect("visits count for it");
            assert!((found - by_hand).abs() < 1e-9, "{found} {by_hand}");
        };
        close(found.bias, 0.25);
        // (.01 + .81 + .01 + .01) / 4.
        close(found.brier, 0.21);
        // Bins of .9 and .1: |1.8 - 1| + |.2 - 0| over 4.
        close(found.ece, 0.25);
        let log_loss = -(0.9f64.ln() + 0.1f64.ln() + 2.0 * 0.9f64.ln()) / 4.0;
        close(found.log_loss, log_loss);
        close(fit(&[(0.0, true)]).log_loss, 1000f64.ln());
    }

    #[test]
    fn no_visits_have_no_figures() {
        let nothing = measure(&[], None);
        for fit in [nothing.all.fit, nothing.grey_search, nothing.grey_typed] {
            assert_eq!(fit.visits, 0);
            for figure in [
                fit.truth,
                fit.stated,
                fit.bias,
                fit.brier,
                fit.log_loss,
                fit.ece,
            ] {
                assert_eq!(figure, None, "{fit:?}");
            }
        }
        let group = nothing.direct;
        assert_eq!((group.low, group.high, group.held), (None, None, None));
        let parts = [
            nothing.channel_accuracy,
            nothing.channel_accuracy_conventional,
            nothing.app_accuracy,
        ];
        assert_eq!(parts, [None; 3]);
        for baseline in nothing.baselines {
            assert_eq!((baseline.all.brier, baseline.direct.brier), (None, None));
        }
        assert_eq!(ece_of_sites(&[], true), None);
        let within = ece_within_sites(&[Outcome::default()], false);
        assert_eq!((within.ece, within.by_chance), (None, None));
    }

    /// So many visits that are stated alike, of which so many are private.
    fn site(visits: usize, stated: f64, private: usize) -> Outcome {
        let visit = |number: usize| {
            let cause = if number < private { "share" } else { "search" };
            Judged {
                truth: row(number as u64, cause, None),
                time: 0,
                content: String::new(),
                conventional: Channel::Direct,
                channel: Channel::Direct,
                app: String::new(),
                method: Method::Prior,
                dark: [stated; 3],
                search: 0.0,
                deep: true,
                facts: Vec::new(),
                rest: None,
            }
        };
        Outcome {
            visits: (0..visits).map(visit).collect(),
            ..Outcome::default()
        }
    }

    #[test]
    fn errors_of_sites_cancel_together_and_not_one_by_one() {
        let sites = [site(100, 0.5, 60), site(100, 0.5, 40)];
        let close = |found: Option<f64>, by_hand: f64| {
            let found = found.expect("visits count for it");
            assert!((found - by_hand).abs() < 1e-9, "{found} {by_hand}");
        };
        close(ece_of_sites(&sites, true), 0.0);
        let within = ece_within_sites(&sites, true);
        close(within.ece, 0.1);
        // Mean distance of the heads of 100 throws from 50: 3.98.
        let by_chance = within.by_chance.expect("visits");
        assert!((by_chance - 0.0398).abs() < 0.006, "{by_chance}");
        // By visits: 1 of 10 off by .5, 9 of 10 by .1; every site alike the sum of both.
        let sites = [site(10, 0.5, 10), site(90, 0.5, 36)];
        close(ece_within_sites(&sites, false).ece, 0.1 * 0.5 + 0.9 * 0.1);
        close(ece_of_sites(&sites, false), (0.5 - 0.1) / 2.0);
    }
}
