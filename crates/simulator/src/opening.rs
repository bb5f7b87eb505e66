//! How a link is opened: referrer, browser and fetch metadata of a landing.

use crate::agent::{self, Agent, Engine};
use crate::app::{App, Network};
use crate::dice::Dice;
use crate::event::{Cause, Headers};
use crate::in_app;
use crate::person::Person;
use crate::scenario::Scenario;

/// What hands the address to the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opener {
    /// The address bar, a bookmark.
    Reader,
    /// Another app on the device.
    App,
    /// A link on another web page, with or without a referrer.
    WebPage,
    /// An app's own web view.
    WebView,
    /// A link on this site.
    SameSite,
}

/// The carrier of a link, where one is known to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A private message by an app.
    App(App),
    /// A post in a public place of a messenger: a channel, a server.
    PublicPlace(App),
    /// A post on a public network.
    Network(Network),
    /// Nobody passed it on.
    None,
}

impl Carrier {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Carrier::App(app) | Carrier::PublicPlace(app) => app.as_str(),
            Carrier::Network(network) => network.as_str(),
            Carrier::None => "",
        }
    }

    /// The app that previews and opens the link: the same for a messenger's messages and its public
    /// places.
    pub(crate) fn app(self) -> Option<App> {
        match self {
            Carrier::App(app) | Carrier::PublicPlace(app) => Some(app),
            Carrier::Network(_) | Carrier::None => None,
        }
    }

    /// Whether anyone can read it there.
    pub(crate) fn is_public(self) -> bool {
        matches!(self, Carrier::PublicPlace(_) | Carrier::Network(_))
    }
}

/// How one landing looks from outside.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) agent: Agent,
    pub(crate) opener: Opener,
    pub(crate) referrer: Option<&'static str>,
    /// Engine, assistant, or the name of the carrier.
    pub(crate) name: &'static str,
    /// Parameter that the carrier adds to the address.
    pub(crate) mark: Option<String>,
    pub(crate) mobile: bool,
}

/// Search engines: name, weight, referrer.
const ENGINES: [(&str, f64, &str); 6] = [
    ("google", 86.0, "https://www.google.com/"),
    ("bing", 7.0, "https://www.bing.com/"),
    ("duckduckgo", 3.0, "https://duckduckgo.com/"),
    ("yahoo", 2.0, "https://search.yahoo.com/"),
    ("ecosia", 1.0, "https://www.ecosia.org/"),
    ("yandex", 1.0, "https://yandex.com/"),
];

/// AI assistants: name, weight, referrer, what they append.
const ASSISTANTS: [(&str, f64, &str, &str); 4] = [
    (
        "chatgpt",
        7.0,
        "https://chatgpt.com/",
        "utm_source=chatgpt.com",
    ),
    ("perplexity", 2.0, "https://www.perplexity.ai/", ""),
    ("gemini", 1.0, "https://gemini.google.com/", ""),
    ("copilot", 1.0, "https://copilot.microsoft.com/", ""),
];

/// Other sites, on reserved names.
const SITES: [&str; 8] = [
    "https://blog.example.org/",
    "https://www.example.net/",
    "https://digest.example.com/",
    "https://wiki.example.org/",
    "https://forum.example.net/",
    "https://aggregator.example.com/",
    "https://partner.example.org/",
    "https://university.example.net/",
];

/// Part of what a site sends without tags that is opened on a phone, where most of it arrives: as a
/// push notification or an app's alert. Assumption.
const SENT_ON_PHONES: f64 = 0.85;

const GOOGLE_APP: &str = "android-app://com.google.android.googlequicksearchbox/";

