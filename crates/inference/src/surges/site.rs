//! What is typical of a site: its day, how its contents begin, what its open visits bring in the
//! dark, and how much more than chance dark visits scatter.

use serde::{Deserialize, Serialize};

use super::excess::Peaks;

pub(super) const HOUR_MS: i64 = 3_600_000;
const DAY_HOURS: i64 = 24;
/// Everything here is forgotten by half in this many hours: two weeks.
const HALF_LIFE_HOURS: f64 = 336.0;
/// Landings an hour of the day counts as before any is seen, so that the first do not shape it.
const PRIOR_LANDINGS: f64 = 10.0;
/// Content-hours for which an age goes by the mean of all ages before any of its own.
const PRIOR_HOURS: f64 = 20.0;
/// Open visits for which an age goes by the mean ratio of all ages.
const PRIOR_OPEN: f64 = 20.0;
/// Dark visits of a content an hour, and for each visit that is surely open, before anything is
/// seen (assumptions).
const PRIOR_RATE: f64 = 0.05;
const PRIOR_RATIO: f64 = 0.3;
/// Longest pause of a content that counts as time in which it was there to be read.
const PAUSE_MS_MAX: i64 = 48 * HOUR_MS;
/// Scatter before anything is seen, in variance over mean, worth this many expected visits.
/// Assumption: a share brings several readers at once.
const PRIOR_DISPERSION: f64 = 3.0;
const PRIOR_DISPERSION_WEIGHT: f64 = 50.0;
/// More scatter than this is in the bar that a site sets itself.
const DISPERSION_MAX: f64 = 5.0;
/// A single hour counts for no more than this many standard deviations, so that a surge that was
/// missed does not make the next one look usual.
const DEVIATIONS_MAX: f64 = 8.0;

/// Signs for each dark visit that somebody passed a content on, before any is seen, worth so many dark visits.
/// Assumption, from simulated sites: one for two to four, more where acts of sharing are seen.
const PRIOR_SIGNS: f64 = 0.5;
const PRIOR_DARK: f64 = 40.0;

/// So many rises a day may be as unusual as the least one that is raised.
pub(super) const RAISED_A_DAY: f64 = 0.5;
/// Least evidence of a surge, however quiet a site is.
const EVIDENCE_MIN: f64 = 3.0;

/// Of contents younger than the end of this class (16 hours) the level is the site's typical curve;
/// they rise otherwise than those whose level is known.
const YOUNG: usize = 6;

/// Where [`Site::peaks`] has contents of that class of age.
fn group(age: usize) -> usize {
    usize::from(age > YOUNG)
}

/// Ends of the classes of age, in hours; the last class has none.
const AGES: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
pub(super) const AGE_CLASSES: usize = AGES.len() + 1;

/// What contents of one age have brought.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct AgeClass {
    dark: f64,
    open: f64,
    /// Hours that contents spent at this age, an hour of the site's mean day each.
    hours: f64,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Site {
    /// Earliest event time.
    pub(super) first: i64,
    /// Hour since 1970 up to which everything is forgotten.
    hour: i64,
    /// Landings by hour of the day, UTC.
    landings: [f64; 24],
    ages: [AgeClass; AGE_CLASSES],
    squares: f64,
    expected: f64,
    /// Dark visits of contents that did not surge, and the signs that these were passed on.
    dark: f64,
    signs: f64,
    /// Of young contents, and of the others.
    peaks: [Peaks; 2],
}

impl Site {
    pub(super) fn new(time: i64) -> Site {
        Site {
            first: time,
            hour: time.div_euclid(HOUR_MS),
            landings: [0.0; 24],
            ages: [AgeClass::default(); AGE_CLASSES],
            squares: 0.0,
            expected: 0.0,
            dark: 0.0,
            signs: 0.0,
            peaks: [Peaks::default(); 2],
        }
    }

    /// Whether a time is more than a day ahead of what the site has come to.
    pub(super) fn is_ahead(&self, time: i64) -> bool {
        time.div_euclid(HOUR_MS) - self.hour > DAY_HOURS
    }

