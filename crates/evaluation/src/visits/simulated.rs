//! Simulated sites to score on and to fit on.

use grapevine_simulator::{
    Event, HitOptions, LogFormat, Scenario, TruthFormat, TruthWriter, simulate, write_hit,
    write_log_line,
};

use super::pipeline::{DriveError, Via};
use super::tokens::thin;
use super::truth::{Truth, read_truth};

/// Events of a site at the most: where a cascade grows beyond that, the period ends there.
const EVENTS_MAX: usize = 100_000;

/// What a simulated site gives the product, and what is true of it.
#[derive(Clone, Debug)]
pub struct SimulatedSite {
    /// Name of the site.
    pub site: String,
    /// Hits or log lines.
    pub input: String,
    /// What they are.
    pub via: Via,
    /// What is true.
    pub truth: Vec<Truth>,
    /// Part of privately passed landings that arrive with a token; `None` where none is passed
    /// privately.
    pub token_rate: Option<f64>,
}

/// Simulates a site whose privately passed landings carry a token at `rate`, as far as the
/// scenario's links have one; `None` leaves them as they are.
///
/// # Errors
/// A scenario that is out of range.
pub fn simulated(
    scenario: &Scenario,
    via: Via,
    rate: Option<f64>,
) -> Result<SimulatedSite, DriveError> {
    let failed = |error: &dyn std::fmt::Display| DriveError::Product(error.to_string());
    let events = simulate(scenario).map_err(|error| failed(&error))?;
    let mut events: Vec<Event> = events.take(EVENTS_MAX).collect();
    let token_rate = thin(&mut events, rate.unwrap_or(1.0), scenario.seed);
    let (mut input, mut rows) = (Vec::new(), Vec::new());
    let mut writer = TruthWriter::new(TruthFormat::Ndjson);
    for event in &events {
        let written = match via {
            Via::Hits | Via::Script => {
                let options = HitOptions {
                    headers: via == Via::Hits,
                    ..HitOptions::default()
                };
                write_hit(&mut input, event, &scenario.site, options)
            }
            Via::Log => write_log_line(&mut input, event, &scenario.site, LogFormat::Combined),
        };
        written.map_err(|error| failed(&error))?;
        writer
            .write(&mut rows, event, &scenario.site)
            .map_err(|error| failed(&error))?;
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|error| failed(&error));
    let truth = read_truth(&text(rows)?).map_err(|error| failed(&error))?;
    Ok(SimulatedSite {
        site: scenario.site.clone(),
        input: text(input)?,
        via,
        truth,
        token_rate,
    })
}

/// A scenario scaled to about so many landings that no share brought, without pictures and styles,
/// which classification never sees.
pub fn scaled_to(scenario: &Scenario, landings: f64) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.requests_target = 0;
    scenario.reading.assets = 0;
    let bursts: f64 = scenario.bursts.iter().map(|burst| burst.landings).sum();
    let all = scenario.arrivals.per_day * scenario.days + bursts;
    scenario.scaled(landings / all.max(1.0))
}
