//! A request from outside.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::http_request(data));
