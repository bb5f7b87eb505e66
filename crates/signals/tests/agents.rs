//! Who is who: the preview fetchers and the people that public lists mix up.

use grapevine_signals::{
    AgentKind, Device, FetchAddress, FetchTime, RobotPurpose, Signals, Surface,
};

/// Fetchers that hide in each other's names, as seen in logs, with the app that fetches.
const FETCHERS: [(&str, &str); 21] = [
    ("WhatsApp/2.24.20.83 A", "whatsapp"),
    ("WhatsApp/2.19.92 i", "whatsapp"),
    ("WhatsApp/2", "signal"),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "imessage",
    ),
    (
        "GoogleMessages/20.2 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "google-messages",
    ),
    ("facebookexternalhit/1.1;line-poker/1.0", "line"),
    (
        "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
        "kakaotalk",
    ),
    (
        "kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984",
        "kakaotalk",
    ),
    (
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "meta",
    ),
    ("TelegramBot (like TwitterBot)", "telegram"),
    (
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "slack",
    ),
    (
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "discord",
    ),
    ("Viber", "viber"),
    ("ViberUrlDownloader", "viber"),
    (
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
        "teams",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Safari/537.36 Edg/112.0.1722.39 MicrosoftPreview/2.0 +https://aka.ms/MicrosoftPreview",
        "microsoft-365",
    ),
    (
        "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
        "bluesky",
    ),
    (
        "Mozilla/5.0 (compatible; ZulipURLPreview/8.2; +https://chat.example.org)",
        "zulip",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/41.0.2227.0 Safari/537.36 Rocket.Chat/6.5.0",
        "rocket-chat",
    ),
    (
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "linkedin",
    ),
    ("Twitterbot/1.0", "twitter"),
];

