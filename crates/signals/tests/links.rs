//! The one address of a content, and what was hung onto it.

use grapevine_signals::{LINK_BYTES_MAX, LinkError, Resource, Signals, Surface};

#[test]
fn spellings_of_one_address_become_one() {
    let signals = Signals::builtin();
    let canonical = |url: &str| {
        signals
            .link(url)
            .map(|l| l.canonical.into_owned())
            .unwrap_or_default()
    };
    let one = "https://example.com/a/b?x=1&y=2";
    for spelling in [
        "https://example.com/a/b?x=1&y=2",
        "http://www.example.com/a/b?y=2&x=1",
        "HTTPS://EXAMPLE.COM:443/a//b/?x=1&y=2#comments",
        "//example.com/a/./c/../b?x=1&y=2&",
        "https://user:secret@example.com/a/b/index.html?x=1&y=2",
        "https://example.com/a/%62?x=1&y=2&utm_source=a&UTM_Medium=b&fbclid=IwAR0",
        " https://example.com./a/b;jsessionid=0815?x=%31&y=2&gv=abc ",
        "https:\\\\example.com\\a\\b?x=1&y=2",
    ] {
        assert_eq!(canonical(spelling), one, "{spelling}");
    }
    assert_eq!(canonical("https://example.com"), "https://example.com/");
    assert_eq!(
        canonical("https://example.com/index.html"),
        "https://example.com/"
    );
    assert_eq!(
        canonical("https://bücher.example/ä"),
        "https://xn--bcher-kva.example/%C3%A4"
    );
    assert_eq!(
        canonical("https://example.com:8080/"),
        "https://example.com:8080/"
    );
    assert_eq!(
        canonical("https://example.com/A"),
        "https://example.com/A",
        "paths have case"
    );
    assert_eq!(
        canonical("https://раураl.example/"),
        "https://xn--l-7sba6dbr.example/"
    );
    assert_eq!(
        canonical("https://example.com/?q=a+b"),
        canonical("https://example.com/?q=a%20b")
    );
}

#[test]
fn hosts_and_paths_can_be_read_back() {
    let signals = Signals::builtin();
    let link = signals
        .link("https://www.example.com:8080/a/b?c=d")
        .unwrap();
    assert_eq!((link.host(), link.path()), ("example.com:8080", "/a/b"));
}

#[test]
fn a_share_token_is_read_from_query_and_fragment() {
    let signals = Signals::builtin();
    let token = |url: &str| {
        let link = signals.link(url).unwrap();
        (
            link.share_token.map(|t| t.into_owned()),
            link.share_token_broken,
        )
    };
    let some = |text: &str| (Some(text.to_owned()), false);
    assert_eq!(token("https://a.example/x?gv=Ab-_9"), some("Ab-_9"));
    assert_eq!(token("https://a.example/x#gv=Ab9"), some("Ab9"));
    assert_eq!(token("https://a.example/x#top&gv=Ab9"), some("Ab9"));
    assert_eq!(token("https://a.example/x#/route?gv=Ab9"), some("Ab9"));
    assert_eq!(
        token("https://a.example/x?gv=first&gv=second"),
        some("first")
    );
    assert_eq!(token("https://a.example/x?gv=%41b"), some("Ab"));
    assert_eq!(token("https://a.example/x"), (None, false));
    for broken in ["", "a%20b", "a.b", "%00", &"x".repeat(65)] {
        assert_eq!(
            token(&format!("https://a.example/x?gv={broken}")),
            (None, true),
            "{broken}"
        );
    }
    assert_eq!(
        token(&format!("https://a.example/x?gv={}", "x".repeat(64))),
        some(&"x".repeat(64))
    );
}

#[test]
fn click_ids_say_paid_only_when_they_are() {
    let signals = Signals::builtin();
    let meta = signals.link("https://a.example/x?fbclid=IwAR0").unwrap();
    assert_eq!(
        meta.click_ids
            .iter()
            .map(|d| d.app.as_str())
            .collect::<Vec<_>>(),
        ["meta"],
        "Facebook, Instagram and Messenger put it on alike"
    );
    assert!(
        !meta.is_paid_click(),
        "organic Messenger clicks carry fbclid too"
    );
    assert!(
        signals
            .link("https://a.example/x?gclid=Cj0")
            .unwrap()
            .is_paid_click()
    );
}

