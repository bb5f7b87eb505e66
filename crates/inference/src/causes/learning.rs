//! Learning the weights from arrivals whose cause is certain: a conditional logit.
//!
//! Each lesson asks: of all causes that there were to choose from, why this one? The weights maximise
//! the probability of the true causes, held near the weights so far by a quadratic penalty and smooth
//! along each table by another on second differences. A few certain edges therefore change little,
//! many decide. Arrivals whose cause is not known teach nothing: fitted to times alone, chains
//! explain everything.

use super::example::{Lesson, Outside};
use super::features::{BINS, Table};
use super::lbfgs;
use super::weights::Weights;

/// Parts that the examples are summed in, whatever the number of processors, so that the sums are
/// the same everywhere.
const PARTS: usize = 4;
/// Last bin of a table that has neighbours.
const ORDERED: usize = BINS - 1;

/// How hard the weights are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Holding {
    /// Penalty on the square of a weight's difference from the weights so far.
    pub near: f64,
    /// Penalty on the squares of the second differences of these differences.
    pub smooth: f64,
    /// Steps of the minimiser.
    pub steps: usize,
}

impl Default for Holding {
    fn default() -> Self {
        Holding {
            // Edges of one content resemble each other, so they say less than as many independent
            // ones, for which .5 would do.
            near: 2.0,
            smooth: 20.0,
            steps: 80,
        }
    }
}

impl Weights {
    /// The weights that explain the lessons best, near these.
    #[must_use]
    pub fn learn(
        &self,
        lessons: &[Lesson],
        holding: Holding,
        version: String,
        fitted: String,
    ) -> Weights {
        if lessons.is_empty() {
            return self.clone();
        }
        let start = vec![0.0; self.logs.len()];
        let mut found = lbfgs::minimise(&start, holding.steps, 1e-6, |change, gradient| {
            let logs: Vec<f64> = self.logs.iter().zip(change).map(|(a, b)| a + b).collect();
            gradient.fill(0.0);
            loss(lessons, &logs, gradient) + penalty(change, holding, gradient)
        });
        let of_outside = lessons.iter().filter(|lesson| lesson.outside.is_some());
        let of_outside = of_outside.count();
        if of_outside == 0 {
            share(&mut found);
        }
        let logs: Vec<f64> = self.logs.iter().zip(&found).map(|(a, b)| a + b).collect();
        let mut learned = self.with(version, fitted, &logs, self.delays.clone());
        learned.learned_from = self.learned_from.saturating_add(of_outside as u64);
        learned
    }

    /// The same with delays of certain edges between readers, each given by its bin
    /// ([`Example::delay`](super::Example::delay), [`Lesson::delay`]). Few leave the delays believed
    /// so far as they are, which weigh as much as 200.
    #[must_use]
    pub fn with_delays(&self, bins: impl IntoIterator<Item = u8>) -> Weights {
        let mut delays = vec![0.0; BINS];
        for bin in bins {
            delays[usize::from(bin)] += 1.0;
        }
        if delays.iter().sum::<f64>() < 1.0 {
            return self.clone();
        }
        let before: f64 = self.delays.iter().sum::<f64>().max(1.0);
        for (count, known) in delays.iter_mut().zip(&self.delays) {
            *count = ((*count + 200.0 * known / before) * 1_000.0).round() / 1_000.0;
        }
        let [version, fitted] = [&self.version, &self.fitted].map(String::clone);
        let mut learned = self.with(version, fitted, &self.logs, delays);
        learned.learned_from = self.learned_from;
        learned
    }
}

/// What first returns taught of readers who had brought nobody holds for the others too: a site's delays
/// are taken for one law, and what having certain children says stays as it was. Learned for the
/// former alone it would make them likelier or less likely parents than the latter.
fn share(change: &mut [f64]) {
    for (without, with) in [
        (Table::Delay, Table::ProvenDelay),
        (Table::Rank, Table::ProvenRank),
        (Table::Exposure, Table::ProvenExposure),
    ] {
        let [from, to] = [without, with].map(|table| table as usize * BINS);
        change.copy_within(from..from + BINS, to);
    }
}

/// Sum of −ln p(true cause); adds its gradient.
fn loss(lessons: &[Lesson], logs: &[f64], gradient: &mut [f64]) -> f64 {
    let part = lessons.len().div_ceil(PARTS).max(1);
    let sums: Vec<(f64, Vec<f64>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = lessons
            .chunks(part)
            .map(|lessons| scope.spawn(move || part_loss(lessons, logs)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|sum| sum.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut total = 0.0;
    for (loss, slopes) in sums {
        total += loss;
        for (gradient, slope) in gradient.iter_mut().zip(slopes) {
            *gradient += slope;
        }
    }
    total
}

fn part_loss(lessons: &[Lesson], logs: &[f64]) -> (f64, Vec<f64>) {
    let mut gradient = vec![0.0; logs.len()];
    let mut loss = 0.0;
    let mut scores = Vec::new();
    for lesson in lessons {
        let own = lesson.outside.map_or(f64::NEG_INFINITY, |outside| {
            outside.places().map(|place| logs[place]).sum::<f64>() + f64::from(outside.offset)
        });
        scores.clear();
        scores.extend(
            lesson.rows.iter().map(|row| {
                row.places().map(|place| logs[place]).sum::<f64>() + f64::from(row.offset)
            }),
        );
        let greatest = scores.iter().copied().fold(own, f64::max);
        let mut total = (own - greatest).exp();
        let outside_weight = total;
        let truth = lesson.truth.map_or(own, |row| scores[row]);
        for score in &mut scores {
            *score = (*score - greatest).exp();
            total += *score;
        }
        loss += total.ln() + greatest - truth;
        let excess = outside_weight / total - f64::from(u8::from(lesson.truth.is_none()));
        for place in lesson.outside.iter().flat_map(Outside::places) {
            gradient[place] += excess;
        }
        for (at, (row, weight)) in lesson.rows.iter().zip(&scores).enumerate() {
            let excess = weight / total - f64::from(u8::from(lesson.truth == Some(at)));
            // What is next to nothing moves nothing.
            if excess.abs() < 1e-6 {
                continue;
            }
            for place in row.places() {
                gradient[place] += excess;
            }
        }
    }
    (loss, gradient)
}

fn penalty(change: &[f64], holding: Holding, gradient: &mut [f64]) -> f64 {
    let mut sum = 0.0;
    for (slope, change) in gradient.iter_mut().zip(change) {
        sum += holding.near * change * change;
        *slope += 2.0 * holding.near * change;
    }
    for table in 0..Table::ALL.len() {
        let start = table * BINS;
        for at in start + 1..start + ORDERED - 1 {
            let bend = change[at + 1] - 2.0 * change[at] + change[at - 1];
            sum += holding.smooth * bend * bend;
            let slope = 2.0 * holding.smooth * bend;
            gradient[at + 1] += slope;
            gradient[at] -= 2.0 * slope;
            gradient[at - 1] += slope;
        }
    }
    sum
}
