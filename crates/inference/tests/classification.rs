//! Every rule of classification on landings as real apps send them, and what holds for any input.

mod support;

use std::sync::Arc;

use grapevine_event::{Channel, Hit, Method, Protocol, VisitorBasis};
use grapevine_inference::{Classifier, Model, VisitorContext, evidence};
use grapevine_signals::Signals;
use proptest::prelude::*;

use support::{ARTICLE, DESKTOP, IPHONE, NEW, classifier, judge, judge_by, landing, signals};

fn is(url: &str, referrer: &str, user_agent: &str) -> (Channel, String, Method) {
    let judged = judge(&landing(url, referrer, user_agent), &NEW);
    (judged.channel, judged.app.to_owned(), judged.method)
}

fn with(query: &str) -> String {
    format!("{ARTICLE}?{query}")
}

#[test]
fn a_token_decides_and_the_last_hop_may_still_be_public() {
    let url = with("gv=Ab3xYz");
    let token = |app: &str| (Channel::DarkSocial, app.to_owned(), Method::Token);
    assert_eq!(is(&url, "", IPHONE), token("unknown"));
    assert_eq!(
        is(&url, "https://web.whatsapp.com/", DESKTOP),
        token("whatsapp")
    );
    let in_app = format!("{IPHONE} [WAiOS/2.26.31]");
    assert_eq!(is(&url, "", &in_app), token("whatsapp"));
    let posted = judge(&landing(&url, "https://t.co/abc", DESKTOP), &NEW);
    assert_eq!(posted.method, Method::Token);
    assert!(posted.dark_probability_low < 0.5, "a post may be public");
    let certain = judge(&landing(&url, "", IPHONE), &NEW);
    let passed_on = Model::builtin().token();
    let [low, likely, high] = [
        certain.dark_probability_low,
        certain.dark_probability,
        certain.dark_probability_high,
    ]
    .map(f64::from);
    // In public as well, and it may be the reader's own; the more so the less the rest speaks for a
    // message, and where nobody has an id.
    assert!(likely < passed_on.likely && likely > 0.85, "{likely}");
    assert!(low < passed_on.low && low < likely && likely < high && high <= passed_on.high);
    let nobody = VisitorContext {
        basis: VisitorBasis::None,
        ..NEW
    };
    let home = landing("https://example.org/?gv=Ab3xYz", "", IPHONE);
    let [home, nobody_home] = [&NEW, &nobody].map(|visitor| judge(&home, visitor));
    assert!(
        home.dark_probability < certain.dark_probability - 0.1,
        "{home:?}"
    );
    // How seldom own tokens come to a home page, nobody has measured.
    assert!(home.dark_probability_low < 0.1 && home.dark_probability_high > 0.9);
    assert_eq!(
        (nobody_home.channel, nobody_home.method),
        (Channel::Direct, Method::Token)
    );
    let words = &nobody_home.evidence[0].detail;
    assert!(words.contains("more likely the reader's own"), "{words}");
    assert!(!certain.evidence[0].detail.contains("own"), "{certain:?}");
    let nobody = judge(&landing(&url, "", IPHONE), &nobody);
    assert!(nobody.dark_probability < certain.dark_probability - 0.05);
    let again = VisitorContext {
        token_again: true,
        ..NEW
    };
    let again = judge(&landing(&url, "", IPHONE), &again);
    assert_eq!(
        (again.channel, again.method),
        (Channel::Direct, Method::Token)
    );
    assert!(again.dark_probability < 0.1);
    assert_eq!(again.evidence[0].name, "token_again");
    let url = with("gv=%3Cscript%3E");
    let forged = judge(&landing(&url, "", IPHONE), &NEW);
    assert_eq!(forged.method, Method::Prior);
    // It adds nothing and decides nothing, so it stands behind all that does.
    let note = forged.evidence.last().expect("evidence");
    assert_eq!((note.name, note.log_odds), ("token_broken", 0.0));
    assert!(forged.evidence[0].log_odds != 0.0, "{:?}", forged.evidence);
}