#[test]
fn wechat_writes_the_audience_into_the_link() {
    let signals = Signals::builtin();
    let surface = |value: &str| {
        let url = format!("https://a.example/x?from={value}&isappinstalled=0");
        let link = signals.link(&url).unwrap();
        link.share_marks
            .first()
            .map(|m| (m.decoration.id.clone(), m.decoration.surface))
    };
    assert_eq!(
        surface("singlemessage"),
        Some(("from-wechat-chat".into(), Surface::Private))
    );
    assert_eq!(
        surface("groupmessage"),
        Some(("from-wechat-group".into(), Surface::Private))
    );
    assert_eq!(
        surface("timeline"),
        Some(("from-wechat-moments".into(), Surface::Public))
    );
    let other = signals
        .link("https://a.example/x?from=berlin&to=paris")
        .unwrap();
    assert_eq!(other.canonical, "https://a.example/x?from=berlin&to=paris");
}

#[test]
fn names_that_select_pages_go_only_where_they_are_known_for_campaigns() {
    let signals = Signals::builtin();
    let canonical = |url: &str| signals.link(url).unwrap().canonical.into_owned();
    for kept in [
        "https://a.example/x?cid=4711",
        "https://a.example/x?icid=4711",
        "https://a.example/x?cmp=acme",
        "https://a.example/x?ncid=4711",
        "https://a.example/x?ito=7",
        "https://a.example/x?mcid=7",
        "https://a.example/x?ref=A12",
        "https://a.example/x?ref=main",
        "https://a.example/x?ref=co.uk",
        "https://a.example/x?scm=git",
        "https://a.example/x?trk=3",
        "https://a.example/x?sref=3",
        "https://a.example/x?amp=marshall",
        "https://a.example/x?outputType=comment",
        "https://notabcnews.go.com/x?cid=4711",
    ] {
        assert_eq!(canonical(kept), kept);
    }
    for (taken, name) in [
        ("https://abcnews.go.com/x?cid=social", "social"),
        ("https://www.theguardian.com/x?CMP=share_wa", "share_wa"),
        ("https://www.dailymail.co.uk/x?ito=1490", "1490"),
    ] {
        let link = signals.link(taken).unwrap();
        assert_eq!(link.campaign.name.as_deref(), Some(name), "{taken}");
        assert!(link.canonical.ends_with("/x"), "{taken}");
    }
    for (taken, source) in [
        ("https://a.example/x?ref=ghost.org", "ghost.org"),
        ("https://a.example/x?ref=ghost%2Eorg", "ghost.org"),
        ("https://a.example/x?ref=News.a.co.uk", "News.a.co.uk"),
    ] {
        let link = signals.link(taken).unwrap();
        assert_eq!(link.campaign.source.as_deref(), Some(source), "{taken}");
        assert_eq!(link.canonical, "https://a.example/x", "{taken}");
    }
    for amp in ["amp", "amp=1", "amp=true", "outputType=amp"] {
        let url = format!("https://a.example/x?{amp}");
        assert_eq!(canonical(&url), "https://a.example/x", "{url}");
    }
}

#[test]
fn marks_of_a_network_s_own_links_say_nothing_on_other_sites() {
    let signals = Signals::builtin();
    for (name, home, app) in [
        ("mibextid", "facebook.com", "facebook"),
        ("sfnsn", "facebook.com", "facebook"),
        ("igsh", "instagram.com", "instagram"),
        ("igshid", "instagram.com", "instagram"),
    ] {
        let at_home = format!("https://www.{home}/p/1?{name}=abc");
        let link = signals.link(&at_home).unwrap();
        let mark = link.share_marks.first().map(|m| m.decoration);
        assert_eq!(mark.map(|d| d.app.as_str()), Some(app), "{at_home}");
        let elsewhere = format!("https://a.example/x?{name}=abc");
        let link = signals.link(&elsewhere).unwrap();
        assert_eq!(link.canonical, "https://a.example/x", "one content still");
        assert!(link.share_marks.is_empty() && link.click_ids.is_empty());
    }
    let link = signals.link("https://a.example/x?si=2&s=3&t=4").unwrap();
    assert_eq!(link.canonical, "https://a.example/x?s=3&si=2&t=4");
}

#[test]
fn only_what_names_who_got_a_mail_is_a_recipient() {
    let signals = Signals::builtin();
    for (name, names_one) in [
        ("mc_eid", true),
        ("oly_enc_id", true),
        ("oly_anon_id", false),
        ("et_rid", false),
        ("elqTrackId", false),
        ("nr_email_referer", false),
    ] {
        let url = format!("https://a.example/x?{name}=4f");
        let link = signals.link(&url).unwrap();
        assert_eq!(link.recipient.is_some(), names_one, "{name}");
        assert_eq!(link.canonical, "https://a.example/x", "{name}");
    }
}

