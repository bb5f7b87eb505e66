//! A session: landing, further pages, assets, engagement, and the decision to share or return.

use std::sync::Arc;

use grapevine_event::{Channel, HitKind};

use crate::event::{Actor, Cause, Client, EventKind, Headers, Truth};
use crate::link::{Link, address_of, join, token_text};
use crate::opening::{self, Carrier, Opener};
use crate::passing::ShareAct;
use crate::person::Person;
use crate::scenario::TokenPlace;
use crate::seat::{self, Seat};
use crate::simulation::{Coming, Draft, Simulation};
use crate::unread::{prefetch, scan};

/// Who passed the link on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) visit: u64,
    pub(crate) share: u64,
    pub(crate) root: u64,
    pub(crate) generation: u32,
    pub(crate) forwarded: bool,
    pub(crate) unseen_hops: u32,
}

/// A reader about to land.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) person: Person,
    pub(crate) page: u32,
    pub(crate) cause: Cause,
    pub(crate) carrier: Carrier,
    pub(crate) link: Link,
    pub(crate) origin: Option<Origin>,
    pub(crate) returns_to: Option<u64>,
    /// Device class where it is decided already.
    pub(crate) mobile: Option<bool>,
}

/// One page view about to be emitted.
struct View {
    page: u32,
    visit: u64,
    truth: Truth,
    target: Arc<str>,
    referrer: Option<Arc<str>>,
    headers: Headers,
    fragment: Option<Arc<str>>,
    first: bool,
}

/// The channel of a visit.
fn channel(cause: Cause, carrier: Carrier) -> Channel {
    match (cause, carrier) {
        (Cause::Search | Cause::DarkSearch, _) => Channel::Search,
        (Cause::Typed | Cause::Bookmark | Cause::Return, _) => Channel::Direct,
        // Nobody passed it on, so it is no dark social; campaign and mail are for what is known to
        // be one, which without tags it is not. That leaves where nothing says otherwise.
        (Cause::Sent, _) => Channel::Direct,
        (Cause::PublicPost, _) => Channel::Social,
        (Cause::Share, carrier) if carrier.is_public() => Channel::Social,
        (Cause::Share | Cause::Message, _) => Channel::DarkSocial,
        (Cause::Referral, _) => Channel::Referral,
        (Cause::Assistant, _) => Channel::Assistant,
        (Cause::Newsletter, _) => Channel::Mail,
        (Cause::Paid, _) => Channel::Paid,
        (Cause::Internal, _) => Channel::Internal,
        (Cause::Unsent | Cause::Crawl, _) => Channel::Bot,
    }
}

/// A reader lands, reads on, and perhaps shares.
pub(crate) fn arrive(simulation: &mut Simulation, time: i64, arrival: Arrival) {
    let Arrival {
        person,
        page,
        cause,
        carrier,
        link,
        origin,
        returns_to,
        mobile,
    } = arrival;
    let scenario = &simulation.scenario;
    let dice = &mut simulation.dice;
    let opening = opening::open(scenario, &person, cause, carrier, mobile, dice);
    let seat = seat::take(simulation, person, opening, carrier, time);
    let mark = seat.opening.mark.clone();
    let (target, fragment) = address_of(simulation, page, &link, mark.as_deref());
    let mut time = time;
    if cause == Cause::Newsletter
        && simulation
            .dice
            .chance(simulation.scenario.sharing.mail_scanned)
    {
        scan(simulation, time, page, &target, "newsletter", None);
        time += simulation.dice.between(15_000, 900_000);
    }
    if cause == Cause::Search
        && simulation
            .dice
            .chance(simulation.scenario.reading.prefetched)
    {
        prefetch(simulation, time, &seat);
    }
    let visit = simulation.next_visit();
    let truth = Truth {
        actor: Actor::Person,
        cause,
        channel: channel(cause, carrier),
        carrier: seat.opening.name,
        person: Some(person.id),
        visit: Some(visit),
        session: Some(visit),
        parent: origin.map(|origin| origin.visit),
        share: origin.map(|origin| origin.share),
        root: Some(origin.map_or(visit, |origin| origin.root)),
        generation: origin.map_or(0, |origin| origin.generation),
        returns_to,
        token_of: link.token,
        forwarded: origin.is_some_and(|origin| origin.forwarded),
        unseen_hops: origin.map_or(0, |origin| origin.unseen_hops),
        content: simulation.catalogue.page(page).path.clone(),
    };
    let headers = opening::headers(
        &seat.opening.agent,
        seat.opening.opener,
        &mut simulation.dice,
    );
    let referrer = seat.opening.referrer.map(Arc::from);
    let view = View {
        page,
        visit,
        truth,
        target,
        referrer,
        headers,
        fragment,
        first: true,
    };
    if page != 0
        && simulation
            .dice
            .chance(simulation.scenario.reading.not_found)
    {
        not_found(simulation, time, &seat, view);
        return;
    }
    if page != 0
        && simulation
            .dice
            .chance(simulation.scenario.reading.redirected)
    {
        redirect(simulation, time, &seat, &view);
        time += simulation.dice.between(40, 250);
    }
    let query = join(link.query.as_deref(), mark.as_deref());
    let address_bar = Link {
        token: link.token,
        query,
    };
    read(simulation, time, &seat, carrier, link, address_bar, view);
}

