//! The grey rest: what facts add up to where none decides.

mod support;

use grapevine_event::{Hit, Method, VisitorBasis};
use grapevine_inference::{Classification, Classifier, Model, VisitorContext};

use support::{ARTICLE, DESKTOP, IPHONE, NEW, classifier, judge, landing, signals};

#[test]
fn deep_landings_are_darker_than_home_pages() {
    let dark = |url: &str, visitor: &VisitorContext, agent: &str| {
        judge(&landing(url, "", agent), visitor).dark_probability
    };
    let returning = VisitorContext {
        returning: true,
        ..NEW
    };
    let article = dark(ARTICLE, &NEW, IPHONE);
    // A new visitor may as well have searched, as long as nothing else is known of the article.
    assert!((0.25..0.5).contains(&article), "{article}");
    assert!(dark("https://www.example.org/", &NEW, IPHONE) < 0.1);
    assert!(dark("https://www.example.org/sport", &NEW, IPHONE) < 0.1);
    assert!(dark(ARTICLE, &returning, IPHONE) < article);
    assert!(dark(ARTICLE, &NEW, DESKTOP) < article);
    let address = VisitorContext {
        returning: true,
        basis: VisitorBasis::Address,
        token_again: false,
    };
    let unknown = VisitorContext {
        returning: false,
        basis: VisitorBasis::Address,
        token_again: false,
    };
    assert_eq!(
        dark(ARTICLE, &address, IPHONE),
        dark(ARTICLE, &unknown, IPHONE)
    );
}

#[test]
fn the_browser_tells_a_hidden_page_from_a_typed_address() {
    let fetched = |site| {
        let mut hit = landing(ARTICLE, "", DESKTOP);
        (hit.fetch_site, hit.fetch_mode, hit.fetch_dest) =
            (Some(site), Some("navigate"), Some("document"));
        judge(&hit, &NEW)
    };
    let silent = judge(&landing(ARTICLE, "", DESKTOP), &NEW);
    let (hidden, typed) = (fetched("cross-site"), fetched("none"));
    // Search that hides itself and web chat look the same: which of them is more is the model's.
    let weights = classifier().model().weights();
    let weight = weights.iter().find(|(name, _)| *name == "fetch_cross_site");
    let darker = weight.expect("there").1.dark.likely > 0.0;
    assert_eq!(hidden.dark_probability > silent.dark_probability, darker);
    // Whichever it is, nobody typed it.
    let rest = |judged: &Classification<'_>| 1.0 - judged.dark_probability;
    let of_rest = |judged: &Classification<'_>| judged.dark_search_probability / rest(judged);
    let by_hand = |judged: &Classification<'_>| rest(judged) - judged.dark_search_probability;
    assert!(of_rest(&hidden) > of_rest(&typed) && of_rest(&silent) > of_rest(&typed));
    assert!(by_hand(&hidden) < by_hand(&typed) && by_hand(&silent) < by_hand(&typed));
    assert!(typed.dark_search_probability < silent.dark_search_probability);
    assert!(fetched("same-origin").dark_probability < silent.dark_probability);
}

/// On a phone chats and mail are apps: a page that hides itself is rather a search there.
#[test]
fn a_hidden_page_says_less_of_a_message_on_a_phone() {
    let added = |agent| {
        let mut hit = landing(ARTICLE, "", agent);
        (hit.fetch_site, hit.fetch_mode, hit.fetch_dest) =
            (Some("cross-site"), Some("navigate"), Some("document"));
        let judged = judge(&hit, &NEW);
        let found = judged
            .evidence
            .iter()
            .find(|fact| fact.name == "fetch_cross_site");
        let fact = found.expect("weighed");
        (fact.log_odds, fact.search_log_odds.expect("weighed"))
    };
    let [(phone, phone_search), (computer, computer_search)] = [IPHONE, DESKTOP].map(added);
    assert!(phone < computer && phone_search > computer_search);
}

