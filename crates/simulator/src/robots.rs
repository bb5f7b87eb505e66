//! Visitors that are no people: crawlers, tools, probes and disguised robots.

use std::sync::Arc;

use crate::dice::Dice;
use crate::event::{Actor, Cause, EventKind, Headers};
use crate::person::{hosting, robot_server};
use crate::simulation::{Draft, Simulation};
use crate::unread::machine;

/// Pages a robot fetches in one go, on average.
const PAGES: f64 = 6.0;

/// Names and user agents by kind, in the order of `Robots::rates`.
const SEARCH: [(&str, &str); 5] = [
    (
        "googlebot",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ),
    (
        "googlebot",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, \
         like Gecko) Chrome/143.0.7499.40 Mobile Safari/537.36 (compatible; Googlebot/2.1; \
         +http://www.google.com/bot.html)",
    ),
    (
        "bingbot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; \
         +http://www.bing.com/bingbot.htm) Chrome/136.0.0.0 Safari/537.36",
    ),
    (
        "yandexbot",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    ),
    (
        "applebot",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
         Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    ),
];
const AI: [(&str, &str); 6] = [
    (
        "gptbot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; \
         +https://openai.com/gptbot)",
    ),
    (
        "claudebot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    ),
    (
        "perplexitybot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; PerplexityBot/1.0; \
         +https://perplexity.ai/perplexitybot)",
    ),
    ("ccbot", "CCBot/2.0 (https://commoncrawl.org/faq/)"),
    (
        "meta-externalagent",
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    ),
    (
        "bytespider",
        "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile \
         Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
    ),
];
const SEO: [(&str, &str); 4] = [
    (
        "ahrefsbot",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    ),
    (
        "semrushbot",
        "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    ),
    (
        "mj12bot",
        "Mozilla/5.0 (compatible; MJ12bot/v2.0.2; http://mj12bot.com/)",
    ),
    (
        "dotbot",
        "Mozilla/5.0 (compatible; DotBot/1.2; +https://opensiteexplorer.org/dotbot)",
    ),
];
const TOOLS: [(&str, &str); 6] = [
    ("curl", "curl/8.5.0"),
    ("python-requests", "python-requests/2.32.3"),
    ("go-http-client", "Go-http-client/2.0"),
    (
        "uptimerobot",
        "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    ),
    (
        "feedly",
        "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 214 subscribers)",
    ),
    ("scrapy", "Scrapy/2.11.2 (+https://scrapy.org)"),
];
const PROBES: [(&str, &str); 4] = [
    ("probe", "Mozilla/5.0 zgrab/0.x"),
    ("probe", "() { :; }; echo \"probe\""),
    (
        "probe",
        "Mozilla/5.0 (Windows NT 10.0) \\x22caf\u{e9}\\x22\ttab",
    ),
    ("probe", ""),
];
const PROBED: [&str; 8] = [
    "/wp-login.php",
    "/.env",
    "/xmlrpc.php",
    "/.git/config",
    "/admin/",
    "/cgi-bin/luci",
    "/?q=%22%3E%3Cscript%3E",
    "/\"><probe>",
];
/// What scanners of ports send to a web server instead of HTTP.
const GARBAGE: [&str; 3] = [
    "\u{16}\u{3}\u{1}",
    "\u{3}\u{0}\u{0}/*\u{0}",
    "MGLNDD_198.51.100.7_443",
];
const DISGUISED: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     HeadlessChrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/14.1.2 Safari/605.1.15",
];

/// Draws the crawls of each kind that begin within a slot.
pub(crate) fn begin_crawls(simulation: &mut Simulation, slot_start: i64, slot_ms: i64) {
    for (kind, (_, per_day)) in simulation.scenario.robots.rates().into_iter().enumerate() {
        let sessions = per_day / PAGES * slot_ms as f64 / 86_400_000.0;
        for _ in 0..simulation.dice.poisson(sessions) {
            let begin = slot_start + simulation.dice.between(0, slot_ms - 1);
            crawl(simulation, kind, begin);
        }
    }
}

fn crawl(simulation: &mut Simulation, kind: usize, begin: i64) {
    let dice = &mut simulation.dice;
    let families: [&[(&'static str, &'static str)]; 5] = [&SEARCH, &AI, &SEO, &TOOLS, &PROBES];
    let (name, agent, address) = match families.get(kind) {
        Some(family) => {
            let which = dice.below(family.len() as u64) as usize;
            let (name, agent) = family[which];
            (name, agent, robot_server(kind * 8 + which, dice))
        }
        None => ("disguised", *dice.one_of(&DISGUISED), hosting(dice)),
    };
    let user_agent: Option<Arc<str>> = (!agent.is_empty()).then(|| agent.into());
    // Geometric with that mean, so that the number of requests a day is the scenario's.
    let mut pages = 1;
    while dice.chance(1.0 - 1.0 / PAGES) {
        pages += 1;
    }
    let polite = kind <= 2 && dice.chance(0.25);
    let mut time = begin;
    for page in 0..pages {
        let draft = if polite && page == 0 {
            file("/robots.txt", EventKind::Asset, 200, 180)
        } else if kind == 4 {
            probe(&mut simulation.dice)
        } else {
            article(simulation, kind)
        };
        let truth = machine(Actor::Robot, Cause::Crawl, name, content_of(&draft.target));
        let draft = Draft {
            address: Some(address),
            user_agent: user_agent.clone(),
            ..draft
        };
        simulation.emit(time, draft, None, truth);
        time += simulation.dice.between(400, 24_000);
    }
}

fn content_of(target: &Arc<str>) -> Arc<str> {
    match target.split_once('?') {
        Some((path, _)) => path.into(),
        None => target.clone(),
    }
}

fn file(target: &str, kind: EventKind, status: u16, bytes: u32) -> Draft {
    Draft {
        kind,
        target: target.into(),
        status,
        bytes,
        ..Draft::page()
    }
}

fn probe(dice: &mut Dice) -> Draft {
    if dice.chance(0.15) {
        let garbage = *dice.one_of(&GARBAGE);
        return Draft {
            method: "",
            ..file(garbage, EventKind::Asset, 400, 150)
        };
    }
    let method = if dice.chance(0.2) { "POST" } else { "GET" };
    let target = *dice.one_of(&PROBED);
    Draft {
        method,
        ..file(target, EventKind::Page, 404, 548)
    }
}

fn article(simulation: &mut Simulation, kind: usize) -> Draft {
    let dice = &mut simulation.dice;
    let page = match dice.below(10) {
        0 => 0,
        1 => simulation.catalogue.pick_section(dice),
        2..=5 => simulation.catalogue.pick_lasting(dice),
        _ => simulation.catalogue.pick_fresh(dice),
    };
    let content = simulation.catalogue.page(page);
    let mut draft = file(&content.path, EventKind::Page, 200, content.bytes);
    draft.target = content.path.clone();
    if kind == 3 && simulation.dice.chance(0.3) {
        draft.method = "HEAD";
        draft.bytes = 0;
    }
    if kind == 0 && simulation.dice.chance(0.1) {
        (draft.status, draft.bytes) = (304, 0);
    }
    if kind == 5 {
        // Automation drives a browser and sends what one sends, but no activation by a person.
        draft.headers = Headers {
            sec_fetch_site: Some("none"),
            sec_fetch_mode: Some("navigate"),
            sec_fetch_dest: Some("document"),
            ..Headers::default()
        };
        draft.language = Some("en-US,en;q=0.9".into());
    }
    draft
}
