//! The weights of causes: a data file, versioned, with how it was fitted.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use thiserror::Error;

use super::features::{BINS, Table, UNKNOWN, lower_bound, ratio_of_bins};

const BUILTIN: &str = include_str!("../../data/causes.toml");
/// Greatest absolute logarithm of a factor: products of a dozen stay finite.
const LOG_MAX: f64 = 6.0;
/// Certain edges after which the variance of a content's virality is halved.
const VIRALITY_HALVED_BY: f64 = 8.5;
/// Certain causes that the outside was learned from after which half of what that narrows is narrowed.
const LEARNED_BY: f64 = 300.0;
/// Values of a byte.
pub(super) const BYTES: usize = 256;
/// Distances in arrivals for which decays are kept.
const DISTANCES: usize = 256;

/// Why a text is no weights.
#[derive(Debug, Error, PartialEq)]
pub enum WeightsError {
    /// No TOML, or a key is missing or unknown.
    #[error("weights of causes: {0}")]
    Syntax(String),
    /// A table has too few or too many entries, or one out of bounds.
    #[error("weights of causes, {table}: {problem}")]
    Table {
        /// Which.
        table: String,
        /// What is wrong, and what it should be.
        problem: String,
    },
}

/// How far contents differ in ways that neither times nor tokens have shown yet: the standard
/// deviation, in log-odds of the outside, of one content's departure from the weights.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispersion {
    /// Of a content without a certain edge.
    pub log_odds: f64,
    /// Certain edges after which its variance is halved.
    pub halved_by: f64,
    /// What remains however many certain edges there are, in the same log-odds: contents change
    /// while they spread.
    pub floor: f64,
    /// What remains of these, as a factor, once the weights have learned the outside from certain causes
    /// of the very site: from a file of it, since a running pipeline does not.
    pub learned: f64,
    /// Of structural virality: standard deviation of ln(virality − that of a star + .04) on a
    /// content without a certain edge.
    pub virality: f64,
    /// What remains of it however many certain edges there are: what sampled trees have wrong in
    /// common.
    pub virality_floor: f64,
}

impl Dispersion {
    /// Standard deviation after so many certain edges.
    pub fn after(&self, certain: f64) -> f64 {
        (self.log_odds / (1.0 + certain / self.halved_by).sqrt()).hypot(self.floor)
    }

    /// Standard deviation of the logarithm of virality above a star's, of `arrivals` of which so
    /// many are certain; none where all are.
    pub(super) fn of_virality(&self, arrivals: f64, certain: f64) -> f64 {
        let narrowed = self.virality / (1.0 + certain / VIRALITY_HALVED_BY).sqrt();
        let hidden = (1.0 - certain / arrivals.max(1.0)).max(0.0);
        narrowed.hypot(self.virality_floor) * hidden.sqrt()
    }
}

/// Weights of causes. Immutable; the version goes onto every edge that they name.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    pub(super) version: String,
    pub(super) fitted: String,
    pub(super) dispersion: Dispersion,
    /// Certain causes of the site itself that they have learned the outside from.
    pub(super) learned_from: u64,
    /// Certain edges between readers by bin of their delay.
    pub(super) delays: Vec<f64>,
    /// Logarithms of the factors, table by table.
    pub(super) logs: Vec<f64>,
    factors: Vec<f32>,
    /// Factors of [`Table::Pace`] by the difference of two bins, from -63 to 63.
    paces: Vec<f32>,
    delays_within: Vec<f32>,
    near: Vec<f32>,
    wide: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    fitted: String,
    #[serde(default)]
    learned_from: u64,
    dispersion: Dispersion,
    delays: Vec<f64>,
    tables: BTreeMap<String, Vec<f64>>,
}

impl Weights {
    /// The weights as shipped.
    pub fn builtin() -> Weights {
        Weights::parse(BUILTIN).expect("the built-in weights are checked by this crate's tests")
    }

