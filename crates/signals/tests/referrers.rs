//! Referrers, campaign tags and packages.

use grapevine_signals::{CampaignCategory, ReferrerKind, Signals, Surface};

fn kind(signals: &Signals, referrer: &str) -> String {
    let read = signals.referrer(referrer);
    let word = match read.kind {
        ReferrerKind::None => "none",
        ReferrerKind::Malformed => "malformed",
        ReferrerKind::Search(_) => "search",
        ReferrerKind::Social(_) => "social",
        ReferrerKind::PrivateApp(_) => "private",
        ReferrerKind::WebMail(_) => "mail",
        ReferrerKind::MailProtection(_) => "mail-protection",
        ReferrerKind::Assistant(_) => "assistant",
        ReferrerKind::Video(_) => "video",
        ReferrerKind::Aggregator(_) => "aggregator",
        ReferrerKind::Document(_) => "document",
        ReferrerKind::Browser(_) => "browser",
        ReferrerKind::Spam(_) => "spam",
        ReferrerKind::Referral => "referral",
    };
    read.origin()
        .map_or(word.to_owned(), |o| format!("{word}:{}", o.id))
}

#[test]
fn referrers_lead_to_their_place() {
    let signals = Signals::builtin();
    for (referrer, wanted) in [
        ("", "none"),
        ("-", "none"),
        ("https://www.google.com/", "search:google"),
        ("https://www.google.co.uk/search?q=a", "search:google"),
        ("https://google.com.br/", "search:google"),
        ("https://news.google.com/", "aggregator:google-news"),
        ("https://mail.google.com/", "mail:gmail"),
        ("https://gemini.google.com/app", "assistant:gemini"),
        ("https://docs.google.com/", "document:google-docs"),
        ("https://www.notion.so/", "document:notion"),
        ("https://trello.com/", "document:trello"),
        ("https://example.atlassian.net/", "document:jira"),
        ("https://example.sharepoint.com/", "document:microsoft-365"),
        ("https://www.yammer.com/", "document:microsoft-365"),
        ("https://example.feishu.cn/", "document:feishu-docs"),
        ("https://app.slack.com/", "private:slack"),
        ("https://app.element.io/", "private:matrix"),
        ("https://example.zulipchat.com/", "private:zulip"),
        ("https://search.app/", "social:google-share"),
        ("https://search.app.goo.gl/", "social:google-share"),
        ("https://news.line.me/", "aggregator:line-news"),
        ("https://today.line.me/", "aggregator:line-news"),
        ("https://timeline.line.me/", "social:line-timeline"),
        ("https://sites.google.com/view/x", "referral"),
        ("https://google.evil.example/", "referral"),
        ("https://notgoogle.com/", "referral"),
        ("https://yandex.com.tr/", "search:yandex"),
        ("https://mail.yandex.ru/", "mail:yandex-mail"),
        ("https://mail.yahoo.com/", "mail:yahoo-mail"),
        ("https://de.search.yahoo.com/", "search:yahoo"),
        ("https://r.duckduckgo.com/", "search:duckduckgo"),
        ("https://l.wl.co/l?u=x", "private:whatsapp"),
        ("https://web.whatsapp.com/", "private:whatsapp"),
        ("https://t.me/", "private:telegram"),
        ("https://t.co/AbC", "social:twitter"),
        ("https://l.messenger.com/", "private:messenger"),
        ("https://lm.facebook.com/", "social:facebook"),
        ("https://statics.teams.cdn.office.net/", "private:teams"),
        (
            "https://nam02.safelinks.protection.outlook.com/?url=x",
            "mail-protection:safelinks",
        ),
        (
            "https://protect-eu.mimecast.com/s/x",
            "mail-protection:mimecast",
        ),
        (
            "https://url.uk.m.mimecastprotect.com/s/x",
            "mail-protection:mimecast",
        ),
        (
            "https://usg01.safelinks.protection.office365.us/?url=x",
            "mail-protection:safelinks",
        ),
        (
            "https://ddec1-0-en-ctp.trendmicro.com/wis/clicktime/v1/query",
            "mail-protection:trend-micro",
        ),
        ("https://www.trendmicro.com/", "referral"),
        ("https://outlook.live.com/", "mail:outlook"),
        ("https://deref-gmx.net/", "mail:gmx"),
        ("https://deref-web-02.de/", "mail:web-de"),
        ("https://deref-1und1-02.de/", "mail:ionos"),
        ("https://deref-mail-02.com/", "mail:mail-com"),
        ("https://chatgpt.com/", "assistant:chatgpt"),
        ("https://chat.openai.com/", "assistant:chatgpt"),
        // Its maker's own pages answer nobody.
        ("https://openai.com/index/", "referral"),
        ("https://community.openai.com/", "referral"),
        ("https://www.perplexity.ai/search", "assistant:perplexity"),
        ("https://claude.ai/", "assistant:claude"),
        ("https://www.youtube.com/", "video:youtube"),
        ("android-app://com.google.android.gm/", "mail:gmail"),
        ("android-app://org.telegram.messenger", "private:telegram"),
        ("android-app://com.example.unknown/", "referral"),
        (
            "android-app://com.android.chrome/",
            "browser:android-chrome",
        ),
        ("ios-app://com.apple.mobilemail/x", "mail:apple-mail"),
        (
            "http://semalt.semalt.com/crawler.php?u=x",
            "spam:referrer-spam",
        ),
        ("www.bing.com", "search:bing"),
        ("HTTPS://WWW.BING.COM:443/search", "search:bing"),
        ("https://news.example/", "referral"),
        ("(direct)", "malformed"),
        ("about:blank", "malformed"),
        ("null", "malformed"),
        ("https://", "malformed"),
        ("https://a b/", "malformed"),
        ("android-app://", "malformed"),
        ("android-app://x y/", "malformed"),
        ("javascript:alert(1)", "malformed"),
        ("file:///c:/a.html", "malformed"),
    ] {
        assert_eq!(kind(&signals, referrer), wanted, "{referrer}");
    }
}