/// How a person opens a link of that cause and carrier. `mobile` overrides the draw of a device.
pub(crate) fn open(
    scenario: &Scenario,
    person: &Person,
    cause: Cause,
    carrier: Carrier,
    mobile: Option<bool>,
    dice: &mut Dice,
) -> Opening {
    let usual = |dice: &mut Dice| mobile.unwrap_or_else(|| dice.chance(scenario.audience.mobile));
    match (carrier, cause) {
        (Carrier::App(app) | Carrier::PublicPlace(app), _) => {
            by_app(scenario, person, app, mobile, dice)
        }
        (Carrier::Network(network), _) => by_network(scenario, person, network, dice),
        (Carrier::None, Cause::Search | Cause::DarkSearch) => {
            let phone = usual(dice);
            let hidden =
                (cause == Cause::DarkSearch).then_some(scenario.openings.dark_search_by_app);
            by_search(person, phone, hidden, dice)
        }
        (Carrier::None, Cause::Assistant) => {
            let phone = usual(dice);
            let (name, _, referrer, mark) =
                ASSISTANTS[dice.pick(ASSISTANTS.iter().map(|entry| entry.1))];
            let mark = (!mark.is_empty()).then(|| mark.to_string());
            let mut opening = plain(person, phone, Opener::WebPage, Some(referrer));
            opening.name = name;
            opening.mark = mark;
            opening
        }
        (Carrier::None, Cause::Referral) => {
            let phone = usual(dice);
            let site = *dice.one_of(&SITES);
            plain(person, phone, Opener::WebPage, Some(site))
        }
        (Carrier::None, Cause::Paid) => {
            let phone = usual(dice);
            by_advertisement(scenario, person, phone, dice)
        }
        (Carrier::None, Cause::Newsletter) => by_newsletter(person, usual(dice), dice),
        (Carrier::None, Cause::Sent) => {
            let phone = mobile.unwrap_or_else(|| dice.chance(SENT_ON_PHONES));
            plain(person, phone, Opener::App, None)
        }
        _ => {
            let phone = usual(dice);
            plain(person, phone, Opener::Reader, None)
        }
    }
}

fn plain(person: &Person, mobile: bool, opener: Opener, referrer: Option<&'static str>) -> Opening {
    let agent = agent::browser(person, mobile);
    Opening {
        agent,
        opener,
        referrer,
        name: "",
        mark: None,
        mobile,
    }
}

/// An advertisement: on a page of results, or inside an app, where the click leaves no referrer.
fn by_advertisement(
    scenario: &Scenario,
    person: &Person,
    mobile: bool,
    dice: &mut Dice,
) -> Opening {
    let in_app = mobile && dice.chance(scenario.openings.paid_in_app);
    if in_app
        && dice.chance(0.3)
        && let Some(agent) = in_app::network_browser(Network::Tiktok, person, dice)
    {
        return Opening {
            agent,
            name: "tiktok",
            mark: Some(format!("ttclid={}", click_id(dice, "E.C.P.", 60))),
            ..plain(person, mobile, Opener::WebView, None)
        };
    }
    let (opener, referrer) = match in_app {
        true => (Opener::App, None),
        false => (Opener::WebPage, Some(ENGINES[0].2)),
    };
    Opening {
        name: "google",
        mark: Some(format!("gclid={}", click_id(dice, "Cj0KCQ", 40))),
        ..plain(person, mobile, opener, referrer)
    }
}

/// `hidden`: where the search leaves no referrer, how probable it is that an app hands it over.
fn by_search(person: &Person, mobile: bool, hidden: Option<f64>, dice: &mut Dice) -> Opening {
    let (name, _, referrer) = ENGINES[dice.pick(ENGINES.iter().map(|entry| entry.1))];
    let mut opening = plain(person, mobile, Opener::WebPage, Some(referrer));
    opening.name = name;
    if let Some(by_app) = hidden {
        // Either an app hands the address over, or the referrer of the page of results is taken off.
        opening.referrer = None;
        opening.opener = if dice.chance(by_app) {
            Opener::App
        } else {
            Opener::WebPage
        };
    } else if mobile && name == "google" && dice.chance(0.12) {
        // The Google app: names itself on iOS, hands over with a package on Android.
        if person.iphone {
            opening.agent.user_agent = in_app::google_app(person);
        } else {
            opening.referrer = Some(GOOGLE_APP);
            opening.opener = Opener::App;
        }
    }
    opening
}

fn by_newsletter(person: &Person, mobile: bool, dice: &mut Dice) -> Opening {
    let (opener, referrer) = mail_opening(mobile, 0.6, 0.2, dice);
    let mut opening = plain(person, mobile, opener, referrer);
    opening.name = "newsletter";
    opening
}

