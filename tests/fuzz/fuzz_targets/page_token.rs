//! Places in the time index and in the sweep.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::page_token(data));
