//! Where a link was opened and how it was sent out: mails of sites, public places of messengers,
//! documents, and what the evidence says of each.

use std::sync::{Arc, OnceLock};

use grapevine_event::{Channel, Hit, Id, Method, VisitorBasis};
use grapevine_inference::{Classification, Classifier, Model, VisitorContext};
use grapevine_signals::Signals;

const ARTICLE: &str = "https://www.example.org/politics/2026/11/the-long-story-of-a-small-town";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const WHATSAPP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]";
const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.50(0x18003233) NetType/WIFI Language/de";
const LINE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/15.12.0";
const GMAIL: &str = "https://mail.google.com/";

const NEW: VisitorContext = VisitorContext {
    returning: false,
    basis: VisitorBasis::Client,
    token_again: false,
};

fn classifier() -> &'static Classifier {
    static CLASSIFIER: OnceLock<Classifier> = OnceLock::new();
    CLASSIFIER.get_or_init(|| Classifier::new(Arc::new(Signals::builtin()), Model::builtin()))
}

/// A landing with a query, a referrer, a user agent and a package that names itself.
fn judge(
    query: &str,
    referrer: &str,
    user_agent: &str,
    package: Option<&str>,
) -> Classification<'static> {
    // The judgement borrows of what it judges; a test has few.
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let url = leak(match query {
        "" => ARTICLE.to_owned(),
        query => format!("{ARTICLE}?{query}"),
    });
    let referrer = leak(referrer.to_owned());
    let user_agent = leak(user_agent.to_owned());
    let hit = Hit {
        referrer: Some(referrer).filter(|referrer| !referrer.is_empty()),
        user_agent,
        requested_with: package.map(|package| leak(package.to_owned())),
        ..Hit::page_view(Id::default(), "example.org", 0, url)
    };
    let signals = classifier().signals();
    let link = signals.link(url).expect("an address");
    classifier().classify(
        &hit,
        &signals.agent(user_agent),
        &signals.referrer(referrer),
        &link,
        &NEW,
    )
}

fn from(query: &str, referrer: &str) -> Classification<'static> {
    judge(query, referrer, IPHONE, None)
}

fn within(query: &str, user_agent: &str) -> Classification<'static> {
    judge(query, "", user_agent, None)
}

fn said(judged: &Classification<'_>, name: &str) -> String {
    let of_name = judged.evidence.iter().filter(|fact| fact.name == name);
    let details: Vec<&str> = of_name.map(|fact| &*fact.detail).collect();
    details.join(" | ")
}

#[test]
fn a_newsletter_that_is_read_in_webmail_is_no_private_link() {
    for (query, referrer) in [
        ("mc_eid=abc123", GMAIL),
        ("mc_eid=abc123&mc_cid=1", "https://outlook.live.com/"),
        (
            "mkt_tok=abc",
            "https://nam02.safelinks.protection.outlook.com/?url=x",
        ),
        ("_hsenc=p2&_hsmi=77&utm_content=77", GMAIL),
        ("_hsmi=77", GMAIL),
        ("vero_id=x", "android-app://com.google.android.gm/"),
        ("utm_medium=email", GMAIL),
    ] {
        let judged = from(query, referrer);
        assert_eq!(
            (judged.channel, judged.method),
            (Channel::Mail, Method::Campaign),
            "{query} from {referrer}: {judged:?}"
        );
        assert!(judged.dark_probability_high < 0.1, "{query}: {judged:?}");
        assert!(said(&judged, "mail_referrer").is_empty());
    }
    // In the mail program itself as well.
    let gmail = Some("com.google.android.gm");
    let judged = judge("mc_eid=abc123", "", IPHONE, gmail);
    assert_eq!(judged.channel, Channel::Mail, "{judged:?}");
    // A mail of which nothing says that a site sent it is a person's, or looks the same.
    for judged in [from("", GMAIL), judge("", "", IPHONE, gmail)] {
        assert_eq!((judged.channel, judged.app), (Channel::DarkSocial, "mail"));
    }
    let untagged = said(&from("", GMAIL), "mail_referrer");
    assert!(untagged.contains("an untagged newsletter looks the same"));
}

/// The more is known of a mail, the surer it is one.
#[test]
fn more_marks_of_a_mail_system_never_make_less_of_a_mail() {
    for query in ["mc_eid=4f", "mc_cid=1", "mc_eid=4f&mc_cid=1"] {
        let judged = from(query, "");
        assert_eq!(judged.channel, Channel::Mail, "{query}: {judged:?}");
    }
}

