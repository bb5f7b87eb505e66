//! Messages framed for a schema registry, and what is made of them.
#![no_main]
use grapevine_event::{CodecError, Record, RecordType, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let framed = frame::of_framed(bytes);
    let single = frame::of_single_object(bytes);
    assert!(framed.is_none() || single.is_none());
    if let Some((fingerprint, datum)) = single {
        assert_eq!([&frame::single_object_head(fingerprint)[..], datum].concat(), bytes);
    }
    let Some((id, datum)) = framed else { return };
    assert_eq!([&frame::framed_head(id)[..], datum].concat(), bytes);
    // Whoever has no registry says so, and changes nothing.
    assert!(matches!(Record::decode(bytes), Err(CodecError::Framed(said)) if said == id));
    // The datum under each schema that a registry may say it has.
    for kind in RecordType::ALL {
        let record = [&frame::single_object_head(kind.fingerprint())[..], datum].concat();
        assert_eq!(Record::kind_of(&record).expect("one of ours"), *kind);
        let _ = Record::decode(&record);
    }
});
