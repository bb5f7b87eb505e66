//! Learning the weights from arrivals whose cause is certain: a conditional logit.
//!
//! Each certain edge asks: of all causes that there were, why this one? The weights maximise the
//! probability of the true causes, held near the weights so far by a quadratic penalty and smooth
//! along each table by another on second differences. A few certain edges therefore change little,
//! many decide. Arrivals whose cause is not known teach nothing: fitted to times alone, chains
//! explain everything.

use super::example::Lesson;
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
            near: 0.5,
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
        let mut delays = vec![0.0; BINS];
        for lesson in lessons {
            if let Some(row) = lesson.truth {
                delays[usize::from(lesson.rows[row].bins.delay)] += 1.0;
            }
        }
        let seen: f64 = delays.iter().sum();
        // Few edges leave the delays believed so far as they are, with the weight of 200.
        let before: f64 = self.delays.iter().sum::<f64>().max(1.0);
        for (count, known) in delays.iter_mut().zip(&self.delays) {
            *count = ((*count + 200.0 * known / before) * 1_000.0).round() / 1_000.0;
        }
        if lessons.is_empty() || seen + 1.0 < 1.0 {
            return self.clone();
        }
        let start = vec![0.0; self.logs.len()];
        let found = lbfgs::minimise(&start, holding.steps, 1e-6, |change, gradient| {
            let logs: Vec<f64> = self.logs.iter().zip(change).map(|(a, b)| a + b).collect();
            gradient.fill(0.0);
            loss(lessons, &logs, gradient) + penalty(change, holding, gradient)
        });
        let logs: Vec<f64> = self.logs.iter().zip(&found).map(|(a, b)| a + b).collect();
        let mut learned = self.with(version, fitted, &logs, delays);
        learned.learned_from = self.learned_from.saturating_add(lessons.len() as u64);
        learned
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
        let outside = lesson.outside.iter().enumerate();
        let outside = outside.map(|(table, bin)| table * BINS + usize::from(*bin));
        let own = outside.clone().map(|place| logs[place]).sum::<f64>()
            + f64::from(lesson.outside_offset);
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
        for place in outside {
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
