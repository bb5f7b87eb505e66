//! Histories of few sites and readers, with forged, circular and late tokens, through both stages: what they promise
//! holds of each. Grammar and promises are those of a property of the crate.
#![no_main]
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/enrichment/tests/any_history/grammar.rs"]
mod grammar;
#[path = "../../crates/enrichment/tests/any_history/promises.rs"]
mod promises;

fuzz_target!(|input: (u8, &[u8])| {
    let (restart_at, bytes) = input;
    promises::hold(&grammar::records(bytes), usize::from(restart_at));
});
