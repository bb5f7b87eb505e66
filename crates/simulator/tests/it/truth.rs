use std::collections::{HashMap, HashSet};

use grapevine_event::Channel;
use grapevine_simulator::{
    Actor, Burst, BurstKind, Cause, EventKind, Scenario, TokenPlace, TruthSummary, simulate,
};

use crate::{COUNTED, SMALL, counted, events};

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let scenario = Scenario::small();
    let first = events(&scenario);
    assert_eq!(first, events(&scenario));
    assert_ne!(
        first,
        events(&Scenario {
            seed: 2,
            ..scenario
        })
    );
}

#[test]
fn events_come_in_order_of_time_within_the_period() {
    let scenario = counted();
    let start = scenario.start.as_millisecond();
    let end = start + 6 * 86_400_000;
    let events = events(&scenario);
    assert!(events.is_sorted_by_key(|event| event.time));
    assert!(
        events
            .iter()
            .all(|event| (start..end).contains(&event.time))
    );
    assert!(events.last().unwrap().time > end - 600_000, "it ends early");
}

#[test]
fn ids_are_unique() {
    let events = &*SMALL;
    let ids: HashSet<u64> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn every_parent_exists_before_its_child_on_the_same_content_and_shared_it() {
    let mut visits = HashMap::new();
    let mut shares = HashMap::new();
    let mut children = 0;
    for event in COUNTED.iter() {
        let truth = &event.truth;
        if event.is_share_act() {
            shares.insert(truth.share, (truth.visit, truth.carrier, truth.forwarded));
        }
        if !event.is_visit() {
            continue;
        }
        let visit = truth.visit.expect("a visit has a number");
        assert_eq!(truth.parent.is_some(), truth.cause == Cause::Share);
        if let Some(parent) = truth.parent {
            children += 1;
            let (root, generation, content) = &visits[&parent];
            assert_eq!(truth.root, *root);
            assert_eq!(truth.generation, generation + 1);
            // A link cut short on the way leads to another address.
            if event.request.status != 404 {
                assert_eq!(&truth.content, content);
            }
            assert_eq!(
                shares[&truth.share],
                (Some(parent), truth.carrier, truth.forwarded)
            );
        } else {
            assert_eq!(truth.root, Some(visit));
        }
        if truth.cause == Cause::Return {
            assert!(visits.contains_key(&truth.returns_to.expect("a return has a first visit")));
        }
        let known = visits.insert(visit, (truth.root, truth.generation, truth.content.clone()));
        assert_eq!(known, None, "visit {visit} twice");
    }
    assert!(children > 2_000, "{children}");
}

#[test]
fn tokens_name_the_parent_unless_forwarded_or_without_script() {
    let scenario = counted();
    let mut token_of_page = HashMap::new();
    let (mut direct, mut earlier) = (0, 0);
    for event in events(&scenario) {
        if !event.is_visit() || event.request.status == 404 {
            continue;
        }
        let truth = &event.truth;
        let in_address = event
            .request
            .target
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("gv="));
        assert_eq!(in_address.is_some(), truth.token_of.is_some());
        if let (Some(text), Some(owner)) = (in_address, truth.token_of) {
            assert_eq!(
                token_of_page
                    .get(&owner)
                    .map(|token: &String| token.as_str()),
                Some(text)
            );
            if truth.cause == Cause::Share {
                direct += u32::from(truth.parent == Some(owner));
                earlier += u32::from(truth.parent != Some(owner));
            }
        }
        if let Some(token) = event
            .client
            .as_ref()
            .and_then(|client| client.token.as_ref())
        {
            token_of_page.insert(truth.visit.unwrap(), token.to_string());
        }
    }
    assert!(earlier > 20 && direct > 10 * earlier, "{direct} {earlier}");
}

#[test]
fn fragment_tokens_stay_out_of_requests_and_no_tokens_are_none() {
    let mut scenario = counted();
    scenario.tokens.place = TokenPlace::Fragment;
    let mut fragments = 0;
    for event in events(&scenario) {
        assert!(!event.request.target.contains("gv="));
        assert!(
            !event
                .request
                .referrer
                .as_ref()
                .is_some_and(|referrer| referrer.contains("gv="))
        );
        let fragment = event
            .client
            .as_ref()
            .and_then(|client| client.fragment.as_ref());
        fragments += u32::from(fragment.is_some_and(|fragment| fragment.starts_with("gv=")));
    }
    assert!(fragments > 1_000, "{fragments}");
    scenario.tokens.place = TokenPlace::None;
    for event in events(&scenario) {
        assert_eq!(event.truth.token_of, None);
        assert!(
            event
                .client
                .is_none_or(|client| client.token.is_none() && client.fragment.is_none())
        );
    }
}