#[test]
fn the_log_odds_of_the_grey_rest_add_up() {
    let judged = judge(&landing(ARTICLE, "", IPHONE), &NEW);
    assert_eq!(judged.method, Method::Prior);
    let sum: f32 = judged.evidence.iter().map(|fact| fact.log_odds).sum();
    let expected = 1.0 / (1.0 + (-sum).exp());
    assert!((judged.dark_probability - expected).abs() < 1e-5);
    let search = judged.evidence.iter().map(|fact| fact.search_log_odds);
    let search: f32 = search.map(|odds| odds.expect("said of each fact")).sum();
    let typed = 1.0 - judged.dark_probability - judged.dark_search_probability;
    let found = (judged.dark_search_probability / typed).ln();
    assert!((search - found).abs() < 1e-3, "{search} {found}");
    let long = judged.evidence.iter().find(|fact| fact.name == "long_path");
    let weights = classifier().model().weights();
    let weight = weights.iter().find(|(name, _)| *name == "long_path");
    assert_eq!(
        long.and_then(|fact| fact.search_log_odds),
        weight.map(|(_, weight)| weight.search as f32)
    );
    assert!(
        judged
            .evidence
            .iter()
            .any(|fact| fact.detail == "48-character path"),
        "{:?}",
        judged.evidence
    );
}

#[test]
fn every_weight_moves_the_probability_its_own_way() {
    let text = include_str!("../data/model.toml");
    let model = Model::builtin();
    let webview = "Mozilla/5.0 (Linux; Android 14; K; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.1 Mobile Safari/537.36";
    let rewritten = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/141.0.7390.1 Mobile Safari/537.36";
    let urls = [
        ARTICLE,
        "https://example.org/",
        "https://example.org/sport",
        "https://example.org/a-b-c-d-e?id=1",
        "https://example.org/a-b-c-d",
    ];
    let mut unmoved = Vec::new();
    for (name, weight) in model.weights() {
        let from = format!("[weight.{name}]\ndark = ");
        let start = text.find(&from).expect("in the file") + from.len();
        let end = start + text[start..].find('\n').expect("a line");
        let dark = weight.dark;
        let [low, likely, high] = [dark.low, dark.likely, dark.high].map(|figure| figure + 1.0);
        let raised = format!(
            "{}[{low:?}, {likely:?}, {high:?}]{}",
            &text[..start],
            &text[end..]
        );
        let raised = Classifier::new(signals(), Model::parse(&raised).expect("a model"));
        let mut moved = false;
        for url in urls {
            for agent in [IPHONE, DESKTOP, webview, rewritten] {
                for site in [None, Some("none"), Some("cross-site"), Some("same-site")] {
                    for returning in [false, true] {
                        let visitor = VisitorContext { returning, ..NEW };
                        let hit = Hit {
                            fetch_site: site,
                            ..landing(url, "", agent)
                        };
                        let before = judge(&hit, &visitor);
                        let signals = raised.signals();
                        let link = signals.link(url).expect("an address");
                        let after = raised.classify(
                            &hit,
                            &signals.agent(agent),
                            &signals.referrer(""),
                            &link,
                            &visitor,
                        );
                        let is_phone = agent != DESKTOP;
                        // One fact, with a weight of its own on phones.
                        let fact = match name {
                            "fetch_cross_site" if is_phone => "",
                            "fetch_cross_site_mobile" if is_phone => "fetch_cross_site",
                            _ => name,
                        };
                        let named = before.evidence.iter().any(|found| found.name == fact);
                        // Log-odds go down to -12.
                        let sum: f32 = after.evidence.iter().map(|fact| fact.log_odds).sum();
                        assert_eq!(
                            after.dark_probability > before.dark_probability,
                            named && sum > -12.0,
                            "{name}"
                        );
                        assert!(after.dark_probability >= before.dark_probability);
                        moved |= named && sum > -12.0;
                    }
                }
            }
        }
        if !moved {
            unmoved.push(name);
        }
    }
    // Those of the content's history, which the chain stage adds.
    assert_eq!(
        unmoved,
        [
            "fresh_content",
            "old_content",
            "read_before",
            "one_private_reader",
            "few_private_readers",
            "many_private_readers",
            "some_public_readers",
            "many_public_readers",
            "few_traceless_readers",
            "some_traceless_readers",
            "many_traceless_readers",
            "crowd_of_traceless_readers",
            "large_crowd_of_traceless_readers",
            "preview_minute",
            "preview_ten_minutes",
            "preview_hour",
            "preview_same_network"
        ]
    );
}
