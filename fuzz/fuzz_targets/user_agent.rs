//! User agents of strangers.
#![no_main]
use std::sync::LazyLock;

use grapevine_signals::Signals;
use libfuzzer_sys::fuzz_target;

static SIGNALS: LazyLock<Signals> = LazyLock::new(Signals::builtin);

fuzz_target!(|text: &str| {
    let agent = SIGNALS.agent(text);
    assert!(!(agent.is_person() && agent.robot().is_some()), "nobody is both");
});
