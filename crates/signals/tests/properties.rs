//! What holds for every input, sensible or hostile.

use std::sync::LazyLock;

use grapevine_signals::{KnownPages, Signals, headers, is_share_token};
use proptest::prelude::*;

static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::builtin);

/// Texts that look like addresses more often than chance would have it.
fn url() -> impl Strategy<Value = String> {
    let scheme = prop_oneof!["https?://", "HTTPS?:\\\\\\\\", "//", "[a-z]{1,6}:", ""];
    let host = prop_oneof![
        "(www\\.){0,3}[a-zA-Z0-9.-]{0,20}(:[0-9]{0,6})?",
        "[a-z]{1,5}(@[a-z]{1,3})?\\.(com|example|co\\.uk|[0-9]{1,3})\\.{0,2}",
        "\\PC{0,12}",
        "\\[[0-9a-f:.]{0,12}\\]",
        "xn--[a-z0-9-]{0,10}\\.example",
    ];
    let path = prop_oneof![
        "(/|\\\\|\\.|%2[eEfF]|;|[a-z]{1,3}|index\\.(html|php)|;jsessionid=[a-z]{0,3}){0,12}",
        "(/\\PC{0,8}){0,5}",
    ];
    let query = prop_oneof![
        "(\\?([a-z]{0,3}|utm_source|gv|from|fbclid|ref|amp|igsh|%[0-9a-fA-F]{0,2})(=[a-z0-9%+=&;.]{0,6})?(&[a-z+%]{0,3}=?[a-z]{0,2}){0,4})?",
        "(\\?\\PC{0,20})?",
    ];
    let fragment = "(#[a-z=&;?%]{0,10})?";
    (scheme, host, path, query, fragment).prop_map(|(s, h, p, q, f)| format!("{s}{h}{p}{q}{f}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_address_is_its_own(url in url()) {
        if let Ok(link) = SIGNALS.link(&url) {
            let again = SIGNALS.link(&link.canonical);
            let again = again.unwrap_or_else(|e| panic!("{:?} from {url:?}: {e}", link.canonical));
            prop_assert_eq!(&again.canonical, &link.canonical);
            prop_assert!(again.share_token.is_none() && !again.share_token_broken);
            prop_assert!(again.click_ids.is_empty() && again.share_marks.is_empty());
            prop_assert!(again.campaign.is_empty() && again.recipient.is_none());
            prop_assert_eq!(again.shape, link.shape);
            prop_assert!(link.canonical.is_ascii() && link.canonical.starts_with("https://"));
            prop_assert!(link.path().starts_with('/'));
            prop_assert!(link.canonical.len() <= 3 * url.len() + 256);
            let typeability = link.shape.typeability();
            prop_assert!((0.0..=1.0).contains(&typeability));
        }
    }

    #[test]
    fn a_page_that_is_known_is_read_alike(urls in prop::collection::vec(url(), 1..8), again in prop::collection::vec(any::<prop::sample::Index>(), 8)) {
        let mut known = KnownPages::default();
        for at in again {
            let url = at.get(&urls);
            let read = format!("{:?}", SIGNALS.known_link(&mut known, url));
            prop_assert_eq!(read, format!("{:?}", SIGNALS.link(url)));
        }
    }

    #[test]
    fn tokens_survive_the_link(token in "[A-Za-z0-9_-]{1,64}", path in "(/[a-z0-9]{1,8}){0,3}") {
        for url in [
            format!("https://a.example{path}?gv={token}"),
            format!("https://a.example{path}?x=1&gv={token}&utm_source=y"),
            format!("https://a.example{path}#gv={token}"),
        ] {
            let link = SIGNALS.link(&url).unwrap();
            prop_assert_eq!(link.share_token.as_deref(), Some(token.as_str()));
            prop_assert!(is_share_token(&token) && !link.share_token_broken);
            prop_assert!(!link.canonical.contains("gv="));
        }
    }

    #[test]
    fn the_order_of_parameters_does_not_matter(
        pairs in proptest::collection::vec("[a-z]{1,4}=[a-z0-9]{0,3}", 0..6).prop_shuffle()
    ) {
        let mut sorted = pairs.clone();
        sorted.sort();
        let one = format!("https://a.example/x?{}", pairs.join("&"));
        let other = format!("https://a.example/x?{}", sorted.join("&"));
        prop_assert_eq!(
            SIGNALS.link(&one).unwrap().canonical,
            SIGNALS.link(&other).unwrap().canonical
        );
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = SIGNALS.agent(&text);
        let _ = SIGNALS.referrer(&text);
        let _ = SIGNALS.link(&text);
        let _ = SIGNALS.unwrap_shim(&text);
        let _ = SIGNALS.campaign(&text, &text);
        let _ = SIGNALS.package(&text);
        let _ = SIGNALS.resource(&text);
        let _ = headers::speculation(&text);
        let _ = headers::asks_for_head_only(&text);
        let _ = headers::Navigation::read(&text, &text, &text);
        let _ = headers::is_by_a_person(&text);
        let _ = Signals::link(&SIGNALS, &format!("https://a.example/{text}"));
        let _ = SIGNALS.unwrap_shim(&format!("https://l.facebook.com/l.php?u={text}"));
    }

    #[test]
    fn letter_case_of_a_user_agent_never_matters(
        row in 0usize..200, flips in proptest::collection::vec(any::<bool>(), 64)
    ) {
        let fetchers = SIGNALS.fetchers();
        let fetcher = &fetchers[row % fetchers.len()];
        let flip = |(at, c): (usize, char)| match flips[at % flips.len()] {
            true => c.to_ascii_uppercase(),
            false => c.to_ascii_lowercase(),
        };
        let text: String = fetcher.examples[0].chars().enumerate().map(flip).collect();
        let found = SIGNALS.agent(&text);
        prop_assert!(!found.is_person(), "{}", text);
        prop_assert_eq!(found.share().is_some(), fetcher.share, "{}", text);
    }
}

#[test]
fn hostile_sizes_are_bounded() {
    let long = "a/".repeat(32_000);
    for url in [
        format!("https://a.example/{long}"),
        format!("https://a.example/?{}", "a=b&".repeat(16_000)),
        format!("https://a.example/{}", "%zz".repeat(20_000)),
        format!("https://a.example/{}", "../".repeat(20_000)),
        format!("https://a.example/#{}", "gv=&".repeat(16_000)),
        format!("https://a.example/?{}", "fbclid&".repeat(9_000)),
        format!("https://{}/", "a.".repeat(30_000)),
        format!("https://a.example/{}", "/index.html".repeat(5_000)),
        format!("https://a.example/{}", "ä".repeat(32_000)),
    ] {
        if let Ok(link) = SIGNALS.link(&url) {
            let again = SIGNALS.link(&link.canonical).map(|l| l.canonical);
            assert_eq!(again.as_ref(), Ok(&link.canonical));
        }
        SIGNALS.referrer(&url);
        SIGNALS.agent(&url);
    }
}
