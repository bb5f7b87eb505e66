//! Rates near their parameters. Bounds are four to five standard errors: wide enough for the seed,
//! too narrow for a rate that is a tenth off.

use std::collections::{BTreeMap, HashMap};

use grapevine_event::Channel;
use grapevine_simulator::{App, Cause, Event, EventKind, Scenario, simulate};

use crate::counted;

/// One kind of carrier and article, so that every visit is a draw from the same laws.
fn plain_sharing() -> Scenario {
    let mut scenario = Scenario {
        days: 10.0,
        ..Scenario::default()
    };
    scenario.bursts.clear();
    scenario.robots = Scenario::default().scaled(0.0).robots;
    scenario.arrivals.per_day = 3_000.0;
    scenario.reading.assets = 0;
    scenario.reading.not_found = 0.0;
    scenario.reading.engaged = 0.0;
    scenario.sharing.virality_exponent = 20.0;
    scenario.sharing.reproduction = 0.3;
    scenario.sharing.probability = 0.1;
    scenario.sharing.delay_limit_hours = 6.0;
    scenario
}

fn near(what: &str, count: usize, of: usize, wanted: f64) {
    let error = (wanted * (1.0 - wanted) / of as f64).sqrt();
    let found = count as f64 / of as f64;
    assert!(
        (found - wanted).abs() < 4.0 * error,
        "{what}: {found} of {of}, not {wanted} ± {error}"
    );
    assert!(
        4.0 * error < 0.35 * wanted.min(1.0 - wanted),
        "{what}: {of} are too few to tell"
    );
}

#[test]
fn reproduction_dispersion_and_delays_are_those_of_the_scenario() {
    let scenario = plain_sharing();
    let last_day = scenario.start.as_millisecond() + 9 * 86_400_000;
    let mut children: HashMap<u64, u64> = HashMap::new();
    let mut shared_at = HashMap::new();
    let mut delays = Vec::new();
    let (mut article_visits, mut caused) = (0usize, 0usize);
    for event in simulate(&scenario).unwrap() {
        let truth = &event.truth;
        if event.is_share_act() && event.time < last_day {
            shared_at.insert(truth.share, event.time);
            children.insert(truth.share.unwrap(), 0);
        }
        // Sections are `/name/`, articles deeper or with an ending.
        let article = truth.content.matches('/').count() > 2 || truth.content.ends_with(".html");
        if event.is_visit() && article {
            article_visits += usize::from(event.time < last_day);
        }
        if event.is_visit()
            && let Some(at) = shared_at
                .get(&truth.share)
                .filter(|_| truth.parent.is_some())
        {
            caused += 1;
            *children.get_mut(&truth.share.unwrap()).unwrap() += 1;
            delays.push((event.time - at) as f64 / 1000.0);
        }
    }
    let shares = children.len();
    // Mean readers a share is 3, variance 3 + 9 / 0.5 = 21.
    let mean = caused as f64 / shares as f64;
    assert!(
        (mean - 3.0).abs() < 5.0 * (21.0 / shares as f64).sqrt(),
        "{mean} of {shares}"
    );
    let none = children.values().filter(|count| **count == 0).count();
    near(
        "shares that bring nobody",
        none,
        shares,
        (0.5f64 / 3.5).sqrt(),
    );
    let reproduction = caused as f64 / article_visits as f64;
    assert!(
        (reproduction - 0.3).abs() < 0.03,
        "{reproduction} of {article_visits}"
    );
    // Quartiles of the Lomax law below its limit; sending takes 4 to 25 seconds more.
    delays.sort_by(f64::total_cmp);
    let cdf = |x: f64| 1.0 - (1.0 + x / 900.0).powf(-0.5);
    for part in [0.25, 0.5, 0.75] {
        let at = delays[(delays.len() as f64 * part) as usize] - 14.5;
        let found = cdf(at) / cdf(6.0 * 3600.0);
        assert!((found - part).abs() < 0.03, "{part}: {at} s");
    }
}

#[test]
fn channels_apps_and_ways_have_their_parts() {
    let scenario = plain_sharing();
    let mut arrivals: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut shares, mut public) = (0, 0);
    for event in simulate(&scenario).unwrap() {
        if event.is_share_act() {
            shares += 1;
            let on_a_network = !["telegram", "discord"].contains(&event.truth.carrier);
            public += usize::from(event.truth.channel == Channel::Social && on_a_network);
        }
        let outside = !matches!(event.truth.cause, Cause::Share | Cause::Return);
        if event.is_landing() && outside {
            *arrivals.entry(event.truth.cause.as_str()).or_default() += 1;
        }
    }
    let all: usize = arrivals.values().sum();
    let mean = scenario.arrivals.per_day * 10.0;
    // Ten days hold a weekend and a half: the weights of days make 10.09 mean days.
    assert!((all as f64 / mean - 1.0).abs() < 0.04, "{all}");
    near("search", arrivals["search"], all, 0.30);
    near("dark search", arrivals["dark_search"], all, 0.12);
    near("typed", arrivals["typed"], all, 0.16);
    near("public posts", arrivals["public_post"], all, 0.17);
    near("newsletter", arrivals["newsletter"], all, 0.08);
    near("public shares", public, shares, 0.16);
}

