//! Names, numbers and times.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wire::ids(data));
