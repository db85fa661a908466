//! A bearer token, and the keys that it is held against.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::aws::token(data));