    /// Where a first fit starts: every cause alike.
    pub fn flat() -> Weights {
        let mut weights = Weights {
            version: "flat".to_owned(),
            fitted: "on nothing".to_owned(),
            dispersion: Dispersion {
                log_odds: 1.0,
                halved_by: 5.0,
                floor: 0.2,
                learned: 0.9,
                virality: 0.75,
                virality_floor: 0.2,
            },
            learned_from: 0,
            delays: vec![1.0; BINS],
            logs: vec![0.0; Table::ALL.len() * BINS],
            factors: Vec::new(),
            paces: Vec::new(),
            delays_within: Vec::new(),
            near: decays(30.0),
            wide: decays(200.0),
        };
        weights.derive();
        weights
    }

    /// Version of the weights.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What they were fitted on, and how.
    pub fn fitted(&self) -> &str {
        &self.fitted
    }

    /// Reads weights.
    ///
    /// # Errors
    /// A missing or unknown key or table, a table of another length than 64, a figure that is no
    /// number or out of bounds: each named.
    pub fn parse(text: &str) -> Result<Weights, WeightsError> {
        let mut file: File =
            toml::from_str(text).map_err(|error| WeightsError::Syntax(error.to_string()))?;
        let mut logs = Vec::with_capacity(Table::ALL.len() * BINS);
        for table in Table::ALL {
            let found = file.tables.remove(table.key()).unwrap_or_default();
            checked(table.key(), &found, -LOG_MAX, LOG_MAX)?;
            logs.extend(found);
        }
        if let Some((unknown, _)) = file.tables.pop_first() {
            return Err(wrong(&unknown, "there is no such table; remove it"));
        }
        checked("delays", &file.delays, 0.0, 1e15)?;
        let dispersion = file.dispersion;
        for (key, value) in [
            ("dispersion.log_odds", dispersion.log_odds),
            ("dispersion.halved_by", dispersion.halved_by),
            ("dispersion.floor", dispersion.floor),
            ("dispersion.learned", dispersion.learned),
            ("dispersion.virality", dispersion.virality),
            ("dispersion.virality_floor", dispersion.virality_floor),
        ] {
            if !(1e-3..=1e6).contains(&value) {
                return Err(wrong(key, "should be between 0.001 and 1000000"));
            }
        }
        let mut weights = Weights {
            version: file.version,
            fitted: file.fitted,
            dispersion,
            learned_from: file.learned_from,
            delays: file.delays,
            logs,
            factors: Vec::new(),
            paces: Vec::new(),
            delays_within: Vec::new(),
            near: decays(30.0),
            wide: decays(200.0),
        };
        weights.derive();
        Ok(weights)
    }

    /// The same weights with other figures, rounded as the data file has them.
    pub(super) fn with(
        &self,
        version: String,
        fitted: String,
        logs: &[f64],
        delays: Vec<f64>,
    ) -> Weights {
        let mut weights = Weights {
            version,
            fitted,
            logs: logs
                .iter()
                .map(|log| (log.clamp(-LOG_MAX, LOG_MAX) * 1_000.0).round() / 1_000.0)
                .collect(),
            delays,
            ..self.clone()
        };
        weights.derive();
        weights
    }

    /// The same weights with another dispersion.
    #[must_use]
    pub fn with_dispersion(&self, dispersion: Dispersion) -> Weights {
        Weights {
            dispersion,
            ..self.clone()
        }
    }

    /// The same weights as for a site that they have not learned from.
    #[must_use]
    pub fn for_any_site(self) -> Weights {
        Weights {
            learned_from: 0,
            ..self
        }
    }

    /// How far a content with so many certain edges may depart from the weights: standard deviation
    /// of the outside's log-odds.
    pub(super) fn departure(&self, certain: f64) -> f64 {
        let edges = self.learned_from as f64;
        let taught = edges / (edges + LEARNED_BY);
        self.dispersion.after(certain) * (1.0 - (1.0 - self.dispersion.learned) * taught)
    }

    /// How far contents differ.
    pub fn dispersion(&self) -> Dispersion {
        self.dispersion
    }

