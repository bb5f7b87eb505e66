//! Passing a link on: the choice of carrier, the preview, and the readers it brings.

use std::net::IpAddr;
use std::sync::Arc;

use grapevine_event::{Channel, HitKind};

use crate::app::{App, Network};
use crate::arrivals::{PublicLink, burst_place, carried_by, pick_network};
use crate::event::{Actor, Cause, Client, EventKind, Truth};
use crate::link::{Link, address_of, token_text, without};
use crate::opening::Carrier;
use crate::person::{Person, preview_server};
use crate::preview::{self, Fetcher, Side};
use crate::reading::{Arrival, Origin};
use crate::scenario::{Burst, BurstKind, Scenario};
use crate::simulation::{Coming, Draft, Simulation};
use crate::unread::{machine, scan};

/// A reader about to share.
#[derive(Clone, Debug)]
pub(crate) struct ShareAct {
    pub(crate) sharer: Person,
    pub(crate) mobile: bool,
    pub(crate) address: IpAddr,
    pub(crate) language: Arc<str>,
    pub(crate) user_agent: Arc<str>,
    pub(crate) visitor: Option<Arc<str>>,
    pub(crate) page: u32,
    /// Path, query and fragment of the page as it was loaded, which is what script reports.
    pub(crate) target: Arc<str>,
    pub(crate) fragment: Option<Arc<str>>,
    pub(crate) visit: u64,
    pub(crate) session: u64,
    pub(crate) root: u64,
    pub(crate) generation: u32,
    pub(crate) came_by: Carrier,
    /// The link as it arrived, before the carrier's mark.
    pub(crate) incoming: Link,
    /// The link in the address bar.
    pub(crate) bar: Link,
    /// Whether the page was given a token of its own.
    pub(crate) own_token: bool,
}

/// How the sharer took the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Button,
    CopySeen,
    /// Address bar or the system's share sheet.
    Unseen,
    Typed,
    Forwarded,
}

pub(crate) fn share(simulation: &mut Simulation, time: i64, act: ShareAct) {
    let public = goes_public(simulation, &act);
    let carrier = match public {
        Some(burst) => burst_place(simulation, burst),
        None => choose_carrier(simulation, &act),
    };
    let way = match public {
        // The page's own tagged link goes out, not the message that came.
        Some(_) => way_from_page(simulation, &act),
        None => choose_way(simulation, &act, carrier),
    };
    let mut link = match way {
        _ if public.is_some() => act.bar.clone(),
        Way::Forwarded => act.incoming.clone(),
        Way::Typed => Link::default(),
        Way::Button | Way::CopySeen if act.own_token => act.bar.clone(),
        _ if simulation.dice.chance(simulation.scenario.tokens.attached) => act.bar.clone(),
        _ => Link::default(),
    };
    if strips_click_ids(carrier, &act)
        && let Some(query) = &link.query
    {
        link.query = without(query, &["fbclid", "gclid", "msclkid"]);
    }
    let share = simulation.next_share();
    if let Some(burst) = public {
        simulation.public_links[burst] = Some(PublicLink {
            since: time,
            link: link.clone(),
            origin: Origin {
                visit: act.visit,
                share,
                root: act.root,
                generation: act.generation + 1,
                forwarded: false,
                unseen_hops: 0,
            },
        });
    }
    tell(simulation, time, &act, carrier, way, share, &link);
    if way != Way::Forwarded {
        fetch_preview(simulation, time, &act, carrier, way, share, &link);
    }
    let mut sent = time + simulation.dice.between(4_000, 25_000);
    if carrier == Carrier::App(App::Mail)
        && simulation
            .dice
            .chance(simulation.scenario.sharing.mail_scanned)
    {
        let (target, _) = address_of(simulation, act.page, &link, None);
        // The mail is held back until its links are opened.
        sent += simulation.dice.between(1_500, 5_000);
        scan(simulation, sent, act.page, &target, "mail", Some(share));
    }
    bring_readers(simulation, sent, &act, carrier, way, share, &link);
}

fn choose_carrier(simulation: &mut Simulation, act: &ShareAct) -> Carrier {
    let scenario = &simulation.scenario;
    if simulation.dice.chance(scenario.sharing.public) {
        return Carrier::Network(pick_network(simulation));
    }
    if let Some(app) = act.came_by.app()
        && simulation.dice.chance(scenario.sharing.same_app)
        && can_send(app, act)
    {
        return carried_by(simulation, app);
    }
    let weight = |app: App, weight: f64| {
        if can_send(app, act) {
            app_weight(scenario, app, weight, act.sharer.language)
        } else {
            0.0
        }
    };
    let weights = scenario
        .apps
        .iter()
        .map(|(app, how)| weight(*app, how.weight));
    let which = simulation.dice.pick(weights);
    let app = scenario.apps.keys().nth(which).copied();
    carried_by(simulation, app.unwrap_or(App::Mail))
}