#[test]
fn who_is_sent_by_nobody_comes_by_the_hours_of_the_scenario() {
    const HOUR_MS: i64 = 3_600_000;
    let mut scenario = plain_sharing();
    // Nobody comes in one hour; another has as many as two.
    scenario.arrivals.hourly[4] = 0.0;
    scenario.arrivals.hourly[11] *= 2.0;
    // What machines open first is read later, maybe in another hour.
    scenario.sharing.mail_scanned = 0.0;
    assert_eq!(scenario.start.as_millisecond() % HOUR_MS, 0);
    let mut landings = [0usize; 24];
    for event in simulate(&scenario).unwrap().filter(Event::is_landing) {
        if !matches!(event.truth.cause, Cause::Share | Cause::Return) {
            landings[(event.time / HOUR_MS).rem_euclid(24) as usize] += 1;
        }
    }
    let all: usize = landings.iter().sum();
    // Who comes by a redirect in the last quarter of a second is a moment into the next hour.
    assert!(landings[4] <= 2, "{landings:?}");
    let hourly = &scenario.arrivals.hourly;
    let weights: f64 = hourly.iter().sum();
    for (hour, weight) in hourly
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
    {
        near(
            &format!("landings at {hour} h"),
            landings[hour],
            all,
            weight / weights,
        );
    }
}

#[test]
fn public_places_of_messengers_have_their_part() {
    let mut scenario = plain_sharing();
    // What is public then is in those places, and readers of one share hardly cluster.
    scenario.sharing.public = 0.0;
    scenario.channels.social = 0.0;
    scenario.channels.message = 20.0;
    scenario.sharing.dispersion = 1000.0;
    let asked = BTreeMap::from([(App::Telegram, 0.35), (App::Discord, 0.2)]);
    scenario.apps.retain(|app, _| asked.contains_key(app));
    for (app, how) in &mut scenario.apps {
        (how.weight, how.public) = (1.0, asked[app]);
    }
    // Public and all, by app: acts of readers, what outsiders brought, landings.
    let mut counts: BTreeMap<&str, [[usize; 2]; 3]> = BTreeMap::new();
    for event in simulate(&scenario).unwrap() {
        let truth = &event.truth;
        let by_outsider = match truth.cause {
            Cause::PublicPost => true,
            Cause::Message => {
                assert_eq!(truth.channel, Channel::DarkSocial);
                true
            }
            Cause::Share => false,
            _ => continue,
        };
        let public = usize::from(truth.channel == Channel::Social);
        let mut count = |what: usize| {
            let [some, all] = &mut counts.entry(truth.carrier).or_default()[what];
            *some += public;
            *all += 1;
        };
        if event.is_share_act() {
            count(0);
        } else if event.is_landing() {
            assert_eq!(truth.parent.is_none(), by_outsider);
            if by_outsider {
                count(1);
            }
            count(2);
        }
    }
    for (app, wanted) in asked {
        let name = app.as_str();
        let [acts, outsiders, landings] = counts[name];
        near(&format!("posts on {name}"), acts[0], acts[1], wanted);
        let [posts, all] = outsiders;
        near(&format!("outsiders' posts on {name}"), posts, all, wanted);
        // Three readers a share, which come together: four times the variance of as many draws.
        let [public, all] = landings;
        let found = public as f64 / all as f64;
        let error = (4.0 * wanted * (1.0 - wanted) / all as f64).sqrt();
        assert!(
            (found - wanted).abs() < 4.0 * error && error < 0.015,
            "{name}: {found} of {all}, not {wanted} ± {error}"
        );
    }
}

