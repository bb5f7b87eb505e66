//! Where a reader sits for a session: device, network, language and cookie jar.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::app::App;
use crate::arithmetic::mix;
use crate::event::EventKind;
use crate::opening::{Carrier, Opening};
use crate::person::{Person, Place};
use crate::simulation::{Draft, Simulation};

/// What stays the same through a session.
pub(crate) struct Seat {
    pub(crate) person: Person,
    pub(crate) address: IpAddr,
    pub(crate) language: Arc<str>,
    pub(crate) opening: Opening,
    /// First-party id; `None` where no script runs.
    pub(crate) visitor: Option<Arc<str>>,
}

/// Seats a reader.
pub(crate) fn take(
    simulation: &mut Simulation,
    person: Person,
    opening: Opening,
    carrier: Carrier,
    time: i64,
) -> Seat {
    let own_seed = simulation.own_seed();
    let audience = &simulation.scenario.audience;
    let dice = &mut simulation.dice;
    let clock = Timestamp::from_millisecond(time)
        .map(|time| jiff::tz::Offset::UTC.to_datetime(time))
        .unwrap_or_default();
    let working =
        (8..18).contains(&clock.hour()) && clock.date().weekday().to_monday_one_offset() <= 5;
    let at_work = match carrier {
        Carrier::App(App::Slack | App::Teams) => 0.85,
        _ if working => 0.35,
        _ => 0.0,
    };
    let place = if opening.mobile {
        if dice.chance(audience.wifi) {
            Place::Home
        } else {
            Place::Carrier
        }
    } else if dice.chance(at_work) {
        Place::Office
    } else {
        Place::Home
    };
    let address = person.address(place, audience, dice);
    let blocked = (person.trait_of(40) >> 11) as f64 / (1u64 << 53) as f64;
    let visitor = (blocked >= audience.script_blocked).then(|| {
        // SFSafariViewController forgets its cookies: every tap is somebody new.
        let forgets = opening.agent.in_app && carrier == Carrier::App(App::Slack);
        let jar = if forgets {
            dice.bits()
        } else {
            u64::from(opening.agent.jar)
        };
        format!(
            "{:016x}",
            mix(mix(person.id ^ own_seed.rotate_left(32)) ^ jar)
        )
        .into()
    });
    let language = simulation.accept_language[usize::from(person.language)].clone();
    Seat {
        person,
        address,
        language,
        opening,
        visitor,
    }
}

impl Seat {
    /// A request from here.
    pub(crate) fn draft(
        &self,
        kind: EventKind,
        target: Arc<str>,
        status: u16,
        bytes: u32,
    ) -> Draft {
        Draft {
            kind,
            address: Some(self.address),
            target,
            status,
            bytes,
            user_agent: Some(self.opening.agent.user_agent.clone()),
            language: Some(self.language.clone()),
            ..Draft::page()
        }
    }
}