    fn derive(&mut self) {
        self.factors = self.logs.iter().map(|log| log.exp() as f32).collect();
        let pace = self.table(Table::Pace);
        let steps = 0..2 * BINS as u8 - 1;
        self.paces = steps
            .map(|step| pace[usize::from(ratio_of_bins(step, UNKNOWN))])
            .collect();
        let smoothed: Vec<f64> = self.delays.iter().map(|count| count + 0.05).collect();
        let total: f64 = smoothed.iter().sum();
        let mut before = 0.0;
        self.delays_within = smoothed
            .iter()
            .map(|count| {
                let middle = before + count / 2.0;
                before += count;
                (middle / total) as f32
            })
            .collect();
    }

    /// The factors of a table.
    #[inline]
    pub(super) fn table(&self, table: Table) -> &[f32; BINS] {
        let start = table as usize * BINS;
        self.factors[start..start + BINS]
            .first_chunk()
            .expect("every table has its bins")
    }

    /// The factors of a table and of those after it, as many as a byte tells apart: so that a bin
    /// that is a byte needs no check. There are to be three more tables after it.
    #[inline]
    pub(super) fn table_by_byte(&self, table: Table) -> &[f32; BYTES] {
        let start = table as usize * BINS;
        self.factors[start..start + BYTES]
            .first_chunk()
            .expect("as many as were taken")
    }

    /// The factors of [`Table::Pace`] of a child whose pace has that bin, below [`BINS`], by the
    /// bin of its candidate's.
    #[inline]
    pub(super) fn paces(&self, child: u8) -> &[f32; BINS] {
        let start = usize::from(UNKNOWN - child);
        self.paces[start..start + BINS]
            .first_chunk()
            .expect("one for each difference")
    }

    /// Logarithm of a factor.
    pub(super) fn log(&self, table: Table, bin: u8) -> f64 {
        self.logs[table as usize * BINS + usize::from(bin)]
    }

    /// Share of the children of a reader that arrive within so many seconds.
    pub(super) fn arrived_within(&self, seconds: f32) -> f32 {
        let bin = super::features::amount(seconds.max(0.0));
        self.delays_within[usize::from(bin)]
    }

    /// Seconds in which arrivals double where a reader has so many children, more than one: ln 2 over
    /// the rate r at which the delays, discounted by e^(−r a), sum to one over that number.
    pub(super) fn doubling_time(&self, children: f64) -> f64 {
        /// A term below e to the minus this is nothing beside the others.
        const NEGLIGIBLE: f64 = 40.0;
        /// How near the ends of the search come before a line between them does the rest: the error is of
        /// its square.
        const NEAR: f64 = 1.01;
        let mut delays = [(0.0, 0.0); BINS];
        let mut from = lower_bound(0) + 1.0;
        let mut total = 0.0;
        for ((delay, bin), count) in delays.iter_mut().zip(1u8..).zip(&self.delays) {
            let to = lower_bound(bin) + 1.0;
            *delay = ((from * to).sqrt() - 1.0, count + 0.05);
            total += delay.1;
            from = to;
        }
        // How far the discounted sum is from what it should be.
        let off = |rate: f64| {
            let terms = delays.iter().map(|(delay, count)| match rate * delay {
                far if far > NEGLIGIBLE => 0.0,
                near => count * (-near).exp(),
            });
            terms.sum::<f64>() / total - 1.0 / children.max(1.0)
        };
        // Between once in 100 years and 30 times a second.
        let (mut low, mut high) = (2e-10f64, 20.0f64);
        while high > low * NEAR {
            let middle = (low * high).sqrt();
            match off(middle) > 0.0 {
                true => low = middle,
                false => high = middle,
            }
        }
        let (above, below) = (off(low), off(high));
        let part = match above > below {
            true => (above / (above - below)).clamp(0.0, 1.0),
            false => 0.0,
        };
        std::f64::consts::LN_2 / (low + (high - low) * part)
    }

    /// e^(−distance/30), and e^(−distance/200), of a distance in arrivals.
    pub(super) fn decay(&self, distance: u32) -> [f32; 2] {
        let at = (distance as usize).min(DISTANCES - 1);
        [self.near[at], self.wide[at]]
    }