/// The weight of an app for people of a language.
pub(crate) fn app_weight(scenario: &Scenario, app: App, weight: f64, language: u16) -> f64 {
    let tag = scenario.audience.languages.keys().nth(language.into());
    match app.home_language() {
        // Nearly everyone of the language uses it, hardly anyone else does.
        Some(home) if tag.is_some_and(|tag| tag.starts_with(home)) => weight * 40.0,
        Some(_) => weight * 0.05,
        None => weight,
    }
}

/// The burst whose article this is and that waits for a tagged link to go public.
fn goes_public(simulation: &Simulation, act: &ShareAct) -> Option<usize> {
    let waits = |(index, burst): (usize, &Burst)| {
        let waiting = burst.kind == BurstKind::PublicLink
            && act.own_token
            && simulation.burst_articles[index] == Some(act.page)
            && simulation.public_links[index].is_none();
        waiting.then_some(index)
    };
    let mut bursts = simulation.scenario.bursts.iter().enumerate();
    bursts.find_map(waits)
}

/// Apple's Link Tracking Protection: links that leave by Messages and Mail lose click ids.
fn strips_click_ids(carrier: Carrier, act: &ShareAct) -> bool {
    match carrier {
        Carrier::App(App::Imessage) => true,
        Carrier::App(App::Mail) => act.mobile && act.sharer.iphone,
        _ => false,
    }
}

fn has_button(carrier: Carrier) -> bool {
    match carrier {
        Carrier::App(app) | Carrier::PublicPlace(app) => app.has_share_button(),
        Carrier::Network(network) => !matches!(
            network,
            Network::Tiktok | Network::Mastodon | Network::Instagram
        ),
        Carrier::None => false,
    }
}

/// Apple Messages needs an Apple device; SMS a phone.
fn can_send(app: App, act: &ShareAct) -> bool {
    match app {
        App::Imessage => act.sharer.iphone,
        App::Sms => act.mobile,
        _ => true,
    }
}

fn choose_way(simulation: &mut Simulation, act: &ShareAct, carrier: Carrier) -> Way {
    let sharing = &simulation.scenario.sharing;
    let dice = &mut simulation.dice;
    if let Some(app) = carrier.app() {
        if act.came_by.app() == Some(app) && dice.chance(sharing.forward) {
            return Way::Forwarded;
        }
        let typed = simulation
            .scenario
            .apps
            .get(&app)
            .map_or(0.0, |how| how.typed_link);
        if dice.chance(typed) {
            return Way::Typed;
        }
    }
    way_from_page(simulation, act)
}

/// How a link is taken from the page itself.
fn way_from_page(simulation: &mut Simulation, act: &ShareAct) -> Way {
    if act.visitor.is_none() {
        return Way::Unseen;
    }
    let sharing = &simulation.scenario.sharing;
    let at = simulation.dice.unit();
    if at < sharing.button {
        Way::Button
    } else if at < sharing.button + sharing.copy_seen {
        Way::CopySeen
    } else {
        Way::Unseen
    }
}

/// The share as an event of its own: always in the truth, a hit where script sees it.
fn tell(
    simulation: &mut Simulation,
    time: i64,
    act: &ShareAct,
    carrier: Carrier,
    way: Way,
    share: u64,
    link: &Link,
) {
    let content = simulation.catalogue.page(act.page);
    let client = match (&act.visitor, way) {
        (Some(visitor), Way::Button | Way::CopySeen) => Some(Client {
            kind: if way == Way::Button {
                HitKind::Share
            } else {
                HitKind::Copy
            },
            visitor: visitor.clone(),
            token: act
                .own_token
                .then(|| token_text(simulation.own_seed(), act.visit)),
            fragment: act.fragment.clone(),
            title: content.title.clone(),
            app: (way == Way::Button && has_button(carrier)).then(|| carrier.name()),
            seconds: None,
        }),
        _ => None,
    };
    let truth = Truth {
        actor: Actor::Person,
        cause: Cause::Share,
        channel: if carrier.is_public() {
            Channel::Social
        } else {
            Channel::DarkSocial
        },
        carrier: carrier.name(),
        person: Some(act.sharer.id),
        visit: Some(act.visit),
        session: Some(act.session),
        parent: None,
        share: Some(share),
        root: Some(act.root),
        generation: act.generation,
        returns_to: None,
        token_of: link.token,
        forwarded: way == Way::Forwarded,
        unseen_hops: 0,
        content: content.path.clone(),
    };
    let draft = Draft {
        kind: EventKind::Action,
        address: Some(act.address),
        target: act.target.clone(),
        status: 204,
        user_agent: Some(act.user_agent.clone()),
        language: Some(act.language.clone()),
        ..Draft::page()
    };
    simulation.emit(time, draft, client, truth);
}

