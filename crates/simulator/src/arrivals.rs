//! Readers who come without anyone's private share: an inhomogeneous Poisson process.

use jiff::Timestamp;
use jiff::civil::Weekday;

use crate::app::{App, Network};
use crate::arithmetic::{exp, pow};
use crate::dice::Dice;
use crate::event::Cause;
use crate::link::Link;
use crate::opening::Carrier;
use crate::passing::app_weight;
use crate::person::Person;
use crate::reading::{Arrival, Origin};
use crate::robots;
use crate::scenario::{Burst, BurstKind};
use crate::simulation::{Coming, STREAMS, Simulation};

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
        let mut arrival = usual(simulation, cause, time);
        // What an outsider passes on by a messenger may be a post in one of its public places.
        if let Carrier::App(app) = arrival.carrier {
            arrival.carrier = carried_by(simulation, app);
            if arrival.carrier.is_public() {
                arrival.cause = Cause::PublicPost;
            }
        }
        simulation.schedule(time, Coming::Arrival(Box::new(arrival)));
    }
    for burst in 0..simulation.scenario.bursts.len() {
        burst_slot(simulation, burst, start);
    }
    robots::begin_crawls(simulation, start, SLOT_MS);
}

/// In the order of `Channels::weights`.
const CAUSES: [Cause; 10] = [
    Cause::Search,
    Cause::DarkSearch,
    Cause::Typed,
    Cause::Bookmark,
    Cause::PublicPost,
    Cause::Referral,
    Cause::Assistant,
    Cause::Newsletter,
    Cause::Paid,
    Cause::Message,
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
        Cause::Typed | Cause::Bookmark | Cause::Newsletter | Cause::Sent => simulation.regular(),
        _ => simulation.somebody(),
    };
    let page = landing_page(simulation, cause);
    let carrier = match cause {
        Cause::PublicPost => Carrier::Network(pick_network(simulation)),
        Cause::Message => Carrier::App(message_app(simulation, &person)),
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

/// Where what goes by an app goes: into a message, or into one of the app's public places.
pub(crate) fn carried_by(simulation: &mut Simulation, app: App) -> Carrier {
    let how = simulation.scenario.apps.get(&app);
    let public = how.map_or(0.0, |how| how.public);
    if public > 0.0 && simulation.dice.chance(public) {
        Carrier::PublicPlace(app)
    } else {
        Carrier::App(app)
    }
}

/// The app of a message that came from outside the site's readers.
fn message_app(simulation: &mut Simulation, reader: &Person) -> App {
    let scenario = &simulation.scenario;
    let weights = scenario.apps.iter().map(|(app, how)| {
        let possible = *app != App::Imessage || reader.iphone;
        let weight = app_weight(scenario, *app, how.weight, reader.language);
        if possible { weight } else { 0.0 }
    });
    let which = simulation.dice.pick(weights);
    let app = scenario.apps.keys().nth(which);
    app.copied().unwrap_or(App::Mail)
}

/// A link that a reader has put into a public place.
#[derive(Clone, Debug)]
pub(crate) struct PublicLink {
    pub(crate) since: i64,
    pub(crate) link: Link,
    pub(crate) origin: Origin,
}

/// The public place of a burst: one post, one network or one channel of a messenger. Drawn from
/// the number of the burst, the same in every slot.
///
/// Among the networks a messenger's places weigh the public part of what it weighs among the apps:
/// the weights of both are of one order, and which posts reach far is not published.
pub(crate) fn burst_place(simulation: &Simulation, index: usize) -> Carrier {
    let scenario = &simulation.scenario;
    let networks = scenario.networks.iter();
    let networks = networks.map(|(network, how)| (Carrier::Network(*network), how.weight));
    let apps = scenario.apps.iter().filter(|(_, how)| how.public > 0.0);
    let apps = apps.map(|(app, how)| (Carrier::PublicPlace(*app), how.weight * how.public));
    let places: Vec<(Carrier, f64)> = networks.chain(apps).collect();
    let mut post = Dice::new(
        scenario.seed,
        simulation.number * STREAMS + 1000 + index as u64,
    );
    let which = post.pick(places.iter().map(|place| place.1));
    let place = places.get(which).map(|place| place.0);
    place.unwrap_or(Carrier::Network(Network::Facebook))
}

/// The part of a burst's landings that has come when it is `hours` old.
fn come(burst: &Burst, hours: f64) -> f64 {
    /// The rate doubles this often before its peak.
    const DOUBLINGS: f64 = 5.0;
    if hours <= 0.0 {
        return 0.0;
    }
    let doubling = burst.rise_hours;
    let peak = DOUBLINGS * doubling;
    let scale = doubling / std::f64::consts::LN_2;
    // The area below 2^((t - peak) / doubling) from 0 on.
    let risen =
        |until: f64| scale * (pow(2.0, until / doubling - DOUBLINGS) - pow(2.0, -DOUBLINGS));
    let rise = if doubling > 0.0 { risen(peak) } else { 0.0 };
    let area = if hours < peak {
        risen(hours)
    } else {
        rise + burst.decay_hours * (1.0 - exp(-(hours - peak) / burst.decay_hours))
    };
    area / (rise + burst.decay_hours)
}

/// The article of a burst that has begun; chosen, and made to spread, when it is first asked for.
fn burst_article(simulation: &mut Simulation, index: usize, begin: i64) -> u32 {
    if let Some(article) = simulation.burst_articles[index] {
        return article;
    }
    let article = simulation.catalogue.newest(begin);
    let scenario = &simulation.scenario;
    let reproduction = scenario.bursts[index].reproduction;
    simulation
        .catalogue
        .set_reproduction(article, reproduction, scenario);
    simulation.burst_articles[index] = Some(article);
    article
}

fn burst_slot(simulation: &mut Simulation, index: usize, start: i64) {
    const HOUR_MS: f64 = 3_600_000.0;
    let burst = simulation.scenario.bursts[index].clone();
    let announced = simulation.scenario.start.as_millisecond() + (burst.at_hours * HOUR_MS) as i64;
    let end = start + SLOT_MS;
    if end <= announced {
        return;
    }
    let article = burst_article(simulation, index, announced);
    let public_link = simulation.public_links[index].clone();
    let begin = match (burst.kind, &public_link) {
        (BurstKind::PublicLink, None) => return,
        (BurstKind::PublicLink, Some(link)) => link.since,
        _ => announced,
    };
    let hours = |time: i64| (time - begin) as f64 / HOUR_MS;
    let mean = burst.landings * (come(&burst, hours(end)) - come(&burst, hours(start)));
    for _ in 0..simulation.dice.poisson(mean) {
        let time = simulation.dice.between(start.max(begin), end - 1);
        let cause = match burst.kind {
            BurstKind::PublicPost => Cause::PublicPost,
            BurstKind::Rumour => Cause::Message,
            BurstKind::PublicLink => Cause::Share,
            BurstKind::Sent => Cause::Sent,
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
        if matches!(burst.kind, BurstKind::PublicPost | BurstKind::PublicLink) {
            arrival.carrier = burst_place(simulation, index);
        }
        if let Some(public) = &public_link {
            arrival.link = public.link.clone();
            arrival.origin = Some(public.origin);
        }
        simulation.schedule(time, Coming::Arrival(Box::new(arrival)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_brings_all_its_landings_and_doubles_while_it_rises() {
        for rise_hours in [0.0, 0.25, 3.0] {
            let burst = Burst {
                rise_hours,
                ..Burst::default()
            };
            assert!((come(&burst, 1_000.0) - 1.0).abs() < 1e-9);
            let steps: Vec<f64> = (0..=400)
                .map(|at| come(&burst, f64::from(at) * 0.1))
                .collect();
            assert!(steps.is_sorted(), "{rise_hours}");
            if rise_hours > 0.0 {
                let rate = |at: f64| come(&burst, at + 1e-4) - come(&burst, at);
                let twice = rate(3.0 * rise_hours) / rate(2.0 * rise_hours);
                assert!((twice - 2.0).abs() < 1e-3, "{twice}");
            }
        }
    }
}
