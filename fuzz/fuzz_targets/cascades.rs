//! Files of cascades, plain or packed: refused, or cascades that are whole.
#![no_main]
use grapevine_evaluation::{NODES_MAX, read_from};
use libfuzzer_sys::fuzz_target;

const HEADER: &[u8] = b"cascade_id,node_id,parent_id,t_seconds\n";

fn read(bytes: &[u8]) {
    let cascades = match read_from("fuzzed.csv", bytes) {
        Ok(cascades) => cascades,
        Err(error) => {
            assert!(error.to_string().contains("fuzzed.csv"), "{error}");
            return;
        }
    };
    assert!(!cascades.is_empty());
    for cascade in cascades {
        let nodes = cascade.times.len();
        assert!((1..=NODES_MAX).contains(&nodes));
        assert!(cascade.times.is_sorted());
        assert_eq!((cascade.parents.len(), cascade.parents[0]), (nodes, 0));
        let mut after_root = (0..).zip(&cascade.parents).skip(1);
        assert!(after_root.all(|(node, parent)| *parent < node));
    }
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // What stands behind the header is more than chance makes of it.
    read(&[HEADER, bytes].concat());
});