/// What a service publishes about itself is no chat of it.
#[test]
fn the_sites_blogs_and_forums_of_messengers_are_sites_like_others() {
    let signals = Signals::builtin();
    for host in [
        "faq.whatsapp.com",
        "www.whatsapp.com",
        "blog.whatsapp.com",
        "telegram.org",
        "slack.com",
        "www.slack.com",
        "api.slack.com",
        "support.discord.com",
        "www.skype.com",
        "help.viber.com",
        "www.viber.com",
        "line.me",
        "blog.element.io",
        "forum.mattermost.com",
        "keybase.io",
        "www.rocket.chat",
        "blog.trello.com",
    ] {
        let referrer = format!("https://{host}/");
        assert_eq!(kind(&signals, &referrer), "referral", "{host}");
    }
    // As a campaign's source the name is still the service's.
    for (source, app) in [("whatsapp.com", "whatsapp"), ("line.me", "line")] {
        let named = signals.campaign(source, "").origin;
        assert_eq!(named.map(|origin| origin.id.as_str()), Some(app));
    }
}

#[test]
fn a_referrer_keeps_what_callers_compare() {
    let signals = Signals::builtin();
    let read = signals.referrer("https://WWW.Example.com:8443/a?b#c");
    assert_eq!(&*read.host, "www.example.com");
    assert!(read.has_path);
    assert!(!signals.referrer("https://example.com/").has_path);
    assert_eq!(
        signals.referrer("android-app://com.slack/").package,
        Some("com.slack")
    );
}

#[test]
fn a_shim_leads_to_addresses_of_the_web_only() {
    let signals = Signals::builtin();
    let shim = "https://l.facebook.com/l.php?u=https%3A%2F%2Fa.example%2Fx&h=1";
    let target = signals.unwrap_shim(shim);
    assert_eq!(target.as_deref(), Some("https://a.example/x"));
    let hostile = "https://l.facebook.com/l.php?u=javascript%3Aalert(1)";
    assert_eq!(signals.unwrap_shim(hostile), None);
}

