//! Readers who come without anyone's private share: an inhomogeneous Poisson process.

use jiff::Timestamp;
use jiff::civil::Weekday;

use crate::app::Network;
use crate::event::Cause;
use crate::link::Link;
use crate::opening::Carrier;
use crate::reading::Arrival;
use crate::robots;
use crate::scenario::BurstKind;
use crate::simulation::{Coming, Simulation};

/// Arrivals are drawn slot by slot, so that no more than a slot of them waits in memory.
pub(crate) const SLOT_MS: i64 = 300_000;
const DAY_MS: f64 = 86_400_000.0;

pub(crate) fn begin_slot(simulation: &mut Simulation, start: i64) {
    let weight = day_weight(simulation, start);
    let mean = simulation.scenario.arrivals.per_day * weight * SLOT_MS as f64 / DAY_MS;
    for _ in 0..simulation.dice.poisson(mean) {
        let time = start + simulation.dice.between(0, SLOT_MS - 1);
        let causes = simulation.scenario.channels.weights();
        let cause = CAUSES[simulation.dice.pick(causes.iter().map(|entry| entry.1))];
        let arrival = usual(simulation, cause, time);
        simulation.schedule(time, Coming::Arrival(Box::new(arrival)));
    }
    for burst in 0..simulation.scenario.bursts.len() {
        burst_slot(simulation, burst, start);
    }
    robots::begin_crawls(simulation, start, SLOT_MS);
}

/// In the order of `Channels::weights`.
const CAUSES: [Cause; 9] = [
    Cause::Search,
    Cause::DarkSearch,
    Cause::Typed,
    Cause::Bookmark,
    Cause::PublicPost,
    Cause::Referral,
    Cause::Assistant,
    Cause::Newsletter,
    Cause::Paid,
];

/// The rate at a time against the mean rate.
fn day_weight(simulation: &Simulation, time: i64) -> f64 {
    let arrivals = &simulation.scenario.arrivals;
    let clock = Timestamp::from_millisecond(time)
        .map(|time| jiff::tz::Offset::UTC.to_datetime(time))
        .unwrap_or_default();
    let mean = arrivals.hourly.iter().sum::<f64>() / 24.0;
    let hour = arrivals.hourly[clock.hour() as usize] / mean;
    // Seven days at these weights give seven times the daily rate.
    let weekday = 7.0 / (5.0 + 2.0 * arrivals.weekend);
    let weekend = matches!(clock.date().weekday(), Weekday::Saturday | Weekday::Sunday);
    hour * weekday * if weekend { arrivals.weekend } else { 1.0 }
}

fn usual(simulation: &mut Simulation, cause: Cause, time: i64) -> Arrival {
    let person = match cause {
        Cause::Typed | Cause::Bookmark | Cause::Newsletter => simulation.regular(),
        _ => simulation.somebody(),
    };
    let page = landing_page(simulation, cause);
    let carrier = match cause {
        Cause::PublicPost => Carrier::Network(pick_network(simulation)),
        _ => Carrier::None,
    };
    let campaign = (cause == Cause::Newsletter).then(|| {
        let date = Timestamp::from_millisecond(time)
            .map(|time| jiff::tz::Offset::UTC.to_datetime(time).date())
            .unwrap_or_default();
        let recipient = person.trait_of(30) & 0xffff_ffff;
        format!(
            "utm_source=newsletter&utm_medium=email&utm_campaign=daily-{date}&mc_eid={recipient:08x}"
        )
    });
    Arrival {
        person,
        page,
        cause,
        carrier,
        link: Link {
            token: None,
            query: campaign.map(Into::into),
        },
        origin: None,
        returns_to: None,
        mobile: None,
    }
}

fn landing_page(simulation: &mut Simulation, cause: Cause) -> u32 {
    let dice = &mut simulation.dice;
    let catalogue = &simulation.catalogue;
    // Home page and sections take these parts; articles the rest.
    let (home, section) = match cause {
        Cause::Typed => (0.82, 0.14),
        Cause::Bookmark => (0.45, 0.25),
        Cause::Search | Cause::DarkSearch => (0.06, 0.03),
        Cause::Newsletter | Cause::Paid => (0.05, 0.02),
        _ => (0.03, 0.01),
    };
    let at = dice.unit();
    if at < home {
        0
    } else if at < home + section {
        catalogue.pick_section(dice)
    } else if matches!(
        cause,
        Cause::Search | Cause::DarkSearch | Cause::Bookmark | Cause::Assistant
    ) {
        catalogue.pick_lasting(dice)
    } else {
        catalogue.pick_fresh(dice)
    }
}

/// A public network by weight.
pub(crate) fn pick_network(simulation: &mut Simulation) -> Network {
    let networks = &simulation.scenario.networks;
    let which = simulation
        .dice
        .pick(networks.values().map(|how| how.weight));
    networks
        .keys()
        .nth(which)
        .copied()
        .unwrap_or(Network::Facebook)
}

fn burst_slot(simulation: &mut Simulation, index: usize, start: i64) {
    let burst = simulation.scenario.bursts[index].clone();
    let begin = simulation.scenario.start.as_millisecond() + (burst.at_hours * 3_600_000.0) as i64;
    if start + SLOT_MS <= begin {
        return;
    }
    let article = match simulation.burst_articles[index] {
        Some(article) => article,
        None => {
            let article = simulation.catalogue.newest(begin);
            let scenario = &simulation.scenario;
            simulation
                .catalogue
                .set_reproduction(article, burst.reproduction, scenario);
            simulation.burst_articles[index] = Some(article);
            article
        }
    };
    // The part of an exponential decay that falls into this slot.
    let decay_ms = burst.decay_hours * 3_600_000.0;
    let gone = |time: i64| crate::arithmetic::exp(-((time - begin).max(0) as f64) / decay_ms);
    let mean = burst.landings * (gone(start) - gone(start + SLOT_MS));
    // One post, one network: drawn from the number of the burst, the same in every slot.
    let networks = &simulation.scenario.networks;
    let mut post = crate::dice::Dice::new(simulation.scenario.seed, 1000 + index as u64);
    let which = post.pick(networks.values().map(|how| how.weight));
    let network = networks
        .keys()
        .nth(which)
        .copied()
        .unwrap_or(Network::Facebook);
    for _ in 0..simulation.dice.poisson(mean) {
        let time = simulation
            .dice
            .between(start.max(begin), start + SLOT_MS - 1);
        let cause = match burst.kind {
            BurstKind::PublicPost => Cause::PublicPost,
            BurstKind::News => {
                let parts = [0.45, 0.2, 0.05, 0.3];
                [
                    Cause::Search,
                    Cause::DarkSearch,
                    Cause::Typed,
                    Cause::PublicPost,
                ][simulation.dice.pick(parts.into_iter())]
            }
        };
        let mut arrival = usual(simulation, cause, time);
        if cause != Cause::Typed {
            arrival.page = article;
        }
        if burst.kind == BurstKind::PublicPost {
            arrival.carrier = Carrier::Network(network);
        }
        simulation.schedule(time, Coming::Arrival(Box::new(arrival)));
    }
}