fn redirect(simulation: &mut Simulation, time: i64, seat: &Seat, view: &View) {
    let (path, query) = match view.target.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (&*view.target, String::new()),
    };
    // The old address: without its slash, or without its ending.
    let old = path
        .strip_suffix('/')
        .or(path.strip_suffix(".html"))
        .unwrap_or(path);
    let draft = Draft {
        referrer: view.referrer.clone(),
        headers: view.headers.clone(),
        ..seat.draft(
            EventKind::Redirect,
            format!("{old}{query}").into(),
            301,
            178,
        )
    };
    simulation.emit(time, draft, None, view.truth.clone());
}

fn not_found(simulation: &mut Simulation, time: i64, seat: &Seat, view: View) {
    let path = &simulation.catalogue.page(view.page).path;
    // Cut short on the way, as line breaks in messages do.
    let kept = (path.len() * 2 / 3).max(2);
    let target: Arc<str> = path[..kept].into();
    let draft = Draft {
        referrer: view.referrer,
        headers: view.headers,
        ..seat.draft(EventKind::Page, target.clone(), 404, 2_950)
    };
    let client = seat.visitor.as_ref().map(|visitor| Client {
        kind: HitKind::PageView,
        visitor: visitor.clone(),
        token: None,
        fragment: None,
        title: "Not found".into(),
        app: None,
        seconds: None,
    });
    let truth = Truth {
        content: target,
        token_of: None,
        ..view.truth
    };
    simulation.emit(time, draft, client, truth);
}

fn read(
    simulation: &mut Simulation,
    mut time: i64,
    seat: &Seat,
    carrier: Carrier,
    incoming: Link,
    landing_bar: Link,
    landing: View,
) {
    let session = landing.visit;
    let mut view = landing;
    let mut bar = landing_bar;
    let mut came = Some((carrier, incoming));
    loop {
        let own_token = (simulation.scenario.tokens.place != TokenPlace::None
            && seat.visitor.is_some())
        .then_some(view.visit);
        // Script replaces the token of the address bar by the page's own.
        bar.token = own_token.or(bar.token);
        show(simulation, time, seat, &view, own_token);
        let (shown, _) = address_of(simulation, view.page, &bar, None);
        let content = simulation.catalogue.page(view.page);
        let share_probability = content.share_probability;
        let is_article = share_probability > 0.0;
        if simulation.dice.chance(share_probability) {
            let seconds = 3.0
                + simulation
                    .dice
                    .exponential(simulation.scenario.reading.seconds_on_page);
            let (came_by, incoming) = came.clone().unwrap_or((Carrier::None, Link::default()));
            let act = ShareAct {
                sharer: seat.person,
                mobile: seat.opening.mobile,
                address: seat.address,
                language: seat.language.clone(),
                user_agent: seat.opening.agent.user_agent.clone(),
                visitor: seat.visitor.clone(),
                page: view.page,
                target: view.target.clone(),
                fragment: view.fragment.clone(),
                visit: view.visit,
                session,
                root: view.truth.root.unwrap_or(view.visit),
                generation: view.truth.generation,
                came_by,
                incoming,
                bar: bar.clone(),
                own_token: own_token.is_some(),
            };
            simulation.schedule(
                time + (seconds * 1000.0) as i64,
                Coming::Share(Box::new(act)),
            );
        }
        let reading = &simulation.scenario.reading;
        if is_article
            && !seat.opening.agent.in_app
            && simulation.dice.chance(reading.return_to_page)
        {
            let hours = 0.02 + simulation.dice.exponential(reading.return_hours);
            let tagged = simulation
                .dice
                .chance(simulation.scenario.tokens.own_returning);
            let again = Arrival {
                person: seat.person,
                page: view.page,
                cause: Cause::Return,
                carrier: Carrier::None,
                link: if tagged { bar.clone() } else { Link::default() },
                origin: None,
                returns_to: Some(view.visit),
                mobile: Some(seat.opening.mobile),
            };
            let at = time + (hours * 3_600_000.0) as i64;
            simulation.schedule(at, Coming::Arrival(Box::new(again)));
        }
        if !simulation
            .dice
            .chance(simulation.scenario.reading.next_page)
        {
            return;
        }
        let seconds = 2.0
            + simulation
                .dice
                .exponential(simulation.scenario.reading.seconds_on_page);
        time += (seconds * 1000.0) as i64;
        if time >= simulation.end {
            return;
        }
        view = next_view(simulation, seat, &shown, session);
        bar = Link::default();
        came = None;
    }
}

