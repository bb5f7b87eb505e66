//! Files of the operator's own: entries of signals, weights of classification, weights of causes.
//! A mistake is refused with words; what is taken is what it says, and reads the same again.
#![no_main]
use grapevine_inference::Model;
use grapevine_inference::causes::Weights;
use grapevine_signals::Signals;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(weights) = Weights::parse(text) {
        assert_eq!(Weights::parse(&weights.render()), Ok(weights), "rendered weights read the same");
    }
    let _ = Model::parse(text);
    // The catalogue is built anew for every file, which takes a while: only what may be one.
    if !text.contains("[[") {
        return;
    }
    match Signals::with_overrides(text, "own.toml") {
        Ok(signals) => {
            let again = Signals::with_overrides(text, "own.toml").expect("the same text");
            assert_eq!(signals.version(), again.version());
        }
        Err(error) => assert!(error.to_string().contains("own.toml"), "{error}"),
    }
});
