//! URLs and referrers of strangers.
#![no_main]
use std::sync::LazyLock;

use grapevine_signals::Signals;
use libfuzzer_sys::fuzz_target;

static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::builtin);

fuzz_target!(|text: &str| {
    if let Ok(link) = SIGNALS.link(text) {
        let again = SIGNALS.link(&link.canonical).expect("a canonical URL is a URL");
        assert_eq!(again.canonical, link.canonical, "canonical URLs are canonical");
    }
    let _ = SIGNALS.referrer(text);
});