#[test]
fn a_token_that_decides_alone_says_what_the_rest_would_have_said() {
    let rest = |hit: &Hit<'_>| {
        let judged = judge(hit, &NEW);
        let fact = judged
            .evidence
            .into_iter()
            .find(|fact| fact.name == "without_token");
        fact.map(|fact| (f64::from(fact.log_odds), fact.search_log_odds))
    };
    let marked = with("gv=Ab3xYz");
    for agent in [IPHONE, DESKTOP] {
        for site in [None, Some("none"), Some("cross-site")] {
            let mut hit = landing(&marked, "", agent);
            hit.fetch_site = site;
            let (blind, search) = rest(&hit).expect("alone");
            let mut missing = landing(ARTICLE, "", agent);
            missing.fetch_site = site;
            let judged = judge(&missing, &NEW);
            let p = f64::from(judged.dark_probability);
            assert!((blind - (p / (1.0 - p)).ln()).abs() < 1e-3, "{blind} {p}");
            let said = judged.evidence.iter().map(|fact| fact.search_log_odds);
            let said: Option<f32> = said.sum();
            let off = search.zip(said).map(|(search, said)| search - said);
            assert!(
                off.is_some_and(|off| off.abs() < 1e-4),
                "{search:?} {said:?}"
            );
        }
    }
    // Where another fact would have decided, the token is no label of the grey rest.
    let in_app = format!("{IPHONE} [WAiOS/2.26.31]");
    assert_eq!(rest(&landing(&marked, "", &in_app)), None);
    assert_eq!(rest(&landing(&marked, "https://t.co/a", IPHONE)), None);
    let paid = with("gv=Ab3xYz&gclid=x");
    assert_eq!(rest(&landing(&paid, "", IPHONE)), None);
    assert_eq!(rest(&landing(ARTICLE, "", IPHONE)), None);
}

#[test]
fn apps_name_themselves() {
    let dark = |app: &str| (Channel::DarkSocial, app.to_owned(), Method::InAppBrowser);
    assert_eq!(
        is(ARTICLE, "", &format!("{IPHONE} [WAiOS/2.26.31]")),
        dark("whatsapp")
    );
    assert_eq!(
        is(
            ARTICLE,
            "",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/MessengerForiOS;FBAV/500.0.0.1;FBDV/iPhone15,3]"
        ),
        dark("messenger")
    );
    let instagram = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 393.1.0.36.70 (iPhone15,3; iOS 18_5; en_US) Safari/604.1";
    let post = "https://l.instagram.com/?u=x";
    let unknown = judge(&landing(ARTICLE, post, instagram), &NEW);
    assert_eq!(
        (unknown.channel, unknown.app),
        (Channel::Social, "instagram")
    );
    assert!(unknown.dark_probability > 0.1 && unknown.dark_probability_high < 0.9);
    // Posts keep their referrer, three of ten messages do not.
    let likelier = judge(&landing(ARTICLE, "", instagram), &NEW);
    assert_eq!(
        (likelier.channel, likelier.app),
        (Channel::DarkSocial, "instagram")
    );
    assert!(likelier.dark_probability > unknown.dark_probability_high);
    assert!(likelier.dark_probability_low < 0.5, "no fact");
    for judged in [&unknown, &likelier] {
        let said = &judged.evidence[0].detail;
        assert!(said.contains("does not say"), "{said}");
        let by_referrer = said.contains("kept their referrer");
        assert_eq!(by_referrer, judged.channel == Channel::DarkSocial, "{said}");
    }
    let mut android = landing(ARTICLE, "", DESKTOP);
    android.requested_with = Some("org.telegram.messenger.web");
    let telegram = judge(&android, &NEW);
    assert_eq!(
        (telegram.channel, telegram.app),
        (Channel::DarkSocial, "telegram")
    );
    assert_eq!(telegram.method, Method::RequestedWith);
    android.requested_with = Some("XMLHttpRequest");
    assert_eq!(judge(&android, &NEW).method, Method::Prior);
    let mut script = landing(ARTICLE, "", DESKTOP);
    script.app = Some("telegram");
    assert_eq!(judge(&script, &NEW).method, Method::Client);
}

