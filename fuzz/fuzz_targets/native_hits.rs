//! Bodies of `POST /v1/hits`.
#![no_main]
use grapevine_producer::native;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = native::parse(body);
    if let Ok(hits) = native::split(body) {
        for hit in hits {
            let _ = native::parse(hit);
        }
    }
});