fn fetch_preview(
    simulation: &mut Simulation,
    time: i64,
    act: &ShareAct,
    carrier: Carrier,
    way: Way,
    share: u64,
    link: &Link,
) {
    let (fetcher, probability) = match carrier {
        Carrier::App(app) | Carrier::PublicPlace(app) => {
            let how = simulation.scenario.apps.get(&app);
            let probability = how.map_or(0.0, |how| how.preview);
            (
                preview::of_app(app, &act.sharer, act.mobile, &mut simulation.dice),
                probability,
            )
        }
        Carrier::Network(network) => (preview::of_network(network), 1.0),
        Carrier::None => (None, 0.0),
    };
    let Some(fetcher) = fetcher.filter(|_| simulation.dice.chance(probability)) else {
        return;
    };
    let mut truth = machine(
        Actor::Preview,
        Cause::Share,
        carrier.name(),
        simulation.catalogue.page(act.page).path.clone(),
    );
    truth.visit = Some(act.visit);
    truth.session = Some(act.session);
    truth.share = Some(share);
    truth.token_of = link.token;
    let mut at = time + simulation.dice.between(300, 1_500);
    if carrier == Carrier::Network(Network::Mastodon) {
        herd(simulation, time, act, link, &truth);
        return;
    }
    if way == Way::Typed && fetcher.while_typing {
        at = ladder(simulation, at, act, &fetcher, &truth);
    }
    let (target, _) = address_of(simulation, act.page, link, None);
    fetch(simulation, at, act, &fetcher, target.clone(), link, &truth);
    // Fetchers that work while a message is composed also see those that are never sent.
    let composing = fetcher.side == Side::Sender || fetcher.while_typing;
    if composing
        && simulation
            .dice
            .chance(simulation.scenario.sharing.composed_unsent)
    {
        truth.share = Some(simulation.next_share());
        truth.cause = Cause::Unsent;
        let later = at + simulation.dice.between(20_000, 600_000);
        fetch(simulation, later, act, &fetcher, target, link, &truth);
    }
}

fn fetch(
    simulation: &mut Simulation,
    at: i64,
    act: &ShareAct,
    fetcher: &Fetcher,
    target: Arc<str>,
    link: &Link,
    truth: &Truth,
) {
    if fetcher.cached_ms > 0 {
        // The server's key is the whole address; a fragment is not part of it.
        let in_query = simulation.scenario.tokens.place == crate::scenario::TokenPlace::Query;
        let token = link.token.filter(|_| in_query).unwrap_or(0);
        let key = (fetcher.service, act.page, token);
        if simulation
            .fetched
            .get(&key)
            .is_some_and(|until| *until > at)
        {
            return;
        }
        simulation.fetched.insert(key, at + fetcher.cached_ms);
    }
    let bytes = simulation.catalogue.page(act.page).bytes;
    let address = fetcher.address(act.address, &mut simulation.dice);
    let mut draft = Draft {
        address: Some(address),
        target,
        bytes,
        user_agent: Some(fetcher.user_agent.into()),
        ..Draft::page()
    };
    draft.headers.range = fetcher.range;
    simulation.emit(at, draft.clone(), None, truth.clone());
    if simulation.dice.chance(0.5) {
        draft.kind = EventKind::Asset;
        draft.target = format!("/media/{}-0-1200.jpg", act.page).into();
        draft.bytes = 120_000 + act.page * 53 % 80_000;
        draft.headers.range = None;
        let later = at + simulation.dice.between(60, 700);
        simulation.emit(later, draft, None, truth.clone());
    }
}

/// A link typed by hand: every key fetches what stands there so far. Returns when it is whole.
fn ladder(
    simulation: &mut Simulation,
    begin: i64,
    act: &ShareAct,
    fetcher: &Fetcher,
    truth: &Truth,
) -> i64 {
    let path = simulation.catalogue.page(act.page).path.clone();
    let steps = simulation.dice.between(3, 8) as usize;
    let mut at = begin;
    for left in (1..=steps.min(path.len().saturating_sub(2))).rev() {
        let draft = Draft {
            address: Some(fetcher.address(act.address, &mut simulation.dice)),
            target: path[..path.len() - left].into(),
            status: 404,
            bytes: 2_950,
            user_agent: Some(fetcher.user_agent.into()),
            ..Draft::page()
        };
        simulation.emit(at, draft, None, truth.clone());
        at += simulation.dice.between(90, 260);
    }
    at
}

