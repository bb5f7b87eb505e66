use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use grapevine_event::Channel;
use grapevine_simulator::{Actor, Cause, Event, EventKind, Scenario};

use crate::{COUNTED, SMALL, counted, events};

fn agent(event: &Event) -> &str {
    event.request.user_agent.as_deref().unwrap_or("")
}

fn is_test_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => matches!(
            v4.octets(),
            [198, 18 | 19, ..] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]
        ),
        IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0x0db8],
    }
}

#[test]
fn addresses_are_of_ranges_that_nobody_has() {
    let events = &*COUNTED;
    assert!(
        events
            .iter()
            .all(|event| is_test_address(event.request.address))
    );
    assert!(events.iter().any(|event| event.request.address.is_ipv6()));
}

#[test]
fn previews_name_themselves_and_come_from_the_right_side() {
    let mut sharer_at = HashMap::new();
    let mut seen = HashSet::new();
    for event in COUNTED.iter() {
        if event.is_share_act() {
            sharer_at.insert(event.truth.visit, event.request.address);
        }
        if event.truth.actor != Actor::Preview || event.kind != EventKind::Page {
            continue;
        }
        let text = agent(event);
        let expected = match event.truth.carrier {
            "whatsapp" => "WhatsApp/2.",
            "signal" => "WhatsApp/2",
            "telegram" => "TelegramBot (like TwitterBot)",
            "imessage" => "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1)",
            "messenger" | "instagram" | "facebook" => "facebookexternalhit/1.1 (+",
            "slack" => "Slackbot-LinkExpanding 1.0",
            "line" => "facebookexternalhit/1.1;line-poker/1.0",
            "kakaotalk" => "facebookexternalhit/1.1; kakaotalk-scrap/1.0",
            "sms" => "GoogleMessages/20.2 facebookexternalhit",
            "mastodon" => "Mastodon/",
            "twitter" => "Twitterbot/1.0",
            _ => "",
        };
        assert!(
            text.starts_with(expected),
            "{} sends {text}",
            event.truth.carrier
        );
        seen.insert(event.truth.carrier);
        let from_sharer = sharer_at[&event.truth.visit] == event.request.address;
        match event.truth.carrier {
            "whatsapp" | "signal" | "imessage" | "viber" => assert!(from_sharer),
            // Google Messages: not established, drawn evenly.
            "sms" => {}
            _ => assert!(!from_sharer && event.request.address.to_string().starts_with("192.0.2.")),
        }
        assert_eq!(text == "WhatsApp/2", event.truth.carrier == "signal");
        assert_eq!(event.request.headers.sec_fetch_mode, None);
        assert_eq!(event.request.language, None);
        let ranged = matches!(
            event.truth.carrier,
            "messenger" | "instagram" | "facebook" | "slack"
        );
        assert_eq!(event.request.headers.range.is_some(), ranged);
    }
    assert!(seen.len() >= 16, "{seen:?}");
    assert!(!seen.contains("wechat"), "WeChat fetches no previews");
}

#[test]
fn telegram_and_signal_fetch_a_ladder_while_a_link_is_typed() {
    let mut scenario = counted();
    for how in scenario.apps.values_mut() {
        how.typed_link = 0.5;
    }
    let mut ladders: HashMap<Option<u64>, Vec<Event>> = HashMap::new();
    for event in events(&scenario) {
        if event.truth.actor == Actor::Preview && event.request.status == 404 {
            assert!(
                matches!(event.truth.carrier, "telegram" | "signal"),
                "{event:?}"
            );
            ladders.entry(event.truth.share).or_default().push(event);
        }
    }
    assert!(ladders.len() > 20, "{}", ladders.len());
    for steps in ladders.values() {
        assert!((3..=8).contains(&steps.len()));
        assert!(steps.last().unwrap().time - steps[0].time < 2_500);
        for pair in steps.windows(2) {
            assert!(pair[1].request.target.starts_with(&*pair[0].request.target));
        }
        assert!(
            steps
                .iter()
                .all(|step| step.truth.content.starts_with(&*step.request.target))
        );
    }
}

