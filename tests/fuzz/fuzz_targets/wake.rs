//! The body of a wake.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire::wake(data));