/// Every Mastodon server that receives a post fetches it, after 1 to 59 seconds.
fn herd(simulation: &mut Simulation, time: i64, act: &ShareAct, link: &Link, truth: &Truth) {
    let (target, _) = address_of(simulation, act.page, link, None);
    let bytes = simulation.catalogue.page(act.page).bytes;
    for _ in 0..simulation.dice.between(5, 40) {
        let instance = simulation.dice.below(400);
        let agent = format!("Mastodon/4.4.3 (http.rb/5.2.0; +https://social-{instance}.example/)");
        let draft = Draft {
            address: Some(preview_server(
                24 + (instance % 8) as usize,
                &mut simulation.dice,
            )),
            target: target.clone(),
            bytes,
            user_agent: Some(agent.into()),
            ..Draft::page()
        };
        let at = time + simulation.dice.between(1_000, 59_000);
        simulation.emit(at, draft, None, truth.clone());
    }
}

fn bring_readers(
    simulation: &mut Simulation,
    sent: i64,
    act: &ShareAct,
    carrier: Carrier,
    way: Way,
    share: u64,
    link: &Link,
) {
    let content = simulation.catalogue.page(act.page);
    let mean = content.reproduction / content.share_probability;
    let sharing = simulation.scenario.sharing.clone();
    let app = carrier.app();
    let how = app.and_then(|app| simulation.scenario.apps.get(&app));
    let token_lost = how.map_or(0.0, |how| how.token_lost);
    // Each of those who get the link passes it on unseen with probability u and comes with 1 - u.
    // With m of them a share, the visits it brings are M = m (1 - u + u M) on average.
    let unseen = match carrier {
        Carrier::App(_) => sharing.unseen,
        _ => 0.0,
    };
    let reached = mean / (1.0 - unseen + unseen * mean);
    let mut passed = vec![(sent, 0)];
    while let Some((sent, hops)) = passed.pop() {
        let people = simulation
            .dice
            .negative_binomial(reached, sharing.dispersion);
        for _ in 0..people {
            let limit = sharing.delay_limit_hours * 3600.0;
            let (theta, scale) = (sharing.delay_exponent, sharing.delay_scale_seconds);
            let seconds = simulation.dice.lomax(theta, scale, limit);
            let at = sent + (seconds * 1000.0) as i64;
            if unseen > 0.0 && simulation.dice.chance(unseen) {
                if at < simulation.end {
                    passed.push((at, hops + 1));
                }
                continue;
            }
            let person = recipient(simulation, act, carrier);
            let mut link = link.clone();
            if link.token.is_some() && simulation.dice.chance(token_lost) {
                link = Link::default();
            }
            let arrival = Arrival {
                person,
                page: act.page,
                cause: Cause::Share,
                carrier,
                link,
                origin: Some(Origin {
                    visit: act.visit,
                    share,
                    root: act.root,
                    generation: act.generation + 1,
                    forwarded: way == Way::Forwarded,
                    unseen_hops: hops,
                }),
                returns_to: None,
                mobile: None,
            };
            simulation.schedule(at, Coming::Arrival(Box::new(arrival)));
        }
    }
}

/// Somebody the sharer knows: like the sharer more often than chance would have it.
fn recipient(simulation: &mut Simulation, act: &ShareAct, carrier: Carrier) -> Person {
    let mut person = simulation.somebody();
    if person.id < simulation.scenario.audience.regulars {
        // A regular is who they are; only newcomers are made to fit.
        if carrier != Carrier::App(App::Imessage) || person.iphone {
            return person;
        }
        person = simulation.newcomer();
    }
    let sharing = &simulation.scenario.sharing;
    let dice = &mut simulation.dice;
    if matches!(carrier, Carrier::App(_)) {
        if dice.chance(sharing.same_household) {
            person.household = act.sharer.household;
        }
        if matches!(carrier, Carrier::App(App::Slack | App::Teams)) && dice.chance(0.7) {
            person.company = act.sharer.company;
        }
    }
    if dice.chance(sharing.same_language) {
        person.language = act.sharer.language;
    }
    if carrier == Carrier::App(App::Imessage) {
        person.iphone = true;
    }
    person
}

/// Drops what servers no longer remember.
pub(crate) fn forget_expired(simulation: &mut Simulation, now: i64) {
    simulation.fetched.retain(|_, until| *until > now);
}