#[test]
fn in_app_browsers_and_default_browsers_look_as_each_app_does() {
    let mut seen: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut scenario = counted();
    scenario.sharing.reproduction = 0.8;
    for event in events(&scenario) {
        if !event.is_landing() || event.truth.cause != Cause::Share {
            continue;
        }
        let text = agent(&event);
        let marks: &[&str] = match event.truth.carrier {
            "whatsapp" => &["WA4A/", "WAiOS/"],
            "messenger" => &[
                "FBAN/MessengerForiOS",
                "FB_IAB/Orca-Android",
                "MetaIAB Messenger",
            ],
            "instagram" => &["Instagram 393"],
            "line" => &["Line/15"],
            "kakaotalk" => &["KAKAOTALK"],
            "wechat" => &["MicroMessenger/"],
            "signal" | "imessage" | "sms" | "mail" | "discord" | "teams" | "slack" | "telegram" => {
                for mark in [
                    "WA4A", "WAiOS", "FBAN", "FB_IAB", "MetaIAB", "Line/", "; wv)",
                ] {
                    assert!(!text.contains(mark), "{} sends {text}", event.truth.carrier);
                }
                continue;
            }
            _ => continue,
        };
        let entry = seen.entry(event.truth.carrier).or_default();
        entry.0 += usize::from(marks.iter().any(|mark| text.contains(mark)));
        entry.1 += 1;
        // WhatsApp's own browser breaks both classic rules.
        if event.truth.carrier == "whatsapp" {
            assert!(!text.contains("wv)"), "{text}");
            assert!(
                !text.contains("WAiOS") || text.contains("Safari/604.1 [WAiOS/"),
                "{text}"
            );
            assert_eq!(event.request.referrer, None);
        }
        if event.truth.carrier == "wechat" && event.request.status != 404 {
            assert!(event.request.target.contains("isappinstalled=0"));
        }
    }
    for (app, low, high) in [
        ("whatsapp", 0.2, 0.4),
        ("messenger", 0.5, 0.75),
        ("wechat", 0.8, 1.0),
    ] {
        let (marked, all) = seen[app];
        assert!(
            (low..=high).contains(&(marked as f64 / all as f64)),
            "{app}: {marked} of {all}"
        );
    }
}

#[test]
fn telegram_leaves_no_token_but_script_sees_it() {
    let mut by_script = 0;
    for event in COUNTED.iter() {
        if event.is_landing() && event.truth.carrier == "telegram" {
            assert!(!agent(event).contains("Telegram"));
            let app = event.client.as_ref().and_then(|client| client.app);
            by_script += u32::from(app == Some("telegram"));
            if app.is_some() && agent(event).contains("Android") {
                // A full build number without `wv`: what user agent reduction never gives.
                assert!(
                    !agent(event).contains(".0.0.0 ") && !agent(event).contains("Android 10; K")
                );
            }
        }
    }
    assert!(by_script > 20, "{by_script}");
}

/// Everything by the two messengers with public places, half of it there.
fn half_in_public_places() -> Scenario {
    let mut scenario = counted();
    scenario.sharing.reproduction = 0.5;
    scenario.sharing.public = 0.0;
    scenario.apps.retain(|app, _| app.has_public_places());
    for how in scenario.apps.values_mut() {
        (how.weight, how.public) = (1.0, 0.5);
    }
    scenario
}

/// Counts on the private side and on the public one.
type Sides = [usize; 2];

/// Whether a part of the one side is a part of the other, but for chance.
fn alike(what: &str, some: Sides, all: Sides) {
    let [private, public] = [0, 1].map(|side| some[side] as f64 / all[side] as f64);
    let [one, other] = all.map(|count| 1.0 / count as f64);
    let part = (some[0] + some[1]) as f64 / (all[0] + all[1]) as f64;
    let error = (part * (1.0 - part) * (one + other)).sqrt();
    // Of the rarest, chance is a reader or two.
    let limit = 5.0 * error + 2.0 * one.max(other);
    assert!(
        (private - public).abs() < limit,
        "{what}: {some:?} of {all:?}"
    );
}