#[test]
fn what_a_mail_system_puts_on_says_that_a_link_was_mailed() {
    let signals = Signals::builtin();
    for (query, system_s) in [
        ("mc_eid=4f", Some("mc_eid")),
        ("mc_cid=4f", Some("mc_cid")),
        ("_hsmi=77&utm_content=77", Some("_hsmi")),
        ("_hsenc=p2&_hsmi=77", Some("_hsenc")),
        ("mkt_tok=abc", Some("mkt_tok")),
        ("vero_id=x", Some("vero_id")),
        ("mc_cid=", None),
        ("utm_medium=email", None),
        ("utm_id=4f", None),
        ("oly_anon_id=4f", None),
    ] {
        let url = format!("https://a.example/x?{query}");
        let link = signals.link(&url).unwrap();
        let mark = link.mailed_by().map(|mark| mark.name.as_str());
        assert_eq!(mark, system_s, "{query}");
        assert_eq!(link.canonical, "https://a.example/x", "{query}");
    }
    let link = signals.link("https://a.example/x?mc_cid=4f").unwrap();
    assert_eq!(link.campaign.id.as_deref(), Some("4f"), "a campaign's id");
}

#[test]
fn campaign_values_are_decoded_and_bounded() {
    let signals = Signals::builtin();
    let long = "%C3%A4".repeat(1000);
    let url = format!("https://a.example/?utm_source=News+letter%21&utm_campaign={long}&mc_eid=4f");
    let link = signals.link(&url).unwrap();
    assert_eq!(link.campaign.source.as_deref(), Some("News letter!"));
    assert_eq!(link.campaign.name.map(|n| n.len()), Some(256));
    assert_eq!(
        link.recipient.map(|m| m.value.into_owned()),
        Some("4f".into())
    );
    assert_eq!(link.canonical, "https://a.example/");
}

#[test]
fn what_is_no_page_is_refused() {
    let signals = Signals::builtin();
    let refused = |url: &str| signals.link(url).err();
    assert_eq!(refused(""), Some(LinkError::Empty));
    assert_eq!(refused("/a/b"), Some(LinkError::NotAbsolute));
    assert_eq!(refused("mailto:a@b.example"), Some(LinkError::Scheme));
    assert_eq!(refused("https://ex ample.com/"), Some(LinkError::Host));
    assert_eq!(refused("https://example.com:port/"), Some(LinkError::Port));
    let fits = format!("https://a.example/{}", "x".repeat(LINK_BYTES_MAX - 18));
    assert_eq!(refused(&fits), None);
    assert_eq!(
        refused(&format!("{fits}x")),
        Some(LinkError::TooLong(LINK_BYTES_MAX + 1))
    );
}

#[test]
fn fronts_are_told_from_deep_pages() {
    let signals = Signals::builtin();
    let front = |path: &str| {
        let url = format!("https://a.example{path}");
        signals.link(&url).unwrap().shape.is_section_front
    };
    for path in [
        "/",
        "/?utm_source=x",
        "/news",
        "/sport/football",
        "/tag/long-topic-of-words",
        "/de",
    ] {
        assert!(front(path), "{path}");
    }
    for path in [
        "/2026/11/23/a-rumour-about-the-bridge",
        "/a-rumour-about-the-bridge",
        "/article/4711",
        "/?p=17",
        "/news/a-rumour-about-the-bridge-and-more-words-2026",
        "/a/b/c",
        "/report.pdf",
    ] {
        assert!(!front(path), "{path}");
    }
}

#[test]
fn typeability_falls_with_everything_nobody_types() {
    let signals = Signals::builtin();
    let typeable = |path: &str| {
        let url = format!("https://a.example{path}");
        signals.link(&url).unwrap().shape.typeability()
    };
    assert!((typeable("/") - 1.0).abs() < f32::EPSILON);
    assert!(typeable("/news") > 0.5);
    assert!(typeable("/news") > typeable("/news/2026"));
    assert!(typeable("/2026/11/23/a-rumour-about-the-bridge-and-what-is-known") < 0.05);
}

#[test]
fn pages_are_told_from_what_they_load() {
    let signals = Signals::builtin();
    for (path, resource) in [
        ("/", Resource::Page),
        ("/news/article.html", Resource::Page),
        ("/release-2.0", Resource::Page),
        ("/style.css?v=2", Resource::Asset),
        ("/IMG/A.JPG", Resource::Asset),
        ("/favicon.ico", Resource::Asset),
        ("/apple-touch-icon-120x120.png", Resource::Asset),
        ("/fonts/a.woff2", Resource::Asset),
        ("/report.pdf", Resource::Document),
        ("/feed/", Resource::Feed),
        ("/blog/index.xml", Resource::Feed),
        ("/a.rss", Resource::Feed),
        ("/robots.txt", Resource::Machine),
        ("/.well-known/security.txt", Resource::Machine),
        ("/sitemap.xml", Resource::Machine),
    ] {
        assert_eq!(signals.resource(path), resource, "{path}");
        assert_eq!(
            signals.is_asset(path),
            resource == Resource::Asset,
            "{path}"
        );
    }
}