#[test]
fn wechat_writes_the_audience_into_the_link() {
    let mark = |channel| (channel, "wechat".to_owned(), Method::ShareMark);
    assert_eq!(
        is(&with("from=groupmessage&isappinstalled=0"), "", IPHONE),
        mark(Channel::DarkSocial)
    );
    assert_eq!(
        is(&with("from=singlemessage"), "", IPHONE),
        mark(Channel::DarkSocial)
    );
    // Moments are a feed: whoever opened the link there got no message.
    let url = with("from=timeline");
    assert_eq!(is(&url, "", IPHONE), mark(Channel::Social));
    let moments = judge(&landing(&url, "", IPHONE), &NEW);
    assert!(moments.dark_probability_high < 0.2, "{moments:?}");
}

#[test]
fn referrers_decide() {
    let from = |referrer: &str| {
        let (channel, app, method) = is(ARTICLE, referrer, DESKTOP);
        assert!(matches!(method, Method::Referrer), "{referrer}: {method}");
        (channel, app)
    };
    let dark = |app: &str| (Channel::DarkSocial, app.to_owned());
    assert_eq!(from("https://web.whatsapp.com/"), dark("whatsapp"));
    assert_eq!(from("https://app.slack.com/client/T1/C1"), dark("slack"));
    assert_eq!(from("android-app://com.facebook.orca/"), dark("messenger"));
    assert_eq!(from("https://mail.google.com/"), dark("mail"));
    assert_eq!(
        from("https://nam02.safelinks.protection.outlook.com/?url=x"),
        dark("mail")
    );
    assert_eq!(
        from("https://www.google.co.uk/"),
        (Channel::Search, "google".to_owned())
    );
    assert_eq!(from("https://t.co/x").0, Channel::Social);
    assert_eq!(from("https://chatgpt.com/").0, Channel::Assistant);
    assert_eq!(
        from("https://another.example.net/page"),
        (Channel::Referral, String::new())
    );
    assert_eq!(
        from("https://example.org/"),
        (Channel::Internal, String::new())
    );
    assert_eq!(
        from("https://blog.example.org/"),
        (Channel::Internal, String::new())
    );
    assert_ne!(from("https://notexample.org/").0, Channel::Internal);
}

#[test]
fn campaigns_say_where_the_chain_began() {
    let (channel, _, method) = is(&with("utm_source=daily&utm_medium=email"), "", DESKTOP);
    assert_eq!((channel, method), (Channel::Mail, Method::Campaign));
    let hop = format!("{IPHONE} [WAiOS/2.26.31]");
    let url = with("utm_source=daily&utm_medium=email&utm_campaign=monday");
    let passed_on = judge(&landing(&url, "", &hop), &NEW);
    assert_eq!(
        (passed_on.channel, passed_on.app),
        (Channel::DarkSocial, "whatsapp")
    );
    assert_eq!(passed_on.conventional_channel, Channel::Mail);
    let began = passed_on
        .evidence
        .iter()
        .find(|fact| fact.name == "campaign");
    assert!(
        began
            .expect("said")
            .detail
            .contains("the chain began in a mail")
    );
    let button = is(&with("utm_source=whatsapp&utm_medium=social"), "", IPHONE);
    assert_eq!(
        (button.0, button.2),
        (Channel::DarkSocial, Method::Campaign)
    );
    assert_eq!(button.1, "whatsapp");
    let post = is(&with("utm_source=facebook&utm_medium=social"), "", IPHONE);
    assert_eq!((post.0, post.1.as_str()), (Channel::Social, "facebook"));
    let paid = is(&with("gclid=abc"), "https://www.google.com/", DESKTOP);
    assert_eq!((paid.0, paid.2), (Channel::Paid, Method::ClickId));
    let newsletter = is(
        &with("utm_medium=email"),
        "https://mail.google.com/",
        DESKTOP,
    );
    assert_eq!(newsletter.0, Channel::Mail);
}

