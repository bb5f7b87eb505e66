//! Bytes on a topic.
#![no_main]
use grapevine_event::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Record::Hit(hit)) = Record::decode(bytes) else { return };
    let mut again = Vec::new();
    hit.encode(&mut again).expect("what was decoded can be encoded");
    let Ok(Record::Hit(read)) = Record::decode(&again) else { panic!("and decoded again") };
    // By their text: a value may be NaN, which is not equal to itself.
    assert_eq!(format!("{read:?}"), format!("{hit:?}"));
});