fn mail_opening(
    mobile: bool,
    web_client: f64,
    referrer_kept: f64,
    dice: &mut Dice,
) -> (Opener, Option<&'static str>) {
    let kept = dice.chance(referrer_kept);
    if mobile {
        let package = *dice.one_of(&[
            "android-app://com.google.android.gm/",
            "android-app://com.microsoft.office.outlook/",
        ]);
        return (Opener::App, kept.then_some(package));
    }
    let hosts = [
        "https://mail.google.com/",
        "https://outlook.live.com/",
        "https://mail.yahoo.com/",
        "https://deref-gmx.net/",
        "https://deref-web.de/",
        "https://eur02.safelinks.protection.outlook.com/",
        "https://mail.proton.me/",
    ];
    let host = *dice.one_of(&hosts);
    let web = kept || dice.chance(web_client);
    (
        if web { Opener::WebPage } else { Opener::App },
        kept.then_some(host),
    )
}

fn by_app(
    scenario: &Scenario,
    person: &Person,
    app: App,
    mobile: Option<bool>,
    dice: &mut Dice,
) -> Opening {
    // The map holds every app that shares are drawn from; an absent one carries nothing.
    let Some(how) = scenario.apps.get(&app) else {
        return plain(person, mobile.unwrap_or(true), Opener::App, None);
    };
    let mobile = mobile.unwrap_or_else(|| dice.chance(how.mobile));
    let mut opening = if app == App::Mail {
        let (opener, referrer) = mail_opening(mobile, how.web_client, how.referrer_kept, dice);
        // `android-app://` comes from Android only.
        let referrer = referrer.filter(|_| !(mobile && person.iphone));
        plain(person, mobile, opener, referrer)
    } else if mobile {
        let view = if dice.chance(how.in_app_browser) {
            in_app::app_browser(app, person, dice)
        } else {
            None
        };
        let kept = dice.chance(how.referrer_kept);
        let referrer = kept
            .then(|| app_referrer(app, person.iphone, dice))
            .flatten();
        match view {
            Some(agent) => Opening {
                agent,
                opener: Opener::WebView,
                referrer,
                name: "",
                mark: None,
                mobile,
            },
            None => {
                let shim = referrer.is_some_and(|referrer| referrer.starts_with("https"));
                let opener = if shim { Opener::WebPage } else { Opener::App };
                plain(person, mobile, opener, referrer)
            }
        }
    } else {
        let kept = dice.chance(how.referrer_kept);
        let referrer = kept.then(|| web_referrer(app, dice)).flatten();
        let web = referrer.is_some() || dice.chance(how.web_client);
        plain(
            person,
            mobile,
            if web { Opener::WebPage } else { Opener::App },
            referrer,
        )
    };
    opening.name = app.as_str();
    opening.mark = match app {
        App::Messenger if dice.chance(0.6) => Some(facebook_click(dice)),
        App::Instagram if dice.chance(0.7) => Some(facebook_click(dice)),
        App::Wechat => {
            let audience = *dice.one_of(&["singlemessage", "singlemessage", "groupmessage"]);
            Some(format!("from={audience}&isappinstalled=0"))
        }
        _ => None,
    };
    opening
}

/// Referrer of a phone click that keeps one.
fn app_referrer(app: App, iphone: bool, dice: &mut Dice) -> Option<&'static str> {
    let package = match app {
        App::Whatsapp => "android-app://com.whatsapp/",
        App::Telegram => "android-app://org.telegram.messenger/",
        App::Messenger => "android-app://com.facebook.orca/",
        App::Slack => "android-app://com.slack/",
        App::Discord => "android-app://com.discord/",
        App::Instagram => "android-app://com.instagram.android/",
        App::Wechat => "android-app://com.tencent.mm/",
        _ => return web_referrer(app, dice),
    };
    let shim = matches!(app, App::Messenger | App::Instagram);
    if iphone || (shim && dice.chance(0.9)) {
        web_referrer(app, dice)
    } else {
        Some(package)
    }
}