#[test]
fn a_click_id_without_referrer_is_not_stated_as_fact() {
    let url = with("fbclid=IwAR0abc");
    let judged = judge(&landing(&url, "", IPHONE), &NEW);
    assert_eq!(judged.method, Method::ClickId);
    assert_eq!(judged.conventional_channel, Channel::Direct);
    assert!(judged.dark_probability_low < 0.2 && judged.dark_probability_high > 0.6);
    // Facebook, Instagram and Messenger put on the same one.
    assert_eq!(judged.app, "meta");
    let said = &judged.evidence[0].detail;
    assert!(said.contains("one of Meta's apps") && said.contains("it does not say"));
}

/// Yandex puts `ysclid` on the results of its search.
#[test]
fn a_search_engine_s_click_id_without_referrer_is_a_search() {
    let url = with("ysclid=m1abc");
    let judged = judge(&landing(&url, "", IPHONE), &NEW);
    assert_eq!(
        (judged.channel, judged.app, judged.method),
        (Channel::Search, "yandex", Method::ClickId)
    );
    assert!(judged.dark_probability < 0.2, "{judged:?}");
}

#[test]
fn machines_are_bots() {
    let robot = |hit: &Hit<'_>| {
        let judged = judge(hit, &NEW);
        assert_eq!(
            (judged.channel, judged.conventional_channel),
            (Channel::Bot, Channel::Bot)
        );
        assert_eq!(judged.dark_probability_high, 0.0);
        judged.robot.expect("has a name").to_owned()
    };
    robot(&landing(
        ARTICLE,
        "",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ));
    robot(&landing(ARTICLE, "", "curl/8.5.0"));
    robot(&landing(ARTICLE, "", "WhatsApp/2.24.20.83 A"));
    let mut log = landing(ARTICLE, "", "");
    log.protocol = Protocol::Log;
    robot(&log);
    let mut head = landing(ARTICLE, "", DESKTOP);
    head.range = Some("bytes=0-524288");
    robot(&head);
    let server = Hit {
        protocol: Protocol::Native,
        ..landing(ARTICLE, "", "")
    };
    assert_ne!(judge(&server, &NEW).channel, Channel::Bot);
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "none",
            "cross-site",
            "same-site",
            "navigate",
            "document",
            "?1",
            "com.whatsapp",
            "telegram",
            "bytes=0-99",
            "https://t.co/x",
            "https://www.google.com/",
            "https://mail.google.com/",
            "\"Android WebView\";v=\"1\"",
            "https://example.org/a",
        ])
        .prop_map(str::to_owned),
    ])
}