#[test]
fn public_places_of_messengers_look_as_their_messages_do() {
    let mut landings: HashMap<&str, Sides> = HashMap::new();
    let mut marks: HashMap<(&str, String), Sides> = HashMap::new();
    for event in events(&half_in_public_places()) {
        let app = event.truth.carrier;
        if !event.is_landing() || !["telegram", "discord"].contains(&app) {
            continue;
        }
        let side = usize::from(event.truth.channel == Channel::Social);
        landings.entry(app).or_default()[side] += 1;
        let headers = &event.request.headers;
        let family: String = agent(&event)
            .chars()
            .filter(|letter| !letter.is_ascii_digit())
            .collect();
        let script = event.client.as_ref().and_then(|client| client.app);
        let hint = headers.sec_ch_ua.as_deref().unwrap_or("");
        for mark in [
            format!("referrer {:?}", event.request.referrer),
            format!("agent {family}"),
            format!("web view {}", hint.contains("Android WebView")),
            format!("site {:?}", headers.sec_fetch_site),
            format!("user {:?}", headers.sec_fetch_user),
            format!("package {:?}", headers.x_requested_with),
            format!("script {script:?}"),
        ] {
            marks.entry((app, mark)).or_default()[side] += 1;
        }
    }
    for app in ["telegram", "discord"] {
        assert!(landings[app].iter().all(|count| *count > 1_000), "{app}");
    }
    for ((app, mark), some) in &marks {
        alike(&format!("{app}, {mark}"), *some, landings[app]);
    }
    let seen = |app: &'static str, mark: &str| marks.contains_key(&(app, mark.to_owned()));
    assert!(seen("telegram", "script Some(\"telegram\")"));
    assert!(seen("telegram", "package Some(\"org.telegram.messenger\")"));
    let from = "referrer Some(\"https://web.telegram.org/\")";
    assert!(seen("telegram", from) && !seen("discord", from));
}

#[test]
fn previews_of_public_places_are_those_of_messages() {
    let mut side_of = HashMap::new();
    let (mut acts, mut fetched) = ([0; 2], [0; 2]);
    let mut ways: [HashSet<_>; 2] = Default::default();
    let mut known = HashSet::new();
    for event in events(&half_in_public_places()) {
        let truth = &event.truth;
        if event.is_share_act() {
            let side = usize::from(truth.channel == Channel::Social);
            side_of.insert(truth.share, side);
            acts[side] += usize::from(!truth.forwarded);
        }
        // What is never sent has no act.
        if truth.actor != Actor::Preview || event.kind != EventKind::Page {
            continue;
        }
        let Some(side) = side_of.get(&truth.share).copied() else {
            assert_eq!(truth.cause, Cause::Unsent);
            continue;
        };
        fetched[side] += usize::from(known.insert(truth.share));
        let ladder = event.request.status == 404;
        ways[side].insert((truth.carrier, agent(&event).to_owned(), ladder));
    }
    assert!(acts.iter().all(|count| *count > 200), "{acts:?}");
    alike("acts with a preview", fetched, acts);
    let telegram = "TelegramBot (like TwitterBot)";
    let discord = "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)";
    let wanted = HashSet::from([
        ("telegram", telegram.to_owned(), false),
        ("telegram", telegram.to_owned(), true),
        ("discord", discord.to_owned(), false),
    ]);
    assert_eq!(ways, [wanted.clone(), wanted]);
}

#[test]
fn fetch_metadata_tells_browsers_apart() {
    let mut opened = (0, 0);
    for event in COUNTED.iter() {
        if !event.is_visit() {
            continue;
        }
        let headers = &event.request.headers;
        let site = headers.sec_fetch_site.unwrap();
        let gecko = agent(event).contains("Gecko/");
        assert_eq!(
            headers.sec_ch_ua.is_some(),
            agent(event).contains("Chrome/"),
            "{}",
            agent(event)
        );
        match event.truth.cause {
            Cause::Internal => assert_eq!(site, "same-origin"),
            Cause::Typed | Cause::Bookmark | Cause::Return => {
                assert_eq!((site, headers.sec_fetch_user), ("none", Some("?1")));
            }
            Cause::Search => assert!(event.request.referrer.is_some()),
            Cause::Share if event.truth.carrier == "signal" => {
                assert_eq!(site, if gecko { "cross-site" } else { "none" });
                if gecko { opened.0 += 1 } else { opened.1 += 1 }
            }
            _ => {}
        }
    }
    assert!(opened.0 > 3 && opened.1 > 30, "{opened:?}");
}