#[test]
fn tags_that_name_no_means_in_a_mail_are_a_sender_s_or_a_reader_s() {
    let judged = from("utm_campaign=spring", GMAIL);
    assert_eq!(judged.channel, Channel::Mail, "{judged:?}");
    let [low, high] = [judged.dark_probability_low, judged.dark_probability_high];
    assert!(low < 0.05 && high > 0.4, "{low} to {high}");
    assert!(said(&judged, "campaign").contains("or passed on"));
    // A post's tags, or an advertisement's id, were there before somebody mailed the link.
    for query in [
        "utm_source=facebook&utm_medium=social",
        "utm_campaign=spring&gclid=abc",
    ] {
        let judged = from(query, GMAIL);
        assert_eq!((judged.channel, judged.app), (Channel::DarkSocial, "mail"));
        assert!(said(&judged, "campaign").contains("the chain began in"));
    }
}

#[test]
fn a_newsletter_that_was_passed_on_is_what_the_last_hop_says() {
    let judged = within("mc_eid=abc123", WHATSAPP);
    assert_eq!(
        (judged.channel, judged.app),
        (Channel::DarkSocial, "whatsapp")
    );
    assert_eq!(
        said(&judged, "campaign"),
        "mc_eid: the chain began in a mail"
    );
    // A token proves that somebody passed it on, also in the mail of a site.
    for query in ["gv=Ab3xYz&mc_eid=abc123", "gv=Ab3xYz&utm_medium=email"] {
        let judged = from(query, GMAIL);
        assert_eq!(
            (judged.channel, judged.app, judged.method),
            (Channel::DarkSocial, "mail", Method::Token)
        );
        assert!(judged.dark_probability > 0.9, "{judged:?}");
    }
}

#[test]
fn the_public_places_of_messengers_are_public() {
    for host in [
        "faq.whatsapp.com",
        "www.whatsapp.com",
        "forum.mattermost.com",
        "help.viber.com",
        "blog.element.io",
        "www.skype.com",
        "keybase.io",
        "slack.com",
        "news.line.me",
        "today.line.me",
        "timeline.line.me",
    ] {
        let referrer = format!("https://{host}/");
        let judged = from("", &referrer);
        assert_ne!(judged.channel, Channel::DarkSocial, "{host}");
        assert!(judged.dark_probability_high <= 0.1, "{host}: {judged:?}");
    }
}

#[test]
fn a_document_is_for_its_members_or_for_anybody() {
    for host in [
        "docs.google.com",
        "www.notion.so",
        "trello.com",
        "example.atlassian.net",
        "example.sharepoint.com",
        "www.yammer.com",
    ] {
        let referrer = format!("https://{host}/");
        let judged = from("", &referrer);
        assert_eq!(judged.channel, Channel::Referral, "{host}");
        let [low, high] = [judged.dark_probability_low, judged.dark_probability_high];
        assert!(low < 0.2 && high > 0.6, "{host}: {low} to {high}");
        assert!(said(&judged, "public_referrer").contains("does not say"));
        // Shared by a reader; in private or not is still not known.
        let passed = from("gv=Ab3xYz", &referrer);
        assert!(passed.dark_probability > judged.dark_probability);
        assert!(passed.dark_probability_low < 0.5, "{host}: {passed:?}");
    }
}

#[test]
fn line_opens_its_news_in_the_browser_of_its_chats() {
    let judged = within("", LINE);
    assert_eq!((judged.app, judged.method), ("line", Method::InAppBrowser));
    let [low, high] = [judged.dark_probability_low, judged.dark_probability_high];
    assert!(low < 0.4 && high > 0.8, "{low} to {high}");
    assert!(said(&judged, "in_app_browser").contains("does not say"));
}

#[test]
fn channels_of_whatsapp_are_no_chats() {
    let chat = within("", WHATSAPP);
    assert!(chat.dark_probability > 0.9);
    assert!(said(&chat, "in_app_browser").contains("public channels open alike"));
    // Tagged as a channel's: public, and in the app itself neither is stated.
    let query = "utm_source=whatsapp&utm_medium=channel";
    let elsewhere = from(query, "");
    assert_eq!(
        (elsewhere.channel, elsewhere.app),
        (Channel::Social, "whatsapp")
    );
    assert!(elsewhere.dark_probability < 0.2, "{elsewhere:?}");
    assert!(said(&elsewhere, "campaign").contains("public channel"));
    let inside = within(query, WHATSAPP);
    let [low, high] = [inside.dark_probability_low, inside.dark_probability_high];
    assert!(low < 0.2 && high > 0.6, "{low} to {high}");
    // A share button's link is still a message, and so is a channel's that came by another app.
    let button = from("utm_source=whatsapp&utm_medium=social", "");
    assert_eq!(button.channel, Channel::DarkSocial);
    let carried = judge(query, "", IPHONE, Some("com.viber.voip"));
    assert_eq!(
        (carried.channel, carried.app),
        (Channel::DarkSocial, "viber")
    );
    assert!(said(&carried, "campaign").contains("began in a public channel"));
}