    /// Event time goes on. A time far ahead, as a wrong clock gives, moves no more than a day.
    pub(super) fn pass(&mut self, time: i64) {
        // A time long before is a wrong clock as well.
        if time >= self.first - DAY_HOURS * HOUR_MS {
            self.first = self.first.min(time);
        }
        let passed = (time.div_euclid(HOUR_MS) - self.hour).min(DAY_HOURS);
        if passed <= 0 {
            return;
        }
        self.hour += passed;
        let kept = (-(passed as f64) / HALF_LIFE_HOURS).exp2();
        for landings in &mut self.landings {
            *landings *= kept;
        }
        for age in &mut self.ages {
            age.dark *= kept;
            age.open *= kept;
            age.hours *= kept;
        }
        self.squares *= kept;
        self.expected *= kept;
        self.dark *= kept;
        self.signs *= kept;
        for peaks in &mut self.peaks {
            peaks.pass(passed as f64 / DAY_HOURS as f64, kept);
        }
    }

    /// A landing on a content of that age class: parts of it that are dark, and that are surely open.
    pub(super) fn landed(&mut self, time: i64, age: usize, dark: f64, open: f64) {
        self.landings[hour_of_day(time)] += 1.0;
        let age = &mut self.ages[age];
        age.dark += dark;
        age.open += open;
    }

    /// So many dark visits of a content that did not surge, and so many signs that it was passed on. More signs than
    /// dark visits count as these: pages are copied for oneself too, by whoever came.
    pub(super) fn told(&mut self, dark: f64, signs: f64) {
        self.dark += dark;
        self.signs += signs.min(dark);
    }

    /// Signs that a content was passed on, that usually come with each dark visit: 0 to 1.
    pub(super) fn signs_a_dark(&self) -> f64 {
        (PRIOR_SIGNS * PRIOR_DARK + self.signs) / (PRIOR_DARK + self.dark)
    }

    /// A content of that birth was there to be read between two of its visits.
    pub(super) fn was_there(&mut self, born: Option<i64>, from: i64, to: i64) {
        let from = from.max(to.saturating_sub(PAUSE_MS_MAX));
        for (age, from, to) in spans(born, from, to) {
            self.ages[age].hours += self.hours(from, to);
        }
    }

    /// An hour of a content that was not surging: `count` dark visits where `expected` were.
    pub(super) fn scattered(&mut self, count: f64, expected: f64) {
        let most = DEVIATIONS_MAX * DEVIATIONS_MAX * expected.max(1.0);
        self.squares += ((count - expected) * (count - expected)).min(most);
        self.expected += expected;
    }

    /// Variance over mean of dark visits, 1 to 5.
    pub(super) fn dispersion(&self) -> f64 {
        let squares = self.squares + PRIOR_DISPERSION * PRIOR_DISPERSION_WEIGHT;
        (squares / (self.expected + PRIOR_DISPERSION_WEIGHT)).clamp(1.0, DISPERSION_MAX)
    }

    /// A content of that class of age is calm again after a rise of that evidence.
    pub(super) fn calmed(&mut self, age: usize, evidence: f64) {
        let bar = self.bar(age);
        self.peaks[group(age)].add(evidence, bar);
    }

    /// Rises a day on this site that show this evidence or more, among contents of about that age.
    pub(super) fn a_day(&self, age: usize, evidence: f64) -> f64 {
        self.peaks[group(age)].a_day(evidence)
    }

    /// Evidence that a surge of a content of that class of age takes.
    pub(super) fn bar(&self, age: usize) -> f64 {
        let usual = self.peaks[group(age)].evidence_of(RAISED_A_DAY);
        usual.max(EVIDENCE_MIN)
    }

    /// Dark visits that a typical content of that birth brings between two times.
    pub(super) fn typical(&self, born: Option<i64>, from: i64, to: i64) -> f64 {
        spans(born, from, to)
            .map(|(age, from, to)| self.rate(age) * self.hours(from, to))
            .sum()
    }

    /// Dark visits that an open visit goes with at that age.
    pub(super) fn ratio(&self, age: usize) -> f64 {
        let all = self.ages.iter().fold((PRIOR_RATIO, 1.0), |sum, age| {
            (sum.0 + age.dark, sum.1 + age.open)
        });
        let age = &self.ages[age];
        (age.dark + PRIOR_OPEN * all.0 / all.1) / (age.open + PRIOR_OPEN)
    }

    /// Dark visits an hour of a typical content of that age.
    fn rate(&self, age: usize) -> f64 {
        let all = self.ages.iter().fold((PRIOR_RATE, 1.0), |sum, age| {
            (sum.0 + age.dark, sum.1 + age.hours)
        });
        let age = &self.ages[age];
        (age.dark + PRIOR_HOURS * all.0 / all.1) / (age.hours + PRIOR_HOURS)
    }

