//! Tokens that nobody was seen to be given: how private visits by them truly are, and what thousands of made-up ones
//! do to what is stated of a site's other visits. The figures are those of `docs/classification.md`.
//!
//! ```sh
//! cargo run -p grapevine-evaluation --example tokens_of_nobody
//! ```
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use grapevine_evaluation::visits::{
    Judged, Outcome, SimulatedSite, Truth, Via, drive, scaled_to, simulated,
};
use grapevine_event::Method;
use grapevine_inference::Model;
use grapevine_signals::Signals;
use grapevine_simulator::Scenario;
use serde_json::{Value, json};

/// Parts of privately passed links that keep their token.
const RATES: [f64; 2] = [0.2, 0.5];
/// Sites whose state begins midway, and the seed of the first.
const SITES: u64 = 60;
const FIRST: u64 = 210_001;
/// The site that tokens are made up for, and how many are.
const ATTACKED: u64 = 220_001;
const MADE_UP: usize = 5_000;
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

fn main() -> Result<(), Box<dyn Error>> {
    let signals = Arc::new(Signals::builtin());
    for rate in RATES {
        let (mut of_nobody, mut of_somebody) = (Group::default(), Group::default());
        for seed in FIRST..FIRST + SITES {
            let mut site = simulated(&of_size(seed, 1_000.0), Via::Hits, Some(rate))?;
            let lines: Vec<&str> = site.input.lines().collect();
            site.input = lines[lines.len() / 2..].join("\n");
            let came = came(&site)?;
            let outcome = driven(&site, &signals)?;
            for visit in visits(&outcome).filter(|visit| visit.rest.is_some()) {
                let owner = visit.truth.token_of;
                match owner.is_some_and(|owner| came.contains(&owner)) {
                    true => of_somebody.add(visit),
                    false => of_nobody.add(visit),
                }
            }
        }
        println!(
            "{SITES} sites begun midway, {} of the tokens kept, decided by a token alone: {}; of nobody: {}",
            percent(rate),
            of_somebody.in_words(),
            of_nobody.in_words()
        );
    }
    for rate in RATES {
        let site = simulated(&of_size(ATTACKED, 6_000.0), Via::Hits, Some(rate))?;
        let attacked = SimulatedSite {
            input: with_made_up(&site)?,
            ..site.clone()
        };
        for (what, site) in [("as it is", &site), ("with 5,000 made up", &attacked)] {
            let outcome = driven(site, &signals)?;
            let mut grey = Group::default();
            let undecided = visits(&outcome).filter(|visit| visit.method == Method::Prior);
            undecided.for_each(|visit| grey.add(visit));
            println!(
                "one site, {} of the tokens kept, {what}: {} visits of its own, of which no fact decided {}",
                percent(rate),
                outcome.visits.len(),
                grey.in_words()
            );
        }
    }
    Ok(())
}

fn of_size(seed: u64, landings: f64) -> Scenario {
    scaled_to(&Scenario::drawn(seed), landings)
}

fn driven(site: &SimulatedSite, signals: &Arc<Signals>) -> Result<Outcome, Box<dyn Error>> {
    let (input, name) = (&site.input, &site.site);
    let model = Model::builtin();
    Ok(drive(
        input,
        site.via,
        name,
        &site.truth,
        signals,
        model,
        None,
    )?)
}

/// Visits of which a hit came.
fn came(site: &SimulatedSite) -> Result<HashSet<u64>, Box<dyn Error>> {
    let visit_of = |row: &Truth| Some((row.id.clone(), row.visit?));
    let visits: HashMap<String, u64> = site.truth.iter().filter_map(visit_of).collect();
    let mut came = HashSet::new();
    for line in site.input.lines() {
        let hit: Value = serde_json::from_str(line)?;
        came.extend(hit["id"].as_str().and_then(|id| visits.get(id)));
    }
    Ok(came)
}

fn visits(outcome: &Outcome) -> impl Iterator<Item = &Judged> {
    outcome.visits.iter()
}

/// The same hits, among them those by made-up tokens to contents that nobody else reads, each of a reader and a
/// network of his own.
fn with_made_up(site: &SimulatedSite) -> Result<String, Box<dyn Error>> {
    let lines: Vec<&str> = site.input.lines().collect();
    let mut hits = String::new();
    let mut made_up = 0..MADE_UP;
    for (number, line) in (1..).zip(&lines) {
        let hit: Value = serde_json::from_str(line)?;
        hits += line;
        hits.push('\n');
        let due = MADE_UP * number / lines.len() - made_up.start;
        for number in made_up.by_ref().take(due) {
            let network = u32::try_from(number)? * 256;
            let made_up = json!({
                "site": site.site,
                "url": format!("https://{}/politics/a-story-of-its-own-{number}?gv=madeup{number}", site.site),
                "type": "page_view",
                "time": hit["time"],
                "id": format!("made-up-{number}"),
                "visitor": format!("made-up-{number}"),
                "user_agent": IPHONE,
                "language": "en",
                "token": format!("afterwards{number}"),
                "address": Ipv4Addr::from(0x0A00_0000 + network),
            });
            hits += &made_up.to_string();
            hits.push('\n');
        }
    }
    Ok(hits)
}

/// Visits, how many of them are private, and what is stated of them.
#[derive(Default)]
struct Group {
    visits: usize,
    private: usize,
    stated: f64,
}

impl Group {
    fn add(&mut self, visit: &Judged) {
        self.visits += 1;
        self.private += usize::from(visit.truth.is_dark());
        self.stated += visit.dark[1];
    }

    fn in_words(&self) -> String {
        let of = |sum: f64| sum / self.visits.max(1) as f64;
        format!(
            "{} visits, private {:.3}, stated {:.3}",
            self.visits,
            of(self.private as f64),
            of(self.stated)
        )
    }
}

fn percent(part: f64) -> String {
    format!("{} %", 100.0 * part)
}