fn next_view(simulation: &mut Simulation, seat: &Seat, from: &Arc<str>, session: u64) -> View {
    let page = match simulation.dice.below(10) {
        0 => 0,
        1 | 2 => simulation.catalogue.pick_section(&mut simulation.dice),
        _ => simulation.catalogue.pick_fresh(&mut simulation.dice),
    };
    let visit = simulation.next_visit();
    let target = simulation.catalogue.page(page).path.clone();
    let truth = Truth {
        actor: Actor::Person,
        cause: Cause::Internal,
        channel: Channel::Internal,
        carrier: "",
        person: Some(seat.person.id),
        visit: Some(visit),
        session: Some(session),
        parent: None,
        share: None,
        root: Some(visit),
        generation: 0,
        returns_to: None,
        token_of: None,
        forwarded: false,
        unseen_hops: 0,
        content: target.clone(),
    };
    let referrer = Some(format!("https://{}{from}", simulation.scenario.site).into());
    let headers = opening::headers(&seat.opening.agent, Opener::SameSite, &mut simulation.dice);
    View {
        page,
        visit,
        truth,
        target,
        referrer,
        headers,
        fragment: None,
        first: false,
    }
}

/// The page request, what script sends of it, and the assets.
fn show(simulation: &mut Simulation, time: i64, seat: &Seat, view: &View, own_token: Option<u64>) {
    let (title, bytes) = {
        let content = simulation.catalogue.page(view.page);
        (content.title.clone(), content.bytes)
    };
    let client = seat.visitor.as_ref().map(|visitor| Client {
        kind: HitKind::PageView,
        visitor: visitor.clone(),
        token: own_token.map(|visit| token_text(simulation.own_seed(), visit)),
        fragment: view.fragment.clone(),
        title,
        app: seat.opening.agent.script_sees,
        seconds: None,
    });
    // A returning browser may have the page still, and asks only whether it changed.
    let unchanged = view.truth.cause == Cause::Return && simulation.dice.chance(0.3);
    let (status, bytes) = if unchanged { (304, 0) } else { (200, bytes) };
    let draft = Draft {
        referrer: view.referrer.clone(),
        headers: view.headers.clone(),
        ..seat.draft(EventKind::Page, view.target.clone(), status, bytes)
    };
    simulation.emit(time, draft, client.clone(), view.truth.clone());
    assets(simulation, time, seat, view);
    if let Some(client) = client {
        act(simulation, time, seat, view, client);
    }
}

fn assets(simulation: &mut Simulation, time: i64, seat: &Seat, view: &View) {
    const FILES: [(&str, &str, u32); 4] = [
        ("/assets/site.4f1c9a.css", "style", 31_204),
        ("/assets/site.b07e22.js", "script", 88_417),
        ("/favicon.ico", "image", 1_150),
        ("/assets/logo.svg", "image", 3_318),
    ];
    let all = simulation.scenario.reading.assets;
    let count = if view.first { all } else { all / 3 };
    let referrer: Arc<str> = format!("https://{}{}", simulation.scenario.site, view.target).into();
    let mut at = time;
    for number in 0..count {
        at += simulation.dice.between(15, 180);
        let fixed = FILES.get(number as usize).filter(|_| view.first);
        let (target, dest, bytes): (Arc<str>, _, _) = match fixed {
            Some((target, dest, bytes)) => ((*target).into(), *dest, *bytes),
            None => {
                let picture = format!("/media/{}-{number}-800.webp", view.page);
                (
                    picture.into(),
                    "image",
                    20_000 + (view.page * 37 + number * 911) % 90_000,
                )
            }
        };
        let draft = Draft {
            referrer: Some(referrer.clone()),
            headers: Headers {
                sec_fetch_site: Some("same-origin"),
                sec_fetch_mode: Some("no-cors"),
                sec_fetch_dest: Some(dest),
                sec_ch_ua: view.headers.sec_ch_ua.clone(),
                ..Headers::default()
            },
            ..seat.draft(EventKind::Asset, target, 200, bytes)
        };
        simulation.emit(at, draft, None, view.truth.clone());
    }
}

/// Engagement and conversion, as page script reports them.
fn act(simulation: &mut Simulation, time: i64, seat: &Seat, view: &View, client: Client) {
    let truth = Truth {
        share: None,
        ..view.truth.clone()
    };
    if simulation.dice.chance(simulation.scenario.reading.engaged) {
        let seconds = 5.0
            + simulation
                .dice
                .exponential(simulation.scenario.reading.seconds_on_page);
        let client = Client {
            kind: HitKind::Engagement,
            seconds: Some(seconds as u32),
            ..client.clone()
        };
        let draft = seat.draft(EventKind::Action, view.target.clone(), 204, 0);
        simulation.emit(
            time + (seconds * 1000.0) as i64,
            draft,
            Some(client),
            truth.clone(),
        );
    }
    if simulation
        .dice
        .chance(simulation.scenario.reading.converted)
    {
        let client = Client {
            kind: HitKind::Conversion,
            ..client
        };
        let draft = seat.draft(EventKind::Action, view.target.clone(), 204, 0);
        let later = time + simulation.dice.between(8_000, 90_000);
        simulation.emit(later, draft, Some(client), truth);
    }
}
