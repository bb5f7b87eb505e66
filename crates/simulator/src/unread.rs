//! Page requests that no person reads though a person is behind them: prefetches, mail scanners.

use std::sync::Arc;

use grapevine_event::Channel;

use crate::dice::Dice;
use crate::event::{Actor, Cause, EventKind, Headers, Truth};
use crate::person::hosting;
use crate::seat::Seat;
use crate::simulation::{Draft, Simulation};

/// Stream of the dice of scanners.
const SCANS: u64 = 0x5ca9;

/// A browser loads a result in advance that is then not read.
pub(crate) fn prefetch(simulation: &mut Simulation, time: i64, seat: &Seat) {
    let page = simulation.catalogue.pick_lasting(&mut simulation.dice);
    let content = simulation.catalogue.page(page);
    let (target, bytes) = (content.path.clone(), content.bytes);
    let headers = Headers {
        sec_fetch_site: Some("cross-site"),
        sec_fetch_mode: Some("navigate"),
        sec_fetch_dest: Some("document"),
        sec_purpose: Some("prefetch"),
        sec_ch_ua: seat.opening.agent.sec_ch_ua.clone(),
        ..Headers::default()
    };
    let draft = Draft {
        headers,
        referrer: seat.opening.referrer.map(Arc::from),
        ..seat.draft(EventKind::Page, target.clone(), 200, bytes)
    };
    let truth = machine(Actor::Prefetch, Cause::Search, seat.opening.name, target);
    simulation.emit(time, draft, None, truth);
}

/// A mail scanner opens a link.
pub(crate) fn scan(
    simulation: &mut Simulation,
    time: i64,
    page: u32,
    target: &Arc<str>,
    carrier: &'static str,
    share: Option<u64>,
) {
    const SCANNERS: [&str; 3] = [
        "Barracuda Sentinel (EE)",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/119.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 8.0.0; SM-G955U Build/R16NW) AppleWebKit/537.36 (KHTML, like \
         Gecko) Chrome/116.0.0.0 Mobile Safari/537.36",
    ];
    let content = simulation.catalogue.page(page);
    let (path, bytes) = (content.path.clone(), content.bytes);
    let draft = Draft {
        target: target.clone(),
        bytes,
        address: Some(hosting(&mut simulation.dice)),
        user_agent: Some((*simulation.dice.one_of(&SCANNERS)).into()),
        ..Draft::page()
    };
    let cause = if share.is_some() {
        Cause::Share
    } else {
        Cause::Newsletter
    };
    let truth = Truth {
        share,
        ..machine(Actor::Scanner, cause, carrier, path)
    };
    if cause == Cause::Newsletter {
        open_the_others(simulation, time, &draft, &truth);
    }
    simulation.emit(time, draft, None, truth);
}

/// A scanner opens the other links of the mail within two seconds, on dice of its own.
fn open_the_others(simulation: &mut Simulation, time: i64, first: &Draft, truth: &Truth) {
    let mut dice = Dice::new(simulation.own_seed() ^ time as u64, SCANS);
    let query = first.target.split_once('?').map(|(_, query)| query);
    let mut gone = 0;
    for _ in 0..dice.between(1, 6) {
        let page = simulation.catalogue.pick_fresh(&mut dice);
        let content = simulation.catalogue.page(page);
        let (path, bytes) = (content.path.clone(), content.bytes);
        let target = match query {
            Some(query) => format!("{path}?{query}").into(),
            None => path.clone(),
        };
        gone += dice.between(40, 320);
        let draft = Draft {
            target,
            bytes,
            ..first.clone()
        };
        let truth = Truth {
            content: path,
            ..truth.clone()
        };
        simulation.emit(time + gone, draft, None, truth);
    }
}

/// The truth of a request that no person reads.
pub(crate) fn machine(
    actor: Actor,
    cause: Cause,
    carrier: &'static str,
    content: Arc<str>,
) -> Truth {
    Truth {
        actor,
        cause,
        channel: Channel::Bot,
        carrier,
        person: None,
        visit: None,
        session: None,
        parent: None,
        share: None,
        root: None,
        generation: 0,
        returns_to: None,
        token_of: None,
        forwarded: false,
        unseen_hops: 0,
        content,
    }
}