proptest! {
    #[test]
    fn whatever_comes_the_probabilities_are_probabilities(
        path in "[a-z0-9/%-]{0,80}",
        query in prop::collection::vec(prop::sample::select(vec![
            "gv=abc", "gv=", "fbclid=1", "gclid=1", "utm_source=x", "utm_medium=email",
            "from=groupmessage", "id=7", "mc_eid=1", "igsh=1", "utm_source=whatsapp",
        ]), 0..4),
        user_agent in prop_oneof![any::<String>(), prop::sample::select(vec![
            IPHONE, DESKTOP, "curl/8", "", "facebookexternalhit/1.1",
            "Mozilla/5.0 (Linux; Android 14; K; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.1 Mobile Safari/537.36",
        ]).prop_map(str::to_owned)],
        headers in prop::collection::vec(text(), 9),
        returning in any::<bool>(),
        basis in prop::sample::select(VisitorBasis::ALL),
    ) {
        let url = format!("https://example.org/{path}?{}", query.join("&"));
        let header = |at: usize| headers[at].as_deref();
        let hit = Hit {
            referrer: header(0),
            app: header(1),
            fetch_site: header(2),
            fetch_mode: header(3),
            fetch_dest: header(4),
            fetch_user: header(5),
            client_hints: header(6),
            requested_with: header(7),
            range: header(8),
            ..landing(&url, "", &user_agent)
        };
        let hit = Hit { referrer: header(0), ..hit };
        let judged = judge(&hit, &VisitorContext { returning, basis, ..NEW });
        let (low, likely, high) = (judged.dark_probability_low, judged.dark_probability, judged.dark_probability_high);
        prop_assert!((0.0..=1.0).contains(&low) && low <= likely && likely <= high && high <= 1.0);
        let search = judged.dark_search_probability;
        prop_assert!((0.0..=1.0).contains(&search) && likely + search <= 1.0 + 1e-6);
        prop_assert!(!judged.evidence.is_empty());
        for fact in &judged.evidence {
            prop_assert!(evidence::NAMES.iter().any(|(name, _)| *name == fact.name), "{}", fact.name);
            prop_assert!(fact.log_odds.is_finite() && !fact.detail.is_empty());
            prop_assert!(fact.search_log_odds.is_some_and(f32::is_finite));
        }
        let decided = judged.method != Method::Prior;
        let sizes: Vec<f32> = judged.evidence.iter()
            .map(|fact| if decided && fact.log_odds == 0.0 { f32::INFINITY } else { fact.log_odds.abs() })
            .collect();
        prop_assert!(sizes.is_sorted_by(|one, other| one >= other));
        prop_assert_eq!(judged.robot.is_some(), judged.channel == Channel::Bot);
        prop_assert_eq!(&judge(&hit, &VisitorContext { returning, basis, ..NEW }), &judged);
    }
}

#[test]
fn hostile_landings_have_a_defined_result() {
    let long = format!("https://example.org/{}", "a/".repeat(32_000));
    let many = format!("https://example.org/a?{}", "x=1&".repeat(16_000));
    let urls = [
        long.as_str(),
        many.as_str(),
        // Mixed scripts, punycode, what looks like another letter, marks that turn text round.
        "https://xn--e1afmkfd.xn--p1ai/\u{0440}\u{0430}ypal/\u{4f60}\u{597d}-abc",
        "https://ex\u{0430}mple.org/\u{202e}gro.elpmaxe",
        "https://example.org/%00%ff%fe/..%2f..%2f?gv=%00",
        "https://example.org:65535/?gv=a&gv=b&utm_source=%f0%28%8c%bc",
        "https://example.org/?fbclid=&gclid=&from=singlemessage",
    ];
    let control: String = (0u8..32).map(char::from).collect();
    let huge = "WhatsApp/2 ".repeat(6_000);
    let agents = [
        control.as_str(),
        huge.as_str(),
        "\u{202e}tobelgooG",
        "Mozilla/5.0 (iPhone; [FBAN/FBIOS;FBAV/;FBOP/80",
        "WhatsApp/2\0",
    ];
    let referrers = [
        "",
        "https://xn--80ak6aa92e.com/",
        "https://\u{0440}eddit.com/",
        "javascript:alert(1)",
        "android-app://",
        long.as_str(),
    ];
    for url in urls {
        // Some are no addresses at all: then there is nothing to judge, and they are dead letters.
        if signals().link(url).is_err() {
            continue;
        }
        for agent in agents {
            for referrer in referrers {
                let hit = landing(url, referrer, agent);
                let judged = judge(&hit, &NEW);
                let (low, high) = (judged.dark_probability_low, judged.dark_probability_high);
                assert!(low <= judged.dark_probability && judged.dark_probability <= high);
                assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
                assert!(!judged.evidence.is_empty());
                for fact in &judged.evidence {
                    assert!(fact.log_odds.is_finite());
                }
                assert_eq!(judge(&hit, &NEW), judged, "the same again");
            }
        }
    }
    // What looks like a network's name in another script is not that network.
    let lookalike = judge(
        &landing(ARTICLE, "https://\u{0440}eddit.com/", IPHONE),
        &NEW,
    );
    assert_ne!(lookalike.app, "reddit");
    // Signal's exact name with anything after it is not Signal.
    let judged = judge(&landing(ARTICLE, "", "WhatsApp/2 (compatible; Evil)"), &NEW);
    assert_eq!(judged.channel, Channel::Bot);
    assert_ne!(judged.app, "signal");
}