#[test]
fn surfaces_are_unknown_where_nothing_tells() {
    let signals = Signals::builtin();
    let surface = |r| signals.referrer(r).origin().map(|o| o.surface);
    assert_eq!(surface("https://l.instagram.com/"), Some(Surface::Unknown));
    assert_eq!(surface("https://l.messenger.com/"), Some(Surface::Private));
    assert_eq!(surface("https://pinterest.de/"), Some(Surface::Public));
    assert_eq!(surface("https://docs.google.com/"), Some(Surface::Unknown));
    assert_eq!(surface("https://liff.line.me/"), Some(Surface::Unknown));
    assert_eq!(surface("https://search.app/"), Some(Surface::Unknown));
    assert_eq!(surface("https://news.line.me/"), Some(Surface::Public));
}

#[test]
fn packages_name_the_app() {
    let signals = Signals::builtin();
    let id = |p| signals.package(p).map(|o| o.id.as_str());
    assert_eq!(id("org.telegram.messenger.web"), Some("telegram"));
    assert_eq!(id("com.facebook.orca"), Some("messenger"));
    assert_eq!(id("com.facebook.katana"), Some("facebook"));
    assert_eq!(id("XMLHttpRequest"), None);
}

#[test]
fn campaign_words() {
    let signals = Signals::builtin();
    for (source, medium, category, origin) in [
        ("newsletter", "email", CampaignCategory::Mail, None),
        ("google", "cpc", CampaignCategory::Paid, Some("google")),
        (
            "google",
            "organic",
            CampaignCategory::Search,
            Some("google"),
        ),
        (
            "facebook",
            "social",
            CampaignCategory::Social,
            Some("facebook"),
        ),
        (
            "fb",
            "paid_social",
            CampaignCategory::Paid,
            Some("facebook"),
        ),
        // Facebook's or Instagram's: advertisements are booked with Meta for both.
        ("meta", "paid_social", CampaignCategory::Paid, Some("meta")),
        (
            "whatsapp",
            "social",
            CampaignCategory::Messenger,
            Some("whatsapp"),
        ),
        (
            "WhatsApp",
            "share",
            CampaignCategory::Messenger,
            Some("whatsapp"),
        ),
        (
            "telegram",
            "",
            CampaignCategory::Messenger,
            Some("telegram"),
        ),
        (
            "chatgpt.com",
            "",
            CampaignCategory::Assistant,
            Some("chatgpt"),
        ),
        // What anybody may follow is no message.
        (
            "whatsapp",
            "channel",
            CampaignCategory::Channel,
            Some("whatsapp"),
        ),
        ("", "whatsapp-channel", CampaignCategory::Channel, None),
        (
            "youtube",
            "channel",
            CampaignCategory::Media,
            Some("youtube"),
        ),
        ("acme", "channel", CampaignCategory::Other, None),
        ("sms", "", CampaignCategory::Sms, Some("sms")),
        ("x", "sms", CampaignCategory::Sms, Some("twitter")),
        // The first row that a medium begins or ends as, in the order of the file.
        (
            "facebook",
            "social-cpc",
            CampaignCategory::Paid,
            Some("facebook"),
        ),
        ("shop", "email-notification", CampaignCategory::Mail, None),
        ("app", "web-push", CampaignCategory::Push, None),
        ("app", "breaking_push", CampaignCategory::Push, None),
        ("mailchimp", "", CampaignCategory::Mail, None),
        ("partner", "affiliate", CampaignCategory::Affiliate, None),
        ("poster", "qr", CampaignCategory::Print, None),
        ("", "", CampaignCategory::Other, None),
        ("spring", "sale", CampaignCategory::Other, None),
    ] {
        let class = signals.campaign(source, medium);
        assert_eq!(class.category, category, "{source}/{medium}");
        assert_eq!(
            class.origin.map(|o| o.id.as_str()),
            origin,
            "{source}/{medium}"
        );
    }
}
