//! The simulator from outside: its truth against its parameters, its headers against what the apps
//! are known to send, its files against readers of their own.

mod cascades;
mod delivery;
mod files;
mod headers;
mod rates;
mod scenario;
mod sites;
mod truth;

use std::sync::LazyLock;

use grapevine_simulator::{Event, Scenario, simulate};

/// All events of a scenario.
fn events(scenario: &Scenario) -> Vec<Event> {
    simulate(scenario).expect("a valid scenario").collect()
}

/// A scenario of private sharing that is quick and has enough of everything to count.
fn counted() -> Scenario {
    let mut scenario = Scenario {
        days: 6.0,
        ..Scenario::default()
    };
    scenario.arrivals.per_day = 2_500.0;
    scenario.reading.assets = 1;
    scenario
}

/// Its events, simulated once.
static COUNTED: LazyLock<Vec<Event>> = LazyLock::new(|| events(&counted()));

/// Events of the small preset, simulated once.
static SMALL: LazyLock<Vec<Event>> = LazyLock::new(|| events(&Scenario::small()));