#[test]
fn a_person_keeps_a_visitor_id_in_one_browser_and_returns_with_it() {
    let mut visitors = HashMap::new();
    let mut returns = 0;
    for event in COUNTED.iter() {
        let Some(client) = event.client.as_ref().filter(|_| event.is_visit()) else {
            continue;
        };
        let visit = event.truth.visit.unwrap();
        if let Some(first) = event.truth.returns_to {
            let known = visitors.get(&first);
            assert_eq!(known, Some(&client.visitor));
            returns += 1;
        }
        visitors.insert(visit, client.visitor.clone());
    }
    assert!(returns > 100, "{returns}");
}

#[test]
fn previews_come_before_the_first_reader_and_never_for_forwards() {
    let mut forwarded = HashSet::new();
    let mut read = HashSet::new();
    let mut previewed = HashSet::new();
    for event in COUNTED.iter() {
        let Some(share) = event.truth.share else {
            continue;
        };
        match event.truth.actor {
            _ if event.is_share_act() && event.truth.forwarded => {
                forwarded.insert(share);
            }
            Actor::Preview if event.truth.carrier != "mastodon" => {
                assert!(!read.contains(&share), "{event:?}");
                assert!(!forwarded.contains(&share));
                previewed.insert(share);
            }
            Actor::Person if event.is_visit() => {
                read.insert(share);
            }
            _ => {}
        }
    }
    assert!(
        previewed.len() > 200 && forwarded.len() > 20,
        "{} {}",
        previewed.len(),
        forwarded.len()
    );
}

#[test]
fn the_summary_agrees_with_a_count_of_its_own() {
    let events = &*SMALL;
    let mut summary = TruthSummary::default();
    events.iter().for_each(|event| summary.add(event));
    let landings: Vec<_> = events.iter().filter(|event| event.is_landing()).collect();
    let dark = landings
        .iter()
        .filter(|event| event.truth.channel == Channel::DarkSocial)
        .count();
    assert_eq!(summary.landings, landings.len() as u64);
    assert_eq!(
        summary.landings_by_channel.values().sum::<u64>(),
        summary.landings
    );
    assert_eq!(
        summary.landings_by_channel[&Channel::DarkSocial],
        dark as u64
    );
    assert_eq!(summary.dark_by_app.values().sum::<u64>(), dark as u64);
    assert_eq!(
        summary.direct_looking_by_cause.values().sum::<u64>(),
        summary.direct_looking
    );
    let children = landings
        .iter()
        .filter(|event| event.truth.parent.is_some())
        .count() as u64;
    assert_eq!(summary.chained, children);
    let cascades = summary.largest_cascades(usize::MAX);
    assert_eq!(
        cascades
            .iter()
            .map(|cascade| cascade.visits - 1)
            .sum::<u64>(),
        children
    );
    assert_eq!(
        summary
            .cascade_sizes()
            .iter()
            .map(|class| class.1)
            .sum::<u64>(),
        cascades.len() as u64
    );
    assert_eq!(
        summary.requests,
        events
            .iter()
            .filter(|event| event.kind != EventKind::Action)
            .count() as u64
    );
    let mut text = Vec::new();
    summary.write_text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("landings look direct") && text.contains("dark_social"),
        "{text}"
    );
    // A content's address is as long as it is.
    let fits = |line: &str| line.len() <= 110 || line.contains(" visits  /");
    assert!(text.lines().all(fits), "{text}");
}

#[test]
fn a_target_is_met_within_its_tolerance() {
    for target in [6_000, 40_000] {
        let scenario = Scenario {
            requests_target: target,
            ..Scenario::small()
        };
        let requests = simulate(&scenario)
            .unwrap()
            .filter(|event| event.is_logged())
            .count() as f64;
        assert!(
            (requests / target as f64 - 1.0).abs() < 0.15,
            "{target}: {requests}"
        );
    }
}

#[test]
fn nothing_comes_of_nobody() {
    let scenario = Scenario::default().scaled(0.0);
    assert_eq!(events(&scenario).len(), 0);
    let targeted = Scenario {
        requests_target: 1_000,
        ..scenario
    };
    assert_eq!(events(&targeted).len(), 0);
}