#[test]
fn referrers_survive_as_often_as_measured() {
    let mut scenario = counted();
    scenario.sharing.reproduction = 0.8;
    scenario.sharing.public = 0.3;
    let mut by_app: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for event in simulate(&scenario).unwrap().filter(Event::is_landing) {
        if event.truth.cause == Cause::Share || event.truth.cause == Cause::PublicPost {
            let private = event.truth.channel == Channel::DarkSocial;
            let name = match (event.truth.carrier, private) {
                ("instagram", false) => "instagram posts",
                ("linkedin", true) => "linkedin messages",
                (name, _) => name,
            };
            let entry = by_app.entry(name).or_default();
            entry.0 += usize::from(event.request.referrer.is_some());
            entry.1 += 1;
        }
    }
    // SparkToro 2023: WhatsApp, Slack, Discord all "direct"; Messenger 75 %, Instagram DM 30 %.
    for dark in [
        "whatsapp", "slack", "discord", "signal", "imessage", "tiktok", "mastodon",
    ] {
        assert!(by_app[dark].1 > 30, "{dark} is rare");
        assert_eq!(by_app[dark].0, 0, "{dark}");
    }
    near(
        "messenger",
        by_app["messenger"].0,
        by_app["messenger"].1,
        0.25,
    );
    near(
        "instagram",
        by_app["instagram"].0,
        by_app["instagram"].1,
        0.7,
    );
    // Its posts keep nearly all: .98 of thousands.
    let (kept, all) = by_app["instagram posts"];
    assert!(all > 1_000 && (0.97..0.99).contains(&(kept as f64 / all as f64)));
    near("linkedin", by_app["linkedin"].0, by_app["linkedin"].1, 0.86);
}

#[test]
fn tokens_leave_and_get_lost_as_often_as_the_scenario_says() {
    let mut scenario = plain_sharing();
    scenario.sharing.forward = 0.0;
    scenario.sharing.public = 0.0;
    scenario.sharing.button = 0.0;
    scenario.sharing.copy_seen = 0.0;
    scenario.audience.script_blocked = 0.0;
    scenario.apps.retain(|app, _| *app == App::Whatsapp);
    let how = scenario.apps.get_mut(&App::Whatsapp).unwrap();
    (how.token_lost, how.typed_link) = (0.4, 0.0);
    let (mut with, mut all, mut shares, mut attached) = (0, 0, 0, 0);
    for event in simulate(&scenario).unwrap() {
        if event.is_share_act() {
            shares += 1;
            attached += usize::from(event.truth.token_of.is_some());
        }
        if event.is_landing() && event.truth.cause == Cause::Share {
            all += 1;
            with += usize::from(event.truth.token_of.is_some());
        }
    }
    near("tokens attached", attached, shares, 0.8);
    // Links of one share go together; their attachment alone gives a fiftieth of scatter.
    let found = with as f64 / all as f64;
    assert!((found - 0.8 * 0.6).abs() < 0.04, "{found} of {all}");
}

#[test]
fn returns_scripts_and_pages_have_their_parts() {
    let scenario = plain_sharing();
    let (mut landings, mut pages, mut without_script, mut redirects) = (0, 0, 0, 0);
    for event in simulate(&scenario).unwrap() {
        redirects += usize::from(event.kind == EventKind::Redirect);
        if event.is_visit() {
            pages += 1;
            landings += usize::from(event.is_landing());
            without_script += usize::from(event.client.is_none());
        }
    }
    // Pages a session are geometric with mean 1 / (1 − 0.35).
    let a_session = pages as f64 / landings as f64;
    assert!((a_session - 1.0 / 0.65).abs() < 0.02, "{a_session}");
    // People, not pages, block scripts: few regulars make many pages, so the bound is wider.
    let blocked = without_script as f64 / pages as f64;
    assert!((blocked - 0.06).abs() < 0.012, "{blocked}");
    assert!((redirects as f64 / landings as f64) < 0.03 * 1.2);
    assert!((redirects as f64 / landings as f64) > 0.03 * 0.6);
}

#[test]
fn unseen_hops_leave_the_visits_a_share_brings_as_they_are() {
    let mut scenario = plain_sharing();
    scenario.sharing.public = 0.0;
    for how in scenario.apps.values_mut() {
        how.public = 0.0;
    }
    scenario.sharing.unseen = 0.3;
    let last_day = scenario.start.as_millisecond() + 9 * 86_400_000;
    let (mut shares, mut caused, mut direct) = (0usize, 0usize, 0usize);
    let mut early = std::collections::HashSet::new();
    for event in simulate(&scenario).unwrap() {
        let truth = &event.truth;
        if event.is_share_act() && event.time < last_day {
            shares += 1;
            early.insert(truth.share);
        }
        if event.is_visit() && truth.parent.is_some() && early.contains(&truth.share) {
            caused += 1;
            direct += usize::from(truth.unseen_hops == 0);
        }
    }
    // Mean 3. Each message reaches m = 3 / (0.7 + 0.3 · 3) = 1.875; 1.3125 of them come at once. The
    // scatter of a share is that of a branching process, some 30: five standard errors.
    let mean = caused as f64 / shares as f64;
    let error = (30.0 / shares as f64).sqrt();
    assert!(
        (mean - 3.0).abs() < 5.0 * error && error < 0.15,
        "{mean} of {shares}"
    );
    let part = direct as f64 / caused as f64;
    assert!((part - 1.3125 / 3.0).abs() < 0.05, "{part} of {caused}");
}