#[test]
fn wechat_s_mark_decides_in_its_browser_and_elsewhere() {
    for agent in [WECHAT, IPHONE] {
        let moments = within("from=timeline&isappinstalled=0", agent);
        assert_eq!((moments.channel, moments.app), (Channel::Social, "wechat"));
        assert!(moments.dark_probability < 0.1, "{moments:?}");
        let mark = said(&moments, "share_mark");
        assert!(mark.contains("from=timeline"), "{mark}");
        assert!(mark.contains("Moments"), "{mark}");
        for audience in ["singlemessage", "groupmessage"] {
            let sent = within(&format!("from={audience}"), agent);
            assert_eq!((sent.channel, sent.app), (Channel::DarkSocial, "wechat"));
            assert!(sent.dark_probability > 0.9, "{sent:?}");
            assert!(said(&sent, "share_mark").contains(audience));
        }
    }
    // A mark that names no audience does not decide, and is said all the same.
    let marked = within("isappinstalled=0", WECHAT);
    assert_eq!(marked.method, Method::InAppBrowser);
    assert_eq!(
        said(&marked, "share_mark"),
        "the link is marked as shared (isappinstalled)"
    );
    // A reader's token in Moments proves a share, not a private one.
    let posted = within("gv=Ab3xYz&from=timeline", WECHAT);
    assert_eq!((posted.channel, posted.app), (Channel::Social, "wechat"));
    let sent = within("gv=Ab3xYz&from=groupmessage", WECHAT);
    assert_eq!(sent.channel, Channel::DarkSocial);
    assert!(sent.dark_probability > 0.9 && posted.dark_probability < 0.1);
}

#[test]
fn a_link_shared_from_the_google_app_may_be_a_message_or_a_post() {
    let judged = from("", "https://search.app/");
    assert_eq!(judged.app, "google-share");
    let [low, high] = [judged.dark_probability_low, judged.dark_probability_high];
    assert!(low < 0.2 && high > 0.6, "{low} to {high}");
}

#[test]
fn the_evidence_names_what_it_is_of() {
    // Nothing but an id, of a mail or of a campaign.
    for query in ["mc_cid=7", "_hsmi=7", "utm_id=7", "utm_term=7"] {
        for judged in [from(query, ""), within(query, WHATSAPP)] {
            let detail = said(&judged, "campaign");
            let name = query.split('=').next().unwrap_or_default();
            let words = [name, "id 7", "term 7"];
            assert!(words.iter().any(|word| detail.contains(word)), "{detail}");
            let unnamed = ["tagged ;", "tagged :"];
            assert!(!unnamed.iter().any(|word| detail.contains(word)));
        }
    }
    // A pattern is no name.
    let judged = within("", "Nobodyknows/1.0");
    assert_eq!(judged.channel, Channel::Bot);
    let detail = said(&judged, "robot");
    assert!(detail.contains("a robot without a name"), "{detail}");
    assert!(!detail.contains(['^', '\\', '[']), "{detail}");
    // An advertisement's link that was passed on.
    let passed = within("gclid=abc", WHATSAPP);
    assert_eq!(
        (passed.channel, said(&passed, "click_id").as_str()),
        (
            Channel::DarkSocial,
            "gclid: the chain began in an advertisement"
        )
    );
    let earlier = said(&within("fbclid=abc", WHATSAPP), "click_id");
    let put_on = "fbclid of one of Meta's apps";
    assert!(earlier.starts_with(put_on), "{earlier}");
}

/// Where a fit stopped at the end of a published range, the range in use has room on both sides.
#[test]
fn a_click_id_without_referrer_may_be_more_and_less_than_likely() {
    let judged = from("fbclid=IwAR0abc", "");
    assert_eq!(judged.method, Method::ClickId);
    let likely = judged.dark_probability;
    assert!(judged.dark_probability_low < likely && likely < judged.dark_probability_high);
}