#[test]
fn a_rumour_has_no_parent_and_a_public_link_has_one() {
    let mut scenario = counted();
    let burst = |kind, at_hours| Burst {
        kind,
        at_hours,
        landings: 800.0,
        rise_hours: 0.5,
        ..Burst::default()
    };
    scenario.bursts = vec![
        burst(BurstKind::Rumour, 20.0),
        burst(BurstKind::PublicLink, 60.0),
    ];
    let (mut messages, mut children) = (HashMap::new(), HashMap::new());
    for event in events(&scenario) {
        let truth = &event.truth;
        if !event.is_landing() {
            continue;
        }
        match (truth.cause, truth.parent) {
            (Cause::Message, parent) => {
                assert_eq!((parent, truth.channel), (None, Channel::DarkSocial));
                *messages.entry(truth.content.clone()).or_insert(0) += 1;
            }
            (Cause::Share, Some(parent)) if truth.channel == Channel::Social => {
                let known = children.entry(parent).or_insert((0, truth.carrier));
                known.0 += 1;
                assert_eq!(known.1, truth.carrier);
                if known.0 > 100 && event.request.status != 404 {
                    assert!(truth.token_of.is_some());
                }
            }
            _ => {}
        }
    }
    // Landings cut short have an address of their own.
    assert!(
        messages.len() <= 2 && messages.values().any(|count| *count > 700),
        "{messages:?}"
    );
    let largest = children.values().map(|known| known.0).max();
    assert!(largest.is_some_and(|count| count > 650), "{largest:?}");
}

#[test]
fn what_the_site_sends_comes_to_its_regulars_without_a_trace_and_from_nobody() {
    const AT_HOURS: f64 = 30.5;
    let mut scenario = counted();
    scenario.bursts = vec![Burst {
        kind: BurstKind::Sent,
        at_hours: AT_HOURS,
        landings: 2_000.0,
        rise_hours: 0.0,
        decay_hours: 0.2,
        reproduction: 0.3,
    }];
    let announced = scenario.start.as_millisecond() + (AT_HOURS * 3_600_000.0) as i64;
    let mut contents = HashSet::new();
    let (mut all, mut soon, mut phones) = (0, 0, 0);
    for event in events(&scenario) {
        let truth = &event.truth;
        if !event.is_landing() || truth.cause != Cause::Sent {
            continue;
        }
        assert_eq!(truth.cause.as_str(), "sent");
        assert_eq!((truth.channel, truth.carrier), (Channel::Direct, ""));
        assert_eq!(
            (truth.parent, truth.share, truth.token_of),
            (None, None, None)
        );
        assert_eq!((truth.root, truth.generation), (truth.visit, 0));
        // Newcomers have the numbers after those of the regulars.
        assert!(truth.person.unwrap() < scenario.audience.regulars);
        assert_eq!(event.request.referrer, None);
        // Neither campaign nor token nor anybody's mark.
        assert_eq!(event.request.target, truth.content);
        let client = event.client.as_ref();
        assert!(client.is_none_or(|client| client.fragment.is_none() && client.app.is_none()));
        let agent = event.request.user_agent.as_deref().unwrap();
        let gecko = agent.contains("Gecko/");
        let opened = if gecko { "cross-site" } else { "none" };
        assert_eq!(event.request.headers.sec_fetch_site, Some(opened));
        assert_eq!(event.request.headers.x_requested_with, None);
        assert!(event.time >= announced);
        if event.request.status != 404 {
            contents.insert(truth.content.clone());
        }
        all += 1;
        soon += u32::from(event.time < announced + 12 * 60_000);
        phones += u32::from(agent.contains("Android") || agent.contains("iPhone"));
    }
    // Five standard errors each: of a Poisson count, and of parts of it.
    assert!((1_776..=2_224).contains(&all), "{all}");
    assert_eq!(contents.len(), 1, "{contents:?}");
    for (what, count, wanted) in [
        ("within 1/e", soon, 1.0 - (-1.0f64).exp()),
        ("on phones", phones, 0.85),
    ] {
        let part = f64::from(count) / f64::from(all);
        let error = (wanted * (1.0 - wanted) / f64::from(all)).sqrt();
        assert!((part - wanted).abs() < 5.0 * error, "{what}: {part}");
    }
}