/// Referrer of the app's web client or link shim.
fn web_referrer(app: App, dice: &mut Dice) -> Option<&'static str> {
    Some(match app {
        App::Whatsapp => *dice.one_of(&["https://web.whatsapp.com/", "https://l.wl.co/"]),
        App::Messenger => *dice.one_of(&["https://l.messenger.com/", "https://www.messenger.com/"]),
        App::Telegram => *dice.one_of(&["https://web.telegram.org/", "https://t.me/"]),
        App::Instagram => "https://l.instagram.com/",
        App::Slack => "https://app.slack.com/",
        App::Teams => *dice.one_of(&[
            "https://statics.teams.cdn.office.net/",
            "https://teams.microsoft.com/",
        ]),
        App::Discord => "https://discord.com/",
        App::Wechat => "https://open.weixin.qq.com/",
        App::Twitter => "https://t.co/",
        App::Linkedin => *dice.one_of(&["https://www.linkedin.com/", "https://lnkd.in/"]),
        _ => return None,
    })
}

fn by_network(scenario: &Scenario, person: &Person, network: Network, dice: &mut Dice) -> Opening {
    let how = scenario.networks.get(&network);
    let mobile = dice.chance(how.map_or(0.5, |how| how.mobile));
    let kept = dice.chance(how.map_or(0.0, |how| how.referrer_kept));
    let view = if mobile && dice.chance(how.map_or(0.0, |how| how.in_app_browser)) {
        in_app::network_browser(network, person, dice)
    } else {
        None
    };
    let referrers: &[&'static str] = match network {
        Network::Facebook if mobile => &["https://m.facebook.com/", "https://lm.facebook.com/"],
        Network::Facebook => &["https://l.facebook.com/", "https://www.facebook.com/"],
        Network::Twitter => &["https://t.co/"],
        Network::Reddit => &["https://www.reddit.com/", "https://out.reddit.com/"],
        Network::Linkedin => &["https://www.linkedin.com/", "https://lnkd.in/"],
        Network::Bluesky => &["https://bsky.app/", "https://go.bsky.app/"],
        Network::Mastodon => &["https://mastodon.social/"],
        Network::Pinterest => &["https://www.pinterest.com/"],
        Network::Tiktok => &["https://www.tiktok.com/"],
        Network::Instagram => &["https://l.instagram.com/"],
    };
    let referrer = kept.then(|| *dice.one_of(referrers));
    let marks = match network {
        Network::Facebook => 0.9,
        // As its messages.
        Network::Instagram => 0.7,
        _ => 0.0,
    };
    let mark = dice.chance(marks).then(|| facebook_click(dice));
    let mut opening = match view {
        Some(agent) => Opening {
            agent,
            opener: Opener::WebView,
            referrer,
            name: "",
            mark: None,
            mobile,
        },
        None if mobile && referrer.is_none() => plain(person, mobile, Opener::App, None),
        None => plain(person, mobile, Opener::WebPage, referrer),
    };
    opening.name = network.as_str();
    opening.mark = mark;
    opening
}

fn facebook_click(dice: &mut Dice) -> String {
    format!("fbclid={}", click_id(dice, "IwAR", 54))
}

fn click_id(dice: &mut Dice, head: &str, length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(head.len() + length);
    text.push_str(head);
    let mut bits = 0;
    for place in 0..length {
        if place % 10 == 0 {
            bits = dice.bits();
        }
        text.push(char::from(LETTERS[(bits & 63) as usize]));
        bits >>= 6;
    }
    text
}

/// Fetch metadata and client hints of a page load.
pub(crate) fn headers(agent: &Agent, opener: Opener, dice: &mut Dice) -> Headers {
    let site = match (opener, agent.engine) {
        (Opener::SameSite, _) => "same-origin",
        (Opener::WebPage, _) => "cross-site",
        // Chrome says none for an open from another app, Firefox cross-site; Safari is not
        // established and follows Chrome.
        (Opener::App, Engine::Gecko) => "cross-site",
        (Opener::Reader | Opener::App | Opener::WebView, _) => "none",
    };
    let user = match opener {
        Opener::Reader | Opener::WebPage | Opener::SameSite => true,
        // Not established for opens from apps: an even draw, so that nothing is learned from it.
        Opener::App | Opener::WebView => dice.chance(0.5),
    };
    Headers {
        sec_fetch_site: Some(site),
        sec_fetch_mode: Some("navigate"),
        sec_fetch_dest: Some("document"),
        sec_fetch_user: user.then_some("?1"),
        sec_ch_ua: agent.sec_ch_ua.clone(),
        x_requested_with: agent.x_requested_with,
        ..Headers::default()
    }
}
