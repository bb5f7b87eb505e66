//! Histories that no honest site has, through both stages: what they promise holds of each. The same grammar and
//! promises are fuzzed (`fuzz/fuzz_targets/stages.rs`).

mod grammar;
mod promises;

use proptest::prelude::*;

/// A step whose reader, place and kind are anything; time mostly goes on as it does on a site.
fn step() -> impl Strategy<Value = [u8; grammar::STEP_BYTES]> {
    let after = prop_oneof![8 => 0u8..7, 1 => any::<u8>()];
    // Places of one site, more often than others.
    let place = prop_oneof![3 => (0u8..4).prop_map(|content| content << 2), 1 => any::<u8>()];
    (any::<[u8; grammar::STEP_BYTES]>(), place, after).prop_map(|(mut step, place, after)| {
        (step[1], step[5]) = (place, after);
        step
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_the_stages_promise_holds_of_any_history(
        steps in prop::collection::vec(step(), 1..120),
        restart_at in 0usize..120,
    ) {
        let records = grammar::records(&steps.concat());
        promises::hold(&records, restart_at);
    }
}