/// People whom lists take for robots, or whose app is easily mistaken, with the app if marked.
const PEOPLE: [(&str, Option<&str>); 16] = [
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 MetaIAB Facebook",
        Some("facebook"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.124 Mobile Safari/537.36 MetaIAB Instagram",
        Some("instagram"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]",
        Some("whatsapp"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.7390.124 Mobile Safari/537.36 [WA4A/2.25.32.75;]",
        Some("whatsapp"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; SM-G960F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/80.0.3987.99 Mobile Safari/537.36 Viber/11.9.5.8",
        Some("viber"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]",
        Some("pinterest"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/MessengerForiOS;FBAV/480.0.0.32.104]",
        Some("messenger"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.124 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/510.0.0.47.106;IABMV/1;]",
        Some("facebook"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/15.12.0",
        Some("line"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.124 Mobile Safari/537.36;KAKAOTALK 2409760",
        Some("kakaotalk"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/334.0.674067880 Mobile/15E148 Safari/604.1",
        Some("google"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.6668.100 Mobile Safari/537.36",
        None,
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        None,
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        None,
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
        None,
    ),
    (
        "Mozilla/5.0 (Linux; U; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.93 Mobile Safari/537.36",
        None,
    ),
];

#[test]
fn fetchers_that_share_a_name_are_told_apart() {
    let signals = Signals::builtin();
    for (agent, app) in FETCHERS {
        assert_eq!(
            signals.agent(agent).share().map(|f| f.app.as_str()),
            Some(app),
            "{agent}"
        );
    }
}

#[test]
fn no_person_is_taken_for_a_machine() {
    let signals = Signals::builtin();
    for (text, app) in PEOPLE {
        let agent = signals.agent(text);
        assert!(agent.is_person(), "{:?}: {text}", agent.kind);
        assert_eq!(agent.in_app.map(|b| b.app.as_str()), app, "{text}");
    }
}

#[test]
fn a_fetch_tells_whose_address_it_comes_from() {
    let signals = Signals::builtin();
    let address = |text| signals.agent(text).share().map(|f| f.address);
    assert_eq!(address("WhatsApp/2.24.20.83 A"), Some(FetchAddress::Sender));
    assert_eq!(address("WhatsApp/2"), Some(FetchAddress::Sender));
    assert_eq!(
        address("TelegramBot (like TwitterBot)"),
        Some(FetchAddress::Server)
    );
    // Nobody documents whether the phone or a server fetches.
    assert_eq!(address("Viber"), Some(FetchAddress::Unknown));
}

#[test]
fn a_fetcher_of_several_apps_names_none_of_them() {
    let signals = Signals::builtin();
    for (text, app) in [
        ("facebookexternalhit/1.1", "meta"),
        (
            "Mozilla/5.0 (Windows NT 6.1; rv:6.0) Gecko/20110814 Firefox/6.0 Google (+https://developers.google.com/+/web/snippet/)",
            "google-services",
        ),
    ] {
        let fetcher = signals.agent(text).share().expect(text);
        assert_eq!(
            (fetcher.app.as_str(), fetcher.surface, fetcher.when),
            (app, Surface::Unknown, FetchTime::Unknown),
            "{text}"
        );
    }
}

#[test]
fn metas_crawlers_are_no_shares() {
    let signals = Signals::builtin();
    for (text, purpose) in [
        (
            "meta-externalagent/1.1 (+https://developers.facebook.com/docs)",
            RobotPurpose::AiTraining,
        ),
        (
            "meta-webindexer/1.1 (+https://developers.facebook.com/docs)",
            RobotPurpose::AiSearch,
        ),
        ("meta-externalads/1.1", RobotPurpose::Ads),
        ("meta-externalfetcher/1.1", RobotPurpose::AiAssistant),
    ] {
        let agent = signals.agent(text);
        assert!(agent.share().is_none(), "{text}");
        assert_eq!(agent.robot().map(|r| r.purpose), Some(purpose), "{text}");
    }
}

#[test]
fn one_app_is_private_the_other_not_known() {
    let signals = Signals::builtin();
    let surface = |at: usize| signals.agent(PEOPLE[at].0).in_app.map(|b| b.surface);
    assert_eq!(surface(6), Some(Surface::Private), "Messenger");
    // Feed, groups and the chats of facebook.com alike.
    assert_eq!(surface(7), Some(Surface::Unknown), "Facebook");
    assert_eq!(surface(1), Some(Surface::Unknown), "Instagram");
}

/// A rule that its author calls experimental holds for the versions that it was made from, and says
/// no more than that it may be Messenger.
#[test]
fn messenger_by_form_is_stated_for_no_version_that_nobody_saw() {
    let signals = Signals::builtin();
    let seen = |version: &str| {
        let text = format!(
            "Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) AppleWebKit/537.36 (KHTML, like Gecko) \
             Version/4.0 Chrome/141.0.7390.124 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/{version};]"
        );
        let in_app = signals.agent(&text).in_app.expect("in an app");
        (in_app.app.clone(), in_app.surface)
    };
    assert_eq!(seen("485.0.0.70.77"), ("meta".into(), Surface::Unknown));
    for version in ["479.0.0.1", "490.0.0.50", "512.0.0.44", "999.0.0.1"] {
        assert_eq!(seen(version), ("facebook".into(), Surface::Unknown));
    }
}

#[test]
fn devices_systems_and_browsers() {
    let signals = Signals::builtin();
    for (text, device, os, browser) in [
        (PEOPLE[12].0, Device::Desktop, "windows", "chrome"),
        (PEOPLE[13].0, Device::Desktop, "linux", "firefox"),
        (PEOPLE[14].0, Device::Mobile, "ios", "safari"),
        (PEOPLE[11].0, Device::Mobile, "android", "chrome"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
            Device::Desktop,
            "windows",
            "edge",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
            Device::Tablet,
            "ios",
            "safari",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Safari/537.36",
            Device::Tablet,
            "android",
            "samsung-internet",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
            Device::Desktop,
            "macos",
            "safari",
        ),
        ("", Device::Other, "other", "other"),
    ] {
        let agent = signals.agent(text);
        assert_eq!(
            (agent.device, agent.os, agent.browser),
            (device, os, browser),
            "{text}"
        );
    }
}

#[test]
fn signs_of_a_webview() {
    let signals = Signals::builtin();
    let signs = |text| signals.agent(text).webview;
    let telegram = signs(PEOPLE[11].0);
    assert!(telegram.unreduced && !telegram.wv && !telegram.version_4);
    let viber = signs(PEOPLE[4].0);
    assert!(
        viber.wv && viber.version_4 && !viber.unreduced,
        "Chrome 80 tells its build anyway"
    );
    let reduced = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
    assert!(!signs(reduced).any());
    assert!(signs(PEOPLE[5].0).bare_webkit);
    assert!(!signs(PEOPLE[14].0).any());
}

#[test]
fn nothing_is_empty_and_oddities_are_defined() {
    let signals = Signals::builtin();
    assert!(matches!(signals.agent("").kind, AgentKind::Empty));
    assert!(matches!(signals.agent(" - ").kind, AgentKind::Empty));
    assert!(!signals.agent("() { :;}; /bin/bash -c id").is_person());
    assert!(!signals.agent("<script>alert(1)</script>").is_person());
    assert!(!signals.agent(&"x".repeat(100_000)).is_person());
}
