//! Lines of access logs.
#![no_main]
use grapevine_producer::access_log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let _ = access_log::parse(line);
    let _ = grapevine_producer::mask_addresses(line);
});
