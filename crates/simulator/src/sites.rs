//! Several sites of one publisher, read by the same people.

use std::iter::Peekable;
use std::sync::Arc;

use crate::event::Event;
use crate::scenario::{Scenario, ScenarioError};
use crate::simulation::{Simulation, simulate_number};

/// Simulates the site of a scenario and its `more_sites`: events of all in order of time, each with
/// the number of its site (0 for `site`) in [`Sites::names`].
///
/// The regulars are the same people on every site, each with a cookie of its own there; articles and
/// chains are each site's own. Numbers of events, visits and shares are distinct over all sites.
/// `requests_target` is shared out evenly.
///
/// # Errors
/// As [`simulate`](crate::simulate).
pub fn simulate_sites(scenario: &Scenario) -> Result<Sites, ScenarioError> {
    scenario.validate()?;
    let count = 1 + scenario.more_sites.len() as u64;
    let mut one = scenario.clone();
    one.more_sites.clear();
    one.requests_target = scenario.requests_target.div_ceil(count);
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut sites = Vec::new();
    let hosts = std::iter::once(&scenario.site).chain(&scenario.more_sites);
    for (number, host) in (0..).zip(hosts) {
        one.site.clone_from(host);
        names.push(host.as_str().into());
        sites.push(simulate_number(&one, number)?.peekable());
    }
    Ok(Sites { names, sites })
}

/// See [`simulate_sites`].
#[derive(Debug)]
pub struct Sites {
    names: Vec<Arc<str>>,
    sites: Vec<Peekable<Simulation>>,
}

impl Sites {
    /// The hosts, by number.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}

impl Iterator for Sites {
    type Item = (usize, Event);

    fn next(&mut self) -> Option<(usize, Event)> {
        let times = self.sites.iter_mut().enumerate();
        let times = times.filter_map(|(number, site)| Some((site.peek()?.time, number)));
        let (_, number) = times.min()?;
        let mut event = self.sites[number].next()?;
        let (count, offset) = (self.sites.len() as u64, number as u64);
        let own = |known: &mut u64| *known = *known * count + offset;
        own(&mut event.id);
        let truth = &mut event.truth;
        for known in [
            &mut truth.visit,
            &mut truth.session,
            &mut truth.parent,
            &mut truth.share,
            &mut truth.root,
            &mut truth.returns_to,
            &mut truth.token_of,
        ] {
            known.iter_mut().for_each(own);
        }
        Some((number, event))
    }
}