#[test]
fn apple_messages_strips_click_ids_and_keeps_campaigns() {
    let mut scenario = counted();
    scenario.sharing.reproduction = 0.8;
    scenario.tokens.attached = 1.0;
    let (mut campaigns, mut elsewhere) = (0, 0);
    for event in events(&scenario) {
        if !event.is_landing() || event.truth.cause != Cause::Share {
            continue;
        }
        let target = &event.request.target;
        if event.truth.carrier == "imessage" {
            assert!(
                !target.contains("fbclid=") && !target.contains("gclid="),
                "{target}"
            );
            campaigns += u32::from(target.contains("utm_source=newsletter"));
        }
        elsewhere += u32::from(event.truth.carrier == "whatsapp" && target.contains("fbclid="));
        assert!(target.matches("fbclid=").count() <= 1, "{target}");
    }
    assert!(campaigns > 0 && elsewhere > 0, "{campaigns} {elsewhere}");
}

#[test]
fn robots_load_no_assets_and_scanners_come_before_the_reader() {
    let mut first_read = HashMap::new();
    let (mut robots_txt, mut scans, mut malformed, mut prefetches) = (0, 0, 0, 0);
    // Links of a mail that one machine opens, by user agent: the last, and how many so far.
    let mut mails: HashMap<_, (i64, u32)> = HashMap::new();
    let mut bursts = 0;
    for event in COUNTED.iter() {
        let share = event.truth.share;
        match event.truth.actor {
            Actor::Robot => {
                let target = &event.request.target;
                assert!(!target.contains("/assets/") && !target.contains("/media/"));
                robots_txt += u32::from(&**target == "/robots.txt");
                malformed += u32::from(event.request.method.is_empty());
            }
            Actor::Scanner => {
                scans += 1;
                assert!(event.request.address.to_string().starts_with("203.0.113."));
                assert!(share.is_none() || !first_read.contains_key(&share));
                let machine = (event.request.address, event.request.user_agent.clone());
                let (last, links) = mails.entry(machine).or_default();
                *links = if event.time - *last <= 1_000 {
                    *links + 1
                } else {
                    1
                };
                *last = event.time;
                bursts += u32::from(*links == 3);
            }
            Actor::Prefetch => prefetches += 1,
            Actor::Person if event.is_visit() && share.is_some() => {
                first_read.entry(share).or_insert(event.time);
            }
            _ => {}
        }
    }
    assert!(
        robots_txt > 20 && scans > 50 && malformed > 5 && prefetches > 0 && bursts > 20,
        "{robots_txt} {scans} {malformed} {prefetches} {bursts}"
    );
}

#[test]
fn people_load_assets_with_the_page_as_referrer() {
    let mut pages = HashMap::new();
    for event in SMALL.iter() {
        let visit = event.truth.visit;
        if event.is_visit() {
            pages.insert(
                visit,
                format!("https://news.example{}", event.request.target),
            );
        } else if event.kind == EventKind::Asset && event.truth.actor == Actor::Person {
            assert_eq!(
                event.request.referrer.as_deref(),
                pages.get(&visit).map(String::as_str)
            );
        }
    }
    assert!(pages.len() > 500);
}

#[test]
fn servers_remember_what_they_fetched() {
    let mut scenario = counted();
    // In the fragment the token is no part of the address, so that shares meet in the cache.
    scenario.tokens.place = grapevine_simulator::TokenPlace::Fragment;
    let mut last: HashMap<(&str, String), i64> = HashMap::new();
    let mut discord = 0;
    for event in events(&scenario) {
        if event.truth.actor == Actor::Preview && event.kind == EventKind::Page {
            let key = (event.truth.carrier, event.request.target.to_string());
            let before = last.insert(key, event.time);
            if event.truth.carrier == "discord" {
                discord += 1;
                assert!(before.is_none_or(|before| event.time - before >= 25 * 60_000));
            }
        }
    }
    assert!(discord > 5, "{discord}");
}
