//! Landings of strangers: address, referrer, user agent and headers together.
#![no_main]
use std::sync::{Arc, LazyLock};

use grapevine_event::{Hit, Id, VisitorBasis};
use grapevine_inference::{Classifier, Model, VisitorContext};
use grapevine_signals::Signals;
use libfuzzer_sys::fuzz_target;

static CLASSIFIER: LazyLock<Classifier> =
    LazyLock::new(|| Classifier::new(Arc::new(Signals::builtin()), Model::builtin()));

fuzz_target!(|parts: (&str, &str, &str, [Option<&str>; 6], bool, bool)| {
    let (url, referrer, user_agent, headers, returning, token_again) = parts;
    let signals = CLASSIFIER.signals();
    let Ok(link) = signals.link(url) else {
        return;
    };
    let [fetch_site, fetch_mode, client_hints, requested_with, range, app] = headers;
    let hit = Hit {
        referrer: Some(referrer),
        user_agent,
        fetch_site,
        fetch_mode,
        client_hints,
        requested_with,
        range,
        app,
        ..Hit::page_view(Id::default(), "example.org", 0, url)
    };
    let visitor = VisitorContext {
        returning,
        basis: VisitorBasis::Client,
        token_again,
    };
    let agent = signals.agent(user_agent);
    let referrer = signals.referrer(referrer);
    let judged = CLASSIFIER.classify(&hit, &agent, &referrer, &link, &visitor);
    let (low, likely, high) = (
        judged.dark_probability_low,
        judged.dark_probability,
        judged.dark_probability_high,
    );
    assert!(0.0 <= low && low <= likely && likely <= high && high <= 1.0);
    assert!(likely + judged.dark_search_probability <= 1.0 + 1e-6);
    let said = judged.evidence.iter();
    let mut odds = said.flat_map(|fact| [Some(fact.log_odds), fact.search_log_odds]);
    assert!(odds.all(|odds| odds.is_some_and(f32::is_finite)));
});