/// A post on Facebook and a message in Messenger arrive alike where a browser, a package, a script or
/// a referrer names Facebook only. Then neither is stated.
#[test]
fn a_post_and_a_message_that_nothing_tells_apart_are_said_to_be_unknown() {
    let facebook = format!("{IPHONE} [FBAN/FBIOS;FBAV/500.0;FBBV/1;FBDV/iPhone15,3;IABMV/1]");
    let package = |package| Hit {
        requested_with: Some(package),
        ..landing(ARTICLE, "", IPHONE)
    };
    let script = |app| Hit {
        app: Some(app),
        ..landing(ARTICLE, "", IPHONE)
    };
    for hit in [
        landing(ARTICLE, "", &facebook),
        package("com.facebook.katana"),
        script("facebook"),
        landing(ARTICLE, "https://l.facebook.com/", IPHONE),
    ] {
        let judged = judge(&hit, &NEW);
        assert_eq!(judged.app, "facebook", "{judged:?}");
        let said = &judged.evidence[0].detail;
        assert!(said.contains("it does not say"), "{said}");
        let [low, high] = [judged.dark_probability_low, judged.dark_probability_high];
        assert!(low < 0.2 && high - low > 0.2, "{low} to {high}: {said}");
    }
    // What is Messenger's alone is stated, and says nothing of not knowing.
    for hit in [
        package("com.facebook.orca"),
        landing(ARTICLE, "https://l.messenger.com/", IPHONE),
    ] {
        let judged = judge(&hit, &NEW);
        assert_eq!(
            (judged.app, judged.channel),
            ("messenger", Channel::DarkSocial)
        );
        assert!(judged.dark_probability_low > 0.8);
        assert!(!judged.evidence[0].detail.contains("does not say"));
    }
}

/// An analyst reads in the evidence where a mark is known less well than from a vendor or a log.
#[test]
fn what_is_inferred_or_hearsay_is_called_so() {
    let said = |classifier: &Classifier, referrer: &str, agent: &str| {
        let judged = judge_by(classifier, &landing(ARTICLE, referrer, agent), &NEW);
        judged.evidence[0].detail.to_string()
    };
    let messenger = format!("{IPHONE} [FBAN/FBIOS;FBAV/485.0.0.39.108;FBDV/iPhone15,3;FBOP/80]");
    let whatsapp = format!("{IPHONE} [WAiOS/2.26.31]");
    assert!(said(classifier(), "", &messenger).contains("is inferred"));
    assert!(said(classifier(), "", "Zalo-Scraper/1.0").contains("is hearsay"));
    let own = |certainty: &str| {
        let text = format!(
            "[[origin]]\nid = \"chirp\"\nname = \"Chirp\"\ncategory = \"messenger\"\nsurface = \
             \"private\"\ncertainty = \"{certainty}\"\nhosts = [\"chirp.example\"]\nsource = \
             \"a rumour\"\ndate = \"2026\"\n"
        );
        let signals = Signals::with_overrides(&text, "own.toml").expect("an origin");
        let classifier = Classifier::new(Arc::new(signals), Model::builtin());
        said(&classifier, "https://chirp.example/", DESKTOP)
    };
    assert!(own("folklore").contains("is hearsay"));
    for sure in [
        own("observed"),
        said(classifier(), "", &whatsapp),
        said(classifier(), "", "TelegramBot (like TwitterBot)"),
    ] {
        let doubted = sure.contains("inferred") || sure.contains("hearsay");
        assert!(!doubted, "{sure}");
    }
}