    /// The data file.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let dispersion = self.dispersion;
        let _ = write!(
            out,
            "# Weights of the causes of an arrival, as `grapevine evaluate fit` writes them.\n\
             # A table holds the logarithm of a factor for each of 64 bins: see docs/chains.md.\n\
             version = {:?}\nfitted = {:?}\nlearned_from = {}\n",
            self.version, self.fitted, self.learned_from
        );
        row(&mut out, "delays", &self.delays);
        let _ = write!(
            out,
            "\n[dispersion]\nlog_odds = {:?}\nhalved_by = {:?}\nfloor = {:?}\n\
             learned = {:?}\nvirality = {:?}\n\
             virality_floor = {:?}\n\n[tables]\n",
            dispersion.log_odds,
            dispersion.halved_by,
            dispersion.floor,
            dispersion.learned,
            dispersion.virality,
            dispersion.virality_floor,
        );
        for table in Table::ALL {
            let start = *table as usize * BINS;
            row(&mut out, table.key(), &self.logs[start..start + BINS]);
        }
        out
    }
}

fn row(out: &mut String, key: &str, values: &[f64]) {
    let _ = write!(out, "{key} = [");
    for (at, value) in values.iter().enumerate() {
        let gap = if at % 16 == 0 { "\n  " } else { " " };
        // No "-0.0".
        let _ = write!(out, "{gap}{:?},", value + 0.0);
    }
    out.push_str("\n]\n");
}

fn decays(length: f32) -> Vec<f32> {
    (0..DISTANCES)
        .map(|distance| (-(distance as f32) / length).exp())
        .collect()
}

fn wrong(table: &str, problem: impl Into<String>) -> WeightsError {
    WeightsError::Table {
        table: table.to_owned(),
        problem: problem.into(),
    }
}

fn checked(table: &str, values: &[f64], low: f64, high: f64) -> Result<(), WeightsError> {
    if values.len() != BINS {
        let problem = format!("has {} entries, should have {BINS}", values.len());
        return Err(wrong(table, problem));
    }
    match values.iter().find(|value| !(low..=high).contains(*value)) {
        Some(value) => Err(wrong(
            table,
            format!("holds {value}, should be between {low} and {high}"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_weights_read_and_render_to_the_same() {
        let weights = Weights::builtin();
        assert!(weights.fitted().len() > 20 && !weights.version().is_empty());
        assert_eq!(Weights::parse(&weights.render()), Ok(weights));
    }

    #[test]
    fn wrong_weights_are_refused_by_name() {
        let text = Weights::builtin().render();
        let error = |text: &str| Weights::parse(text).expect_err("wrong").to_string();
        assert!(error(&text.replace("rank = [", "rnk = [")).contains("rank"));
        assert!(error(&text.replace("pace = [\n", "pace = [\n 99.0,\n")).contains("pace"));
        assert!(error(&text.replace("ordinal = [\n", "ordinal = [\n nan,\n")).contains("ordinal"));
        assert!(error(&text.replace("halved_by = ", "halved_by = -")).contains("halved_by"));
        let unknown = text.replace("[tables]\n", "[tables]\nmoon = [1.0]\n");
        assert!(error(&unknown).contains("moon"));
    }

    #[test]
    fn the_more_children_the_sooner_arrivals_double() {
        let weights = Weights::builtin();
        let times = [1.05, 1.5, 3.0, 20.0].map(|children| weights.doubling_time(children));
        assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
        // Half of the children come within an hour or so: with two each, so do the doubled.
        let two = weights.doubling_time(2.0);
        assert!((600.0..90_000.0).contains(&two), "{two}");
    }

    #[test]
    fn children_arrive_within_a_rising_share() {
        let weights = Weights::builtin();
        let shares: Vec<f32> = (0..30)
            .map(|octave| weights.arrived_within((1u64 << octave) as f32))
            .collect();
        assert!(shares.is_sorted() && shares[0] >= 0.0 && shares[29] <= 1.0);
    }
}