    /// Hours between two times, each as long as the site is busy in it against its mean hour.
    fn hours(&self, from: i64, to: i64) -> f64 {
        let (first, last) = (from.div_euclid(HOUR_MS), to.div_euclid(HOUR_MS));
        let total = self.landings.iter().sum::<f64>() / 24.0 + PRIOR_LANDINGS;
        let busy = |hour: i64| {
            (self.landings[hour.rem_euclid(DAY_HOURS) as usize] + PRIOR_LANDINGS) / total
        };
        let part = |ms: i64| ms as f64 / HOUR_MS as f64;
        if first >= last {
            return busy(first) * part((to - from).max(0));
        }
        let mut sum = busy(first) * part((first + 1) * HOUR_MS - from)
            + busy(last) * part(to - last * HOUR_MS);
        // Whole days are 24 mean hours, whatever their profile.
        let days = (last - first - 1) / DAY_HOURS;
        sum += (days * DAY_HOURS) as f64;
        for hour in first + 1 + days * DAY_HOURS..last {
            sum += busy(hour);
        }
        sum
    }
}

fn hour_of_day(time: i64) -> usize {
    time.div_euclid(HOUR_MS).rem_euclid(DAY_HOURS) as usize
}

/// The class of age at a time; a content of unknown birth is of the last.
pub(super) fn age_class(born: Option<i64>, time: i64) -> usize {
    let Some(born) = born else {
        return AGES.len();
    };
    let hours = time.saturating_sub(born) as f64 / HOUR_MS as f64;
    AGES.partition_point(|end| *end <= hours)
}

/// A stretch of time cut where the class of age changes.
fn spans(born: Option<i64>, from: i64, to: i64) -> impl Iterator<Item = (usize, i64, i64)> {
    let mut from = from;
    std::iter::from_fn(move || {
        if from >= to {
            return None;
        }
        let age = age_class(born, from);
        let end = match (born, AGES.get(age)) {
            (Some(born), Some(hours)) => born.saturating_add((hours * HOUR_MS as f64) as i64),
            _ => to,
        };
        let span = (age, from, end.min(to));
        from = span.2;
        Some(span)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hours_are_long_where_the_site_is_busy_and_days_have_24() {
        let mut site = Site::new(0);
        for hour in 0..24 * 60 {
            let time = hour * HOUR_MS;
            site.pass(time);
            let count = if hour % 24 == 12 { 240 } else { 10 };
            for _ in 0..count {
                site.landed(time, 9, 0.0, 1.0);
            }
        }
        let day = 70 * DAY_HOURS * HOUR_MS;
        let hours = |from: i64, to: i64| site.hours(day + from * HOUR_MS, day + to * HOUR_MS);
        assert!(hours(12, 13) > 8.0 * hours(11, 12), "{}", hours(12, 13));
        for start in [0, 7, 12] {
            assert!((hours(start, start + 24) - 24.0).abs() < 1e-9);
            assert!((hours(start, start + 240) - 240.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_content_goes_through_the_classes_of_age() {
        let classes: Vec<_> = spans(Some(0), 0, 100 * HOUR_MS).collect();
        assert_eq!(classes.len(), AGE_CLASSES);
        assert!(classes.windows(2).all(|pair| pair[0].2 == pair[1].1));
        assert_eq!(spans(None, 5, 9).collect::<Vec<_>>(), [(9, 5, 9)]);
        assert_eq!(age_class(Some(HOUR_MS), 0), 0);
    }

    #[test]
    fn scatter_is_learned_and_bounded() {
        let mut site = Site::new(0);
        for _ in 0..5_000 {
            site.scattered(1.0, 1.0);
        }
        assert!(site.dispersion() < 1.1, "{}", site.dispersion());
        for _ in 0..5_000 {
            site.scattered(1e9, 1.0);
        }
        assert!(site.dispersion() <= DISPERSION_MAX);
    }

    proptest! {
        #[test]
        fn hours_add_up(from in 0i64..10 * HOUR_MS, first in 0i64..80 * HOUR_MS, second in 0i64..80 * HOUR_MS) {
            let mut site = Site::new(0);
            for hour in 0..24 {
                for _ in 0..hour * 7 {
                    site.landed(hour * HOUR_MS, 9, 0.5, 0.5);
                }
            }
            let (middle, to) = (from + first, from + first + second);
            let parts = site.hours(from, middle) + site.hours(middle, to);
            prop_assert!((site.hours(from, to) - parts).abs() < 1e-9 * parts.max(1.0));
            let parts = site.typical(Some(0), from, middle) + site.typical(Some(0), middle, to);
            prop_assert!((site.typical(Some(0), from, to) - parts).abs() < 1e-9 * parts.max(1.0));
        }
    }
}
